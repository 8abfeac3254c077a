"""Models of the Hugging Face Hub, by its own client.

Its cache, its endpoint, its offline switch and its login are used as they are. What is said of a
failure never holds the token.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo.errors import GanzooError, InputError, first_line, without_token
from ganzoo.model_files import LIMITS, MANIFEST_FILE
from ganzoo.model_folder import ModelFolder

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\S+))?", re.ASCII)
COMMIT = re.compile("[0-9a-f]{40}")
LOGIN = "log in with: hf auth login"
PASSING = (408, 429, 500, 502, 503, 504)
"""Answers that may be others a moment later."""
WORDS = 200
"""Characters of a server's own words that are shown."""

_log = logging.getLogger("ganzoo")


@dataclass(frozen=True)
class Reference:
    """A model of the Hub, by name."""

    repo: str
    """``user/name``."""
    revision: str | None = None
    """Branch, tag or commit; the newest of the default branch if None."""

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


def parse(text: str, revision: str | None = None) -> Reference | None:
    """Read ``user/name`` or ``user/name@revision``; None if a text is neither.

    Raises:
        InputError: it has another revision than the one that is given beside it.
    """
    found = NAME.fullmatch(text)
    if not found or ".." in text or "--" in found[1]:
        return None
    if revision is not None and found[2] not in (None, revision):
        raise InputError(f"{text} names a revision, and {revision} is given beside it: choose one")
    return Reference(found[1], revision or found[2])


class HubFolder(ModelFolder):
    """The files of one commit, each downloaded when it is asked for, by its exact name.

    They lie in the client's cache. What is there and has the right bytes needs no network; what
    has not is downloaded once more.
    """

    def __init__(self, repo: str, commit: str, path: Path) -> None:
        self.repo = repo
        self.commit = commit
        super().__init__(path, f"{repo}@{commit[:8]}")

    @property
    def reference(self) -> str:
        """What leads to these very files again."""
        return f"{self.repo}@{self.commit}"

    @property
    def short_name(self) -> str:
        """``user/name``."""
        return self.repo

    @property
    def revision(self) -> str:
        """The commit."""
        return self.commit

    def run(self) -> None:
        """Return None: what is in the cache belongs to no run."""
        return

    def file(self, name: str) -> Path:
        """Return the path of a file whose bytes are those that the manifest lists.

        Raises:
            InputError: the repository has another one.
            GanzooError: it cannot be downloaded.
        """
        size, path = self.size(name), self.path / name
        if self._is_right(name):
            return path
        download(Reference(self.repo, self.commit), name, size, anew=path.exists())
        if not self._is_right(name):
            raise InputError(
                f"{self.name}: {name} is not the file that its {MANIFEST_FILE} lists, though it "
                "was just downloaded; tell its author, or try again"
            )
        return path

    def own(self, name: str) -> Path:
        """Return a file's path; links within the client's cache are its own business."""
        return self.file(name)

    def _is_right(self, name: str) -> bool:
        try:
            return super().file(name).exists()
        except InputError:
            return False


def open_folder(reference: Reference) -> HubFolder:
    """Return a model of the Hub at one commit; all its files are of that commit.

    Raises:
        InputError: the Hub has no such model, or it is none of ganzoo.
        GanzooError: the Hub cannot be reached and the cache does not have it.
    """
    path = _manifest(reference)
    if path.stat().st_size > LIMITS[MANIFEST_FILE]:
        raise InputError(f"{reference}: its {MANIFEST_FILE} is too large to be one")
    commit = path.parent.name
    if not COMMIT.fullmatch(commit):
        raise GanzooError(f"the Hub's client does not say which commit {reference} is")
    try:
        return HubFolder(reference.repo, commit, path.parent)
    except InputError:  # damaged in the cache, or there already
        download(Reference(reference.repo, commit), MANIFEST_FILE, None, anew=True)
        return HubFolder(reference.repo, commit, path.parent)


def _manifest(reference: Reference) -> Path:
    """Return the manifest of a reference, and so the commit whose folder it lies in."""
    from huggingface_hub import constants, try_to_load_from_cache

    kept = try_to_load_from_cache(reference.repo, MANIFEST_FILE, revision=reference.revision)
    path = Path(kept) if isinstance(kept, str) else None
    if path and (constants.HF_HUB_OFFLINE or COMMIT.fullmatch(reference.revision or "")):
        return path
    try:
        return download(reference, MANIFEST_FILE, None)
    except Unreachable as error:
        if path is None:
            raise
        _log.warning("%s; taking %s as the cache has it: %s", error, reference, path.parent.name)
        return path


class Unreachable(GanzooError):
    """The Hub did not answer, or not now."""


def download(reference: Reference, name: str, size: int | None, *, anew: bool = False) -> Path:
    """Download a file if it has the size that it should have, or at most what such a file may.

    Raises:
        InputError: there is no such model, revision or file, or it has another size.
        GanzooError: it cannot be downloaded.
    """
    doing = f"download {name} of {reference}"
    if size is None:  # the first file of all, which says whether there is a model
        doing = f"look up {reference}, which is no folder here"
    with speaking(doing, reference):
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        revision = reference.revision
        url = hf_hub_url(reference.repo, name, revision=revision)
        # Asked without retries: where there is no network, that should be said at once.
        found = get_hf_file_metadata(url, **library()).size
        limit = LIMITS[MANIFEST_FILE] if size is None else size
        if found is None or found > limit or (size is not None and found != size):
            said = "no size" if found is None else f"{found:,} bytes"
            raise InputError(
                f"{reference}: {name} has {said}, and should have "
                f"{f'at most {limit:,}' if size is None else f'{size:,}'}; nothing was downloaded"
            )
        path = hf_hub_download(
            reference.repo, name, revision=revision, force_download=anew, **library()
        )
    return Path(path)


@contextmanager
def speaking(doing: str, reference: Reference) -> Iterator[None]:
    """Turn whatever the client raises into one line, and keep it from printing by itself.

    Args:
        doing: What is being done, as in ``cannot {doing}``.
        reference: What it is done with.

    Raises:
        InputError: there is no such model, revision or file.
        Unreachable: the Hub did not answer, or not now.
        GanzooError: it refuses.
    """
    from huggingface_hub import errors

    with _quiet():
        try:
            yield
        except GanzooError:
            raise
        except errors.HfHubHTTPError as error:
            raise refusal(error, doing, reference) from error
        except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
            offline = isinstance(error, errors.OfflineModeIsEnabled)
            why = "HF_HUB_OFFLINE is set" if offline else "the Hub cannot be reached"
            raise Unreachable(f"cannot {doing}: {why}, and the cache does not have it") from error
        except errors.HFValidationError as error:
            raise InputError(f"{reference} is no name of a model: {_own_words(error)}") from error
        except Exception as error:
            if not isinstance(error, OSError) and not _of_transport(error):
                raise
            why = _own_words(error)
            raise Unreachable(f"cannot {doing}: the Hub cannot be reached ({why})") from error


def refusal(error: HfHubHTTPError, doing: str, reference: Reference) -> GanzooError:
    """Say what an answer of the Hub that is none means for the person who asked."""
    from huggingface_hub import errors

    repo, revision = reference.repo, reference.revision
    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return GanzooError(f"{repo} is gated: ask its author for access on its page, and {LOGIN}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(
            f"the Hub has no model {repo}, or it is private: then {LOGIN}; and there is no such "
            "folder here"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"{repo} has no revision {revision}; see the branches and tags there")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return InputError(f"{reference} holds no whole model of ganzoo: cannot {doing}")
    words = _own_words(error)
    if status == 401:
        return GanzooError(f"cannot {doing}: the Hub does not know you (401); {LOGIN}")
    if status == 403:
        return GanzooError(
            f"cannot {doing}: the Hub does not allow it (403): the token needs the right to write "
            f"to {repo}"
        )
    if status in (409, 412):
        return GanzooError(
            f"cannot {doing}: {repo} changed in that moment ({status}); look at it and try again"
        )
    if status == 429:
        return Unreachable(f"cannot {doing}: the Hub is asked too often (429); try again later")
    if status in PASSING:
        return Unreachable(f"cannot {doing}: the Hub fails just now ({status}); try again later")
    return GanzooError(f"cannot {doing}: the Hub answers {status}: {words}")


def passing(error: Exception) -> bool:
    """Tell whether what failed may succeed a moment later."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code in PASSING
    return _of_transport(error)


def _own_words(error: Exception) -> str:
    words = getattr(error, "server_message", None) or first_line(error)
    return " ".join(without_token(words).split())[:WORDS]


def _of_transport(error: Exception) -> bool:
    # The client has changed its HTTP library before; each has exceptions of its own.
    return any(
        kind.__module__.partition(".")[0].startswith("httpx") for kind in type(error).__mro__
    )


def library() -> dict[str, Any]:
    """Return what the client tells the Hub of who uses it."""
    import ganzoo

    return {"library_name": "ganzoo", "library_version": ganzoo.__version__}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the client's notes away, and its progress bars where nobody looks at them."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
        logging,
    )

    verbosity, shown = logging.get_verbosity(), not are_progress_bars_disabled()
    logging.set_verbosity_error()
    if shown and not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            enable_progress_bars()
