"""What a command finds around it: streams, variables, a home folder, memory; or does not find."""

import io
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from ganzoo import registry
from ganzoo.cli import commands, process
from ganzoo.cli.common import forgive_output
from ganzoo.compute import memory
from ganzoo.errors import InputError
from ganzoo.models.find import find_model
from ganzoo.storage.cache import cache_folder, get_or_make_tensors
from ganzoo.storage.paths import user_path

TINY = "--data ring --set data.samples=64 --set arch.hidden=4 --steps 1 --device cpu --out run"


def shell(line, **environment):
    """Run a line of the shell, in which ``ganzoo`` is the command."""
    ganzoo = f'ganzoo() {{ "{sys.executable}" -m ganzoo "$@"; }}; '
    return subprocess.run(
        ["sh", "-c", ganzoo + line],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


# Streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("ganzoo --version >&-", 0, "", ""),
        ("ganzoo --version >&- 2>&- <&-", 0, "", ""),
        ("ganzoo --version >/dev/full", 1, "", "Error: standard output: No space left on device\n"),
        ("ganzoo show nothing 2>&-", 2, "", ""),
        ("ganzoo show nothing 2>/dev/full", 2, "", ""),
        ("{ ganzoo list; echo $? >&2; } | true", 0, "", "1\n"),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_closed_and_full_streams_are_no_fault(line, code, out, err, unbuffered):
    done = shell(line, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_a_training_without_streams_is_finished_and_its_files_are_whole(tmp_path):
    done = shell(f"ganzoo train mlp {TINY} >&- 2>&- <&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "run" / "model" / "manifest.json").is_file()
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [row[:10] for row in rows] == ['{"step": 1']


def test_notes_that_nobody_reads_are_dropped_and_results_are_not():
    reader, writer = os.pipe()
    os.close(reader)
    notes = process._wrap_stream(process._Notes(writer, "w", closefd=False), sys.__stderr__)
    print("a note", file=notes, flush=True)
    results = process._wrap_stream(process._Results(writer, "w", closefd=False), None)
    results.write("a result")
    with pytest.raises(BrokenPipeError) as broken:
        results.flush()
    assert broken.value.filename == "standard output"
    os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
    results.close()
    notes.close()


class Broken(io.StringIO):
    """An output that does not take what is printed."""

    def __init__(self, error, name):
        super().__init__()
        self.error = OSError(error, os.strerror(error), name)

    def flush(self):
        raise self.error

    def fileno(self):
        return os.open(os.devnull, os.O_WRONLY)


def test_a_lost_output_does_not_undo_work(monkeypatch, capsys):
    from errno import EIO, ENOSPC, EPIPE

    for number in (EIO, ENOSPC):
        monkeypatch.setattr(sys, "stdout", Broken(number, process.OUTPUT))
        with forgive_output("it is finished"):
            print("run")
        said = f"warning: standard output: {os.strerror(number)}; it is finished\n"
        assert capsys.readouterr().err == said
    for number, name in ((EPIPE, process.OUTPUT), (EIO, "run/scores.jsonl")):
        monkeypatch.setattr(sys, "stdout", Broken(number, name))
        with pytest.raises(OSError, match=os.strerror(number)), forgive_output("it is finished"):
            print("run")


# The home folder, and variables -------------------------------------------------------------------


@pytest.fixture
def homeless(monkeypatch):
    """Have no home folder, as a user without an entry in the table of users."""

    def fail(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", fail)
    for name in ("HOME", "GANZOO_CACHE", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)


NO_HOME = "nothing says where your home folder is; set HOME, or GANZOO_CACHE to a folder"


def test_an_empty_variable_counts_as_not_set(monkeypatch, tmp_path):
    monkeypatch.setenv("GANZOO_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / "home" / ".cache" / "ganzoo"
    for name in process.FOLDER_VARIABLES:
        monkeypatch.setenv(name, "")
    process._clean_environment()
    assert not os.environ.keys() & set(process.FOLDER_VARIABLES)


def test_without_a_home_folder_only_what_must_be_kept_is_refused(homeless, refused):
    with pytest.raises(InputError, match=NO_HOME):
        cache_folder()
    made = get_or_make_tensors("kind", {}, lambda: {"one": torch.ones(1)})
    assert made["one"] == 1
    Path("images").mkdir()
    assert f"~/.cache: {NO_HOME}" in refused("train", "mlp", "--data", "mnist", "--device", "cpu")
    assert f"~/x: {NO_HOME}" in refused("train", "mlp", "--out", "~/x", "--device", "cpu")
    extractor = registry.get(registry.FEATURE_EXTRACTOR, "inception-v3-compat")
    with pytest.raises(InputError, match=NO_HOME):
        extractor().load(None, torch.device("cpu"))


def test_without_a_home_folder_nothing_of_the_hub_comes_into_this_one(homeless, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "~/.cache/huggingface/hub")
    with pytest.raises(InputError, match=NO_HOME):
        find_model("user/name")
    assert list(Path().iterdir()) == []


def test_without_a_home_folder_one_variable_is_for_all_caches(homeless, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("GANZOO_CACHE", "cache")
    process._clean_environment()
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "cache")
    assert cache_folder() == Path("cache")
    assert torch.hub.get_dir() == str(tmp_path / "cache" / "torch" / "hub")


def test_what_else_needs_a_home_folder_says_so(refused, plugin):
    fails = "from pathlib import Path\nimport typer\napp = typer.Typer()\n@app.command()\n"
    fails += "def go():\n    raise RuntimeError('Could not determine home directory.')\n"
    plugin("acme", fails, {"ganzoo.commands": {"go": "acme:app"}})
    assert refused("go") == "Error: nothing says where your home folder is; set HOME"


# Memory -----------------------------------------------------------------------------------------

WITHOUT = {
    "MemoryError": "raise MemoryError",
    "torch": 'raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")',
    "a GPU": "import torch; raise torch.OutOfMemoryError('CUDA out of memory.')",
    "another": "raise RuntimeError('MPS backend out of memory')",
    "the system": "import errno, os; raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))",
    "a thread": 'raise RuntimeError("can\'t start new thread")',
    "C++": "raise RuntimeError('std::bad_alloc')",
    "a library": "raise ImportError('libtorch.so: failed to map segment from shared object')",
}


@pytest.mark.parametrize("cause", WITHOUT)
@pytest.mark.parametrize("imported", [True, False])
def test_too_little_memory_is_said_in_one_line(refused, plugin, cause, imported):
    app = "import typer\napp = typer.Typer()\n@app.command()\ndef go():\n    {}\n"
    code = f"{WITHOUT[cause]}\n" if imported else app.format(WITHOUT[cause])
    plugin("acme", code, {"ganzoo.commands": {"go": "acme:app"}})
    said = refused("go", code=1)
    if cause == "a thread":
        assert said.startswith("Error: the system starts no more threads for you")
    else:
        assert said == "Error: out of memory; try a smaller batch or network"


def test_a_small_address_space_is_named(refused, plugin, monkeypatch):
    code = "raise ImportError('cannot import name of a module that was loaded in part')"
    plugin("acme", code, {"ganzoo.commands": {"go": "acme:app"}})
    assert "fails to import" in refused("go")
    monkeypatch.setattr(commands, "address_limit", lambda: 1 << 30)
    assert "1.0 GiB of address space (ulimit -v)" in refused("go", code=1)
    plugin("apex", "import not_installed", {"ganzoo.commands": {"went": "apex:app"}})
    assert "No module named" in refused("went")


def test_the_address_space_limits_memory(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    monkeypatch.setattr(memory, "address_limit", lambda: 5 << 20)
    assert memory.limit() == 5 << 20


def test_torch_that_does_not_fit_is_one_line():
    done = shell(f"ulimit -v 400000 && ganzoo train mlp {TINY}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: out of memory: this process may have 0.4 GiB of address")
    assert len(done.stderr.splitlines()) == 1


# Names ------------------------------------------------------------------------------------------


def test_a_name_that_is_not_utf_8_is_refused(refused, tmp_path):
    name = os.fsdecode(b"run\xff")
    said = r"Error: run\udcff: the name is not UTF-8; choose another, or rename it"
    assert refused("train", "mlp", *TINY.split()[:-1], name) == said
    picture = os.fsdecode(b"p\xff.png")
    for words in (("sample", "m"), ("export", "m"), ("report", "m"), ("data", "check", "digits")):
        assert refused(*words, f"--out={picture}") == said.replace("run\\udcff", "p\\udcff.png")
    assert not list(tmp_path.iterdir())
    os.mkdir(name)
    assert refused("show", f"./{name}") == said.replace("run", "./run")
    assert refused("train", "--resume", name) == said
    with pytest.raises(InputError, match="not UTF-8"):
        user_path(name)
