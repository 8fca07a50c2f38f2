"""Tuned against default: optimism, verdicts, order and paths, compared with scipy and statsmodels."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fmnist.compare import compare_pairs, compare_tuning, difference_estimate
from fmnist.declare import METRICS

ACCURACY = METRICS["test_accuracy"]
MARGIN = 0.002


def rows_of(means, repeats, *, validation=0.0, spread=0.001, seed=0):
    """A row for each label and repeat: test accuracy around its mean, validation accuracy `validation` above it."""
    random = np.random.default_rng(seed)
    block = random.normal(0, spread, len(repeats))
    return pd.DataFrame(
        [
            {"label": label, "repeat": repeat, "test_accuracy": value, "validation_accuracy": value + validation}
            for label, mean in means.items()
            for repeat, value in zip(repeats, mean + block + random.normal(0, spread, len(repeats)), strict=True)
        ]
    )


def column(frame, label, metric="test_accuracy"):
    return frame[frame["label"] == label].set_index("repeat")[metric]


WAYS = {"a": ["a default", "a tuned"], "b": ["b default", "b tuned"], "c": ["c default", "c tuned"]}
MEANS = {
    "a default": 0.90,
    "a tuned": 0.91,
    "b default": 0.905,
    "b tuned": 0.9052,
    "c default": 0.89,
    "c tuned": 0.8894,
}
FRESH = rows_of(MEANS, range(3, 13), validation=0.004)
SEARCHED = rows_of(
    {label: mean for label, mean in MEANS.items() if "tuned" in label}, range(3), validation=0.02, seed=1
)


def compare(fresh=FRESH, searched=SEARCHED, labels=WAYS, margin=MARGIN):
    return compare_tuning(fresh, searched, labels, ACCURACY, margin)


def test_the_difference_of_different_repeats_is_welchs():
    random = np.random.default_rng(3)
    a, b = random.normal(1, 2, 5), random.normal(0, 0.5, 9)
    found = difference_estimate(a, b)
    tested = stats.ttest_ind(a, b, equal_var=False)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert tuple(found.interval()) == pytest.approx(tuple(tested.confidence_interval(0.95)))
    assert found.p_value(found.value) == pytest.approx(tested.pvalue)
    assert found.n == 5
    for few in (np.array([]), np.array([1.0]), np.array([1.0, 1.0])):
        assert not difference_estimate(few, b).interval().known
        assert not difference_estimate(b, few).interval().known


def test_optimism_is_the_value_in_the_search_less_that_on_fresh_repeats():
    a = compare().architectures[0]
    chosen = column(SEARCHED, "a tuned", "validation_accuracy")
    validation, test = column(FRESH, "a tuned", "validation_accuracy"), column(FRESH, "a tuned")
    assert (a.searched.value, a.validation.value, a.test.value) == pytest.approx(
        (chosen.mean(), validation.mean(), test.mean()))  # fmt: skip
    for found, fresh in ((a.selection_optimism, validation), (a.test_optimism, test)):
        assert found.value == pytest.approx(chosen.mean() - fresh.mean())
        interval = stats.ttest_ind(chosen, fresh, equal_var=False).confidence_interval(0.95)
        assert tuple(found.interval()) == pytest.approx(tuple(interval))
    assert a.test_optimism.value - a.selection_optimism.value == pytest.approx(0.004)


def test_the_best_of_many_looks_better_where_it_was_chosen():
    """Points that are all alike: fresh repeats of the best one are on average what all are."""
    optimism = []
    for seed in range(40):
        points = rows_of({f"a {place}": 0.9 for place in range(20)}, range(3), seed=seed)
        best = points.groupby("label")["validation_accuracy"].mean().idxmax()
        fresh = rows_of({best: 0.9, "a default": 0.9}, range(3, 13), seed=1000 + seed)
        (found,) = compare(fresh, points, {"a": ["a default", best]}).architectures
        optimism.append(found.selection_optimism.value)
    assert stats.ttest_1samp(optimism, 0, alternative="greater").pvalue < 1e-6


def test_each_architecture_is_tested_against_its_default_and_holm_adjusts_over_these_alone():
    found = compare()
    p_values = [
        stats.ttest_rel(column(FRESH, tuned), column(FRESH, default)).pvalue for default, tuned in WAYS.values()
    ]
    adjusted = multipletests(p_values, method="holm")[1]
    assert [item.pair.difference_p_holm for item in found.architectures] == pytest.approx(list(adjusted))
    assert [item.pair.verdict for item in found.architectures] == ["better", "equivalent", "equivalent"]
    assert found.family == 3
    first = found.architectures[0].pair
    difference = column(FRESH, "a tuned") - column(FRESH, "a default")
    assert (first.a, first.b, first.mean_difference) == ("a tuned", "a default", pytest.approx(difference.mean()))
    undecided = compare(margin=1e-9).architectures[2].pair
    assert undecided.verdict == "inconclusive"
    assert undecided.repeats_to_decide[0] > 10


def test_pairs_that_are_asked_for_are_the_family_in_the_direction_given():
    wanted = [("c tuned", "a default"), ("a default", "b default")]
    found = compare_pairs(FRESH, ACCURACY, MARGIN, pairs=wanted)
    assert [(pair.a, pair.b) for pair in found] == wanted
    p_values = [stats.ttest_rel(column(FRESH, a), column(FRESH, b)).pvalue for a, b in wanted]
    assert [pair.difference_p_holm for pair in found] == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert compare_pairs(FRESH, ACCURACY, MARGIN, pairs=[]) == []


def test_a_best_point_that_is_the_default_is_not_compared_with_itself():
    found = compare(labels={**WAYS, "b": ["b default"]})
    b = found.architectures[1]
    assert (b.default, b.tuned, b.pair) == ("b default", "b default", None)
    assert found.family == 2
    assert found.order.tuned.means["b"] == found.order.default.means["b"]
    alone = compare(labels={"b": ["b default"]})
    assert (alone.order, alone.paths, alone.family) == (None, (), 0)


def test_the_order_after_tuning_stands_beside_that_at_defaults():
    order = compare().order
    assert list(order.default.means) == ["b", "a", "c"]
    assert list(order.tuned.means) == ["a", "b", "c"]
    assert order.default.means["b"] == pytest.approx(column(FRESH, "b default").mean())
    assert order.swapped == order.reversed == (("b", "a"),)
    assert order.tau == pytest.approx(1 / 3)
    for ranking, place in ((order.default, 0), (order.tuned, 1)):
        names = [WAYS[architecture][place] for architecture in ranking.means]
        plain = compare_pairs(FRESH, ACCURACY, MARGIN, labels=names)
        assert [pair.difference_p_holm for pair in ranking.pairs] == [pair.difference_p_holm for pair in plain]
        assert {pair.a for pair in ranking.pairs} < set("abc")


def test_means_that_change_order_within_the_noise_are_no_reversal():
    noise = np.tile([0.004, -0.003], 5)  # of mean 0.0005
    values = {"a default": np.zeros(10), "b default": noise, "a tuned": noise, "b tuned": np.zeros(10)}
    fresh = pd.DataFrame([{"label": label, "repeat": repeat, "test_accuracy": 0.9 + value, "validation_accuracy": 0.9}
                          for label, column in values.items() for repeat, value in enumerate(column)])  # fmt: skip
    order = compare(fresh, labels={name: WAYS[name] for name in "ab"}).order
    assert (order.tau, order.swapped, order.reversed) == (-1, (("b", "a"),), ())
    assert (order.default.groups, order.tuned.groups) == ((("b", "a"),), (("a", "b"),))


def test_architectures_that_are_one_once_tuned_tie():
    labels = {"a": ["a default", "a tuned"], "b": ["b default", "a tuned"]}
    found = compare(labels=labels)
    assert found.order.tuned.means["a"] == found.order.tuned.means["b"]
    assert found.order.tuned.pairs[0].verdict == "equivalent"
    assert (found.order.swapped, found.order.tau) == ((), pytest.approx(float("nan"), nan_ok=True))
    assert [item.pair.b for item in found.architectures] == ["a default", "b default"]
    shared = compare(labels={"a": WAYS["a"], "b": WAYS["a"]})
    assert shared.family == 1


PATH = {"a": ["a default", "a + l2", "a + zoom", "a tuned"], "b": ["b default", "b tuned"], "c": ["c default"]}
STEPS = {"a default": 0.90, "a + l2": 0.9001, "a + zoom": 0.908, "a tuned": 0.91, "b default": 0.9, "b tuned": 0.9}


def test_a_path_compares_each_configuration_with_the_one_before_over_all_steps_of_all_paths():
    fresh = rows_of(STEPS, range(10), spread=0.0005)
    found = compare(fresh, labels=PATH)
    a, b = found.paths
    steps = [*itertools.pairwise(PATH["a"]), *itertools.pairwise(PATH["b"])]
    p_values = [stats.ttest_rel(column(fresh, after), column(fresh, before)).pvalue for before, after in steps]
    assert [step.pair.difference_p_holm for path in found.paths for step in path.steps] == pytest.approx(
        list(multipletests(p_values, method="holm")[1]))  # fmt: skip
    assert [(step.before, step.label) for path in found.paths for step in path.steps] == steps
    assert [(step.pair.a, step.pair.b) for step in a.steps] == [(step.label, step.before) for step in a.steps]
    assert [step.pair.verdict for step in a.steps] == ["equivalent", "better", "better"]
    assert (a.gained_by.label, b.gained_by) == ("a + zoom", None)
    total = stats.ttest_1samp(column(fresh, "a tuned") - column(fresh, "a default"), 0).confidence_interval(0.95)
    assert tuple(a.steps[-1].total.interval()) == pytest.approx(tuple(total))
    assert (a.n, a.left_out) == (10, 0)


def test_paths_may_share_a_configuration():
    fresh = rows_of(STEPS, range(10))
    a, b = compare(fresh, labels={"a": PATH["a"], "b": ["b default", "a + zoom", "a tuned"]}).paths
    assert b.steps[-1].pair.mean_difference == pytest.approx(a.steps[-1].pair.mean_difference)


@given(st.sets(st.tuples(st.sampled_from(PATH["a"]), st.integers(0, 7)), max_size=20))
@settings(max_examples=40, deadline=None)
def test_steps_add_up_whatever_rows_are_missing(missing):
    fresh = rows_of(STEPS, range(8))
    fresh = fresh[[both not in missing for both in zip(fresh["label"], fresh["repeat"], strict=True)]]
    path = compare(fresh, labels=PATH).paths[0]
    there = set(fresh.loc[fresh["label"].isin(PATH["a"]), "repeat"])
    complete = set(range(8)) - {repeat for _, repeat in missing}
    assert (path.n, path.left_out) == (len(complete), len(there - complete))
    sums = np.cumsum([step.pair.mean_difference for step in path.steps])
    assert [step.total.value for step in path.steps] == pytest.approx(list(sums), nan_ok=True)


def test_where_rows_are_missing_nothing_is_claimed():
    one = FRESH[FRESH["label"].isin(["a tuned", "b default"])]
    found = compare(one, SEARCHED[:0])
    assert [item.pair.verdict for item in found.architectures] == ["inconclusive"] * 3
    assert not any(item.selection_optimism.interval().known for item in found.architectures)
    assert np.isnan(found.architectures[0].searched.value)
    assert (found.family, found.order.swapped, found.order.reversed) == (0, (), ())
    assert np.isnan(found.order.tau)
    assert len(compare(one, labels=PATH).paths) == 2
