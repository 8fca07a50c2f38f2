"""One run from its specification to its row: train, stop, score once on the test set, measure. No Ray here."""

import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

from fmnist.data import DATASET, Dataset, draw_fewer, draw_split
from fmnist.declare import Hyperparameters, RunSpec, build_model
from fmnist.store import SCHEMA
from fmnist.studies import define_architecture
from fmnist.train import measurement
from fmnist.train.checkpoint import Array, Checkpoint, UnusableCheckpointError
from fmnist.train.devices import choose_policy, prepare_process
from fmnist.train.initial_weights import load_initial_weights
from fmnist.train.kernels import unsupported
from fmnist.train.loop import Engine, KerasEngine, Scores
from fmnist.train.schedule import TrainingState
from fmnist.train.transfer import epochs_of_pretraining, freeze, hand_on, source_indices

Row = dict[str, Any]
_CLOCKS = ("compile", "pretraining", "train", "evaluate")  # pretraining is a part of train
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

    `on_epoch(record, make_checkpoint)` is called after each epoch with its entry of the history (one of pretraining:
    with its number and loss) and a function that gives the run's checkpoint as bytes. The run resumes from
    `checkpoint`, or raises UnusableCheckpointError. `on_end(row, model)` is called last, when all is measured. A loss
    that is not finite ends the run with status `diverged`, a validation accuracy below that of `spec.pruned_below` with
    `pruned`; any other error is raised.
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
    """Build a model in the precision that the settings come to on this device, its weights drawn from `seed`.

    The weights before the output layer are those of the file that the settings name, if they do.
    """
    is_chosen = settings.precision == "auto"
    policy = choose_policy(build_model(architecture, settings)) if is_chosen else settings.precision
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(seed)
        model = build_model(architecture, settings)
    finally:
        keras.config.set_dtype_policy(before)
    if settings.initial_weights:
        load_initial_weights(model, settings.initial_weights)
    return model


def order_of_epoch(indices: Array, seed: int, epoch: int) -> Array:
    """Shuffle the training images, int32 (images,), for the epoch after `epoch` others."""
    return np.random.default_rng([seed, epoch]).permutation(indices).astype(np.int32)


class _Run:
    """A run under way: model, engine, state of the training and clocks."""

    def __init__(self, spec: RunSpec, data: Dataset, checkpoint: Checkpoint | None) -> None:
        if checkpoint and checkpoint.run_id != spec.run_id:
            found, expected = checkpoint.run_id, spec.run_id
            raise UnusableCheckpointError(f"checkpoint: got that of run {found}, expected that of {expected}")
        self.spec = spec
        self.settings = spec.configuration.hyperparameters
        self.data = data
        held_back, trained_on = DATASET.validation_count, DATASET.train_count
        validation_count = len(data.train_labels) * held_back // (held_back + trained_on)
        split = draw_split(data.train_labels, spec.seeds.split, validation_count)
        self.validation_indices, self.train_indices = split.validation_indices, split.train_indices
        self.source_indices = source_indices(data.train_labels, split.train_indices)
        if self.settings.train_images is not None:
            self.train_indices = draw_fewer(
                data.train_labels, split.train_indices, spec.seeds.split, self.settings.train_images
            )
        measurement.reset_device_peak()
        self.host_memory = measurement.HostMemory()
        self.clocks = measurement.Clocks(checkpoint.clocks if checkpoint else None)
        self.start = time.perf_counter() - self.clocks.seconds.get("total", 0.0)
        self.processor_start = time.process_time() - self.clocks.seconds.get("processor", 0.0)
        self.state = checkpoint.state if checkpoint else TrainingState(learning_rate=self.settings.learning_rate)
        self.best_weights: list[Array] = []
        self.earlier_peak: int | None = None
        test_set = (data.test_images, data.test_labels)
        self._begin_task({"train": (data.train_images, data.train_labels), "test": test_set})
        if checkpoint:
            self._resume(checkpoint)

    @property
    def _pretrains(self) -> bool:
        """Whether the run is at its source task."""
        return self.state.pretrained_epochs < epochs_of_pretraining(self.settings)

    def _begin_task(self, sets: Mapping[str, tuple[Any, Any]]) -> None:
        """Make the model and the engine of the task that the run is at."""
        settings, indices = self.settings, self.train_indices
        if self._pretrains:
            settings, indices = replace(settings, epochs=settings.pretraining_epochs), self.source_indices
        with self.clocks.timing("compile"):
            architecture, seed = self.spec.configuration.architecture, self.spec.seeds.initialisation
            self.model = build_for(architecture, settings, seed)
            if not self._pretrains:
                freeze(self.model, settings.frozen)
            trained_by = KerasEngine if unsupported(self.model) else Engine
            self.engine = trained_by(self.model, settings, self.spec.seeds, sets, epoch_images=len(indices))
            self.engine.compile()

    def _resume(self, checkpoint: Checkpoint) -> None:
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
        while self._pretrains:
            if problem := self._pretrain_epoch(on_epoch):
                return problem
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

    def _pretrain_epoch(self, on_epoch: OnEpoch | None) -> str | None:
        """Train one epoch of the source task, and after the last one hand its body on; return what is wrong, if so."""
        _, loss = self._train_on(self.source_indices, self.state.pretrained_epochs)
        self.clocks.seconds["pretraining"] = self.clocks.seconds["train"]  # all of it so far
        self.state.pretrained_epochs += 1
        epoch = self.state.pretrained_epochs
        if not math.isfinite(loss):
            return f"the loss became {loss} in epoch {epoch} of pretraining"
        if not self._pretrains:
            source = self.model
            self._begin_task(self.engine.sets)
            hand_on(source, self.model)
        if on_epoch is not None:
            on_epoch({"pretraining_epoch": epoch, "pretraining_loss": loss}, self.make_checkpoint)
        return None

    def _train_on(self, indices: Array, done: int) -> tuple[float, float]:
        """Train one epoch on the images at `indices`, after `done` others; return mean accuracy and cross-entropy."""
        order = order_of_epoch(indices, self.spec.seeds.order, done)
        with self.clocks.timing("train"):
            return self.engine.train_epoch(order, done * self.engine.epoch_steps, self.state.learning_rate)

    def _one_epoch(self) -> dict[str, float]:
        done = len(self.state.history)
        before = self.clocks.seconds.get("train", 0.0)
        accuracy, loss = self._train_on(self.train_indices, done)
        entry: dict[str, float] = {"epoch": done + 1, "train_accuracy": accuracy, "train_loss": loss}
        validation = self._scores("train", self.validation_indices) if math.isfinite(loss) else None
        return entry | {
            "validation_accuracy": validation.accuracy if validation else math.nan,
            "validation_loss": validation.loss if validation else math.nan,
            "learning_rate": float(self.engine.rate_at(done * self.engine.epoch_steps, self.state.learning_rate)),
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
            scores = self._scores("train", self.validation_indices)
            return {"validation_accuracy": scores.accuracy, "validation_loss": scores.loss}
        indices = {
            "train": self.train_indices,
            "validation": self.validation_indices,
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
            **{f"{name}_seconds": self.clocks.seconds.get(name, 0.0) for name in _CLOCKS},
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
