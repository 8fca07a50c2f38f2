"""The same small study done by a plain Keras script and by this project, each from start to end.

    python benchmarks/study.py --json study.json

Both sides are whole processes, start-up and all: the script trains one run after the other with `fit` on all cores
and TensorFlow as it comes (without oneDNN on CPUs that lack AVX-512: `--onednn` turns it on for the script too);
this project's `jobs/study.py` starts its own Ray and fills the machine with runs. Same architectures, hyperparameters,
epochs and repeats. Expected time: about half an hour on 2 cores, most of it the script's; expected accuracies
after two epochs: 75 to 90 %, equal within their intervals.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fmnist.compare.intervals import Interval, Summary, summarize
from fmnist.declare.architectures import find_architecture
from fmnist.store.store import Store
from fmnist.studies.comparison import ARCHITECTURES
from fmnist.train.measurement import cpu_model, provenance

ROOT = Path(__file__).resolve().parents[1]
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
SHOWN_LINES = 30  # of what a side printed before it failed
STUDY_FILE = '''"""Written by benchmarks/study.py."""

from fmnist.declare.study import Study, configure

STUDY = Study(
    name="benchmark",
    question="How fast is a study?",
    configurations=tuple(configure(name, epochs={epochs}) for name in {architectures!r}),
    repeats={repeats},
)
'''

Accuracies = dict[str, list[float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run both sides, print and write; a user's mistake is one line and exit code 2, a side's failure 1."""
    parser = argparse.ArgumentParser(
        description="Time the same study as a plain Keras script and as a study of this project.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--architectures", nargs="+", default=list(ARCHITECTURES), metavar="NAME", help="which to train")
    add("--epochs", type=int, default=2, help="epochs of every run")
    add("--repeats", type=int, default=3, help="runs of each architecture")
    add("--with-report", action="store_true", help="let this project write its report too, which the script does not")
    add("--onednn", action="store_true", help="turn oneDNN on for the script too, where TensorFlow leaves it off")
    add("--json", type=Path, metavar="PATH", help="file for all figures")
    options = parser.parse_args(arguments)
    try:
        _check(options)
        report = run(options)
        if options.json:
            options.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    except subprocess.CalledProcessError as error:
        last_lines = "\n".join(error.output.splitlines()[-SHOWN_LINES:])
        print(f"study: {error}; the end of what it printed:\n{last_lines}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    return 0


def _check(options: argparse.Namespace) -> None:
    for name in options.architectures:
        find_architecture(name)
    for name in ("epochs", "repeats"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name}: got {getattr(options, name)}, expected at least 1")
    if options.json and not options.json.parent.is_dir():
        raise ValueError(f"--json: there is no folder {options.json.parent}; make it first")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run both sides, print the comparison and return its figures."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    busy = os.getloadavg()[0]
    # so that neither side is the one that fetches the libraries from the disk
    subprocess.run([sys.executable, "-c", "import tensorflow, ray"], check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder:
        console.print("plain Keras script ...", style="dim")
        script_seconds, script = run_script(options, Path(folder))
        console.print("this project ...", style="dim")
        project_seconds, project = run_project(options, Path(folder))
    report = {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **provenance(),
        "load_average_before": busy,
        "epochs": options.epochs,
        "repeats": options.repeats,
        "with_report": options.with_report,
        "onednn_for_script": options.onednn,
        "wall_seconds": {"script": script_seconds, "project": project_seconds},
        "ratio": script_seconds / project_seconds,
        "test_accuracy": {name: compare(script[name], project[name]) for name in options.architectures},
    }
    _print_report(console, report)
    return report


def run_script(options: argparse.Namespace, folder: Path) -> tuple[float, Accuracies]:
    """Train with the plain Keras script; returns wall seconds and each architecture's test accuracies by repeat."""
    output = folder / "accuracies.json"
    counts = ["--epochs", str(options.epochs), "--repeats", str(options.repeats), "--output", str(output)]
    script = [str(ROOT / "benchmarks/plain_study.py"), "--architectures", *options.architectures, *counts]
    environment = {name: value for name, value in os.environ.items() if name != ONEDNN}
    seconds = _timed(script, environment | ({ONEDNN: "1"} if options.onednn else {}))
    return seconds, _by_architecture(json.loads(output.read_text()), options.repeats)


def run_project(options: argparse.Namespace, folder: Path) -> tuple[float, Accuracies]:
    """Train with `jobs/study.py` on a Ray of its own; returns the same as `run_script`."""
    study_file = folder / "benchmark.py"
    names, results = tuple(options.architectures), folder / "results"
    study_file.write_text(STUDY_FILE.format(architectures=names, epochs=options.epochs, repeats=options.repeats))
    report = ["--report", str(folder / "report")] if options.with_report else ["--no-report"]
    store = ["--results", str(results), "--address", "local"]
    seconds = _timed([str(ROOT / "jobs/study.py"), str(study_file), *store, *report])
    rows = Store(results).read(["architecture", "repeat", "test_accuracy"]).to_pylist()
    return seconds, _by_architecture(rows, options.repeats)


def _timed(command: Sequence[str], environment: dict[str, str] | None = None) -> float:
    """Run a Python script to its end and return its wall time; CalledProcessError holds what a failed one printed."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment,
    )  # fmt: skip
    return time.perf_counter() - started


def _by_architecture(rows: Sequence[dict[str, Any]], repeats: int) -> Accuracies:
    accuracies: Accuracies = {}
    for row in sorted(rows, key=lambda row: row["repeat"]):
        if row["test_accuracy"] is not None:
            accuracies.setdefault(row["architecture"], []).append(row["test_accuracy"])
    for name, values in accuracies.items():
        if len(values) != repeats:
            raise ValueError(f"{name}: got {len(values)} test accuracies, expected {repeats}; a run failed")
    return accuracies


def compare(script: Sequence[float], project: Sequence[float]) -> dict[str, Any]:
    """Means and 95 % t intervals of both sides; `overlap` is None where one has no interval (fewer than two runs)."""
    sides = {"script": summarize(script), "project": summarize(project)}
    intervals = [summary.mean_t_interval for summary in sides.values()]
    known = all(interval.known for interval in intervals)
    return {
        **{
            name: {"mean": summary.mean, "n": summary.n, "interval": _known_interval(summary)}
            for name, summary in sides.items()
        },
        "values": {"script": list(script), "project": list(project)},
        "overlap": overlap(*intervals) if known else None,
    }


def _known_interval(summary: Summary) -> dict[str, Any] | None:
    return summary.mean_t_interval._asdict() if summary.mean_t_interval.known else None


def overlap(one: Interval, other: Interval) -> bool:
    """Whether two intervals have a value in common."""
    return max(one.lower, other.lower) <= min(one.upper, other.upper)


def _print_report(console: Console, report: dict[str, Any]) -> None:
    table = Table(title="Test accuracy in %, mean (95 % t interval)")
    for heading in ("architecture", "plain Keras script", "this project", "intervals overlap"):
        table.add_column(heading)
    words = {True: "yes", False: "no", None: "unknown: no interval"}
    for name, figures in report["test_accuracy"].items():
        table.add_row(name, _mean(figures["script"]), _mean(figures["project"]), words[figures["overlap"]])
    console.print(table)
    seconds = report["wall_seconds"]
    console.print(f"wall time: script {seconds['script']:.1f} s, this project {seconds['project']:.1f} s")
    console.print(f"this project is {report['ratio']:.2f} times as fast", style="bold")
    console.print(f"{report['epochs']} epochs, {report['repeats']} repeats; {report['cores']} cores of {report['cpu']}")
    if report["load_average_before"] > 0.5:
        console.print(
            f"The machine had other work before (load {report['load_average_before']:.1f}): do not trust times."
        )


def _mean(side: dict[str, Any]) -> str:
    interval = side["interval"]
    bounds = f"{100 * interval['lower']:.2f} to {100 * interval['upper']:.2f}" if interval else "no interval"
    return f"{100 * side['mean']:.2f} ({bounds})"


if __name__ == "__main__":
    sys.exit(main())
