"""The page of the report, rendered from one template."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import escape_text
from ganzoo.storage.files import write_text
from ganzoo_zoo.apps.report import charts, text, training
from ganzoo_zoo.apps.report.collect import ReportData, gather_run
from ganzoo_zoo.apps.report.plots import draw_run
from ganzoo_zoo.apps.report.summary import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ganzoo.runs.folder import Run
    from ganzoo_zoo.apps.report.pictures import Picture
    from ganzoo_zoo.apps.report.surface import Surface

HERE = Path(__file__).parent
SHARED = HERE.parent / "shared"
STYLES = (
    *(SHARED / "base.css", SHARED / "uplot" / "uPlot.min.css", SHARED / "charts.css"),
    HERE / "page.css",
)
MODULES = tuple(SHARED / f"{name}.js" for name in ("numbers", "theme", "files", "charts"))
SCRIPTS = (SHARED / "uplot" / "uPlot.iife.min.js", *MODULES, HERE / "page.js")
"""What becomes the one script of the page, in this order."""
LICENCE = SHARED / "uplot" / "LICENSE"
"""That of uPlot, which a copy of it must contain."""


@dataclass(frozen=True)
class Frame:
    """A sample picture with its background."""

    picture: Picture
    surface: Surface | None
    surface_uri: str
    about: str
    """Text alternative of the picture."""
    caption: str


def write_report(run: Run, path: Path, neighbours: int) -> Report:
    """Write the report of a run to a file; see :func:`ganzoo_zoo.apps.report.report`."""
    found = gather_run(run, neighbours)
    frames = build_frames(found)
    plots = list(draw_run(found))
    page = _render_run(found, frames, plots)
    write_text(path, page)
    rows = found.analysis.neighbours.rows if found.analysis.neighbours else ()
    return Report(
        run=run.path,
        file=path,
        bytes=len(page.encode()),
        finished=found.progress.is_finished,
        step=found.progress.step,
        steps=found.progress.steps,
        curves=(*(plot.title for plot in plots), *found.scores.titles),
        scores=sum(len(group.rows) for group in found.scores.groups),
        warnings=len(list(text.warnings(found))),
        pictures=len(frames),
        pictures_found=found.pictures.found,
        surfaces=len(found.surfaces),
        neighbours=len(rows),
        missing=tuple(found.missing),
    )


def build_frames(found: ReportData) -> list[Frame]:
    """Return a run's sample pictures with their backgrounds."""
    what = "Sample picture"
    if found.takes_images:
        what = "Source images, with a row of translations below each row,"
    frames = []
    for picture in found.pictures.taken:
        surface = found.surfaces.get(picture.step)
        caption = f"Step {picture.step:,}"
        about = f"{what} at step {picture.step:,}"
        if surface:
            span = f"{charts.format_number(surface.low)} to {charts.format_number(surface.high)}"
            caption += f", logits from {span}"
            about += f", over the discriminator's logits from {span}"
        frames.append(Frame(picture, surface, surface.uri() if surface else "", about, caption))
    return frames


def _render_run(found: ReportData, frames: list[Frame], plots: list[charts.Chart]) -> str:
    best, reals = found.progress.best, found.analysis.reals
    return render_page(
        "page.html",
        title=found.config.title,
        name=found.run.path.resolve().name,
        place=str(found.run.path),
        sections=list(text.sections(found, plotted=bool(plots))),
        status=text.status(found),
        progress=found.progress,
        warnings=list(text.warnings(found)),
        past_warnings=list(text.past_warnings(found)),
        frames=frames,
        columns=found.columns,
        best=best if best in [frame.picture.step for frame in frames[:-1]] else None,
        with_surface=bool(found.surfaces),
        about_frames=text.about_frames(found),
        reals=reals,
        about_reals=text.about_reals(reals) if reals else "",
        facts=list(text.facts(found)),
        plots=plots,
        not_plotted="Fewer than two lines were logged." if found.progress.steps else "",
        scores=found.scores,
        neighbours=found.analysis.neighbours,
        about_neighbours=text.about_neighbours(found),
        commands=training.commands(found.config),
        about_reproduction=text.about_reproduction(found),
        versions=training.versions(found.config),
        origin=list(text.origin(found)),
        components=list(training.parts(found.config)),
        config=training.dump_config(found.config),
        missing=found.missing,
        data=[dict(plot.data) for plot in (*plots, *found.scores.charts)],
    )


def render_page(template: str, **values: Any) -> str:
    """Render a template with the styles, the script and the policy of a page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escape_unprintable,
    )
    environment.filters["capitalise"] = text.capitalise
    css = "\n".join(path.read_text(encoding="utf-8") for path in STYLES)
    script = f"/*! uPlot\n{LICENCE.read_text(encoding='utf-8')}*/\n{join_modules(SCRIPTS)}"
    return environment.get_template(template).render(
        policy=_policy(css, script),
        css=css,
        script=script,
        written_by=version("ganzoo"),
        **values,
    )


def join_modules(paths: Sequence[Path]) -> str:
    """Return one module of several, each of which imports from those before it alone."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    return re.sub(r"^import .*;\n", "", text, flags=re.MULTILINE)


def _escape_unprintable(value: Any) -> Any:
    """Escape invisible and unprintable characters in a value of the template."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "\n".join(map(escape_text, value.split("\n")))


def _policy(css: str, script: str) -> str:
    """Return the content security policy, which allows the page's own style and script alone."""
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, script)
    ]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}'; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
