"""One run from its specification to its row: train, stop, score once on the test set, measure. No Ray here."""

import math
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from fmnist.data import DATASET, Dataset, draw_split
from fmnist.declare import Hyperparameters, RunSpec, build_model
from fmnist.store import SCHEMA
from fmnist.studies import define_architecture
from fmnist.train import measurement
from fmnist.train.checkpoint import Array, Checkpoint, UnusableCheckpointError
from fmnist.train.devices import choose_policy, prepare_process
from fmnist.train.kernels import unsupported
from fmnist.train.loop import Engine, KerasEngine, Scores
from fmnist.train.schedule import TrainingState

Row = dict[str, Any]
OnEpoch = Callable[[dict[str, float], Callable[[], bytes]], None]


def train_run(
    spec: RunSpec,
    data: Dataset,
    *,
    threads: int = 1,
    gpus: float = 0.0,
    on_epoch: OnEpoch | None = None,
    checkpoint: bytes | None = None,
    on_end: Callable[[Row, keras.Model], None] | None = None,
) -> Row:
    """Train one run in this process and return its row: every column of the schema, null where there is nothing.

    `on_epoch(record, make_checkpoint)` is called after each epoch with its entry of the history and a function that
    gives the run's checkpoint as bytes. The run resumes from `checkpoint`, or raises UnusableCheckpointError.
    `on_end(row, model)` is called last, when all is measured. A loss that is not finite ends the run with status
    `diverged`, a validation accuracy below that of `spec.pruned_below` with `pruned`; any other error is raised.
    """
    prepare_process(threads, gpus)
    define_architecture(spec.configuration)
    started_at = datetime.now(UTC)
    run = _Run(spec, data, Checkpoint.from_bytes(checkpoint) if checkpoint else None)
    error = run.train(on_epoch)
    scores = run.score() if error is None else {}
    status = "diverged" if error else "pruned" if run.state.pruned else "ok" if spec.scores_test else "validated"
    row: Row = dict.fromkeys(SCHEMA.names)
    row |= spec.columns() | measurement.provenance() | scores
    row |= {"status": status, "error": error or run.state.pruned}
    row |= {"attempts": 1, "resumed": checkpoint is not None, "started_at": started_at}
    row |= {"threads": threads, "gpus": float(gpus), "node": platform.node()}
    row |= run.measurements()
    if on_end is not None:
        on_end(row, run.model)
    return row


def build_for(architecture: str, settings: Hyperparameters, seed: int) -> keras.Model:
    """Build a model in the precision that the settings come to on this device, its weights drawn from `seed`."""
    is_chosen = settings.precision == "auto"
    policy = choose_policy(build_model(architecture, settings)) if is_chosen else settings.precision
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(seed)
        return build_model(architecture, settings)
    finally:
        keras.config.set_dtype_policy(before)


def order_of_epoch(indices: Array, seed: int, epoch: int) -> Array:
    """Shuffle the training images, int32 (images,), for the epoch after `epoch` others."""
    return np.random.default_rng([seed, epoch]).permutation(indices).astype(np.int32)


class _Run:
    """A run under way: model, engine, state of the training and clocks."""

    def __init__(self, spec: RunSpec, data: Dataset, checkpoint: Checkpoint | None) -> None:
        self.spec = spec
        self.settings = spec.configuration.hyperparameters
        self.data = data
        held_back, trained_on = DATASET.validation_count, DATASET.train_count
        validation_count = len(data.train_labels) * held_back // (held_back + trained_on)
        self.split = draw_split(data.train_labels, spec.seeds.split, validation_count)
        measurement.reset_device_peak()
        self.host_memory = measurement.HostMemory()
        self.clocks = measurement.Clocks(checkpoint.clocks if checkpoint else None)
        self.start = time.perf_counter() - self.clocks.seconds.get("total", 0.0)
        self.processor_start = time.process_time() - self.clocks.seconds.get("processor", 0.0)
        with self.clocks.timing("compile"):
            self.model = build_for(spec.configuration.architecture, self.settings, spec.seeds.initialisation)
            trained_by = KerasEngine if unsupported(self.model) else Engine
            self.engine = trained_by(
                self.model,
                self.settings,
                spec.seeds,
                {"train": (data.train_images, data.train_labels), "test": (data.test_images, data.test_labels)},
                epoch_images=len(self.split.train_indices),
            )
            self.engine.compile()
        self.state = TrainingState(learning_rate=self.settings.learning_rate)
        self.best_weights: list[Array] = []
        self.earlier_peak: int | None = None
        if checkpoint:
            self._resume(checkpoint)

    def _resume(self, checkpoint: Checkpoint) -> None:
        if checkpoint.run_id != self.spec.run_id:
            raise UnusableCheckpointError(
                f"checkpoint: got that of run {checkpoint.run_id}, expected that of {self.spec.run_id}"
            )
        self.state = checkpoint.state
        self.best_weights = list(checkpoint.best_weights)
        self.earlier_peak = checkpoint.host_allocated_bytes
        try:
            for variable, value in zip(self.engine.variables, checkpoint.variables, strict=True):
                variable.assign(value)
        except ValueError as error:
            raise UnusableCheckpointError(f"checkpoint: got that of another model ({error})") from error

    def make_checkpoint(self) -> bytes:
        """Serialise the run as it stands between two epochs."""
        return Checkpoint(
            run_id=self.spec.run_id,
            state=self.state,
            clocks={
                **self.clocks.seconds,
                "total": time.perf_counter() - self.start,
                "processor": self._processor_seconds(),
            },
            host_allocated_bytes=self._host_allocated_bytes(),
            variables=[variable.numpy() for variable in self.engine.variables],
            best_weights=self.best_weights,
        ).to_bytes()

    def train(self, on_epoch: OnEpoch | None) -> str | None:
        """Train to the end; return None, or what is wrong with a loss that is not finite."""
        while not self.state.finished:
            entry = self._one_epoch()
            for name in ("train_loss", "validation_loss"):
                if not math.isfinite(entry[name]):
                    return f"{name} became {entry[name]} in epoch {entry['epoch']}"
            is_best = self.state.record(entry, self.settings, self.spec.pruned_below)
            if is_best and self.settings.restore_best_weights:
                self.best_weights = [variable.numpy() for variable in self.model.variables]
            if on_epoch is not None:
                on_epoch(entry, self.make_checkpoint)
        for variable, value in zip(self.model.variables, self.best_weights, strict=False):
            variable.assign(value)
        return None

    def _one_epoch(self) -> dict[str, float]:
        done = len(self.state.history)
        chosen = self.split.train_indices
        steps = math.ceil(len(chosen) / self.settings.batch_size)
        order = order_of_epoch(chosen, self.spec.seeds.order, done)
        before = self.clocks.seconds.get("train", 0.0)
        with self.clocks.timing("train"):
            accuracy, loss = self.engine.train_epoch(order, done * steps, self.state.learning_rate)
        entry: dict[str, float] = {"epoch": done + 1, "train_accuracy": accuracy, "train_loss": loss}
        validation = self._scores("train", self.split.validation_indices) if math.isfinite(loss) else None
        return entry | {
            "validation_accuracy": validation.accuracy if validation else math.nan,
            "validation_loss": validation.loss if validation else math.nan,
            "learning_rate": float(self.engine.rate_at(done * steps, self.state.learning_rate)),
            "seconds": self.clocks.seconds["train"] - before,
        }

    def _scores(self, name: str, indices: Array) -> Scores:
        with self.clocks.timing("evaluate"):
            return self.engine.evaluate(name, indices)

    def score(self) -> Row:
        """Score the final weights on all three sets, in a search on the validation set alone.

        The only place that looks at the test set.
        """
        if self.state.pruned or not self.spec.scores_test:
            scores = self._scores("train", self.split.validation_indices)
            return {"validation_accuracy": scores.accuracy, "validation_loss": scores.loss}
        indices = {
            "train": self.split.train_indices,
            "validation": self.split.validation_indices,
            "test": np.arange(len(self.data.test_labels)),  # last: its predictions are kept
        }
        row: Row = {}
        for name, chosen in indices.items():
            scores = self._scores("test" if name == "test" else "train", chosen)
            row |= {f"{name}_accuracy": scores.accuracy, f"{name}_loss": scores.loss}
        return row | {"test_predicted": scores.predicted, "test_confidence": scores.confidence}

    def _processor_seconds(self) -> float:
        return time.process_time() - self.processor_start

    def _host_allocated_bytes(self) -> int | None:
        known = [peak for peak in (self.earlier_peak, self.host_memory.allocated_bytes()) if peak is not None]
        return max(known) if known else None

    def measurements(self) -> Row:
        """Clocks, memory, device and history as they stand."""
        history = self.state.history
        return {
            "best_epoch": self.state.best_epoch,
            "epochs_run": len(history),
            "history": history,
            **{f"{name}_seconds": self.clocks.seconds.get(name, 0.0) for name in ("compile", "train", "evaluate")},
            "epoch_seconds": statistics.median(entry["seconds"] for entry in history) if history else None,
            "total_seconds": time.perf_counter() - self.start,
            "processor_seconds": self._processor_seconds(),
            "parameter_count": self.model.count_params(),
            "host_allocated_bytes": self._host_allocated_bytes(),
            "host_library_bytes": self.host_memory.library_bytes(),
            **measurement.device_columns(),
            "compute_dtype": self.model.compute_dtype,
            "engine": self.engine.name,
        }
