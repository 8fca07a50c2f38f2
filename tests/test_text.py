"""Numbers and words as a report writes them."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.compare import Design
from fmnist.declare.metrics import METRICS
from fmnist.report.text import NEVER, NOTHING, design_words, in_unit, number, p_bound, p_value, p_words, with_spread

ACCURACY = METRICS["test_accuracy"]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1234.5678, 2, "1,234.57"), (-0.5, 1, "\N{MINUS SIGN}0.5"), (None, 2, NOTHING), (math.nan, 2, NOTHING),
     (pd.NA, 0, NOTHING), (math.inf, 1, NEVER), (0.0, 0, "0"), (-0.001, 2, "0.00")],
)  # fmt: skip
def test_number(value, digits, text):
    assert number(value, digits) == text


def test_number_with_its_sign():
    assert number(0.25, 2, signed=True) == "+0.25"
    assert [number(value, 2, signed=True) for value in (0.001, 0.0, -0.001)] == ["0.00"] * 3
    assert in_unit(-0.0031, ACCURACY, signed=True) == "\N{MINUS SIGN}0.31"


def test_a_value_is_shown_in_its_metrics_unit():
    assert in_unit(0.9214, ACCURACY) == "92.14"
    assert in_unit(300 * 2**20, METRICS["host_allocated_bytes"]) == "300.0"
    assert in_unit(225_034, METRICS["parameter_count"]) == "225,034"
    assert in_unit(None, ACCURACY) == NOTHING


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.00012, "<0.001"), (0.00149, "0.0015"), (0.0123, "0.013"), (0.05, "0.050"), (0.0501, "0.051"), (0.4567, "0.46"),
     (0.0999, "0.100"), (1.0, "1.00"), (math.nan, NOTHING)],
)  # fmt: skip
def test_p_value(p, text):
    assert p_value(p) == text


@given(st.floats(0, 1))
def test_a_p_value_claims_no_more_than_it_may(p):
    bound = p_bound(p)
    assert p <= float(bound.split()[-1]) <= max(1.2 * p, 0.001)


def test_one_value_is_written_without_a_spread():
    assert with_spread(0.5, 0.0123, 100, 1) == "50.0 ± 1.2"
    assert with_spread(0.5, float("nan"), 100, 1) == "50.0"


def test_rounding_does_not_show_how_a_figure_was_summed():
    below, above = 91.84499999999998, 91.84500000000001
    assert f"{below:.2f}" != f"{above:.2f}"
    assert number(below, 2) == number(above, 2)


@pytest.mark.parametrize(("p", "text"), [(0.0004, "p < 0.001"), (0.0123, "p = 0.013"), (0.5, "p = 0.50")])
def test_p_value_in_a_sentence(p, text):
    assert p_words(p) == text


@pytest.mark.parametrize(
    ("analyses", "words"), [((5,), "one analysis at 5 repeats"), ((5, 10, 15), "analyses at 5, 10 and 15 repeats")]
)
def test_a_design_says_when_it_analyses(analyses, words):
    assert design_words(Design(metric="test_accuracy", analyses=analyses)) == words
