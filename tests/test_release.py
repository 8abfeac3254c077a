"""The script that makes a release, and the files around the repository."""

import importlib.util
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
NEWS = "## [0.2.0] - unreleased\n\n### Added\n\n- More.\n"
CHANGES = f"# Changelog\n\n{NEWS}\n## [0.1.0] - 2026-01-02\n\n- All.\n"


@pytest.fixture
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / ".github" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_wheel(folder, version="0.2.0", packages=("ganzoo", "ganzoo_zoo"), leave_out=""):
    info = f"ganzoo-{version}.dist-info"
    parts = [*(f"{package}/__init__.py" for package in packages), f"{info}/METADATA"]
    parts += [f"{info}/entry_points.txt", f"{info}/licenses/LICENSE"]
    wheel = folder / f"ganzoo-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for part in parts:
            if leave_out not in part or not leave_out:
                archive.writestr(part, f"Metadata-Version: 2.4\nName: ganzoo\nVersion: {version}\n")
    return wheel


@pytest.fixture
def project(release, tmp_path, monkeypatch):
    """A repository of the files that a release changes, and a build that takes no time."""
    root = tmp_path / "project"
    (root / ".github").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "ganzoo"\nversion = "0.1.0"\n')
    (root / "CHANGELOG.md").write_text(CHANGES)
    (root / ".github" / "CITATION.cff").write_text("title: ganzoo\nversion: 0.1.0\n")
    (root / ".gitignore").write_text("dist/\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = N\nemail = n@example.org\n")
    for line in ("init --quiet", "add --all", "commit --quiet --message start"):
        subprocess.run(["git", *line.split()], cwd=root, check=True)

    def build(tree, isolated):
        (tree / "dist").mkdir()
        version = tomllib.loads((tree / "pyproject.toml").read_text())["project"]["version"]
        (tree / "dist" / f"ganzoo-{version}.tar.gz").touch()
        make_wheel(tree / "dist", version)
        return sorted((tree / "dist").iterdir())

    monkeypatch.setattr(release, "ROOT", root)
    monkeypatch.setattr(release, "build", build)
    monkeypatch.setattr(release, "check_files", lambda files, v: release.check_wheel(files[0], v))
    return root


def test_a_release_is_dated_committed_and_tagged(release, project, capsys):
    assert release.main(["0.2.0", "--dry-run"]) == 0
    assert release.run("git", "tag") == ""
    assert (project / "CHANGELOG.md").read_text() == CHANGES
    assert release.main(["0.2.0"]) == 0
    assert release.run("git", "status", "--porcelain") == ""
    assert release.run("git", "log", "-1", "--format=%s", "v0.2.0") == "Release 0.2.0"
    told = release.run("git", "tag", "--list", "--format=%(contents)")
    assert told == "0.2.0\n\n### Added\n\n- More."
    assert release.run("git", "worktree", "list").count("\n") == 0
    heading = re.search(
        r"## \[0\.2\.0\] - (\d{4}-\d\d-\d\d)\n", (project / "CHANGELOG.md").read_text()
    )
    cited = yaml.safe_load((project / ".github" / "CITATION.cff").read_text())
    assert (cited["version"], str(cited["date-released"])) == ("0.2.0", heading[1])
    assert 'version = "0.2.0"' in (project / "pyproject.toml").read_text()
    names = ["ganzoo-0.2.0-py3-none-any.whl", "ganzoo-0.2.0.tar.gz"]
    assert sorted(path.name for path in (project / "dist").iterdir()) == names
    assert f"twine upload dist/{names[0]} dist/{names[1]}" in capsys.readouterr().out
    assert release.main(["0.2.0"]) == 1
    assert "the tag v0.2.0 exists already" in capsys.readouterr().err


def test_what_is_not_ready_changes_nothing(release, project, capsys, monkeypatch):
    for version, message in (
        ("0.1.0", "0.1.0 is not above 0.1.0, which was released"),
        ("one", "'one' is not a version"),
        ("0.3.0", "CHANGELOG.md has no heading '## [0.3.0] - unreleased'"),
    ):
        assert release.main([version]) == 1
        assert message in capsys.readouterr().err
    monkeypatch.setattr(release, "PACKAGES", {"ganzoo"})
    assert release.main(["0.2.0"]) == 1
    assert "lacks or should not have: ganzoo_zoo" in capsys.readouterr().err
    (project / "CHANGELOG.md").write_text("changed")
    assert release.main(["0.2.0"]) == 1
    assert "uncommitted changes" in capsys.readouterr().err
    assert release.run("git", "log", "--format=%s") == "start"
    assert release.run("git", "tag") == ""
    assert release.run("git", "worktree", "list").count("\n") == 0


def test_a_wheel_that_lacks_a_part_is_refused(release, tmp_path):
    release.check_wheel(make_wheel(tmp_path), "0.2.0")
    with pytest.raises(release.ReleaseError, match=r"is of version 0\.2\.0, not 0\.3\.0"):
        release.check_wheel(make_wheel(tmp_path), "0.3.0")
    for part in ("entry_points.txt", "LICENSE"):
        with pytest.raises(release.ReleaseError, match=f"has no .*{part}"):
            release.check_wheel(make_wheel(tmp_path, leave_out=part), "0.2.0")
    with pytest.raises(release.ReleaseError, match="should not have: tests"):
        release.check_wheel(
            make_wheel(tmp_path, packages=("ganzoo", "ganzoo_zoo", "tests")), "0.2.0"
        )


def test_the_project_is_ready_for_its_next_release(release):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert release.read_notes(changelog, version)
    cited = yaml.safe_load((ROOT / ".github" / "CITATION.cff").read_text())
    assert cited["version"] == version
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    day = "2026-02-03"
    assert f"version: {version}\ndate-released: {day}\n" in release.cite(
        (ROOT / ".github" / "CITATION.cff").read_text(), version, day
    )


def test_the_workflow_runs_what_a_person_would():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    lines = [
        step["run"].removeprefix(". .venv/bin/activate && ")
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    pages = [".github/CONTRIBUTING.md", "docs/development.md"]
    told = "\n".join((ROOT / page).read_text() for page in pages)
    assert ".ci/run" in lines
    for line in lines:
        assert line in told or line == ".ci/run" or line.startswith("python -m build"), line
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    for version in workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]:
        named = [each for each in classifiers if each.endswith(f":: {version}")]
        assert named or not any(re.search(r":: 3\.\d+$", each) for each in classifiers), version


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_a_form_of_an_issue_is_one(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert form["name"]
    assert form["description"]
    fields = [part for part in form["body"] if part["type"] == "textarea"]
    assert len({part["id"] for part in fields}) == len(form["body"])
    assert all(part["attributes"]["label"] for part in fields)
