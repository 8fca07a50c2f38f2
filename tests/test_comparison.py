import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fmnist.compare.comparison import cliffs_delta, compare_pairs
from fmnist.compare.intervals import Interval
from fmnist.compare.paired import repeats_for_difference, repeats_for_equivalence
from fmnist.declare.metrics import METRICS
from fmnist.report.chapters.pairs import remarks, repeats_text
from fmnist.report.text import NOTHING
from tests.small_frames import frame_of

ACCURACY, SECONDS = METRICS["test_accuracy"], METRICS["train_seconds"]
OPPOSITE = {"better": "worse", "worse": "better", "equivalent": "equivalent", "inconclusive": "inconclusive"}
SHARES = st.integers(9000, 9100).map(lambda x: x / 1e4)
STUDIES = st.integers(2, 8).flatmap(
    lambda n: st.lists(st.lists(SHARES | st.none(), min_size=n, max_size=n), min_size=2, max_size=3)
)


def values_around(mean, spread=0.002, n=10, seed=0):
    return list(np.round(np.random.default_rng(seed).normal(mean, spread, n), 4))


def only(values, metric=ACCURACY, margin=0.002, **options):
    (pair,) = compare_pairs(frame_of(values, metric.name), metric, margin, **options)
    return pair


def words_of(pair, metric=ACCURACY):
    return remarks(pair, metric, None, 1)


def test_a_clear_difference_with_all_its_figures():
    a, b = values_around(0.92, seed=1), values_around(0.90, seed=2)
    pair = only({"a": a, "b": b})
    gaps = np.array(a) - np.array(b)
    assert (pair.n, pair.left_out, pair.verdict, pair.basis, words_of(pair)) == (10, 0, "better", "paired t", "")
    assert pair.mean_difference == pytest.approx(gaps.mean())
    assert pair.difference_p_holm == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert pair.signed_rank_p_holm == 2 / 2**10
    assert pair.d_z == pytest.approx(gaps.mean() / gaps.std(ddof=1))
    expected = stats.ttest_rel(a, b).confidence_interval()
    assert (pair.interval.lower, pair.interval.upper) == pytest.approx((expected.low, expected.high))
    assert (pair.cliffs_delta, pair.probability_a_better) == (1.0, 1.0)
    assert math.isnan(pair.ratio)
    assert pair.repeats_to_decide is None


def test_time_is_compared_by_its_ratio_and_less_is_better():
    a, b = [10.0, 11.0, 12.0, 10.5], [20.0, 22.5, 23.5, 21.5]
    pair = only({"a": a, "b": b}, SECONDS, 0.05)
    logs = np.log(np.array(a) / np.array(b))
    assert pair.verdict == "better"
    assert pair.ratio == pytest.approx(math.exp(logs.mean()))
    assert pair.difference_p_holm == pytest.approx(stats.ttest_1samp(logs, 0).pvalue)
    expected = np.exp(stats.ttest_1samp(logs, 0).confidence_interval())
    assert (pair.ratio_interval.lower, pair.ratio_interval.upper) == pytest.approx(expected)
    assert pair.mean_difference == pytest.approx(-11.0)
    assert pair.probability_a_better == 1.0


def test_cliffs_delta():
    assert cliffs_delta(np.array([3.0, 4, 5]), np.array([1.0, 2])) == 1.0
    assert cliffs_delta(np.array([1.0, 2, 3]), np.array([2.0, 2, 4])) == pytest.approx((2 - 5) / 9)
    assert math.isnan(cliffs_delta(np.array([]), np.array([1.0])))


def test_ties_count_by_half_in_the_chance_to_be_better():
    a, b = [0.91, 0.9, 0.92, 0.905, 0.93], [0.9, 0.92, 0.92, 0.9, 0.9]
    assert only({"a": a, "b": b}).probability_a_better == 3.5 / 5
    assert only({"a": a, "b": b}, SECONDS).probability_a_better == 1.5 / 5


def test_equivalent_times_within_the_margin_as_a_fraction():
    a = values_around(10.0, 0.05, n=12, seed=3)
    pair = only({"a": a, "b": [value * 1.01 for value in a[::-1]]}, SECONDS, 0.05)
    assert pair.verdict == "equivalent"
    assert pair.equivalence_p_holm < 0.001


def test_a_significant_but_small_difference_is_equivalent_and_says_so():
    a = values_around(0.91, n=12)
    pair = only({"a": a, "b": [round(x + 0.0005 + 0.0001 * (place % 3), 4) for place, x in enumerate(a)]})
    assert pair.verdict == "equivalent"
    assert pair.difference_p_holm < 0.001
    assert words_of(pair) == "The difference is significant, but smaller than the margin that matters."


def test_an_inconclusive_pair_has_a_range_of_repeats_from_all_of_its_interval():
    a, b = [0.901, 0.905, 0.899, 0.903, 0.902, 0.906], [0.900, 0.901, 0.901, 0.900, 0.904, 0.901]
    pair = only({"a": a, "b": b})
    assert pair.verdict == "inconclusive"
    spread = (np.array(a) - np.array(b)).std(ddof=1)
    low, high, margin = pair.interval.lower / spread, pair.interval.upper / spread, 0.002 / spread
    needed = [
        min(repeats_for_difference(d, 0.05), repeats_for_equivalence(d, margin, 0.05))
        for d in np.linspace(low, high, 101)
    ]
    fewest, most = pair.repeats_to_decide
    assert fewest == max(min(needed), 7)
    assert most == pytest.approx(max(needed), rel=0.05)  # the turn is found by the normal approximation
    assert repeats_text(pair, None) == f"{fewest} to {most}"


def test_below_five_common_repeats_nothing_is_planned():
    pair = only({"a": [0.901, 0.905, 0.899, 0.903], "b": [0.900, 0.901, 0.901, 0.900]})
    assert (pair.verdict, pair.repeats_to_decide) == ("inconclusive", None)
    assert repeats_text(pair, None) == NOTHING
    still = only({"a": [0.9] * 5, "b": [0.91] * 5})
    assert (still.verdict, still.repeats_to_decide) == ("inconclusive", None)


def test_without_a_margin_a_pair_that_may_be_alike_may_need_any_number():
    pair = only({"a": values_around(0.91, seed=1), "b": values_around(0.91, seed=2)}, margin=None)
    assert pair.repeats_to_decide[1] == math.inf
    assert repeats_text(pair, None).endswith(" to more than 10,000")


def test_without_margin_nothing_is_equivalent():
    a = values_around(0.91)
    pair = only({"a": a, "b": a[::-1]}, margin=None)
    assert (pair.verdict, pair.margin) == ("inconclusive", None)
    assert math.isnan(pair.equivalence_p_holm)


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan])
def test_a_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match=r"margin: got .* expected a number above 0"):
        only({"a": [0.9], "b": [0.9]}, margin=margin)


@pytest.mark.parametrize(
    ("a", "b", "n", "verdict", "words"),
    [
        ([0.9, None], [None, 0.9], 0, "inconclusive", "No repeat in common: nothing to compare."),
        ([None, None], [0.9, 0.8], 0, "inconclusive", "No repeat in common"),
        ([0.9], [0.8], 1, "inconclusive", "One common repeat"),
        (
            [0.9, math.nan, 0.91, 0.92],
            [0.8, 0.8, 0.81, 0.83],
            3,
            "better",
            "1 repeat with a value of only one of the two is",
        ),
        ([0.9] * 4, [0.9] * 4, 4, "inconclusive", "Both have the same value in each of the 4 repeats"),
        ([0.9] * 5, [0.9] * 5, 5, "equivalent", "Both have the same value in each of the 5 repeats"),
        ([0.91, 0.92], [0.90, 0.91], 2, "inconclusive", "The difference is the same in each of the 2 repeats"),
        ([0.91] * 6, [0.90] * 6, 6, "better", "The difference is the same in each of the 6 repeats"),
        ([0.91, 0.92, 0.93], [0.8, 0.8, 0.8], 3, "better", ""),
        ([0.9, 0.8, 0.91], [0.91], 1, "inconclusive", "2 repeats with a value of only one of the two are"),
    ],
)
def test_degenerate_pairs_are_defined_and_said_in_words(a, b, n, verdict, words):
    pair = only({"a": a, "b": b})
    assert (pair.n, pair.verdict) == (n, verdict)
    assert words in words_of(pair)
    mirrored = only({"a": a, "b": b}, labels=["b", "a"])
    assert mirrored.verdict == OPPOSITE[verdict]


def test_a_repeat_without_a_ratio_is_left_out():
    pair = only({"a": [0.0, 2.0, 2.1], "b": [1.0, 1.0, 1.0]}, METRICS["host_allocated_bytes"], 0.05)
    assert pair.n == 2
    assert "1 common repeat with a value of 0 or less: no ratio." in words_of(pair, METRICS["host_allocated_bytes"])


def test_an_outlier_that_hides_a_difference_is_pointed_out():
    a = [0.920, 0.922, 0.919, 0.921, 0.923, 0.920, 0.918, 0.922, 0.921, 0.924, 0.920, 0.3]
    pair = only({"a": a, "b": values_around(0.90, 0.001, n=12)})
    assert pair.verdict == "inconclusive"
    assert "look for outliers" in words_of(pair)


def test_the_family_is_adjusted_by_holm_and_untestable_pairs_do_not_count():
    frame = frame_of({"a": values_around(0.9, seed=1), "b": values_around(0.903, seed=2), "c": [0.91]})
    pairs = {(pair.a, pair.b): pair for pair in compare_pairs(frame, ACCURACY, 0.002)}
    assert (
        pairs["a", "b"].difference_p_holm
        == only({"a": values_around(0.9, seed=1), "b": values_around(0.903, seed=2)}).difference_p_holm
    )
    assert math.isnan(pairs["a", "c"].difference_p_holm)
    values = {label: values_around(0.9 + 0.001 * seed, seed=seed) for seed, label in enumerate("abcd")}
    pairs = compare_pairs(frame_of(values), ACCURACY, 0.002)
    alone = [only({label: values[label] for label in (pair.a, pair.b)}).difference_p_holm for pair in pairs]
    assert min(pair.difference_p_holm for pair in pairs) == pytest.approx(6 * min(alone))


def test_one_label_or_none_makes_no_pair():
    assert compare_pairs(frame_of({"a": [0.9, 0.8]}), ACCURACY, 0.002) == []


def _study(sequences):
    return frame_of(dict(zip("abc", sequences, strict=False)))


def _close(one, other):
    for field in dataclasses.fields(one):
        x, y = getattr(one, field.name), getattr(other, field.name)
        if isinstance(x, Interval):
            assert (x.lower, x.upper) == pytest.approx((y.lower, y.upper), rel=1e-6, abs=1e-9, nan_ok=True)
        elif isinstance(x, float):
            assert x == pytest.approx(y, rel=1e-6, abs=1e-9, nan_ok=True), field.name
        else:
            assert x == y, field.name


@settings(max_examples=25, deadline=None)
@given(STUDIES, st.randoms())
def test_the_order_of_rows_does_not_matter(sequences, random):
    frame = _study(sequences)
    order = list(range(len(frame)))
    random.shuffle(order)
    for one, other in zip(
        compare_pairs(frame, ACCURACY, 0.002), compare_pairs(frame.iloc[order], ACCURACY, 0.002), strict=True
    ):
        _close(one, other)


@settings(max_examples=25, deadline=None)
@given(STUDIES)
def test_exchanging_the_labels_turns_every_figure_around(sequences):
    frame = _study(sequences)
    names = sorted(frame["label"].unique())
    forward = {(pair.a, pair.b): pair for pair in compare_pairs(frame, ACCURACY, 0.002)}
    for back in compare_pairs(frame, ACCURACY, 0.002, labels=names[::-1]):
        pair = forward[back.b, back.a]
        assert back.verdict == OPPOSITE[pair.verdict]
        assert back.mean_difference == pytest.approx(-pair.mean_difference, nan_ok=True)
        assert back.cliffs_delta == pytest.approx(-pair.cliffs_delta, nan_ok=True)
        assert back.probability_a_better == pytest.approx(1 - pair.probability_a_better, nan_ok=True)
        here, there = back.interval, pair.interval
        assert (here.lower, here.upper) == pytest.approx((-there.upper, -there.lower), abs=1e-9, nan_ok=True)
        assert back.difference_p_holm == pytest.approx(pair.difference_p_holm, nan_ok=True)
        assert back.repeats_to_decide == pair.repeats_to_decide


@settings(max_examples=15, deadline=None)
@given(STUDIES)
def test_other_names_give_the_same_figures(sequences):
    frame = _study(sequences)
    renamed = frame.assign(label=frame["label"] + "_net", repeat=frame["repeat"] + 100)
    for one, other in zip(compare_pairs(frame, ACCURACY, 0.002), compare_pairs(renamed, ACCURACY, 0.002), strict=True):
        _close(dataclasses.replace(one, a="", b=""), dataclasses.replace(other, a="", b=""))
