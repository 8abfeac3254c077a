"""The page as a Space of the Hub."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ganzoo import Space
from ganzoo.requirement import build_requirement
from ganzoo_zoo.apps.demo import require_gradio

APP = '''"""A page to play with {reference}, by ganzoo."""

from ganzoo_zoo.apps.demo.space import launch

launch({quoted})
'''


class DemoSpace(Space):
    """The page of ``ganzoo demo``, run by Gradio."""

    def check(self) -> None:
        """Check that Gradio is installed, because the Space uses the installed version."""
        require_gradio()

    def metadata(self) -> Mapping[str, str]:
        """Return the installed versions of Gradio and Python; the Hub's defaults are older."""
        return {
            "sdk": "gradio",
            "sdk_version": importlib.metadata.version("gradio"),
            "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
            "app_file": "app.py",
        }

    def files(self, reference: str, requirements: Sequence[str]) -> Mapping[str, str]:
        """Return the script of the Space and its requirements."""
        return {
            "app.py": APP.format(reference=reference, quoted=json.dumps(reference)),
            "requirements.txt": "\n".join([build_requirement("demo"), *requirements]) + "\n",
        }


def launch(reference: str, **options: Any) -> None:
    """Load a model and serve its page with Gradio's own server until a signal arrives.

    A Space is public and holds nothing private, so requests are not filtered.

    Args:
        reference: See :func:`ganzoo.load`.
        options: Options of Gradio's ``launch`` that override the page's own.
    """
    from ganzoo.models.model import load
    from ganzoo_zoo.apps.demo.serving import raise_signals, working_folder
    from ganzoo_zoo.apps.demo.terminal import escape_output

    model = load(reference)
    with suppress(KeyboardInterrupt), raise_signals(), working_folder() as place, escape_output():
        from ganzoo_zoo.apps.demo.page import build_page, settings
        from ganzoo_zoo.apps.demo.session import Session

        build_page(Session(model, place / "drawn")).launch(**{**settings(), **options})
