"""Dashboards for a sweep: TensorBoard, MLflow and Weights & Biases, through Ray Tune's own callbacks. Imports Ray.

The rows in the store are the results; a dashboard is a copy to look at. Ray's callbacks log what Tune knows of a trial;
here a trial is one run, and `_TrackedRun` tells them what a reader wants to see instead: the run's name, its
hyperparameters, its curves, and at the end the metrics of its row.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.logger import TBXLoggerCallback

from fmnist import UserError
from fmnist.declare import METRICS, RunSpec
from fmnist.store import EPOCH, Storage
from fmnist.sweep.fork_server import model_path
from fmnist.sweep.options import StudyOptions

log = logging.getLogger(__name__)


def tracking_callbacks(study: str, options: StudyOptions) -> list[Callback]:
    """Make the Tune callbacks that were asked for; UserError if the package is not installed.

    MLflow also gets each run's Parquet row and, where the results hold one, its model as artifacts.
    """
    for package in ("mlflow", "wandb"):
        if getattr(options, package) is not None and find_spec(package) is None:
            raise UserError(f"{package}: it was asked for, but is not installed: pip install '.[{package}]'")
    callbacks: list[Callback] = []
    tensorboard: Any = TBXLoggerCallback
    if options.tensorboard is not None:
        callbacks.append(_TrackedSweep(tensorboard(), study, options.tensorboard))
    if options.mlflow is not None:
        callbacks.append(_TrackedSweep(_mlflow(study, options.mlflow), study, artifacts=Storage(options.results)))
    if options.wandb is not None:
        from ray.air.integrations.wandb import WandbLoggerCallback

        folder = Path("wandb").resolve()  # stays: it is sent while the next run computes
        callbacks.append(_TrackedSweep(WandbLoggerCallback(project=options.wandb), study, folder))
    return callbacks


def _mlflow(study: str, uri: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it tells its makers of its use unless told not to
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the sweep waits meanwhile: 7, minutes, is too many
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return MLflowLoggerCallback(tracking_uri=uri, experiment_name=study, save_artifact=True)


def _while_it_works(event: Callable[..., None]) -> Callable[..., None]:
    """Let the logger know of an event; where it cannot take it, it is told nothing more."""

    @wraps(event)
    def tell(self: "_TrackedSweep", *_: Any, **info: Any) -> None:
        if self.is_off:
            return
        try:
            event(self, **info)
        except Exception as error:
            self.is_off = True
            log.warning("%s is told nothing more of this sweep: %s", type(self.logger).__name__, error)

    return tell


class _TrackedSweep(Callback):
    """Passes a sweep's events on to one of Ray's logger callbacks, each trial as the run that it computes.

    The logs of a run go to a folder of its own below `folder`. `artifacts` holds the files that the logger is to keep.
    """

    def __init__(self, logger: Any, study: str, folder: Path | None = None, artifacts: Storage | None = None) -> None:
        self.logger, self._study, self._folder, self._artifacts = logger, study, folder, artifacts
        self.is_off = False
        self._runs: dict[str, _TrackedRun] = {}  # trial id -> the run it computes

    def __getstate__(self) -> dict[str, Any]:
        """Tune saves the state of its callbacks with a sweep: nothing here is worth it."""
        return {}

    @_while_it_works
    def setup(self, **info: Any) -> None:
        self.logger.setup(**info)

    @_while_it_works
    def on_trial_start(self, trial: Any, **_: Any) -> None:
        spec: RunSpec = trial.config["attempt"].run
        run = self._runs[trial.trial_id] = _TrackedRun(trial.trial_id, spec, self._study)
        if self._folder is not None:
            name = f"{spec.configuration.label}-{spec.repeat}-{spec.run_id[:8]}"
            run.local_path = str(self._folder / self._study / name)
            run.init_local_path()
        self.logger.log_trial_start(run)

    @_while_it_works
    def on_trial_result(self, iteration: int, trial: Any, result: dict[str, Any], **_: Any) -> None:
        run, shown = self._runs.get(trial.trial_id), shown_result(result)
        if run is not None and len(shown) > 1:
            self.logger.log_trial_result(iteration, run, shown)

    @_while_it_works
    def on_trial_complete(self, trial: Any, **_: Any) -> None:
        """Tell of the end of a run, and lend the logger its files; one that failed has no row in the results."""
        run, row_path = self._runs.pop(trial.trial_id, None), trial.last_result.get("path")
        if run is None:  # it never started
            return
        with tempfile.TemporaryDirectory(prefix="fmnist-track-") as lent:
            if self._artifacts is not None:
                run.local_path = lent
                files = {row_path: "row.parquet", model_path(run.run): "model.keras"} if row_path else {}
                for path, name in files.items():
                    with suppress(OSError):  # kept as far as the storage has them
                        (Path(lent) / name).write_bytes(self._artifacts.get(path))
            self.logger.log_trial_end(run, failed=row_path is None)

    on_trial_error = on_trial_complete

    @_while_it_works
    def on_experiment_end(self, **info: Any) -> None:
        self.logger.on_experiment_end(**info)


def shown_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what a dashboard shows of one of Tune's results: an epoch's record, or the metrics of the final row."""
    # Tune counts its own steps, also those in which a run waited
    epochs = result.get("epoch") or result.get("row", {}).get("epochs_run") or result["training_iteration"]
    step = {"training_iteration": epochs}
    if "row" in result:
        row = result["row"]
        return step | {f"final/{name}": row[name] for name in METRICS if isinstance(row.get(name), (int, float))}
    return step | {name: result[name] for name in EPOCH.names if name in result}


@dataclass(eq=False)
class _TrackedRun:
    """A run as Ray's logger callbacks see it: what they ask a Tune trial for."""

    trial_id: str
    run: RunSpec
    experiment_dir_name: str  # of the study: Weights & Biases groups by it
    local_path: str = ""  # folder of the run's logs, or of the files that a logger is to keep at its end

    def __str__(self) -> str:
        return self.run.name

    @property
    def config(self) -> dict[str, Any]:
        """The run's identity and hyperparameters, flat: also what TensorBoard's table of hyperparameters shows."""
        columns, settings = self.run.columns(), asdict(self.run.configuration.hyperparameters)
        return {name: columns[name] for name in ("run_id", "label", "repeat", "architecture", "placement")} | settings

    evaluated_params = config

    def init_local_path(self) -> None:
        """Make the folder of `local_path`."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)
