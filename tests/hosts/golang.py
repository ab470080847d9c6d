"""Programs built with Go from a pinned module: what the network of a test machine offers of Docker's and Lima's newest versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from .shell import HostError, run


def program() -> str:
    """Path of Go, which its own installer puts where PATH need not lead; HostError where there is none."""
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not found:
        raise HostError("Go is not installed")
    return found


def build(module: str, version: str, packages: dict[str, Path], scratch: Path, *flags: str, cgo: bool = True) -> None:
    """Build programs: {package of the module, such as "./cmd/limactl": path of the program}. `flags`: the linker's. `scratch` is for Go's caches."""
    env = {
        "GOMODCACHE": str(scratch / "mod"),
        "GOCACHE": str(scratch / "cache"),
        "GOFLAGS": "-modcacherw -mod=readonly",
        **({} if cgo else {"CGO_ENABLED": "0"}),
    }
    # Not `go install MODULE@VERSION`: that also asks for the list of all versions, which not every module proxy has.
    download = run([program(), "mod", "download", "-json", f"{module}@{version}"], env=env, check=False, timeout=300)
    try:
        source = json.loads(download.stdout)["Dir"]
    except (ValueError, KeyError) as error:
        said = (download.stdout + download.stderr).strip()[-300:]
        raise HostError(f"the source of {module} {version} cannot be had: {said}") from error
    for package, path in packages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        line = [program(), "-C", source, "build", "-ldflags", " ".join(["-s", "-w", *flags]), "-o", path, package]
        run(line, env=env, timeout=1800)
