"""What the sweep itself costs: trivial runs through Ray Tune, their overhead and the driver's memory over time.

    python benchmarks/sweep.py --runs 1000

Each run is a process of its own that does next to nothing and writes its row. Prints, at ten points, the runs done,
the wall time and the driver's resident memory; at the end the seconds of a worker that a run costs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist.declare.study import Study, configure
from fmnist.store.store import Store
from fmnist.sweep import tuner
from fmnist.sweep.connection import connection
from fmnist.sweep.display import Display, SweepState
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations
from fmnist.sweep.resources import Cluster, resources_for

ROOT = Path(__file__).resolve().parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # the workers import it too

POINTS = 10  # of the printed course


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="number of trivial runs (default: %(default)s)")
    parser.add_argument("--tuner-trials", type=int, default=tuner.TRIALS_OF_TUNER, metavar="N",
        help="runs of one Tuner (default: %(default)s)")  # fmt: skip
    asked = parser.parse_args()
    tuner.TRIALS_OF_TUNER = asked.tuner_trials
    with tempfile.TemporaryDirectory() as results, connection("local") as cluster:
        measure(asked.runs, results, cluster)
        rows = len(Store(results).present())
    print(f"{rows} rows in the store")


def measure(count: int, results: str, cluster: Cluster) -> None:
    """Sweep `count` trivial runs and print what it took."""
    study = Study(
        name="trivial", question="?", configurations=(configure("lenet5", learning_rate=1.0, epochs=1),), repeats=count
    )
    runs = study.runs({"lenet5": "none"}, "none")
    options = StudyOptions(results=results, max_failures=0, engine="tests.trivial_engine")
    resources = resources_for("shared", [{"CPU": 1.0}], options)
    fitting = resources.concurrency(cluster.nodes)
    left = {run.run_id: run for run in runs}
    state = SweepState(title="trivial", present=0, left=left, durations=Durations(), concurrency=fitting)
    print(f"{'runs done':>10} {'seconds':>8} {'driver RSS, MiB':>16} {'driver CPU, s':>14}")
    course = Course(state, count)
    tuner.sweep(runs, None, options, resources, course)
    seconds = time.monotonic() - course.started
    print(
        f"{count} runs, {fitting} at a time: {seconds:.1f} s, {seconds / count:.3f} s a run,"
        f" {seconds * fitting / count:.3f} s of a worker a run"
    )


class Course(Display):
    """Prints a line each time another tenth of the runs is done."""

    def __init__(self, state: SweepState, count: int) -> None:
        super().__init__(state, Console())
        self.count, self.printed, self.started = count, -1, time.monotonic()
        self.driver = psutil.Process()

    def tick(self) -> None:
        """Print the line if it is time."""
        done = self.state.done
        tenth = done * POINTS // self.count
        if tenth > self.printed:
            self.printed = tenth
            times = self.driver.cpu_times()
            memory = self.driver.memory_info().rss / 2**20
            print(
                f"{done:10d} {time.monotonic() - self.started:8.1f} {memory:16.0f} {times.user + times.system:14.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
