"""How many samples are of the class that they were asked for."""

from __future__ import annotations

from ganzoo import DataSpec, Evaluator, SampleSet, Score
from ganzoo.errors import InputError


class GANTest(Evaluator):
    """Share of the fakes in which a classifier of real images sees the class asked for.

    GAN-test of Shmelkov et al. 2018 (section 3.2), with the feature extractor that the data bring
    with them for a classifier. The reals themselves, by ``--floor``, say how far it can be
    trusted. It says how well a generator keeps to the classes, and nothing of variety: one good
    image of each class scores 1.
    """

    paper = "Shmelkov et al. 2018, arXiv:1807.09499"
    higher_is_better = True
    needs_logits = True
    on_request = True

    def extractor(self, data: DataSpec) -> str | None:
        """Name the classifier that the data bring with them."""
        return data.features

    def fits(self, data: DataSpec) -> bool:
        """Only images of classes that bring a classifier with them."""
        return data.is_image and data.classes is not None and data.features is not None

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Classify the fakes; the reals are not looked at."""
        labels, classes = fake.samples.labels, fake.samples.spec.classes
        if labels is None:
            raise InputError(
                "gan-test needs samples that were asked for by class, and this model knows none; "
                "train one with --set arch.conditional=true"
            )
        logits = fake.features.logits
        if logits is None or logits.shape[1] != classes:
            found = "no classifier" if logits is None else f"a classifier of {logits.shape[1]}"
            raise InputError(
                f"gan-test needs a classifier of the {classes} classes of these data, and the "
                f"feature extractor is {found}; choose other --features"
            )
        return [Score((logits.argmax(1) == labels.cpu()).float().mean().item())]
