"""Images per second of a training epoch: this project's engine, plain Keras `fit` and PyTorch, one thread each.

    python benchmarks/throughput.py --json throughput.json

Each contender trains the same architecture with the same batch size, optimizer, initialisation, dropout and images
(the real ones, resident in memory) in a process of its own that is held to one core; augmentation is left out for all.
All keep a running loss and accuracy. Keras runs twice: on TensorFlow as it comes (`keras_default`), and with oneDNN
turned on (`keras`), which is off by default on some CPUs. Compilation and warm-up are not timed. Needs the extra
`bench`, for PyTorch.
Takes about 20 minutes as it stands; `--architectures`, `--batch-sizes`, `--rounds` and `--seconds` make it shorter.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rounds import (
    CONTENDERS,
    Case,
    Contender,
    ContenderError,
    Segment,
    allowed_cores,
    measure,
    ratios,
    summarise,
)

from fmnist.declare.architectures import find_architecture
from fmnist.declare.hyperparameters import PRECISIONS
from fmnist.studies.comparison import ARCHITECTURES
from fmnist.train.measurement import cpu_model, provenance

EPOCH_IMAGES = 55_000  # of Fashion-MNIST's training images, without a run's validation images
SHARED_CORE = 0.9  # below this share of its core's time, a contender was disturbed
FIRST = "engine"  # what the others are compared with

Result = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print and write; a user's mistake is one line and exit code 2."""
    options = _parse(arguments)
    try:
        _check(options)
        report = run(options)
        if options.json:
            options.json.write_text(json.dumps(report, indent=2) + "\n")
    except (OSError, ValueError) as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 2
    except ContenderError as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Time a training epoch of this project's engine, plain Keras fit (on TensorFlow as it comes, and"
        " with oneDNN turned on) and PyTorch, one thread each.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--architectures", nargs="+", default=list(ARCHITECTURES), metavar="NAME", help="which to measure")
    add("--batch-sizes", nargs="+", default=["own", "128"], metavar="N", help="numbers, or own: the architecture's own")
    add("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS), help="who takes part")
    add("--rounds", type=int, default=7, help="how often each contender has its turn")
    add("--seconds", type=float, default=3.0, help="aimed length of one turn; never more than an epoch")
    add("--precision", default="float32", choices=PRECISIONS, help="precision of the engine")
    add(
        "--reference-precision",
        choices=PRECISIONS[:-1],
        help="of Keras and PyTorch; None: the engine's",
    )
    add("--clock", default="wall", choices=("wall", "processor"), help="processor: for a machine with other work")
    # the highest: the lowest often serves interrupts
    add("--core", type=int, default=max(allowed_cores(), default=None), help="core to which every contender is held")
    add("--json", type=Path, metavar="PATH", help="file for all figures")
    return parser.parse_args(arguments)


def _check(options: argparse.Namespace) -> None:
    for name in options.architectures:
        find_architecture(name)
    for size in options.batch_sizes:
        if size != "own" and not (size.isdecimal() and 1 <= int(size) <= EPOCH_IMAGES):
            raise ValueError(f"--batch-sizes: got {size!r}, expected own or a number from 1 to {EPOCH_IMAGES}")
    for name in ("rounds", "seconds"):
        if not getattr(options, name) > 0:
            raise ValueError(f"--{name}: got {getattr(options, name)}, expected more than 0")
    if "pytorch" in options.contenders and importlib.util.find_spec("torch") is None:
        raise ValueError("PyTorch is missing: pip install .[bench], or leave it out with --contenders engine keras")
    if options.core is not None and options.core not in allowed_cores():
        raise ValueError(f"--core: got {options.core}, expected one of {allowed_cores()}")
    if options.json and not options.json.parent.is_dir():
        raise ValueError(f"--json: there is no folder {options.json.parent}; make it first")


def run(options: argparse.Namespace) -> Result:
    """Measure every case, print a line of the table after the other, and return all figures."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    results, versions = [], {"python": provenance()["python_version"]}
    for architecture in options.architectures:
        for batch_size in batch_sizes_of(architecture, options.batch_sizes):
            console.print(f"measuring {architecture}, batch {batch_size}", style="dim")
            results.append(_measure_case(architecture, batch_size, options, versions))
    report = {
        "cpu": cpu_model(),
        "commit": provenance()["commit"],
        "dirty": provenance()["dirty"],
        "versions": versions,
        "settings": {name: value for name, value in vars(options).items() if name != "json"},
        "cases": results,
    }
    _print_report(console, report)
    return report


def batch_sizes_of(architecture: str, wanted: Sequence[str]) -> list[int]:
    """Turn `own` into the architecture's batch size, and leave out what then stands there twice."""
    own = find_architecture(architecture).defaults.batch_size
    return list(dict.fromkeys(own if size == "own" else int(size) for size in wanted))


def _precision_of(contender: str, options: argparse.Namespace) -> str:
    if contender == FIRST:
        return str(options.precision)
    # auto is the engine's own choice; what it is compared with then computes in float32
    return options.reference_precision or ("float32" if options.precision == "auto" else options.precision)


def _measure_case(architecture: str, batch_size: int, options: argparse.Namespace, versions: dict[str, str]) -> Result:
    with ExitStack() as stack:
        contenders = []
        for name in dict.fromkeys(options.contenders):
            case = Case(architecture=architecture, batch_size=batch_size, precision=_precision_of(name, options))
            contenders.append(stack.enter_context(Contender(name, case, options.core)))
            versions |= contenders[-1].versions
        segments = measure(contenders, batch_size, EPOCH_IMAGES, options.rounds, options.seconds)
    return {
        "architecture": architecture,
        "batch_size": batch_size,
        "precision": {name: _precision_of(name, options) for name in segments},
        **figures(segments, options.clock),
    }


def figures(segments: Mapping[str, Sequence[Segment]], clock: str) -> Result:
    """Summarise one case: images per second of each contender, ratios of the engine to the others, shares of the core.

    Every figure has its median, lowest and highest round; the single rounds are kept.
    """
    rates = {name: [segment.images_per_second(clock) for segment in turns] for name, turns in segments.items()}
    shares = {name: [turn.processor_seconds / turn.seconds for turn in turns] for name, turns in segments.items()}
    others = [name for name in rates if name != FIRST and FIRST in rates]
    return {
        "images_per_second": {name: summarise(values) for name, values in rates.items()},
        "ratio_of_engine_to": {name: summarise(ratios(rates[FIRST], rates[name])) for name in others},
        "share_of_core": {name: summarise(values) for name, values in shares.items()},
    }


def _print_report(console: Console, report: Result) -> None:
    settings = report["settings"]
    table = Table(title="Training: images per second, median of the rounds (lowest to highest)")
    table.add_column("architecture")
    table.add_column("batch", justify="right")
    for name in dict.fromkeys(settings["contenders"]):
        table.add_column(name, justify="right")
    others = list(report["cases"][0]["ratio_of_engine_to"])
    for name in others:
        table.add_column(f"engine / {name}", justify="right")
    for case in report["cases"]:
        rates = (_spread(case["images_per_second"][name], ",.0f") for name in case["images_per_second"])
        compared = (_spread(case["ratio_of_engine_to"][name], ".2f") for name in others)
        table.add_row(case["architecture"], str(case["batch_size"]), *rates, *compared)
    console.print(table)
    precision = report["cases"][0]["precision"]
    console.print(f"{report['cpu']}, one thread each, core {settings['core']}; clock: {settings['clock']}")
    console.print(f"{settings['rounds']} rounds of about {settings['seconds']} s; augmentation left out")
    console.print("precision: " + ", ".join(f"{name} {value}" for name, value in precision.items()))
    console.print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    _warn_of_neighbours(console, report["cases"])


def _spread(figure: Mapping[str, Any], form: str) -> str:
    return f"{figure['median']:{form}} ({figure['minimum']:{form}} to {figure['maximum']:{form}})"


def _warn_of_neighbours(console: Console, cases: Sequence[Result]) -> None:
    lowest = min(share["minimum"] for case in cases for share in case["share_of_core"].values())
    if lowest < SHARED_CORE:
        console.print(
            f"Other work had the core: a contender had only {lowest:.0%} of its time. Stop it, choose another --core,"
            " or compare by --clock processor.",
            style="bold",
        )


if __name__ == "__main__":
    sys.exit(main())
