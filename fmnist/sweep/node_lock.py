"""Who computes on a node: each run holds a lock there that others see, and an exclusive one waits until it is alone.

A lock is a locked file in a folder of the machine that all its users share; it ends with the process. So runs of other
sweeps and other users are seen; those in a container with a temporary folder of its own are not.
"""

import fcntl
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fmnist.declare import Placement

FOLDER = Path(tempfile.gettempdir()) / "fmnist-runs"


@dataclass(frozen=True)
class Occupancy:
    """What a run computes on: the whole node, or one of its GPUs."""

    placement: Placement
    gpu: str = ""  # number or UUID of the GPU; none: the node's CPUs

    def is_disturbed_by(self, other: Self) -> bool:
        """Whether `other` is a neighbour: on CPUs every run of the node, on a GPU those on the same GPU."""
        return not self.gpu or self.gpu == other.gpu

    def excludes(self, other: Self) -> bool:
        """Whether this run is exclusive and `other` would disturb it."""
        return self.placement == "exclusive" and self.is_disturbed_by(other)


class NodeLock:
    """The lock of one run on this node, from `acquire` to `release`, or to the end of the process."""

    def __init__(self, occupancy: Occupancy, folder: Path = FOLDER) -> None:
        self._occupancy, self._folder = occupancy, folder
        self._path = folder / f"{uuid.uuid4().hex}.lock"
        self._file: int | None = None
        self.neighbours = 0  # most runs that were seen to disturb this one at the same time
        with suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(0o1777)  # every user may add files, and remove their own

    def acquire(self) -> bool:
        """Take the lock, unless this run or one that is there is exclusive and would be disturbed; returns whether."""
        with self._others() as others:
            if any(other.excludes(self._occupancy) or self._occupancy.excludes(other) for other in others):
                return False
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            os.fchmod(self._file, 0o644)  # others read it, whatever the umask
            fcntl.flock(self._file, fcntl.LOCK_EX)
            os.write(self._file, f"{self._occupancy.placement} {self._occupancy.gpu}".encode())
        self.look()
        return True

    def look(self) -> None:
        """See who is here now; the largest number counts."""
        with self._others() as others:
            self.neighbours = max(self.neighbours, sum(map(self._occupancy.is_disturbed_by, others)))

    def release(self) -> None:
        """Give the lock back; does nothing where it is not held."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    @contextmanager
    def _others(self) -> Iterator[list[Occupancy]]:
        """List who is here; nobody comes meanwhile, since the folder is locked, which takes no right to write."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            paths = [path for path in self._folder.glob("*.lock") if path != self._path]
            yield [found for path in paths if (found := _holder(path)) is not None]
        finally:
            os.close(folder)


def _holder(path: Path) -> Occupancy | None:
    """Tell what the living process that holds the lock of `path` computes on; remove the file if there is none."""
    with suppress(OSError), path.open() as file:  # it has just gone, or is another user's, who will remove it
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            path.unlink()
        except BlockingIOError:
            placement, _, gpu = file.read().partition(" ")
            return Occupancy("exclusive" if placement == "exclusive" else "shared", gpu)
    return None
