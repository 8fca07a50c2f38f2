"""The reports on a study and on a search: chapters in their order. A new one is a file here and its line below."""

from collections.abc import Callable

from fmnist.report.chapter import Chapter, StudyReport
from fmnist.report.chapters.accuracy import accuracy_chapter
from fmnist.report.chapters.answer import answer
from fmnist.report.chapters.classes import classes_chapter
from fmnist.report.chapters.confidence import confidence_chapter
from fmnist.report.chapters.costs import costs_chapter
from fmnist.report.chapters.curves import curves_chapter
from fmnist.report.chapters.examples import examples_chapter
from fmnist.report.chapters.methods import made_words, measurement, methods_chapter
from fmnist.report.chapters.original import original_chapter
from fmnist.report.chapters.overview import missing_words, overview_chapter
from fmnist.report.chapters.runs import runs_chapter
from fmnist.report.chapters.search_budget import search_budget_chapter
from fmnist.report.chapters.search_importance import search_importance_chapter
from fmnist.report.chapters.search_methods import search_methods_chapter
from fmnist.report.chapters.search_overview import edge_warnings, search_answer, search_missing, search_overview_chapter
from fmnist.report.chapters.search_points import search_points_chapter
from fmnist.report.chapters.search_runs import search_runs_chapter
from fmnist.report.chapters.tuning import tuning_chapter
from fmnist.report.search_data import SearchData
from fmnist.report.study_data import StudyData
from fmnist.report.style import Styles

CHAPTERS: tuple[Callable[[StudyData, Styles], Chapter], ...] = (
    overview_chapter,
    tuning_chapter,
    accuracy_chapter,
    costs_chapter,
    curves_chapter,
    classes_chapter,
    confidence_chapter,
    examples_chapter,
    original_chapter,
    runs_chapter,
)

SEARCH_CHAPTERS: tuple[Callable[[SearchData], Chapter], ...] = (
    search_overview_chapter,
    search_budget_chapter,
    search_importance_chapter,
    search_points_chapter,
    search_runs_chapter,
)


def report_study(data: StudyData, styles: Styles) -> StudyReport:
    """Write every chapter on a study; figures are drawn when asked for. `styles` has that of each label."""
    chapters = [chapter(data, styles) for chapter in CHAPTERS]
    return StudyReport(
        name=data.study.name,
        question=data.study.question,
        answer=answer(data),
        missing=missing_words(data),
        measurement=measurement(data),
        chapters=[*chapters, methods_chapter(data, chapters)],
    )


def report_search(data: SearchData) -> StudyReport:
    """Write every chapter on a search; figures are drawn when asked for."""
    chapters = [chapter(data) for chapter in SEARCH_CHAPTERS]
    return StudyReport(
        name=data.search.name,
        question=data.search.question,
        kind="search",
        answer=search_answer(data),
        warnings=edge_warnings(data),
        missing=search_missing(data),
        measurement=made_words(data.search.rows),
        chapters=[*chapters, search_methods_chapter(data, chapters)],
    )
