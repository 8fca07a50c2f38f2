"""What a study would do, without doing it: the list of studies, and what of one is missing. No Ray here."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from fmnist import UserError
from fmnist.declare import RunSpec, Search, Study, Tuning, number
from fmnist.studies import find_study, study_names
from fmnist.sweep.display import readable_seconds, say
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations
from fmnist.sweep.proposals import propose_grid
from fmnist.sweep.resources import Cluster, resources_for
from fmnist.sweep.search_job import SearchJob, opened_search
from fmnist.sweep.study_job import opened


def list_studies(console: Console) -> None:
    """Print the studies and searches there are: question, runs, placement and architectures of each.

    One that cannot be used, as with more `train_images` than the data set has, says why and hides no other.
    """
    for name in study_names():
        try:
            study = find_study(name)
            lines = [study.question, _facts(study)]
        except UserError as error:
            lines = [f"cannot be used: {error}"]
        console.print(Text(name, style="bold"))
        for line in lines:
            console.print(Padding(Text(line), (0, 0, 0, 2)))


def _facts(study: Study | Search | Tuning) -> str:
    if isinstance(study, Tuning):
        what = "defaults, best points and the way between them" if study.path else "defaults and best points"
        return f"{what} of search {study.search.name}, {study.repeats} repeats; {', '.join(study.architectures)}"
    if isinstance(study, Search):
        most = [study.most_points(track) for track in study.tracks]
        points = f"{sum(count or 0 for count in most)} points" if None not in most else "points until a budget is spent"
        strategies = ", ".join(strategy.name for strategy in study.strategies)
        facts = f"search: {points}, {study.repeats} repeats, {study.placement}; {strategies}"
        return f"{facts}; {', '.join(study.architectures)}"
    configurations = len(study.configurations)
    runs = f"{configurations * study.repeats} runs: {configurations} configurations, {study.repeats} repeats"
    architectures = ", ".join(dict.fromkeys(item.architecture for item in study.configurations))
    return f"{runs}, {study.placement}; {architectures}"


def preview_study(
    study: Study | Search | Tuning, options: StudyOptions, console: Console, gpu_hour_price: float | None = None
) -> None:
    """Print how many runs are wanted, present and missing, and how long the missing ones take on this machine.

    With a price, also the GPU-hours and what they cost. UserError for a price that is none.
    """
    if gpu_hour_price is not None:
        number("price per GPU-hour", gpu_hour_price, "[0, infinity)")
    this_machine = Cluster(nodes=[{"CPU": float(os.cpu_count() or 1)}], can_grow=False)
    if isinstance(study, Search):
        with opened_search(study, options, console, propose_grid, nullcontext(this_machine)) as search:
            store, placement = search.store, study.placement
            lines, missing = _search_lines(search, gpu_hour_price)
    else:
        with opened(study, options, console, nullcontext(this_machine)) as job:
            plan, store, placement = job.plan(job.study), job.store, job.study.placement
        missing = plan.missing
        counts = f"{plan.wanted} runs wanted, {len(plan.present)} present in {store.uri}, {len(missing)} missing"
        lines = [f"Study {study.name}: {counts}"]
    if missing:
        resources = resources_for(placement, this_machine.nodes, replace(options, node_resource=None))
        lines += _time(missing, Durations.of(store), resources.concurrency(this_machine.nodes))
        if gpu_hour_price is not None:
            lines.append(_cost(missing, Durations.of(store, "GPU"), options.gpus_per_run or 1.0, gpu_hour_price))
    for line in lines:
        say(console, line)


def _search_lines(job: SearchJob, price: float | None) -> tuple[list[str], list[RunSpec]]:
    """Say what is wanted, and list the runs that may be missing: for a point that is not proposed yet one like it."""
    progress, search = job.progress, job.progress.search
    missing, present = progress.start(), len(progress.present())
    if search.budget.core_seconds is not None:
        tracks, hours = len(progress.tracks), len(progress.tracks) * search.budget.core_seconds / 3600
        budget = (
            f"{tracks} tracks with {search.budget.core_seconds:g} core-seconds each, at most {hours:.2f} core-hours"
        )
        cost = "" if price is None else f": {hours * price:.2f} in all, on GPUs, whose hours count as core-hours"
        return [f"Search {search.name}: {budget}{cost}; {present} runs present in {job.store.uri}"], []
    unknown: list[RunSpec] = []
    for way in progress.tracks:
        further = (search.most_points(way.track) or 0) - len(way.points)
        unknown += [progress.stand_in(way)] * (max(0, further) * search.repeats)
    points = sum(len(way.points) for way in progress.tracks) + len(unknown) // search.repeats
    runs = present + len(missing) + len(unknown)
    at_most = "at most " if unknown or any(progress.learns(way) for way in progress.tracks) else ""
    counts = f"{points} points, {runs} runs wanted, {present} present in {job.store.uri}"
    return [f"Search {search.name}: {at_most}{counts}, {at_most}{runs - present} missing"], missing + unknown


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
