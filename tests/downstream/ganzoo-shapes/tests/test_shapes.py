"""ganzoo's conformance checks over both components."""

import pytest
from ganzoo_shapes import Linear, Relativistic

from ganzoo.testing import architecture_checks, loss_checks


@pytest.mark.parametrize("check", loss_checks, ids=lambda check: check.__name__)
def test_relativistic(check):
    check(Relativistic())


@pytest.mark.parametrize("check", architecture_checks, ids=lambda check: check.__name__)
def test_linear(check):
    check(Linear())
