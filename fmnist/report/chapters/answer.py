"""What the numbers say, in plain sentences: the answer that leads a report, and what is missing from it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from fmnist.declare import METRICS, OVERVIEW_COSTS
from fmnist.report.chapters.methods import analyses_words
from fmnist.report.chapters.pairs import way_to_compare
from fmnist.report.study_data import MOST_SHOWN, Findings, MetricFindings
from fmnist.report.table import counted, in_unit, names, p_bound
from fmnist.report.text import PairView, difference_words, holm_words, is_turned, margin_words, seen_from

MOST_LISTED = 5  # configurations of one verdict; more are summed up
MOST_OPEN = 3  # inconclusive ones with their differences


def answer(findings: Findings) -> str:
    """Say who wins what, by how much, how surely, what is inconclusive, and what the winner costs."""
    primary = findings.primary
    compared = [label for label in findings.ordered if primary and label in primary.summaries]
    if primary is None or not compared:
        return no_answer(findings)
    sentences = [_leader_sentence(findings, primary, compared)]
    if len(compared) > 1:
        sentences += [*_leader_against_others(findings, primary, compared), _other_pairs(compared[0], primary)]
    elif len(findings.study.labels) == 1:
        sentences.append("There is no other configuration to compare it with.")
    else:
        sentences.append(f"No other configuration has a {primary.metric.label} to compare it with.")
    costs = [name for name in OVERVIEW_COSTS if name in findings.metrics and name != primary.metric.name]
    sentences += [_cost_sentence(findings, findings.metrics[name], compared[0]) for name in costs]
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
    value = f"{in_unit(summary.mean, metric)} {metric.unit}".rstrip()
    scope = f"{len(compared):,} configurations"
    if findings.left_out:
        scope = f"the {scope} that are best on validation (of {len(findings.study.finished_labels):,})"
    close = {"rel_tol": 1e-12, "abs_tol": 1e-12}  # rounding
    tied = [label for label in compared if math.isclose(summaries[label].mean, summary.mean, **close)]
    if len(tied) > 1:
        who = f"All {scope}" if len(tied) == len(compared) else f"{_some(tied)} of {scope}"
        also = "the same" if len(tied) == len(compared) else f"the same {which}"
        return f"{who} have {also} mean {metric.label}, {value}; what follows speaks of {leader}."
    start = f"{leader} has the {which} mean {metric.label} of {scope}: {value}"
    if len(compared) == 1:
        start = f"{leader} has a {'' if summary.n == 1 else 'mean '}{metric.label} of {value}"
    if summary.n == 1:
        return f"{start}, from one run, which says nothing of the spread."
    around = f"standard deviation {in_unit(summary.standard_deviation, metric, more_digits=1)}"
    if summary.mean_t_interval.known:
        low, high = (in_unit(end, metric) for end in (summary.mean_t_interval.lower, summary.mean_t_interval.upper))
        around += f"; 95 % interval {low} to {high}"
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
        _inconclusive_sentence([view for view in views if view.verdict == "inconclusive"], primary),
    ]


def _beaten_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    if not views:
        return "It is not surely better than any other."
    if len(views) > MOST_LISTED:
        by_size = sorted(views, key=lambda view: abs(view.difference))
        ends = [_beaten_part(view, primary) for view in (by_size[0], by_size[-1])]
        parts = [f"{len(views):,} others, from {ends[0]} to {ends[1]}"]
    else:
        parts = [_beaten_part(view, primary) for view in views]
        parts[1:] = [part.replace(f" times its {primary.metric.label}", "") for part in parts[1:]]
    if primary.design:
        surely = f"decided by a group-sequential design with {analyses_words(primary.design)}"
    else:
        worst = max(view.pair.difference_p_holm for view in views)
        surely = f"{p_bound(worst)}{holm_words(primary.family)}"
    return f"It is better than {names(parts)} ({surely})."


def _beaten_part(view: PairView, primary: MetricFindings) -> str:
    """Name one of the beaten and by how much: b by 0.85 [0.75, 0.96] points; of times and memory the ratio."""
    metric, pair = primary.metric, view.pair
    if is_turned(view, metric):
        return _turned_part(view, primary)
    over = [f"n = {pair.n:,} common repeats"] if pair.left_out else []
    if pair.decision:
        over = [f"analysis {pair.decision.analysis}, n = {pair.decision.n:,}"]
    if metric.by_ratio:
        return f"{view.other} ({', '.join([f'{difference_words(view, metric)} its {metric.label}', *over])})"
    larger = view if view.difference > 0 else seen_from(pair, view.other)
    words = difference_words(larger, metric)
    if larger.lower > 0:  # a plus would only say again what "better" says
        words = words.replace("+", "")
    return f"{view.other} by {words}{f' ({over[0]})' if over else ''}"


def _turned_part(view: PairView, primary: MetricFindings) -> str:
    """Name one that a design decided on before the difference turned round."""
    decision = view.pair.decision
    analysis = f"analysis {decision.analysis}, n = {decision.n:,}, " if decision else ""
    return f"{view.other} ({analysis}though {difference_words(view, primary.metric)} over all {view.pair.n:,} since)"


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
        f" than {margin_words(primary.metric, views[0].pair.margin or 0)}, the smallest that the study calls relevant."
    )


def _beating_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    """Name those that are better although their mean is not: over the repeats they share, or by an early decision."""
    if not views:
        return ""
    if primary.design:
        return f"By the design's decision it is worse than {_some([_turned_part(view, primary) for view in views])}."
    return f"On the repeats they share, it is worse than {_some([view.other for view in views])}."


def _inconclusive_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    if not views:
        return ""
    parts = [_open_part(view, primary) for view in views]
    if len(parts) > MOST_OPEN:
        parts = [f"{len(parts):,} others, the nearest in mean being {parts[0]}"]
    return f"Inconclusive is whether it differs from {names(parts)}."


def _open_part(view: PairView, primary: MetricFindings) -> str:
    """Name one that it is inconclusive against, with the difference."""
    if view.pair.n < 2:
        why = "one common repeat shows no spread to judge by" if view.pair.n else "no repeat in common"
        return f"{view.other} ({why})"
    own = f", sure alone but not among {counted(primary.family, 'pair')}"
    own = own * (view.leaves_out_none and not view.pair.decision)
    return f"{view.other} ({difference_words(view, primary.metric)}{own})"


def _other_pairs(leader: str, primary: MetricFindings) -> str:
    """Count the verdicts on the pairs without the leader; their table names them."""
    verdicts = [pair.verdict for pair in primary.pairs if leader not in (pair.a, pair.b)]
    counts = {
        "told apart": verdicts.count("better") + verdicts.count("worse"),
        "practically equivalent": verdicts.count("equivalent"),
        "inconclusive": verdicts.count("inconclusive"),
    }
    told = ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)
    return f"Other pairs: {told}." if told else ""


def _some(labels: Sequence[str]) -> str:
    """Name labels, the first ones of many."""
    return names(labels if len(labels) <= MOST_LISTED else [*labels[:MOST_OPEN], f"{len(labels) - MOST_OPEN:,} more"])


def _cost_sentence(findings: Findings, cost: MetricFindings, leader: str) -> str:
    """Say what the leader costs against the cheapest or, where it is that, the next; nothing where not compared."""
    metric = cost.metric
    cheapest = sorted(cost.of(findings.shown), key=lambda label: cost.summaries[label].mean)
    if cost.refusal or len(cheapest) < 2 or leader not in cheapest:
        return ""
    leads = cheapest[0] == leader
    other, place = (cheapest[1], "the next") if leads else (cheapest[0], "the lowest")
    also = f"It also has the lowest mean {metric.label}:" if leads else f"Its {metric.label} is"
    start = f"{also} {in_unit(cost.summaries[leader].mean, metric)} {metric.unit}"
    pair = cost.pair(leader, other)
    if pair is None or not pair.n:
        return f"{start}."
    view = seen_from(pair, leader)
    unsure = "" if view.verdict in ("better", "worse") else f" ({view.verdict})"
    return f"{start}, {difference_words(view, metric)} that of {other}, {place}{unsure}."


def _lacking_sentences(findings: Findings) -> list[str]:
    """Say which repeats have no row, once for all configurations that lack the same ones."""
    study = findings.study
    lacking: dict[tuple[int, ...], list[str]] = {}
    for label, repeats in study.missing_repeats.items():
        lacking.setdefault(tuple(repeats), []).append(label)
    lacking.pop((), None)
    return [
        f"{names(labels)} {'lacks' if len(labels) == 1 else 'lack'} {counted(len(missing), 'repeat')} of"
        f" {study.repeats} ({', '.join(map(str, missing[:10]))}{', ...' * (len(missing) > 10)}): pairs use the common"
        f" ones. Run `python jobs/study.py {shlex.quote(study.name)}` to add them."
        for missing, labels in lacking.items()
    ]


def missing_words(findings: Findings) -> list[str]:
    """Say which runs a report lacks: failed, diverged, not there, and what was left out of the figures."""
    counts, study = findings.study.counts(), findings.study
    sentences = []
    for status, meaning in (("failed", "failed"), ("diverged", "diverged (loss not finite)")):
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
