"""Names and size limits of the files of a model."""

from __future__ import annotations

from ganzoo.storage.json_files import JSON_LIMIT

GENERATOR_FILE = "model.safetensors"
DISCRIMINATOR_FILE = "discriminator.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
ORIGIN_FILE = "origin.json"
SCORES_FILE = "scores.json"
"""The scores of a model folder, beside its weights."""
PLACE_FILE = "hub.json"
"""Where on the Hub those files of a model of a package are that the package lacks."""
PICTURE_FILE = "samples.png"
SAMPLES_FILE = "samples.json"
"""The seed of the samples in the picture, and their hash."""
MANIFEST_FILE = "manifest.json"
LARGEST_PICTURE = 64 << 20
CURVE_FILE = "training.png"
LIMITS = {
    CONFIG_FILE: JSON_LIMIT,
    SCORES_FILE: JSON_LIMIT,
    MANIFEST_FILE: JSON_LIMIT,
    ORIGIN_FILE: JSON_LIMIT,
    SAMPLES_FILE: JSON_LIMIT,
    CARD_FILE: JSON_LIMIT,
    PICTURE_FILE: LARGEST_PICTURE,
    CURVE_FILE: LARGEST_PICTURE,
}
"""Bytes of a file, at most; files of weights are compared with their networks instead."""
