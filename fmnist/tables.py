"""Tables of a report: raw numbers for CSV, the same numbers as text with n, spread and unit for HTML and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fmnist.schema import Metric
from fmnist.statistics.intervals import Interval, Summary

NOTHING = "\N{EN DASH}"  # what a table shows where a value is not available
LABEL_HEADINGS = ("configuration", "against")  # of shown columns that hold labels
NEVER = "never"  # and where a time is infinite
MINUS = "\N{MINUS SIGN}"
DIGITS = {"%": 2, "nats": 4, "s": 1, "MiB": 1, "": 0}  # after the point, by the unit a metric is shown in


@dataclass(frozen=True, eq=False)
class Table:
    """One table. `frame` holds raw numbers in stored units; `shown` has its rows as text, under headings with units."""

    name: str  # of its files
    title: str
    frame: pd.DataFrame
    shown: pd.DataFrame
    note: str = ""  # what a reader must know: basis, definition, caveat

    def write(self, directory: Path) -> None:
        """Write NAME.csv (raw numbers) and NAME.tex (text, booktabs) into `directory`."""
        self.frame.to_csv(directory / f"{self.name}.csv", index=False)
        (directory / f"{self.name}.tex").write_text(self.latex(), encoding="utf-8")

    def latex(self) -> str:
        """Give a LaTeX table with caption and label, for the package booktabs."""
        escaped = self.shown.map(latex_text)
        escaped.columns = pd.Index([latex_text(name) for name in self.shown.columns])
        align = "".join("l" if is_text(self.shown[name]) else "r" for name in self.shown.columns)
        caption = " ".join(latex_text(text) for text in (f"{self.title}.", self.note) if text)
        return str(
            escaped.to_latex(
                index=False,
                escape=False,
                column_format=align,
                caption=caption,
                label=f"tab:{self.name}",
                position="tbp",
            )
        )


_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", NOTHING: "--",
          "≤": r"$\leq$", "≥": r"$\geq$", "<": r"$<$", ">": r"$>$", MINUS: r"$-$", "δ": r"$\delta$"}  # fmt: skip


def latex_text(text: str) -> str:
    """Write text so that LaTeX prints it as it stands."""
    return "".join(_LATEX.get(character, character) for character in str(text))


def is_text(column: pd.Series) -> bool:
    """Whether a shown column holds words (set flush left), as labels always are, not figures."""
    if column.name in LABEL_HEADINGS:
        return True
    starts = [str(value).lstrip(f"+-{MINUS}[<≥≤ ")[:1] for value in column if str(value) not in (NOTHING, NEVER)]
    return not all(start.isdigit() for start in starts)


def number(value: Any, digits: int, *, signed: bool = False) -> str:
    """Write a number with thousands separated; an unavailable one as a dash, an infinite time as never.

    What rounds to nothing has no sign.
    """
    if value is None or value is pd.NA or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return NEVER
    steady = round(float(value), digits + 6)  # one figure summed in two ways is one text, also just between two digits
    text = f"{steady:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", MINUS) if any(digit in "123456789" for digit in text) else text.lstrip("+-")


def in_unit(value: Any, metric: Metric, *, signed: bool = False, more_digits: int = 0) -> str:
    """Write a stored value of a metric in the unit it is shown in, without the unit."""
    missing = value is None or value is pd.NA
    return number(value if missing else value * metric.scale, DIGITS[metric.unit] + more_digits, signed=signed)


def with_spread(mean: float, standard_deviation: float, scale: float, digits: int) -> str:
    """Write mean ± standard deviation, each times `scale`; the mean alone where one value has no spread."""
    text = number(mean * scale, digits)
    return text if math.isnan(standard_deviation) else f"{text} ± {number(standard_deviation * scale, digits)}"


def mean_and_spread(summary: Summary, metric: Metric) -> str:
    """Write a summary's mean ± standard deviation in the unit of its metric, without the unit."""
    return with_spread(summary.mean, summary.standard_deviation, metric.scale, DIGITS[metric.unit])


def bounds(interval: Interval, metric: Metric, *, signed: bool = False) -> str:
    """Write an interval in the unit of its metric: [low, high]."""
    if not interval.known:
        return NOTHING
    return f"[{in_unit(interval.lower, metric, signed=signed)}, {in_unit(interval.upper, metric, signed=signed)}]"


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
    text = p_value(p)
    return f"p below {text[1:]}" if text.startswith("<") else f"p at most {text}"


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, plural where it is not one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def names(labels: Sequence[str]) -> str:
    """Join labels as a sentence does: a, b and c."""
    return " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)


def heading(metric: Metric) -> str:
    """Name a metric as a column heading, with its unit."""
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def metric_table(metric: Metric, summaries: Mapping[str, Summary], basis: str) -> Table:
    """One metric of every configuration: n, mean, standard deviation, median, quartiles, extremes, interval.

    `basis` says in words what rows the figures are from.
    """
    raw, shown = [], []
    for label, item in summaries.items():
        interval = item.mean_t_interval
        raw.append(
            {"label": label, "n": item.n, "mean": item.mean, "standard_deviation": item.standard_deviation,
             "median": item.median, "minimum": item.minimum, "lower_quartile": item.lower_quartile,
             "upper_quartile": item.upper_quartile, "maximum": item.maximum, "interval_lower": interval.lower,
             "interval_upper": interval.upper, "confidence": interval.confidence}
        )  # fmt: skip
        shown.append(
            {
                "configuration": label,
                "n": f"{item.n:,}",
                "mean": in_unit(item.mean, metric),
                "std. dev.": in_unit(item.standard_deviation, metric, more_digits=1),
                "median": in_unit(item.median, metric),
                "minimum": in_unit(item.minimum, metric),
                "maximum": in_unit(item.maximum, metric),
                f"{100 * interval.confidence:g} % interval of the mean": bounds(interval, metric),
            }
        )
    better = "higher is better" if metric.direction == "up" else "lower is better"
    unit = f" ({metric.unit}, {better})" if metric.unit else f" ({better})"
    title = f"{metric.label.capitalize()}{unit}"
    note = " ".join(text for text in (metric.meaning, basis, sample_words(summaries)) if text)
    return Table(f"metric-{metric.name}", title, pd.DataFrame(raw), pd.DataFrame(shown), note)


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


def records_table(name: str, title: str, raw: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, str]],
                  note: str = "") -> Table:  # fmt: skip
    """Make a table of rows given twice: raw numbers for CSV, text for reading."""
    return Table(name, title, pd.DataFrame(list(raw)), pd.DataFrame(list(shown)), note)
