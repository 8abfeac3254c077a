"""Datasets of signals: sound in wav files, series of numbers in csv and npy files, and sines."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field, model_validator

from ganzoo import Dataset, DataSpec, Samples
from ganzoo.component import AbsolutePath
from ganzoo.compute import memory
from ganzoo.protocols.dataset import LARGEST_SAMPLE

CUT = "Longer files are cut into pieces one after another, and the rest is left out; "


class _Signals(Dataset):
    """Base of signals in files of your own."""

    holds = "signals"
    reads_folder = True

    path: AbsolutePath = Field(description="A folder with a file for each recording, or one file.")

    def needs_download(self) -> bool:
        """Return False: the files are on this machine."""
        return False

    @abstractmethod
    def read(self) -> Samples:
        """Read every file."""


class Audio(_Signals):
    """Sound in wav files, in class folders or not: signals in [-1, 1].

    All files have one rate. A model knows it, and writes its samples as wav files.
    """

    length: int = Field(
        default=16_384,
        ge=1,
        le=LARGEST_SAMPLE,
        description=CUT + "shorter ones end in silence. 16,384 are a second at 16 kHz.",
    )
    mono: bool = Field(default=False, description="Mix all channels into one.")

    def read(self) -> Samples:
        """Read every file.

        Raises:
            ganzoo.errors.InputError: no file can be read, or their rates or channels differ.
        """
        from ganzoo_zoo.data.signal_reading import read_audio

        return read_audio(self.path, self.length, self.mono)


class Series(_Signals):
    """Series of numbers, such as those of sensors, in csv and npy files, in class folders or not.

    A csv names its channels in its first line, and has a row for each time. An npy file holds an
    array (C, T) or (T,); a single one may hold all signals, (N, C, T). Each channel is shifted and
    scaled to [-1, 1], which a model knows: its samples are written in the channels' own units.
    """

    reads_folder = False

    length: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST_SAMPLE,
        description=CUT + "shorter ones are skipped. By default the length of all files.",
    )

    def read(self) -> Samples:
        """Read every file.

        Raises:
            ganzoo.errors.InputError: no file can be read, or their channels or lengths differ.
        """
        from ganzoo_zoo.data.signal_reading import read_series

        return read_series(self.path, self.length)


class Sines(Dataset):
    """Sine waves of random frequency and phase, alike for each channel.

    The sines of TimeGAN (Yoon et al. 2019, section 5.1), drawn from a fixed seed.
    """

    holds = "signals"
    licence = "apache-2.0"  # the package's own: they are drawn by its code
    paper = "Yoon et al. 2019, Time-series Generative Adversarial Networks, NeurIPS"

    samples: int = Field(default=10_000, gt=0, le=1_000_000, description="Signals to draw.")
    channels: int = Field(default=1, gt=0, le=1_000, description="Channels of a signal.")
    length: int = Field(default=64, gt=0, le=1 << 16, description="Numbers in a channel.")
    cycles: tuple[float, float] = Field(
        default=(1.0, 4.0), description="The fewest and the most cycles of a signal."
    )

    @model_validator(mode="after")
    def _check_cycles(self) -> Sines:
        if not 0 <= self.cycles[0] <= self.cycles[1] <= self.length:
            raise ValueError("cycles are two numbers from 0 to the length, the smaller one first")
        return self

    def needs_download(self) -> bool:
        """Return False: they are drawn."""
        return False

    def read(self) -> Samples:
        """Draw the signals."""
        import math

        import torch

        from ganzoo.compute.seeding import make_rng

        shape = (self.channels, self.length)
        memory.require(16 * self.samples * math.prod(shape), f"{self.samples:,} signals")
        rng, (low, high) = make_rng(0, "sines"), self.cycles
        cycles, phase = torch.rand(2, self.samples, self.channels, 1, generator=rng)
        times = torch.arange(self.length) / self.length
        turns = (low + (high - low) * cycles) * times + phase
        return Samples(DataSpec(shape=shape), (2 * math.pi * turns).sin())
