"""How many runs share a node: each one holds a lock on a file of its own, and counts the locks that others hold."""

from __future__ import annotations

import fcntl
import os
import tempfile
import uuid
from pathlib import Path

FOLDER = Path(tempfile.gettempdir()) / f"fmnist-runs-{os.getuid()}"


class NodeMark:
    """Says that one run is under way on this node, until `release`; a process that dies releases its mark."""

    def __init__(self, folder: Path = FOLDER) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.neighbours = sum(_held(path) for path in folder.glob("*.lock"))
        temporary = folder / uuid.uuid4().hex
        self._path = temporary.with_suffix(".lock")
        self._file = temporary.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        temporary.rename(self._path)  # the lock is held before anybody can see the file

    def release(self) -> None:
        """Say that the run has ended; a second call does nothing."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def _held(path: Path) -> bool:
    """Tell whether a living process holds the lock of `path`, and remove the file if none does."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
