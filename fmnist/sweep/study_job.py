"""From a study to its rows and its report: what `jobs/study.py` does, in order. Ray and the report load when needed."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console

from fmnist import UserError
from fmnist.data import Dataset, load_data
from fmnist.declare import METRICS, RunSpec, Study
from fmnist.store import Store
from fmnist.sweep.claims import key_of
from fmnist.sweep.display import Display, SweepState
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.plan import Durations, Plan, make_plan
from fmnist.sweep.resources import Cluster, Share, share_of
from fmnist.sweep.structures import structures_of

if TYPE_CHECKING:
    from fmnist.compare import Design

COMPACTED_FROM = 1000  # files of rows: from there on reading them one by one takes longer than merging them


@dataclass(frozen=True, kw_only=True)
class StudyJob:
    """One study on one store, while a Ray is connected."""

    study: Study
    options: StudyOptions
    console: Console
    store: Store
    data: Dataset
    cluster: Cluster
    structures: Mapping[str, str]  # label -> fingerprint of the model's structure

    def runs_of(self, study: Study) -> list[RunSpec]:
        """List the runs of this study, or of a part of it."""
        return study.runs(self.structures, self.data.fingerprint)

    def compute(self, study: Study) -> int:
        """Compute what is missing of this study, or of a part of it; returns the number of runs that only failed."""
        plan = make_plan(self.runs_of(study), self.store.present(), self.options.retry_failed)
        failed = f", {plan.failed} of them failed: --retry-failed computes those again" if plan.failed else ""
        if not plan.missing:
            say(self.console, f"Nothing to compute: all {plan.wanted} runs are in {self.store.uri}{failed}")
            return plan.failed
        share, state = self._share_and_state(study, plan)
        say(
            self.console,
            f"{len(plan.missing)} of {plan.wanted} runs to compute, {state.slots} at a time with {share.describe()}"
            f" each; rows go to {self.store.uri}",
        )
        if failed:
            say(self.console, f"{len(plan.present)} are there{failed}")
        if state.asks_for:
            say(self.console, f"No node that is up has {state.asks_for}: the runs wait for one, as long as it takes")
        try:
            self._sweep(plan.missing, share, state)
        finally:
            if state.done:
                say(self.console, state.summary())
        return plan.failed + state.failed

    def write_manifest(self, repeats: int, design: Design | None = None) -> None:
        """Tell the store what the study is, so that its rows can be found without its models.

        `design` is that by which repeats are added; who changes it after the first analysis is told what that means.
        """
        described = None if design is None else {"metric": design.metric, "looks": list(design.analyses)}
        before = (self.store.read_manifest(self.study.name) or {}).get("sequential_design")
        if before and before != described:
            say(
                self.console,
                f"Until now repeats were added by a design with {len(before['analyses'])} analyses, the last at"
                f" {before['analyses'][-1]} repeats ({METRICS[before['metric']].label}), from now on by another: its"
                " verdicts hold at their level only if it was fixed before any of these results was seen",
            )
        names = ("configuration_id", "label", "architecture")
        as_declared = self.runs_of(replace(self.study, repeats=1, shuffle_within_repeat=False))
        self.store.write_manifest(
            {
                "name": self.study.name,
                "question": self.study.question,
                "primary_metric": self.study.primary_metric,
                "margins": dict(self.study.margins),
                "repeats": repeats,
                "placement": self.study.placement,
                "sequential_design": described,
                "configurations": [{name: run.columns()[name] for name in names} for run in as_declared],
            }
        )

    def _share_and_state(self, study: Study, plan: Plan) -> tuple[Share, SweepState]:
        options, nodes = self.options, self.cluster.nodes
        share = share_of(study.placement, nodes, options.cpus_per_run, options.gpus_per_run, options.node_resource)
        slots = share.slots(nodes)
        state = SweepState(
            title=f"study {study.name}",
            present=len(plan.present),
            left={run.run_id: run for run in plan.missing},
            durations=Durations.of(self.store),
            slots=max(1, slots),
            asks_for="" if slots else self._awaited(share),
        )
        return share, state

    def _sweep(self, missing: list[RunSpec], share: Share, state: SweepState) -> None:
        from fmnist.sweep.tracking import tracking_callbacks
        from fmnist.sweep.tuner import sweep

        callbacks = tracking_callbacks(self.study.name, self.options)
        keep_order = self.study.shuffle_within_repeat
        with Display(state, self.console) as display:
            sweep(
                missing, self.data, self.options, share, state,
                keep_order=keep_order, callbacks=callbacks, say=display.say, tick=display.tick,
            )  # fmt: skip

    def _awaited(self, share: Share) -> str:
        """Say what no node has; UserError if none ever will."""
        if self.cluster.can_grow:
            return share.describe()
        has = " and ".join(f"{self.cluster.nodes[0].get(name, 0.0):g} {name}" for name in share.needs)
        raise UserError(
            f"resources: a run asks for {share.describe()}, but this machine has {has}: ask for less with"
            " --cpus-per-run and --gpus-per-run, or join a Ray that has it with --address"
        )


@contextmanager
def opened(study: Study, options: StudyOptions, console: Console) -> Iterator[StudyJob]:
    """Load the data, connect to Ray and find the models' structures, as far as possible at the same time."""
    with structures_of(study.configurations) as structures:
        data = load_data(options.data)
        store = Store(options.results)
        from fmnist.sweep.connection import connection

        with connection(options.address) as cluster, stopping_by_signals():
            yield StudyJob(
                study=study, options=options, console=console, store=store, data=data, cluster=cluster,
                structures=structures.result(),
            )  # fmt: skip


def run_study(study: Study, options: StudyOptions, console: Console) -> int:
    """Compute what is missing of `study` and report on it; returns the number of runs that have no row in the results:
    given up, or waiting on this machine because the results do not answer.
    """
    with opened(study, options, console) as job:
        job.write_manifest(study.repeats)
        given_up = job.compute(study)
    return given_up + report(job)


def report(job: StudyJob) -> int:
    """Write the report on the study and print its table; returns how many files wait to be sent, told last."""
    try:
        if not job.store.flush() and job.store.file_count() >= COMPACTED_FROM:
            job.store.compact()
        options, folder = job.options, job.options.report
        if folder is not None:
            from fmnist.report import build_report, print_results

            print_results(build_report(options.results, [job.study.name], folder, options.data), job.console)
    finally:
        waiting = job.store.flush()
        if waiting:
            names = {run.run_id: run.name for run in job.runs_of(job.study)}
            listed = ", ".join(names.get(key_of(path)[0], path) for path in waiting)
            place = job.store.unsent.uri
            say(job.console, f"{len(waiting)} files wait in {place}, the same command sends them: {listed}")
    return len(waiting)


def say(console: Console, line: str) -> None:
    """Print a line as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stopping_by_signals() -> Iterator[None]:
    """Let a SIGTERM, as a job's stop sends it, end the block as Ctrl-C does. After ray.init, which sets its own."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
