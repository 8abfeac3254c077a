"""A repository of the Hub that is written to: one commit on a known parent, or none at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from ganzoo.errors import GanzooError, InputError
from ganzoo.hub import LOGIN, Reference, download, library, passing, speaking
from ganzoo.model_files import LIMITS, MANIFEST_FILE

PAUSES = (1.0, 2.0)
"""Seconds before what failed is tried again; there are as many tries more."""
IGNORING = ".gitignore"

Result = TypeVar("Result")


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
        self.sizes = {file.rfilename: file.size or 0 for file in about.siblings or ()}
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
        if name not in self.sizes:
            return None
        if self.sizes[name] > LIMITS[name]:
            raise InputError(f"{name} of {self.name} is too large to go on with: look at it there")
        path = download(Reference(self.name, self.head), name, self.sizes[name])
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{name} of {self.name} is no text in UTF-8: mend it there") from None

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
            GanzooError: the Hub cannot be reached or refuses, or somebody else committed.
        """
        if IGNORING in self.sizes:  # what it names would be left out without a word
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
                if passing(error) and (now := self._newest()) != self.head:
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
                _patiently(
                    lambda: self.api.create_tag(self.name, tag=name, revision=commit, exist_ok=True)
                )
        except GanzooError as error:
            raise GanzooError(
                f"{self.name} is published as {commit}, without its tag '{name}': {error}"
            ) from error

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
    """Ask again, a few times, what fails for the moment."""
    for pause in PAUSES:
        try:
            return ask()
        except Exception as error:
            if not passing(error):
                raise
            time.sleep(pause)
    return ask()
