"""Mistakes that a type checker must find: each ``type: ignore`` is an error if nothing is wrong."""

from torch import Tensor, nn

import ganzoo
from ganzoo import DataSpec, Loss, TrackedRun, Tracker


class WrongLoss(Loss):
    def discriminator_loss(self, D: nn.Module, real: Tensor, fake: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {}

    def generator_loss(self, D: object, real: Tensor, fake: Tensor) -> Tensor:  # type: ignore[override]
        return fake


class WrongRun(TrackedRun):
    def metrics(self, row: int) -> None:  # type: ignore[override]
        pass


ganzoo.trian("dcgan")  # type: ignore[attr-defined]
ganzoo.train(3)  # type: ignore[arg-type]
ganzoo.train("mlp", data=ganzoo.load())  # type: ignore[arg-type]
ganzoo.load().sample("four")  # type: ignore[arg-type]
ganzoo.load().sample(4).no_such_method()  # type: ignore[attr-defined]
ganzoo.resume("run").no_such_method()  # type: ignore[attr-defined]
ganzoo.evaluate()[0].no_such_method()  # type: ignore[attr-defined]
ganzoo.open_dataset("digits").batch(4)  # type: ignore[arg-type]
DataSpec(shape="three")  # type: ignore[arg-type]
Tracker()  # type: ignore[abstract]
