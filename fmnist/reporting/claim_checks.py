"""What a claim of a report is checked by: each function makes a check, which reads the findings of a study.

A claim that configurations differ stands and falls with the verdict on their pair (Holm-adjusted, see
fmnist.comparison); one about classes with the share of runs that show it, by its Wilson interval against one half; one
about overfitting with a paired t test. "About 2 points" is taken as 1.5 to 2.5: it is confirmed if the whole interval
of the difference lies within, refuted if it lies outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fmnist.data import CLASS_NAMES
from fmnist.reporting.findings import Findings
from fmnist.reporting.original import ORIGINAL_EASIEST_CLASSES, ORIGINAL_HARDEST_CLASS
from fmnist.reporting.pair_text import PairView, difference_text, difference_unit, seen_from
from fmnist.schema import METRICS
from fmnist.statistics.intervals import mean_interval, wilson_interval
from fmnist.statistics.paired_tests import pair_tests
from fmnist.statistics.trainability import compare_spread
from fmnist.tables import mean_and_spread, number, p_words

Reading = Literal["confirmed", "refuted", "not decidable", "open"]
Check = Callable[[Findings], tuple[Reading, str]]

TOLERANCE = 0.25  # of a claimed number of points: "about"
CERTAIN = 0.05  # p value at which a claim with a test of its own is decided


def better(label: str, other: str, metric: str = "test_accuracy") -> Check:
    """Claim that one configuration is better than another."""
    return _by_verdict(label, other, metric, {"better": "confirmed", "worse": "refuted", "equivalent": "refuted"})


def not_better(label: str, other: str, metric: str = "test_accuracy") -> Check:
    """Claim that one configuration is no better than another."""
    return _by_verdict(label, other, metric, {"better": "refuted", "worse": "confirmed", "equivalent": "confirmed"})


def best(label: str, metric: str = "test_accuracy") -> Check:
    """Claim that one configuration is better than every other."""

    def check(findings: Findings) -> tuple[Reading, str]:
        others = [other for other in findings.ordered if other != label]
        views = [_view(findings, metric, label, other) for other in others]
        known = [view for view in views if view is not None]
        if not known or len(known) < len(views):
            return _lacking(findings, metric, label, *others)
        verdicts = {view.verdict for view in known}
        nearest = min(known, key=lambda view: abs(view.difference))
        if verdicts == {"better"}:
            return "confirmed", f"better than all {len(known)} others; the nearest: {_pair_evidence(nearest, metric)}"
        if verdicts & {"worse", "equivalent"}:
            standing = next(view for view in known if view.verdict in ("worse", "equivalent"))
            return "refuted", _pair_evidence(standing, metric)
        still_open = next(view for view in known if view.verdict == "undecided")
        return "not decidable", _pair_evidence(still_open, metric)

    return check


def better_by(label: str, others: Sequence[str], points: float) -> Check:
    """Claim that one configuration is about so many points more accurate than each of others."""

    def check(findings: Findings) -> tuple[Reading, str]:
        views = [_view(findings, "test_accuracy", label, other) for other in others]
        known = [view for view in views if view is not None and not math.isnan(view.lower)]
        if len(known) < len(others):
            return _lacking(findings, "test_accuracy", label, *others)
        low, high = points / 100 * (1 - TOLERANCE), points / 100 * (1 + TOLERANCE)
        evidence = "; ".join(_pair_evidence(view, "test_accuracy") for view in known)
        if all(low <= view.lower and view.upper <= high for view in known):
            return "confirmed", evidence
        outside = any(view.upper < low or view.lower > high for view in known)
        return "refuted" if outside else "not decidable", evidence

    return check


def more_consistent(label: str, other: str) -> Check:
    """Claim that one configuration's test accuracy spreads less over repeats (Pitman-Morgan test)."""

    def check(findings: Findings) -> tuple[Reading, str]:
        if not _finished(findings, label, other):
            return _lacking(findings, "test_accuracy", label, other)
        rows = findings.study.finished
        (pair,) = compare_spread(
            rows[rows["label"].isin([label, other])], METRICS["test_accuracy"], labels=[label, other]
        )
        if math.isnan(pair.p):
            return "not decidable", pair.note
        evidence = f"spread {number(pair.ratio, 2)} times that of {other} (n = {pair.n}, {p_words(pair.p)})"
        if pair.p > CERTAIN:
            return "not decidable", evidence
        return "confirmed" if pair.ratio < 1 else "refuted", evidence

    return check


def hardest_class(findings: Findings) -> tuple[Reading, str]:
    """Claim that Shirt is recognised least, and taken for T-shirt/top."""
    hardest, taken_for = (CLASS_NAMES.index(name) for name in ORIGINAL_HARDEST_CLASS)
    held = {label: findings.predictions[label].recall_by_run.argmin(axis=1) == hardest for label in findings.predicted}
    mistaken = {}
    for label in findings.predicted:
        row = findings.predictions[label].confusion[hardest].copy()
        row[hardest] = 0
        mistaken[label] = int(row.argmax())
    reading, evidence = _by_share(held, f"{CLASS_NAMES[hardest]} has the lowest recall")
    other = sorted({CLASS_NAMES[place] for place in mistaken.values()} - {CLASS_NAMES[taken_for]})
    if other and reading == "confirmed":
        reading = "refuted"
    most = f"most often taken for {CLASS_NAMES[taken_for]} by every configuration"
    return reading, f"{evidence}; " + (most if not other else f"by some most often taken for {', '.join(other)}")


def easiest_classes(findings: Findings) -> tuple[Reading, str]:
    """Claim that Trouser and Sandal are the two classes recognised best."""
    easiest = {CLASS_NAMES.index(name) for name in ORIGINAL_EASIEST_CLASSES}
    held = {}
    for label in findings.predicted:
        top = np.argsort(-findings.predictions[label].recall_by_run, axis=1, kind="stable")[:, : len(easiest)]
        held[label] = np.array([set(map(int, row)) == easiest for row in top])
    recall = {label: findings.predictions[label].recall_by_run.mean(axis=0) for label in findings.predicted}
    reading, evidence = _by_share(held, f"{' and '.join(ORIGINAL_EASIEST_CLASSES)} have the two highest recalls")
    if not recall:
        return reading, evidence
    means = pd.Series(np.mean(list(recall.values()), axis=0), index=list(CLASS_NAMES)).nlargest(4)
    listed = ", ".join(f"{name} {100 * value:.1f} %" for name, value in means.items())
    return reading, f"{evidence}; mean recalls: {listed}"


def earlier_best_epoch(label: str, other: str) -> Check:
    """Claim that one configuration overfits earlier: its validation loss is lowest at an earlier epoch."""
    return _smaller("best_epoch", "epoch of the lowest validation loss", 1, 1, label, other)


def larger_gap(label: str, other: str) -> Check:
    """Claim that one configuration generalises worse: training less test accuracy is larger."""
    return _smaller("gap", "generalisation gap, points", 100, 2, other, label)


def not_told(label: str, metric: str) -> Check:
    """A figure that nothing can be held against, since how it was measured is not said."""

    def check(findings: Findings) -> tuple[Reading, str]:
        found = findings.metrics.get(metric)
        summary = found.summaries.get(label) if found else None
        if found is None or summary is None:
            return _lacking(findings, metric, label)
        value = mean_and_spread(summary, found.metric)
        return (
            "not decidable",
            f"what it measured is not said; {found.metric.label} of {label} here: {value} {found.metric.unit}"
            f" (n = {summary.n})",
        )

    return check


def not_repeated(why: str) -> Check:
    """What the report did and no study here repeats yet."""
    return lambda _: ("open", why)


def _by_verdict(label: str, other: str, metric: str, readings: Mapping[str, Reading]) -> Check:
    """Read a claim from the verdict on one pair; an undecided pair decides nothing."""

    def check(findings: Findings) -> tuple[Reading, str]:
        view = _view(findings, metric, label, other)
        if view is None:
            return _lacking(findings, metric, label, other)
        return readings.get(view.verdict, "not decidable"), _pair_evidence(view, metric)

    return check


def _finished(findings: Findings, *labels: str) -> bool:
    return set(labels) <= set(findings.study.finished_labels)


def _view(findings: Findings, metric: str, label: str, other: str) -> PairView | None:
    found = findings.metrics.get(metric)
    pair = found.pair(label, other) if found else None
    return seen_from(pair, label) if pair else None


def _lacking(findings: Findings, metric: str, *labels: str) -> tuple[Reading, str]:
    missing = [label for label in labels if not _finished(findings, label)]
    if missing:
        return "not decidable", f"no finished run of {', '.join(missing)}"
    found = findings.metrics.get(metric)
    return "not decidable", found.refusal if found and found.refusal else "too few common repeats"


def _pair_evidence(view: PairView, metric: str) -> str:
    measured = METRICS[metric]
    unit = difference_unit(measured)
    comparison = f"{view.label} against {view.other} {difference_text(view, measured)} {unit}"
    if unit == "times":
        comparison = f"{measured.label} of {view.label} {difference_text(view, measured)} times that of {view.other}"
    return f"{comparison} (n = {view.pair.n}, {view.verdict})"


def _by_share(held: Mapping[str, npt.NDArray[np.bool_]], what: str) -> tuple[Reading, str]:
    """Read in how many runs of each configuration something holds: in most of every one, or in few of some."""
    if not held:
        return "not decidable", "no stored predictions on these test images"
    parts, intervals = [], []
    for label, runs in held.items():
        interval = wilson_interval(int(runs.sum()), len(runs))
        intervals.append(interval)
        low, high = 100 * interval.lower, 100 * interval.upper
        parts.append(f"{label} {int(runs.sum())} of {len(runs)} [{number(low, 0)}, {number(high, 0)} %]")
    reading: Reading = "not decidable"
    if all(interval.lower > 0.5 for interval in intervals):
        reading = "confirmed"
    elif any(interval.upper < 0.5 for interval in intervals):
        reading = "refuted"
    return reading, f"runs in which {what}: {', '.join(parts)}"


def _smaller(quantity: str, words: str, scale: float, digits: int, label: str, other: str) -> Check:
    """Claim that a quantity of the rows is smaller for one configuration, by a paired t test."""

    def check(findings: Findings) -> tuple[Reading, str]:
        if not _finished(findings, label, other):
            return _lacking(findings, "test_accuracy", label, other)
        rows = findings.study.finished
        rows = rows.assign(gap=rows["train_accuracy"] - rows["test_accuracy"])
        table = rows.pivot_table(index="repeat", columns="label", values=quantity)[[label, other]].dropna()
        values = table.to_numpy(np.float64)
        differences = values[:, 0] - values[:, 1]
        tested = pair_tests(differences, None)
        interval = mean_interval(differences)
        low, high = (number(scale * bound, digits, signed=True) for bound in (interval.lower, interval.upper))
        evidence = (
            f"{words}: {label} {number(scale * values[:, 0].mean(), digits)}, {other}"
            f" {number(scale * values[:, 1].mean(), digits)}, difference [{low}, {high}] (n = {len(table)},"
            f" {p_words(tested.difference_p)})"
        )
        if not tested.difference_p <= CERTAIN:
            return "not decidable", evidence
        return "confirmed" if differences.mean() < 0 else "refuted", evidence

    return check
