"""The pure part: which change needs what, and which steps lead where."""

from __future__ import annotations

from ansible.module_utils.containai_lima_drift import drift, keep, size, steps


def test_sizes() -> None:
    for text, number in [
        ("100GiB", 100 << 30),
        ("4g", 4 << 30),
        ("1.5GiB", 3 << 29),
        ("1048576", 1 << 20),
        ("2T", 2 << 40),
        ("512 MB", 512 << 20),
        (7, 7),
        ("much", None),
        ("", None),
    ]:
        assert size(text) == number


def test_drift() -> None:
    for stored, wanted, recreate, restart in [
        ({}, {}, [], []),
        ({"cpus": 2}, {"cpus": 4}, [], ["cpus"]),
        ({"cpus": 2}, {}, [], ["cpus"]),
        ({"images": [1]}, {"images": [2], "probes": []}, ["images"], ["probes"]),
        ({"disk": "20GiB"}, {"disk": "30GiB"}, [], ["disk"]),
        ({"disk": "30GiB"}, {"disk": "20GiB"}, ["disk"], []),
        ({}, {"disk": "20GiB"}, ["disk"], []),
        ({"disk": "200GiB"}, {}, ["disk"], []),
        ({"disk": "odd"}, {"disk": "20GiB"}, [], ["disk"]),
        ({"vmType": "vz", "arch": "x86_64"}, {}, ["arch", "vmType"], []),
        ({}, {"user": {"name": "x"}}, ["user"], []),
    ]:
        assert drift(stored, wanted) == (recreate, restart)


def test_keep_takes_what_cannot_change_from_what_is_there() -> None:
    assert keep({"images": [1], "cpus": 2}, {"images": [2], "vmType": "vz", "cpus": 4}, ["images", "vmType"]) == {
        "cpus": 4,
        "images": [1],
    }


def test_steps() -> None:
    for arguments, expected in [
        (("started", None, False), "create start"),
        (("present", None, False), "create"),
        (("stopped", None, False), ""),
        (("absent", None, False), ""),
        (("absent", "Broken", False), "delete"),
        (("started", "Running", False), ""),
        (("started", "Running", True), "stop write start"),
        (("started", "Running", False, False, "stop"), "stop start"),
        (("started", "Running", False, False, "forward"), "forward"),
        (("started", "Running", False, True), "delete create start"),
        (("started", "Stopped", False), "start"),
        (("started", "Stopped", True), "write start"),
        (("started", "Broken", False), "repair start"),
        (("started", "", True), "repair write start"),
        (("started", "Uninitialized", False), "repair start"),
        (("present", "Running", True), "stop write start"),
        (("present", "Stopped", True), "write"),
        (("stopped", "Running", False), "stop"),
        (("stopped", "Stopped", False), ""),
        (("stopped", "Broken", False), "repair"),
    ]:
        assert steps(*arguments) == expected.split()
