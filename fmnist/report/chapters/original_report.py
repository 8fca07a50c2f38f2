"""What the original report gives, to be compared with the figures of a study. Shares, not percent; seconds; bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from fmnist.declare import Study, Tuning
from fmnist.report.selection import StudyRows
from fmnist.studies import comparison, timing, winners

REPEATING_STUDY = "comparison"  # the study that trains with the original report's settings
# The report does not say which version its "own CNN" is. Version 1 is the plain one that it describes, and the only one
# whose accuracy (0.90) goes with the training accuracy given for the own CNN (90.33 %).
OWN_CNN = "own_v1"
MEGABYTE = 10**6  # the report says MB


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalFigure:
    """One figure of the original report: of which architecture and metric, its value, and what it says of it."""

    architecture: str
    metric: str  # a name in schema.METRICS
    value: float
    remark: str = ""
    measured_alike: bool = True  # False: how or on what it was measured is not said, and no difference means anything


ORIGINAL_FIGURES = (
    OriginalFigure(architecture="lenet5", metric="test_accuracy", value=0.89),
    OriginalFigure(architecture="brownlee", metric="test_accuracy", value=0.88),
    OriginalFigure(architecture="own_v1", metric="test_accuracy", value=0.90),
    OriginalFigure(architecture="own_v3", metric="test_accuracy", value=0.92,
                   remark="range 89.872 to 91.835 %; most runs, it says, 91.6 to 92.0 %"),
    OriginalFigure(architecture="efficientnet_small", metric="test_accuracy", value=0.928),
    OriginalFigure(architecture=OWN_CNN, metric="train_accuracy", value=0.9033,
                   remark="own CNN; mean of its runs, +- 0.642 percentage points"),
    OriginalFigure(architecture="efficientnet_small", metric="train_accuracy", value=0.9475),
    OriginalFigure(architecture=OWN_CNN, metric="train_seconds", value=2100,
                   remark="about; own CNN; hardware not named", measured_alike=False),
    OriginalFigure(architecture="efficientnet_small", metric="train_seconds", value=2623.94,
                   remark="hardware not named", measured_alike=False),
    OriginalFigure(architecture=OWN_CNN, metric="host_allocated_bytes", value=25 * MEGABYTE,
                   remark="own CNN, 20 to 30 MB; how it was measured is not said", measured_alike=False),
    OriginalFigure(architecture="efficientnet_small", metric="host_allocated_bytes", value=19.95 * MEGABYTE,
                   remark="19.95 MB; how it was measured is not said", measured_alike=False),
)  # fmt: skip

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


def is_package_study(study: StudyRows) -> bool:
    """Whether a study is the package's own one that repeats the report, and not just another of its name.

    It has the same question and the same architectures under the same labels; one of a search's best points the same
    question and search.
    """
    package: tuple[Study | Tuning, ...] = (comparison.STUDY, timing.STUDY, winners.STUDY)
    own = next((item for item in package if item.name == study.name), None)
    if own is None or study.question != own.question:
        return False
    if isinstance(own, Tuning):
        return bool(study.tuning.get("search") == own.search.name)
    return study.architectures == {item.label: item.architecture for item in own.configurations}


def original_value(architecture: str, metric: str) -> float:
    """Give the original report's figure in stored units; nan where it gives none."""
    values = {(figure.architecture, figure.metric): figure.value for figure in ORIGINAL_FIGURES}
    return values.get((architecture, metric), float("nan"))
