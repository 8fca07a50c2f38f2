"""The chapter on classes: recall of each, confusion matrices, the most frequent mistakes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from fmnist.data import CLASS_NAMES
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.plot import Numbers
from fmnist.report.predictions import PredictionSums
from fmnist.report.study_data import StudyData
from fmnist.report.style import INK, Styles, figure_of, in_lines, new_axes
from fmnist.report.table import Columns, Table, column, make_table, present
from fmnist.report.text import counted, number, with_spread

MISTAKES_SHOWN = 3  # of each configuration
RECALL_INCHES = 6.5
CONFUSION_INCHES = 4.6  # 10 x 10 figures that can be read


def classes_chapter(data: StudyData, _styles: Styles) -> Chapter:
    """Which classes are hard and what they are taken for."""
    no_images = (
        "There are no confusion matrices, no recall and no example images here, since the test images could not be"
        f" read: {data.dataset_problem}"
    )
    return Chapter(
        key="classes",
        title="Classes",
        text=[no_images] if data.dataset is None else [],
        figures=class_figures(data),
        tables=present(recall_table(data), mistakes_table(data)),
    )


def class_figures(data: StudyData) -> Iterator[Figure]:
    """Recall of all configurations together, and the confusion matrix of each."""
    labels = data.predicted_labels
    if not labels:
        return
    recall = pd.DataFrame({label: data.predictions[label].recall_by_run.mean(axis=0) for label in labels}).T
    recall.columns = pd.Index(CLASS_NAMES)
    axes = draw_recall(new_axes(RECALL_INCHES, 0.9 + 0.26 * max(len(labels), 2)), recall)
    caption = "Share of each class's test images classified correctly, in %, mean over runs; darker is higher."
    lowest = [f"{label} {row.idxmin()} {number(row.min(), 1, scale=100)} %" for label, row in recall.iterrows()]
    alt = f"Shaded table. Lowest recall of each: {', '.join(lowest)}."
    yield Figure(name="recall", title="Recall by class", caption=caption, alt=alt, drawing=figure_of(axes))
    for label in labels:
        sums = data.predictions[label]
        axes = draw_confusion(new_axes(CONFUSION_INCHES, CONFUSION_INCHES), sums.confusion, CLASS_NAMES)
        caption = f"{counted(sums.runs, 'run')} summed, in % of each true class; shares under 0.05 % are blank."
        true, predicted = np.unravel_index(_mistakes(sums).argmax(), sums.confusion.shape)
        alt = f"Dark diagonal. Most frequent mistake: {CLASS_NAMES[true]} taken for {CLASS_NAMES[predicted]}."
        yield Figure(name=f"confusion-{label}", title=f"{label}: confusion matrix", caption=caption, alt=alt,
                     drawing=figure_of(axes), folded=label != labels[0])  # fmt: skip


def draw_confusion(axes: Axes, counts: npt.NDArray[np.int64], class_names: Sequence[str]) -> Axes:
    """Draw counts of shape (true, predicted) as percent of each true class; shares under 0.05 % are left blank."""
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * counts / np.maximum(totals, 1)
    one, none = np.strings.mod("%.1f", percent), np.strings.mod("%.0f", percent)  # digits after the point
    texts = np.where(percent < 0.05, "", np.where(percent < 9.95, one, none))
    _draw_shaded(axes, np.sqrt(percent), (0, 10.5), texts)  # the root shows the mistakes beside the diagonal
    axes.set_xticks(range(len(class_names)), class_names, rotation=90)
    axes.set_yticks(range(len(class_names)), class_names)
    axes.set(xlabel="predicted class", ylabel="true class")
    return axes


def draw_recall(axes: Axes, recall: pd.DataFrame) -> Axes:
    """Draw the mean recall (rows configurations, columns classes, in [0, 1]) as a table shaded by its value."""
    percent = recall.to_numpy(dtype=float) * 100
    lowest = float(np.floor(np.nanmin(percent)))
    _draw_shaded(axes, percent, (lowest - 0.3 * (100 - lowest), 105), np.strings.mod("%.1f", percent))
    axes.set_aspect("auto")
    axes.set_xticks(range(recall.shape[1]), list(recall.columns), rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(recall.shape[0]), map(in_lines, recall.index))
    return axes


def _draw_shaded(axes: Axes, shade: Numbers, span: tuple[float, float], texts: npt.NDArray[np.str_]) -> None:
    """Draw a table of texts, each cell shaded by where its value lies in the span; on dark cells they are white."""
    axes.imshow(shade, cmap="Blues", vmin=span[0], vmax=span[1])
    dark_from = span[0] + 0.6 * (span[1] - span[0])
    for (row, place), text in np.ndenumerate(texts):
        if text:
            colour = "white" if shade[row, place] > dark_from else INK
            axes.text(place, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _mistakes(sums: PredictionSums) -> np.ndarray:
    """Counts of shape (true class, predicted class) with 0 on the diagonal."""
    return np.where(np.eye(len(CLASS_NAMES), dtype=bool), 0, sums.confusion)


def recall_table(data: StudyData) -> Table | None:
    """Recall: mean and standard deviation over runs; a row of the CSV is one class, a shown row has all of them."""
    rows = []
    for label in data.predicted_labels:
        by_run = pd.DataFrame(data.predictions[label].recall_by_run, columns=list(CLASS_NAMES))
        rows += [{"label": label, "class": name, "n": len(by_run), "mean": values.mean(),
                  "standard_deviation": values.std()} for name, values in by_run.items()]  # fmt: skip
    columns: Columns = {
        "configuration": "label",
        "class": "class",
        "recall": lambda row: with_spread(row["mean"], row["standard_deviation"], 100, 1),
    }
    note = "Share of each class's test images classified correctly, in %, mean ± standard deviation over runs."
    table = make_table("recall", "Recall by class", rows, columns, note)
    if table is None:
        return None
    by_class = table.shown.pivot_table("recall", "configuration", "class", aggfunc="first", sort=False)
    return replace(table, shown=by_class.rename_axis(columns=None).reset_index())


def mistakes_table(data: StudyData) -> Table | None:
    """The most frequent mistakes of each configuration, all runs together."""
    rows = []
    for label in data.predicted_labels:
        counts = data.predictions[label].confusion
        for place in np.argsort(-_mistakes(data.predictions[label]), axis=None, kind="stable")[:MISTAKES_SHOWN]:
            true, predicted = divmod(int(place), len(counts))
            share = counts[true, predicted] / max(counts[true].sum(), 1)
            rows.append({"label": label, "true": CLASS_NAMES[true], "predicted": CLASS_NAMES[predicted],
                         "count": int(counts[true, predicted]), "share": share})  # fmt: skip
    columns: Columns = {"configuration": "label", "true class": "true", "taken for": "predicted", "times": "count",
                        "share of the class, %": column("share", 100, 1)}  # fmt: skip
    return make_table("mistakes", "Most frequent mistakes", rows, columns, "All runs together.")
