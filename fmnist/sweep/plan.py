"""What a sweep has to do: which wanted runs are there, which are missing, and how long those will take. No Ray here."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Self

from fmnist.data import DATASET
from fmnist.declare import Hyperparameters, RunSpec
from fmnist.store import Store


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The runs of a study, divided by whether their row is there."""

    present: list[RunSpec]
    missing: list[RunSpec]
    failed: int  # of the present ones, those that have no row but that they failed

    @property
    def wanted(self) -> int:
        """Number of runs of the study."""
        return len(self.present) + len(self.missing)


def make_plan(runs: Sequence[RunSpec], present: Set[tuple[str, str, str]], retry_failed: bool = False) -> Plan:
    """Divide `runs` by whether one of the rows that are `present` (run_id, placement, status) satisfies them.

    A shared run is satisfied by a row of either placement, an exclusive one only by an exclusive row. An exclusive run
    may have had more threads, which may change the last bits as other hardware does: neither is part of a run's
    identity. A failed row counts unless `retry_failed`; a diverged one always counts, since the same run would diverge
    again.
    """
    found = [run for run in runs if is_satisfied(run, present, failed=not retry_failed)]
    missing = [run for run in runs if not is_satisfied(run, present, failed=not retry_failed)]
    failed = sum(not is_satisfied(run, present) for run in found)
    return Plan(present=found, missing=missing, failed=failed)


def is_satisfied(run: RunSpec, present: Set[tuple[str, str, str]], *, failed: bool = False) -> bool:
    """Whether a row that is `present` makes it needless to compute `run`.

    With `failed` also one of a run that was given up: it failed, or was pruned where `run` may be, too. A row of a
    search, which has no score of the test set, serves another search alone.
    """
    statuses = {"ok", "diverged"} | (set() if run.scores_test else {"validated"})
    if failed:
        statuses |= {"failed"} | ({"pruned"} if run.pruned_below else set())
    placements = {"exclusive", run.placement}
    return any((run.run_id, place, status) in present for place in placements for status in statuses)


class Durations:
    """How long a run takes, learnt from rows: its configuration's, or else its architecture's by the epoch."""

    def __init__(self) -> None:
        self._by_configuration: dict[str, list[float]] = defaultdict(list)
        self._epoch_by_architecture: dict[str, list[float]] = defaultdict(list)
        self.devices: set[str] = set()  # models of the devices that the rows were computed on

    @classmethod
    def of(cls, store: Store, device_kind: str | None = None) -> Self:
        """Learn from the rows of a store: all, or those computed on a `CPU` or a `GPU`."""
        columns = ["configuration_id", "architecture", "status", "total_seconds", "epochs_run", "train_images"]
        durations = cls()
        for row in store.read([*columns, "device_kind", "device_model"]).to_pylist():
            if device_kind in (None, row["device_kind"]):
                durations.learn(row)
        return durations

    def learn(self, row: Mapping[str, Any]) -> None:
        """Take a row into account, if it is one of a finished run."""
        if row["status"] in ("ok", "validated") and row["total_seconds"] is not None:
            self._by_configuration[row["configuration_id"]].append(row["total_seconds"])
            if row.get("device_model"):
                self.devices.add(row["device_model"])
            if row["epochs_run"] and row.get("train_images") is None:  # epochs of few images would mislead
                self._epoch_by_architecture[row["architecture"]].append(row["total_seconds"] / row["epochs_run"])

    def expected(self, run: RunSpec) -> float | None:
        """Seconds that `run` will take, None where nothing like it was ever run; at most, if it may stop early."""
        if known := self._by_configuration.get(run.configuration_id):
            return statistics.median(known)
        if epochs := self._epoch_by_architecture.get(run.configuration.architecture):
            return statistics.median(epochs) * _whole_epochs(run.configuration.hyperparameters)
        return None

    def total(self, runs: Collection[RunSpec]) -> float | None:
        """Seconds that runs take one after the other; an unknown one as the mean of the known, None without these."""
        count_of = Counter(run.configuration_id for run in runs)
        expected = {name: self.expected(run) for name, run in {run.configuration_id: run for run in runs}.items()}
        known = [(seconds, count_of[name]) for name, seconds in expected.items() if seconds is not None]
        if not known:
            return None if runs else 0.0
        return sum(seconds * count for seconds, count in known) / sum(count for _, count in known) * len(runs)


def _whole_epochs(settings: Hyperparameters) -> float:
    """Count a run's epochs, one on fewer images as so much of a whole one; about, since batches differ too.

    Every epoch ends with the validation images; pretraining is on about half of the training images.
    """
    images = settings.train_images or DATASET.train_count
    share = (images + DATASET.validation_count) / (DATASET.train_count + DATASET.validation_count)
    pretraining = 0.0 if settings.pretraining == "none" else settings.pretraining_epochs / 2
    return settings.epochs * share + pretraining
