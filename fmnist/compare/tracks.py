"""How a track of a search has gone, told from its points and the rows of their runs alone.

A track goes by generations: the sampler proposes some points, their runs are computed or found, and the next generation
is proposed knowing the values of all before. So nothing depends on the number of workers, or on which is faster.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from fmnist.declare import Budget, Placement, Pruning, Strategy
from fmnist.store import STATUS_RANKS

REDUCTION = (
    3  # of successive halving: one run in so many goes on past a rung, and rungs are so many times further apart
)
LEAST_COMPARED = 3  # runs that reached a rung before it ends any
RACE_P = 0.1  # of Wilcoxon's one-sided test, below which a point has lost against the best one

RunStatus = Literal["validated", "pruned", "diverged", "failed"]
PointStatus = Literal["complete", "pruned", "diverged", "failed", "open"]
# of a row, best first -> of the run in a search, where a study's row counts as one that was validated
RUN_STATUSES: Mapping[str, RunStatus] = {
    status: "validated" if status == "ok" else status  # type: ignore[misc]
    for status in sorted(STATUS_RANKS, key=STATUS_RANKS.__getitem__, reverse=True)
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """Values of a space's hyperparameters, and the id of the configuration that they make."""

    configuration_id: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What came of a run, as one track sees it: a run that it would have pruned earlier counts up to there."""

    repeat: int
    status: RunStatus
    accuracies: tuple[float, ...]  # validation accuracy after each epoch
    value: float  # validation accuracy of the final weights, of a pruned run after its last epoch; else NaN
    core_seconds: float
    started_at: pd.Timestamp | None = None
    node: str | None = None

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.accuracies)


Results = Mapping[tuple[str, int], RunResult]  # by configuration_id and repeat


@dataclass(frozen=True, kw_only=True)
class WantedRun:
    """A run that a point needs next."""

    repeat: int
    pruned_below: Mapping[int, float] = field(default_factory=dict)  # epoch -> least validation accuracy


@dataclass(frozen=True, kw_only=True)
class PointResult:
    """How far a point has come in one track."""

    point: Point
    generation: int
    status: PointStatus
    runs: tuple[RunResult, ...]  # by repeat, up to the one that ended it
    wanted: tuple[WantedRun, ...] = ()  # of an open one; none while an earlier generation is open that decides on it

    @property
    def value(self) -> float | None:
        """Mean validation accuracy of its runs so far; 0 of a diverged point, None of a failed or untried one."""
        if self.status == "failed" or not self.runs:
            return None
        return 0.0 if self.status == "diverged" else math.fsum(run.value for run in self.runs) / len(self.runs)

    @property
    def core_seconds(self) -> float:
        """What its runs cost this track, also where another track, or a study, computed them."""
        return math.fsum(run.core_seconds for run in self.runs)


def replay(
    generations: Sequence[Sequence[Point]],
    results: Results,
    strategy: Strategy,
    repeats: int,
    before: Sequence[PointResult] = (),
) -> list[PointResult]:
    """Tell how each point of a track has come out, or what it needs next, in the order in which they were proposed.

    Without pruning a point needs all repeats at once. With halving its first run competes with the first runs of
    earlier generations at epochs 1, 3, 9 and so on; the first run of those that are left is followed by all others.
    With a race one repeat comes after the other; after each the point ends that loses against the best complete one of
    the earlier generations. `before` are the points of generations that went before those given, told already.
    """
    told = list(before)
    for number, points in enumerate(generations, before[-1].generation + 1 if before else 0):
        rules = _Rules.after(told, strategy.pruning)
        told += [_judged(point, number, rules, results, repeats) for point in points]
    return told


def best(points: Iterable[PointResult]) -> PointResult | None:
    """The complete point with the highest value, of equals the first; None where no point is complete."""
    complete = [item for item in points if item.status == "complete"]
    return max(complete, key=lambda item: item.value or 0.0, default=None)


def is_spent(points: Sequence[PointResult], budget: Budget) -> bool:
    """Whether no further point may be tried."""
    if budget.points is not None and len(points) >= budget.points:
        return True
    return budget.core_seconds is not None and sum(item.core_seconds for item in points) >= budget.core_seconds


def rung_cutoffs(firsts: Iterable[RunResult]) -> dict[int, float]:
    """Give the validation accuracy below which a run ends, for each rung that enough of these runs have reached.

    Rungs are epochs 1, 3, 9 and so on. Only the best third of those that reached a rung would go on: asynchronous
    successive halving by stopping (Li et al. 2020, section 3.3), whose runs need not wait for each other.
    """
    cutoffs: dict[int, float] = {}
    rung, curves = 1, [run.accuracies for run in firsts]
    while len(reached := [curve[rung - 1] for curve in curves if len(curve) >= rung]) >= LEAST_COMPARED:
        cutoffs[rung] = float(np.quantile(reached, 1 - 1 / REDUCTION))
        rung *= REDUCTION
    return cutoffs


def as_pruned(run: RunResult, cutoffs: Mapping[int, float]) -> RunResult:
    """Cut a run off at the first rung where it is below; the run as it is where there is none.

    Its cost is the share of its epochs up to there. At the epoch at which it ends of itself no run is cut off.
    """
    last = run.epochs - (run.status == "validated")
    for rung, least in sorted(cutoffs.items()):
        if rung <= last and (value := run.accuracies[rung - 1]) < least:
            cost = run.core_seconds * rung / run.epochs
            return replace(run, status="pruned", accuracies=run.accuracies[:rung], value=value, core_seconds=cost)
    return run


@lru_cache(maxsize=100_000)
def loses(values: tuple[float, ...], best_values: tuple[float, ...]) -> bool:
    """Whether a point with these values on the first repeats has lost a race against the best point's values on them.

    By optuna's WilcoxonPruner; its p is never below 2 ** -n, so that nothing is decided before the fourth repeat.
    """
    if 0.5 ** len(values) >= RACE_P:
        return False
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():  # its interface may change; our requirement holds optuna's version
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=RACE_P)
    study = optuna.create_study(direction="maximize")
    mean = math.fsum(best_values) / len(best_values)
    study.add_trial(create_trial(value=mean, intermediate_values=dict(enumerate(best_values))))
    racing = create_trial(state=TrialState.RUNNING, intermediate_values=dict(enumerate(values)))
    return pruner.prune(study, racing)


class _Rules(NamedTuple):
    """What decides on the points of a generation, by those of all before it."""

    pruning: Pruning
    cutoffs: Mapping[int, float]  # of first runs
    champion: PointResult | None
    wait: bool  # an earlier generation is open, which decides on this one

    @classmethod
    def after(cls, before: Sequence[PointResult], pruning: Pruning) -> Self:
        firsts = [item.runs[0] for item in before if item.runs and pruning == "halving"]
        champion = best(before) if pruning == "race" else None
        wait = pruning != "none" and any(item.status == "open" for item in before)
        return cls(pruning, rung_cutoffs(firsts), champion, wait)


def _judged(point: Point, generation: int, rules: _Rules, results: Results, repeats: int) -> PointResult:
    runs: list[RunResult] = []
    wanted: list[WantedRun] = []
    lost = False
    for repeat in range(0 if rules.wait else repeats):
        cutoffs = rules.cutoffs if repeat == 0 else {}
        run = _as_seen(results.get((point.configuration_id, repeat)), cutoffs)
        if run is None:
            wanted.append(WantedRun(repeat=repeat, pruned_below=cutoffs))
            if rules.pruning == "race" or (rules.pruning == "halving" and repeat == 0):
                break
            continue
        runs.append(run)
        lost = repeat + 1 < repeats and _has_lost(runs, rules.champion)
        if lost or (rules.pruning != "none" and run.status != "validated"):
            break
    status = "open" if rules.wait or wanted else _status_of(runs, lost=lost)
    return PointResult(point=point, generation=generation, status=status, runs=tuple(runs), wanted=tuple(wanted))


def _as_seen(run: RunResult | None, cutoffs: Mapping[int, float]) -> RunResult | None:
    """The run as a track sees it; None where it is not there, or was pruned for another track and would go on here."""
    if run is None or run.status == "failed":
        return run
    seen = as_pruned(run, cutoffs)
    return None if seen is run and run.status == "pruned" else seen


def _has_lost(runs: Sequence[RunResult], champion: PointResult | None) -> bool:
    if champion is None or any(run.status != "validated" for run in runs):
        return False
    return loses(tuple(run.value for run in runs), tuple(run.value for run in champion.runs))


def _status_of(runs: Sequence[RunResult], *, lost: bool) -> PointStatus:
    statuses = {run.status for run in runs}
    ended: tuple[PointStatus, ...] = ("diverged", "failed", "pruned")
    return next((status for status in ended if status in statuses), "pruned" if lost else "complete")


RESULT_COLUMNS = (  # that `read_results` and `core_seconds` need
    "configuration_id", "repeat", "placement", "status", "validation_accuracy", "history", "started_at", "node",
    "device_kind", "gpus", "threads", "total_seconds", "processor_seconds",
)  # fmt: skip


def core_seconds(rows: pd.DataFrame) -> pd.Series:
    """What runs cost, float64 seconds of one core: on a GPU the seconds of the share of it that they were given.

    Older rows do not say how long the processor worked: there it is the whole time on every thread. NaN where a row
    tells no time. Needs the columns device_kind, gpus, threads, total_seconds and processor_seconds.
    """
    times = rows[["gpus", "threads", "total_seconds", "processor_seconds"]].astype(np.float64)
    on_cores = times["processor_seconds"].fillna(times["total_seconds"] * times["threads"])
    on_gpu = (rows["device_kind"] == "GPU") & (times["gpus"] > 0)
    return on_cores.where(~on_gpu, times["total_seconds"] * times["gpus"])


def read_results(tables: Iterable[pa.Table], placement: Placement = "shared") -> dict[tuple[str, int], RunResult]:
    """Take in rows, in tables with the RESULT_COLUMNS: `read_results(store.batches(RESULT_COLUMNS, ids))`.

    Of several rows of a run the one with the best status counts. For exclusive runs only exclusive rows count.
    """
    results: dict[tuple[str, int], RunResult] = {}
    for table in tables:
        for key, run in _of_table(table, placement):
            known = results.get(key)
            if known is None or _rank(run) < _rank(known):
                results[key] = run
    return results


def _rank(run: RunResult) -> tuple[int, int]:
    """The lower one counts; of pruned runs the longer one, which tells what the other tells."""
    return list(RUN_STATUSES.values()).index(run.status), -run.epochs


def _of_table(table: pa.Table, placement: Placement) -> Iterable[tuple[tuple[str, int], RunResult]]:
    history = table["history"].combine_chunks()
    lengths = history.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    flat = history.flatten().field("validation_accuracy").to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths)
    rows = table.select([name for name in RESULT_COLUMNS if name != "history"]).to_pandas()
    rows["cost"] = core_seconds(rows).fillna(0.0)
    for row, end, length in zip(rows.itertuples(index=False), ends, lengths, strict=True):
        if placement == "exclusive" and row.placement != placement:
            continue
        accuracies = flat[end - length : end].tolist()
        yield (row.configuration_id, row.repeat), run_result(row._asdict(), accuracies, row.cost)


def run_result(row: Mapping[str, Any], accuracies: Sequence[float], cost: float) -> RunResult:
    """Make the result of one row, given its validation accuracy after each epoch and its core-seconds."""
    known, started_at = row.get("validation_accuracy"), row.get("started_at")
    if row["status"] == "pruned":
        known = accuracies[-1] if accuracies else None
    return RunResult(
        repeat=row["repeat"],
        status=RUN_STATUSES[row["status"]],
        accuracies=tuple(accuracies),
        value=math.nan if known is None else float(known),
        core_seconds=float(cost),
        started_at=None if pd.isna(started_at) else started_at,
        node=row.get("node"),
    )
