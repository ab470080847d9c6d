"""Any JSON object, in any formatting, gets its one entry and keeps every other byte; anything else is refused with its place."""

from __future__ import annotations

import json
import time

import pytest
from ansible.module_utils.containai import daemon_json
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

NAME, WANTED = "sysbox-runc", {"path": "/usr/bin/sysbox-runc"}
PATIENT = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalar = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**30, max_value=10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
runtimes = st.dictionaries(text.filter(lambda key: key != NAME), value, min_size=1, max_size=3)
other = st.dictionaries(text.filter(lambda key: key != "runtimes"), value, max_size=4)


@st.composite
def documents(draw: st.DrawFn, with_runtimes: bool | None = None) -> tuple[dict, bytes]:
    """Draw (object, the bytes of a file that holds it, written in some hand)."""
    content = draw(other)
    if with_runtimes or (with_runtimes is None and draw(st.booleans())):
        items = [*content.items(), ("runtimes", draw(runtimes))]
        content = dict(draw(st.permutations(items)))
    indent = draw(st.sampled_from([None, 0, 1, 2, 4, "\t", "  \t"]))
    separators = draw(st.sampled_from([None, (",", ":"), (" , ", " : ")])) if indent is None else None
    written = json.dumps(content, indent=indent, ensure_ascii=draw(st.booleans()), separators=separators)
    if draw(st.booleans()):
        written = written.replace(
            "\n", "\r\n"
        )  # json.dumps writes line ends of strings as \n, so these are all its own
    written = draw(st.sampled_from(["", "\n", " \t\r\n"])) + written + draw(st.sampled_from(["", "\n", "\r\n", "\n\n"]))
    return content, written.encode()


def expected(content: dict) -> dict:
    return {**content, "runtimes": {**content.get("runtimes", {}), NAME: WANTED}}


def inserted(before: bytes, after: bytes) -> bytes:
    """Return what `after` has more than `before`, and see that it is in one place."""
    start = next(
        (i for i, (one, two) in enumerate(zip(before, after, strict=False)) if one != two), min(len(before), len(after))
    )
    more = len(after) - len(before)
    assert before == after[:start] + after[start + more :], "more than an insertion happened"
    return after[start : start + more]


@PATIENT
@given(documents())
def test_exactly_one_member_is_added_in_one_place_once_and_taken_away_again(document: tuple[dict, bytes]) -> None:
    content, before = document
    after = daemon_json.with_runtime(before, NAME, WANTED)
    found = daemon_json.parse(after)[1]
    assert found == expected(content)
    assert list(found) == list(content) + ([] if "runtimes" in content else ["runtimes"])
    assert list(found["runtimes"])[:-1] == list(content.get("runtimes", {}))
    if content:  # an empty object has no byte inside that could stay
        added = inserted(before, after)
        assert added.count(b'"sysbox-runc"') == 1
        assert added.count(b'"runtimes"') == (0 if "runtimes" in content else 1)
    assert daemon_json.with_runtime(after, NAME, WANTED) == after
    assert daemon_json.without_runtime(after, NAME) == before
    assert daemon_json.without_runtime(before, NAME) == before


@PATIENT
@given(documents(with_runtimes=True), st.data())
def test_an_entry_of_another_path_is_corrected_in_its_place(document: tuple[dict, bytes], data: st.DataObject) -> None:
    content, _ = document
    place = data.draw(st.integers(0, len(content["runtimes"])))
    items = list(content["runtimes"].items())
    items.insert(place, (NAME, {"path": "/opt/else", "runtimeArgs": ["--debug"]}))
    content = {**content, "runtimes": dict(items)}
    before = json.dumps(content, indent=data.draw(st.sampled_from([None, 2, "\t"]))).encode()
    after = daemon_json.parse(daemon_json.with_runtime(before, NAME, WANTED))[1]
    assert after["runtimes"][NAME] == {"path": "/usr/bin/sysbox-runc", "runtimeArgs": ["--debug"]}
    assert list(after["runtimes"]) == list(content["runtimes"])
    after["runtimes"][NAME] = content["runtimes"][NAME]
    assert after == content


@PATIENT
@given(documents())
def test_the_new_lines_look_like_the_old_ones(document: tuple[dict, bytes]) -> None:
    content, before = document
    assume(content)
    after = daemon_json.with_runtime(before, NAME, WANTED)
    added = inserted(before, after)
    if b"\n" not in before.strip():
        assert b"\n" not in added
    if b"\r\n" in before.strip():
        assert added.count(b"\n") == added.count(b"\r\n") > 0
    if b"\n\t" in before and b"\n " not in before:
        assert b"\n " not in added


def test_an_empty_file_or_object_gets_a_readable_one() -> None:
    for nothing in [b"", b" \r\n\t", b"{}", b"{}\n", b"{\n}\n", b"{ }"]:
        after = daemon_json.with_runtime(nothing, NAME, WANTED)
        assert (
            after.rstrip(b"\n")
            == b'{\n  "runtimes": {\n    "sysbox-runc": {\n      "path": "/usr/bin/sysbox-runc"\n    }\n  }\n}'
        )
        assert daemon_json.parse(daemon_json.without_runtime(after, NAME))[1] == {}


def test_an_empty_runtimes_is_filled() -> None:
    before = b'{\n    "debug": true,\n    "runtimes": {}\n}\n'
    after = daemon_json.with_runtime(before, NAME, WANTED)
    assert after == (
        b'{\n    "debug": true,\n    "runtimes": {\n        "sysbox-runc": {\n            "path": "/usr/bin/sysbox-runc"\n        }\n    }\n}\n'
    )


REFUSED = {
    "comment": (b'{\n  // mine\n  "debug": true\n}\n', "line 2, column 3"),
    "block comment": (b'{"debug": /* on */ true}', "line 1, column 11"),
    "trailing comma": (b'{\n  "debug": true,\n}\n', "line "),
    "trailing comma in a list": (b'{"dns": ["1.1.1.1",]}', "line 1, column "),
    "byte order mark": (b"\xef\xbb\xbf{}", "line 1, column 1"),
    "UTF-16": ('{"debug": true}'.encode("utf-16"), "line 1, byte 1"),
    "not UTF-8": (b'{\n  "label": "caf\xe9"\n}', "line 2, byte 16"),
    "NUL": (b"{}\0", "line 1, column 3"),
    "key twice": (b'{"debug": true,\n "debug": false}', "line 2, column 2"),
    "key twice, written differently": (b'{"a": {"b": 1, "\\u0062": 2}}', "line 1, column 16"),
    "runtimes twice": (b'{"runtimes": {}, "runtimes": {}}', "line 1, column 18"),
    "NaN": (b'{"text": "NaN",\n "max": NaN}', "line 2, column 9"),
    "Infinity": (b'{"max": -Infinity}', "line 1, column 9"),
    "array": (b"\n  [1, 2]", "line 2, column 3"),
    "string": (b'"{}"', "line 1, column 1"),
    "number": (b"12", "line 1, column 1"),
    "null": (b"null", "line 1, column 1"),
    "true": (b"true", "line 1, column 1"),
    "two objects": (b"{}{}", "line 1, column 3"),
    "single quotes": (b"{'debug': true}", "line 1, column 2"),
    "cut short": (b'{"debug": tr', "line 1, column 11"),
    "open string": (b'{"debug": "', "line 1, column 11"),
    "line break in a string": (b'{"a": "b\nc"}', "line 1, column 9"),
    "number of 5000 digits": (b'{"max": ' + b"9" * 5000 + b"}", "line 1, column 9"),
    "deep array": (b'{"a": ' + b"[" * 100_000, "line 1, column "),
    "deep object": (b'{"a": ' * 5_000 + b"1" + b"}" * 5_000, "line 1, column "),
    "runtimes is a list": (b'{"debug": true,\n  "runtimes": []}', "line 2, column 3"),
    "runtimes is null": (b'{"runtimes": null}', "line 1, column 2"),
}


def test_anything_else_is_refused_with_its_place() -> None:
    for data, place in REFUSED.values():
        with pytest.raises(daemon_json.DaemonJsonError) as refusal:
            daemon_json.with_runtime(data, NAME, WANTED)
        assert place in str(refusal.value)


def test_ten_megabytes_are_refused_at_once() -> None:
    begun = time.process_time()
    with pytest.raises(daemon_json.DaemonJsonError, match="bytes"):
        daemon_json.with_runtime(b'{"label": "' + b"x" * 10_000_000 + b'"}', NAME, WANTED)
    assert time.process_time() - begun < 1


def test_a_large_but_possible_file_takes_no_time() -> None:
    data = json.dumps({f"label-{number}": [number] for number in range(20_000)}, indent=2).encode()
    begun = time.process_time()
    assert len(daemon_json.parse(daemon_json.with_runtime(data, NAME, WANTED))[1]) == 20_001
    assert time.process_time() - begun < 3


def test_no_depth_is_anything_but_kept_or_refused() -> None:
    for depth in [50, 90, 98, 99, 100, 101, 150, 300, 900, 950, 980, 990, 995, 1000, 1010]:
        data = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
        try:
            after = daemon_json.with_runtime(data, NAME, WANTED)
        except daemon_json.DaemonJsonError:
            assert depth > 90
        else:
            assert depth <= 100
            assert inserted(data, after).count(b'"sysbox-runc"') == 1


@PATIENT
@given(st.binary(max_size=60) | st.text('{}[]",:0123456789.-+eE truefalsn\\u/\n\t', max_size=40).map(str.encode))
def test_no_bytes_do_anything_but_parse_or_be_refused(data: bytes) -> None:
    try:
        after = daemon_json.with_runtime(data, NAME, WANTED)
    except daemon_json.DaemonJsonError as refusal:
        assert str(refusal)
    else:
        assert daemon_json.parse(after)[1]["runtimes"][NAME]["path"] == WANTED["path"]


def test_a_setting_that_the_unit_has_too_is_a_conflict() -> None:
    for setting, key in [
        ({"hosts": ["fd://"]}, "hosts"),
        ({"data-root": "/mnt/docker"}, "data-root"),
        ({"bridge": "br0"}, "bridge"),
        ({"bridge": "none"}, "bridge"),
        ({"iptables": False}, "iptables"),
        ({"ip-masq": False}, "ip-masq"),
        ({"ip-forward": False}, "ip-forward"),
        ({"userland-proxy": False}, "userland-proxy"),
        ({"pidfile": "/run/x.pid"}, "pidfile"),
        ({"group": "docker"}, "group"),
    ]:
        assert [name for name, _ in daemon_json.conflicts({"debug": True, **setting})] == [key]


def test_a_setting_of_the_users_own_is_none() -> None:
    for setting in [
        {},
        {"bridge": ""},
        {"iptables": True},
        {"ip-masq": True, "ip-forward": True, "dns": ["1.1.1.1"], "live-restore": True},
        {"userland-proxy": True},
        {"bip": "10.1.0.1/24"},
        {"default-runtime": NAME},
    ]:
        assert daemon_json.conflicts(setting) == []


def test_dns_servers_of_both_are_a_conflict() -> None:
    assert [name for name, _ in daemon_json.conflicts({"dns": ["1.1.1.1"]}, dns=["9.9.9.9"])] == ["dns"]
