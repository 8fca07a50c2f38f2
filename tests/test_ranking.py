import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fmnist.compare.comparison import compare_pairs
from fmnist.compare.ranking import cliques, friedman, unbarred_pairs
from fmnist.declare.metrics import METRICS
from tests.small_frames import DEMSAR_AUC, frame_of

ACCURACY = METRICS["test_accuracy"]
DEMSAR = np.array(list(DEMSAR_AUC.values())).T


def test_ranks_and_statistics_of_demsar_2006():
    ranks = friedman(frame_of(DEMSAR_AUC), ACCURACY).average_ranks
    assert np.round(ranks, 3).tolist() == [1.964, 2.0, 2.893, 3.143]


# Hollander and Wolfe (1973), p. 140: times of 22 players to round first base by three methods, in seconds
ROUNDING_TIMES = {
    "round out": [5.40, 5.85, 5.20, 5.55, 5.90, 5.45, 5.40, 5.45, 5.25, 5.85, 5.25, 5.65, 5.60, 5.05, 5.50, 5.45, 5.55,
                  5.45, 5.50, 5.65, 5.70, 6.30],
    "narrow angle": [5.50, 5.70, 5.60, 5.50, 5.85, 5.55, 5.40, 5.50, 5.15, 5.80, 5.20, 5.55, 5.35, 5.00, 5.50, 5.55,
                     5.55, 5.50, 5.45, 5.60, 5.65, 6.30],
    "wide angle": [5.55, 5.75, 5.50, 5.40, 5.70, 5.60, 5.35, 5.35, 5.00, 5.70, 5.10, 5.45, 5.45, 4.95, 5.40, 5.50, 5.35,
                   5.55, 5.25, 5.40, 5.55, 6.25],
}  # fmt: skip


def test_friedman_of_hollander_and_wolfe_by_iman_and_davenport():
    chi_square = 11.143  # R's friedman.test, ties corrected
    tested = friedman(frame_of(ROUNDING_TIMES), ACCURACY)
    assert tested.f_statistic == pytest.approx(21 * chi_square / (44 - chi_square), abs=2e-3)
    assert tested.p == pytest.approx(stats.f.sf(tested.f_statistic, 2, 42))


def test_friedman_agrees_with_scipy_and_with_iman_and_davenport():
    tested = friedman(frame_of(DEMSAR_AUC), ACCURACY)
    theirs = stats.friedmanchisquare(*DEMSAR.T)
    f_statistic = 13 * theirs.statistic / (14 * 3 - theirs.statistic)
    assert tested.f_statistic == pytest.approx(f_statistic)
    assert tested.p == pytest.approx(stats.f.sf(f_statistic, 3, 39))
    assert tested.labels == ("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")
    assert (tested.n, tested.left_out) == (14, 0)


def test_the_direction_of_the_metric_turns_the_ranks():
    values = {"a": [3.0, 5.0], "b": [1.0, 5.0], "c": [2.0, 9.0]}
    less = friedman(frame_of(values, "train_seconds"), METRICS["train_seconds"])
    assert (less.labels, less.average_ranks) == (("b", "a", "c"), (1.25, 2.25, 2.5))
    more = friedman(frame_of(values), ACCURACY)
    assert (more.labels, more.average_ranks) == (("c", "a", "b"), (1.5, 1.75, 2.75))


def test_repeats_that_all_rank_alike_have_the_exact_chance_of_that_not_zero():
    frame = frame_of({"a": [0.9, 0.91, 0.92], "b": [0.8, 0.81, 0.82], "c": [0.7, 0.71, 0.72]})
    tested = friedman(frame, ACCURACY)
    assert tested.f_statistic == math.inf
    assert tested.p == pytest.approx(1 / 36)  # (3!)^-2: the second and third repeat follow the first
    tied = friedman(frame_of({"a": [0.9, 0.91], "b": [0.8, 0.81], "c": [0.8, 0.81]}), ACCURACY)
    assert tied.p == pytest.approx(1 / 3)
    many = friedman(frame_of({f"c{place}": [0.5 + place / 100] * 200 for place in range(12)}), ACCURACY)
    assert many.p > 0


@pytest.mark.parametrize(
    ("values", "n"),
    [
        ({"a": [0.9, 0.8], "b": [0.8, 0.7]}, 2),
        ({"a": [0.9], "b": [0.8], "c": [0.7]}, 1),
        ({"a": [0.9, None], "b": [None, 0.8], "c": [0.7, 0.7]}, 0),
        ({"a": [0.9, 0.8], "b": [0.9, 0.8], "c": [0.9, 0.8]}, 2),
    ],
)
def test_degenerate_studies_have_no_test(values, n):
    tested = friedman(frame_of(values), ACCURACY)
    assert tested.n == n
    assert math.isnan(tested.p)
    assert math.isnan(tested.f_statistic)
    assert all(math.isnan(rank) for rank in tested.average_ranks) == (n == 0)


def test_repeats_with_a_missing_value_are_left_out_and_counted():
    values = {"a": [0.9, 0.91, 0.92], "b": [0.8, None, 0.85], "c": [0.7, 0.71, 0.86]}
    tested = friedman(frame_of(values), ACCURACY)
    assert (tested.n, tested.left_out) == (2, 1)
    assert dict(zip(tested.labels, tested.average_ranks, strict=True)) == {"a": 1.0, "b": 2.5, "c": 2.5}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=2, max_size=8), st.permutations("abc"))
def test_names_and_order_do_not_change_the_test(rows, names):
    values = dict(zip("abc", zip(*rows, strict=True), strict=True))
    one = friedman(frame_of(values), ACCURACY)
    other = friedman(frame_of({name: values[name] for name in names}).iloc[::-1], ACCURACY)
    assert one.average_ranks == pytest.approx(other.average_ranks, nan_ok=True)
    assert one.p == pytest.approx(other.p, nan_ok=True)
    assert sum(one.average_ranks) == pytest.approx(6.0)


def comparisons_with(apart, labels="abcd"):
    """Comparisons of constant differences: those in `apart` are told apart, the others are the same."""
    frame = frame_of({label: [0.9] for label in labels})
    plain = compare_pairs(frame, ACCURACY, 0.002)
    return [
        dataclasses.replace(pair, verdict="better" if {pair.a, pair.b} in apart else "inconclusive") for pair in plain
    ]


def test_cliques_are_the_longest_stretches_that_no_verdict_splits():
    pairs = comparisons_with([{"a", "c"}, {"a", "d"}, {"b", "d"}])
    assert cliques("abcd", pairs) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert cliques("abcd", comparisons_with([])) == [("a", "b", "c", "d")]
    assert cliques("abcd", comparisons_with([{"a", "d"}])) == [("a", "b", "c"), ("b", "c", "d")]
    everything = [{one, other} for one in "abcd" for other in "abcd" if one != other]
    assert cliques("abcd", comparisons_with(everything)) == []


def test_pairs_that_no_bar_can_join_are_named():
    pairs = comparisons_with([{"a", "b"}, {"b", "c"}, {"a", "d"}, {"b", "d"}])
    groups = cliques("abcd", pairs)
    assert groups == [("c", "d")]
    assert unbarred_pairs(groups, pairs) == [("a", "c")]
