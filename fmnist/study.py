"""What is wanted: a study is a list of configurations, each trained in several repeats. No TensorFlow, no Ray here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from fmnist.architectures import find_architecture
from fmnist.errors import UserError
from fmnist.hyperparameters import Hyperparameters

Placement = Literal["shared", "exclusive"]
PLACEMENTS: tuple[Placement, ...] = ("shared", "exclusive")

# the smallest difference that matters in practice: accuracy in absolute terms, time and memory as a fraction
DEFAULT_MARGINS: Mapping[str, float] = {"test_accuracy": 0.002, "train_seconds": 0.05, "host_allocated_bytes": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """One seed, in [0, 2**31), for each source of chance in a run."""

    split: int  # which training images are held back for validation
    initialisation: int  # first weights
    order: int  # order of the training images, drawn anew each epoch
    dropout: int
    augmentation: int


def seeds_of_repeat(repeat: int) -> Seeds:
    """Draw the seeds of repeat `repeat` (>= 0): the same for every configuration, so that repeats pair.

    One independent stream for each axis (numpy's SeedSequence), so that fixing one axis leaves the others as they are.
    """
    if repeat < 0:
        raise UserError(f"repeat: got {repeat}, expected a whole number of at least 0")
    states = np.random.SeedSequence([20_170_825, repeat]).spawn(len(Seeds.__dataclass_fields__))
    drawn = (int(state.generate_state(1)[0]) & 0x7FFF_FFFF for state in states)
    return Seeds(**dict(zip(Seeds.__dataclass_fields__, drawn, strict=True)))


def digest(value: Any) -> str:
    """Hash a JSON value into 16 hexadecimal digits, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """An architecture with the hyperparameters it is trained with: what a comparison compares."""

    architecture: str
    hyperparameters: Hyperparameters
    label: str  # how tables and figures call it, unique within a study


def configure(architecture: str, *, label: str | None = None, **changes: Any) -> Configuration:
    """Take an architecture with its default hyperparameters, changed where `changes` says so.

    ValueError names an unknown architecture, an unknown hyperparameter or a value outside its range.
    """
    defaults = find_architecture(architecture).defaults
    unknown = sorted(set(changes) - set(Hyperparameters.__dataclass_fields__))
    if unknown:
        known = ", ".join(Hyperparameters.__dataclass_fields__)
        raise UserError(f"hyperparameter: got {', '.join(unknown)}, expected one of {known}")
    return Configuration(
        architecture=architecture, hyperparameters=replace(defaults, **changes), label=label or architecture
    )


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run: everything that decides its outcome, and where it may be placed."""

    configuration: Configuration
    repeat: int
    seeds: Seeds
    structure: str  # architectures.structure_fingerprint of the model
    data_fingerprint: str
    placement: Placement = "shared"
    study: str = ""  # which study asked first; not part of the identity

    @property
    def name(self) -> str:
        """How messages call the run: 'own_v1 repeat 2'."""
        return f"{self.configuration.label} repeat {self.repeat}"

    @cached_property
    def configuration_id(self) -> str:
        """What is compared, without the repeat: structure, hyperparameters and data."""
        settings = asdict(self.configuration.hyperparameters)
        return digest({"structure": self.structure, "hyperparameters": settings, "data": self.data_fingerprint})

    @cached_property
    def run_id(self) -> str:
        """What decides the outcome: the configuration and the seeds. Versions, hardware and placement are not in it."""
        return digest({"configuration": self.configuration_id, "seeds": asdict(self.seeds)})

    def columns(self) -> dict[str, Any]:
        """Give the columns of its row that say what was asked for, not what came of it."""
        return {
            "run_id": self.run_id,
            "configuration_id": self.configuration_id,
            "study": self.study,
            "label": self.configuration.label,
            "architecture": self.configuration.architecture,
            "repeat": self.repeat,
            **{f"seed_{name}": seed for name, seed in asdict(self.seeds).items()},
            **asdict(self.configuration.hyperparameters),
            "placement": self.placement,
            "data_fingerprint": self.data_fingerprint,
        }


@dataclass(frozen=True, kw_only=True)
class Study:
    """A named comparison. Its repeats are blocks: repeat r has the same seeds in every configuration."""

    name: str
    question: str  # one sentence: what the study is to answer
    configurations: tuple[Configuration, ...]
    repeats: int
    placement: Placement = "shared"
    primary_metric: str = "test_accuracy"
    margins: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_MARGINS))
    shuffle_within_repeat: bool = False  # interleave at random and keep that order, against drift of the machine

    def __post_init__(self) -> None:
        labels = [configuration.label for configuration in self.configurations]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise UserError(f"study {self.name!r}: label {', '.join(twice)} is used twice; give each its own")
        if self.repeats < 1:
            raise UserError(f"study {self.name!r}: repeats: got {self.repeats}, expected at least 1")

    def runs(self, structures: Mapping[str, str], data_fingerprint: str) -> list[RunSpec]:
        """List the wanted runs, one whole repeat after the other.

        `structures` maps each configuration's label to its model's structure fingerprint.
        """
        return [
            RunSpec(
                configuration=configuration,
                repeat=repeat,
                seeds=seeds_of_repeat(repeat),
                structure=structures[configuration.label],
                data_fingerprint=data_fingerprint,
                placement=self.placement,
                study=self.name,
            )
            for repeat in range(self.repeats)
            for configuration in self._order(repeat)
        ]

    def _order(self, repeat: int) -> list[Configuration]:
        if not self.shuffle_within_repeat:
            return list(self.configurations)
        order = np.random.default_rng(repeat).permutation(len(self.configurations))
        return [self.configurations[index] for index in order]
