"""Small classifiers of digits and of CIFAR-10's photographs, for evaluating GANs of such images.

Evaluating digit GANs with a digit classifier is common practice, as Inception was trained on
photographs. That of CIFAR-10 needs no download. ``train.py`` in this folder trains the weights and
prints the accuracy on held-out images.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ganzoo import FeatureExtractor, Features, LoadedExtractor
from ganzoo.storage.files import sha256
from ganzoo.storage.tensors import load_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ganzoo_zoo.metrics.classifiers.network import Network


class Classifier(FeatureExtractor):
    """Base class of the classifiers: a network, with weights from a file."""

    file: ClassVar[Path]
    """The embedded weights."""
    dtype: ClassVar[str] = "float32"
    """In which the file holds them; features are always computed in float32."""
    image_channels: ClassVar[int] = 1

    @classmethod
    @abstractmethod
    def network(cls) -> Network:
        """Return the untrained network."""

    def load(self, weights: Path | None, device: torch.device) -> LoadedExtractor:
        """Load the embedded weights, or a safetensors file of the same network."""
        import torch

        path = weights or self.file
        network = self.network().to(getattr(torch, self.dtype))
        network.load_state_dict(load_tensors(path, network.state_dict()))
        network = network.float().eval().requires_grad_(False).to(device)
        return LoadedExtractor(
            lambda batch: self.extract(network, batch),
            image_channels=self.image_channels,
            weights_sha256=sha256(path),
            published=weights is None,
            batch_size=256,
        )

    def extract(self, network: Network, batch: Tensor) -> Features:
        """Extract the features of uint8 images ``(N, C, H, W)``, and their logits."""
        from ganzoo_zoo.metrics.classifiers.network import prepare

        return Features(*(found.cpu() for found in network(prepare(batch))))


class _DigitClassifier(Classifier):
    """Base class of the classifiers of digits."""

    @classmethod
    def network(cls) -> Network:
        """Return the untrained network."""
        from ganzoo_zoo.metrics.classifiers.network import DigitNetwork

        return DigitNetwork()


class DigitsCNN(_DigitClassifier):
    """Convolutional classifier of the embedded digits; 64 features, 10 classes."""

    file = Path(__file__).with_name("digits_cnn.safetensors")


class MNISTCNN(_DigitClassifier):
    """Convolutional classifier of MNIST's digits; 64 features, 10 classes."""

    file = Path(__file__).with_name("mnist_cnn.safetensors")


class StackedMNISTCNN(MNISTCNN):
    """MNIST's classifier on each of three channels; 192 features, 1,000 classes.

    Stacked MNIST has a digit in each channel and a class for each triple, number
    ``100 R + 10 G + B`` (Metz et al. 2017, appendix D). The features of the channels lie side by
    side, and the logits are the log-probabilities of the triples: the sums of the channels' own.
    """

    paper = "Metz et al. 2017, arXiv:1611.02163"
    image_channels = 3

    def extract(self, network: Network, batch: Tensor) -> Features:
        """Extract the features of uint8 images ``(N, 3, H, W)``, and their logits."""
        from ganzoo_zoo.metrics.classifiers.network import prepare

        channels = prepare(batch.flatten(0, 1).unsqueeze(1))
        features, logits = network(channels)
        red, green, blue = logits.log_softmax(1).unflatten(0, (-1, 3)).unbind(1)
        triples = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return Features(features.unflatten(0, (-1, 3)).flatten(1).cpu(), triples.flatten(1).cpu())


class CIFAR10CNN(Classifier):
    """Convolutional classifier of CIFAR-10's photographs; 128 features, 10 classes."""

    file = Path(__file__).with_name("cifar10_cnn.safetensors")
    dtype = "float16"
    image_channels = 3

    @classmethod
    def network(cls) -> Network:
        """Return the untrained network."""
        from ganzoo_zoo.metrics.classifiers.network import PhotoNetwork

        return PhotoNetwork()
