"""A comparison of two configurations as text, seen from either of them."""

from __future__ import annotations

from dataclasses import dataclass

from fmnist.comparison import PairComparison
from fmnist.schema import Metric
from fmnist.statistics.intervals import Interval
from fmnist.statistics.verdicts import RELATIVE_KINDS, Verdict
from fmnist.tables import NOTHING, in_unit, number

OPPOSITE: dict[Verdict, Verdict] = {
    "better": "worse", "worse": "better", "equivalent": "equivalent", "undecided": "undecided"
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """A pair seen from one of its two: verdict, difference and ratio are of `label` against `other`."""

    label: str
    other: str
    verdict: Verdict
    difference: float  # stored units
    lower: float
    upper: float
    bootstrap: tuple[float, float]  # bounds of the difference by BCa
    ratio: float  # of time, memory and size; else nan
    ratio_lower: float
    ratio_upper: float
    ratio_bootstrap: tuple[float, float]
    pair: PairComparison


def seen_from(pair: PairComparison, label: str) -> PairView:
    """Turn a pair so that it speaks of `label`, which must be one of its two."""
    turned = pair.b == label
    lower, upper = _turn(pair.t_interval, turned)
    ratio_lower, ratio_upper = _turn_ratio(pair.ratio_t_interval, turned)
    return PairView(
        label=label,
        other=pair.a if turned else pair.b,
        verdict=OPPOSITE[pair.verdict] if turned else pair.verdict,
        difference=-pair.mean_difference if turned else pair.mean_difference,
        lower=lower,
        upper=upper,
        bootstrap=_turn(pair.bootstrap_interval, turned),
        ratio=1 / pair.ratio if turned else pair.ratio,
        ratio_lower=ratio_lower,
        ratio_upper=ratio_upper,
        ratio_bootstrap=_turn_ratio(pair.ratio_bootstrap_interval, turned),
        pair=pair,
    )


def _turn(interval: Interval, turned: bool) -> tuple[float, float]:
    return (-interval.upper, -interval.lower) if turned else (interval.lower, interval.upper)


def _turn_ratio(interval: Interval, turned: bool) -> tuple[float, float]:
    return (1 / interval.upper, 1 / interval.lower) if turned else (interval.lower, interval.upper)


def difference_unit(metric: Metric) -> str:
    """Name the unit of a difference: points for percent; times, memory and sizes are compared as ratios."""
    if metric.kind in RELATIVE_KINDS:
        return "times"
    return "points" if metric.unit == "%" else metric.unit


def difference_text(view: PairView, metric: Metric, *, interval: bool = True) -> str:
    """Write the difference with its interval, without unit: +0.31 [+0.12, +0.50], or as a ratio 1.25 [1.21, 1.30]."""
    if metric.kind in RELATIVE_KINDS:
        middle, low, high = (number(value, 2) for value in (view.ratio, view.ratio_lower, view.ratio_upper))
    else:
        parts = (view.difference, view.lower, view.upper)
        middle, low, high = (in_unit(value, metric, signed=True) for value in parts)
    if not interval or NOTHING in (low, high):
        return middle
    return f"{middle} [{low}, {high}]"
