"""Which configuration was hardest to train, measured: divergence, overfitting, the epoch it peaked at, seed spread."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from fmnist.schema import Metric
from fmnist.statistics.comparable import metric_table
from fmnist.statistics.intervals import Array, Interval, Summary, constant, finite, summarize, wilson_interval
from fmnist.statistics.paired_tests import holm

FINISHED = ("ok", "diverged")  # statuses that tell of the training; a failed run tells of the machine
FEWEST_FOR_SPREAD = 3  # pairs; with two, any two samples correlate perfectly


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainability:
    """How training went for one configuration; accuracy-like figures are fractions, over runs that did not diverge."""

    label: str
    runs: int  # that trained to an end or diverged
    failed: int  # runs without an outcome (failed or pruned), left out
    diverged: int
    diverged_share: float  # NaN for no run
    diverged_interval: Interval  # Wilson
    generalisation_gap: Summary  # training accuracy (dropout and augmentation off) - test accuracy
    best_epoch: Summary  # of the lowest validation loss, from 1
    epochs_run: Summary
    seed_spread: float  # standard deviation of test accuracy between repeats; NaN for n < 2
    seed_spread_interval: Interval  # chi-square, assumes normal values; NaN for n < 2 or equal values


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadComparison:
    """Whether two configurations differ in spread between repeats: the more consistent one has the smaller."""

    a: str
    b: str
    n: int  # common repeats
    ratio: float  # standard deviation of a / that of b; NaN where one is unknown or 0
    p: float  # Pitman-Morgan, two-sided; NaN for n < 3 or a sample without spread
    p_holm: float  # adjusted over the pairs
    note: str


def trainability(
    frame: pd.DataFrame, labels: Sequence[str] | None = None, *, confidence: float = 0.95
) -> list[Trainability]:
    """Measure each label (default: all, sorted), in the order given.

    Needs the columns label, status, train_accuracy, test_accuracy, best_epoch and epochs_run; rows of every status.
    """
    wanted = sorted(frame["label"].unique()) if labels is None else labels
    return [_trainability(frame[frame["label"] == label], label, confidence) for label in wanted]


def compare_spread(frame: pd.DataFrame, metric: Metric, labels: Sequence[str] | None = None) -> list[SpreadComparison]:
    """Test, for each pair of labels, whether the spreads between repeats differ; one family for Holm's adjustment.

    Pitman (1939) and Morgan (1939), Biometrika 31: var(a) = var(b) exactly where a + b and a - b do not correlate; the
    t test of that correlation on n - 2 degrees of freedom. Keeps the pairing. Assumes normal pairs, and is sensitive to
    outliers.
    """
    table = metric_table(frame, metric, labels)
    pairs = list(itertools.combinations(table.columns, 2))
    samples = [table[[a, b]].dropna().to_numpy() for a, b in pairs]
    p_values = np.array([pitman_morgan(sample[:, 0], sample[:, 1]) for sample in samples])
    adjusted = holm(p_values) if pairs else p_values
    return [
        SpreadComparison(
            a=a, b=b, n=len(sample), ratio=_spread_ratio(sample), p=float(p), p_holm=float(p_holm),
            note="" if not np.isnan(p) else "Too few repeats, or one without spread: no test.",
        )
        for (a, b), sample, p, p_holm in zip(pairs, samples, p_values, adjusted, strict=True)
    ]  # fmt: skip


def pitman_morgan(a: Array, b: Array) -> float:
    """P value that paired samples of shape (n,) have the same variance; see compare_spread."""
    n = len(a)
    if n < FEWEST_FOR_SPREAD or constant(a[None])[0] or constant(b[None])[0]:
        return float("nan")
    total, gap = a + b, a - b
    if constant(gap[None])[0] or constant(total[None])[0]:
        return 1.0  # b is a shifted, or mirrored: one spread
    correlation = float(np.corrcoef(total, gap)[0, 1])
    t = correlation * np.sqrt((n - 2) / max(1 - correlation**2, np.finfo(np.float64).tiny))
    return float(2 * special.stdtr(n - 2, -abs(t)))


def standard_deviation_interval(sample: Array, confidence: float = 0.95) -> Interval:
    """Interval of the standard deviation of a normal sample, shape (n,): (n - 1) s^2 / sigma^2 is chi-square."""
    n = len(sample)
    if n < 2 or constant(sample[None])[0]:
        return Interval(lower=float("nan"), upper=float("nan"), confidence=confidence, method="chi-square")
    squares = float(((sample - sample.mean()) ** 2).sum())
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    lower, upper = (float(np.sqrt(squares / special.chdtri(n - 1, tail))) for tail in tails)
    return Interval(lower=lower, upper=upper, confidence=confidence, method="chi-square")


def _trainability(rows: pd.DataFrame, label: str, confidence: float) -> Trainability:
    finished = rows[rows["status"].isin(FINISHED)]
    trained = finished[finished["status"] == "ok"]
    runs, diverged = len(finished), len(finished) - len(trained)
    accuracy = finite(trained["test_accuracy"])
    return Trainability(
        label=label,
        runs=runs,
        failed=len(rows) - runs,
        diverged=diverged,
        diverged_share=diverged / runs if runs else float("nan"),
        diverged_interval=wilson_interval(diverged, runs, confidence),
        generalisation_gap=summarize(
            _numbers(trained["train_accuracy"]) - _numbers(trained["test_accuracy"]), confidence=confidence
        ),
        best_epoch=summarize(_numbers(trained["best_epoch"]), confidence=confidence),
        epochs_run=summarize(_numbers(trained["epochs_run"]), confidence=confidence),
        seed_spread=float(accuracy.std(ddof=1)) if len(accuracy) > 1 else float("nan"),
        seed_spread_interval=standard_deviation_interval(accuracy, confidence),
    )


def _numbers(column: pd.Series) -> Array:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _spread_ratio(sample: Array) -> float:
    if len(sample) < 2 or constant(sample.T).any():
        return float("nan")
    spreads = sample.std(axis=0, ddof=1)
    return float(spreads[0] / spreads[1])
