"""The methods paragraph of a report: how the numbers were made, fit for a paper, written from the rows themselves."""

from __future__ import annotations

import pandas as pd

from fmnist.reporting.findings import Findings
from fmnist.reporting.words import counted, names
from fmnist.schema import METRICS
from fmnist.statistics.comparable import hardware_of

_VERSIONS = {"python_version": "Python", "tensorflow_version": "TensorFlow", "keras_version": "Keras",
             "numpy_version": "NumPy", "ray_version": "Ray"}  # fmt: skip


def methods(findings: Findings) -> list[str]:
    """Write the paragraphs: data and training, measurement, statistics."""
    return [_data_and_training(findings), measurement(findings), _statistics(findings)]


def _data_and_training(findings: Findings) -> str:
    study = findings.study
    counts = study.finished.groupby("label").size()
    low, high = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
    repeats = f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}"
    return (
        f"{counted(len(study.labels), 'configuration')} ({names(study.labels[:12])}"
        f"{', ...' if len(study.labels) > 12 else ''}) of neural networks were trained on Fashion-MNIST"
        f" (Xiao, Rasul and Vollgraf 2017; content fingerprint {_listed(study.rows['data_fingerprint'])}), {repeats}"
        " finished runs each. In every repeat 5,000 of the 60,000 training images were drawn, stratified by class, as"
        " validation set; the other 55,000 were trained on. Early stopping, learning-rate reduction and the choice of"
        " weights saw the validation set only; the 10,000 test images were scored once, after training. Repeat r used"
        " the same split, data order and seeds (initialisation, order, dropout, augmentation) for every configuration,"
        " so that repeats are blocks and runs pair."
    )


def measurement(findings: Findings) -> str:
    """Say when, with what software, commit and hardware, and in what placement the runs were made."""
    rows = findings.study.rows
    software = [f"{name} {_listed(rows[column])}" for column, name in _VERSIONS.items() if rows[column].notna().any()]
    hardware = hardware_of(rows)
    started = rows["started_at"].dropna()
    days = [f"{started.min():%Y-%m-%d}", f"{started.max():%Y-%m-%d}"] if len(started) else []
    when = "" if not days else f" on {days[0]}" if days[0] == days[1] else f" from {days[0]} to {days[1]}"
    dirty = rows["dirty"].fillna(False).astype(bool).any()
    placements = ", ".join(f"{count:,} {placement}" for placement, count in rows["placement"].value_counts().items())
    return (
        f"Runs were made{when} with {', '.join(software) or 'unrecorded versions'}, commit {_listed(rows['commit'])}"
        f"{' (partly with uncommitted changes)' if dirty else ''}, computed in {_listed(rows['compute_dtype'])} on"
        f" {'; '.join(hardware) or 'unrecorded hardware'}. Placement of the rows: {placements}. Training time is the"
        " wall time of the training steps alone; host memory is the peak resident memory of the run's process above"
        " that of the idle process. Both are compared on exclusive runs (alone on the machine, never resumed) of one"
        " hardware only."
    )


def _statistics(findings: Findings) -> str:
    primary = METRICS[findings.study.primary_metric].label
    margins = ", ".join(
        f"{METRICS[name].label} {_margin(name, value)}" for name, value in findings.study.margins.items()
    )
    return (
        f"The study's primary metric is {primary}. Means and mean differences carry 95 % intervals by Student's"
        " t; the tables' files also have those of the bias-corrected and accelerated bootstrap (Efron 1987; 9,999"
        " resamples, beyond 1,000 values its expansion), which cover less. Pairs of configurations were compared over"
        " their common repeats by the paired t test, beside it Wilcoxon's exact signed-rank test; times and memory as"
        " logarithms, that is by ratio. Equivalence was tested by two one-sided t tests (Schuirmann 1987) with the"
        f" margins {margins}. Both families of p values were"
        f" adjusted by Holm's (1979) procedure over all pairs of a metric, at a family-wise level of 0.05 each."
        f"{_sequential(findings)} All configurations together were ranked by Friedman's test with repeats as blocks"
        " (Iman and Davenport's F)."
        " The number of repeats that would decide a pair is the"
        " smallest at which its test has a power of 0.8, taking the observed difference and spread for the true ones."
        " Conclusions hold for new seeds and splits of these configurations on this data set, not for other data sets."
    )


def _sequential(findings: Findings) -> str:
    design = findings.study.design
    if design is None:
        return ""
    return (
        f" Repeats were added until every pair was decided on {METRICS[design.metric].label}, by a group-sequential"
        f" design with {design.describe()}: at each look Holm's procedure over the open pairs with O'Brien-Fleming-type"
        " alpha spending (Lan and DeMets 1983; Maurer and Bretz 2013), which keeps the family-wise level over pairs and"
        " looks; its verdicts are the ones given. Estimates after an early stop are a little too far from 0."
    )


def _margin(name: str, value: float) -> str:
    metric = METRICS[name]
    if metric.kind == "accuracy":
        return f"{value * metric.scale:g} {'points' if metric.unit == '%' else metric.unit}"
    return f"{100 * value:g} %"


def _listed(column: pd.Series) -> str:
    values = sorted({str(value) for value in column.dropna()})
    return ", ".join(values[:4]) + (", ..." if len(values) > 4 else "") if values else "not recorded"
