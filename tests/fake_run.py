"""A run for tests of the page: it answers in the browser, in place of a server and its training.

It steps, is changed and is slow as a real one would be, but at once and with canned numbers.
"""

from __future__ import annotations

import base64
import json
import math
import random
import re
import struct
from typing import Any
from urllib.parse import urlsplit

from ganzoo_zoo.apps.watch.points.frames import SIDE

GRID = 17
RATES = {
    "train.generator_lr": "0.004",
    "train.discriminator_lr": "0.004",
    "train.n_critic": "1",
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAIAQAAAADsdIMmAAAAD0lEQVR4nGNg+M+AjAgBAGj8"
    "B/nX8xDdAAAAAElFTkSuQmCC"
)


def _encoded(kind: str, values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}{kind}", *map(round, values))).decode()


def pack(points: list[tuple[float, float]]) -> str:
    """Pack points of the square from -1 to 1."""
    clamped = [min(1, max(-1, each)) for point in points for each in point]
    return _encoded("H", [(each + 1) / 2 * 65535 for each in clamped])


def ring(mode: int) -> tuple[float, float]:
    """Return the centre of one of 8 modes."""
    return 0.7 * math.cos(math.tau * mode / 8), 0.7 * math.sin(math.tau * mode / 8)


class FakeRun:
    """A run on points that pauses at step 120.

    Args:
        more: Fields of its card that differ.
    """

    def __init__(self, **more: Any) -> None:
        self.step, self.phase, self.kind = 120, "", "paused"
        self.changes: list[dict[str, Any]] = []
        self.posted: list[tuple[str, Any]] = []
        """The actions that the page asked for."""
        self.more = more
        rng = random.Random(0)

        def scatter(count: int, spread: float) -> list[tuple[float, float]]:
            centres = [ring(rng.randrange(8)) for _ in range(count)]
            return [(rng.gauss(x, spread), rng.gauss(y, spread)) for x, y in centres]

        self.reals = scatter(400, 0.02)
        self.latents = [(rng.gauss(0, 0.33), rng.gauss(0, 0.33)) for _ in range(400)]
        self.scatter = scatter

    def handle(self, route: Any) -> None:
        """Answer a request of the page."""
        path, request = urlsplit(route.request.url).path, route.request
        if request.method == "POST":
            route.fulfill(json=self._post(path, json.loads(request.post_data)))
        elif path == "/state":
            route.fulfill(json={"acts": True, "runs": [self.card()]})
        elif path == "/choices":
            route.fulfill(json=CHOICES)
        elif path == "/resolved":
            route.fulfill(json=RESOLVED)
        elif match := re.fullmatch("/runs/1/(moves|curves|stage|nearest)", path):
            route.fulfill(json=getattr(self, match[1])())
        elif re.fullmatch("/runs/1/(pictures/[0-9]+|walk)", path):
            data = base64.b64decode(PIXEL.partition(",")[2])
            route.fulfill(body=data, content_type="image/png")
        else:
            route.continue_()

    def _post(self, path: str, body: Any) -> dict[str, Any]:
        word = path.rpartition("/")[2]
        self.posted.append((word, body))
        if word == "step-discriminator":
            self.phase = "between"
        elif word in ("step", "step-generator"):
            self.phase, self.step = "", self.step + 1
        elif word == "pause":
            self.kind = "paused"
        elif word == "continue":
            self.kind = "training"
        elif word == "change":
            self.changes.append({"step": self.step, "options": body["settings"]})
        return {}

    def card(self) -> dict[str, Any]:
        """Return the state of its card."""
        turns = ["step-generator"] if self.phase else ["step-discriminator", "step-generator"]
        rates = {**RATES, **{k: v for each in self.changes for k, v in each["options"].items()}}
        card = {
            **{"name": "1", "title": "mlp trained with r3gan on ring", "place": "runs/ring"},
            **{"about": "batch size 64, seed 0", "kind": self.kind, "said": self.kind},
            "may": ["pause", "stop"]
            if self.kind == "training"
            else ["step", *turns, "continue", "stop"],
            **{"own": True, "over": False, "problem": "", "steps": 2000, "step": self.step},
            "asked": {"architecture": "mlp", "loss": None, "data": "ring", "settings": {}},
            **{"live": self.step, "points": True, "numbers": {}, "scores": {}, "pictures": []},
            **{"pairs": False, "speed": "", "left": "", "resume": "", "warnings": [], "past": []},
            **{"phase": self.phase, "rates": rates, "changes": self.changes},
            **{"mine": True, "owner": None, "queued": None, "preset": None},
        }
        return card | self.more

    def frame(self, step: int) -> dict[str, Any]:
        """Return a frame: points on their way to the ring."""
        share = min(1, step / 120)
        points, other = self.scatter(400, 0.4 - 0.3 * share), self.scatter(400, 0.4 - 0.34 * share)
        levels, manifold = bytearray(), []
        for row in range(SIDE):
            for column in range(SIDE):
                x, y = (2 * column + 1) / SIDE - 1, 1 - (2 * row + 1) / SIDE
                levels.append(round(255 * math.exp(-18 * (math.hypot(x, y) - 0.7) ** 2)))
        for row in range(GRID):
            for column in range(GRID):
                x, y = (2 * column / (GRID - 1) - 1), (2 * row / (GRID - 1) - 1)
                size = math.hypot(x, y) or 1e-9
                out = (1 - share) + share * 0.75 * size**0.3 / size
                manifold.append((0.9 * x * out, 0.9 * y * out))
        pull = [(0.4 * math.cos(5 * y), 0.4 * math.sin(5 * x)) for x, y in points[:100]]
        return {
            **{"step": step, "low": -2.25, "high": 1.5, "points": pack(points)},
            **{"surface": base64.b64encode(levels).decode(), "manifold": pack(manifold)},
            **{"other": pack(other), "shows": "average", "steepest": 0.2},
            "pull": _encoded("h", [32767 * each for point in pull for each in point]),
            "numbers": {"modes": 7, "of": 8, "high_quality": 0.83, "kl": 0.31, "js": 0.052},
        }

    def moves(self) -> dict[str, Any]:
        """Return the plane and its frames."""
        lines = [2 * i / (GRID - 1) - 1 for i in range(GRID)]
        density = [
            round(255 * math.exp(-80 * min(math.dist((x, y), ring(i)) for i in range(8)) ** 2))
            for y in ((1 - (2 * row + 1) / SIDE) for row in range(SIDE))
            for x in ((2 * column + 1) / SIDE - 1 for column in range(SIDE))
        ]
        plane = {
            **{"centre": [0, 0], "reach": 1, "std": 0.02, "modes": [ring(i) for i in range(8)]},
            **{"real": pack(self.reals), "density": base64.b64encode(bytes(density)).decode()},
            **{"z_dim": 2, "prior": "normal", "latent_reach": 1.0, "latent_lines": lines},
            "latents": pack(self.latents),
        }
        kept = [self.frame(step) for step in range(0, self.step + 1, 20)]
        return {"plane": plane, "kept": kept, "live": self.frame(self.step)}

    def curves(self) -> dict[str, Any]:
        """Return its curves."""
        rng, steps = random.Random(1), list(range(1, self.step + 1))

        def curve(value: Any) -> dict[str, Any]:
            return {"steps": steps, "values": [value(step) + rng.gauss(0, 0.03) for step in steps]}

        plane = steps[::20]
        return {
            "numbers": {
                "discriminator/adversarial": curve(lambda step: 0.9 + 0.4 * math.exp(-step / 30)),
                "generator/adversarial": curve(lambda step: 0.7),
                "discriminator/gradient_norm": curve(lambda step: 0.3),
                "generator/gradient_norm": curve(lambda step: 0.2),
                "plane/modes": {"steps": plane, "values": [2, 3, 3, 4, 6, 7][: len(plane)]},
                "plane/kl": {"steps": plane, "values": [3.1, 2, 1.2, 0.8, 0.5, 0.31]},
                "plane/js": {"steps": plane, "values": [0.8, 0.6, 0.4, 0.2, 0.1, 0.05]},
            },
            "scores": {"fid": {"steps": [120], "values": [12.5]}},
        }

    def stage(self) -> dict[str, Any]:
        """Return the step that it paused in or after."""
        made = self.scatter(64, 0.15)

        def part(network: str) -> dict[str, Any]:
            terms = {"adversarial": 0.812, "r1": 0.034}
            gradients = [each for x, y in made for each in (-20000 * y, 20000 * x)]
            found = {
                "terms": terms if network == "discriminator" else {"adversarial": 0.734},
                **{"gradient_norm": 0.1234, "real_logit": 0.52, "fake_logit": -0.31, "rate": 0.004},
                **{"real_points": pack(self.reals[:64]), "fakes": pack(made)},
                **{"latents": pack(self.latents[:64])},
                "real_logits": [0.52 + 0.02 * (i - 32) for i in range(64)],
                "fake_logits": [-0.31 + 0.03 * (i - 32) for i in range(64)],
                "gradients": _encoded("h", [max(-32767, min(32767, each)) for each in gradients]),
                "picture": None,
            }
            if not self.card()["points"]:
                names = ("real_points", "fakes", "latents", "gradients")
                found |= {"picture": PIXEL, **dict.fromkeys(names)}
            return found

        generator = None if self.phase else part("generator")
        return {
            **{"step": self.step + (self.phase != ""), "phase": self.phase},
            **{"discriminator": part("discriminator"), "generator": generator},
        }

    def nearest(self) -> dict[str, Any]:
        """Return generated images with their nearest reals."""
        pair = {"fake": PIXEL, "real": PIXEL, "distance": 3.25}
        return {"step": self.step, "pairs": [pair] * 6, "searched": 900, "of": 4000}


CHOICES = {
    "first": {"architecture": "mlp", "data": "ring"},
    "architectures": [{"name": "mlp", "about": "Layers of units.", "paper": ""}],
    "losses": [{"name": "r3gan", "about": "A relativistic loss.", "paper": ""}],
    "data": [{"name": "ring", "about": "8 modes on a ring.", "paper": "", "points": True}],
    "options": [
        {"name": "train.generator_lr", "label": "Generator's learning rate", "about": "How far."},
        {"name": "train.discriminator_lr", "label": "Discriminator's learning rate", "about": ""},
        {"name": "train.n_critic", "label": "Critic steps", "about": "Updates in a step."},
    ],
    **{"presets": [], "models": [], "drawn": None},
}
RESOLVED = {
    **{"loss": "r3gan", "default_loss": "r3gan", "data": "ring", "controls": []},
    "options": RATES,
}
