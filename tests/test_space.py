"""The space of a search: its points, its grid, and what it refuses before anything runs."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist import UserError
from fmnist.declare import Choice, Given, Range, Space
from fmnist.declare.space import first_value

OPTIMIZERS = Choice(("adam", "sgd"))
RATES = Given("optimizer", {"sgd": Choice((0.01, 0.1)), "adam": Choice((1e-4, 1e-3, 1e-2))})
CONDITIONAL = Space(
    {"optimizer": OPTIMIZERS, "learning_rate": RATES, "momentum": Given("optimizer", {"sgd": Choice((0.0, 0.9))})}
)

_fractions = st.lists(st.floats(0.001, 0.9), min_size=1, max_size=3, unique=True).map(tuple)
_batches = st.lists(st.integers(1, 512), min_size=1, max_size=3, unique=True).map(tuple)
_domains = {
    "dropout_rate": _fractions.map(Choice),
    "l2": st.just(Range(1e-6, 1e-2, log=True)) | _fractions.map(Choice),
    "batch_size": st.just(Range(16, 256)) | _batches.map(Choice),
    "early_stopping_patience": st.just(Choice((None, 5))),
    "horizontal_flip": st.just(Choice((False, True))),
}


@st.composite
def spaces(draw, *, ranges=True):
    """Some of the hyperparameters, each on its own or depending on the optimizer, in any order."""
    dimensions = {"optimizer": OPTIMIZERS}
    for name in draw(st.permutations(list(_domains))):
        domain = _domains[name] if ranges else _domains[name].filter(lambda item: isinstance(item, Choice))
        cases = st.dictionaries(st.sampled_from(OPTIMIZERS.values), domain, min_size=1)
        dimension = draw(st.none() | domain | st.builds(Given, st.just("optimizer"), cases))
        dimensions |= {name: dimension} if dimension else {}
    return Space(dimensions)


def value_of(domain):
    if isinstance(domain, Choice):
        return st.sampled_from(domain.values)
    whole = isinstance(domain.low, int)
    return st.integers(domain.low, domain.high) if whole else st.floats(domain.low, domain.high)


@given(spaces(), st.data())
def test_a_point_is_drawn_flat_and_comes_back(space, data):
    flat = {item.name: data.draw(value_of(item.domain)) for item in space.parameters}
    point = space.point(flat)
    assert space.contains(point)
    again = space.flat(point)
    assert list(again) == [item.name for item in space.parameters]
    assert space.point(again) == point
    for item in space.parameters:  # what is not read has always the same value
        assert again[item.name] == (flat[item.name] if item.is_active(point) else first_value(item))


@given(spaces(ranges=False))
def test_a_grid_has_every_point_once_and_as_many_as_its_size(space):
    points = list(space.grid())
    assert len(points) == space.size == len({json.dumps(point) for point in points})
    assert all(space.contains(point) for point in points)
    flat = itertools.product(*(item.domain.values for item in space.parameters))
    names = [item.name for item in space.parameters]
    every = {json.dumps(space.point(dict(zip(names, values, strict=True)))) for values in flat}
    assert {json.dumps(point) for point in points} == every


@given(spaces())
def test_any_two_values_stand_beside_each_other_in_a_pair(space):
    points = list(space.pairs())
    assert all(space.contains(point) for point in points)
    if space.size is not None and len(space.dimensions) <= 2:
        assert all(point in points for point in space.grid())
    seen = {(name, value) for point in points for name, value in point.items()}
    for item in space.parameters:
        ends = item.domain.values if isinstance(item.domain, Choice) else (item.domain.low, item.domain.high)
        assert {(item.hyperparameter, value) for value in ends} <= seen


@given(spaces())
def test_a_manifest_gives_the_space_back(space):
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_a_grid_changes_the_last_hyperparameter_fastest_and_takes_a_case_only_beside_its_value():
    assert list(CONDITIONAL.grid()) == [
        *({"optimizer": "adam", "learning_rate": rate} for rate in (1e-4, 1e-3, 1e-2)),
        *({"optimizer": "sgd", "learning_rate": rate, "momentum": m} for rate in (0.01, 0.1) for m in (0.0, 0.9)),
    ]
    assert [item.name for item in CONDITIONAL.parameters] == [
        "optimizer", "learning_rate (optimizer=adam)", "learning_rate (optimizer=sgd)", "momentum (optimizer=sgd)",
    ]  # fmt: skip


def test_the_size_of_a_grid_that_nobody_could_list_is_known_at_once():
    names = ("rotation", "translation", "zoom", "l2", "dropout_rate", "learning_rate")
    space = Space({name: Choice(tuple(np.linspace(0.1, 0.9, 100))) for name in names})
    assert space.size == 100**6
    assert Space({"l2": Range(0.1, 0.2)}).size is None


@pytest.mark.parametrize(
    ("values", "is_in"),
    [
        ({"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9}, True),
        ({"optimizer": "sgd", "learning_rate": 0.1}, False),
        ({"optimizer": "adam", "learning_rate": 0.1}, False),  # the other case's
        ({"optimizer": "adam", "learning_rate": 1e-3, "momentum": 0.9}, False),
        ({"learning_rate": 1e-3}, False),
        ({"optimizer": "adam", "learning_rate": 1e-3, "l2": 0.1}, False),
        ({}, False),
    ],
)
def test_a_point_has_the_values_that_are_read_and_no_others(values, is_in):
    assert CONDITIONAL.contains(values) == is_in


def test_a_number_of_a_range_is_of_its_kind_and_within_it():
    space = Space({"batch_size": Range(16, 64), "l2": Range(1e-6, 1e-2, log=True)})
    assert [item.is_whole for item in space.parameters] == [True, False]
    for batch, l2, is_in in ((16, 1e-2, True), (np.int64(64), 1e-6, True), (32.0, 1e-3, False), (True, 1e-3, False),
                             (15, 1e-3, False), (32, 2e-2, False), (32, float("nan"), False), (32, "1e-3", False),
                             (None, 1e-3, False)):  # fmt: skip
        assert space.contains({"batch_size": batch, "l2": l2}) == is_in


def test_values_get_the_type_of_their_hyperparameter():
    space = Space({"learning_rate": Choice((1, np.float32(0.5))), "epochs": Range(1, np.int64(9))})
    assert [type(value) for value in space.dimensions["learning_rate"].values] == [float, float]
    assert type(space.dimensions["epochs"].high) is int


def test_what_depends_on_a_hyperparameter_leaves_with_it():
    assert list(CONDITIONAL.without({"momentum"}).dimensions) == ["optimizer", "learning_rate"]
    with pytest.raises(UserError, match=r"space: got \{\}"):
        CONDITIONAL.without({"optimizer"})


@pytest.mark.parametrize(
    ("dimensions", "words"),
    [
        ({}, r"space: got \{\}, expected hyperparameters"),
        ([("l2", Choice((0.1,)))], r"space: got \[\('l2'"),
        ({"rate": Choice((0.1,))}, r"space: rate: it is no hyperparameter; expected one of optimizer, learning_rate"),
        ({"l2": (0.1, 0.2)}, r"space: l2: got \(0.1, 0.2\), expected a Choice, a Range or a Given"),
        ({"l2": Choice(())}, r"space: l2: got \(\), expected some values"),
        ({"l2": Choice((0.1, 0.1))}, r"space: l2: got \(0.1, 0.1\), expected some values, each once"),
        ({"l2": Choice((1, 1.0))}, r"space: l2: got \(1, 1.0\), expected some values, each once"),
        ({"optimizer": Choice("sgd")}, r"space: optimizer: got 'sgd', expected some values"),
        ({"optimizer": Choice(("lion",))}, r"space: optimizer: got 'lion', expected one of adam, sgd"),
        ({"learning_rate": Choice((0,))}, r"space: learning_rate: got 0, expected a number in \(0, infinity\)"),
        ({"optimizer": Range(0, 1)}, r"space: optimizer: got Range.*no numbers: give a Choice"),
        ({"horizontal_flip": Range(0, 1)}, r"no numbers: give a Choice"),
        ({"l2": Range(0.1, 0.1)}, r"space: l2: got Range.*expected low below high"),
        ({"l2": Range(0.2, 0.1)}, r"expected low below high"),
        ({"l2": Range(0.0, 0.1, log=True)}, r"expected low below high and above 0"),
        ({"l2": Range(0.0, 0.1, log=1)}, r"space: l2: log: got 1, expected True or False"),
        ({"l2": Range(-0.1, 0.1)}, r"space: l2: got -0.1, expected a number in \[0, infinity\)"),
        ({"batch_size": Range(16, 64.0)}, r"space: batch_size: got 64.0, expected a whole number"),
        ({"early_stopping_patience": Range(None, 5)}, r"None is no number: give a Choice"),
        ({"momentum": Given("optimizer", {"sgd": Choice((0.9,))})}, r"depends on 'optimizer', expected a Choice"),
        ({"l2": Range(0.1, 0.2), "zoom": Given("l2", {0.1: Choice((0.1,))})}, r"depends on 'l2', expected a Choice"),
        ({"optimizer": OPTIMIZERS, "zoom": Given(["sgd"], {"sgd": Choice((0.1,))})}, r"depends on \['sgd'\]"),
        ({"optimizer": OPTIMIZERS, "zoom": Given("optimizer", {})}, r"space: zoom: got the cases \{\}"),
        ({"optimizer": OPTIMIZERS, "zoom": Given("optimizer", 3)}, r"space: zoom: got the cases 3"),
        ({"optimizer": OPTIMIZERS, "zoom": Given("optimizer", {"lion": Choice((0.1,))})}, r"case for optimizer='lion'"),
        ({"optimizer": OPTIMIZERS, "zoom": Given("optimizer", {"sgd": RATES})}, r"zoom: got Given.*of the first two"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_and_named(dimensions, words):
    with pytest.raises(UserError, match=words):
        Space(dimensions)


def test_a_range_has_no_grid():
    with pytest.raises(UserError, match=r"learning_rate \(optimizer=sgd\): got Range.*made of a Choice"):
        Space({"optimizer": OPTIMIZERS, "learning_rate": Given("optimizer", {"sgd": Range(0.1, 1)})}).grid()


@pytest.mark.parametrize(
    "described",
    [{}, [], None, {"l2": 3}, {"l2": {}}, {"l2": {"choice": 3}}, {"l2": {"low": 1}}, {"l2": "choice"},
     {"l2": {"given": "optimizer", "cases": [["sgd"]]}}, {"rate": {"choice": [1]}}],
)  # fmt: skip
def test_a_damaged_description_is_a_value_error(described):
    with pytest.raises(ValueError, match="space"):
        Space.from_json(described)
