"""What the numbers say, in plain sentences: the answer that leads a report, and what is missing from it."""

from __future__ import annotations

from collections.abc import Sequence

from fmnist.comparison import PairComparison
from fmnist.reporting.findings import MOST_SHOWN, Findings, MetricFindings
from fmnist.reporting.pair_text import PairView, difference_text, difference_unit, seen_from
from fmnist.reporting.study_tables import way_to_compare
from fmnist.schema import METRICS
from fmnist.statistics.verdicts import RELATIVE_KINDS
from fmnist.tables import in_unit, number

COSTS = ("train_seconds", "host_allocated_bytes")
MOST_LISTED = 5  # beaten configurations; more are summed up


def answer(findings: Findings) -> str:
    """Say who wins what, by how much, how surely, what is undecided and how many repeats would decide it."""
    primary = findings.primary
    if primary is None or not findings.ordered:
        return no_answer(findings)
    sentences = [_leader_sentence(findings, primary)]
    if len(findings.ordered) == 1:
        sentences.append("There is no other configuration to compare it with.")
    else:
        sentences += _leader_against_others(findings, primary)
        sentences += _other_pairs(findings, primary)
    sentences += _cost_sentences(findings)
    return " ".join(sentence for sentence in sentences if sentence)


def no_answer(findings: Findings) -> str:
    """Say that nothing finished, and why."""
    counts = findings.study.counts().drop(columns="wanted").sum()
    parts = [f"{int(count)} {status}" for status, count in counts.items() if count]
    errors = findings.study.outcomes["error"].dropna()
    first = f" The first error is: {errors.iloc[0]}." if len(errors) else ""
    metric = METRICS[findings.study.primary_metric].label
    return f"There is no answer: no run has a {metric} ({', '.join(parts)}).{first}"


def names(labels: Sequence[str]) -> str:
    """Join labels as a sentence does: a, b and c."""
    return " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, plural where it is not one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _leader_sentence(findings: Findings, primary: MetricFindings) -> str:
    leader, metric = findings.ordered[0], primary.metric
    summary = primary.summaries[leader]
    interval = summary.mean_t_interval
    which = "highest" if metric.direction == "up" else "lowest"
    unit = f" {metric.unit}" if metric.unit else ""
    value = f"{in_unit(summary.mean, metric)}{unit}"
    if len(findings.ordered) == 1:
        start = f"{leader} has a {metric.label} of {value}"
    else:
        start = f"{leader} has the {which} mean {metric.label} of {len(findings.ordered)} configurations: {value}"
    if summary.n == 1:
        return f"{start}, from one run, which says nothing of the spread."
    spread = f"standard deviation {in_unit(summary.standard_deviation, metric, more_digits=1)}"
    if not interval.known:
        return f"{start} over n = {summary.n:,} runs ({spread})."
    low, high = in_unit(interval.lower, metric), in_unit(interval.upper, metric)
    return f"{start} over n = {summary.n:,} runs ({spread}; {100 * interval.confidence:g} % interval {low} to {high})."


def _leader_against_others(findings: Findings, primary: MetricFindings) -> list[str]:
    if primary.refusal:
        return [f"No difference is tested. {way_to_compare(primary)}."]
    leader = findings.ordered[0]
    pairs = [primary.pair(leader, other) for other in findings.ordered[1:]]
    views = [seen_from(pair, leader) for pair in pairs if pair is not None]
    beaten = [view for view in views if view.verdict == "better"]
    equal = [view for view in views if view.verdict == "equivalent"]
    beating = [view for view in views if view.verdict == "worse"]
    open_views = [view for view in views if view.verdict == "undecided"]
    return [
        _beaten_sentence(beaten, primary),
        _equivalent_sentence(equal, primary),
        f"On the repeats they share, it is worse than {names([view.other for view in beating])}." if beating else "",
        _undecided_sentence(open_views, primary),
    ]


def _beaten_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    if not views:
        return "It is not surely better than any other."
    if len(views) > MOST_LISTED:
        nearest, furthest = views[0], views[-1]
        parts = [f"{len(views)} others, from {_beaten_part(nearest, primary)} to {_beaten_part(furthest, primary)}"]
    else:
        parts = [_beaten_part(view, primary) for view in views]
        parts[1:] = [part.replace(f" times its {primary.metric.label})", ")") for part in parts[1:]]
    worst = max(view.pair.difference_p_holm for view in views)
    if views[0].pair.basis == "value":
        surely = ""
    elif primary.design:
        surely = f" (decided by a group-sequential design of {counted(len(primary.design.looks), 'look')})"
    else:
        p = "below 0.001" if worst < 0.001 else f"at most {number(worst, 3)}"
        surely = f" (p {p} after Holm's adjustment over {counted(len(primary.pairs), 'pair')})"
    return f"It is better than {names(parts)}{surely}."


def _beaten_part(view: PairView, primary: MetricFindings) -> str:
    """Name one of the beaten and by how much: b by 0.85 [0.75, 0.96] points; of times and memory the ratio."""
    metric = primary.metric
    if metric.kind in RELATIVE_KINDS:
        return f"{view.other} ({difference_text(view, metric)} times its {metric.label})"
    larger = view if view.difference > 0 else seen_from(view.pair, view.other)
    text = difference_text(larger, metric)
    if larger.lower > 0:  # a plus would only say again what "better" says
        text = text.replace("+", "")
    return f"{view.other} by {text} {difference_unit(metric)}"


def _equivalent_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    if not views:
        return ""
    return (
        f"It is practically equivalent to {names([view.other for view in views])}: the difference is surely smaller"
        f" than {margin_text(views[0], primary)}, the smallest that the study calls relevant."
    )


def margin_text(view: PairView, primary: MetricFindings) -> str:
    """Write the margin of equivalence with its unit."""
    margin = view.pair.margin or float("nan")
    if primary.metric.kind in RELATIVE_KINDS:
        return f"{100 * margin:g} %"
    return f"{margin * primary.metric.scale:g} {difference_unit(primary.metric)}"


def _undecided_sentence(views: Sequence[PairView], primary: MetricFindings) -> str:
    if not views:
        return ""
    if all(view.pair.n <= 1 for view in views):
        others = names([view.other for view in views])
        return f"Undecided is whether it differs from {others}: one common repeat shows no spread to judge by."
    unit = difference_unit(primary.metric)
    parts = [
        f"{view.other} (difference {difference_text(view, primary.metric)} {unit}; {_needs(view)})" for view in views
    ]
    return f"Undecided is whether it differs from {names(parts)}."


def _needs(view: PairView) -> str:
    """Say how many repeats would decide a pair."""
    wanted, have = view.pair.repeats_to_decide, view.pair.n
    if wanted is None:
        return f"with {counted(have, 'common repeat')} it cannot be said how many would decide"
    if wanted <= have:
        return f"{have} repeats should have been enough four times in five: a few more may decide"
    return f"about {wanted:,} repeats would decide, {wanted - have:,} more"


def _other_pairs(findings: Findings, primary: MetricFindings) -> list[str]:
    """Name the pairs without the leader that are equivalent or undecided, and the largest number of repeats needed."""
    others = [pair for pair in primary.pairs if findings.ordered[0] not in (pair.a, pair.b)]
    if not others:
        return []
    open_pairs = [pair for pair in others if pair.verdict == "undecided"]
    equal_pairs = [pair for pair in others if pair.verdict == "equivalent"]
    equal = [f"Practically equivalent: {_pair_names(equal_pairs)}."] if equal_pairs else []
    start = f"Of the {len(others)} other pairs" if len(others) > 1 else "Of the other pair"
    if not open_pairs:
        return [f"{start} every one is decided." if len(others) > 1 else "The other pair is decided.", *equal]
    needed = [pair.repeats_to_decide for pair in open_pairs if pair.repeats_to_decide is not None]
    largest = f"; {max(needed):,} repeats would decide all whose need can be estimated" if needed else ""
    are = "is" if len(open_pairs) == 1 else "are"
    return [f"{start} {len(open_pairs)} {are} undecided ({_pair_names(open_pairs)}){largest}.", *equal]


def _pair_names(pairs: Sequence[PairComparison]) -> str:
    """Name pairs, three at most."""
    more = f" and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    return "; ".join(f"{pair.a} and {pair.b}" for pair in pairs[:3]) + more


def _cost_sentences(findings: Findings) -> list[str]:
    """Say what the leader costs, and of what it cannot be said and why, each reason once."""
    names_of_costs = [name for name in COSTS if name in findings.metrics and name != findings.study.primary_metric]
    costs = [findings.metrics[name] for name in names_of_costs]
    refused: dict[str, list[str]] = {}
    for cost in costs:
        if cost.refusal and len(cost.summaries) > 1:
            refused.setdefault(way_to_compare(cost), []).append(cost.metric.label)
    sentences = [_cost_sentence(findings, cost) for cost in costs if not cost.refusal]
    for reason, labels in refused.items():
        verb = "is" if len(labels) == 1 else "are"
        sentences.append(f"{names(labels).capitalize()} {verb} described, not compared. {reason}.")
    return sentences


def _cost_sentence(findings: Findings, cost: MetricFindings) -> str:
    """Say what the leader costs against the cheapest."""
    leader, metric = findings.ordered[0], cost.metric
    if len(cost.summaries) < 2 or leader not in cost.summaries:
        return ""
    cheapest = min(cost.of(findings.shown), key=lambda label: cost.summaries[label].mean)
    mean = f"{in_unit(cost.summaries[leader].mean, metric)} {metric.unit}"
    if cheapest == leader:
        return f"It also has the lowest {metric.label}: {mean}."
    pair = cost.pair(leader, cheapest)
    ratio = f", {difference_text(seen_from(pair, leader), metric)} times that of {cheapest}, the lowest" if pair else ""
    return f"Its {metric.label} is {mean}{ratio}."


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
                f" {study.repeats} ({listed}): pairs use the common ones. Run `python jobs/study.py {study.name}` to"
                " add them."
            )
    return sentences


def missing_words(findings: Findings) -> list[str]:
    """Say which runs a report lacks: failed, diverged, pruned, not there, and what was left out of the figures."""
    counts, study = findings.study.counts(), findings.study
    sentences = []
    for status, meaning in (
        ("failed", "failed"),
        ("diverged", "diverged (loss not finite)"),
        ("pruned", "were pruned"),
    ):
        hit = [f"{label} {int(number)}" for label, number in counts[status].items() if number]
        if hit:
            sentences.append(f"Runs that {meaning}: {', '.join(hit)}. They are counted here and in no mean.")
    sentences += _lacking_sentences(findings)
    sentences += study.remarks
    if study.repeats is None:
        sentences.append("The study's manifest is not there: how many repeats were wanted is not known.")
    pruned = int(counts["pruned"].sum())
    if pruned:
        sentences.append("Pruned runs were chosen by their results: means of what remains are biased upwards.")
    if findings.left_out:
        sentences.append(
            f"Figures and pairs show the {MOST_SHOWN} configurations with the highest mean validation accuracy;"
            f" {len(findings.left_out)} more are in the tables."
        )
    return sentences
