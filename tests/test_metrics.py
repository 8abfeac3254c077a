"""The lines of a run's metrics."""

import pytest

from ganzoo.errors import InputError
from ganzoo.runs import metrics
from ganzoo.runs.metrics import WarningReader, is_number, read_metrics


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


def read_warnings(*rows):
    reader = WarningReader()
    for step, row in rows:
        reader.add(step, row)
    return (
        [each.describe() for each in reader.current()],
        [each.describe() for each in reader.past()],
    )


def test_warnings_hold_until_a_line_ends_them():
    begins = [(5, {"warning": "a", "message": "x at 5"}), (6, {"warning": "b"}), (7, {"loss": 1})]
    assert read_warnings(*begins, begins[0]) == (["x at 5", "b"], []), "as earlier files tell them"
    ended = (9, {"warning": "a", "began": 5, "message": "no longer"})
    assert read_warnings(*begins, ended) == (["b"], ["from step 5 to 9: x at 5"])
    again = (20, {"warning": "a", "message": "x at 20"})
    assert read_warnings(*begins, ended, again)[0] == ["b", "x at 20"]
    # The end of a long file may be all that is read.
    assert read_warnings(ended) == ([], ["from step 5 to 9: no longer"])


def test_warnings_of_any_number_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(metrics, "MOST_WARNINGS", 3)
    rows = [(step, {"warning": "a", "message": f"{step}"}) for step in range(9)]
    assert read_warnings(*rows) == (["6", "7", "8"], [])


@pytest.mark.parametrize("value", [0, -1.5, 1e299])
def test_numbers_can_be_drawn(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [None, True, "1", [1], float("nan"), float("inf"), -1e300, 1e300])
def test_other_values_cannot_be_drawn(value):
    assert not is_number(value)
