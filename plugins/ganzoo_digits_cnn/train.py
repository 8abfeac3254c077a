"""Make ``digits_cnn.safetensors``: run ``python plugins/ganzoo_digits_cnn/train.py``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzoo import open_dataset
from ganzoo.files import save_tensors
from ganzoo.seeding import BatchOrder
from ganzoo_digits_cnn import FILE, Network, prepared

STEPS = 2500
HELD_OUT = 5
"""One digit in this many is not trained on."""


def shifted(images: Tensor) -> Tensor:
    """Move each image by up to 3 pixels either way, its own way."""
    padded = F.pad(images, (3, 3, 3, 3), value=-1.0)
    moves = torch.randint(0, 7, (len(images), 2)).tolist()
    crops = [image[:, y : y + 32, x : x + 32] for image, (y, x) in zip(padded, moves, strict=True)]
    return torch.stack(crops)


def main() -> None:
    """Train with Adam, print the accuracy on the digits held out, write the weights."""
    torch.manual_seed(0)
    digits = open_dataset("digits")
    held_out = torch.arange(len(digits)) % HELD_OUT == 0
    images, labels = prepared(digits.stored), digits.labels
    train_images, train_labels = images[~held_out], labels[~held_out]
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    order = BatchOrder(len(train_images), batch_size=128, seed=0)
    for step in range(STEPS):
        chosen = order(step)
        _, logits = network(shifted(train_images[chosen]))
        loss = F.cross_entropy(logits, train_labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        right = network(images[held_out])[1].argmax(1) == labels[held_out]
    print(f"{right.float().mean():.4f} of {len(right)} digits held out are recognised")
    save_tensors(FILE, network.state_dict())


if __name__ == "__main__":
    main()
