"""A web page to try a model, on this machine or as a Space of the Hub.

``ganzoo demo`` serves the page, and ``ganzoo publish --space`` writes it as a Space. ``session``
draws from the model, ``page`` builds the page with Gradio, and ``serving`` and ``security`` serve
it.
"""

from __future__ import annotations

import importlib.util

from ganzoo.errors import InputError
from ganzoo.requirement import install_command

PORT = 7860
HOST = "127.0.0.1"


def require_gradio() -> None:
    """Check that Gradio is installed.

    Raises:
        InputError: Gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError(
            f"the demo needs packages that are not installed here: {install_command('demo')}"
        )
