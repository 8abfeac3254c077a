"""What pip installs ganzoo by, in messages, cards, Spaces and packages; and what packages ask for.

Another package bears the same name on the public index. The version tells the two apart, so no
line that somebody may copy names ganzoo without one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from importlib.metadata import version

PACKAGE = "ganzoo"
"""Name of the distribution."""


def build_requirement(extra: str | None = None) -> str:
    """Return the requirement of ganzoo from this version on, such as ``ganzoo[demo]>=0.1``.

    Args:
        extra: An extra of it.
    """
    release = ".".join(version(PACKAGE).split(".")[:2])
    return f"{PACKAGE}{f'[{extra}]' if extra else ''}>={release}"


def build_dependency() -> str:
    """Return what a package of components requires, such as ``ganzoo>=0.1,<0.2``.

    Before 1.0 a minor version may change what components are written against, later a major one.
    """
    major, minor = map(int, version(PACKAGE).split(".")[:2])
    ceiling = f"{major + 1}" if major else f"0.{minor + 1}"
    return f"{build_requirement()},<{ceiling}"


def find_unmet(requirements: Iterable[str]) -> str:
    """Return what a package requires of ganzoo, such as ``>=0.2,<0.3``, if this one is not that.

    Args:
        requirements: What the package requires, as its metadata say. What cannot be read, or holds
            only for another system or an extra, counts for nothing.

    Returns:
        The versions that it is made for; empty if the installed one is among them.
    """
    own = [line for line in requirements if re.match(rf"\s*{PACKAGE}(?![\w.-])", line, re.I)]
    if not own:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement  # takes a while

    for line in own:
        try:
            needed = Requirement(line)
        except InvalidRequirement:
            continue
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        if not needed.specifier.contains(version(PACKAGE), prereleases=True):
            return ",".join(sorted(map(str, needed.specifier), reverse=True))
    return ""


def install_command(extra: str | None = None, others: Iterable[str] = ()) -> str:
    """Return the command that installs ganzoo, quoted for a shell.

    Args:
        extra: An extra of it.
        others: Names of other packages to install with it.
    """
    return shlex.join(["pip", "install", build_requirement(extra), *others])
