"""How figures look: one colour, marker and line for each configuration, the same in every figure; sizes and saving."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fmnist.declare import ARCHITECTURES

LineStyle = str | tuple[int, tuple[int, ...]]

COLUMN_INCHES = 3.5  # the width of a journal's column, and about that of a phone
# Okabe and Ito's colours (2008), told apart by the colour-blind too, but for yellow, too pale on paper; then darker
# ones of Paul Tol's
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000",
           "#56B4E9", "#882255", "#999933", "#332288", "#44AA99", "#661100")  # fmt: skip
MARKERS = ("o", "s", "^", "v", "D", "P", "X", "p", "<", ">", "h", "*")
LINES: tuple[LineStyle, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))

MOST_SAVERS = 8  # processes that save figures; each loads matplotlib, some 100 MB

LINE_CHARACTERS = 28  # of a label in a figure

INK = "#222222"
QUIET = "#8a8a8a"
WARNING = "#a03000"

SETTINGS = str(files("fmnist.report") / "templates" / "house.mplstyle")


@dataclass(frozen=True, slots=True)
class Style:
    """What tells a configuration from the others, with colour and without."""

    colour: str
    marker: str
    line: LineStyle

    @property
    def line_options(self) -> dict[str, Any]:
        """What a call that draws a line takes."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line}


Styles = Mapping[str, Style]  # by label


def styles_of(labels: Iterable[str]) -> dict[str, Style]:
    """Give each label its style. An architecture's name always gets the same one; other labels take what is left.

    After twelve labels the colours come again with another marker and line.
    """
    wanted = list(dict.fromkeys(labels))
    fixed = {name: place for place, name in enumerate(ARCHITECTURES) if place < len(COLOURS)}
    taken = {fixed[label] for label in wanted if label in fixed}
    free = (place for place in range(len(wanted) + len(fixed)) if place not in taken)
    return {label: _style(fixed[label] if label in fixed else next(free)) for label in wanted}


def _style(place: int) -> Style:
    turn = place // len(COLOURS)
    return Style(
        colour=COLOURS[place % len(COLOURS)],
        marker=MARKERS[(place + 5 * turn) % len(MARKERS)],
        line=LINES[(place + turn) % len(LINES)],
    )


def house_style() -> AbstractContextManager[None]:
    """Draw and save within this: the settings hold inside and nowhere else."""
    return mpl.rc_context(fname=SETTINGS)


def new_axes(width: float = COLUMN_INCHES, height: float = 2.6) -> Axes:
    """Make a figure with one Axes; sizes in inches."""
    return new_figure(width, height).add_subplot()


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure that lays itself out; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_of(axes: Axes) -> Figure:
    """Give the figure that `new_axes` made around an Axes."""
    if not isinstance(axes.figure, Figure):
        raise TypeError(f"axes: got one in a {type(axes.figure).__name__}, expected one in a Figure")
    return axes.figure


def in_lines(label: str) -> str:
    """Break a long label into lines, so that it leaves room for the figure."""
    return "\n".join(textwrap.wrap(label, LINE_CHARACTERS)) or label


def legend_below(axes: Axes) -> Figure:
    """Put the legend of an Axes below all else, in two columns where they fit, and make its figure as much higher."""
    figure, (handles, labels) = figure_of(axes), axes.get_legend_handles_labels()
    layout: dict[str, Any] = {"loc": "outside lower center", "handlelength": 2.8, "columnspacing": 1.2}
    legend = figure.legend(handles, [in_lines(label) for label in labels], ncols=2, **layout)
    if legend.get_window_extent().width > figure.bbox.width:
        legend.remove()
        legend = figure.legend(handles, [in_lines(label) for label in labels], **layout)
    figure.set_figheight(figure.get_figheight() + legend.get_window_extent().height / figure.dpi)
    return figure


def save_figure(figure: Figure, path: Path) -> str:
    """Write an SVG and a PDF to `path` with their endings, without dates in them, and return the SVG's text."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    path.with_name(f"{path.name}.svg").write_text(text.getvalue(), encoding="utf-8")
    figure.set_layout_engine("none")  # it is laid out
    figure.savefig(path.with_name(f"{path.name}.pdf"), format="pdf", metadata={"CreationDate": None})
    return text.getvalue()


@contextmanager
def figure_savers(processes: int) -> Iterator[Callable[[Figure, Path], Future[str]]]:
    """Give `save_figure` as a call that returns a future, in the house style; every file is whole when the block ends.

    With more than one process it goes on beside the caller, as saving takes longer than drawing. Each process imports
    the script that started Python: without a main guard (`if __name__ == "__main__":`) that would run again.
    """
    pool: Executor = ThreadPoolExecutor(1)
    if processes > 1:
        pool = ProcessPoolExecutor(min(processes, MOST_SAVERS), get_context("spawn"), _keep_house_style)
    with house_style(), pool:
        yield lambda figure, path: pool.submit(save_figure, figure, path)


def _keep_house_style() -> None:
    mpl.rc_file(SETTINGS)
