"""From values to verdicts: the samples of the pairs, their tests adjusted over the family, and what these decide."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from fmnist.schema import Metric
from fmnist.statistics.intervals import Array
from fmnist.statistics.paired_tests import PairTests, holm

Verdict = Literal["better", "worse", "equivalent", "undecided"]
RELATIVE_KINDS = ("time", "memory", "size")  # compared by ratio: the margin is a fraction


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


def adjust(tests: Sequence[PairTests]) -> list[PairTests]:
    """Adjust each of the three kinds of p value over the family of pairs, by Holm's procedure."""
    signed_rank_p, difference_p, equivalence_p = holm(
        np.array([[p.signed_rank_p, p.difference_p, p.equivalence_p] for p in tests]).reshape(-1, 3).T
    )
    return [
        replace(
            pair,
            signed_rank_p=float(signed_rank_p[place]),
            difference_p=float(difference_p[place]),
            equivalence_p=float(equivalence_p[place]),
        )
        for place, pair in enumerate(tests)
    ]


def decide_verdict(mean: float, tests: PairTests, metric: Metric, alpha: float) -> Verdict:
    """Give the verdict on a against b from adjusted p values; `mean` is their mean difference.

    Equivalent goes before better and worse: a difference surely below the smallest one that matters does not matter.
    A p of NaN claims nothing.
    """
    if tests.equivalence_p <= alpha:
        return "equivalent"
    if tests.difference_p <= alpha:
        return "better" if (mean > 0) == (metric.direction == "up") else "worse"
    return "undecided"


def _pair_sample(table: pd.DataFrame, a: str, b: str, metric: Metric, margin: float | None) -> PairSample:
    both = table[[a, b]].dropna()
    relative = metric.kind in RELATIVE_KINDS
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
