"""Train the weights of a digit classifier.

Run ``python plugins/ganzoo_zoo/metrics/digit_classifiers/train.py NAME``.

NAME is ``digits-cnn``, which takes a minute, or ``mnist-cnn``, which takes a few. Pass
``--root DIR`` if torchvision's folder of MNIST is not in ganzoo's cache.
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
"""One in this many of the embedded digits is held out from training."""
SHIFT = 3
"""Largest random shift of an image in each direction, in pixels."""


@dataclass(frozen=True)
class Plan:
    """A classifier, and the number of steps to train it for."""

    classifier: type[DigitClassifier]
    steps: int


PLANS = {"digits-cnn": Plan(DigitsCNN, 2500), "mnist-cnn": Plan(MNISTCNN, 14_000)}


def read_digits(name: str, root: Path | None) -> tuple[Samples, Samples]:
    """Return the digits to train on, and the held-out ones."""
    if name == "mnist-cnn":
        where = {"root": str(root)} if root else {}
        return open_dataset("mnist", split="train", **where), open_dataset(
            "mnist", split="test", **where
        )
    digits = open_dataset("digits", image_size=32)
    held_out = torch.arange(len(digits)) % HELD_OUT == 0
    return digits.subset(torch.where(~held_out)[0]), digits.subset(torch.where(held_out)[0])


def shift_images(images: Tensor) -> Tensor:
    """Shift each image by a random number of pixels."""
    side = images.shape[-1]
    padded = F.pad(images, (SHIFT,) * 4, value=-1.0)
    moves = torch.randint(0, 2 * SHIFT + 1, (len(images), 2)).tolist()
    crops = [
        image[:, y : y + side, x : x + side] for image, (y, x) in zip(padded, moves, strict=True)
    ]
    return torch.stack(crops)


def accuracy(network: Network, digits: Samples) -> float:
    """Return the share of digits that a network classifies correctly."""
    with torch.no_grad():
        parts = [network(prepare(images))[1].argmax(1) for images in digits.stored.split(1000)]
    return torch.cat(parts).eq(_labels(digits)).float().mean().item()


def _labels(digits: Samples) -> Tensor:
    assert digits.labels is not None  # these datasets have classes
    return digits.labels


def main() -> None:
    """Train with AdamW, print the accuracy on the held-out digits, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("--root", type=Path, help="torchvision's folder of MNIST")
    asked = parser.parse_args()
    plan = PLANS[asked.name]
    torch.manual_seed(0)
    train, held_out = read_digits(asked.name, asked.root)
    images, labels = prepare(train.stored), _labels(train)
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
    print(f"accuracy on {len(held_out)} held-out digits: {right:.4f}")
    save_tensors(plan.classifier.file, network.state_dict())


if __name__ == "__main__":
    main()
