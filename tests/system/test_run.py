"""`cai run`, `cai docker` and `cai status` as a person types them: exit codes, a terminal, a login that lacks the group."""

from __future__ import annotations

import re

import pexpect
import pytest

from tests.system.box import IMAGE, VENV, Box

CAI = f"{VENV}/bin/cai"
RUN = f"run --rm --network none {IMAGE}"
# A login from before the setup: dev's groups without the one that setup made.
BEFORE = ("setpriv", "--reuid=dev", "--regid=dev", "--groups=dev")
# Ends by itself when it is interrupted; a shell that is a container's first process would ignore it.
PATIENT = "trap 'exit 130' INT; echo ready; while :; do sleep 0.1; done"


@pytest.fixture(params=[pytest.param("wsl2", marks=pytest.mark.slow), "linux"])
def box(hosts, request: pytest.FixtureRequest) -> Box:
    return hosts.shared(f"run-{request.param}", dress=request.param, state="converged")


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (f"{RUN} cat /proc/self/uid_map", 0, r"^\s*0\s+[1-9]\d+\s+65536$"),
        (f"{RUN} false", 1, r"^$"),
        ("run --no-such-option x", 125, "unknown flag"),
        (f"{RUN} /etc", 126, "permission denied"),
        (f"{RUN} no-such-program", 127, "not found"),
        (f"docker {RUN} sh -c 'exit 130'", 130, r"^$"),
        (f"run --privileged {IMAGE} true", 2, r"docker --context containai-secure run --privileged"),
        (f"docker run --runtime=runc {IMAGE} true", 2, "does not isolate"),
        ("docker version --format '{{.Server.Version}}'", 0, r"^\d+\.\d+"),
    ],
)
def test_exit_codes(box: Box, typed: str, code: int, said: str) -> None:
    done = box.shell(f"DOCKER_HOST=tcp://192.0.2.1:1 {CAI} {typed}")
    assert done.code == code, done.text
    assert re.search(said, done.text, re.MULTILINE), done.text


def test_standard_input_goes_through(box: Box) -> None:
    done = box.shell(f"printf 'a\\0b' | {CAI} run -i --rm --network none {IMAGE} cat | od -An -c")
    assert done.out.split() == ["a", "\\0", "b"]


@pytest.mark.parametrize("prefix", [(), BEFORE], ids=["a-new-login", "the-login-of-the-setup"])
def test_a_terminal_its_size_and_ctrl_c(box: Box, prefix: tuple[str, ...]) -> None:
    user = "root" if prefix else "dev"
    child = box.terminal(*prefix, CAI, "run", "-it", "--rm", "--network", "none", IMAGE, "sh", user=user, size=(30, 90))
    child.expect([r"/ # ", r"# "])
    child.sendline("stty size")
    child.expect("30 90")
    child.setwinsize(41, 101)
    child.sendline('until [ "$(stty size)" = "41 101" ]; do sleep 0.1; done; echo resized $((1 + 1))')
    child.expect("resized 2")
    child.sendline("echo asleep $((40 + 1)); sleep 1000")
    child.expect("asleep 41")
    child.sendintr()
    child.sendline("echo still $((40 + 2)) here; exit 130")
    child.expect("still 42 here")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_ctrl_c_without_a_terminal_inside_ends_the_container(box: Box) -> None:
    child = box.person("run", "--rm", "--network", "none", "--name", "patient", IMAGE, "sh", "-c", PATIENT)
    child.expect("ready")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert box.docker("ps -aq --filter name=patient").expect(0).out == ""


def test_the_login_of_the_setup_needs_no_new_one(box: Box) -> None:
    line = " ".join([*BEFORE, CAI])
    done = box.shell(f"{line} {RUN} sh -c 'echo \"$1\"; exit 7' x 'a  b'", user="root")
    assert (done.code, done.out) == (7, "a  b\n"), done.text
    assert "running" in box.shell(f"{line} status", user="root").expect(0).out


def test_status_names_what_is_not_isolated_and_doctor_does_too(box: Box, measured) -> None:
    box.shell(f"{CAI} run -d --name good --network none {IMAGE} sleep 1000").expect(0)
    box.docker(f"run -d --name plain --network none {IMAGE} sleep 1000").expect(0)
    document = box.cai("status", "--json").expect(0).document
    assert {item["name"]: item["isolated"] for item in document["containers"]} == {"good": True, "plain": False}
    assert document["engine"]["state"] == "runs"
    assert document["sysbox"] == "0.7.1"
    box.cai("status").expect(0, "plain runs under runc")
    finding = box.health()["containers"]
    assert (finding["status"], "plain" in finding["found"], "good" in finding["found"]) == ("warn", True, False)
    box.docker("rm -f good plain").expect(0)
    two = box.docker("version").seconds + box.docker("ps").seconds
    measured(f"cai status: {box.cai('status').expect(0).seconds:.2f} s; two docker calls: {two:.2f} s")


def test_an_engine_that_is_stopped_is_named_with_the_command_that_starts_it(box: Box) -> None:
    box.sh("systemctl stop containai-docker")
    try:
        box.cai("run", IMAGE).expect(3, "does not run", "sudo systemctl start containai-docker")
        document = box.cai("status", "--json").expect(3).document
        assert document["engine"]["state"] == "stopped"
    finally:
        box.sh("systemctl start containai-docker")
    box.cai("status").expect(0)


@pytest.mark.slow
def test_doctor_mends_what_setup_mends(box: Box) -> None:
    box.shell("docker context update containai-secure --docker host=tcp://192.0.2.1:1").expect(0)
    box.cai("doctor").expect(1, "was edited")
    box.cai("doctor", "--fix").expect(2, "cai doctor --fix --yes")
    box.cai("doctor", "--fix", "--yes").expect(0, "Healthy")
    text = box.cai("doctor", "--issue").expect(0, "### Health").out
    assert not re.search(r"\bdev\b", text)
