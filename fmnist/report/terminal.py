"""The end of an aggregation on a terminal: the table of results of each study and where the report is."""

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fmnist.report.build import ReportResult
from fmnist.report.table import Table

MOST_ROWS = 30
COLUMNS = 5  # configuration, n, accuracy, time, memory: what 80 characters hold
UNBROKEN = 2  # of these, configuration and n stay in one line
WIDEST = 1_000  # characters, more than any of these tables takes


def print_results(result: ReportResult, console: Console | None = None) -> None:
    """Print each study's table of results, of a search all main tables, and its answer, then the path of the page."""
    console = console or Console()
    for study in result.studies:
        print_table(study.title, study.main_tables[0], console)
        for table in study.main_tables[1:] if study.kind == "search" else ():
            print_table(table.title, table, console)
        for sentence in (study.answer, *study.warnings):
            console.print(Text(sentence))
        console.print()
    console.print(Text(f"Report: {result.path}"), soft_wrap=True)


def print_table(title: str, table: Table, console: Console) -> None:
    """Print a table; where the console is too narrow, each interval on a line of its own."""
    shown = rich_table(title, table)
    if console.measure(shown, options=console.options.update(max_width=WIDEST)).maximum > console.width:
        shown = rich_table(title, table, intervals_below=True)
    console.print(shown)


def rich_table(title: str, table: Table, *, intervals_below: bool = False) -> RichTable:
    """Make a table for the terminal of the first rows and columns of a report's table. No text of it is markup.

    `intervals_below` sets each interval on a line of its own. Where it is too narrow still, figures break; nothing is
    cut off.
    """
    shown = RichTable(title=Text(title), title_justify="left", caption=Text(table.note), caption_justify="left",
                      box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)  # fmt: skip
    first = table.shown.iloc[:MOST_ROWS, :COLUMNS]
    for place, (name, kind) in enumerate(zip(first.columns, table.kinds, strict=False)):
        shown.add_column(
            Text(two_lines(name)), justify="right" if kind == "figure" else "left", no_wrap=place < UNBROKEN
        )
    for row in first.to_numpy().tolist():
        shown.add_row(*(Text(cell.replace(" [", "\n[") if intervals_below else cell) for cell in row))
    return shown


def two_lines(heading: str) -> str:
    """Break a heading of several words in the middle."""
    words = heading.split()
    middle = len(words) // 2
    return "\n".join(" ".join(part) for part in (words[:middle], words[middle:]) if part)
