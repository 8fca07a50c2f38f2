"""What each hyperparameter of a search does to the validation accuracy: importance, means by value, pairs of values."""

import itertools
import logging
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from fmnist.compare.intervals import UNKNOWN, Array, mean_estimate
from fmnist.compare.search import complete, distinct, position, values_by_repeat
from fmnist.compare.tracks import PointResult
from fmnist.declare import Parameter, Range, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Method = Literal["PED-ANOVA", "fANOVA"]

FEWEST_FOR_IMPORTANCE = 10  # points: the best tenth, of which PED-ANOVA speaks, is then one
MOST_FOR_FANOVA = 200  # points, drawn at random of more: so many take a second
TREES = 32  # of fANOVA's forest
FEWEST_FOR_A_MEAN = 5  # points that were drawn, to say how far their mean may be off
TREND_SHARE = 0.2  # of the points are in the window of a running mean
BINS = 6  # of a range, in a map of pairs of values


def has_fanova() -> bool:
    """Whether fANOVA can be computed: it needs scikit-learn, which this project does without."""
    return find_spec("sklearn") is not None


def importances(points: Sequence[PointResult], space: Space, method: Method = "PED-ANOVA") -> pd.DataFrame:
    """How much of what tells good points from others each hyperparameter explains; shares that sum to 1.

    Columns hyperparameter, importance (mean over the repeats), lower and upper (95 % interval by Student's t over the
    repeats, each of which gives an importance of its own) and n (repeats); the most important first. Points that were
    pruned or failed are left out, diverged ones have the accuracy 0; a point that several tracks tried counts once.

    PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255; conditional hyperparameters as in arXiv 2601.20800) speaks of
    what brings a point among the best tenth. fANOVA (Hutter et al. 2014) speaks of the whole variance; it leaves out
    hyperparameters that some points lack. NaN with fewer than FEWEST_FOR_IMPORTANCE points and where it is left out.
    """
    judged = [item for item in distinct(points) if item.status in ("complete", "diverged")]
    repeats = sorted({repeat for item in complete(judged) for repeat in values_by_repeat(item)})
    names = list(space.dimensions)
    shares: list[dict[str, float]] = []
    if len(judged) >= FEWEST_FOR_IMPORTANCE:
        shares = [_shares(judged, repeat, space, method) for repeat in repeats]
    estimates = {name: mean_estimate(np.array([share[name] for share in shares if name in share])) for name in names}
    rows = [
        {"hyperparameter": name, "importance": estimate.value, **estimate.interval()._asdict(), "n": estimate.n}
        for name, estimate in estimates.items()
    ]
    frame = pd.DataFrame(rows, columns=["hyperparameter", "importance", "lower", "upper", "n"])
    return frame.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def _shares(points: Sequence[PointResult], repeat: int, space: Space, method: Method) -> dict[str, float]:
    import optuna

    valued = [(item, values_by_repeat(item).get(repeat, 0.0 if item.status == "diverged" else None)) for item in points]
    trials = [
        optuna.trial.create_trial(
            params=dict(item.point.values), distributions=_distributions(item, space), value=value
        )
        for item, value in valued
        if value is not None
    ]
    evaluator: optuna.importance.BaseImportanceEvaluator = optuna.importance.PedAnovaImportanceEvaluator()
    if method == "fANOVA":
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0)
        if len(trials) > MOST_FOR_FANOVA:
            drawn = np.random.default_rng(0).choice(len(trials), MOST_FOR_FANOVA, replace=False)
            trials = [trials[place] for place in sorted(drawn)]
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some values have few points: the interval shows it
            study = optuna.create_study(direction="maximize")
            study.add_trials(trials)
            return optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(before)


def _distributions(point: PointResult, space: Space) -> "dict[str, BaseDistribution]":
    values = point.point.values
    active = (item for item in space.parameters if item.hyperparameter in values and item.is_active(values))
    return {item.hyperparameter: optuna_distribution(item) for item in active}


def optuna_distribution(item: Parameter) -> "BaseDistribution":
    """What a parameter is drawn from, as optuna describes it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    domain = item.domain
    if not isinstance(domain, Range):
        return CategoricalDistribution(domain.values)
    if item.is_whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def having(points: Sequence[PointResult], item: Parameter) -> list[PointResult]:
    """The complete points that set a parameter."""
    return [
        point
        for point in complete(points)
        if item.hyperparameter in point.point.values and item.is_active(point.point.values)
    ]


def means_by_value(points: Sequence[PointResult], item: Parameter) -> pd.DataFrame:
    """Mean validation accuracy of the complete points with each value of a choice, over all other hyperparameters.

    Columns value, mean, lower, upper, n (points) and is_balanced, in the order of the choice; values that no point has
    are left out. Intervals are 95 %, by Student's t. Where the values are balanced, that is each has been tried beside
    the same other values, as in a whole grid, the interval is that of the distance from the mean over the values in the
    same repeat, drawn around the mean: what a repeat does to all values does not widen it. Elsewhere which points were
    drawn counts for more than the seeds, and it is that of the mean over FEWEST_FOR_A_MEAN points or more. NaN where
    there is none.
    """
    by_value: dict[Any, list[PointResult]] = {}
    for point in having(points, item):
        by_value.setdefault(point.point.values[item.hyperparameter], []).append(point)
    values = [value for value in getattr(item.domain, "values", ()) if value in by_value]
    groups = [by_value[value] for value in values]
    balanced = len({_others(group, item) for group in groups}) == 1
    by_repeat = np.array([_repeat_means(group) for group in groups])  # shape (values, repeats)
    rows = []
    for value, group, means in zip(values, groups, by_repeat, strict=True):
        distance = mean_estimate(means - by_repeat.mean(axis=0))
        over_points = mean_estimate(np.array([point.value for point in group], dtype=np.float64))
        interval, shift = over_points.interval() if len(group) >= FEWEST_FOR_A_MEAN else UNKNOWN, 0.0
        if balanced:
            interval, shift = distance.interval(), over_points.value - distance.value
        rows.append({"value": value, "mean": over_points.value, "lower": interval.lower + shift,
                     "upper": interval.upper + shift, "n": len(group), "is_balanced": balanced})  # fmt: skip
    frame = pd.DataFrame(rows, columns=["value", "mean", "lower", "upper", "n", "is_balanced"])
    return frame.assign(value=pd.Series(values, dtype=object))  # None stays None


def _others(group: Sequence[PointResult], item: Parameter) -> frozenset[frozenset[tuple[str, Any]]]:
    """What the points of a group set besides a parameter."""
    return frozenset(
        frozenset(pair for pair in point.point.values.items() if pair[0] != item.hyperparameter) for point in group
    )


def _repeat_means(group: Sequence[PointResult]) -> Array:
    """Mean over complete points in each repeat; each of them has the same repeats."""
    values = np.array([[run.value for run in point.runs] for point in group], dtype=np.float64)
    return np.asarray(values.mean(axis=0))


def trend(points: Sequence[PointResult], item: Parameter) -> pd.DataFrame:
    """Value and accuracy of each complete point over a range, by value, and the running mean over a fifth of them.

    Columns value, accuracy (mean over the repeats) and mean; the window is centred and smaller at both ends.
    """
    shown = having(points, item)
    frame = pd.DataFrame(
        {"value": [float(point.point.values[item.hyperparameter]) for point in shown],
         "accuracy": [point.value for point in shown]}, dtype=np.float64
    ).sort_values("value", kind="stable", ignore_index=True)  # fmt: skip
    window = max(int(np.ceil(TREND_SHARE * len(frame))), 3)
    return frame.assign(mean=frame["accuracy"].rolling(window, center=True, min_periods=1).mean())


def first_pair(points: Sequence[PointResult], space: Space, order: Sequence[str]) -> tuple[Parameter, Parameter] | None:
    """Find the two most important parameters that some complete points set together; `order` has hyperparameters.

    Of several cases of one hyperparameter that which most points have; beside the hyperparameter that it depends on a
    case has one value. None where there are no two.
    """
    counts = {item.name: len(having(points, item)) for item in space.parameters}
    ranked = sorted(
        (item for item in space.parameters if item.hyperparameter in order and counts[item.name]),
        key=lambda item: (order.index(item.hyperparameter), -counts[item.name]),
    )
    for place, first in enumerate(ranked):
        for second in ranked[place + 1 :]:
            related = {first.hyperparameter, first.parent} & {second.hyperparameter, second.parent} - {None}
            if not related and having(having(points, first), second):
                return first, second
    return None


def means_by_pair(points: Sequence[PointResult], across: Parameter, up: Parameter) -> pd.DataFrame:
    """Mean validation accuracy of the complete points in each pair of values; ranges are cut into BINS equal parts.

    Index: values of `up`, columns: those of `across`, as text and in their order; NaN where no point is.
    """
    shown = having(having(points, across), up)
    (columns, places), (index, heights) = _cells(shown, across), _cells(shown, up)
    sums, counts = (np.zeros((len(index), len(columns))) for _ in range(2))
    np.add.at(sums, (heights, places), np.array([point.value for point in shown], dtype=np.float64))
    np.add.at(counts, (heights, places), 1)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return pd.DataFrame(means, index=index, columns=columns)


def _cells(points: Sequence[PointResult], item: Parameter) -> tuple[list[str], list[int]]:
    """Name the cells of a parameter, and say in which of them each point is."""
    values, domain = [point.point.values[item.hyperparameter] for point in points], item.domain
    if not isinstance(domain, Range):
        return list(map(str, domain.values)), [domain.values.index(value) for value in values]
    ends = np.linspace(position(domain.low, domain), position(domain.high, domain), BINS + 1)
    bounds = np.exp(ends) if domain.log else ends
    names = next(names for digits in range(2, 18) if len(set(names := _ranges(bounds, digits))) == BINS)
    places = np.searchsorted(ends[1:-1], [position(value, domain) for value in values], side="right")
    return names, places.tolist()


def _ranges(bounds: Array, digits: int) -> list[str]:
    """Name the parts between bounds: 0.001 to 0.01."""
    return [f"{low:.{digits}g} to {high:.{digits}g}" for low, high in itertools.pairwise(bounds)]
