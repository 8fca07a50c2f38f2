"""What a user can ask for besides the study itself, from the command line to the process of a run."""

import math
from dataclasses import dataclass
from pathlib import Path

from fmnist import UserError
from fmnist.declare import number, text, whole

LEAST = 1e-4  # of a resource: Ray counts in steps of this
RAYS_OWN = ("CPU", "GPU", "memory", "object_store_memory")  # resources


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
    checkpoint_seconds: float = 30.0  # at least this long between two checkpoints of a run
    report: Path | None = Path("report")
    node_resource: str | None = None  # a custom resource of Ray that each run takes one of: chooses the nodes
    save_models: bool = False  # also keep each run's final model, below models/ of the results
    tensorboard: Path | None = None  # folder of the curves
    mlflow: str | None = None  # tracking URI, such as sqlite:///runs.db or http://host:5000
    wandb: str | None = None  # project
    engine: str = "fmnist.train.run"  # module whose `train_run` trains a run

    def __post_init__(self) -> None:
        for name in ("results", "data", "report", "tensorboard"):
            object.__setattr__(self, name, _absolute(getattr(self, name)))  # workers have a folder of their own
        cpus, gpus, resource = self.cpus_per_run, self.gpus_per_run, self.node_resource
        if cpus is not None and not (LEAST <= cpus < 1 or (cpus >= 1 and float(cpus).is_integer())):
            expected = f"a fraction between {LEAST:g} and 1 or a whole number from 1"
            raise UserError(f"cpus per run: got {cpus:g}, expected {expected}")
        if gpus and not (LEAST <= gpus <= 1 and math.isclose(1 / gpus, round(1 / gpus), rel_tol=1e-6)):
            expected = "0, 1 (a run computes on one GPU), or a fraction of which a whole number fits a GPU"
            raise UserError(f"gpus per run: got {gpus:g}, expected {expected}: 0.5, 0.25, 0.2, 0.125")
        if resource is not None and text("node resource", resource) in RAYS_OWN:
            expected = "a custom resource, as `ray start --resources` gives a node"
            raise UserError(f"node resource: got {resource}, expected {expected}")
        whole("max failures", self.max_failures, 0)
        number("checkpoint seconds", self.checkpoint_seconds, "[0, infinity)")


def _absolute(place: str | Path | None) -> str | Path | None:
    """Make a path one from the root; a URI, and None, stay."""
    if place is None or "://" in str(place):
        return place
    return type(place)(Path(place).expanduser().absolute())
