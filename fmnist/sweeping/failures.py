"""The row of a run that was given up: what was asked for, and why there is nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fmnist.study import RunSpec


def failed_row(run: RunSpec, error: str, attempts: int) -> dict[str, Any]:
    """Make the row of a run that failed `attempts` times, the last time with `error`."""
    given_up = {"status": "failed", "error": error, "attempts": attempts, "resumed": False}
    return {**run.columns(), **given_up, "started_at": datetime.now(UTC)}  # of two such rows the later one counts
