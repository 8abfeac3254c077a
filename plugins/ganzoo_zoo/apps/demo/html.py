"""The texts of the page as HTML, with everything from files escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

from ganzoo.errors import GanzooError, excerpt
from ganzoo.runs.file_names import ORIGIN_FILE
from ganzoo.storage.paths import strip_folders

if TYPE_CHECKING:
    from ganzoo.config import ComponentChoice
    from ganzoo.models.model import Model
    from ganzoo_zoo.apps.demo.session import Comparison, Tile

MOST_SCORES = 8
LONGEST = 120
"""The most characters of a component's options."""


def heading(model: Model) -> str:
    """Return the title and a line about the model."""
    config, spec = model.config, model.config.spec
    kind = spec.in_words if spec.is_bounded else f"points of {spec.size} numbers"
    about = f"{config.title}, for {config.step:,} generator update{'' if config.step == 1 else 's'}"
    if model.folder is not None and model.folder.has(ORIGIN_FILE):
        about = model.title
    verb = "translates" if model.architecture.takes_images else "makes"
    if model.architecture.takes_sources:
        kind += f" from sources of {spec.source_in_words}"
    return (
        f"<h1>{_text(_name(model))}</h1><p>{_text(about)}. It {verb} {kind}. "
        "All generated samples are synthetic.</p>"
    )


def title(model: Model) -> str:
    """Return the title of the browser window."""
    return f"{excerpt(_name(model))}: a demo by ganzoo"


def about(model: Model) -> str:
    """Return a table of the model's components and scores."""
    rows = "".join(
        f'<tr><th scope="row">{_text(word)}</th><td>{_text(value)}</td></tr>'
        for word, value in _facts(model)
    )
    return f"<table>{rows}</table>"


def caption(text: str) -> str:
    """Return a caption that screen readers announce when it changes."""
    return f'<p role="status">{_text(text)}</p>'


def alert(text: str) -> str:
    """Return an error message that screen readers announce at once."""
    return f'<p role="alert" class="wrong">{_text(text)}</p>'


def comparison(found: Comparison) -> str:
    """Return a table of samples beside their nearest training images."""
    rows = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in found.rows)
    most = max(len(row) for row in found.rows) - 1
    searched = f"all {found.total:,}"
    if found.searched < found.total:
        searched = f"{found.searched:,} of {found.total:,}, evenly chosen"
    return (
        f'<p role="status">The nearest training images by pixel distance (searched: {searched}). '
        "Below each is its distance: the root mean square difference of levels from 0 to 255.</p>"
        '<div class="wide"><table class="nearest"><thead><tr><th scope="col">sample</th>'
        f'<th scope="colgroup" colspan="{most}">nearest training images</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cells(row: Iterable[Tile]) -> Iterator[str]:
    for tile in row:
        data = base64.b64encode(tile.png).decode()
        yield (
            f'<td><img src="data:image/png;base64,{data}" alt="{_text(tile.about)}">'
            f"<div>{_text(tile.caption)}</div></td>"
        )


def _name(model: Model) -> str:
    return model.config.title if model.folder is None else model.folder.short_name


def _facts(model: Model) -> Iterator[tuple[str, str]]:
    config = model.config
    yield "architecture", _component(config.architecture)
    yield "loss", _component(config.loss)
    yield "data", _component(config.data)
    if config.spec.classes:
        yield "classes", f"{config.spec.classes:,}"
    yield "step", f"{config.step:,}, batch size {config.train.batch_size:,}"
    yield "training seed", str(config.train.seed)
    size = sum(each.numel() for each in model.generator.parameters())
    yield "generator parameters", f"{size:,}"
    if model.folder is not None and model.folder.revision is not None:
        yield "commit", model.folder.revision
    yield from _scores(model)


def _component(choice: ComponentChoice) -> str:
    options = strip_folders(choice.options)
    given = ", ".join(f"{name}={excerpt(value, 40)}" for name, value in options.items())
    return f"{choice.name} ({excerpt(given, LONGEST)})" if given else choice.name


def _scores(model: Model) -> Iterator[tuple[str, str]]:
    try:
        rows = [] if model.folder is None else model.folder.scores()
    except (GanzooError, OSError):  # the page works without scores
        return
    own = [row for row in rows if row.step == model.config.step]
    for row in own[:MOST_SCORES]:
        better = "higher" if row.higher_is_better else "lower"
        yield (
            row.metric,
            f"{row.format_value()} ({better} is better; {row.fake_samples:,} fakes against "
            f"{row.real_samples:,} reals of {row.data.get('name', '')})",
        )


def _text(text: str) -> str:
    return escape(excerpt(text, 300))
