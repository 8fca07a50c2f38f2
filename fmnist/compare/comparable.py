"""Which rows may be compared: one per configuration and repeat, and for time and memory one placement and hardware.

Use: `select_comparable(frame, METRICS["train_seconds"])` before `comparison.compare_pairs`, for every metric; it
returns the rows to compare or raises UserError. `metric_table` is the matrix that the tests work on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fmnist import UserError
from fmnist.declare import Metric

HARDWARE_COLUMNS = ("device_model", "threads", "gpus")


def select_comparable(frame: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Keep one row per label and repeat on which `metric` may be compared; rows of failed runs stay, their value null.

    Accuracy and size: any placement; where a run was made in both, its exclusive row. Time and memory: rows placed
    `exclusive`, without another run beside them after all, not resumed from a checkpoint, of one hardware (device
    model, threads, share of a GPU); a label without such a row is left out. Needs the columns label, repeat, placement,
    neighbours, resumed, device_model, threads and gpus.

    Raises UserError where such rows are missing so that none, or of several labels only one, is left, and where the
    hardware is mixed.
    """
    chosen = frame
    if metric.needs_exclusive:
        chosen = _exclusive_rows(frame, metric)
        _refuse_mixed_hardware(chosen, metric)
    exclusive_first = chosen.sort_values(["label", "repeat", "placement"], kind="stable")  # exclusive before shared
    return exclusive_first.drop_duplicates(["label", "repeat"]).reset_index(drop=True)


def hardware_of(frame: pd.DataFrame) -> list[str]:
    """Describe the hardware of the rows, one entry for each kind: `MODEL, 1 thread, 0 GPU`."""
    kinds = frame[list(HARDWARE_COLUMNS)].dropna(how="all").drop_duplicates()
    return sorted(
        f"{row.device_model}, {row.threads:g} thread{'' if row.threads == 1 else 's'}, {row.gpus:g} GPU"
        for row in kinds.itertuples()
    )


def metric_table(frame: pd.DataFrame, metric: Metric, labels: Sequence[str] | None = None) -> pd.DataFrame:
    """Arrange a metric as a matrix: index repeat (sorted), one float64 column per label; NaN where there is no value.

    `labels` fixes the columns and their order (default: all, sorted). Infinite values count as missing.
    Raises UserError for two rows of one label and repeat, and where select_comparable would choose or refuse.
    """
    twice = frame.duplicated(["label", "repeat"])
    if twice.any():
        first = frame[twice].iloc[0]
        raise UserError(
            f"label {first['label']!r} has two rows of repeat {first['repeat']}; expected one:"
            " choose by comparable.select_comparable first"
        )
    valued = frame[frame[metric.name].notna()]
    if metric.needs_exclusive and "placement" in frame and len(select_comparable(valued, metric)) < len(valued):
        raise UserError(f"{metric.label}: got rows that are not alike, expected those of comparable.select_comparable")
    # pivot, not pivot_table: it keeps labels without any value and never averages rows
    table = frame.pivot(index="repeat", columns="label", values=metric.name).astype(np.float64)  # noqa: PD010
    wanted = sorted(table.columns) if labels is None else list(labels)
    return table[wanted].where(np.isfinite(table[wanted])).sort_index()


def _exclusive_rows(frame: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    resumed, disturbed = frame["resumed"].fillna(False).astype(bool), frame["neighbours"].fillna(0) > 0
    shared = frame["placement"] != "exclusive"
    kept = frame[~(shared | resumed | disturbed)]
    lacking = sorted(set(frame["label"]) - set(kept["label"]))
    if lacking and kept["label"].nunique() < 2:
        rest = frame["label"].isin(lacking)
        reasons = {"shared a machine": shared, "had other runs beside them": disturbed & ~shared,
                   "were resumed from a checkpoint": resumed & ~shared}  # fmt: skip
        why = " or ".join(reason for reason, hit in reasons.items() if (hit & rest).any())
        raise UserError(f"{metric.label}: the runs of {', '.join(lacking)} {why}, expected exclusive runs, not resumed")
    return kept


def _refuse_mixed_hardware(frame: pd.DataFrame, metric: Metric) -> None:
    kinds = hardware_of(frame)
    if len(kinds) > 1:
        raise UserError(
            f"{metric.label}: got exclusive rows of {len(kinds)} kinds of hardware ({'; '.join(kinds)}), expected one"
        )
