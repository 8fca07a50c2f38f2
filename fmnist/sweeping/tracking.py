"""Dashboards for a sweep: TensorBoard, MLflow and Weights & Biases, through Ray Tune's own callbacks. Imports Ray.

The rows in the store are the results; a dashboard is a copy to look at. Ray's callbacks log what Tune knows of a trial;
here a trial is one run, and `_TrackedRun` tells them what a reader wants to see instead: the run's name, its
hyperparameters, its curves, and at the end the metrics of its row.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from ray.tune import Callback
from ray.tune.logger import TBXLoggerCallback

from fmnist.errors import UserError
from fmnist.schema import METRICS
from fmnist.store.storage import Storage
from fmnist.study import RunSpec


def tracking_callbacks(
    study: str,
    results: str,
    *,
    tensorboard: Path | None = None,
    mlflow: str | None = None,
    wandb: str | None = None,
) -> list[Callback]:
    """Make the Tune callbacks that were asked for.

    `tensorboard` is a folder, `mlflow` a tracking URI (`sqlite:///runs.db`, `http://host:5000`), `wandb` a project.
    MLflow also gets each run's Parquet row and, where the results hold one, its model as artifacts.
    ValueError if the package is not installed.
    """
    callbacks: list[Callback] = []
    if tensorboard is not None:
        logger: Any = TBXLoggerCallback
        callbacks.append(_TrackedSweep(logger(), study, folder=tensorboard))
    if mlflow is not None:
        callbacks.append(_TrackedSweep(_mlflow(study, mlflow), study, artifacts=Storage(results)))
    if wandb is not None:
        folder = Path("wandb").resolve()  # stays: it is sent while the next run computes
        callbacks.append(_TrackedSweep(_wandb(wandb), study, folder=folder))
    return callbacks


def _mlflow(study: str, uri: str) -> Any:
    _require("mlflow", "mlflow")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it tells its makers of its use unless told not to
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return MLflowLoggerCallback(tracking_uri=uri, experiment_name=study, save_artifact=True)


def _wandb(project: str) -> Any:
    _require("wandb", "wandb")
    from ray.air.integrations.wandb import WandbLoggerCallback

    return WandbLoggerCallback(project=project)


def _require(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise UserError(f"{package}: it was asked for, but is not installed: pip install '.[{extra}]'")


class _TrackedSweep(Callback):
    """Passes a sweep's events on to one of Ray's logger callbacks, each trial as the run that it computes."""

    def __init__(
        self, logger: Any, study: str, *, folder: Path | None = None, artifacts: Storage | None = None
    ) -> None:
        self._logger, self._study = logger, study
        self._folder = folder  # None: logs go to folders of their own that do not stay
        self._artifacts = artifacts  # where the files are that the logger is to keep
        self._runs: dict[str, _TrackedRun] = {}  # trial id -> the run it computes

    def __getstate__(self) -> dict[str, Any]:
        """Tune saves the state of its callbacks with a sweep: nothing here is worth it."""
        return {}

    def setup(self, *_: Any, **info: Any) -> None:
        self._logger.setup(**info)

    def on_trial_start(self, *_: Any, **info: Any) -> None:
        trial = info["trial"]
        run = _TrackedRun(trial.trial_id, trial.config["request"].run, self._study, self._folder)
        self._runs[trial.trial_id] = run
        run.init_local_path()
        self._logger.log_trial_start(run)

    def on_trial_result(self, *_: Any, **info: Any) -> None:
        shown = shown_result(info["result"])
        run = self._runs.get(info["trial"].trial_id)
        if run is not None and len(shown) > 1:
            self._logger.log_trial_result(info["iteration"], run, shown)

    def on_trial_complete(self, *_: Any, **info: Any) -> None:
        self._end(info["trial"].trial_id, failed="failure" in info["trial"].last_result)

    def on_trial_error(self, *_: Any, **info: Any) -> None:
        self._end(info["trial"].trial_id, failed=True)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self._logger.on_experiment_end(trials, **info)

    def _end(self, trial_id: str, failed: bool) -> None:
        run = self._runs.pop(trial_id, None)
        if run is None:
            return
        if self._artifacts is not None and not failed:
            run.fetch(self._artifacts)
        self._logger.log_trial_end(run, failed=failed)
        if self._folder is None:
            run.forget()


def shown_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what a dashboard shows of one of Tune's results: an epoch's record, or the metrics of the final row."""
    # Tune counts its own steps, also those in which a run waited for its place
    epochs = result.get("epoch") or result.get("row", {}).get("epochs_run") or result["training_iteration"]
    step = {"training_iteration": epochs}
    if "row" in result:
        row = result["row"]
        return step | {f"final/{name}": row[name] for name in METRICS if isinstance(row.get(name), (int, float))}
    names = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")
    return step | {name: result[name] for name in (*names, "seconds") if name in result}


class _TrackedRun:
    """A run as Ray's logger callbacks see it: what they ask a Tune trial for."""

    def __init__(self, trial_id: str, run: RunSpec, study: str, folder: Path | None) -> None:
        self.trial_id, self.run = trial_id, run
        self.experiment_dir_name = study  # Weights & Biases groups by it
        self._folder = folder

    def __str__(self) -> str:
        return self.run.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The run's identity and hyperparameters, flat."""
        run = self.run
        identity = {"run_id": run.run_id, "label": run.configuration.label, "repeat": run.repeat}
        identity |= {"architecture": run.configuration.architecture, "placement": run.placement}
        return identity | asdict(run.configuration.hyperparameters)

    @property
    def evaluated_params(self) -> dict[str, Any]:
        """What TensorBoard's table of hyperparameters shows."""
        return self.config

    @cached_property
    def local_path(self) -> str:
        """Folder of the run's logs, or of the files that a logger is to keep."""
        if self._folder is None:
            return tempfile.mkdtemp(prefix="fmnist-track-")
        name = f"{self.run.configuration.label}-{self.run.repeat}-{self.run.run_id[:8]}"
        return str(self._folder / self.experiment_dir_name / name)

    def init_local_path(self) -> None:
        """Make the folder of `local_path`."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def fetch(self, storage: Storage) -> None:
        """Put the run's Parquet row and its model, as far as the storage has them, into `local_path`."""
        name = f"{self.run.run_id}.{self.run.placement}."
        for folder, suffix, kept in (("runs", ".parquet", "row.parquet"), ("models", ".keras", "model.keras")):
            files = [file for file in storage.files(folder, suffix) if PurePosixPath(file.path).name.startswith(name)]
            if files:
                (Path(self.local_path) / kept).write_bytes(storage.get(files[-1].path))

    def forget(self) -> None:
        """Remove the folder of `local_path`."""
        shutil.rmtree(self.local_path, ignore_errors=True)
