"""Conformance checks for components, for their authors' own tests.

One line tests everything that an installed package announces, each component by every check of its
kind::

    from ganzoo.testing import conformance_tests

    test_conformance = conformance_tests("ganzoo-my-loss")

Each check is a function that takes a component and raises :class:`ConformanceError` with a message
that says what the protocol requires. Each kind has a list of its checks, which you can also use
alone, for options other than the defaults::

    import pytest
    from ganzoo.testing import loss_checks
    from my_package import MyLoss

    @pytest.mark.parametrize("check", loss_checks)
    def test_my_loss_without_margin(check):
        check(MyLoss(margin=0))

A converter's own test gives :func:`check_conversion` the weights of a small file of its form.
``feature_extractor_checks`` take the result of ``load``, ``command_checks`` a Typer app,
``model_checks`` a :class:`ganzoo.models.folder.ModelFolder`, ``recipe_checks`` the path of a file,
and all others a component of their kind.
"""

from ganzoo.testing.architecture import architecture_checks
from ganzoo.testing.augmentation import augmentation_checks
from ganzoo.testing.command import command_checks
from ganzoo.testing.common import ConformanceError, check_options
from ganzoo.testing.conformance import conformance_tests
from ganzoo.testing.converter import check_conversion, converter_checks
from ganzoo.testing.dataset import dataset_checks
from ganzoo.testing.evaluator import evaluator_checks, feature_extractor_checks
from ganzoo.testing.loss import loss_checks
from ganzoo.testing.model import model_checks
from ganzoo.testing.penalty import penalty_checks
from ganzoo.testing.recipe import recipe_checks
from ganzoo.testing.space import space_checks
from ganzoo.testing.tracker import tracker_checks

__all__ = [
    "ConformanceError",
    "architecture_checks",
    "augmentation_checks",
    "check_conversion",
    "check_options",
    "command_checks",
    "conformance_tests",
    "converter_checks",
    "dataset_checks",
    "evaluator_checks",
    "feature_extractor_checks",
    "loss_checks",
    "model_checks",
    "penalty_checks",
    "recipe_checks",
    "space_checks",
    "tracker_checks",
]
