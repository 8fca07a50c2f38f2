"""What is looked for: a search tries points of a space on validation alone."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from fmnist import UserError
from fmnist.declare.architectures import find_architecture
from fmnist.declare.checks import member, number, several, text, whole
from fmnist.declare.hyperparameters import Hyperparameters, typed
from fmnist.declare.identity import seeds_of_repeat
from fmnist.declare.space import Space, Values
from fmnist.declare.study import (
    MOST_REPEATS,
    PLACEMENTS,
    Configuration,
    Placement,
    RunSpec,
    checked_name,
    configure,
)

SEARCH_METRIC = "validation_accuracy"  # points are chosen by it; the test set is not looked at
MOST_POINTS = 100_000  # of a grid, for each architecture

Sampler = Literal["grid", "random", "optuna"]
Pruning = Literal["none", "halving", "race"]


@dataclass(frozen=True, slots=True)
class Strategy:
    """How points are chosen, and which of them are given up early.

    `grid` tries every point, in an order drawn from the seed; `random` draws points; `optuna` proposes them by its
    tree-structured Parzen estimator (Bergstra et al. 2011). `halving` ends a point whose first run, after some epochs,
    is not among the best third of the first runs before it (asynchronous successive halving, Li et al. 2020); `race`
    ends a point once it loses against the best one over the repeats so far (Wilcoxon's test, as optuna's pruner makes
    it).
    """

    sampler: Sampler = "grid"
    pruning: Pruning = "none"

    def __post_init__(self) -> None:
        member("strategy: sampler", self.sampler, get_args(Sampler))
        member("strategy: pruning", self.pruning, get_args(Pruning))

    @property
    def name(self) -> str:
        """How tables and figures call it: Optuna + halving."""
        return self.sampler.capitalize() + (f" + {self.pruning}" if self.pruning != "none" else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Where a track ends: after so many points, or so many seconds of one core (on a GPU: of the GPU) in its runs."""

    points: int | None = None
    core_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.points is not None:
            whole("budget: points", self.points, 1, MOST_POINTS)
        if self.core_seconds is not None:
            number("budget: core_seconds", self.core_seconds, "(0, infinity)")

    @property
    def is_limited(self) -> bool:
        """Whether it ends a track at all."""
        return self.points is not None or self.core_seconds is not None


@dataclass(frozen=True, slots=True)
class Track:
    """One way through the space of one architecture: what `Search` multiplies out."""

    architecture: str
    strategy: Strategy
    seed: int

    @property
    def name(self) -> str:
        """How messages call it: 'own_v1 Optuna + race, seed 2'."""
        return f"{self.architecture} {self.strategy.name}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search for hyperparameters. Each point is `repeats` runs, with the seeds of a study's repeats.

    Every architecture is searched with every strategy from every seed: a track each, with a budget of its own. Runs
    that two tracks ask for are computed once. `settings` hold for all points, beside each architecture's defaults. The
    test set is never scored. Raises UserError for whatever would be found wrong only when it is computed.
    """

    name: str
    question: str
    architectures: Sequence[str]
    space: Space
    repeats: int
    strategies: Sequence[Strategy] = (Strategy(),)
    seeds: int = 1  # of each strategy, 0 to seeds - 1
    budget: Budget = Budget()
    settings: Mapping[str, Any] = field(default_factory=dict)
    placement: Placement = "shared"
    source: str = field(default="", compare=False, repr=False)  # text of its own file, see Configuration

    def __post_init__(self) -> None:
        checked_name("search", self.name)
        try:
            for name, value in self._checked().items():
                object.__setattr__(self, name, value)
            self._refuse_unusable_points()
        except UserError as error:
            raise UserError(f"search {self.name!r}: {error}") from None

    def _checked(self) -> dict[str, Any]:
        if not isinstance(self.space, Space):
            raise UserError(f"space: got {self.space!r:.100}, expected Space({{...}})")
        if not isinstance(self.settings, Mapping):
            raise UserError(f"settings: got {self.settings!r:.100}, expected a mapping of hyperparameters")
        if both := sorted(set(self.settings) & set(self.space.dimensions)):
            raise UserError(f"{', '.join(both)}: it is in the space and in the settings; leave it out of one of them")
        if not isinstance(self.budget, Budget):
            raise UserError(f"budget: got {self.budget!r:.100}, expected Budget(points=..., core_seconds=...)")
        return {
            "question": text("question", self.question, longest=1000),
            # a name that is no hyperparameter stays, to be refused with the points
            "settings": {
                name: typed(name, value) if name in Hyperparameters.__dataclass_fields__ else value
                for name, value in self.settings.items()
            },
            "architectures": several("architectures", self.architectures, str),
            "strategies": several("strategies", self.strategies, Strategy),
            "repeats": whole("repeats", self.repeats, 1, MOST_REPEATS),
            "seeds": whole("seeds", self.seeds, 1, 1000),
            "placement": member("placement", self.placement, PLACEMENTS),
        }

    def _refuse_unusable_points(self) -> None:
        for architecture in self.architectures:
            space = self.space_of(architecture)
            if any(strategy.sampler == "grid" for strategy in self.strategies):
                space.grid()
                if (size := space.size or 0) > MOST_POINTS:
                    raise UserError(
                        f"space: a grid of {size:,} points, more than {MOST_POINTS:,}; use random or optuna"
                    )
            for values in space.pairs():
                self.configuration(architecture, values, "point")
        for strategy in self.strategies:
            if strategy.sampler != "grid" and not self.budget.is_limited:
                raise UserError(f"budget: strategy {strategy.name} ends nowhere: give points or core_seconds")
            if strategy.pruning == "race" and self.repeats < 5:
                raise UserError(f"repeats: got {self.repeats}, but a race saves nothing below 5")

    @property
    def tracks(self) -> list[Track]:
        """Every way through a space, those of one seed side by side."""
        ways = itertools.product(range(self.seeds), self.architectures, self.strategies)
        return [Track(architecture, strategy, seed) for seed, architecture, strategy in ways]

    def space_of(self, architecture: str) -> Space:
        """The space without the hyperparameters that have no effect in an architecture; UserError if none is left."""
        found = find_architecture(architecture)
        unread = [name for name in self.space.dimensions if not found.reads(name)]
        if len(unread) == len(self.space.dimensions):
            raise UserError(f"space: {', '.join(unread)}: {architecture} reads nothing of it; leave that out")
        return self.space.without(set(unread))

    def most_points(self, track: Track) -> int | None:
        """The most points that a track may try; None where only its core-seconds end it."""
        size = self.space_of(track.architecture).size if track.strategy.sampler == "grid" else None
        return min((count for count in (size, self.budget.points) if count is not None), default=None)

    def configuration(self, architecture: str, values: Values, label: str) -> Configuration:
        """Take a point as a configuration."""
        return replace(configure(architecture, label=label, **{**self.settings, **values}), source=self.source)

    def example(self, architecture: str) -> Configuration:
        """One point of an architecture, whose model and time stand for those of points that are not proposed yet."""
        space = self.space_of(architecture)
        return self.configuration(architecture, space.point(space.flat({})), architecture)

    @property
    def examples(self) -> list[Configuration]:
        """One point of each architecture."""
        return [self.example(architecture) for architecture in self.architectures]

    def run(self, configuration: Configuration, repeat: int, structure: str, data_fingerprint: str) -> RunSpec:
        """Take one of a point's runs, given the fingerprints of its model's structure and of the data."""
        return RunSpec(
            configuration=configuration,
            repeat=repeat,
            seeds=seeds_of_repeat(repeat),
            structure=structure,
            data_fingerprint=data_fingerprint,
            placement=self.placement,
            study=self.name,
            scores_test=False,
        )
