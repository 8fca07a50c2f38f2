"""All configurations at once: the Friedman test with repeats as blocks, average ranks, and cliques for the diagram.

What it generalises to: the blocks are repeats (seeds and validation splits) of one data set, not the data sets of
Demsar (2006). A significant result says that the order of the configurations is not chance across seeds on this data;
it says nothing of other data. The pairs (comparison.compare_pairs) answer the question; the ranks show it on one line.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special, stats

from fmnist.compare.comparable import metric_table
from fmnist.compare.comparison import PairComparison
from fmnist.compare.intervals import Array, is_constant
from fmnist.declare import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Friedman:
    """The Friedman test over the complete repeats; p values are NaN where it cannot be made."""

    labels: tuple[str, ...]  # by average rank, the best first; ties alphabetical
    average_ranks: tuple[float, ...]  # of `labels`; 1 is best, ties share their mean; NaN for n = 0
    n: int  # blocks: repeats in which every label has a value
    left_out: int  # repeats that lack a value of some label
    f_statistic: float  # Iman and Davenport's F; infinite where all repeats rank alike
    p: float  # the one to report: of F; where all repeats rank alike the exact chance of that


def friedman(frame: pd.DataFrame, metric: Metric, labels: Sequence[str] | None = None) -> Friedman:
    """Test whether the labels differ at all, repeats as blocks; needs at least 3 labels and 2 complete repeats.

    Friedman (1937), JASA 32, corrected for ties; F = (n - 1) chi2 / (n (k - 1) - chi2) on k - 1 and (k - 1)(n - 1)
    degrees of freedom, Iman and Davenport (1980), which Demsar (2006, section 3.2.2) prefers since chi-square is too
    cautious. Ranks are free of the scale, so time and memory need no logarithm. Assumes independent blocks.
    """
    table = metric_table(frame, metric, labels)
    values = table.dropna().to_numpy()
    ranks = stats.rankdata(-values if metric.direction == "up" else values, axis=1) if len(values) else values
    averages = ranks.mean(axis=0) if len(ranks) else np.full(table.shape[1], np.nan)
    order = sorted(zip(averages.tolist(), map(str, table.columns), strict=True))
    n, k = ranks.shape
    f_statistic = p = float("nan")
    if n > 1 and k > 2 and not is_constant(ranks).all():
        f_statistic, p = _iman_davenport(ranks)
    return Friedman(
        labels=tuple(label for _, label in order),
        average_ranks=tuple(rank for rank, _ in order),
        n=n,
        left_out=len(table) - n,
        f_statistic=f_statistic,
        p=p,
    )


def cliques(order: Sequence[str], comparisons: Sequence[PairComparison]) -> list[tuple[str, ...]]:
    """Group labels that no verdict tells apart: the bars of a critical-difference diagram.

    `order` has the labels by average rank. A clique is a longest stretch of `order` (2 labels or more) in which no
    pair is `better` or `worse`, so that a bar is true of every label beneath it. Two labels may be alike although one
    between them differs from either; no bar can say so, and `unbarred_pairs` names them.
    """
    apart = _told_apart(comparisons)
    stretches: list[tuple[int, int]] = []
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(frozenset((order[end], other)) in apart for other in order[start:end]):
            end += 1
        if end - start > 1 and not any(end <= last for _, last in stretches):
            stretches.append((start, end))
    return [tuple(order[start:end]) for start, end in stretches]


def unbarred_pairs(groups: Sequence[Sequence[str]], comparisons: Sequence[PairComparison]) -> list[tuple[str, str]]:
    """List pairs that no verdict tells apart and no clique joins, to be named beneath the diagram."""
    apart = _told_apart(comparisons)
    pairs = [(pair.a, pair.b) for pair in comparisons if frozenset((pair.a, pair.b)) not in apart]
    return [(a, b) for a, b in pairs if not any(a in group and b in group for group in groups)]


def _told_apart(comparisons: Sequence[PairComparison]) -> set[frozenset[str]]:
    return {frozenset((pair.a, pair.b)) for pair in comparisons if pair.verdict in ("better", "worse")}


def _iman_davenport(ranks: Array) -> tuple[float, float]:
    """F and its p; where all repeats rank alike F is infinite and p the exact chance of that, which is never 0."""
    n, k = ranks.shape
    if np.all(ranks == ranks[0]):
        ties = np.unique(ranks[0], return_counts=True)[1]
        orders = math.factorial(k) / math.prod(math.factorial(int(size)) for size in ties)
        return float("inf"), max(math.exp((1 - n) * math.log(orders)), sys.float_info.min)
    statistic = float(stats.friedmanchisquare(*ranks.T).statistic)
    f_statistic = (n - 1) * statistic / (n * (k - 1) - statistic)
    return f_statistic, float(special.fdtrc(k - 1, (k - 1) * (n - 1), f_statistic))
