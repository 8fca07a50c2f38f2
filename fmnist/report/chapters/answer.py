"""The answer that leads a report, in plain sentences: who wins what, by how much, and what the winner costs."""

import math
from collections.abc import Sequence

from fmnist.compare import PairComparison
from fmnist.declare import METRICS, OVERVIEW_COSTS
from fmnist.report import text
from fmnist.report.chapters.metrics import way_to_compare
from fmnist.report.chapters.pairs import is_turned
from fmnist.report.chapters.tuning_words import tuning_answer
from fmnist.report.study_data import MetricData, StudyData, turned

MOST_LISTED = 5  # configurations of one verdict; more are summed up
MOST_OPEN = 3  # inconclusive ones with their differences


def answer(data: StudyData) -> str:
    """Say who wins what, by how much and how significantly, what is inconclusive, and what the winner costs."""
    primary = data.primary
    compared = [label for label in data.ranked_labels if primary and label in primary.summaries]
    if primary is None or not compared:
        return _no_answer(data)
    if data.tuning:
        return tuning_answer(data, data.tuning, primary.metric)
    sentences = [_leader_sentence(data, primary, compared)]
    if len(compared) > 1:
        sentences += [*_leader_against_others(data, primary, compared), _other_pairs(compared[0], primary)]
    elif len(data.study.labels) == 1:
        sentences.append("There is no other configuration to compare it with.")
    else:
        sentences.append(f"No other configuration has a {primary.metric.label} to compare it with.")
    costs = [name for name in OVERVIEW_COSTS if name in data.metrics and name != primary.metric.name]
    sentences += [_cost_sentence(data, data.metrics[name], compared[0]) for name in costs]
    return " ".join(filter(None, sentences))


def _no_answer(data: StudyData) -> str:
    """Say that nothing finished, and why."""
    counts = data.study.counts().drop(columns="wanted").sum().rename({"ok": "finished"})
    parts = [f"{text.number(count)} {status}" for status, count in counts.items() if count]
    errors = data.study.outcomes["error"].dropna()
    first = f" The first error is: {errors.iloc[0]}." if len(errors) else ""
    metric = METRICS[data.study.primary_metric].label
    return f"There is no answer: no run has a {metric} ({', '.join(parts)}).{first}"


def _leader_sentence(data: StudyData, primary: MetricData, compared: Sequence[str]) -> str:
    leader, metric, summaries = compared[0], primary.metric, primary.summaries
    summary = summaries[leader]
    which = "highest" if metric.direction == "up" else "lowest"
    value = text.amount(summary.mean, metric)
    scope = f"{text.number(len(compared))} configurations"
    if data.omitted_labels:
        scope = f"the {scope} that are best on validation (of {text.number(len(data.study.finished_labels))})"
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
    around = f"standard deviation {text.in_unit(summary.standard_deviation, metric, more_digits=1)}"
    interval = summary.mean_t_interval
    if interval.known:
        around += f"; 95 % interval {text.in_unit(interval.lower, metric)} to {text.in_unit(interval.upper, metric)}"
    return f"{start} over n = {text.number(summary.n)} runs ({around})."


def _leader_against_others(data: StudyData, primary: MetricData, compared: Sequence[str]) -> list[str]:
    if primary.refusal:
        return [f"No difference is tested. {way_to_compare(primary)}."]
    pairs = [pair for other in compared[1:] if (pair := primary.pair(compared[0], other))]
    of = {verdict: [pair for pair in pairs if pair.verdict == verdict]
          for verdict in ("better", "equivalent", "worse", "inconclusive")}  # fmt: skip
    return [
        _better_sentence(of["better"], primary),
        _other_images_sentence(of["better"], data),
        _equivalent_sentence(of["equivalent"], primary),
        _worse_sentence(of["worse"], primary),
        _inconclusive_sentence(of["inconclusive"], primary),
    ]


def _better_sentence(pairs: Sequence[PairComparison], primary: MetricData) -> str:
    if not pairs:
        return "It is not significantly better than any other."
    if len(pairs) > MOST_LISTED:
        by_size = sorted(pairs, key=lambda pair: abs(pair.mean_difference))
        ends = [_better_part(pair, primary) for pair in (by_size[0], by_size[-1])]
        parts = [f"{text.number(len(pairs))} others, from {ends[0]} to {ends[1]}"]
    else:
        parts = [_better_part(pair, primary) for pair in pairs]
        parts[1:] = [part.replace(f" times its {primary.metric.label}", "") for part in parts[1:]]
        parts[1:] = [part.replace(" percentage points", "") for part in parts[1:]]
    if primary.design:
        basis = f"decided by a group-sequential design with {text.design_words(primary.design)}"
    else:
        basis = f"{text.p_bound(max(pair.difference_p_holm for pair in pairs))}{text.holm_words(primary.family)}"
    return f"It is better than {text.names(parts)} ({basis})."


def _better_part(pair: PairComparison, primary: MetricData) -> str:
    """Name one that it is better than and by how much: b by 0.85 [0.75, 0.96]; of times and memory the ratio."""
    metric = primary.metric
    if is_turned(pair, metric):
        return _turned_part(pair, primary)
    over = [f"n = {text.number(pair.n)} common repeats"] if pair.left_out else []
    if pair.decision:
        over = [f"analysis {pair.decision.analysis}, n = {text.number(pair.decision.n)}"]
    if metric.by_ratio:
        return f"{pair.b} ({', '.join([f'{text.difference_words(pair, metric)} its {metric.label}', *over])})"
    larger = pair if pair.mean_difference > 0 else turned(pair)
    words = text.difference_words(larger, metric)
    if larger.interval.lower > 0:  # a plus would only say again what "better" says
        words = words.replace("+", "")
    return f"{pair.b} by {words}{f' ({over[0]})' if over else ''}"


def _turned_part(pair: PairComparison, primary: MetricData) -> str:
    """Name one that a design decided on before the difference turned round."""
    decision = pair.decision
    analysis = f"analysis {decision.analysis}, n = {text.number(decision.n)}, " if decision else ""
    words = text.difference_words(pair, primary.metric)
    return f"{pair.b} ({analysis}though {words} over all {text.number(pair.n)} since)"


def _other_images_sentence(pairs: Sequence[PairComparison], data: StudyData) -> str:
    """Say against which its lead may not hold on other test images; verdicts on an accuracy are for new seeds."""
    if data.study.primary_metric != "test_accuracy":
        return ""
    layered = {pair.b: data.layered_interval(pair.a, pair.b) for pair in pairs}
    unsure = [other for other, interval in layered.items() if interval and interval.lower <= 0]
    return (
        f"That holds on these test images; on others of their kind it is not significantly better than {_some(unsure)}."
    ) * bool(unsure)


def _equivalent_sentence(pairs: Sequence[PairComparison], primary: MetricData) -> str:
    if not pairs:
        return ""
    return (
        f"It is practically equivalent to {_some([pair.b for pair in pairs])}: the difference is significantly smaller"
        f" than {text.margin_words(primary.metric, pairs[0].margin or 0)}, the smallest that the study calls relevant."
    )


def _worse_sentence(pairs: Sequence[PairComparison], primary: MetricData) -> str:
    """Name those that are better although their mean is not: over the repeats they share, or by an early decision."""
    if not pairs:
        return ""
    if primary.design:
        return f"By the design's decision it is worse than {_some([_turned_part(pair, primary) for pair in pairs])}."
    return f"On the repeats they share, it is worse than {_some([pair.b for pair in pairs])}."


def _inconclusive_sentence(pairs: Sequence[PairComparison], primary: MetricData) -> str:
    if not pairs:
        return ""
    parts = [_open_part(pair, primary) for pair in pairs]
    if len(parts) > MOST_OPEN:
        parts = [f"{text.number(len(parts))} others, the nearest in mean being {parts[0]}"]
    return f"Whether it differs from {text.names(parts)} is inconclusive."


def _open_part(pair: PairComparison, primary: MetricData) -> str:
    """Name one that it is inconclusive against, with the difference."""
    if pair.n < 2:
        why = "one common repeat shows no spread to judge by" if pair.n else "no repeat in common"
        return f"{pair.b} ({why})"
    own = f", significant alone but not among {text.counted(primary.family, 'pair')}"
    own = own * (text.excludes_no_difference(pair) and not pair.decision)
    return f"{pair.b} ({text.difference_words(pair, primary.metric)}{own})"


def _other_pairs(leader: str, primary: MetricData) -> str:
    """Count the verdicts on the pairs without the leader; their table names them."""
    verdicts = [pair.verdict for pair in primary.pairs if leader not in (pair.a, pair.b)]
    counts = {
        "told apart": verdicts.count("better") + verdicts.count("worse"),
        "practically equivalent": verdicts.count("equivalent"),
        "inconclusive": verdicts.count("inconclusive"),
    }
    told = ", ".join(f"{text.number(count)} {words}" for words, count in counts.items() if count)
    return f"Other pairs: {told}." if told else ""


def _some(labels: Sequence[str]) -> str:
    """Name labels, the first ones of many."""
    return text.names(
        labels if len(labels) <= MOST_LISTED else [*labels[:MOST_OPEN], f"{text.number(len(labels) - MOST_OPEN)} more"]
    )


def _cost_sentence(data: StudyData, cost: MetricData, leader: str) -> str:
    """Say what the leader costs against the cheapest or, where it is that, the next; nothing where not compared."""
    metric = cost.metric
    cheapest = sorted(cost.samples_of(data.compared_labels), key=lambda label: cost.summaries[label].mean)
    if cost.refusal or len(cheapest) < 2 or leader not in cheapest:
        return ""
    leads = cheapest[0] == leader
    other, place = (cheapest[1], "the next") if leads else (cheapest[0], "the lowest")
    also = f"It also has the lowest mean {metric.label}:" if leads else f"Its {metric.label} is"
    start = f"{also} {text.amount(cost.summaries[leader].mean, metric)}"
    pair = cost.pair(leader, other)
    if pair is None or not pair.n:
        return f"{start}."
    unsure = "" if pair.verdict in ("better", "worse") else f" ({pair.verdict})"
    return f"{start}, {text.difference_words(pair, metric)} that of {other}, {place}{unsure}."
