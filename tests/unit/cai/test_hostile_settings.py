"""Hostile values in every setting that the roles declare: refused with a clear error, or brought to the playbook to the letter."""

import json
import shutil

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cai import config
from cai.errors import CaiError, Exit
from tests.unit.cai.conftest import REPOSITORY

KNOWN = config.schema(REPOSITORY / "roles")
FREE = [name for name, option in KNOWN.items() if option.type in ("str", "path", "list", "dict") and not option.choices]
REST = sorted(set(KNOWN) - set(FREE))
SHELL = "$(touch {m}) `touch {m}`; touch {m} | touch {m} & touch {m} > {m}\n touch {m} #"
JINJA = (
    "{{{{ lookup('pipe', 'touch {m}') }}}} {{% set x = lookup('pipe', 'touch {m}') %}} {{{{ 7*7 }}}} {{# x #}} !unsafe"
)
TEXTS = [
    SHELL, JINJA, "'\"\\", "a\nb: c\n- d\n", "\x1b]0;x\x07\x1b[2J", "\u202egnirts\u202c", "--help", "-x", "@/etc/passwd", "~root", "../../etc", "%n%s%h",
    "é\u2028😀\x85\t", "yes", "007", "null", "", "a" * 5_000, "!!python/object/apply:os.system [id]", "<<EOF", "*", "?", "${HOME}", "[x](y)",
]  # fmt: skip


def test_the_roles_declare_what_is_walked_here():
    assert len(FREE) > 25
    assert len(REST) > 8


def wrapped(name, text):
    """Build the text in the shape that the setting has."""
    return {"list": [text], "dict": {text or "x": text}}.get(KNOWN[name].type, text)


def hostile(name, marker):
    """Build a value that holds all of the texts, or each of them."""
    texts = [text.format(m=marker) if "{m}" in text else text for text in TEXTS]
    joined = "\n".join(texts)
    if KNOWN[name].type == "list":
        key = next((key for key, option in KNOWN[name].options.items() if option.type == "str"), None)
        return [{key or text or "x": text} for text in texts] if KNOWN[name].elements == "dict" else texts
    return {text or "x": text for text in texts} if KNOWN[name].type == "dict" else joined


@pytest.mark.ansible
def test_no_setting_is_templated_or_read_by_a_shell(sandbox):
    """The real settings of all roles, through the real command and a real ansible-playbook, which writes down what came."""
    for specs in (REPOSITORY / "roles").glob("*/meta/argument_specs.yml"):
        copy = sandbox.content / specs.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True)
        shutil.copy(specs, copy)
    names = "{" + ", ".join(f"'{name}': {name}" for name in FREE) + "}"
    target, marker = sandbox.home / "came.json", sandbox.home / "marker"
    sandbox.tasks(f"""
        - name: Write down what came
          ansible.builtin.copy: {{content: "{{{{ {names} | to_json }}}}", dest: {target}}}
        - name: Let a shell see it quoted, as a careful role does
          ansible.builtin.command: {{argv: [printf, "%s", "{{{{ {FREE[0]} }}}}"]}}
    """)
    values = {name: hostile(name, marker) for name in FREE}
    # Every other one on the command line, the rest in the file.
    words = [
        word
        for name in FREE[::2]
        for word in ("-e", f"{name}={values[name] if isinstance(values[name], str) else json.dumps(values[name])}")
    ]
    file = sandbox.home / ".config/containai/config.yml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump({name: values[name] for name in FREE[1::2]}, allow_unicode=True))
    done = sandbox.cai("setup", *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(target.read_text()) == values
    assert not marker.exists()
    assert sorted(path.name for path in sandbox.home.iterdir() if not path.name.startswith(".")) == ["came.json"]


def refused(call, *arguments):
    """See that a call is refused as wrong usage, in a message of a readable size; return that."""
    with pytest.raises(CaiError) as found:
        call(*arguments)
    assert found.value.code == Exit.USAGE
    assert len(found.value.message) < 1000
    return found.value.message


def test_what_is_no_text_takes_no_hostile_text():
    for name in REST:
        for text in (SHELL, JINJA, "{{ true }}", "-1e999", "\x1b[31m", "[", "x" * 200_000):
            refused(config.from_command_line, KNOWN, (f"{name}={text}",))


def test_what_nothing_can_carry_is_refused():
    """A NUL, half a character, 10 MB."""
    for text in ("a\0b", "a\udc80b", "x" * 10_000_000):
        for name in FREE:
            value = [{"x": text}] if KNOWN[name].elements == "dict" else wrapped(name, text)
            assert name in refused(config._checked, KNOWN[name], value, f"-e {name}")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(ord('a') + n)}: &{chr(ord('a') + n)} [{', '.join(['*' + chr(ord('a') + n - 1)] * 9)}]\n"
    for n in range(1, 12)
)
FILES = {
    "10 MB": "docker_engine_group: " + "x" * 10_000_000,
    "2 MB of nothing": "# nothing\n" * 200_000,
    "aliases that multiply": f"lima_vm_extra_config:\n  {BOMB.replace(chr(10), chr(10) + '  ')}",
    "an alias of itself": "lima_vm_extra_config: &a {x: *a}\n",
    "no end of depth": "lima_vm_mounts: " + "[" * 50_000,
    "a NUL": "docker_engine_group: 'a\0b'\n",
    "an object of Python": "docker_engine_group: !!python/object/apply:os.system [id]\n",
    "a template of Ansible's": "docker_engine_group: !vault x\n",
    "a mark of Ansible's": "docker_engine_group: !unsafe x\n",
    "a setting with an escape": "\"\\e[31m\": x\n",
    "a name of 1 MB": '"' + "x" * 900_000 + '": x\n',
    "a list for a name": "? [a, b]\n: x\n",
    "a date": "docker_engine_group: 2026-01-01\n",
}  # fmt: skip


def test_a_hostile_settings_file_is_a_clear_error(tmp_path):
    file = tmp_path / "config.yml"
    for what, text in FILES.items():
        file.write_text(text)
        assert "config.yml" in refused(config.from_file, KNOWN, file), what


def test_a_hostile_argument_is_a_clear_error():
    for name in ("lima_vm_mounts", "docker_engine_proxy", "lima_vm_cpus"):
        for text in ("[" * 50_000, '{"a":' * 50_000, "&a [*a]", "1" * 5000, "? [a]\n: b", "!!binary x"):
            refused(config.from_command_line, KNOWN, (f"{name}={text}",))


names = st.sampled_from(
    [*KNOWN, "ansible_connection", "ansible_become_exe", "ansible_python_interpreter", "cai_become"]
)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, values, max_size=3))
def test_any_settings_file_is_taken_as_it_is_or_refused_as_wrong_usage(tmp_path_factory, wanted):
    file = tmp_path_factory.mktemp("settings") / "config.yml"
    file.write_text(yaml.safe_dump(wanted))
    try:
        assert config.from_file(KNOWN, file) == wanted
    except CaiError as error:
        assert error.code == Exit.USAGE
    else:
        assert not [name for name in wanted if name not in KNOWN]
