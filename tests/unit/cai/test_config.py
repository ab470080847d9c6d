from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cai import config
from cai.config import Option
from cai.errors import CaiError, Exit

ROOT = Path(__file__).resolve().parents[3]
SPECS = """
argument_specs:
  main:
    options:
      engine_source: {type: str, choices: [docker, distro], description: Where from.}
      engine_force: {type: bool}
      engine_port: {type: int}
      engine_ratio: {type: float}
      engine_dns: {type: list, elements: str}
      engine_proxy:
        type: dict
        options: {http: {type: str}, verify: {type: bool}}
      engine_free: {type: dict}
      engine_root: {type: path}
      engine_any: {type: raw}
      engine_plain:
"""


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "roles" / "engine" / "meta" / "argument_specs.yml"
    path.parent.mkdir(parents=True)
    path.write_text(SPECS)
    return config.schema(tmp_path / "roles")


def load(known, tmp_path, text):
    path = tmp_path / "config.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.from_file(known, path)


def test_the_schema_is_what_the_roles_declare(known):
    assert known["engine_source"] == Option("engine_source", "engine", "str", "Where from.", ("docker", "distro"))
    assert known["engine_proxy"].options["verify"].type == "bool"
    assert known["engine_plain"].type == "str"


def test_no_file_and_an_empty_file_mean_no_settings(known, tmp_path):
    assert config.from_file(known, tmp_path / "absent.yml") == {}
    assert load(known, tmp_path, "") == {}
    assert load(known, tmp_path, "# nothing yet\n") == {}


def test_the_command_line_wins_over_the_file_and_the_last_of_a_name_wins(known, tmp_path):
    path = tmp_path / "config.yml"
    path.write_text("engine_port: 1\nengine_force: true\n")
    assert config.gather(known, path, ("engine_port=2", "engine_port=3")) == {"engine_port": 3, "engine_force": True}


def test_a_command_line_value_gets_its_options_type(known):
    for text, value in (
        ("engine_source=distro", "distro"),
        ("engine_force=Yes", True),
        ("engine_force=off", False),
        ("engine_port=22", 22),
        ("engine_ratio=1.5", 1.5),
        ("engine_dns=[1.1.1.1, 9.9.9.9]", ["1.1.1.1", "9.9.9.9"]),
        ("engine_proxy={http: 'http://p', verify: no}", {"http": "http://p", "verify": False}),
        ("engine_any=[1, {a: b}]", [1, {"a": "b"}]),
        ("engine_plain=", ""),
        ("engine_plain=a=b", "a=b"),
        ("engine_plain=07:30", "07:30"),
        ("engine_plain={{ 7*7 }}", "{{ 7*7 }}"),
    ):
        assert list(config.from_command_line(known, (text,)).values()) == [value], text


def test_what_only_a_playbook_may_choose_is_no_setting():
    for name, hint in [
        ("docker_engine_dedicated", "did you mean"),
        ("docker_engine_daemon_json", "did you mean `sysbox_daemon_json`"),
        ("docker_engine_runtimes", "did you mean"),
        ("docker_engine_platform", "did you mean"),
        ("sysbox_socket", "did you mean `docker_engine_socket`"),
        ("lima_vm_guest_plan", "did you mean"),
        ("lima_vm_purge", "`cai uninstall --purge`"),
        ("sysbox_force", "`cai setup --force`"),
    ]:
        with pytest.raises(CaiError) as refused:
            config.from_command_line(config.schema(ROOT / "roles"), (f"{name}=false",))
        assert refused.value.code == Exit.USAGE
        assert "no setting named" in refused.value.message
        assert hint in refused.value.hint


def test_a_wrong_setting_says_what_is_right(known):
    for text, message, hint in [
        ("engine_sauce=distro", "no setting named 'engine_sauce'", "did you mean `engine_source`"),
        ("engine_source=apt", "one of docker, distro, not 'apt'", ""),
        ("engine_force=maybe", "true or false, not 'maybe'", ""),
        ("engine_port=1.5", "a whole number, not '1.5'", ""),
        ("engine_dns=x", "a list, not 'x'", ""),
        ("engine_dns=[1]", "engine_dns[0] must be a text, not 1", ""),
        ("engine_proxy={htpt: x}", "no setting named 'htpt'", "did you mean `http`"),
        ("engine_proxy={verify: 3}", "engine_proxy.verify must be true or false", ""),
        ("engine_plain=a\udcffb", "not UTF-8", ""),
        ("cai_force=true", "no setting named 'cai_force'", "use `cai setup --force`"),
        ("ansible_connection=ssh", "no setting named", "cai path"),
        ('engine_free={a: ["\\ud83d"]}', "not UTF-8", ""),
        ("novalue", "is not KEY=VALUE", "-e sysbox_version=0.7.1"),
        ("=x", "is not KEY=VALUE", ""),
    ]:
        with pytest.raises(CaiError) as caught:
            config.from_command_line(known, (text,))
        assert message in caught.value.message
        assert hint in caught.value.hint
        assert caught.value.code == Exit.USAGE


def test_a_wrong_settings_file_is_named_with_the_place(known, tmp_path):
    for text, message in [
        ("engine_port: [", "line 1, column 15 is not valid YAML"),
        ("- a\n- b\n", "must hold `name: value` lines, not a list"),
        ("engine_port: '1'\n", "engine_port must be a whole number, not '1'"),
        ("engine_port: true\n", "engine_port must be a whole number, not True"),
        ("engine_plain: 0644\n", "engine_plain must be a text, not 420"),
        ("engine_plain:\n", "engine_plain must be a text, not nothing"),
        ("1: x\n", "no setting named '1'"),
        ("engine_port: !!python/object/apply:os.system [id]\n", "is not valid YAML"),
        (b"\xff\xfe", "cannot be read"),
    ]:
        with pytest.raises(CaiError) as caught:
            load(known, tmp_path, text)
        assert message in caught.value.message
        assert "config.yml" in caught.value.message
        assert caught.value.code == Exit.USAGE


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_a_text_arrives_to_the_letter_or_is_refused(text):
    known = {"engine_plain": Option("engine_plain")}
    try:
        value = config.from_command_line(known, (f"engine_plain={text}",))["engine_plain"]
    except CaiError as error:
        assert error.code == Exit.USAGE
        assert "\0" in text or any("\ud800" <= char <= "\udfff" for char in text)
    else:
        assert value == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


class Loader(yaml.SafeLoader):
    """Reads what Ansible would, and keeps the marks of what it must not template."""


Loader.add_constructor("!unsafe", lambda loader, node: Marked(loader.construct_scalar(node)))


class Marked(str):
    __slots__ = ()


def unmarked(value):
    if isinstance(value, dict):
        return [item for part in value.values() for item in unmarked(part)]
    if isinstance(value, list):
        return [item for part in value for item in unmarked(part)]
    return [value] if isinstance(value, str) and not isinstance(value, Marked) else []


@given(values)
def test_a_dump_keeps_every_value_and_marks_every_text_that_could_be_a_template(value):
    read = yaml.load(config.dump({"name": value}), Loader)["name"]
    assert read == value
    assert [text for text in unmarked(read) if "{" in text] == []
