"""How far a run has come and what follows from it: learning rate, best epoch, when to stop. And its bytes on disk."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fmnist.declare import Hyperparameters

Array = npt.NDArray[Any]

PLATEAU_MINIMUM_GAIN = 1e-4  # Keras' ReduceLROnPlateau takes a smaller gain of the loss for none


@dataclass(slots=True, kw_only=True)
class Progress:
    """History and schedule of one run. The rules are those of Keras' EarlyStopping and ReduceLROnPlateau."""

    learning_rate: float
    history: list[dict[str, float]] = field(default_factory=list)  # one EPOCH struct an epoch
    best_epoch: int | None = None  # from 1
    best_loss: float = math.inf
    plateau_loss: float = math.inf
    epochs_on_plateau: int = 0
    finished: bool = False

    def record(self, entry: dict[str, float], settings: Hyperparameters) -> bool:
        """Take in an epoch; return whether its validation loss is the best so far."""
        self.history.append(entry)
        epoch, loss = len(self.history), entry["validation_loss"]
        is_best = loss < self.best_loss
        if is_best:
            self.best_loss, self.best_epoch = loss, epoch
        self._reduce_on_plateau(loss, settings)
        patience = settings.early_stopping_patience
        waited = epoch - (self.best_epoch or 0)
        stops_early = patience is not None and epoch > 1 and not is_best and waited >= patience
        self.finished = stops_early or epoch >= settings.epochs
        return is_best

    def _reduce_on_plateau(self, loss: float, settings: Hyperparameters) -> None:
        if settings.plateau_patience is None:
            return
        if loss < self.plateau_loss - PLATEAU_MINIMUM_GAIN:
            self.plateau_loss, self.epochs_on_plateau = loss, 0
            return
        self.epochs_on_plateau += 1
        if self.epochs_on_plateau >= settings.plateau_patience:
            reduced = max(self.learning_rate * settings.plateau_factor, settings.minimum_learning_rate)
            # a rate that starts below the minimum stays: a plateau never raises it
            self.learning_rate = min(self.learning_rate, reduced)
            self.epochs_on_plateau = 0


class UnusableSnapshotError(ValueError):
    """A saved state that no run can go on from: damaged, or of another run or model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that a run needs to go on elsewhere as if it had not been disturbed."""

    run_id: str
    progress: Progress
    clocks: dict[str, float]
    host_allocated_bytes: int | None
    variables: Sequence[Array]  # the engine's, in its order
    best_weights: Sequence[Array]  # the model's of the best epoch, empty where they are not kept

    def to_bytes(self) -> bytes:
        """Serialise as an npz archive, which holds no code: loading one from elsewhere runs nothing."""
        described = {
            "run_id": self.run_id,
            "progress": asdict(self.progress),
            "clocks": self.clocks,
            "host_allocated_bytes": self.host_allocated_bytes,
        }
        arrays = {f"variable_{index}": array for index, array in enumerate(self.variables)}
        arrays |= {f"best_{index}": array for index, array in enumerate(self.best_weights)}
        buffer = io.BytesIO()
        np.savez(buffer, description=np.array(json.dumps(described)), **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Snapshot:
        """Read what `to_bytes` wrote; UnusableSnapshotError for anything else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                described = json.loads(str(archive["description"]))
                described["progress"] = Progress(**described["progress"])
                return cls(
                    **described, variables=_numbered(archive, "variable"), best_weights=_numbered(archive, "best")
                )
        except (OSError, EOFError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
            raise UnusableSnapshotError(
                f"state: got {len(content)} bytes that are not a snapshot of a run ({error}); train it from the start"
            ) from error


def _numbered(archive: Any, prefix: str) -> list[Array]:
    count = sum(name.startswith(f"{prefix}_") for name in archive.files)
    return [archive[f"{prefix}_{index}"] for index in range(count)]
