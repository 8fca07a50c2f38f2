"""Is everything in a store as it was written? Names what is damaged, impossible or at odds with itself."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc

from fmnist import UserError
from fmnist.data import DATASET
from fmnist.declare import METRICS, Seeds, id_of_run, seeds_of_repeat
from fmnist.store.rows import is_written_row
from fmnist.store.store import Store

SEEDS = [f"seed_{name}" for name in Seeds.__dataclass_fields__]
IDENTITY = ["run_id", "configuration_id", "label", "repeat", "placement", "status", "data_fingerprint", *SEEDS]
OUTCOME = [name for name, metric in METRICS.items() if metric.chapter == "accuracy"]  # the same wherever it is computed


def check_store(store: Store) -> tuple[int, list[str]]:
    """Read every row and manifest; give the number of rows that could be read, and in words what is wrong.

    Wrong are: a file that is damaged, or was changed since it was written; a value that no run can have; an id that
    does not follow from configuration and seeds; rows of one run that differ; predictions that are not one an image;
    a manifest that is damaged or stands under another name. OSError if the store cannot be read.
    """
    problems: list[str] = []
    outcomes: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    count = 0
    for table in store.all_rows([*IDENTITY, *OUTCOME, "test_predicted"]):
        lengths = pc.list_value_length(table["test_predicted"]).to_pylist()
        rows = table.drop_columns(["test_predicted"]).to_pylist()
        count += len(rows)
        for row, length in zip(rows, lengths, strict=True):
            problems += [f"{row['label']} repeat {row['repeat']}: {what}" for what in _row_problems(row, length)]
            if row["status"] == "ok":
                outcomes[row["run_id"]].add(tuple(row[name] for name in OUTCOME))
    problems += [f"{path}: {reason}" for path, reason in store.damaged.items()]
    problems += [f"run {run}: {len(found)} rows that differ" for run, found in outcomes.items() if len(found) > 1]
    problems += [*_changed_files(store), *_manifest_problems(store)]
    return count, problems


def _row_problems(row: dict[str, Any], images: int | None) -> Iterator[str]:
    seeds = Seeds(**{name: row[f"seed_{name}"] for name in Seeds.__dataclass_fields__})
    if seeds != seeds_of_repeat(row["repeat"]):
        yield "its seeds are not those of its repeat"
    if id_of_run(row["configuration_id"], seeds) != row["run_id"]:
        yield f"run_id {row['run_id']} does not follow from its configuration and seeds"
    known = row["data_fingerprint"] == DATASET.fingerprint and row["status"] == "ok"
    if known and images != DATASET.test_count:
        yield f"{images} predictions for {DATASET.test_count} test images"


def _changed_files(store: Store) -> Iterator[str]:
    for file in store.storage.files("runs", ".parquet"):
        if not is_written_row(file.path, store.storage.get(file.path)):
            yield f"{file.path}: its content is not the one that its name was made of"


def _manifest_problems(store: Store) -> Iterator[str]:
    for file in store.storage.files("studies", ".json"):
        name = file.path.removeprefix("studies/").removesuffix(".json")
        try:
            manifest = store.read_manifest(name)
        except UserError as error:
            yield str(error)
            continue
        if manifest and manifest["name"] != name:
            yield f"{file.path}: it is the manifest of {manifest['name']!r}"
