"""The tables of one study's report, each made from its findings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import numpy as np
import pandas as pd

from fmnist.data import CLASS_NAMES
from fmnist.reporting.findings import Findings, MetricFindings
from fmnist.reporting.pair_text import PairView, difference_text, difference_unit, remarks, repeats_text, seen_from
from fmnist.schema import METRICS, Metric
from fmnist.statistics.comparable import MEASURED_KINDS
from fmnist.statistics.intervals import Interval
from fmnist.statistics.verdicts import RELATIVE_KINDS
from fmnist.tables import (
    NOTHING,
    Table,
    bounds,
    heading,
    in_unit,
    mean_and_spread,
    metric_table,
    names,
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
    columns = list(dict.fromkeys([study.primary_metric, "test_accuracy", *RESULT_COSTS, "parameter_count"]))
    raw, shown = [], []
    for label in findings.every_label:
        summary = main.summaries.get(label) if main else None
        raw_row: dict[str, object] = {"label": label, "n": summary.n if summary else 0}
        row = {"configuration": label, "n": f"{raw_row['n']:,}"}
        for name in columns:
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
    """Say what the figures are, and of time and memory what is not compared, each reason once."""
    reasons: dict[str, list[str]] = {}
    for found in (findings.metrics[name] for name in RESULT_COSTS if name in findings.metrics):
        if found.refusal or found.withheld:
            words = basis_words(found)
            reasons.setdefault(f"{words[:1].lower()}{words[1:]}", []).append(found.metric.label)
    costs = [f"{names(labels).capitalize()}: {reason}" for reason, labels in reasons.items()]
    return " ".join(["Mean ± standard deviation over n runs; in brackets the 95 % interval of the mean.", *costs])


def basis_words(found: MetricFindings) -> str:
    """Say on what rows a metric stands, where that is not every finished run."""
    if found.refusal:
        return f"{placement_mark(found)}. {way_to_compare(found)}."
    if found.metric.kind in MEASURED_KINDS:
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


def counts_table(findings: Findings) -> Table:
    """Runs wanted and there, by status: what failed or diverged is counted."""
    counts = findings.study.counts().reindex(findings.every_label).reset_index(names="label")
    shown = counts.rename(columns={"label": "configuration", "ok": "finished"})
    shown = shown.map(lambda value: value if isinstance(value, str) else number(value, 0))
    return Table("runs", "Runs", counts, shown)


def failures_table(findings: Findings) -> Table | None:
    """Each run that failed or diverged, with its error; None if there is none."""
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
            yield _pair_table(found, findings)


def _pair_table(found: MetricFindings, findings: Findings) -> Table:
    metric, order = found.metric, findings.ordered
    views = [seen_from(pair, min((pair.a, pair.b), key=order.index)) for pair in found.pairs]
    views.sort(key=lambda view: (order.index(view.label), order.index(view.other)))
    layers = [_layers(view, findings) for view in views]
    margin = views[0].pair.margin
    relative = metric.kind in RELATIVE_KINDS
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
    rows = list(zip(views, layers, strict=True))
    raw, shown = [_raw_pair(*row) for row in rows], [_shown_pair(*row, found) for row in rows]
    return records_table(f"pairs-{metric.name}", title, raw, shown, note)


def _layers(view: PairView, findings: Findings) -> Interval | None:
    is_accuracy = view.pair.metric == "test_accuracy"
    return findings.layered_interval(view.label, view.other) if is_accuracy else None


def _spoken_of(metric: Metric) -> str:
    """Say on what a metric's verdicts hold."""
    if metric.kind in MEASURED_KINDS:
        return "on this hardware"
    return "on these test images" if metric.name.startswith("test_") else "of this data"


def _design_note(found: MetricFindings) -> str:
    if found.design is None:
        return ""
    return (
        f" The verdicts are those of a group-sequential design with {found.design.describe()}; the p values are of"
        " plain tests over all repeats and do not allow for the looks, and estimates after an early stop are a little"
        " too far from 0."
    )


def _remarks(views: list[PairView], layers: list[Interval | None], found: MetricFindings) -> str:
    """Say what is special about pairs, each remark once with the pairs it holds for."""
    pairs: dict[str, list[str]] = {}
    for view, layered in zip(views, layers, strict=True):
        words = [remarks(view, found.metric, found.looks, found.family)]
        if view.verdict in ("better", "worse") and layered and layered.lower <= 0 <= layered.upper:
            words.append("Sure on these test images, not on others of their kind.")
        if any(words):
            pairs.setdefault(" ".join(filter(None, words)), []).append(f"{view.label} and {view.other}")
    return "".join(
        f" {'Every pair' if len(some) == len(views) > 1 else '; '.join(some)}: {note}" for note, some in pairs.items()
    )


def _raw_pair(view: PairView, layered: Interval | None) -> dict[str, object]:
    pair = view.pair
    flipped = view.label != pair.a
    fewest, most = pair.repeats_to_decide or (None, None)
    both = {} if layered is None else {"layered_lower": layered.lower, "layered_upper": layered.upper}
    return {
        "label": view.label,
        "other": view.other,
        "n": pair.n,
        "verdict": view.verdict,
        "look": pair.decision and pair.decision.look,
        "difference": view.difference,
        "difference_lower": view.lower,
        "difference_upper": view.upper,
        **both,
        "ratio": view.ratio,
        "ratio_lower": view.ratio_lower,
        "ratio_upper": view.ratio_upper,
        "difference_p_holm": pair.difference_p_holm,
        "signed_rank_p_holm": pair.signed_rank_p_holm,
        "equivalence_p_holm": pair.equivalence_p_holm,
        "margin": pair.margin,
        "d_z": -pair.d_z if flipped else pair.d_z,
        "cliffs_delta": -pair.cliffs_delta if flipped else pair.cliffs_delta,
        "probability_better": 1 - pair.probability_a_better if flipped else pair.probability_a_better,
        "fewest_repeats_to_decide": fewest,
        "most_repeats_to_decide": most,
    }


def _shown_pair(view: PairView, layered: Interval | None, found: MetricFindings) -> dict[str, str]:
    raw, pair = _raw_pair(view, layered), view.pair
    both = {} if layered is None else {"seeds and test set": bounds(layered, found.metric, signed=True)}
    return {
        "configuration": view.label,
        "against": view.other,
        "ratio" if found.metric.kind in RELATIVE_KINDS else "difference": difference_text(view, found.metric),
        "verdict": view.verdict,
        "n": f"{pair.n:,}",
        **both,
        "p (difference)": p_value(pair.difference_p_holm),
        "p (signed rank)": p_value(pair.signed_rank_p_holm),
        "p (equivalence)": p_value(pair.equivalence_p_holm),
        "d_z": number(raw["d_z"], 2, signed=True),
        "Cliff's δ": number(raw["cliffs_delta"], 2, signed=True),
        "P(better)": number(raw["probability_better"], 2),
        "repeats to decide": repeats_text(pair, found.looks),
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
