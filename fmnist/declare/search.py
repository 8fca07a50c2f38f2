"""What is looked for: a search tries points of a space on validation alone; its winners are run again by a study."""

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from fmnist import UserError
from fmnist.declare.architectures import find_architecture
from fmnist.declare.checks import flag, member, number, text, whole
from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import seeds_of_repeat
from fmnist.declare.space import Given, Space, Values
from fmnist.declare.study import (
    MOST_REPEATS,
    PLACEMENTS,
    Configuration,
    Placement,
    RunSpec,
    Study,
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
            "settings": {name: _typed(name, value) for name, value in self.settings.items()},
            "architectures": _several("architectures", self.architectures, str),
            "strategies": _several("strategies", self.strategies, Strategy),
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


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A study of what a search found: each architecture's best point and its default, on repeats of their own.

    Its repeats begin after the search's, so that no run that chose a point also judges it; only here is the test set
    scored. With `path` the configurations between default and best point are run too: one hyperparameter after the
    other takes the value of the best point, together with those that depend on it.
    """

    name: str
    question: str
    search: Search
    repeats: int
    path: bool = False
    architectures: Sequence[str] = ()  # none: all of the search
    placement: Placement | None = None  # None: that of the search

    def __post_init__(self) -> None:
        checked_name("study", self.name)
        try:
            if not isinstance(self.search, Search):
                raise UserError(f"search: got {self.search!r:.100}, expected a Search")
            chosen = _several("architectures", self.architectures or self.search.architectures, str)
            for architecture in chosen:
                member("architectures", architecture, self.search.architectures)
            object.__setattr__(self, "architectures", chosen)
            object.__setattr__(self, "question", text("question", self.question, longest=1000))
            object.__setattr__(self, "repeats", whole("repeats", self.repeats, 1, MOST_REPEATS))
            member("placement", self.placement or self.search.placement, PLACEMENTS)
            object.__setattr__(self, "path", flag("path", self.path))
        except UserError as error:
            raise UserError(f"study {self.name!r}: {error}") from None

    def study(
        self,
        best: Mapping[str, Values],
        order: Mapping[str, Sequence[str]],
        identity: Callable[[Configuration], Hashable] = lambda item: (item.architecture, item.hyperparameters),
    ) -> Study:
        """Make the study, given each architecture's best point, and the order in which a path changes hyperparameters.

        What an order leaves out comes last, as the space has it. Of configurations with one `identity`, as one net with
        two sets of defaults has them once it is tuned, the first one's label stands for all.
        """
        configurations: dict[Hashable, Configuration] = {}
        labels: dict[str, list[str]] = {}
        for architecture in self.architectures:
            steps = self.steps(architecture, best[architecture], order.get(architecture, ()))
            made = [self.search.configuration(architecture, values, label) for label, values in steps]
            kept = [configurations.setdefault(identity(item), item).label for item in made]
            labels[architecture] = list(dict.fromkeys(kept))
        return Study(
            name=self.name,
            question=self.question,
            configurations=tuple(configurations.values()),
            repeats=self.repeats,
            first_repeat=self.search.repeats,
            placement=self.placement or self.search.placement,
            tuning={"search": self.search.name, "labels": labels},
        )

    def steps(self, architecture: str, best: Values, order: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        """Label and values of each configuration from the default to the best point; of a path also those between.

        A hyperparameter that depends on another one changes together with it.
        """
        default = self.default_values(architecture)
        between = self._between(architecture, default, best, order) if self.path else []
        return [(f"{architecture} default", default), *between, (f"{architecture} tuned", dict(best))]

    def _between(
        self, architecture: str, values: Values, best: Values, order: Sequence[str]
    ) -> list[tuple[str, dict[str, Any]]]:
        """Follow the order, but for what nothing would read yet: that waits for what makes it read."""
        dimensions = self.search.space_of(architecture).dimensions
        parents = {name: item.name for name, item in dimensions.items() if isinstance(item, Given)}
        with_parent = {name for name, parent in parents.items() if values[parent] != best[parent]}
        ordered = dict.fromkeys((*order, *dimensions))
        waiting = [name for name in ordered if name not in with_parent and not _same(name, values, best)]

        def changed(name: str) -> dict[str, Any]:
            group = {name, *(child for child, parent in parents.items() if parent == name)}
            source = {key: best if key in group else values for key in dimensions}
            return {key: of[key] for key, of in source.items() if key in of}

        steps = []
        while len(waiting) > 1:  # the last one makes the best point
            name = next((name for name in waiting if self._is_usable(architecture, changed(name))), waiting[0])
            waiting.remove(name)
            values = changed(name)
            steps.append((f"{architecture} + {name}", values))
        return steps

    def _is_usable(self, architecture: str, values: Values) -> bool:
        try:
            self.search.configuration(architecture, values, "step")
        except UserError:
            return False
        return True

    def default_values(self, architecture: str) -> dict[str, Any]:
        """An architecture's own values of the hyperparameters in its space, those that are read beside each other."""
        return self.search.space_of(architecture).values_of(find_architecture(architecture).defaults)


def _typed(name: str, value: Any) -> Any:
    """A hyperparameter's value in its own type; of a name that is none as it is, to be refused with the others."""
    return getattr(Hyperparameters(**{name: value}), name) if name in Hyperparameters.__dataclass_fields__ else value


def _same(name: str, values: Values, others: Values) -> bool:
    """Whether a hyperparameter has the same value in both, or none."""
    return (name in values) == (name in others) and values.get(name) == others.get(name)


def _several(name: str, given: Any, kind: type) -> tuple[Any, ...]:
    several = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else ()
    if not several or not all(isinstance(item, kind) for item in several) or len(set(several)) < len(several):
        raise UserError(f"{name}: got {given!r:.200}, expected at least one {kind.__name__}, each once")
    return several
