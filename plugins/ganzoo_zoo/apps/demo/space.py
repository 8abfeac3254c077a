"""The page as a Space of the Hub, and how it is run there."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ganzoo import Space
from ganzoo_zoo.apps.demo import require_gradio

APP = '''"""A page to play with {reference}, by ganzoo."""

from ganzoo_zoo.apps.demo.space import launch

launch({quoted})
'''


class DemoSpace(Space):
    """The page of ``ganzoo demo``, run by Gradio."""

    def check(self) -> None:
        """Refuse where Gradio is missing: the Space is to have the version that is here."""
        require_gradio()

    def metadata(self) -> Mapping[str, str]:
        """Name what runs here, Python as well: the Hub's own choice is an older one."""
        return {
            "sdk": "gradio",
            "sdk_version": importlib.metadata.version("gradio"),
            "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
            "app_file": "app.py",
        }

    def files(self, reference: str, requirements: Sequence[str]) -> Mapping[str, str]:
        """Return a script of a line, and what pip installs for it."""
        own = f"ganzoo[demo]=={importlib.metadata.version('ganzoo')}"
        return {
            "app.py": APP.format(reference=reference, quoted=json.dumps(reference)),
            "requirements.txt": "\n".join([own, *requirements]) + "\n",
        }


def launch(reference: str, **options: Any) -> None:
    """Load a model and serve its page as Gradio does, where the Hub asks for, until a signal.

    It is public there, with nothing behind it, and so nobody is refused.

    Args:
        reference: As for :func:`ganzoo.load`.
        options: Of Gradio's ``launch``, in place of the page's own.
    """
    from ganzoo.models.model import load
    from ganzoo_zoo.apps.demo.serving import raise_signals, working_folder

    model = load(reference)
    with suppress(KeyboardInterrupt), raise_signals(), working_folder() as place:
        from ganzoo_zoo.apps.demo.page import build_page, settings
        from ganzoo_zoo.apps.demo.session import Session

        build_page(Session(model, place / "drawn")).launch(**{**settings(), **options})
