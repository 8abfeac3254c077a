"""``ganzoo publish``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganzoo.cli.common import (
    Json,
    complete_models,
    complete_names,
    print_json,
    print_line,
    print_table,
)
from ganzoo.cli.help import list_examples
from ganzoo.display.messages import note
from ganzoo.errors import InputError
from ganzoo.registry import SPACE

if TYPE_CHECKING:
    from ganzoo.publishing.publish import Publication


EXAMPLES = list_examples(
    ("What would be sent of your newest run.", "publish user/name --dry-run"),
    ("A run, and a page to try its model.", "publish RUN user/name --space"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish", epilog=EXAMPLES)(publish)


def publish(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] REPO_ID",
            help="A run, a model folder or a name of 'ganzoo list models' (by default the newest "
            "run under runs/), and the model's name on the Hub, as user/name.",
            autocompletion=complete_models,
        ),
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="TAG", help="Tag for the published version, such as v1.")
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Licence of the model, such as cc-by-4.0; you are asked for it in a terminal.",
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the card's text, instead of the folder's or the repository's "
            "README.md.",
        ),
    ] = None,
    add: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Also publish this file, such as an export; repeatable."),
    ] = None,
    space: Annotated[
        bool,
        typer.Option("--space", help="Also publish a Space of that name: a page to try the model."),
    ] = False,
    space_kind: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Kind of Space, if packages provide several.",
            autocompletion=complete_names(SPACE),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the Space's files to this folder; send nothing."),
    ] = None,
    permitted: Annotated[
        bool,
        typer.Option(
            "--permitted",
            help="You may publish imported weights that not everybody may pass on.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files to publish, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish a model on the Hugging Face Hub.

    Only the model's files are sent, and nothing else from the run's folder. Log in first, with
    'hf auth login' or HF_TOKEN.
    """
    if len(names) > 2:
        raise InputError(f"give a run and user/name, and nothing else: {' '.join(names)}")
    if len(names) == 1 and Path(names[0]).exists():  # a run, and not the name of the newest one
        raise InputError(f"{names[0]} is a local path: add the model's name on the Hub, user/name")
    kind = space_kind or space
    if out is not None:
        if not kind:
            raise InputError("--out writes the files of a Space: add --space")
        if dry_run or private or revision or card or add:
            raise InputError(
                "--out sends nothing: drop --dry-run, --private, --revision, --card and --add"
            )
        model = names[0] if len(names) == 2 else None
        _write_space(model, names[-1], out, kind, license, as_json)
        return
    from ganzoo.publishing.publish import publish as publish_model

    if not dry_run and sys.stdin.isatty() and sys.stderr.isatty():
        permitted = permitted or _ask_permission(names[0] if len(names) == 2 else None)
        license = _ask_licence() if license is None else license
    found = publish_model(
        names[0] if len(names) == 2 else None,
        names[-1],
        private=private,
        revision=revision,
        license=license,
        card_file=card,
        add=add or (),
        space=kind,
        permitted=permitted,
        dry_run=dry_run,
        warn=_warn,
    )
    if as_json:
        print_json(_as_json(found))
        return
    _print_publication(found)


def _write_space(
    model: str | None, repo: str, folder: Path, kind: bool | str, license: str | None, as_json: bool
) -> None:
    from ganzoo.publishing.spaces import write_space

    files = write_space(model, repo, folder, kind=kind, license=license, warn=_warn)
    if as_json:
        print_json({"model": repo, "files": [str(file) for file in files]})
    else:
        print(folder)
        note("nothing was sent; the folder holds the Space's files")


def _warn(message: str) -> None:
    note(f"note: {message}")


def _ask_permission(model: str | None) -> bool:
    """Ask whether weights may be published, if the terms of their origin do not say so."""
    from ganzoo.models.find import find_model

    origin = find_model(model).origin()
    if origin is None or origin.may_pass_on:
        return False
    return typer.confirm(f"{origin.terms}. May you publish them?", default=False, err=True)


def _ask_licence() -> str | None:
    """Ask for the licence, which has no default."""
    answer = typer.prompt(
        "Licence of the model, such as cc-by-4.0 or mit (empty: the card's licence, or none)",
        default="",
        show_default=False,
        err=True,
    )
    return answer.strip() or None


def _as_json(found: Publication) -> dict[str, object]:
    files = [{"name": name, **record.model_dump()} for name, record in found.files.items()]
    space = {} if found.space is None else {"space": _as_json(found.space)}
    return {
        "repo": found.repo,
        "url": found.url,
        "commit": found.commit,
        "changed": found.changed,
        "revision": found.tag,
        "private": found.private,
        "files": files,
        **space,
    }


def _print_publication(found: Publication) -> None:
    if found.commit is None:
        _print_files(found)
        note(
            f"nothing was sent; {found.repo} would get these files, and its card would keep text "
            "that people wrote"
        )
        if found.space is not None:
            _print_files(found.space)
            note("its Space would get these files; its page will name the model's commit")
        return
    print_line(str(found.url))
    note(f"{_state(found)}{f', tag {found.tag}' if found.tag else ''}")
    if found.space is not None:
        print_line(str(found.space.url))
        note(f"its Space: {_state(found.space)}; a new Space takes some minutes to start")
    reference = f"{found.repo}@{found.tag or found.commit}"
    note(f'next: ganzoo sample {reference}   ganzoo.load("{reference}")')


def _print_files(found: Publication) -> None:
    print_table(
        ("file", "bytes", "sha256"),
        [(name, str(record.size), record.sha256) for name, record in found.files.items()],
    )


def _state(found: Publication) -> str:
    state = "published" if found.changed else "already up to date"
    return f"{state}: commit {found.commit}"
