"""The metadata at the head of a card: YAML between two lines of ``---``."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ganzoo.errors import InputError, first_line

_FRONT = re.compile(r"\A\s*---\n(.*?)^---[ \t]*(?:\n|\Z)", re.MULTILINE | re.DOTALL)


def split(card: str) -> tuple[str, str]:
    """Return the YAML at the head of a card, none if it has none, and what comes after it."""
    found = _FRONT.match(card)
    return (found[1], card[found.end() :]) if found else ("", card)


def read(text: str) -> dict[str, Any]:
    """Read metadata.

    Raises:
        InputError: they are no YAML, or not keys with values.
    """
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("a value stands for another one (*); write it out")
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        # The line of "---" comes before the first of these.
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
        "mend them between the two lines of '---'"
    )


def to_yaml(data: dict[str, Any]) -> str:
    """Return metadata as YAML, as the Hub's client writes it; nothing for none."""
    if not data:
        return ""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def update_yaml(text: str, data: dict[str, Any]) -> str:
    """Return YAML that says what ``data`` says, with the lines of ``text`` that say it already.

    So comments stay, and so does how a person wrote a value.
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
    except InputError:  # as where the end of the YAML is marked
        same = False
    return made if same else to_yaml(data)


def _split_keys(text: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the first key, and the lines of each key."""
    node = yaml.compose(text, yaml.SafeLoader)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    keys = [key for key, _ in pairs]
    if not keys or any(key.start_mark.column for key in keys):
        return "", {}
    starts = [key.start_mark.index for key in keys]
    ends = [*starts[1:], len(text)]
    parts = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return text[: starts[0]], {key.value: part for key, part in zip(keys, parts, strict=True)}


def merge(new: dict[str, Any], old: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return new metadata with what a person changed in the old ones.

    Args:
        new: What is written now.
        old: What is there.
        before: What was written then, without which all of ``old`` is a person's.
    """
    made = dict(old)
    for key, value in new.items():
        if key not in (*_OWN, *_SHARED):
            made.setdefault(key, value)
    for key in _SHARED:
        if old.get(key) == before.get(key):
            _set_or_remove(made, key, new.get(key))
    _set_or_remove(made, "library_name", new["library_name"])
    _set_or_remove(made, "license", new.get("license") or old.get("license"))
    _set_or_remove(made, "tags", _merge_tags(new, old, before))
    _set_or_remove(
        made, "model-index", _merge_results(new.get("model-index"), old.get("model-index"))
    )
    return {key: made[key] for key in _merge_keys(list(old), list(new)) if key in made}


_SHARED = ("pipeline_tag", "base_model")
_OWN = ("library_name", "license", "tags", "model-index")


def _merge_keys(old: list[str], new: list[str]) -> list[str]:
    """Return the old keys with the new ones among them, each before the next one that is there."""
    names = list(old)
    for i, key in enumerate(new):
        if key not in names:
            places = [names.index(name) for name in new[i + 1 :] if name in names]
            names.insert(places[0] if places else len(names), key)
    return names


def _set_or_remove(data: dict[str, Any], key: str, value: Any) -> None:
    if value:
        data[key] = value
    else:
        data.pop(key, None)


def _merge_tags(new: dict[str, Any], old: dict[str, Any], before: dict[str, Any]) -> list[Any]:
    """Return the old tags in their order, without those that are given no more, then new ones."""
    now, there, then = (_as_list(data.get("tags")) for data in (new, old, before))
    kept = [tag for tag in there if tag in now or tag not in then]
    return kept + [tag for tag in now if tag not in there and tag not in then]


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _merge_results(new: Any, old: Any) -> Any:
    """Return a model's index of results: those of now, and those of somebody else's making."""
    if not isinstance(old, list) or not all(isinstance(model, dict) for model in old):
        return new or old
    others = [{**model, "results": _foreign_results(model.get("results"))} for model in old]
    others = [model for model in others if model["results"]]
    if not new:
        return others
    (mine,) = new
    same = [model for model in others if model.get("name") == mine["name"]]
    results = [result for model in same for result in model["results"]]
    rest = [model for model in others if model.get("name") != mine["name"]]
    return [{**mine, "results": [*mine["results"], *results]}, *rest]


def _foreign_results(results: Any) -> list[Any]:
    """Return the results of a model that were not found by ganzoo."""
    kept = []
    for result in _as_list(results):
        metrics = result.get("metrics") if isinstance(result, dict) else None
        if not isinstance(metrics, list) or "source" in result:
            kept.append(result)
        elif others := [metric for metric in metrics if not _is_own(metric)]:
            kept.append({**result, "metrics": others})
    return kept


def _is_own(metric: Any) -> bool:
    """Tell whether a result was found by ganzoo: it says how, as no other does."""
    args = metric.get("args") if isinstance(metric, dict) else None
    return isinstance(args, dict) and {"real_samples", "fake_samples", "versions"} <= args.keys()
