"""The repository's key is the pinned one and nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import containai_docker_repository as repository
from ansible.module_utils.containai_openpgp import primary_fingerprints

from tests.unit.roles.conftest import Commands
from tests.unit.roles.docker_engine.packages.runs import docker, fingerprint, key_file


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("form", [["--armor"], [], ["--armor", "--comment", "a line: of comment"]])
def test_the_fingerprint_is_what_gpg_says(
    module: ModuleType, gnupg: Callable[..., bytes], name: str, form: list[str]
) -> None:
    data = gnupg(*form, "--export", f"{name}@example.org")
    assert primary_fingerprints(data) == [fingerprint(gnupg, name)]
    if form:
        assert primary_fingerprints(data.replace(b"\n", b"\r\n")) == [fingerprint(gnupg, name)]


def test_a_subkey_is_no_key_of_its_own(module: ModuleType, gnupg: Callable[..., bytes]) -> None:
    gnupg("--passphrase", "", "--quick-add-key", fingerprint(gnupg, "one"), "rsa2048", "encr", "never")
    assert primary_fingerprints(gnupg("--export", "one@example.org")) == [fingerprint(gnupg, "one")]


def refused_key(module: ModuleType, tmp_path: Path, commands: Commands, data: bytes, wanted: str) -> str:
    answer = docker(module, key_file(tmp_path, data), wanted)
    assert answer["failed"]
    assert not (tmp_path / "keyrings").exists()
    assert [call for call in commands.of("apt-get") if "--simulate" not in call] == []
    return answer["msg"]


def test_another_key_is_refused(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, commands: Commands
) -> None:
    one, two = (fingerprint(gnupg, name) for name in ("one", "two"))
    message = refused_key(module, tmp_path, commands, gnupg("--armor", "--export", "two@example.org"), one)
    assert one in message
    assert two in message


@pytest.mark.parametrize("form", ["one block", "binary", "two blocks", "a block, then binary"])
def test_a_second_key_beside_the_right_one_is_refused(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, commands: Commands, form: str
) -> None:
    def export(*argv: str) -> bytes:
        return gnupg(*argv, "--export", "one@example.org"), gnupg(*argv, "--export", "two@example.org")

    data = {
        "one block": gnupg("--armor", "--export", "one@example.org", "two@example.org"),
        "binary": b"".join(export()),
        "two blocks": b"".join(export("--armor")),
        "a block, then binary": export("--armor")[0] + export()[1],
    }[form]
    refused_key(module, tmp_path, commands, data, fingerprint(gnupg, "one"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>Please log in</html>",
        b"\x99",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9b\xff\xff\xff\xff",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n-----END PGP PUBLIC KEY BLOCK-----\n",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n",
    ],
)
def test_what_is_no_key_is_refused(
    module: ModuleType, host: Path, tmp_path: Path, commands: Commands, data: bytes
) -> None:
    assert "key" in refused_key(module, tmp_path, commands, data, "0" * 40)


@pytest.mark.parametrize("damage", [b"", b"<html>", b"\x9b\xff\xff\xff\xff", b"-----BEGIN PGP PUBLIC KEY BLOCK-----"])
def test_a_damaged_keyring_is_fetched_again(
    module: ModuleType, host: Path, gnupg: Callable[..., bytes], tmp_path: Path, damage: bytes
) -> None:
    data = gnupg("--export", "one@example.org")
    Path(repository.KEYRING).parent.mkdir()
    Path(repository.KEYRING).write_bytes(damage)
    answer = docker(module, key_file(tmp_path, data), fingerprint(gnupg, "one"))
    assert ("change", repository.KEYRING) in answer.actions
    assert Path(repository.KEYRING).read_bytes() == gnupg(
        "--export", "one@example.org"
    )  # binary: apt tells by the name


def test_armor_is_the_same_key(module: ModuleType) -> None:
    packets = b"\xc6\x03\x04ab"
    text = base64.b64encode(packets).decode()
    block = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n{text}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
    assert primary_fingerprints(block.encode()) == primary_fingerprints(packets)
