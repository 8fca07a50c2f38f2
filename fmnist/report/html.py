"""The page of a report: what was written of each study, put into the templates. It needs no network."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup, escape

from fmnist.report.chapter import Chapter, Figure, StudyReport


@dataclass(frozen=True, kw_only=True)
class SavedFigure:
    """A figure and where it was saved."""

    figure: Figure
    path: str  # below the report's folder, without the ending
    svg: str

    @property
    def source(self) -> str:
        """The picture as the source of an image."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


@dataclass(frozen=True, kw_only=True)
class StudySection:
    """What the page shows of one study."""

    report: StudyReport
    anchor: str  # also the name of its folders of tables and figures
    figures: Mapping[str, Sequence[SavedFigure]]  # by the key of their chapter

    @property
    def chapters(self) -> list[Chapter]:
        """The chapters that hold anything."""
        return [item for item in self.report.chapters if item.text or item.tables or self.figures[item.key]]


def render(sections: Sequence[StudySection], **values: Any) -> str:
    """Fill the page's template; every text is escaped but the style sheet. `values` are its further variables."""
    templates = files("fmnist.report") / "templates"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["code"] = mark_commands
    css = Markup((templates / "report.css").read_text("utf-8"))
    page = environment.from_string((templates / "report.html").read_text("utf-8"))
    return page.render(css=css, sections=sections, **values)


def mark_commands(text: str) -> Markup:
    """Escape a sentence for HTML; what stands between backticks becomes code, and no line breaks before a %."""
    unbroken = str(escape(text)).replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", unbroken))
