"""Make the collection containai.secure_engine from this repository: the roles and playbooks are its source.

usage: python scripts/collection.py FOLDER

Modules of a collection have full names, and module_utils another place; both are rewritten. Nothing else changes.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
NAME = "containai.secure_engine"
UTILITIES = f"ansible_collections.{NAME}.plugins.module_utils"
# Folders beside the playbooks and in the roles, and where a collection has them.
PLUGINS = {
    "library": "modules",
    "module_utils": "module_utils",
    "callback_plugins": "callback",
    "inventory_plugins": "inventory",
}
TASKS = ("tasks", "handlers")
AUTHOR = "ContainAI (!UNKNOWN)"
ATTRIBUTES = {
    "check_mode": "Says what would change, and changes nothing.",
    "diff_mode": "Shows what changes in files.",
}
LONGEST = 160
# What Ansible's checks ask of Ansible's own collections, by where it is found: the GPL, imports below documentation,
# a wrapper around urllib (these downloads use the proxies that they are told), types of options for what is read from
# the environment as well, and programs that are no modules.
SANITY = {
    r'(?m)^DOCUMENTATION = r"""$': (
        "validate-modules:missing-gplv3-license",
        "validate-modules:import-before-documentation",
    ),
    r"\burlopen\(": ("replace-urlopen",),
    r"\bexpanduser\(": ("use-argspec-type-path",),
    r"\A#!/usr/bin/python3 -IS": ("shebang",),
}
ROLE_KEYS = ("import_role", "include_role")
DOCUMENTS = ("fleet.md", "fleet-report.schema.json", "variables.md", "troubleshooting.md")
README = """\
# containai.secure_engine

Docker with the Sysbox runtime, beside Docker Desktop and every other engine: on WSL2 distros, Linux hosts and, in a
Lima VM, on macOS. This collection is made from the repository of `cai`; `docs/fleet.md` says how to run a fleet.

```console
$ ansible-galaxy collection install containai-secure_engine-{version}.tar.gz --offline
$ ansible-playbook -i hosts.yml containai.secure_engine.site --check --diff
$ ANSIBLE_CALLBACKS_ENABLED=containai.secure_engine.containai_report \\
    ansible-playbook -i hosts.yml containai.secure_engine.site -e cai_report_dir=report
```

Playbooks: {playbooks}.

Roles: {roles}. Each has a README with its variables.

The report at the end of a run is the callback `containai.secure_engine.containai_report`, which has to be enabled. The
inventory plugin for the WSL distros of Windows hosts is `containai.secure_engine.containai_wsl`.
"""


def version() -> str:
    """The version of cai."""
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "cai" / "__init__.py").read_text(encoding="utf-8"))
    if not found:
        raise SystemExit("cai/__init__.py has no __version__")
    return found[1]


def semantic(text: str) -> str:
    """A version of Python as Galaxy wants it: 1.2.0.dev3 is 1.2.0-dev3."""
    release, rest = re.fullmatch(r"(\d+(?:\.\d+)*)(.*)", text).groups()  # type: ignore[union-attr]
    parts = [*release.split("."), "0", "0"][:3]
    suffix = rest.lstrip(".-+")
    return ".".join(parts) + (f"-{suffix}" if suffix else "")


def plugin_folders() -> Iterator[tuple[Path, str]]:
    """The folders with Python for Ansible, and what the collection calls them."""
    for parent in (*sorted((ROOT / "roles").iterdir()), ROOT / "playbooks"):
        for name, kind in PLUGINS.items():
            if (parent / name).is_dir():
                yield parent / name, kind


def wrapped(line: str) -> str:
    """An import that its longer name makes too long for Ansible's checks, over several lines."""
    found = re.fullmatch(r"(from \S+ import )([^(#\n]+)\n", line)
    if len(line) <= LONGEST or not found:
        return line
    names = "".join(f"    {name.strip()},\n" for name in found[2].split(","))
    return f"{found[1]}(\n{names})\n"


def sources(folder: Path) -> list[Path]:
    """What of a folder is source."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


class Rewriter:
    """Knows the names that are ours."""

    def __init__(self) -> None:
        found = [(path, kind) for folder, kind in plugin_folders() for path in folder.iterdir()]
        self.modules = {path.stem for path, kind in found if kind == "modules" and path.suffix == ".py"}
        self.utilities = {path.stem for path, kind in found if kind == "module_utils" and path.name != "__pycache__"}
        self.inventory = {path.stem for path, kind in found if kind == "inventory" and path.suffix == ".py"}
        self.roles = {path.name for path in (ROOT / "roles").iterdir() if path.is_dir()}

    def python(self, text: str) -> str:
        """Imports of our module_utils from their place in the collection, and full names in the documentation."""
        lines = text.splitlines(keepends=True)
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ImportFrom) or node.level or not (node.module or "").startswith("ansible."):
                continue
            if not self._ours(node):
                continue
            at = node.lineno - 1
            lines[at] = wrapped(lines[at].replace("from ansible.module_utils", f"from {UTILITIES}", 1))
        made = "".join(lines)
        left = re.search(rf"ansible\.module_utils[. ](?:import )?({'|'.join(sorted(self.utilities))})\b", made)
        if left:
            raise SystemExit(f"not rewritten: {left[0]}")
        return self.documented(made)

    def _ours(self, node: ast.ImportFrom) -> bool:
        if node.module == "ansible.module_utils":
            return all(name.name in self.utilities for name in node.names)
        parts = str(node.module).split(".")
        return parts[:2] == ["ansible", "module_utils"] and parts[2] in self.utilities

    def documented(self, text: str) -> str:
        """Documentation as Ansible's own checks want it: full names, an author, and a description of each attribute."""
        modules = "|".join(sorted(self.modules))

        def canonical(found: re.Match[str]) -> str:
            block = yaml.safe_load(re.sub(rf"\bM\(({modules})\)", rf"M({NAME}.\1)", found[2]))
            if found[1] == "DOCUMENTATION":
                block.setdefault("author", AUTHOR)
                for name, attribute in block.get("attributes", {}).items():
                    attribute.setdefault("description", ATTRIBUTES[name])
            dumped = yaml.safe_dump(block, sort_keys=False, allow_unicode=True, width=120)
            return f'{found[1]} = r"""\n{dumped}"""'

        text = re.sub(r'(?ms)^(DOCUMENTATION|RETURN) = r?"""\n(.*?)^"""', canonical, text)

        def examples(found: re.Match[str]) -> str:
            plugins = "|".join(sorted(self.inventory)) or "^$"
            return re.sub(rf"(?m)^plugin: ({plugins})$", rf"plugin: {NAME}.\1", self.tasks(found[0]))

        return re.sub(r'(?ms)^EXAMPLES = r?""".*?^"""', examples, text)

    def tasks(self, text: str) -> str:
        """Tasks with full names of modules and roles."""
        modules, roles = "|".join(sorted(self.modules)), "|".join(sorted(self.roles))
        text = re.sub(rf"(?m)^(\s*(?:- )?)({modules}):(?=\s|$)", rf"\1{NAME}.\2:", text)
        inline = rf"((?:{'|'.join(ROLE_KEYS)}):\s*(?:\{{\s*|\n\s+)(?:tasks_from: \w+,?\s+)?name: )({roles})\b"
        text = re.sub(inline, rf"\1{NAME}.\2", text)
        return re.sub(rf"(?m)^(\s*- role: |\s*role: )({roles})$", rf"\1{NAME}.\2", text)

    def page(self, text: str) -> str:
        """A role's README: the examples that it has."""
        return re.sub(r"(?ms)^```yaml\n.*?^```$", lambda found: self.tasks(found[0]), text)

    def dependencies(self, text: str) -> str:
        """The meta/main.yml of a role."""
        roles = "|".join(sorted(self.roles))
        return self.tasks(re.sub(rf"(?m)^(\s*- (?:\{{\s*role: )?)({roles})(\s*\}}?\s*)$", rf"\1{NAME}.\2\3", text))


def copy(source: Path, target: Path, change: Callable[[str], str] | None = None) -> None:
    """Copy a file, changed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if change is None:
        shutil.copy(source, target)
    else:
        target.write_text(change(source.read_text(encoding="utf-8")), encoding="utf-8")
        shutil.copymode(source, target)


def make_plugins(folder: Path, rewriter: Rewriter) -> None:
    """Modules, module_utils, the callback and the inventory plugin."""
    for source, kind in plugin_folders():
        for path in sources(source):
            change = rewriter.python if path.suffix == ".py" else None
            copy(path, folder / "plugins" / kind / path.relative_to(source), change)


def make_roles(folder: Path, rewriter: Rewriter) -> None:
    """The roles without their plugins."""
    for role in sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir()):
        for path in sources(role):
            place = path.relative_to(role)
            if place.parts[0] in PLUGINS:
                continue
            change: Callable[[str], str] | None = None
            if place.parts[0] in TASKS:
                change = rewriter.tasks
            elif place.parts == ("README.md",):
                change = rewriter.page
            elif place.parts == ("meta", "main.yml"):
                change = rewriter.dependencies
            copy(path, folder / "roles" / role.name / place, change)


def make_playbooks(folder: Path, rewriter: Rewriter) -> list[str]:
    """The playbooks and their tasks; returns the playbooks' names."""
    playbooks = ROOT / "playbooks"
    for path in sources(playbooks):
        place = path.relative_to(playbooks)
        if place.parts[0] not in PLUGINS:
            copy(path, folder / "playbooks" / _importable(place), rewriter.tasks)
    return [_importable(path.relative_to(playbooks)).stem for path in sorted(playbooks.glob("*.yml"))]


def _importable(place: Path) -> Path:
    """A playbook's full name has to be made of identifiers: doctor-wsl2.yml is doctor_wsl2.yml there."""
    return place.with_name(place.name.replace("-", "_")) if len(place.parts) == 1 else place


def make(folder: Path) -> None:
    """Make the collection's source in a folder that is new."""
    rewriter, number = Rewriter(), semantic(version())
    folder.mkdir(parents=True)
    make_plugins(folder, rewriter)
    make_roles(folder, rewriter)
    playbooks = make_playbooks(folder, rewriter)
    for name in ("CHANGELOG.md", "LICENSE"):
        copy(ROOT / name, folder / name)
    for name in DOCUMENTS:
        copy(ROOT / "docs" / name, folder / "docs" / name)
    for path in sources(ROOT / "inventory"):
        change = rewriter.documented if path.suffix == ".py" else None
        copy(path, folder / "inventory" / path.name, change or (lambda text: _example(text, rewriter)))
    named = {
        "version": number,
        "playbooks": ", ".join(f"`{NAME}.{one}`" for one in playbooks),
        "roles": ", ".join(f"`{NAME}.{one}`" for one in sorted(rewriter.roles)),
    }
    (folder / "README.md").write_text(README.format(**named), encoding="utf-8")
    (folder / "meta").mkdir()
    (folder / "meta" / "runtime.yml").write_text(yaml.safe_dump({"requires_ansible": requires()}), encoding="utf-8")
    (folder / "tests/sanity").mkdir(parents=True)
    for release in releases():
        (folder / f"tests/sanity/ignore-{release}.txt").write_text(ignored(folder), encoding="utf-8")
    (folder / "galaxy.yml").write_text(yaml.safe_dump(galaxy(number), sort_keys=False), encoding="utf-8")


def ignored(folder: Path) -> str:
    """What `ansible-test sanity` is to leave out, a line each."""
    lines = []
    for path in sources(folder):
        if path.suffix == ".py" or path.parent.name == "files":
            text = path.read_text(encoding="utf-8")
            found = [check for pattern, checks in SANITY.items() if re.search(pattern, text) for check in checks]
            lines += [f"{path.relative_to(folder).as_posix()} {check}\n" for check in found]
    return "".join(lines)


def releases() -> list[str]:
    """The releases of ansible-core that pyproject.toml allows, such as 2.19."""
    first, end = re.findall(r"2\.(\d+)", requires())
    return [f"2.{minor}" for minor in range(int(first), int(end))]


def _example(text: str, rewriter: Rewriter) -> str:
    plugins = "|".join(sorted(rewriter.inventory)) or "^$"
    return re.sub(rf"(?m)^plugin: ({plugins})$", rf"plugin: {NAME}.\1", text)


def requires() -> str:
    """The versions of ansible-core that pyproject.toml allows."""
    found = re.search(r'"ansible-core(>=[^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if not found:
        raise SystemExit("pyproject.toml does not name ansible-core")
    return re.sub(r"(\d+\.\d+)(?=,|$)", r"\1.0", found[1])


def galaxy(number: str) -> dict[str, object]:
    """What galaxy.yml says."""
    namespace, name = NAME.split(".")
    return {
        "namespace": namespace,
        "name": name,
        "version": number,
        "readme": "README.md",
        "authors": ["ContainAI"],
        "description": "Docker with Sysbox as a secure engine beside Docker Desktop, on WSL2, Linux and macOS",
        "license_file": "LICENSE",
        "tags": ["docker", "sysbox", "wsl2", "infrastructure"],
        "dependencies": {},
        "build_ignore": [],
    }


def main(words: list[str]) -> int:
    """Make it where the argument says; what was there is replaced."""
    if len(words) != 1:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    folder = Path(words[0])
    if (folder / "galaxy.yml").exists():
        shutil.rmtree(folder)
    make(folder)
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
