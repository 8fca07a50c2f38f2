"""The overview of a search: its answer, what it lacks, the best point of each architecture, and all points."""

import dataclasses
import math
import shlex
from collections import Counter
from typing import Any

from fmnist.compare import Edge, PointResult, complete, paired_difference, summarize, values_by_repeat
from fmnist.declare import METRICS, SEARCH_METRIC
from fmnist.report.chapter import Chapter
from fmnist.report.search_data import SearchData
from fmnist.report.table import Columns, Row, Table, column, make_table, present
from fmnist.report.text import (
    amount,
    core_time,
    counted,
    names,
    number,
    setting,
    settings_words,
    spoken,
)

METRIC = METRICS[SEARCH_METRIC]
MOST_ANSWERED = 6  # architectures that the answer names
MOST_SHOWN = 5  # points of an architecture in the table of the best


def search_overview_chapter(data: SearchData) -> Chapter:
    """The best points at a glance."""
    return Chapter(
        key="overview",
        title="Overview",
        tables=present(results_table(data), best_points_table(data)),
        methods=[
            "Points were judged by the mean validation accuracy of their final weights over the repeats; the test set"
            " was not scored. Means carry 95 % intervals by Student's t, over the repeats of one point: they leave out"
            " that the best of many was chosen."
        ],
    )


def search_answer(data: SearchData) -> str:
    """Say which point is the best of each architecture, by how much it beats the default, and what that is worth."""
    found = {name: point for name in data.architectures if (point := data.best_of(name))}
    if not found:
        return f"There is no answer: no point has all of its {counted(data.search.repeats, 'repeat')}."
    parts = [_best_words(data, name, point) for name, point in list(found.items())[:MOST_ANSWERED]]
    if len(found) > MOST_ANSWERED:
        parts.append(f"{number(len(found) - MOST_ANSWERED)} more architectures are in the table")
    tried = max(len(complete(data.points[name])) for name in found)
    luck = f", each the highest of up to {counted(tried, 'point')}: too high, as the luck of the best is in them"
    caution = (
        f"These are accuracies on validation images{luck if tried > 1 else ''}. How good the points are, a study of the"
        " winners says (`Tuning`), on repeats that the search never used."
    )
    return f"Best on validation: {'; '.join(parts)}. {caution}"


def _best_words(data: SearchData, name: str, point: PointResult) -> str:
    words = f"{name} {amount(point.value, METRIC)} (n = {number(len(point.runs))}) with"
    words += f" {settings_words(point.point.values)}"
    default = data.default_of(name)
    if default is None:
        return words
    if default.point == point.point:
        return f"{words}, its default"
    return f"{words}, {difference_words(point, default)} percentage points from its default"


def difference_words(a: PointResult, b: PointResult) -> str:
    """Write the paired difference in percentage points: +0.31 [+0.12, +0.50]."""
    mean, interval, _ = paired_difference(a, b)
    row = {"difference": mean, "difference_lower": interval.lower, "difference_upper": interval.upper}
    return column("difference", METRIC.scale, METRIC.digits, signed=True)(row)


def edge_warnings(data: SearchData) -> list[str]:
    """Say of each best point at which edge of the space it stands."""
    return [
        f"Warning: the best point of {name} stands at the edge of the space: {names(list(map(edge_words, found)))}."
        " The best may lie beyond: extend the space there and run the search again."
        for name, found in data.edges.items()
        if found
    ]


def edge_words(edge: Edge) -> str:
    """Name the side of a hyperparameter: learning rate 0.01, near its upper end 0.0101."""
    side = "upper" if edge.side == "upper" else "lower"
    where = f"its {side} end" if edge.value == edge.bound else f"near its {side} end {setting(edge.bound)}"
    return f"{spoken(edge.parameter.name)} {setting(edge.value)}, {where}"


def search_missing(data: SearchData) -> list[str]:
    """Say which points are not done, failed or diverged."""
    counts = Counter(point.status for points in data.points.values() for point in points)
    command = f"`python jobs/study.py {shlex.quote(data.search.name)}"
    sentences = []
    if counts["open"]:
        sentences.append(f"Points that lack runs: {number(counts['open'])}. {command}` computes them.")
    if counts["failed"]:
        sentences.append(f"Points that failed: {number(counts['failed'])}. {command} --retry-failed` tries them again.")
    if counts["diverged"]:
        sentences.append(f"Points that diverged (loss not finite): {number(counts['diverged'])}.")
    without = [name for name in data.search.architectures if data.best_of(name) is None]
    if without:
        sentences.append(f"No point of {names(without)} is complete.")
    return sentences


def results_table(data: SearchData) -> Table | None:
    """The best point of each architecture, that with the highest accuracy first."""
    rows = [_result(data, name) for name in data.architectures]
    columns: Columns = {
        "architecture": "architecture",
        "n": "n",
        f"{METRIC.label}, {METRIC.unit}": column("accuracy", METRIC.scale, METRIC.digits),
        "against its default, percentage points": column("difference", METRIC.scale, METRIC.digits, signed=True),
        "best point": "values",
        "points": "points",
        "complete": "complete",
        "pruned": "pruned",
        "diverged": "diverged",
        "failed": "failed",
        "not done": "open",
        "cost": lambda row: core_time(row["core_seconds"]),
    }
    note = (
        "Best of the complete points: mean ± standard deviation over n repeats, in brackets the 95 % interval of the"
        " mean. It is on validation, and too high as the best of so many. Against its default: paired over repeats,"
        " where the default is a point of the search. Cost: of all runs in the search's tracks; on a GPU, of its share."
    )
    return make_table("results", "Best point of each architecture", rows, columns, note, is_main=True)


def _result(data: SearchData, name: str) -> dict[str, Any]:
    counts = Counter(item.status for item in data.points[name])
    row: dict[str, Any] = {
        "architecture": name,
        "n": 0,
        "accuracy": math.nan,
        "difference": math.nan,
        "values": "",
        "points": len(data.points[name]),
        **{status: counts[status] for status in ("complete", "pruned", "diverged", "failed", "open")},
        "core_seconds": sum(track.core_seconds for track in data.tracks_of(name)),
    }
    point = data.best_of(name)
    if point is None:
        return row
    row |= {**_accuracy(point), "values": settings_words(point.point.values), "label": data.label(point)}
    default = data.default_of(name)
    if default is not None and default.point != point.point:
        mean, interval, _ = paired_difference(point, default)
        row |= {"difference": mean, "difference_lower": interval.lower, "difference_upper": interval.upper}
    return row


def _accuracy(point: PointResult) -> dict[str, Any]:
    summary = summarize(list(values_by_repeat(point).values()))
    return {
        "n": summary.n,
        "accuracy": summary.mean,
        "accuracy_standard_deviation": summary.standard_deviation,
        "accuracy_lower": summary.mean_t_interval.lower,
        "accuracy_upper": summary.mean_t_interval.upper,
    }


def best_points_table(data: SearchData) -> Table | None:
    """The best points of each architecture; the CSV has every point, whatever became of it."""
    rows = [_point_row(data, name, place, point) for name in data.architectures
            for place, point in enumerate(data.points[name], start=1)]  # fmt: skip
    columns: Columns = {
        "architecture": "architecture",
        "place": "place",
        "n": "n",
        f"{METRIC.label}, {METRIC.unit}": column("accuracy", METRIC.scale, METRIC.digits),
        **{spoken(name): _setting_of(name) for name in data.search.space.dimensions},
        "cost": lambda row: core_time(row["core_seconds"]),
    }
    note = f"The best {MOST_SHOWN} complete points of each architecture; the CSV has every point with its status."
    made = make_table("points", "Best points", rows, columns, note)
    if made is None:
        return None
    shown = [row["status"] == "complete" and row["place"] <= MOST_SHOWN for row in rows]
    return dataclasses.replace(made, shown=made.shown[shown].reset_index(drop=True)) if any(shown) else None


def _point_row(data: SearchData, name: str, place: int, point: PointResult) -> dict[str, Any]:
    return {
        "architecture": name,
        "place": place,
        "label": data.label(point),
        "configuration_id": point.point.configuration_id,
        "status": point.status,
        **_accuracy(point),
        **dict.fromkeys(data.search.space.dimensions, math.nan),
        **point.point.values,
        "core_seconds": point.core_seconds,
    }


def _setting_of(name: str) -> Any:
    def write(row: Row) -> str:
        return setting(row[name])

    return write
