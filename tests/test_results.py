"""Pages of results hold what the records say, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from ganzoo.errors import InputError
from ganzoo.storage.files import sha256
from ganzoo_zoo.apps.record.form import read_record

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "docs" / "records"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import results

    return results


@pytest.fixture
def copied(results, monkeypatch, tmp_path):
    """The records, in a folder of the test that pages are of from now on."""
    folder = shutil.copytree(RECORDS, tmp_path / "records")
    for name in ("defaults", "times", "unrolled", "presets"):
        monkeypatch.setattr(getattr(results, name), "FOLDER", folder / name)
    monkeypatch.setattr(results.recipes, "RECORDS", folder)
    return folder


def change(path):
    """Change the scores of a file of records, or the time where nothing was judged."""
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            if "modes" in row:
                row["modes"] += 1
            elif "scores" in row:
                row["scores"] = {name: value + 1 for name, value in row["scores"].items()}
            else:
                row["seeds"][0]["score"] += 1
        return path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    tree = json.loads(path.read_text())
    for run in tree["seeds"]:
        run["seconds"] = 3600 * 77.0
        for row in run["scores"]:
            row["value"] += 1
    return path.write_text(json.dumps(tree))


def test_pages_are_what_the_records_say(results):
    pages = list(results.pages())
    assert {page.name for page in pages} >= {"results.md", "records.md"}
    for page in pages:
        assert results.fill(page) == page.read_text(), (
            f"{page.relative_to(ROOT)} is stale: python docs/results.py"
        )


def test_recipes_say_what_their_records_say(results):
    files = list(results.recipe_files())
    assert len(files) >= 6
    for path in files:
        assert results.fill_recipe(path) == path.read_text(), f"{path.name}: python docs/results.py"
        assert "at best" in path.read_text()


@pytest.mark.parametrize(
    "path",
    sorted(path for path in RECORDS.rglob("*.json*") if path.parent.name != "gpu"),
    ids=lambda path: path.stem,
)
def test_a_changed_record_changes_a_page(results, copied, path):
    pages = {page: results.fill(page) for page in results.pages()}
    change(copied / path.relative_to(RECORDS))
    assert any(results.fill(page) != text for page, text in pages.items())


def test_every_record_is_led_to_from_the_page_of_results(results):
    page = (ROOT / "docs" / "understand" / "results.md").read_text()
    for name in results.recipes.names():
        assert f"](../records/{name}.json)" in page
    for path in (RECORDS / "defaults").iterdir():
        assert f"](../records/defaults/{path.name})" in page


def test_every_picture_is_of_its_record(results):
    of_records = {}
    for name in results.recipes.names():
        record = read_record(results.recipes.record_path(name))
        if record.picture is not None:
            of_records[record.picture.file] = record.picture.sha256
    found = {path.name: sha256(path) for path in RECORDS.glob("*.png")}
    assert found == of_records


def test_no_record_names_a_folder_of_a_machine():
    for path in RECORDS.rglob("*.json*"):
        text = path.read_text()
        assert not [place for place in ("/home/", "/tmp/", "/root/", "/Users/") if place in text]


def test_a_part_of_a_record_that_is_not_there_is_refused(results, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- record nowhere -->\n7 minutes\n<!-- /record -->\n")
    with pytest.raises(InputError, match="nowhere"):
        results.fill(page)


def test_a_record_fills_a_part_and_a_row(results, copied, tiny_run, tmp_path, ganzoo_cli):
    for path in copied.glob("*.json"):
        path.unlink()
    folder = Path(shutil.copytree(tiny_run.path, "run"))
    score = {"metric": "fid[digits-cnn]", "higher_is_better": False, "std": None, "features": None}
    score |= {"data": {"name": "digits", "split": "all"}, "image_size": [16, 16], "seed": 0}
    score |= {"real_samples": 20, "fake_samples": 20, "note": None, "versions": {}}
    with (folder / "scores.jsonl").open("w") as file:
        for step, value in ((2, 312.5), (4, 208.25)):
            file.write(json.dumps({**score, "step": step, "value": value}) + "\n")
    assert ganzoo_cli("record", folder, "--out", copied / "small.json").code == 0
    page = tmp_path / "page.md"
    page.write_text(
        "typed\n<!-- record small -->\n9 minutes\n<!-- /record -->\nand\n"
        "<!-- table recipes -->\n<!-- /table -->\ntyped too\n"
    )
    text = results.fill(page)
    page.write_text(text)
    assert results.fill(page) == text
    assert text.startswith("typed\n<!-- record small -->\n```console\n$ ganzoo train dcgan ")
    assert text.endswith("<!-- /table -->\ntyped too\n")
    assert "9 minutes" not in text
    scores = "| `fid[digits-cnn]` |  | 312 | 208 | 208 | 20 fakes, 20 reals of digits (all) |"
    assert scores in text
    assert f"| [small](records/small.json) {scores} 0 | " in text
    assert "[Record](records/small.json)" in text
    assert text.count("![samples of seed 0](records/small.png)") == 2


LOOK = {
    "format": 1,
    "date": "2026-12-01",
    "device": "cuda",
    "quick": False,
    "minutes": 8.0,
    "seconds": 401.2,
    "parts": {
        "environment": {
            "status": "done",
            "findings": [
                {
                    "what": "machine",
                    "card": "Some Card",
                    "torch": "2.14.1",
                    "ganzoo": "0.1.0",
                    "driver": "580.1",
                    "memory": 24 << 30,
                },
                {"what": "rate in tf32", "gflops_per_second": 41000.0},
                {"what": "rate in fp16", "failed": "no such thing"},
            ],
        },
        "networks": {
            "status": "given up after 70 s",
            "findings": [
                {"what": "dcgan fp32", "ok": True, "waits": None},
                {"what": "mlp bf16", "ok": False, "waits": "updates.py:99: item"},
                {"what": "wavegan fp32", "skipped": "too small"},
            ],
        },
        "speed": {
            "status": "done",
            "findings": [
                {
                    "what": "dcgan 32 batch 64",
                    "issue_ms": 1.234,
                    "results": {
                        "reference": {"ms": 6.0, "times_as_fast": 1.0, "share_of_rate": 0.1},
                        "ganzoo": {"ms": 3.0, "times_as_fast": 2.0, "share_of_rate": 0.204},
                    },
                }
            ],
        },
        "compiled-speed": {
            "status": "done",
            "findings": [
                {
                    "what": "dcgan 32 batch 64",
                    "results": {
                        "reference": {"ms": 9.0, "times_as_fast": 1.0, "share_of_rate": 0.1},
                        "graphs": {"ms": 2.0, "times_as_fast": 4.5, "share_of_rate": 0.4},
                    },
                }
            ],
        },
    },
}


def test_a_look_at_a_card_is_a_section_and_without_any_nothing_is_claimed(
    results, monkeypatch, tmp_path
):
    monkeypatch.setattr(results.gpus, "FOLDER", tmp_path / "gpu")
    page = tmp_path / "page.md"
    assert results.gpus.render(page).startswith("**No look at a GPU is here yet.**")
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / "some-card.json").write_text(json.dumps(LOOK))
    text = results.gpus.render(page)
    for part in (
        "## Some Card, 2026-12-01",
        "torch 2.14.1, ganzoo 0.1.0, driver 580.1, 24 GiB; 401 seconds. TFLOP/s of one 3 x 3 "
        "convolution: 41 in TF32. [All of it](gpu/some-card.json).",
        "| networks | given up after 70 s | 1 | 1 | 1 |",
        "| dcgan 32 batch 64 | 6 | 3 | 1.23 | 2.00, 20% | 4.50, 40% |",
        "The host waits in the steps of 1 of 2 trainings: mlp bf16.",
        "- environment, rate in fp16: no such thing",
        "- networks, mlp bf16: ok False, waits updates.py:99: item",
    ):
        assert part in text, part
