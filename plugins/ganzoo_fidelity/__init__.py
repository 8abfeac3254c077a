"""FID and Inception Score by torch-fidelity's own functions.

Its extractor and its functions from features to metrics are used; the loop around them is
ganzoo's (:mod:`ganzoo.evaluation`), and a test holds the two equal. torch-fidelity's own loop
ignores misspelt keywords, caches by name and scores a generator of NaNs.
"""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import torch
from pydantic import Field

from ganzoo import Evaluator, FeatureExtractor, Features, LoadedExtractor, SampleSet, Score
from ganzoo.errors import GanzooError, InputError
from ganzoo.files import sha256
from ganzoo.seeding import kept_randomness

STANDARD = "inception-v3-compat"


class FID(Evaluator):
    r"""Fréchet inception distance between the features of fakes and reals.

    .. math::
        \|\mu_r - \mu_f\|^2 + \mathrm{tr}(\Sigma_r + \Sigma_f - 2 (\Sigma_r \Sigma_f)^{1/2})

    Heusel et al. 2017, equation 6. It is biased upwards for few samples, so that only scores of
    equal sample counts compare.
    """

    paper = "Heusel et al. 2017, arXiv:1706.08500"
    higher_is_better = False
    features = STANDARD

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Compare Gaussians fitted to the pooled features of both sets."""
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

        fewest = min(len(fake), len(real))
        if fewest < 2:
            raise InputError(f"fid needs at least 2 samples of each kind, not {fewest}")
        statistics = [
            fid_features_to_statistics(samples.features.pooled) for samples in (fake, real)
        ]
        value = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
        width = fake.features.pooled.shape[1]
        note = f"{fewest} samples are few for {width} features" if fewest < 2 * width else None
        return [Score(value, note=note)]


class InceptionScore(Evaluator):
    r"""Inception score of the fakes: sharp and varied class predictions score high.

    .. math::
        \exp(E_x[KL(p(y|x) \,\|\, p(y))])

    Salimans et al. 2016, section 4: mean and standard deviation over splits. The splits are drawn
    with a fixed seed, as torch-fidelity draws them.
    """

    paper = "Salimans et al. 2016, arXiv:1606.03498"
    higher_is_better = True
    features = STANDARD
    needs_logits = True

    splits: int = Field(10, ge=1, description="Parts that the mean and deviation are taken over.")

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Judge the class logits of the fakes; the reals are not looked at."""
        from torch_fidelity.metric_isc import isc_features_to_metric

        if len(fake) < self.splits:
            raise InputError(f"is needs at least {self.splits} samples, one a split")
        result = isc_features_to_metric(fake.features.logits, splits=self.splits)
        return [Score(result["inception_score_mean"], std=result["inception_score_std"])]


class InceptionV3(FeatureExtractor):
    """Inception-v3 of 2015, as the original FID and Inception Score use it; 2,048 features.

    torch-fidelity's port of TensorFlow's network, its resizing included. Its weights are fetched
    once into torch's hub folder, and their hash is checked.
    """

    paper = "Szegedy et al. 2016, arXiv:1512.00567"

    def load(self, weights: Path | None, device: torch.device) -> LoadedExtractor:
        """Load the weights file in torch-fidelity's format, or fetch the published one."""
        from torch_fidelity import FeatureExtractorInceptionV3
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        file_name = URL_INCEPTION_V3.rpartition("/")[2]
        path = weights or Path(torch.hub.get_dir()) / "checkpoints" / file_name
        if weights is None and not path.exists():
            _fetch(URL_INCEPTION_V3, path)
        hashed = sha256(_checked(path))
        with kept_randomness():  # building a network draws its first weights
            try:
                network = FeatureExtractorInceptionV3(
                    STANDARD, ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
                )
            except (RuntimeError, AttributeError, TypeError):
                raise InputError(f"{path} holds the weights of another network") from None
        network = network.to(device, memory_format=torch.channels_last)
        return LoadedExtractor(
            lambda batch: Features(*(found.cpu() for found in network(batch))),
            image_channels=3,
            weights_sha256=hashed,
            published=hashed.startswith(_hash_in(file_name)),
        )


def _hash_in(file_name: str) -> str:
    """Return the start of the SHA-256 that torch's hub puts in a file's name."""
    return Path(file_name).stem.rpartition("-")[2]


def _fetch(url: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            url, str(path), hash_prefix=_hash_in(path.name), progress=False
        )
    except (URLError, OSError, RuntimeError) as error:
        raise GanzooError(
            f"the weights of {STANDARD} cannot be fetched ({error});\n"
            f"connect to the network, or give the file {path.name} with --features-weights PATH"
        ) from error


def _checked(path: Path) -> Path:
    """Refuse a weights file that holds anything but tensors, before torch-fidelity opens it."""
    if not path.is_file():
        raise InputError(f"there is no weights file {path}")
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file raises almost anything, with advice to trust it
        raise InputError(
            f"{path} is not a weights file of {STANDARD}: it is damaged, or holds more than tensors"
        ) from None
    return path
