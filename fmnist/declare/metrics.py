"""The metrics that a run is judged by: one entry each, read by tables, figures, tests of pairs and the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fmnist.data import DATASET


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure that a run is judged by, and how it is shown and compared."""

    name: str  # column of the row
    label: str  # how a reader sees it
    unit: str  # unit of the shown value
    scale: float  # shown value = stored value * scale
    digits: int  # after the point of the shown value
    direction: Literal["up", "down"]  # which way is better
    by_ratio: bool  # compared on logarithms, as a ratio; else as a difference
    needs_exclusive: bool  # compared only where each run had one kind of hardware to itself
    chapter: Literal["accuracy", "costs"]  # of the report, where its figures and pairs stand
    meaning: str  # the sentence that says what it measures
    margin: float | None = None  # smallest difference that matters: stored units, or by_ratio a fraction
    is_whole: bool = False  # the stored value is a whole number
    is_fixed: bool = False  # the same in every run of a configuration
    in_overview: bool = False  # a column of the table of results
    figures: frozenset[Literal["distribution", "trade-off"]] = frozenset()  # drawn of it beside the primary metric's


def _quality(name: str, label: str, meaning: str, *, direction: Literal["up", "down"] = "up", **more: Any) -> Metric:
    """A metric of how well a net classifies, in % unless `more` says otherwise."""
    shown = {"unit": "%", "scale": 100, "digits": 2, **more}
    return Metric(name=name, label=label, meaning=meaning, direction=direction, by_ratio=False, needs_exclusive=False,
                  chapter="accuracy", **shown)  # fmt: skip


def _cost(name: str, label: str, meaning: str, **more: Any) -> Metric:
    """A metric of what a run takes."""
    return Metric(name=name, label=label, meaning=meaning, direction="down", by_ratio=True, chapter="costs",
                  **{"needs_exclusive": True, **more})  # fmt: skip


_SECONDS: dict[str, Any] = {"unit": "s", "scale": 1, "digits": 1}
_MEBIBYTES: dict[str, Any] = {"unit": "MiB", "scale": 2**-20, "digits": 1, "is_whole": True}
_BOTH = frozenset({"distribution", "trade-off"})

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _quality(
            "test_accuracy", "test accuracy",
            f"Share of the {DATASET.test_count:,} test images classified correctly by the final weights; scored once,"
            " at the end.",
            margin=0.002, in_overview=True, figures=frozenset({"distribution"}),
        ),
        _quality(
            "validation_accuracy", "validation accuracy",
            f"Share of the run's {DATASET.validation_count:,} held-back training images classified correctly by the"
            " final weights.",
        ),
        _quality(
            "train_accuracy", "training accuracy",
            "Share of the images that the run trained on, without augmentation and dropout, classified correctly by the"
            " final weights.",
        ),
        _quality(
            "test_loss", "test loss",
            "Mean cross-entropy (negative log-likelihood) of the test images under the final weights.",
            unit="nats", scale=1, digits=4, direction="down", figures=frozenset({"distribution"}),
        ),
        _cost(
            "train_seconds", "training time",
            "Wall time of the training steps alone, those of pretraining among them: no import, no compilation, no"
            " evaluation.",
            **_SECONDS, margin=0.05, in_overview=True, figures=_BOTH,
        ),
        _cost(
            "epoch_seconds", "time per epoch",
            "Median wall time of one pass over the training images, compilation and evaluation left out.",
            **_SECONDS, figures=frozenset({"distribution"}),
        ),
        _cost(
            "total_seconds", "total time",
            "Wall time of the run from its start to its row: compilation, training and evaluation; not the start of its"
            " process.",
            **_SECONDS,
        ),
        _cost(
            "host_allocated_bytes", "allocated host memory",
            "Peak of the anonymous memory (tensors, heap, stacks) of the run's process above what the process held when"
            " the run began, training data included; pages of library code are not in it.",
            **_MEBIBYTES, margin=0.05, in_overview=True, figures=_BOTH,
        ),
        _cost(
            "host_library_bytes", "library pages",
            "Pages of files (code and constants of TensorFlow, XLA and oneDNN) resident in the run's process at its"
            " end; processes side by side share them.",
            **_MEBIBYTES,
        ),
        _cost(
            "device_peak_bytes", "peak device memory",
            "Peak memory that TensorFlow had in use on the GPU; none on a CPU.",
            **_MEBIBYTES, figures=_BOTH,
        ),
        _cost(
            "device_nvml_bytes", "device memory by the driver",
            "Memory that the NVIDIA driver counts for the run's process at its end, CUDA's own included; none on a CPU,"
            " without pynvml, or where the driver sees other process numbers (containers).",
            **_MEBIBYTES,
        ),
        _cost(
            "parameter_count", "parameters",
            "Number of weights of the model, those that are not trained included.",
            unit="", scale=1, digits=0, needs_exclusive=False, is_whole=True, is_fixed=True, in_overview=True,
        ),
    )
}  # fmt: skip

OVERVIEW_COSTS = tuple(
    name for name, metric in METRICS.items() if metric.in_overview and metric.chapter == "costs" and not metric.is_fixed
)
DEFAULT_MARGINS: Mapping[str, float] = {
    name: metric.margin for name, metric in METRICS.items() if metric.margin is not None
}
