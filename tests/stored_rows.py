"""Rows that the store accepts, for tests of the store: small, or with the predictions of a whole test set."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import fingerprint, seeds_of_repeat


def make_row(repeat: int = 0, *, configuration: str = "lenet5", images: int = 0, **changes: Any) -> dict[str, Any]:
    """Make the row of one run; with `images` predictions of so many images; `changes` replace columns."""
    generator = np.random.default_rng([repeat, len(configuration)])
    configuration_id = fingerprint(configuration)
    return {
        "run_id": fingerprint([configuration, repeat]),
        "configuration_id": configuration_id,
        "study": "quick",
        "label": configuration,
        "architecture": configuration,
        "repeat": repeat,
        **{f"seed_{name}": seed for name, seed in asdict(seeds_of_repeat(repeat)).items()},
        **asdict(Hyperparameters()),
        "status": "ok",
        "attempts": 1,
        "resumed": False,
        "test_accuracy": float(generator.uniform(0.8, 0.9)),
        "placement": "shared",
        "history": [{"epoch": epoch, "train_loss": float(generator.random())} for epoch in (1, 2)],
        "test_predicted": generator.integers(0, 10, images, dtype=np.uint8),
        "test_confidence": generator.random(images).astype(np.float16),
        "data_fingerprint": "0123456789abcdef",
        "started_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=repeat),
    } | changes


def make_manifest(name: str = "quick") -> dict[str, Any]:
    """Make the manifest of a study of one configuration."""
    described = {"configuration_id": fingerprint("lenet5"), "label": "lenet5", "architecture": "lenet5"}
    return {
        "name": name,
        "question": "?",
        "primary_metric": "test_accuracy",
        "margins": {"test_accuracy": 0.002},
        "repeats": 3,
        "placement": "shared",
        "sequential_design": None,
        "configurations": [described],
    }
