"""Models for the Hub of the tests, and what must hold of any command that speaks to it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ganzoo
from ganzoo.models.write import write_model

NAME = "alice/digits"
NOISE = ("Traceback", "huggingface_hub", "httpx", "Retrying", "Warning", "%|", "hf_")
"""What only the client or Python itself says."""
UNKNOWN = {"X-Error-Message": "Invalid credentials in Authorization header"}
"""What the Hub says of a token that it does not know; else, 401 means that nothing is there."""
QUICK = "import ganzoo.models.hub\nganzoo.models.hub.PAUSES = (0.0, 0.0)"
"""Asks again at once, in the client's process."""
IMPATIENT = "import ganzoo.models.hub_limits\nganzoo.models.hub_limits.PATIENCE = seconds"
"""Waits so long for slow answers, in the client's process."""
SILENCE = "import ganzoo.models.hub_limits\nganzoo.models.hub_limits.SILENCE = seconds"
"""Waits so long for a server that says nothing, in the client's process."""
USE = """
import hashlib, time
import ganzoo

def drawn(model, revision=None):
    model = ganzoo.load(model, revision)
    return hashlib.sha256(model.sample(4, seed=3).numpy().tobytes()).hexdigest()
"""


@dataclass(frozen=True)
class Known:
    """A model, as the files of its repository and by the hash of what it draws."""

    files: dict[str, bytes]
    drawn: str

    @classmethod
    def of(cls, folder: Path) -> Known:
        drawn = ganzoo.load(folder).sample(4, seed=3).numpy().tobytes()
        return cls(content(folder), hashlib.sha256(drawn).hexdigest())


def content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each file of a folder, as a repository has them."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_other(run: Any, folder: Path, step: int = 3) -> Path:
    """Write a model of the networks of a run with other weights, as of an earlier step."""
    made = ganzoo.load(run)
    for parameter in made.generator.parameters():
        parameter.mul_(0.5)
    config = made.config.model_copy(update={"step": step})
    picture = run.model / "samples.png"
    write_model(folder, config, made.generator, made.discriminator, picture)
    return folder


def said(result: Any, code: int) -> str:
    """Assert that a command failed in a line or two and did nothing else; return them."""
    assert result.code == code, result
    assert result.out == "", "nothing was loaded or published"
    lines = result.err.splitlines()
    assert 1 <= len(lines) <= 2, result.err
    assert lines[0].startswith("Error: "), result.err
    assert not [word for word in NOISE if word in result.err], result.err
    return result.err


def whole(files: dict[str, bytes]) -> bool:
    """Tell whether files are those that their own manifest lists, and it lists a model."""
    records = json.loads(files["manifest.json"])
    return {"model.safetensors", "config.json"} <= records.keys() and all(
        (len(files[name]), hashlib.sha256(files[name]).hexdigest())
        == (record["size"], record["sha256"])
        for name, record in records.items()
    )


def sent(hub: Any) -> bytes:
    """Return all that a Hub was sent but the token's header, also what is sent as base64."""
    parts = []
    for request in hub.requests:
        headers = {k: text for k, text in request.headers.items() if k != "authorization"}
        parts += [request.target.encode(), str(headers).encode(), request.body]
        for line in request.body.splitlines():
            try:
                parts += [decoded for text in _texts(json.loads(line)) for decoded in _bytes(text)]
            except ValueError:
                continue
    return b"\n".join(parts)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _bytes(text: str) -> Iterator[bytes]:
    yield text.encode()
    try:
        yield base64.b64decode(text, validate=True)
    except binascii.Error:
        return


def assert_token_is_hidden(hub: Any, client: Any, printed: Any, *places: Path) -> None:
    """Assert that the token stands in headers to the Hub alone, and in the file of the login."""
    assert hub.token not in str(printed)
    assert hub.token.encode() not in sent(hub)
    for request in hub.requests:
        assert request.token == (None if request.to_storage else hub.token)
        assert (hub.token in str(request.headers)) != request.to_storage
    for place in (client.home, *places):
        for path in place.rglob("*"):
            if path.is_file() and path != client.home / "token":
                assert hub.token.encode() not in path.read_bytes(), path
