"""Rows as training would write them, made from chosen figures: for tests and benchmarks of the report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fmnist.data.dataset import Dataset
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import fingerprint, seeds_of_repeat
from fmnist.declare.metrics import DEFAULT_MARGINS
from fmnist.report.chapter import StudyReport
from fmnist.report.chapters import report_study
from fmnist.report.selection import select_studies
from fmnist.report.study_data import StudyData, gather
from fmnist.report.style import Style
from fmnist.store.schema import SCHEMA
from fmnist.store.store import Store

DATA_FINGERPRINT = "synthetic-data00"
TEST_IMAGES = 10_000
MIB = 2.0**20
# true class -> the classes it is mistaken for, the likeliest first: Shirt for T-shirt/top and so on
_MISTAKEN_FOR = ((6, 3), (3, 0), (4, 6), (0, 4), (2, 6), (7, 9), (0, 2), (9, 5), (5, 6), (7, 5))
_DIFFICULTY = np.array([1.5, 0.2, 1.7, 0.9, 1.6, 0.3, 3.0, 0.4, 0.2, 0.4])  # a class's share of the mistakes


@dataclass(frozen=True, kw_only=True)
class Maker:
    """One configuration of a made-up study: what its runs come to on average, and how much they spread."""

    label: str
    accuracy: float
    architecture: str = ""  # the label unless given
    spread: float = 0.002
    same_mistakes: bool = False  # all runs are wrong on the same images, as far as their number goes
    train_seconds: float = 60.0
    host_allocated_bytes: float = 300 * MIB
    parameter_count: int = 225_930
    epochs: int = 10
    statuses: dict[int, str] = field(default_factory=dict)  # repeat -> status, where it is not ok
    left_out: frozenset[int] = frozenset()  # repeats without a row
    generation: str = "present"  # another one is another configuration under the same label
    settings: Mapping[str, Any] = field(default_factory=dict)  # hyperparameters other than those of all

    @property
    def configuration_id(self) -> str:
        return fingerprint({"label": self.label, "generation": self.generation})


SIX = (
    Maker(label="lenet5", accuracy=0.893, train_seconds=45, host_allocated_bytes=150 * MIB, parameter_count=61_706),
    Maker(label="brownlee", accuracy=0.899, train_seconds=80, host_allocated_bytes=210 * MIB, parameter_count=542_230),
    Maker(label="own_v1", accuracy=0.913, train_seconds=90, host_allocated_bytes=260 * MIB, parameter_count=225_034),
    Maker(label="own_v2", accuracy=0.904, train_seconds=92, host_allocated_bytes=262 * MIB, parameter_count=225_034),
    Maker(label="own_v3", accuracy=0.9205, train_seconds=170, host_allocated_bytes=340 * MIB),
    Maker(
        label="efficientnet_small",
        accuracy=0.9215,
        train_seconds=610,
        host_allocated_bytes=520 * MIB,
        parameter_count=250_000,
        epochs=20,
    ),
)


def balanced_labels() -> npt.NDArray[np.uint8]:
    """Draw 10,000 true classes, 1,000 of each, as Fashion-MNIST's test set has them."""
    return np.random.default_rng(7).permutation(np.repeat(np.arange(10, dtype=np.uint8), TEST_IMAGES // 10))


def rows_of(
    makers: Sequence[Maker],
    repeats: int,
    *,
    placement: str = "exclusive",
    study: str = "made_up",
    labels: npt.NDArray[np.uint8] | None = None,
    fingerprint: str = DATA_FINGERPRINT,
    device_model: str = "AMD EPYC 7B13",
) -> Iterator[dict[str, Any]]:
    """Make a row of each configuration in each repeat; the same arguments make the same rows."""
    true_classes = balanced_labels() if labels is None else labels
    for repeat in range(repeats):
        block = np.random.default_rng([11, repeat]).normal()  # what a repeat's split does to every configuration
        for position, maker in enumerate(makers):
            if repeat in maker.left_out:
                continue
            random = np.random.default_rng([13, repeat, position])
            row = _identity(maker, repeat, study, fingerprint)
            row |= _circumstances(placement, device_model, repeat, position)
            status = maker.statuses.get(repeat, "ok")
            row |= _outcome(maker, block, random, true_classes) if status == "ok" else _no_outcome(maker, status)
            yield row


def _identity(maker: Maker, repeat: int, study: str, data: str) -> dict[str, Any]:
    seeds = asdict(seeds_of_repeat(repeat))
    return {
        "run_id": fingerprint({"configuration": maker.configuration_id, "seeds": seeds}),
        "configuration_id": maker.configuration_id,
        "study": study,
        "label": maker.label,
        "architecture": maker.architecture or maker.label,
        "repeat": repeat,
        **{f"seed_{name}": seed for name, seed in seeds.items()},
        **asdict(Hyperparameters(**{"epochs": maker.epochs, **maker.settings})),
        "data_fingerprint": data,
    }


def _circumstances(placement: str, device_model: str, repeat: int, position: int) -> dict[str, Any]:
    return {
        "placement": placement,
        "neighbours": 0 if placement == "exclusive" else 1,
        "threads": 1,
        "gpus": 0.0,
        "device_model": device_model,
        "device_kind": "CPU",
        "compute_dtype": "float32",
        "node": "node-1",
        "attempts": 1,
        "resumed": False,
        "commit": "2164a57",
        "dirty": False,
        "python_version": "3.11.2",
        "tensorflow_version": "2.21.0",
        "keras_version": "3.15.1",
        "numpy_version": "2.4.6",
        "ray_version": "2.60.0",
        "started_at": datetime(2026, 11, 24, 8, 0, tzinfo=UTC) + timedelta(minutes=12 * repeat + position),
    }


def _outcome(
    maker: Maker, block: float, random: np.random.Generator, true_classes: npt.NDArray[np.uint8]
) -> dict[str, Any]:
    wanted = maker.accuracy + maker.spread * (0.5 * block + 0.87 * random.normal())
    fixed = np.random.default_rng([*map(ord, maker.label)]) if maker.same_mistakes else None
    predicted, confidence = predictions_of(wanted, random, true_classes, fixed)
    accuracy = float(np.mean(predicted == true_classes))
    history = history_of(accuracy, maker, random)
    best = min(history, key=lambda epoch: epoch["validation_loss"])
    seconds = maker.train_seconds * float(random.lognormal(0, 0.02))
    return {
        "status": "ok",
        "test_accuracy": accuracy,
        "validation_accuracy": best["validation_accuracy"],
        "train_accuracy": min(accuracy + 0.025, 1.0),
        "test_loss": best["validation_loss"] * 1.04,
        "validation_loss": best["validation_loss"],
        "train_loss": best["train_loss"],
        "best_epoch": best["epoch"],
        "epochs_run": len(history),
        "compile_seconds": 2.5,
        "train_seconds": seconds,
        "epoch_seconds": seconds / len(history),
        "evaluate_seconds": seconds * 0.1,
        "total_seconds": seconds * 1.1 + 2.5,
        "parameter_count": maker.parameter_count,
        "host_allocated_bytes": int(maker.host_allocated_bytes * random.lognormal(0, 0.01)),
        "host_library_bytes": 90 * 2**20,
        "history": history,
        "test_predicted": predicted,
        "test_confidence": confidence,
    }


def _no_outcome(maker: Maker, status: str) -> dict[str, Any]:
    errors = {"failed": "MemoryError: the process was killed", "diverged": "loss was nan in epoch 3"}
    return {"status": status, "error": errors.get(status), "parameter_count": maker.parameter_count}


def predictions_of(
    accuracy: float,
    random: np.random.Generator,
    true_classes: npt.NDArray[np.uint8],
    fixed: np.random.Generator | None = None,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """Predict `accuracy` of the images rightly: the mistakes fall where the classes are hard, and are less sure.

    `fixed`, if given, draws the order in which images are mistaken, else each run has its own.
    """
    count = len(true_classes)
    wrong_count = round((1 - accuracy) * count)
    weights = _DIFFICULTY[true_classes]
    if fixed is None:
        wrong = random.choice(count, size=wrong_count, replace=False, p=weights / weights.sum())
    else:
        wrong = np.argsort(fixed.exponential(size=count) / weights)[:wrong_count]
    predicted = true_classes.copy()
    mistaken = np.array(_MISTAKEN_FOR, dtype=np.uint8)[true_classes[wrong]]
    predicted[wrong] = mistaken[np.arange(wrong_count), (random.random(wrong_count) < 0.3).astype(int)]
    confidence = 1 - 0.6 * random.beta(0.25, 2.5, count)
    confidence[wrong] = 0.35 + 0.65 * random.beta(2.2, 1.6, wrong_count)
    return predicted, confidence.astype(np.float16)


def history_of(accuracy: float, maker: Maker, random: np.random.Generator) -> list[dict[str, Any]]:
    """Make an epoch record for each epoch: curves that rise to about `accuracy`, some runs stopping early."""
    count = max(maker.epochs - int(random.integers(0, 3)), 1)
    rise = 0.35 * np.exp(-np.arange(count) / 2.5)
    noise = random.normal(0, 0.002, (2, count))
    level = 0.23 + 2.5 * (0.91 - accuracy) + float(random.normal(0, 0.004))
    return [
        {
            "epoch": index + 1,
            "train_accuracy": float(min(accuracy + 0.004 * index - rise[index] + noise[0, index], 0.999)),
            "train_loss": float(level - 0.05 + 1.5 * rise[index] - 0.006 * index + noise[0, index]),
            "validation_accuracy": float(min(accuracy + 0.003 - 0.5 * rise[index] + noise[1, index], 0.999)),
            "validation_loss": float(level + 0.9 * rise[index] + 0.0012 * index + 0.5 * noise[1, index]),
            "learning_rate": 1e-3 * 0.5 ** (index // 7),
            "seconds": maker.train_seconds / count,
        }
        for index in range(count)
    ]


def manifest_of(makers: Sequence[Maker], repeats: int, **changes: Any) -> dict[str, Any]:
    """Describe the made-up study as the sweep writes it beside the rows."""
    return {
        "name": "made_up",
        "question": "Which of the made-up architectures is the most accurate?",
        "primary_metric": "test_accuracy",
        "margins": dict(DEFAULT_MARGINS),
        "repeats": repeats,
        "placement": "exclusive",
        "configurations": [
            {
                "configuration_id": maker.configuration_id,
                "label": maker.label,
                "architecture": maker.architecture or maker.label,
            }
            for maker in makers
        ],
        **changes,
    }


def study_data_of(
    directory: Path, makers: Sequence[Maker], repeats: int, dataset: Dataset | None = None, **changes: Any
) -> StudyData:
    """Write the rows and the manifest of a study into `directory` and gather what its report would say."""
    store = Store(directory)
    for row in rows_of(makers, repeats):
        store.write(row)
    store.write_manifest(manifest_of(makers, repeats, **changes))
    return gather(select_studies(store)[0], store, dataset)


def searched_rows(rows: Iterable[dict[str, Any]], lift: float = 0.0) -> Iterator[dict[str, Any]]:
    """Make of rows those of a search: without a score of the test set, `lift` higher on validation."""
    for row in rows:
        unknown = ("test_accuracy", "test_loss", "train_accuracy", "train_loss", "test_predicted", "test_confidence")
        validation = {"validation_accuracy": min(row["validation_accuracy"] + lift, 1.0)}
        yield {**row, **dict.fromkeys(unknown), **validation, "status": "validated", "study": "grid"}


def tuning_store(
    directory: Path,
    makers: Sequence[Maker],
    labels: Mapping[str, Sequence[str]],
    *,
    searched: int = 3,
    repeats: int = 10,
    **changes: Any,
) -> Store:
    """Write a store in which a search chose each architecture's last label, and a study then ran all of them anew."""
    store, chosen = Store(directory), {way[-1] for way in labels.values()}
    rows = list(rows_of(makers, searched + repeats, study="winners", labels=changes.pop("test_labels", None)))
    for row in rows:
        if row["repeat"] >= searched:
            store.write(row)
    before = (row for row in rows if row["repeat"] < searched and row["label"] in chosen)
    for row in searched_rows(before, lift=0.004):
        store.write(row)
    described = {"name": "winners", "first_repeat": searched, "tuning": {"search": "grid", "labels": labels}}
    store.write_manifest(manifest_of(makers, repeats, **{**described, **changes}))
    return store


def without_figures(data: StudyData, styles: Mapping[str, Style]) -> StudyReport:
    """The report on a study with every chapter's text and tables, and no figure drawn."""
    report = report_study(data, styles)
    return replace(report, chapters=[replace(chapter, figures=()) for chapter in report.chapters])


def table_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Put rows into a table of the store's schema; what a row lacks is null."""
    return pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)


def write_bulk_store(directory: Path, count: int, *, labels: npt.NDArray[np.uint8], fingerprint: str) -> None:
    """Write a compacted store of about `count` rows fast: 64 runs of each configuration, again and again as new runs.

    Every row has its own run_id, repeat and test accuracy's block; its predictions and history are one of the 64.
    """
    repeats = -(-count // len(SIX))
    pool_repeats = min(repeats, 64)
    pool = table_of(list(rows_of(SIX, pool_repeats, labels=labels, fingerprint=fingerprint)))
    (directory / "compacted").mkdir(parents=True)
    (directory / "studies").mkdir()
    manifest = manifest_of(SIX, repeats)
    (directory / "studies" / "made_up.json").write_text(json.dumps(manifest))
    for part, first in enumerate(range(0, repeats, pool_repeats)):
        again = _renumber(pool, first).filter(pa.array(pool["repeat"].to_numpy() + first < repeats))
        path = directory / "compacted" / f"{part:06d}.parquet"
        pq.write_table(again, path, compression="zstd", row_group_size=64)


def _renumber(pool: pa.Table, first: int) -> pa.Table:
    repeats = pool["repeat"].to_numpy() + first
    identities = [f"{name}-{repeat:06d}" for name, repeat in zip(pool["label"].to_pylist(), repeats, strict=True)]
    table = pool.set_column(
        pool.schema.get_field_index("repeat"), SCHEMA.field("repeat"), pa.array(repeats, pa.int32())
    )
    return table.set_column(table.schema.get_field_index("run_id"), SCHEMA.field("run_id"), pa.array(identities))
