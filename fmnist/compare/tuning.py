"""What a search gained: each architecture's best point against its default, on repeats that chose neither.

The best of many points looks better than it is where it was chosen: its value there holds the luck that made it the
best (selection bias). Judged are runs of repeats that the search never used, on the test set, which it never saw.
What is generalised to: new seeds and validation splits of these two configurations, not other outcomes of the search.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from scipy import stats

from fmnist.compare.comparable import metric_table
from fmnist.compare.comparison import PairComparison, compare_pairs
from fmnist.compare.intervals import Array, Estimate, difference_estimate, mean_estimate
from fmnist.compare.ranking import cliques
from fmnist.declare import SEARCH_METRIC, Metric

Labels = Mapping[str, Sequence[str]]  # architecture -> from its default to its best point; one where that is the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """One architecture's best point: where it was chosen, on fresh repeats, and against its default there."""

    architecture: str
    default: str  # labels
    tuned: str
    searched: Estimate  # validation accuracy over the repeats of the search
    validation: Estimate  # the same over fresh repeats
    test: Estimate  # test accuracy over fresh repeats
    selection_optimism: Estimate  # searched - validation: unpaired, since the repeats differ
    test_optimism: Estimate  # searched - test, likewise
    pair: PairComparison | None  # best point against default on fresh repeats; None: it is the default


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """All architectures in one state: at their defaults, or tuned."""

    means: Mapping[str, float]  # of the metric by architecture, the best first; those without a value last, NaN
    pairs: tuple[PairComparison, ...]  # of architectures, which its labels are
    groups: tuple[tuple[str, ...], ...]  # that no verdict tells apart, see ranking.cliques


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """The comparison of all architectures after tuning beside that at their defaults."""

    default: Ranking
    tuned: Ranking
    # Kendall's tau-b of the means: share of the pairs in the same order less that in the other one; NaN where all tie
    tau: float
    swapped: tuple[tuple[str, str], ...]  # pairs whose means change order, the better one at defaults first
    reversed: tuple[tuple[str, str], ...]  # of these, those that are told apart both times


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One setting changed on the way from a default to a best point."""

    label: str
    before: str  # the label it is compared with
    pair: PairComparison  # of label against before; Holm's family are the steps of all paths
    total: Estimate  # label - default: the sum of the steps so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One architecture's way, over the repeats in which all its configurations have a value: its steps add up."""

    architecture: str
    steps: tuple[Step, ...]
    n: int
    left_out: int  # repeats without a value of each
    gained_by: Step | None  # the largest step that is better; None if none is


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningComparison:
    """All that is compared in a study of what a search found."""

    architectures: tuple[Tuned, ...]
    order: OrderChange | None  # None for one architecture
    paths: tuple[Path, ...]  # empty where no configuration between default and best point was run

    @property
    def family(self) -> int:
        """How many architectures were tested against their default, over which Holm's procedure adjusts."""
        pairs = {(item.default, item.tuned): item.pair for item in self.architectures}
        return sum(pair is not None and pair.basis != "none" for pair in pairs.values())


def compare_tuning(
    fresh: pd.DataFrame, searched: pd.DataFrame, labels: Labels, metric: Metric, margin: float | None
) -> TuningComparison:
    """Compare best points with defaults on a metric, one family for Holm's adjustment.

    `fresh` has a finished row for each label and repeat that the search never used, `searched` one for each that it
    did (columns label, repeat, the metric and both accuracies). `margin` as in comparison.compare_pairs.
    """
    ends = {architecture: (way[0], way[-1]) for architecture, way in labels.items()}
    wanted = list(dict.fromkeys((tuned, default) for default, tuned in ends.values() if tuned != default))
    pairs = compare_pairs(fresh, metric, margin, labels=_unique(labels), pairs=wanted)
    pair_of = dict(zip(wanted, pairs, strict=True))
    tuned = tuple(_tuned(architecture, *both, fresh, searched, pair_of) for architecture, both in ends.items())
    return TuningComparison(
        architectures=tuned,
        order=_order_change(fresh, ends, metric, margin) if len(labels) > 1 else None,
        paths=_paths(fresh, labels, metric, margin) if any(len(way) > 2 for way in labels.values()) else (),
    )


def _unique(labels: Labels) -> list[str]:
    return list(dict.fromkeys(label for way in labels.values() for label in way))


def _values(frame: pd.DataFrame, label: str, metric: str) -> Array:
    return frame.loc[frame["label"] == label, metric].dropna().to_numpy(dtype=float)


def _tuned(
    architecture: str,
    default: str,
    tuned: str,
    fresh: pd.DataFrame,
    searched: pd.DataFrame,
    pair_of: Mapping[tuple[str, str], PairComparison],
) -> Tuned:
    chosen = _values(searched, tuned, SEARCH_METRIC)
    validation, test = (_values(fresh, tuned, name) for name in (SEARCH_METRIC, "test_accuracy"))
    return Tuned(
        architecture=architecture,
        default=default,
        tuned=tuned,
        searched=mean_estimate(chosen),
        validation=mean_estimate(validation),
        test=mean_estimate(test),
        selection_optimism=difference_estimate(chosen, validation),
        test_optimism=difference_estimate(chosen, test),
        pair=pair_of.get((tuned, default)),
    )


def _order_change(
    fresh: pd.DataFrame, ends: Mapping[str, tuple[str, str]], metric: Metric, margin: float | None
) -> OrderChange:
    default, tuned = (
        _ranking(fresh, {architecture: both[place] for architecture, both in ends.items()}, metric, margin)
        for place in (0, 1)
    )
    means = pd.DataFrame({"default": default.means, "tuned": tuned.means}).dropna()
    swapped = [(a, b) for a, b in itertools.combinations(default.means, 2)
               if (default.means[a] - default.means[b]) * (tuned.means[a] - tuned.means[b]) < 0]  # fmt: skip
    before, after = (_told_apart(ranking) for ranking in (default, tuned))
    return OrderChange(
        default=default,
        tuned=tuned,
        tau=float(stats.kendalltau(means["default"], means["tuned"]).statistic) if len(means) > 1 else float("nan"),
        swapped=tuple(swapped),
        reversed=tuple((a, b) for a, b in before if (b, a) in after),
    )


def _ranking(frame: pd.DataFrame, label_of: Mapping[str, str], metric: Metric, margin: float | None) -> Ranking:
    """Compare architectures, each by the rows of one label, which two of them may share."""
    rows = pd.concat([frame[frame["label"] == label].assign(label=name) for name, label in label_of.items()])
    means = rows.groupby("label")[metric.name].mean().astype(float).reindex(list(label_of))
    means = means.sort_values(ascending=metric.direction == "down", kind="stable")
    order = list(map(str, means.index))
    pairs = compare_pairs(rows, metric, margin, labels=order)
    means_of = dict(zip(order, means.tolist(), strict=True))
    return Ranking(means=means_of, pairs=tuple(pairs), groups=tuple(cliques(order, pairs)))


def _told_apart(ranking: Ranking) -> list[tuple[str, str]]:
    """Pairs with a verdict of better, the better one first."""
    return [(pair.a, pair.b) if pair.verdict == "better" else (pair.b, pair.a)
            for pair in ranking.pairs if pair.verdict in ("better", "worse")]  # fmt: skip


def _paths(fresh: pd.DataFrame, labels: Labels, metric: Metric, margin: float | None) -> tuple[Path, ...]:
    """Compare each configuration of every path with the one before it; two paths may share a configuration."""
    ways = {architecture: way for architecture, way in labels.items() if len(way) > 1}
    tables = {name: metric_table(fresh[fresh["label"].isin(way)], metric, way) for name, way in ways.items()}
    complete = {name: table.dropna() for name, table in tables.items()}
    places = {name: [f"{name}/{place}" for place in range(len(way))] for name, way in ways.items()}
    frame = pd.concat(
        table.set_axis(places[name], axis="columns")
        .melt(ignore_index=False, var_name="label", value_name=metric.name)
        .reset_index()
        for name, table in complete.items()
    )
    wanted = [(after, before) for way in places.values() for before, after in itertools.pairwise(way)]
    pairs = iter(compare_pairs(frame, metric, margin, labels=_unique(places), pairs=wanted))
    return tuple(
        _path(name, table, list(itertools.islice(pairs, len(ways[name]) - 1)), len(tables[name]) - len(table))
        for name, table in complete.items()
    )


def _path(architecture: str, values: pd.DataFrame, pairs: Sequence[PairComparison], left_out: int) -> Path:
    way = list(values.columns)
    steps = tuple(
        Step(
            label=label,
            before=before,
            pair=replace(pair, a=label, b=before),
            total=mean_estimate((values[label] - values[way[0]]).to_numpy()),
        )
        for (before, label), pair in zip(itertools.pairwise(way), pairs, strict=True)
    )
    gains = [step for step in steps if step.pair.verdict == "better"]
    largest = max(gains, key=lambda step: abs(step.pair.mean_difference), default=None)
    return Path(architecture=architecture, steps=steps, n=len(values), left_out=left_out, gained_by=largest)
