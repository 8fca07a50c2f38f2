"""A comparison of two configurations as text, seen from either of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fmnist.compare import FAMILY_ERROR, MOST_REPEATS, PairComparison, Verdict
from fmnist.declare import Metric
from fmnist.report.table import NOTHING, counted, number, p_words

OPPOSITE: dict[Verdict, Verdict] = {
    "better": "worse", "worse": "better", "equivalent": "equivalent", "inconclusive": "inconclusive"
}  # fmt: skip
MOST_DIGITS = 3  # added so that a bound near no difference is not shown as none


@dataclass(frozen=True, slots=True, kw_only=True)
class PairView:
    """A pair seen from one of its two: verdict, difference and ratio are of `label` against `other`."""

    label: str
    other: str
    verdict: Verdict
    difference: float  # stored units
    lower: float
    upper: float
    ratio: float  # of time, memory and size; else nan
    ratio_lower: float
    ratio_upper: float
    pair: PairComparison

    @property
    def shown(self) -> tuple[float, float, float]:
        """What a reader is shown: the bounds of the ratio, or else of the difference, and what stands for none."""
        if math.isnan(self.ratio):
            return self.lower, self.upper, 0.0
        return self.ratio_lower, self.ratio_upper, 1.0

    @property
    def leaves_out_none(self) -> bool:
        """Whether the interval that is shown leaves out that there is no difference."""
        low, high, none = self.shown
        return low > none or high < none

    @property
    def holds_none(self) -> bool:
        """Whether the interval that is shown holds that there is no difference; neither is so where there is none."""
        low, high, none = self.shown
        return low <= none <= high

    @property
    def is_beyond_margin(self) -> bool:
        """Whether the interval that is shown reaches beyond the margin of equivalence."""
        low, high, _ = self.shown
        margin = self.pair.margin or math.nan
        if math.isnan(self.ratio):
            return low <= -margin or high >= margin
        return low <= 1 / (1 + margin) or high >= 1 + margin


def seen_from(pair: PairComparison, label: str) -> PairView:
    """Turn a pair so that it speaks of `label`, which must be one of its two."""
    turned = pair.b == label
    sign = -1 if turned else 1
    lower, upper = sorted((sign * pair.interval.lower, sign * pair.interval.upper))
    ratio_lower, ratio_upper = sorted((pair.ratio_interval.lower**sign, pair.ratio_interval.upper**sign))
    return PairView(
        label=label,
        other=pair.a if turned else pair.b,
        verdict=OPPOSITE[pair.verdict] if turned else pair.verdict,
        difference=sign * pair.mean_difference,
        lower=lower,
        upper=upper,
        ratio=pair.ratio**sign,
        ratio_lower=ratio_lower,
        ratio_upper=ratio_upper,
        pair=pair,
    )


def difference_unit(metric: Metric) -> str:
    """Name the unit of a difference: points for percent; times, memory and sizes are compared as ratios."""
    if metric.by_ratio:
        return "times"
    return "points" if metric.unit == "%" else metric.unit


def difference_text(view: PairView, metric: Metric) -> str:
    """Write the difference with its interval, without unit: +0.31 [+0.12, +0.50], or as a ratio 1.25 [1.21, 1.30].

    A bound that leaves out no difference is written with the digits that show it.
    """
    relative = metric.by_ratio
    values = [view.difference * metric.scale, view.lower * metric.scale, view.upper * metric.scale]
    if relative:
        values = [view.ratio, view.ratio_lower, view.ratio_upper]
    digits, none = (2, 1.0) if relative else (metric.digits, 0.0)
    if view.leaves_out_none:
        enough = (
            more
            for more in range(digits, digits + MOST_DIGITS)
            if all(number(value, more) != number(none, more) for value in values)
        )
        digits = next(enough, digits)
    middle, low, high = (number(value, digits, signed=not relative) for value in values)
    return middle if NOTHING in (low, high) else f"{middle} [{low}, {high}]"


def difference_words(view: PairView, metric: Metric) -> str:
    """Write the difference with its interval and unit: +0.31 [+0.12, +0.50] points, 1.25 [1.21, 1.30] times."""
    return f"{difference_text(view, metric)} {difference_unit(metric)}"


def margin_words(metric: Metric, margin: float) -> str:
    """Write a margin of equivalence with its unit: 0.2 points, 5 %."""
    if metric.by_ratio:
        return f"{100 * margin:g} %"
    return f"{margin * metric.scale:g} {difference_unit(metric)}"


def is_turned(view: PairView, metric: Metric) -> bool:
    """Whether a design's decision says better or worse while the mean difference over all repeats says the other."""
    gain = view.difference if metric.direction == "up" else -view.difference
    return (view.verdict == "better" and gain < 0) or (view.verdict == "worse" and gain > 0)


def remarks(view: PairView, metric: Metric, analyses: Sequence[int], family: int) -> str:
    """Say what is special about a pair, without its names; `family` counts the pairs that were tested."""
    pair, n = view.pair, view.pair.n
    are = "is" if pair.left_out == 1 else "are"
    found = [
        f"{counted(pair.left_out, 'repeat')} with a value of only one of the two {are} left out." * bool(pair.left_out),
        f"{counted(pair.no_ratio, 'common repeat')} with a value of 0 or less: no ratio." * bool(pair.no_ratio),
    ]
    if n == 0:
        found.append("No repeat in common: nothing to compare.")
    elif n == 1:
        found.append("One common repeat: a difference without a spread, which no test can judge.")
    if pair.decision:
        found.append(_decision_words(view, metric, analyses))
    elif n > 1:
        found += [_basis_words(pair), _agreement_words(view, family)]
    return " ".join(words for words in found if words)


def _basis_words(pair: PairComparison) -> str:
    """Say what decides where it is not the paired t test."""
    if pair.basis != "signed rank":
        return ""
    same = "Both have the same value" if abs(pair.mean_difference) < 1e-12 else "The difference is the same"
    return f"{same} in each of the {pair.n:,} repeats: no spread for t, the signed-rank test decides."


def _agreement_words(view: PairView, family: int) -> str:
    """Say where the verdict would change with the test, or the interval, which is the pair's own, seems to deny it."""
    pair, alpha, rank_p = view.pair, FAMILY_ERROR, view.pair.signed_rank_p_holm
    if view.verdict == "equivalent":
        sure = "The difference is sure, but smaller than the margin that matters. "
        beyond = "The interval reaches beyond the margin; the two one-sided tests stand for one of 90 %."
        return (sure * (pair.difference_p_holm <= alpha) + beyond * view.is_beyond_margin).strip()
    if view.verdict == "inconclusive" and rank_p <= alpha < pair.difference_p_holm:
        return f"The signed-rank test would see a difference (adjusted {p_words(rank_p)}): look for outliers."
    if view.verdict == "inconclusive" and view.leaves_out_none:
        return f"The interval is the pair's own; the difference is not sure{holm_words(family)}."
    if view.verdict in ("better", "worse") and rank_p > alpha > 2.0 ** (1 - pair.n):
        return f"The signed-rank test does not confirm it (adjusted {p_words(rank_p)})."
    return ""


def holm_words(family: int) -> str:
    """Say that p values are adjusted, where there are several to adjust for."""
    return f" after Holm's adjustment over {counted(family, 'pair')}" if family > 1 else ""


def _decision_words(view: PairView, metric: Metric, analyses: Sequence[int]) -> str:
    """Say when a group-sequential design decided, and where the figures over all repeats since speak otherwise."""
    decision, n = view.pair.decision, view.pair.n
    if decision is None or decision.analysis == 0:
        return f"Not looked at yet: the first analysis is at {analyses[0]} repeats."
    analysis = f"at analysis {decision.analysis} of {len(analyses)} (n = {decision.n})"
    if view.verdict == "inconclusive":
        own = " The interval does not allow for the analyses." * view.leaves_out_none
        then = (
            "that was the last analysis"
            if decision.final
            else f"the next analysis is at {analyses[decision.analysis]} repeats"
        )
        return f"Inconclusive {analysis}; {then}.{own}"
    if view.verdict == "equivalent":
        at_odds = "reach beyond the margin" * view.is_beyond_margin
    elif is_turned(view, metric):
        at_odds = "point the other way"
    else:
        at_odds = "do not show it" * view.holds_none
    figures = f"the figures are over all {n:,} common repeats" if n != decision.n else "the figures are plain ones"
    since = f" and {at_odds}; the decision stands" if at_odds else ""
    return f"Decided {analysis}; {figures}{since}." if since or n != decision.n else f"Decided {analysis}."


def repeats_text(pair: PairComparison, analyses: Sequence[int]) -> str:
    """Write the repeats that would decide a pair: 12 to 340, 12 or more, the next analysis of a design, or a dash."""
    if pair.decision:
        return NOTHING if pair.decision.final else f"analysis at {analyses[pair.decision.analysis]}"
    if pair.repeats_to_decide is None:
        return NOTHING
    ends = (f"more than {MOST_REPEATS:,}" if math.isinf(end) else f"{end:,.0f}" for end in pair.repeats_to_decide)
    return " to ".join(dict.fromkeys(ends))
