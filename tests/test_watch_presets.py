"""Presets of the page of ``ganzoo watch --web``."""

import re
from pathlib import Path

import pytest
import torch

from ganzoo import registry
from ganzoo.training.prepare import build_trainer
from ganzoo_zoo.apps.watch.presets import read_presets
from ganzoo_zoo.apps.watch.web.choices import list_choices, resolve_choices

ROOT = Path(__file__).parents[1]
PRESETS = {preset.name: preset for preset in read_presets()}
WANTED = {
    *("learns-well", "mode-collapse", "vanishing-gradient", "unrolling-saves-it", "wgan-gp"),
    *("too-strong-discriminator", "forgetting-without-history"),
}
JARGON = (
    "logit latent critic saturat minimax hyperparameter divergence lipschitz converge optimi "
    "distribution manifold gradient mode epoch batch adam equilibrium regulari"
)
"""Beginnings of words that a sentence must do without; the text below it may explain them."""


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    import presets

    return presets


def resolve(preset, without=None):
    asked = preset.asked
    settings = {key: value for key, value in asked.settings.items() if key != without}
    return resolve_choices(asked.architecture, asked.loss, asked.data, settings)


def test_there_is_a_preset_for_each_lesson_and_names_are_unique():
    assert set(PRESETS) >= WANTED
    assert len(PRESETS) == len(read_presets())
    titles = {preset.title for preset in read_presets()}
    assert len(titles) == len(PRESETS)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_in_one_plain_sentence_what_will_happen(name):
    preset = PRESETS[name]
    assert re.fullmatch(r"[A-Z][^.!?:;]+\.", preset.sentence)
    assert len(preset.sentence) <= 130
    words = re.findall(r"[a-z]+", preset.sentence.lower())
    assert not [word for word in words if word.startswith(tuple(JARGON.split()))]
    assert "\n" not in preset.sentence + preset.look + preset.title
    assert preset.look.endswith(".")
    assert len(preset.look) <= 330
    titles = {each.title for each in PRESETS.values()}
    quoted = set(re.findall(r'"([A-Z][^"]+)"', preset.look))
    assert quoted <= titles, "a preset of this title"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_what_the_page_offers(name):
    asked, offered = PRESETS[name].asked, list_choices()
    for word, chosen in (
        ("architectures", asked.architecture),
        ("losses", asked.loss),
        ("data", asked.data),
    ):
        assert chosen in {each["name"] for each in offered[word]}


@pytest.mark.parametrize("name", PRESETS)
def test_no_setting_of_a_preset_is_what_a_run_would_have_anyway(name):
    whole = resolve(PRESETS[name])
    for key in PRESETS[name].asked.settings:
        assert resolve(PRESETS[name], without=key) != whole, key


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains(name):
    config = resolve(PRESETS[name])
    trainer = build_trainer(config, config.data.build(registry.DATASET).read())
    before = [each.detach().clone() for each in trainer.state.generator.parameters()]
    for _ in range(20):
        trainer.step()
    after = list(trainer.state.generator.parameters())
    assert all(each.isfinite().all() for each in after)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", PRESETS)
def test_what_differs_from_another_preset_in_the_loss_alone_is_so(name):
    if "Everything but the loss is as in" not in PRESETS[name].look:
        return
    title = re.search(r'Everything but the loss is as in "([^"]+)"', PRESETS[name].look)[1]
    (other,) = [each for each in PRESETS.values() if each.title == title]
    mine, theirs = PRESETS[name].asked, other.asked
    assert mine.loss != theirs.loss
    assert mine.model_copy(update={"loss": theirs.loss}) == theirs


def test_every_preset_is_judged_by_rules_and_has_held_with_three_seeds(benchmark):
    assert {name.partition(",")[0] for name in benchmark.RULES} == set(PRESETS)
    assert set(benchmark.CHANGES) <= set(benchmark.RULES)
    for name, rules in benchmark.RULES.items():
        rows = benchmark.read_rows(benchmark.record_path(name))
        assert len({row["seed"] for row in rows}) >= 3, name
        for row in rows:
            assert row["preset"] == name
            assert row["holds"]
            assert list(row["scores"]) == [rule.text for rule in rules]
            assert all(
                rule.holds(value) for rule, value in zip(rules, row["scores"].values(), strict=True)
            )
            assert row["steps"] == resolve(PRESETS[name.partition(",")[0]]).train.steps


def test_a_rule_tells_what_is_outside_of_its_bounds(benchmark):
    looks = [{"reached": n, "fullest": n % 2} for n in range(10)]
    few = benchmark.Rule("groups", benchmark.late("reached"), most=7)
    assert few.measure(looks) == 7
    assert few.text == "groups at most 7"
    assert few.holds(7)
    assert not few.holds(7.1)
    many = benchmark.Rule("groups", benchmark.late("reached", min), least=6)
    assert many.measure(looks) == 5
    assert not many.holds(5)
    assert benchmark.count_moves(looks) == 9
    assert benchmark.early_groups(looks) == 1
