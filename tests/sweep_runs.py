"""Runs, options and a sweep of trivial runs for the tests that need a real Ray."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from fmnist.declare.study import RunSpec, Study, configure
from fmnist.store.store import Store
from fmnist.sweep.display import Display, SweepState
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations, make_plan
from fmnist.sweep.resources import RunResources
from fmnist.sweep.tuner import sweep
from tests.trivial_engine import COURSES

ROOT = Path(__file__).resolve().parents[1]


class KnownStructures:
    """Stands in for `structures.Structures`: no Keras."""

    def of(self, configurations: Any) -> list[str]:
        return [f"{item.architecture} {item.hyperparameters.dropout_rate}" for item in configurations]

    def by_label(self, configurations: Any) -> dict[str, str]:
        return dict(zip((item.label for item in configurations), self.of(configurations), strict=True))


@contextmanager
def known_structures(_first: Any) -> Iterator[KnownStructures]:
    yield KnownStructures()


def trivial_runs(count: int, course: str = "plain", epochs: int = 2, placement: Any = "shared") -> list[RunSpec]:
    configuration = configure("lenet5", label=course, learning_rate=COURSES[course], epochs=epochs)
    study = Study(name="trivial", question="?", configurations=(configuration,), repeats=count, placement=placement)
    return study.runs({course: "structure"}, "data")


SWEEP_ALONE = """
import sys
from pathlib import Path
from fmnist.sweep.connection import connection
from tests.sweep_runs import sweep_trivially, trivial_runs

folder, address, count = sys.argv[1:]
with connection(address):
    sweep_trivially(trivial_runs(int(count), "is_slow"), Path(folder))
"""


def sweep_in_a_process(results: Path, address: str, count: int) -> subprocess.Popen[str]:
    """Start a program of its own that sweeps slow runs on a Ray; see SWEEP_ALONE."""
    command = [sys.executable, "-c", SWEEP_ALONE, str(results), address, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


def wait_for_rows(results: Path, count: int, seconds: float = 120) -> list[Path]:
    """Wait until so many rows are there; AssertionError if they do not come."""
    deadline = time.monotonic() + seconds
    while len(found := sorted((results / "runs").glob("*.parquet"))) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} rows after {seconds} s"
        time.sleep(0.05)
    return found


class Said(Display):
    """Shows nothing, and keeps what is to stay."""

    def __init__(self, state: SweepState, said: list[str]) -> None:
        super().__init__(state, Console(file=io.StringIO()))
        self.said = said

    def tick(self) -> None:
        pass

    def say(self, line: str) -> None:
        self.said.append(line)


def sweep_trivially(runs: list[RunSpec], results: Path, said: list[str] | None = None, **changes: Any) -> SweepState:
    """Sweep what is missing of `runs`; returns the state at the end."""
    resources = changes.pop("resources", RunResources(cpus=1.0, gpus=0.0))
    data = changes.pop("data", None)
    plan = make_plan(runs, Store(results).present(), changes.pop("retry_failed", False))
    of_sweep = {name: changes.pop(name) for name in ("keep_order", "callbacks") if name in changes}
    options = StudyOptions(**{"results": str(results), "engine": "tests.trivial_engine", **changes})
    left = {run.run_id: run for run in plan.missing}
    state = SweepState(title="test", present=len(plan.present), left=left, durations=Durations(), concurrency=2)
    sweep(plan.missing, data, options, resources, Said(state, [] if said is None else said), **of_sweep)
    return state
