"""torch-fidelity's networks, built from tensors alone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity import (
    FeatureExtractorBase,
    FeatureExtractorCLIP,
    FeatureExtractorDinoV2,
    FeatureExtractorInceptionV3,
    FeatureExtractorVGG16,
)
from torch_fidelity.feature_extractor_clip import build_model
from torch_fidelity.sample_similarity_base import SampleSimilarityBase
from torch_fidelity.sample_similarity_lpips import NetLinLayer, SampleSimilarityLPIPS
from torchvision import models

OFFSET = 0.1
"""What DINOv2 adds to the side of a grid of positions before resizing it, against rounding."""
HEAD = 64
"""Features per attention head of DINOv2."""
LPIPS_ENDS, LPIPS_CHANNELS = (4, 9, 16, 23, 30), (64, 128, 256, 512, 512)
"""Where in VGG16 the layers end that LPIPS compares, and their channels."""


class Inception(FeatureExtractorInceptionV3):
    """Inception-v3 of 2015, from torch-fidelity's tensors."""

    def __init__(self, name: str, weights: Mapping[str, Tensor]) -> None:
        # The base class would run code in a file, and is given one that was made here.
        file = io.BytesIO()
        torch.save(dict(weights), file)
        file.seek(0)
        layers = ["2048", "logits_unbiased"]
        super().__init__(name, layers, feature_extractor_weights_path=file)


class VGG(FeatureExtractorVGG16):
    """VGG16 after its second hidden layer, from torchvision's tensors."""

    def __init__(self, name: str, weights: Mapping[str, Tensor]) -> None:
        FeatureExtractorBase.__init__(self, name, ["fc2_relu"])
        self.feature_extractor_internal_dtype = torch.float32
        with torch.device("meta"):  # drawing its random weights would take seconds
            self.model = models.vgg16()
        self.model.load_state_dict(weights, assign=True)
        del self.model.classifier[4:]  # torch-fidelity applies the ReLU itself
        self.to(torch.float32).requires_grad_(False).eval()


class CLIP(FeatureExtractorCLIP):
    """CLIP's image encoder, from the published program or from tensors of the same names."""

    def __init__(self, name: str, weights: Path | Mapping[str, Tensor]) -> None:
        if isinstance(weights, Path):
            with warnings.catch_warnings():
                # torch warns of the format of the archive, which is not ours to choose.
                warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
                super().__init__(name, ["clip"], feature_extractor_weights_path=str(weights))
            return
        FeatureExtractorBase.__init__(self, name, ["clip"])
        self.feature_extractor_internal_dtype = torch.float32
        self.model = build_model(dict(weights), torch.float32)
        self.resolution = self.model.visual.input_resolution


class DINOv2(FeatureExtractorDinoV2):
    """DINOv2's image encoder, from its published tensors."""

    def __init__(self, name: str, weights: Mapping[str, Tensor]) -> None:
        FeatureExtractorBase.__init__(self, name, ["dinov2"])
        self.feature_extractor_internal_dtype = torch.float32
        self.model = dinov2(weights, self.INPUT_IMAGE_SIZE)
        self.requires_grad_(False)
        self.eval()


class PerceptualDistance(SampleSimilarityLPIPS):
    """The distance, from torchvision's tensors of VGG16 and torch-fidelity's of the layers.

    Args:
        vgg: Tensors of VGG16; those of its convolutions are used.
        weights: Weights of the layers' channels.
    """

    def __init__(self, vgg: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        SampleSimilarityBase.__init__(self, "lpips-vgg16")  # the class's own would download both
        self.sample_similarity_resize = self.sample_similarity_dtype = None
        self.L = len(LPIPS_CHANNELS)
        for number, channels in enumerate(LPIPS_CHANNELS):
            setattr(self, f"lin{number}", NetLinLayer(channels, use_dropout=True))
        self.load_state_dict(dict(weights))
        self.lins = [getattr(self, f"lin{number}") for number in range(self.L)]
        self.net = _VGGSlices(vgg)
        self.requires_grad_(False).eval()


class _VGGSlices(nn.Module):
    """The convolutions of VGG16, up to the end of each layer that is compared."""

    def __init__(self, vgg: Mapping[str, Tensor]) -> None:
        super().__init__()
        with torch.device("meta"):  # drawing random weights would take seconds
            layers = models.vgg16().features
        own = {name: vgg[f"features.{name}"] for name in layers.state_dict()}
        layers.load_state_dict(own, assign=True)
        starts = (0, *LPIPS_ENDS)
        self.slices = nn.ModuleList(
            layers[start:end] for start, end in zip(starts, LPIPS_ENDS, strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        found = [images]
        for layers in self.slices:
            found.append(layers(found[-1]))
        return found[1:]


def dinov2(weights: Mapping[str, Tensor], image_size: int) -> nn.Module:
    """Load DINOv2's tensors into torchvision's vision transformer, for one size of images.

    The two differ in two constant factors: DINOv2 scales the output of each layer, which is folded
    into the weights here, and resizes its grid of positions to the image.
    """
    width, patch = weights["cls_token"].shape[-1], weights["patch_embed.proj.weight"].shape[-1]
    network = models.VisionTransformer(
        image_size=image_size,
        patch_size=patch,
        num_layers=len(_layers(weights)),
        num_heads=width // HEAD,
        hidden_dim=width,
        mlp_dim=4 * width,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
    network.heads = nn.Identity()
    network.load_state_dict(dict(_rename_tensors(weights, image_size // patch)))
    return network


def _layers(weights: Mapping[str, Tensor]) -> set[str]:
    return {name.split(".")[1] for name in weights if name.startswith("blocks.")}


def _rename_tensors(weights: Mapping[str, Tensor], side: int) -> Iterator[tuple[str, Tensor]]:
    yield "class_token", weights["cls_token"]
    yield "encoder.pos_embedding", _resize_positions(weights["pos_embed"].float(), side)
    pairs: list[tuple[str, str, str | None]] = [
        ("conv_proj", "patch_embed.proj", None),
        ("encoder.ln", "norm", None),
    ]
    for number in _layers(weights):
        ours, theirs = f"encoder.layers.encoder_layer_{number}", f"blocks.{number}"
        yield f"{ours}.self_attention.in_proj_weight", weights[f"{theirs}.attn.qkv.weight"]
        yield f"{ours}.self_attention.in_proj_bias", weights[f"{theirs}.attn.qkv.bias"]
        pairs += [
            (f"{ours}.ln_1", f"{theirs}.norm1", None),
            (f"{ours}.self_attention.out_proj", f"{theirs}.attn.proj", f"{theirs}.ls1.gamma"),
            (f"{ours}.ln_2", f"{theirs}.norm2", None),
            (f"{ours}.mlp.0", f"{theirs}.mlp.fc1", None),
            (f"{ours}.mlp.3", f"{theirs}.mlp.fc2", f"{theirs}.ls2.gamma"),
        ]
    for ours, theirs, scale in pairs:
        weight, bias = weights[f"{theirs}.weight"], weights[f"{theirs}.bias"]
        factor = torch.ones(len(bias)) if scale is None else weights[scale]
        yield f"{ours}.weight", weight * factor.view(-1, *[1] * (weight.dim() - 1))
        yield f"{ours}.bias", bias * factor


def _resize_positions(embedded: Tensor, side: int) -> Tensor:
    """Resize the grid of positions ``(1, 1 + n * n, d)`` to another side, as DINOv2 does."""
    token, patches = embedded[:, :1], embedded[:, 1:]
    trained = round(patches.shape[1] ** 0.5)
    if trained == side:
        return embedded
    grid = patches.reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
    scale = (side + OFFSET) / trained
    resized = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([token, resized.flatten(2).transpose(1, 2)], dim=1)
