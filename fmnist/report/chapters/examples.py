"""The chapter of examples: test images that a run gets wrong, and some that it gets right."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from fmnist.data import CLASS_NAMES, Dataset
from fmnist.report.chapter import Chapter, Figure
from fmnist.report.predictions import Example, choose_examples
from fmnist.report.study_data import StudyData
from fmnist.report.style import QUIET, WARNING, Styles, new_figure

EXAMPLES = 5  # images in a row


def examples_chapter(data: StudyData, _styles: Styles) -> Chapter:
    """Images of one run of each configuration."""
    return Chapter(key="examples", title="Examples", figures=example_figures(data))


def example_figures(data: StudyData) -> Iterator[Figure]:
    """The most confident mistakes of one run of each configuration, and some images that it has right."""
    for label in data.predicted_labels:
        example, dataset = data.predictions[label].example, data.dataset
        if example is None or dataset is None:
            continue
        wrong, right = choose_examples(example, dataset.test_labels, EXAMPLES)
        caption = (
            f"Test images of repeat {example.repeat}. Above: the most confident mistakes, framed, each with the class"
            " predicted, its probability and the true class. Below: drawn at random among those it has right."
        )
        mistakes = zip(dataset.test_labels[wrong], example.predicted[wrong], strict=True)
        named = [f"{CLASS_NAMES[true]} taken for {CLASS_NAMES[predicted]}" for true, predicted in mistakes]
        alt = f"Images. The mistakes: {', '.join(named) or 'none'}."
        yield Figure(name=f"examples-{label}", title=f"{label}: wrong and right", caption=caption, alt=alt,
                     drawing=_draw_examples(example, dataset, (wrong, right)),
                     folded=label != data.predicted_labels[0])  # fmt: skip


def _draw_examples(example: Example, dataset: Dataset, rows: tuple[np.ndarray, np.ndarray]) -> Drawing:
    drawing = new_figure(5.3, 3.1)
    grid = drawing.subplots(2, EXAMPLES)
    for row, chosen in zip(grid, rows, strict=True):
        for axes in row[len(chosen) :]:
            axes.set_visible(False)
        for axes, image in zip(row, chosen, strict=False):
            true, predicted = (CLASS_NAMES[classes[image]] for classes in (dataset.test_labels, example.predicted))
            confidence = float(example.confidence[image])
            draw_example(axes, dataset.test_images[image], true, predicted, confidence)
    return drawing


def draw_example(axes: Axes, image: npt.NDArray[np.uint8], true: str, predicted: str, confidence: float) -> Axes:
    """Draw one image, shape (side, side), with the class predicted, its probability, and the true class."""
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    right = true == predicted
    axes.spines[:].set(visible=True, color=QUIET if right else WARNING, linewidth=0.8 if right else 1.4)
    verdict = f"{predicted}\n{100 * confidence:.1f} %" + ("" if right else f"\ntrue: {true}")
    axes.set_xlabel(verdict, fontsize=7, labelpad=2)
    return axes
