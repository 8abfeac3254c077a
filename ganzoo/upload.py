"""A repository of the Hub that is written to: one commit on a known parent, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from ganzoo.errors import GanzooError, InputError
from ganzoo.hub import (
    LOGIN,
    Reference,
    Result,
    download,
    has_hash,
    in_a_line,
    library,
    passing,
    patiently,
    speaking,
)
from ganzoo.model_files import LIMITS, MANIFEST_FILE

IGNORING = ".gitignore"


class Repository:
    """A repository of models at its newest commit; it is made if it is not there.

    Args:
        name: ``user/name``.
        private: Whether it is made private; one that is there must be so already.

    Raises:
        InputError: it is public and should be private.
        GanzooError: nobody is logged in, or the Hub cannot be reached or refuses.
    """

    def __init__(self, name: str, *, private: bool = False) -> None:
        from huggingface_hub import HfApi, constants, get_token

        if constants.HF_HUB_OFFLINE:
            raise GanzooError("HF_HUB_OFFLINE is set, so that nothing can be published")
        if get_token() is None:
            raise GanzooError(f"the Hub does not know you: {LOGIN}, or set HF_TOKEN")
        self.name = name
        self.reference = Reference(name)
        self.api = HfApi(**library())
        with self._speaking():
            made = _patiently(
                lambda: self.api.create_repo(name, private=private or None, exist_ok=True)
            )
            self.url = str(made)
            about = _patiently(lambda: self.api.model_info(name, files_metadata=True))
        self.private = bool(about.private)
        self.head = str(about.sha)
        self.files = {file.rfilename: file for file in about.siblings or ()}
        if private and not self.private:
            raise InputError(
                f"{name} is there already and is public: make it private on its page, or leave "
                "--private away"
            )

    def text(self, name: str) -> str | None:
        """Read a text file as the newest commit has it; None if there is none.

        Raises:
            InputError: it is too large to be one, or no text.
            GanzooError: it cannot be downloaded.
        """
        if name not in self.files:
            return None
        size = self.files[name].size or 0
        if size > LIMITS[name]:
            raise InputError(f"{name} of {self.name} is too large to go on with: look at it there")
        for anew in (False, True):  # the client's cache may have it damaged
            path = download(Reference(self.name, self.head), name, size, anew=anew)
            if self.has(path):
                break
        else:
            raise GanzooError(f"{name} of {self.name} arrives damaged; try again")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{name} of {self.name} is no text in UTF-8: mend it there") from None

    def has(self, path: Path) -> bool:
        """Tell whether the newest commit has a file of the same name and bytes."""
        there = self.files.get(path.name)
        if there is None or there.size != path.stat().st_size:
            return False
        return has_hash(path, there.lfs.sha256 if there.lfs else str(there.blob_id))

    def tagged(self, tag: str) -> str | None:
        """Return the commit of a tag, or None if there is none of that name."""
        with self._speaking():
            tags = _patiently(lambda: self.api.list_repo_refs(self.name)).tags
        return next((ref.target_commit for ref in tags if ref.name == tag), None)

    def commit(self, folder: Path, names: Iterable[str], gone: Iterable[str], message: str) -> str:
        """Send files in one commit on the newest one, and return it.

        What fails for the moment is tried again for as long as nobody else has committed. Where
        the commit was made and the answer to it was lost, it is found and returned.

        Args:
            folder: Where the files are, their manifest among them.
            names: Their names, there and in the repository.
            gone: Names of files that the commit removes.
            message: What the commit is called.

        Raises:
            InputError: the repository has a list of files to leave out, or the card is not
                accepted.
            GanzooError: the Hub cannot be reached or refuses, or somebody else committed.
        """
        if IGNORING in self.files:  # what it names would be left out without a word
            raise InputError(f"{self.name} has a {IGNORING}: remove it there, and publish again")
        names, gone = list(names), list(gone)

        def send() -> str:
            from huggingface_hub import CommitOperationAdd, CommitOperationDelete

            operations = [
                *(CommitOperationAdd(name, str(folder / name)) for name in names),
                *(CommitOperationDelete(name) for name in gone),
            ]
            try:
                return self.api.create_commit(
                    self.name, operations, commit_message=message, parent_commit=self.head
                ).oid
            except Exception as error:
                _refuse_card(error)
                # Also where it is refused: what was tried before may have been done since.
                if (passing(error) or _conflicts(error)) and (now := self._newest()) != self.head:
                    return self._found(now, folder)
                raise

        with self._speaking():
            return _patiently(send)

    def tag(self, name: str, commit: str) -> None:
        """Give a commit a tag.

        Raises:
            GanzooError: the Hub cannot be reached or refuses.
        """
        try:
            with self._speaking():
                _patiently(lambda: self._tag(name, commit))
        except GanzooError as error:
            raise GanzooError(
                f"{self.name} is published as {commit}, without its tag '{name}': {error}"
            ) from error

    def _tag(self, name: str, commit: str) -> None:
        try:
            self.api.create_tag(self.name, tag=name, revision=commit)
        except Exception as error:
            # It may be there by a request before this one, whose answer was lost.
            if not _conflicts(error) or self.tagged(name) != commit:
                raise

    def _newest(self) -> str:
        return str(_patiently(lambda: self.api.model_info(self.name)).sha)

    def _found(self, commit: str, folder: Path) -> str:
        """Return a commit that appeared meanwhile, if it is the one that was sent."""
        sent = folder / MANIFEST_FILE
        try:
            there = download(Reference(self.name, commit), MANIFEST_FILE, sent.stat().st_size)
        except InputError:
            there = None
        if there is not None and there.read_bytes() == sent.read_bytes():
            return commit
        raise GanzooError(
            f"somebody else has just published {self.name}: look at it there, and try again"
        )

    def _speaking(self) -> AbstractContextManager[None]:
        return speaking(f"publish {self.name}", self.reference)


def _patiently(ask: Callable[[], Result]) -> Result:
    return patiently(ask, passing)


def _conflicts(error: Exception) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError) and error.response.status_code in (409, 412)


def _refuse_card(error: Exception) -> None:
    """Say what the Hub finds wrong with a card, if that is what it refuses.

    Raises:
        InputError: it is.
    """
    title, *faults = str(error).splitlines() or [""]
    if isinstance(error, ValueError) and title.startswith("Invalid metadata in README.md"):
        words = in_a_line("; ".join(fault.removeprefix("- ") for fault in faults))
        raise InputError(f"the Hub does not accept the card: {words}") from error
