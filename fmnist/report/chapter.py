"""What a report on a study is made of: chapters with text, tables and figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure as Drawing

from fmnist.report.table import Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """One figure: a name of its own in the study, what it shows and how to read it."""

    name: str  # of its files
    title: str
    caption: str
    alt: str  # what the figure shows, for who cannot see it
    drawing: Drawing
    folded: bool = False  # the page shows it when asked: one of many much alike


@dataclass(frozen=True, kw_only=True, eq=False)
class Chapter:
    """One chapter; the page leaves out one without text, tables and figures."""

    key: str  # of its anchor on the page
    title: str
    text: Sequence[str] = ()  # paragraphs
    figures: Iterable[Figure] = ()  # each drawn as it is taken, once, within style.house_style
    tables: Sequence[Table] = ()
    methods: Sequence[str] = ()  # sentences on what was done for it, for the chapter on methods


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyReport:
    """The report on one study or search: its short, and the chapters in their order."""

    name: str
    question: str
    answer: str
    missing: Sequence[str]  # which runs it lacks, in sentences
    measurement: str  # how, when and on what was measured
    chapters: Sequence[Chapter]
    kind: Literal["study", "search"] = "study"
    warnings: Sequence[str] = ()  # what must be looked at before the answer is relied on, in sentences

    @property
    def title(self) -> str:
        """What it is called: Study comparison."""
        return f"{self.kind.capitalize()} {self.name}"

    @property
    def main_tables(self) -> list[Table]:
        """The tables that the terminal and Markdown pages show too, that of the results first."""
        return [table for chapter in self.chapters for table in chapter.tables if table.is_main]
