"""Claims decided from plain estimates: laws of the verdicts, and its error on simulated tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fmnist.compare.claims import Region, claim_verdicts, lean
from fmnist.compare.intervals import FAMILY_ERROR, Estimate, mean_estimate
from fmnist.compare.test_set import layered_estimate, variance_layers

ABOVE, BELOW = Region(low=0.0), Region(high=0.0)
ABOUT_TWO = Region(low=1.5, high=2.5)
VALUES = st.floats(-5, 5)
ESTIMATES = st.builds(
    Estimate,
    value=VALUES,
    standard_error=st.floats(0.01, 3),
    degrees_of_freedom=st.sampled_from([1, 4, 9, 30.5]),
    n=st.just(10),
)
PARTS = st.lists(ESTIMATES, min_size=1, max_size=4)
REGIONS = st.one_of(
    st.builds(lambda low: Region(low=low), VALUES),
    st.builds(lambda high: Region(high=high), VALUES),
    st.builds(lambda low, width: Region(low=low, high=low + width), VALUES, st.floats(0, 3)),
)


def estimate(value, error=0.1, freedom=9):
    return Estimate(value=value, standard_error=error, degrees_of_freedom=freedom, n=10)


def verdict_on(parts, region, analyses=1):
    return claim_verdicts([(parts, region)], analyses)[0][0]


@pytest.mark.parametrize(
    ("values", "region", "wanted"),
    [
        ([1.0], ABOVE, "confirmed"),
        ([-1.0], ABOVE, "refuted"),
        ([0.1], ABOVE, "not decidable"),
        ([1.0, 1.0], ABOVE, "confirmed"),
        ([1.0, 0.1], ABOVE, "not decidable"),
        ([1.0, -1.0], ABOVE, "refuted"),
        ([2.0], ABOUT_TWO, "confirmed"),
        ([2.4], ABOUT_TWO, "not decidable"),
        ([3.5], ABOUT_TWO, "refuted"),
        ([0.5], ABOUT_TWO, "refuted"),
        ([2.0, 3.5], ABOUT_TWO, "refuted"),
        ([2.0, 2.4], ABOUT_TWO, "not decidable"),
    ],
)
def test_all_parts_within_confirm_and_one_outside_refutes(values, region, wanted):
    assert verdict_on([estimate(value) for value in values], region) == wanted


def test_the_p_value_of_one_part_is_that_of_the_paired_t_test():
    differences = np.random.default_rng(0).normal(0.5, 1, 12)
    leaning, p = lean([mean_estimate(differences)], ABOVE)
    assert leaning == "confirmed"
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    lower, upper = mean_estimate(differences).interval()
    wanted = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (lower, upper) == pytest.approx((wanted.low, wanted.high))


@given(PARTS, REGIONS)
def test_a_verdict_agrees_with_the_intervals(parts, region):
    leaning, p = lean(parts, region)
    bounds = [part.interval() for part in parts]
    if leaning == "confirmed" and p <= FAMILY_ERROR * 0.999:
        assert all(region.low <= lower and upper <= region.high for lower, upper in bounds)
    if leaning == "refuted" and p <= FAMILY_ERROR * 0.999:
        assert any(upper <= region.low or lower >= region.high for lower, upper in bounds)


@given(PARTS, REGIONS)
def test_mirrored_figures_are_decided_alike(parts, region):
    mirrored = [estimate(-part.value, part.standard_error, part.degrees_of_freedom) for part in parts]
    assert lean(mirrored, Region(low=-region.high, high=-region.low)) == lean(parts, region)


@given(ESTIMATES, VALUES)
def test_the_opposite_claim_of_one_part_is_decided_the_other_way_round(part, edge):
    turned = {"confirmed": "refuted", "refuted": "confirmed", "not decidable": "not decidable"}
    assert verdict_on([part], Region(high=edge)) == turned[verdict_on([part], Region(low=edge))]


@given(PARTS, REGIONS, ESTIMATES)
def test_a_further_part_never_helps_a_claim(parts, region, further):
    if verdict_on([*parts, further], region) == "confirmed":
        assert verdict_on(parts, region) == "confirmed"


@given(ESTIMATES, REGIONS, st.floats(0.1, 1))
def test_a_smaller_error_never_undoes_a_decision(part, region, factor):
    before = verdict_on([part], region)
    after = verdict_on([estimate(part.value, factor * part.standard_error, part.degrees_of_freedom)], region)
    assert before in ("not decidable", after)


@given(PARTS, REGIONS, st.floats(0, 2))
def test_a_wider_region_never_loses_a_confirmation(parts, region, more):
    if verdict_on(parts, region) == "confirmed":
        assert verdict_on(parts, Region(low=region.low - more, high=region.high + more)) == "confirmed"


@given(st.lists(st.tuples(PARTS, REGIONS), min_size=1, max_size=5), st.integers(1, 4))
def test_more_claims_and_more_analyses_never_decide_more(claims, analyses):
    single = [claim_verdicts([claim])[0] for claim in claims]
    for alone, together in zip(single, claim_verdicts(claims, analyses), strict=True):
        assert together[1] >= alone[1]
        assert together[0] in ("not decidable", alone[0])


@given(REGIONS)
def test_an_unknown_error_decides_nothing(region):
    equal_but_for_rounding = np.array([0.9123 - 0.91, 0.9223 - 0.92])
    samples = (np.ones(3), np.ones(1), equal_but_for_rounding)
    for part in (estimate(9.0, math.nan), estimate(9.0, 0.0), *map(mean_estimate, samples)):
        assert verdict_on([part], region) == "not decidable"
    assert verdict_on([], region) == "not decidable"
    assert math.isnan(mean_estimate(np.empty(0)).value)


def test_a_claim_without_parts_still_counts_into_the_family():
    sure = ([estimate(0.35)], ABOVE)  # p = 0.007
    assert claim_verdicts([sure, *[([], ABOVE)] * 3])[0][0] == "confirmed"
    assert claim_verdicts([sure, *[([], ABOVE)] * 9])[0][0] == "not decidable"


def test_equal_runs_on_equal_images_have_no_spread_to_judge_by():
    scores = np.tile(np.arange(100) < 90, (2, 1))  # the images alone would make it sure after two runs
    assert verdict_on([layered_estimate(scores.mean(axis=1), variance_layers(scores))], ABOVE) == "not decidable"


def test_a_table_of_claims_that_sit_on_their_edge_errs_as_rarely_as_it_says():
    generator, tables, n = np.random.default_rng(1), 1_500, 8
    regions = [ABOVE, BELOW, Region(low=0.0, high=9.0), Region(low=-9.0, high=0.0)] * 2
    wrong = 0
    for _ in range(tables):  # on the edge either verdict is an error
        claims = [([mean_estimate(generator.normal(0, 1, n))], region) for region in regions]
        wrong += any(verdict != "not decidable" for verdict, _ in claim_verdicts(claims))
    assert wrong / tables <= FAMILY_ERROR + 4 * math.sqrt(0.05 * 0.95 / tables)
    assert wrong / tables > 0.02
