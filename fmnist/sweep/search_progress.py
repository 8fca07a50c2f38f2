"""How far a search has come: its points so far, the runs that they need next, and when further points are proposed.

All of it follows from the search, the points in its manifest and the rows: it begins anew with every command.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pandas as pd

from fmnist import UserError
from fmnist.compare import (
    RESULT_COLUMNS,
    Point,
    PointResult,
    RunResult,
    core_seconds,
    is_spent,
    read_results,
    replay,
    run_result,
)
from fmnist.declare import SEARCH_METRIC, RunSpec, Search, Space, Strategy, Track, Values
from fmnist.store import Store
from fmnist.sweep.structures import Structures

GENERATION = 4  # points that are proposed at a time

Key = tuple[str, int]  # configuration_id and repeat
Propose = Callable[[Space, Strategy, int, Sequence[tuple[Values, float | None]], int], list[dict[str, Any]]]
COST_COLUMNS = ["device_kind", "gpus", "threads", "total_seconds", "processor_seconds"]


@dataclass
class TrackProgress:
    """How far one track has come."""

    track: Track
    space: Space
    generations: list[list[Point]] = field(default_factory=list)
    points: list[PointResult] = field(default_factory=list)  # in the order in which they were proposed
    missing: set[Key] = field(default_factory=set)  # runs that they need

    def look(self, results: Mapping[Key, RunResult], repeats: int) -> None:
        """Tell anew how the points have come out; those of generations before the first open one stay as they are."""
        opened = min((item.generation for item in self.points if item.status == "open"), default=len(self.generations))
        known = [item for item in self.points if item.generation < opened]
        later = self.generations[known[-1].generation + 1 if known else 0 :]
        self.points = replay(later, results, self.track.strategy, repeats, known)
        self.missing = {(item.point.configuration_id, run.repeat) for item in self.points for run in item.wanted}

    @property
    def is_open(self) -> bool:
        """Whether a point still has runs to be computed."""
        return any(item.status == "open" for item in self.points)

    def describe(self) -> dict[str, Any]:
        """Say for a manifest which track it is, and what was proposed."""
        generations = [
            [{"configuration_id": point.configuration_id, "values": dict(point.values)} for point in points]
            for points in self.generations
        ]
        return {**self.identity, "generations": generations}

    @property
    def identity(self) -> dict[str, Any]:
        """What tells it from the other tracks of a search, as a manifest says it."""
        track = self.track
        strategy = {"sampler": track.strategy.sampler, "pruning": track.strategy.pruning}
        return {"architecture": track.architecture, **strategy, "seed": track.seed}


class SearchProgress:
    """The points of a search and the runs that they need; every track goes at its own pace.

    `propose` gives further points, as proposals.propose does.
    """

    def __init__(
        self,
        search: Search,
        store: Store,
        structures: Structures,
        data_fingerprint: str,
        propose: Propose,
        *,
        retry_failed: bool = False,
    ) -> None:
        self.search = search
        self._store, self._structures, self._data, self._propose = store, structures, data_fingerprint, propose
        self._ignores = "failed" if retry_failed else ""  # a status of rows
        self._there = {key.configuration_id for key in store.keys()}  # noqa: SIM118
        self._results: dict[Key, RunResult] = {}
        self._first_runs: dict[str, RunSpec] = {}  # of each point, by configuration_id
        self._counts: Counter[str] = Counter()  # points of each architecture that have a label
        self._asked: set[Key] = set()  # runs that were given out and are not over
        self.tracks = [TrackProgress(track, search.space_of(track.architecture)) for track in search.tracks]
        self.is_saved = True  # whether the manifest holds every point
        manifest = store.read_manifest(search.name) or {}
        try:
            self._resume(manifest)
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(
                f"results: studies/{search.name}.json in {store.uri} is damaged ({error!r}); delete it: the search"
                " writes it anew when it is run again"
            ) from error

    def _resume(self, manifest: Mapping[str, Any]) -> None:
        """Take over what the same search has proposed before, up to the budget; read the rows that are there."""
        before, now = manifest.get("search") or {}, self._described()
        if not all(before.get(name) == now[name] for name in ("space", "settings")):
            return
        labels = {item["configuration_id"]: item["label"] for item in manifest["configurations"]}
        for way in self.tracks:
            same = [item for item in before["tracks"] if way.identity.items() <= item.items()]
            generations = same[0]["generations"] if same else []
            values = [point["values"] for points in generations for point in points]
            made = iter(self._points(way.track.architecture, values[: self.search.budget.points], labels))
            several = [list(islice(made, len(points))) for points in generations]
            way.generations = [points for points in several if points]
        self._read(self._there & set(self._first_runs))
        for way in self.tracks:
            way.look(self._results, self.search.repeats)

    def start(self) -> list[RunSpec]:
        """Propose what can be proposed now; returns the runs that are missing, repeat after repeat."""
        return self._next(self.tracks)

    def finished(self, run: RunSpec, row: Mapping[str, Any] | None) -> list[RunSpec]:
        """Take in a run that was given out and is over; returns further runs.

        `row` has its scalar columns and `accuracies`, its validation accuracy after each epoch; None: it is read.
        """
        key = run.configuration_id, run.repeat
        self._asked.discard(key)
        if row is None:
            self._read({run.configuration_id})
        else:
            cost = core_seconds(pd.DataFrame([row], columns=COST_COLUMNS)).fillna(0.0)
            self._results[key] = run_result(row, row.get("accuracies", ()), cost.iloc[0])
        return self._next([way for way in self.tracks if key in way.missing])

    def _next(self, tracks: Iterable[TrackProgress]) -> list[RunSpec]:
        wanted: dict[Key, RunSpec] = {}
        for way in tracks:
            if way.track.strategy.pruning == "none" and not way.missing.isdisjoint(self._asked):
                continue  # the order in which its runs end changes nothing
            self._advance(way)
            for item in way.points:
                for run in item.wanted:
                    key = item.point.configuration_id, run.repeat
                    if key in wanted:
                        wanted[key] = replace(
                            wanted[key], pruned_below=_looser(wanted[key].pruned_below, run.pruned_below)
                        )
                    elif key not in self._asked:
                        self._asked.add(key)
                        wanted[key] = replace(self._run(*key), pruned_below=run.pruned_below)
        return sorted(wanted.values(), key=lambda run: run.repeat)

    def _advance(self, way: TrackProgress) -> None:
        """Look at what is there, and propose points as long as the track needs no run for that."""
        way.look(self._results, self.search.repeats)
        while not (self.learns(way) and way.is_open) and self._extend(way):
            way.look(self._results, self.search.repeats)

    def learns(self, way: TrackProgress) -> bool:
        """Whether what is proposed, or how far it is computed, depends on the runs before."""
        strategy, budget = way.track.strategy, self.search.budget
        return strategy.sampler == "optuna" or strategy.pruning != "none" or budget.core_seconds is not None

    def _extend(self, way: TrackProgress) -> bool:
        """Propose the next generation, or all others where none waits for runs; False at the end of the track."""
        if is_spent(way.points, self.search.budget):
            return False
        most = self.search.most_points(way.track)
        left = GENERATION if most is None else most - len(way.points)
        count = min(GENERATION, left) if self.learns(way) else left
        tried = [(item.point.values, item.value) for item in way.points]
        values = self._propose(way.space, way.track.strategy, way.track.seed, tried, count)
        points = self._points(way.track.architecture, values, {})
        self._read(self._there & {point.configuration_id for point in points})
        way.generations += [points[start : start + GENERATION] for start in range(0, len(points), GENERATION)]
        self.is_saved &= not points
        return bool(points)

    def _points(self, architecture: str, values: Sequence[Values], labels: Mapping[str, str]) -> list[Point]:
        """Make points; a new one has the label that it had before, or the next number."""
        made = [self.search.configuration(architecture, item, f"{architecture} {i}") for i, item in enumerate(values)]
        points = []
        for item, structure, chosen in zip(made, self._structures.of(made), values, strict=True):
            run = self.search.run(item, 0, structure, self._data)
            name = run.configuration_id
            if name not in self._first_runs:
                self._counts[architecture] += 1
                label = labels.get(name) or f"{architecture} point {self._counts[architecture]}"
                self._first_runs[name] = replace(run, configuration=replace(item, label=label))
            points.append(Point(configuration_id=name, values=chosen))
        return points

    def _read(self, ids: Collection[str]) -> None:
        found = read_results(self._store.batches(RESULT_COLUMNS, ids), self.search.placement) if ids else {}
        self._results |= {key: run for key, run in found.items() if run.status != self._ignores}

    def _run(self, configuration_id: str, repeat: int) -> RunSpec:
        first = self._first_runs[configuration_id]
        return self.search.run(first.configuration, repeat, first.structure, self._data)

    def stand_in(self, way: TrackProgress) -> RunSpec:
        """A run for those of the points that are not proposed yet: as long as theirs, as far as can be known."""
        return self.search.run(self.search.example(way.track.architecture), 0, "", self._data)

    def present(self) -> set[Key]:
        """The runs that the points so far have."""
        return {
            (item.point.configuration_id, run.repeat) for way in self.tracks for item in way.points for run in item.runs
        }

    def failed(self) -> int:
        """Number of runs that the points so far have and that failed."""
        return sum(self._results[key].status == "failed" for key in self.present())

    def names(self) -> dict[str, str]:
        """Names of all runs of the points so far, by run_id."""
        runs = (self._run(name, repeat) for name in self._first_runs for repeat in range(self.search.repeats))
        return {run.run_id: run.name for run in runs}

    def is_over(self, way: TrackProgress) -> bool:
        """Whether a track needs nothing more."""
        if way.is_open:
            return False
        size = way.space.size
        return is_spent(way.points, self.search.budget) or (size is not None and len(way.points) >= size)

    def manifest(self) -> dict[str, Any]:
        """Describe the search and its points so far."""
        search = self.search
        configurations = [
            {
                "configuration_id": name,
                "label": run.configuration.label,
                "architecture": run.configuration.architecture,
            }
            for name, run in self._first_runs.items()
        ]
        return {
            "name": search.name,
            "question": search.question,
            "primary_metric": SEARCH_METRIC,
            "margins": {},
            "repeats": search.repeats,
            "placement": search.placement,
            "search": {**self._described(), "tracks": [way.describe() for way in self.tracks]},
            "configurations": configurations,
        }

    def _described(self) -> dict[str, Any]:
        search, budget = self.search, self.search.budget
        return {
            "space": search.space.to_json(),
            "settings": dict(search.settings),
            "strategies": [[item.sampler, item.pruning] for item in search.strategies],
            "seeds": search.seeds,
            "budget": {"points": budget.points, "core_seconds": budget.core_seconds},
            "architectures": list(search.architectures),
        }


def _looser(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """Limits that prune a run only where both would."""
    return {epoch: min(least, second[epoch]) for epoch, least in first.items() if epoch in second}
