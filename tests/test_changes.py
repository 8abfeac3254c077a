"""Options that are changed while a run trains, and the bytes of who repeats or resumes it."""

import json
import os
import shlex
import signal
from pathlib import Path

import pytest

import crash
import ganzoo
from ganzoo.api.training import resume
from ganzoo.errors import InputError, Interrupted
from ganzoo.resolve import change_from_step, resolve
from ganzoo.runs.folder import Run
from ganzoo.runs.reproduce import train_command
from ganzoo.training.changes import ChangeQueue
from ganzoo.training.observer import Observer, ObserverGroup
from tiny import TINY

G_LR, D_LR, CRITIC = "train.generator_lr", "train.discriminator_lr", "train.n_critic"
SETTINGS = {"arch.hidden": (8,), "data.image_size": 8, "train.eval_every": 2}
SETTINGS |= {"train.eval_samples": 100, "train.recipe": "tuned"}
STEPS = {**TINY, "recipe": "tuned", "steps": 9, "checkpoint_every": 4, "log_every": 1}


class Changing(Observer):
    """Changes options after steps, and notes what it is told."""

    def __init__(self, changes, stop=None):
        self.changes = dict(changes)
        self.stop_at = stop
        self.told = []

    def on_step(self, step):
        if step in self.changes:
            self.change(self.changes.pop(step))
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    def on_change(self, step, options):
        self.told.append((step, options))


def train(out, observer=None, **settings):
    given = {**SETTINGS, **settings}
    return ganzoo.train(
        "mlp", "hinge", "digits", out=out, settings=given, observer=observer, **STEPS
    )


def difference(one, other):
    return crash.difference(crash.content(one.path), crash.content(other.path))


CHANGES = {2: {CRITIC: "3"}, 5: {G_LR: 0.0012345678912345, CRITIC: 2}, 7: {D_LR: "1e-4"}}


def test_a_changed_run_is_recorded_as_jumps_and_repeated_to_the_same_bytes(ganzoo_cli):
    observer = Changing(CHANGES)
    run = train("run", observer)
    assert observer.told == [(step, options) for step, options in CHANGES.items()]
    config = run.config()
    assert config.train.lr_decay == "cosine", "a rate that is changed falls on"
    assert {name: str(each) for name, each in config.schedules.items()} == {
        CRITIC: "piecewise(0 steps: 1, 2 steps: 1, 2 steps: 3, 5 steps: 3, 5 steps: 2)",
        G_LR: f"piecewise(0 steps: {config.train.generator_lr:g}, 5 steps: "
        f"{config.train.generator_lr:g}, 5 steps: 0.0012345678912345)",
        D_LR: f"piecewise(0 steps: {config.train.discriminator_lr:g}, 7 steps: "
        f"{config.train.discriminator_lr:g}, 7 steps: 0.0001)",
    }
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    seen = [row["images_seen"] // 8 for row in rows if "images_seen" in row]
    assert seen == [1, 2, 5, 8, 11, 13, 15, 17, 19]
    assert difference(run, ganzoo.train(config=run.path / "config.json", out="again")) == []
    _, *words = shlex.split(train_command(config, whole=True).replace("\\\n", " "))
    words += ["--out", "typed"]
    assert ganzoo_cli(*words).code == 0
    assert difference(run, Run(Path("typed"))) == []


@pytest.mark.parametrize("stop", [3, 5, 6, 8])
def test_a_changed_run_that_was_stopped_is_resumed_to_the_same_bytes(stop):
    whole = train("whole", Changing(CHANGES))
    stopped = Changing(CHANGES, stop)
    with pytest.raises(Interrupted):
        train("stopped", stopped)
    run = Run(Path("stopped"))
    assert run.config().schedules, "what was asked for until then is recorded"
    resume("stopped", observer=Changing(stopped.changes))
    assert difference(whole, run) == []


class Killed(BaseException):
    """Ends a process at once, as far as the files can tell."""


@pytest.mark.parametrize("killed_at", ["config.json", "after config.json", "best", "next step"])
@pytest.mark.parametrize("step", [5, 7])
def test_a_run_that_is_killed_around_a_change_is_one_that_went_on(step, killed_at, monkeypatch):
    """Whatever is recorded counts: the other run has the changes of the configuration."""
    from ganzoo.runs import folder
    from ganzoo.training import loop

    changed = {2: {CRITIC: "3"}, step: {G_LR: 0.002}}

    class Dying(Changing):
        def on_step(self, at):
            super().on_step(at)
            if at == step:
                self.die()
            if at == step + 1:
                raise Killed

        def die(self):
            def kill(*given):
                raise Killed

            if killed_at == "config.json":
                monkeypatch.setattr(folder.Run, "write_config", kill)
            elif killed_at == "after config.json":
                monkeypatch.setattr(loop, "flush", kill)
            elif killed_at == "best":
                monkeypatch.setattr(loop, "change_schedules", kill)

    with monkeypatch.context() as monkeypatch, pytest.raises(Killed):
        train("run", Dying(changed))
    run = Run(Path("run"))
    is_recorded = G_LR in run.config().schedules
    assert is_recorded == (killed_at != "config.json")
    resume("run")
    kept = changed if is_recorded else {2: changed[2]}
    assert difference(train("whole", Changing(kept)), run) == []


@pytest.mark.usefixtures("losses")
def test_a_run_that_goes_back_keeps_its_changes_and_takes_up_others_where_it_diverged():
    class Impatient(Changing):
        def on_warning(self, message):
            self.changes[6] = {G_LR: 9e-4}  # of the second time

    def diverging(out, observer=None, **given):
        given = {"settings": SETTINGS, **STEPS, "steps": 12, "observer": observer, **given}
        return ganzoo.train("mlp", "diverging", "digits", out=out, **given)

    observer = Impatient({5: {D_LR: 1.1e-3}})
    run = diverging("run", observer)
    assert observer.told == [(5, {D_LR: 1.1e-3}), (8, {G_LR: 9e-4})]
    again = ganzoo.train(config=run.path / "config.json", out="again", observer=Observer())
    assert difference(run, again) == []
    state = json.loads((run.checkpoints / "00000012" / "state.json").read_text())
    assert state["retries"] == 1

    observer = Impatient({5: {D_LR: 1.1e-3}}, stop=9)
    with pytest.raises(Interrupted):
        diverging("stopped", observer)
    resume("stopped")
    assert difference(run, Run(Path("stopped"))) == []


@pytest.fixture
def losses(plugin):
    plugin(
        "ganzoo-breaking",
        crash.DIVERGING,
        {"ganzoo.losses": {"diverging": "ganzoo_breaking:Diverging"}},
    )


# What may change --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({G_LR: "fast"}, "option 'train.generator_lr': input should be a valid number"),
        ({G_LR: -1}, "option 'train.generator_lr': input should be greater than"),
        ({CRITIC: 0}, "option 'train.n_critic': input should be greater than or equal to 1"),
        ({CRITIC: 2.5}, "option 'train.n_critic'"),
        ({G_LR: "linear(1, 2)"}, "train.generator_lr changes to a value while the run trains"),
        ({"train.batch_size": 4}, "train.batch_size cannot change while the run trains"),
        ({"train.steps": 4}, "train.steps cannot change while the run trains"),
        ({"arch.hidden": "4"}, "arch.hidden cannot change while the run trains"),
        ({"generator_lr": 1}, "generator_lr cannot change while the run trains"),
        ({"train.generator_betas": "0.5,0.9"}, "it has no value"),
        ({"train.eps": 1e-7}, "train.eps follows linear(1e-08, 1e-07), and so cannot be changed"),
        ([], "give options as a dictionary by name"),
    ],
    ids=str,
)
def test_what_may_not_change_is_one_line_and_changes_nothing(options, message):
    class Asking(Observer):
        def on_step(self, step):
            if step == 1:
                with pytest.raises(InputError) as caught:
                    self.change(options)
                assert message in str(caught.value)
                assert "\n" not in str(caught.value)
                self.asked = True

    observer = Asking()
    settings = {"train.eps": "linear(1e-8, 1e-7)"}
    given = {**SETTINGS, **settings, "train.eval_every": 0}
    run = ganzoo.train(
        "mlp", "hinge", "digits", out="run", settings=given, observer=observer, **TINY
    )
    assert observer.asked
    assert list(run.config().schedules) == ["train.eps"]


def test_options_change_only_between_the_start_and_the_last_step():
    class Asking(Observer):
        def on_ready(self, trainer):
            self.ask("options change while a run trains, and none does")

        def on_step(self, step):
            if step == TINY["steps"]:
                self.ask("the last step is done")

        def ask(self, message):
            with pytest.raises(InputError, match=message):
                self.change({CRITIC: 2})

    observer = Asking()
    ganzoo.train("mlp", "hinge", "ring", out="run", observer=observer, **TINY)
    observer.ask("none does")


def test_several_processes_change_nothing(monkeypatch):
    class Asking(Observer):
        def on_step(self, step):
            refused = pytest.raises(InputError, match="only in a run of one process, and 2 train")
            with monkeypatch.context() as patch, refused:
                patch.setattr(self.trainer.team, "world", 2)
                self.change({CRITIC: 2})

        def on_ready(self, trainer):
            self.trainer = trainer

    ganzoo.train("mlp", "hinge", "ring", out="run", observer=Asking(), **TINY)


def test_before_the_first_step_an_option_is_another_from_the_start():
    class First(Observer):
        def on_start(self, run, config, step):
            self.change({CRITIC: 3})
            self.change({G_LR: "0.002"})
            self.change({CRITIC: 2})

    given = {"settings": {"arch.hidden": (8,), G_LR: 0.001}, **TINY}
    run = ganzoo.train("mlp", "hinge", "ring", out="run", observer=First(), **given)
    assert (run.config().schedules, run.config().train.n_critic) == ({}, 2)
    given = {"settings": {"arch.hidden": (8,), G_LR: 0.002, CRITIC: 2}, **TINY}
    assert difference(run, ganzoo.train("mlp", "hinge", "ring", out="plain", **given)) == []


@pytest.mark.parametrize(
    ("before", "step", "value", "after"),
    [
        (None, 7, 2, "piecewise(0 steps: 1, 7 steps: 1, 7 steps: 2)"),
        (None, 7, 1, None),
        (
            "piecewise(0: 9, 5 steps: 9, 5 steps: 2)",
            3,
            4,
            "piecewise(0 steps: 9, 3 steps: 9, 3 steps: 4)",
        ),
        (
            "piecewise(0: 9, 5 steps: 9, 5 steps: 2)",
            5,
            4,
            "piecewise(0 steps: 9, 5 steps: 9, 5 steps: 4)",
        ),
        ("piecewise(0: 9, 5 steps: 9, 5 steps: 2)", 5, 9, None),
        (
            "piecewise(0: 9, 50%: 9, 50%: 2)",
            8,
            3,
            "piecewise(0 steps: 9, 5 steps: 9, 5 steps: 2, 8 steps: 2, 8 steps: 3)",
        ),
        ("piecewise(0: 9, 50%: 9, 50%: 2)", 0, 3, None),
    ],
)
def test_a_change_keeps_what_was_and_replaces_what_would_be(before, step, value, after):
    settings = {"train.steps": 10, **({CRITIC: before} if before else {})}
    config = resolve("mlp", "hinge", "ring", settings)
    changed = change_from_step(config, {CRITIC: value}, step)
    found = changed.schedules.get(CRITIC)
    assert (None if found is None else str(found)) == after
    for done in range(step):
        assert changed.progress_at(done).updates == config.progress_at(done).updates
    later = changed.progress_at(10).updates - changed.progress_at(step).updates
    assert later == value * (10 - step)


def test_every_observer_of_a_group_may_ask_and_is_told():
    one, other = Changing({1: {CRITIC: 2}}), Changing({2: {CRITIC: 3}})
    ganzoo.train("mlp", "hinge", "ring", out="run", observer=ObserverGroup(one, other), **TINY)
    assert one.told == other.told == [(1, {CRITIC: 2}), (2, {CRITIC: 3})]


def test_whoever_is_told_of_a_change_may_ask_for_the_next():
    class Again(Observer):
        def on_start(self, run, config, step):
            self.told = []
            self.change({CRITIC: 2})

        def on_change(self, step, options):
            self.told.append((step, options))
            if step < 2:
                self.change({CRITIC: step + 3})

    observer = Again()
    ganzoo.train("mlp", "hinge", "ring", out="run", observer=observer, **TINY)
    assert observer.told == [(0, {CRITIC: 2}), (1, {CRITIC: 3}), (2, {CRITIC: 4})]


def test_what_cannot_be_taken_up_yet_waits():
    applied = []
    queue = ChangeQueue(lambda options: None, lambda options: applied.append(options) or ready)
    queue.ask({"a": 1})
    ready = False
    queue.take_up()
    queue.ask({"a": 2, "b": 3})
    ready = True
    queue.take_up()
    queue.take_up()
    assert applied == [{"a": 1}, {"a": 2, "b": 3}]
