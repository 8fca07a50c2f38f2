"""From a study to its rows and its report: what `jobs/study.py` does, in order. Ray and the report load when needed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fmnist.data import Dataset, load_data
from fmnist.errors import UserError
from fmnist.results import Store
from fmnist.schema import METRICS
from fmnist.study import RunSpec, Study
from fmnist.sweeping.display import Display, SweepState
from fmnist.sweeping.placement import Cluster, Share, check_cpus, check_gpus, share_of
from fmnist.sweeping.plan import Durations, make_plan
from fmnist.sweeping.structures import structures_of

if TYPE_CHECKING:
    from fmnist.statistics.sequential import (
        Design,  # with the statistics, which a study of a fixed number of repeats can spare
    )

COMPACTED_FROM = 1000  # files of rows: from there on reading them one by one takes longer than merging them


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What a user can ask for besides the study itself. Defaults stand here alone."""

    results: str = "results"  # URI of the store
    data: Path | None = None  # folder of Fashion-MNIST; None: looked for
    address: str | None = None  # of a Ray; None: RAY_ADDRESS, `ray start`, or one of our own
    cpus_per_run: float | None = None
    gpus_per_run: float | None = None
    retry_failed: bool = False
    max_failures: int = 2
    checkpoint_seconds: float = 30.0
    report: Path | None = Path("report")
    node_resource: str | None = None  # a custom resource of Ray that each run takes one of: chooses the nodes
    save_models: bool = False  # also keep each run's final model, below models/ of the results
    tensorboard: Path | None = None  # folder of the curves
    mlflow: str | None = None  # tracking URI
    wandb: str | None = None  # project
    engine: str = "fmnist.training"  # module that trains a run

    def __post_init__(self) -> None:
        for name in ("results", "data", "report", "tensorboard"):
            object.__setattr__(self, name, _absolute(getattr(self, name)))  # slots of a Ray have a folder of their own
        check_cpus(self.cpus_per_run)
        check_gpus(self.gpus_per_run)
        if self.max_failures < 0:
            raise UserError(f"max failures: got {self.max_failures}, expected 0 or more")


def _absolute(place: str | Path | None) -> str | Path | None:
    """Make a path one from the root; a URI, and None, stay."""
    if place is None or "://" in str(place):
        return place
    return type(place)(Path(place).expanduser().absolute())


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
        options = self.options
        share = share_of(
            study.placement, self.cluster.nodes, options.cpus_per_run, options.gpus_per_run, options.node_resource
        )
        slots = share.slots(self.cluster.nodes)
        state = SweepState(
            title=f"study {study.name}",
            present=len(plan.present),
            left={run.run_id: run for run in plan.missing},
            durations=Durations.of(self.store),
            slots=max(1, slots),
            asks_for="" if slots else self._awaited(share),
        )
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

        `design` is that by which repeats are added; a user who changes it after the first look is told what that means.
        """
        described = None if design is None else {"metric": design.metric, "looks": list(design.looks)}
        before = (self.store.read_manifest(self.study.name) or {}).get("sequential_design")
        if before and before != described:
            say(
                self.console,
                f"Until now repeats were added by a design with {len(before['looks'])} looks, the last at"
                f" {before['looks'][-1]} repeats ({METRICS[before['metric']].label}), from now on by another: its"
                " verdicts hold at their level only if it was fixed before any of these results was seen",
            )
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
                "configurations": [
                    {
                        "configuration_id": run.configuration_id,
                        "label": run.configuration.label,
                        "architecture": run.configuration.architecture,
                    }
                    for run in as_declared
                ],
            }
        )

    def _sweep(self, missing: list[RunSpec], share: Share, state: SweepState) -> None:
        from fmnist.sweep import SweepOptions, sweep

        callbacks = self._callbacks()
        options = SweepOptions(
            results=self.options.results,
            share=share,
            max_failures=self.options.max_failures,
            checkpoint_seconds=self.options.checkpoint_seconds,
            keep_order=self.study.shuffle_within_repeat,
            engine=self.options.engine,
            save_models=self.options.save_models,
            callbacks=callbacks,
        )
        with Display(state, self.console) as display:
            sweep(missing, self.data, options, state, say=display.say, tick=display.tick)

    def _callbacks(self) -> Sequence[Any]:
        """Make Ray Tune's callbacks for the dashboards that were asked for; it takes a second to load them."""
        asked = self.options
        if not (asked.tensorboard or asked.mlflow or asked.wandb):
            return ()
        from fmnist.sweeping.tracking import tracking_callbacks

        return tracking_callbacks(
            self.study.name, asked.results, tensorboard=asked.tensorboard, mlflow=asked.mlflow, wandb=asked.wandb
        )

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
        from fmnist.sweep import connection

        with connection(options.address) as cluster, stopping_by_signals():
            yield StudyJob(
                study=study, options=options, console=console, store=store, data=data, cluster=cluster,
                structures=structures.result(),
            )  # fmt: skip


def run_study(study: Study, options: StudyOptions, console: Console) -> int:
    """Compute what is missing of `study` and report on it; returns the number of runs that were given up."""
    with opened(study, options, console) as job:
        job.write_manifest(study.repeats)
        given_up = job.compute(study)
    report(job)
    return given_up


def report(job: StudyJob) -> None:
    """Write the report on the study and print its table; say where rows wait that could not be written."""
    waiting = job.store.flush()
    if waiting:
        say(job.console, f"{waiting} rows wait in {job.store.unsent.uri}: the same command sends them")
    elif job.store.file_count() >= COMPACTED_FROM:
        job.store.compact()
    if job.options.report is None:
        return
    from fmnist.report import build_report
    from fmnist.reporting.terminal import print_results

    print_results(
        build_report(job.options.results, [job.study.name], job.options.report, job.options.data), job.console
    )


def say(console: Console, line: str) -> None:
    """Print a line as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def stopping_by_signals() -> Iterator[None]:
    """Let a SIGTERM, as a job's stop sends it, end the block as Ctrl-C does. After ray.init, which sets its own."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
