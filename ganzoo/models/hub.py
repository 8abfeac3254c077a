"""Models of the Hugging Face Hub, by its own client.

Its cache, its endpoint, its offline switch and its login are used as they are. What is said of a
failure never holds the token.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ganzoo.errors import GanzooError, InputError, hide_token
from ganzoo.models.folder import ModelFolder
from ganzoo.runs.file_names import LIMITS, MANIFEST_FILE
from ganzoo.storage.files import sha256

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

MODEL_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\S+))?", re.ASCII)
COMMIT = re.compile("[0-9a-f]{40}")
HASH = re.compile("[0-9a-f]{64}")
LOGIN_HINT = "log in with: hf auth login"
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)
"""Answers that may be others a moment later."""
PAUSES = (1.0, 2.0)
"""Seconds before what failed is tried again; there are as many tries more."""
MAX_MESSAGE = 200
"""Characters of a server's own words that are shown."""

Result = TypeVar("Result")

_log = logging.getLogger("ganzoo")


@dataclass(frozen=True)
class Reference:
    """A model of the Hub, by name."""

    repo: str
    """``user/name``."""
    revision: str | None = None
    """Branch, tag or commit; the newest of the default branch if None."""
    kind: str = "model"
    """What the Hub calls such a repository: ``model``, or ``space``."""

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


def parse_reference(text: str, revision: str | None = None) -> Reference | None:
    """Read ``user/name`` or ``user/name@revision``; None if a text is neither.

    Raises:
        InputError: it has another revision than the one that is given beside it, or that is none.
    """
    found = MODEL_NAME.fullmatch(text)
    if not found or ".." in text or "--" in found[1]:
        return None
    if revision is not None and found[2] not in (None, revision):
        raise InputError(f"{text} names a revision, and {revision} is given beside it: choose one")
    if revision is not None and parse_reference(f"{found[1]}@{revision}") is None:
        raise InputError(f"'{revision}' is no branch, tag or commit of {found[1]}")
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
        if self._is_verified(name):
            return path
        # Twice: the client takes the bytes from its cache where another commit has the file too.
        for anew in (path.exists(), True):
            download(Reference(self.repo, self.commit), name, size, anew=anew)
            if self._is_verified(name):
                return path
        raise InputError(
            f"{self.name}: {name} is not the file that its {MANIFEST_FILE} lists, though it "
            "was just downloaded; tell its author, or try again"
        )

    def own_file(self, name: str) -> Path:
        """Return a file's path; links within the client's cache are its own business."""
        return self.file(name)

    def _is_verified(self, name: str) -> bool:
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
    path = _fetch_manifest(reference)
    if path.stat().st_size > LIMITS[MANIFEST_FILE]:
        raise InputError(f"{reference}: its {MANIFEST_FILE} is too large to be one")
    commit = path.parent.name
    if not COMMIT.fullmatch(commit):
        raise GanzooError(f"the Hub's client does not say which commit {reference} is")
    if _is_intact(path):
        try:
            return HubFolder(reference.repo, commit, path.parent)
        except InputError:  # where a cache has no links, nobody knows what was stored
            pass
    # Damaged in the cache or on the way, or of a commit that came in that moment.
    download(Reference(reference.repo, commit), MANIFEST_FILE, None, anew=True)
    if not _is_intact(path):
        raise InputError(
            f"{reference}: its {MANIFEST_FILE} is damaged, though it was just downloaded; try again"
        )
    return HubFolder(reference.repo, commit, path.parent)


def _is_intact(path: Path) -> bool:
    """Tell whether a file of the cache has the bytes that its name there says, where it is a hash.

    The manifest vouches for all other files, and nothing else does for it.
    """
    return has_hash(path, path.resolve().name)


def has_hash(path: Path, known: str) -> bool:
    """Tell whether a file has the hash that the Hub knows it by, if that is one.

    It is git's own hash, or the SHA-256 of a file that is kept apart.
    """
    from huggingface_hub.utils.sha import git_hash

    if COMMIT.fullmatch(known):
        return git_hash(path.read_bytes()) == known
    return not HASH.fullmatch(known) or sha256(path) == known


def _fetch_manifest(reference: Reference) -> Path:
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
    if anew:
        doing += " anew, as it is damaged in the cache"
    elif size is None:  # the first file of all, which says whether there is a model
        doing = f"look up {reference}, which is no folder here"
    with explain_hub_errors(doing, reference):
        return retry(lambda: _download_once(reference, name, size, anew), is_transient_answer)


def _download_once(reference: Reference, name: str, size: int | None, anew: bool) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    revision = reference.revision
    found = get_hf_file_metadata(
        hf_hub_url(reference.repo, name, revision=revision, repo_type=reference.kind),
        **client_info(),
    ).size
    limit = LIMITS[MANIFEST_FILE] if size is None else size
    if found is None or found > limit or (size is not None and found != size):
        said = "no size" if found is None else f"{found:,} bytes"
        raise InputError(
            f"{reference}: {name} has {said}, and should have "
            f"{f'at most {limit:,}' if size is None else f'{size:,}'}; nothing was downloaded"
        )
    return Path(
        hf_hub_download(
            reference.repo,
            name,
            revision=revision,
            repo_type=reference.kind,
            force_download=anew,
            **client_info(),
        )
    )


@contextmanager
def explain_hub_errors(doing: str, reference: Reference) -> Iterator[None]:
    """Turn whatever the client raises into one line, and keep it from printing by itself.

    Args:
        doing: What is being done, as in ``cannot {doing}``.
        reference: What it is done with.

    Raises:
        InputError: there is no such model, revision or file.
        Unreachable: the Hub did not answer, or not now.
        GanzooError: it refuses.
    """
    with _quiet():
        try:
            yield
        except GanzooError:
            raise
        except Exception as error:
            said = _translate_error(_root_cause(error), doing, reference)
            if said is None:
                raise
            # What a server echoes must not stand in a traceback of Python either.
            whole = "".join(traceback.format_exception(error))
            raise said from (error if hide_token(whole) == whole else None)


def _translate_error(error: BaseException, doing: str, reference: Reference) -> GanzooError | None:
    """Say what an error of the client means; None if it is none of the client's."""
    from huggingface_hub import errors

    words = _error_text(error)
    if isinstance(error, errors.HfHubHTTPError):
        return explain_refusal(error, doing, reference)
    if isinstance(error, (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError)):
        offline = isinstance(error, errors.OfflineModeIsEnabled)
        why = "HF_HUB_OFFLINE is set" if offline else "the Hub cannot be reached"
        return Unreachable(f"cannot {doing}: {why}, and the cache does not have it whole")
    if isinstance(error, errors.HFValidationError):
        return InputError(f"{reference} is no name of a model: {words}")
    if _is_transport_error(error):
        return Unreachable(f"cannot {doing}: the Hub cannot be reached ({words})")
    if isinstance(error, (OSError, ValueError)):  # a full disk, or an answer that nobody expects
        return GanzooError(f"cannot {doing}: {words}")
    return None


def explain_refusal(error: HfHubHTTPError, doing: str, reference: Reference) -> GanzooError:
    """Say what an answer of the Hub that is none means for the person who asked."""
    from huggingface_hub import errors

    repo, revision = reference.repo, reference.revision
    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return GanzooError(
            f"{repo} is gated: ask its author for access on its page, and {LOGIN_HINT}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        here = "; and there is no such folder here" if reference.kind == "model" else ""
        return InputError(
            f"the Hub has no {reference.kind} {repo}, or it is private: then {LOGIN_HINT}{here}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"{repo} has no revision {revision}; see the branches and tags there")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return InputError(f"{reference} holds no whole model of ganzoo: cannot {doing}")
    words = _error_text(error)
    if status == 401:
        return GanzooError(f"cannot {doing}: the Hub does not know you (401); {LOGIN_HINT}")
    if status == 403:
        return GanzooError(
            f"cannot {doing}: the Hub does not allow it (403); see what the token may do to {repo}"
        )
    if status in (409, 412):
        return GanzooError(
            f"cannot {doing}: {repo} changed in that moment ({status}); look at it and try again"
        )
    if status == 429:
        return Unreachable(f"cannot {doing}: the Hub is asked too often (429); try again later")
    if status in RETRY_STATUSES:
        return Unreachable(f"cannot {doing}: the Hub fails just now ({status}); try again later")
    return GanzooError(f"cannot {doing}: the Hub answers {status}: {words}")


def retry(ask: Callable[[], Result], may_pass: Callable[[Exception], bool]) -> Result:
    """Ask again, a few times, what fails for the moment."""
    for pause in PAUSES:
        try:
            return ask()
        except Exception as error:
            if not may_pass(error):
                raise
            time.sleep(pause)
    return ask()


def is_transient(error: Exception) -> bool:
    """Tell whether what failed may succeed a moment later."""
    from huggingface_hub import errors

    root = _root_cause(error)
    if isinstance(root, errors.HfHubHTTPError):
        return root.response.status_code in RETRY_STATUSES
    return _is_transport_error(root)


def is_transient_answer(error: Exception) -> bool:
    """Tell whether somebody answered, who may do better a moment later.

    Where there is no network, that should be said at once.
    """
    return is_transient(error) and not type(_root_cause(error)).__name__.startswith("Connect")


def _root_cause(error: BaseException) -> BaseException:
    """Return what the client caught before it raised an error of fewer words."""
    from huggingface_hub.errors import HfHubHTTPError

    while isinstance(error, (RuntimeError, ValueError)) and not isinstance(error, HfHubHTTPError):
        if error.__cause__ is None:
            break
        error = error.__cause__
    return error


def _error_text(error: BaseException) -> str:
    return to_one_line(getattr(error, "server_message", None) or str(error) or type(error).__name__)


def to_one_line(words: str) -> str:
    """Return the beginning of what a server says, as one line without the token."""
    return " ".join(hide_token(words).split())[:MAX_MESSAGE]


def _is_transport_error(error: BaseException) -> bool:
    """Tell whether an answer did not come, or not whole."""
    if isinstance(error, (ConnectionError, TimeoutError, json.JSONDecodeError)):
        return True
    if type(error) is OSError and error.errno is None:  # the client's, of a size that differs
        return True
    if isinstance(error, RuntimeError) and "client has been closed" in str(error):
        return True  # by another of the client's threads, whose connection failed
    # The client has changed its HTTP library before; each has exceptions of its own.
    return any(
        kind.__module__.partition(".")[0].startswith("httpx") for kind in type(error).__mro__
    )


def client_info() -> dict[str, Any]:
    """Return what the client tells the Hub of who uses it."""
    from importlib.metadata import version

    return {"library_name": "ganzoo", "library_version": version("ganzoo")}


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
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            enable_progress_bars()
