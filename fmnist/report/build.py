"""From a store to a report: read, choose, gather, compose the chapters, write. No TensorFlow, no Ray."""

import logging
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure as Drawing

from fmnist.report.chapter import StudyReport
from fmnist.report.chapters import report_search, report_study
from fmnist.report.html import SavedFigure, StudySection, render
from fmnist.report.search_data import SearchRows, gather_search
from fmnist.report.selection import StudyRows, read_rows, select_reported, tell_apart
from fmnist.report.study_data import find_dataset, gather
from fmnist.report.style import figure_savers, styles_of
from fmnist.report.text import counted, number
from fmnist.store import Store

Save = Callable[[Drawing, Path], Future[str]]
log = logging.getLogger(__name__)

LONGEST_NAME = 100  # characters of a file's name; file systems take some 250 bytes


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """What was written: the page, and the report on each study on it, in its order."""

    path: Path
    studies: tuple[StudyReport, ...]


def build_report(
    store_uri: str | Path,
    studies: Sequence[str] = (),
    out: str | Path = "report",
    data: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
    processes: int = 1,
) -> ReportResult:
    """Write the report on the studies and searches of those names, or on all of a store, into the folder `out`.

    `data` is the folder of Fashion-MNIST (None: looked for as a run does); without data the report lacks confusion
    matrices and images, and says so. `on_progress` is told in words what comes next. With more than one of `processes`
    figures are saved beside the caller, which must be a script with a main guard (see style.figure_savers).
    ValueError if the store holds no rows or no such study, OSError if it cannot be read or `out` not be written.
    """
    store, folder = Store(store_uri), Path(out)
    tell = on_progress or log.info
    tell(f"Reading {store.uri}")
    rows = read_rows(store)
    selected = select_reported(store, studies, rows)
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "results.csv", index=False)
    dataset, dataset_problem = find_dataset(data)
    with_labels = [item for item in selected if isinstance(item, StudyRows)]
    styles = styles_of(label for study in with_labels for label in study.finished_labels)
    sections = []
    with figure_savers(processes) as save:
        for item, name in zip(selected, file_names(item.name for item in selected), strict=True):
            tell(progress_words(item))
            if isinstance(item, SearchRows):
                report = report_search(gather_search(item, store))
            else:
                report = report_study(gather(item, store, dataset, dataset_problem), styles)
            sections.append(write_study(report, name, folder, save))
    command = ["python", "jobs/aggregate.py", "--results", store.uri, *(["--study", *studies] if studies else [])]
    page = render(sections, store=store.uri, damaged=store.damaged, rows=number(len(rows)), command=shlex.join(command))
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return ReportResult(path=path, studies=tuple(section.report for section in sections))


def progress_words(item: StudyRows | SearchRows) -> str:
    """Say what is reported on."""
    if isinstance(item, SearchRows):
        return f"Search {item.name}: {counted(len(item.rows), 'run')} of {counted(len(item.labels), 'point')}"
    runs = counted(len(item.finished), "finished run")
    return f"Study {item.name}: {runs} of {counted(len(item.labels), 'configuration')}"


def write_study(report: StudyReport, name: str, folder: Path, save: Save) -> StudySection:
    """Write a study's tables and figures below `folder`, under the study's file name."""
    for table in (table for chapter in report.chapters for table in chapter.tables):
        table.write(folder / "tables" / name)
    (folder / "figures" / name).mkdir(parents=True, exist_ok=True)
    # all are drawn before any is saved, as threads must not draw side by side
    drawn = [(chapter.key, figure) for chapter in report.chapters for figure in chapter.figures]
    paths = [f"figures/{name}/{file}" for file in file_names(figure.name for _, figure in drawn)]
    saved = [save(figure.drawing, folder / path) for (_, figure), path in zip(drawn, paths, strict=True)]
    figures: dict[str, list[SavedFigure]] = {chapter.key: [] for chapter in report.chapters}
    for (key, figure), path, svg in zip(drawn, paths, saved, strict=True):
        figures[key].append(SavedFigure(figure=figure, path=path, svg=svg.result()))
    return StudySection(report=report, anchor=name, figures=figures)


def file_names(names: Iterable[str]) -> list[str]:
    """Make a file's name of each of any names, all different, also where case does not count."""
    return tell_apart((file_name(name) for name in names), "-{}", key=str.casefold)


def file_name(name: str) -> str:
    """Make a file's name of any label: letters, digits, points, dashes and underscores stay."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_NAME].strip("-.") or "unnamed"
