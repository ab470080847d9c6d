"""The table of protections fits the code, and a change runs the rows that it concerns."""

from __future__ import annotations

import ast

import pytest

from tests.hosts.paths import ROOT
from tests.mutations import changed
from tests.mutations.__main__ import table
from tests.mutations.copy import Mutation, mutated


def test_every_row_names_what_is_there_once_and_a_test() -> None:
    rows = table()
    assert len(rows) >= 116
    for row in rows:
        mutated((ROOT / row.file).read_text(encoding="utf-8"), row)
        path, _, name = row.test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert not name or name.partition("[")[0] in {
            node.name for node in tree.body if isinstance(node, ast.FunctionDef)
        }, row


ROW = Mutation("x", "roles/a/library/a.py", "x", "tests/unit/roles/a/test_a.py::test_a")


@pytest.mark.parametrize(
    ("files", "due"),
    [
        ({"roles/a/library/a.py"}, True),
        ({"tests/unit/roles/a/test_a.py"}, True),
        ({"tests/unit/roles/a/host.py"}, True),
        ({"tests/unit/roles/conftest.py"}, True),
        ({"tests/unit/roles/a/test_b.py", "roles/a/library/b.py", "README.md", "tests/unit/cai/conftest.py"}, False),
    ],
)  # fmt: skip
def test_a_row_is_due_where_its_file_its_test_or_a_helper_of_that_changed(files: set[str], due: bool) -> None:
    assert changed.concerned(ROW, files) is due


def answers(**said: str | None):
    return lambda *words: said.get(words[0].replace("-", "_"))


def test_all_rows_run_where_it_is_not_known_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in (
        {},
        {"merge_base": "abc\n", "diff": "", "ls_files": ""},
        {"merge_base": "abc\n", "show": "abc\n", "diff": "", "ls_files": ""},
        {"merge_base": "abc\n", "diff": "pyproject.toml\n", "ls_files": ""},
    ):
        monkeypatch.setattr(changed, "git", answers(**said))
        assert changed.changed([ROW])[0] == [ROW]
    said = {"merge-base": "landed\n", "ls-files": "", "landed": "", f"HEAD:{changed.RAN}": "ran\n", "ran": "README.md\n", f"ran:{changed.TABLE}": "[]"}  # fmt: skip
    monkeypatch.setattr(changed, "git", lambda *words: said.get(words[0], said.get(words[-1])))
    assert changed.changed([ROW])[1] == "those that the change since ran concerns"
    old = f"- {{keeps: x, file: {ROW.file}, without: x, test: {ROW.test!r}}}\n"
    for table_before, due in ((old, []), ("[]", [ROW])):
        monkeypatch.setattr(
            changed, "git", answers(merge_base="abc\n", diff="README.md\n", ls_files="", show=table_before)
        )
        assert changed.changed([ROW])[0] == due
