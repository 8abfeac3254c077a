"""Feature extractors with published weights, behind torch-fidelity's own resizing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.error import URLError

from ganzoo import FeatureExtractor, Features, LoadedExtractor
from ganzoo.errors import GanzooError, InputError
from ganzoo.storage.files import sha256
from ganzoo.storage.paths import user_path
from ganzoo.storage.tensors import load_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch_fidelity import FeatureExtractorBase

STANDARD = "inception-v3-compat"

CPU_BATCH, BATCH = 16, 64
"""Images per batch. More are no faster on a CPU, and their activations take a gigabyte."""

WRONG_FILE_ERRORS = (RuntimeError, AttributeError, TypeError, KeyError, ValueError)
"""What a network raises when it is given the weights of another one."""


@dataclass(frozen=True)
class Source:
    """The place where weights are published."""

    url: str
    file_name: str
    """Name of the file in torch's hub folder."""
    digest: str | None
    """Start of its SHA-256, hexadecimal; None if none is published."""


class PublishedNetwork(FeatureExtractor):
    """Base class of torch-fidelity's networks with published weights.

    The weights are downloaded once into torch's hub folder, where torch-fidelity itself looks for
    them, and their hash is checked.
    """

    known_as: ClassVar[str]
    """torch-fidelity's name of the network."""
    shapes: ClassVar[dict[str, tuple[int, ...]]]
    """Shapes of tensors that distinguish this network from others, such as other sizes of it."""

    @abstractmethod
    def source(self) -> Source:
        """Return the place where the weights are published."""

    @abstractmethod
    def build(self, path: Path, published: bool) -> FeatureExtractorBase:
        """Build the network from a file of weights, the published one or another.

        Raises:
            InputError: the file holds more than tensors.
            RuntimeError: it holds the weights of another network; or another of
                ``WRONG_FILE_ERRORS``.
        """

    def load(self, weights: Path | None, device: torch.device) -> LoadedExtractor:
        """Load the weights from a file, or download the published ones."""
        import torch

        from ganzoo.compute.seeding import preserve_rng_state

        source = self.source()
        path = weights or find_file(
            self.known_as, source, "pass that file with --features-weights PATH"
        )
        if not path.is_file():
            raise InputError(f"there is no weights file {path}")
        hashed = sha256(path)
        known = source.digest
        published = weights is None if known is None else hashed.startswith(known)
        with preserve_rng_state():  # building a network draws random weights
            try:
                network = self.build(path, published)
            except WRONG_FILE_ERRORS:
                raise InputError(f"{path} holds the weights of another network") from None
        network = network.to(device, memory_format=torch.channels_last)
        return LoadedExtractor(
            lambda batch: Features(*(found.cpu() for found in network(batch))),
            image_channels=3,
            weights_sha256=hashed,
            published=published,
            batch_size=CPU_BATCH if device.type == "cpu" else BATCH,
        )

    def read_tensors(self, path: Path) -> dict[str, Tensor]:
        """Read a file that holds this network's tensors by name, and nothing else.

        Raises:
            InputError: it is damaged, or holds more.
            KeyError: it lacks tensors of this network.
            ValueError: they have other shapes.
        """
        is_safe = path.suffix == ".safetensors"
        found = load_tensors(path) if is_safe else unpack(self.known_as, path)
        if any(tuple(found[name].shape) != shape for name, shape in self.shapes.items()):
            raise ValueError("a network of another size")
        return found


class InceptionV3(PublishedNetwork):
    """Inception-v3 of 2015, as in the original FID and inception score; 2,048 features.

    torch-fidelity's port of TensorFlow's network, including its resizing. The weights are
    downloaded once into torch's hub folder, and their hash is checked.
    """

    paper = "Szegedy et al. 2016, arXiv:1512.00567"
    known_as = STANDARD
    shapes = {"fc.weight": (1008, 2048)}

    def source(self) -> Source:
        """Return torch-fidelity's own file."""
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        return _torch_source(URL_INCEPTION_V3)

    def build(self, path: Path, published: bool) -> FeatureExtractorBase:
        """Build the network from a file of torch-fidelity's tensors."""
        from ganzoo_zoo.metrics.fidelity.networks import Inception

        return Inception(self.known_as, self.read_tensors(path))


class VGG16(PublishedNetwork):
    """VGG16 after its second hidden layer, as in improved precision and recall; 4,096 features.

    torchvision's network, trained on ImageNet, behind torch-fidelity's resizing to 224 x 224. The
    weights are downloaded once into torch's hub folder, and their hash is checked.
    """

    paper = "Simonyan and Zisserman 2015, arXiv:1409.1556"
    known_as = "vgg16"
    shapes = {"classifier.3.weight": (4096, 4096)}

    def source(self) -> Source:
        """Return torchvision's own file."""
        from torchvision.models import VGG16_Weights

        return _torch_source(VGG16_Weights.IMAGENET1K_V1.url)

    def build(self, path: Path, published: bool) -> FeatureExtractorBase:
        """Build the network from a file of torchvision's tensors."""
        from ganzoo_zoo.metrics.fidelity.networks import VGG

        return VGG(self.known_as, self.read_tensors(path))


class _CLIP(PublishedNetwork):
    """Base class of CLIP's image encoders."""

    paper = "Radford et al. 2021, arXiv:2103.00020"

    def source(self) -> Source:
        """Return OpenAI's own file."""
        from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS

        digest = MODEL_METADATA[self.known_as]["hash"]
        return Source(MODEL_URLS[self.known_as], f"{self.known_as}-{digest}.pt", digest)

    def build(self, path: Path, published: bool) -> FeatureExtractorBase:
        """Build the network from the published file, or from any file of the same tensors.

        The published file is a program, and only its hash makes it safe to run.
        """
        from ganzoo_zoo.metrics.fidelity.networks import CLIP

        given = path if published else self.read_tensors(path)
        return CLIP(self.known_as, given)


class CLIPViTB32(_CLIP):
    """CLIP's image encoder ViT-B/32; 512 features.

    Trained to match 400 million pictures from the web with their captions, and therefore suitable
    for pictures unlike ImageNet's. Behind torch-fidelity's resizing to 224 x 224. The weights are
    downloaded once into torch's hub folder, and their hash is checked. A file of your own is either
    the published one or holds only its tensors, as safetensors or by ``torch.save``.
    """

    known_as = "clip-vit-b-32"
    shapes = {"visual.conv1.weight": (768, 3, 32, 32), "text_projection": (512, 512)}


class CLIPViTB16(_CLIP):
    """CLIP's image encoder ViT-B/16; 512 features.

    Like ``clip-vit-b-32``, with patches of half the side and four times the computation.
    """

    known_as = "clip-vit-b-16"
    shapes = {"visual.conv1.weight": (768, 3, 16, 16), "text_projection": (512, 512)}


class CLIPViTL14(_CLIP):
    """CLIP's image encoder ViT-L/14; 768 features.

    Like ``clip-vit-b-32``, in the largest size that takes 224 x 224.
    """

    known_as = "clip-vit-l-14"
    shapes = {"visual.conv1.weight": (1024, 3, 14, 14), "text_projection": (768, 768)}


class CLIPRN50(_CLIP):
    """CLIP's image encoder ResNet-50; 1,024 features.

    Like ``clip-vit-b-32``, but convolutional.
    """

    known_as = "clip-rn50"
    shapes = {"visual.conv1.weight": (32, 3, 3, 3), "text_projection": (512, 1024)}


class _DINOv2(PublishedNetwork):
    """Base class of DINOv2's image encoders."""

    paper = "Oquab et al. 2024, arXiv:2304.07193"
    file_name: ClassVar[str]

    def source(self) -> Source:
        """Return Meta's own file; no hash of it is published."""
        folder = self.file_name.removesuffix("_pretrain.pth")
        url = f"https://dl.fbaipublicfiles.com/dinov2/{folder}/{self.file_name}"
        return Source(url, self.file_name, None)

    def build(self, path: Path, published: bool) -> FeatureExtractorBase:
        """Build the network from a file of the published tensors."""
        from ganzoo_zoo.metrics.fidelity.networks import DINOv2

        return DINOv2(self.known_as, self.read_tensors(path))


class DINOv2S14(_DINOv2):
    """DINOv2's image encoder ViT-S/14, trained without labels or captions; 384 features.

    Behind torch-fidelity's resizing to 224 x 224. torch-fidelity itself downloads and runs the
    current code of the authors' repository. Here the published weights are loaded into
    torchvision's vision transformer, which gives the same features up to rounding and runs no
    downloaded code. The weights are downloaded once into torch's hub folder. No hash of them is
    published, so that the score of a file of your own carries that file's hash.
    """

    known_as = "dinov2-vit-s-14"
    file_name = "dinov2_vits14_pretrain.pth"
    shapes = {"cls_token": (1, 1, 384), "patch_embed.proj.weight": (384, 3, 14, 14)}


class DINOv2B14(_DINOv2):
    """DINOv2's image encoder ViT-B/14; 768 features.

    Like ``dinov2-vit-s-14``, larger.
    """

    known_as = "dinov2-vit-b-14"
    file_name = "dinov2_vitb14_pretrain.pth"
    shapes = {"cls_token": (1, 1, 768), "patch_embed.proj.weight": (768, 3, 14, 14)}


class DINOv2L14(_DINOv2):
    """DINOv2's image encoder ViT-L/14; 1,024 features.

    Like ``dinov2-vit-s-14``, larger still: the one that agrees best with people according to
    Stein et al. 2023 (arXiv:2306.04675).
    """

    known_as = "dinov2-vit-l-14"
    file_name = "dinov2_vitl14_pretrain.pth"
    shapes = {"cls_token": (1, 1, 1024), "patch_embed.proj.weight": (1024, 3, 14, 14)}


def _torch_source(url: str) -> Source:
    """Return a source whose file name ends in the start of its SHA-256, as in torch's hub."""
    file_name = url.rpartition("/")[2]
    return Source(url, file_name, Path(file_name).stem.rpartition("-")[2])


def find_file(name: str, source: Source, other_way: str = "") -> Path:
    """Return the path of published weights in torch's hub folder; they are downloaded if missing.

    Args:
        name: What the weights are of, for messages.
        source: Where they are published.
        other_way: What a person can do with the file; by default, put it into that folder.

    Raises:
        GanzooError: they cannot be downloaded.
    """
    import torch

    path = user_path(torch.hub.get_dir()) / "checkpoints" / source.file_name
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            source.url, str(path), hash_prefix=source.digest, progress=False
        )
    except (URLError, OSError, RuntimeError) as error:
        raise GanzooError(
            f"the weights of {name} cannot be downloaded from {source.url} ({error});",
            f"connect to the network, or {other_way or f'put that file into {path.parent}'}",
        ) from error
    return path


def unpack(name: str, path: Path) -> dict[str, Tensor]:
    """Read a file that ``torch.save`` wrote and that holds tensors by name, and nothing else.

    Raises:
        InputError: it is damaged, or holds more.
    """
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(found, Mapping):
            raise TypeError("no mapping")
    except Exception:  # a damaged file raises almost anything, and torch advises to trust it
        raise InputError(
            f"{path} is not a weights file of {name}: it is damaged, or holds more than tensors"
        ) from None
    return dict(found)
