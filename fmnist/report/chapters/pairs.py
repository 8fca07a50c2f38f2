"""The tables of one study's report, each made from its findings."""

from __future__ import annotations

import shlex

import numpy as np
import pandas as pd

from fmnist.compare import Interval
from fmnist.data import CLASS_NAMES
from fmnist.declare import METRICS, OVERVIEW_COSTS, Metric
from fmnist.report.chapters.methods import analyses_words
from fmnist.report.study_data import Findings, MetricFindings
from fmnist.report.table import (
    NOTHING,
    Columns,
    Table,
    figure,
    heading,
    in_unit,
    make_table,
    metric_table,
    names,
    p_value,
    with_spread,
)
from fmnist.report.text import PairView, difference_text, difference_unit, remarks, repeats_text, seen_from

MISTAKES_SHOWN = 3


def results_table(findings: Findings) -> Table | None:
    """The overview: label, n, accuracy with spread and interval, time, memory and verdict; the best first."""
    main = findings.primary
    overview = (name for name, metric in METRICS.items() if metric.in_overview)
    metrics = [METRICS[name] for name in dict.fromkeys((findings.study.primary_metric, *overview))]
    columns: Columns = {
        "configuration": "label",
        "n": "n",
        **{heading(metric): figure(metric.name, metric.scale, metric.digits) for metric in metrics},
        **({f"against {findings.ordered[0]}": "against_best"} if main and main.pairs else {}),
    }
    rows: list[dict[str, object]] = []
    for label in findings.every_label:
        summary = main.summaries.get(label) if main else None
        row: dict[str, object] = {"label": label, "n": summary.n if summary else 0}
        for metric in metrics:
            row |= _result_values(findings, metric, label)
        if main and main.pairs:
            row["against_best"] = _against_best(findings, main, label)
        rows.append(row)
    return make_table("accuracy", "results", "Results", rows, columns, _results_note(findings), leads=True)


def _result_values(findings: Findings, metric: Metric, label: str) -> dict[str, float]:
    """Give the mean of a metric; with its spread where it can have one, and its interval where it may be compared."""
    name, found = metric.name, findings.metrics.get(metric.name)
    if found is None or label not in found.summaries:
        return {name: float("nan")}
    summary = found.summaries[label]
    values = {name: summary.mean}
    if not metric.is_fixed:
        values[f"{name}_standard_deviation"] = summary.standard_deviation
    if not metric.is_fixed and not found.refusal:
        values |= {f"{name}_lower": summary.mean_t_interval.lower, f"{name}_upper": summary.mean_t_interval.upper}
    return values


def _against_best(findings: Findings, main: MetricFindings, label: str) -> str:
    pair = main.pair(findings.ordered[0], label)
    if pair is None:
        return NOTHING
    view = seen_from(pair, label)
    return f"{view.verdict}, {difference_text(view, main.metric)} {difference_unit(main.metric)}"


def _results_note(findings: Findings) -> str:
    """Say what the figures are, and of time and memory what is not compared, each reason once."""
    reasons: dict[str, list[str]] = {}
    for found in (findings.metrics[name] for name in OVERVIEW_COSTS if name in findings.metrics):
        if found.refusal or found.withheld:
            words = basis_words(found)
            reasons.setdefault(f"{words[:1].lower()}{words[1:]}", []).append(found.metric.label)
    costs = [f"{names(labels).capitalize()}: {reason}" for reason, labels in reasons.items()]
    return " ".join(["Mean ± standard deviation over n runs; in brackets the 95 % interval of the mean.", *costs])


def basis_words(found: MetricFindings) -> str:
    """Say on what rows a metric stands, where that is not every finished run."""
    if found.refusal:
        return f"{placement_mark(found)}. {way_to_compare(found)}."
    if found.metric.needs_exclusive:
        lacking = f" {names(found.withheld)} {'has' if len(found.withheld) == 1 else 'have'} none."
        return f"Exclusive rows of one hardware.{lacking if found.withheld else ''}"
    return ""


def way_to_compare(found: MetricFindings) -> str:
    """Say why a metric is not compared and what to run; where every run shared its machine, in few words."""
    why = "every run shared its machine" if found.all_shared else found.refusal
    anew = "" if found.any_shared else " --results FOLDER` with a folder of its own, on one machine"
    command = f"`python jobs/study.py {shlex.quote(found.study)} --placement exclusive"
    return f"{why[:1].upper()}{why[1:]}; for clean figures run {command}{anew or '`'}"


def placement_mark(found: MetricFindings) -> str:
    """Mark the values of a metric that may not be compared."""
    if found.any_shared:
        return "Shared placement: not compared"
    return "Mixed hardware: not compared" if found.is_mixed else "Disturbed or resumed runs: not compared"


def counts_table(findings: Findings) -> Table | None:
    """Runs wanted and there, by status: what failed or diverged is counted."""
    counts = findings.study.counts().reindex(findings.every_label).reset_index(names="label")
    columns = {{"label": "configuration", "ok": "finished"}.get(name, name): name for name in counts.columns}
    return make_table("runs", "runs", "Runs", counts.to_dict("records"), columns)


def failures_table(findings: Findings) -> Table | None:
    """Each run that failed or diverged, with its error; None if there is none."""
    rows = findings.study.outcomes
    columns = {"configuration": "label", "repeat": "repeat", "status": "status", "attempts": "attempts",
               "error": "error"}  # fmt: skip
    bad = rows.loc[rows["status"] != "ok", list(columns.values())].to_dict("records")
    return make_table("runs", "failures", "Runs that did not finish", bad, columns)


def metric_tables(findings: Findings) -> list[Table | None]:
    """One table a metric."""
    return [
        metric_table(
            found.metric,
            {label: found.summaries[label] for label in findings.every_label if label in found.summaries},
            basis_words(found),
        )
        for found in findings.metrics.values()
    ]


def pair_tables(findings: Findings) -> list[Table | None]:
    """One table for each metric whose pairs were compared: the verdict on each, with what it stands on."""
    return [_pair_table(found, findings) for found in findings.metrics.values() if found.pairs]


def _pair_table(found: MetricFindings, findings: Findings) -> Table | None:
    metric, order = found.metric, findings.ordered
    views = [seen_from(pair, min((pair.a, pair.b), key=order.index)) for pair in found.pairs]
    views.sort(key=lambda view: (order.index(view.label), order.index(view.other)))
    layered = metric.name == "test_accuracy"
    layers = [findings.layered_interval(view.label, view.other) if layered else None for view in views]
    margin = views[0].pair.margin
    relative = metric.by_ratio
    title = f"Pairs by {metric.label} ({'ratio' if relative else difference_unit(metric)})"
    shown_margin = NOTHING if margin is None else f"{100 * margin:g} %" if relative else in_unit(margin, metric)
    parts = {
        "The first of each pair against the second over their common repeats.": True,
        f"Verdict, interval and p values speak of new seeds and splits {_spoken_of(metric)}.": found.family > 0,
        f"p values are adjusted by Holm's procedure over {found.family:,} pairs, intervals are not.": found.family > 1,
        "Below 6 common repeats the signed-rank test cannot reach p = 0.05.": any(
            1 < pair.n < 6 for pair in found.pairs
        ),
        f"Margin of equivalence: {shown_margin}.": True,
        "P(better): share of common repeats that the first wins, of which Bouthillier et al. (2021) ask 0.75.": True,
        "Repeats to decide: at a power of 0.8 and the observed spread, over the differences in the interval.": any(
            pair.repeats_to_decide for pair in found.pairs
        ),
        'The column "seeds and test set" has the difference\'s 95 % interval for new seeds and other test images of the'
        " same kind alike; no verdict is read from it.": any(layers),
    }
    note = " ".join(words for words, holds in parts.items() if holds)
    note += f"{_design_note(found)}{_remarks(views, layers, found)}"
    rows = [_pair_row(view, both) for view, both in zip(views, layers, strict=True)]
    columns = _pair_columns(found, views, has_layers=any(layers))
    return make_table(metric.chapter, f"pairs-{metric.name}", title, rows, columns, note)


def _spoken_of(metric: Metric) -> str:
    """Say on what a metric's verdicts hold."""
    if metric.needs_exclusive:
        return "on this hardware"
    return "on these test images" if metric.name.startswith("test_") else "of this data"


def _design_note(found: MetricFindings) -> str:
    if found.design is None:
        return ""
    return (
        f" The verdicts are those of a group-sequential design with {analyses_words(found.design)}; the p values"
        " are of plain tests over all repeats and do not allow for the analyses, and estimates after an early stop are"
        " a little too far from 0."
    )


def _remarks(views: list[PairView], layers: list[Interval | None], found: MetricFindings) -> str:
    """Say what is special about pairs, each remark once with the pairs it holds for."""
    pairs: dict[str, list[str]] = {}
    for view, layered in zip(views, layers, strict=True):
        words = [remarks(view, found.metric, found.analyses, found.family)]
        if view.verdict in ("better", "worse") and layered and layered.lower <= 0 <= layered.upper:
            words.append("Sure on these test images, not on others of their kind.")
        if any(words):
            pairs.setdefault(" ".join(filter(None, words)), []).append(f"{view.label} and {view.other}")
    return "".join(
        f" {'Every pair' if len(some) == len(views) > 1 else '; '.join(some)}: {note}" for note, some in pairs.items()
    )


def _pair_row(view: PairView, layered: Interval | None) -> dict[str, object]:
    pair = view.pair
    flipped = view.label != pair.a
    fewest, most = pair.repeats_to_decide or (None, None)
    return {
        "label": view.label, "other": view.other, "n": pair.n, "verdict": view.verdict,
        "analysis": pair.decision and pair.decision.analysis,
        "difference": view.difference, "difference_lower": view.lower, "difference_upper": view.upper,
        **({"layered_lower": layered.lower, "layered_upper": layered.upper} if layered else {}),
        "ratio": view.ratio, "ratio_lower": view.ratio_lower, "ratio_upper": view.ratio_upper,
        "difference_p_holm": pair.difference_p_holm, "signed_rank_p_holm": pair.signed_rank_p_holm,
        "equivalence_p_holm": pair.equivalence_p_holm, "margin": pair.margin,
        "d_z": -pair.d_z if flipped else pair.d_z,
        "cliffs_delta": -pair.cliffs_delta if flipped else pair.cliffs_delta,
        "probability_better": 1 - pair.probability_a_better if flipped else pair.probability_a_better,
        "fewest_repeats_to_decide": fewest, "most_repeats_to_decide": most,
    }  # fmt: skip


def _pair_columns(found: MetricFindings, views: list[PairView], *, has_layers: bool) -> Columns:
    metric, by_labels = found.metric, {(view.label, view.other): view for view in views}
    both = figure("layered", metric.scale, metric.digits, signed=True)
    return {
        "configuration": "label",
        "against": "other",
        "ratio" if metric.by_ratio else "difference": lambda row: difference_text(
            by_labels[row["label"], row["other"]], metric
        ),
        "verdict": "verdict",
        "n": "n",
        **({"seeds and test set": both} if has_layers else {}),
        "p (difference)": lambda row: p_value(row["difference_p_holm"]),
        "p (signed rank)": lambda row: p_value(row["signed_rank_p_holm"]),
        "p (equivalence)": lambda row: p_value(row["equivalence_p_holm"]),
        "d_z": figure("d_z", digits=2, signed=True),
        "Cliff's δ": figure("cliffs_delta", digits=2, signed=True),
        "P(better)": figure("probability_better", digits=2),
        "repeats to decide": lambda row: repeats_text(by_labels[row["label"], row["other"]].pair, found.analyses),
    }


def recall_table(findings: Findings) -> Table | None:
    """Recall of each class: mean and standard deviation over runs."""
    raw, shown = [], []
    for label in findings.predicted:
        by_run = pd.DataFrame(findings.predictions[label].recall_by_run, columns=list(CLASS_NAMES))
        means, spreads = by_run.mean(), by_run.std()
        raw += [{"label": label, "class": name, "n": len(by_run), "mean": means[name],
                 "standard_deviation": spreads[name]} for name in CLASS_NAMES]  # fmt: skip
        cells = {name: with_spread(means[name], spreads[name], 100, 1) for name in CLASS_NAMES}
        shown.append({"configuration": label, **cells})
    note = "Share of each class's test images classified rightly, in %, mean ± standard deviation over runs."
    frames = pd.DataFrame(raw), pd.DataFrame(shown)
    return Table("classes", "recall", "Recall by class", *frames, note) if raw else None


def mistakes_table(findings: Findings) -> Table | None:
    """The most frequent mistakes of each configuration, all runs together."""
    rows = []
    for label in findings.predicted:
        counts = findings.predictions[label].confusion
        wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
        for place in np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES_SHOWN]:
            true, predicted = divmod(int(place), len(counts))
            share = counts[true, predicted] / max(counts[true].sum(), 1)
            rows.append({"label": label, "true": CLASS_NAMES[true], "predicted": CLASS_NAMES[predicted],
                         "count": int(counts[true, predicted]), "share": share})  # fmt: skip
    columns: Columns = {"configuration": "label", "true class": "true", "taken for": "predicted", "times": "count",
                        "share of the class, %": figure("share", 100, 1)}  # fmt: skip
    return make_table("classes", "mistakes", "Most frequent mistakes", rows, columns, "All runs together.")
