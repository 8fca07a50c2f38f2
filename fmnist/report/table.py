"""Tables of a report, each defined once: rows of raw numbers for CSV, and columns that write them as text."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fmnist.report.text import MINUS, NEVER, NOTHING, number, with_spread

LABEL_HEADINGS = ("configuration", "against")  # of shown columns that hold labels
LONG_WORDS = 40  # characters from which a column of a page's table may break into lines

Row = Mapping[Any, Any]  # raw values by the names of the CSV's columns
Write = Callable[[Row], str]  # how a row is shown under one heading
Columns = Mapping[str, str | Write]  # by heading: what writes a row, or the name of a value, see column


@dataclass(frozen=True, eq=False)
class Table:
    """One table. `frame` holds raw numbers in stored units; `shown` has its rows as text, under headings with units."""

    name: str  # of its files
    title: str
    frame: pd.DataFrame
    shown: pd.DataFrame
    note: str = ""  # what a reader must know: basis, definition, caveat
    is_main: bool = False  # whether the terminal and Markdown pages show it too

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


def make_table(
    name: str, title: str, rows: Sequence[Row], columns: Columns, note: str = "", *, is_main: bool = False
) -> Table | None:
    """Make a table of rows and columns; None where there is no row. Of a column that is a name, numbers are whole."""
    if not rows:
        return None
    writers = {heading: column(item) if isinstance(item, str) else item for heading, item in columns.items()}
    shown = [{heading: write(row) for heading, write in writers.items()} for row in rows]
    return Table(name, title, pd.DataFrame(list(rows)), pd.DataFrame(shown), note, is_main)


def present(*tables: Table | None) -> list[Table]:
    """Leave out the tables that there are not."""
    return [table for table in tables if table is not None]


def column(name: str, scale: float = 1, digits: int = 0, *, signed: bool = False) -> Write:
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


def kind_of(texts: pd.Series) -> str:
    """Tell what a shown column holds: a figure, or text, as labels always are, or long text, which may break."""
    starts = [value.lstrip(f"+-{MINUS}[<≥≤ ")[:1] for value in texts if value not in (NOTHING, NEVER)]
    if texts.name not in LABEL_HEADINGS and all(start.isdigit() for start in starts):
        return "figure"
    return "long" if texts.str.len().max() > LONG_WORDS else "text"
