"""``ganzoo publish``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganzoo.cli.common import Json, note, print_json, print_table
from ganzoo.errors import InputError

if TYPE_CHECKING:
    from ganzoo.publishing import Publication


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish")(publish)


def publish(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] REPO_ID",
            help="A run or a model folder, by default the newest run under runs/, and the model's "
            "name on the Hub, as user/name.",
        ),
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="TAG", help="A tag for what is published, such as v1.")
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Licence of the model, such as cc-by-4.0; asked for in a terminal.",
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text for the card, in place of the folder's or the repository's README.md.",
        ),
    ] = None,
    add: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Another file to publish, as an export; repeatable."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files that would be published, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish a model on the Hugging Face Hub.

    The files of the model are sent, by name, and nothing else of the run's folder. Log in first,
    by 'hf auth login' or HF_TOKEN.
    """
    if len(names) > 2:
        raise InputError(f"name a run and user/name, and no more: {' '.join(names)}")
    if len(names) == 1 and Path(names[0]).exists():  # the newest run is not what is meant
        raise InputError(f"{names[0]} is here: name the model on the Hub too, as user/name")
    from ganzoo.publishing import publish as publish_model

    if license is None and not dry_run and sys.stdin.isatty() and sys.stderr.isatty():
        license = _asked()
    found = publish_model(
        names[0] if len(names) == 2 else None,
        names[-1],
        private=private,
        revision=revision,
        license=license,
        card_file=card,
        add=add or (),
        dry_run=dry_run,
        warn=lambda message: note(f"note: {message}"),
    )
    if as_json:
        print_json(_as_json(found))
        return
    _print(found)


def _asked() -> str | None:
    """Ask for the licence; nothing may be assumed about it."""
    answer = typer.prompt(
        "Licence of the model, such as cc-by-4.0 or mit (empty: as the card has it, or none)",
        default="",
        show_default=False,
        err=True,
    )
    return answer.strip() or None


def _as_json(found: Publication) -> dict[str, object]:
    files = [{"name": name, **record.model_dump()} for name, record in found.files.items()]
    return {
        "repo": found.repo,
        "url": found.url,
        "commit": found.commit,
        "changed": found.changed,
        "revision": found.tag,
        "private": found.private,
        "files": files,
    }


def _print(found: Publication) -> None:
    if found.commit is None:
        print_table(
            ("file", "bytes", "sha256"),
            [(name, str(one.size), one.sha256) for name, one in found.files.items()],
        )
        note(
            f"nothing was sent; this is what {found.repo} would get, and in its card whatever "
            "text a person wrote there"
        )
        return
    print(found.url)
    state = "published" if found.changed else "was there already, nothing changed"
    note(f"{state}: commit {found.commit}{f', tag {found.tag}' if found.tag else ''}")
    reference = f"{found.repo}@{found.tag or found.commit}"
    note(f'next: ganzoo sample {reference}   ganzoo.load("{reference}")')
