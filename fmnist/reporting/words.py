"""What the numbers say, in plain sentences: the answer that leads a report, and what is missing from it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from fmnist.comparison import PairComparison
from fmnist.reporting.findings import MOST_SHOWN, Findings, MetricFindings
from fmnist.reporting.pair_text import (
    PairView,
    difference_text,
    difference_unit,
    holm_words,
    is_turned,
    plan_words,
    seen_from,
)
from fmnist.reporting.study_tables import RESULT_COSTS, way_to_compare
from fmnist.schema import METRICS
from fmnist.statistics.intervals import SAME
from fmnist.statistics.verdicts import RELATIVE_KINDS
from fmnist.tables import counted, in_unit, names, p_bound

MOST_LISTED = 5  # configurations of one verdict; more are summed up
MOST_OPEN = 3  # undecided ones with what they need


def answer(findings: Findings) -> str:
    """Say who wins what, by how much, how surely, what is undecided and what would decide it."""
    primary = findings.primary
    compared = [label for label in findings.ordered if primary and label in primary.summaries]
    if primary is None or not compared:
        return no_answer(findings)
    sentences = [_leader_sentence(findings, primary, compared)]
    if len(compared) > 1:
        sentences += _leader_against_others(findings, primary, compared)
        sentences += _other_pairs(compared[0], primary)
    elif len(findings.study.labels) == 1:
        sentences.append("There is no other configuration to compare it with.")
    else:
        sentences.append(f"No other configuration has a {primary.metric.label} to compare it with.")
    sentences += _cost_sentences(findings, compared[0])
    return " ".join(sentence for sentence in sentences if sentence)


def no_answer(findings: Findings) -> str:
    """Say that nothing finished, and why."""
    counts = findings.study.counts().drop(columns="wanted").sum().rename({"ok": "finished"})
    parts = [f"{int(count):,} {status}" for status, count in counts.items() if count]
    errors = findings.study.outcomes["error"].dropna()
    first = f" The first error is: {errors.iloc[0]}." if len(errors) else ""
    metric = METRICS[findings.study.primary_metric].label
    return f"There is no answer: no run has a {metric} ({', '.join(parts)}).{first}"


def _leader_sentence(findings: Findings, primary: MetricFindings, compared: Sequence[str]) -> str:
    leader, metric, summaries = compared[0], primary.metric, primary.summaries
    summary = summaries[leader]
    which = "highest" if metric.direction == "up" else "lowest"
    value = f"{in_unit(summary.mean, metric)}{f' {metric.unit}' if metric.unit else ''}"
    scope = f"{len(compared):,} configurations"
    if findings.left_out:
        scope = f"the {scope} that are best on validation (of {len(findings.study.finished_labels):,})"
    size = SAME * max(abs(summary.mean), 1.0)
    tied = [label for label in compared if abs(summaries[label].mean - summary.mean) <= size]
    if len(tied) > 1:
        who = f"All {scope}" if len(tied) == len(compared) else f"{_some(tied)} of {scope}"
        also = "the same" if len(tied) == len(compared) else f"the same {which}"
        return f"{who} have {also} mean {metric.label}, {value}; what follows speaks of {leader}."
    start = f"{leader} has the {which} mean {metric.label} of {scope}: {value}"
    if len(compared) == 1:
        start = f"{leader} has a {'' if summary.n == 1 else 'mean '}{metric.label} of {value}"
    if summary.n == 1:
        return f"{start}, from one run, which says nothing of the spread."
    interval, spread = summary.mean_t_interval, in_unit(summary.standard_deviation, metric, more_digits=1)
    around = f"standard deviation {spread}"
    if interval.known:
        low, high = in_unit(interval.lower, metric), in_unit(interval.upper, metric)
        around += f"; {100 * interval.confidence:g} % interval {low} to {high}"
    return f"{start} over n = {summary.n:,} runs ({around})."


def _leader_against_others(findings: Findings, primary: MetricFindings, compared: Sequence[str]) -> list[str]:
    if primary.refusal:
        return [f"No difference is tested. {way_to_compare(primary)}."]
    leader = compared[0]
    pairs = [primary.pair(leader, other) for other in compared[1:]]
    views = [seen_from(pair, leader) for pair in pairs if pair is not None]
    beaten = [view for view in views if view.verdict == "better"]
    return [
        _beaten_sentence(beaten, primary),
        _other_images_sentence(beaten, findings),
        _equivalent_sentence([view for view in views if view.verdict == "equivalent"], primary),
        _beating_sentence([view for view in views if view.verdict == "worse"], primary),
        _undecided_sentence([view for view in views if view.verdict == "undecided"], primary),
    ]


def _beaten_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    if not views:
        return "It is not surely better than any other."
    if len(views) > MOST_LISTED:
        by_size = sorted(views, key=lambda view: abs(math.log(view.ratio)) if view.ratio > 0 else abs(view.difference))
        ends = [_beaten_part(view, primary) for view in (by_size[0], by_size[-1])]
        parts = [f"{len(views):,} others, from {ends[0]} to {ends[1]}"]
    else:
        parts = [_beaten_part(view, primary) for view in views]
        parts[1:] = [part.replace(f" times its {primary.metric.label}", "") for part in parts[1:]]
    if primary.design:
        surely = f"decided by a group-sequential design with {primary.design.describe()}"
    else:
        worst = max(view.pair.difference_p_holm for view in views)
        surely = f"{p_bound(worst)}{holm_words(primary.family)}"
    return f"It is better than {names(parts)} ({surely})."


def _beaten_part(view: PairView, primary: MetricFindings) -> str:
    """Name one of the beaten and by how much: b by 0.85 [0.75, 0.96] points; of times and memory the ratio."""
    metric, pair = primary.metric, view.pair
    over = [f"n = {pair.n:,} common repeats"] if pair.left_out else []
    if pair.decision:
        over = [f"look {pair.decision.look}, n = {pair.decision.n:,}"]
        if is_turned(view, metric):
            text = difference_text(view, metric)
            return f"{view.other} ({over[0]}, though {text} {difference_unit(metric)} over all {pair.n:,} since)"
    if metric.kind in RELATIVE_KINDS:
        return f"{view.other} ({', '.join([f'{difference_text(view, metric)} times its {metric.label}', *over])})"
    larger = view if view.difference > 0 else seen_from(pair, view.other)
    text = difference_text(larger, metric)
    if larger.lower > 0:  # a plus would only say again what "better" says
        text = text.replace("+", "")
    return f"{view.other} by {text} {difference_unit(metric)}{f' ({over[0]})' if over else ''}"


def _other_images_sentence(views: Sequence[PairView], findings: Findings) -> str:
    """Say which of the beaten it would not surely beat on other test images; an accuracy's verdicts speak of seeds."""
    if findings.study.primary_metric != "test_accuracy":
        return ""
    layered = {view.other: findings.layered_interval(view.label, view.other) for view in views}
    unsure = [other for other, interval in layered.items() if interval and interval.lower <= 0]
    return f"That holds on these test images; on others of their kind it is not sure of {_some(unsure)}." * bool(unsure)


def _equivalent_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    if not views:
        return ""
    return (
        f"It is practically equivalent to {_some([view.other for view in views])}: the difference is surely smaller"
        f" than {margin_text(views[0], primary)}, the smallest that the study calls relevant."
    )


def margin_text(view: PairView, primary: MetricFindings) -> str:
    """Write the margin of equivalence with its unit."""
    margin = view.pair.margin or float("nan")
    if primary.metric.kind in RELATIVE_KINDS:
        return f"{100 * margin:g} %"
    return f"{margin * primary.metric.scale:g} {difference_unit(primary.metric)}"


def _beating_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    """Name those that are better although their mean is not: over the repeats they share, or by an early decision."""
    if not views:
        return ""
    if not primary.design:
        return f"On the repeats they share, it is worse than {_some([view.other for view in views])}."
    parts = [
        f"{view.other} (look {view.pair.decision.look}, n = {view.pair.decision.n:,}, though"
        f" {difference_text(view, primary.metric)} {difference_unit(primary.metric)} over all {view.pair.n:,} since)"
        for view in views
        if view.pair.decision
    ]
    return f"By the design's decision it is worse than {_some(parts)}."


def _undecided_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    if not views:
        return ""
    strangers = [view.other for view in views if view.pair.n == 0]
    once = [view.other for view in views if view.pair.n == 1]
    others = [view for view in views if view.pair.n > 1]
    reasons = []
    if strangers:
        reasons.append(f"{_some(strangers)} (no repeat in common)")
    if once:
        reasons.append(f"{_some(once)} (one common repeat shows no spread to judge by)")
    if len(others) > MOST_OPEN:
        reasons.append(f"{len(others):,} others, the nearest in mean being {_open_part(others[0], primary)}")
    else:
        reasons += [_open_part(view, primary) for view in others]
    return f"Undecided is whether it differs from {names(reasons)}."


def _open_part(view: PairView, primary: MetricFindings) -> str:
    """Name one that it is undecided against, with the difference and what would decide."""
    metric = primary.metric
    own = f", sure alone but not among {counted(primary.family, 'pair')}"
    own = own * (view.leaves_out_none and not view.pair.decision)
    difference = f"{'ratio' if metric.kind in RELATIVE_KINDS else 'difference'} {difference_text(view, metric)}"
    unit = "" if metric.kind in RELATIVE_KINDS else f" {difference_unit(metric)}"
    return f"{view.other} ({difference}{unit}{own}; {plan_words(view, primary.looks)})"


def _other_pairs(leader: str, primary: MetricFindings) -> list[str]:
    """Name the pairs without the leader that are equivalent or undecided."""
    others = [pair for pair in primary.pairs if leader not in (pair.a, pair.b)]
    if not others:
        return []
    open_pairs = [pair for pair in others if pair.verdict == "undecided"]
    equal_pairs = [pair for pair in others if pair.verdict == "equivalent"]
    equal = [f"Practically equivalent: {_pair_names(equal_pairs)}."] if equal_pairs else []
    if len(others) == 1:
        state = f"The other pair ({_pair_names(others)}) is undecided." if open_pairs else "The other pair is decided."
        return [state, *equal]
    if not open_pairs:
        return [f"Of the {len(others):,} other pairs every one is decided.", *equal]
    if len(open_pairs) == len(others):
        return [f"All {len(others):,} other pairs are undecided ({_pair_names(open_pairs)})."]
    are = "is" if len(open_pairs) == 1 else "are"
    start = f"Of the {len(others):,} other pairs {len(open_pairs):,} {are} undecided"
    return [f"{start} ({_pair_names(open_pairs)}).", *equal]


def _pair_names(pairs: Sequence[PairComparison]) -> str:
    """Name pairs, three at most."""
    more = f" and {len(pairs) - 3:,} more" if len(pairs) > 3 else ""
    return "; ".join(f"{pair.a} and {pair.b}" for pair in pairs[:3]) + more


def _some(labels: Sequence[str]) -> str:
    """Name labels, the first ones of many."""
    return names(labels if len(labels) <= MOST_LISTED else [*labels[:MOST_OPEN], f"{len(labels) - MOST_OPEN:,} more"])


def _cost_sentences(findings: Findings, leader: str) -> list[str]:
    """Say what the leader costs, and of what it cannot be said and why, each reason once."""
    costs = [findings.metrics[name] for name in RESULT_COSTS if name in findings.metrics]
    costs = [cost for cost in costs if cost.metric.name != findings.study.primary_metric]
    refused: dict[str, list[str]] = {}
    for cost in costs:
        if cost.refusal and len(cost.summaries) > 1:
            refused.setdefault(way_to_compare(cost), []).append(cost.metric.label)
    sentences = [_cost_sentence(findings, cost, leader) for cost in costs if not cost.refusal]
    for reason, labels in refused.items():
        verb = "is" if len(labels) == 1 else "are"
        sentences.append(f"{names(labels).capitalize()} {verb} described, not compared. {reason}.")
    return sentences


def _cost_sentence(findings: Findings, cost: MetricFindings, leader: str) -> str:
    """Say what the leader costs against the cheapest, or, where it is that itself, against the next."""
    metric = cost.metric
    cheapest = sorted(cost.of(findings.shown), key=lambda label: cost.summaries[label].mean)
    if len(cheapest) < 2 or leader not in cheapest:
        return ""
    other, place = (cheapest[1], "the next") if cheapest[0] == leader else (cheapest[0], "the lowest")
    also = f"It also has the lowest mean {metric.label}" if cheapest[0] == leader else f"Its {metric.label} is"
    mean = f"{in_unit(cost.summaries[leader].mean, metric)} {metric.unit}"
    pair = cost.pair(leader, other)
    start = f"{also}{':' if cheapest[0] == leader else ''} {mean}"
    if pair is None or not pair.n:
        return f"{start}."
    view = seen_from(pair, leader)
    unsure = "" if view.verdict in ("better", "worse") else f" ({view.verdict})"
    return f"{start}, {difference_text(view, metric)} times that of {other}, {place}{unsure}."


def _lacking_sentences(findings: Findings) -> list[str]:
    """Say which repeats have no row, once for all configurations that lack the same ones."""
    study = findings.study
    lacking: dict[tuple[int, ...], list[str]] = {}
    for label in study.labels:
        lacking.setdefault(tuple(study.missing_repeats(label)), []).append(label)
    sentences = []
    for missing, labels in lacking.items():
        if missing:
            listed = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            sentences.append(
                f"{names(labels)} {'lacks' if len(labels) == 1 else 'lack'} {counted(len(missing), 'repeat')} of"
                f" {study.repeats} ({listed}): pairs use the common ones. Run"
                f" `python jobs/study.py {shlex.quote(study.name)}` to add them."
            )
    return sentences


def missing_words(findings: Findings) -> list[str]:
    """Say which runs a report lacks: failed, diverged, not there, and what was left out of the figures."""
    counts, study = findings.study.counts(), findings.study
    sentences = []
    for status, meaning in (
        ("failed", "failed"),
        ("diverged", "diverged (loss not finite)"),
    ):
        hit = [f"{label} {int(number)}" for label, number in counts[status].items() if number]
        if hit:
            sentences.append(f"Runs that {meaning}: {', '.join(hit)}. They are counted here and in no mean.")
    sentences += _lacking_sentences(findings)
    without = [label for label in study.finished_labels if findings.primary and label not in findings.primary.summaries]
    if without:
        metric = METRICS[study.primary_metric].label
        sentences.append(f"{names(without)} finished without a {metric}: left out where that is compared.")
    sentences += study.remarks
    if study.repeats is None:
        sentences.append("The study's manifest is not there: how many repeats were wanted is not known.")
    if findings.left_out:
        sentences.append(
            f"Figures and pairs show the {MOST_SHOWN} configurations with the highest mean validation accuracy;"
            f" {len(findings.left_out)} more are in the tables."
        )
    return sentences
