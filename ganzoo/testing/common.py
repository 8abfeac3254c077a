"""Helpers for the checks of every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import torch
from pydantic import ValidationError

from ganzoo.component import Component, parse_options, place_options
from ganzoo.compute.seeding import preserve_rng_state
from ganzoo.errors import GanzooError, InputError
from ganzoo.protocols.recipe import Recipe
from ganzoo.resolve import group_settings

if TYPE_CHECKING:
    from ganzoo.protocols.architecture import Architecture
    from ganzoo.protocols.loss import Loss

PLACE_WORDS = {"path", "root", "dir", "directory", "url", "uri"}
"""Words in the names of options that are likely to be paths or URLs."""
UNUSUAL_SEED = 14_062_661
"""A seed that a component is unlikely to use itself."""


class ConformanceError(AssertionError):
    """A component violates its protocol; the message says what the protocol requires."""


def require(condition: bool, message: str) -> None:
    """Raise a :class:`ConformanceError` unless a condition holds."""
    if not condition:
        raise ConformanceError(message)


@contextmanager
def explain_errors(asked: str) -> Iterator[None]:
    """Turn an exception from a component into a :class:`ConformanceError`.

    ganzoo's own errors pass through, as their messages explain themselves.

    Args:
        asked: What the protocol requires, for the message.
    """
    try:
        yield
    except (ConformanceError, GanzooError):
        raise
    except Exception as error:
        raise ConformanceError(f"{asked}; it raised {type(error).__name__}: {error}") from error


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Seed torch's global generator, and restore its state afterwards."""
    with preserve_rng_state():
        torch.manual_seed(seed)
        yield


@contextmanager
def untouched_randomness(what: str) -> Iterator[None]:
    """Require that torch's global random state does not change.

    Args:
        what: The component or method to blame, for the message.
    """
    # With the usual seed, a component that sets that very seed would go unnoticed.
    with seeded(UNUSUAL_SEED):
        before = torch.get_rng_state()
        yield
        require(
            torch.equal(before, torch.get_rng_state()),
            f"{what} must leave torch's global random state alone: "
            "draw from a generator of its own",
        )


def _is_text_called_a_place(name: str, annotation: Any) -> bool:
    """Tell whether an option is text, and its name says that it is a path or a URL."""
    is_text = annotation is str or str in get_args(annotation)
    return is_text and not PLACE_WORDS.isdisjoint(name.lower().split("_"))


def check_options(component: Component) -> None:
    """Options survive JSON, unknown ones are refused, and each has a description."""
    cls = type(component)
    asked = "options must survive a round trip through JSON: config.json rebuilds the component"
    with explain_errors(asked):
        dumped = json.loads(json.dumps(component.model_dump(mode="json"), allow_nan=False))
        rebuilt = cls.model_validate(dumped)
    require(rebuilt == component, asked)
    try:
        cls.model_validate({**dumped, "no_such_option": 1})
    except ValidationError:
        pass
    else:
        raise ConformanceError("an unknown option must be refused: keep extra='forbid'")
    for name, field in cls.model_fields.items():
        require(
            bool(field.description),
            f"option '{name}' needs a description: Field(default=..., description='...')",
        )
        require(
            name in place_options(cls) or not _is_text_called_a_place(name, field.annotation),
            f"option '{name}' seems to be a path or a URL: annotate it as pathlib.Path, "
            "ganzoo.component.AbsolutePath or pydantic.AnyUrl, so that models of other people "
            "cannot choose it",
        )
    require(cls.__doc__ is not None, "the class needs a docstring: 'ganzoo show' prints it")


def require_recipes(component: Architecture | Loss, prefix: str) -> None:
    """Require that recipes have the right types, and set options that there are.

    Args:
        component: An architecture or a loss.
        prefix: Prefix of its options.
    """
    tuned = component.tuned_recipes
    require(isinstance(tuned, tuple), f"tuned_recipes must be a tuple of recipes, not {tuned!r}")
    named = getattr(component, "named_recipes", {}).values()
    for recipe in (*tuned, *([] if component.recipe is None else [component.recipe]), *named):
        require(
            isinstance(recipe, Recipe),
            "a recipe must be a ganzoo.Recipe, such as Recipe(generator_lr=..., n_critic=...), "
            f"not {recipe!r}",
        )
        try:
            own = group_settings(recipe.settings)[prefix]
            parse_options(type(component), own, f"{prefix}.")
        except InputError as error:
            raise ConformanceError(f"a recipe has wrong settings: {error}") from None
