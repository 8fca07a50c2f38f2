"""The metrics that a run is judged by: name, unit, direction, meaning. The one place for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure that a run is judged by; tables, figures and tests read its name, unit and direction here."""

    name: str  # column of the row
    label: str  # how a reader sees it
    unit: str  # unit of the shown value
    scale: float  # shown value = stored value * scale
    direction: Literal["up", "down"]  # which way is better
    kind: Literal["accuracy", "time", "memory", "size"]
    meaning: str  # the sentence that says what it measures


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="test_accuracy", label="test accuracy", unit="%", scale=100, direction="up", kind="accuracy",
            meaning="Share of the 10,000 test images classified rightly by the final weights; scored once, at the end.",
        ),
        Metric(
            name="validation_accuracy", label="validation accuracy", unit="%", scale=100, direction="up",
            kind="accuracy",
            meaning="Share of the run's 5,000 held-back training images classified rightly by the final weights.",
        ),
        Metric(
            name="train_accuracy", label="training accuracy", unit="%", scale=100, direction="up", kind="accuracy",
            meaning="Share of the 55,000 training images, without augmentation and dropout, classified rightly by the"
            " final weights.",
        ),
        Metric(
            name="test_loss", label="test loss", unit="nats", scale=1, direction="down", kind="accuracy",
            meaning="Mean cross-entropy (negative log-likelihood) of the test images under the final weights.",
        ),
        Metric(
            name="train_seconds", label="training time", unit="s", scale=1, direction="down", kind="time",
            meaning="Wall time of the training steps alone: no import, no compilation, no evaluation.",
        ),
        Metric(
            name="epoch_seconds", label="time per epoch", unit="s", scale=1, direction="down", kind="time",
            meaning="Median wall time of one pass over the training images, compilation and evaluation left out.",
        ),
        Metric(
            name="total_seconds", label="total time", unit="s", scale=1, direction="down", kind="time",
            meaning="Wall time of the run from its start to its row: compilation, training and evaluation; not the"
            " start of its process.",
        ),
        Metric(
            name="host_allocated_bytes", label="allocated host memory", unit="MiB", scale=2**-20, direction="down",
            kind="memory",
            meaning="Peak of the anonymous memory (tensors, heap, stacks) of the run's process above what the process"
            " held when the run began, training data included; pages of library code are not in it.",
        ),
        Metric(
            name="host_library_bytes", label="library pages", unit="MiB", scale=2**-20, direction="down", kind="memory",
            meaning="Pages of files (code and constants of TensorFlow, XLA and oneDNN) resident in the run's process at"
            " its end; processes side by side share them.",
        ),
        Metric(
            name="device_peak_bytes", label="peak device memory", unit="MiB", scale=2**-20, direction="down",
            kind="memory",
            meaning="Peak memory that TensorFlow had in use on the GPU; none on a CPU.",
        ),
        Metric(
            name="device_nvml_bytes", label="device memory by the driver", unit="MiB", scale=2**-20, direction="down",
            kind="memory",
            meaning="Memory that the NVIDIA driver counts for the run's process at its end, CUDA's own included; none"
            " on a CPU, without pynvml, or where the driver sees other process numbers (containers).",
        ),
        Metric(
            name="parameter_count", label="parameters", unit="", scale=1, direction="down", kind="size",
            meaning="Number of weights of the model, those that are not trained included.",
        ),
    )
}  # fmt: skip
