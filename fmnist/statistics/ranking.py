"""All configurations at once: the Friedman test with repeats as blocks, average ranks, and cliques for the diagram.

What it generalises to: the blocks are repeats (seeds and validation splits) of one data set, not the data sets of
Demsar (2006). A significant result says that the order of the configurations is not chance across seeds on this data;
it says nothing of other data. The pairs (comparison.compare_pairs) answer the question; the ranks show it on one line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special, stats

from fmnist.comparison import PairComparison
from fmnist.schema import Metric
from fmnist.statistics.comparable import metric_table
from fmnist.statistics.intervals import SAME, Array, join_notes

GENERALISES_TO = (
    "Blocks are repeats: the test speaks of new seeds and validation splits on this data set, not of other data sets."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Friedman:
    """The Friedman test over the complete repeats; p values are NaN where it cannot be made."""

    metric: str
    labels: tuple[str, ...]  # by average rank, the best first; ties alphabetical
    average_ranks: tuple[float, ...]  # of `labels`; 1 is best; NaN for n = 0
    n: int  # blocks: repeats in which every label has a value
    left_out: int  # repeats that lack a value of some label
    statistic: float  # Friedman's chi-square, corrected for ties
    chi_square_p: float  # chi-square with k - 1 degrees of freedom: rough at small n
    f_statistic: float  # Iman and Davenport's F; infinite where all repeats rank alike
    p: float  # the one to report: of F; where all repeats rank alike the exact chance of that
    note: str


def friedman(frame: pd.DataFrame, metric: Metric, labels: Sequence[str] | None = None) -> Friedman:
    """Test whether the labels differ at all, repeats as blocks; needs at least 3 labels and 2 complete repeats.

    Friedman (1937), JASA 32; F = (n - 1) chi2 / (n (k - 1) - chi2) on k - 1 and (k - 1)(n - 1) degrees of freedom,
    Iman and Davenport (1980), which Demsar (2006, section 3.2.2) prefers since chi-square is too cautious. Ranks are
    free of the scale, so time and memory need no logarithm. Assumes independent blocks.
    """
    table = metric_table(frame, metric, labels)
    complete = table.dropna()
    ranks = rank_rows(complete.to_numpy(), metric)
    averages = ranks.mean(axis=0) if len(ranks) else np.full(table.shape[1], np.nan)
    order = sorted(range(table.shape[1]), key=lambda column: (averages[column], str(table.columns[column])))
    statistic, f_statistic = friedman_statistic(ranks), float("nan")
    chi_square_p = p = float("nan")
    n, k = ranks.shape
    if not math.isnan(statistic):
        chi_square_p = float(special.chdtrc(k - 1, statistic))
        f_statistic, p = _iman_davenport(ranks, statistic)
    return Friedman(
        metric=metric.name,
        labels=tuple(str(table.columns[column]) for column in order),
        average_ranks=tuple(float(averages[column]) for column in order),
        n=n,
        left_out=len(table) - n,
        statistic=statistic,
        chi_square_p=chi_square_p,
        f_statistic=f_statistic,
        p=p,
        note=_friedman_note(n, k, len(table) - n, statistic),
    )


def average_ranks(frame: pd.DataFrame, metric: Metric, labels: Sequence[str] | None = None) -> dict[str, float]:
    """Average rank of each label over the complete repeats, the best (lowest) first; NaN where there is none."""
    tested = friedman(frame, metric, labels)
    return dict(zip(tested.labels, tested.average_ranks, strict=True))


def rank_rows(values: Array, metric: Metric) -> Array:
    """Rank each row of `values`, shape (n, k), from 1 for the best by the metric's direction; ties share their mean."""
    signed = -values if metric.direction == "up" else values
    return np.asarray(stats.rankdata(signed, axis=1)) if values.size else np.empty(values.shape)


def friedman_statistic(ranks: Array, *, correct_ties: bool = True) -> float:
    """Friedman's chi-square of `ranks`, shape (n, k): 12 n / (k (k + 1)) (sum of R_j^2 - k (k + 1)^2 / 4).

    Demsar (2006, section 3.2.2) gives it without the correction for ties, which divides by
    1 - sum(t^3 - t) / (n (k^3 - k)) over groups of t tied ranks (Conover 1999, section 5.8). NaN for fewer than 3
    columns or 2 rows, and where every row is one tie.
    """
    n, k = ranks.shape
    if n < 2 or k < 3:
        return float("nan")
    averages = ranks.mean(axis=0)
    plain = 12 * n / (k * (k + 1)) * (float((averages**2).sum()) - k * (k + 1) ** 2 / 4)
    if not correct_ties:
        return float(plain)
    ties = sum(float(((size := _tie_sizes(row)) ** 3 - size).sum()) for row in ranks)
    share = 1 - ties / (n * (k**3 - k))
    return float(plain / share) if share > SAME else float("nan")


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


def _tie_sizes(row: Array) -> Array:
    return np.unique(row, return_counts=True)[1].astype(np.float64)


def _iman_davenport(ranks: Array, statistic: float) -> tuple[float, float]:
    """F and its p; where all repeats rank alike F is infinite and p the exact chance of that: it is never 0."""
    n, k = ranks.shape
    if np.all(ranks == ranks[0]):
        orders = math.factorial(k) / math.prod(math.factorial(int(size)) for size in _tie_sizes(ranks[0]))
        return float("inf"), float(orders ** (1 - n))
    f_statistic = (n - 1) * statistic / (n * (k - 1) - statistic)
    return float(f_statistic), float(special.fdtrc(k - 1, (k - 1) * (n - 1), f_statistic))


def _friedman_note(n: int, k: int, left_out: int, statistic: float) -> str:
    word = "repeat lacks" if left_out == 1 else "repeats lack"
    missing = f"{left_out} {word} a value of some configuration and {'is' if left_out == 1 else 'are'} left out."
    reason = ""
    if k < 3:
        reason = "Fewer than three configurations: the pair says it all."
    elif n < 2:
        reason = "Fewer than two complete repeats: no test."
    elif math.isnan(statistic):
        reason = "All configurations tie in every repeat: no test."
    return join_notes(missing if left_out else "", reason)
