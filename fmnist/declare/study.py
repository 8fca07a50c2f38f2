"""What is wanted: a study is a list of configurations, each trained in several repeats. No TensorFlow, no Ray here."""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from fmnist import UserError
from fmnist.data import DATASET
from fmnist.declare.architectures import OF_A_MODEL, Architecture, find_architecture
from fmnist.declare.checks import flag, member, number, text, whole
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import Seeds, id_of_configuration, id_of_run, seeds_of_repeat
from fmnist.declare.metrics import DEFAULT_MARGINS, METRICS

Placement = Literal["shared", "exclusive"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)

MOST_REPEATS = 10_000  # nobody trains more; beyond, a pair counts as out of reach

_NAME = "[A-Za-z0-9][A-Za-z0-9_. -]{0,99}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """An architecture with the hyperparameters it is trained with: what a comparison compares."""

    architecture: str
    hyperparameters: Hyperparameters
    label: str  # how tables and figures call it, unique within a study
    # text of the study's own file, which may define the architecture: machines that train it have no such file
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        text("label", self.label)
        find_architecture(self.architecture)
        if not isinstance(self.hyperparameters, Hyperparameters):
            raise UserError(
                f"hyperparameters of {self.label!r}: got {self.hyperparameters!r}, expected Hyperparameters"
            )


def checked_name(kind: str, name: Any) -> str:
    """The name of a study or search; UserError for one that its manifest's file cannot bear."""
    if not isinstance(name, str) or not re.fullmatch(_NAME, name):
        raise UserError(
            f"{kind}: name: got {name!r:.200}, expected 1 to 100 of the letters a to z, digits, '_', '-', '.' and"
            " blanks, first a letter or digit: its manifest is a file of that name"
        )
    return name


def configure(architecture: str, *, label: str | None = None, **changes: Any) -> Configuration:
    """Take an architecture with its default hyperparameters, changed where `changes` says so.

    The activation that is the architecture's own is the default one. UserError names an unknown architecture, an
    unknown hyperparameter, a value outside its range, a schedule beside a plateau's patience, and a change that nothing
    would read: it would give the same run another identity.
    """
    found = find_architecture(architecture)
    if unknown := sorted(set(changes) - set(Hyperparameters.__dataclass_fields__)):
        known = ", ".join(Hyperparameters.__dataclass_fields__)
        raise UserError(f"hyperparameter: got {', '.join(unknown)}, expected one of {known}")
    settings = replace(found.defaults, **changes)
    if settings.activation == found.hyperparameters.get("activation"):
        settings = replace(settings, activation="default")
    for name, why in _unread(found, settings).items():
        if name in changes and getattr(settings, name) != getattr(found.defaults, name):
            raise UserError(f"{name}: got {changes[name]!r} for {architecture}, but {why}: leave it out")
    if settings.schedule != "constant" and settings.plateau_patience is not None:
        raise UserError(
            f"schedule: got {settings.schedule!r} for {architecture} beside plateau_patience="
            f"{settings.plateau_patience}, but only one of them can decide the rate: give plateau_patience=None"
        )
    label = architecture if label is None else label
    return Configuration(architecture=architecture, hyperparameters=settings, label=label)


def _unread(found: Architecture, settings: Hyperparameters) -> dict[str, str]:
    """Hyperparameters that have no effect beside the others, and why."""
    unread = {}
    if settings.optimizer != "sgd":
        unread["momentum"] = "only optimizer='sgd' reads it"
    for name in OF_A_MODEL:
        if not found.reads(name):
            unread[name] = "no layer of it reads that"
    if settings.plateau_patience is None:
        unread |= dict.fromkeys(("plateau_factor", "minimum_learning_rate"), "it is read only with a plateau_patience")
    if settings.early_stopping_patience is None and not settings.restore_best_weights:
        unread["minimum_delta"] = "it is read only with an early_stopping_patience or restore_best_weights"
    if settings.pretraining == "none":
        unread["pretraining_epochs"] = "it is read only with a pretraining"
    if (settings.train_images or 0) >= DATASET.train_count:
        unread["train_images"] = f"all {DATASET.train_count} training images are taken unless it says fewer"
    return unread


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run: everything that decides its outcome, and where it may be placed."""

    configuration: Configuration
    repeat: int
    seeds: Seeds
    structure: str  # structure_fingerprint of the model
    data_fingerprint: str
    placement: Placement = "shared"
    study: str = ""  # which study asked first; not part of the identity
    scores_test: bool = True  # False: a search's run, whose row has no score of the test set and status `validated`
    # epoch -> least validation accuracy there: a run that is below ends as `pruned`; not part of the identity
    pruned_below: Mapping[int, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How messages call the run: 'own_v1 repeat 2'."""
        return f"{self.configuration.label} repeat {self.repeat}"

    @cached_property
    def configuration_id(self) -> str:
        """What is compared, without the repeat: structure, hyperparameters and data."""
        return id_of_configuration(self.structure, self.configuration.hyperparameters, self.data_fingerprint)

    @cached_property
    def run_id(self) -> str:
        """What decides the outcome: the configuration and the seeds. Versions, hardware and placement are not in it."""
        return id_of_run(self.configuration_id, self.seeds)

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
    first_repeat: int = 0  # its repeats are this one and those after it
    # of a Tuning: {"search": its name, "labels": {architecture: labels from its default to its best point}}
    tuning: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked_name("study", self.name)
        try:
            for name, value in self._checked().items():
                object.__setattr__(self, name, value)
        except UserError as error:
            raise UserError(f"study {self.name!r}: {error}") from None

    def _checked(self) -> dict[str, Any]:
        """The fields as they are stored; UserError for what would be found wrong only when all is computed."""
        named = self.configurations
        configurations = tuple(named) if isinstance(named, Iterable) and not isinstance(named, str) else ()
        if not configurations or not all(isinstance(item, Configuration) for item in configurations):
            raise UserError(f"configurations: got {named!r:.200}, expected at least one, made by configure(...)")
        labels = [item.label for item in configurations]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise UserError(f"label {', '.join(twice)} is used twice; give each its own")
        _refuse_twins(((item.architecture, item.hyperparameters), item.label) for item in configurations)
        if not isinstance(self.margins, Mapping):
            raise UserError(f"margins: got {self.margins!r:.200}, expected a mapping of a metric to its margin")
        return {
            "question": text("question", self.question, longest=1000),
            "configurations": configurations,
            "repeats": whole("repeats", self.repeats, 1, MOST_REPEATS),
            "placement": member("placement", self.placement, PLACEMENTS),
            "primary_metric": member("primary_metric", self.primary_metric, METRICS),
            "margins": {
                member("margins", name, METRICS): number(f"margins: {name}", margin, "(0, infinity)")
                for name, margin in self.margins.items()
            },
            "shuffle_within_repeat": flag("shuffle_within_repeat", self.shuffle_within_repeat),
            "first_repeat": whole("first_repeat", self.first_repeat, 0, MOST_REPEATS),
        }

    def runs(self, structures: Mapping[str, str], data_fingerprint: str) -> list[RunSpec]:
        """List the wanted runs, one whole repeat after the other.

        `structures` maps each configuration's label to its model's structure fingerprint. UserError for two
        configurations that are one because two architectures build the same model.
        """
        runs = [
            RunSpec(
                configuration=configuration,
                repeat=repeat,
                seeds=seeds_of_repeat(repeat),
                structure=structures[configuration.label],
                data_fingerprint=data_fingerprint,
                placement=self.placement,
                study=self.name,
            )
            for repeat in range(self.first_repeat, self.first_repeat + self.repeats)
            for configuration in self._order(repeat)
        ]
        _refuse_twins(
            (run.configuration_id, run.configuration.label) for run in runs if run.repeat == self.first_repeat
        )
        return runs

    def _order(self, repeat: int) -> list[Configuration]:
        if not self.shuffle_within_repeat:
            return list(self.configurations)
        order = np.random.default_rng(repeat).permutation(len(self.configurations))
        return [self.configurations[index] for index in order]


def _refuse_twins(labelled: Iterable[tuple[Hashable, str]]) -> None:
    """Refuse two labels for one thing: its runs would be shared, and one label's rows would be missing for ever."""
    first: dict[Hashable, str] = {}
    for identity, label in labelled:
        if first.setdefault(identity, label) != label:
            raise UserError(f"labels {first[identity]!r} and {label!r} name one configuration; leave one of them out")
