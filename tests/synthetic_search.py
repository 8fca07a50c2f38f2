"""A made-up search: its manifest, and the rows of its runs as training would write them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from fmnist.declare import Choice, Given, Hyperparameters, Range, Space, Strategy, fingerprint
from fmnist.declare.identity import seeds_of_repeat
from tests.synthetic_rows import table_of

GRID = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "learning_rate": Choice((0.0003, 0.001, 0.003)),
        "batch_size": Choice((64, 128, 256)),
        "l2": Choice((0.0, 1e-4)),
    }
)
WIDE = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "learning_rate": Given("optimizer", {"adam": Range(1e-4, 1e-2, log=True), "sgd": Range(1e-3, 0.3, log=True)}),
        "batch_size": Choice((32, 64, 128, 256)),
        "dropout_rate": Range(0.0, 0.6),
        "l2": Choice((0.0, 1e-5, 1e-4, 1e-3)),
    }
)
LEVELS = {
    "lenet5": 0.893,
    "brownlee": 0.899,
    "own_v1": 0.913,
    "own_v2": 0.904,
    "own_v3": 0.92,
    "efficientnet_small": 0.921,
}
NODES = ("node-1", "node-2")


@dataclass(frozen=True, kw_only=True)
class MadeSearch:
    """What a made-up search tried. Tracks of one architecture share the grid's points and no drawn ones."""

    space: Space = GRID
    architectures: Sequence[str] = ("own_v1",)
    strategies: Sequence[Strategy] = (Strategy("grid"),)
    seeds: int = 1
    points: int = 16  # of each track
    repeats: int = 3
    epochs: int = 3
    name: str = "made_search"
    settings: dict[str, Any] = field(default_factory=dict)
    statuses: dict[tuple[int, int], str] = field(default_factory=dict)  # point of the first track, repeat -> status
    left_out: frozenset[tuple[int, int]] = frozenset()  # likewise, without a row
    core_seconds: float | None = None  # the declared budget of each track
    change: dict[str, Any] = field(default_factory=dict)  # of columns of every row

    def manifest(self) -> dict[str, Any]:
        """Describe it as the sweep does."""
        tracks = [
            {"architecture": architecture, "sampler": strategy.sampler, "pruning": strategy.pruning, "seed": seed,
             "generations": self._generations(architecture, strategy, seed)}
            for seed in range(self.seeds)
            for architecture in self.architectures
            for strategy in self.strategies
        ]  # fmt: skip
        return {
            "name": self.name,
            "question": "Which point of the space is the best?",
            "primary_metric": "validation_accuracy",
            "margins": {},
            "repeats": self.repeats,
            "placement": "shared",
            "configurations": _configurations(tracks),
            "search": {
                "space": self.space.to_json(),
                "settings": {"epochs": self.epochs, **self.settings},
                "strategies": [[item.sampler, item.pruning] for item in self.strategies],
                "seeds": self.seeds,
                "budget": {"points": self.points, "core_seconds": self.core_seconds},
                "architectures": list(self.architectures),
                "tracks": tracks,
            },
        }

    def _generations(self, architecture: str, strategy: Strategy, seed: int) -> list[list[dict[str, Any]]]:
        random = np.random.default_rng([seed, *map(ord, strategy.name)])
        space = self.space
        if architecture == "lenet5" and "dropout_rate" in space.dimensions:
            space = space.without(frozenset({"dropout_rate"}))
        if strategy.sampler == "grid":
            drawn = list(space.grid())
            drawn = [drawn[place] for place in random.permutation(len(drawn))][: self.points]
        else:
            drawn = [draw(space, random, strategy.sampler == "optuna") for _ in range(self.points)]
        points = [{"configuration_id": fingerprint({"of": architecture, **values}), "values": values}
                  for values in drawn]  # fmt: skip
        size = len(points) if strategy.sampler == "grid" else 4
        return [points[place : place + size] for place in range(0, len(points), size)]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Make the row of each point in each repeat."""
        manifest = self.manifest()
        architectures = {item["configuration_id"]: item for item in manifest["configurations"]}
        values = {
            point["configuration_id"]: point["values"]
            for track in manifest["search"]["tracks"]
            for generation in track["generations"]
            for point in generation
        }
        started = [0.0, 0.0]  # minutes since the start, when each slot is free
        for place, (key, point) in enumerate(values.items()):
            for repeat in range(self.repeats):
                if (place, repeat) in self.left_out:
                    continue
                slot = int(np.argmin(started))
                row = self._row(architectures[key], point, repeat, self.statuses.get((place, repeat), "validated"))
                yield (
                    row
                    | {
                        "node": NODES[slot],
                        "started_at": datetime(2026, 11, 24, 8, 0, tzinfo=UTC) + timedelta(minutes=started[slot]),
                    }
                    | self.change
                )
                started[slot] += (row["total_seconds"] + 1) / 60

    def _row(self, described: dict[str, str], point: dict[str, Any], repeat: int, status: str) -> dict[str, Any]:
        random = np.random.default_rng([repeat, int(described["configuration_id"][:8], 16)])
        final = accuracy(described["architecture"], point) + 0.002 * block(repeat) + 0.001 * random.normal()
        epochs = 1 if status == "pruned" else self.epochs
        curve = [final - 0.05 * math.exp(-epoch) for epoch in range(1, epochs + 1)]
        seconds = epochs * 5 * 128 / point.get("batch_size", 128) * random.lognormal(0, 0.05)
        seeds = asdict(seeds_of_repeat(repeat))
        return {
            "run_id": fingerprint({"configuration": described["configuration_id"], "seeds": seeds}),
            "study": self.name, **described, "repeat": repeat,
            **{f"seed_{name}": seed for name, seed in seeds.items()},
            **asdict(Hyperparameters(**{"epochs": self.epochs, **self.settings, **point})),
            "status": status, "error": None if status == "validated" else f"the run {status}",
            "attempts": 1, "resumed": False, "placement": "shared", "neighbours": 1, "threads": 1, "gpus": 0.0,
            "device_model": "AMD EPYC 7B13", "device_kind": "CPU", "compute_dtype": "float32",
            "validation_accuracy": curve[-1] if status in ("validated", "pruned") else None,
            "epochs_run": epochs, "total_seconds": seconds + 1, "processor_seconds": seconds,
            "history": [{"epoch": place + 1, "validation_accuracy": value} for place, value in enumerate(curve)],
            "commit": "2164a57", "dirty": False, "data_fingerprint": "synthetic-data00",
            "python_version": "3.11.2", "tensorflow_version": "2.21.0", "keras_version": "3.15.1",
            "numpy_version": "2.4.6", "ray_version": "2.60.0",
        }  # fmt: skip

    def write(self, directory: Path) -> None:
        """Write a compacted store of it."""
        (directory / "compacted").mkdir(parents=True, exist_ok=True)
        (directory / "studies").mkdir(exist_ok=True)
        (directory / "studies" / f"{self.name}.json").write_text(json.dumps(self.manifest()))
        table = table_of(list(self.rows()))
        pq.write_table(table, directory / "compacted" / f"{self.name}.parquet", compression="zstd")


def draw(space: Space, random: np.random.Generator, near_the_best: bool) -> dict[str, Any]:
    """Draw a point; one that is proposed stands nearer to the best of each range."""
    flat: dict[str, Any] = {}
    for item in space.parameters:
        domain = item.domain
        if isinstance(domain, Choice):
            flat[item.name] = domain.values[int(random.integers(len(domain.values)))]
            continue
        share = random.beta(4, 4) if near_the_best else random.random()
        low, high = (math.log(end) if domain.log else end for end in (domain.low, domain.high))
        value = low + share * (high - low)
        value = min(max(math.exp(value) if domain.log else value, domain.low), domain.high)
        flat[item.name] = round(value) if item.is_whole else float(value)
    return space.point(flat)


def accuracy(architecture: str, point: dict[str, Any]) -> float:
    """The mean validation accuracy of a made-up point: the learning rate counts most, then the batch size."""
    best = -2.8 if point.get("optimizer", "adam") == "adam" else -1.7
    away = math.log10(point.get("learning_rate", 1e-3)) - best
    size = math.log2(point.get("batch_size", 128)) - 6
    level = LEVELS.get(architecture, 0.9)
    return level - 0.02 * away**2 - 0.002 * size**2 - 0.01 * (point.get("dropout_rate", 0.0) - 0.3) ** 2


def block(repeat: int) -> float:
    """What the split of a repeat does to every point."""
    return float(np.random.default_rng([11, repeat]).normal())


def _configurations(tracks: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    counts: dict[str, int] = {}
    for track in tracks:
        for point in (point for generation in track["generations"] for point in generation):
            if point["configuration_id"] not in found:
                name = track["architecture"]
                counts[name] = counts.get(name, 0) + 1
                found[point["configuration_id"]] = {
                    "configuration_id": point["configuration_id"],
                    "label": f"{name} point {counts[name]}",
                    "architecture": name,
                }
    return list(found.values())
