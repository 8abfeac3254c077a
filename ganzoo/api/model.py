"""Trained models for Python: loading, saving and publishing them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from ganzoo.models import model as models
from ganzoo.models.find import find_model
from ganzoo.models.hub import use_token
from ganzoo.storage.paths import user_path

if TYPE_CHECKING:
    from ganzoo.publishing.repository import Publication
    from ganzoo.runs.folder import Run


class Model(models.Model):
    """A trained model: ``model.sample(16, seed=0)`` draws samples from its generator.

    :func:`ganzoo.load` returns one. Its methods to load, save and publish are called as in
    ``huggingface_hub``; files are those of ganzoo, verified by their hashes and without code.
    """

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | Run | None = None,
        *,
        revision: str | None = None,
        token: str | None = None,
    ) -> Self:
        """Load a model, as :func:`ganzoo.load` does.

        Args:
            model: ``user/name`` or ``user/name@revision`` on the Hub, a name of
                ``ganzoo list models``, a model folder or a run; the newest run if None.
            revision: Branch, tag or commit on the Hub.
            token: Your token of the Hub, for a private model; that of the client's login, or
                ``HF_TOKEN``, if None. With a token all files are downloaded at once, as it is kept
                nowhere.

        Raises:
            InputError: there is no such model, or its files do not fit each other.
            ganzoo.errors.PluginError: a package that provides one of its components is not
                installed.
            GanzooError: the Hub cannot be reached, or refuses.
        """
        with use_token(token):
            folder = find_model(model, revision)
            loaded = models.load_folder(folder)
            for name in folder.records if token is not None else ():
                folder.file(name)
        return cls(folder, loaded.config, loaded.architecture, loaded.generator)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model into a folder of its own, which :func:`ganzoo.load` takes.

        The files are those that :meth:`push_to_hub` would send: weights, configuration without
        folders of this machine, card, picture, scores and curve. What people wrote into the card
        stays. Truncation is no part of a model.

        Args:
            folder: The folder. An earlier model there is replaced; nothing else is.

        Returns:
            The folder.

        Raises:
            InputError: the folder holds something else, or the generator was changed since it was
                loaded.
            GanzooError: a file of the model cannot be downloaded.
        """
        from ganzoo.publishing.save import save_model

        place = user_path(folder)
        save_model(self.find_files(), place)
        return place

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool = False,
        token: str | None = None,
        revision: str | None = None,
        license: str | None = None,
        permitted: bool = False,
        dry_run: bool = False,
    ) -> Publication:
        """Publish the model on the Hugging Face Hub; :func:`ganzoo.publish` has more options.

        Args:
            repo: ``user/name``; the repository is created if it does not exist.
            private: Whether the repository is private.
            token: Your token of the Hub; that of the client's login, or ``HF_TOKEN``, if None.
            revision: A tag for the commit.
            license: Licence of the model, by the Hub's identifier; if None, that of its card.
            permitted: Whether you may publish imported weights whose licence does not allow it to
                everybody.
            dry_run: Whether to stop before anything is sent or requested.

        Returns:
            What was published: its files, ``url`` and ``commit``.

        Raises:
            InputError: the model must not be published as it is, or was changed since it was
                loaded.
            GanzooError: the Hub cannot be reached, refuses, or has changed meanwhile.
        """
        from ganzoo.publishing.publish import publish

        return publish(
            self,
            repo,
            private=private,
            token=token,
            revision=revision,
            license=license,
            permitted=permitted,
            dry_run=dry_run,
        )


def load(model: str | Path | Run | None = None, revision: str | None = None) -> Model:
    """Load a model from a run, a folder or the Hub; from the newest run if None.

    Networks are built from the registry alone: no file of a model can name code to import. Files
    are verified by their hashes. Weights must fit their networks and be finite. Options that are
    paths or URLs are dropped, unless the model lies in its run.

    Args:
        model: A run, its folder, a model folder, a name of ``ganzoo list models``, or
            ``user/name`` or ``user/name@revision`` on the Hub.
        revision: Branch, tag or commit on the Hub. It is resolved to one commit, and all files are
            taken from that commit; a commit in the cache needs no network.

    Raises:
        InputError: there is no such model, or its files do not fit each other.
        ganzoo.errors.PluginError: a package that provides one of its components is not installed.
        GanzooError: the Hub cannot be reached, or refuses.
    """
    return Model.from_pretrained(model, revision=revision)
