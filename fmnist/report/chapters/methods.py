"""The chapter on methods: how the numbers were made, fit for a paper, from the rows and the other chapters."""

from collections.abc import Sequence

import pandas as pd

from fmnist.compare import hardware_of
from fmnist.data import DATASET
from fmnist.report.chapter import Chapter
from fmnist.report.selection import hardware_words
from fmnist.report.study_data import StudyData
from fmnist.report.text import counted, names, number

_VERSIONS = {"python_version": "Python", "tensorflow_version": "TensorFlow", "keras_version": "Keras",
             "numpy_version": "NumPy", "ray_version": "Ray"}  # fmt: skip
MOST_NAMED = 12  # configurations


def methods_chapter(data: StudyData, chapters: Sequence[Chapter]) -> Chapter:
    """Data and training, measurement, statistics: what the other chapters say that they did, each sentence once."""
    done = dict.fromkeys(sentence for chapter in chapters for sentence in chapter.methods)
    scope = (
        "Conclusions hold for new seeds and splits of these configurations on this data set, not for other data sets."
    )
    text = [_data_and_training(data), measurement(data), " ".join([*done, scope])]
    return Chapter(key="methods", title="Methods", text=text)


def _data_and_training(data: StudyData) -> str:
    study = data.study
    counts = study.finished.groupby("label").size().reindex(study.labels, fill_value=0)
    low, high = int(counts.min()), int(counts.max())
    each = " each" if len(counts) > 1 else ""
    runs = f"n = {number(low)} to {number(high)} finished runs" if low < high else f"n = {counted(low, 'finished run')}"
    named = names(study.labels) if len(study.labels) <= MOST_NAMED else f"{', '.join(study.labels[:MOST_NAMED])}, ..."
    were = "was" if len(counts) == 1 else "were"
    return (
        f"{counted(len(counts), 'configuration')} of neural networks ({named}) {were} trained on {DATASET.name}"
        f" ({DATASET.reference}; content fingerprint {_listed(study.rows['data_fingerprint'])}), {runs}{each}. In"
        f" every repeat {number(DATASET.validation_count)} of the"
        f" {number(DATASET.train_count + DATASET.validation_count)} training images were drawn, stratified by class, as"
        f" validation set; the other {number(DATASET.train_count)} were trained on. Early stopping,"
        " learning-rate reduction and the choice of weights saw the validation set only; the"
        f" {number(DATASET.test_count)} test images were scored once, after"
        " training. Repeat r used the same split, data order and seeds (initialisation, order, dropout, augmentation)"
        " for every configuration, so that repeats are blocks and runs pair."
        f"{_transfer(study.rows)}"
    )


def _transfer(rows: pd.DataFrame) -> str:
    """Say what few images, a source task, a file of weights and frozen layers are, where a configuration has them."""
    pretrained, started = rows["pretraining"] == "half_classes", rows["initial_weights"].fillna("") != ""
    sentences = {
        "With train_images, so many of them, drawn anew in each repeat and stratified, were trained on instead.": rows[
            "train_images"
        ].notna(),
        "With pretraining, the layers before the output first learnt to tell the first half of the classes, on all"
        " training images of these; the time that took counts as training.": pretrained,
        "With initial_weights, those layers started from a file, named by its SHA-256.": started,
        "Frozen layers were not trained on the ten classes.": rows["frozen"].isin(["half", "all"]),
    }
    return "".join(f" {sentence}" for sentence, holds in sentences.items() if holds.any())


def measurement(data: StudyData) -> str:
    """Say how a study's runs were made, and on which of them time and memory are compared."""
    return (
        f"{made_words(data.study.rows)} Time and memory, as their tables define them, are compared on exclusive runs"
        " (alone on the machine, never resumed) of one hardware only."
    )


def made_words(rows: pd.DataFrame) -> str:
    """Say when, with what software, commit and hardware, and in what placement runs were made."""
    software = [f"{name} {_listed(rows[column])}" for column, name in _VERSIONS.items() if rows[column].notna().any()]
    started = rows["started_at"].dropna()
    days = sorted({f"{day:%Y-%m-%d}" for day in (started.min(), started.max()) if len(started)})
    when = f" from {' to '.join(days)}" if len(days) > 1 else f" on {days[0]}" if days else ""
    placements = ", ".join(
        f"{number(count)} {placement}" for placement, count in rows["placement"].value_counts().items()
    )
    changed = " (partly with uncommitted changes)" if rows["dirty"].fillna(False).astype(bool).any() else ""
    return (
        f"Runs were made{when} with {', '.join(software) or 'unrecorded versions'}, commit"
        f" {_listed(rows['commit'].str[:10])}{changed}, computed in {_listed(rows['compute_dtype'])} on"
        f" {hardware_words(hardware_of(rows)) or 'unrecorded hardware'}. Placement of the rows: {placements}."
    )


def _listed(column: pd.Series) -> str:
    values = sorted({str(value) for value in column.dropna()})
    return ", ".join(values) or "not recorded"
