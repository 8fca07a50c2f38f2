"""The chapter on what a search found: tuned against default on fresh repeats, the order before and after, paths."""

import itertools
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from fmnist.compare import Estimate, PairComparison, Ranking, TuningComparison
from fmnist.declare import METRICS, SEARCH_METRIC, Metric
from fmnist.report import text
from fmnist.report.chapter import Chapter
from fmnist.report.chapters.pairs import repeats_text
from fmnist.report.chapters.tuning_figures import order_figures, path_figures, tuned_figures
from fmnist.report.chapters.tuning_words import settings_changed, turned_words
from fmnist.report.study_data import MetricData, StudyData, turned
from fmnist.report.style import Styles
from fmnist.report.table import Columns, Row, Table, column, make_table, present


def tuning_chapter(data: StudyData, _styles: Styles) -> Chapter:
    """What tuning gave each architecture; empty for a study that is not of a search's best points."""
    tuning, primary = data.tuning, data.primary
    if tuning is None or primary is None:
        return Chapter(key="tuning", title="Tuned against default")
    metric = primary.metric
    return Chapter(
        key="tuning",
        title="Tuned against default",
        text=[_basis_words(data)],
        figures=itertools.chain(
            tuned_figures(tuning, primary), order_figures(tuning, metric), path_figures(data, tuning, metric)
        ),
        tables=present(
            tuned_table(data, tuning, primary),
            optimism_table(tuning),
            order_table(tuning, metric),
            order_pairs_table(tuning, metric),
            paths_table(data, tuning, metric),
        ),
        methods=_methods(tuning),
    )


def _basis_words(data: StudyData) -> str:
    study = data.study
    first, count = study.first_repeat, study.repeats or 0
    return (
        f"Search {study.tuning['search']} chose each architecture's best point by the mean validation accuracy over its"
        f" {text.counted(first, 'repeat')} (0 to {first - 1}). The best of many points looks better there than it is,"
        f" so best point and default were run anew in {text.counted(count, 'repeat')} ({first} to {first + count - 1})"
        " that the search never used; only these runs were scored on the test set."
    )


def tuned_table(data: StudyData, tuning: TuningComparison, primary: MetricData) -> Table | None:
    """Each architecture's best point against its default."""
    metric, rows = primary.metric, []
    for item in tuning.architectures:
        row: dict[str, Any] = {"label": item.architecture, "verdict": turned_words(item)}
        row["settings"] = settings_changed(data.study, item.default, item.tuned) if item.pair else text.NOTHING
        for name, label in (("default", item.default), ("tuned", item.tuned)):
            if summary := primary.summaries.get(label):
                ends = {"lower": summary.mean_t_interval.lower, "upper": summary.mean_t_interval.upper}
                row |= {name: summary.mean} | {f"{name}_{end}": value for end, value in ends.items()}
        rows.append({**row, **_pair_values(item.pair)})
    pair_of = {item.architecture: item.pair for item in tuning.architectures}
    columns: Columns = {
        "configuration": "label",
        "default → best point": "settings",
        f"default, {metric.unit}": column("default", metric.scale, metric.digits),
        f"tuned, {metric.unit}": column("tuned", metric.scale, metric.digits),
        f"difference, {text.difference_unit(metric)}": lambda row: _difference(pair_of[row["label"]], metric),
        "verdict": "verdict",
        "n": "n",
        "p": lambda row: text.p_value(row["difference_p_holm"]),
        "repeats to decide": lambda row: _repeats(pair_of[row["label"]]),
    }
    note = (
        f"Mean {metric.label} over fresh repeats, in brackets 95 % intervals; difference and verdict are of the best"
        f" point against the default over their common repeats.{_family_words(tuning.family, 'architecture')} The"
        " chapter on the comparison has every pair of configurations, adjusted over all of them."
    )
    return make_table("tuned", "Tuned against default", rows, columns, note, is_main=True)


def _pair_values(pair: PairComparison | None) -> dict[str, Any]:
    if pair is None:
        return {"n": None, "difference_p_holm": math.nan}
    fewest, most = pair.repeats_to_decide or (None, None)
    return {
        "n": pair.n, "difference": pair.mean_difference, "difference_lower": pair.interval.lower,
        "difference_upper": pair.interval.upper, "difference_p_holm": pair.difference_p_holm,
        "equivalence_p_holm": pair.equivalence_p_holm, "margin": pair.margin, "fewest_repeats_to_decide": fewest,
        "most_repeats_to_decide": most,
    }  # fmt: skip


def _difference(pair: PairComparison | None, metric: Metric) -> str:
    return text.difference_text(pair, metric) if pair else text.NOTHING


def _repeats(pair: PairComparison | None) -> str:
    return repeats_text(pair, None) if pair else text.NOTHING


def _family_words(family: int, noun: str) -> str:
    many = f" p values are adjusted by Holm's procedure over {text.counted(family, noun)}, intervals are not."
    return many * (family > 1)


def optimism_table(tuning: TuningComparison) -> Table | None:
    """What the search promised and what fresh repeats gave."""
    rows: list[Row] = [
        {
            "label": item.architecture,
            "n_searched": item.searched.n,
            "n": item.validation.n,
            **_estimate("searched", item.searched),
            **_estimate("validation", item.validation),
            **_estimate("selection_optimism", item.selection_optimism),
            **_estimate("test", item.test),
            **_estimate("test_optimism", item.test_optimism),
        }
        for item in tuning.architectures
    ]
    accuracy = METRICS[SEARCH_METRIC]
    percent = partial(column, scale=accuracy.scale, digits=accuracy.digits)
    columns: Columns = {
        "configuration": "label",
        "n, search": "n_searched",
        "validation in the search, %": percent("searched"),
        "n, fresh": "n",
        "validation, fresh, %": percent("validation"),
        "optimism of the choice, pp": percent("selection_optimism", signed=True),
        "test, fresh, %": percent("test"),
        "search less test, pp": percent("test_optimism", signed=True),
    }
    note = (
        "The best points where they were chosen, and on fresh repeats. The optimism of the choice is the first less the"
        " second: what choosing the best of many adds. Search less test also holds that test images are others than"
        " those of validation. 95 % intervals; those of differences are unpaired (Welch), since the repeats differ, and"
        " speak of these points, not of what another search would choose."
    )
    return make_table("optimism", "What the search promised", rows, columns, note, is_main=True)


def _estimate(name: str, estimate: Estimate) -> dict[str, float]:
    interval = estimate.interval()
    return {name: estimate.value, f"{name}_lower": interval.lower, f"{name}_upper": interval.upper}


def order_table(tuning: TuningComparison, metric: Metric) -> Table | None:
    """The architectures by their means at defaults and tuned."""
    order = tuning.order
    if order is None:
        return None
    rows: list[dict[str, Any]] = [
        {"label": name, "place": place, "tuned": mean, "default": order.default.means[name],
         "default_place": 1 + list(order.default.means).index(name), "change": _change(place, name, order.default)}
        for place, (name, mean) in enumerate(order.tuned.means.items(), start=1)
    ]  # fmt: skip
    mean = partial(column, scale=metric.scale, digits=metric.digits)
    columns: Columns = {
        "configuration": "label",
        "place, tuned": "place",
        f"mean, tuned, {metric.unit}": mean("tuned"),
        "place, default": "default_place",
        f"mean, default, {metric.unit}": mean("default"),
        "places": "change",
    }
    joined = [
        _joined_words(ranking, when) for ranking, when in ((order.default, "at defaults"), (order.tuned, "tuned"))
    ]
    reversed_words = "; ".join(f"{b} now ahead of {a}" for a, b in order.reversed) or "none"
    tau = (
        f" Kendall's tau of the two orders is {text.number(order.tau, 2)} (1: the same, 0: as many pairs kept as"
        f" swapped, {text.MINUS}1: reversed), which says nothing of chance."
    )
    note = (
        f"Places by mean {metric.label}. Pairs told apart both times, the other way round: {reversed_words}. The means"
        f" of {text.number(len(order.swapped))} of {text.counted(len(order.default.pairs), 'pair')} change their order."
        f"{'' if math.isnan(order.tau) else tau} {' '.join(joined)}"
    )
    return make_table("tuning-order", "The order before and after tuning", rows, columns, note, is_main=True)


def _change(place: int, name: str, before: Ranking) -> str:
    moved = 1 + list(before.means).index(name) - place
    return "as before" if moved == 0 else f"{abs(moved)} {'up' if moved > 0 else 'down'}"


def _joined_words(ranking: Ranking, when: str) -> str:
    groups = "; ".join(text.names(group) for group in ranking.groups)
    return f"Not told apart {when}: {groups or 'none'}."


def order_pairs_table(tuning: TuningComparison, metric: Metric) -> Table | None:
    """Each pair of architectures at their defaults and tuned."""
    order = tuning.order
    if order is None:
        return None
    both: Mapping[str, dict[tuple[str, str], PairComparison]] = {
        "default": _either_way(order.default), "tuned": _either_way(order.tuned)}  # fmt: skip
    named = [(pair.a, pair.b) for pair in order.default.pairs]
    rows: list[Row] = [
        {"label": a, "other": b, **{f"{when}_{name}": value for when, pairs in both.items()
                                    for name, value in _pair_values(pairs[a, b]).items()},
         **{f"{when}_verdict": pairs[a, b].verdict for when, pairs in both.items()}}
        for a, b in named
    ]  # fmt: skip

    def shown(when: str) -> Any:
        pairs = both[when]
        return lambda row: text.difference_text(pairs[row["label"], row["other"]], metric)

    columns: Columns = {
        "configuration": "label",
        "against": "other",
        "difference at defaults": shown("default"),
        "verdict at defaults": "default_verdict",
        "difference, tuned": shown("tuned"),
        "verdict, tuned": "tuned_verdict",
    }
    note = (
        f"In {text.difference_unit(metric)} of {metric.label} over common fresh repeats, 95 % intervals."
        " p values are adjusted by Holm's procedure over the pairs, at defaults and tuned each."
    )
    return make_table("tuning-order-pairs", "Pairs of architectures before and after tuning", rows, columns, note)


def _either_way(ranking: Ranking) -> dict[tuple[str, str], PairComparison]:
    """A ranking's pairs by their names, in both directions."""
    return {(pair.a, pair.b): pair for found in ranking.pairs for pair in (found, turned(found))}


def paths_table(data: StudyData, tuning: TuningComparison, metric: Metric) -> Table | None:
    """Each step from a default to a best point."""
    rows: list[dict[str, Any]] = []
    pair_of: dict[tuple[str, str], PairComparison] = {}
    for path in tuning.paths:
        for step in path.steps:
            pair_of[path.architecture, step.label] = step.pair
            rows.append(
                {"label": path.architecture, "setting": settings_changed(data.study, step.before, step.label),
                 "configuration": step.label, "verdict": step.pair.verdict, **_pair_values(step.pair),
                 **_estimate("total", step.total)}
            )  # fmt: skip
    columns: Columns = {
        "configuration": "label",
        "setting": "setting",
        f"difference, {text.difference_unit(metric)}": lambda row: _difference(
            pair_of[row["label"], row["configuration"]], metric
        ),
        "verdict": "verdict",
        "n": "n",
        "p": lambda row: text.p_value(row["difference_p_holm"]),
        "from the default": column("total", metric.scale, metric.digits, signed=True),
    }
    left_out = [f"{path.architecture} {path.left_out}" for path in tuning.paths if path.left_out]
    note = (
        f"Each configuration against the one before it by {metric.label}: one setting changes, and those that depend on"
        " it. A path is read over the repeats that all its configurations have, so that its steps add up to the whole;"
        " in another order each step may come out otherwise, as settings act on each other."
        f"{_family_words(len(rows), 'step')}{f' Repeats left out: {text.names(left_out)}.' if left_out else ''}"
    )
    return make_table("paths", "From default to best point", rows, columns, note, is_main=True)


def _methods(tuning: TuningComparison) -> tuple[str, ...]:
    return text.holding({
        "Best points were chosen on validation accuracy and judged against their defaults on repeats that the search"
        " never used, by the tests of pairs, as a family of their own.": True,
        "The optimism of the choice is an unpaired difference with Welch's (1947) interval.": True,
        "Steps of paths are paired differences of consecutive configurations, a family of their own.": tuning.paths,
    })  # fmt: skip
