"""The results as sections of Markdown pages, in place of what stands there between two marks."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from fmnist import UserError
from fmnist.declare import METRICS, OVERVIEW_COSTS
from fmnist.report.build import ReportResult
from fmnist.report.chapter import StudyReport
from fmnist.report.table import Table
from fmnist.report.text import NOTHING, heading

START, END = "<!-- results -->", "<!-- end of results -->"
GLANCE_START, GLANCE_END = "<!-- results at a glance -->", "<!-- end of results at a glance -->"
PAGE_WIDTH = 120  # characters of a line of a page
GLANCE = ("comparison", "timing")  # the studies that give its accuracies, and its times and memory


def results_section(result: ReportResult) -> str:
    """Write each study's answer and main tables as Markdown, in the report's order."""
    return "\n\n".join(part for study in result.studies for part in _study_parts(study))


def glance_section(result: ReportResult) -> str:
    """Write one table of the accuracies of one study beside the times and memory of another, see GLANCE.

    UserError if the report lacks one of them.
    """
    shown = {study.name: study.main_tables[0].shown for study in result.studies}
    lacking = [name for name in GLANCE if name not in shown]
    if lacking:
        raise UserError(f"results at a glance: got no study {' and '.join(lacking)}; add it to --study")
    accuracies, costs = (shown[name].set_index("configuration") for name in GLANCE)
    measured = [heading(METRICS[name]) for name in OVERVIEW_COSTS]
    table = accuracies.drop(columns=[*measured, heading(METRICS["parameter_count"])], errors="ignore")
    for name in measured:
        table[name] = costs[name].reindex(table.index).fillna(NOTHING)
    narrow = table.map(lambda cell: re.sub(r" ± \S+", "", cell)).reset_index()
    narrow.columns = narrow.columns.str.replace("percentage points", "pp").str.replace("allocated ", "")
    note = (
        "Mean over n runs, in brackets its 95 % interval. Accuracy: study"
        f" `{GLANCE[0]}`, with the difference from the best and its interval for new seeds. Time and memory: study"
        f" `{GLANCE[1]}`, n = {', '.join(costs['n'].unique())}, three epochs, each run alone on one machine."
    )
    return "\n".join([*_lines(narrow), "", textwrap.fill(note, PAGE_WIDTH)])


def update_sections(file: Path, result: ReportResult) -> None:
    """Put each section for which `file` has its two marks in place of what stands between them.

    UserError if there are no marks, or not once each and in their order; the file then stays as it is.
    """
    text = file.read_text("utf-8")
    sections = {(START, END): results_section, (GLANCE_START, GLANCE_END): glance_section}
    wanted = [marks for marks in sections if any(mark in text for mark in marks)]
    if not wanted:
        raise UserError(f"{file}: expected the lines {START} and {END} around the place of the results, got neither")
    for start, end in wanted:
        text = _replaced(file, text, start, end, sections[start, end](result))
    file.write_text(text, encoding="utf-8")


def _replaced(file: Path, text: str, start: str, end: str, section: str) -> str:
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found or start in rest or end in before + after:
        raise UserError(f"{file}: expected the lines {start} and {end}, once each, around the place of the results")
    return f"{before}{start}\n\n{section}\n\n{end}{after}"


def markdown_table(table: Table) -> str:
    """Write a table as Markdown, with its title before and its note after it."""
    return "\n".join([f"**{table.title}**", "", *_lines(table.shown), *(["", table.note] if table.note else [])])


def _lines(shown: pd.DataFrame) -> list[str]:
    lines = [list(shown.columns), ["---"] * len(shown.columns), *shown.to_numpy().tolist()]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]


def _study_parts(study: StudyReport) -> Iterator[str]:
    yield f"### {study.kind.capitalize()} `{study.name}`"
    yield f"*{study.question}* {study.answer}"
    if study.warnings or study.missing:
        yield "\n".join(f"- {sentence}" for sentence in (*study.warnings, *study.missing))
    yield from map(markdown_table, study.main_tables)
    yield study.measurement
