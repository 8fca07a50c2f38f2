"""Numbers and words as a report writes them: each number of a table, caption or sentence is written by one of these."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fmnist.compare import Design, Interval, PairComparison
from fmnist.declare import Metric

NOTHING = "\N{EN DASH}"  # what a table shows where a value is not available
NEVER = "never"  # and where a time is infinite
MINUS = "\N{MINUS SIGN}"
MOST_DIGITS = 3  # added so that a bound near no difference is not shown as none


def number(value: Any, digits: int = 0, *, scale: float = 1, signed: bool = False) -> str:
    """Write a number times `scale` with thousands separated; an unavailable one as a dash, an infinite time as never.

    What rounds to nothing has no sign.
    """
    if value is None or value is pd.NA or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return NEVER
    steady = round(float(value * scale), digits + 6)  # one figure summed in two ways is one text, also between digits
    text = f"{steady:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", MINUS) if any(digit in "123456789" for digit in text) else text.lstrip("+-")


def in_unit(value: Any, metric: Metric, *, signed: bool = False, more_digits: int = 0) -> str:
    """Write a stored value of a metric in the unit it is shown in, without the unit."""
    return number(value, metric.digits + more_digits, scale=metric.scale, signed=signed)


def amount(value: Any, metric: Metric) -> str:
    """Write a stored value of a metric with its unit: 92.14 %."""
    return f"{in_unit(value, metric)} {metric.unit}".rstrip()


def with_spread(mean: Any, standard_deviation: float, scale: float, digits: int, *, signed: bool = False) -> str:
    """Write mean ± standard deviation, each times `scale`; the mean alone where one value has no spread."""
    text = number(mean, digits, scale=scale, signed=signed)
    return text if math.isnan(standard_deviation) else f"{text} ± {number(standard_deviation, digits, scale=scale)}"


def p_value(p: float) -> str:
    """Write a p value to two significant digits, rounded up so that it claims no more than it may."""
    if math.isnan(p):
        return NOTHING
    if p < 0.001:
        return "<0.001"
    digits = 4 if p < 0.01 else 3 if p < 0.1 else 2
    return f"{math.ceil(p * 10**digits - 1e-9) / 10**digits:.{digits}f}"


def p_words(p: float) -> str:
    """Write a p value into a sentence: p = 0.013, p < 0.001."""
    text = p_value(p)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def p_bound(p: float) -> str:
    """Write the largest of some p values into a sentence: p at most 0.013, p below 0.001."""
    return p_words(p).replace("<", "below").replace("=", "at most")


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, plural where it is not one."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def names(labels: Sequence[str]) -> str:
    """Join labels as a sentence does: a, b and c."""
    return " and ".join([", ".join(labels[:-1]), labels[-1]] if len(labels) > 1 else labels)


def capitalized(sentence: str) -> str:
    """Begin with a capital letter and leave the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def holding(sentences: Mapping[str, object]) -> tuple[str, ...]:
    """Keep the sentences whose condition, the mapping's value, holds."""
    return tuple(sentence for sentence, holds in sentences.items() if holds)


def heading(metric: Metric) -> str:
    """Name a metric as a column heading, with its unit."""
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def difference_unit(metric: Metric) -> str:
    """Name the unit in which a table or figure shows a difference; times, memory and sizes are compared as ratios."""
    if metric.by_ratio:
        return "ratio"
    return "percentage points" if metric.unit == "%" else metric.unit


def shown_figures(pair: PairComparison) -> tuple[float, Interval, float]:
    """What a reader is shown of a pair: ratio or else difference, its interval, and what stands for no difference."""
    if math.isnan(pair.ratio):
        return pair.mean_difference, pair.interval, 0.0
    return pair.ratio, pair.ratio_interval, 1.0


def excludes_no_difference(pair: PairComparison) -> bool:
    """Whether the interval that is shown leaves out that there is no difference."""
    _, interval, none = shown_figures(pair)
    return interval.lower > none or interval.upper < none


def difference_text(pair: PairComparison, metric: Metric) -> str:
    """Write the difference with its interval, without unit: +0.31 [+0.12, +0.50], or as a ratio 1.25 [1.21, 1.30].

    A bound that leaves out no difference is written with the digits that show it.
    """
    value, interval, none = shown_figures(pair)
    digits, scale = (2, 1.0) if metric.by_ratio else (metric.digits, metric.scale)
    values = [scale * item for item in (value, *interval)]
    if excludes_no_difference(pair):
        enough = (
            more
            for more in range(digits, digits + MOST_DIGITS)
            if all(number(value, more) != number(none, more) for value in values)
        )
        digits = next(enough, digits)
    middle, low, high = (number(value, digits, signed=not metric.by_ratio) for value in values)
    return middle if NOTHING in (low, high) else f"{middle} [{low}, {high}]"


def difference_words(pair: PairComparison, metric: Metric) -> str:
    """Write the difference with interval and unit: +0.31 [+0.12, +0.50] percentage points, 1.25 [1.21, 1.30] times."""
    return f"{difference_text(pair, metric)} {'times' if metric.by_ratio else difference_unit(metric)}"


def margin_words(metric: Metric, margin: float) -> str:
    """Write a margin of equivalence with its unit: 0.2 percentage points, 5 %."""
    if metric.by_ratio:
        return f"{100 * margin:g} %"
    return f"{margin * metric.scale:g} {difference_unit(metric)}"


def holm_words(family: int) -> str:
    """Say that p values are adjusted, where there are several to adjust for."""
    return f" after Holm's adjustment over {counted(family, 'pair')}" if family > 1 else ""


def setting(value: Any) -> str:
    """Write the value of a hyperparameter: 0.00123, 128, adam, none; a dash for nan, where it is not set."""
    if value is None:
        return "none"
    if isinstance(value, float) and math.isnan(value):
        return NOTHING
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def settings_words(values: Mapping[str, Any]) -> str:
    """Name hyperparameters with their values: optimizer adam, learning rate 0.001."""
    return ", ".join(f"{spoken(name)} {setting(value)}" for name, value in values.items())


def spoken(name: str) -> str:
    """Write the name of a hyperparameter as words: learning rate."""
    return name.replace("_", " ")


def core_time(core_seconds: float) -> str:
    """Write core-seconds in the unit that suits them: 45 core-seconds, 12 core-minutes, 3.4 core-hours."""
    seconds, unit = core_unit(core_seconds)
    return f"{core_seconds / seconds:,.3g} {unit}"


def core_unit(core_seconds: float) -> tuple[float, str]:
    """Choose the unit for so many core-seconds: its length in seconds, and its name."""
    units = ((3600.0, "core-hours"), (60.0, "core-minutes"))
    return next((item for item in units if core_seconds >= 2 * item[0]), (1.0, "core-seconds"))


def design_words(design: Design) -> str:
    """Say when a group-sequential design decides: analyses at 5, 10 and 15 repeats."""
    when = "one analysis" if len(design.analyses) == 1 else "analyses"
    return f"{when} at {names(list(map(number, design.analyses)))} repeats"
