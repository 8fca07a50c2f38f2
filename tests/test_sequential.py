import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fmnist.compare.comparison import compare_pairs
from fmnist.compare.sequential import (
    Design,
    analysis_levels,
    decide,
    next_analysis,
    nominal_levels,
    open_labels,
    planned_analyses,
    reject_at_analyses,
)
from fmnist.declare.metrics import METRICS
from fmnist.report.chapters.pairs import remarks, repeats_text
from fmnist.report.text import NOTHING
from tests.small_frames import frame_of

ACCURACY = METRICS["test_accuracy"]
ANALYSES = (5, 10, 20)


def values_around(mean, spread, n, seed):
    return list(np.round(np.random.default_rng(seed).normal(mean, spread, n), 4))


@pytest.mark.parametrize(
    ("analyses", "boundaries"),
    [
        # O'Brien-Fleming-type boundaries of Lan and DeMets, level 0.05 two-sided, as in R's ldbounds and gsDesign
        ((1, 2, 3, 4, 5), [4.877, 3.357, 2.680, 2.290, 2.031]),
        ((1, 2), [2.963, 1.969]),
        ((1,), [1.960]),
    ],
)
def test_levels_as_published(analyses, boundaries):
    levels = nominal_levels(analyses, 0.05, two_sided=True)
    assert [stats.norm.isf(level / 2) for level in levels] == pytest.approx(boundaries, abs=5.1e-4)


def test_a_two_sided_level_is_two_one_sided_ones():
    one_sided = nominal_levels(ANALYSES, 0.025, two_sided=False)
    assert nominal_levels(ANALYSES, 0.05, two_sided=True) == tuple(2 * level for level in one_sided)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(2, 40), min_size=1, max_size=6), st.floats(1e-4, 0.2))
def test_levels_grow_with_the_error_there_is_to_spend_and_never_exceed_it(analyses, alpha):
    schedule = tuple(sorted(analyses))
    levels = analysis_levels(schedule, alpha, two_sided=True)
    assert max(levels) <= alpha * (1 + 1e-9)
    assert sum(levels) >= 0.49 * alpha  # the errors of the analyses add up to what is spent, at most
    # what Holm's procedure over pairs needs of a spending function (Maurer and Bretz 2013)
    smaller = analysis_levels(schedule, alpha / 3, two_sided=True)
    assert all(less <= more for less, more in zip(smaller, levels, strict=True))


@pytest.mark.parametrize("analyses", [(), (1, 5), (5, 5), (10, 5)])
def test_analyses_must_increase(analyses):
    with pytest.raises(ValueError, match="expected increasing numbers of repeats"):
        decide(frame_of({"a": [0.9], "b": [0.8]}), ACCURACY, 0.002, analyses)


def test_the_level_is_a_probability():
    with pytest.raises(ValueError, match=r"alpha: got 1\.5"):
        nominal_levels((5, 10), 1.5, two_sided=True)


def test_a_single_analysis_is_a_plain_test():
    assert analysis_levels((20,), 0.05, two_sided=True) == pytest.approx((0.05,))


def test_planned_analyses():
    assert planned_analyses(30) == (5, 10, 15, 20, 25, 30)
    assert planned_analyses(6) == (5, 6)
    assert planned_analyses(4) == (4,)
    with pytest.raises(ValueError, match="--max-repeats: got 2, expected at least 3"):
        planned_analyses(2)


def test_rejections_step_down_by_holm_and_stay():
    analyses = (10, 20)
    first, last = analysis_levels(analyses, 0.05, two_sided=True)
    third, half = (analysis_levels(analyses, alpha, two_sided=True)[0] for alpha in (0.05 / 3, 0.025))
    assert third < half < first < last
    unknown = np.full((2, 3), np.nan)
    # the smallest passes at a third, then the next at a half; the last fails even alone, and passes at the end
    p_values = np.array([[0.99 * half, 0.99 * third, 1.01 * first], [1.0, 1.0, 0.99 * last]])
    assert reject_at_analyses(p_values, unknown, analyses, 0.05).difference.tolist() == [1, 1, 2]
    p_values[0, 1] = 1.01 * third
    assert reject_at_analyses(p_values, unknown, analyses, 0.05).difference.tolist() == [0, 0, 0]


def test_a_pair_decided_one_way_is_not_tested_the_other_way_later():
    tiny, unlikely = 1e-12, 1.0
    rejected = reject_at_analyses(np.array([[unlikely], [tiny]]), np.array([[tiny], [tiny]]), (10, 20), 0.05)
    assert (rejected.difference.tolist(), rejected.equivalence.tolist()) == ([0], [1])


def test_a_study_is_decided_pair_by_pair_and_stops():
    values = {
        "a": values_around(0.90, 0.001, 20, 1),
        "b": values_around(0.93, 0.001, 20, 2),
        "c": values_around(0.93, 0.001, 20, 3),
    }
    frame = frame_of(values)
    early = decide(frame[frame["repeat"] < 4], ACCURACY, 0.002, ANALYSES)
    assert {(pair.analysis, pair.verdict, pair.final) for pair in early} == {(0, "inconclusive", False)}
    assert (open_labels(early), next_analysis(early, ANALYSES)) == (["a", "b", "c"], 5)
    middle = decide(frame[frame["repeat"] < 10], ACCURACY, 0.002, ANALYSES)
    assert [(pair.verdict, pair.analysis, pair.n) for pair in middle] == [
        ("worse", 2, 10), ("worse", 2, 10), ("inconclusive", 2, 10)]  # fmt: skip
    assert (open_labels(middle), next_analysis(middle, ANALYSES)) == (["b", "c"], 20)
    # a needs no further rows: its pairs are decided
    late = decide(frame[(frame["repeat"] < 10) | (frame["label"] != "a")], ACCURACY, 0.002, ANALYSES)
    assert late[:2] == middle[:2]
    assert (late[2].verdict, late[2].analysis, late[2].final) == ("equivalent", 3, True)
    assert (open_labels(late), next_analysis(late, ANALYSES)) == ([], None)


def test_more_rows_never_change_a_decision():
    frame = frame_of({label: values_around(0.9 + 0.004 * seed, 0.002, 20, seed) for seed, label in enumerate("abcd")})
    decided = {}
    for n in range(1, 21):
        for pair in decide(frame[frame["repeat"] < n], ACCURACY, 0.002, ANALYSES):
            if pair.verdict != "inconclusive":
                before = decided.setdefault((pair.a, pair.b), pair)
                assert (pair.verdict, pair.analysis, pair.n) == (before.verdict, before.analysis, before.n)
    assert len(decided) > 2


def test_the_last_analysis_is_final_also_inconclusive():
    a = values_around(0.900, 0.004, 20, 1)
    (pair,) = decide(frame_of({"a": a, "b": a[::-1]}), ACCURACY, 0.0001, ANALYSES)
    assert (pair.verdict, pair.analysis, pair.final) == ("inconclusive", 3, True)


def test_a_diverged_run_counts_as_attempted_and_a_missing_one_does_not():
    values = {"a": values_around(0.90, 0.001, 10, 1), "b": values_around(0.95, 0.001, 10, 2)}
    values["a"][3] = None
    frame = frame_of(values)
    (pair,) = decide(frame, ACCURACY, 0.002, ANALYSES)
    assert (pair.verdict, pair.analysis, pair.n) == ("worse", 2, 9)
    (pair,) = decide(frame.drop(frame.index[7]), ACCURACY, 0.002, ANALYSES)
    assert (pair.verdict, pair.analysis) == ("inconclusive", 1)


def test_runs_that_all_diverge_are_never_decided():
    (pair,) = decide(frame_of({"a": [None] * 20, "b": [0.9] * 20}), ACCURACY, 0.002, ANALYSES)
    assert (pair.verdict, pair.analysis, pair.n, pair.final) == ("inconclusive", 3, 0, True)


def test_one_label_has_nothing_to_decide():
    assert decide(frame_of({"a": [0.9] * 5}), ACCURACY, 0.002, ANALYSES) == []


def test_the_order_of_labels_and_rows_does_not_matter():
    frame = frame_of({label: values_around(0.9 + 0.003 * seed, 0.002, 20, seed) for seed, label in enumerate("abc")})
    plain = {(pair.a, pair.b): pair for pair in decide(frame, ACCURACY, 0.002, ANALYSES)}
    opposite = {"better": "worse", "worse": "better"}
    for pair in decide(frame.iloc[::-1], ACCURACY, 0.002, ANALYSES, labels=["c", "b", "a"]):
        other = plain[pair.b, pair.a]
        assert pair.verdict == opposite.get(other.verdict, other.verdict)
        assert pair.analysis == other.analysis


def test_a_label_without_rows_counts_in_the_family_and_is_in_no_analysis():
    later = 0
    for seed in range(10):
        frame = frame_of({label: values_around(0.9, 0.002, 20, [seed, ord(label)]) for label in "ab"})
        (alone,) = decide(frame, ACCURACY, 0.002, ANALYSES)
        pair, with_a, with_b = decide(frame, ACCURACY, 0.002, ANALYSES, labels=["a", "b", "c"])
        assert [(one.a, one.b, one.analysis, one.verdict) for one in (with_a, with_b)] == [
            (label, "c", 0, "inconclusive") for label in "ab"
        ]
        assert pair.analysis >= alone.analysis  # a family of three leaves each pair less of the error
        later += pair.analysis > alone.analysis or (pair.verdict, alone.verdict) == ("inconclusive", "equivalent")
    assert later


def described(values, analyses, margin=0.0001):
    """The pair as a report describes it, with its remarks and what would decide it."""
    frame = frame_of(values)
    decisions = decide(frame, ACCURACY, margin, analyses)
    (pair,) = compare_pairs(frame, ACCURACY, margin, decisions=decisions)
    design = Design(metric="test_accuracy", analyses=tuple(analyses))
    return pair, remarks(pair, ACCURACY, design, 1), repeats_text(pair, design)


def test_an_inconclusive_pair_of_a_design_says_its_next_analysis_and_plans_nothing():
    values = {"a": values_around(0.90, 0.003, 10, 1), "b": values_around(0.9025, 0.003, 10, 5)}
    pair, words, plan = described(values, ANALYSES)
    assert (pair.verdict, pair.repeats_to_decide) == ("inconclusive", None)
    assert words.startswith("Inconclusive at analysis 2 of 3 (n = 10); the next analysis is at 20 repeats.")
    assert plan == "analysis at 20"
    pair, words, _ = described({label: column[:3] for label, column in values.items()}, ANALYSES)
    assert words == "Not analysed yet: the first analysis is at 5 repeats."
    _, words, plan = described(values, (5, 10))
    assert words.startswith("Inconclusive at analysis 2 of 2 (n = 10); that was the last analysis.")
    assert plan == NOTHING


def test_a_sure_plain_difference_that_the_design_leaves_open_is_explained():
    pair, words, _ = described({"a": [0.904, 0.906, 0.903, 0.907, 0.904], "b": [0.9] * 5}, (5, 200))
    assert pair.verdict == "inconclusive"
    assert pair.interval.lower > 0
    assert words.endswith("The interval does not allow for the analyses.")


def test_a_decision_that_later_repeats_turn_round_is_told_as_it_stands():
    early = [0.93, 0.931, 0.929, 0.932, 0.93]
    values = {"a": early + [0.88, 0.879] * 4, "b": [0.9, 0.9, 0.901, 0.9, 0.899] + [0.9] * 8}
    pair, words, _ = described(values, (5, 6))
    assert (pair.verdict, pair.decision.analysis, pair.n) == ("better", 1, 13)
    assert pair.mean_difference < 0
    assert words == (
        "Decided at analysis 1 of 2 (n = 5); the figures are over all 13 common repeats and point the other way; the"
        " decision stands."
    )
    values["a"][5:] = [0.9, 0.901, 0.899, 0.85, 0.94, 0.9, 0.9, 0.9]
    assert "and do not show it; the decision stands." in described(values, (5, 6))[1]
    assert (
        described({label: column[:5] for label, column in values.items()}, (5, 6))[1]
        == "Decided at analysis 1 of 2 (n = 5)."
    )
