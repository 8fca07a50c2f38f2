"""The space of a search: which values each hyperparameter may take, and which only beside a value of another."""

import itertools
import math
import numbers
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Self

from fmnist import UserError
from fmnist.declare.checks import flag
from fmnist.declare.hyperparameters import Hyperparameters, typed

Values = Mapping[str, Any]  # of the hyperparameters that a point sets, by their names

_TYPES = {item.name: str(item.type) for item in fields(Hyperparameters)}


@dataclass(frozen=True, slots=True)
class Choice:
    """Some values, each as good as the other: what a grid is made of."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers from `low` to `high`, both included; with `log` as many between 1 and 10 as between 10 and 100."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """Values that depend on the value of another hyperparameter, `name`; where it has no case there is nothing to set.

    `Given("optimizer", {"adam": Range(1e-4, 1e-2, log=True), "sgd": Range(1e-3, 0.3, log=True)})`
    """

    name: str
    cases: Mapping[Any, Choice | Range]


Dimension = Choice | Range | Given


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What a sampler draws: one hyperparameter, or one case of it, which is read only beside `parent`'s `value`."""

    name: str  # unique in a space: "learning_rate (optimizer=adam)"
    hyperparameter: str
    domain: Choice | Range
    parent: str | None = None
    value: Any = None

    def is_active(self, values: Values) -> bool:
        """Whether it is read beside these values."""
        return self.parent is None or (self.parent in values and values[self.parent] == self.value)

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole."""
        return _TYPES[self.hyperparameter].startswith("int")


@dataclass(frozen=True)
class Space:
    """Hyperparameters and what each may be; UserError for nonsense, before anything runs.

    A dimension that others depend on is a Choice and stands before them.
    """

    dimensions: Mapping[str, Dimension]
    parameters: tuple[Parameter, ...] = field(init=False, repr=False)  # flat, parents first

    def __post_init__(self) -> None:
        if not isinstance(self.dimensions, Mapping) or not self.dimensions:
            raise UserError(f"space: got {self.dimensions!r:.100}, expected hyperparameters and what each may be")
        parameters: list[Parameter] = []
        checked: dict[str, Dimension] = {}
        for name, dimension in self.dimensions.items():
            try:
                checked[name] = self._checked(name, dimension, checked)
            except UserError as error:
                raise UserError(f"space: {name}: {str(error).removeprefix(f'{name}: ')}") from None
            parameters += _parameters(name, checked[name])
        object.__setattr__(self, "dimensions", checked)
        object.__setattr__(self, "parameters", tuple(parameters))

    @staticmethod
    def _checked(name: str, dimension: Any, before: Mapping[str, Dimension]) -> Dimension:
        if name not in _TYPES:
            raise UserError(f"it is no hyperparameter; expected one of {', '.join(_TYPES)}")
        if not isinstance(dimension, Given):
            return _checked_domain(name, dimension)
        parent = before.get(dimension.name) if isinstance(dimension.name, str) else None
        if not isinstance(parent, Choice):
            raise UserError(f"it depends on {dimension.name!r}, expected a Choice that stands before it in the space")
        if not isinstance(dimension.cases, Mapping) or not dimension.cases:
            raise UserError(f"got the cases {dimension.cases!r:.100}, expected its values beside {dimension.name}'s")
        if unknown := [value for value in dimension.cases if value not in parent.values]:
            raise UserError(f"it has a case for {dimension.name}={unknown[0]!r}, expected some of {parent.values}")
        given = {value: dimension.cases[value] for value in parent.values if value in dimension.cases}
        return Given(dimension.name, {value: _checked_domain(name, case) for value, case in given.items()})

    @property
    def size(self) -> int | None:
        """Number of points; None where a Range makes it infinite."""
        if any(isinstance(item.domain, Range) for item in self.parameters):
            return None
        tops = (item for item in self.parameters if item.parent is None)
        return math.prod(sum(self._children_size(top, value) for value in _ends(top.domain)) for top in tops)

    def _children_size(self, parent: Parameter, value: Any) -> int:
        """Number of ways to set what depends on a hyperparameter beside one of its values."""
        children = (item for item in self.parameters if item.parent == parent.name and item.value == value)
        return math.prod(len(_ends(child.domain)) for child in children)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Give every point, the last hyperparameter changing fastest; UserError for a Range, which has no end."""
        for item in self.parameters:
            if isinstance(item.domain, Range):
                raise UserError(f"space: {item.name}: got {item.domain}, but a grid is made of a Choice")
        return self._corners(self.parameters)

    def pairs(self) -> Iterator[dict[str, Any]]:
        """Give points in which each two values stand beside each other: all of a Choice, the ends of a Range.

        What is wrong with a point only because of two of its values shows in one of them.
        """
        for two in itertools.combinations_with_replacement(self.dimensions, 2):
            parents = {item.parent for item in self.parameters if item.hyperparameter in two}
            varied = {*two, *parents}
            yield from self._corners(
                item if item.hyperparameter in varied else replace(item, domain=Choice((first_value(item),)))
                for item in self.parameters
            )

    @staticmethod
    def _corners(parameters: Iterable[Parameter]) -> Iterator[dict[str, Any]]:
        """Combine all values of Choices and both ends of Ranges."""
        by_name: dict[str, list[Parameter]] = {}
        for item in parameters:
            by_name.setdefault(item.hyperparameter, []).append(item)
        points: Iterator[dict[str, Any]] = iter([{}])
        for items in by_name.values():
            points = itertools.chain.from_iterable(map(partial(_extended, items), points))
        return points

    def without(self, names: Set[str]) -> Self:
        """Leave out hyperparameters, and what depends on them; UserError if none is left."""
        kept = {
            name: item
            for name, item in self.dimensions.items()
            if name not in names and not (isinstance(item, Given) and item.name in names)
        }
        return type(self)(kept)

    def point(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """Make a point of a value for every parameter, by its name: those that are not active are left out."""
        values: dict[str, Any] = {}
        for item in self.parameters:
            if item.is_active(values):
                values[item.hyperparameter] = flat[item.name]
        return values

    def flat(self, values: Values) -> dict[str, Any]:
        """Give every parameter a value: that of a point, and where it has none its domain's first."""
        return {
            item.name: values.get(item.hyperparameter, first_value(item))
            if item.is_active(values)
            else first_value(item)
            for item in self.parameters
        }

    def values_of(self, settings: Hyperparameters) -> dict[str, Any]:
        """The values that settings have of the space's hyperparameters, of those that are read beside each other."""
        values: dict[str, Any] = {}
        for item in self.parameters:
            if item.is_active(values):
                values[item.hyperparameter] = getattr(settings, item.hyperparameter)
        return values

    def contains(self, values: Values) -> bool:
        """Whether values, and no others, make a point of the space."""
        active = [item for item in self.parameters if item.is_active(values)]
        names = [item.hyperparameter for item in active]
        return set(values) == set(names) and all(_within(item, values[item.hyperparameter]) for item in active)

    def to_json(self) -> dict[str, Any]:
        """Describe the space for a manifest."""
        return {name: _described(dimension) for name, dimension in self.dimensions.items()}

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; ValueError for anything else."""
        try:
            return cls({name: _dimension(item) for name, item in described.items()})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"space: got {described!r:.100}, expected that of a search ({error})") from error


def first_value(item: Parameter) -> Any:
    """A value of a domain, always the same: its first, or its lowest."""
    return _ends(item.domain)[0]


def _ends(domain: Choice | Range) -> tuple[Any, ...]:
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)


def _extended(items: Iterable[Parameter], point: Values) -> list[dict[str, Any]]:
    """Add to a point each end of that of the parameters, all of one hyperparameter, which is active beside it."""
    active = next((item for item in items if item.is_active(point)), None)
    if active is None:
        return [dict(point)]
    return [{**point, active.hyperparameter: value} for value in _ends(active.domain)]


def _parameters(name: str, dimension: Dimension) -> list[Parameter]:
    if not isinstance(dimension, Given):
        return [Parameter(name=name, hyperparameter=name, domain=dimension)]
    parent = dimension.name
    return [
        Parameter(name=f"{name} ({parent}={value})", hyperparameter=name, domain=case, parent=parent, value=value)
        for value, case in dimension.cases.items()
    ]


def _checked_domain(name: str, domain: Any) -> Choice | Range:
    """The domain in the hyperparameter's own type."""
    if isinstance(domain, Choice):
        values = tuple(
            typed(name, value) for value in (domain.values if isinstance(domain.values, (tuple, list)) else ())
        )
        if not values or len(set(values)) < len(values):
            raise UserError(f"got {domain.values!r:.100}, expected some values, each once")
        return Choice(values)
    if not isinstance(domain, Range):
        raise UserError(f"got {domain!r:.100}, expected a Choice, a Range or a Given, whose cases are of the first two")
    if _TYPES[name].split(" ")[0] not in ("float", "int"):
        raise UserError(f"got {domain}, but its values are no numbers: give a Choice")
    if None in (domain.low, domain.high):
        raise UserError(f"got {domain}, but None is no number: give a Choice")
    low, high = typed(name, domain.low), typed(name, domain.high)
    log = flag("log", domain.log)
    if not low < high or (log and not low > 0):
        raise UserError(f"got {domain}, expected low below high{' and above 0' if log else ''}")
    return Range(low, high, log)


def _within(item: Parameter, value: Any) -> bool:
    if isinstance(item.domain, Choice):
        return value in item.domain.values
    kind = numbers.Integral if item.is_whole else numbers.Real
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    return is_number and item.domain.low <= value <= item.domain.high


def _described(dimension: Dimension) -> dict[str, Any]:
    if isinstance(dimension, Choice):
        return {"choice": list(dimension.values)}
    if isinstance(dimension, Range):
        return {"low": dimension.low, "high": dimension.high, "log": dimension.log}
    return {"given": dimension.name, "cases": [[key, _described(case)] for key, case in dimension.cases.items()]}


def _dimension(described: Mapping[str, Any]) -> Dimension:
    if "choice" in described:
        return Choice(tuple(described["choice"]))
    if "given" in described:
        return Given(described["given"], {key: _domain(case) for key, case in described["cases"]})
    return _domain(described)


def _domain(described: Mapping[str, Any]) -> Choice | Range:
    if "choice" in described:
        return Choice(tuple(described["choice"]))
    return Range(described["low"], described["high"], described["log"])
