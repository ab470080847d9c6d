"""docker's command line is read as docker reads it: the runtime goes where a container is made, and nothing else changes."""

import pytest

from cai.arguments import with_runtime
from cai.errors import CaiError, Exit

OWN = "--runtime=sysbox-runc"


@pytest.mark.parametrize(
    ("typed", "added_after"),
    [
        ("run ubuntu", 1),
        ("run -it --rm ubuntu bash -c 'echo --runtime=runc'", 1),
        ("run -itv /a:/b ubuntu ls --privileged", 1),
        ("run -e --privileged ubuntu", 1),
        ("run -e--privileged ubuntu", 1),
        ("run --name --runtime ubuntu", 1),
        ("run --entrypoint=x ubuntu --runtime=runc", 1),
        ("run --privileged=false ubuntu", 1),
        ("run -d=true -p 80:80 ubuntu --privileged", 1),
        ("run -- ubuntu --privileged", 1),
        ("run", 1),
        ("run --help", 1),
        ("create ubuntu", 1),
        ("container run ubuntu", 2),
        ("container create ubuntu", 2),
        ("--debug run ubuntu", 2),
        ("-l debug run ubuntu", 3),
        ("--log-level=debug -D container run ubuntu", 4),
        ("--config /x run ubuntu", 3),
    ],
)
def test_a_container_gets_the_runtime(typed, added_after):
    words = typed.split()
    assert with_runtime(words) == [*words[:added_after], OWN, *words[added_after:]]


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ps -a",
        "compose run web",
        "exec -it box bash",
        "container ls",
        "container",
        "image build run",
        "--version",
        "run --runtime=sysbox-runc ubuntu",
        "run --runtime sysbox-runc ubuntu",
        "volume create x",
        "network create run",
        "-",
    ],
)
def test_everything_else_stays_as_it_is(typed):
    assert with_runtime(typed.split()) == typed.split()


@pytest.mark.parametrize(
    ("typed", "said", "plain"),
    [
        ("run --runtime=runc ubuntu", "runtime runc", "docker --context '{}' run --runtime=runc ubuntu"),
        ("run --runtime runc ubuntu", "runtime runc", "docker --context '{}' run --runtime runc ubuntu"),
        ("run --runtime", "without a name", "docker --context"),
        ("run --runtime=sysbox-runc --runtime=runc x", "runtime runc", "docker --context"),
        ("run -it --privileged ubuntu", "--privileged", "docker --context '{}' run -it --privileged ubuntu"),
        ("run --privileged=true ubuntu", "--privileged", "docker --context"),
        ("run --privileged=1 ubuntu", "--privileged", "docker --context"),
        ("container create --privileged ubuntu", "--privileged", "docker --context"),
        ("run -itd --name x --privileged ubuntu", "--privileged", "docker --context"),
        ("--context default ps", "another engine", "`docker --context default ps`"),
        ("-c default ps", "another engine", "`docker -c default ps`"),
        ("-H tcp://x ps", "another engine", "`docker -H tcp://x ps`"),
        ("--host=tcp://x run ubuntu", "another engine", "`docker --host=tcp://x run ubuntu`"),
    ],
)
def test_what_undoes_the_isolation_is_refused_with_the_plain_command(typed, said, plain):
    with pytest.raises(CaiError) as caught:
        with_runtime(typed.split())
    assert said in caught.value.message
    assert plain in caught.value.hint
    assert caught.value.code == Exit.USAGE


def test_quotes_survive_in_the_plain_command():
    with pytest.raises(CaiError) as caught:
        with_runtime(["run", "--privileged", "ubuntu", "sh", "-c", "echo a b"])
    assert caught.value.hint.endswith("ubuntu sh -c 'echo a b'`")
