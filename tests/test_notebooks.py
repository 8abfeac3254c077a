"""The notebooks of the documentation: small files without outputs, which run in a fresh kernel."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_the_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["judge-and-share", "train-and-look"]
    page = (FOLDER.parent / "how-to" / "notebooks.md").read_text()
    assert all(f"](../notebooks/{path.name})" in page for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_gave(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert path.stat().st_size < 20_000
    for cell in book.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.read(path, as_version=4)
    changed = 0
    for cell in book.cells:
        cell.source, count = re.subn(r"(?m)^STEPS = \d+", "STEPS = 60", cell.source)
        changed += count
    assert changed == 1
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=300, kernel_name="python3", resources=place).execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert [output for output in shown if output.output_type == "stream"] == [], "no warnings"
    pages = [output.data["text/html"] for output in shown if "text/html" in output.get("data", {})]
    assert sum("<progress value='60' max='60'" in page for page in pages) == 2
    assert any("data:image/png;base64," in page for page in pages)
    assert any("data:image/svg+xml;base64," in page for page in pages)
