"""Projection: the latent or the styles from which a model makes a given image, or nearly so.

``ganzoo project`` and :func:`project` search them by gradient descent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ganzoo_zoo.apps.project.projection import RESTARTS, STEPS, Projection

if TYPE_CHECKING:
    from torch import Tensor

    from ganzoo.models.model import Model
    from ganzoo.runs.folder import Run


def project(
    model: Model | Run | str | Path | None,
    images: Tensor | str | Path,
    space: str | None = None,
    *,
    steps: int = STEPS,
    restarts: int = RESTARTS,
    seed: int = 0,
    label: int | None = None,
    device: str = "auto",
) -> Projection:
    """Find the latents or styles whose samples are some images.

    From the mean style and the best of many drawn ones, Adam follows the gradient of the mean
    squared difference of pixels at several scales (Karras et al. 2020, arXiv:1912.04958,
    appendix D). The noise inputs of a generator stay as they are.

    Args:
        model: A model, or anything that :func:`ganzoo.load` accepts.
        images: Floats ``(N, C, H, W)`` in ``[-1, 1]`` of the shape of the model's samples; or a
            file or a folder of images, or ``sample:SEED`` for the model's own sample.
        space: ``w+`` for a style of each layer, ``w`` for one style, ``z`` for a latent; None for
            ``w+`` where the model has styles, else ``z``.
        steps: Number of steps.
        restarts: Number of searches for each image, of which the best is kept.
        seed: Seed of the drawn latents and of the noise on the way.
        label: Class of the images; None also finds the class.
        device: Device to compute on.

    Raises:
        InputError: the model does not start from noise, makes no images or has no styles, or the
            images cannot be read or do not fit it.
    """
    from ganzoo.compute.devices import resolve_device
    from ganzoo.models.model import Model, load
    from ganzoo_zoo.apps.project.search import Search, search
    from ganzoo_zoo.apps.project.targets import choose_space, read_targets

    loaded = model if isinstance(model, Model) else load(model)
    space = choose_space(loaded, space)
    loaded.to(resolve_device(device))
    targets = read_targets(loaded, images, label).images
    return search(loaded, targets, Search(space, steps, restarts, seed, label))
