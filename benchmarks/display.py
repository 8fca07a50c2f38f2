"""What drawing a frame of the display costs, by the number of runs: python benchmarks/display.py."""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist.declare.study import Study, configure
from fmnist.sweep import display
from fmnist.sweep.plan import Durations

CONFIGURATIONS = 10
RUNNING = 16
FRAMES = 50


def main() -> None:
    """Print the median and the longest time of a frame, half of the runs done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000])
    for count in parser.parse_args().runs:
        seconds = frame_seconds(count)
        print(
            f"{count:,} runs: {1000 * statistics.median(seconds):.2f} ms a frame, at most {1000 * max(seconds):.2f} ms"
            f" (n = {FRAMES})"
        )


def frame_seconds(count: int) -> list[float]:
    """Draw frames of a sweep of about `count` runs on a terminal of 160 x 40 characters."""
    labels = [f"rate {number}" for number in range(CONFIGURATIONS)]
    study = Study(
        name="frames",
        question="What does a frame cost?",
        configurations=tuple(
            configure("lenet5", label=label, learning_rate=0.001 * (place + 1)) for place, label in enumerate(labels)
        ),
        repeats=count // CONFIGURATIONS,
    )
    runs = study.runs(dict.fromkeys(labels, "structure"), "data")
    state = display.SweepState(
        title="study frames", present=0, left={run.run_id: run for run in runs}, durations=Durations(),
        concurrency=RUNNING,
    )  # fmt: skip
    for run in runs[: len(runs) // 2]:
        row = {"status": "ok", "configuration_id": run.configuration_id, "architecture": "lenet5",
               "total_seconds": 10.0, "epochs_run": 2}  # fmt: skip
        state.finish(run, row)
    for run in runs[len(runs) // 2 :][:RUNNING]:
        state.start(run, 1)
    display.FRAME_SECONDS = 0.0  # every tick draws
    console = Console(file=io.StringIO(), force_terminal=True, width=160, height=40)
    seconds = []
    with display.Display(state, console) as shown:
        for _ in range(FRAMES):
            start = time.perf_counter()
            shown.tick()
            seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
