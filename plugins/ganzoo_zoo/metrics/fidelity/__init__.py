"""Metrics and feature extractors of torch-fidelity.

Its networks and its functions from features to metrics are used as they are. The loop around them
is ganzoo's (:mod:`ganzoo.evaluation`), because torch-fidelity's own loop ignores misspelt keywords,
caches by name and gives scores to a generator of NaNs. Tests check that both give the same values.
"""

from ganzoo_zoo.metrics.fidelity.extractors import (
    CLIPRN50,
    VGG16,
    CLIPViTB16,
    CLIPViTB32,
    CLIPViTL14,
    DINOv2B14,
    DINOv2L14,
    DINOv2S14,
    InceptionV3,
)
from ganzoo_zoo.metrics.fidelity.frechet import FID, FIDInfinity
from ganzoo_zoo.metrics.fidelity.perceptual import LPIPS
from ganzoo_zoo.metrics.fidelity.scores import KID, InceptionScore, PrecisionRecall

__all__ = [
    "CLIPRN50",
    "FID",
    "KID",
    "LPIPS",
    "VGG16",
    "CLIPViTB16",
    "CLIPViTB32",
    "CLIPViTL14",
    "DINOv2B14",
    "DINOv2L14",
    "DINOv2S14",
    "FIDInfinity",
    "InceptionScore",
    "InceptionV3",
    "PrecisionRecall",
]
