"""Which rows may be compared: one per configuration and repeat, and for time and memory one placement and hardware.

Use: `select_comparable(frame, METRICS["train_seconds"])` before `comparison.compare_pairs`, for every metric.
`metric_table` is the matrix that the tests work on.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from fmnist.declare import Metric

Reason = Literal["shared", "disturbed", "resumed", "mixed hardware"]


class Hardware(NamedTuple):
    """What a run was computed on: columns of its row."""

    device_model: str
    threads: float
    gpus: float  # share of a GPU


class Refusal(NamedTuple):
    """Why no rows may be compared on time or memory."""

    reasons: tuple[Reason, ...]  # shared machine, other runs beside them, resumed from a checkpoint; or mixed hardware
    labels: tuple[str, ...] = ()  # without a row that may be compared; sorted
    hardware: tuple[Hardware, ...] = ()  # the kinds that are mixed


def select_comparable(frame: pd.DataFrame, metric: Metric) -> tuple[pd.DataFrame, Refusal | None]:
    """Keep one row per label and repeat on which `metric` may be compared; rows of failed runs stay, their value null.

    Accuracy and size: any placement; where a run was made in both, its exclusive row. Time and memory: rows placed
    `exclusive`, without another run beside them after all, not resumed from a checkpoint, of one hardware (device
    model, threads, share of a GPU); a label without such a row is left out. Needs the columns label, repeat, placement,
    neighbours, resumed, device_model, threads and gpus.

    Refused, with no rows, where such rows are missing so that none, or of several labels only one, is left, and where
    the hardware is mixed.
    """
    chosen, refusal = _exclusive_rows(frame) if metric.needs_exclusive else (frame, None)
    if refusal:
        return frame[:0], refusal
    exclusive_first = chosen.sort_values(["label", "repeat", "placement"], kind="stable")  # exclusive before shared
    return exclusive_first.drop_duplicates(["label", "repeat"]).reset_index(drop=True), None


def hardware_of(frame: pd.DataFrame) -> list[Hardware]:
    """List the kinds of hardware of the rows."""
    kinds = frame[list(Hardware._fields)].dropna(how="all").drop_duplicates()
    return [Hardware(*kind) for kind in kinds.itertuples(index=False)]


def metric_table(frame: pd.DataFrame, metric: Metric, labels: Sequence[str] | None = None) -> pd.DataFrame:
    """Arrange a metric as a matrix: index repeat (sorted), one float64 column per label; NaN where there is no value.

    `labels` fixes the columns and their order (default: all, sorted). Infinite values count as missing.
    Raises ValueError for two rows of one label and repeat, and where select_comparable would choose or refuse.
    """
    valued = frame[frame[metric.name].notna()]
    if metric.needs_exclusive and "placement" in frame and len(select_comparable(valued, metric)[0]) < len(valued):
        raise ValueError(f"{metric.name}: got rows that may not be compared, expected those of select_comparable")
    # pivot, not pivot_table: it keeps labels without any value and never averages rows
    table = frame.pivot(index="repeat", columns="label", values=metric.name).astype(np.float64)  # noqa: PD010
    table = table.reindex(columns=sorted(table.columns) if labels is None else list(labels))
    return table.where(np.isfinite(table)).sort_index()


def _exclusive_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, Refusal | None]:
    shared = frame["placement"] != "exclusive"
    disturbed = ~shared & (frame["neighbours"].fillna(0) > 0)
    resumed = ~shared & frame["resumed"].fillna(False).astype(bool)
    kept = frame[~(shared | resumed | disturbed)]
    lacking = sorted(set(frame["label"]) - set(kept["label"]))
    if lacking and kept["label"].nunique() < 2:
        rest = frame["label"].isin(lacking)
        causes: dict[Reason, pd.Series] = {"shared": shared, "disturbed": disturbed, "resumed": resumed}
        return kept, Refusal(tuple(reason for reason, hit in causes.items() if (hit & rest).any()), tuple(lacking))
    hardware = hardware_of(kept)
    return kept, Refusal(("mixed hardware",), hardware=tuple(hardware)) if len(hardware) > 1 else None
