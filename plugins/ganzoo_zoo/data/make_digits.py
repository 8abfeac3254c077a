"""Make ``digits.safetensors`` from scikit-learn's copy of the set.

Run ``python plugins/ganzoo_zoo/data/make_digits.py`` with the development dependencies installed.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from ganzoo.storage.tensors import save_tensors
from ganzoo_zoo.data.digits import FILE


def main() -> None:
    """Write the images, grey levels 0 to 16 of shape (1797, 1, 8, 8), and their labels."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(digits.target).to(torch.uint8)
    save_tensors(FILE, {"images": images, "labels": labels})


if __name__ == "__main__":
    main()
