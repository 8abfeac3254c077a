"""Checks of recipes that a package ships under a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo.errors import InputError
from ganzoo.models.size_check import build_on_meta
from ganzoo.protocols.dataset import DataSpec
from ganzoo.recipes import OWN, RunRecipe, make_recipe, read_recipe
from ganzoo.registry import ARCHITECTURE, RECIPE_SUFFIX
from ganzoo.resolve import resolve
from ganzoo.storage.paths import names_place
from ganzoo.testing.common import require

if TYPE_CHECKING:
    from torch import nn

    from ganzoo.config import RunConfig


def check_form(path: Path) -> None:
    """The file can be read, knows all of its keys, and says in a line what it is."""
    recipe = read_recipe(path)
    require(
        path.suffix == RECIPE_SUFFIX,
        f"{path.name} must end in {RECIPE_SUFFIX}, as 'ganzoo train --recipe' looks for that",
    )
    require(bool(recipe.title), "a recipe needs a title: 'ganzoo list recipes' prints it")


def check_settings(path: Path) -> None:
    """Every setting is an option of a component that is installed, or of the training."""
    _resolve(read_recipe(path))


def check_shared(path: Path) -> None:
    """A recipe leaves seed and device to each run, and names no place of one machine."""
    recipe = read_recipe(path)
    own = [name for name in OWN if name in recipe.settings]
    require(not own, f"a recipe leaves {' and '.join(own)} to each run: drop it")
    places = [name for name, value in recipe.settings.items() if names_place(value)]
    require(not places, f"{', '.join(places)} is a path or a URL of one machine: drop it")


def check_whole(path: Path) -> None:
    """Every option is stated, so that another version with other defaults changes nothing."""
    recipe = read_recipe(path)
    whole = make_recipe(_resolve(recipe)).settings
    if recipe.data is None:
        whole = {name: value for name, value in whole.items() if not name.startswith("data.")}
    missing = sorted(whole.keys() - recipe.settings.keys())
    require(
        not missing,
        f"a recipe states every option, and {', '.join(missing[:5])} is not stated: write it by "
        "'ganzoo new-plugin NAME --kind recipe'",
    )


def check_parameters(path: Path) -> None:
    """The networks have as many parameters as those of the published configuration."""
    recipe = read_recipe(path)
    if recipe.parameters is None:
        return
    known, config = recipe.parameters, _resolve(recipe)
    architecture = config.architecture.build(ARCHITECTURE)
    data = architecture.complete(DataSpec(shape=known.shape, classes=known.classes))
    independent = config.needs_independent_samples()
    for word, count, build in (
        ("generator", known.generator, lambda: architecture.generator(data)),
        (
            "discriminator",
            known.discriminator,
            lambda: architecture.discriminator(data, independent_samples=independent),
        ),
    ):
        if count is not None:
            found = _count_parameters(build)
            require(
                round(found / known.rounded_to) * known.rounded_to == count,
                f"the {word} has {found:,} parameters, and the published one {count:,}",
            )


recipe_checks: list[Callable[[Path], None]] = [
    check_form,
    check_settings,
    check_shared,
    check_whole,
    check_parameters,
]
"""Checks of recipes. They take the path of a file."""


def _resolve(recipe: RunRecipe) -> RunConfig:
    """Resolve a recipe; one that names no data with those that its architecture has by default."""
    if recipe.data is not None:
        return recipe.resolve()
    settings = {
        name: value for name, value in recipe.settings.items() if not name.startswith("data.")
    }
    try:
        return resolve(recipe.architecture, recipe.loss, None, settings, recipe.trackers)
    except InputError as error:
        raise InputError(f"without its data, the recipe does not resolve: {error}") from None


def _count_parameters(build: Callable[[], nn.Module]) -> int:
    network = build_on_meta(build) or build()
    return sum(each.numel() for each in network.parameters() if each.requires_grad)
