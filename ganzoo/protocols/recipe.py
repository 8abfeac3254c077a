"""Recipes: the settings that an architecture or a loss is trained with."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, JsonValue

from ganzoo.component import Options

Beta = Annotated[float, Field(ge=0, lt=1)]
Betas: TypeAlias = tuple[Beta, Beta]
LearningRate = Annotated[float, Field(ge=0, le=1e6)]
DataKind: TypeAlias = Literal["images", "signals", "vectors", "points"]
"""Kinds of data. Points are vectors of few numbers, such as those of ``ring``."""
RecipeName: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]
"""``tuned``, ``paper``, or a name that the architecture gives a recipe."""
USUAL_RECIPES = ("tuned", "paper")

SCHEDULABLE: dict[str, JsonValue] = {"schedulable": True}
"""Marks a training option that may follow a :class:`~ganzoo.protocols.schedule.Schedule`."""
IN_JUMPS: dict[str, JsonValue] = {"schedulable": "in jumps"}
"""Marks a whole number among them, whose schedule is constant from one step to another."""
RESUMABLE: dict[str, JsonValue] = {"resumable": True}
"""Marks a training option that may change when a run is resumed: no finished step depends on it."""


class RecipeOptions(Options):
    """The training options that recipes give."""

    steps: int = Field(
        default=1000, ge=0, description="Generator updates.", json_schema_extra=RESUMABLE
    )
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = Field(
        default="adam",
        description="Optimiser of both networks; sgd is plain gradient descent, without momentum.",
    )
    generator_lr: LearningRate = Field(
        default=2e-4, description="Learning rate of the generator.", json_schema_extra=SCHEDULABLE
    )
    discriminator_lr: LearningRate = Field(
        default=2e-4,
        description="Learning rate of the discriminator.",
        json_schema_extra=SCHEDULABLE,
    )
    betas: Betas = Field(
        default=(0.5, 0.999),
        description="Adam's two decay rates, of both networks.",
        json_schema_extra=SCHEDULABLE,
    )
    generator_betas: Betas | None = Field(
        default=None,
        description="Those of the generator, if they differ.",
        json_schema_extra=SCHEDULABLE,
    )
    discriminator_betas: Betas | None = Field(
        default=None,
        description="Those of the discriminator, if they differ.",
        json_schema_extra=SCHEDULABLE,
    )
    eps: float = Field(
        default=1e-8,
        gt=0,
        le=1,
        description="What the optimisers add to the root of the mean squared gradient.",
        json_schema_extra=SCHEDULABLE,
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="Weight decay of both networks: decoupled for adamw, else a term of the loss.",
        json_schema_extra=SCHEDULABLE,
    )
    clip_norm: float = Field(
        default=0.0,
        ge=0,
        description="Largest norm of a network's gradient, to which larger ones are scaled down; 0 "
        "for no limit.",
        json_schema_extra=SCHEDULABLE,
    )
    n_critic: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Discriminator updates for each generator update.",
        json_schema_extra=IN_JUMPS,
    )
    batch_size: int = Field(default=32, ge=1, le=65_536, description="Samples in a batch.")
    accumulate: int = Field(
        default=1,
        ge=1,
        le=65_536,
        description="Parts of a batch to compute one after another, which takes less memory; the "
        "step is that of the whole batch.",
    )
    lr_decay: Literal["none", "linear", "cosine"] = Field(
        default="none",
        description="Schedule by which both learning rates fall to 0 at the last step.",
    )
    lr_decay_from: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the steps before the decay begins, from 0 to 1.",
    )
    ema_half_life: float = Field(
        default=10_000,
        ge=0,
        le=1e12,
        description="Half-life of the moving average of the generator's weights, in images that "
        "the discriminator saw; 0 for no averaging.",
        json_schema_extra=SCHEDULABLE,
    )
    ema_ramp: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="The half-life is at most this share of the images seen so far, so that the "
        "average forgets the first steps (Karras et al. 2020, arXiv:1912.04958); 0 for no limit.",
        json_schema_extra=SCHEDULABLE,
    )


class Recipe(RecipeOptions):
    """Settings to train with, of an architecture or of a loss. A run may override each of them.

    A run takes one recipe, whole; :func:`ganzoo.resolve.choose_recipe` says which.
    """

    loss: str | None = Field(default=None, description="The only loss that it is for, by name.")
    data: DataKind | None = Field(default=None, description="The only kind of data that it is for.")
    settings: dict[str, JsonValue] = Field(
        default={},
        description="Further settings by their full names, such as ``arch.z_dim``, schedules "
        "among them.",
    )
    source: str = Field(default="", description="Where it comes from: a paper, or a search.")

    def replace(self, **changes: Any) -> Recipe:
        """Return the recipe with some values changed.

        Raises:
            ganzoo.errors.InputError: a name is unknown, or a value is invalid.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return Recipe(**{**given, **changes})

    def suits(self, loss: str, data: DataKind) -> bool:
        """Tell whether it is for a loss, by its bare name, and for a kind of data."""
        kinds = (None, data, "vectors") if data == "points" else (None, data)
        return self.loss in (None, loss) and self.data in kinds

    def by_full_names(self) -> dict[str, Any]:
        """Return what it gives, by full names such as ``train.n_critic``."""
        options = self.model_dump(include=set(RecipeOptions.model_fields))
        return {**{f"train.{name}": value for name, value in options.items()}, **self.settings}


def find_tuned_recipes(component: Any) -> tuple[Recipe, ...]:
    """Return the tuned recipes of an architecture or a loss, with its options or as a class.

    A class that declares a recipe of its own inherits none: those would be of another component,
    and would count before its own.
    """
    cls = component if isinstance(component, type) else type(component)
    for base in cls.__mro__:
        if "tuned_recipes" in vars(base):
            found: tuple[Recipe, ...] = component.tuned_recipes
            return found
        if "recipe" in vars(base):
            break
    return ()
