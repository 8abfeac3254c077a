"""The lines of a run's metrics."""

import pytest

from ganzoo.errors import InputError
from ganzoo.runs.metrics import is_number, read_metrics


def test_damaged_lines_are_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        b'{"step": 1, "generator/loss": 2.0}',
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"[" * 100_000,
        b'{"generator/loss": 2.0}',
        b'{"step": null}',
        b'{"step": true}',
        b'{"step": NaN}',
        b'{"step": 1e999}',
        b'{"step": 2, "warning": "collapse"}',
        b'{"step": 3, "generator/lo',
    ]
    path.write_bytes(b"\n".join(lines))
    assert list(read_metrics(path)) == [
        (1, {"step": 1, "generator/loss": 2.0}),
        (2, {"step": 2, "warning": "collapse"}),
    ]


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"metrics\.jsonl is missing"):
        next(read_metrics(tmp_path / "metrics.jsonl"))


@pytest.mark.parametrize("value", [0, -1.5, 1e299])
def test_numbers_can_be_drawn(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [None, True, "1", [1], float("nan"), float("inf"), -1e300, 1e300])
def test_other_values_cannot_be_drawn(value):
    assert not is_number(value)
