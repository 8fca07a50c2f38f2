from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fmnist.compare.intervals import summarize
from fmnist.declare.metrics import METRICS
from fmnist.report.table import (
    NEVER,
    NOTHING,
    Table,
    figure,
    in_unit,
    kind_of,
    latex_text,
    make_table,
    metric_table,
    number,
    p_bound,
    p_value,
    p_words,
    with_spread,
)

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


def test_a_column_shows_a_value_with_the_spread_and_the_interval_that_its_row_has():
    show, row = figure("gap", 100, 1, signed=True), {"gap": 0.1234}
    assert show(row) == "+12.3"
    assert show(row | {"gap_standard_deviation": 0.02}) == "+12.3 ± 2.0"
    assert show(row | {"gap_lower": 0.1, "gap_upper": 0.15}) == "+12.3 [+10.0, +15.0]"
    assert show(row | {"gap_lower": math.nan, "gap_upper": math.nan}) == "+12.3"
    assert show({"gap_lower": 0.1, "gap_upper": 0.15}) == "[+10.0, +15.0]"
    assert show({}) == show({"gap": ""}) == NOTHING


def test_a_table_is_made_of_rows_and_columns():
    rows = [{"label": "a", "n": 1234, "error": None}, {"label": "", "n": None, "error": "no"}]
    columns = {"who": "label", "runs": "n", "why": "error", "both": lambda row: f"{row['label']}{row['n']}"}
    table = make_table("runs", "t", "T", rows, columns)
    assert table.frame.to_dict("list")["label"] == ["a", ""]
    assert table.shown.to_numpy().tolist() == [["a", "1,234", NOTHING, "a1234"], [NOTHING, NOTHING, "no", "None"]]
    assert make_table("runs", "t", "T", [], columns) is None


def test_metric_table_holds_pandas_figures():
    values = {"a": pd.Series([0.91, 0.92, 0.925, 0.93]), "b": pd.Series([0.9])}
    table = metric_table(ACCURACY, {label: summarize(column) for label, column in values.items()}, "")
    raw = table.frame.set_index("label")
    described = values["a"].describe()
    for name, pandas_name in (("n", "count"), ("mean", "mean"), ("standard_deviation", "std"), ("median", "50%"),
                              ("lower_quartile", "25%"), ("upper_quartile", "75%"), ("minimum", "min"),
                              ("maximum", "max")):  # fmt: skip
        assert raw.loc["a", name] == pytest.approx(described[pandas_name])
    student = stats.ttest_1samp(values["a"], 0).confidence_interval()
    assert tuple(raw.loc["a", ["interval_lower", "interval_upper"]]) == pytest.approx((student.low, student.high))
    shown = table.shown.set_index("configuration")
    assert shown.loc["a", "mean"] == f"{100 * values['a'].mean():.2f}"
    assert shown.loc["b", "std. dev."] == shown.loc["b", "95 % interval of the mean"] == NOTHING
    assert "One value only, without spread and interval: b." in table.note
    assert "higher is better" in table.title


def test_written_csv_gives_the_raw_numbers_back(tmp_path):
    table = Table("runs", "t", "Title", pd.DataFrame({"label": ["a"], "mean": [0.1 + 0.2]}), pd.DataFrame({"x": ["1"]}))
    table.write(tmp_path)
    assert pd.read_csv(tmp_path / "t.csv")["mean"].iloc[0] == 0.1 + 0.2
    assert "\\toprule" in (tmp_path / "t.tex").read_text()


def test_latex_prints_every_character():
    assert latex_text("own_v3 50 % & ± {x}") == r"own\_v3 50 \% \& $\pm$ \{x\}"
    table = Table("runs", "t", "A_b", pd.DataFrame(), pd.DataFrame({"a_b, %": ["x_y"]}), "p < 0.05")
    latex = table.latex()
    assert r"x\_y" in latex
    assert r"a\_b, \%" in latex
    assert r"p $<$ 0.05" in latex


def test_figures_are_told_from_words():
    def kind(*values, heading=""):
        return kind_of(pd.Series(values, name=heading))

    assert kind("92.1 ± 0.2", NOTHING, "\N{MINUS SIGN}1.0", "<0.001", "[1, 2]") == "figure"
    assert kind(NEVER, "3.0") == kind(NOTHING, NOTHING) == "figure"
    assert kind("own_v3", "lenet5") == kind("32", "128", heading="configuration") == "text"
    assert kind("word " * 9) == "long"
