"""The histories of many runs as one frame: a row an epoch, and the first, middle and last epoch of each run."""

import numpy as np
import pandas as pd
import pyarrow as pa

from fmnist.store import EPOCH, Store, schema_of

STAGES = ("first", "middle", "last")


def read_epochs(store: Store, rows: pd.DataFrame) -> pd.DataFrame:
    """Read the epochs of the given rows from the store.

    Of the rows are needed run_id, placement, configuration_id, label, repeat and pretraining_seconds. Returns the
    fields of schema.EPOCH and label, repeat, pretraining_seconds (0 where there was none) and run (a number for each of
    the given rows). Runs without history have no epochs.
    """
    wanted = rows.reset_index(drop=True)
    number = pd.Series(wanted.index, index=pd.MultiIndex.from_frame(wanted[["run_id", "placement"]]))
    columns = ["run_id", "placement", "history"]
    parts = [_flatten(table, number) for table in store.batches(columns, set(wanted["configuration_id"]))]
    frame = pd.concat(parts, ignore_index=True) if parts else _flatten(schema_of(columns).empty_table(), number)
    frame["label"] = pd.Categorical(wanted["label"].to_numpy()[frame["run"]])
    frame["repeat"] = wanted["repeat"].to_numpy()[frame["run"]]
    frame["pretraining_seconds"] = wanted["pretraining_seconds"].fillna(0.0).to_numpy()[frame["run"]]
    return frame.sort_values(["run", "epoch"], kind="stable").reset_index(drop=True)


def _flatten(table: pa.Table, number: pd.Series) -> pd.DataFrame:
    """Lay the histories of a table's wanted runs end to end; `number` maps (run_id, placement) to the run's number."""
    keys = pd.MultiIndex.from_arrays([table[name].to_pandas() for name in ("run_id", "placement")])
    runs = number.reindex(keys).fillna(-1).to_numpy(dtype=np.int64)
    history = table["history"].filter(pa.array(runs >= 0)).combine_chunks()
    lengths = history.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    flat = history.flatten()
    frame = pd.DataFrame({item.name: flat.field(item.name).to_numpy(zero_copy_only=False) for item in EPOCH})
    frame["run"] = np.repeat(runs[runs >= 0], lengths)
    return frame


def stages_of(epochs: pd.DataFrame) -> pd.DataFrame:
    """Take each run's own first, middle and last epoch; the middle of n epochs is epoch (n + 1) // 2.

    Returns the rows of `epochs` with the column `stage`; a run of one epoch is in all three.
    """
    size = epochs.groupby("run")["epoch"].transform("size")
    position = epochs.groupby("run").cumcount() + 1
    chosen = {"first": position == 1, "middle": position == (size + 1) // 2, "last": position == size}
    return pd.concat([epochs[chosen[stage]].assign(stage=stage) for stage in STAGES], ignore_index=True)
