"""The study of what a search found, made from the search's rows."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from fmnist import UserError
from fmnist.compare import PointResult, best
from fmnist.declare import Configuration, Study, Tuning, Values
from fmnist.store import Store
from fmnist.sweep.search_progress import SearchProgress
from fmnist.sweep.structures import Structures


def tuned_study(tuning: Tuning, store: Store, structures: Structures, data_fingerprint: str) -> Study:
    """Make the study; UserError where the search has not found every architecture's best point yet."""
    progress = SearchProgress(tuning.search, store, structures, data_fingerprint, lambda *_: [])
    command = f"run `python jobs/study.py {tuning.search.name}` first"
    chosen: dict[str, Values] = {}
    order: dict[str, Sequence[str]] = {}
    for architecture in tuning.architectures:
        tracks = [way for way in progress.tracks if way.track.architecture == architecture]
        points = [item for way in tracks for item in way.points]
        if not all(progress.is_over(way) for way in tracks):
            unfinished = sum(item.status == "open" for item in points)
            so_far = f"{len(points)} points, {unfinished} of them open" if points else "no point"
            raise UserError(
                f"study {tuning.name!r}: search {tuning.search.name!r} is not finished in {store.uri}: it has {so_far}"
                f" of {architecture}; {command}"
            )
        found = best(points)
        if found is None:
            raise UserError(
                f"study {tuning.name!r}: search {tuning.search.name!r} has no complete point of {architecture} in"
                f" {store.uri}, all {len(points)} failed, diverged or were pruned; widen its space and {command}"
            )
        chosen[architecture] = found.point.values
        order[architecture] = by_gain(points, tuning.default_values(architecture), found.point.values)

    def identity(item: Configuration) -> Hashable:
        return structures.of([item])[0], item.hyperparameters

    return tuning.study(chosen, order, identity)


def by_gain(points: Iterable[PointResult], default: Values, best_values: Values) -> list[str]:
    """Order hyperparameters, that first whose best value has the higher mean than its default over all points.

    Those whose values the points do not tell apart come last, in the order of the space.
    """
    valued = [(item.point.values, item.value) for item in points if item.status == "complete"]
    names: dict[str, None] = dict.fromkeys(name for values in (best_values, default) for name in values)

    def gain(name: str) -> float:
        means = [_mean_where(valued, name, values.get(name)) for values in (best_values, default)]
        return -math.inf if math.isnan(means[0] - means[1]) else means[0] - means[1]

    return sorted(names, key=gain, reverse=True)


def _mean_where(valued: Sequence[tuple[Mapping[str, Any], float | None]], name: str, wanted: Any) -> float:
    found = [value for values, value in valued if value is not None and values.get(name) == wanted]
    return math.fsum(found) / len(found) if found else math.nan
