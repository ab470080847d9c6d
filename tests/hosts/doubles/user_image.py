"""A small image that needs no registry: busybox's shell, tools and httpd, as a tar for `docker load`."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

from .. import paths
from ..shell import alone_with_apt, run

NAME = "cai-test-image:1"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _entry(archive: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o755
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


def _layer(busybox: Path) -> bytes:
    applets = [name for name in run([busybox, "--list"]).stdout.split() if name != "busybox"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "etc", "proc", "sys", "dev", "root", "www"):
            _entry(archive, folder, type=tarfile.DIRTYPE)
        _entry(archive, "tmp", type=tarfile.DIRTYPE, mode=0o1777)
        _entry(archive, "bin/busybox", busybox.read_bytes())
        for applet in applets:
            _entry(archive, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
        _entry(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644)
        _entry(archive, "etc/group", b"root:x:0:\n", mode=0o644)
        _entry(archive, "www/index.html", b"served from a container\n", mode=0o644)
    return buffer.getvalue()


def _busybox(scratch: Path) -> Path:
    """The static busybox of this machine's own distribution, unpacked, not installed."""
    download = ["sh", "-c", f"cd {scratch} && chmod 777 . && apt-get download busybox-static"]
    if run(download, check=False).returncode != 0:
        with alone_with_apt():
            run(["apt-get", "update", "-q"])
        run(download)
    run(["dpkg-deb", "-x", next(scratch.glob("busybox-static_*.deb")), scratch / "x"])
    return next(path for path in (scratch / "x/bin/busybox", scratch / "x/usr/bin/busybox") if path.exists())


def build() -> Path:
    """The image's tar, made once; load it with `docker load -i`."""
    target = paths.IMAGES / "user-image.tar"
    if target.exists():
        return target
    paths.IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.IMAGES) as folder:
        layer = _layer(_busybox(Path(folder)))
        digest = hashlib.sha256(layer).hexdigest()
        config = {
            "architecture": _ARCHITECTURES[run(["uname", "-m"]).stdout.strip()],
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        text = json.dumps(config).encode()
        name = f"{hashlib.sha256(text).hexdigest()}.json"
        manifest = [{"Config": name, "RepoTags": [NAME], "Layers": [f"{digest}/layer.tar"]}]
        out = Path(folder, "image.tar")
        with tarfile.open(out, "w") as archive:
            _entry(archive, name, text, mode=0o644)
            _entry(archive, digest, type=tarfile.DIRTYPE)
            _entry(archive, f"{digest}/layer.tar", layer, mode=0o644)
            _entry(archive, "manifest.json", json.dumps(manifest).encode(), mode=0o644)
        shutil.move(out, target)
    return target
