"""The parts of a look at a GPU, each a generator of findings: ``look.py`` runs them.

    python tests/gpu/parts.py networks '{"device": "cpu", "quick": true}'

runs one in this process and prints a line of JSON for each finding. A finding has a name,
``what``; it is ``skipped`` for a reason, ``failed`` with a message, or has what was measured.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

TESTS = Path(__file__).parent.parent
sys.path += [str(TESTS), str(TESTS / "benchmarks")]

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

import ganzoo  # noqa: E402
from ganzoo import registry  # noqa: E402
from ganzoo.compute.devices import HALF_TYPES  # noqa: E402
from ganzoo.errors import GanzooError, InputError, first_line  # noqa: E402
from ganzoo.storage.json_files import read_json  # noqa: E402
from ganzoo.training import networks as trained_networks  # noqa: E402
from ganzoo.training.trainer import Trainer  # noqa: E402
from gpu.cases import ARCHITECTURES, SHAPES, Case  # noqa: E402
from gpu.host_numbers import HostNumbers  # noqa: E402

Finding = dict[str, Any]

PRECISIONS: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32", "tf32": False},
    "tf32": {"precision": "fp32", "tf32": True},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
}
"""Training options by what is computed in."""
TOLERANCE = {
    "fp32": (1e-4, 1e-2, 0.999),
    "tf32": (1e-2, 1e-1, 0.99),
    "bf16": (5e-2, 3e-1, -1.0),
    "fp16": (2e-2, 2e-1, -1.0),
}
"""How far the first step may be from the CPU's in fp32: the loss of the discriminator and that of
the generator, as a part of them or as a number, and the least cosine of the discriminator's
gradient. The generator's loss is of a discriminator after Adam's first move, which goes by the sign
of each gradient, however small. Half precision has no bound for the cosine: where the gradient of
an untrained network is near 0, most of it is rounding."""
FIRST = ("dcgan", "sngan-resnet", "r3gan", "stylegan2", "resnet", "sngan", "mlp", "biggan")
"""Architectures that are looked at before the others."""
WHOLE: dict[str, dict[str, Any]] = {
    "progan": {"arch.phase_images": 0},
    "biggan": {"arch.base_channels": 8},  # or its orthogonal start takes most of the time
    "esrgan": {"arch.blocks": 3},
    "pix2pix": {"arch.source_of": "grey"},
}
"""What networks have beside their default size: all of it in the first step, or less of it."""
FROM_THE_START: dict[str, dict[str, Any]] = {
    "srgan": {"arch.pretrain_images": 0},
    "esrgan": {"arch.pretrain_images": 0},
}
"""What has a game in the first step of those that begin without one."""
NO_DROPOUT = {"acgan": {"arch.dropout": 0}, "pix2pix": {"arch.dropout": 0}}
"""A GPU's dropout draws in another order than a CPU's."""
BESIDE_PLAIN = ("dcgan", "resnet", "sngan", "stylegan2", "r3gan")
"""Architectures whose speed is compared with that of the plain loop."""
CELLS = ((32, 64), (64, 64), (32, 256), (64, 256))
"""Pixels of a side, and samples in a batch."""
FIELDS = ("ms", "gflop", "share_of_rate", "times_as_fast", "times_the_floor")


@dataclass(frozen=True)
class Options:
    """What a look is of.

    Args:
        device: The device.
        quick: Whether to show that it works, in numbers that say little.
        data: A folder with CIFAR-10, if there is one.
        keep: Where trained runs stay; None for nowhere.
        seconds: How long the part may take.
        share: Which of how many processes this is, of a part that several do.
    """

    device: str = "cuda"
    quick: bool = False
    data: str | None = None
    keep: str | None = None
    seconds: float = 60.0
    share: tuple[int, int] = (0, 1)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    def mine(self, names: Iterable[str]) -> list[str]:
        """Return this process's names, the most important ones first."""
        rank = {name: place for place, name in enumerate(FIRST)}
        ordered = sorted(names, key=lambda name: rank.get(name, len(FIRST)))
        return ordered[self.share[0] :: self.share[1]]


def attempt(what: str, work: Callable[[], Finding]) -> Finding:
    """Return what some work found, or how it failed."""
    try:
        return {"what": what, **work()}
    except InputError as error:
        return {"what": what, "skipped": first_line(error)}
    except Exception as error:  # the look goes on
        return {"what": what, "failed": f"{type(error).__name__}: {first_line(error)}"[:500]}
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


# The machine ------------------------------------------------------------------------------------


def environment(options: Options) -> Iterator[Finding]:
    """Describe the machine, and measure what it computes at best."""
    device = torch.device(options.device)
    found: Finding = {
        "ganzoo": ganzoo.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    if options.on_gpu:
        it = torch.cuda.get_device_properties(device)
        found |= {
            "card": it.name,
            "cards": torch.cuda.device_count(),
            "capability": f"{it.major}.{it.minor}",
            "memory": it.total_memory,
            "multiprocessors": it.multi_processor_count,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": ask_driver(),
        }
    yield {"what": "machine", **found}
    for name in PRECISIONS if options.on_gpu else ("fp32", "bf16"):
        yield attempt(f"rate in {name}", lambda name=name: measure_rate(device, name))


def ask_driver() -> str | None:
    """Return the version of the driver, if its own program says it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return first_line(printed.stdout)


def measure_rate(device: torch.device, precision: str) -> Finding:
    """Measure the rate of one 3 x 3 convolution."""
    from ganzoo_zoo.apps.bench.clocks import clock_for
    from ganzoo_zoo.apps.bench.machine import convolution_rates

    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    half = HALF_TYPES[PRECISIONS[precision]["precision"]]
    rates = sorted(convolution_rates(device, half, clock_for(device), seconds=0.2))
    return {"gflops_per_second": round(rates[len(rates) // 2] / 1e9, 1)}


# The tests --------------------------------------------------------------------------------------


def tests(options: Options) -> Iterator[Finding]:
    """Run the tests that are marked for a GPU."""
    try:
        import pytest  # noqa: F401
    except ImportError:
        yield {"what": "pytest", "skipped": "pytest is missing: pip install -e '.[test]'"}
        return
    files = [str(path) for path in sorted(TESTS.glob("test_*.py")) if is_marked(path)]
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", *files]
    if not options.on_gpu:
        listed = subprocess.run(
            [*command, "-n", "0", "--collect-only"],
            capture_output=True,
            text=True,
            cwd=TESTS.parent,
        )
        count = sum("::" in line for line in listed.stdout.splitlines())
        yield {"what": "marked tests", "count": count, "skipped": "there is no GPU"}
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [*command, f"--junitxml={report}", "--tb=line"],
            stdout=sys.stderr,
            cwd=TESTS.parent,
        )
        yield {"what": "marked tests", **read_report(report)}


def is_marked(path: Path) -> bool:
    """Tell whether a file has tests that need a GPU."""
    return "pytest.mark.gpu" in path.read_text(encoding="utf-8")


def read_report(path: Path) -> Finding:
    """Count what pytest wrote down, and say what failed."""
    cases = list(ElementTree.parse(path).iter("testcase"))
    wrong = {
        f"{case.get('classname')}::{case.get('name')}": first_line(each.get("message") or "")[:300]
        for case in cases
        for each in case
        if each.tag in ("failure", "error")
    }
    skipped = sum(each.tag == "skipped" for case in cases for each in case)
    passed = len(cases) - len(wrong) - skipped
    return {"count": len(cases), "passed": passed, "failing": wrong}


# The networks -----------------------------------------------------------------------------------


def case_of(name: str, options: Options) -> Case:
    """Return the training of an architecture: small in a quick look, else as by default."""
    more = {**NO_DROPOUT.get(name, {}), **FROM_THE_START.get(name, {})}
    if options.quick:
        return Case(name, settings=more)
    shape = (1, 4096) if name in SHAPES and len(SHAPES[name]) == 2 else (3, 32, 32)
    return Case(name, settings={**WHOLE.get(name, {}), **more}, shape=shape, small=False)


@dataclass
class FirstStep:
    """What a first step computed."""

    terms: dict[str, float]
    """The sum of the terms of each network."""
    gradients: dict[str, Tensor]
    """The gradient of each network, as one vector of the host."""

    @classmethod
    def of(cls, trainer: Trainer, device: torch.device) -> FirstStep:
        """Do it with the host's random numbers."""
        with HostNumbers(device):
            found = vars(trainer.step())
        terms = {
            network: float(sum(each.double() for each in by_name.values()))
            for network, by_name in found.items()
        }
        gradients = {
            network: torch.cat(
                [
                    each.grad.flatten().double().cpu()
                    for each in getattr(trainer.state, network).parameters()
                    if each.grad is not None
                ]
                or [torch.zeros(1, dtype=torch.float64)]
            )
            for network in terms
        }
        return cls(terms, gradients)

    def compare(self, other: FirstStep, precision: str) -> Finding:
        """Return how far another step is away, and whether that is within the tolerance."""
        apart = {
            network: abs(other.terms[network] - value) / max(1.0, abs(value))
            for network, value in self.terms.items()
        }
        cosines = {
            network: float(torch.cosine_similarity(value, other.gradients[network], dim=0))
            for network, value in self.gradients.items()
        }
        overflowed = [network for network, value in cosines.items() if math.isnan(value)]
        most_D, most_G, least = TOLERANCE[precision]
        within = apart["discriminator"] <= most_D
        if not overflowed:
            within = within and apart["generator"] <= most_G and cosines["discriminator"] >= least
        return {
            "apart": {network: float(f"{value:.2e}") for network, value in apart.items()},
            "cosine": {
                network: None if network in overflowed else round(value, 6)
                for network, value in cosines.items()
            },
            # The first scale of fp16 is too high for some; their update is left out, as it should.
            "overflowed": overflowed,
            "within": within and (precision == "fp16" or not overflowed),
        }


def networks(options: Options) -> Iterator[Finding]:
    """Do some steps of every architecture, step by step, in each precision."""
    device = torch.device(options.device)
    if not options.on_gpu:
        yield {"what": "tf32", "skipped": "TF32 is of GPUs"}
        yield {"what": "waits and memory", "skipped": "a CPU's host waits for nothing"}
    for name in options.mine(ARCHITECTURES):
        case = case_of(name, options)
        try:
            reference = FirstStep.of(case.trainer(device="cpu"), torch.device("cpu"))
        except Exception as error:
            yield {"what": name, "failed": f"on the CPU: {first_line(error)}"}
            continue
        for precision in PRECISIONS:
            if precision == "tf32" and not options.on_gpu:
                continue
            yield attempt(
                f"{name} {precision}",
                lambda p=precision, c=case, r=reference: try_network(c, p, r, device),
            )


def try_network(case: Case, precision: str, reference: FirstStep, device: torch.device) -> Finding:
    """Do some steps, and compare the first one with the CPU's."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    trainer = case.trainer(device=str(device), **PRECISIONS[precision])
    found = reference.compare(FirstStep.of(trainer, device), precision)
    finite = is_finite([trainer.step() for _ in range(2)])
    found["finite"] = finite
    if on_gpu:
        found["waits"] = find_wait(trainer)
        found["peak_bytes"] = torch.cuda.max_memory_allocated(device)
    found["ok"] = finite and found["within"] and not found.get("waits")
    return found


def is_finite(steps: Iterable[Any]) -> bool:
    """Tell whether all terms of some steps are finite."""
    terms = [each for step in steps for by_name in vars(step).values() for each in by_name.values()]
    return all(math.isfinite(float(each)) for each in terms)


def find_wait(trainer: Trainer) -> str | None:
    """Return where the host waits for the GPU in a step, if it does."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            trainer.step()
    except RuntimeError as error:
        return f"{innermost(error)}: {first_line(error)}"[:300]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return None


def innermost(error: BaseException) -> str:
    """Return the last place in ganzoo that an error came through."""
    place, at = "?", error.__traceback__
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if "ganzoo" in file and "tests" not in file:
            place = f"{Path(file).name}:{at.tb_lineno}"
        at = at.tb_next
    return place


def compiled(options: Options) -> Iterator[Finding]:
    """Do some steps of every architecture compiled, and replayed as CUDA graphs."""
    forms: dict[str, dict[str, Any]] = {"compiled": {"compile": True}}
    if options.on_gpu:
        forms["graphs"] = {"compile": True, "cuda_graphs": True}
    else:
        yield {"what": "graphs", "skipped": "CUDA graphs are of GPUs"}
    if not (options.on_gpu or shutil.which(os.environ.get("CXX", "g++"))):
        yield {"what": "compiled", "skipped": "there is no C++ compiler"}
        return
    names = ["mlp"] if options.quick else options.mine(ARCHITECTURES)
    if options.quick:
        yield {"what": "all but mlp", "skipped": "compiling takes too long for a quick look"}
    for precision in ("fp32", "bf16") if options.on_gpu else ("fp32",):
        for name in names:
            for form, settings in forms.items():
                yield attempt(
                    f"{name} {precision} {form}",
                    lambda n=name, p=precision, s=settings: try_compiled(n, p, s, options),
                )


def try_compiled(name: str, precision: str, settings: dict[str, Any], options: Options) -> Finding:
    """Compare some steps with those that are not compiled."""
    import torch._inductor.config as inductor

    inductor.fallback_random = True  # the numbers of a step that is not compiled
    case, device = case_of(name, options), options.device
    plain = case.trainer(device=device, **PRECISIONS[precision])
    began = time.perf_counter()
    other = case.trainer(device=device, **PRECISIONS[precision], **settings)
    steps = [(vars(plain.step()), vars(other.step()))]
    seconds = time.perf_counter() - began
    apart = [
        abs(sum(map(float, mine[network].values())) - total) / max(1.0, abs(total))
        for mine, theirs in steps
        for network in mine
        for total in [sum(map(float, theirs[network].values()))]
    ]
    finite = is_finite([other.step() for _ in range(3)])
    most = TOLERANCE["tf32" if precision == "fp32" else precision][:2]
    within = all(each <= bound for each, bound in zip(apart, most, strict=True))
    torch._dynamo.reset()
    return {
        "apart": [float(f"{each:.2e}") for each in apart],
        "finite": finite,
        "seconds": round(seconds, 1),
        "ok": finite and within,
    }


# Resuming ---------------------------------------------------------------------------------------


def resume(options: Options) -> Iterator[Finding]:
    """Stop and resume a run, with deterministic algorithms and without, and compare the bytes."""
    names = ("dcgan",) if options.quick else ("dcgan", "sngan-resnet", "r3gan", "stylegan2")
    for is_deterministic in (True, False):
        for name in names:
            word = "deterministic" if is_deterministic else "as by default"
            yield attempt(
                f"{name} {word}", lambda n=name, d=is_deterministic: try_resume(n, d, options)
            )


class StopAt(ganzoo.Observer):
    """Ends a run after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, step: int) -> None:
        """End it."""
        if step == self.step:
            self.stop()


def try_resume(name: str, is_deterministic: bool, options: Options) -> Finding:
    """Compare a run that was stopped half-way with one that was not."""
    from ganzoo.storage.tensors import load_tensors

    settings = {"arch.base_channels": 4} if options.quick else {}
    given: dict[str, Any] = {
        "steps": 8,
        "batch_size": 16,
        "log_every": 4,
        "sample_every": 8,
        "checkpoint_every": 4,
        "device": options.device,
        "settings": {"data.image_size": 16 if options.quick else 32, **settings},
        "progress": False,
        "recipe": "paper",
    }
    torch.use_deterministic_algorithms(is_deterministic)
    try:
        with tempfile.TemporaryDirectory() as folder:
            places = Path(folder) / "whole", Path(folder) / "halves"
            ganzoo.train(name, data="digits", out=places[0], **given)
            ganzoo.train(name, data="digits", out=places[1], observer=StopAt(4), **given)
            ganzoo.resume(places[1], progress=False)
            files = [sorted(place.glob("checkpoints/00000008/*.safetensors")) for place in places]
            assert files[0], "there is no checkpoint"
            equal, furthest = True, 0.0
            for one, other in zip(*files, strict=True):
                if digest(one) == digest(other):
                    continue
                equal = False
                pair = load_tensors(one), load_tensors(other)
                furthest = max(
                    furthest,
                    *(
                        float((value.double() - pair[1][key].double()).abs().max())
                        for key, value in pair[0].items()
                        if value.numel()
                    ),
                )
        case = case_of(name, options)
        seconds = time_steps(case.trainer(device=options.device), 3 if options.quick else 30)
        return {
            "bytes_equal": equal,
            "furthest": furthest,
            "ms_a_step": round(1000 * seconds, 3),
            "ok": equal or not is_deterministic,
        }
    finally:
        torch.use_deterministic_algorithms(False)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def time_steps(trainer: Trainer, count: int) -> float:
    """Return the seconds of a step, by the device's clock."""
    from ganzoo_zoo.apps.bench.clocks import clock_for

    clock = clock_for(trainer.device)
    for _ in range(2):
        trainer.step()
    marks = [clock.mark()]
    for _ in range(count):
        trainer.step()
    return clock.spans([marks[0], clock.mark()])[0] / count


# Memory and speed -------------------------------------------------------------------------------


def memory(options: Options) -> Iterator[Finding]:
    """Measure the peak of the GPU's memory in a step."""
    for name in BESIDE_PLAIN:
        for size, batch in CELLS:
            for word, more in {
                "fp32": {},
                "bf16": {"precision": "bf16"},
                "2 parts": {"accumulate": 2},
            }.items():
                case = replace(case_of(name, options), shape=(3, size, size))
                yield attempt(
                    f"{name} {size} batch {batch} {word}",
                    lambda c=case, b=batch, m=more: measure_peak(c, options, batch_size=b, **m),
                )


def measure_peak(case: Case, options: Options, **settings: Any) -> Finding:
    """Return the peak of two steps, the second of which finds the optimisers' state."""
    torch.cuda.reset_peak_memory_stats()
    trainer = case.trainer(device=options.device, **settings)
    for _ in range(2):
        trainer.step()
    torch.cuda.synchronize()
    return {"peak_bytes": torch.cuda.max_memory_allocated()}


def speed(options: Options) -> Iterator[Finding]:
    """Compare the trainer with the plain loop and with the floor, step by step."""
    if not options.on_gpu:
        yield {"what": "other sizes and architectures", "skipped": "a CPU takes minutes for each"}
    for size, batch in CELLS:
        for name in BESIDE_PLAIN:
            if not options.on_gpu and (name, size, batch) != ("dcgan", 32, 64):
                continue
            arms = ["ganzoo", "floor"] if options.quick else ["ganzoo", "bf16", "fp16", "floor"]
            batch = 4 if options.quick else batch
            what = f"{name} {size} batch {batch}"
            yield attempt(
                what, lambda n=name, s=size, b=batch, a=arms: beside_plain(n, s, b, a, options)
            )


def compiled_speed(options: Options) -> Iterator[Finding]:
    """Compare the compiled and the replayed trainer with the plain loop."""
    arms = ["ganzoo", "compile", "graphs", "compile-bf16", "graphs-bf16", "floor"]
    for name, size in (("dcgan", 32), ("resnet", 32), ("dcgan", 64), ("r3gan", 32)):
        yield attempt(
            f"{name} {size} batch 64",
            lambda n=name, s=size: beside_plain(n, s, 64, arms, options),
        )


def beside_plain(name: str, size: int, batch: int, arms: list[str], options: Options) -> Finding:
    """Let arms take turns with the plain loop, all in TF32 on a GPU."""
    import reference

    words = [name, f"--image-size={size}", f"--batch-size={batch}"]
    words += [f"--device={options.device}", "--arms", *arms]
    words += ["--tf32"] if options.on_gpu else []
    words += ["--steps=1", "--rounds=1"] if options.quick else ["--steps=10", "--rounds=3"]
    parsed = reference.parsed(words)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.on_gpu
    found = reference.report([reference.measured(parsed)])
    results = {
        arm: {
            key: value["median"] if isinstance(value, dict) else value
            for key, value in each.items()
            if key in FIELDS
        }
        for arm, each in found["results"].items()
    }
    more = {"issue_ms": issue_time(name, size, batch, options)} if options.on_gpu else {}
    return {"results": results, "losses_apart": found["losses_apart"], **more}


def issue_time(name: str, size: int, batch: int, options: Options) -> float:
    """Return the milliseconds in which the host hands a step to the GPU, without waiting."""
    case = replace(case_of(name, options), shape=(3, size, size))
    trainer = case.trainer(device=options.device, batch_size=batch)
    for _ in range(3):
        trainer.step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(5):  # few, for the queue must not be full
        trainer.step()
    passed = time.perf_counter() - began
    torch.cuda.synchronize()
    return round(1000 * passed / 5, 3)


def choices(options: Options) -> Iterator[Finding]:
    """Time steps by what could be chosen otherwise: what is best shows on each card alone."""
    if not options.on_gpu:
        yield {"what": "cudnn.benchmark", "skipped": "cuDNN is of GPUs"}
    for size in (32,) if options.quick else (32, 64):
        for name in ("dcgan",) if options.quick else ("dcgan", "resnet", "r3gan"):
            case = case_of(name, options)
            if not options.quick:
                case = replace(case, shape=(3, size, size))
            for word, choose in CHOICES.items():
                if word == "cudnn.benchmark" and not options.on_gpu:
                    continue
                yield attempt(
                    f"{name} {size} {word}", lambda c=case, w=choose: try_choice(c, w, options)
                )


def try_choice(
    case: Case, choose: Callable[[Case], AbstractContextManager[object]], options: Options
) -> Finding:
    """Time the steps of a training."""
    settings = {} if options.quick else {"batch_size": 64}
    with choose(case):
        trainer = case.trainer(device=options.device, **settings)
        return {"ms": round(1000 * time_steps(trainer, 3 if options.quick else 30), 3)}


def tune_cudnn(case: Case) -> AbstractContextManager[object]:
    """Have cuDNN try its algorithms before it takes one, which need not be the same each time."""
    return mock.patch.object(torch.backends.cudnn, "benchmark", True)


def unfuse_adam(case: Case) -> AbstractContextManager[object]:
    """Have Adam make lists of operations in place of a single pass."""
    build = trained_networks.build_optimizer

    def build_unfused(network: Any, options: Any, factors: Any, device: Any) -> Any:
        return build(network, options, factors, torch.device("meta"))

    return mock.patch.object(trained_networks, "build_optimizer", build_unfused)


def lay_contiguous(case: Case) -> AbstractContextManager[object]:
    """Have images lie channel by channel."""
    cls = registry.get(registry.ARCHITECTURE, case.architecture)
    return mock.patch.object(cls, "channels_last", False)


CHOICES: dict[str, Callable[[Case], AbstractContextManager[object]]] = {
    "as by default": lambda case: nullcontext(),
    "cudnn.benchmark": tune_cudnn,
    "Adam not fused": unfuse_adam,
    "contiguous": lay_contiguous,
}
"""What is chosen by default, and what could be, one at a time."""


# Sampling, judging, reading ---------------------------------------------------------------------


def sampling(options: Options) -> Iterator[Finding]:
    """Draw samples and judge them by Inception with random weights."""
    import sampling as benchmark

    count, rounds = (64, 1) if options.quick else (10_000, 3)
    for name in ("dcgan",) if options.quick else ("dcgan", "resnet", "sngan-resnet"):

        def draw(name: str = name) -> Finding:
            given = benchmark.argparse.Namespace(
                architecture=name,
                image_size=32,
                base_channels=None,
                samples=count,
                rounds=rounds,
                device=options.device,
            )
            found = benchmark.measured(given)
            rates = found["images_a_second"]
            return {
                "images_a_second": {arm: each["median"] for arm, each in rates.items()},
                "times_as_fast": found["times_as_fast"]["median"],
            }

        yield attempt(f"{count} samples of {name}", draw)
    judged = 16 if options.quick else 10_000
    yield attempt(f"fid of {judged} and {judged}", lambda: judge(judged, options))


def judge(count: int, options: Options) -> Finding:
    """Time FID, and FID again with the reals' features in the cache."""
    try:
        from random_weights import random_inception
    except ImportError as error:
        raise InputError(f"{error}") from error
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GANZOO_CACHE"] = f"{folder}/cache"
        weights = random_inception(Path(folder) / "inception.pth")
        images = torch.randint(
            0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(0)
        ).to(torch.uint8)
        run = ganzoo.train(
            "dcgan",
            data=images,
            out=Path(folder) / "run",
            steps=0,
            device=options.device,
            progress=False,
        )
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            ganzoo.evaluate(
                run,
                ["fid"],
                data=images,
                samples=count,
                features="inception-v3-compat",
                features_weights=weights,
                device=options.device,
                progress=False,
            )
            seconds.append(round(time.perf_counter() - began, 2))
    return {"seconds": seconds[0], "seconds_again": seconds[1]}


def folder(options: Options) -> Iterator[Finding]:
    """Read a folder of images, and train from memory and read ahead from the disk."""
    yield attempt("folder", lambda: try_folder(options))


def try_folder(options: Options) -> Finding:
    """Write images, read them twice, and time the steps of both ways."""
    from ganzoo.media.images import save_png
    from ganzoo.resolve import resolve
    from ganzoo.training import batches
    from ganzoo.training.prepare import build_trainer
    from gpu.cases import make_samples

    size, count = (16, 64) if options.quick else (64, 4000)
    with tempfile.TemporaryDirectory() as place:
        os.environ["GANZOO_CACHE"] = f"{place}/cache"
        data = Path(place) / "images"
        data.mkdir()
        for number, image in enumerate(make_samples((3, size, size), count).stored):
            save_png(image, data / f"{number}.png", {})
        config = resolve(
            "dcgan",
            None,
            str(data),
            {
                "data.image_size": size,
                "train.device": options.device,
                "train.recipe": "paper",
                **({"arch.base_channels": 4} if options.quick else {"train.batch_size": 64}),
            },
        )
        found: Finding = {"images": count}
        for word in ("seconds", "seconds_again"):
            began = time.perf_counter()
            samples = config.data.build(registry.DATASET).read()
            found[word] = round(time.perf_counter() - began, 3)
        steps = 3 if options.quick else 50
        for word, fits in (("ms_in_memory", True), ("ms_read_ahead", False)):
            with mock.patch.object(batches, "_fits", lambda *given, fits=fits: fits):
                seconds = time_steps(build_trainer(config, samples), steps)
            found[word] = round(1000 * seconds, 3)
    return found


def until(options: Options) -> Iterator[Finding]:
    """Train until a score is reached, by the command."""
    words = ["bench", "dcgan", "--loss=wgan-gp", "--data=digits", f"--device={options.device}"]
    target = f"fid<={10**6 if options.quick else 100}"
    words += [f"--until={target}", "--json"]
    words += ["--steps=4", "--max-steps=4"] if options.quick else ["--steps=4000"]
    words += ["--set=train.eval_samples=64", "--set=arch.base_channels=4"] if options.quick else []

    def run() -> Finding:
        found = json.loads(run_ganzoo(words, options.seconds))
        trained = found["seeds"][0] if "seeds" in found else found
        return {
            key: trained[key]
            for key in ("reached", "steps", "seconds", "scoring_seconds", "score")
            if key in trained
        }

    yield attempt(f"{target} of digits", run)


def run_ganzoo(words: list[str], seconds: float, *before: str) -> str:
    """Run a command of ganzoo, and return what it printed.

    Raises:
        GanzooError: it failed, or took too long.
    """
    command = [sys.executable, *before, "-m", "ganzoo", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise GanzooError(f"given up after {seconds:.0f} s") from error
    if done.returncode:
        raise GanzooError((done.stderr.strip().splitlines() or ["it failed"])[-1])
    return done.stdout


def processes(options: Options) -> Iterator[Finding]:
    """Train by two processes: with NCCL where there are two cards, else on the CPU."""
    cards = torch.cuda.device_count() if options.on_gpu else 0
    if cards < 2:
        why = "NCCL refuses two processes on one GPU" if cards else "NCCL is of GPUs"
        yield {"what": "two processes by NCCL", "skipped": why}
    if cards:
        yield attempt("one process by NCCL", try_nccl)
    device = "cuda" if cards >= 2 else "cpu"

    def run() -> Finding:
        with tempfile.TemporaryDirectory() as place:
            words = ["train", "mlp", "--steps=6", "--batch-size=8", "--data=digits"]
            words += [f"--device={device}", f"--out={place}/run", "--set=arch.hidden=8,8"]
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
            began = time.perf_counter()
            run_ganzoo(words, options.seconds, *launch)
            state = read_json(Path(place) / "run" / "model" / "config.json")
        return {"seconds": round(time.perf_counter() - began, 1), "ok": bool(state)}

    yield attempt(f"two processes on {device}", run)


def try_nccl() -> Finding:
    """Add up a number over a group of one process."""
    import torch.distributed as dist

    with tempfile.TemporaryDirectory() as place:
        store = dist.FileStore(f"{place}/store", 1)
        dist.init_process_group("nccl", store=store, rank=0, world_size=1)
        try:
            numbers = torch.ones(4, device="cuda")
            dist.all_reduce(numbers)
            version = ".".join(map(str, torch.cuda.nccl.version()))
            return {"version": version, "ok": numbers.sum().item() == 4}
        finally:
            dist.destroy_process_group()


# Recipes ----------------------------------------------------------------------------------------

RECIPES = "cifar10-"
"""How the names of the recipes begin."""
JUDGE = "cifar10-cnn"
"""The network that judges them."""
SHARE = 0.4
"""Share of the time that all recipes have together, before the best one has the rest."""
JUDGED = (2000, 10_000)
"""Fakes and reals of the scores on the way, and of the last one."""
JUDGING = 40.0
"""Seconds that are kept for the last score."""


class StopAfter(ganzoo.Observer):
    """Ends a run after some seconds of steps."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_start(self, run: Any, config: Any, step: int) -> None:
        """Begin to count."""
        self.ends = time.perf_counter() + self.seconds

    def on_step(self, step: int) -> None:
        """End it in time. The queue of a GPU is some steps behind."""
        if time.perf_counter() > self.ends:
            self.stop()

    def on_warning(self, message: str) -> None:
        """Be silent."""


def recipes(options: Options) -> Iterator[Finding]:
    """Train each CIFAR-10 recipe for a moment, and the one that came furthest for the rest."""
    began = time.perf_counter()
    names = [name for name in ganzoo.list("recipes") if name.startswith(RECIPES)]
    names.sort(key=lambda name: (name.endswith("-paper"), name))
    seconds = options.seconds * SHARE / len(names)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(options.keep or folder) / "look"
        scores: dict[str, float] = {}
        for name in names:
            found = attempt(name, lambda n=name: try_recipe(n, place / n, seconds, options))
            yield found
            if "fid" in found:
                scores[name] = found["fid"]
        left = options.seconds - (time.perf_counter() - began) - JUDGING
        if scores and left > 0:
            best = min(scores, key=lambda name: scores[name])
            yield attempt(f"{best}, the rest", lambda: go_on(place / best, left, options))


def try_recipe(name: str, out: Path, seconds: float, options: Options) -> Finding:
    """Train a recipe for some seconds, and judge it."""
    ganzoo.train(
        recipe=name,
        out=out,
        settings={**place_of_data(options), "train.device": options.device},
        observer=StopAfter(seconds),
        progress=False,
    )
    return score(out, JUDGED[0], options)


def place_of_data(options: Options) -> dict[str, Any]:
    """Return the settings by which a recipe finds its data."""
    return {"data.root": options.data}


def go_on(out: Path, seconds: float, options: Options) -> Finding:
    """Continue a recipe for some seconds, and judge it by more samples."""
    ganzoo.resume(out, observer=StopAfter(seconds), progress=False)
    return score(out, JUDGED[1], options)


def score(out: Path, count: int, options: Options) -> Finding:
    """Return the score of a run, and what it took."""
    rows = ganzoo.evaluate(
        out,
        ["fid"],
        samples=count,
        real_samples=count,
        features=JUDGE,
        device=options.device,
        progress=False,
    )
    state = max(out.glob("checkpoints/*/time.json"))
    taken = read_json(state)
    return {"fid": rows[0].value, "judged": count, "step": int(state.parent.name), "time": taken}


PARTS: dict[str, Callable[[Options], Iterator[Finding]]] = {
    part.__name__.replace("_", "-"): part
    for part in (
        *(environment, tests, networks, compiled, resume, memory, speed, compiled_speed),
        *(choices, sampling, folder, until, processes, recipes),
    )
}
"""All parts by name, the most important ones first."""


def main() -> None:
    """Run a part, and print its findings as they come."""
    name, given = sys.argv[1], json.loads(sys.argv[2])
    options = Options(**{**given, "share": tuple(given.get("share", (0, 1)))})
    with tempfile.TemporaryDirectory() as place:
        os.environ["GANZOO_CACHE"] = place  # the user's own stays as it is
        for found in PARTS[name](options):
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
