"""What is being computed right now: which runs somebody has taken on, and how far each has come. No Ray here.

Two files a run, below the results. The claim, an empty file, is there while a sweep has taken the run on, so that a
second sweep of the same study turns to other runs first. The state is that of the training after the latest saved
epoch, so that a run whose process, node or sweep is gone goes on from there. Both go when the run's row is in place.

All of this saves time and decides nothing: where the storage does not answer, the sweep goes on without it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Literal

from fmnist.declare import RunSpec
from fmnist.store import Storage
from fmnist.train import code_version

Key = tuple[str, str]  # run_id, placement

FOLDER = "inflight"

log = logging.getLogger(__name__)


class InFlight:
    """The runs under way on the results of one storage, as computed by one version of the code."""

    def __init__(self, storage: Storage, version: str | None = None) -> None:
        self._storage = storage
        self.version = version or code_version()

    def claim(self, run: RunSpec) -> bool:
        """Say that somebody is about to compute this run; False if it was said before. A state that is there stays."""
        with _best_effort("note that a run is taken on"):
            claim = self._path(run, "claim")
            if claim in self._paths():
                return False
            self._storage.put(claim, b"")
        return True

    def claimed(self) -> set[Key]:
        """List the runs that somebody computes with this version of the code; a sweep that crashed leaves its own."""
        with _best_effort("list the runs under way"):
            return {key_of(path) for path in self._paths() if path.endswith(f".{self.version}.claim")}
        return set()

    def save(self, run: RunSpec, state: bytes) -> None:
        """Keep the training state of a run, replacing the earlier one."""
        with _best_effort("save the state of a run"):
            self._storage.put(self._path(run, "state"), state)

    def load(self, run: RunSpec) -> bytes | None:
        """Read the training state of a run, None if it has to start at the beginning."""
        with _best_effort("read the state of a run"):
            return self._storage.get(self._path(run, "state"))
        return None

    def drop(self, run: RunSpec, kind: Literal["claim", "state"]) -> None:
        """Take a claim back, so that the state is there for whoever goes on; or delete a state that is of no use."""
        with _best_effort(f"remove the {kind} of a run"):
            self._storage.delete([self._path(run, kind)])

    def clear(self, run: RunSpec) -> None:
        """Forget a run that is finished or given up, whatever version of the code began it."""
        with _best_effort("remove the state of a run"):
            self._delete_all({(run.run_id, run.placement)})

    def tidy(self, finished: Set[Key]) -> None:
        """Forget the runs that are `finished`, and what was left for a day: claims, and states of other code."""
        with _best_effort("remove what earlier sweeps left"):
            self._delete_all(finished)
            own_state = f".{self.version}.state"
            self._storage.delete_old(FOLDER, lambda name: not name.endswith(own_state))
            self._storage.delete_old("models")

    def _paths(self) -> list[str]:
        return [file.path for file in self._storage.files(FOLDER, "")]

    def _delete_all(self, runs: Set[Key]) -> None:
        self._storage.delete([path for path in self._paths() if key_of(path) in runs])

    def _path(self, run: RunSpec, kind: Literal["claim", "state"]) -> str:
        return f"{FOLDER}/{run.run_id}.{run.placement}.{self.version}.{kind}"


def key_of(path: str) -> Key:
    """Tell which run a file is of: the names of rows and states begin with `<run_id>.<placement>.`."""
    run_id, placement = PurePosixPath(path).name.split(".")[:2]
    return run_id, placement


@contextmanager
def _best_effort(doing: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("could not %s: %s", doing, error)
