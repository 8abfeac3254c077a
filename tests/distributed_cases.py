"""Cases of test_distributed.py, for one process and for several.

Run ``python distributed_cases.py FOLDER CASE...``.

In several processes it is started once for each, as torchrun would, and each leaves what it found
in a folder of its own.
"""

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import torch

import ganzoo
from ganzoo import distributed
from ganzoo.api.evaluation import evaluate
from ganzoo.compute.seeding import make_rng
from ganzoo.distributed import shutdown
from ganzoo.errors import GanzooError
from ganzoo.registry import DATASET
from ganzoo.resolve import resolve
from ganzoo.storage.tensors import save_tensors
from ganzoo.training import prepare
from ganzoo.training.prepare import build_trainer
from ganzoo_zoo.data import image_source, sources
from ganzoo_zoo.data import reading as reading_module

MLP = {"train.recipe": "paper", "arch.hidden": (16, 16), "arch.z_dim": 8, "data.image_size": 8}
STEPS = 20
LOSSES = ("non-saturating", "minimax", "lsgan", "hinge", "wgan", "wgan-gp", "r3gan")
"""Losses that are means over samples."""
RUN = {
    "steps": 6,
    "batch_size": 8,
    "n_critic": "piecewise(0: 2, 3 steps: 2, 3 steps: 1)",
    "log_every": 2,
    "sample_every": 3,
    "checkpoint_every": 2,
    "eval_every": 3,
    "eval_samples": 300,
    "device": "cpu",
}
SMALL = {"train.recipe": "paper", "arch.base_channels": 4, "arch.z_dim": 8, "data.image_size": 16}


def tensors_of(state):
    return {
        f"{file}.{name}": tensor
        for file, tensors in state.tensors().items()
        for name, tensor in tensors.items()
    }


@contextmanager
def shared_draws():
    """Have ``torch.rand`` draw for the whole batch, of which each process has a share."""
    plain, drawn = torch.rand, []

    def rand(count, *shape, generator=None, **how):
        if generator is not None:
            return plain(count, *shape, generator=generator, **how)
        drawn.append(count)
        team = distributed.current()
        rng = make_rng(0, "weights", len(drawn))
        return team.take_share(plain(count * team.world, *shape, generator=rng, **how))

    torch.rand = rand
    try:
        yield
    finally:
        torch.rand = plain


def trained(architecture, loss, settings, steps, data="digits"):
    """Do some steps, and return every tensor of the state."""
    config = resolve(architecture, loss, data, {"train.device": "cpu", **settings})
    trainer = build_trainer(config, config.data.build(DATASET).read())
    for _ in range(steps):
        trainer.step()
    return tensors_of(trainer.state)


def steps_of(name, folder):
    """Do the steps of a case, and return every tensor."""
    if name in LOSSES:
        with shared_draws():
            return trained("mlp", name, {**MLP, "train.batch_size": 16}, STEPS)
    if name == "conditional":
        settings = {**MLP, "arch.conditional": True, "train.batch_size": 16}
        return trained("mlp", "hinge", settings, STEPS)
    if name == "pool":
        settings = {"arch.base_channels": 2, "arch.blocks": 0, "arch.pool_size": 3}
        settings |= {"train.batch_size": 8, "data.path": str(folder / "domains")}
        return trained("cyclegan", "lsgan", settings, 4, "folder")
    if name == "phase":  # three steps without a game, and two of it
        settings = {"arch.base_channels": 2, "arch.growth": 2, "arch.blocks": 1}
        settings |= {"arch.patches": "pixel", "arch.pretrain_images": 24}
        settings |= {"train.recipe": "paper", "train.batch_size": 8, "data.image_size": 16}
        return trained("esrgan", "non-saturating", settings, 5)
    if name == "unrolled":
        return trained("mlp", "unrolled", {**MLP, "train.batch_size": 16}, 3)
    if name == "batch-norm":
        settings = {**SMALL, "train.batch_size": 8, "train.augment": ("color", "cutout")}
        return trained("dcgan", "non-saturating", settings, 3)
    raise ValueError(name)


REMEMBERING = '''
import torch
from ganzoo import Loss, Recipe

class Remembering(Loss):
    """Remembers the mean logits in a buffer, and pulls each to the mean of the other."""

    recipe = Recipe(generator_lr=1e-3, discriminator_lr=1e-3)

    def check_discriminator(self, discriminator, data, *, conditional):
        # Wrapped if it gives more than logits.
        discriminator = getattr(discriminator, "network", discriminator)
        discriminator.register_buffer("means", torch.zeros(2))
        discriminator.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def discriminator_loss(self, D, real, fake):
        logits, means = torch.stack([D(real).mean(), D(fake).mean()]), D.network.means
        pull = (logits - means.flip(0)).square().sum()
        means.copy_(means.lerp(logits.detach(), 0.5))
        D.network.updates += 1
        return {"adversarial": logits[1] - logits[0], "pull": pull}

    def generator_loss(self, D, real, fake):
        return {"adversarial": -D(fake).mean()}
'''
"""A loss with buffers that the training depends on."""


def run_in(path, spoil=None, loss="non-saturating", **options):
    """Train a whole run, whose steps may be spoilt; return every tensor in the end."""
    found = []

    def spoilt(*given):
        trainer = build_trainer(*given)
        found.append(trainer)
        step = trainer.step
        if spoil:
            trainer.step = lambda: spoil(trainer, step)
        return trainer

    prepare.build_trainer = spoilt
    try:
        if (path / "config.json").exists():
            ganzoo.resume(path)
        else:
            ganzoo.train("dcgan", loss, out=path, settings=SMALL, **{**RUN, **options})
    finally:
        prepare.build_trainer = build_trainer
    return tensors_of(found[-1].state)


def told(work):
    """Do what fails, and return how."""
    try:
        work()
    except (GanzooError, RuntimeError) as error:
        words = shutdown.choose_message(str(error))
        return {"kind": type(error).__name__, "message": str(error), "spoken": words}
    return {}


def asked_to_stop(trainer, step):
    if distributed.current().rank == 1 and trainer.state.step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return step()


class Once:
    """Spoils one loss of one process, once."""

    def __init__(self):
        self.done = False

    def __call__(self, trainer, step):
        terms = step()
        if distributed.current().rank == 1 and trainer.state.step == 4 and not self.done:
            self.done = True
            trainer.recent_terms["generator/adversarial"] *= float("nan")
        return terms


def broken(trainer, step):
    if distributed.current().rank == 1 and trainer.state.step == 2:
        raise RuntimeError("this one breaks")
    return step()


def runs(folder, mine):
    """Whole runs: one as it is, one that is stopped, one that diverges; and their scores."""
    found = {"whole": run_in(folder / "whole")}
    (mine / "stopped.json").write_text(
        json.dumps(told(lambda: run_in(folder / "stopped", asked_to_stop)))
    )
    found["stopped"] = run_in(folder / "stopped")
    found["diverged"] = run_in(folder / "diverged", Once())
    found |= remembering(folder)
    rows = evaluate(folder / "diverged", ["fid", "kid"], samples=700, device="cpu")
    (mine / "scores.json").write_text(json.dumps([row.model_dump(mode="json") for row in rows]))
    return found


def remembering(folder):
    """Train with a loss that remembers: as it is, with many pictures, and stopped."""
    often, seldom = {"sample_every": 1, "eval_every": 1}, {"sample_every": 100, "eval_every": 0}
    found, loss = {}, "remembering"
    found["seldom"] = run_in(folder / "seldom", None, loss, **seldom)
    found["often"] = run_in(folder / "often", None, loss, **often)
    told(lambda: run_in(folder / "remembering-stopped", asked_to_stop, loss, **seldom))
    found["remembering-stopped"] = run_in(folder / "remembering-stopped")
    return found


def reading(folder):
    """Read a folder as if its files were many, and return how often it is listed and they read."""
    image_source.FEW_FILES, reading_module.KEPT_IMAGES, calls = 3, 3, []
    listed, read = sources.find_images, sources.FolderSource.read
    sources.find_images = lambda *given: calls.append("listed") or listed(*given)
    sources.FolderSource.read = lambda self, place: calls.append("read") or read(self, place)
    with distributed.join_team():
        samples = ganzoo.open_dataset(str(folder / "domains"))
    return {
        "listed": calls.count("listed"),
        "read": calls.count("read"),
        "names": list(samples.names),
        "labels": samples.labels.tolist(),
        "fingerprint": samples.fingerprint,
    }


def other_data():
    with distributed.join_team() as team:
        team.require_same(f"what process {team.rank} has read", "the data")
        with distributed.sharing():
            team.map_items(range(2), torch.zeros)


def hung():
    with distributed.join_team() as team:
        team.connect(torch.device("cpu"))
        if team.rank == 1:
            time.sleep(1000)
        team.mean(torch.ones(1))


def main(folder, *cases):
    rank = int(os.environ["RANK"])
    mine = folder / f"rank{rank}-of-{os.environ['WORLD_SIZE']}"
    mine.mkdir()
    failing = {
        "broken": lambda: run_in(folder / "broken", broken),
        "data": other_data,
        "hung": hung,
    }
    with distributed.join_team():
        for case in cases:
            if case not in ("runs", "reading", *failing):
                save_tensors(mine / f"{case}.safetensors", steps_of(case, folder))
    if "reading" in cases:
        (mine / "reading.json").write_text(json.dumps(reading(folder)))
    if "runs" in cases:
        for name, tensors in runs(folder, mine).items():
            save_tensors(mine / f"{name}.safetensors", tensors)
    for case in [each for each in failing if each in cases]:
        (mine / f"{case}.json").write_text(json.dumps(told(failing[case])))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), *sys.argv[2:])
