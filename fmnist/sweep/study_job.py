"""A study from its declaration to its rows and its report, in order. Ray and the report load when they are needed."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console

from fmnist import UserError
from fmnist.data import Dataset, load_data
from fmnist.declare import METRICS, MOST_REPEATS, Placement, RunSpec, Search, Study, Tuning, whole
from fmnist.store import Store
from fmnist.sweep.display import Display, SweepState, say
from fmnist.sweep.in_flight import key_of
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations, Plan, make_plan
from fmnist.sweep.resources import Cluster, RunResources, resources_for
from fmnist.sweep.structures import structure_process

if TYPE_CHECKING:
    from fmnist.compare import Design
    from fmnist.sweep.tuner import Follow

COMPACTED_FROM = 1000  # files of rows: from there on reading them one by one takes longer than merging them


def run_study(study: Study | Tuning, options: StudyOptions, console: Console) -> int:
    """Compute what is missing of `study` and report on it.

    Returns the number of runs that have no row in the results: given up, or waiting on this machine because the results
    do not answer.
    """
    with opened(study, options, console) as job:
        job.write_manifest(job.study.repeats)
        given_up = job.compute(job.study)
    return given_up + job.report(job.names)


def run_until_decided(
    study: Study | Search | Tuning, options: StudyOptions, console: Console, metric: str, cap: int
) -> int:
    """Compute repeats up to the next interim analysis and decide, until no pair is open or there are `cap` repeats.

    The analyses follow from `cap` alone, so that the same command, stopped and started again, makes the same ones. From
    the first on only labels of open pairs get more repeats. Without a `metric` it is the study's primary one. Returns
    as `run_study`. UserError for a cap below 3, and for what is no study with repeats from 0 on.
    """
    from fmnist.compare import Design, next_analysis, open_labels, planned_analyses
    from fmnist.report import select_studies

    if not isinstance(study, Study) or study.first_repeat:
        raise UserError(f"--until-decided: got it with {study.name}, whose repeats are fixed; use --repeats")
    metric = metric or study.primary_metric
    design = Design(metric=metric, analyses=planned_analyses(whole("max repeats", cap, 3, MOST_REPEATS)))
    repeats, left, given_up = design.analyses[0], study, 0
    with opened(study, options, console) as job:
        job.write_manifest(repeats, design)
        while True:
            given_up += job.compute(replace(left, repeats=repeats))
            decisions = select_studies(job.store, [study.name])[0].decisions(design)
            pairs = [f"{item.a} and {item.b}" for item in decisions if item.verdict == "inconclusive"]
            decided = f"{len(decisions) - len(pairs)} of {len(decisions)} pairs decided"
            job.say(f"{repeats} repeats, {METRICS[metric].label}: {decided}")
            if pairs:
                job.say(f"Undecided: {', '.join(pairs)}")
            following, labels = next_analysis(decisions, design.analyses), open_labels(decisions)
            if following is None or following <= repeats:  # decided, at the cap, or short of runs that failed
                break
            repeats = following
            left = replace(study, configurations=tuple(item for item in study.configurations if item.label in labels))
    return given_up + job.report(job.names)


@dataclass(frozen=True)
class Job:
    """What is computed on one store, while a Ray is connected: a study, or a search."""

    kind: ClassVar[str] = "study"

    name: str
    options: StudyOptions
    console: Console
    store: Store
    data: Dataset
    cluster: Cluster

    def sweep(
        self,
        missing: list[RunSpec],
        present: int,
        failed: int,
        placement: Placement,
        *,
        keep_order: bool = False,
        follow: "Follow | None" = None,
    ) -> int:
        """Compute what is missing; returns the number of runs that only failed.

        `present` runs are there, `failed` of them without more than that they failed; `follow` as tuner.sweep takes it.
        """
        told = f", {failed} of them failed: --retry-failed computes those again" if failed else ""
        if not missing:
            self.say(f"Nothing to compute: all {present} runs are in {self.store.uri}{told}")
            return failed
        resources = resources_for(placement, self.cluster.nodes, self.options)
        state = SweepState(
            title=f"{self.kind} {self.name}",
            present=present,
            left={run.run_id: run for run in missing},
            durations=Durations.of(self.store),
            concurrency=max(1, resources.concurrency(self.cluster.nodes)),
            asks_for=self.cluster.awaited(resources),
        )
        given = f"{state.concurrency} at a time with {resources.describe()} each"
        self.say(f"{len(missing)} of {state.wanted} runs to compute, {given}; rows go to {self.store.uri}")
        if told:
            self.say(f"{present} are there{told}")
        if state.asks_for:
            self.say(f"No node that is up has {state.asks_for}: the runs wait for one, as long as it takes")
        try:
            self._sweep(missing, resources, state, keep_order=keep_order, **({"follow": follow} if follow else {}))
        finally:
            if state.done:
                self.say(state.summary())
        return failed + state.failed

    def _sweep(self, missing: list[RunSpec], resources: RunResources, state: SweepState, **how: Any) -> None:
        from fmnist.sweep.tracking import tracking_callbacks
        from fmnist.sweep.tuner import sweep

        callbacks = tracking_callbacks(self.name, self.options)
        with Display(state, self.console) as display:
            sweep(missing, self.data, self.options, resources, display, callbacks=callbacks, **how)

    def report(self, names: Callable[[], Mapping[str, str]]) -> int:
        """Write the report and print its table; returns how many files wait to be sent, told last.

        `names` gives names of runs by run_id.
        """
        try:
            if not self.store.flush() and self.store.file_count() >= COMPACTED_FROM:
                self.store.compact()
            if self.options.report is not None:
                from fmnist.report import build_report, print_results

                folder, data = self.options.report, self.options.data
                print_results(build_report(self.options.results, [self.name], folder, data), self.console)
        finally:
            waiting = self.store.flush()
            if waiting:
                named = names()
                listed = ", ".join(named.get(key_of(path)[0], path) for path in waiting)
                place = self.store.unsent.uri
                self.say(f"{len(waiting)} files wait in {place}, the same command sends them: {listed}")
        return len(waiting)

    def say(self, line: str) -> None:
        """Print a line."""
        say(self.console, line)


@dataclass(frozen=True)
class StudyJob(Job):
    """One study on one store, while a Ray is connected; its methods take the study or a part of it."""

    study: Study
    structures: Mapping[str, str]  # label -> fingerprint of the model's structure

    def runs(self, study: Study) -> list[RunSpec]:
        """List the wanted runs."""
        return study.runs(self.structures, self.data.fingerprint)

    def plan(self, study: Study) -> Plan:
        """Tell which runs are in the store, and which are missing."""
        return make_plan(self.runs(study), self.store.present(), self.options.retry_failed)

    def compute(self, study: Study) -> int:
        """Compute what is missing; returns the number of runs that only failed."""
        plan, keep_order = self.plan(study), self.study.shuffle_within_repeat
        return self.sweep(plan.missing, len(plan.present), plan.failed, study.placement, keep_order=keep_order)

    def names(self) -> dict[str, str]:
        """Names of the study's runs by run_id."""
        return {run.run_id: run.name for run in self.runs(self.study)}

    def write_manifest(self, repeats: int, design: "Design | None" = None) -> None:
        """Tell the store what the study is, so that its rows can be found without its models.

        `design` is that by which repeats are added; who changes it after the first analysis is told what that means.
        """
        described = None if design is None else {"metric": design.metric, "looks": list(design.analyses)}
        before = (self.store.read_manifest(self.study.name) or {}).get("sequential_design")
        if before and before != described:
            last, label = before["looks"][-1], METRICS[before["metric"]].label
            self.say(
                f"Until now repeats were added by a design with {len(before['looks'])} analyses, the last at {last}"
                f" repeats ({label}), from now on by another: its verdicts hold at their level only if it was fixed"
                " before any of these results was seen"
            )
        names = ("configuration_id", "label", "architecture")
        runs = self.runs(replace(self.study, repeats=1, shuffle_within_repeat=False))
        self.store.write_manifest(
            {
                "name": self.study.name,
                "question": self.study.question,
                "primary_metric": self.study.primary_metric,
                "margins": dict(self.study.margins),
                "repeats": repeats,
                "first_repeat": self.study.first_repeat,
                "tuning": dict(self.study.tuning),
                "placement": self.study.placement,
                "sequential_design": described,
                "configurations": [{name: run.columns()[name] for name in names} for run in runs],
            }
        )


@contextmanager
def opened(
    declared: Study | Tuning,
    options: StudyOptions,
    console: Console,
    cluster: AbstractContextManager[Cluster] | None = None,
) -> Iterator[StudyJob]:
    """Load the data, connect to Ray and find the models' structures, as far as possible at the same time.

    `cluster` is taken instead of a Ray where nothing is to be computed.
    """
    first = declared.search.examples if isinstance(declared, Tuning) else declared.configurations
    with structure_process(first) as structures, workplace(options, cluster) as (store, data, connected):
        study = declared
        if isinstance(study, Tuning):
            from fmnist.sweep.tunings import tuned_study

            study = tuned_study(study, store, structures, data.fingerprint)
        of_labels = structures.by_label(study.configurations)
        yield StudyJob(study.name, options, console, store, data, connected, study, of_labels)


@contextmanager
def workplace(
    options: StudyOptions, cluster: AbstractContextManager[Cluster] | None
) -> Iterator[tuple[Store, Dataset, Cluster]]:
    """Open the store, load the data and connect to a Ray, or take `cluster` for it."""
    data, store = load_data(options.data), Store(options.results)
    if cluster is None:
        from fmnist.sweep.connection import connection

        cluster = connection(options.address)
    with cluster as connected, _stopping_by_signals():
        yield store, data, connected


@contextmanager
def _stopping_by_signals() -> Iterator[None]:
    """Let a SIGTERM, as a job's stop sends it, end the block as Ctrl-C does. After ray.init, which sets its own."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
