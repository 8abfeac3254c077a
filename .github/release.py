"""Release a version: ``python .github/release.py 0.1.0``, on a clean branch.

Works in a working tree of its own: writes the version and the date, builds a source distribution
and a wheel, and checks both. Only then the branch gets the commit and the tag, and ``dist/`` the
files. Nothing is uploaded.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.parser import HeaderParser
from pathlib import Path

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parents[1]
METADATA, CHANGELOG, CITATION = "pyproject.toml", "CHANGELOG.md", ".github/CITATION.cff"
PACKAGES = {"ganzoo", "ganzoo_zoo"}
"""All that a wheel may install."""


class ReleaseError(Exception):
    """What is wrong, and what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Make the release, or say in a line why there is none."""
    parser = argparse.ArgumentParser(description="Build, check, commit and tag a release.")
    parser.add_argument("version", help="such as 0.1.0")
    parser.add_argument("--dry-run", action="store_true", help="stop before the commit and the tag")
    parser.add_argument("--no-isolation", action="store_true", help="build with installed packages")
    options = parser.parse_args(arguments)
    try:
        release(options.version, dry_run=options.dry_run, isolated=not options.no_isolation)
    except ReleaseError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def release(version: str, *, dry_run: bool = False, isolated: bool = True) -> None:
    """Make the release of a version from the commit that is checked out.

    Raises:
        ReleaseError: something is not ready, or a check fails; then nothing has changed.
    """
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    if run("git", "status", "--porcelain"):
        raise ReleaseError("there are uncommitted changes: commit or stash them first")
    if run("git", "tag", "--list", f"v{version}"):
        raise ReleaseError(f"the tag v{version} exists already")
    with separate_tree() as tree:
        notes = write_version(tree, version, today)
        files = build(tree, isolated)
        check_files(files, version)
        target = ROOT / "dist"
        target.mkdir(exist_ok=True)
        kept = [Path(shutil.copy(file, target)) for file in files]
        print("built and checked:", *(file.relative_to(ROOT) for file in kept))
        if dry_run:
            return
        run("git", "commit", "--quiet", "--all", "--message", f"Release {version}", at=tree)
        commit = run("git", "rev-parse", "HEAD", at=tree)
    run("git", "merge", "--quiet", "--ff-only", commit)
    message = f"{version}\n\n{notes}"  # whose headings git would take for comments
    tag = "tag", "--annotate", "--cleanup=whitespace", "--message", message, f"v{version}", commit
    run("git", *tag)
    print(f"committed and tagged v{version}; left to do:")
    print("  git push --follow-tags")
    print(f"  twine upload {shlex.join(str(file.relative_to(ROOT)) for file in kept)}")


def run(*command: str | Path, at: Path | None = None) -> str:
    """Run a program and return what it prints.

    Raises:
        ReleaseError: it fails, with the end of what it said.
    """
    done = subprocess.run(command, cwd=at or ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise ReleaseError(f"{shlex.join(map(str, command))}: {said}")
    return done.stdout.strip()


@contextmanager
def separate_tree() -> Iterator[Path]:
    """Check the current commit out elsewhere for a while."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        run("git", "worktree", "add", "--quiet", "--detach", tree)
        try:
            yield tree
        finally:
            run("git", "worktree", "remove", "--force", tree)


def write_version(tree: Path, version: str, day: str) -> str:
    """Write the version and its date wherever they stand; return the notes of the changelog.

    Raises:
        ReleaseError: the version or the changelog is not that of a release.
    """
    changelog = (tree / CHANGELOG).read_text(encoding="utf-8")
    check_version(version, re.findall(r"^## \[(.+?)\] - \d", changelog, re.M))
    for name, change in (
        (METADATA, lambda text: replace_field(text, "version = ", f'"{version}"')),
        (CHANGELOG, lambda text: date_heading(text, version, day)),
        (CITATION, lambda text: cite(text, version, day)),
    ):
        path = tree / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    return read_notes(changelog, version)


def check_version(version: str, released: Iterable[str]) -> None:
    """Refuse what is no version, or is not above those that were released."""
    try:
        wanted = Version(version)
    except InvalidVersion:
        raise ReleaseError(f"'{version}' is not a version, such as 0.1.0") from None
    newest = max(map(Version, released), default=None)
    if newest is not None and wanted <= newest:
        raise ReleaseError(f"{version} is not above {newest}, which was released")


def date_heading(changelog: str, version: str, day: str) -> str:
    """Give the heading of an unreleased version its date."""
    heading = f"## [{version}] - "
    if f"{heading}unreleased\n" not in changelog:
        raise ReleaseError(f"{CHANGELOG} has no heading '{heading}unreleased'")
    return changelog.replace(f"{heading}unreleased\n", f"{heading}{day}\n")


def read_notes(changelog: str, version: str) -> str:
    """Return what the changelog says of a version."""
    _, _, rest = changelog.partition(f"## [{version}] - ")
    notes = rest.partition("\n")[2].partition("\n## [")[0].strip()
    if not notes:
        raise ReleaseError(f"{CHANGELOG} says nothing of {version}")
    return notes


def cite(text: str, version: str, day: str) -> str:
    """Write the version and its date into the file by which the project is cited."""
    text = re.sub(r"^date-released: .*\n", "", text, flags=re.M)
    return replace_field(text, "version: ", f"{version}\ndate-released: {day}")


def replace_field(text: str, field: str, value: str) -> str:
    """Replace the value of a field that stands on one line of its own."""
    changed, count = re.subn(rf"^{field}.*$", lambda _: field + value, text, flags=re.M)
    if count != 1:
        raise ReleaseError(f"there is not one line '{field}...' but {count}")
    return changed


def build(tree: Path, isolated: bool) -> list[Path]:
    """Build a source distribution and, of it, a wheel."""
    options = [] if isolated else ["--no-isolation"]
    run(sys.executable, "-m", "build", *options, at=tree)
    return sorted((tree / "dist").iterdir())


def check_files(files: list[Path], version: str) -> None:
    """Refuse files that are not those of the release, or whose README an index cannot render."""
    if [file.suffix for file in files] != [".whl", ".gz"]:
        raise ReleaseError(f"not a wheel and a source distribution: {[f.name for f in files]}")
    check_wheel(files[0], version)
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files)
    if "warning" in said.lower():
        raise ReleaseError(said)


def check_wheel(wheel: Path, version: str) -> None:
    """Refuse a wheel of another version, or one that lacks a part or has one too many."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (info,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
        written = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode("utf-8"))
    if written["Version"] != str(Version(version)):
        raise ReleaseError(f"{wheel.name} is of version {written['Version']}, not {version}")
    others = ({name.split("/")[0] for name in names} - {info}) ^ PACKAGES
    if others:
        raise ReleaseError(f"{wheel.name} lacks or should not have: {', '.join(sorted(others))}")
    for part in ("entry_points.txt", "licenses/LICENSE"):
        if f"{info}/{part}" not in names:
            raise ReleaseError(f"{wheel.name} has no {part}")


if __name__ == "__main__":
    sys.exit(main())
