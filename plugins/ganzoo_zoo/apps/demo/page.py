"""The page of the demo, built with Gradio."""

from __future__ import annotations

import functools
import importlib.util
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ganzoo.errors import GanzooError, first_line
from ganzoo.media.images import choose_columns
from ganzoo_zoo.apps.demo import html
from ganzoo_zoo.apps.demo.moving import FARTHEST
from ganzoo_zoo.apps.demo.served_files import served_folder, trim_served_files
from ganzoo_zoo.apps.demo.session import (
    CODES,
    DRAWN,
    FAKES,
    MOST_FRAMES,
    MOST_SEEDS,
    MOVIES,
    TRUNCATIONS,
    read_codes,
    split_by_kind,
)

if TYPE_CHECKING:
    from ganzoo.progress import Listener
    from ganzoo.protocols.latent_parts import LatentPart
    from ganzoo_zoo.apps.demo.session import MediaFile, Session

ROWS = 2
"""Default number of rows of images; a walk has one row."""
POINTS = 512
"""Default number of points."""
WALK_FRAMES = 25
SEED_LIMIT = 2**31
"""Upper bound of random seeds."""
EVERY_CLASS = -1
"""The choice of all classes in turn."""
QUEUE_SIZE = 16
"""The most requests that may wait."""
KEEP_SECONDS = 3600
"""Age in seconds from which files are removed; many or large ones are removed earlier."""
UPLOAD = 16 << 20
"""The most bytes of an uploaded image."""
ONE_AT_A_TIME: dict[str, Any] = {
    "concurrency_limit": 1,
    "concurrency_id": "model",
    "api_visibility": "private",
}
"""Settings that let one request compute at a time, across all tabs, to bound the memory."""

PROGRESS = gr.Progress()
"""As the default of an argument, Gradio replaces this by the progress of each request."""

CSS = """
.gradio-container { width: 100% !important; max-width: 72rem !important; }
.gradio-container { margin: 0 auto !important; }
.gradio-container .main { box-sizing: border-box; width: 100%; }
.gradio-container .main { padding: 1rem clamp(.75rem, 3vw, 2rem) !important; }
.dark { --color-accent: var(--primary-400); }
.drawn img { max-height: 36rem; }
.singles img, .nearest img, .source img { image-rendering: pixelated; }
.singles .caption-label { display: none; }
.singles .grid-container {
  grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)) !important;
}
.wrong { border-left: 4px solid; padding-left: .8rem; font-weight: 600; }
.facts table, .nearest { border-collapse: collapse; border: 0 !important; }
.facts tr, .nearest tr { border: 0 !important; background: none !important; }
.facts th, .facts td, .nearest th, .nearest td { border: 0 !important; font-weight: 400; }
.facts th, .facts td { padding: .2rem 0 !important; vertical-align: top; text-align: left; }
.facts th { padding-right: 1.6rem !important; }
.facts td { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.nearest th, .nearest td { padding: .3rem .4rem !important; text-align: center; }
.nearest td:first-child { padding-right: 1.6rem !important; }
.nearest img { width: 4.5rem; margin: 0 auto; }
"""


def settings() -> dict[str, Any]:
    """Return Gradio's settings for serving the page without any outside resources."""
    return {
        "theme": _theme(),
        "css": CSS,
        "footer_links": ["gradio"],
        "run_history": False,
        "show_error": False,
        "max_file_size": UPLOAD,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "allowed_paths": [],
    }


def _theme() -> Any:
    """Return a theme with system fonts and sufficient contrast."""
    system = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
    return gr.themes.Default(
        primary_hue="blue",
        font=system,
        font_mono=("ui-monospace", "Consolas", "monospace"),
    ).set(
        body_text_color_subdued="*neutral_500",
        color_accent="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )


def build_page(studio: Session) -> gr.Blocks:
    """Build the page of a model."""
    model = studio.model
    page = gr.Blocks(
        title=html.title(model),
        analytics_enabled=False,
        delete_cache=(KEEP_SECONDS // 6, KEEP_SECONDS),
    )
    with page:
        gr.HTML(html.heading(model))
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                choices = _Controls(studio)
            with gr.Column(scale=3, min_width=320), gr.Tabs():
                if studio.can_translate:
                    with gr.Tab("Translate"):
                        _add_translate_tab(studio, choices)
                else:
                    with gr.Tab("Samples"):
                        _add_sample_tab(studio, choices, page)
                if studio.can_walk:
                    with gr.Tab("Walk"):
                        _add_walk_tab(studio, choices)
                if studio.spec.is_image:
                    with gr.Tab("Nearest images"):
                        _add_nearest_tab(studio, choices)
        with gr.Accordion("About this model", open=False):
            gr.HTML(html.about(model), elem_classes="facts")
    page.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1)
    return page


class _Controls:
    """The controls that all tabs share."""

    def __init__(self, studio: Session) -> None:
        self.controls: list[Any] = []
        self._first = "source" if studio.can_translate else "seed"
        self._classes, self._truncates = bool(studio.classes), studio.can_truncate
        if studio.can_translate:
            self.source = gr.Image(
                label="Image to translate",
                type="filepath",
                sources=["upload", "clipboard"],
                height=240,
                elem_classes="source",
                alt_text="The image that is translated",
            )
            # Gradio names components by their class, so a subclass would not be an image to it.
            self.source.preprocess = _find_upload  # type: ignore[method-assign, assignment]
            self.controls.append(self.source)
        else:
            self.seed = gr.Number(0, label="Seed", step=1)
            self.random_seed = gr.Button("Random seed")
            self.controls.append(self.seed)
        if self._classes:
            named = [(name, number) for number, name in enumerate(studio.classes)]
            every = [] if studio.can_translate else [("every class in turn", EVERY_CLASS)]
            self.controls.append(
                gr.Dropdown([*every, *named], value=(every or named)[0][1], label="Class")
            )
        if self._truncates:
            low, high = TRUNCATIONS
            self.controls.append(
                gr.Checkbox(
                    label="Truncate", info="Latents near the mean: less variety, higher quality."
                )
            )
            self.controls.append(gr.Slider(low, high, value=0.7, step=0.1, label="Truncation"))
        self._code_parts = studio.code_parts
        self.controls += _code_controls(self._code_parts)

    def read(self, values: list[Any]) -> dict[str, Any]:
        """Return the values of the controls as arguments of :class:`Session`'s methods."""
        first, *rest = values
        label = rest.pop(0) if self._classes else None
        options = {"label": None if label == EVERY_CLASS else label}
        if self._truncates:
            is_on, truncation, *rest = rest
            options["truncation"] = truncation if is_on else None
        if self._code_parts:
            options["codes"] = read_codes(self._code_parts, rest)
        return {self._first: first, **options}


def _code_controls(parts: Sequence[LatentPart]) -> list[Any]:
    """Return controls of named parts of the latents: categories, and numbers once they are set."""
    categories, numbers = split_by_kind(parts)
    controls: list[Any] = [
        gr.Dropdown(
            [("drawn from the seed", DRAWN), *((str(i), i) for i in range(part.size))],
            value=DRAWN,
            label=part.name,
        )
        for part in categories
    ]
    if numbers:
        info = "Otherwise the seed draws them."
        controls.append(gr.Checkbox(label="Set the codes below", info=info))
    low, high = CODES
    controls += [gr.Slider(low, high, value=0.0, step=0.1, label=part.name) for part in numbers]
    return controls


def _add_sample_tab(studio: Session, choices: _Controls, page: gr.Blocks) -> None:
    count = gr.Slider(
        1,
        studio.max_samples,
        value=_default_count(studio, ROWS),
        step=1,
        label="Number of samples",
    )
    ask = gr.Button("Sample", variant="primary")
    sliders, reset = _add_sliders(studio)
    output = _Output("Samples", studio.spec.is_image)

    def sample(count: Any, *values: Any, progress: Any = PROGRESS) -> list[Any]:
        moves, rest = values[: len(sliders)], [*values[len(sliders) :]]
        listener = _progress_listener(progress)
        return output.updates(
            studio.sample(count=count, listener=listener, moves=moves, **choices.read(rest))
        )

    own = [count, *sliders, *choices.controls]
    output.bind(ask.click, sample, own)
    for slider in sliders:
        output.bind(slider.release, sample, own)
    if reset is not None:
        back = reset.click(lambda: [0] * len(sliders), outputs=sliders, api_visibility="private")
        output.bind(back.then, sample, own)
    output.bind(page.load, sample, own)
    reseed = choices.random_seed.click(_draw_seed, outputs=choices.seed, api_visibility="private")
    output.bind(reseed.then, sample, own)


def _add_sliders(studio: Session) -> tuple[list[Any], Any]:
    """Add sliders along directions and a button that sets them to 0; none without directions."""
    if not studio.mover.count:
        return [], None
    with gr.Accordion("Directions", open=False):
        gr.HTML(
            "<p>Move all samples along the directions in which they change most, in standard "
            "deviations of what they are drawn from. At 0 they are as drawn.</p>"
        )
        sliders = [
            gr.Slider(-FARTHEST, FARTHEST, value=0, step=0.5, label=f"Direction {number}")
            for number in range(1, studio.mover.count + 1)
        ]
        return sliders, gr.Button("Back to 0")


def _add_translate_tab(studio: Session, choices: _Controls) -> None:
    ask = gr.Button("Translate", variant="primary")
    output = _Output("Translation", singles=False)

    def translate(*values: Any) -> list[Any]:
        return output.updates(studio.translate(**choices.read([*values])))

    output.bind(ask.click, translate, choices.controls)


def _add_walk_tab(studio: Session, choices: _Controls) -> None:
    seeds = gr.Textbox(
        "0, 1, 2",
        label="Seeds",
        info=f"Two to {MOST_SEEDS}, in the order of the walk.",
        max_length=200,
    )
    with gr.Row():
        frames = gr.Slider(
            1, MOST_FRAMES, value=WALK_FRAMES, step=1, label="Frames from seed to seed"
        )
        count = gr.Slider(
            1,
            studio.max_samples,
            value=_default_count(studio, 1),
            step=1,
            label="Samples side by side",
        )
    with gr.Row():
        loop = gr.Checkbox(True, label="Return to the first seed")
        has_mp4 = importlib.util.find_spec("av") is not None
        formats = [name for name in MOVIES if has_mp4 or name != "mp4"]
        format = gr.Radio(formats, value=formats[0], label="Format")
    ask = gr.Button("Walk", variant="primary")
    output = _Output("Walk", singles=False, moves=True)

    def walk(*values: Any, progress: Any = PROGRESS) -> list[Any]:
        stops, between, side_by_side, returns, suffix = values[:5]
        options = choices.read([*values[5:]])
        del options["seed"]
        listener = _progress_listener(progress)
        return output.updates(
            studio.walk(stops, between, side_by_side, returns, suffix, listener=listener, **options)
        )

    output.bind(ask.click, walk, [seeds, frames, count, loop, format, *choices.controls])


def _add_nearest_tab(studio: Session, choices: _Controls) -> None:
    what = "the translation" if studio.can_translate else f"the first {FAKES} samples"
    gr.HTML(
        f"<p>Shows the training images that are nearest to {what}. The training data are read on "
        "first use.</p>"
    )
    ask = gr.Button("Find the nearest training images", variant="primary")
    found = gr.HTML()

    def nearest(*values: Any, progress: Any = PROGRESS) -> list[str]:
        options = choices.read([*values])
        listener = _progress_listener(progress)
        return [html.comparison(studio.nearest(**{"seed": 0, **options}, listener=listener))]

    ask.click(_catch_errors(nearest, [found], 0), choices.controls, [found], **ONE_AT_A_TIME)


class _Output:
    """The components that show a picture or a movie, with a caption and a download button.

    Args:
        what: Name of the output.
        singles: Whether single images can be downloaded too.
        moves: Whether the output may be a video.
    """

    def __init__(self, what: str, singles: bool, moves: bool = False) -> None:
        self.what, self.singles, self.moves = what, singles, moves
        self.picture = gr.Image(
            label=what,
            show_label=False,
            type="filepath",
            interactive=False,
            buttons=[],
            elem_classes="drawn",
            alt_text="Nothing is drawn yet",
        )
        self.outputs: list[Any] = [self.picture]
        if moves:
            self.film = gr.Video(
                label=what, show_label=False, visible=False, autoplay=True, loop=True, buttons=[]
            )
            self.outputs.append(self.film)
        self.words = gr.HTML(html.caption(""))
        self.download = gr.DownloadButton("Download", visible=False)
        self.outputs += [self.words, self.download]
        if singles:
            with gr.Accordion("Single images", open=False):
                self.gallery = gr.Gallery(
                    label="Single images",
                    show_label=False,
                    columns=8,
                    height="auto",
                    object_fit="contain",
                    interactive=False,
                    buttons=["download"],
                    elem_classes="singles",
                )
            self.outputs.append(self.gallery)

    def bind(self, event: Callable[..., Any], work: Callable[..., Any], inputs: list[Any]) -> None:
        """Show the result of some work, or its error, whenever an event happens."""
        safe = _catch_errors(work, self.outputs, self.outputs.index(self.words))
        event(safe, inputs=inputs, outputs=self.outputs, **ONE_AT_A_TIME)

    def updates(self, drawn: MediaFile) -> list[Any]:
        """Return the updates of the components, in the order of ``outputs``."""
        film = drawn.file.suffix == ".mp4"
        path = str(drawn.file)
        picture = gr.Image(None if film else path, alt_text=drawn.about, visible=not film)
        updates: list[Any] = [picture]
        if self.moves:
            updates.append(gr.Video(path if film else None, visible=film))
        updates += [
            html.caption(drawn.about),
            gr.DownloadButton(f"Download {drawn.file.name}", value=path, visible=True),
        ]
        if self.singles:
            updates.append([(str(file), about) for file, about in drawn.singles])
        return updates


def _find_upload(sent: Any) -> str | None:
    """Return the uploaded file itself. Gradio's own preprocessing hides why a file is no image."""
    folder = served_folder()
    path = Path(sent.path).resolve() if sent else folder
    return str(path) if path.is_relative_to(folder) and path.is_file() else None


def _default_count(studio: Session, rows: int) -> int:
    """Return the default number of samples."""
    images = rows * choose_columns(len(studio.classes) or None)
    return min(studio.max_samples, images if studio.spec.is_bounded else POINTS)


def _draw_seed() -> int:
    return random.randrange(SEED_LIMIT)


def _progress_listener(progress: Any) -> Listener:
    return lambda what, done, total: progress((done, total), desc=what)


def _catch_errors(
    work: Callable[..., Any], outputs: list[Any], words_at: int
) -> Callable[..., Any]:
    """Wrap some work so that errors are shown in the page in one line, and the picture stays."""

    @functools.wraps(work)
    def safe(*values: Any, **named: Any) -> Any:
        try:
            trim_served_files()
            return work(*values, **named)
        except GanzooError as error:
            message = str(error)
        except OSError as error:
            message = error.strerror or type(error).__name__
        except Exception as error:  # of a plugin, or of a device whose memory is not enough
            message = f"{type(error).__name__}: {first_line(error)}"
        updates = [gr.skip() for _ in outputs]
        updates[words_at] = html.alert(message)
        return updates

    return safe
