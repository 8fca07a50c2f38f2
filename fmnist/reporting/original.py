"""What the original report gives, to hold the figures of a study against. Shares, not percent; seconds; bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REPEATING_STUDY = "comparison"  # the study that trains with the original report's settings


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalFigure:
    """One figure of the original report: of which architecture and metric, its value, and what it says of it."""

    architecture: str
    metric: str  # a name in schema.METRICS
    value: float
    remark: str = ""


ORIGINAL_FIGURES: tuple[OriginalFigure, ...] = (
    OriginalFigure(architecture="lenet5", metric="test_accuracy", value=0.89),
    OriginalFigure(architecture="brownlee", metric="test_accuracy", value=0.88),
    OriginalFigure(architecture="own_v1", metric="test_accuracy", value=0.90),
    OriginalFigure(
        architecture="own_v3",
        metric="test_accuracy",
        value=0.92,
        remark="range 89.872 to 91.835 %; most runs, it says, 91.6 to 92.0 %",
    ),
    OriginalFigure(architecture="efficientnet_small", metric="test_accuracy", value=0.928),
    OriginalFigure(
        architecture="own_v1",
        metric="train_accuracy",
        value=0.9033,
        remark="own CNN, version not said; mean of its runs, +- 0.642 points",
    ),
    OriginalFigure(architecture="efficientnet_small", metric="train_accuracy", value=0.9475),
    OriginalFigure(
        architecture="own_v3",
        metric="train_seconds",
        value=2100,
        remark="about; own CNN, version not said; hardware not named",
    ),
    OriginalFigure(
        architecture="efficientnet_small", metric="train_seconds", value=2623.94, remark="hardware not named"
    ),
    OriginalFigure(
        architecture="own_v3",
        metric="host_allocated_bytes",
        value=25 * 2**20,
        remark="20 to 30 MB; own CNN, version not said; how it was measured is not said",
    ),
    OriginalFigure(
        architecture="efficientnet_small",
        metric="host_allocated_bytes",
        value=19.95 * 2**20,
        remark="MB; how it was measured is not said",
    ),
)

# the EfficientNet-style net's epochs 1, 15 and 30: training accuracy, validation accuracy, losses, learning rate
ORIGINAL_EPOCHS: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "efficientnet_small": (
        {"epoch": 1, "train_accuracy": 0.7086, "validation_accuracy": 0.8373, "train_loss": 0.7791,
         "validation_loss": 0.4324, "learning_rate": 1e-3},
        {"epoch": 15, "train_accuracy": 0.9040, "validation_accuracy": 0.8783, "train_loss": 0.2554,
         "validation_loss": 0.3283, "learning_rate": 1e-3},
        {"epoch": 30, "train_accuracy": 0.9299, "validation_accuracy": 0.9191, "train_loss": 0.1803,
         "validation_loss": 0.2235, "learning_rate": 2.5e-4},
    )
}  # fmt: skip

# what the report says in words, and which of its figures a study can check
ORIGINAL_HARDEST_CLASS = ("Shirt", "T-shirt/top")  # the hardest class, and what it is mistaken for
ORIGINAL_EASIEST_CLASSES = ("Trouser", "Sandal")


def original_value(architecture: str, metric: str) -> float:
    """Give the original report's figure in stored units; nan where it gives none."""
    for figure in ORIGINAL_FIGURES:
        if (figure.architecture, figure.metric) == (architecture, metric):
            return figure.value
    return float("nan")
