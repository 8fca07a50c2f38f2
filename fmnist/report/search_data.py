"""What a search's report is made from: its manifest, its rows, and what its tracks came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from fmnist import UserError
from fmnist.compare import (
    RESULT_COLUMNS,
    RUN_STATUSES,
    BudgetFigures,
    Edge,
    Point,
    PointResult,
    TrackResult,
    best,
    budget_figures,
    common_budget,
    distinct,
    edges,
    importances,
    read_results,
    replay,
)
from fmnist.declare import ARCHITECTURES, Budget, Placement, Space, Strategy, Track
from fmnist.store import Store

BASELINE = Strategy("random")  # that the others are compared with


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchRows:
    """A search as its manifest describes it, and the rows of its points."""

    name: str
    question: str
    repeats: int
    placement: Placement
    space: Space
    settings: Mapping[str, Any]
    budget: Budget
    architectures: tuple[str, ...]
    tracks: Mapping[Track, Sequence[Sequence[Point]]]  # the points of each generation
    labels: Mapping[str, str]  # of each configuration, by its id
    # scalar columns, `label` and `architecture` the search's own: one row of each run, whoever asked for it
    rows: pd.DataFrame

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of the manifest or the rows cannot be used: of a search nothing."""
        return ()

    def space_of(self, architecture: str) -> Space:
        """The space without the hyperparameters that none of its points sets: they have no effect in it."""
        points = [
            point
            for track, generations in self.tracks.items()
            for generation in generations
            for point in generation
            if track.architecture == architecture
        ]
        used = {name for point in points for name in point.values}
        return self.space.without(frozenset(set(self.space.dimensions) - used)) if used else self.space


def select_search(rows: pd.DataFrame, manifest: Mapping[str, Any]) -> SearchRows:
    """Read a search from its manifest, and choose its rows. UserError if the manifest is no search's."""
    placement, described = manifest["placement"], manifest["search"]
    labels, architectures = (
        {item["configuration_id"]: item[name] for item in manifest["configurations"]}
        for name in ("label", "architecture")
    )
    own = rows[rows["configuration_id"].isin(labels) & (rows["repeat"] < manifest["repeats"])]
    own = own.assign(**{name: own["configuration_id"].map(of) for name, of in
                        (("label", labels), ("architecture", architectures))})  # fmt: skip
    try:
        return SearchRows(
            name=manifest["name"],
            question=manifest["question"],
            repeats=manifest["repeats"],
            placement=placement,
            space=Space.from_json(described["space"]),
            settings=described["settings"],
            budget=Budget(**described["budget"]),
            architectures=tuple(described["architectures"]),
            tracks=dict(map(_track, described["tracks"])),
            labels=labels,
            rows=_one_a_run(own, placement),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"search {manifest['name']!r}: its manifest cannot be read ({error}); run the search again with this"
            " version, which writes it anew"
        ) from error


def _one_a_run(rows: pd.DataFrame, placement: Placement) -> pd.DataFrame:
    """Keep one row of each run: that with the best status, as read_results does."""
    if placement == "exclusive":
        rows = rows[rows["placement"] == placement]
    ordered = rows.assign(rank=rows["status"].map(list(RUN_STATUSES).index)).sort_values(
        ["rank", "started_at"], kind="stable"
    )
    kept = ordered.drop_duplicates(["configuration_id", "repeat"]).drop(columns="rank")
    return kept.reset_index(drop=True)


def _track(described: Mapping[str, Any]) -> tuple[Track, list[list[Point]]]:
    track = Track(
        described["architecture"], Strategy(described["sampler"], described["pruning"]), int(described["seed"])
    )
    generations = [
        [Point(configuration_id=point["configuration_id"], values=point["values"]) for point in generation]
        for generation in described["generations"]
    ]
    return track, generations


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchData:
    """All numbers of a search's report, gathered once."""

    search: SearchRows
    tracks: tuple[TrackResult, ...]

    @cached_property
    def architectures(self) -> list[str]:
        """The architectures, that with the best point first; those without a complete point last."""
        return sorted(self.search.architectures, key=lambda name: -(found.value or 0.0) if (found := self.best_of(name))
                      else 1.0)  # fmt: skip

    @cached_property
    def spaces(self) -> dict[str, Space]:
        """Of each architecture."""
        return {name: self.search.space_of(name) for name in self.search.architectures}

    @cached_property
    def points(self) -> dict[str, list[PointResult]]:
        """The points of each architecture, each configuration once, the best first."""
        return {
            name: distinct(point for track in self.tracks_of(name) for point in track.points)
            for name in self.search.architectures
        }

    def tracks_of(self, architecture: str) -> list[TrackResult]:
        """Its tracks."""
        return [item for item in self.tracks if item.track.architecture == architecture]

    @property
    def strategies(self) -> list[Strategy]:
        """The strategies, in the order of their declaration."""
        return list(dict.fromkeys(item.track.strategy for item in self.tracks))

    def best_of(self, architecture: str) -> PointResult | None:
        """Its best complete point; None where there is none."""
        return best(self.points[architecture])

    def default_of(self, architecture: str) -> PointResult | None:
        """The complete point that has the architecture's own values of all that is searched; None without one."""
        known = ARCHITECTURES.get(architecture)
        if known is None:
            return None
        values = self.spaces[architecture].values_of(known.defaults)
        return best(item for item in self.points[architecture] if dict(item.point.values) == values)

    def label(self, point: PointResult) -> str:
        """How the search calls a point."""
        return self.search.labels.get(point.point.configuration_id, point.point.configuration_id)

    @cached_property
    def edges(self) -> dict[str, list[Edge]]:
        """Where the best point of an architecture stands at the edge of its space."""
        found = {name: self.best_of(name) for name in self.architectures}
        return {name: edges(point.point.values, self.spaces[name]) for name, point in found.items() if point}

    @cached_property
    def importances(self) -> dict[str, pd.DataFrame]:
        """The importance of each hyperparameter by architecture, see compare.importances."""
        return {name: importances(self.points[name], self.spaces[name]) for name in self.architectures}

    @property
    def baseline(self) -> Strategy | None:
        """The strategy that the others are compared with; None where it was not tried."""
        return BASELINE if BASELINE in self.strategies else None

    def budget_of(self, architecture: str) -> float:
        """Core-seconds at which its strategies are compared."""
        return common_budget(self.tracks_of(architecture), self.search.budget)

    def budget_figures(self, architecture: str) -> list[BudgetFigures]:
        """What each strategy reached at shares of the budget."""
        return budget_figures(self.tracks_of(architecture), self.budget_of(architecture), self.baseline)


def gather_search(search: SearchRows, store: Store) -> SearchData:
    """Read the runs' histories and follow every track through them."""
    results = read_results(store.batches(RESULT_COLUMNS, set(search.labels)), search.placement)
    tracks = tuple(
        TrackResult(track=track, points=tuple(replay(generations, results, track.strategy, search.repeats)))
        for track, generations in search.tracks.items()
    )
    return SearchData(search=search, tracks=tracks)
