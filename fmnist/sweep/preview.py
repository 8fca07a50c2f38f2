"""What a study would do, without doing it: the list of studies, and what of one is missing. No Ray here."""

from __future__ import annotations

import os
from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from fmnist import UserError
from fmnist.data import load_data
from fmnist.declare import RunSpec, Study
from fmnist.store import Store
from fmnist.studies import find_study, study_names
from fmnist.sweep.display import readable_seconds
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations, make_plan
from fmnist.sweep.resources import share_of
from fmnist.sweep.structures import structures_of
from fmnist.sweep.study_job import say


def list_studies(console: Console) -> None:
    """Print the studies there are: question, runs, placement and architectures of each."""
    for name in study_names():
        study = find_study(name)
        configurations = len(study.configurations)
        architectures = ", ".join(dict.fromkeys(configuration.architecture for configuration in study.configurations))
        console.print(Text(name, style="bold"))
        for line in (
            study.question,
            f"{configurations * study.repeats} runs: {configurations} configurations, {study.repeats} repeats,"
            f" {study.placement}; {architectures}",
        ):
            console.print(Padding(Text(line), (0, 0, 0, 2)))


def preview_study(
    study: Study, options: StudyOptions, console: Console, price_per_gpu_hour: float | None = None
) -> None:
    """Print how many runs are wanted, present and missing, and how long the missing ones take on this machine.

    With a price, also the GPU-hours and what they cost. ValueError for a price below 0.
    """
    if price_per_gpu_hour is not None and not price_per_gpu_hour >= 0:
        raise UserError(f"price per GPU-hour: got {price_per_gpu_hour:g}, expected 0 or more")
    with structures_of(study.configurations) as structures:
        data, store = load_data(options.data), Store(options.results)
        runs = study.runs(structures.result(), data.fingerprint)
    plan = make_plan(runs, store.present(), options.retry_failed)
    say(
        console,
        f"Study {study.name}: {plan.wanted} runs wanted, {len(plan.present)} present in {store.uri},"
        f" {len(plan.missing)} missing",
    )
    for line in _time(plan.missing, Durations.of(store), study, options) if plan.missing else ():
        say(console, line)
    if plan.missing and price_per_gpu_hour is not None:
        say(console, _cost(plan.missing, Durations.of(store, "GPU"), options.gpus_per_run or 1.0, price_per_gpu_hour))


def _time(missing: list[RunSpec], durations: Durations, study: Study, options: StudyOptions) -> Iterator[str]:
    seconds = durations.total((run, 1) for run in missing)
    if seconds is None:
        yield "How long they take is not known: no row of one of these architectures is there"
        return
    guessed = sum(durations.expected(run) is None for run in missing)
    yield (
        f"One after the other they take at most {readable_seconds(seconds)}"
        f"{f', {guessed} of them guessed from the others' if guessed else ''}, as long as the rows took that are"
        f" there ({', '.join(sorted(durations.devices)) or 'device unknown'})"
    )
    machine = [{"CPU": float(os.cpu_count() or 1)}]
    slots = share_of(study.placement, machine, options.cpus_per_run, options.gpus_per_run).slots(machine)
    if slots:
        yield f"On this machine, {slots} at a time: about {readable_seconds(seconds / slots)}"


def _cost(missing: list[RunSpec], durations: Durations, gpus: float, price: float) -> str:
    """Tell the GPU-hours and their price, by rows that were computed on a GPU: a CPU takes another time."""
    seconds = durations.total((run, 1) for run in missing)
    if seconds is None:
        return "What they cost is not known: no row of these architectures on a GPU is there; let one run finish"
    hours, devices = seconds / 3600 * gpus, ", ".join(sorted(durations.devices))
    return f"{hours:.2f} GPU-hours with {gpus:g} GPU a run: {hours * price:.2f} in all, by the rows on {devices}"
