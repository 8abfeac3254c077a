"""Make the weights of a classifier.

Run ``python plugins/ganzoo_zoo/metrics/digit_classifiers/train.py NAME``.

NAME is ``digits-cnn``, which takes a minute, or ``mnist-cnn``, which takes a few and wants
``--root DIR`` where torchvision's folder of MNIST is not in ganzoo's cache.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo import Samples, open_dataset
from ganzoo.storage.tensors import save_tensors
from ganzoo.training.batch_order import BatchOrder
from ganzoo_zoo.metrics.digit_classifiers import MNISTCNN, DigitClassifier, DigitsCNN
from ganzoo_zoo.metrics.digit_classifiers.network import Network, prepare

HELD_OUT = 5
"""One of the embedded digits in this many is not trained on."""
SHIFT = 3
"""Pixels that an image moves by, at most, each way."""


@dataclass(frozen=True)
class Plan:
    """What a classifier is trained for."""

    classifier: type[DigitClassifier]
    steps: int


PLANS = {"digits-cnn": Plan(DigitsCNN, 2500), "mnist-cnn": Plan(MNISTCNN, 14_000)}


def read_digits(name: str, root: Path | None) -> tuple[Samples, Samples]:
    """Return the digits to train on, and those that are held out."""
    if name == "mnist-cnn":
        where = {"root": str(root)} if root else {}
        return tuple(open_dataset("mnist", split=part, **where) for part in ("train", "test"))
    digits = open_dataset("digits")
    held_out = torch.arange(len(digits)) % HELD_OUT == 0
    return tuple(digits.subset(torch.where(part)[0]) for part in (~held_out, held_out))


def shift_images(images: Tensor) -> Tensor:
    """Move each image its own way."""
    side = images.shape[-1]
    padded = F.pad(images, (SHIFT,) * 4, value=-1.0)
    moves = torch.randint(0, 2 * SHIFT + 1, (len(images), 2)).tolist()
    crops = [
        image[:, y : y + side, x : x + side] for image, (y, x) in zip(padded, moves, strict=True)
    ]
    return torch.stack(crops)


def accuracy(network: Network, digits: Samples) -> float:
    """Return the share of digits that a network recognises."""
    with torch.no_grad():
        parts = [network(prepare(images))[1].argmax(1) for images in digits.stored.split(1000)]
    return (torch.cat(parts) == digits.labels).float().mean().item()


def main() -> None:
    """Train with AdamW, print the accuracy on the digits held out, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("--root", type=Path, help="torchvision's folder of MNIST")
    asked = parser.parse_args()
    plan = PLANS[asked.name]
    torch.manual_seed(0)
    train, held_out = read_digits(asked.name, asked.root)
    images, labels = prepare(train.stored), train.labels
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.steps)
    order = BatchOrder(len(images), batch_size=128, seed=0)
    for step in range(plan.steps):
        chosen = order(step)
        _, logits = network(shift_images(images[chosen]))
        loss = F.cross_entropy(logits, labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    right = accuracy(network.eval(), held_out)
    print(f"{right:.4f} of {len(held_out)} digits held out are recognised")
    save_tensors(plan.classifier.file, network.state_dict())


if __name__ == "__main__":
    main()
