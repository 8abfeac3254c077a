"""Train the weights of a classifier.

Run ``python -m ganzoo_zoo.metrics.classifiers.train NAME``.

NAME is ``digits-cnn``, which takes a minute, ``mnist-cnn``, which takes a few, or ``cifar10-cnn``,
which takes ten minutes of one core. Pass ``--root DIR`` if torchvision's folder of MNIST
or CIFAR-10 is not in ganzoo's cache, or ``--data PATH`` for a folder or zip of the same images,
each class in a folder of its name. The shipped weights of ``cifar10-cnn`` were trained on such a
zip, whose images had been through JPEG.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from ganzoo import Samples, open_dataset
from ganzoo.errors import GanzooError, InputError
from ganzoo.storage.tensors import save_tensors
from ganzoo.training.batch_order import BatchOrder
from ganzoo_zoo.metrics.classifiers import CIFAR10CNN, MNISTCNN, Classifier, DigitsCNN
from ganzoo_zoo.metrics.classifiers.network import SIDE, Network, prepare

BATCH_SIZE = 128
SHIFT = 3
"""Largest random shift of an image in each direction, in pixels."""

Optimization = tuple[Optimizer, LRScheduler]


def adamw(network: Network, steps: int) -> Optimization:
    """Return AdamW, whose learning rate falls as a cosine."""
    optimizer = AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    return optimizer, CosineAnnealingLR(optimizer, steps)


def one_cycle(network: Network, steps: int) -> Optimization:
    """Return SGD, whose learning rate rises and falls once."""
    optimizer = SGD(network.parameters(), momentum=0.9, weight_decay=5e-4, nesterov=True)
    return optimizer, OneCycleLR(optimizer, 0.2, steps, pct_start=0.25, cycle_momentum=False)


@dataclass(frozen=True)
class Plan:
    """How to train a classifier. There is no label smoothing, so that logits tell certainty."""

    classifier: type[Classifier]
    data: str
    steps: int
    optimize: Callable[[Network, int], Optimization]
    held_out: int | None
    """One in this many images is held out; None if the accuracy is that on the test split."""
    class_names: tuple[str, ...] | None = None
    """The classes that the images must have, in this order."""
    flip: bool = False
    bf16: bool = False


CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

PLANS = {
    "digits-cnn": Plan(DigitsCNN, "digits", 2500, adamw, 5),
    "mnist-cnn": Plan(MNISTCNN, "mnist", 14_000, adamw, None),
    "cifar10-cnn": Plan(CIFAR10CNN, "cifar10", 3600, one_cycle, 10, CIFAR10_CLASSES, True, True),
}


def read_images(plan: Plan, data: str | None, root: Path | None) -> tuple[Samples, Samples]:
    """Return the images to train on, and the held-out ones.

    Raises:
        InputError: they cannot be read, or have other classes.
    """
    where = {"root": str(root)} if root else {}
    if plan.held_out is None:
        train, test = (
            open_dataset(data or plan.data, split=split, **where) for split in ("train", "test")
        )
        return train, test
    images = open_dataset(data or plan.data, image_size=SIDE, **where)
    if plan.class_names and images.spec.class_names != plan.class_names:
        raise InputError(f"the classes must be {', '.join(plan.class_names)}")
    held_out = torch.arange(len(images)) % plan.held_out == 0
    return images.subset(torch.where(~held_out)[0]), images.subset(torch.where(held_out)[0])


def shift_images(images: Tensor) -> Tensor:
    """Shift each image by a random number of pixels."""
    side = images.shape[-1]
    padded = F.pad(images, (SHIFT,) * 4, value=-1.0)
    moves = torch.randint(0, 2 * SHIFT + 1, (len(images), 2)).tolist()
    crops = [
        image[:, y : y + side, x : x + side] for image, (y, x) in zip(padded, moves, strict=True)
    ]
    return torch.stack(crops)


def flip_images(images: Tensor) -> Tensor:
    """Mirror half of the images."""
    is_flipped = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(is_flipped, images.flip(3), images)


def train(plan: Plan, images: Samples) -> Network:
    """Train a network, and print its loss now and then."""
    network = plan.classifier.network()
    if plan.bf16:
        network.to(memory_format=torch.channels_last)
    optimizer, schedule = plan.optimize(network, plan.steps)
    order, labels = BatchOrder(len(images), BATCH_SIZE, seed=0), _labels(images)
    for step in range(plan.steps):
        chosen = order(step)
        batch = shift_images(prepare(images.stored[chosen]))
        if plan.flip:
            batch = flip_images(batch)
        if plan.bf16:
            batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.bf16):
            _, logits = network(batch)
        loss = F.cross_entropy(logits.float(), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} of {plan.steps}: loss {loss:.3f}", file=sys.stderr, flush=True)
    return network.eval()


def accuracy(classifier: Classifier, images: Samples) -> float:
    """Return the share of images that a classifier, as it is shipped, classifies correctly."""
    loaded = classifier.load(None, torch.device("cpu"))
    right = 0
    for some, labels in zip(images.stored.split(1000), _labels(images).split(1000), strict=True):
        with torch.no_grad():
            logits = loaded.extract(some).logits
        assert logits is not None  # it is a classifier
        right += int(logits.argmax(1).eq(labels).sum())
    return right / len(images)


def _labels(images: Samples) -> Tensor:
    assert images.labels is not None  # these datasets have classes
    return images.labels


def main() -> None:
    """Train, write the weights, and print their accuracy on the held-out images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("--data", help="a folder or zip of the same images")
    parser.add_argument("--root", type=Path, help="torchvision's folder of the images")
    asked = parser.parse_args()
    plan = PLANS[asked.name]
    torch.manual_seed(0)
    try:
        images, held_out = read_images(plan, asked.data, asked.root)
    except GanzooError as error:
        parser.error(str(error))
    network = train(plan, images)
    dtype = getattr(torch, plan.classifier.dtype)
    save_tensors(plan.classifier.file, network.to(dtype).state_dict())
    right = accuracy(plan.classifier(), held_out)
    print(f"accuracy on {len(held_out)} held-out images: {right:.4f}")


if __name__ == "__main__":
    main()
