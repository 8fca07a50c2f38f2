"""How far each run under way has come: its checkpoint after the latest saved epoch. No Ray here.

A run whose process, node or sweep is gone resumes from there. A checkpoint saves time and decides nothing: where the
storage does not answer, the run is trained without it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from fmnist.declare import RunSpec
from fmnist.store import Storage
from fmnist.train import code_version

FOLDER = "inflight"  # of the results, for checkpoints and claims: `<run_id>.<placement>.<code version>.<kind>`

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


class CheckpointStore:
    """The checkpoints in one storage that were made by one version of the code: other code may train otherwise."""

    def __init__(self, storage: Storage, version: str | None = None) -> None:
        self._storage = storage
        self.version = version or code_version()

    @best_effort("save the checkpoint of a run")
    def save(self, run: RunSpec, checkpoint: bytes) -> None:
        """Keep the checkpoint of a run, replacing the earlier one."""
        self._storage.put(self._path(run), checkpoint)

    @best_effort("read the checkpoint of a run")
    def load(self, run: RunSpec) -> bytes | None:
        """Read the checkpoint of a run, None if it has to be trained from the start."""
        return self._storage.get(self._path(run))

    @best_effort("remove the checkpoint of a run")
    def delete(self, run: RunSpec) -> None:
        """Delete a checkpoint that is of no use."""
        self._storage.delete([self._path(run)])

    def _path(self, run: RunSpec) -> str:
        return f"{FOLDER}/{run.run_id}.{run.placement}.{self.version}.checkpoint"
