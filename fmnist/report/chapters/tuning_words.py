"""What a study of a search's best points says in sentences: who gained, whether the order changes, by which setting."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from fmnist.compare import OrderChange, PairComparison, Path, Tuned, TuningComparison
from fmnist.declare import Hyperparameters, Metric
from fmnist.report import text
from fmnist.report.chapters.pairs import repeats_text
from fmnist.report.selection import StudyRows
from fmnist.report.study_data import StudyData

MOST_SWAPPED = 5  # pairs that a sentence names; more are counted


def tuning_answer(data: StudyData, tuning: TuningComparison, metric: Metric) -> str:
    """Say of each architecture whether tuning made it better, then whether their order changes, then by what."""
    of: dict[str, list[tuple[str, PairComparison]]] = {}
    for item in tuning.architectures:
        if item.pair:
            of.setdefault(item.pair.verdict, []).append((item.architecture, item.pair))
    same = [item.architecture for item in tuning.architectures if item.pair is None]
    worse, equivalent = of.get("worse", []), of.get("equivalent", [])
    sentences = [
        _better_sentence(data.study, of.get("better", []), tuning, metric),
        f"It makes {_named(worse, metric)} worse." if worse else "",
        _equivalent_sentence(equivalent, metric) if equivalent else "",
        _inconclusive_sentence(of["inconclusive"], metric) if "inconclusive" in of else "",
        f"The best point of {text.names(same)} is the default itself." if same else "",
        *(order_sentences(tuning.order, metric) if tuning.order else ()),
        *(path_sentence(data.study, path, metric) for path in tuning.paths),
    ]
    return " ".join(filter(None, sentences))


def _better_sentence(
    study: StudyRows, better: Sequence[tuple[str, PairComparison]], tuning: TuningComparison, metric: Metric
) -> str:
    n = max((item.pair.n for item in tuning.architectures if item.pair), default=0)
    basis = f"Judged by {metric.label} on {text.counted(n, 'fresh repeat')}, tuning by search {study.tuning['search']}"
    if not better:
        none = "no architecture" if len(tuning.architectures) > 1 else tuning.architectures[0].architecture
        return f"{basis} makes {none}{' not' * (len(tuning.architectures) == 1)} significantly better than its default."
    p = text.p_bound(max(pair.difference_p_holm for _, pair in better))
    holm = text.holm_words(tuning.family)
    its = "its default" if len(better) == 1 else "their defaults"
    return f"{basis} makes {_named(better, metric)} better than {its} ({p}{holm})."


def _named(pairs: Sequence[tuple[str, PairComparison]], metric: Metric) -> str:
    """Name architectures with what tuning gave them: own_v1 (+0.45 [+0.30, +0.60] percentage points) and lenet5 (...).

    The unit stands with the first alone.
    """
    write = itertools.chain([text.difference_words], itertools.repeat(text.difference_text))
    return text.names([f"{name} ({words(pair, metric)})" for (name, pair), words in zip(pairs, write, strict=False)])


def _equivalent_sentence(pairs: Sequence[tuple[str, PairComparison]], metric: Metric) -> str:
    margin = text.margin_words(metric, pairs[0][1].margin or 0)
    return (
        f"For {_named(pairs, metric)} any difference is significantly smaller than {margin}, the smallest that matters."
    )


def _inconclusive_sentence(pairs: Sequence[tuple[str, PairComparison]], metric: Metric) -> str:
    parts = []
    for name, pair in pairs:
        if pair.n < 2:
            parts.append(f"{name} ({text.counted(pair.n, 'common repeat')})")
            continue
        repeats = f"; to decide: {repeats_text(pair, None)} repeats" if pair.repeats_to_decide else ""
        parts.append(f"{name} ({text.difference_words(pair, metric)}{repeats})")
    return f"Inconclusive for {text.names(parts)}."


def order_sentences(order: OrderChange, metric: Metric) -> Iterator[str]:
    """Say who is best before and after, and which pairs of architectures change their order."""
    before, after = (_leaders(ranking.means) for ranking in (order.default, order.tuned))
    value = text.amount(order.tuned.means[after[0]], metric)
    which = "highest" if metric.direction == "up" else "lowest"
    also = "as at the defaults" if before == after else f"at the defaults {_have(before)} it"
    yield f"Of the tuned ones {_have(after)} the {which} mean {metric.label}, {value}; {also}."
    if order.reversed:
        few = order.reversed[:MOST_SWAPPED]
        more = len(order.reversed) - len(few)
        named = "; ".join(f"{b} is now ahead of {a}" for a, b in few) + (f"; and {more} more pairs" if more else "")
        yield f"The order changes significantly: {named}."
    elif order.swapped:
        yield (
            f"The means of {text.number(len(order.swapped))} of {text.counted(len(order.default.pairs), 'pair')} change"
            " their order, none significantly."
        )
    else:
        yield "Tuning leaves the order of the means as it is."


def _leaders(means: Mapping[str, float]) -> list[str]:
    """The architectures with the best mean, the first: means are ordered, and sums in another order round otherwise."""
    best = next(iter(means.values()))
    return [name for name, mean in means.items() if math.isclose(mean, best, rel_tol=1e-12)] or list(means)[:1]


def _have(names: Sequence[str]) -> str:
    return f"{text.names(names)} {'has' if len(names) == 1 else 'have'}"


def path_sentence(study: StudyRows, path: Path, metric: Metric) -> str:
    """Say which setting made the gain of an architecture."""
    if path.gained_by is None:
        return f"{path.architecture}: no single setting makes it significantly better."
    step = path.gained_by
    words = text.difference_words(step.pair, metric)
    total = text.in_unit(path.steps[-1].total.value, metric, signed=True)
    setting = settings_changed(study, step.before, step.label)
    return f"{path.architecture}: the largest gain comes from {setting} ({words}, of {total} in all)."


def settings_changed(study: StudyRows, before: str, after: str) -> str:
    """Name the hyperparameters in which two labels' rows differ: learning rate 0.001 → 0.0003, l2 0 → 0.0001."""
    first, second = (_settings(study, label) for label in (before, after))
    if first is None or second is None:
        return text.NOTHING
    differ = [
        f"{text.spoken(name)} {text.setting(first[name])} → {text.setting(second[name])}"
        for name in first
        if first[name] != second[name]
    ]
    return ", ".join(differ) or text.NOTHING


def _settings(study: StudyRows, label: str) -> dict[str, Any] | None:
    """The hyperparameters of a label; None where it has no row.

    A row has nothing for one that is younger than it, which stands for the default.
    """
    for rows in (study.outcomes, study.search_rows):
        own = rows[rows["label"] == label]
        if len(own):
            row = own.iloc[0]
            return {item.name: item.default if pd.isna(row[item.name]) else row[item.name]
                    for item in fields(Hyperparameters)}  # fmt: skip
    return None


def turned_words(item: Tuned) -> str:
    """Give the verdict on a best point against its default."""
    return item.pair.verdict if item.pair else "the default is the best point"
