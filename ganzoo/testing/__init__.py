"""Conformance checks for components, for their authors' own tests.

Each check is a plain function that takes a component and raises :class:`ConformanceError` with a
message that says what the protocol asks for. Each kind has a list of its checks::

    import pytest
    from ganzoo.testing import loss_checks
    from my_package import MyLoss

    @pytest.mark.parametrize("check", loss_checks)
    def test_my_loss(check):
        check(MyLoss())
"""

from ganzoo.testing.architecture import architecture_checks
from ganzoo.testing.common import ConformanceError, check_options
from ganzoo.testing.dataset import dataset_checks
from ganzoo.testing.evaluator import evaluator_checks, feature_extractor_checks
from ganzoo.testing.loss import loss_checks

__all__ = [
    "ConformanceError",
    "architecture_checks",
    "check_options",
    "dataset_checks",
    "evaluator_checks",
    "feature_extractor_checks",
    "loss_checks",
]
