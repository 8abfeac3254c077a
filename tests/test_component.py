"""Options: how their values are read, and what is said of those that do not fit."""

import math
from typing import Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from ganzoo import DataSpec, Recipe
from ganzoo.component import Component, explain_error, parse_options
from ganzoo.errors import InputError


class Knobs(Component):
    """Everything that an option can be.

    More is said below, where nobody looks.
    """

    count: int = Field(default=3, ge=1, le=1000, description="A number of things.")
    rate: float = Field(default=0.1, gt=0, description="A rate.")
    name: str = Field(default="a", description="A name.")
    flag: bool = Field(default=False, description="On or off.")
    sizes: tuple[int, ...] = Field(default=(1, 2), min_length=1, description="Some sizes.")
    pair: tuple[float, float] = Field(default=(0.0, 1.0), description="Two numbers.")
    limit: int | None = Field(default=None, description="A limit, if there is one.")
    label: str | None = Field(default="x", description="A label, if there is one.")
    mode: Literal["fast", "slow"] = Field(default="fast", description="One of two words.")
    channels: Literal[1, 3] = Field(default=1, description="One of two numbers.")


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("count", "7", 7),
        ("count", "1e2", 100),
        ("rate", "0.25", 0.25),
        ("rate", "1e-4", 1e-4),
        ("rate", "2", 2.0),
        ("name", "plain", "plain"),
        ("name", "007", "007"),
        ("name", "1.50", "1.50"),
        ("name", "true", "true"),
        ("name", "null", "null"),
        ("name", "a,b", "a,b"),
        ("name", "[1]", "[1]"),
        ("name", "", ""),
        ("flag", "true", True),
        ("flag", "false", False),
        ("flag", "yes", True),
        ("flag", "0", False),
        ("sizes", "[4, 5]", (4, 5)),
        ("sizes", "4,5", (4, 5)),
        ("sizes", "4, 5,", (4, 5)),
        ("sizes", "4", (4,)),
        ("pair", "0,0.9", (0.0, 0.9)),
        ("pair", "[0.5, 1]", (0.5, 1.0)),
        ("limit", "5", 5),
        ("limit", "null", None),
        ("label", "5", "5"),
        ("label", "null", None),
        ("mode", "slow", "slow"),
        ("channels", "3", 3),
    ],
)
def test_a_value_is_read_from_text_as_its_type(option, text, value):
    read = getattr(parse_options(Knobs, {option: text}), option)
    assert read == value
    assert type(read) is type(value)
    if isinstance(value, tuple):
        assert [type(item) for item in read] == [type(item) for item in value]


def test_values_from_python_are_taken_as_they_are():
    knobs = parse_options(Knobs, {"sizes": (8, 9), "limit": None, "flag": True, "rate": 1})
    assert knobs == Knobs(sizes=(8, 9), limit=None, flag=True, rate=1.0)


def test_what_is_not_given_keeps_its_default():
    assert parse_options(Knobs, {}) == Knobs()
    assert parse_options(Knobs, {"count": 4}).rate == 0.1


WRONG = [
    ("cuont", "1", "unknown option 'loss.cuont'; did you mean 'count'?"),
    (
        "count",
        "many",
        "option 'loss.count': input should be a valid integer, unable to parse string as an "
        "integer, got 'many'",
    ),
    ("count", "true", "option 'loss.count': input should be a valid integer, unable to parse"),
    ("count", "1.5", "option 'loss.count': input should be a valid integer"),
    ("count", "null", "option 'loss.count': input should be a valid integer"),
    ("count", "0", "option 'loss.count': input should be greater than or equal to 1, got '0'"),
    ("count", 1001, "option 'loss.count': input should be less than or equal to 1000, got 1001"),
    ("rate", "0", "option 'loss.rate': input should be greater than 0, got '0'"),
    ("rate", "fast", "option 'loss.rate': input should be a valid number"),
    ("rate", None, "option 'loss.rate': input should be a valid number, got None"),
    ("name", 7, "option 'loss.name': input should be a valid string, got 7"),
    ("flag", "maybe", "option 'loss.flag': input should be a valid boolean"),
    (
        "sizes",
        "1,x",
        "option 'loss.sizes': input should be a valid integer, unable to parse string",
    ),
    ("sizes", "[]", "option 'loss.sizes': tuple should have at least 1 item"),
    ("sizes", "x", "option 'loss.sizes': input should be a valid tuple, got 'x'"),
    ("pair", "1,2,3", "option 'loss.pair': tuple should have at most 2 items"),
    ("pair", "[1]", "option 'loss.pair': a value is missing"),
    ("mode", "medium", "option 'loss.mode': input should be 'fast' or 'slow', got 'medium'"),
    ("channels", "2", "option 'loss.channels': input should be 1 or 3, got '2'"),
]


@pytest.mark.parametrize(("option", "value", "message"), WRONG)
def test_a_value_that_does_not_fit_is_refused_in_a_line(option, value, message):
    with pytest.raises(InputError) as caught:
        parse_options(Knobs, {option: value}, "loss.")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_unknown_option_near_to_none_lists_those_there_are():
    with pytest.raises(InputError) as caught:
        parse_options(Knobs, {"zzzzzz": 1})
    assert str(caught.value) == f"unknown option 'zzzzzz'; known: {', '.join(Knobs.model_fields)}"

    class Plain(Component):
        """No options."""

    with pytest.raises(InputError, match=r"known: none$"):
        parse_options(Plain, {"count": 1})


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "Infinity", "1e999", math.nan, math.inf])
def test_numbers_are_finite(value):
    with pytest.raises(InputError, match="option 'rate': input should be"):
        parse_options(Knobs, {"rate": value})
    with pytest.raises(InputError, match="option 'pair': input should be a finite number"):
        parse_options(Knobs, {"pair": f"0,{value}" if isinstance(value, str) else (0, value)})


def test_a_component_is_frozen_and_hashable():
    knobs = Knobs()
    with pytest.raises(ValidationError, match="frozen"):
        knobs.count = 4
    assert hash(knobs) == hash(Knobs())


def test_options_survive_json():
    knobs = Knobs(sizes=(3, 4), pair=(0.0, 0.5), limit=2)
    assert Knobs.model_validate_json(knobs.model_dump_json()) == knobs


def test_a_long_value_is_cut():
    with pytest.raises(InputError) as caught:
        parse_options(Knobs, {"count": "9" * 10_000})
    assert len(str(caught.value)) < 300


class Fussy(Component):
    """Options that judge each other."""

    low: float = Field(default=0.0, description="The lower end.")
    high: float = Field(default=1.0, description="The upper end.")
    step: float = Field(default=0.1, description="Not of every type.")

    @field_validator("step", mode="before")
    @classmethod
    def _float(cls, value):
        return float(value)

    @model_validator(mode="after")
    def _ordered(self):
        if self.low > self.high:
            raise ValueError("Low must not\nexceed high")
        return self


def test_a_complaint_of_the_whole_is_a_line():
    with pytest.raises(InputError) as caught:
        parse_options(Fussy, {"low": "2"}, "loss.")
    assert str(caught.value) == "loss options: low must not exceed high"


def test_a_validator_that_expects_other_types_is_no_crash():
    assert parse_options(Fussy, {"step": "0.5"}).step == 0.5
    with pytest.raises(InputError, match=r"^loss options: float\(\) argument must be"):
        parse_options(Fussy, {"step": ["0.5"]}, "loss.")


def test_an_option_without_a_default_must_be_given():
    class Needy(Component):
        """One option that has no default."""

        path: str = Field(description="Where to look.")

    with pytest.raises(InputError) as caught:
        parse_options(Needy, {}, "data.")
    assert str(caught.value) == "option 'data.path': field required"


def test_the_summary_is_the_first_paragraph():
    assert Knobs.summary() == "Everything that an option can be."

    class Long(Component):
        """One paragraph
        over two lines.

        And another.
        """

    assert Long.summary() == "One paragraph over two lines."


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"count": 0}, "count: Input should be greater than or equal to 1"),
        ({"pair": [1, "x"]}, "pair.1: Input should be a valid number, unable to parse string"),
        ([], "Input should be a valid dictionary or instance of Knobs"),
    ],
)
def test_a_complaint_about_a_file_names_the_place(values, said):
    with pytest.raises(ValidationError) as caught:
        Knobs.model_validate(values)
    assert explain_error(caught.value).startswith(said)


class Knob(Component):
    """One option."""

    count: int = Field(default=1, ge=1, description="How many.")
    flag: bool | int = Field(default=False, description="Whether, or how often.")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Knob(count=0), "option 'Knob.count': input should be greater than or equal to 1"),
        (lambda: Knob(cuont=2), "unknown option 'Knob.cuont'; did you mean 'count'?"),
        (lambda: Knob(count="x"), "option 'Knob.count': input should be a valid integer"),
        (lambda: Knob(count=True), "option 'Knob.count' must be a number, not True"),
        (lambda: DataSpec(), "option 'DataSpec.shape': field required"),
        (
            lambda: DataSpec(shape=(1, 1, 9, 9)),
            "DataSpec options: a sample is (C, H, W), (C, T) ",
        ),
        (lambda: Recipe(n_critic=0), "option 'Recipe.n_critic': input should be greater than"),
        (lambda: parse_options(Knobs, {"count": True}), "option 'count' must be a number, not Tr"),
    ],
)
def test_wrong_values_of_a_class_are_one_line(build, said):
    with pytest.raises(InputError) as caught:
        build()
    assert str(caught.value).startswith(said)
    assert len(str(caught.value).splitlines()) == 1


def test_an_option_that_may_be_true_takes_it():
    assert Knob(flag=True).flag is True
    assert parse_options(Knob, {"flag": True}).flag is True


def test_a_wrong_value_inside_a_file_is_still_explained_by_its_place():
    class Whole(BaseModel):
        parts: tuple[Knob, ...]

    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"parts": [{}, {"count": 0}]})
    assert explain_error(caught.value).startswith("parts.1.count: Input should be greater than")
