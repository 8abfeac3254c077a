"""A repository of the Hub to publish to, in one commit on a known parent or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ganzoo.errors import GanzooError, InputError
from ganzoo.models.folder import MANIFEST_ADAPTER, FileRecord
from ganzoo.models.hub import (
    LOGIN_HINT,
    Reference,
    Result,
    client_info,
    download,
    explain_hub_errors,
    find_token,
    has_hash,
    is_transient,
    retry,
    to_one_line,
)
from ganzoo.runs.file_names import LIMITS, MANIFEST_FILE
from ganzoo.storage.json_files import JSON_LIMIT

IGNORE_FILE = ".gitignore"


@dataclass(frozen=True)
class Publication:
    """What was published, or would be after a rehearsal."""

    repo: str
    files: dict[str, FileRecord]
    """Size and SHA-256 of every file, by name."""
    url: str | None = None
    commit: str | None = None
    """None if nothing was sent."""
    changed: bool = False
    """Whether there is a new commit; nothing is sent if the repository has it all already."""
    tag: str | None = None
    private: bool | None = None
    space: Publication | None = None
    """The Space that was published with a model."""


class Repository:
    """A repository at its newest commit; it is created if it does not exist.

    Args:
        name: ``user/name``.
        private: Whether it is private; an existing one must be private already.
        sdk: The SDK of a Space; None for a model.

    Raises:
        InputError: it exists and is public, but ``private`` is set.
        GanzooError: nobody is logged in, or the Hub cannot be reached or refuses.
    """

    def __init__(self, name: str, *, private: bool = False, sdk: str | None = None) -> None:
        from huggingface_hub import HfApi, constants

        if constants.HF_HUB_OFFLINE:
            raise GanzooError("HF_HUB_OFFLINE is set, so that nothing can be published")
        if find_token() is None:
            raise GanzooError(f"the Hub does not know you: {LOGIN_HINT}, or set HF_TOKEN")
        self.kind = "model" if sdk is None else "space"
        self.repo = name
        self.name = name if sdk is None else f"the Space {name}"
        self.reference = Reference(name, kind=self.kind)
        self.api = HfApi(**client_info())
        with self._explain_errors():
            made = _retry(
                lambda: self.api.create_repo(
                    name,
                    private=private or None,
                    repo_type=self.kind,
                    space_sdk=sdk,
                    exist_ok=True,
                )
            )
            self.url = str(made)
            about = self._info(files_metadata=True)
        self.private = bool(about.private)
        self.head = str(about.sha)
        self.files = {file.rfilename: file for file in about.siblings or ()}
        if private and not self.private:
            raise InputError(
                f"{self.name} exists already and is public: make it private on its page, or "
                "drop --private"
            )

    def text(self, name: str) -> str | None:
        """Read a text file of the newest commit; None if it has no such file.

        Raises:
            InputError: the file is too large, or not text.
            GanzooError: the file cannot be downloaded.
        """
        if name not in self.files:
            return None
        size = self.files[name].size or 0
        if size > LIMITS.get(name, JSON_LIMIT):
            raise InputError(f"{name} of {self.name} is too large: look at it there")
        for force in (False, True):  # the copy in the client's cache may be damaged
            path = download(self._reference_at(self.head), name, size, force=force)
            if self.has(path):
                break
        else:
            raise GanzooError(f"{name} of {self.name} arrived damaged; try again")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{name} of {self.name} is not text in UTF-8: fix it there") from None

    def has(self, path: Path) -> bool:
        """Tell whether the newest commit has a file of the same name and content."""
        there = self.files.get(path.name)
        if there is None or there.size != path.stat().st_size:
            return False
        return has_hash(path, there.lfs.sha256 if there.lfs else str(there.blob_id))

    def read_manifest(self) -> dict[str, FileRecord]:
        """Read the manifest of the newest commit; it is empty if there is none."""
        try:
            return MANIFEST_ADAPTER.validate_json(self.text(MANIFEST_FILE) or "{}")
        except ValidationError:
            return {}

    def publish(
        self,
        folder: Path,
        records: dict[str, FileRecord],
        message: str,
        tag: str | None = None,
        tagged: str | None = None,
    ) -> Publication:
        """Send files unless the newest commit has them all already, and set a tag.

        Files that the last publication listed, and this one does not, are removed.

        Args:
            folder: The folder of the files, including their manifest.
            records: All of them.
            message: The message of the commit.
            tag: A tag for the commit.
            tagged: The commit that has this tag already, if any.

        Raises:
            InputError: another commit has the tag, or as for :meth:`commit`.
            GanzooError: as for :meth:`commit`.
        """
        unchanged = all(self.has(folder / name) for name in records)
        if tag is not None and tagged is not None and (not unchanged or tagged != self.head):
            raise InputError(
                f"{self.name} has the tag '{tag}' already, of the commit {tagged[:8]}; nothing "
                "was published: choose another --revision"
            )
        commit = self.head
        if not unchanged:
            before = self.read_manifest().keys() & self.files.keys()
            commit = self.commit(folder, records, sorted(before - records.keys()), message)
        if tag is not None and tagged is None:
            self.tag(tag, commit)
        return Publication(self.repo, records, self.url, commit, not unchanged, tag, self.private)

    def find_tag(self, tag: str) -> str | None:
        """Return the commit of a tag; None if there is no such tag."""
        with self._explain_errors():
            tags = _retry(lambda: self.api.list_repo_refs(self.repo)).tags
        return next((ref.target_commit for ref in tags if ref.name == tag), None)

    def commit(self, folder: Path, names: Iterable[str], gone: Iterable[str], message: str) -> str:
        """Send files in one commit on top of the newest one, and return the new commit.

        Transient failures are retried as long as nobody else has committed. If the commit was
        made but the response to it was lost, it is found and returned.

        Args:
            folder: The folder of the files, including their manifest.
            names: Their names, in the folder and in the repository.
            gone: Names of files that the commit removes.
            message: The message of the commit.

        Raises:
            InputError: the repository has a list of ignored files, or the Hub does not accept
                the card.
            GanzooError: the Hub cannot be reached or refuses, or somebody else committed.
        """
        if IGNORE_FILE in self.files:  # the client would omit what it names, without a warning
            raise InputError(f"{self.name} has a {IGNORE_FILE}: remove it there, and publish again")
        names, gone = list(names), list(gone)

        def send() -> str:
            from huggingface_hub import CommitOperationAdd, CommitOperationDelete

            operations: list[CommitOperationAdd | CommitOperationDelete] = [
                *(CommitOperationAdd(name, str(folder / name)) for name in names),
                *(CommitOperationDelete(name) for name in gone),
            ]
            try:
                return self.api.create_commit(
                    self.repo,
                    operations,
                    commit_message=message,
                    repo_type=self.kind,
                    parent_commit=self.head,
                ).oid
            except Exception as error:
                _refuse_card(error)
                # Even if this attempt is refused, an earlier one may have succeeded since.
                if (is_transient(error) or _is_conflict(error)) and (
                    now := self._newest_commit()
                ) != self.head:
                    return self._confirm_commit(now, folder)
                raise

        with self._explain_errors():
            return _retry(send)

    def tag(self, name: str, commit: str) -> None:
        """Set a tag on a commit.

        Raises:
            GanzooError: the Hub cannot be reached or refuses.
        """
        try:
            with self._explain_errors():
                _retry(lambda: self._create_tag(name, commit))
        except GanzooError as error:
            raise GanzooError(
                f"{self.name} is published as {commit}, without its tag '{name}': {error}"
            ) from error

    def _create_tag(self, name: str, commit: str) -> None:
        try:
            self.api.create_tag(self.repo, tag=name, revision=commit)
        except Exception as error:
            # An earlier request, whose response was lost, may have set it.
            if not _is_conflict(error) or self.find_tag(name) != commit:
                raise

    def _info(self, **more: Any) -> Any:
        return _retry(lambda: self.api.repo_info(self.repo, repo_type=self.kind, **more))

    def _reference_at(self, commit: str) -> Reference:
        return replace(self.reference, revision=commit)

    def _newest_commit(self) -> str:
        return str(self._info().sha)

    def _confirm_commit(self, commit: str, folder: Path) -> str:
        """Return a commit that has appeared meanwhile if it is the one that was sent.

        Raises:
            GanzooError: it is somebody else's.
        """
        sent = folder / MANIFEST_FILE
        try:
            there = download(self._reference_at(commit), MANIFEST_FILE, sent.stat().st_size)
        except InputError:
            there = None
        if there is not None and there.read_bytes() == sent.read_bytes():
            return commit
        raise GanzooError(
            f"somebody else has just published {self.name}: look at it there, and try again"
        )

    def _explain_errors(self) -> AbstractContextManager[None]:
        return explain_hub_errors(f"publish {self.name}", self.reference)


def _retry(ask: Callable[[], Result]) -> Result:
    return retry(ask, is_transient)


def _is_conflict(error: Exception) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError) and error.response.status_code in (409, 412)


def _refuse_card(error: Exception) -> None:
    """Explain what the Hub finds wrong with a card, if that is the error.

    Raises:
        InputError: the Hub does not accept the card.
    """
    title, *faults = str(error).splitlines() or [""]
    if isinstance(error, ValueError) and title.startswith("Invalid metadata in README.md"):
        words = to_one_line("; ".join(fault.removeprefix("- ") for fault in faults))
        raise InputError(f"the Hub does not accept the card: {words}") from error
