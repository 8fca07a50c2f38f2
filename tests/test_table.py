from __future__ import annotations

import math

import pandas as pd

from fmnist.report.table import Table, column, kind_of, latex_text, make_table
from fmnist.report.text import NEVER, NOTHING


def test_a_column_shows_a_value_with_the_spread_and_the_interval_that_its_row_has():
    show, row = column("gap", 100, 1, signed=True), {"gap": 0.1234}
    assert show(row) == "+12.3"
    assert show(row | {"gap_standard_deviation": 0.02}) == "+12.3 ± 2.0"
    assert show(row | {"gap_lower": 0.1, "gap_upper": 0.15}) == "+12.3 [+10.0, +15.0]"
    assert show(row | {"gap_lower": math.nan, "gap_upper": math.nan}) == "+12.3"
    assert show({"gap_lower": 0.1, "gap_upper": 0.15}) == "[+10.0, +15.0]"
    assert show({}) == show({"gap": ""}) == NOTHING


def test_a_table_is_made_of_rows_and_columns():
    rows = [{"label": "a", "n": 1234, "error": None}, {"label": "", "n": None, "error": "no"}]
    columns = {"who": "label", "runs": "n", "why": "error", "both": lambda row: f"{row['label']}{row['n']}"}
    table = make_table("t", "T", rows, columns)
    assert table.frame.to_dict("list")["label"] == ["a", ""]
    assert table.shown.to_numpy().tolist() == [["a", "1,234", NOTHING, "a1234"], [NOTHING, NOTHING, "no", "None"]]
    assert make_table("t", "T", [], columns) is None


def test_written_csv_gives_the_raw_numbers_back(tmp_path):
    table = Table("t", "Title", pd.DataFrame({"label": ["a"], "mean": [0.1 + 0.2]}), pd.DataFrame({"x": ["1"]}))
    table.write(tmp_path)
    assert pd.read_csv(tmp_path / "t.csv")["mean"].iloc[0] == 0.1 + 0.2
    assert "\\toprule" in (tmp_path / "t.tex").read_text()


def test_latex_prints_every_character():
    assert latex_text("own_v3 50 % & ± {x}") == r"own\_v3 50 \% \& $\pm$ \{x\}"
    table = Table("t", "A_b", pd.DataFrame(), pd.DataFrame({"a_b, %": ["x_y"]}), "p < 0.05")
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
