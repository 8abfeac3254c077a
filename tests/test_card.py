"""The card of a model, and what a person wrote in it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import EvalResult, ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import ganzoo
from ganzoo.cards import front_matter, sections
from ganzoo.cards.card import build_card, merge_card
from ganzoo.cards.markdown import code, prose
from ganzoo.cards.readme import Readme
from ganzoo.compute.machine import Machine
from ganzoo.config import ComponentChoice, InitialModel, ModelConfig
from ganzoo.errors import InputError, escape_text
from ganzoo.models.sample_record import SampleRecord
from ganzoo.protocols.dataset import DataSpec
from ganzoo.resolve import resolve
from ganzoo.runs.folder import Run
from ganzoo.runs.machines import log_machine
from ganzoo.runs.scores import ScoreRow, log_scores, read_scores
from ganzoo.runs.training_facts import TrainingFacts, read_training_facts

SETTINGS = settings(derandomize=True, deadline=None, database=None, max_examples=40)
EARLIER = Path(__file__).parent / "data" / "earlier"
IMAGES = DataSpec(shape=(1, 32, 32), classes=10, features="digits-cnn")
VERSIONS = {"python": "3.12.0", "ganzoo": "0.1.0", "torch": "2.9.0"}
HOSTILE = (
    "a\n---\nlicense: mit\n<!-- /ganzoo:about -->\n# b | c ` d `` <script>x</script> --> [e](f) "
    '\\| "g" ** _h_ &lt; ~~~ ![i](j) {k: v}'
)
MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def model(*names, step=200, spec=IMAGES, **changes):
    names = names or ("dcgan", "wgan-gp", "digits")
    config = resolve(*names, {"train.steps": 200, **changes})
    config = config.model_copy(update={"data_fingerprint": "f" * 64})
    return ModelConfig.of(config, spec, step)


def row(metric="fid[digits-cnn]", value=12.25, **changes):
    about = {
        "metric": metric,
        "value": value,
        "std": None,
        "higher_is_better": False,
        "features": {"name": "digits-cnn", "sha256": "be80" * 16},
        "data": {"name": "digits", "split": "all", "fingerprint": "ab12" * 16},
        "real_samples": 1797,
        "fake_samples": 1000,
        "image_size": (32, 32),
        "seed": 3,
        "step": 200,
        "note": None,
        "versions": VERSIONS,
    }
    return ScoreRow(**(about | changes))


def section_texts(text):
    """Return the text of each section by its name."""
    return {name: section.text for name, section in Readme.parse(text).sections.items()}


def headings(text):
    tokens = MARKDOWN.parse(front_matter.split(text)[1])
    return [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]


def metadata(text):
    return ModelCard(text).data.to_dict()


PLAIN = build_card(model())
SCORED = build_card(model(), [row(), row("kid[digits-cnn]", 0.5, std=0.25)], curve="training.png")


# What it says


def test_a_card_has_what_the_hub_and_a_reader_need():
    assert metadata(PLAIN) == {
        "library_name": "ganzoo",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["ganzoo", "gan", "dcgan", "wgan-gp"],
    }
    assert headings(SCORED) == [
        "dcgan trained with wgan-gp on digits",
        "How to use it",
        "Architecture",
        "Loss",
        "Data",
        "Recipe",
        "Cost",
        "Training curve",
        "Scores",
        "Memorisation",
        "Intended use and limits",
        "Licence",
        "Citation",
        "Files and versions",
    ]
    assert "](samples.png)" in section_texts(SCORED)["about"]
    assert "](training.png)" in section_texts(SCORED)["curve"]
    assert headings(PLAIN) == [
        title for title in headings(SCORED) if title not in ("Training curve", "Scores")
    ]


def test_the_three_lines_are_what_loads_it_and_work(tiny_run):
    config = ModelConfig.model_validate_json((tiny_run.model / "config.json").read_text())
    text = build_card(config, reference=str(tiny_run.model))
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    names = {}
    exec(found, names)
    assert names["images"].shape == (16, 1, 16, 16)
    assert "floats (16, 1, 16, 16) in [-1, 1]" in found


def test_a_finished_run_has_its_card(tiny_run):
    text = (tiny_run.model / "README.md").read_text()
    assert ModelCard.load(tiny_run.model / "README.md").data.library_name == "ganzoo"
    assert "trained for 4 generator updates with batches of 8 and seed 0" in text
    assert merge_card(text, text) == (text, [])


def test_the_same_model_has_the_same_card_to_the_byte():
    code = "import test_card; print(test_card.SCORED)"
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == SCORED + "\n"


def test_citations_are_the_papers_of_the_parts_with_links():
    judged = row(features={"name": "stacked-mnist-cnn", "sha256": "be80" * 16})
    found = section_texts(build_card(model(**{"train.augment": "cutout"}), [judged]))["citation"]
    for said in (
        "Radford et al. 2016, [arXiv:1511.06434](https://arxiv.org/abs/1511.06434): architecture",
        "[arXiv:1704.00028](https://arxiv.org/abs/1704.00028): loss `wgan-gp`",
        "[doi:10.24432/C50P49](https://doi.org/10.24432/C50P49): dataset `digits`",
        "[arXiv:2006.10738](https://arxiv.org/abs/2006.10738): augmentation `cutout`",
        "[arXiv:1706.08500](https://arxiv.org/abs/1706.08500): metric `fid`",
        "[arXiv:1611.02163](https://arxiv.org/abs/1611.02163): feature extractor `stacked-",
    ):
        assert said in found
    assert found.count("\n- ") == 6


def test_ganzoo_itself_is_cited_by_its_version():
    found = section_texts(build_card(foreign(model(), "loss")))["citation"]
    entry = re.search(r"```bibtex\n(@software{ganzoo,\n.*\n}\n)```", found, re.DOTALL)[1]
    assert "  author = {{The ganzoo authors}},\n" in entry
    assert f"  version = {{{ganzoo.__version__}}},\n" in entry
    assert entry.count("{") == entry.count("}")


def test_the_samples_of_the_picture_are_known_by_their_hash():
    known = SampleRecord(seed=3, count=64, sha256="ab" * 32)
    said = f"have the SHA-256 `{known.sha256}` where they were drawn, on a CPU."
    found = section_texts(build_card(model(), samples=known))["use"]
    assert (
        f"The 64 samples of seed 3 that the picture shows, as bytes from 0 to 255, {said}" in found
    )
    ring = model("mlp", "non-saturating", "ring", spec=DataSpec(shape=(2,)))
    assert f"as 32-bit floats, {said}" in build_card(ring, samples=known)
    assert "SHA-256" not in section_texts(PLAIN)["use"]


def test_vectors_and_translators_are_called_what_they_are():
    ring = build_card(
        model("mlp", "non-saturating", "ring", spec=DataSpec(shape=(2,))), [row(step=200)]
    )
    assert ModelCard(ring).data.pipeline_tag is None
    assert ModelCard(ring).data.eval_results[0].task_type == "other"
    assert "points = model.sample(16, seed=0)  # floats (16, 2)\n" in ring
    photos = DataSpec(shape=(3, 64, 64), classes=2, class_names=("horse", "zebra"))
    cycle = build_card(model("cyclegan", "lsgan", "digits", spec=photos))
    assert ModelCard(cycle).data.pipeline_tag == "image-to-image"
    assert "translate(photos, label=0)" in cycle
    assert "0 to 1: `horse`, `zebra`." in cycle


def test_a_conditional_model_says_how_to_ask_for_a_class():
    text = build_card(model(**{"arch.conditional": True}))
    assert "`label=` chooses the class, 0 to 9." in text
    assert "class-conditional" in ModelCard(text).data.tags
    assert "label=" not in PLAIN


def from_model(config, name, revision=None):
    about = {"step": 700, "generator_sha256": "a" * 64, "discriminator_sha256": "b" * 64}
    init = InitialModel(name=name, revision=revision, **about)
    return config.model_copy(update={"init": init})


def test_what_it_started_from_is_said():
    text = build_card(from_model(model(), "ada/faces", "c0ffee" * 6 + "abcd"))
    assert ModelCard(text).data.base_model == "ada/faces"
    about = section_texts(text)["about"]
    assert "the weights of `ada/faces` (commit `c0ffeec0ffee`) after 700 generator updates" in about
    assert "fine-tuned" not in PLAIN


def test_what_it_started_from_on_the_same_machine_has_no_name_on_the_hub():
    text = build_card(from_model(model(), "my-run"))
    assert "the weights of `my-run` after 700 generator" in section_texts(text)["about"]
    assert ModelCard(text).data.base_model is None


def test_a_licence_is_given_and_never_made_up():
    assert ModelCard(PLAIN).data.license is None
    assert "has not said under which licence" in section_texts(PLAIN)["licence"]
    text = build_card(model(), license="cc-by-4.0")
    assert ModelCard(text).data.license == "cc-by-4.0"
    assert "under the licence `cc-by-4.0`" in section_texts(text)["licence"]


# The recipe


@pytest.mark.parametrize(
    ("names", "changes"),
    [
        (("dcgan", "wgan-gp", "digits"), {}),
        (("dcgan", None, None), {"train.seed": 7, "train.batch_size": 8}),
        (
            ("dcgan", "wgan-gp", "digits"),
            {
                "arch.base_channels": 4,
                "loss.gp_weight": 5,
                "data.image_size": "16x32",
                "train.betas": "0.1,0.2",
                "train.augment": "cutout,color",
                "augment.cutout.size": 0.25,
                "train.eval_metric": "kid",
            },
        ),
        (("mlp", "non-saturating", "ring"), {"arch.hidden": "7"}),
        (("r3gan", None, "digits"), {"train.lr_decay": "cosine"}),
    ],
)
def test_the_command_trains_the_same_again(ganzoo_cli, names, changes):
    config = model(*names, **changes)
    found = re.search(r"```console\n(ganzoo train .*?)\n```", build_card(config), re.DOTALL)[1]
    _, *words = shlex.split(found.replace("\\\n", " "))
    again = json.loads(ganzoo_cli(*words, "--dry-run").out)
    wanted = config.model_dump(mode="json", exclude={"spec", "step", "data_fingerprint"})
    again.pop("data_fingerprint")
    assert again == wanted


def test_only_what_differs_from_the_defaults_is_in_the_command():
    assert "ganzoo train dcgan --loss wgan-gp --data digits --steps 200 --seed 0\n```" in PLAIN


def test_a_snapshot_says_of_which_step_it_is():
    assert "the state after 50 of 200 generator updates" in build_card(model(step=50))
    assert "the state after" not in PLAIN


def test_every_option_of_the_training_is_there():
    found = section_texts(PLAIN)["recipe"]
    for name in model().train.model_dump():
        assert f"| `{name}` |" in found


@pytest.mark.parametrize(
    "path",
    [
        "/home/lovelace/private/photos",
        "C:\\Users\\lovelace\\private\\photos",
        "~lovelace/private/photos",
    ],
)
def test_paths_are_no_more_than_their_last_names(path):
    config = model()
    data = ComponentChoice(
        name="folder", package="ganzoo", version="0.1.0", options={"path": path, "flip": True}
    )
    text = build_card(config.model_copy(update={"data": data}), [row(options={"of": [path]})])
    assert "photos" in text
    assert "private" not in text
    assert "lovelace" not in text


QUICK = """
title: Something quick
architecture: dcgan
loss: wgan-gp
{data}
settings: {{train.steps: 200, arch.base_channels: 8}}
"""


@pytest.fixture
def quick(plugin):
    """Install a package with a recipe called quick."""

    def install(data="data: digits", package="acme"):
        site = plugin(package, "", {"ganzoo.recipes": {"quick": f"{package}_files"}})
        folder = site / f"{package}_files"
        folder.mkdir()
        (folder / "quick.yaml").write_text(QUICK.format(data=data))

    return install


def test_the_recipe_is_named_if_the_configuration_is_that_of_an_installed_one(quick):
    named = "`ganzoo train --recipe quick --seed 7` trains it again"
    ours = model(**{"arch.base_channels": 8, "train.seed": 7, "train.device": "cpu"})
    assert "--recipe" not in build_card(ours)
    quick()
    text = build_card(ours)
    assert "This is the recipe `quick`" in text
    assert named in text
    assert "\nganzoo train dcgan --loss wgan-gp" in text, "and the whole command stays"
    for changes in ({}, {"arch.base_channels": 8, "train.batch_size": 8}):
        assert "This is the recipe" not in build_card(model(**changes))
    assert "This is the recipe" not in build_card(from_model(ours, "ada/faces"))
    quick(package="other")
    assert "This is the recipe `acme:quick`" in build_card(ours), "which both claim"


def test_a_recipe_without_data_is_named_whatever_the_data(quick):
    quick(data="")
    assert "the recipe `quick`" in build_card(model(**{"arch.base_channels": 8}))
    ring = model("mlp", "non-saturating", "ring", spec=DataSpec(shape=(2,)))
    assert "the recipe `quick`" not in build_card(ring)


def test_a_damaged_recipe_is_none_of_a_card(quick):
    quick(data="data: [")
    assert build_card(model()) == PLAIN


# What it took, and what it repeats


def test_the_cost_is_said_as_far_as_it_is_known():
    found = section_texts(PLAIN)["cost"]
    assert "200 generator updates with batches of 32: the discriminator saw 6,400 real" in found
    assert "How long this took is not recorded." in found
    for facts, said in (
        (TrainingFacts(57), "This took 57 seconds, without scoring."),
        (TrainingFacts(1, 120), "This took 1 second, and 2 minutes of processors, without"),
        (TrainingFacts(9000.0, 3.6e6), "This took 2.5 hours, and 1,000.0 hours of processors,"),
        (TrainingFacts(machines=("A", "B|")), "recorded. It ran on `A`, then on <code>B&#124;</"),
    ):
        assert said in section_texts(build_card(model(), facts=facts))["cost"]
    started = section_texts(build_card(from_model(model(), "my-run")))["cost"]
    assert "The training of the model that it started from is not counted." in started


def test_memorisation_has_a_section_of_its_own():
    unknown = section_texts(PLAIN)["memorisation"]
    assert "Whether this one does was not measured." in unknown
    judged = [
        row(),
        row("nearest-distance[digits-cnn]", 0.98, std=0.01, higher_is_better=True),
        row("authenticity[digits-cnn]", 0.4, higher_is_better=True),
    ]
    text = build_card(model(), judged, facts=TrainingFacts(memorised=0.05))
    found = section_texts(text)["memorisation"]
    assert "was not measured" not in found
    assert "In the picture of this step, 5% of the samples lie much closer to one" in found
    assert "- `nearest-distance[digits-cnn]`: 0.9800 ± 0.0100; copies score low\n" in found
    assert "- `authenticity[digits-cnn]`: 0.4000; copies score low\n" in found
    assert "fid" not in found
    papers = section_texts(text)["citation"]
    assert "abs/2102.08921): metric `nearest-distance`, metric `authenticity`" in papers


def test_points_are_said_to_repeat_data_only_if_that_was_measured():
    ring = model("mlp", "non-saturating", "ring", spec=DataSpec(shape=(2,)))
    assert "memorisation" not in section_texts(build_card(ring))
    judged = [row("authenticity", 0.4, higher_is_better=True)]
    assert "`authenticity`: 0.4" in section_texts(build_card(ring, judged))["memorisation"]


def test_a_run_says_what_its_training_took(tmp_path):
    run = Run(tmp_path)
    assert read_training_facts(run, 200) == TrainingFacts()
    timed = {"images_seen": 1, "seconds": 60.0, "processor_seconds": 90.0}
    log_scores(
        run.score_log, [row(step=100, **timed), row(**(timed | {"seconds": 120.0})), row("is")]
    )
    lines = [
        {"step": 100, "samples/memorised": 0.5},
        {"step": 200, "samples/memorised": 0.25},
        {"step": 200, "samples/memorised": "none"},
        {"step": 200, "generator/total": 1.0},
    ]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    machines = [
        Machine("cpu", "Pentium", "Pentium", 2, 1, "Linux"),
        Machine("cpu", "Pentium", "Pentium", 2, 1, "Linux"),
        Machine("cuda:0", "H200", "Pentium", 2, 1, "Linux"),
    ]
    for step, machine in zip((0, 50, 150), machines, strict=True):
        log_machine(run.path / "machines.jsonl", machine, step, processes=1 + step // 150)
    slow, fast = "Pentium, 1 thread", "H200, 2 processes"
    assert read_training_facts(run, 100) == TrainingFacts(60.0, 90.0, (slow,), 0.5)
    assert read_training_facts(run, 200) == TrainingFacts(120.0, 90.0, (slow, fast), 0.25)
    assert read_training_facts(run, 300) == TrainingFacts(machines=(slow, fast))


# Data


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits", "The licence of these data is `cc-by-4.0`: see <https://archive.ics.uci.edu/"),
        ("fashion-mnist", "is `mit`: see <https://github.com/zalandoresearch/fashion-mnist>."),
        ("cifar10", "The authors of these data state no licence: see <https://www.cs.toronto.edu"),
        ("celeba", "These data have terms of their authors' own: see <https://mmlab.ie.cuhk.edu"),
        ("ring", "The licence of these data is `apache-2.0`."),
    ],
)
def test_data_are_given_with_their_licence(name, said):
    config = model(*(("mlp", "hinge") if name == "ring" else ("dcgan", "hinge")), name)
    assert said in section_texts(build_card(config))["data"]


def test_the_licence_of_data_that_nobody_knows_is_not_made_up(tmp_path):
    unknown = "The licence of these data is not known here."
    own = ComponentChoice(name="folder", package="ganzoo", version="0.1.0", options={"path": "x"})
    for config in (foreign(model(), "data"), model().model_copy(update={"data": own})):
        assert unknown in section_texts(build_card(config))["data"]
        assert "datasets" not in metadata(build_card(config))


def test_what_a_dataset_declares_that_is_no_text_stands_in_no_card(plugin):
    code = (
        "from ganzoo_zoo.data.points.mixtures import Ring\n"
        "class Odd(Ring):\n    licence = 7\n    homepage = 'about:<b>'\n    hub_id = property(id)\n"
    )
    plugin("odd", code, {"ganzoo.datasets": {"odd": "odd:Odd"}})
    text = build_card(model("mlp", "hinge", "odd", spec=DataSpec(shape=(2,))))
    said = "is not known here: see about&#58;&#60;b&#62;."
    assert said in section_texts(text)["data"]
    assert "datasets" not in metadata(text)


# Packages


def foreign(config, part, package="zoo-of-ada", version="2.0"):
    update = {"package": package, "version": version}
    return config.model_copy(update={part: getattr(config, part).model_copy(update=update)})


def test_a_plugins_model_says_which_package_to_install():
    text = build_card(foreign(model(), "architecture"), [row()])
    assert "pip install 'ganzoo>=0.1' zoo-of-ada\n" in text
    assert "the package `zoo-of-ada`; the model was made with version `2.0`" in text
    assert "pip install 'ganzoo>=0.1'\n" in PLAIN
    assert metadata(text)["tags"] == metadata(PLAIN)["tags"], "and needs it for none of this"
    assert "```console\nganzoo train" not in text, "what its defaults are is not known here"


def test_a_package_that_only_training_needs_is_not_installed_to_load():
    text = build_card(foreign(model(), "data"))
    assert "pip install 'ganzoo>=0.1'\n" in text
    assert "To train it again you need the package `zoo-of-ada`" in text


@pytest.mark.parametrize("name", ["--index-url=http://x", "a; rm -rf ~", "a\nb", "", "git+https:x"])
def test_what_is_no_name_of_a_package_stands_in_no_command(name):
    assert "pip install 'ganzoo>=0.1'\n" in build_card(foreign(model(), "loss", name))


def test_an_installed_plugin_describes_itself(plugin):
    plugin(
        "zoo-of-ada",
        "from pydantic import Field\nfrom ganzoo_zoo.losses.wgan_gp import WGANGP\n"
        "class Mine(WGANGP):\n    '''A loss | of <Ada>.'''\n"
        "    paper = 'Ada 1843, arXiv:1234.56789'\n"
        "    weight: int = Field(default=1, description='How much | of it.')\n",
        {"ganzoo.losses": {"mine": "zoo_of_ada:Mine"}},
    )
    config = ModelConfig.of(resolve("dcgan", "mine", "digits", {"loss.weight": 2}), IMAGES, 1000)
    text = build_card(config)
    assert "A loss \\| of &lt;Ada>." in section_texts(text)["loss"]
    assert "| `weight` | `2` | How much \\| of it. |" in text
    assert "--loss mine --data digits --steps 1000 --seed 0 --set loss.weight=2" in text
    assert "Ada 1843, [arXiv:1234.56789](https://arxiv.org/abs/1234.56789): loss `mine`" in text


# Scores


def test_the_model_index_is_read_back_by_the_client_with_the_same_values(tmp_path):
    rows = [
        row(),
        row("kid[digits-cnn]", 1e-5, std=0.25, repeats=3, options={"subsets": 100, "of": ["a"]}),
        row("is", 3, higher_is_better=True, image_size=None, features=None),
        row(data={"name": "digits", "split": "all", "fingerprint": "cd34" * 16}),
        row(data={"name": "other", "split": "test", "fingerprint": "1" * 64}),
    ]
    path = tmp_path / "README.md"
    path.write_text(build_card(model(), rows), encoding="utf-8")
    data = ModelCard.load(path).data
    assert data.model_name == "dcgan trained with wgan-gp on digits"
    expected = []
    for each in rows:
        args = each.model_dump(mode="json")
        for name in ("metric", "value", "higher_is_better", "data", "note"):
            args.pop(name)
        better = "higher" if each.higher_is_better else "lower"
        expected.append(
            EvalResult(
                task_type="unconditional-image-generation",
                dataset_type=each.data["name"],
                dataset_name=each.data["name"],
                dataset_split=each.data["split"],
                dataset_revision=each.data["fingerprint"],
                dataset_args={"fingerprint": each.data["fingerprint"]},
                metric_type=each.metric,
                metric_name=f"{each.metric}, {better} is better",
                metric_value=each.value,
                metric_args={name: value for name, value in args.items() if value is not None},
            )
        )
    assert data.eval_results == expected
    assert all(result.verified is None for result in data.eval_results)


def test_scores_say_their_whole_protocol():
    rows = [
        row(note="few | samples"),
        row("kid[digits-cnn]", 0.5, std=0.25, repeats=1, options={"subsets": 100}),
        row("is", 4, std=0.5, repeats=5, higher_is_better=True, features=None),
    ]
    found = section_texts(build_card(model(), rows))["scores"]
    for said in (
        "| `fid[digits-cnn]` | 12.2500 | lower |  |",
        "| `kid[digits-cnn]` | 0.5000 ± 0.2500 | lower | `subsets=100` |",
        "| `is` | 4.0000 ± 0.5000 | higher |  |",
        "1,000 generated samples with seed 3 against 1,797 real samples of `digits` (split `all`, "
        "fingerprint `ab12ab12ab12`), at 32 x 32 pixels, through the network `digits-cnn`, whose "
        "weights have the SHA-256 `be80be80be80`. Measured at step 200 with python 3.12.0, ganzoo "
        "0.1.0, torch 2.9.0. The number after ± is the deviation that the metric itself gives",
        "1,000 generated samples with each of the seeds 3 to 7 against",
        "the standard deviation over the 5 sets of generated samples",
        "- `fid[digits-cnn]`: few &#124; samples",
    ):
        assert said in found
    assert found.count("| metric |") == 2, "what was found alike stands together"


def test_scores_of_other_steps_and_of_reals_are_none_of_this_model():
    assert build_card(model(), [row(step=100), row(step=None)]) == PLAIN


def test_real_samples_stand_beside_a_model_that_was_judged_on_the_same_data():
    reals = {"step": None, "real_samples": 898, "fake_samples": 899}
    others = {"name": "mnist", "split": "all", "fingerprint": "cd34" * 16}
    found = build_card(
        model(),
        [
            row(),
            row(value=12.0, **reals),
            row("is", 9.5, **reals),
            row(value=3.0, data=others, **reals),
        ],
    )
    text = found.partition("## Scores")[2]
    assert "in place of generated ones:" in text
    assert "899 other real samples against 898 real samples of `digits`" in text
    assert "| `fid[digits-cnn]` | 12.0000 |" in text
    assert "9.5" not in text, "nobody judged the model by that metric"
    assert "mnist" not in text
    assert metadata(found)["model-index"] == metadata(build_card(model(), [row()]))["model-index"]


# Hostile names


def hostile():
    """Return what no file can say: that a configuration refuses such names is another wall."""
    config = model()
    part = ComponentChoice.model_construct(
        name=HOSTILE, package=HOSTILE, version=HOSTILE, options={HOSTILE: HOSTILE}
    )
    return config.model_copy(
        update={
            "architecture": part,
            "loss": part,
            "data": part,
            "augmentations": (part,),
            "data_fingerprint": HOSTILE,
            "versions": {HOSTILE: HOSTILE},
            "spec": DataSpec(shape=(1, 32, 32), classes=1, class_names=(HOSTILE,)),
            "train": config.train.model_copy(update={"device": HOSTILE, "eval_metric": (HOSTILE,)}),
        }
    )


def test_hostile_names_break_neither_metadata_nor_structure():
    texts = {HOSTILE: HOSTILE}
    judged = row(HOSTILE, options=texts, features=texts, note=HOSTILE, versions=texts)
    judged = judged.model_copy(update={"data": {"name": HOSTILE, "split": HOSTILE}})
    config = from_model(hostile(), HOSTILE, HOSTILE)
    text = build_card(config, [judged], reference=HOSTILE, curve=HOSTILE, license=HOSTILE)
    data = metadata(text)
    assert data["license"] == HOSTILE, "as it was given"
    assert set(data) <= {*metadata(SCORED), "license", "base_model"}
    plain = build_card(model(**{"train.augment": "color"}), [row(note="x")], curve="a")
    assert list(section_texts(text)) == list(section_texts(plain))
    assert merge_card(text, text) == (text, [])
    tokens = MARKDOWN.parse(front_matter.split(text)[1])
    comments = [token.content for token in tokens if token.type == "html_block"]
    assert len(comments) == 2 * len(section_texts(text)) + 1
    assert all(comment.count("<!--") == comment.count("-->") == 1 for comment in comments)
    inline = [child for token in tokens for child in token.children or ()]
    html = {child.content for child in inline if child.type == "html_inline"}
    assert html == {"<code>", "</code>"}
    assert not [child for child in inline if child.type in ("link_open", "strong_open", "em_open")]
    assert len([child for child in inline if child.type == "image"]) == 2
    assert [token for token in tokens if token.type == "hr"] == []
    wanted = MARKDOWN.parse(front_matter.split(plain)[1])
    for kind in ("heading_open", "table_open"):
        there = len([token for token in tokens if token.type == kind])
        assert there == len([token for token in wanted if token.type == kind])
    rows = MARKDOWN.render(front_matter.split(text)[1]).split("<tr>")[1:]
    assert {len(re.findall("<t[dh]>", found)) for found in rows} == {2, 3, 4}


@SETTINGS
@given(st.text(max_size=40))
def test_any_name_is_shown_as_it_is_in_one_cell(name):
    for shown in (code(name), prose(name)):
        tokens = MARKDOWN.parse(f"| a | b |\n| --- | --- |\n| {shown} | end |")
        cells = [token for token in tokens if token.type == "inline"][2:]
        assert len(cells) == 2
        text = "".join(child.content for child in cells[0].children if child.type != "html_inline")
        assert text.strip() == escape_text(name).strip()


# What a person wrote


@pytest.fixture
def edited():
    """Change a block of a card as a person would."""

    def change(text, name, old, new):
        block = section_texts(text)[name]
        assert old in block
        return text.replace(block, block.replace(old, new))

    return change


def test_a_card_that_nobody_touched_is_written_anew():
    cards = [
        PLAIN,
        SCORED,
        build_card(model(step=100), reference="ada/digits"),
        build_card(from_model(model("mlp", "hinge", "digits"), "ada/other", "c" * 40), [row()]),
        build_card(model(), [row(), row("is", 5)], license="mit"),
    ]
    for new in cards:
        for old in cards[:-1]:
            assert merge_card(new, old) == (new, [])


@pytest.mark.parametrize("path", sorted(EARLIER.glob("*/*/README.md")), ids=lambda p: p.parent.name)
def test_a_card_by_the_earlier_code_is_written_again_around_what_was_edited(path, edited):
    text = path.read_text(encoding="utf-8")
    config = ModelConfig.model_validate_json((path.parent / "config.json").read_text("utf-8"))
    rows = read_scores(path.parent)
    new = build_card(config, rows)
    assert merge_card(new, text) == (new, [])
    old = edited(text, "limits", "teaching", "cooking").replace("tags:\n", "tags:\n- mine\n")
    old = old.replace(section_texts(text)["loss"], "") + "\nMy own words.\n"
    made, kept = merge_card(new, old)
    assert kept == ["limits"]
    assert section_texts(made)["limits"] == section_texts(old)["limits"]
    assert "loss" not in section_texts(made)
    assert metadata(made)["tags"] == ["mine", *metadata(new)["tags"]]
    assert made.endswith("\nMy own words.\n")


def test_text_around_the_blocks_stays_where_it_is():
    old = PLAIN.replace("<!-- ganzoo:loss", "My own words.\n\n<!-- ganzoo:loss")
    old = old.replace("# dcgan trained", "# dcgan trained") + "\n## Thanks\n\nTo all.\n"
    new, kept = merge_card(SCORED, old)
    assert kept == []
    assert re.search(r"/ganzoo:architecture -->\n\nMy own words\.\n\n<!-- ganzoo:loss", new)
    assert new.endswith("<!-- /ganzoo:versions -->\n\n## Thanks\n\nTo all.\n")
    assert section_texts(new) == section_texts(SCORED)


def test_an_edited_block_is_kept_and_named(edited):
    old = edited(SCORED, "limits", "This model is meant for research", "It is art")
    new, kept = merge_card(PLAIN, old)
    assert kept == ["limits"]
    assert section_texts(new)["limits"] == section_texts(old)["limits"]
    assert list(section_texts(new)) == list(section_texts(PLAIN))
    for name in section_texts(PLAIN).keys() - {"limits"}:
        assert section_texts(new)[name] == section_texts(PLAIN)[name]


def test_an_edited_block_that_says_nothing_any_more_is_kept(edited):
    old = edited(SCORED, "curve", "The loss terms", "Here you see the loss terms")
    new, kept = merge_card(PLAIN, old)
    assert kept == ["curve"]
    assert "Here you see" in new
    assert "scores" not in section_texts(new)


def test_other_ends_of_lines_are_no_edit():
    assert merge_card(SCORED, "\ufeff" + PLAIN.replace("\n", "\r\n")) == (SCORED, [])


def test_a_block_that_was_taken_away_stays_away():
    old = PLAIN.replace(section_texts(PLAIN)["limits"], "")
    new, kept = merge_card(SCORED, old)
    assert kept == []
    assert list(section_texts(new)) == [name for name in section_texts(SCORED) if name != "limits"]
    assert "limits" not in section_texts(merge_card(PLAIN, merge_card(SCORED, new)[0])[0]), (
        "for good"
    )


def test_scores_that_were_taken_away_stay_away_while_there_are_none():
    without = SCORED.replace(section_texts(SCORED)["scores"], "")
    between = merge_card(PLAIN, without)[0]
    assert "scores" not in section_texts(merge_card(SCORED, between)[0])


def test_a_block_that_is_new_appears_in_its_place():
    new = merge_card(SCORED, PLAIN)[0]
    assert list(section_texts(new)) == list(section_texts(SCORED))


def test_the_old_order_wins():
    loss = section_texts(PLAIN)["loss"]
    old = PLAIN.replace(loss + "\n", "") + "\n" + loss
    new = merge_card(SCORED, old)[0]
    assert list(section_texts(new))[-1] == "loss"
    assert sorted(section_texts(new)) == sorted(section_texts(SCORED))


@pytest.mark.parametrize(
    "old",
    [
        "# My model\n\nAll of this is mine.\n",
        "---\nlanguage: no\nlicense: mit # mine\n---\n\n# My model\n\nAll of this is mine.",
        "---\n---\n# My model\n\nAll of this is mine.\n",
        "---\n# only a comment\n---\n# My model\n\nAll of this is mine.\n",
        "---\nnot closed\n\n# My model\n\nAll of this is mine.\n",
    ],
)
def test_a_card_of_a_persons_own_stands_before_the_blocks(old):
    new, kept = merge_card(SCORED, old)
    assert kept == []
    assert new.index("All of this is mine.") < new.index("<!-- ganzoo:about")
    for name, text in section_texts(SCORED).items():
        assert name == "licence" or section_texts(new)[name] == text
    data = metadata(new)
    assert data["library_name"] == "ganzoo"
    if "license" in old:
        assert "language: no\nlicense: mit # mine\n" in new
        assert "under the licence `mit`" in section_texts(new)["licence"]
    assert merge_card(SCORED, new) == (new, [])


def test_a_card_that_the_hub_made_gives_its_metadata():
    new = merge_card(PLAIN, "---\nlicense: apache-2.0\n---\n")[0]
    assert metadata(new) == {**metadata(PLAIN), "license": "apache-2.0"}


@pytest.mark.parametrize("break_it", ["<!-- /ganzoo:loss -->", "<!-- ganzoo:loss sha256="])
def test_a_block_without_an_end_or_a_beginning_loses_nothing(break_it):
    old = PLAIN.replace(break_it, "", 1)
    new = merge_card(SCORED, old)[0]
    assert "Wasserstein GAN with gradient penalty." in new
    assert merge_card(SCORED, new)[0] == new


def test_a_copied_block_is_written_again_too():
    scores = section_texts(SCORED)["scores"]
    old = SCORED.replace("<!-- ganzoo:use", scores + "\n<!-- ganzoo:use")
    later = build_card(model(), [row(value=7)])
    new, kept = merge_card(later, old)
    assert kept == []
    assert new.count(section_texts(later)["scores"]) == 2
    assert scores not in new


@pytest.mark.parametrize("record", ["", "<!-- ganzoo {} -->\n", '<!-- ganzoo {"blocks": 1} -->\n'])
def test_a_record_that_was_changed_does_no_harm(record):
    old = re.sub(r"<!-- ganzoo \{.*\n", lambda _: record, PLAIN)
    new = merge_card(SCORED, old)[0]
    assert list(section_texts(new)) == list(section_texts(SCORED))


# Metadata


MNIST = build_card(model("dcgan", "wgan-gp", "mnist"), [row(), row(seed=4), row("is", 5)])


def test_metadata_name_the_data_and_the_metrics_as_the_hub_does():
    assert metadata(MNIST)["datasets"] == ["ylecun/mnist"]
    assert metadata(MNIST)["metrics"] == ["fid[digits-cnn]", "is"]
    assert "thumbnail" not in metadata(MNIST)
    address = "https://huggingface.co/ada/digits/resolve/main/samples.png"
    assert metadata(build_card(model(), thumbnail=address))["thumbnail"] == address


def test_data_and_metrics_that_a_person_added_or_removed_stay_so():
    other = build_card(model("dcgan", "wgan-gp", "cifar10"), [row("kid", 1), row("is", 5)])
    for own, wanted in (
        (["ylecun/mnist", "ada/digits"], ["ada/digits", "uoft-cs/cifar10"]),
        (["ada/digits"], ["ada/digits", "uoft-cs/cifar10"]),
    ):
        old = with_metadata(MNIST, datasets=own, metrics=["is", "beauty"])
        new = metadata(merge_card(other, old)[0])
        assert (new["datasets"], new["metrics"]) == (wanted, ["is", "beauty", "kid"])
    removed = with_metadata(MNIST, datasets=[])
    assert "datasets" not in metadata(merge_card(MNIST, removed)[0])


def test_data_in_a_persons_own_form_stay_so():
    old = with_metadata(PLAIN, datasets="ada/faces", metrics=None)
    new = merge_card(PLAIN, old)[0]
    assert "datasets: ada/faces\n" in new


def test_a_thumbnail_of_a_persons_own_stays():
    first, second = (build_card(model(), thumbnail=f"https://hub/{name}.png") for name in "ab")
    assert metadata(merge_card(second, first)[0])["thumbnail"] == "https://hub/b.png"
    own = with_metadata(first, thumbnail="mine.png")
    assert metadata(merge_card(second, own)[0])["thumbnail"] == "mine.png"
    assert "thumbnail" not in metadata(merge_card(PLAIN, first)[0])


def with_metadata(text, **changes):
    yaml, body = front_matter.split(text)
    data = front_matter.read(yaml) | changes
    return f"---\n{front_matter.to_yaml(data)}---\n{body}"


def test_metadata_of_a_persons_own_survive():
    own = {
        "license": "mit",
        "language": ["en"],
        "thumbnail": "x.png",
        "datasets": ["ada/faces"],
        "widget": [{"text": "a\n---\nb"}],
        "pipeline_tag": "text-to-image",
        "tags": ["art", "ganzoo", "gan", "dcgan", "wgan-gp", "ada"],
    }
    new = merge_card(build_card(model("mlp", "wgan-gp", "digits")), with_metadata(PLAIN, **own))[0]
    assert metadata(new) == {
        **metadata(PLAIN),
        **own,
        "tags": ["art", "ganzoo", "gan", "wgan-gp", "ada", "mlp"],
    }


def test_a_tag_that_was_taken_away_stays_away_and_one_that_is_wrong_goes():
    old = with_metadata(PLAIN, tags=["gan", "dcgan", "wgan-gp"])
    new = merge_card(build_card(model("mlp", "wgan-gp", "digits")), old)[0]
    assert metadata(new)["tags"] == ["gan", "wgan-gp", "mlp"]


def test_comments_and_ways_of_writing_survive():
    old = PLAIN.replace("library_name", "# what I know\nlanguage: no  # Norwegian\nlibrary_name")
    new = merge_card(SCORED, old)[0]
    assert "---\n# what I know\nlanguage: no  # Norwegian\nlibrary_name: ganzoo\n" in new
    assert len(ModelCard(new).data.eval_results) == 2


def test_a_licence_gives_way_to_one_that_is_given_now_alone():
    old = with_metadata(PLAIN, license="mit")
    kept = merge_card(PLAIN, old)[0]
    assert metadata(kept)["license"] == "mit"
    assert "under the licence `mit`" in section_texts(kept)["licence"], "and the text agrees"
    given = merge_card(build_card(model(), license="cc0-1.0"), old)[0]
    assert metadata(given)["license"] == "cc0-1.0"
    assert "`cc0-1.0`" in section_texts(given)["licence"]


def test_results_of_a_persons_own_survive_and_ganzoos_are_written_again():
    mine = {
        "task": {"type": "unconditional-image-generation"},
        "dataset": {"name": "My eyes", "type": "eyes"},
        "metrics": [{"type": "beauty", "value": 9}],
    }
    sourced = {**mine, "source": {"url": "https://example.org"}}
    index = metadata(SCORED)["model-index"]
    index[0]["results"][0]["metrics"].append({"type": "fid", "value": 1.5})
    index[0]["results"] += [mine, sourced]
    index.append({"name": "another", "results": [mine]})
    index = json.loads(json.dumps(index))  # YAML would say of an object that it is there already
    old = with_metadata(SCORED, **{"model-index": index})
    new = merge_card(build_card(model(), [row(value=7)]), old)[0]
    name, others = front_matter.read(front_matter.split(new)[0])["model-index"]
    values = [[m["value"] for m in result["metrics"]] for result in name["results"]]
    assert values == [[7], [1.5], [9], [9]]
    assert name["results"][2:] == [mine, sourced]
    assert others == {"name": "another", "results": [mine]}
    gone = merge_card(PLAIN, new)[0]
    results = front_matter.read(front_matter.split(gone)[0])["model-index"][0]["results"]
    assert [[m["value"] for m in result["metrics"]] for result in results] == [[1.5], [9], [9]]


@pytest.mark.parametrize(
    "yaml",
    [
        "a: [1\n",
        "a: b: c\n",
        "- a\n",
        "just words\n",
        "1: 2\n",
        "a: &x 1\nb: *x\n",
        "a: !!python/name:os.system\n",
        "a: 2020-99-99\n",
        "\tb: 1\n",
        "a: " + "[" * 500 + "\n",
        "a: 1\n--- !x\nb: 2\n",
    ],
)
def test_metadata_that_cannot_be_read_are_an_error_of_one_line(yaml):
    with pytest.raises(InputError, match=r"model card cannot be read: .*; fix") as caught:
        merge_card(PLAIN, f"---\n{yaml}---\n# x\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("yaml", ["{a: 1, b: [2]}\n", "a: 1\nb: [2]\n...\n", "? a\n: 1\n"])
def test_metadata_in_other_styles_are_read(yaml):
    assert metadata(merge_card(PLAIN, f"---\n{yaml}---\n")[0]).items() >= {"a": 1}.items()


@pytest.mark.parametrize("index", [7, "x", [], [7], [{}], [{"name": "a", "results": 7}], {"a": 1}])
def test_results_in_no_known_form_are_no_obstacle(index):
    new = merge_card(SCORED, with_metadata(PLAIN, **{"model-index": index}))[0]
    assert "fid[digits-cnn]" in new


# Whatever a person does


WORDS = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=30
) | st.sampled_from(["---\n", "<!-- x -->\n", "<!-- ganzoo:loss -->", "## Mine\n\n", "```\n", "\n"])


@st.composite
def touched(draw, text):
    """Draw a card with text between its blocks, and the pieces of text."""
    front, body = front_matter.split(text)
    _, pieces = sections.parse(body)
    record = body[: body.index("\n") + 1]
    added, made = [], record
    for piece in pieces:
        if piece.name is None and draw(st.booleans()):
            mine = "\n" + draw(WORDS) + "\n"
            added.append(mine)
            made += mine
        made += piece.text
    return f"---\n{front}---\n{made}", added


@SETTINGS
@given(st.data())
def test_whatever_stands_between_blocks_survives(data):
    new, old = data.draw(st.permutations([PLAIN, SCORED]))
    text, added = data.draw(touched(old))
    made, kept = merge_card(new, text)
    assert kept == []
    for mine in added:
        assert mine.strip("\n") in made
    assert section_texts(made) == section_texts(new)
    assert merge_card(new, made) == (made, [])


@SETTINGS
@given(st.data())
def test_writing_again_changes_nothing_more_whatever_was_done(data):
    new, old = data.draw(st.permutations([PLAIN, SCORED]))
    start = old.index("<!-- ganzoo {")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(start, len(old)))
        cut = data.draw(st.integers(0, 400))
        old = old[:place] + data.draw(WORDS) + old[place + cut :]
    made, kept = merge_card(new, old)
    assert merge_card(new, made) == (made, kept)
    ModelCard(made)


@SETTINGS
@given(st.text(max_size=60) | st.text(alphabet="-\n: a[]{}#*&!|>'\"", max_size=60))
def test_any_old_card_is_kept_or_refused(old):
    old = old.replace("\r", "")
    try:
        made, _ = merge_card(SCORED, old)
    except InputError:
        return
    assert front_matter.split(old)[1].strip("\n") in made
    assert len(ModelCard(made).data.eval_results) == 2
    assert merge_card(SCORED, made)[0] == made
