"""What the sweep itself costs: trivial runs through Ray Tune, their overhead and the driver's memory over time.

    python benchmarks/sweep.py --runs 1000

Each run is a process of its own that does next to nothing and writes its row. Prints, at ten points, the runs done,
the wall time and the driver's resident memory; at the end the seconds of a slot that a run costs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist.declare.study import Study, configure
from fmnist.store.store import Store
from fmnist.sweep.connection import connection
from fmnist.sweep.display import SweepState
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations
from fmnist.sweep.resources import share_of
from fmnist.sweep.tuner import WAVE_RUNS, sweep

ROOT = Path(__file__).resolve().parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # the slots import it too

POINTS = 10  # of the printed course


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="number of trivial runs (default: %(default)s)")
    parser.add_argument("--wave-runs", type=int, default=WAVE_RUNS,
        help="runs of one Tuner (default: %(default)s)")  # fmt: skip
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as results, connection("local") as cluster:
        measure(asked.runs, asked.wave_runs, results, share_of("shared", cluster.nodes).slots(cluster.nodes))
        rows = len(Store(results).present())
    print(f"{rows} rows in the store")


def measure(count: int, wave_runs: int, results: str, slots: int) -> None:
    """Sweep `count` trivial runs and print what it took."""
    study = Study(
        name="trivial", question="?", configurations=(configure("lenet5", learning_rate=1.0, epochs=1),), repeats=count
    )
    runs = study.runs({"lenet5": "none"}, "none")
    state = SweepState(
        title="trivial", present=0, left={run.run_id: run for run in runs}, durations=Durations(), slots=slots
    )
    share = share_of("shared", [{"CPU": 1.0}])
    options = StudyOptions(results=results, max_failures=0, engine="tests.trivial_engine")
    print(f"{'runs done':>10} {'seconds':>8} {'driver RSS, MiB':>16} {'driver CPU, s':>14}")
    started = time.monotonic()
    sweep(runs, None, options, share, state, wave_runs=wave_runs, tick=watcher(state, count, started))
    seconds = time.monotonic() - started
    print(
        f"{count} runs, {slots} at a time: {seconds:.1f} s, {seconds / count:.3f} s a run,"
        f" {seconds * slots / count:.3f} s of a slot a run"
    )


def watcher(state: SweepState, count: int, started: float) -> Callable[[], None]:
    """Make the function that prints a line each time another tenth of the runs is done."""
    driver = psutil.Process()
    printed = -1

    def tick() -> None:
        nonlocal printed
        tenth = state.done * POINTS // count
        if tenth > printed:
            printed = tenth
            times = driver.cpu_times()
            memory = driver.memory_info().rss / 2**20
            print(
                f"{state.done:10d} {time.monotonic() - started:8.1f} {memory:16.0f} {times.user + times.system:14.1f}",
                flush=True,
            )

    return tick


if __name__ == "__main__":
    main()
