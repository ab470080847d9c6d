"""How fetch.yml reads apt archives: versions, relations, and what packages depend on."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
_SPEC = importlib.util.spec_from_file_location(
    "containai_apt_archive", REPOSITORY / "playbooks/module_utils/containai_apt_archive.py"
)
archive = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = archive
_SPEC.loader.exec_module(archive)

PACKAGES = """\
Package: docker-ce
Version: 5:29.1.3-1
Depends: containerd.io (>= 1.7), docker-ce-cli | docker-cli,
 libc6 (>= 2.34), fuse
Filename: pool/a.deb
SHA256: 1

Package: docker-ce
Version: 5:29.1.2-1
Filename: pool/old.deb
SHA256: 1

Package: containerd.io
Version: 2.2.1
Depends: awk
Filename: pool/b.deb
SHA256: 1

Package: docker-ce-cli
Version: 1
Filename: pool/c.deb
SHA256: 1

Package: libc6
Version: 2.39
Priority: required
Filename: pool/d.deb
SHA256: 1

Package: fuse
Version: 2.9
Filename: pool/e.deb
SHA256: 1

Package: fuse3
Version: 3.14
Provides: fuse (= 3.14), other
Filename: pool/f.deb
SHA256: 1

Package: gawk
Version: 1
Provides: awk
Depends: nowhere:any (>= 1)
Filename: pool/g.deb
SHA256: 1
"""


@pytest.mark.parametrize(
    ("one", "other"),
    [("1.0", "1.0~rc1"), ("1.0-1ubuntu1", "1.0-1"), ("1:0.9", "1.0"), ("1.10", "1.9"), ("1.0+dfsg-1", "1.0-1"),
     ("1.0-1+deb12u1", "1.0-1"), ("1.0-1", "1.0-1~bpo1"), ("5:29.1.3-1~ubuntu.24.04~noble", "2.39-0ubuntu8.4")],
)  # fmt: skip
def test_versions_compare_as_dpkg_compares_them(one: str, other: str) -> None:
    assert archive.newer(one, other)
    assert not archive.newer(other, one)


def test_what_packages_depend_on() -> None:
    index = archive.Index()
    for fields in archive.stanzas(PACKAGES):
        index.add(archive.Package(fields, f"https://x.example/{fields['filename']}"))
    chosen, missing = archive.closure(index, ["docker-ce", "fuse3"])
    # The newest docker-ce; fuse3 provides fuse; a required package is on every system.
    assert [package.name for package in chosen] == ["containerd.io", "docker-ce", "docker-ce-cli", "fuse3", "gawk"]
    assert chosen[1].url == "https://x.example/pool/a.deb"
    assert missing == ["nowhere"]


@pytest.mark.parametrize("code", [0, 2])
def test_an_index_without_a_valid_signature_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    # Stands for gpgv: it gives out what was signed, and says whether it was.
    (tmp_path / "gpgv").write_text(f'#!/bin/sh\ncp "$6" "$5"\necho "gpgv: no good" >&2\nexit {code}\n')
    (tmp_path / "gpgv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    plain = PACKAGES.encode()
    (tmp_path / "dists/noble/main/binary-amd64").mkdir(parents=True)
    (tmp_path / "dists/noble/main/binary-amd64/Packages").write_bytes(plain)
    listed = f"SHA256:\n {hashlib.sha256(plain).hexdigest()} {len(plain)} main/binary-amd64/Packages\n"
    (tmp_path / "dists/noble/InRelease").write_text(listed)
    index = archive.Index()
    suite = archive.Archive(tmp_path.as_uri(), "noble", ("main",), "/keys.gpg")
    if code == 0:
        archive.read(suite, "amd64", index)
        assert "docker-ce" in index.packages
        return
    with pytest.raises(archive.Failure, match="no valid signature"):
        archive.read(suite, "amd64", index)
    assert index.packages == {}


def test_a_file_with_another_checksum_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    url = (tmp_path / "file").as_uri()
    assert archive.checked(url, hashlib.sha256(b"content").hexdigest()) == b"content"
    with pytest.raises(archive.Failure, match="is needed"):
        archive.checked(url, "0" * 64)
