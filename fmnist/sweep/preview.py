"""What a study would do, without doing it: the list of studies, and what of one is missing. No Ray here."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from fmnist.declare import RunSpec, Study, number
from fmnist.studies import find_study, study_names
from fmnist.sweep.display import readable_seconds, say
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations
from fmnist.sweep.resources import Cluster, resources_for
from fmnist.sweep.study_job import opened


def list_studies(console: Console) -> None:
    """Print the studies there are: question, runs, placement and architectures of each."""
    for name in study_names():
        study = find_study(name)
        configurations = len(study.configurations)
        runs = f"{configurations * study.repeats} runs: {configurations} configurations, {study.repeats} repeats"
        architectures = ", ".join(dict.fromkeys(item.architecture for item in study.configurations))
        console.print(Text(name, style="bold"))
        for line in (study.question, f"{runs}, {study.placement}; {architectures}"):
            console.print(Padding(Text(line), (0, 0, 0, 2)))


def preview_study(study: Study, options: StudyOptions, console: Console, gpu_hour_price: float | None = None) -> None:
    """Print how many runs are wanted, present and missing, and how long the missing ones take on this machine.

    With a price, also the GPU-hours and what they cost. UserError for a price that is none.
    """
    if gpu_hour_price is not None:
        number("price per GPU-hour", gpu_hour_price, "[0, infinity)")
    this_machine = Cluster(nodes=[{"CPU": float(os.cpu_count() or 1)}], can_grow=False)
    with opened(study, options, console, nullcontext(this_machine)) as job:
        plan, store = job.plan(study), job.store
    counts = f"{plan.wanted} runs wanted, {len(plan.present)} present in {store.uri}, {len(plan.missing)} missing"
    say(console, f"Study {study.name}: {counts}")
    if plan.missing:
        resources = resources_for(study.placement, this_machine.nodes, replace(options, node_resource=None))
        for line in _time(plan.missing, Durations.of(store), resources.concurrency(this_machine.nodes)):
            say(console, line)
        if gpu_hour_price is not None:
            on_gpus, gpus = Durations.of(store, "GPU"), options.gpus_per_run or 1.0
            say(console, _cost(plan.missing, on_gpus, gpus, gpu_hour_price))


def _time(missing: list[RunSpec], durations: Durations, at_once: int) -> Iterator[str]:
    seconds = durations.total(missing)
    if seconds is None:
        yield "How long they take is not known: no row of one of these architectures is there"
        return
    count = sum(durations.expected(run) is None for run in missing)
    guessed = f", {count} of them guessed from the others" if count else ""
    devices = ", ".join(sorted(durations.devices)) or "device unknown"
    yield (
        f"One after the other they take at most {readable_seconds(seconds)}{guessed}, as long as the rows took that"
        f" are there ({devices})"
    )
    if at_once:
        yield f"On this machine, {at_once} at a time: about {readable_seconds(seconds / at_once)}"


def _cost(missing: list[RunSpec], durations: Durations, gpus: float, price: float) -> str:
    """Tell the GPU-hours and their price, by rows that were computed on a GPU: a CPU takes another time."""
    seconds = durations.total(missing)
    if seconds is None:
        return "What they cost is not known: no row of these architectures on a GPU is there; let one run finish"
    hours, devices = seconds / 3600 * gpus, ", ".join(sorted(durations.devices))
    return f"{hours:.2f} GPU-hours with {gpus:g} GPU a run: {hours * price:.2f} in all, by the rows on {devices}"
