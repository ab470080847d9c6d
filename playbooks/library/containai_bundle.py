#!/usr/bin/python
"""Make the folder that an air-gapped site needs: a small signed apt repository, Sysbox, and a manifest of checksums."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.containai_apt_archive import (
    ARCHIVES,
    COMPONENTS,
    DISTRIBUTIONS,
    KEYRINGS,
    POCKETS,
    Archive,
    Failure,
    Index,
    checked,
    closure,
    read,
)
from ansible.module_utils.containai_gpg import SIGNER, docker_keyring, fingerprints, gpg, rest, signing_key

DOCUMENTATION = r"""
module: containai_bundle
short_description: Make the folder that an air-gapped site needs
description:
  - Downloads Docker's packages with their dependencies for suites and architectures, and files with a known sha256.
  - Every package comes from an index that is signed with a key of the keyrings, or with Docker's pinned key.
  - The packages become one apt repository, signed with a key of your own. The private key stays outside the folder.
  - C(manifest.json) and C(SHA256SUMS) name every file. Nothing is downloaded again that is there with its checksum.
options:
  folder: {type: path, required: true, description: The folder to make.}
  gnupg: {type: path, default: "", description: "Where the signing key is kept, by default beside the folder."}
  place: {type: str, required: true, description: Where the hosts find the folder. A path on each of them or a URL.}
  suites: {type: list, elements: str, required: true, description: Codenames of distributions.}
  architectures: {type: list, elements: str, required: true, description: Debian's names of the architectures.}
  packages: {type: list, elements: str, default: [], description: More packages; their dependencies come along.}
  archives: {type: dict, default: {}, description: "Mirrors by distribution and architecture."}
  keyrings: {type: dict, default: {}, description: "The keyrings of the distributions."}
  docker: {type: dict, required: true, description: "Docker's repository as {url, key_url, key_fingerprint}."}
  sysbox: {type: dict, required: true, description: "Sysbox as {version, source, sha256}, the source a path or URL."}
  images: {type: list, elements: dict, default: [], description: "Images of a VM as {location, digest}."}
  image_base: {type: str, default: "", description: "The folder that C(lima_vm_image_base_url) is in their locations."}
  files: {type: list, elements: dict, default: [], description: "Other files as {url, sha256, path}."}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
"""
EXAMPLES = "# See playbooks/fetch.yml"
RETURN = r"""
fingerprint: {description: The fingerprint of the key that signs the repository., returned: success, type: str}
missing: {description: Dependencies that no archive has., returned: success, type: list}
files: {description: How many files the folder has., returned: success, type: int}
"""
ARGUMENTS = {
    "folder": {"type": "path", "required": True},
    "gnupg": {"type": "path", "default": ""},
    "place": {"type": "str", "required": True},
    "suites": {"type": "list", "elements": "str", "required": True},
    "architectures": {"type": "list", "elements": "str", "required": True},
    "packages": {"type": "list", "elements": "str", "default": []},
    "archives": {"type": "dict", "default": {}},
    "keyrings": {"type": "dict", "default": {}, "no_log": False},
    "docker": {"type": "dict", "required": True},
    "sysbox": {"type": "dict", "required": True},
    "images": {"type": "list", "elements": "dict", "default": []},
    "image_base": {"type": "str", "default": ""},
    "files": {"type": "list", "elements": "dict", "default": []},
}
# Docker's, and what Sysbox needs.
PACKAGES = ["docker-ce", "docker-ce-cli", "containerd.io", "jq", "fuse3", "rsync", "iptables", "lsb-release", "kmod"]


def archives(suite, architecture, params, docker_keyring):
    """The archives of a suite: Docker's, and the distribution's with its updates."""
    distribution = DISTRIBUTIONS[suite]
    yield Archive(address(params["docker"]["url"], distribution), suite, ("stable",), str(docker_keyring))
    keyring = {**KEYRINGS, **params["keyrings"]}[distribution]
    urls = {**ARCHIVES, **params["archives"]}
    for name, pocket in POCKETS[distribution]:
        if architecture not in urls[name]:
            raise Failure(
                f"No archive of {name} is known for {architecture}.",
                "name one in `cai_bundle_archives`, as docs/fleet.md says",
            )
        url = urls[name][architecture].rstrip("/")
        yield Archive(url, suite + pocket, COMPONENTS[distribution], keyring, optional=bool(pocket))


def address(source, distribution=""):
    """A path or URL as a URL."""
    url = source.replace("{distribution}", distribution).rstrip("/")
    return f"file://{url}" if url.startswith("/") else url


def replace(path, data):
    """Write a file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_bytes(data)
    scratch.chmod(0o644)
    scratch.replace(path)


def inside(path):
    """A path that stays in the folder."""
    if path.startswith("/") or ".." in path.split("/"):
        raise Failure(f"The path {path} leads out of the folder.", "mend it in `cai_bundle_files`")
    return path


def has(path, digest):
    """Whether the file is there with that sha256."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


class Bundle:
    """The folder while it is made."""

    def __init__(self, params, check):
        self.params, self.check = params, check
        self.folder = Path(params["folder"])
        self.home = Path(params["gnupg"] or f"{self.folder}.gnupg")
        self.manifest, self.changed, self.missing = {}, False, set()

    def keep(self, path, source, digest):
        """Have a file with that sha256 at a path of the folder."""
        target = self.folder / path
        self.manifest[path] = {"path": path, "sha256": digest, "source": source}
        if has(target, digest):
            return
        self.changed = True
        if not self.check:
            replace(target, checked(source, digest))

    def write(self, path, data):
        """Have a file that is made here."""
        digest = hashlib.sha256(data).hexdigest()
        self.manifest[path] = {"path": path, "sha256": digest, "source": "made here"}
        if not has(self.folder / path, digest):
            self.changed = True
            if not self.check:
                replace(self.folder / path, data)

    def suite(self, suite, keyring):
        """Fetch the packages of a suite, and write its part of the repository."""
        listed = {}
        for architecture in self.params["architectures"]:
            index = Index()
            for archive in archives(suite, architecture, self.params, keyring):
                read(archive, architecture, index)
            packages, missing = closure(index, [*PACKAGES, *self.params["packages"]])
            self.missing |= {f"{suite} {architecture}: {name}" for name in missing}
            paragraphs = []
            for package in packages:
                name = re.sub("[^A-Za-z0-9.+~_-]", "_", Path(package.fields["filename"]).name)
                path = f"pool/{suite}/{name}"
                self.keep(f"apt/{path}", package.url, package.fields["sha256"])
                paragraphs.append(self.control(package, path))
            listed[f"stable/binary-{architecture}/Packages"] = "\n".join(paragraphs).encode()
        self.release(suite, listed)

    def files(self):
        """Fetch Sysbox, laid out as its mirror is, and other files whose sha256 is known."""
        sysbox = self.params["sysbox"]
        for architecture in self.params["architectures"]:
            version, digest = sysbox["version"], sysbox["sha256"].get(architecture)
            if not digest:
                raise Failure(
                    f"No sha256 of Sysbox {version} is known for {architecture}.", "name it in `sysbox_sha256`"
                )
            path = f"v{version}/sysbox-ce_{version}-0.linux_{architecture}.deb"
            source = sysbox["source"].replace("{architecture}", architecture)
            self.keep(f"sysbox/{path}", address(source if source.endswith(".deb") else f"{source}/{path}"), digest)
        for image in self.params["images"]:
            # The role's defaults are read as they stand, so the folder's name is still a variable in them.
            location = image["location"].replace("{{ lima_vm_image_base_url }}", self.params["image_base"])
            self.keep(f"images/{Path(location).name}", address(location), image["digest"].removeprefix("sha256:"))
        for entry in self.params["files"]:
            self.keep(inside(entry["path"]), address(entry["url"]), entry["sha256"])

    def settings(self, fingerprint):
        """The variables for a setup from this folder."""
        place, sysbox = self.params["place"].rstrip("/"), self.params["sysbox"]
        return {
            "docker_engine_apt_url": f"{address(place)}/apt",
            "docker_engine_apt_key_url": f"{address(place)}/apt/gpg",
            "docker_engine_apt_key_fingerprint": fingerprint,
            "sysbox_mirror": f"{place}/sysbox",
            "sysbox_version": sysbox["version"],
            "sysbox_sha256": sysbox["sha256"],
        }

    def control(self, package, path):
        """A package's paragraph of the index, from the package itself."""
        target = self.folder / "apt" / path
        if not target.exists():  # in check mode
            return ""
        try:
            done = subprocess.run(["dpkg-deb", "--field", str(target)], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Failure(
                "dpkg-deb is not installed on this machine; it is needed.", "install the package `dpkg`"
            ) from None
        if done.returncode != 0:
            raise Failure(f"{target} is no package: {done.stderr.strip()}.", f"remove it and try again: `rm {target}`")
        size = target.stat().st_size
        return f"{done.stdout.rstrip()}\nFilename: {path}\nSize: {size}\nSHA256: {package.fields['sha256']}\n"

    def release(self, codename, listed):
        """Write the indexes of a suite and sign them. An unchanged Release keeps its signature."""
        files = {}
        for path, data in listed.items():
            files[path] = data
            files[f"{path}.gz"] = gzip.compress(data, mtime=0)
        lines = [f"Suite: {codename}", f"Codename: {codename}", "Components: stable", "Acquire-By-Hash: no"]
        lines += [f"Architectures: {' '.join(self.params['architectures'])}", "SHA256:"]
        lines += [f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}" for path, data in sorted(files.items())]
        release = "\n".join([*lines, ""]).encode()
        place = f"apt/dists/{codename}"
        for path, data in files.items():
            self.write(f"{place}/{path}", data)
        signed = self.folder / place / "InRelease"
        if self.check:
            return
        old = signed.read_bytes() if signed.exists() else b""
        same = release.rstrip() in old.replace(b"\r", b"")
        self.write(f"{place}/Release", release)
        self.write(f"{place}/InRelease", old if same else gpg(self.home, "--clearsign", data=release))

    def finish(self, fingerprint):
        """Write the key, the settings and the manifest, and remove packages that are no longer listed."""
        if self.check:
            return
        self.write("apt/gpg", gpg(self.home, "--armor", "--export", SIGNER))
        text = "# For ansible-playbook -e @settings.yml: everything from this folder.\n"
        settings = json.dumps(self.settings(fingerprint), indent=2, sort_keys=True)
        self.write("settings.yml", f"{text}{settings}\n".encode())
        for path in (self.folder / "apt" / "pool").rglob("*.deb"):
            if str(path.relative_to(self.folder)) not in self.manifest:
                self.changed = True
                path.unlink()
        entries = [
            {**entry, "size": (self.folder / entry["path"]).stat().st_size}
            for _, entry in sorted(self.manifest.items())
        ]
        sums = "".join(f"{entry['sha256']}  {entry['path']}\n" for entry in entries)
        self.write("SHA256SUMS", sums.encode())
        self.write("manifest.json", (json.dumps({"schema": 1, "files": entries}, indent=1) + "\n").encode())


def make(module):
    """Make the folder; returns the module's result."""
    params = module.params
    unknown = sorted(set(params["suites"]) - set(DISTRIBUTIONS))
    if unknown or not params["suites"]:
        raise Failure(
            f"`cai_bundle_suites` has {', '.join(unknown) or 'no suite'}; known are {', '.join(DISTRIBUTIONS)}.",
            "name suites that the roles support",
        )
    bundle = Bundle(params, module.check_mode)
    with tempfile.TemporaryDirectory() as scratch:
        docker = params["docker"]
        url = address(docker["key_url"], DISTRIBUTIONS[params["suites"][0]])
        keyring = docker_keyring(url, docker["key_fingerprint"], Path(scratch))
        if module.check_mode:
            fingerprint = (fingerprints(bundle.home) if bundle.home.is_dir() else None) or ["a new key"]
        else:
            fingerprint = [signing_key(bundle.home)]
        for suite in params["suites"]:
            bundle.suite(suite, keyring)
    bundle.files()
    bundle.finish(fingerprint[0])
    if bundle.home.is_dir():
        rest(bundle.home)
    return {
        "changed": bundle.changed,
        "fingerprint": fingerprint[0],
        "missing": sorted(bundle.missing),
        "files": len(bundle.manifest),
    }


def main():
    """Run as Ansible's modules do."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    os.umask(0o022)
    try:
        module.exit_json(**make(module))
    except Failure as error:
        module.fail_json(msg=str(error), hint=error.hint, failure="failed")


if __name__ == "__main__":
    main()
