"""A run that a process trains for the page: half steps, changes, questions and bounds.

The process itself, with its pipes and its threads, is tried in ``test_watch_web.py``.
"""

import base64
import json
from pathlib import Path

import pytest

import crash
from ganzoo.api.training import start
from ganzoo.resolve import resolve
from ganzoo.runs.folder import Run
from ganzoo.training.warm_start import StartingWeights
from ganzoo_zoo.apps.watch.training import limits
from ganzoo_zoo.apps.watch.training.limits import Watch
from ganzoo_zoo.apps.watch.training.worker import RunControl, _train_run
from ganzoo_zoo.apps.watch.web.bounds import Bounds
from test_watch_web import heard, ordered, worker

CRITIC, G_LR = "train.n_critic", "train.generator_lr"
SMALL = {
    "arch.hidden": (8, 8),
    "train.batch_size": 8,
    "train.steps": 6,
    "train.log_every": 1,
    "train.sample_every": 4,
    "train.checkpoint_every": 3,
    "train.device": "cpu",
}

ROOMY = {**Bounds().as_json(), "memory": 100_000}
"""Bounds of a run within the process of the tests, which is larger than a worker."""


class Script:
    """A channel for news which gives the run its next orders each time that it pauses."""

    def __init__(self, *orders):
        self.orders = list(orders)
        self.news = []
        self.control = None

    def tell(self, **news):
        self.news.append(news)
        if "paused" in news:
            if not self.orders:
                raise AssertionError("it pauses once more")
            self.give(self.orders.pop(0))

    def give(self, orders):
        for order in [orders] if isinstance(orders, (str, dict)) else orders:
            self.control.take_order({"word": order} if isinstance(order, str) else order)

    def said(self, *words):
        """Return what was said with one of some words, without the name of the run."""
        return [
            {key: value for key, value in news.items() if key != "name"}
            for news in self.news
            if set(words) & news.keys()
        ]


def config_of(architecture="mlp", loss="non-saturating", data="ring", **settings):
    return resolve(architecture, loss, data, {**SMALL, **settings})


def trained(*orders, paused=True, config=None, **order):
    """Train as ordered, and return the news and how it ended."""
    script = Script(*orders)
    config = config or (None if "resume" in order else config_of())
    given = {} if config is None else {"config": config.model_dump(mode="json")}
    script.control = RunControl({"name": "1", "paused": paused, **given, **order}, script)
    ended = _train_run(script.control)
    return script, ended


def same_as_alone(script):
    """Tell whether the run is, to the byte, what nobody watched."""
    run = Run(Path(script.said("run")[0]["run"]))
    alone = start(run.config(), Path("alone"))
    return crash.difference(crash.content(run.path), crash.content(alone.path)) == []


# Half steps -------------------------------------------------------------------------------------


def test_a_step_is_taken_apart_and_the_run_stays_the_same_to_the_byte():
    script, ended = trained(
        "step-discriminator",
        "step-generator",
        "step",
        "step-discriminator",
        "step",  # the rest of it
        "step-generator",  # both networks, since the generator's comes second
        "continue",
    )
    assert ended == {"ended": "finished"}
    assert script.said("paused") == [
        {"paused": 0},
        {"paused": 0, "phase": "between"},
        {"paused": 1},
        {"paused": 2},
        {"paused": 2, "phase": "between"},
        {"paused": 3},
        {"paused": 4},
    ]
    assert len(script.said("going")) == 7
    stages = [(each["step"], each["network"]) for each in script.said("stage")]
    both = ("discriminator", "generator")
    assert stages == [(step, network) for step in (1, 2, 3, 4) for network in both]
    assert same_as_alone(script)


def test_a_stage_has_the_numbers_of_that_very_step():
    config = config_of(**{CRITIC: 2, "train.lr_decay": "none"})
    script, _ = trained("step-discriminator", "step-generator", "continue", config=config)
    run = Run(Path(script.said("run")[0]["run"]))
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    first = rows[0]
    *_, discriminator, generator = script.said("stage")
    assert [each["network"] for each in script.said("stage")] == ["discriminator"] * 2 + [
        "generator"
    ]
    for network, told in (("discriminator", discriminator), ("generator", generator)):
        stage = told["stage"]
        terms = {f"{network}/{name}": value for name, value in stage["terms"].items()}
        assert terms == {name: first[name] for name in terms}
        assert stage["gradient_norm"] == pytest.approx(first[f"{network}/gradient_norm"], rel=1e-5)
        assert stage["rate"] == pytest.approx(getattr(config.train, f"{network}_lr"))
        assert len(stage["real_logits"]) == len(stage["fake_logits"]) == 8
        assert stage["gradients"] is not None
    json.dumps(script.news, allow_nan=False)


def test_frames_show_the_discriminator_that_has_learnt_before_the_generator_has():
    script, _ = trained("step-discriminator", "step-generator", "continue")
    before, between, after = (each["frame"] for each in script.said("frame")[:3])
    assert (before["step"], between["step"], after["step"]) == (0, 0, 1)
    assert before["surface"] != between["surface"]
    assert before["points"] == between["points"] != after["points"]


def test_commands_that_come_at_once_add_up_and_a_pause_ends_a_half_step():
    script, _ = trained(["step", "step"], ["step-discriminator", "pause"], "continue")
    assert script.said("paused") == [{"paused": 0}, {"paused": 2}, {"paused": 2}]
    script, _ = trained(["step-discriminator", "step-generator", "step"], "continue")
    assert script.said("paused") == [{"paused": 0}, {"paused": 2}]


def test_at_full_speed_nothing_looks_at_an_update():
    script, _ = trained(paused=False)
    assert script.said("stage", "paused", "going") == []
    assert script.control._started.on_update is None
    script, _ = trained("step", "continue")
    assert script.control._started.on_update is None


def test_a_run_that_is_stopped_between_ends_after_the_step():
    script, ended = trained("step-discriminator", "stop")
    assert ended == {"ended": "stopped"}
    run = Run(Path(script.said("run")[0]["run"]))
    assert [int(each.name) for each in run.checkpoints.iterdir()] == [1]


def test_a_generator_that_trains_alone_pauses_before_its_update(plugin):
    script, _ = trained("step-discriminator", "step-generator", "continue", config=alone(plugin))
    assert script.said("paused")[1:] == [{"paused": 0, "phase": "between"}, {"paused": 1}]
    assert {each["network"] for each in script.said("stage")} == {"generator"}


def alone(plugin):
    code = """
from ganzoo_zoo.families.mlp import MLP

class Alone(MLP):
    "Plays no game."

    def is_adversarial(self, progress):
        return False

    def generator_terms(self, generator, inputs, real, fake):
        return {"square": fake.square().mean()}
"""
    plugin("ganzoo-alone", code, {"ganzoo.architectures": {"alone": "ganzoo_alone:Alone"}})
    return config_of("alone")


# Changes ----------------------------------------------------------------------------------------


def test_a_change_counts_from_the_next_step_on_and_is_recorded_while_the_run_rests():
    seen = []

    class Looking(Script):
        def tell(self, **news):
            if "changed" in news:
                seen.append(Run(Path(self.said("run")[0]["run"])).config().schedules.keys())
            super().tell(**news)

    script = Looking(
        "step",
        {"change": {CRITIC: "2", G_LR: "0.001"}},
        "step-discriminator",
        [{"change": {CRITIC: "3"}}, "step-generator"],
        "continue",
    )
    order = {"name": "1", "paused": True, "config": config_of().model_dump(mode="json")}
    script.control = RunControl(order, script)

    # A change is no command: the script goes on when the next pause is told, so tell one.
    def tell(**news):
        Looking.tell(script, **news)
        if "changed" in news and news["changed"]["step"] == 1:
            script.give(script.orders.pop(0))

    script.control._channel = type("Channel", (), {"tell": staticmethod(tell)})()
    assert _train_run(script.control) == {"ended": "finished"}
    assert [each["changed"] for each in script.said("changed")] == [
        {"step": 1, "options": {CRITIC: "2", G_LR: "0.001"}},
        {"step": 2, "options": {CRITIC: "3"}},
    ]
    assert seen == [{CRITIC, G_LR}, {CRITIC, G_LR}]
    counts = {}
    for each in script.said("stage"):
        if each["network"] == "discriminator":
            counts[each["step"]] = counts.get(each["step"], 0) + 1
    assert counts == {1: 1, 2: 2}
    assert same_as_alone(script)


@pytest.mark.parametrize(
    ("change", "bounds", "message"),
    [
        ({CRITIC: "0"}, None, "option 'train.n_critic': input should be greater than or equal"),
        ({"train.batch_size": "4"}, None, "train.batch_size cannot change while the run trains"),
        ({CRITIC: "5"}, {"n_critic": 4}, "n critic: 5, and in this class there may be 4"),
        ({CRITIC: "five"}, {"n_critic": 4}, "option 'train.n_critic': input should be a valid"),
    ],
    ids=str,
)
def test_a_change_that_may_not_be_is_refused_in_a_line(change, bounds, message):
    bounds = bounds and {**ROOMY, **bounds}
    script, ended = trained([{"change": change}, "step"], "continue", bounds=bounds)
    (refused,) = script.said("refused")
    assert message in refused["refused"]
    assert script.said("changed") == []
    assert ended == {"ended": "finished"}


# Questions --------------------------------------------------------------------------------------


def test_questions_about_images_are_answered_while_it_rests_and_between_steps():
    config = config_of("mlp", "hinge", "digits", **{"train.sample_every": 2})
    orders = (["walk", "nearest", "step"], ["step-discriminator"], ["walk", "step"], "continue")
    script, ended = trained(*orders, config=config)
    assert ended == {"ended": "finished"}
    walks, (nearest,) = script.said("walk"), script.said("nearest")
    assert [each["step"] for each in walks] == [0, 1]
    assert all(base64.b64decode(each["walk"]).startswith(b"\x89PNG") for each in walks)
    assert len(nearest["nearest"]["pairs"]) == 6
    assert same_as_alone(script)


def test_what_a_run_on_points_has_not_is_an_empty_answer():
    script, _ = trained(["walk", "nearest", "step"], "continue")
    (walk,), (nearest,) = script.said("walk"), script.said("nearest")
    assert walk["walk"] is None
    assert nearest["nearest"]["pairs"] == []


def test_a_question_at_full_speed_is_answered_between_two_steps():
    class Asking(Script):
        def tell(self, **news):
            super().tell(**news)
            if news.get("frame", {}).get("step") == 0:
                self.give(["walk", "walk"])

    script = Asking()
    order = {"name": "1", "paused": False, "config": config_of().model_dump(mode="json")}
    script.control = RunControl(order, script)
    _train_run(script.control)
    assert script.said("walk") == [{"walk": None, "step": 0}] * 2
    assert script.said("paused") == []


# Starts -----------------------------------------------------------------------------------------


def test_a_stopped_run_is_trained_on_to_the_same_bytes():
    script, ended = trained(["step", "step"], "stop")
    assert ended == {"ended": "stopped"}
    path = script.said("run")[0]["run"]
    again, ended = trained("step-discriminator", "step", "continue", resume=path)
    assert ended == {"ended": "finished"}
    assert again.said("paused") == [
        {"paused": 3},
        {"paused": 3, "phase": "between"},
        {"paused": 4},
    ]
    assert same_as_alone(script)


def test_a_change_while_a_run_waits_to_go_on_counts_from_there():
    script, _ = trained(["step", "step"], "stop")
    path = script.said("run")[0]["run"]
    again, _ = trained([{"change": {CRITIC: "2"}}, "step"], "continue", resume=path)
    assert [each["changed"]["step"] for each in again.said("changed")] == [3]
    assert same_as_alone(script)


def test_a_run_starts_from_a_model(tiny_run):
    model = StartingWeights.load(tiny_run.path)
    settings = {key: value for key, value in SMALL.items() if key.startswith("train.")}
    config = model.resolve(None, None, None, settings, ())
    script, ended = trained("step", "stop", config=config, init=str(tiny_run.path), out="own")
    assert ended == {"ended": "stopped"}
    assert script.said("run") == [{"run": "own"}]
    assert Run(Path("own")).config().init == model.origin


# Bounds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"seconds": 0}, "it has trained for 0 s, which is the most here"),
        ({"memory": 1}, "it took more than 1 MiB of memory, which is the most here"),
    ],
    ids=str,
)
def test_a_run_ends_itself_at_its_bounds_and_says_why(bounds, message, monkeypatch):
    monkeypatch.setattr(limits, "SECONDS_BETWEEN_LOOKS", 0)
    monkeypatch.setattr(limits, "hold_to", lambda bounds: None)
    bounds = {**ROOMY, **bounds}
    script = Script()
    order = {"name": "1", "paused": False, "config": config_of().model_dump(mode="json")}
    script.control = RunControl(order, script)
    script.control._watch = Watch(bounds)
    ended = _train_run(script.control)
    assert ended["ended"] == "stopped"
    assert ended["message"].startswith(message)
    run = Run(Path(script.said("run")[0]["run"]))
    assert [int(each.name) for each in run.checkpoints.iterdir()] == [1], "its state is saved"


def test_time_in_which_a_run_rests_does_not_count(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    watch = Watch({**ROOMY, "seconds": 10})
    with watch.paused():
        now[0] += 60
    now[0] += 9
    assert watch.find_excess() == ""
    now[0] += 2
    assert watch.find_excess() == "it has trained for 10 s, which is the most here"


def test_jumps_do_not_lead_past_the_bounds():
    config = config_of(**{CRITIC: "piecewise(0: 1, 2 steps: 1, 2 steps: 1000)"})
    script, ended = trained(paused=False, config=config, bounds=ROOMY)
    assert ended["ended"] == "failed"
    assert ended["message"] == "n critic: 1,000, and in this class there may be 20"
    assert script.said("run") == [], "nothing is written"


# The process ------------------------------------------------------------------------------------


def test_a_process_takes_orders_while_its_run_rests():
    with worker() as process:
        config = config_of("mlp", "hinge", "digits").model_dump(mode="json")
        ordered(process, name="1", config=config, paused=True)
        assert heard(process, "paused") == {"name": "1", "paused": 0}
        ordered(process, name="1", change={CRITIC: "2"})
        assert heard(process, "changed")["changed"] == {"step": 0, "options": {CRITIC: "2"}}
        ordered(process, name="1", change={CRITIC: "0"})
        assert "n_critic" in heard(process, "refused")["refused"]
        ordered(process, name="1", word="step-discriminator")
        assert [heard(process, "stage")["network"] for _ in range(2)] == ["discriminator"] * 2
        assert heard(process, "paused") == {"name": "1", "paused": 0, "phase": "between"}
        ordered(process, name="1", word="walk")
        assert heard(process, "walk")["step"] == 0
        ordered(process, name="1", word="step-generator")
        assert heard(process, "stage")["network"] == "generator"
        assert heard(process, "paused") == {"name": "1", "paused": 1}
        process.stdin.close()
        assert heard(process, "ended") == {"name": "1", "ended": "stopped"}
        assert process.wait(20) == 0
