"""The tables of one study's report, each made from its findings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from fmnist.data import CLASS_NAMES
from fmnist.reporting.findings import Findings, MetricFindings
from fmnist.reporting.pair_text import PairView, difference_text, difference_unit, seen_from
from fmnist.schema import METRICS
from fmnist.statistics.verdicts import RELATIVE_KINDS
from fmnist.tables import (
    NOTHING,
    Table,
    bounds,
    heading,
    in_unit,
    mean_and_spread,
    metric_table,
    number,
    p_value,
    records_table,
    with_spread,
)

RESULT_COSTS = ("train_seconds", "host_allocated_bytes")
MISTAKES_SHOWN = 3


def results_table(findings: Findings) -> Table:
    """The overview: label, n, accuracy with spread and interval, time, memory and verdict; the best first."""
    study = findings.study
    main = findings.metrics.get(study.primary_metric)
    names = list(dict.fromkeys([study.primary_metric, "test_accuracy", *RESULT_COSTS, "parameter_count"]))
    raw, shown = [], []
    for label in findings.every_label:
        summary = main.summaries.get(label) if main else None
        raw_row: dict[str, object] = {"label": label, "n": summary.n if summary else 0}
        row = {"configuration": label, "n": f"{raw_row['n']:,}"}
        for name in names:
            raw_values, text = _result_cell(findings, name, label)
            raw_row |= raw_values
            row[heading(METRICS[name])] = text
        if main and main.pairs:
            raw_row["against_best"] = row[f"against {findings.ordered[0]}"] = _against_best(findings, main, label)
        raw.append(raw_row)
        shown.append(row)
    return records_table("results", "Results", raw, shown, _results_note(findings))


def _result_cell(findings: Findings, name: str, label: str) -> tuple[dict[str, float], str]:
    metric, found = METRICS[name], findings.metrics.get(name)
    summary = found.summaries.get(label) if found else None
    if found is None or summary is None:
        return {name: float("nan")}, NOTHING
    text = in_unit(summary.mean, metric) if metric.kind == "size" else mean_and_spread(summary, metric)
    raw = {name: summary.mean, f"{name}_standard_deviation": summary.standard_deviation}
    if metric.kind == "accuracy" and summary.n > 1:
        text += f" {bounds(summary.mean_t_interval, metric)}"
    return raw, text


def _against_best(findings: Findings, main: MetricFindings, label: str) -> str:
    pair = main.pair(findings.ordered[0], label)
    return seen_from(pair, label).verdict if pair else NOTHING


def _results_note(findings: Findings) -> str:
    notes = ["Mean ± standard deviation over n runs; in brackets the 95 % interval of the mean."]
    described = [findings.metrics[name] for name in RESULT_COSTS if name in findings.metrics]
    described = [found for found in described if found.refusal]
    if described:
        labels = " and ".join(found.metric.label for found in described)
        words = basis_words(described[0])
        notes.append(f"{labels.capitalize()}: {words[:1].lower()}{words[1:]}")
    return " ".join(notes)


def basis_words(found: MetricFindings) -> str:
    """Say on what rows a metric stands, where that is not every finished run."""
    if found.refusal:
        return f"{placement_mark(found)}. {way_to_compare(found)}."
    if found.metric.kind in ("time", "memory"):
        return "Exclusive rows of one hardware."
    return ""


def way_to_compare(found: MetricFindings) -> str:
    """Say why a metric is not compared and what to run; where every run shared its machine, in few words."""
    if found.all_shared:
        return "Every run shared its machine; for clean figures run `python jobs/study.py timing`"
    return found.refusal[:1].upper() + found.refusal[1:]


def placement_mark(found: MetricFindings) -> str:
    """Mark the values of a metric that may not be compared."""
    return "Shared placement: not compared" if found.any_shared else "Mixed hardware: not compared"


def counts_table(findings: Findings) -> Table:
    """Runs wanted and there, by status: what failed or diverged is counted."""
    counts = findings.study.counts().reindex(findings.every_label).reset_index(names="label")
    shown = counts.rename(columns={"label": "configuration", "ok": "finished"})
    shown = shown.map(lambda value: value if isinstance(value, str) else number(value, 0))
    return Table("runs", "Runs", counts, shown)


def failures_table(findings: Findings) -> Table | None:
    """Each run that failed, diverged or was pruned, with its error; None if there is none."""
    rows = findings.study.outcomes
    columns = ["label", "repeat", "status", "attempts", "error"]
    bad = rows.loc[rows["status"] != "ok", columns]
    if bad.empty:
        return None
    shown = bad.fillna({"error": NOTHING}).astype(str).rename(columns={"label": "configuration"})
    return Table("failures", "Runs that did not finish", bad, shown)


def metric_tables(findings: Findings) -> Iterator[Table]:
    """One table a metric."""
    for found in findings.metrics.values():
        summaries = {label: found.summaries[label] for label in findings.every_label if label in found.summaries}
        yield metric_table(found.metric, summaries, basis_words(found))


def pair_tables(findings: Findings) -> Iterator[Table]:
    """One table for each metric whose pairs were compared: the verdict on each, with what it stands on."""
    for found in findings.metrics.values():
        if found.pairs:
            yield _pair_table(found, findings.ordered)


def _pair_table(found: MetricFindings, order: list[str]) -> Table:
    metric, views = found.metric, []
    for pair in found.pairs:
        first = min((pair.a, pair.b), key=order.index)
        views.append(seen_from(pair, first))
    views.sort(key=lambda view: (order.index(view.label), order.index(view.other)))
    margin = views[0].pair.margin
    relative = metric.kind in RELATIVE_KINDS
    title = f"Pairs by {metric.label} ({'ratio' if relative else difference_unit(metric)})"
    shown_margin = NOTHING if margin is None else f"{100 * margin:g} %" if relative else in_unit(margin, metric)
    note = (
        "The first of each pair against the second over their common repeats. p values are adjusted by Holm's procedure"
        f" over {len(views)} pairs; the intervals are each pair's own. Margin of equivalence: {shown_margin}. Repeats"
        f" to decide: at a power of 0.8, were the observed figures the true ones.{_design_note(found)}{_remarks(views)}"
    )
    return records_table(f"pairs-{metric.name}", title, [_raw_pair(view) for view in views],
                         [_shown_pair(view, found) for view in views], note)  # fmt: skip


def _design_note(found: MetricFindings) -> str:
    if found.design is None:
        return ""
    return (
        f" The verdicts are those of a group-sequential design with {found.design.describe()}; the p values are of"
        " plain tests over all repeats and do not allow for the looks, and estimates after an early stop are a little"
        " too far from 0."
    )


def _remarks(views: list[PairView]) -> str:
    """Say what is special about pairs, each remark once with the pairs it holds for."""
    pairs: dict[str, list[str]] = {}
    for view in views:
        if view.pair.note:
            pairs.setdefault(view.pair.note, []).append(f"{view.label} and {view.other}")
    return "".join(
        f" {'Every pair' if len(some) == len(views) > 1 else ', '.join(some)}: {note}" for note, some in pairs.items()
    )


def _raw_pair(view: PairView) -> dict[str, object]:
    pair = view.pair
    flipped = view.label != pair.a
    return {
        "label": view.label,
        "other": view.other,
        "n": pair.n,
        "verdict": view.verdict,
        "difference": view.difference,
        "difference_lower": view.lower,
        "difference_upper": view.upper,
        "difference_bootstrap_lower": view.bootstrap[0],
        "difference_bootstrap_upper": view.bootstrap[1],
        "ratio": view.ratio,
        "ratio_lower": view.ratio_lower,
        "ratio_upper": view.ratio_upper,
        "ratio_bootstrap_lower": view.ratio_bootstrap[0],
        "ratio_bootstrap_upper": view.ratio_bootstrap[1],
        "t_p_holm": pair.t_p_holm,
        "signed_rank_p_holm": pair.signed_rank_p_holm,
        "equivalence_p_holm": pair.equivalence_p_holm,
        "margin": pair.margin,
        "d_z": -pair.d_z if flipped else pair.d_z,
        "cliffs_delta": -pair.cliffs_delta if flipped else pair.cliffs_delta,
        "probability_better": 1 - pair.probability_a_better if flipped else pair.probability_a_better,
        "repeats_to_decide": pair.repeats_to_decide,
        "note": pair.note,
    }


def _shown_pair(view: PairView, found: MetricFindings) -> dict[str, str]:
    raw, pair = _raw_pair(view), view.pair
    return {
        "configuration": view.label,
        "verdict": view.verdict,
        "against": view.other,
        "n": f"{pair.n:,}",
        "difference" if np.isnan(view.ratio) else "ratio": difference_text(view, found.metric),
        "p (paired t)": p_value(pair.t_p_holm),
        "p (signed rank)": p_value(pair.signed_rank_p_holm),
        "p (equivalence)": p_value(pair.equivalence_p_holm),
        "d_z": number(raw["d_z"], 2, signed=True),
        "Cliff's δ": number(raw["cliffs_delta"], 2, signed=True),
        "P(better)": number(raw["probability_better"], 2),
        "repeats to decide": NOTHING if pair.repeats_to_decide is None else f"{pair.repeats_to_decide:,}",
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
    return records_table("recall", "Recall by class", raw, shown, note) if raw else None


def mistakes_table(findings: Findings) -> Table | None:
    """The most frequent mistakes of each configuration, all runs together."""
    raw = []
    for label in findings.predicted:
        counts = findings.predictions[label].confusion
        wrong = np.where(np.eye(len(counts), dtype=bool), 0, counts)
        for place in np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES_SHOWN]:
            true, predicted = divmod(int(place), len(counts))
            share = counts[true, predicted] / max(counts[true].sum(), 1)
            raw.append({"label": label, "true": CLASS_NAMES[true], "predicted": CLASS_NAMES[predicted],
                        "count": int(counts[true, predicted]), "share": share})  # fmt: skip
    shown = [
        {"configuration": row["label"], "true class": row["true"], "taken for": row["predicted"],
         "times": f"{row['count']:,}", "share of the class, %": number(100 * row["share"], 1)}
        for row in raw
    ]  # fmt: skip
    return records_table("mistakes", "Most frequent mistakes", raw, shown, "All runs together.") if raw else None
