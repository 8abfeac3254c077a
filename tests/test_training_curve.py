"""The picture of a training."""

import io
import itertools
import json
import math
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from ganzoo.errors import InputError
from ganzoo.publishing import training_curve
from ganzoo.publishing.training_curve import MAX_POINTS, draw_training_curve
from ganzoo.runs import metrics
from ganzoo.storage.json_files import append_line

WHITE = 255


def logged(path, rows):
    for row in rows:
        append_line(path, row)
    return path


def steps(count, **terms):
    return [
        {"step": step, **{key.replace("__", "/"): value(step) for key, value in terms.items()}}
        for step in range(10, 10 * count + 1, 10)
    ]


def pixels(picture):
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG"
    assert image.size == (1200, 500)
    return np.asarray(image.convert("RGB"))


def inked(picture):
    """Return the share of each third of the width that is not white."""
    ink = (pixels(picture) != WHITE).any(axis=2)
    return [part.mean() for part in np.array_split(ink, 3, axis=1)]


def test_a_real_run_is_drawn_with_the_same_bytes_each_time(tiny_run):
    picture = draw_training_curve(tiny_run.path / "metrics.jsonl")
    assert picture == draw_training_curve(tiny_run.path / "metrics.jsonl")
    assert b"Software" not in picture
    image = pixels(picture)
    blue, orange = (31, 119, 180), (255, 127, 14)
    assert (image == blue).all(axis=2).sum() > 100, "the first term of each network"
    assert (image == orange).all(axis=2).sum() > 100, "and the discriminator's second"
    assert (image[0, 0] == WHITE).all(), "on white, whatever the page is"


def test_logits_have_a_panel_of_their_own(tmp_path):
    terms = {"discriminator__loss": float, "generator__loss": float}
    logits = {"discriminator__real_logits": float, "discriminator__fake_logits": lambda x: -x}
    two = draw_training_curve(logged(tmp_path / "two", steps(9, **terms)))
    three = draw_training_curve(logged(tmp_path / "three", steps(9, **terms, **logits)))
    orange = (255, 127, 14)
    assert not (pixels(two) == orange).all(axis=2).any()
    where = np.nonzero((pixels(three) == orange).all(axis=2))[1]
    assert where.min() > 800, "the second curve of the third panel alone"


def test_damaged_lines_are_passed_over(tmp_path):
    rows = steps(9, discriminator__loss=float)
    whole = logged(tmp_path / "whole", rows)
    damaged = tmp_path / "damaged"
    bad = [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"7",
        b'{"step": null}',
        b'{"step": true, "discriminator/loss": 9}',
        b'{"step": NaN, "discriminator/loss": 9}',
        b'{"step": 5, "discriminator/loss": NaN}',
        b'{"step": 5, "discriminator/loss": "9"}',
        b'{"step": 5, "discriminator/loss": 1e999}',
        b'{"step": 5, "warning": "collapse", "message": "x"}',
        b'{"step": 5, "discriminator/gradient_norm": 9, "images_per_second": 3}',
        b"[" * 100_000,
        whole.read_bytes().splitlines()[-1][:-4],
    ]
    good = whole.read_bytes().splitlines()
    damaged.write_bytes(b"\n".join([*good[:4], *bad, *good[4:]]))
    assert draw_training_curve(damaged) == draw_training_curve(whole)


def test_a_step_that_was_done_again_counts_once(tmp_path):
    rows = steps(9, generator__loss=float)
    once = draw_training_curve(logged(tmp_path / "once", rows))
    again = [{"step": 50, "generator/loss": 1000.0}, *rows]
    assert draw_training_curve(logged(tmp_path / "again", again)) == once


@pytest.mark.parametrize("rows", [[], [{"step": 1, "generator/loss": 1.0}], [{"step": 1}] * 3])
def test_nothing_to_draw_gives_no_picture(tmp_path, rows):
    path = tmp_path / "metrics.jsonl"
    path.touch()
    assert draw_training_curve(logged(path, rows)) is None


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match=r"metrics\.jsonl is missing"):
        draw_training_curve(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("name", ["$x_1", "$\\frac{", "_", "__a", "字", "\n", "a" * 500, "%s"])
def test_a_term_of_any_name_is_drawn(tmp_path, name):
    rows = [{"step": step, f"generator/{name}": step} for step in range(5)]
    assert sum(inked(draw_training_curve(logged(tmp_path / "m", rows)))) > 0.01


def test_a_long_run_is_thinned_and_keeps_its_course(tmp_path):
    count = 5 * MAX_POINTS + 1
    path = tmp_path / "long"
    lines = (json.dumps({"step": 10 * i, "generator/loss": i % 2}) for i in range(count))
    path.write_text("\n".join(lines))
    image = pixels(draw_training_curve(path))
    assert (image == (31, 119, 180)).all(axis=2).sum() > 100


def test_a_curve_keeps_every_point_until_it_is_too_long(monkeypatch):
    monkeypatch.setattr(metrics, "LONGEST_CURVE", 100)
    reader, values = metrics.CurveReader(), {step: float(step % 7) for step in range(1, 101)}
    for step, value in values.items():
        reader.add(step, value)
    assert reader.curve() == values
    reader.add(100, -1.0)
    assert reader.curve() == {**values, 100: -1.0}, "a step that was done again"


def test_a_curve_that_is_too_long_keeps_its_course_its_end_and_its_extremes(monkeypatch):
    monkeypatch.setattr(metrics, "LONGEST_CURVE", 100)
    values = {step: math.sin(step / 3000) for step in range(10_000)} | {5001: -50.0, 7777: 99.0}
    found = []
    for _ in range(2):
        reader = metrics.CurveReader()
        for step, value in values.items():
            reader.add(step, value)
        found.append(reader.curve())
    curve = found[0]
    assert found[1] == curve
    assert 50 <= len(curve) <= 103
    assert curve.items() <= values.items()
    assert {5001, 7777, 9999} <= curve.keys()
    kept = sorted(curve.keys() - {5001, 7777, 9999})
    assert {b - a for a, b in itertools.pairwise(kept)} == {128}


def test_a_long_log_is_read_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "LONGEST_CURVE", 1000)
    path = tmp_path / "m"
    with path.open("w") as file:
        for step in range(30_000):
            more = f"generator/{step}" if step % 2 else "discriminator/loss"
            file.write(json.dumps({"step": step, "generator/loss": step % 5, more: 1.0}) + "\n")
    tracemalloc.start()
    panels = training_curve._read_curves(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(panels["generator"]["loss"]) > 500
    assert peak < 1e6


def test_huge_numbers_do_not_stop_it(tmp_path):
    rows = [{"step": i, "generator/loss": 10.0 ** (i * 60)} for i in range(5)]
    assert draw_training_curve(logged(tmp_path / "m", rows))


def test_a_persons_own_settings_change_nothing_and_no_window_is_opened(tmp_path):
    path = logged(tmp_path / "m", steps(9, generator__loss=float))
    (tmp_path / "matplotlibrc").write_text("lines.linestyle: --\nfont.size: 40\nbackend: tkagg\n")
    code = f"""
import sys
from pathlib import Path
from ganzoo.publishing.training_curve import draw_training_curve
assert "matplotlib" not in sys.modules
Path("made.png").write_bytes(draw_training_curve(Path({str(path)!r})))
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "made.png").read_bytes() == draw_training_curve(path)
