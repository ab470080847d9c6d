"""What holds for every role and module: names, specifications, documentation and messages."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import docs
from tests.unit.roles.conftest import REPOSITORY, ROLES, load_module

NAMES = sorted(path.parent.name for path in ROLES.glob("*/tasks"))
MODULES = sorted(path.stem for path in ROLES.glob("*/library/*.py"))
SOURCES = sorted([*ROLES.glob("*/library/*.py"), *ROLES.glob("*/module_utils/**/*.py")])
FILES = sorted(path for path in ROLES.glob("*/tasks/*.yml"))
RAISED = {"Failure", "bad_setting", "unsupported", "refuse", "fail"}
FAILURES = {"unsupported", "precondition", "gate", "failed"}


def load(path: Path) -> Any:
    return (yaml.safe_load(path.read_text()) if path.exists() else None) or {}


def specification(role: str) -> dict[str, dict[str, Any]]:
    return docs.options(ROLES / role)


def everything(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield every (key, value) below a YAML node."""
    if isinstance(node, dict):
        yield from node.items()
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from everything(value)


def settings_of(role: str) -> dict[str, Any]:
    """The defaults of a role's settings; what begins with __ is for playbooks and other roles."""
    defaults = load(ROLES / role / "defaults" / "main.yml")
    return {name: value for name, value in defaults.items() if not name.startswith("__")}


def test_specification_and_defaults_agree() -> None:
    for role in NAMES:
        defaults = settings_of(role)
        spec = {name: option["default"] for name, option in specification(role).items() if not option.get("required")}
        assert defaults == spec, role
        assert list(defaults) == [name for name in specification(role) if name in defaults]


def test_every_entry_point_of_the_vms_role_takes_the_same_variables() -> None:
    specs = load(ROLES / "lima_vm" / "meta" / "argument_specs.yml")["argument_specs"]
    assert len({str(entry["options"]) for entry in specs.values()}) == 1


def test_every_option_says_what_it_means() -> None:
    for role in NAMES:
        for name, option in specification(role).items():
            assert option["description"].rstrip().endswith((".", ")")), name
            assert option["type"], name
            assert option["type"] != "list" or option["elements"], name


def test_every_variable_has_the_roles_name() -> None:
    for role in NAMES:
        assert [name for name in specification(role) if not name.startswith(f"{role}_")] == []
        internal = {*load(ROLES / role / "vars" / "main.yml"), *load(ROLES / role / "defaults" / "main.yml")}
        assert [name for name in internal - {*settings_of(role)} if not name.startswith(f"__{role}_")] == []


def test_what_a_playbook_or_a_role_chooses_is_no_setting() -> None:
    """`-e` wins over all of them: a setting of that name would undo what the engine needs."""
    files = [*REPOSITORY.glob("playbooks/**/*.yml"), *FILES]
    chosen = {name for file in files for key, value in everything(load(file)) if key == "vars" for name in value}
    assert len(chosen) >= 8
    # A context may have another name, lead another way or be made by another docker.
    free = {"docker_context_name", "docker_context_endpoint", "docker_context_program"}
    assert sorted(chosen & {name for role in NAMES for name in specification(role)} - free) == []


def test_no_role_reads_what_is_another_roles() -> None:
    """Each runs by itself. What one found and another needs is handed on by the playbook; a public variable may be a default."""
    for path in sorted(path for path in ROLES.rglob("*") if path.suffix in (".yml", ".j2")):
        role, text = path.relative_to(ROLES).parts[0], path.read_text()
        assert [other for other in NAMES if other != role and f"__{other}_" in text] == [], path
        assert not re.search(r"(import|include)_role:", text), path


def test_what_tasks_keep_has_the_roles_name() -> None:
    for file in FILES:
        role = file.parts[-3]
        for key, value in everything(load(file)):
            if key == "register":
                assert value.startswith(f"__{role}_")
            elif key in ("set_fact", "ansible.builtin.set_fact"):
                assert all(name.startswith(f"__{role}_") for name in value if name != "cacheable")
            elif key == "loop_var":
                assert value.startswith(f"__{role}_")


def test_every_task_is_a_line_of_progress() -> None:
    for file in FILES:
        tasks = load(file)
        for task in [*tasks, *itertools.chain.from_iterable(task.get("block", []) for task in tasks)]:
            assert re.fullmatch(r"[A-Z].*[^.\s]", task["name"]), task


def test_a_condition_stands_when_another_part_did_not_run() -> None:
    """With one tag only, what the other parts keep is not there; the condition is asked all the same, by a role's validation."""
    tasks = [(path, task) for path in FILES for task in load(path)]
    parts = {
        task["register"]
        for path, task in tasks
        if "register" in task
        and path.stem in ("install", "configure", "verify")
        and "always" not in task.get("tags", [])
    }
    assert len(parts) >= 5
    bare = [
        (f"{path.parent.parent.name}/{path.name}", task["name"], name)
        for path, task in tasks
        for name in parts
        if re.search(rf"\b{name}\b(?! \| default\()", str(task.get("when", "")))
    ]
    assert bare == []


def test_main_holds_includes_only() -> None:
    for role in NAMES:
        for task in load(ROLES / role / "tasks" / "main.yml"):
            assert {"ansible.builtin.import_tasks", "ansible.builtin.include_tasks"} & set(task), task["name"]


class StoppedError(Exception):
    """The module said what it takes."""


def argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    taken = {}

    def stop(**more: Any) -> None:
        taken.update(more)
        raise StoppedError

    module = load_module(name)
    monkeypatch.setattr(module, "AnsibleModule", stop)
    with pytest.raises(StoppedError):
        module.main()
    return taken


def normal(option: dict[str, Any]) -> dict[str, Any]:
    keys = {"type": "str", "required": False, "default": None, "choices": None, "elements": None}
    return {key: option.get(key, default) for key, default in keys.items()}


def test_documentation_and_arguments_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODULES:
        documented = yaml.safe_load(load_module(name).DOCUMENTATION)
        taken = argument_spec(name, monkeypatch)
        assert documented["module"] == name
        assert {key: normal(option) for key, option in documented["options"].items()} == {
            key: normal(option) for key, option in taken["argument_spec"].items()
        }
        assert all(option["description"] for option in documented["options"].values())
        assert documented["short_description"]
        assert documented["description"]


def test_every_module_honours_check_mode_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODULES:
        attributes = yaml.safe_load(load_module(name).DOCUMENTATION)["attributes"]
        assert attributes["check_mode"]["support"] == "full"
        assert attributes["diff_mode"]["support"] in ("full", "none")
        assert attributes["diff_mode"]["support"] == "full" or attributes["diff_mode"]["description"]
        assert argument_spec(name, monkeypatch)["supports_check_mode"] is True


def test_the_examples_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODULES:
        options = argument_spec(name, monkeypatch)["argument_spec"]
        examples = [example[name] or {} for example in yaml.safe_load(load_module(name).EXAMPLES) if name in example]
        assert examples
        for example in examples:
            assert set(example) <= set(options)
            assert {key for key, option in options.items() if option.get("required")} <= set(example)


def test_the_result_is_documented() -> None:
    for name in MODULES:
        for key, value in yaml.safe_load(load_module(name).RETURN).items():
            assert {"type", "returned", "description"} <= set(value), key


def test_a_module_starts_with_its_roles_name() -> None:
    for name in MODULES:
        (path,) = ROLES.glob(f"*/library/{name}.py")
        role = path.parts[-3]
        assert name == role or name.startswith(f"{role}_")


def test_a_module_is_read_by_the_oldest_python_of_a_supported_host() -> None:
    for path in SOURCES:
        ast.parse(path.read_text(), feature_version=(3, 10))  # Ubuntu 22.04's


def text_of(node: ast.AST | None, names: dict[str, ast.AST]) -> str | None:
    """What a text says, {} for what is only known at run time; None where all of it is."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left, names)
    if isinstance(node, ast.Name) and node.id in names:
        return text_of(names.pop(node.id), names)
    return None


def calls(path: Path) -> Iterator[tuple[ast.Call, dict[str, ast.AST]]]:
    """Yield every call of a file, with the texts that its function gives names to."""
    tree = ast.parse(path.read_text())
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        assigned = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        ]
        names = {
            node.targets[0].id: node.value
            for node in [
                *(n for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)),
                *assigned,
            ]
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                yield node, dict(names)


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_every_failure_says_its_kind_and_the_way_out() -> None:
    for path in SOURCES:
        for node, names in calls(path):
            if called(node) != "fail_json":
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if None in given:
                continue  # **result: checked where it is made
            assert {"msg", "hint", "failure"} <= set(given), f"{path.name}:{node.lineno}"
            kind = text_of(given["failure"], names)
            assert kind is None or kind in FAILURES, f"{path.name}:{node.lineno}"


def test_every_message_is_a_sentence_and_every_hint_has_a_command() -> None:
    for path in SOURCES:
        for node, names in calls(path):
            where = f"{path.name}:{node.lineno}"
            if called(node) == "fail_json":
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                message, hint = text_of(given.get("msg"), dict(names)), text_of(given.get("hint"), dict(names))
            elif called(node) in RAISED:
                arguments = (
                    node.args[1:] if isinstance(node.args[0], ast.Name) and node.args[0].id == "module" else node.args
                )
                assert known(arguments[0], dict(names)), where
                message = text_of(arguments[0], dict(names))
                hint = text_of(arguments[1] if len(arguments) > 1 else None, dict(names))
                kind = text_of(arguments[2] if len(arguments) > 2 else None, dict(names))
                assert kind is None or kind in FAILURES, where
            else:
                continue
            if message is not None and message != "{}":
                first = message.splitlines()[0]
                assert re.match(r"[A-Z{`/]|apt |systemd |macOS ", first), (where, first)
                assert first.endswith((".", ":", "}", "?")), (where, first)
                assert "traceback" not in message.lower(), where
            if hint is not None and hint != "{}":
                assert re.search(r"`[^`]+`", hint), (where, hint)


def known(message: ast.AST, names: dict[str, ast.AST]) -> bool:
    """Whether a message is a text, or one that is checked where it is made."""
    handed_on = isinstance(message, ast.Attribute) and message.attr in ("message", "strerror")
    parameter = isinstance(message, ast.Name) and message.id in ("message", "objection", "problem")
    return text_of(message, names) is not None or handed_on or parameter or ast.unparse(message) == "str(error)"


def test_no_task_refuses_anything_without_a_hint() -> None:
    """The builtin modules can say what is wrong, but not what to type: refusals are made by our modules."""
    for file in [*FILES, *sorted(REPOSITORY.glob("playbooks/**/*.yml"))]:
        words = {"fail", "assert", "ansible.builtin.fail", "ansible.builtin.assert"}
        assert not [key for key, _ in everything(load(file)) if key in words]
        assert not [
            key for key, _ in everything(load(file)) if key in ("failed_when", "ansible.builtin.shell", "shell")
        ]


def test_the_test_above_sees_something() -> None:
    seen = [called(node) for path in SOURCES for node, _ in calls(path)]
    assert seen.count("fail_json") >= 10
    assert sum(seen.count(name) for name in RAISED) >= 20


def test_the_generated_documents_are_current() -> None:
    for path, text in docs.wanted().items():
        assert path.exists(), "run `make docs`"
        assert path.read_text() == text, "run `make docs`"


def test_every_role_has_a_readme() -> None:
    for role in NAMES:
        text = (ROLES / role / "README.md").read_text()
        assert text.startswith(f"# {role}\n"), role
        assert "```yaml" in text
        for name in specification(role):
            assert f"| `{name}` |" in text


def test_a_readme_names_every_entry_point() -> None:
    for role in NAMES:
        text = (ROLES / role / "README.md").read_text()
        used = {
            match
            for path in REPOSITORY.glob("playbooks/**/*.yml")
            for match in re.findall(rf"name: {role}, tasks_from: (\w+)", path.read_text())
        }
        assert [name for name in sorted(used) if f"`{name}`" not in text] == []
