"""The methods paragraph of a report: how the numbers were made, fit for a paper, written from the rows themselves."""

from __future__ import annotations

import math

import pandas as pd

from fmnist.compare import Design, hardware_of
from fmnist.data import FASHION_MNIST as DATA
from fmnist.declare import METRICS
from fmnist.report.selection import hardware_words
from fmnist.report.study_data import Findings
from fmnist.report.table import counted, names
from fmnist.report.text import margin_words

_VERSIONS = {"python_version": "Python", "tensorflow_version": "TensorFlow", "keras_version": "Keras",
             "numpy_version": "NumPy", "ray_version": "Ray"}  # fmt: skip
MOST_NAMED = 12  # configurations


def methods(findings: Findings) -> list[str]:
    """Write the paragraphs: data and training, measurement, statistics."""
    return [_data_and_training(findings), measurement(findings), _statistics(findings)]


def _data_and_training(findings: Findings) -> str:
    study = findings.study
    counts = study.finished.groupby("label").size().reindex(study.labels, fill_value=0)
    low, high = int(counts.min()), int(counts.max())
    each = " each" if len(counts) > 1 else ""
    runs = f"n = {low:,} to {high:,} finished runs" if low < high else f"n = {counted(low, 'finished run')}"
    named = names(study.labels) if len(study.labels) <= MOST_NAMED else f"{', '.join(study.labels[:MOST_NAMED])}, ..."
    were = "was" if len(counts) == 1 else "were"
    return (
        f"{counted(len(counts), 'configuration')} of neural networks ({named}) {were} trained on Fashion-MNIST (Xiao,"
        f" Rasul and Vollgraf 2017; content fingerprint {_listed(study.rows['data_fingerprint'])}), {runs}{each}. In"
        f" every repeat {DATA.validation_count:,} of the {DATA.train_count + DATA.validation_count:,} training images"
        f" were drawn, stratified by class, as validation set; the other {DATA.train_count:,} were trained on. Early"
        " stopping, learning-rate reduction and the choice of weights saw the validation set only; the"
        f" {DATA.test_count:,} test images were scored once, after training. Repeat r used the same split,"
        " data order and seeds (initialisation, order, dropout, augmentation) for every configuration, so that repeats"
        " are blocks and runs pair."
    )


def measurement(findings: Findings) -> str:
    """Say when, with what software, commit and hardware, and in what placement the runs were made."""
    rows = findings.study.rows
    software = [f"{name} {_listed(rows[column])}" for column, name in _VERSIONS.items() if rows[column].notna().any()]
    started = rows["started_at"].dropna()
    days = sorted({f"{day:%Y-%m-%d}" for day in (started.min(), started.max()) if len(started)})
    when = f" from {' to '.join(days)}" if len(days) > 1 else f" on {days[0]}" if days else ""
    placements = ", ".join(f"{count:,} {placement}" for placement, count in rows["placement"].value_counts().items())
    changed = " (partly with uncommitted changes)" if rows["dirty"].fillna(False).astype(bool).any() else ""
    return (
        f"Runs were made{when} with {', '.join(software) or 'unrecorded versions'}, commit"
        f" {_listed(rows['commit'].str[:10])}{changed}, computed in {_listed(rows['compute_dtype'])} on"
        f" {hardware_words(hardware_of(rows)) or 'unrecorded hardware'}. Placement of the rows: {placements}. Time and"
        " memory, as their tables define them, are compared on exclusive runs (alone on the machine, never resumed) of"
        " one hardware only."
    )


def _statistics(findings: Findings) -> str:
    """Name the tests that were made, and no other."""
    compared = [found for found in findings.metrics.values() if any(pair.basis != "none" for pair in found.pairs)]
    pairs, by_ratio = (
        [pair for found in compared for pair in found.pairs],
        any(found.metric.by_ratio for found in compared),
    )
    margins = {found.metric: found.pairs[0].margin for found in compared}
    each = ", ".join(f"{metric.label} {margin_words(metric, value)}" for metric, value in margins.items() if value)
    design, ranked = findings.study.design, findings.friedman is not None and not math.isnan(findings.friedman.p)
    made = {
        f"The study's primary metric is {METRICS[findings.study.primary_metric].label}. Means carry 95 % intervals by"
        " Student's t.": True,
        "Pairs of configurations were compared over their common repeats by the paired t test, beside it Wilcoxon's"
        " exact signed-rank test, which decides where all differences are equal. P values are rounded up.": bool(pairs),
        "Times and memory were compared as logarithms, that is by ratio.": by_ratio,
        f"Equivalence was tested by two one-sided t tests (Schuirmann 1987), the margins being {each}.": bool(each),
        "Both families of p values were adjusted by Holm's (1979) procedure over all pairs of a metric, at a"
        " family-wise level of 0.05 each.": any(found.family > 1 for found in compared),
        _sequential(design) if design else "": design is not None,
        "All configurations together were ranked by Friedman's test with repeats as blocks (Iman and Davenport's"
        " F).": ranked,
        "The repeats that would decide a pair are those at which its test has a power of 0.8 with the spread observed,"
        " from the fewest to the most over the differences in its interval.": any(
            pair.repeats_to_decide for pair in pairs
        ),
        "Conclusions hold for new seeds and splits of these configurations on this data set, not for other data"
        " sets.": True,
    }
    return " ".join(words for words, holds in made.items() if holds)


def _sequential(design: Design) -> str:
    return (
        f"Repeats were added until every pair was decided on {METRICS[design.metric].label}, by a group-sequential"
        f" design with {analyses_words(design)}: at each analysis Holm's procedure over the open pairs with"
        " O'Brien-Fleming-type alpha spending (Lan and DeMets 1983; Maurer and Bretz 2013), which keeps the family-wise"
        " level over pairs and analyses; its verdicts are the ones given. Estimates after an early stop are a little"
        " too far from 0."
    )


def analyses_words(design: Design) -> str:
    """Say when a design decides: analyses at 5, 10 and 15 repeats."""
    when = "one analysis" if len(design.analyses) == 1 else "analyses"
    return f"{when} at {names(list(map(str, design.analyses)))} repeats"


def _listed(column: pd.Series) -> str:
    values = sorted({str(value) for value in column.dropna()})
    return ", ".join(values) or "not recorded"
