"""Summaries, estimates and confidence intervals of small samples: what a number carries besides its value.

Use: `summarize(values)` for one configuration and metric, `mean_estimate` for a mean with its error, `wilson_interval`
for shares. Pure functions of numpy arrays.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Array = npt.NDArray[np.float64]

FAMILY_ERROR = 0.05  # chance of any false claim in a family of tests, and that an interval misses
ROUNDING_ERROR = 1e-12  # values on the scale of an analysis (accuracy, log ratio) that differ by less are equal


class Interval(NamedTuple):
    """A confidence interval in the unit of its estimate; both bounds are NaN where the sample allows none."""

    lower: float
    upper: float

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return not np.isnan(self.lower)


UNKNOWN = Interval(float("nan"), float("nan"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate whose error follows Student's t, on the scale of the analysis."""

    value: float
    standard_error: float  # NaN or 0: nothing is known of the error, and nothing can be decided
    degrees_of_freedom: float  # n - 1 of the seeds, more where test images add to the error
    n: int  # repeats

    def interval(self, error: float = FAMILY_ERROR) -> Interval:
        """Give the interval that misses the true value with chance `error`."""
        if not self.standard_error > 0:
            return UNKNOWN
        half = float(special.stdtrit(self.degrees_of_freedom, 1 - error / 2)) * self.standard_error
        return Interval(self.value - half, self.value + half)

    def p_value(self, distance: float) -> float:
        """Two-sided p value of a true value this far away; 1 for a distance below 0, or an unknown error."""
        if not (self.standard_error > 0 and distance > 0):
            return 1.0
        return float(2 * special.stdtr(self.degrees_of_freedom, -distance / self.standard_error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The sample of one metric of one configuration, in stored units; NaN where n is too small for the figure."""

    n: int  # finite values
    mean: float  # NaN for n = 0, as the quartiles, minimum and maximum
    standard_deviation: float  # of the sample (n - 1 in the denominator); NaN for n < 2
    minimum: float
    lower_quartile: float  # linear interpolation between order statistics, as the upper one
    median: float
    upper_quartile: float
    maximum: float
    # Student's t: it covers no less than the bootstrap at any n, skewed values or not (docs/log.md)
    mean_t_interval: Interval  # NaN for n < 2 or where all values are equal


def summarize(values: Any) -> Summary:
    """Describe a sample of any length, also of none; values that are not finite are left out."""
    sample = np.asarray(values, dtype=np.float64).ravel()  # None becomes NaN
    sample = sample[np.isfinite(sample)]
    mean = mean_estimate(sample)
    quartiles = np.quantile(sample if mean.n else [np.nan], [0, 0.25, 0.5, 0.75, 1]).tolist()
    minimum, lower, median, upper, maximum = quartiles
    return Summary(
        n=mean.n,
        mean=mean.value,
        standard_deviation=float(sample.std(ddof=1)) if mean.n > 1 else float("nan"),
        minimum=minimum,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        maximum=maximum,
        mean_t_interval=mean.interval(),
    )


def mean_estimate(sample: Array) -> Estimate:
    """Mean of a sample of shape (n,) with Student's error, s / sqrt(n) on n - 1 degrees of freedom.

    Of the differences of common repeats it is the paired t: for new seeds on the same test images. Assumes a normal
    sample, or an n that makes its mean normal. The error is NaN for n < 2 and where all values are equal.
    """
    n = len(sample)
    error = sample_deviation(sample) / max(n, 1) ** 0.5
    return Estimate(value=mean_of(sample), standard_error=error, degrees_of_freedom=n - 1, n=n)


def difference_estimate(a: Array, b: Array) -> Estimate:
    """Mean of `a` less that of `b`, shapes (n,) and (m,), of different repeats: unpaired, Welch (1947), Biometrika 34.

    The error is NaN where either sample has fewer than two values or no spread; n is the smaller number of repeats.
    """
    squares = [sample_deviation(sample) ** 2 / max(len(sample), 1) for sample in (a, b)]
    spread = sum(square**2 / max(len(sample) - 1, 1) for square, sample in zip(squares, (a, b), strict=True))
    return Estimate(
        value=mean_of(a) - mean_of(b),
        standard_error=sum(squares) ** 0.5,
        degrees_of_freedom=sum(squares) ** 2 / spread,
        n=min(len(a), len(b)),
    )


def mean_of(sample: Array) -> float:
    """Mean of a sample of shape (n,); NaN for n = 0."""
    return float(sample.mean()) if len(sample) else float("nan")


def sample_deviation(sample: Array) -> float:
    """Standard deviation (n - 1) of a sample of shape (n,); NaN for n < 2 and where all values are equal: no spread."""
    return float("nan") if is_constant(sample) else float(sample.std(ddof=1))


def wilson_interval(successes: int, n: int) -> Interval:
    """Wilson 95 % score interval of a share, Wilson (1927), JASA 22; it has a width where every trial agrees.

    NaN for n = 0.
    """
    return Interval(*stats.binomtest(successes, n).proportion_ci(1 - FAMILY_ERROR, "wilson")) if n else UNKNOWN


def is_constant(samples: Array) -> npt.NDArray[np.bool_]:
    """Which rows of `samples`, shape (..., n), hold one value only, up to rounding; True for n = 0 too."""
    if samples.shape[-1] == 0:
        return np.ones(samples.shape[:-1], dtype=np.bool_)
    largest = np.maximum(np.abs(samples).max(axis=-1), 1.0)
    return np.asarray(np.ptp(samples, axis=-1) <= ROUNDING_ERROR * largest, dtype=np.bool_)
