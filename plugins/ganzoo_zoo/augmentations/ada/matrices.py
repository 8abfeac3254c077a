"""Products of matrices."""

from __future__ import annotations

from torch import Tensor


def multiply(first: Tensor, second: Tensor) -> Tensor:
    """Return products of small matrices ``(N, ...)``, of full precision where GPUs use TF32."""
    return (first[:, :, :, None] * second[:, None]).sum(2)


def apply_to_sides(rows: Tensor, images: Tensor, columns: Tensor) -> Tensor:
    """Return images ``(N, C, H, W)`` with matrices applied to their columns and their rows.

    Args:
        rows: Maps a column ``(H,)``: a matrix, or one for each image and channel.
        images: The images.
        columns: Maps a row ``(W,)``, likewise.
    """
    return rows @ (images @ columns.mT)
