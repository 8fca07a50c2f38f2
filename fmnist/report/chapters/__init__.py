"""The report on a study: its chapters in their order. A new one is a file here and its line below."""

from collections.abc import Callable

from fmnist.report.chapter import Chapter, StudyReport
from fmnist.report.chapters.accuracy import accuracy_chapter
from fmnist.report.chapters.answer import answer
from fmnist.report.chapters.classes import classes_chapter
from fmnist.report.chapters.confidence import confidence_chapter
from fmnist.report.chapters.costs import costs_chapter
from fmnist.report.chapters.curves import curves_chapter
from fmnist.report.chapters.examples import examples_chapter
from fmnist.report.chapters.methods import measurement, methods_chapter
from fmnist.report.chapters.original import original_chapter
from fmnist.report.chapters.overview import missing_words, overview_chapter
from fmnist.report.chapters.runs import runs_chapter
from fmnist.report.chapters.tuning import tuning_chapter
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
