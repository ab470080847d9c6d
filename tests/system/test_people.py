"""The commands as a person meets them: on a terminal of 80 and of 44 columns, in the shells' completion, in a bug report."""

from __future__ import annotations

import io
import json
import re
import tarfile

import pytest

from tests.system.box import VENV, Box, width

SECRET = "hunter2-geheim"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")
STYLE = re.compile(r"\x1b\[[0-9;]*m")
LIVE = re.compile(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] ([^\x1b\r\n]+)")
PROXY = f"http://dev:{SECRET}@proxy.example:3128"


@pytest.fixture
def bare(hosts) -> Box:
    return hosts.shared("people-bare")


@pytest.fixture
def box(hosts) -> Box:
    return hosts.shared("people", state="converged")


def see(box: Box, columns: int, *arguments: str, code: int = 0) -> tuple[str, list[str]]:
    """Run cai on a terminal; return what stays on it, and the live lines that went by."""
    child = box.person(*arguments, size=(50, columns))
    text = child.read()
    child.close()
    print(f"--- cai {' '.join(arguments)} on {columns} columns, exit {child.exitstatus}")
    live = LIVE.findall(STYLE.sub("", text))
    # A live line is taken away by going to its start and clearing it.
    stays = "\n".join(ANSI.sub("", row.rpartition("\x1b[2K")[2]) for row in text.split("\n"))
    stays = "\n".join(row.rstrip() for row in stays.splitlines() if not LIVE.match(row))
    print(stays)
    assert child.exitstatus == code, text
    assert "Traceback" not in text
    return stays, live


def fits(stays: str, columns: int) -> None:
    """Whatever can be broken is; a path, a diff and a command to copy are left whole."""
    for row in stays.splitlines():
        whole = re.search(r"/\S{12}|^  [ +@-]|docker --context|`|https?:|\S{30}", row)
        assert width(row) <= columns or whole, row


def pack(box: Box, code: int, *, sudo: bool = False) -> dict[str, str]:
    """`cai doctor --bundle`, unpacked; no text in it may have the secret, the user's or the host's name."""
    line = f"{'sudo ' if sudo else ''}{VENV}/bin/cai doctor --bundle /home/dev/b.tgz"
    box.shell(line).expect(code, "Packed /home/dev/b.tgz")
    assert box.sh("stat -c '%a %U' /home/dev/b.tgz") == f"600 {'root' if sudo else 'dev'}"
    with tarfile.open(fileobj=io.BytesIO(box.read("/home/dev/b.tgz"))) as archive:
        entries = [(entry.name.removeprefix("cai-bundle/"), archive.extractfile(entry)) for entry in archive]
        texts = {name: file.read().decode() for name, file in entries if file}
    box.sh("rm /home/dev/b.tgz")
    print({name: len(text) for name, text in texts.items()})
    for name, text in texts.items():
        for word in (SECRET, "dev", box.sh("hostname")):
            assert not re.search(rf"\b{word}\b", text), (name, word)
    return texts


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 44])
def test_a_dry_run_on_a_terminal_reads_as_a_plan(bare: Box, columns: int) -> None:
    stays, live = see(bare, columns, "setup", "--dry-run")
    assert any("Look at" in line or "Check" in line for line in live)
    place = 0
    for word in (
        "would write",
        "--- /dev/null",
        "Plan of `cai setup`",
        "\nDocker engine",
        "\nSysbox",
        "\nGate: passes",
        "\nPlan: ",
    ):
        place = stays.index(word, place)
    assert re.search(r"Plan: \d+ to create, 2 to install", stays)
    fits(stays, columns)


@pytest.mark.slow
def test_a_bundle_of_a_bare_host(bare: Box) -> None:
    texts = pack(bare, 1)
    assert "containai-docker.service is not set up" in texts["report.json"]
    assert "cai 0" in texts["versions.txt"]
    assert "last-run.txt" not in texts


@pytest.mark.slow
@pytest.mark.parametrize("columns", [pytest.param(80, marks=pytest.mark.slow), 44])
def test_doctor_on_a_bare_host_names_the_command(bare: Box, columns: int) -> None:
    stays, _ = see(bare, columns, "doctor", code=1)
    assert "✗ engine" in stays
    assert "→ run `cai setup`" in stays
    fits(stays, columns)


@pytest.mark.slow
def test_setup_shows_how_far_it_is_and_ends_with_what_to_type(hosts) -> None:
    box: Box = hosts("people-fresh")
    stays, live = see(box, 80, "setup")
    assert any(re.match(r"Install Docker's packages  \d+%, \S.*\d+s", line) for line in live), live
    assert any(re.match(r"Install Sysbox  \d+%, ", line) for line in live), live
    assert re.search(r"✓ Install Docker's packages +changed +\d+", stays)
    assert re.search(r"✓ Verify the isolation of a Sysbox container +\d", stays)
    assert stays.rstrip().endswith("cai run -it ubuntu:24.04")
    fits(stays, 80)
    hosts.drop(box.name)


@pytest.mark.slow
def test_a_second_setup_on_a_narrow_terminal_says_that_nothing_changed(box: Box) -> None:
    stays, _ = see(box, 44, "setup")
    said = " ".join(stays.split())
    assert "nothing had to be changed" in said
    assert "changed" not in said.replace("nothing had to be changed", "")
    fits(stays, 44)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [pytest.param(80, marks=pytest.mark.slow), 44])
def test_doctor_on_a_healthy_host(box: Box, columns: int) -> None:
    stays, _ = see(box, columns, "doctor")
    for part in (
        "platform",
        "seccomp",
        "engine",
        "socket",
        "network",
        "Sysbox",
        "Sysbox services",
        "runtime",
        "isolation",
        "docker context",
        "other engines",
    ):
        assert f"✓ {part}" in stays, part
    fits(stays, columns)


@pytest.mark.slow
def test_verbose_is_ansibles_own_output_with_our_exit_code(box: Box) -> None:
    done = box.cai("setup", "--verbose").expect(0, "PLAY RECAP", "The secure engine is ready")
    assert "TASK [docker_engine : Install Docker's packages]" in done.out
    box.cai("setup", "--verbose", "-e", "docker_engine_link_subnet=nonsense").expect(
        3, "docker_engine_link_subnet", "Hint: "
    )
    box.cai("setup", "-e", "docker_engine_link_subnet=nonsense").expect(3, "docker_engine_link_subnet", "Hint: ")


PLANT = f"""[Service]
Environment=HTTP_PROXY={PROXY} REGISTRY_TOKEN={SECRET}
ExecStartPost=/bin/echo "the proxy is {PROXY}"
ExecStartPost=/bin/echo "registry password={SECRET} in /home/dev/.docker of dev"
ExecStartPost=/bin/echo "Authorization: Bearer {SECRET}"
"""


@pytest.mark.slow
@pytest.mark.parametrize("sudo", [False, True], ids=["dev", "sudo"])
def test_a_bundle_of_a_healthy_host_has_all_and_no_secret(box: Box, sudo: bool) -> None:
    own = box.read("/etc/docker/daemon.json")
    runtimes = {"sysbox-runc": {"path": "/usr/bin/sysbox-runc"}}
    box.write("/etc/docker/daemon.json", json.dumps({"log-opts": {"labels": PROXY}, "runtimes": runtimes}))
    box.write("/etc/systemd/system/containai-docker.service.d/plant.conf", PLANT)
    box.sh("systemctl daemon-reload && systemctl restart containai-docker")
    texts = pack(box, 0, sudo=sudo)
    assert set(texts) >= {"report.json", "versions.txt", "daemon.json", "version", "os-release", "docker-contexts.txt"}
    assert "***@proxy.example:3128" in texts["daemon.json"]
    assert "ExecStart=/usr/bin/nsenter" in texts["units.txt"]
    assert "REGISTRY_TOKEN=***" in texts["units.txt"]
    assert "Active: active" in texts["unit-states.txt"]
    assert re.search(r"^docker version|^Docker version", texts["versions.txt"], re.MULTILINE)
    assert "TASK [docker_engine : Check that this host" in texts["last-run.txt"]
    assert json.loads(texts["report.json"])["exit_code"] == 0
    if sudo:  # an ordinary user may not read the journal of a service
        for planted in ("the proxy is http://***@proxy.example", "registry password=***", "Authorization: ***"):
            assert planted in texts["journal.txt"]
    box.sh("rm -r /etc/systemd/system/containai-docker.service.d && systemctl daemon-reload")
    box.write("/etc/docker/daemon.json", own)
    box.sh("systemctl restart containai-docker")


@pytest.mark.slow
def test_a_bundle_of_a_broken_host(box: Box) -> None:
    box.sh(f'systemctl stop containai-docker sysbox; printf \'{{"http-proxy": "{PROXY}", \' > /etc/docker/daemon.json')
    texts = pack(box, 1)
    report = json.loads(texts["report.json"])
    assert {finding["part"] for finding in report["findings"] if finding["status"] == "fail"} >= {
        "engine",
        "runtime",
        "Sysbox services",
    }
    box.write("/etc/docker/daemon.json", "{}\n")
    box.setup()


# What bash does at a Tab.
COMPLETE = """source /opt/cai.bash
COMP_CWORD=$1; shift
COMP_WORDS=("$@")
_cai_completion cai
printf '%s\\n' "${COMPREPLY[@]}"
"""
TYPED = [("se", "setup"), ("doc", "doctor"), ("setup --dr", "--dry-run"), ("uninstall --pu", "--purge")]


@pytest.fixture
def shells(hosts) -> Box:
    """Install the scripts where the help of `cai completion` says, and the shells."""
    box: Box = hosts.shared("people-shells")
    if box.ok("test -e /opt/complete.bash"):
        return box
    box.sh("apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends zsh fish")
    for shell, place in (("bash", "/opt/cai.bash"), ("zsh", "/home/dev/.zfunc/_cai"), ("fish", "/opt/cai.fish")):
        box.write(place, box.cai("completion", shell).expect(0).out)
        box.shell(f"{shell} -n {place}").expect(0)
    box.write("/opt/complete.bash", COMPLETE)
    return box


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "wanted"), TYPED)
def test_the_completion_scripts_complete_in_bash_and_fish_and_zsh_accepts_its_own(
    shells: Box, typed: str, wanted: str
) -> None:
    words = typed.split()
    assert wanted in shells.user("bash", "/opt/complete.bash", str(len(words)), "cai", *words).expect(0).out.split()
    asked = f"source /opt/cai.fish; complete --do-complete 'cai {typed}'"
    fish = shells.user("fish", "--no-config", "-c", asked).expect(0).out
    assert wanted in [row.split("\t")[0] for row in fish.splitlines()], fish


# A widget says what the line editor holds, whatever of it was drawn.
ZSHRC = """PS1='ready> '; fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit -u; said() { print -r -- "<<$BUFFER>>"; BUFFER=; zle accept-line }; zle -N said; bindkey '^X' said
"""


@pytest.mark.slow
def test_zsh_completes_at_a_tab(shells: Box) -> None:
    shells.write("/home/dev/.zshrc", ZSHRC)
    child = shells.terminal("zsh", "-i")
    for typed, wanted in (("cai set", "cai setup "), *((f"cai {words}", word) for words, word in TYPED)):
        child.expect("ready> ")
        child.send(f"{typed}\t\x18")
        child.expect(r"<<(.*)>>", timeout=30)
        print(f"{typed}<Tab> -> {child.match[1]}")
        assert child.match[1].split() == [*typed.split()[:-1], wanted.split()[-1]]
    child.close(force=True)


@pytest.mark.slow
def test_uninstall_on_a_terminal_shows_the_plan_asks_and_ends(hosts) -> None:
    box: Box = hosts("people-gone", state="converged")
    child = box.person("uninstall", "--purge", size=(50, 44))
    child.expect(r"Remove all this\? \[y/N\]: ")
    shown = ANSI.sub("", child.before)
    assert "Plan of `cai uninstall`" in shown
    assert "/etc/docker/daemon.json" in shown
    child.sendline("y")
    text = ANSI.sub("", child.read())
    child.close()
    print(shown, text)
    assert child.exitstatus == 0
    assert f"{VENV}" not in text
    assert "Removed (" in text
    hosts.drop(box.name)
