"""What a sweep has to do: which wanted runs are there, which are missing, and how long those will take. No Ray here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fmnist.results import Store
from fmnist.study import RunSpec

Presence = set[tuple[str, str, str]]  # run_id, placement, status, as Store.present() gives them


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The runs of a study, divided by whether their row is there."""

    present: list[RunSpec]
    missing: list[RunSpec]

    @property
    def wanted(self) -> int:
        """Number of runs of the study."""
        return len(self.present) + len(self.missing)


def make_plan(runs: Sequence[RunSpec], present: Presence, retry_failed: bool = False) -> Plan:
    """Divide `runs` by whether a row satisfies them.

    A shared run is satisfied by a row of either placement, an exclusive one only by an exclusive row. A failed row
    counts unless `retry_failed`; a diverged one always counts, since the same run would diverge again.
    """
    there = {(run_id, placement) for run_id, placement, status in present if not (retry_failed and status == "failed")}
    divided: dict[bool, list[RunSpec]] = {True: [], False: []}
    for run in runs:
        divided[bool(satisfying(run) & there)].append(run)
    return Plan(present=divided[True], missing=divided[False])


def satisfying(run: RunSpec) -> set[tuple[str, str]]:
    """Name the rows, as (run_id, placement), that make it needless to compute `run`."""
    return {(run.run_id, "exclusive"), (run.run_id, run.placement)}


class Durations:
    """How long a run takes, learnt from rows: its configuration's, or else its architecture's by the epoch."""

    def __init__(self) -> None:
        self._by_configuration: dict[str, list[float]] = defaultdict(list)
        self._epoch_by_architecture: dict[str, list[float]] = defaultdict(list)
        self.devices: set[str] = set()  # models of the devices that the rows were computed on

    @classmethod
    def of(cls, store: Store) -> Durations:
        """Learn from all rows of a store."""
        columns = ["configuration_id", "architecture", "status", "total_seconds", "epochs_run", "device_model"]
        durations = cls()
        for row in store.read(columns).to_pylist():
            durations.learn(row)
        return durations

    def learn(self, row: Mapping[str, Any]) -> None:
        """Take a row into account, if it is one of a finished run."""
        if row["status"] == "ok" and row["total_seconds"] is not None:
            self._by_configuration[row["configuration_id"]].append(row["total_seconds"])
            if row.get("device_model"):
                self.devices.add(row["device_model"])
            if row["epochs_run"]:
                self._epoch_by_architecture[row["architecture"]].append(row["total_seconds"] / row["epochs_run"])

    def expected(self, run: RunSpec) -> float | None:
        """Seconds that `run` will take, None where nothing like it was ever run; at most, if it may stop early."""
        if known := self._by_configuration.get(run.configuration_id):
            return median(known)
        if epochs := self._epoch_by_architecture.get(run.configuration.architecture):
            return median(epochs) * run.configuration.hyperparameters.epochs
        return None

    def total(self, runs: Iterable[RunSpec]) -> float | None:
        """Seconds that `runs` take one after the other, the unknown ones counted as the mean of the known ones."""
        expected = [self.expected(run) for run in runs]
        known = [seconds for seconds in expected if seconds is not None]
        if expected and not known:
            return None
        return sum(known) * len(expected) / len(known) if known else 0.0
