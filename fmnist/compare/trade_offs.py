"""Accuracy against time and memory: time to a target, Pareto front."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from fmnist.compare.intervals import Array

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


def pareto_front(points: Array, directions: Sequence[Literal["up", "down"]]) -> npt.NDArray[np.bool_]:
    """Mark the rows of `points`, shape (n, metrics), that no other row beats.

    A row is beaten by one that is at least as good in every metric (`directions` say which way that is) and better in
    one. Equal rows do not beat each other. A row with a NaN is never marked and beats none.
    """
    better_down = points * np.where(np.array(directions) == "up", -1.0, 1.0)
    at_least = (better_down[:, None] <= better_down[None]).all(axis=2)  # [i, j]: row i is at least as good as row j
    better = (better_down[:, None] < better_down[None]).any(axis=2)
    return np.asarray(~np.isnan(points).any(axis=1) & ~(at_least & better).any(axis=0), dtype=np.bool_)
