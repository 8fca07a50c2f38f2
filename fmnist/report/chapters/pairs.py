"""What several chapters show of a metric's pairs: the table of verdicts with what they stand on, and its figure."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes

from fmnist.compare import FAMILY_ERROR, Design, Interval, PairComparison
from fmnist.declare import METRICS, MOST_REPEATS, Metric
from fmnist.report import text
from fmnist.report.chapter import Figure
from fmnist.report.study_data import MetricData, StudyData
from fmnist.report.style import COLUMN_INCHES, figure_of, in_lines, new_axes
from fmnist.report.table import Columns, Table, column, make_table

VERDICT_COLOURS = {"better": "#9ecae1", "worse": "#fdae6b", "equivalent": "#d9d9d9", "inconclusive": "white"}
VERDICT_SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "inconclusive": "?"}


def pair_tables(metrics: Sequence[MetricData], data: StudyData) -> list[Table | None]:
    """One table for each metric whose pairs were compared: the verdict on each, with what it stands on."""
    return [_pair_table(item, data) for item in metrics if item.pairs]


def _pair_table(measured: MetricData, data: StudyData) -> Table | None:
    metric, pairs = measured.metric, measured.pairs_of(data.ranked_labels)
    layered = metric.name == "test_accuracy"
    layers = [data.layered_interval(pair.a, pair.b) if layered else None for pair in pairs]
    rows = [_pair_row(*both) for both in zip(pairs, layers, strict=True)]
    columns = _pair_columns(measured, pairs, has_layers=any(layers))
    title = f"Pairs by {metric.label} ({text.difference_unit(metric)})"
    note = _pair_note(measured, pairs, layers)
    return make_table(f"pairs-{metric.name}", title, rows, columns, note)


def _pair_row(pair: PairComparison, layered: Interval | None) -> dict[str, object]:
    fewest, most = pair.repeats_to_decide or (None, None)
    return {
        "label": pair.a, "other": pair.b, "n": pair.n, "verdict": pair.verdict,
        "analysis": pair.decision and pair.decision.analysis,
        "difference": pair.mean_difference, "difference_lower": pair.interval.lower,
        "difference_upper": pair.interval.upper,
        **({"layered_lower": layered.lower, "layered_upper": layered.upper} if layered else {}),
        "ratio": pair.ratio, "ratio_lower": pair.ratio_interval.lower, "ratio_upper": pair.ratio_interval.upper,
        "difference_p_holm": pair.difference_p_holm, "signed_rank_p_holm": pair.signed_rank_p_holm,
        "equivalence_p_holm": pair.equivalence_p_holm, "margin": pair.margin,
        "d_z": pair.d_z, "cliffs_delta": pair.cliffs_delta, "probability_better": pair.probability_a_better,
        "fewest_repeats_to_decide": fewest, "most_repeats_to_decide": most,
    }  # fmt: skip


def _pair_columns(measured: MetricData, pairs: Sequence[PairComparison], *, has_layers: bool) -> Columns:
    metric, pair_of = measured.metric, {(pair.a, pair.b): pair for pair in pairs}
    both = column("layered", metric.scale, metric.digits, signed=True)
    return {
        "configuration": "label",
        "against": "other",
        "ratio" if metric.by_ratio else "difference": lambda row: text.difference_text(
            pair_of[row["label"], row["other"]], metric
        ),
        "verdict": "verdict",
        "n": "n",
        **({"seeds and test set": both} if has_layers else {}),
        "p (difference)": lambda row: text.p_value(row["difference_p_holm"]),
        "p (signed rank)": lambda row: text.p_value(row["signed_rank_p_holm"]),
        "p (equivalence)": lambda row: text.p_value(row["equivalence_p_holm"]),
        "d_z": column("d_z", digits=2, signed=True),
        "Cliff's δ": column("cliffs_delta", digits=2, signed=True),
        "P(better)": column("probability_better", digits=2),
        "repeats to decide": lambda row: repeats_text(pair_of[row["label"], row["other"]], measured.design),
    }


def _pair_note(measured: MetricData, pairs: Sequence[PairComparison], layers: Sequence[Interval | None]) -> str:
    metric, margin, family = measured.metric, pairs[0].margin, measured.family
    design = measured.design and text.design_words(measured.design)
    margin_text = text.margin_words(metric, margin) if margin else text.NOTHING
    sentences = {
        "The first of each pair against the second over their common repeats.": True,
        f"Verdict, interval and p values speak of new seeds and splits {_scope(metric)}.": family > 0,
        f"p values are adjusted by Holm's procedure over {text.number(family)} pairs, intervals are not.": family > 1,
        "Below 6 common repeats the signed-rank test cannot reach p = 0.05.": any(1 < pair.n < 6 for pair in pairs),
        f"Margin of equivalence: {margin_text}.": True,
        "P(better): share of common repeats that the first wins, of which Bouthillier et al. (2021) ask 0.75.": True,
        "Repeats to decide: at a power of 0.8 and the observed spread, over the differences in the interval.": any(
            pair.repeats_to_decide for pair in pairs
        ),
        'The column "seeds and test set" has the difference\'s 95 % interval for new seeds and other test images of the'
        " same kind alike; no verdict is read from it.": any(layers),
        f"The verdicts are those of a group-sequential design with {design}; the p values are of plain tests over all"
        " repeats and do not allow for the analyses, and estimates after an early stop are a little too far from 0.": (
            design
        ),
    }
    return " ".join([*text.holding(sentences), *_remarks_on_pairs(measured, pairs, layers)])


def _scope(metric: Metric) -> str:
    """Say on what a metric's verdicts hold."""
    if metric.needs_exclusive:
        return "on this hardware"
    return "on these test images" if metric.name.startswith("test_") else "of this data"


def _remarks_on_pairs(
    measured: MetricData, pairs: Sequence[PairComparison], layers: Sequence[Interval | None]
) -> list[str]:
    """Say what is special about pairs, each remark once with the pairs it holds for."""
    alike: dict[str, list[str]] = {}
    for pair, layered in zip(pairs, layers, strict=True):
        words = remarks(pair, measured.metric, measured.design, measured.family)
        if pair.verdict in ("better", "worse") and layered and layered.lower <= 0 <= layered.upper:
            words = f"{words} Significant on these test images, not on others of their kind.".lstrip()
        if words:
            alike.setdefault(words, []).append(f"{pair.a} and {pair.b}")
    every = len(pairs) if len(pairs) > 1 else None
    return [f"{'Every pair' if len(some) == every else '; '.join(some)}: {words}" for words, some in alike.items()]


def remarks(pair: PairComparison, metric: Metric, design: Design | None, family: int) -> str:
    """Say what is special about a pair, without its names; `family` counts the pairs that were tested."""
    are = "is" if pair.left_out == 1 else "are"
    found = text.holding({
        f"{text.counted(pair.left_out, 'repeat')} with a value of only one of the two {are} left out.": pair.left_out,
        f"{text.counted(pair.no_ratio, 'common repeat')} with a value of 0 or less: no ratio.": pair.no_ratio,
        "No repeat in common: nothing to compare.": pair.n == 0,
        "One common repeat: a difference without a spread, which no test can judge.": pair.n == 1,
    })  # fmt: skip
    if pair.decision and design:
        return " ".join([*found, _decision_words(pair, metric, design.analyses)])
    tests = [_basis_words(pair), _agreement_words(pair, family)] if pair.n > 1 else []
    return " ".join(filter(None, [*found, *tests]))


def _basis_words(pair: PairComparison) -> str:
    """Say what decides where it is not the paired t test."""
    if pair.basis != "signed rank":
        return ""
    same = "Both have the same value" if abs(pair.mean_difference) < 1e-12 else "The difference is the same"
    return f"{same} in each of the {text.number(pair.n)} repeats: no spread for t, the signed-rank test decides."


def _agreement_words(pair: PairComparison, family: int) -> str:
    """Say where the verdict would change with the test, or the interval, which is the pair's own, seems to deny it."""
    alpha, p, rank_p = FAMILY_ERROR, pair.difference_p_holm, pair.signed_rank_p_holm
    if pair.verdict == "equivalent":
        small = "The difference is significant, but smaller than the margin that matters."
        beyond = "The interval reaches beyond the margin; the two one-sided tests stand for one of 90 %."
        return " ".join(text.holding({small: p <= alpha, beyond: _reaches_beyond_margin(pair)}))
    if pair.verdict == "inconclusive" and rank_p <= alpha < p:
        return f"The signed-rank test would see a difference (adjusted {text.p_words(rank_p)}): look for outliers."
    if pair.verdict == "inconclusive" and text.excludes_no_difference(pair):
        return f"The interval is the pair's own; the difference is not significant{text.holm_words(family)}."
    if pair.verdict in ("better", "worse") and rank_p > alpha > 2.0 ** (1 - pair.n):
        return f"The signed-rank test does not confirm it (adjusted {text.p_words(rank_p)})."
    return ""


def _reaches_beyond_margin(pair: PairComparison) -> bool:
    """Whether the interval that is shown reaches beyond the margin of equivalence."""
    _, interval, none = text.shown_figures(pair)
    margin = pair.margin or math.nan
    low, high = (-margin, margin) if none == 0 else (1 / (1 + margin), 1 + margin)
    return interval.lower <= low or interval.upper >= high


def _decision_words(pair: PairComparison, metric: Metric, analyses: Sequence[int]) -> str:
    """Say when a group-sequential design decided, and where the figures over all repeats since speak otherwise."""
    decision, n = pair.decision, pair.n
    if decision is None or decision.analysis == 0:
        return f"Not analysed yet: the first analysis is at {text.counted(analyses[0], 'repeat')}."
    analysis = f"at analysis {decision.analysis} of {len(analyses)} (n = {text.number(decision.n)})"
    _, interval, none = text.shown_figures(pair)
    if pair.verdict == "inconclusive":
        own = " The interval does not allow for the analyses." * text.excludes_no_difference(pair)
        if decision.final:
            return f"Inconclusive {analysis}; that was the last analysis.{own}"
        following = text.counted(analyses[decision.analysis], "repeat")
        return f"Inconclusive {analysis}; the next analysis is at {following}.{own}"
    if pair.verdict == "equivalent":
        at_odds = "reach beyond the margin" * _reaches_beyond_margin(pair)
    elif is_turned(pair, metric):
        at_odds = "point the other way"
    else:
        at_odds = "do not show it" * (interval.lower <= none <= interval.upper)
    if not at_odds and n == decision.n:
        return f"Decided {analysis}."
    figures = f"over all {text.counted(n, 'common repeat')}" if n != decision.n else "plain ones"
    return f"Decided {analysis}; the figures are {figures}{f' and {at_odds}; the decision stands' if at_odds else ''}."


def is_turned(pair: PairComparison, metric: Metric) -> bool:
    """Whether a design's decision says better or worse while the mean difference over all repeats says the other."""
    gain = pair.mean_difference if metric.direction == "up" else -pair.mean_difference
    return (pair.verdict == "better" and gain < 0) or (pair.verdict == "worse" and gain > 0)


def repeats_text(pair: PairComparison, design: Design | None) -> str:
    """Write the repeats that would decide a pair: 12 to 340, 12 or more, the next analysis of a design, or a dash."""
    if pair.decision and design:
        return (
            text.NOTHING
            if pair.decision.final
            else f"analysis at {text.number(design.analyses[pair.decision.analysis])}"
        )
    if pair.repeats_to_decide is None:
        return text.NOTHING
    ends = (
        f"more than {text.number(MOST_REPEATS)}" if math.isinf(end) else text.number(end)
        for end in pair.repeats_to_decide
    )
    return " to ".join(dict.fromkeys(ends))


def verdict_figures(metrics: Sequence[MetricData], data: StudyData) -> Iterator[Figure]:
    """The verdict on each pair of each metric whose pairs were compared, at a glance."""
    for measured in (item for item in metrics if item.pairs):
        metric, labels = measured.metric, [label for label in data.ranked_labels if label in measured.samples]
        pairs = measured.pairs_of(labels)
        cells = {(pair.a, pair.b): (pair.verdict, text.difference_text(pair, metric)) for pair in pairs}
        axes = new_axes(max(COLUMN_INCHES, 1.3 + 0.85 * (len(labels) - 1)), 0.9 + 0.46 * (len(labels) - 1))
        draw_verdicts(axes, labels, cells)
        what = "ratio" if metric.by_ratio else f"mean difference in {text.difference_unit(metric)}"
        caption = (
            "The row's configuration against the column's: ▲ better, ▼ worse, = equivalent, ? inconclusive; below it"
            f" the {what} of {metric.label}, the row's to the column's, with its 95 % interval."
        )
        counts = Counter(pair.verdict for pair in pairs)
        told = ", ".join(f"{text.number(count)} {verdict}" for verdict, count in counts.items())
        alt = f"Table of {text.counted(len(pairs), 'pair')}, the best configuration first: {told}."
        yield Figure(name=f"verdicts-{metric.name}", title=f"Verdicts by {metric.label}", caption=caption, alt=alt,
                     drawing=figure_of(axes))  # fmt: skip


def draw_verdicts(axes: Axes, labels: Sequence[str], cells: Mapping[tuple[str, str], tuple[str, str]]) -> Axes:
    """Draw the verdict on each pair once: the row's configuration is better, worse, equivalent or inconclusive.

    `cells` maps (row, column), the row before the column in `labels`, to (verdict, difference as text); the verdict has
    a sign besides its colour.
    """
    for (first, second), (verdict, difference) in cells.items():
        x, y = labels.index(second), labels.index(first)
        axes.fill_between([x - 0.48, x + 0.48], y - 0.46, y + 0.46, color=VERDICT_COLOURS[verdict], linewidth=0)
        axes.text(x, y - 0.24, VERDICT_SIGNS[verdict], ha="center", va="center", fontsize=8, fontfamily="DejaVu Sans")
        axes.text(x, y + 0.16, difference.replace(" [", "\n["), ha="center", va="center", fontsize=6.5)
    axes.set_xticks(range(1, len(labels)), map(in_lines, labels[1:]), rotation=40, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(labels) - 1), map(in_lines, labels[:-1]))
    axes.xaxis.tick_top()
    axes.set(xlim=(0.5, len(labels) - 0.5), ylim=(len(labels) - 1.5, -0.5))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def pair_methods(metrics: Sequence[MetricData]) -> tuple[str, ...]:
    """Say by what tests the pairs of the metrics were compared, as far as they were."""
    tested = [item for item in metrics if item.family]
    margins = [f"{item.metric.label} {text.margin_words(item.metric, item.pairs[0].margin or 0)}"
               for item in tested if item.pairs[0].margin]  # fmt: skip
    return text.holding({
        "Pairs of configurations were compared over their common repeats by the paired t test, beside it Wilcoxon's"
        " exact signed-rank test, which decides where all differences are equal. P values are rounded up.": tested,
        "Times and memory were compared as logarithms, that is by ratio.": any(item.metric.by_ratio for item in tested),
        "Equivalence was tested by two one-sided t tests (Schuirmann 1987).": margins,
        f"Margins of equivalence: {text.names(margins)}.": margins,
        "Both families of p values were adjusted by Holm's (1979) procedure over all pairs of a metric, at a"
        " family-wise level of 0.05 each.": any(item.family > 1 for item in tested),
        **{_design_methods(item.design): item.design for item in tested if item.design},
        "The repeats that would decide a pair are those at which its test has a power of 0.8 with the spread observed,"
        " from the fewest to the most over the differences in its interval.": any(
            pair.repeats_to_decide for item in tested for pair in item.pairs
        ),
    })  # fmt: skip


def _design_methods(design: Design) -> str:
    return (
        f"Repeats were added until every pair was decided on {METRICS[design.metric].label}, by a group-sequential"
        f" design with {text.design_words(design)}: at each analysis Holm's procedure over the open pairs with"
        " O'Brien-Fleming-type alpha spending (Lan and DeMets 1983; Maurer and Bretz 2013), which keeps the family-wise"
        " level over pairs and analyses; its verdicts are the ones given. Estimates after an early stop are a little"
        " too far from 0."
    )
