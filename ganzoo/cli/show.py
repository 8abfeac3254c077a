"""``ganzoo show``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ganzoo import registry
from ganzoo.cli.common import Json, complete_names, print_json, print_line
from ganzoo.cli.describe import (
    describe_component,
    describe_model,
    list_declarations,
    list_recipes,
)
from ganzoo.cli.help import list_examples
from ganzoo.cli.plugins import own_commands
from ganzoo.display.messages import note
from ganzoo.errors import InputError, PluginError, did_you_mean
from ganzoo.registry import ALL_KINDS, AUGMENTATION, COMMAND, MODEL, PENALTY, RECIPE, TRACKER
from ganzoo.storage.paths import user_path

EXAMPLES = list_examples(
    ("A component: its paper, its recipe and its options.", "show wgan-gp"),
    ("What a model is.", "show RUN"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show", epilog=EXAMPLES)(show)


def show(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME or MODEL",
            help="A component or a model.",
            autocompletion=complete_names(*ALL_KINDS),
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show a component or a model.

    For a component: its options, its paper, its recipes and its declarations.
    """
    described = _describe(name)
    if as_json:
        print_json(described[0] if len(described) == 1 else described)
        return
    own = own_commands(context)
    for one in described:
        if one["kind"] == MODEL.word:
            _print_model(one)
        elif one["kind"] == RECIPE.word:
            _print_recipe(one)
        else:
            _print_component(one)
        if one["kind"] == COMMAND.word:
            command = f"{one['package']}:{one['name']}" if one["name"] in own else one["name"]
            print(f"  'ganzoo {command} --help' shows its options")


def _describe(name: str) -> list[dict[str, Any]]:
    """Describe all components called ``name``, or else the model of that path.

    If some of several components are broken, they are noted on standard error.
    """
    entries = [entry for kind in ALL_KINDS for entry in registry.find_all(kind, name)]
    described, failures = [], []
    for entry in entries:
        try:
            described.append(describe_component(entry))
        except PluginError as error:
            failures.append(error)
    if described:
        for failure in failures:
            note(f"broken: {failure}")
        return described
    if failures:
        raise failures[0]
    if "/" in name or user_path(name).exists():
        return [describe_model(name)]
    known = {entry.name for kind in ALL_KINDS for entry in registry.entries(kind)}
    raise InputError(
        f"nothing is called '{name}'{did_you_mean(name, known) or ', and no such path exists'}"
    )


def _print_component(one: dict[str, Any]) -> None:
    print_line(f"{one['kind']} {one['name']}, {one['package']} {one['version']}")
    print_line(f"  {one['summary']}")
    if one["paper"]:
        print_line(f"  paper: {one['paper']}")
    for title, pairs, source in list_recipes(one):
        print_line(f"  recipe {title}: {_format_pairs(pairs) or 'the defaults'}")
        if source:
            print_line(f"    from {source}")
    if declared := list_declarations(one):
        print_line(f"  declares: {_format_pairs(declared)}")
    for name, option in one["options"].items():
        print_line(f"  {name} = {option['default']}  ({option['type']}) {option['description']}")


def _print_recipe(one: dict[str, Any]) -> None:
    print_line(f"recipe {one['name']}, {one['package']} {one['version']}")
    print_line(f"  {one['summary']}")
    if one["paper"]:
        print_line(f"  paper: {one['paper']}")
    for score in one["reported"]:
        source = f"  ({score['source']})" if score["source"] else ""
        print_line(f"  the paper reports: {score['metric']} {score['value']:g}{source}")
    for line in one["results"]:
        print_line(f"  it gave: {line}")
    if one["parameters"]:
        print_line(f"  {_format_counts(one['parameters'])}")
    for word in ("architecture", "loss", "data"):
        print_line(f"  {word} = {one[word] or 'to be given'}")
    for name, value in one["settings"].items():
        print_line(f"  {name} = {value}")
    if one["hash"]:
        print_line(f"  hash: {one['hash']}")
    needed = "" if one["data"] else " --data DATA"
    print_line(f"  train it: ganzoo train --recipe {one['name']}{needed}")


def _format_counts(counts: dict[str, Any]) -> str:
    """Write how many parameters the networks of a paper have."""
    found = [
        f"{counts[word]:,} in the {word}"
        for word in ("generator", "discriminator")
        if counts[word] is not None
    ]
    shape = " x ".join(map(str, counts["shape"]))
    classes = f" and {counts['classes']:,} classes" if counts["classes"] else ""
    rounded = f", rounded to {counts['rounded_to']:,}" if counts["rounded_to"] > 1 else ""
    source = f"  ({counts['source']})" if counts["source"] else ""
    return f"parameters for {shape}{classes}: {', '.join(found)}{rounded}{source}"


def _print_model(one: dict[str, Any]) -> None:
    from ganzoo.config import ModelConfig, Origin
    from ganzoo.runs.scores import ScoreRow

    whose = f", {one['package']} {one['version']}" if "package" in one else ""
    print_line(f"model {one['name']}{whose}")
    print_line(f"  {one['summary']}")
    print_line(f"  {one['reference']}")
    print_line(f"  {one['parameters']:,} parameters in the generator")
    if whose:
        print_line(f"  licence: {one['licence'] or 'not given'}; from {one['source']}")
    for score in map(ScoreRow.model_validate, one["scores"]):
        print_line(f"  {score.metric} {score.format_value()}")
    config = ModelConfig.model_validate(one["config"])
    if "origin" in one:
        origin = Origin.model_validate(one["origin"])
        print_line(f"  {origin.terms}")
        about = origin.model_dump(mode="json", exclude={"converter"}, exclude_none=True)
        print_line(f"  origin: {_format_pairs(about)}, converter={origin.converter.name}")
    for word, prefix, choices in (
        ("architecture", "arch", [config.architecture]),
        ("loss", "loss", [config.loss]),
        ("data", "data", [config.data]),
        (PENALTY.word, "penalty.{}", config.penalties),
        (AUGMENTATION.word, "augment.{}", config.augmentations),
        (TRACKER.word, "tracker.{}", config.trackers),
    ):
        for each in choices:
            options = config.write_schedules(prefix.format(each.name), each.options)
            found = f"{each.name} ({each.package} {each.version})"
            print_line(f"  {word} {found}: {_format_pairs(options)}")
    train = config.write_schedules("train", config.train.model_dump(mode="json"))
    print_line(f"  train: {_format_pairs(train)}")
    if config.init:
        about = config.init.model_dump(mode="json", exclude={"name", "origin"})
        print_line(f"  started from {config.init.name}: {_format_pairs(about)}")
    if config.fork:
        about = config.fork.model_dump(mode="json", exclude={"name"})
        print_line(f"  forked from {config.fork.name}: {_format_pairs(about)}")


def _format_pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
