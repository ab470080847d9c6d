"""A tag becomes a release only if it is the version of the package and the changelog says something; the steps of its workflow run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts import release

REPOSITORY = Path(__file__).resolve().parents[2]
CHANGELOG = "# Changelog\n\n## 0.2.0 (2026-12-01)\n\n- A change.\n\n## 0.1.0 (2026-11-01)\n\n- The first.\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "cai").mkdir()
    (tmp_path / "cai/__init__.py").write_text('"""x"""\n\n__version__ = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_the_notes_are_the_section_of_the_version(project: Path) -> None:
    assert release.notes(project, "v0.2.0") == "- A change."


# The tag, the changelog -> why it is not released.
REFUSED = {
    "another tag": ("v0.3.0", CHANGELOG, "v0.2.0 is needed"),
    "a tag without v": ("0.2.0", CHANGELOG, "v0.2.0 is needed"),
    "no section": ("v0.2.0", "# Changelog\n\n## 0.1.0 (2026-11-01)\n\n- The first.\n", "says nothing about 0.2.0"),
    "an empty section": ("v0.2.0", CHANGELOG.replace("- A change.\n", ""), "says nothing about 0.2.0"),
    "no day": ("v0.2.0", CHANGELOG.replace("2026-12-01", "unreleased"), "the day of the release is needed"),
}


@pytest.mark.parametrize(("tag", "changelog", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_no_other_tag_is_released(project: Path, tag: str, changelog: str, why: str) -> None:
    (project / "CHANGELOG.md").write_text(changelog)
    with pytest.raises(release.ReleaseError, match=why):
        release.notes(project, tag)


@pytest.mark.slow
def test_the_steps_of_the_workflow_run(tmp_path: Path) -> None:
    """All of its build but `make wheel`, which has a test of its own; in a copy whose changelog names a day."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith("tests/") and (REPOSITORY / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, tmp_path / name)
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("(unreleased)", "(2026-12-01)", 1))
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/venv").symlink_to(Path(sys.prefix))
    flow = yaml.safe_load((REPOSITORY / ".github/workflows/release.yml").read_text())
    tag = f"v{release.version(REPOSITORY)}"
    for step in flow["jobs"]["build"]["steps"]:
        if step.get("run", "make wheel") != "make wheel":
            environment = {**os.environ, "GITHUB_REF_NAME": tag}
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", step["run"]],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"
    assert sorted(path.suffix for path in (tmp_path / "out/dist").iterdir()) == [".gz", ".whl"]
    assert (tmp_path / "out/notes.md").read_text().startswith("- ")
    assert [path.suffix for path in (tmp_path / "out/collection").iterdir()] == [".gz"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["collection", "dist", "notes.md"]


def test_publishing_needs_no_secret_and_only_the_build_before_it() -> None:
    text = (REPOSITORY / ".github/workflows/release.yml").read_text()
    flow = yaml.safe_load(text)
    assert "secrets." not in text
    assert flow[True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as true
    assert flow["jobs"]["publish"]["needs"] == ["build"]
    assert flow["jobs"]["publish"]["environment"] == "pypi"
