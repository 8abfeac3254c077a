"""The look at a GPU, without one: its parts work, and what it found stands in its file."""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import conftest
import ganzoo
from gpu import look, parts
from gpu.cases import Case
from gpu.host_numbers import HostNumbers

CPU = torch.device("cpu")
FAKE = """
import json, subprocess, sys, time
part, options = sys.argv[1], json.loads(sys.argv[2])
print("a library says something", flush=True)
print(json.dumps({"what": "one", "share": options["share"], "ok": True}), flush=True)
if part == "networks":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print('{"what": "half a li', end="", flush=True)
    time.sleep(600)
if part == "resume":
    raise ValueError("of its own in " + HOME)
"""


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Have parts that take as long as a test may."""
    folder = tmp_path / "home" / "ganzoo" / "tests" / "gpu"
    folder.mkdir(parents=True)
    (folder / "parts.py").write_text(FAKE.replace("HOME", repr(str(folder))))
    monkeypatch.setattr(look, "HERE", folder)
    monkeypatch.setattr(look, "LEAST", 0.5)
    monkeypatch.setattr(look, "processes", lambda: 2)
    return folder


def look_at(tmp_path, *words):
    """Look, and return what the file says."""
    file = tmp_path / "look.json"
    look.main(["--device=cpu", f"--out={file}", *words])
    return json.loads(file.read_text())


def test_every_part_has_its_time_and_says_what_it_is():
    assert look.SECONDS.keys() == parts.PARTS.keys()
    assert look.SHARED | look.NEEDS_GPU.keys() < parts.PARTS.keys()
    assert all(part.__doc__ for part in parts.PARTS.values())
    assert look.parsed([]).minutes == 8, "a quarter of an hour is all that a card is there for"


def test_what_takes_too_long_is_given_up_and_what_it_found_stays(fake, tmp_path, capsys):
    began = time.monotonic()
    found = look_at(tmp_path, "--minutes=0.25", "--only", "networks", "resume", "memory", "until")
    assert time.monotonic() - began < 120  # it would sleep for ten minutes
    networks, resume, memory, until = found["parts"].values()
    assert networks["status"].startswith("given up after ")
    assert sorted(each["share"] for each in networks["findings"]) == [[0, 2], [1, 2]]
    assert resume["status"].startswith("failed: ValueError: of its own in ./tests/gpu")
    assert "home" not in resume["status"], "no folder of the machine"
    assert memory["status"].startswith("skipped: needs a GPU")
    assert until["status"] == "done"
    assert "until           done, " in capsys.readouterr().out


def test_nothing_begins_when_the_time_is_over(fake, tmp_path):
    found = look_at(tmp_path, "--minutes=0.001", "--only", "until", "recipes")
    assert found["parts"]["until"]["status"] == "skipped: no time was left"
    assert found["parts"]["recipes"]["status"] == "skipped: needs CIFAR-10: --data FOLDER"


@pytest.mark.parametrize("name", ["dcgan", "stylegan2", "cyclegan"])
def test_random_numbers_of_the_host_are_those_of_the_cpu(name):
    case = Case(name)
    by_itself = case.trainer(device="cpu").step()
    with HostNumbers(CPU) as numbers:
        redrawn = case.trainer(device="cpu").step()
    assert numbers.drawn > 0
    for network, terms in vars(by_itself).items():
        assert terms, network
        for term, value in terms.items():
            assert torch.equal(value, vars(redrawn)[network][term])


def test_a_step_that_is_wrong_is_found():
    case = Case("dcgan")
    one = parts.FirstStep.of(case.trainer(device="cpu"), CPU)
    other = parts.FirstStep.of(case.trainer(device="cpu"), CPU)
    assert one.compare(other, "fp32")["within"]
    another = parts.FirstStep.of(case.trainer(device="cpu", seed=1), CPU)
    assert not one.compare(another, "fp32")["within"]
    other.terms["discriminator"] += 0.01
    assert not one.compare(other, "fp32")["within"]
    assert one.compare(other, "bf16")["within"]
    other.gradients["discriminator"][0] = float("nan")
    assert not one.compare(other, "bf16")["within"]
    assert one.compare(other, "fp16")["overflowed"] == ["discriminator"]


def test_what_goes_wrong_in_a_case_stays_with_it():
    assert parts.attempt("sum", lambda: {"ok": True}) == {"what": "sum", "ok": True}
    failed = parts.attempt("quotient", lambda: {"ok": 1 / 0})
    assert failed == {"what": "quotient", "failed": "ZeroDivisionError: division by zero"}
    refused = parts.attempt("network", lambda: {"it": Case("dcgan", shape=(2,)).trainer()})
    assert refused["skipped"].startswith("architecture 'dcgan'")


def test_a_report_of_pytest_is_read(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase classname="a" name="one"/>'
        '<testcase classname="a" name="two"><failure message="it waits&#10;here"/></testcase>'
        '<testcase classname="a" name="three"><skipped/></testcase></testsuite></testsuites>'
    )
    assert parts.read_report(report) == {
        "count": 3,
        "passed": 1,
        "failing": {"a::two": "it waits"},
    }


def test_names_are_shared_out_the_important_ones_first():
    names = ["acgan", "stylegan2", "dcgan", "wavegan"]
    shares = [parts.Options(share=(number, 2)).mine(names) for number in (0, 1)]
    assert shares == [["dcgan", "acgan"], ["stylegan2", "wavegan"]]


def test_the_end_of_the_tests_says_how_many_need_a_gpu():
    lines = []
    reports = [SimpleNamespace(longrepr=("file", 1, f"Skipped: {conftest.NEEDS_GPU}"))] * 2
    reports.append(SimpleNamespace(longrepr=("file", 1, "Skipped: no browser")))
    reporter = SimpleNamespace(stats={"skipped": reports}, write_line=lines.append)
    conftest.pytest_terminal_summary(reporter)
    assert lines == ["2 tests need a GPU: python tests/gpu/look.py"]
    reporter.stats = {}
    conftest.pytest_terminal_summary(reporter)
    assert len(lines) == 1


def test_the_script_needs_nothing_but_ganzoo_and_torch():
    for module in (look, parts):
        text = Path(module.__file__).read_text()
        named = {line.split()[1].split(".")[0] for line in text.splitlines() if is_import(line)}
        own = {"ganzoo", "ganzoo_zoo", "gpu", "torch", "reference", "sampling", "random_weights"}
        assert named - {"pytest"} <= set(sys.stdlib_module_names) | own


def is_import(line):
    return line.strip().startswith(("import ", "from "))


class StopAfterTwoSteps(ganzoo.Observer):
    """Takes the place of an observer that stops after some seconds."""

    def __init__(self, seconds):
        self.steps = 0

    def on_step(self, step):
        self.steps += 1
        if self.steps == 2:
            self.stop()


def test_the_recipe_that_came_furthest_has_the_rest_of_the_time(monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "RECIPES", "digits-")
    monkeypatch.setattr(parts, "JUDGE", "digits-cnn")
    monkeypatch.setattr(parts, "JUDGED", (64, 128))
    monkeypatch.setattr(parts, "JUDGING", -1000.0)  # some time is always left
    monkeypatch.setattr(parts, "StopAfter", StopAfterTwoSteps)
    monkeypatch.setattr(parts, "place_of_data", lambda options: {})
    options = parts.Options(device="cpu", seconds=2.0, keep=str(tmp_path))
    *tried, rest = parts.recipes(options)
    assert [each["what"] for each in tried] == ["digits-dcgan", "digits-mlp"]
    best = min(tried, key=lambda each: each["fid"])
    assert rest["what"] == f"{best['what']}, the rest"
    assert (best["step"], rest["step"]) == (2, 4)
    assert (best["judged"], rest["judged"]) == (64, 128)
