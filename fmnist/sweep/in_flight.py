"""The runs that are computed right now, as files of the results: who has claimed them, how far they are. No Ray here.

A claim is an empty file that makes another sweep on the same results take other runs first; a checkpoint is the run
after its latest saved epoch, from which it resumes where its process, node or sweep is gone. Both go when the run's row
is in place. They save time and decide nothing: where the storage does not answer, runs are computed without them.
"""

import logging
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import PurePosixPath

from fmnist.declare import RunSpec
from fmnist.store import Storage
from fmnist.train import code_version

FOLDER = "inflight"  # of the results: `<run_id>.<placement>.<code version>.<kind>`

Key = tuple[str, str]  # run_id, placement
log = logging.getLogger(__name__)


def key_of(path: str) -> Key:
    """Tell which run a file is of: the names of rows, checkpoints and claims begin with `<run_id>.<placement>.`."""
    run_id, placement = PurePosixPath(path).name.split(".")[:2]
    return run_id, placement


@contextmanager
def best_effort(doing: str) -> Iterator[None]:
    """Log an error of the storage instead of raising it, so that the function returns None; no file is no error."""
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("could not %s: %s", doing, error)


class _Files:
    """Files of one kind in one storage, by one version of the code: other code may train otherwise."""

    kind: str

    def __init__(self, storage: Storage, version: str | None = None) -> None:
        self._storage = storage
        self._ending = f"{version or code_version()}.{self.kind}"

    def path(self, run: RunSpec) -> str:
        """Where the file of a run is, below the results."""
        return f"{FOLDER}/{run.run_id}.{run.placement}.{self._ending}"

    @best_effort("remove the claim or checkpoint of a run")
    def delete(self, run: RunSpec) -> None:
        """Take a claim back, so that whoever comes next computes the run; delete a checkpoint that is of no use."""
        self._storage.delete([self.path(run)])


class Claims(_Files):
    """The claims by sweeps of one version of the code."""

    kind = "claim"

    @best_effort("claim a run")
    def claim(self, run: RunSpec) -> bool | None:
        """Claim a run; returns whether it was claimed before, None for not known."""
        if self.path(run) in _paths(self._storage):
            return True
        self._storage.put(self.path(run), b"")
        return False

    @best_effort("list the claims")
    def claimed(self) -> set[Key] | None:
        """List the runs that are claimed, None for not known; a sweep that crashed leaves its claims."""
        return {key_of(path) for path in _paths(self._storage) if path.endswith(f".{self._ending}")}


class CheckpointStore(_Files):
    """The checkpoints that one version of the code made."""

    kind = "checkpoint"

    @best_effort("save the checkpoint of a run")
    def save(self, run: RunSpec, checkpoint: bytes) -> None:
        """Keep the checkpoint of a run, replacing the earlier one."""
        self._storage.put(self.path(run), checkpoint)

    @best_effort("read the checkpoint of a run")
    def load(self, run: RunSpec) -> bytes | None:
        """Read the checkpoint of a run, None if it has to be trained from the start."""
        return self._storage.get(self.path(run))


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
