"""Models on the Hugging Face Hub, through its official client.

The client's cache, endpoint, offline switch and login apply unchanged. Error messages never contain
the token.
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
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ganzoo.arguments import require_text
from ganzoo.errors import GanzooError, InputError, hide_token
from ganzoo.models.folder import ModelFolder
from ganzoo.models.hub_limits import (
    ANSWER_LIMIT,
    UnfitAnswer,
    limit_answers,
    progress_up_to,
    watch_client,
)
from ganzoo.runs.file_names import CARD_FILE, LIMITS, MANIFEST_FILE
from ganzoo.storage.files import read_text, sha256
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

MODEL_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\S+))?", re.ASCII)
COMMIT = re.compile("[0-9a-f]{40}")
HASH = re.compile("[0-9a-f]{64}")
LOGIN_HINT = "log in with: hf auth login"
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)
"""HTTP statuses of failures that may be transient."""
PAUSES = (1.0, 2.0)
"""Seconds to wait before each retry."""
MAX_MESSAGE = 200
"""Most characters that are shown of a server's own message."""

Result = TypeVar("Result")

_given_token: ContextVar[str | None] = ContextVar("given_token", default=None)

_log = logging.getLogger("ganzoo")


@dataclass(frozen=True)
class Reference:
    """The name of a model on the Hub."""

    repo: str
    """``user/name``."""
    revision: str | None = None
    """Branch, tag or commit; the newest of the default branch if None."""
    kind: str = "model"
    """The Hub's type of the repository: ``model`` or ``space``."""

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


def parse_reference(text: str, revision: str | None = None) -> Reference | None:
    """Parse ``user/name`` or ``user/name@revision``; return None if a text is neither.

    Raises:
        InputError: the text names another revision than ``revision``, or ``revision`` cannot be
            one.
    """
    if revision is not None:
        require_text("a branch, tag or commit as the revision", revision)
    found = MODEL_NAME.fullmatch(text)
    if not found or ".." in text or "--" in found[1]:
        return None
    if revision is not None and found[2] not in (None, revision):
        raise InputError(f"{text} names a revision other than {revision}: choose one")
    if revision is not None and parse_reference(f"{found[1]}@{revision}") is None:
        raise InputError(f"'{revision}' is not a branch, tag or commit of {found[1]}")
    return Reference(found[1], revision or found[2])


class HubFolder(ModelFolder):
    """The files of one commit in the client's cache, each downloaded on first access.

    A cached file that matches the manifest needs no network; one that does not is downloaded again.
    """

    def __init__(self, repo: str, commit: str, path: Path) -> None:
        self.repo = repo
        self.commit = commit
        super().__init__(path, f"{repo}@{commit[:8]}")

    @property
    def reference(self) -> str:
        """A reference to exactly these files, for :func:`ganzoo.load`."""
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
        """Return None: files in the cache belong to no run."""
        return

    def file(self, name: str) -> Path:
        """Return the path of a file, verified against the manifest.

        Raises:
            InputError: the repository's file does not match the manifest.
            GanzooError: the file cannot be downloaded.
        """
        size, path = self.size(name), self.path / name
        if self._is_verified(name):
            return path
        # Twice: the first time, the client may reuse the cached file of another commit.
        for force in (path.exists(), True):
            download(Reference(self.repo, self.commit), name, size, force=force)
            if self._is_verified(name):
                return path
        raise InputError(
            f"{self.name}: {name} is not the file that its {MANIFEST_FILE} lists, though it "
            "was just downloaded; tell its author, or try again"
        )

    def own_file(self, name: str) -> Path:
        """Return the path of a file, verified; the client's cache may store it as a link."""
        return self.file(name)

    def card(self) -> str:
        """Read the card, which people may edit on the Hub, beside the manifest.

        Raises:
            GanzooError: it cannot be downloaded.
        """
        try:
            path = self.file(CARD_FILE)
        except InputError:  # edited there
            path = download(Reference(self.repo, self.commit), CARD_FILE, None)
        return read_text(path, LIMITS[CARD_FILE], "for a card")

    def _is_verified(self, name: str) -> bool:
        try:
            return super().file(name).exists()
        except InputError:
            return False


def open_folder(reference: Reference) -> HubFolder:
    """Resolve a reference to a commit, and return the files of that commit.

    Raises:
        InputError: the Hub has no such model, or it is not a ganzoo model.
        GanzooError: the Hub cannot be reached and the cache does not have the model.
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
        except (
            InputError
        ):  # a cache without links does not tell the hash, so the file may be damaged
            pass
    # Damaged in the cache or in transit, or from a commit made at this very moment.
    download(Reference(reference.repo, commit), MANIFEST_FILE, None, force=True)
    if not _is_intact(path):
        raise InputError(
            f"{reference}: its {MANIFEST_FILE} is damaged, though it was just downloaded; try again"
        )
    return HubFolder(reference.repo, commit, path.parent)


def _is_intact(path: Path) -> bool:
    """Tell whether a manifest in the cache is undamaged, if the cache names files by their hash.

    The manifest verifies all other files; only its name in the cache can verify the manifest.
    """
    return has_hash(path, path.resolve().name)


def has_hash(path: Path, known: str) -> bool:
    """Tell whether a file has a known hash: git's own, or the SHA-256 of a large file.

    True if ``known`` is neither; False if the file cannot be read.
    """
    from huggingface_hub.utils.sha import git_hash

    try:
        if COMMIT.fullmatch(known):
            return git_hash(path.read_bytes()) == known
        return not HASH.fullmatch(known) or sha256(path) == known
    except (InputError, OSError):
        return False


def _fetch_manifest(reference: Reference) -> Path:
    """Return the path of a reference's manifest, in the folder of its commit."""
    from huggingface_hub import constants, try_to_load_from_cache

    user_path(constants.HF_HUB_CACHE)  # without a home folder, it would be in the working folder
    cached = try_to_load_from_cache(reference.repo, MANIFEST_FILE, revision=reference.revision)
    path = Path(cached) if isinstance(cached, str) else None
    if path and (constants.HF_HUB_OFFLINE or COMMIT.fullmatch(reference.revision or "")):
        return path
    try:
        return download(reference, MANIFEST_FILE, None)
    except Unreachable as error:
        if path is None:
            raise
        _log.warning("%s; using the cached commit of %s: %s", error, reference, path.parent.name)
        return path


class Unreachable(GanzooError):
    """The Hub cannot be reached, or asks to try again later."""


def download(reference: Reference, name: str, size: int | None, *, force: bool = False) -> Path:
    """Download a file after a check of its size, and return its path in the cache.

    Args:
        reference: The model, or the Space.
        name: Name of the file.
        size: Its size in bytes; None for the manifest, which only has a limit.
        force: Download it even if the cache has it.

    Raises:
        InputError: there is no such model, revision or file, or it has another size.
        GanzooError: it cannot be downloaded.
    """
    doing = f"download {name} of {reference}"
    if force:
        doing += " again, as it is damaged in the cache"
    elif size is None:  # the first file: it tells whether there is such a model
        doing = f"look up {reference}, which is not a local folder"
    with explain_hub_errors(doing, reference):
        return retry(lambda: _download_once(reference, name, size, force), is_transient_answer)


def _download_once(reference: Reference, name: str, size: int | None, force: bool) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    revision = reference.revision
    found = get_hf_file_metadata(
        hf_hub_url(reference.repo, name, revision=revision, repo_type=reference.kind),
        **client_info(),
    ).size
    limit = LIMITS[MANIFEST_FILE] if size is None else size
    if found is None or found > limit or (size is not None and found != size):
        actual = "no size" if found is None else f"{found:,} bytes"
        raise InputError(
            f"{reference}: {name} has {actual}, and should have "
            f"{f'at most {limit:,}' if size is None else f'{size:,}'}; nothing was downloaded"
        )
    # What is announced need not be what comes.
    with limit_answers(max(limit, ANSWER_LIMIT)):
        path = hf_hub_download(
            reference.repo,
            name,
            revision=revision,
            repo_type=reference.kind,
            force_download=force,
            tqdm_class=progress_up_to(limit),
            **client_info(),
        )
    return Path(path)


@contextmanager
def explain_hub_errors(doing: str, reference: Reference) -> Iterator[None]:
    """Translate the client's exceptions to errors of one line, and silence its own output.

    Args:
        doing: The attempted action, as in ``cannot {doing}``.
        reference: Its model or Space.

    Raises:
        InputError: there is no such model, revision or file.
        Unreachable: the Hub cannot be reached, or asks to try again later.
        GanzooError: the Hub refuses.
    """
    with _quiet(), limit_answers():
        try:
            yield
        except GanzooError:
            raise
        except Exception as error:
            translated = _translate_error(_root_cause(error), doing, reference)
            if translated is None:
                raise
            # A server may echo the token, which must not appear in a traceback either.
            whole = "".join(traceback.format_exception(error))
            raise translated from (error if _hide_tokens(whole) == whole else None)


def _translate_error(error: BaseException, doing: str, reference: Reference) -> GanzooError | None:
    """Translate an exception of the client; return None if it is not one."""
    from huggingface_hub import errors

    words = _error_text(error)
    if isinstance(error, UnfitAnswer):
        return GanzooError(f"cannot {doing}: {words}")
    if isinstance(error, errors.HfHubHTTPError):
        return explain_refusal(error, doing, reference)
    if isinstance(error, (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError)):
        offline = isinstance(error, errors.OfflineModeIsEnabled)
        why = "HF_HUB_OFFLINE is set" if offline else "the Hub cannot be reached"
        return Unreachable(f"cannot {doing}: {why}, and it is not completely in the cache")
    if isinstance(error, errors.HFValidationError):
        return InputError(f"{reference} is not the name of a model: {words}")
    if _is_transport_error(error):
        return Unreachable(f"cannot {doing}: the Hub cannot be reached ({words})")
    if isinstance(error, (OSError, ValueError)):  # such as a full disk, or an unexpected answer
        return GanzooError(f"cannot {doing}: {words}")
    return None


def explain_refusal(error: HfHubHTTPError, doing: str, reference: Reference) -> GanzooError:
    """Translate an HTTP error of the Hub to an error that says what to do."""
    from huggingface_hub import errors

    repo, revision = reference.repo, reference.revision
    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return GanzooError(
            f"{repo} is gated: ask its author for access on its page, and {LOGIN_HINT}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        local = "; there is no local folder of that name" if reference.kind == "model" else ""
        return InputError(
            f"the Hub has no {reference.kind} {repo}, or it is private: then {LOGIN_HINT}{local}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"{repo} has no revision {revision}; see the branches and tags there")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return InputError(f"{reference} is not a complete ganzoo model: cannot {doing}")
    words = _error_text(error)
    if status == 401:
        return GanzooError(f"cannot {doing}: the Hub does not know you (401); {LOGIN_HINT}")
    if status == 403:
        return GanzooError(
            f"cannot {doing}: the Hub does not allow it (403); see what the token may do to {repo}"
        )
    if status in (409, 412):
        return GanzooError(
            f"cannot {doing}: {repo} was just changed ({status}); look at it and try again"
        )
    if status == 429:
        return Unreachable(f"cannot {doing}: too many requests to the Hub (429); try again later")
    if status in RETRY_STATUSES:
        return Unreachable(f"cannot {doing}: the Hub has a problem ({status}); try again later")
    return GanzooError(f"cannot {doing}: the Hub answers {status}: {words}")


def retry(request: Callable[[], Result], should_retry: Callable[[Exception], bool]) -> Result:
    """Make a request, and repeat it after each of ``PAUSES`` while it fails transiently."""
    for pause in PAUSES:
        watch_client()
        try:
            return request()
        except Exception as error:
            if not should_retry(error):
                raise
            time.sleep(pause)
    watch_client()
    return request()


def is_transient(error: Exception) -> bool:
    """Tell whether a failed request may succeed a moment later."""
    from huggingface_hub import errors

    root = _root_cause(error)
    if isinstance(root, errors.HfHubHTTPError):
        return root.response.status_code in RETRY_STATUSES
    return _is_transport_error(root)


def is_transient_answer(error: Exception) -> bool:
    """Tell whether a failure is transient and a server was reached.

    Without a network, a request should fail at once.
    """
    return is_transient(error) and not type(_root_cause(error)).__name__.startswith("Connect")


def _root_cause(error: BaseException) -> BaseException:
    """Return the exception that the client caught before it raised a vaguer one."""
    from huggingface_hub.errors import HfHubHTTPError

    while isinstance(error, (RuntimeError, ValueError)) and not isinstance(error, HfHubHTTPError):
        if error.__cause__ is None:
            break
        error = error.__cause__
    return error


def _error_text(error: BaseException) -> str:
    return to_one_line(getattr(error, "server_message", None) or str(error) or type(error).__name__)


def to_one_line(words: str) -> str:
    """Shorten a server's message to one line without the token."""
    return " ".join(_hide_tokens(words).split())[:MAX_MESSAGE]


def _is_transport_error(error: BaseException) -> bool:
    """Tell whether an answer is missing or incomplete."""
    if isinstance(error, (ConnectionError, TimeoutError, json.JSONDecodeError)):
        return True
    if type(error) is OSError and error.errno is None:  # the client's own, for a wrong size
        return True
    if isinstance(error, RuntimeError) and "client has been closed" in str(error):
        return True  # closed by another thread of the client, whose connection failed
    # By name: the client has changed its HTTP library before, and each has its own exceptions.
    return any(
        kind.__module__.partition(".")[0].startswith("httpx") for kind in type(error).__mro__
    )


def client_info() -> dict[str, Any]:
    """Return the arguments with which the client tells the Hub who uses it."""
    from importlib.metadata import version

    about = {"library_name": "ganzoo", "library_version": version("ganzoo")}
    given = _given_token.get()
    return about if given is None else {**about, "token": given}


@contextmanager
def use_token(token: str | None) -> Iterator[None]:
    """Use a token within the block in place of that of the client's login; None changes nothing.

    It is kept nowhere, and hidden in messages as the login's is.

    Raises:
        InputError: it is not a text.
    """
    if token is not None and (not isinstance(token, str) or not token.strip()):
        raise InputError("give a token of the Hub as a text, or none for that of your login")
    before = _given_token.set(token or _given_token.get())
    try:
        yield
    finally:
        _given_token.reset(before)


def find_token() -> str | None:
    """Return the token for the Hub: the one that was given, or that of the client's login."""
    from huggingface_hub import get_token

    return _given_token.get() or get_token()


def _hide_tokens(text: str) -> str:
    given = _given_token.get()
    return hide_token(text.replace(given, "***") if given else text)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the client's messages, and its progress bars outside a terminal."""
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
