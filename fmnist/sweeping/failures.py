"""The row of a run that was given up: what was asked for, and why there is nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fmnist.study import RunSpec


def identity(run: RunSpec) -> dict[str, Any]:
    """Columns that say which run a row is of: identity, hyperparameters, placement and data."""
    configuration = run.configuration
    return {
        "run_id": run.run_id,
        "configuration_id": run.configuration_id,
        "study": run.study,
        "label": configuration.label,
        "architecture": configuration.architecture,
        "repeat": run.repeat,
        **{f"seed_{name}": seed for name, seed in asdict(run.seeds).items()},
        **asdict(configuration.hyperparameters),
        "placement": run.placement,
        "data_fingerprint": run.data_fingerprint,
    }


def failed_row(run: RunSpec, error: str, attempts: int) -> dict[str, Any]:
    """Make the row of a run that failed `attempts` times, the last time with `error`."""
    return {**identity(run), "status": "failed", "error": error, "attempts": attempts, "resumed": False}
