"""A run between two epochs as bytes, from which the same run resumes in another process."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fmnist.train.schedule import TrainingState

Array = npt.NDArray[Any]


class UnusableCheckpointError(ValueError):
    """A checkpoint that the run cannot resume from: damaged, or of another run or model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything that a run needs to resume elsewhere as if it had not been interrupted."""

    run_id: str
    state: TrainingState
    clocks: dict[str, float]
    host_allocated_bytes: int | None
    variables: Sequence[Array]  # the engine's, in its order
    best_weights: Sequence[Array]  # the model's of the best epoch, empty where they are not kept

    def to_bytes(self) -> bytes:
        """Serialise as an npz archive, which holds no code: loading one from elsewhere runs nothing."""
        described = {
            "run_id": self.run_id,
            "state": asdict(self.state),
            "clocks": self.clocks,
            "host_allocated_bytes": self.host_allocated_bytes,
        }
        arrays = {f"variable_{index}": array for index, array in enumerate(self.variables)}
        arrays |= {f"best_{index}": array for index, array in enumerate(self.best_weights)}
        buffer = io.BytesIO()
        np.savez(buffer, description=np.array(json.dumps(described)), **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote; UnusableCheckpointError for anything else."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                described = json.loads(str(archive["description"]))
                described["state"] = TrainingState(**described["state"])
                return cls(
                    **described, variables=_numbered(archive, "variable"), best_weights=_numbered(archive, "best")
                )
        except (OSError, EOFError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
            raise UnusableCheckpointError(
                f"checkpoint: got {len(content)} bytes that are none of a run ({error}); train it from the start"
            ) from error


def _numbered(archive: Any, prefix: str) -> list[Array]:
    count = sum(name.startswith(f"{prefix}_") for name in archive.files)
    return [archive[f"{prefix}_{index}"] for index in range(count)]
