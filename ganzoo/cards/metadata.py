"""The metadata of a model card: what the Hub lists a model by, and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ganzoo.cards.merge import choose, find_place
from ganzoo.errors import escape_text
from ganzoo.storage.paths import strip_folders

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from ganzoo.config import ModelConfig, Origin
    from ganzoo.runs.scores import ScoreRow

LIBRARY = "ganzoo"
OTHER_TASK = "other"
"""The Hub's task for the scores of a model that has none of its tasks, such as one of points."""
SINGLE_KEYS = ("pipeline_tag", "base_model", "thumbnail")
"""Keys of one value, which a person may replace."""
LIST_KEYS = ("datasets", "metrics", "tags")
"""Keys of several values, to each of which a person may add, and of which they may remove some."""
GENERATED_KEYS = ("library_name", "license", *SINGLE_KEYS, *LIST_KEYS, "model-index")
"""Keys that ganzoo writes; an empty value of one is omitted."""


def build_metadata(
    config: ModelConfig,
    rows: Sequence[ScoreRow],
    *,
    task: str | None,
    class_conditional: bool,
    license: str | list[str] | None,
    origin: Origin | None = None,
    hub_id: str | None = None,
    thumbnail: str | None = None,
) -> dict[str, Any]:
    """Return the metadata of a model.

    Args:
        config: What the model is.
        rows: Its scores.
        task: The Hub's name of what it does; None if the Hub has none.
        class_conditional: Whether it is tagged as one whose samples' class can be chosen.
        license: Identifier of its licence.
        origin: Where its weights come from, if they were imported.
        hub_id: Id of its training data on the Hub, if they are known to be there.
        thumbnail: Address of its picture.
    """
    init = config.init
    tags = [LIBRARY, "gan", escape_text(config.architecture.name)]
    # What an imported model was trained with is not known for certain.
    tags += [escape_text(config.loss.name)] if origin is None else []
    tags += ["class-conditional"] if class_conditional else []
    metadata = {
        "library_name": LIBRARY,
        "pipeline_tag": task,
        "license": license,
        # A model without a revision is not on the Hub, and so has no name there.
        "base_model": escape_text(init.name) if init and init.revision else None,
        "datasets": [escape_text(hub_id)] if hub_id else None,
        "metrics": list(dict.fromkeys(escape_text(row.metric) for row in rows)) or None,
        "thumbnail": thumbnail,
        "tags": list(dict.fromkeys(tags)),
    }
    if rows:
        # Imported here, because a training that ends without scores need not wait for it.
        from huggingface_hub import ModelCardData

        results = [_build_result(row, task or OTHER_TASK) for row in rows]
        data = ModelCardData(model_name=escape_text(config.title), eval_results=results)
        metadata |= data.to_dict()
    return {key: value for key, value in metadata.items() if value is not None}


def _build_result(row: ScoreRow, task: str) -> EvalResult:
    """Return a score in the form of the Hub's metadata, with its whole protocol.

    The client groups results by everything but ``dataset_args``. So the fingerprint is the
    revision too: otherwise results on other data of the same name would be merged.
    """
    from huggingface_hub import EvalResult

    data = {key: escape_text(value) for key, value in row.data.items()}
    better = "higher" if row.higher_is_better else "lower"
    args = row.model_dump(
        mode="json",
        include={"fake_samples", "real_samples", "seed", "repeats", "std", "image_size", "step"},
    )
    args["options"] = strip_folders(row.options)
    if row.features:
        args["features"] = row.features
    return EvalResult(
        task_type=task,
        dataset_type=data["name"],
        dataset_name=data["name"],
        dataset_split=data.get("split"),
        dataset_revision=data.get("fingerprint"),
        dataset_args={"fingerprint": data.get("fingerprint")},
        metric_type=escape_text(row.metric),
        metric_name=f"{escape_text(row.metric)}, {better} is better",
        metric_value=row.value,
        metric_args={**args, "versions": row.versions},
    )


def merge_metadata(
    new: Mapping[str, Any], old: Mapping[str, Any], written: Mapping[str, Any]
) -> dict[str, Any]:
    """Merge new metadata with what a person changed in the old ones.

    Args:
        new: What ganzoo writes now.
        old: What is there.
        written: What ganzoo wrote then; empty if all of ``old`` is a person's.
    """
    merged = dict(old)
    for key in SINGLE_KEYS:
        merged[key] = choose(new.get(key), old.get(key), written.get(key))
    for key in LIST_KEYS:
        if not new.get(key) and not written.get(key):
            continue  # all of it is a person's, in whatever form
        merged[key] = _merge_lists(*(_to_list(each.get(key)) for each in (new, old, written)))
    merged["library_name"] = new["library_name"]
    merged["license"] = new.get("license") or old.get("license")
    merged["model-index"] = _merge_results(new.get("model-index"), old.get("model-index"))
    keys = list(old)
    for i, key in enumerate(new_keys := list(new)):
        if key not in keys:
            keys.insert(find_place(keys, new_keys[i + 1 :]), key)
    return {key: merged[key] for key in keys if merged.get(key) or key not in GENERATED_KEYS}


def _merge_lists(new: list[Any], old: list[Any], written: list[Any]) -> list[Any]:
    """Merge values one by one: the old ones in their order, then the new ones."""
    values = old + [value for value in new if value not in old]
    return [value for value in values if choose(value in new, value in old, value in written)]


def _to_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _merge_results(new: Any, old: Any) -> Any:
    """Return an index of results: the new ones, and the old ones that ganzoo did not find."""
    if not isinstance(old, list) or not all(isinstance(model, dict) for model in old):
        return new or old
    others = [{**model, "results": _select_foreign(model.get("results"))} for model in old]
    others = [model for model in others if model["results"]]
    if not new:
        return others
    (mine,) = new
    same = [model for model in others if model.get("name") == mine["name"]]
    results = [result for model in same for result in model["results"]]
    rest = [model for model in others if model.get("name") != mine["name"]]
    return [{**mine, "results": [*mine["results"], *results]}, *rest]


def _select_foreign(results: Any) -> list[Any]:
    """Return the results of a model that ganzoo did not find."""
    foreign = []
    for result in _to_list(results):
        metrics = result.get("metrics") if isinstance(result, dict) else None
        if not isinstance(metrics, list) or "source" in result:
            foreign.append(result)
        elif others := [metric for metric in metrics if not _is_own(metric)]:
            foreign.append({**result, "metrics": others})
    return foreign


def _is_own(metric: Any) -> bool:
    """Tell whether ganzoo found a result: only its results name their whole protocol."""
    args = metric.get("args") if isinstance(metric, dict) else None
    return isinstance(args, dict) and {"real_samples", "fake_samples", "versions"} <= args.keys()
