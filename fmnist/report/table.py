"""Tables of a report: rows of raw numbers for CSV, and columns that write them as text, with n, spread and unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fmnist.compare import FAMILY_ERROR, Summary
from fmnist.declare import Metric

NOTHING = "\N{EN DASH}"  # what a table shows where a value is not available
NEVER = "never"  # and where a time is infinite
LABEL_HEADINGS = ("configuration", "against")  # of shown columns that hold labels
MINUS = "\N{MINUS SIGN}"
LONG_WORDS = 40  # characters from which a column of a page's table may break into lines

Row = Mapping[Any, Any]  # raw values by the names of the CSV's columns
Write = Callable[[Row], str]  # how a row is shown under one heading
Columns = Mapping[str, str | Write]  # by heading: what writes a row, or the name of a value, see figure


@dataclass(frozen=True, eq=False)
class Table:
    """One table. `frame` holds raw numbers in stored units; `shown` has its rows as text, under headings with units."""

    chapter: str  # of the report, a key of report.CHAPTERS
    name: str  # of its files
    title: str
    frame: pd.DataFrame
    shown: pd.DataFrame
    note: str = ""  # what a reader must know: basis, definition, caveat
    leads: bool = False  # whether it stands before its chapter's figures

    @property
    def kinds(self) -> list[str]:
        """What each shown column holds, see kind_of."""
        return [kind_of(self.shown[heading]) for heading in self.shown.columns]

    def write(self, directory: Path) -> None:
        """Write NAME.csv (raw numbers) and NAME.tex (text, booktabs) into `directory`, which is made."""
        directory.mkdir(parents=True, exist_ok=True)
        self.frame.to_csv(directory / f"{self.name}.csv", index=False)
        (directory / f"{self.name}.tex").write_text(self.latex(), encoding="utf-8")

    def latex(self) -> str:
        """Give a LaTeX table with caption and label, for the package booktabs."""
        caption = " ".join(latex_text(text) for text in (f"{self.title}.", self.note) if text)
        return str(
            self.shown.map(latex_text)
            .rename(columns=latex_text)
            .to_latex(
                index=False,
                escape=False,
                column_format="".join("r" if kind == "figure" else "l" for kind in self.kinds),
                caption=caption,
                label=f"tab:{self.name}",
                position="tbp",
            )
        )


def make_table(chapter: str, name: str, title: str, rows: Sequence[Row], columns: Columns,
               note: str = "", *, leads: bool = False) -> Table | None:  # fmt: skip
    """Make a table of rows and columns; None where there is no row. Of a column that is a name, numbers are whole."""
    if not rows:
        return None
    writers = {heading: figure(item) if isinstance(item, str) else item for heading, item in columns.items()}
    shown = [{heading: write(row) for heading, write in writers.items()} for row in rows]
    return Table(chapter, name, title, pd.DataFrame(list(rows)), pd.DataFrame(shown), note, leads)


def figure(name: str, scale: float = 1, digits: int = 0, *, signed: bool = False) -> Write:
    """Show a value times `scale` ± its standard deviation [its interval], each where the row has it; text as it is.

    The row has them under the name with _standard_deviation, _lower and _upper behind it.
    """

    def write(row: Row) -> str:
        value = row.get(name)
        if isinstance(value, str):
            return value or NOTHING
        text = with_spread(value, row.get(f"{name}_standard_deviation", math.nan), scale, digits, signed=signed)
        ends = [number(row.get(f"{name}_{end}"), digits, scale=scale, signed=signed) for end in ("lower", "upper")]
        interval = NOTHING if NOTHING in ends else "[{}, {}]".format(*ends)
        return " ".join(part for part in (text, interval) if part != NOTHING) or NOTHING

    return write


_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", NOTHING: "--",
          "≤": r"$\leq$", "≥": r"$\geq$", "<": r"$<$", ">": r"$>$", MINUS: r"$-$", "δ": r"$\delta$"}  # fmt: skip


def latex_text(text: str) -> str:
    """Write text so that LaTeX prints it as it stands."""
    return "".join(_LATEX.get(character, character) for character in str(text))


def kind_of(column: pd.Series) -> str:
    """Tell what a shown column holds: a figure, or text, as labels always are, or long text, which may break."""
    starts = [value.lstrip(f"+-{MINUS}[<≥≤ ")[:1] for value in column if value not in (NOTHING, NEVER)]
    if column.name not in LABEL_HEADINGS and all(start.isdigit() for start in starts):
        return "figure"
    return "long" if column.str.len().max() > LONG_WORDS else "text"


def number(value: Any, digits: int, *, scale: float = 1, signed: bool = False) -> str:
    """Write a number times `scale` with thousands separated; an unavailable one as a dash, an infinite time as never.

    What rounds to nothing has no sign.
    """
    if value is None or value is pd.NA or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return NEVER
    steady = round(float(value * scale), digits + 6)  # one figure summed in two ways is one text, also between digits
    text = f"{steady:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", MINUS) if any(digit in "123456789" for digit in text) else text.lstrip("+-")


def in_unit(value: Any, metric: Metric, *, signed: bool = False, more_digits: int = 0) -> str:
    """Write a stored value of a metric in the unit it is shown in, without the unit."""
    return number(value, metric.digits + more_digits, scale=metric.scale, signed=signed)


def with_spread(mean: Any, standard_deviation: float, scale: float, digits: int, *, signed: bool = False) -> str:
    """Write mean ± standard deviation, each times `scale`; the mean alone where one value has no spread."""
    text = number(mean, digits, scale=scale, signed=signed)
    return text if math.isnan(standard_deviation) else f"{text} ± {number(standard_deviation, digits, scale=scale)}"


def p_value(p: float) -> str:
    """Write a p value to two significant digits, rounded up so that it claims no more than it may."""
    if math.isnan(p):
        return NOTHING
    if p < 0.001:
        return "<0.001"
    digits = 4 if p < 0.01 else 3 if p < 0.1 else 2
    return f"{math.ceil(p * 10**digits - 1e-9) / 10**digits:.{digits}f}"


def p_words(p: float) -> str:
    """Write a p value into a sentence: p = 0.013, p < 0.001."""
    text = p_value(p)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def p_bound(p: float) -> str:
    """Write the largest of some p values into a sentence: p at most 0.013, p below 0.001."""
    return p_words(p).replace("<", "below").replace("=", "at most")


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, plural where it is not one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def names(labels: Sequence[str]) -> str:
    """Join labels as a sentence does: a, b and c."""
    return " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)


def heading(metric: Metric) -> str:
    """Name a metric as a column heading, with its unit."""
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def metric_table(metric: Metric, summaries: Mapping[str, Summary], basis: str) -> Table | None:
    """One metric of every configuration: n, mean, standard deviation, median, quartiles, extremes, interval.

    `basis` says in words what rows the figures are from.
    """
    figures = ("n", "mean", "standard_deviation", "median", "minimum", "lower_quartile", "upper_quartile", "maximum")
    rows = [
        {
            "label": label,
            **{name: getattr(item, name) for name in figures},
            **{f"interval_{name}": getattr(item.mean_t_interval, name) for name in ("lower", "upper")},
            "confidence": 1 - FAMILY_ERROR,
        }
        for label, item in summaries.items()
    ]
    unit = (metric.scale, metric.digits)
    columns: Columns = {
        "configuration": "label",
        "n": "n",
        "mean": figure("mean", *unit),
        "std. dev.": figure("standard_deviation", metric.scale, metric.digits + 1),
        **{name: figure(name, *unit) for name in ("median", "minimum", "maximum")},
        "95 % interval of the mean": figure("interval", *unit),
    }
    better = "higher is better" if metric.direction == "up" else "lower is better"
    title = f"{metric.label.capitalize()} ({', '.join(filter(None, (metric.unit, better)))})"
    note = " ".join(filter(None, (metric.meaning, basis, sample_words(summaries))))
    return make_table("runs", f"metric-{metric.name}", title, rows, columns, note)


def sample_words(summaries: Mapping[str, Summary]) -> str:
    """Say which samples allow no interval, each remark once."""
    one = [label for label, item in summaries.items() if item.n == 1]
    equal = [label for label, item in summaries.items() if item.n > 1 and not item.mean_t_interval.known]
    remarks = {"One value only, without spread and interval": one, "All values equal, no interval": equal}
    return " ".join(
        f"{remark}: {'every configuration' if len(labels) == len(summaries) > 1 else names(labels)}."
        for remark, labels in remarks.items()
        if labels
    )
