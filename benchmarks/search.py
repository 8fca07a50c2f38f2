"""What a search costs before and beside its runs: planning 1,000 points x 5 repeats x 6 architectures, and the driver.

    python benchmarks/search.py [--runs 500]

Prints the seconds from the start of a search to its list of missing runs, structures of the models included, and the
driver's resident memory with all of them waiting, before Ray computes `--runs` trivial ones of them and after.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist.declare import Choice, RunSpec, Search, Space
from fmnist.store.store import Store
from fmnist.sweep import tuner
from fmnist.sweep.connection import connection
from fmnist.sweep.display import Display, SweepState
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations
from fmnist.sweep.proposals import propose
from fmnist.sweep.resources import resources_for
from fmnist.sweep.search_progress import SearchProgress
from fmnist.sweep.structures import structure_process

ROOT = Path(__file__).resolve().parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # the workers import it too

SEARCH = Search(
    name="thousand",
    question="?",
    architectures=("lenet5", "brownlee", "own_v1", "own_v2", "own_v3", "efficientnet_small"),
    space=Space(
        {
            "batch_size": Choice((16, 32, 64, 128, 256)),
            "l2": Choice((0.0, 1e-6, 1e-5, 1e-4, 1e-3)),
            "rotation": Choice((0.0, 5.0, 10.0, 20.0)),
            "zoom": Choice((0.0, 0.1)),
            "translation": Choice((0.0, 0.05, 0.1, 0.2, 0.3)),
        }
    ),
    repeats=5,
    settings={"learning_rate": 1.0, "epochs": 2, "optimizer": "adam"},
)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="number of trivial runs (default: %(default)s)")
    asked = parser.parse_args()
    started, processor = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as results, structure_process(SEARCH.examples) as structures:
        store = Store(results)
        progress = SearchProgress(SEARCH, store, structures, "none", propose)
        missing = progress.start()
        store.write_manifest(progress.manifest())
        took = f"{time.perf_counter() - started:.1f} s, {time.process_time() - processor:.1f} s of the driver itself"
        print(f"{len(missing)} runs of {len(progress.manifest()['configurations'])} configurations planned in {took}")
        print(f"driver {resident()} MiB")
        measure(progress, missing, asked.runs, results)
        print(f"driver {resident()} MiB, {len(store.present())} rows")


def measure(progress: SearchProgress, missing: Sequence[RunSpec], count: int, results: str) -> None:
    """Compute the first runs, and take each in as a search does."""
    options = StudyOptions(results=results, max_failures=0, engine="tests.trivial_engine")
    with connection("local") as cluster:
        resources = resources_for("shared", [{"CPU": 1.0}], options)
        state = SweepState(
            title="thousand",
            present=0,
            left={run.run_id: run for run in missing[:count]},
            durations=Durations(),
            concurrency=resources.concurrency(cluster.nodes),
        )
        spent = 0.0

        def follow(run: RunSpec, row: Mapping[str, Any] | None) -> Sequence[RunSpec]:
            nonlocal spent
            before = time.process_time()
            further = progress.finished(run, row)
            spent += time.process_time() - before
            return further

        started = time.perf_counter()
        with Display(state, Console(), log_seconds=30) as display:
            tuner.sweep(missing[:count], None, options, resources, display, follow=follow)
        seconds = time.perf_counter() - started
        print(f"{count} runs in {seconds:.0f} s, {1000 * spent / count:.1f} ms each to take one in")


def resident() -> int:
    """The driver's memory, MiB."""
    return int(psutil.Process().memory_info().rss / 2**20)


if __name__ == "__main__":
    main()
