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
import pandas as pd
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from fmnist.reporting import original_tables, study_tables, training_tables, uncertainty_tables
from fmnist.reporting.appearance import Look, figure_savers, looks_of
from fmnist.reporting.claims import claims_table
from fmnist.reporting.findings import Findings, find_data, gather
from fmnist.reporting.gallery import Picture, pictures
from fmnist.reporting.methods import measurement, methods
from fmnist.reporting.original import REPEATING_STUDY
from fmnist.reporting.selection import read_rows, select_studies, tell_apart
from fmnist.reporting.words import answer, missing_words
from fmnist.results import Store
from fmnist.tables import Table, counted, is_text

CHAPTERS: Mapping[str, str] = {
    "comparison": "Comparison",
    "costs": "Time and memory",
    "curves": "Learning curves",
    "classes": "Classes",
    "confidence": "Confidence",
    "examples": "Examples",
    "original": "Beside the original report",
    "runs": "Runs and metrics",
}
Tables = Mapping[str, list[Table]]  # of one study, by the chapter they stand in; KEY-first: before its figures
Save = Callable[[Figure, Path], Future[str]]
log = logging.getLogger(__name__)

LONG_WORDS = 40  # characters from which a column of a page's table may break into lines
WIDE = 4.0  # inches from which a figure has a row of its own and scrolls on a narrow window
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
    looks = looks_of(label for item in selected for label in item.finished_labels)
    pages, results = [], []
    with figure_savers(processes) as save:
        for item, name in zip(selected, file_names(item.name for item in selected), strict=True):
            runs = f"{counted(len(item.finished), 'finished run')} of {counted(len(item.labels), 'configuration')}"
            tell(f"Study {item.name}: {runs}")
            findings = gather(item, store, loaded, data_problem)
            tables = _tables(findings)
            pages.append(study_page(findings, name, tables, looks, folder, save))
            results.append(study_result(findings, tables))
    title = f"Fashion-MNIST: study {selected[0].name}" if len(selected) == 1 else "Fashion-MNIST: studies"
    path = folder / "index.html"
    html = render(
        title=title,
        studies=pages,
        store=store.uri,
        damaged=store.damaged,
        row_count=f"{len(rows):,}",
        command=_command(store, studies),
    )
    path.write_text(html, encoding="utf-8")
    return ReportResult(path=path, studies=tuple(results))


def study_result(findings: Findings, tables: Tables) -> StudyResult:
    """Take the short of a study's report."""
    return StudyResult(
        name=findings.study.name,
        question=findings.study.question,
        answer=answer(findings),
        missing=tuple(missing_words(findings)),
        results=tables["comparison-first"][0],
        original=tuple(
            table for table in tables["original"] if table.name == "claims" or findings.study.name == REPEATING_STUDY
        ),
        measurement=measurement(findings),
    )


def study_page(
    findings: Findings, name: str, tables: Tables, looks: Mapping[str, Look], folder: Path, save: Save
) -> dict[str, Any]:
    """Write one study's tables and figures below `folder`, under its `name`; return what the page shows of it."""
    written = {key: [_written(table, folder, name) for table in some] for key, some in tables.items()}
    shown: dict[str, list[dict[str, Any]]] = {key: [] for key in CHAPTERS}
    target = folder / "figures" / name
    target.mkdir(parents=True, exist_ok=True)
    drawn = list(pictures(findings, looks))
    paths = [target / file for file in file_names(picture.name for picture in drawn)]
    saved = [save(picture.figure, path) for picture, path in zip(drawn, paths, strict=True)]
    for picture, path, svg in zip(drawn, paths, saved, strict=True):
        shown[picture.section].append(_shown(picture, svg.result(), path.relative_to(folder).as_posix()))
    chapters = [
        {"title": title, "anchor": f"{key}-{name}", "text": _chapter_text(key, findings),
         "pictures": [picture for picture in shown[key] if not picture["folded"]],
         "folded": [picture for picture in shown[key] if picture["folded"]],
         "leading_tables": written.get(f"{key}-first", []), "tables": written.get(key, [])}
        for key, title in CHAPTERS.items()
    ]  # fmt: skip
    parts = ("text", "pictures", "leading_tables", "tables")
    return {
        "name": findings.study.name,
        "anchor": name,
        "question": findings.study.question,
        "answer": answer(findings),
        "missing": missing_words(findings),
        "chapters": [chapter for chapter in chapters if any(chapter[part] for part in parts)],
        "methods": methods(findings),
    }


def _tables(findings: Findings) -> Tables:
    """Make all tables of a study."""
    pairs = {table.name: table for table in study_tables.pair_tables(findings)}
    costs = [name for name in pairs if findings.metrics[name.removeprefix("pairs-")].metric.kind in ("time", "memory")]
    return {
        "comparison-first": [study_tables.results_table(findings)],
        "comparison": [
            *(table for name, table in pairs.items() if name not in costs),
            *_present(uncertainty_tables.layers_table(findings)),
        ],
        "costs": [*(pairs[name] for name in costs), *_present(training_tables.target_table(findings))],
        "curves": _present(training_tables.epochs_table(findings), training_tables.trainability_table(findings)),
        "confidence": _present(uncertainty_tables.calibration_table(findings)),
        "classes": _present(study_tables.recall_table(findings), study_tables.mistakes_table(findings)),
        "original": _present(
            original_tables.original_table(findings),
            original_tables.original_epochs_table(findings),
            claims_table(findings),
        ),
        "runs": [
            study_tables.counts_table(findings),
            *_present(study_tables.failures_table(findings)),
            *study_tables.metric_tables(findings),
        ],
    }


def _present(*tables: Table | None) -> list[Table]:
    return [table for table in tables if table is not None]


def _chapter_text(chapter: str, findings: Findings) -> str:
    if chapter == "classes" and findings.data is None:
        return (
            "There are no confusion matrices, no recall and no example images here, since the test images could not be"
            f" read: {findings.data_problem}"
        )
    return ""


def _written(table: Table, folder: Path, study: str) -> dict[str, Any]:
    target = folder / "tables" / study
    target.mkdir(parents=True, exist_ok=True)
    table.write(target)
    kinds = [_kind(table.shown[column]) for column in table.shown.columns]
    return {
        "anchor": f"table-{study}-{table.name}",
        "title": table.title,
        "note": table.note,
        "headings": list(table.shown.columns),
        "kinds": kinds,
        "rows": table.shown.astype(str).to_numpy().tolist(),
        "csv": f"tables/{study}/{table.name}.csv",
        "tex": f"tables/{study}/{table.name}.tex",
    }


def _kind(column: pd.Series) -> str:
    if not is_text(column):
        return "figure"
    return "long" if column.astype(str).str.len().max() > LONG_WORDS else "text"


def _shown(picture: Picture, svg: str, path: str) -> dict[str, Any]:
    width = picture.figure.get_figwidth()
    return {
        "anchor": path.replace("/", "-"),
        "title": picture.title,
        "caption": picture.caption,
        "seen": picture.seen,
        "folded": picture.folded,
        "inches": f"{width:.2f}",
        "pixels": round(96 * width),
        "wide": width > WIDE,
        "source": "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode(),
        "svg": f"{path}.svg",
        "pdf": f"{path}.pdf",
    }


def render(**values: Any) -> str:
    """Fill the page's template; every text is escaped but the style sheet."""
    templates = files("fmnist.reporting") / "templates"
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


def _command(store: Store, studies: Sequence[str]) -> str:
    chosen = ["--study", *studies] if studies else []
    return shlex.join(["python", "jobs/aggregate.py", "--results", store.uri, *chosen])
