"""GAN-test: the share of samples that a classifier assigns to the class they were drawn for."""

from __future__ import annotations

from ganzoo import DataSpec, Evaluator, SampleSet, Score
from ganzoo.errors import InputError


class GANTest(Evaluator):
    """Share of the fakes that a classifier of real images assigns to the class they were drawn for.

    GAN-test of Shmelkov et al. 2018 (section 3.2). The classifier is the feature extractor that
    comes with the data; its score for reals (``--floor``) shows how far to trust it. The metric
    measures how well a generator keeps to the classes, and not variety: one good image of each
    class scores 1.
    """

    paper = "Shmelkov et al. 2018, arXiv:1807.09499"
    higher_is_better = True
    needs_logits = True
    on_request = True

    def extractor(self, data: DataSpec) -> str | None:
        """Return the classifier that comes with the data."""
        return data.features

    def fits(self, data: DataSpec) -> bool:
        """Accept images with classes and a classifier of their own."""
        return data.is_image and data.classes is not None and data.features is not None

    def evaluate(self, fake: SampleSet, real: SampleSet) -> list[Score]:
        """Classify the fakes; the reals are not used."""
        labels, classes = fake.samples.labels, fake.samples.spec.classes
        if labels is None:
            raise InputError(
                "needs samples drawn by class, and this model has no classes; train one with "
                "--set arch.conditional=true"
            )
        logits = fake.features.logits
        if logits is None or logits.shape[1] != classes:
            found = "no classifier" if logits is None else f"a classifier of {logits.shape[1]}"
            raise InputError(
                f"needs a classifier of the {classes} classes of these data, and the feature "
                f"extractor is {found}; choose other --features"
            )
        return [Score((logits.argmax(1) == labels.cpu()).float().mean().item())]
