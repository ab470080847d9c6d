"""Faults around a run: full and read-only file systems, servers that misbehave, others at work."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.faults.cycle import SHAMES, Outcome, Row, first_line, told
from tests.faults.ground import UNINSTALL, Ground
from tests.system import servers, stage
from tests.system.box import Done, quoted
from tests.system.certificates import certificate
from tests.system.running import Running

STATE = "/home/dev/.local/state/containai"
# Every place that setup writes to.
PLACES = (
    "/var/lib/containai", "/etc/docker", "/etc/systemd/system", "/var/cache/apt", "/var/lib/docker-containai", "/usr", STATE, "/tmp", "/var/lib/dpkg",
    "/etc", "/home/dev/.docker",
)  # fmt: skip
SHORT_FULL, SHORT_READ_ONLY = ("/var/lib/containai", "/usr"), ("/etc/systemd/system",)
SETUPS_OWN = ("/var/lib/containai", STATE, "/home/dev/.docker")
# A run that goes through in spite of the fault is as good as one that fails and says why.
ROOM = 64 << 10
WELL, FAILED, ANY = (0,), (1, 3), (0, 1, 3)


def judged(done: Done, codes: tuple[int, ...], words: tuple[str, ...] = ()) -> Outcome:
    """The outcome, and whether code and message are what they should be."""
    outcome = told(done)
    if done.code not in codes:
        outcome.problems.append(f"exit {done.code}, not one of {codes}: {done.text[-300:]}")
    if done.code != 0:
        said = done.text.lower()
        outcome.problems += [
            f"no {word!r} in the message: {done.text[-400:]}" for word in words if word.lower() not in said
        ]
    return outcome


def run(ground: Ground, kind: str, *more: str) -> Done:
    """The command under fire."""
    return ground.setup(*more) if kind == "setup" else ground.box.cai(*UNINSTALL, "--json", *more)


# --- disks ---


def made(place: str) -> str:
    """Make sure that the place is there, as its owner would."""
    owner = "runuser -u dev --" if place.startswith("/home/dev") else ""
    return f"[ -d {place} ] || {owner} mkdir -p {place}"


def gone(place: str) -> str:
    """Take an empty folder away that setup makes: whoever wanted to could not while it was a mount point."""
    return f"rmdir --ignore-fail-on-non-empty {place}" if place in SETUPS_OWN else ":"


def small(ground: Ground, place: str, room: int) -> None:
    """Put the place's content on a small file system of its own, and fill that."""
    ground.box.sh(
        f"set -e; {made(place)}; size=$(du -sk {place} | cut -f1); mkdir -p /run/small"
        f"; mount -t tmpfs -o size=$((size + 4096))k,mode=$(stat -c %a {place}),uid=$(stat -c %u {place}),gid=$(stat -c %g {place}) none /run/small"
        f"; cp -a {place}/. /run/small/; mount --move /run/small {place} 2>/dev/null || {{ mount --bind /run/small {place}; umount -l /run/small; }}"
        f"; dd if=/dev/zero of={place}/.filler bs=64k status=none 2>/dev/null || true"
        f"; truncate -s -{room} {place}/.filler"
    )


def room_again(place: str, ground: Ground) -> None:
    """The disk has room again; its content stays where it is until the end of the row."""
    ground.box.sh(f"rm -f {place}/.filler")


def unmounted(ground: Ground, place: str) -> None:
    """Take the small file system away; what is on it moves to the place itself."""
    ground.box.sh(
        f"set -e; mountpoint -q {place} || exit 0; mkdir -p /run/kept; mount --bind {place} /run/kept; umount -l {place}"
        "; rm -f /run/kept/.filler; names() { (cd $1; find . -xdev -mindepth 1 | LC_ALL=C sort); }"
        # What was taken away on the small one comes back below it.
        f"; names /run/kept >/run/names; names {place} | LC_ALL=C comm -13 /run/names - | LC_ALL=C sort -r | (cd {place}; tr '\\n' '\\0' | xargs -0r rm -d --)"
        f"; cp -a --remove-destination /run/kept/. {place}/ 2>/dev/null || true; umount -l /run/kept"
        f"; {gone(place)}"
    )


def full(kind: str, place: str, room: int, ground: Ground) -> Outcome:
    """Run with no room in the place."""
    small(ground, place, room)
    return judged(run(ground, kind), ANY, ("space",) if kind == "setup" else ())


def emptied(place: str, ground: Ground) -> None:
    """Make room, then go back to the file system below."""
    room_again(place, ground)
    if place != "/var/lib/docker-containai":
        unmounted(ground, place)
    else:  # the engine has it open
        ground.box.sh("systemctl stop containai-docker containai-containerd", check=False)
        unmounted(ground, place)


def read_only(kind: str, place: str, ground: Ground) -> Outcome:
    """Run with the place mounted read-only."""
    ground.box.sh(f"{made(place)}; mount --bind {place} {place} && mount -o remount,bind,ro {place}")
    return judged(run(ground, kind), ANY, ("read-only",))


def writable(place: str, ground: Ground) -> None:
    """Writable again."""
    ground.box.sh(f"umount -l {place}; {gone(place)}")


# --- servers ---


def bad_server(answer: str, word: str, ground: Ground) -> Outcome:
    """Take the package from a server that misbehaves."""
    with servers.serving(ground.box, stage.packages()["0.7.1"][0]) as address:
        done = ground.setup(*quoted(sysbox_deb=f"{address}/{answer}/sysbox.deb"))
    return judged(done, (1,), (word, "sysbox.deb"))


def tls_server(ground: Ground, certificate: tuple[bytes, bytes], *words: str) -> Outcome:
    """Take the package from a server with this certificate."""
    with servers.serving(ground.box, stage.packages()["0.7.1"][0], tls=certificate) as address:
        done = ground.setup(*quoted(sysbox_deb=f"{address}/whole/sysbox.deb"))
    return judged(done, (1,), ("certificate verify failed", *words))


def certificate_of_nobody(ground: Ground) -> Outcome:
    """A certificate that nobody vouches for."""
    return tls_server(ground, certificate())


# --- a clock that is behind: a container has no clock of its own, so it is the world that is ahead ---

TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
TOMORROWS_REPOSITORY = """set -e
mkdir -p /opt/tomorrow
printf 'Date: %s\nSuite: ./\nMD5Sum:\nSHA256:\n' "$(LC_ALL=C date -u -d tomorrow '+%a, %d %b %Y %T UTC')" >/opt/tomorrow/Release
for place in /var/lib/apt/lists /etc/apt/sources.list.d; do mount -t tmpfs none $place; done
[ ! -e /etc/apt/sources.list ] || mount --bind /dev/null /etc/apt/sources.list
echo 'deb [trusted=yes] file:/opt/tomorrow ./' >/etc/apt/sources.list.d/tomorrow.list
echo 'Acquire::Check-Date "true";' >/etc/apt/apt.conf.d/99tomorrow
"""


def certificate_of_tomorrow(ground: Ground) -> Outcome:
    """A server whose certificate, trusted otherwise, begins to be valid tomorrow."""
    from_tomorrow = certificate(days_from_now=1)
    ground.box.sh(f"cp {TRUSTED} /opt/trusted")
    ground.box.run("sh", "-c", f"cat >>{TRUSTED}", stdin=from_tomorrow[0].decode())
    return tls_server(ground, from_tomorrow, "not yet valid", "this host's clock says")


def trust_as_before(ground: Ground) -> None:
    """The certificates that were trusted before."""
    ground.box.sh(f"cat /opt/trusted >{TRUSTED}; rm /opt/trusted")


def repository_of_tomorrow(ground: Ground) -> Outcome:
    """A package repository that was made tomorrow, for an apt that asks, as it does by itself; that of a machine whose mirror is old may not."""
    ground.box.sh(TOMORROWS_REPOSITORY)
    return judged(ground.setup(), (1,), ("is not valid yet", "this host's clock says"))


def repositories_as_before(ground: Ground) -> None:
    """The package lists and sources that were there before."""
    ground.box.sh(
        "umount -l /var/lib/apt/lists /etc/apt/sources.list.d; umount -l /etc/apt/sources.list 2>/dev/null; rm -r /opt/tomorrow /etc/apt/apt.conf.d/99tomorrow"
    )


def no_server(ground: Ground) -> Outcome:
    """Take the package from nowhere."""
    return judged(ground.setup(*quoted(sysbox_deb="http://127.0.0.1:1/sysbox.deb")), (1,), ("refused",))


def wrong_checksum(ground: Ground) -> Outcome:
    """Ask for other bytes."""
    outcome = judged(ground.setup(*quoted(sysbox_sha256={"amd64": "0" * 64})), (1,), ("0" * 64,))
    if ground.box.ok("dpkg -s sysbox-ce"):
        outcome.problems.append("an unverified package was installed")
    return outcome


# --- others at work ---


def two_playbooks(first: str, second: str, codes: tuple[int, ...], ground: Ground) -> Outcome:
    """Two ansible-playbook runs over ssh against one host, which know nothing of each other."""
    more = {"wsl2": (), "uninstall-wsl2": ("-e cai_purge=true -e cai_yes=true",)}
    runs = [Running(ground.box, *ground.fleet(name, *more[name])) for name in (first, second)]
    ends = [(run.end(), run.said) for run in runs]
    problems = [f"exit {code}: {said[-500:]}" for code, said in ends if code not in codes]
    problems += [f"says {shame}: {said[-500:]}" for _, said in ends for shame in SHAMES if shame in said]
    return Outcome(
        max(code for code, _ in ends),
        "; ".join(filter(None, (first_line(said) for _, said in ends))),
        problems=problems,
    )


def silence(ground: Ground) -> Outcome:
    """A playbook over ssh whose connection falls silent while packages are installed: nothing says that it has ended."""
    task, rules = "Install Docker's packages", "OUTPUT -o lo -p tcp --sport 22 -j DROP"
    running = Running(ground.box, *ground.fleet("wsl2"))
    running.until(f"{task}] ")
    ground.box.sh(f"iptables -w -t raw -I {rules}")
    try:
        code = running.end()
    finally:
        ground.box.sh(f"iptables -w -t raw -D {rules}")
    problems = [] if code == 4 else [f"exit {code}, not 4 (unreachable): {running.said[-500:]}"]
    return Outcome(code, first_line(running.said), problems=problems)


# --- the rows ---


def rows(ground: Ground) -> Iterator[Row]:
    """Every fault of the surroundings."""
    yield from _disks("setup")
    for answer, word in servers.KINDS.items():
        yield Row(
            f"setup: the server answers: {answer}", partial(bad_server, answer, word), short=answer in ("404", "cut")
        )
    yield Row(
        "setup: the server's TLS certificate is nobody's",
        certificate_of_nobody,
        short=True,
    )
    yield Row("setup: the clock is behind a certificate's", certificate_of_tomorrow, mend=trust_as_before)
    yield Row("setup: the clock is behind a repository's", repository_of_tomorrow, mend=repositories_as_before)
    yield Row("setup: no server", no_server)
    yield Row("setup: a wrong checksum", wrong_checksum, short=True)
    yield Row("setup: two playbooks at once", partial(two_playbooks, "wsl2", "wsl2", WELL), short=True)
    # The one takes away what the other makes: either may fail, and the next run has to find its way.
    yield Row(
        "setup: a playbook, and one that uninstalls, at once", partial(two_playbooks, "wsl2", "uninstall-wsl2", (0, 2))
    )
    yield Row("setup: the connection falls silent", silence)
    yield from _disks("uninstall")


def _disks(kind: str) -> Iterator[Row]:
    def fill(place: str, room: int) -> Row:
        short = kind == "setup" and room == 0 and place in SHORT_FULL
        return Row(
            f"{kind}: {room >> 10} KiB left in {place}", partial(full, kind, place, room), kind, partial(emptied, place), short
        )  # fmt: skip

    for place in PLACES:
        yield fill(place, 0)
        if kind == "setup" and place in (
            "/var/lib/containai",
            "/etc/systemd/system",
            "/var/lib/docker-containai",
            "/tmp",
        ):
            yield fill(place, ROOM)
    for place in PLACES:
        short = kind == "setup" and place in SHORT_READ_ONLY
        yield Row(
            f"{kind}: {place} is read-only", partial(read_only, kind, place), kind, partial(writable, place), short
        )
