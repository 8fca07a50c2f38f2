import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fmnist.schema import METRICS
from fmnist.statistics.trainability import compare_spread, pitman_morgan, standard_deviation_interval, trainability
from tests.small_frames import frame_of

ACCURACY = METRICS["test_accuracy"]


def run(label, status="ok", test=0.90, train=0.95, best=5, epochs=10):
    return {
        "label": label, "status": status, "test_accuracy": test, "train_accuracy": train, "best_epoch": best,
        "epochs_run": epochs,
    }  # fmt: skip


def test_what_training_was_like():
    nothing = {"test": None, "train": None, "best": None, "epochs": None}
    frame = pd.DataFrame(
        [
            run("a", test=0.90, train=0.95), run("a", test=0.92, train=0.96, best=7), run("a", "diverged", **nothing),
            run("a", "failed", **nothing), run("b", test=0.91, train=0.92),
        ]
    )  # fmt: skip
    a, b = trainability(frame)
    assert (a.label, a.runs, a.failed, a.diverged) == ("a", 3, 1, 1)
    assert a.diverged_share == pytest.approx(1 / 3)
    assert a.diverged_interval.lower < 1 / 3 < a.diverged_interval.upper
    assert (a.generalisation_gap.n, a.generalisation_gap.mean) == (2, pytest.approx(0.045))
    assert (a.best_epoch.mean, a.epochs_run.mean) == (6.0, 10.0)
    assert a.seed_spread == pytest.approx(0.02 / math.sqrt(2))
    assert (b.runs, b.diverged_share) == (1, 0.0)
    assert math.isnan(b.seed_spread)
    assert not b.seed_spread_interval.known
    assert [item.label for item in trainability(frame, ["b", "a"])] == ["b", "a"]


def test_a_configuration_that_never_ended_has_no_figures():
    (item,) = trainability(pd.DataFrame([run("a", "failed", test=None, train=None, best=None, epochs=None)]))
    assert (item.runs, item.failed) == (0, 1)
    assert math.isnan(item.diverged_share)
    assert item.best_epoch.n == 0


def test_interval_of_the_standard_deviation_agrees_with_the_chi_square_table():
    sample = np.random.default_rng(0).normal(size=10)
    interval = standard_deviation_interval(sample)
    # chi-square with 9 degrees of freedom: 19.023 and 2.700 at 2.5 % and 97.5 %
    assert interval.lower == pytest.approx(sample.std(ddof=1) * math.sqrt(9 / 19.023), rel=1e-4)
    assert interval.upper == pytest.approx(sample.std(ddof=1) * math.sqrt(9 / 2.700), rel=1e-3)


def test_pitman_morgan_is_the_correlation_of_sum_and_difference():
    a, b = np.random.default_rng(1).normal(size=(2, 15)) * np.array([[1.0], [2.0]])
    assert pitman_morgan(a, b) == pytest.approx(stats.pearsonr(a + b, a - b).pvalue)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=9))
def test_pitman_morgan_is_symmetric_and_a_probability(pairs):
    a, b = np.array(pairs, dtype=float).reshape(-1, 2).T
    p = pitman_morgan(a, b)
    assert math.isnan(p) or 0 <= p <= 1
    assert p == pytest.approx(pitman_morgan(b, a), nan_ok=True)


def test_spread_of_pairs():
    generator = np.random.default_rng(2)
    frame = frame_of(
        {"calm": generator.normal(0.9, 0.001, 20), "wild": generator.normal(0.9, 0.01, 20), "still": [0.9] * 20}
    )
    pairs = {(pair.a, pair.b): pair for pair in compare_spread(frame, ACCURACY)}
    assert pairs["calm", "wild"].ratio < 0.2
    assert pairs["calm", "wild"].p_holm == pairs["calm", "wild"].p < 0.001
    assert pairs["calm", "wild"].note == ""
    assert math.isnan(pairs["calm", "still"].p)
    assert math.isnan(pairs["calm", "still"].ratio)
    assert "no test" in pairs["calm", "still"].note


def test_spreads_of_shifted_samples_do_not_differ():
    assert pitman_morgan(np.array([0.1, 0.2, 0.4]), np.array([0.2, 0.3, 0.5])) == 1.0


def test_one_label_makes_no_pair():
    assert compare_spread(frame_of({"a": [0.9, 0.8]}), ACCURACY) == []
