"""The study of what a search found, made from the search's rows."""

from collections.abc import Hashable, Sequence

from fmnist import UserError
from fmnist.compare import best, importances
from fmnist.declare import Configuration, Study, Tuning, Values
from fmnist.store import Store
from fmnist.sweep.search_progress import SearchProgress
from fmnist.sweep.structures import Structures


def tuned_study(tuning: Tuning, store: Store, structures: Structures, data_fingerprint: str) -> Study:
    """Make the study; UserError where the search has not found every architecture's best point yet.

    A path changes the most important hyperparameter first.
    """
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
        if tuning.path:
            order[architecture] = importances(points, tuning.search.space_of(architecture))["hyperparameter"].tolist()

    def identity(item: Configuration) -> Hashable:
        return structures.of([item])[0], item.hyperparameters

    return tuning.study(chosen, order, identity)
