"""The results as a section of a README, in place of what stands there between two marks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fmnist.errors import UserError
from fmnist.report import ReportResult, StudyResult
from fmnist.tables import Table

START, END = "<!-- results -->", "<!-- end of results -->"


def results_section(result: ReportResult, page: str) -> str:
    """Write each study's answer and main tables as Markdown, in the report's order.

    `page` is the report's path as the README links it.
    """
    parts = [part for study in result.studies for part in _study_parts(study)]
    return "\n\n".join([*parts, f"The whole report, with figures, pairs and methods: [{page}]({page})."])


def update_section(file: Path, result: ReportResult) -> None:
    """Put the section in place of what stands in `file` between the two marks.

    ValueError if the marks are not there, once each and in their order; the file then stays as it is.
    """
    text = file.read_text("utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in rest or END in after:
        raise UserError(f"{file}: expected the lines {START} and {END}, once each, around the place of the results")
    page = Path(os.path.relpath(result.path, file.parent)).as_posix()
    section = results_section(result, page)
    file.write_text(f"{before}{START}\n\n{section}\n\n{END}{after}", encoding="utf-8")


def markdown_table(table: Table) -> str:
    """Write a table as Markdown, with its title before and its note after it."""
    lines = [list(table.shown.columns), ["---"] * len(table.shown.columns), *table.shown.to_numpy().tolist()]
    rows = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]
    return "\n".join([f"**{table.title}**", "", *rows, *(["", table.note] if table.note else [])])


def _study_parts(study: StudyResult) -> Iterator[str]:
    yield f"### Study `{study.name}`"
    yield f"*{study.question}* {study.answer}"
    if study.missing:
        yield "\n".join(f"- {sentence}" for sentence in study.missing)
    for table in (study.results, *study.original):
        yield markdown_table(table)
    yield study.measurement
