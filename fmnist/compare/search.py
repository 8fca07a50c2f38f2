"""What a search found: its points, the best of them by what was spent, and winners at the edge of the space."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fmnist import UserError
from fmnist.compare.intervals import UNKNOWN, Array, Interval, mean_estimate
from fmnist.compare.tracks import PointResult
from fmnist.declare import Budget, Choice, Hyperparameters, Parameter, Range, Space, Strategy, Track, Values

NEAR = 0.02  # of a range's length (of its logarithm's, where it is searched by that): so near its end is at its end
FEWEST_FOR_A_BAND = 5  # seeds of a strategy
CURVE_POINTS = 200
SHARES = (0.25, 0.5, 1.0)  # of the budget
STATUSES = ("complete", "diverged", "pruned", "failed", "open")  # of a point, that which says most first


@dataclass(frozen=True, kw_only=True)
class TrackResult:
    """One track of a search with its points, in the order in which they were asked for."""

    track: Track
    points: tuple[PointResult, ...]

    @property
    def core_seconds(self) -> float:
        """What its points cost."""
        return sum(item.core_seconds for item in self.points)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The best value so far of one strategy, over what was spent."""

    core_seconds: Array  # shape (points,), from 0 to what each of its seeds has spent
    by_seed: Array  # shape (seeds, points); nan before the first complete point
    mean: Array  # over the seeds, nan until each has a value
    lower: Array  # of the 95 % interval of the mean, Student's t; nan with fewer than FEWEST_FOR_A_BAND seeds
    upper: Array


@dataclass(frozen=True, kw_only=True)
class BudgetFigures:
    """What one strategy reached at one share of the budget."""

    strategy: Strategy
    share: float
    core_seconds: float
    by_seed: dict[int, float]  # best value so far, of the seeds that have one
    mean: float
    interval: Interval
    difference: float  # from the baseline, mean over the seeds that both have; nan where there is none
    difference_interval: Interval
    pairs: int  # seeds that both have


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A point that stands at an end of what its space allows, though the hyperparameter goes further."""

    parameter: Parameter
    value: float
    side: Literal["lower", "upper"]
    bound: float


def distinct(points: Iterable[PointResult]) -> list[PointResult]:
    """Keep one result of each configuration, complete ones first: tracks may share points. The best value first."""
    ranked = sorted(points, key=lambda item: (STATUSES.index(item.status), -(item.value or 0.0)))
    first: dict[str, PointResult] = {}
    for item in ranked:
        first.setdefault(item.point.configuration_id, item)
    return list(first.values())


def complete(points: Iterable[PointResult]) -> list[PointResult]:
    """The points of which every repeat was trained to its end."""
    return [item for item in points if item.status == "complete"]


def values_by_repeat(point: PointResult) -> dict[int, float]:
    """Validation accuracy of each run that was trained to its end, by repeat."""
    return {run.repeat: run.value for run in point.runs if run.status == "validated"}


def paired_difference(a: PointResult, b: PointResult) -> tuple[float, Interval, int]:
    """Mean of a - b over the repeats that both have, its 95 % interval by Student's t, and their number."""
    first, second = values_by_repeat(a), values_by_repeat(b)
    common = sorted(first.keys() & second.keys())
    estimate = mean_estimate(np.array([first[repeat] - second[repeat] for repeat in common]))
    return estimate.value, estimate.interval(), estimate.n


def best_so_far(points: Sequence[PointResult]) -> tuple[Array, Array]:
    """What was spent when each point was done, and the highest value of a complete point until then.

    Both of shape (points,): core-seconds and validation accuracy, nan before the first complete point.
    """
    spent = np.cumsum([item.core_seconds for item in points], dtype=np.float64)
    values = np.array([item.value if item.status == "complete" else -np.inf for item in points], dtype=np.float64)
    highest = np.maximum.accumulate(values) if len(values) else values
    return spent, np.where(np.isfinite(highest), highest, np.nan)


def value_at(points: Sequence[PointResult], core_seconds: Array) -> Array:
    """The best value so far once so much was spent; nan where no point was complete. Shape as `core_seconds`."""
    spent, values = best_so_far(points)
    places = np.searchsorted(spent * (1 - 1e-12), core_seconds, side="right")  # a sum in another order is the same
    return np.concatenate([[np.nan], values])[places]


def common_budget(tracks: Sequence[TrackResult], budget: Budget) -> float:
    """Core-seconds at which the strategies are compared: the declared ones, or what each track with a value has spent.

    NaN where no track has a value.
    """
    if budget.core_seconds is not None:
        return budget.core_seconds
    return min((item.core_seconds for item in tracks if complete(item.points)), default=float("nan"))


def strategy_curve(tracks: Sequence[TrackResult]) -> Curve:
    """Follow the best value so far of one strategy's tracks, a seed each, as far as each of them goes."""
    seconds = np.linspace(0, min(item.core_seconds for item in tracks), CURVE_POINTS)
    by_seed = np.array([value_at(item.points, seconds) for item in tracks])
    known = ~np.isnan(by_seed).any(axis=0)
    mean, lower, upper = (np.full(CURVE_POINTS, np.nan) for _ in range(3))
    mean[known] = by_seed[:, known].mean(axis=0)
    if len(tracks) >= FEWEST_FOR_A_BAND:
        bounds = [mean_estimate(values).interval() for values in by_seed.T]
        lower, upper = (np.where(known, [item[end] for item in bounds], np.nan) for end in (0, 1))
        lower, upper = np.where(np.isnan(lower), mean, lower), np.where(np.isnan(upper), mean, upper)
    return Curve(core_seconds=seconds, by_seed=by_seed, mean=mean, lower=lower, upper=upper)


def by_strategy(tracks: Iterable[TrackResult]) -> dict[Strategy, list[TrackResult]]:
    """Sort tracks by their strategy, as they come, each by its seed."""
    found: dict[Strategy, list[TrackResult]] = {}
    for item in tracks:
        found.setdefault(item.track.strategy, []).append(item)
    return {strategy: sorted(group, key=lambda item: item.track.seed) for strategy, group in found.items()}


def budget_figures(
    tracks: Sequence[TrackResult], budget: float, baseline: Strategy | None = None
) -> list[BudgetFigures]:
    """Compare the strategies of one architecture at shares of a budget, in core-seconds.

    The difference from the baseline is paired by seed. A track that spent less keeps the best that it found.
    """
    found = []
    groups = by_strategy(tracks)
    for share in SHARES:
        reached = {
            strategy: {item.track.seed: float(value_at(item.points, np.array([share * budget]))[0]) for item in group}
            for strategy, group in groups.items()
        }
        known = {
            strategy: {seed: value for seed, value in seeds.items() if not np.isnan(value)}
            for strategy, seeds in reached.items()
        }
        against = known.get(baseline, {}) if baseline else {}
        found += [_figures(strategy, share, share * budget, seeds, {} if strategy == baseline else against)
                  for strategy, seeds in known.items()]  # fmt: skip
    return found


def _figures(
    strategy: Strategy, share: float, core_seconds: float, by_seed: dict[int, float], against: dict[int, float]
) -> BudgetFigures:
    estimate = mean_estimate(np.array(list(by_seed.values())))
    common = [by_seed[seed] - against[seed] for seed in sorted(by_seed.keys() & against.keys())]
    difference = mean_estimate(np.array(common))
    return BudgetFigures(
        strategy=strategy,
        share=share,
        core_seconds=core_seconds,
        by_seed=by_seed,
        mean=estimate.value,
        interval=estimate.interval(),
        difference=difference.value,
        difference_interval=difference.interval() if common else UNKNOWN,
        pairs=len(common),
    )


def edges(values: Values, space: Space) -> list[Edge]:
    """List the hyperparameters of a point that stand at an end of the space, and where one could search further.

    Of a Range within NEAR of its end; of a Choice of numbers its lowest or highest. An end that the hyperparameter
    itself has, as no dropout, is none.
    """
    found = []
    for item in space.parameters:
        if item.hyperparameter in values and item.is_active(values):
            found += [edge for edge in _edges(item, values[item.hyperparameter]) if _goes_further(edge)]
    return found


def _edges(item: Parameter, value: Any) -> list[Edge]:
    domain = item.domain
    if isinstance(domain, Range):
        length = position(domain.high, domain) - position(domain.low, domain)
        near = {
            "lower": position(value, domain) - position(domain.low, domain) <= NEAR * length,
            "upper": position(domain.high, domain) - position(value, domain) <= NEAR * length,
        }
        bounds = {"lower": domain.low, "upper": domain.high}
    else:
        if not is_ordered(domain) or len(domain.values) < 2:
            return []
        bounds = {"lower": min(domain.values), "upper": max(domain.values)}
        near = {side: value == bound for side, bound in bounds.items()}
    sides: tuple[Literal["lower", "upper"], ...] = ("lower", "upper")
    return [Edge(parameter=item, value=value, side=side, bound=bounds[side]) for side in sides if near[side]]


def position(value: float, domain: Range) -> float:
    """Where a value stands in a range, as it is searched: its logarithm, or itself."""
    return float(np.log(value)) if domain.log else float(value)


def is_ordered(domain: Choice | Range) -> bool:
    """Whether the values of a domain are numbers."""
    if isinstance(domain, Range):
        return True
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in domain.values)


def _goes_further(edge: Edge) -> bool:
    """Whether the hyperparameter may have values beyond an edge."""
    away = -np.inf if edge.side == "lower" else np.inf
    whole = edge.bound + (-1 if edge.side == "lower" else 1)
    beyond: Any = whole if edge.parameter.is_whole else float(np.nextafter(edge.bound, away))
    try:
        replace(Hyperparameters(), **{edge.parameter.hyperparameter: beyond})
    except UserError:
        return False
    return True
