"""Which runs a sweep computes right now, so that another one on the same results takes other runs first. No Ray here.

A claim is an empty file beside the run's checkpoint; both go when the run's row is in place. A claim saves time and
decides nothing: where the storage does not answer, the sweep computes without it.
"""

from collections.abc import Set

from fmnist.declare import RunSpec
from fmnist.store import Storage
from fmnist.sweep.checkpoints import FOLDER, Key, best_effort, key_of
from fmnist.train import code_version


class Claims:
    """The claims in one storage by sweeps of one version of the code."""

    def __init__(self, storage: Storage, version: str | None = None) -> None:
        self._storage = storage
        self._ending = f"{version or code_version()}.claim"

    @best_effort("claim a run")
    def claim(self, run: RunSpec) -> bool | None:
        """Claim a run; returns whether it was claimed before, None for not known."""
        path = self._path(run)
        if path in _paths(self._storage):
            return True
        self._storage.put(path, b"")
        return False

    @best_effort("list the claims")
    def claimed(self) -> set[Key] | None:
        """List the runs that are claimed, None for not known; a sweep that crashed leaves its claims."""
        return {key_of(path) for path in _paths(self._storage) if path.endswith(f".{self._ending}")}

    @best_effort("take back the claim of a run")
    def release(self, run: RunSpec) -> None:
        """Take a claim back, so that whoever comes next computes the run, from its checkpoint."""
        self._storage.delete([self._path(run)])

    def _path(self, run: RunSpec) -> str:
        return f"{FOLDER}/{run.run_id}.{run.placement}.{self._ending}"


@best_effort("remove the claims and checkpoints of finished runs")
def forget(storage: Storage, runs: Set[Key]) -> None:
    """Delete claims and checkpoints of runs that are finished or given up, whichever version of the code made them."""
    storage.delete([path for path in _paths(storage) if key_of(path) in runs])


@best_effort("remove what earlier sweeps left")
def forget_old(storage: Storage) -> None:
    """Delete what was left for a day: claims, checkpoints of other code, and parts of files."""
    storage.delete_old(FOLDER, lambda name: not name.endswith(f".{code_version()}.checkpoint"))
    storage.delete_old("models")


def _paths(storage: Storage) -> list[str]:
    return [file.path for file in storage.files(FOLDER, "")]
