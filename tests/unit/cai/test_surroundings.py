"""The folder where cai is typed, and the environment that it is typed in, change nothing of what it runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cai.__main__ import _leave_the_working_directory
from tests.unit.cai.conftest import REPOSITORY

PROGRAMS = Path(sys.executable).parent
# What pip makes of the entry point, with these sources in front.
COMMAND = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(REPOSITORY)!r})\nfrom cai.__main__ import main\nsys.exit(main())\n"
TRAP = "import os\nopen({mark!r}, 'a').write(__file__ + chr(10))\n"
SHELL_TRAP = "#!/bin/sh\necho $0 >>'{mark}'\n"
PYTHON_TRAPS = [
    "yaml.py", "click.py", "rich.py", "json.py", "pexpect.py", "ansible_runner.py", "cai/__init__.py", "cai/__main__.py", "ansible/__init__.py",
    "ansible/__main__.py", "library/pretend.py", "playbooks/library/pretend.py", "roles/stub/library/pretend.py", "module_utils/basic.py",
    "conftest.py", "setup.py", "_content/x.py",
    *(f"{kind}_plugins/{name}.py" for kind in ("filter", "callback", "vars", "action", "connection", "lookup", "strategy", "become", "cache", "test", "inventory") for name in ("evil", "local", "linear", "sudo", "awx_display")),
]  # fmt: skip
AT_START = ["sitecustomize.py", "usercustomize.py"]
SHELL_TRAPS = [
    "sudo",
    "docker",
    "python3",
    "sh",
    "ps",
    "ssh",
    "ansible-playbook",
    "systemctl",
    "apt-get",
    "vault",
    "envfile",
]
TEXTS = {
    "ansible.cfg": "[defaults]\nlibrary = ./library\nroles_path = ./roles\nfilter_plugins = ./filter_plugins\ncallback_plugins = ./callback_plugins\n"
    "callbacks_enabled = evil\nvars_plugins = ./vars_plugins\nstrategy_plugins = ./strategy_plugins\ninventory = ./hosts\n[privilege_escalation]\nbecome_exe = ./sudo\n",
    "hosts": "localhost ansible_python_interpreter=./python3 ansible_connection=local\n",
    "group_vars/all.yml": "ansible_python_interpreter: ./python3\nansible_become_exe: ./sudo\ncai_become: true\n",
    "host_vars/localhost.yml": "ansible_python_interpreter: ./python3\n",
    ".env": "ANSIBLE_CONFIG=./ansible.cfg\nCAI_CONTENT=.\n",
    "pyproject.toml": "[tool.cai]\nsysbox_deb = './evil.deb'\n",
    "config.yml": "stub_text: evil\n",
    ".config/containai/config.yml": "stub_text: evil\n",
    "env/settings": "process_isolation: true\nprocess_isolation_executable: ./docker\n",
    "env/envvars": "ANSIBLE_CONFIG: ./ansible.cfg\n",
    "env/cmdline": "-e evil=true",
    "inventory/localhost.yml": "all: {hosts: {localhost: {ansible_python_interpreter: ./python3}}}\n",
}  # fmt: skip


@pytest.fixture
def repository(tmp_path):
    """A folder full of traps; `sprung` lists those that ran."""
    folder, mark = tmp_path / "repository", str(tmp_path / "mark")
    for name in PYTHON_TRAPS:
        put(folder / name, TRAP.format(mark=mark))
    for name in SHELL_TRAPS:
        put(folder / name, SHELL_TRAP.format(mark=mark)).chmod(0o755)
    for name, text in TEXTS.items():
        put(folder / name, text)
    for name in ("wsl2", "linux", "macos"):
        put(folder / "playbooks" / f"{name}.yml", "- hosts: all\n  tasks: [{pretend: }]\n")
    return folder


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def sprung(repository):
    mark = repository.parent / "mark"
    return mark.read_text().splitlines() if mark.exists() else []


def typed(sandbox, repository, environment=None):
    """Type `cai setup` in the folder; return what the module saw of its environment."""
    came = sandbox.home / "came.json"
    sandbox.tasks(f"""
        - name: Write down what a module sees
          ansible.builtin.command: {{argv: [{sys.executable}, -I, -c, "import json, os; json.dump(dict(os.environ), open('{came}', 'w'))"]}}
        - name: Do it
          pretend:
    """)
    own = {key: value for key, value in sandbox.environment().items() if key != "PYTHONPATH"}
    command = put(sandbox.home.parent / "cai", COMMAND)
    command.chmod(0o755)
    done = subprocess.run([command, "setup", "--json"], cwd=repository, env={**own, **(environment or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]
    return json.loads(came.read_text())


def test_the_traps_are_traps(repository):
    """What protects nobody: Python and Ansible as they come."""
    for words in (["-c", "import yaml"], ["-m", "cai"]):
        subprocess.run([sys.executable, *words], cwd=repository, check=False, capture_output=True)
    subprocess.run(
        [PROGRAMS / "ansible-playbook", "playbooks/linux.yml"], cwd=repository, check=False, capture_output=True
    )
    found = {Path(line).name for line in sprung(repository)}
    assert {"yaml.py", "__main__.py"} <= found
    assert len(found) > 4


@pytest.mark.ansible
def test_nor_does_it_where_empty_or_relative_entries_bring_it_into_the_search_paths(sandbox, repository):
    """PYTHONPATH=$UNSET:... and PATH=$UNSET:... mean the working directory.

    What Python loads before cai's first line is beyond cai: a sitecustomize.py, or another package of the name cai.
    """
    shutil.rmtree(repository / "cai")
    path = sandbox.environment()["PATH"]
    seen = typed(
        sandbox,
        repository,
        {"PYTHONPATH": ":.:cai/..:/nonexistent", "PATH": f":.:./:{path}", "HOME": str(sandbox.home)},
    )
    assert sprung(repository) == []
    assert "PYTHONPATH" not in seen
    assert all(part.startswith("/") for part in seen["PATH"].split(":"))


def hostile(folder):
    plugins = (
        "FILTER",
        "CALLBACK",
        "VARS",
        "ACTION",
        "CONNECTION",
        "LOOKUP",
        "STRATEGY",
        "BECOME",
        "CACHE",
        "TEST",
        "INVENTORY",
    )
    return {
        **{f"ANSIBLE_{kind}_PLUGINS": f"{folder}/{kind.lower()}_plugins" for kind in plugins},
        "ANSIBLE_CONFIG": f"{folder}/ansible.cfg", "ANSIBLE_LIBRARY": f"{folder}/library", "ANSIBLE_MODULE_UTILS": f"{folder}/module_utils",
        "ANSIBLE_ROLES_PATH": f"{folder}/roles", "ANSIBLE_STDOUT_CALLBACK": "evil", "ANSIBLE_CALLBACKS_ENABLED": "evil", "ANSIBLE_STRATEGY": "evil",
        "ANSIBLE_BECOME_EXE": f"{folder}/sudo", "ANSIBLE_SUDO_EXE": f"{folder}/sudo", "ANSIBLE_PYTHON_INTERPRETER": f"{folder}/python3",
        "ANSIBLE_INVENTORY": f"{folder}/hosts", "ANSIBLE_VAULT_PASSWORD_FILE": f"{folder}/vault", "ANSIBLE_SKIP_TAGS": "all", "ANSIBLE_HOME": str(folder),
        "ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_DEBUG": "1", "ANSIBLE_LOG_PATH": f"{folder}/log", "ANSIBLE_EXECUTABLE": f"{folder}/sh",
        "ANSIBLE_COLLECTIONS_PATH": str(folder), "ANSIBLE_TASK_DEBUGGER": "1", "ANSIBLE_NO_LOG": "0", "RUNNER_OMIT_EVENTS": "1",
        "DOCKER_HOST": "tcp://evil.example:2375", "DOCKER_CONTEXT": "evil", "DOCKER_CERT_PATH": str(folder), "DOCKER_TLS_VERIFY": "",
        "PYTHONSTARTUP": f"{folder}/yaml.py", "PYTHONUSERBASE": str(folder), "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2",
        "PYTHONPYCACHEPREFIX": str(folder), "LC_ALL": "POSIX", "LD_LIBRARY_PATH": str(folder), "LD_AUDIT": "", "BASH_ENV": f"{folder}/envfile", "ENV": f"{folder}/envfile",
        "SUDO_ASKPASS": f"{folder}/vault", "GIT_SSH_COMMAND": f"{folder}/sh", "PERL5LIB": str(folder), "SECRET_TOKEN": "sesame",
    }  # fmt: skip


@pytest.mark.ansible
def test_a_hostile_environment_ends_at_cai(sandbox, repository):
    """Typed in a folder full of traps."""
    for name in AT_START:
        put(repository / name, TRAP.format(mark=str(repository.parent / "mark")))
    environment = hostile(repository)
    seen = typed(sandbox, repository, environment)
    assert sprung(repository) == []
    assert {name for name, value in seen.items() if environment.get(name) == value} == set()
    assert not [
        name for name in seen if name.startswith(("DOCKER_", "LD_", "PERL", "GIT_", "BASH_ENV", "RUNNER_", "SECRET"))
    ]
    assert not (repository / "log").exists()
    assert seen["LC_ALL"].endswith(".UTF-8")
    assert seen["PYTHONDONTWRITEBYTECODE"] == "1"
    assert seen["PATH"].startswith(str(PROGRAMS))
    logs = list(sandbox.home.glob(".local/state/containai/runs/*/stdout"))
    assert logs
    assert not [log for log in logs if "sesame" in log.read_text()]


def test_no_program_is_looked_for_where_cai_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path.cwd()), "", *sys.path])
    monkeypatch.setenv("PATH", ":.:bin:/usr/bin::/bin:./x:")
    _leave_the_working_directory()
    assert os.environ["PATH"] == "/usr/bin:/bin"
    library = sys.path.index(str(Path(os.__file__).parent))
    assert not {"", str(Path.cwd())} & set(sys.path[:library])


def test_a_home_that_depends_on_the_working_directory_is_none(monkeypatch, tmp_path):
    from cai import paths

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for value in (".", "", "x/y", "../"):
        monkeypatch.setenv("HOME", value)
        assert paths.config_file().is_absolute()
        assert not paths.config_file().is_relative_to(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert paths.config_file().is_absolute()


@pytest.mark.ansible
def test_a_home_with_a_hostile_name_is_a_folder_like_any_other(sandbox, tmp_path):
    home = "-x a'b\"c {{ 7*7 }} $(touch m)\nline \x1b[31m\u202eabc"
    folder = tmp_path / home
    folder.mkdir()
    done = sandbox.cai("setup", cwd=str(tmp_path), HOME=str(folder))
    assert done.returncode == 0, done.stderr
    assert (folder / ".local/state/containai/runs").is_dir()
    assert "\x1b" not in done.stdout + done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "content", "home", home}
