"""Accuracy against time and memory: time to a target, performance profile, Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fmnist.statistics.intervals import Array

TARGET_ACCURACY = 0.85  # validation accuracy that times are taken to: fixed, so that no study's runs move it


def times_to_target(offsets: npt.NDArray[np.integer], accuracy: Array, seconds: Array, target: float) -> Array:
    """Seconds of training of each run until the epoch at whose end validation accuracy first reaches `target`.

    Run i has the epochs offsets[i] to offsets[i + 1] of the flat arrays; `offsets` has the shape (runs + 1,), as a
    pyarrow list column gives it; `target` is in [0, 1]. Returns shape (runs,): infinite where the run ends without
    reaching it; NaN where it has no epochs, or an epoch up to that one has no time.
    """
    starts, ends = np.asarray(offsets[:-1], dtype=np.int64), np.asarray(offsets[1:], dtype=np.int64)
    hits = np.flatnonzero(accuracy >= target)  # NaN never reaches it
    # first hit at or after each start; a sentinel behind the last epoch stands for none
    first = np.append(hits, len(accuracy))[np.searchsorted(hits, starts)]
    reached = first < ends
    elapsed = np.concatenate(([0.0], np.cumsum(np.nan_to_num(seconds))))
    unknown = np.concatenate(([0], np.cumsum(np.isnan(seconds))))
    stop = np.where(reached, first + 1, starts)
    times = np.where(reached, elapsed[stop] - elapsed[starts], np.inf)
    return np.where((ends == starts) | (unknown[stop] > unknown[starts]), np.nan, times)


def performance_profile(costs: pd.DataFrame) -> pd.DataFrame:
    """Share of repeats in which a label's cost is within a factor of the best: index factor (>= 1), a column per label.

    Dolan and More (2002), Mathematical Programming 91. `costs` has repeats as index and labels as columns, smaller is
    better, infinite is a miss (no factor reaches it). Repeats that lack a label's cost (NaN) are left out, for all.
    The index holds every factor at which a share changes, from 1; the profile is a step function, constant up to the
    next index. Raises ValueError for a cost that is 0 or less. No complete repeat: an empty frame.
    """
    complete = costs.dropna()
    if (complete <= 0).any(axis=None):
        raise ValueError(f"costs: got {float(complete.to_numpy(dtype=np.float64).min())}, expected numbers above 0")
    if complete.empty:
        return pd.DataFrame(columns=costs.columns, index=pd.Index([], name="factor", dtype=float))
    values = complete.to_numpy(dtype=np.float64)
    best = values.min(axis=1, keepdims=True)
    factors = np.where(np.isinf(values), np.inf, values / np.where(np.isinf(best), 1.0, best))
    steps = np.unique(np.append(factors[np.isfinite(factors)], 1.0))
    shares = (factors[None] <= steps[:, None, None]).mean(axis=1)
    return pd.DataFrame(shares, columns=costs.columns, index=pd.Index(steps, name="factor"))


def pareto_front(points: Array, directions: Sequence[Literal["up", "down"]]) -> npt.NDArray[np.bool_]:
    """Mark the rows of `points`, shape (n, metrics), that no other row beats.

    A row is beaten by one that is at least as good in every metric (`directions` say which way that is) and better in
    one. Equal rows do not beat each other. A row with a NaN is never marked and beats none.
    """
    better_down = points * np.where(np.array(directions) == "up", -1.0, 1.0)
    at_least = (better_down[:, None] <= better_down[None]).all(axis=2)  # [i, j]: row i is at least as good as row j
    better = (better_down[:, None] < better_down[None]).any(axis=2)
    return np.asarray(~np.isnan(points).any(axis=1) & ~(at_least & better).any(axis=0), dtype=np.bool_)
