"""A page to play with a model, in a browser: on this machine, or as a Space of the Hub.

``ganzoo demo`` shows it, ``ganzoo publish --space`` writes it as a Space. ``studio`` is what can be
asked of a model, without a page; ``page`` shows that by Gradio; ``serving`` and ``guard`` put it on
a port.
"""

from __future__ import annotations

import importlib.util

from ganzoo.errors import InputError

PORT = 7860
HOST = "127.0.0.1"


def require_gradio() -> None:
    """Refuse where Gradio is not installed.

    Raises:
        InputError: it is not.
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError(
            "the demo needs packages that are not installed here: pip install 'ganzoo[demo]'"
        )
