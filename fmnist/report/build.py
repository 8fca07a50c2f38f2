"""From a store to a report: results.csv, tables, figures, and one page that holds them all. No TensorFlow, no Ray."""

from __future__ import annotations

import base64
import logging
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from fmnist.report.chapters import confidence, curves, original, pairs
from fmnist.report.chapters.answer import answer, missing_words
from fmnist.report.chapters.claims import claims_table
from fmnist.report.chapters.gallery import pictures
from fmnist.report.chapters.methods import measurement, methods
from fmnist.report.chapters.original_report import REPEATING_STUDY
from fmnist.report.selection import read_rows, select_studies, tell_apart
from fmnist.report.study_data import Findings, find_data, gather
from fmnist.report.style import Style, figure_savers, styles_of
from fmnist.report.table import Table, counted
from fmnist.store import Store

CHAPTERS: Mapping[str, str] = {
    "accuracy": "Comparison",
    "costs": "Time and memory",
    "curves": "Learning curves",
    "classes": "Classes",
    "confidence": "Confidence",
    "examples": "Examples",
    "original": "Beside the original report",
    "runs": "Runs and metrics",
}
Save = Callable[[Figure, Path], Future[str]]
log = logging.getLogger(__name__)

LONGEST_NAME = 100  # characters of a file's name; file systems take some 250 bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyResult:
    """The short of one study's report."""

    name: str
    question: str
    answer: str
    missing: tuple[str, ...]  # which runs it lacks, in sentences
    results: Table
    original: tuple[Table, ...]  # beside the original report: its figures if trained alike, the claims it can check
    measurement: str  # how, when and on what was measured


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """What was written: the page, and the short of each study on it, in its order."""

    path: Path
    studies: tuple[StudyResult, ...]


def build_report(
    store_uri: str | Path,
    studies: Sequence[str] = (),
    out: str | Path = "report",
    data: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
    processes: int = 1,
) -> ReportResult:
    """Write the report on the studies of those names, in their order, or on all of a store, into the folder `out`.

    `data` is the folder of Fashion-MNIST (None: looked for as a run does); without data the report lacks confusion
    matrices and images, and says so. `on_progress` is told in words what comes next. With more than one of `processes`
    figures are saved beside the caller, which must be a script with a main guard (see appearance.figure_savers).
    ValueError if the store holds no rows or no such study, OSError if it cannot be read or `out` not be written.
    """
    store, folder = Store(store_uri), Path(out)
    tell = on_progress or log.info
    tell(f"Reading {store.uri}")
    rows = read_rows(store)
    selected = select_studies(store, studies, rows)
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "results.csv", index=False)
    loaded, data_problem = find_data(data)
    styles = styles_of(label for item in selected for label in item.finished_labels)
    pages, results = [], []
    with figure_savers(processes) as save:
        for item, name in zip(selected, file_names(item.name for item in selected), strict=True):
            runs = f"{counted(len(item.finished), 'finished run')} of {counted(len(item.labels), 'configuration')}"
            tell(f"Study {item.name}: {runs}")
            findings = gather(item, store, loaded, data_problem)
            tables = tables_of(findings)
            for table in tables:
                table.write(folder / "tables" / name)
            result = study_result(findings, tables)
            chapters = chapters_of(findings, name, tables, draw(findings, styles, name, folder, save))
            pages.append({**vars(result), "anchor": name, "chapters": chapters, "methods": methods(findings)})
            results.append(result)
    title = f"Fashion-MNIST: study {selected[0].name}" if len(selected) == 1 else "Fashion-MNIST: studies"
    path = folder / "index.html"
    command = ["python", "jobs/aggregate.py", "--results", store.uri, *(["--study", *studies] if studies else [])]
    html = render(
        title=title,
        studies=pages,
        store=store.uri,
        damaged=store.damaged,
        row_count=f"{len(rows):,}",
        command=shlex.join(command),
    )
    path.write_text(html, encoding="utf-8")
    return ReportResult(path=path, studies=tuple(results))


def study_result(findings: Findings, tables: Sequence[Table]) -> StudyResult:
    """Take the short of a study's report."""
    beside = [table for table in tables if table.chapter == "original"]
    return StudyResult(
        name=findings.study.name,
        question=findings.study.question,
        answer=answer(findings),
        missing=tuple(missing_words(findings)),
        results=next(table for table in tables if table.leads),
        original=tuple(table for table in beside if table.name == "claims" or findings.study.name == REPEATING_STUDY),
        measurement=measurement(findings),
    )


def tables_of(findings: Findings) -> list[Table]:
    """Make all tables of a study, those of a chapter in their order."""
    makers = (
        pairs.results_table, confidence.layers_table, curves.target_table,
        curves.epochs_table, curves.trainability_table, confidence.calibration_table,
        pairs.recall_table, pairs.mistakes_table, original.original_table,
        original.original_epochs_table, claims_table, pairs.counts_table, pairs.failures_table,
    )  # fmt: skip
    made = (make(findings) for make in makers)
    every = [*pairs.pair_tables(findings), *made, *pairs.metric_tables(findings)]
    return [table for table in every if table is not None]


def draw(findings: Findings, styles: Mapping[str, Style], study: str, folder: Path, save: Save) -> list[dict[str, Any]]:
    """Draw a study's figures below `folder`, under the study's file name; return what the page shows of each."""
    (folder / "figures" / study).mkdir(parents=True, exist_ok=True)
    drawn = list(pictures(findings, styles))
    paths = [f"figures/{study}/{name}" for name in file_names(picture.name for picture in drawn)]
    saved = [save(picture.figure, folder / path) for picture, path in zip(drawn, paths, strict=True)]
    return [
        {
            "picture": picture,
            "path": path,
            "inches": picture.figure.get_figwidth(),
            "source": "data:image/svg+xml;base64," + base64.b64encode(svg.result().encode()).decode(),
        }
        for picture, path, svg in zip(drawn, paths, saved, strict=True)
    ]


def chapters_of(
    findings: Findings, study: str, tables: Sequence[Table], figures: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Put a study's tables and figures into chapters; one without any is left out."""
    no_images = (
        "There are no confusion matrices, no recall and no example images here, since the test images could not be"
        f" read: {findings.data_problem}"
    )
    chapters = [
        {
            "title": title,
            "anchor": f"{key}-{study}",
            "text": no_images if key == "classes" and findings.data is None else "",
            "figures": [figure for figure in figures if figure["picture"].section == key],
            "tables": [table for table in tables if table.chapter == key],
        }
        for key, title in CHAPTERS.items()
    ]
    return [chapter for chapter in chapters if any(chapter[part] for part in ("text", "figures", "tables"))]


def render(**values: Any) -> str:
    """Fill the page's template; every text is escaped but the style sheet."""
    templates = files("fmnist.report") / "templates"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["code"] = mark_commands
    css = Markup((templates / "report.css").read_text("utf-8"))
    return environment.from_string((templates / "report.html").read_text("utf-8")).render(css=css, **values)


def mark_commands(text: str) -> Markup:
    """Escape a sentence for HTML; what stands between backticks becomes code, and no line breaks before a %."""
    unbroken = str(escape(text)).replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", unbroken))


def file_names(names: Iterable[str]) -> list[str]:
    """Make a file's name of each of any names, all different, also where case does not count."""
    return tell_apart((file_name(name) for name in names), "-{}", key=str.casefold)


def file_name(name: str) -> str:
    """Make a file's name of any label: letters, digits, points, dashes and underscores stay."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_NAME].strip("-.") or "unnamed"
