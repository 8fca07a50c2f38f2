"""What a user can ask for besides the study itself, from the command line to the process of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fmnist.declare import number, whole
from fmnist.sweep.resources import check_cpus, check_gpus


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """How a study is computed, apart from what it is. Defaults stand here alone."""

    results: str = "results"  # URI of the store
    data: Path | None = None  # folder of Fashion-MNIST; None: looked for
    address: str | None = None  # of a Ray; None: RAY_ADDRESS, `ray start`, or one of our own
    cpus_per_run: float | None = None
    gpus_per_run: float | None = None
    retry_failed: bool = False
    max_failures: int = 2  # a run is tried again so often
    checkpoint_seconds: float = 30.0  # at least this long between two saved states of a run
    report: Path | None = Path("report")
    node_resource: str | None = None  # a custom resource of Ray that each run takes one of: chooses the nodes
    save_models: bool = False  # also keep each run's final model, below models/ of the results
    tensorboard: Path | None = None  # folder of the curves
    mlflow: str | None = None  # tracking URI, such as sqlite:///runs.db or http://host:5000
    wandb: str | None = None  # project
    engine: str = "fmnist.train.run"  # module whose `train_run` trains a run

    def __post_init__(self) -> None:
        for name in ("results", "data", "report", "tensorboard"):
            object.__setattr__(self, name, _absolute(getattr(self, name)))  # slots of a Ray have a folder of their own
        check_cpus(self.cpus_per_run)
        check_gpus(self.gpus_per_run)
        whole("max failures", self.max_failures, 0)
        number("checkpoint seconds", self.checkpoint_seconds, "[0, infinity)")


def _absolute(place: str | Path | None) -> str | Path | None:
    """Make a path one from the root; a URI, and None, stay."""
    if place is None or "://" in str(place):
        return place
    return type(place)(Path(place).expanduser().absolute())
