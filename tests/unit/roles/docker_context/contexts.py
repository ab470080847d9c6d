"""A user's docker contexts on disk, and a stand-in for the CLI that keeps them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from tests.unit.roles.conftest import SEARCH

NAME = "containai-secure"
WANTED = {"name": NAME, "endpoint": "unix:///var/run/docker-containai.sock", "description": "ContainAI secure engine"}
REAL = shutil.which("docker", path=SEARCH)

# Keeps contexts where the original does, and is as particular: create wants a new name, update and rm an old one, rm no active one.
STAND_IN = """
import hashlib, os, shutil
if os.environ.keys() & {"DOCKER_HOST", "DOCKER_CONTEXT"}:
    sys.exit("the environment says where to go")
home, (word, verb, *rest) = os.environ["DOCKER_CONFIG"], sys.argv[1:]
name = rest[-1] if verb == "rm" else rest[0]
folder = os.path.join(home, "contexts/meta", hashlib.sha256(name.encode()).hexdigest())
meta = os.path.join(folder, "meta.json")
if word != "context":
    sys.exit("unknown command")
if verb == "rm":
    if not os.path.exists(folder):
        sys.exit(f"context {name!r} does not exist")
    json.load(open(meta))["Endpoints"]["docker"]["Host"]  # Docker 20.10 reads it, even with --force
    shutil.rmtree(folder)
    sys.exit(0)
if (verb == "create") == os.path.exists(folder):
    sys.exit(f"context {name!r} exists already, or does not")
flags = dict(zip(rest[1::2], rest[2::2]))
os.makedirs(folder, exist_ok=True)
endpoint = {"Host": flags["--docker"].removeprefix("host="), "SkipTLSVerify": False}
with open(meta, "w") as handle:
    json.dump({"Name": name, "Metadata": {"Description": flags["--description"]}, "Endpoints": {"docker": endpoint}}, handle)
print(name)
"""


def meta_file(home: Path, name: str = NAME) -> Path:
    return home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"


def stored(home: Path) -> tuple[str, str]:
    data = json.loads(meta_file(home).read_text())
    assert data["Name"] == NAME
    return data["Endpoints"]["docker"]["Host"], data["Metadata"].get("Description", "")


def picture(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def write_context(home: Path, name: str, endpoint: str) -> None:
    path = meta_file(home, name)
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": endpoint, "SkipTLSVerify": False}}})
    )


def activate(home: Path, name: str) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name, "auths": {}}))
