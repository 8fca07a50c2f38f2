"""Run a study or a search, then report on it: python jobs/study.py NAME [--repeats N] [--results URI] [--dry-run] ...

Only runs whose rows are missing are computed: stopped at any moment, the same command resumes.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from fmnist import UserError
from fmnist.declare import METRICS, PLACEMENTS, Search, Study, Tuning
from fmnist.studies import find_study
from fmnist.sweep import StudyOptions, list_studies, preview_study, run_search, run_study, run_until_decided

INTERRUPTED = 130  # as a shell reports Ctrl-C
MAX_REPEATS = 30  # of --until-decided


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and call; 2 if the user has to change something, 1 if runs failed for good, 130 if stopped."""
    asked = parser().parse_args(arguments)
    console = Console()
    try:
        return run(asked, console)
    except KeyboardInterrupt:
        console.print("Stopped. Finished runs are kept: the same command resumes from here.", highlight=False)
        return INTERRUPTED
    except (UserError, OSError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 2


def run(asked: argparse.Namespace, console: Console) -> int:
    """Do what was asked for; returns the exit code."""
    if asked.list:
        list_studies(console)
        return 0
    if asked.study is None:
        raise UserError("NAME: got none; --list shows the studies there are")
    study, options = wanted_study(asked), wanted_options(asked)
    refuse_unread(asked)
    if asked.dry_run:
        preview_study(study, options, console, asked.price_per_gpu_hour)
        return 0
    if asked.until_decided is not None:
        cap = asked.max_repeats or MAX_REPEATS
        return int(run_until_decided(study, options, console, asked.until_decided, cap) > 0)
    if isinstance(study, Search):
        return int(run_search(study, options, console) > 0)
    return int(run_study(study, options, console) > 0)


def refuse_unread(asked: argparse.Namespace) -> None:
    """UserError for options of which one would leave the other unread."""
    until_decided = asked.until_decided is not None
    for unread, words in (
        (asked.repeats and until_decided, "--repeats: got it with --until-decided, which has --max-repeats"),
        (asked.max_repeats and not until_decided, "--max-repeats: got it without --until-decided; there is --repeats"),
        (asked.dry_run and until_decided, "--until-decided: got it with --dry-run, which cannot know the repeats"),
        (asked.price_per_gpu_hour is not None and not asked.dry_run, "--price-per-gpu-hour: got it without --dry-run"),
        (asked.report and asked.no_report, "--report: got it with --no-report; give one of them"),
    ):
        if unread:
            raise UserError(words)


def wanted_study(asked: argparse.Namespace) -> Study | Search | Tuning:
    """What is declared under that name, changed as the command line says."""
    study = find_study(asked.study)
    repeats, placement = asked.repeats or study.repeats, asked.placement or study.placement
    if isinstance(study, Tuning):
        return replace(study, repeats=repeats, placement=placement)
    return replace(study, repeats=repeats, placement=placement or "shared")


def wanted_options(asked: argparse.Namespace) -> StudyOptions:
    """How to run it."""
    given = {field.name: getattr(asked, field.name) for field in fields(StudyOptions) if field.name in asked}
    report = None if asked.no_report else asked.report or StudyOptions.report
    return StudyOptions(**{**given, "report": report})


def parser() -> argparse.ArgumentParser:
    """Describe the command line; the defaults are StudyOptions' and the study's own."""
    default = StudyOptions
    made = argparse.ArgumentParser(
        description="Compute the runs of a study that are missing, on Ray, then report on it.",
        epilog="Stopped at any moment, the same command resumes. A study is a file in fmnist/studies, or one of yours.",
    )
    add = made.add_argument
    add("study", nargs="?", metavar="NAME", help="a study's name (--list shows them), or the path of a .py file")
    add("--list", action="store_true", help="show the studies there are, and end")
    add("--dry-run", action="store_true", help="say what is wanted, present and missing, and how long it takes; end")
    add("--price-per-gpu-hour", type=float, metavar="PRICE", help="let --dry-run say what the GPUs cost")
    add("--repeats", type=positive, metavar="N", help="repeats of each configuration (default: the study's own)")
    add("--until-decided", nargs="?", const="", choices=["", *METRICS], metavar="METRIC",
        help="add repeats until every pair is decided on METRIC (default: the study's primary metric)")  # fmt: skip
    add("--max-repeats", type=positive, metavar="N",
        help=f"where --until-decided ends at the latest (default: {MAX_REPEATS})")  # fmt: skip
    add("--results", default=default.results, metavar="URI", help="folder or URI of the rows (default: %(default)s)")
    add("--data", type=Path, metavar="DIR", help="folder of Fashion-MNIST (default: looked for, or fetched)")
    add("--report", type=Path, metavar="DIR", help=f"where it goes (default: {default.report})")
    add("--no-report", action="store_true", help="compute only")
    add("--address", metavar="ADDRESS",
        help="Ray to join: auto, HOST:PORT, or local for one of our own"
        " (default: RAY_ADDRESS, a Ray started here, else one of our own)")  # fmt: skip
    add(
        "--placement",
        choices=PLACEMENTS,
        help="shared packs runs, exclusive gives each a machine (default: the study's)",
    )
    add("--cpus-per-run", type=float, metavar="F",
        help="CPUs of a run, its threads (default: 1, all of a node if exclusive and without GPU)")  # fmt: skip
    add("--gpus-per-run", type=float, metavar="F",
        help="GPU of a run: 0, 1, or 0.5, 0.25 ... (default: 1 where there are any, else 0)")  # fmt: skip
    add("--max-failures", type=int, default=default.max_failures, metavar="N",
        help="times that a failed run is tried again (default: %(default)s)")  # fmt: skip
    add("--retry-failed", action="store_true", help="compute runs again that were given up before")
    add("--checkpoint-seconds", type=float, default=default.checkpoint_seconds, metavar="S",
        help="least time between two checkpoints of a shared run (default: %(default)s)")  # fmt: skip
    add("--node-resource", metavar="NAME",
        help="custom resource of Ray that each run takes one of: chooses the kind of node")  # fmt: skip
    add("--save-models", action="store_true", help="also keep each run's final model, below models/ of the results")
    add("--tensorboard", type=Path, metavar="DIR", help="write each run's curves there, for TensorBoard")
    add("--mlflow", metavar="URI", help="log runs to MLflow, such as sqlite:///runs.db (needs the extra mlflow)")
    add("--wandb", metavar="PROJECT", help="log runs to Weights & Biases (needs the extra wandb)")
    return made


def positive(text: str) -> int:
    """Read a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an ASCII terminal gets a ? for what it lacks
    sys.exit(main())
