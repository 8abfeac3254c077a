"""What can be seen of a run: frames of points, the update taken apart, a walk, nearest reals."""

import base64
import io
import itertools
import json
import math
import shutil

import pytest
import torch
from PIL import Image
from torch import nn

import ganzoo
from ganzoo import DataSpec, GeneratorInput, LatentPart, Networks, Observer, Samples
from ganzoo.api.training import resume
from ganzoo.errors import InputError, Interrupted
from ganzoo.runs.folder import Run
from ganzoo.runs.metrics import read_metrics
from ganzoo.storage.json_files import append_line
from ganzoo.training.inputs import draw_picture_inputs
from ganzoo.training.inspection import look_into
from ganzoo_zoo.apps.watch.points import plane as planes
from ganzoo_zoo.apps.watch.points.divergences import count_shares, measure_js, measure_kl
from ganzoo_zoo.apps.watch.points.frames import (
    ARROW_UNITS,
    GRID,
    GRID_LINE,
    MOST_ARROWS,
    MOST_POINTS,
    SIDE,
    UNITS,
    Frames,
    parse_frame,
    parse_plane,
)
from ganzoo_zoo.apps.watch.points.gradients import find_pull
from ganzoo_zoo.apps.watch.points.live import LivePlane
from ganzoo_zoo.apps.watch.points.manifold import LatentSpace
from ganzoo_zoo.apps.watch.points.plane import Plane
from ganzoo_zoo.apps.watch.points.stage import make_part
from ganzoo_zoo.apps.watch.points.tracker_run import WatchedRun
from ganzoo_zoo.apps.watch.runs.run_reader import RunReader
from ganzoo_zoo.apps.watch.training.looks import find_nearest, make_walk
from ganzoo_zoo.apps.watch.web.state import Card
from tiny import TINY, Stopper

DIGITS = {"architecture": "mlp", "settings": {"arch.hidden": (4,), "data.image_size": 8}, **TINY}
RING = {
    "architecture": "mlp",
    "data": "ring",
    "settings": {"data.samples": 60, "arch.hidden": (4,), "arch.z_dim": 2},
    "trackers": ["watch"],
    **TINY,
}


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """A finished run on points, that was looked at as it trained."""
    return ganzoo.train(**RING, out=tmp_path_factory.mktemp("runs") / "ring")


class Seen(Observer):
    """Does something with the trainer after some steps."""

    def __init__(self, look, at):
        self.look = look
        self.at = at
        self.found = []

    def on_ready(self, trainer):
        self.trainer = trainer

    def on_step(self, step):
        if step in self.at:
            self.found.append(self.look(self.trainer))


def seen(look, path, at=(2,), **options):
    """Train, and return what was found after the steps, and the run."""
    observer = Seen(look, at)
    return observer.found, ganzoo.train(**options, observer=observer, out=path)


def weights(run):
    names = ("model/model.safetensors", "model/discriminator.safetensors")
    return [(run.path / name).read_bytes() for name in names]


def whole_numbers(text, kind):
    data = bytearray(base64.b64decode(text))
    return torch.frombuffer(data, dtype=torch.uint8).view(kind).long().reshape(-1, 2)


def unpacked(text, plane):
    places = whole_numbers(text, torch.uint16) / UNITS
    return (2 * places - 1) * plane["reach"] + torch.tensor(plane["centre"])


# The plane --------------------------------------------------------------------------------------


class Ahead(nn.Module):
    """Logits that grow to the right, and twice as fast upwards."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, points):
        return points @ self.weight


CORNERS = Samples(
    DataSpec(shape=(2,), modes=((3.0, 1.0), (5.0, 3.0)), mode_std=0.1),
    torch.tensor([[3.0, 1.0], [5.0, 3.0], [4.0, 2.0]]),
)


def networks_of(latents, shown="average", **changes):
    """Networks whose generator moves latents to (4, 2), and its average a little further."""

    def follow(real, fake):
        return {"away": (fake - torch.tensor([4.0, 2.0])).square().sum(1).mean()}

    return Networks(
        **{
            "trained": lambda given: given.given + torch.tensor([4.0, 2.0]),
            "average": lambda given: given.given + torch.tensor([4.0, 2.5]),
            "shown": shown,
            "inputs": GeneratorInput(latents),
            "latent_parts": (LatentPart("z", latents.shape[1]),),
            "discriminator": Ahead(),
            "generator_loss": follow,
            **changes,
        }
    )


def test_points_and_logits_lie_where_they_were():
    plane = Plane(CORNERS)
    about = plane.describe()
    assert torch.allclose(unpacked(about["real"], about), CORNERS.stored, atol=1e-4)
    points = torch.tensor([[4.5, 1.5], [3.2, 2.9], [99.0, 2.0]])
    network = Ahead()
    frame = plane.make_frame(7, points, network)
    assert network.training
    found = unpacked(frame["points"], about)
    assert torch.allclose(found[:2], points[:2], atol=1e-4)
    edge = about["centre"][0] + about["reach"]
    assert found[2].tolist() == pytest.approx([edge, 2.0], abs=1e-4), (
        "what is beyond is on the edge"
    )
    levels = torch.tensor(list(base64.b64decode(frame["surface"]))).reshape(SIDE, SIDE)
    assert levels[0, -1] == 255, "up and to the right they are highest"
    assert levels[-1, 0] == 0
    assert (levels[0, 0] > levels[-1, -1]).item()
    inner = about["reach"] * (1 - 1 / SIDE)
    middle = about["centre"][0] + 2 * about["centre"][1]
    assert (frame["low"], frame["high"]) == pytest.approx(
        (middle - 3 * inner, middle + 3 * inner), rel=1e-5
    )
    assert parse_frame(frame) == frame
    assert parse_plane(about) == about


def test_what_is_not_finite_is_not_kept():
    network = Ahead()
    assert Plane(CORNERS).make_frame(1, torch.tensor([[float("nan"), 0.0]]), network) is None
    network.weight.data[0] = float("inf")
    assert Plane(CORNERS).make_frame(1, CORNERS.stored, network) is None


def test_reals_are_densest_where_most_of_them_lie():
    spec = DataSpec(shape=(2,))
    right = torch.tensor([[1.0, 1.0]]).expand(30, 2)
    left = torch.tensor([[-1.0, -1.0]]).expand(10, 2)
    about = Plane(Samples(spec, torch.cat([right, left]))).describe()
    levels = torch.tensor(list(base64.b64decode(about["density"]))).reshape(SIDE, SIDE)
    row, column = divmod(int(levels.argmax()), SIDE)
    half = SIDE // 2
    assert levels.max() == 255
    assert row < half <= column, "it is above and to the right"
    assert int(levels[half:, :half].max()) == pytest.approx(255 / 3, abs=1)
    assert int(levels[half:, half:].max()) == 0


def test_the_other_generator_has_the_same_latents():
    latents = torch.tensor([[0.5, 0.0], [-1.0, 0.4], [0.0, -0.5]])
    plane = Plane(CORNERS, networks_of(latents))
    about = plane.describe()
    for shown, other in (("average", "trained"), ("trained", "average")):
        networks = networks_of(latents, shown)
        points = getattr(networks, shown)(networks.inputs)
        frame = plane.make_frame(1, points[:2], networks.discriminator, networks)
        assert frame["shows"] == shown
        expected = getattr(networks, other)(networks.inputs)[:2]
        assert torch.allclose(unpacked(frame["other"], about), expected, atol=1e-4)
    same = networks_of(latents, average=networks_of(latents).trained)
    frame = plane.make_frame(1, same.trained(same.inputs), same.discriminator, same)
    assert "other" not in frame, "it is drawn once if both make the same"
    assert "shows" not in frame


# The latents ------------------------------------------------------------------------------------


def test_between_two_lines_of_the_grid_lies_the_same_share_of_latents():
    for prior, reach, draw in (
        ("normal", 3.0, torch.randn),
        ("uniform", 1.0, lambda *size, generator: 2 * torch.rand(*size, generator=generator) - 1),
    ):
        space = LatentSpace.of([LatentPart("z", 2, prior)])
        lines = space.lines()
        assert len(lines) == GRID
        assert lines.tolist() == pytest.approx((-lines.flip(0)).tolist(), abs=1e-6)
        assert (space.reach, lines[-1].item()) == (reach, pytest.approx(reach, abs=1e-5))
        drawn = draw(160_000, generator=torch.Generator().manual_seed(0))
        counts = torch.bincount(torch.bucketize(drawn, lines), minlength=GRID + 1)
        assert counts[1:GRID].tolist() == pytest.approx([10_000] * (GRID - 1), rel=0.06)


def test_the_grid_goes_along_the_first_number_then_the_second():
    space = LatentSpace(2, "normal")
    grid, lines = space.grid().reshape(GRID, GRID, 2), space.lines()
    assert torch.equal(grid[3, 5], torch.stack([lines[5], lines[3]]))
    assert LatentSpace(1, "uniform").grid().shape == (GRID_LINE, 1)
    assert LatentSpace(3, "normal").grid() is None
    assert LatentSpace.of([LatentPart("c", 4, "category")]) is None
    assert LatentSpace.of([LatentPart("z", 2), LatentPart("c", 2)]) is None


def test_the_manifold_is_the_grid_carried_through_the_shown_generator():
    latents = torch.tensor([[0.5, 0.0], [-9.0, 1.0]])
    networks = networks_of(latents)
    plane = Plane(CORNERS, networks)
    about = plane.describe()
    frame = plane.make_frame(1, networks.average(networks.inputs), networks.discriminator, networks)
    carried = unpacked(frame["manifold"], about)
    expected = plane.latents.grid() + torch.tensor([4.0, 2.5])
    centre, reach = torch.tensor(about["centre"]), about["reach"]
    assert torch.allclose(
        carried, expected.clamp(min=centre - reach, max=centre + reach), atol=1e-4
    )
    assert (about["z_dim"], about["prior"], about["latent_reach"]) == (2, "normal", 3.0)
    drawn = whole_numbers(about["latents"], torch.uint16) / UNITS * 6 - 3
    assert torch.allclose(drawn, torch.tensor([[0.5, 0.0], [-3.0, 1.0]]), atol=1e-3)
    assert about["latent_lines"] == pytest.approx(plane.latents.lines().tolist(), abs=1e-4)


def test_a_latent_of_one_number_is_a_line_and_of_many_has_no_manifold():
    for size, length in ((1, 4 * GRID_LINE), (5, 0)):
        latents = torch.randn(3, size)
        networks = networks_of(
            latents,
            trained=lambda given: given.given[:, :1].expand(-1, 2),
            average=lambda given: given.given[:, :1].expand(-1, 2),
        )
        plane = Plane(CORNERS, networks)
        about = plane.describe()
        assert parse_plane(about) == about
        assert (about["latent_lines"] is None) == (size == 5)
        points = networks.average(networks.inputs)
        frame = plane.make_frame(1, points, networks.discriminator, networks)
        assert len(base64.b64decode(frame.get("manifold", ""))) == length
        assert parse_frame(frame) == frame


# The pull ---------------------------------------------------------------------------------------


def test_points_are_pulled_to_where_the_loss_falls():
    latents = torch.tensor([[1.0, 0.0], [0.0, -2.0], [0.3, 0.4]])
    networks = networks_of(latents)
    points = networks.trained(networks.inputs)
    frame = Plane(CORNERS, networks).make_frame(1, points, networks.discriminator, networks)
    # The loss is the mean square distance from (4, 2), so a point's own share falls by twice it.
    assert frame["steepest"] == pytest.approx(4.0, rel=1e-5)
    arrows = whole_numbers(frame["pull"], torch.int16) / ARROW_UNITS * frame["steepest"]
    assert torch.allclose(arrows, -2 * latents, atol=1e-3)


def test_the_first_points_alone_have_an_arrow():
    many = Samples(DataSpec(shape=(2,)), torch.randn(MOST_POINTS, 2))
    networks = networks_of(torch.randn(MOST_POINTS, 2))
    points = networks.trained(networks.inputs)
    frame = Plane(many, networks).make_frame(1, points, networks.discriminator, networks)
    assert len(base64.b64decode(frame["pull"])) == 4 * MOST_ARROWS


def test_a_loss_that_does_not_see_the_fakes_has_no_pull():
    def fail(real, fake):
        raise ValueError("a whole batch is needed")

    points = torch.randn(3, 2)
    for loss in (
        fail,
        lambda real, fake: {},
        lambda real, fake: {"real": real.sum()},
        lambda real, fake: {"log": (fake - fake).sum().log()},
    ):
        assert find_pull(loss, points, points) is None


def test_the_pull_of_a_training_is_the_gradient_of_its_loss(tmp_path):
    def look(trainer):
        inputs = draw_picture_inputs(trainer.setup, trainer.loader)
        networks = look_into(trainer, inputs)
        real, fake = trainer.samples.stored[:5], torch.randn(5, 2)
        pull = find_pull(networks.generator_loss, real, fake)
        # Non-saturating: the mean of softplus(-D), whose slope by a logit is -sigmoid(-D).
        leaf = fake.clone().requires_grad_()
        logits = networks.discriminator(leaf)
        (slope,) = torch.autograd.grad(logits.sum(), leaf)
        return pull, torch.sigmoid(-logits.detach())[:, None] * slope

    ((pull, expected),), _ = seen(look, tmp_path / "run", **{**RING, "loss": "non-saturating"})
    assert torch.allclose(pull, expected, atol=1e-6)
    assert pull.norm() > 0


# Numbers ----------------------------------------------------------------------------------------


def test_points_are_counted_in_cells_from_the_top_and_those_outside_at_the_edge():
    points = torch.tensor([[-0.9, 0.9], [0.1, 0.9], [0.9, -0.9], [7.0, -7.0]])
    shares = count_shares(points, torch.zeros(2), 1.0, side=2)
    assert shares.tolist() == [0.25, 0.25, 0.0, 0.5]


def test_divergences_of_two_cells_are_those_computed_by_hand():
    real, fake = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.5, 0.5]).double()
    # 1.0001 log2(1.0001 / 0.5001) + 0.0001 log2(0.0001 / 0.5001)
    assert measure_kl(real, fake) == pytest.approx(0.9987269, abs=1e-6)
    # Their mean is 0.75 and 0.25: (0.4139021 + 0.2074641) / 2
    assert measure_js(real, fake) == pytest.approx(0.3106831, abs=1e-6)


def test_divergences_of_the_same_and_of_others():
    same = torch.rand(400).double()
    same /= same.sum()
    assert (measure_kl(same, same), measure_js(same, same)) == (0.0, 0.0)
    left, right = torch.zeros(2, 400, dtype=torch.float64)
    left[0] = right[399] = 1
    assert measure_js(left, right) == pytest.approx(1.0, abs=2e-3)
    assert measure_kl(left, right) == pytest.approx(1.0 * math.log2(1e4), abs=0.01)


def test_other_points_of_the_data_are_nearly_the_same():
    ring = ganzoo.open_dataset("ring")
    plane = Plane(ring)
    numbers = plane.count(ring.stored[-2500:])
    assert (numbers["modes"], numbers["of"]) == (8, 8)
    assert numbers["high_quality"] > 0.97
    assert 0 <= numbers["js"] < numbers["kl"] < 0.05
    one = plane.count(ring.stored[ring.stored[:, 0] > 0.9])
    assert one["modes"] == 1
    assert one["js"] > 0.5
    assert one["kl"] > 3


def test_modes_are_those_of_the_metric():
    near = torch.tensor([[3.0, 1.29], [3.0, 1.31], [9.0, 9.0], [3.0, 1.0]])
    numbers = Plane(CORNERS).count(near)
    assert (numbers["modes"], numbers["of"], numbers["high_quality"]) == (1, 2, 0.5)
    assert Plane(Samples(DataSpec(shape=(2,)), CORNERS.stored)).count(near).keys() == {"kl", "js"}


def test_numbers_are_curves_of_the_card(ring):
    card = Card("1", RunReader(ring))
    card.update()
    numbers = card.curves()["numbers"]
    frames = card.frames.items
    for name in ("modes", "high_quality", "kl", "js"):
        curve = numbers[f"plane/{name}"]
        assert curve["steps"] == [0, 2, 4]
        assert curve["values"] == pytest.approx(
            [each["numbers"][name] for each in frames], rel=1e-4
        )
    assert "plane/of" not in numbers
    assert "discriminator/real" in numbers


# What is recorded -------------------------------------------------------------------------------


def test_a_frame_holds_what_can_be_seen(ring):
    frames = Frames(ring.path)
    frames.update()
    assert [frame["step"] for frame in frames.items] == [0, 2, 4]
    always = {"step", "points", "surface", "low", "high", "manifold", "pull", "steepest", "numbers"}
    first, second, _ = frames.items
    assert first.keys() == always, "an average begins as its generator"
    assert second.keys() == {*always, "other", "shows"}
    assert frames.plane.keys() == {
        *("centre", "reach", "modes", "std", "real", "density"),
        *("z_dim", "prior", "latent_reach", "latents", "latent_lines"),
    }
    for frame in frames.items:
        assert len(json.dumps(frame)) < 12_000


@pytest.mark.parametrize("loss", ["non-saturating", "unrolled", "wgan-gp", "relativistic-average"])
def test_a_watched_run_is_the_same_to_the_bit(tmp_path, loss):
    plain = ganzoo.train(**{**RING, "trackers": [], "loss": loss}, out=tmp_path / "plain")
    watched = ganzoo.train(**{**RING, "loss": loss}, out=tmp_path / "watched")
    assert weights(plain) == weights(watched)
    own = {path.name for path in watched.path.iterdir()}
    assert own - {path.name for path in plain.path.iterdir()} == {"watch"}
    frames = Frames(watched.path)
    frames.update()
    assert all("pull" in frame for frame in frames.items)


def test_a_resumed_run_keeps_the_frames_of_one_that_was_never_stopped(ring, tmp_path):
    with pytest.raises(Interrupted):
        ganzoo.train(**RING, observer=Stopper(3), out=tmp_path / "run")
    run = resume(tmp_path / "run")
    for name in ("frames.jsonl", "plane.json"):
        kept = [(each.path / "watch" / name).read_bytes() for each in (run, ring)]
        assert kept[0] == kept[1], name


def test_images_leave_nothing_beside_their_pictures(tmp_path):
    run = ganzoo.train(**DIGITS, trackers=["watch"], out=tmp_path / "run")
    assert not (run.path / "watch").exists()


def test_of_a_long_run_some_frames_are_kept(tmp_path):
    networks = networks_of(torch.randn(3, 2))
    run = WatchedRun(tmp_path, 5003, 0)
    for step in (0, 3, 6, 7, 12, 12, 6, 5003):
        run.networks(step, networks, CORNERS, CORNERS)
    frames = Frames(tmp_path)
    frames.update()
    assert [frame["step"] for frame in frames.items] == [0, 6, 12, 5003]
    run = WatchedRun(tmp_path, 5003, 6)
    run.networks(12, networks, CORNERS, CORNERS)
    frames.update()
    assert [frame["step"] for frame in frames.items] == [0, 6, 12]


def test_a_live_frame_shows_what_is_recorded_at_the_same_step(tmp_path):
    def look(trainer):
        before = torch.get_rng_state()
        frame = LivePlane.of(trainer).make_frame()
        assert torch.equal(torch.get_rng_state(), before)
        return frame

    found, run = seen(look, tmp_path / "run", **RING)
    plain = ganzoo.train(**{**RING, "trackers": []}, out=tmp_path / "plain")
    assert weights(run) == weights(plain)
    frames = Frames(run.path)
    frames.update()
    (recorded,) = [frame for frame in frames.items if frame["step"] == 2]
    assert found[0].keys() == recorded.keys()
    same = recorded.keys() - {"numbers"}  # a live frame counts fewer points
    assert {name: found[0][name] for name in same} == {name: recorded[name] for name in same}
    assert parse_frame(json.loads(json.dumps(found[0]))) == found[0]


def test_only_a_run_on_points_has_a_live_plane(tmp_path):
    found, _ = seen(LivePlane.of, tmp_path / "run", **DIGITS)
    assert found == [None]


# What a stranger wrote --------------------------------------------------------------------------


def encoded(size):
    return base64.b64encode(bytes(size)).decode()


def test_what_a_stranger_wrote_for_frames_is_passed_over(ring, tmp_path):
    run = Run.open(shutil.copytree(ring.path, tmp_path / "run"))
    good = json.loads((run.path / "watch" / "frames.jsonl").read_text().splitlines()[1])
    for change in (
        {"points": "?"},
        {"points": base64.b64encode(b"123").decode()},
        {"points": encoded(4 * MOST_POINTS + 4)},
        {"points": None},
        {"surface": base64.b64encode(b"1234").decode()},
        {"low": "<b>"},
        {"low": 2.0, "high": 1.0},
        {"high": 10**400},
        {"step": 3},
        {"other": encoded(4 * MOST_POINTS + 4)},
        {"other": 3},
        {"shows": "<b>"},
        {"shows": ["average"]},
        {"shows": None},
        {"manifold": encoded(4 * GRID**2 + 4)},
        {"manifold": {}},
        {"pull": encoded(4 * MOST_ARROWS + 4)},
        {"pull": encoded(6)},
        {"steepest": -1.0},
        {"steepest": "1"},
        {"steepest": float("nan")},
        {"numbers": []},
        {"numbers": {"kl": "<b>"}},
        {"numbers": {"kl": float("inf")}},
        {"numbers": {"modes": True}},
    ):
        append_line_of_any(run.path / "watch" / "frames.jsonl", {**good, "step": 9, **change})
    for lacking in ("other", "shows", "pull", "steepest"):
        some = {name: value for name, value in good.items() if name != lacking}
        append_line(run.path / "watch" / "frames.jsonl", {**some, "step": 9})
    numbers = {**good["numbers"], "more": "<b>"}
    more = {**good, "step": 10, "more": "<b>", "numbers": numbers}
    append_line(run.path / "watch" / "frames.jsonl", more)
    frames = Frames(run.path)
    frames.update()
    assert [frame["step"] for frame in frames.items] == [0, 2, 4, 10]
    assert frames.items[-1].keys() == good.keys()
    assert frames.items[-1]["numbers"] == good["numbers"]


def append_line_of_any(path, row):
    """Append what :func:`append_line` refuses, too."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def test_what_a_stranger_wrote_for_a_plane_is_refused(ring):
    good = json.loads((ring.path / "watch" / "plane.json").read_text())
    assert parse_plane({**good, "more": "<b>"}) == good
    for change in (
        {"centre": [0.0]},
        {"reach": 0},
        {"density": encoded(SIDE**2 - 1)},
        {"density": None},
        {"z_dim": True},
        {"z_dim": 0},
        {"z_dim": "2"},
        {"z_dim": 10**400},
        {"prior": "<b>"},
        {"latent_reach": 0},
        {"latents": encoded(4 * MOST_POINTS + 4)},
        {"latent_lines": ["<b>"] * GRID},
        {"latent_lines": [0.0]},
    ):
        with pytest.raises(InputError, match="does not describe one"):
            parse_plane({**good, **change})
    for lacking in ("z_dim", "prior", "latent_reach", "latents"):
        with pytest.raises(InputError, match="does not describe one"):
            parse_plane({name: value for name, value in good.items() if name != lacking})


def test_files_of_earlier_versions_are_read(ring, tmp_path):
    run = Run.open(shutil.copytree(ring.path, tmp_path / "run"))
    frames, plane = (run.path / "watch" / name for name in ("frames.jsonl", "plane.json"))
    rows = [json.loads(line) for line in frames.read_text().splitlines()]
    frames.unlink()
    for row in rows:
        known = ("step", "points", "surface", "low", "high")
        append_line(frames, {name: row[name] for name in known})
    about = json.loads(plane.read_text())
    known = ("centre", "reach", "modes", "std", "real")
    plane.write_text(json.dumps({name: about[name] for name in known}))
    card = Card("1", RunReader(run))
    card.update()
    assert card.problem == ""
    assert [frame["step"] for frame in card.frames.items] == [0, 2, 4]
    assert card.frames.plane.keys() == set(known)
    assert not any(name.startswith("plane/") for name in card.curves()["numbers"])


# An update taken apart --------------------------------------------------------------------------


class Parts(Observer):
    """Takes apart each update."""

    def __init__(self):
        self.parts = {}

    def on_ready(self, trainer):
        plane = None
        if (live := LivePlane.of(trainer)) is not None:
            plane = live.plane

        def show(update):
            self.last = update
            self.gradients = update.fake_gradients() * len(update.fake)
            self.about = plane and plane.describe()
            self.judged = update.judge(update.fake)
            part = make_part(update, plane, trainer)
            self.parts.setdefault((update.step, update.network), []).append(part)

        self.trainer = trainer
        trainer.on_update = show


def test_an_update_has_the_numbers_of_that_very_update(tmp_path):
    taken = Parts()
    options = {**RING, "trackers": [], "log_every": 1, "loss": "wgan-gp"}
    run = ganzoo.train(**options, observer=taken, out=tmp_path / "run")
    rows = dict(read_metrics(run.path / "metrics.jsonl"))
    assert [len(taken.parts[2, network]) for network in ("discriminator", "generator")] == [5, 1]
    for network in ("discriminator", "generator"):
        part = taken.parts[2, network][-1]
        logged = {
            name.partition("/")[2]: value
            for name, value in rows[2].items()
            if name.startswith(network)
        }
        norm = logged.pop("gradient_norm")
        assert part["terms"] == pytest.approx(logged, rel=1e-5)
        assert part["gradient_norm"] == pytest.approx(norm, rel=1e-5)
        assert part["rate"] == run.config().train.generator_lr
        assert len(part["real_logits"]) == len(part["fake_logits"]) == 8
        assert sum(part["real_logits"]) / 8 == pytest.approx(part["real_logit"], abs=1e-3)
        assert part["picture"] is None
    part = taken.parts[2, "discriminator"][-1]
    difference = part["fake_logit"] - part["real_logit"]
    assert part["terms"]["wasserstein"] == pytest.approx(difference, abs=1e-5)
    plain = ganzoo.train(**options, out=tmp_path / "plain")
    assert weights(run) == weights(plain)


def test_an_update_on_points_shows_latents_fakes_reals_and_gradients(tmp_path):
    taken = Parts()
    options = {**RING, "trackers": [], "batch_size": 100, "loss": "non-saturating"}
    ganzoo.train(**options, observer=taken, out=tmp_path / "run")
    part, update, about = taken.parts[4, "generator"][0], taken.last, taken.about
    assert json.loads(json.dumps(part)) == part
    for name, points in (("real_points", update.real), ("fakes", update.fake)):
        assert torch.allclose(unpacked(part[name], about), points[:64], atol=1e-3)
    latents = whole_numbers(part["latents"], torch.uint16) / UNITS * 2 - 1
    assert about["prior"] == "uniform"
    assert torch.allclose(latents, update.inputs.given[:64], atol=1e-3)
    arrows = whole_numbers(part["gradients"], torch.int16) / ARROW_UNITS * part["steepest"]
    assert torch.allclose(arrows, taken.gradients[:64], atol=1e-4)
    assert part["fake_logits"] == pytest.approx(taken.judged[:64].tolist(), abs=1e-4)


def test_an_update_on_images_shows_reals_above_fakes(tmp_path):
    taken = Parts()
    ganzoo.train(**DIGITS, observer=taken, out=tmp_path / "run")
    part = taken.parts[4, "generator"][0]
    for name in ("real_points", "fakes", "latents", "gradients", "steepest"):
        assert part[name] is None
    picture = opened_url(part["picture"])
    assert picture.size == (8 * 66 + 2, 2 * 66 + 2)
    real = tile(picture, 0, 0)
    expected = ((taken.last.real[0, 0] + 1) * 127.5).round()
    assert torch.allclose(real, expected, atol=1)
    assert not torch.allclose(tile(picture, 1, 0), expected, atol=1)


def test_an_update_that_diverges_is_not_shown(tmp_path):
    taken = Parts()
    ganzoo.train(**DIGITS, observer=taken, out=tmp_path / "run")
    for parameter in taken.trainer.state.discriminator.parameters():
        parameter.data.fill_(float("nan"))
    assert make_part(taken.last, None, taken.trainer) is None


def opened_url(url):
    kind, _, data = url.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)), formats=["PNG"])


def tile(picture, row, column):
    """Return an image of 8 x 8 pixels in a picture of enlarged ones."""
    left, top = 2 + 66 * column, 2 + 66 * row
    image = picture.crop((left, top, left + 64, top + 64)).resize((8, 8), Image.Resampling.NEAREST)
    pixels = torch.frombuffer(bytearray(image.convert("L").tobytes()), dtype=torch.uint8)
    return pixels.reshape(8, 8).float()


# A walk, and nearest reals ----------------------------------------------------------------------


def test_a_walk_is_a_strip_from_one_latent_to_another(tmp_path):
    def look(trainer):
        before = torch.get_rng_state()
        first, second = make_walk(trainer), make_walk(trainer)
        assert first == second
        assert torch.equal(torch.get_rng_state(), before)
        return first

    (early, late), run = seen(look, tmp_path / "run", (2, 3), **DIGITS)
    with Image.open(io.BytesIO(early), formats=["PNG"]) as strip:
        assert strip.size == (8 * 66 + 2, 66 + 2)
        assert "Generated by a GAN" in strip.info["Description"]
        images = [tile(strip, 0, column) for column in range(8)]
    steps = [(one - other).norm() for one, other in itertools.pairwise(images)]
    assert min(steps) > 0
    assert (images[0] - images[-1]).norm() > max(steps)
    assert early != late
    assert weights(run) == weights(ganzoo.train(**DIGITS, out=tmp_path / "plain"))


def test_a_walk_keeps_one_class(tmp_path):
    settings = {**DIGITS["settings"], "arch.conditional": True}
    found, _ = seen(make_walk, tmp_path / "run", **{**DIGITS, "settings": settings})
    assert found[0].startswith(b"\x89PNG")


def test_points_and_translators_have_no_walk(tmp_path):
    def without_latents(trainer):
        class Sourced(type(trainer.architecture)):
            takes_sources = True

        trainer.architecture = Sourced()
        return make_walk(trainer)

    for look, options in ((make_walk, RING), (without_latents, DIGITS)):
        found, _ = seen(look, tmp_path / options["architecture"] / str(len(options)), **options)
        assert found == [None]


def test_nearest_reals_lie_at_their_distance(tmp_path):
    def look(trainer):
        before = torch.get_rng_state()
        found = find_nearest(trainer, 3)
        assert torch.equal(torch.get_rng_state(), before)
        return found, trainer.samples.stored

    ((found, reals),), run = seen(look, tmp_path / "run", **DIGITS)
    assert json.loads(json.dumps(found)) == found
    assert (found["step"], len(found["pairs"])) == (2, 3)
    assert (found["searched"], found["of"]) == (len(reals), len(reals))
    for pair in found["pairs"]:
        fake, real = (tile(opened_url(pair[name]), 0, 0) for name in ("fake", "real"))
        every = (reals[:, 0].float() - fake).square().mean((1, 2)).sqrt()
        assert pair["distance"] == pytest.approx(every.min().item(), abs=0.06)
        assert torch.equal(reals[every.argmin(), 0].float(), real)
        assert "Generated by a GAN" in opened_url(pair["fake"]).info["Description"]
        assert "Description" not in opened_url(pair["real"]).info, "it is a real one"
    assert weights(run) == weights(ganzoo.train(**DIGITS, out=tmp_path / "plain"))


def test_the_search_is_bounded_and_for_images_alone(tmp_path, monkeypatch):
    from ganzoo_zoo.apps.watch.training import looks

    monkeypatch.setattr(looks, "MOST_NUMBERS", 640)
    found, _ = seen(find_nearest, tmp_path / "digits", **DIGITS)
    assert (found[0]["searched"], len(found[0]["pairs"])) == (10, 6)
    found, _ = seen(find_nearest, tmp_path / "ring", **RING)
    assert found == [None]


def test_what_is_not_finite_is_neither_walked_nor_compared(tmp_path):
    taken = Parts()
    ganzoo.train(**DIGITS, observer=taken, out=tmp_path / "run")
    state = taken.trainer.state
    for network in (state.generator, state.generator_ema.module):
        for parameter in network.parameters():
            parameter.data.fill_(float("nan"))
    assert make_walk(taken.trainer) is None
    assert find_nearest(taken.trainer) is None


def test_many_reals_are_counted_evenly(monkeypatch):
    monkeypatch.setattr(planes, "MOST_COUNTED", 2)
    halves = Samples(DataSpec(shape=(2,)), torch.tensor([[-1.0, 0.0]] * 3 + [[1.0, 0.0]] * 3))
    assert Plane(halves).count(halves.stored)["js"] == 0
