"""From values to verdicts: the samples of the pairs, and what tests of them decide."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from fmnist.compare.intervals import Array
from fmnist.declare import Metric

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PairSample:
    """The values of a pair over the repeats they share, and their differences on the scale of the analysis."""

    a: str
    b: str
    values_a: Array  # (n,) stored units
    values_b: Array
    differences: Array  # (n,) a - b, or log(a / b) for time, memory and size
    limit: float | None  # the margin on the same scale
    left_out: int  # repeats with a value of one of the two only
    no_ratio: int  # common repeats left out because a value is 0 or less


def pair_samples(table: pd.DataFrame, metric: Metric, margin: float | None) -> list[PairSample]:
    """Take the common repeats of every pair of columns of a metric_table, on the scale of the analysis."""
    return [_pair_sample(table, a, b, metric, margin) for a, b in itertools.combinations(table.columns, 2)]


def decide_verdict(mean: float, metric: Metric, *, different: bool, equivalent: bool) -> Verdict:
    """Give the verdict on a against b from what could be claimed of them; `mean` is their mean difference.

    Equivalent goes before better and worse: a difference surely below the smallest one that matters does not matter.
    """
    if equivalent:
        return "equivalent"
    if different:
        return "better" if (mean > 0) == (metric.direction == "up") else "worse"
    return "inconclusive"


def _pair_sample(table: pd.DataFrame, a: str, b: str, metric: Metric, margin: float | None) -> PairSample:
    both = table[[a, b]].dropna()
    relative = metric.by_ratio
    usable = both[(both > 0).all(axis=1)] if relative else both
    values_a, values_b = usable[a].to_numpy(), usable[b].to_numpy()
    limit = margin if margin is None or not relative else float(np.log1p(margin))
    return PairSample(
        a=a,
        b=b,
        values_a=values_a,
        values_b=values_b,
        differences=np.log(values_a) - np.log(values_b) if relative else values_a - values_b,
        limit=limit,
        left_out=int((table[a].notna() != table[b].notna()).sum()),
        no_ratio=len(both) - len(usable),
    )
