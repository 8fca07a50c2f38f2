import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.compare.trade_offs import (
    pareto_front,
    times_to_target,
)

EPOCHS = st.lists(
    st.tuples(st.sampled_from([0.5, 0.7, 0.9, math.nan]), st.sampled_from([1.0, 2.5, math.nan])), max_size=5
)
POINTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12)


def history(accuracies, seconds=10.0):
    return [(accuracy, seconds) for accuracy in accuracies]


def time_to(epochs, target):
    """One run alone, its epochs as pairs of validation accuracy and seconds."""
    flat = np.array(epochs, dtype=float).reshape(-1, 2)
    return float(times_to_target(np.array([0, len(flat)]), flat[:, 0], flat[:, 1], target)[0])


def test_time_counts_the_epochs_up_to_the_first_that_reaches_the_target():
    assert time_to(history([0.80, 0.91, 0.89, 0.93]), 0.91) == 20.0
    assert time_to(history([0.95]), 0.91) == 10.0


def test_a_miss_is_infinite_and_no_history_unknown():
    assert time_to(history([0.80, 0.85]), 0.91) == math.inf
    assert time_to(history([math.nan, 0.85]), 0.91) == math.inf
    assert math.isnan(time_to([], 0.91))


def test_an_epoch_without_a_time_makes_the_time_unknown_where_it_counts():
    gap = [(0.8, math.nan), *history([0.92])]
    assert math.isnan(time_to(gap, 0.91))
    assert time_to([*history([0.92]), *gap], 0.91) == 10.0


@given(st.lists(EPOCHS, max_size=6))
def test_many_runs_at_once_are_each_as_alone(runs):
    offsets = np.cumsum([0, *(len(run) for run in runs)])
    flat = np.array([epoch for run in runs for epoch in run]).reshape(-1, 2)
    together = times_to_target(offsets, flat[:, 0], flat[:, 1], 0.7)
    alone = [time_to(run, 0.7) for run in runs]
    assert together.tolist() == pytest.approx(alone, nan_ok=True)


def test_pareto_front_by_hand():
    accuracy_and_seconds = np.array([[0.92, 100], [0.90, 50], [0.89, 60], [0.92, 120], [np.nan, 1], [0.90, 50]])
    assert pareto_front(accuracy_and_seconds, ["up", "down"]).tolist() == [True, True, False, False, False, True]
    assert pareto_front(np.empty((0, 2)), ["up", "down"]).tolist() == []


@given(POINTS)
def test_every_point_is_on_the_front_or_beaten_by_one_that_is(points):
    values = np.array(points, dtype=float)
    front = pareto_front(values, ["up", "down"])
    for point, on_front in zip(values, front, strict=True):
        better = (values[front][:, 0] >= point[0]) & (values[front][:, 1] <= point[1])
        strictly = better & (values[front] != point).any(axis=1)
        assert strictly.any() != on_front
