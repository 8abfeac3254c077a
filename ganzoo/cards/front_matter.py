"""The metadata at the head of a card: YAML between two lines of ``---``."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ganzoo.errors import InputError, first_line

_FRONT = re.compile(r"\A\s*---\n(.*?)^---[ \t]*(?:\n|\Z)", re.MULTILINE | re.DOTALL)


def split(card: str) -> tuple[str, str]:
    """Split a card into the YAML at its head, empty if there is none, and what follows it."""
    found = _FRONT.match(card)
    return (found[1], card[found.end() :]) if found else ("", card)


def read(text: str) -> dict[str, Any]:
    """Read metadata.

    Raises:
        InputError: they are not YAML, or not keys with values.
    """
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("a value stands for another one (*); write it out")
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        # Lines count from 0 here, and the line of "---" comes before them.
        where = f" in line {mark.line + 2}" if mark else ""
        reason = getattr(error, "problem", None) or first_line(error)
        raise InputError(_error_message(f"{reason}{where}")) from None
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise InputError(_error_message("they are not keys with values"))
    return data


def _error_message(reason: str) -> str:
    return (
        f"the metadata at the head of the model card cannot be read: {reason}; "
        "fix them between the two lines of '---'"
    )


def to_yaml(data: dict[str, Any]) -> str:
    """Format metadata as YAML, as the Hub's client does; an empty text if there are none."""
    if not data:
        return ""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def update_yaml(text: str, data: dict[str, Any]) -> str:
    """Update YAML to contain ``data``, and keep the lines of ``text`` that need no change.

    So comments stay, and values keep the form in which a person wrote them.
    """
    before, (head, parts) = read(text), _split_keys(text)
    kept = {
        key: part
        for key, part in parts.items()
        if key in before and key in data and before[key] == data[key]
    }
    made = head + "".join(kept.get(key) or to_yaml({key: data[key]}) for key in data)
    try:
        same = read(made) == data
    except InputError:  # for example, if the end of the YAML is marked by "..."
        same = False
    return made if same else to_yaml(data)


def _split_keys(text: str) -> tuple[str, dict[str, str]]:
    """Return the lines before the first key, and the lines of each key."""
    node = yaml.compose(text, yaml.SafeLoader)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    keys = [key for key, _ in pairs]
    if not keys or any(key.start_mark.column for key in keys):
        return "", {}
    starts = [key.start_mark.index for key in keys]
    ends = [*starts[1:], len(text)]
    parts = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return text[: starts[0]], {key.value: part for key, part in zip(keys, parts, strict=True)}
