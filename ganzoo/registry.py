"""The registry of components, which finds them by name through entry points.

Names come from the metadata of installed packages; a component's code is imported only when it is
used. No package has precedence: if two packages claim a name, write ``package:name`` to choose one.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from ganzoo.arguments import require_text
from ganzoo.errors import InputError, PluginError, did_you_mean
from ganzoo.requirement import PACKAGE, find_unmet
from ganzoo.storage.paths import FILE_NAME


@dataclass(frozen=True)
class Kind:
    """One kind of component, such as losses."""

    word: str
    """Its name in messages."""
    group: str
    """Its entry-point group."""
    base: str
    """Its base class, as ``module:name``; empty for a kind of files."""
    instances: bool = False
    """Whether an entry point is an instance of the base class rather than a subclass."""

    @property
    def plural(self) -> str:
        """The plural of its name."""
        return self.group.rpartition(".")[2].replace("_", " ")


ARCHITECTURE = Kind(
    "architecture", "ganzoo.architectures", "ganzoo.protocols.architecture:Architecture"
)
LOSS = Kind("loss", "ganzoo.losses", "ganzoo.protocols.loss:Loss")
PENALTY = Kind("penalty", "ganzoo.penalties", "ganzoo.protocols.penalty:Penalty")
DATASET = Kind("dataset", "ganzoo.datasets", "ganzoo.protocols.dataset:Dataset")
AUGMENTATION = Kind(
    "augmentation", "ganzoo.augmentations", "ganzoo.protocols.augmentation:Augmentation"
)
EVALUATOR = Kind("evaluator", "ganzoo.evaluators", "ganzoo.protocols.evaluator:Evaluator")
FEATURE_EXTRACTOR = Kind(
    "feature extractor", "ganzoo.feature_extractors", "ganzoo.protocols.evaluator:FeatureExtractor"
)
TRACKER = Kind("tracker", "ganzoo.trackers", "ganzoo.protocols.tracker:Tracker")
CONVERTER = Kind("converter", "ganzoo.converters", "ganzoo.protocols.converter:Converter")
SPACE = Kind("space", "ganzoo.spaces", "ganzoo.protocols.space:Space")
COMMAND = Kind("command", "ganzoo.commands", "typer:Typer", instances=True)
KINDS = (
    ARCHITECTURE,
    LOSS,
    PENALTY,
    DATASET,
    AUGMENTATION,
    EVALUATOR,
    FEATURE_EXTRACTOR,
    TRACKER,
    CONVERTER,
    SPACE,
    COMMAND,
)
"""Kinds of components, which are imported when they are used."""
MODEL = Kind("model", "ganzoo.models", "")
RECIPE = Kind("recipe", "ganzoo.recipes", "")
RECIPE_SUFFIX = ".yaml"
FILE_KINDS = (MODEL, RECIPE)
"""Kinds of files. Their entry points name a package, and the name is that of a file or a folder in
it; nothing is imported to read them."""
ALL_KINDS = (*KINDS, *FILE_KINDS)
FUNCTION = Kind("function", "ganzoo.functions", "collections.abc:Callable", instances=True)
"""Functions that packages add to ``import ganzoo``. They are no components: no run names them."""


@dataclass(frozen=True)
class Entry:
    """A component as its package announces it in its metadata."""

    kind: Kind
    name: str
    package: str
    """Name of the distribution."""
    version: str
    """Version of the distribution."""
    target: str
    """The object to import, as ``module:name``; of a kind of files, the package that holds them."""
    made_for: str = ""
    """The versions of ganzoo that its package requires, as ``>=0.2``; empty if this is one."""

    @property
    def qualified(self) -> str:
        """The unambiguous name, ``package:name``."""
        return f"{self.package}:{self.name}"

    @property
    def title(self) -> str:
        """Kind, name, package and version, for messages."""
        return f"{self.kind.word} '{self.name}' of {self.package} {self.version}"

    def locate(self, suffix: str = "") -> Path:
        """Find the file or folder of this name in its package, without importing anything.

        Args:
            suffix: What follows the name, such as ``.yaml``.

        Raises:
            PluginError: there is none.
        """
        if not re.fullmatch(FILE_NAME, self.name):
            raise PluginError(f"{self.title} cannot be found: its name is not that of a file")
        try:
            spec = find_module(self.target)
        except Exception as error:  # a finder of a package may fail in any way
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PluginError(f"{self.title} cannot be found ({self.target}): {reason}") from None
        for folder in (spec.submodule_search_locations if spec else None) or ():
            if (path := Path(folder) / f"{self.name}{suffix}").exists():
                return path
        raise PluginError(f"{self.title} is missing: {self.target} has no {self.name}{suffix}")

    def require_fitting(self) -> None:
        """Check that its package is made for this version of ganzoo.

        Raises:
            PluginError: it is made for others.
        """
        if self.made_for:
            installed = importlib.metadata.version(PACKAGE)
            raise PluginError(
                f"{self.title} is made for ganzoo {self.made_for}, and this is ganzoo {installed}: "
                f"install another version of {self.package}, or of ganzoo"
            )

    def load(self) -> Any:
        """Import the component, and check that it has its kind's base class.

        Raises:
            PluginError: its package is made for another ganzoo, the import fails, or the object is
                not a component of this kind.
        """
        self.require_fitting()
        try:
            loaded = _import(self.target)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit on import
            cause = (str(error).strip() or "no message").splitlines()[0]
            raise PluginError(
                f"{self.title} fails to import ({self.target}): {type(error).__name__}: {cause}"
            ) from error
        base: Any = _import(self.kind.base)
        if self.kind.instances:
            fits, wanted = isinstance(loaded, base), "an instance"
        else:
            fits, wanted = isinstance(loaded, type) and issubclass(loaded, base), "a subclass"
        if not fits:
            word = f"{base.__module__.partition('.')[0]}.{base.__name__}"
            raise PluginError(f"{self.title} is not a {word}: {self.target} must be {wanted} of it")
        if inspect.isabstract(loaded):
            missing = ", ".join(sorted(getattr(loaded, "__abstractmethods__", ())))
            raise PluginError(f"{self.title} is incomplete: {self.target} must define {missing}")
        return loaded


def find_module(name: str) -> ModuleSpec | None:
    """Find a module without importing it or the packages around it; None if there is none."""
    top, *submodules = name.split(".")
    spec = importlib.util.find_spec(top)
    for each in submodules:
        if spec is None:
            return None
        spec = PathFinder.find_spec(each, spec.submodule_search_locations)
    return spec


def entries(kind: Kind) -> list[Entry]:
    """List all installed components of a kind, sorted by name."""
    found = {entry for entry in _read_entries(tuple(sys.path)) if entry.kind == kind}
    return sorted(found, key=lambda entry: (entry.name, entry.package))


@functools.lru_cache(maxsize=1)
def _read_entries(path: tuple[str, ...]) -> list[Entry]:
    """Read the entry points of all packages on a path."""
    points = importlib.metadata.entry_points()
    packages: dict[int, tuple[str, str, str]] = {}
    found = []
    for kind in (*ALL_KINDS, FUNCTION):
        for point in points.select(group=kind.group):
            if point.dist is None:
                continue
            if id(point.dist) not in packages:
                packages[id(point.dist)] = _describe_package(point.dist)
            package, version, made_for = packages[id(point.dist)]
            found.append(Entry(kind, point.name, package, version, point.value, made_for))
    return found


def _describe_package(distribution: importlib.metadata.Distribution) -> tuple[str, str, str]:
    """Return a package's name and version, and the ganzoo that it needs if this one is not that."""
    metadata = distribution.metadata  # read once: every property of it parses the file again
    name = metadata["Name"]
    needed = [] if name == PACKAGE else metadata.get_all("Requires-Dist") or []
    return name, metadata["Version"], find_unmet(needed)


def find_kind(word: str) -> Kind:
    """Find a kind by its name, in the singular or the plural: ``losses``, ``feature-extractor``.

    Raises:
        InputError: there is none; the message suggests the nearest.
    """
    word = require_text("a kind of component, such as losses", word)
    words = {spelling: kind for kind in ALL_KINDS for spelling in (kind.word, kind.plural)}
    found = words.get(word.replace("-", " ").replace("_", " "))
    if found is None:
        known = ", ".join(kind.plural for kind in ALL_KINDS)
        hint = did_you_mean(word, words) or f"; known: {known}"
        raise InputError(f"no kind of component is called '{word}'{hint}")
    return found


def conflicts(listed: list[Entry]) -> set[str]:
    """Return the names that more than one package claims, from a list of one kind."""
    return {name for name, count in Counter(entry.name for entry in listed).items() if count > 1}


def find_all(kind: Kind, name: str) -> list[Entry]:
    """List all components called ``name`` or ``package:name``."""
    package, _, bare = name.rpartition(":")
    return [
        entry
        for entry in entries(kind)
        if entry.name == bare and (not package or _is_same_package(entry.package, package))
    ]


def shorten_name(kind: Kind, name: str, package: str) -> str:
    """Return the name of a component or file, with its package unless no other one has the name."""
    return name if len(find_all(kind, name)) == 1 else f"{package}:{name}"


def find(kind: Kind, name: str) -> Entry:
    """Find the only component called ``name`` or ``package:name``.

    Raises:
        InputError: there is none; the message suggests the nearest name.
        PluginError: several packages claim the name; the message names them.
    """
    name = require_text(f"a name of 'ganzoo list {kind.plural.replace(' ', '-')}'", name)
    found = find_all(kind, name)
    if len(found) == 1:
        return found[0]
    if found:
        owners = " and ".join(entry.package for entry in found)
        ways = " or ".join(f"'{entry.qualified}'" for entry in found)
        raise PluginError(f"{kind.word} '{name}' is claimed by {owners}; write {ways}")
    names = sorted({entry.name for entry in entries(kind)})
    near = did_you_mean(name.rpartition(":")[2], names)
    hint = near or f"; installed: {', '.join(names) or 'none'}"
    raise InputError(f"no {kind.word} is called '{name}'{hint}")


def find_entry(component: type) -> Entry | None:
    """Find how a package announces a class that is in use; None if none does."""
    bases = {f"{base.__module__}:{base.__qualname__}" for base in component.__mro__}
    for entry in (each for kind in KINDS if kind.base in bases for each in entries(kind)):
        module, _, attribute = entry.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is component:
            return entry
    return None


def get(kind: Kind, name: str) -> Any:
    """Find a component as :func:`find` does, import it and return it.

    Raises:
        InputError: there is none of this name.
        PluginError: several packages claim the name, or the component is broken.
    """
    return find(kind, name).load()


def find_in_package(kind: Kind, name: str, package: str, version: str) -> Entry:
    """Find a component that a stored configuration names, in the package that provided it.

    Raises:
        PluginError: the package is not installed, or has no such component.
    """
    try:
        return find(kind, f"{package}:{name}")
    except InputError:
        origin = f"{kind.word} '{name}' comes from the package {package} {version}"
        raise _explain_missing(origin, package, version) from None


def _explain_missing(origin: str, package: str, version: str) -> PluginError:
    """Explain how to install a package that should provide a component."""
    try:
        installed = importlib.metadata.version(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return PluginError(
            f"{origin}, which is not installed here: pip install {package}",
            "that name comes from the configuration, which anybody may have written: check the "
            "package before you install it",
        )
    return PluginError(
        f"{origin}, but version {installed} here does not have it: pip install {package}=={version}"
    )


def _is_same_package(one: str, other: str) -> bool:
    """Tell whether two distribution names are equal after normalisation."""
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()


def _import(target: str) -> object:
    module, _, attribute = target.partition(":")
    found = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
