"""Summaries and confidence intervals of small samples: what a number carries besides its value.

Use: `summarize(values)` for one configuration and metric, `mean_interval` beneath it, `wilson_interval` for shares.
Pure functions of numpy arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Array = npt.NDArray[np.float64]

# values on the scale of an analysis (accuracy, logarithm of a ratio) that differ by less are one value: rounding
SAME = 1e-12
FAMILY_ERROR = 0.05  # chance of any false claim in a family of tests, and that an interval misses


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval in the unit of its estimate; both bounds are NaN where the sample allows none."""

    confidence: ClassVar[float] = 1 - FAMILY_ERROR  # nominal coverage
    lower: float
    upper: float

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return not np.isnan(self.lower)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The sample of one metric of one configuration, in stored units; NaN where n is too small for the figure."""

    n: int  # finite values
    mean: float  # NaN for n = 0, as the quartiles, minimum and maximum
    standard_deviation: float  # of the sample (n - 1 in the denominator); NaN for n < 2
    median: float
    lower_quartile: float  # linear interpolation between order statistics, as the upper one
    upper_quartile: float
    minimum: float
    maximum: float
    # Student's t: it covers no less than the bootstrap at any n, skewed values or not (docs/log.md)
    mean_t_interval: Interval  # NaN for n < 2 or where all values are equal


def finite(values: Any) -> Array:
    """Take the finite values of a sequence, in their order, as float64 of shape (n,); None counts as NaN."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def mean_of(sample: Array) -> float:
    """Mean of a sample of shape (n,); NaN for n = 0."""
    return float(sample.mean()) if len(sample) else float("nan")


def summarize(values: Any) -> Summary:
    """Describe a sample of any length, also of none; values that are not finite are left out."""
    sample = finite(values)
    n = len(sample)
    quantiles = np.quantile(sample, [0, 0.25, 0.5, 0.75, 1]) if n else np.full(5, np.nan)
    return Summary(
        n=n,
        mean=mean_of(sample),
        standard_deviation=float(sample.std(ddof=1)) if n > 1 else float("nan"),
        minimum=float(quantiles[0]),
        lower_quartile=float(quantiles[1]),
        median=float(quantiles[2]),
        upper_quartile=float(quantiles[3]),
        maximum=float(quantiles[4]),
        mean_t_interval=mean_interval(sample),
    )


def mean_interval(sample: Array) -> Interval:
    """Student's 95 % t interval of the mean of a sample of shape (n,): mean +- t(n - 1) s / sqrt(n).

    Assumes a normal sample, or an n that makes its mean normal. NaN for n < 2 and where all values are equal.
    """
    n = len(sample)
    lower = upper = float("nan")
    if n > 1 and not constant(sample):
        half = float(special.stdtrit(n - 1, 1 - FAMILY_ERROR / 2) * sample.std(ddof=1) / np.sqrt(n))
        lower, upper = float(sample.mean()) - half, float(sample.mean()) + half
    return Interval(lower=lower, upper=upper)


def wilson_interval(successes: int, n: int) -> Interval:
    """Wilson 95 % score interval of a share, Wilson (1927), JASA 22; it has a width where every trial agrees.

    NaN for n = 0.
    """
    lower = upper = float("nan")
    if n:
        lower, upper = map(float, stats.binomtest(successes, n).proportion_ci(Interval.confidence, "wilson"))
    return Interval(lower=lower, upper=upper)


def constant(samples: Array) -> npt.NDArray[np.bool_]:
    """Which rows of `samples`, shape (..., n), hold one value only, up to rounding; True for n = 0 too."""
    if samples.shape[-1] == 0:
        return np.ones(samples.shape[:-1], dtype=np.bool_)
    largest = np.maximum(np.abs(samples).max(axis=-1), 1.0)
    return np.asarray(np.ptp(samples, axis=-1) <= SAME * largest, dtype=np.bool_)
