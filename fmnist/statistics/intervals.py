"""Summaries and confidence intervals of small samples: what a number carries besides its value.

Use: `summarize(values)` for one configuration and metric; `bca_bounds`, `t_bounds` and `wilson_interval` are the
intervals beneath it. Pure functions of numpy arrays; the same seed gives the same interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

RESAMPLES = 9_999
FEWEST_FOR_BOOTSTRAP = 3  # below, the resampled means take three values at most
MOST_FOR_RESAMPLING = 1_000  # values; beyond, a table of resamples takes gigabytes and adds nothing
# values on the scale of an analysis (accuracy, logarithm of a ratio) that differ by less are one value: rounding
SAME = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval in the unit of its estimate; both bounds are NaN where the sample allows none."""

    lower: float
    upper: float
    confidence: float  # nominal coverage, e.g. 0.95
    method: str  # "BCa bootstrap", "t", "Wilson", "noncentral t", "percentile bootstrap", "chi-square"

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return not np.isnan(self.lower)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The sample of one metric of one configuration, in stored units; NaN where n is too small for the figure."""

    n: int  # finite values
    missing: int  # values that were null, NaN or infinite, left out of everything below
    mean: float  # NaN for n = 0, as the quartiles, minimum and maximum
    standard_deviation: float  # of the sample (n - 1 in the denominator); NaN for n < 2
    median: float
    lower_quartile: float  # linear interpolation between order statistics, as the upper one
    upper_quartile: float
    minimum: float
    maximum: float
    # Student's t, the one to read: it covers no less than the bootstrap at any n, skewed values or not (docs/log.md)
    mean_t_interval: Interval  # NaN for n < 2 or where all values are equal
    mean_bootstrap_interval: Interval  # BCa bootstrap of the mean; NaN for n < 3 or where all values are equal
    note: str  # plain words on what is special; empty where nothing is


def finite(values: Any) -> Array:
    """Take the finite values of a sequence, in their order, as float64 of shape (n,); None counts as NaN."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def summarize(values: Any, *, confidence: float = 0.95, seed: int = 0) -> Summary:
    """Describe a sample of any length, also of none; values that are not finite are counted and left out."""
    array = np.asarray(values, dtype=np.float64).ravel()
    sample = finite(array)
    n, missing = len(sample), len(array) - len(sample)
    quantiles = np.quantile(sample, [0, 0.25, 0.5, 0.75, 1]) if n else np.full(5, np.nan)
    return Summary(
        n=n,
        missing=missing,
        mean=float(sample.mean()) if n else float("nan"),
        standard_deviation=float(sample.std(ddof=1)) if n > 1 else float("nan"),
        minimum=float(quantiles[0]),
        lower_quartile=float(quantiles[1]),
        median=float(quantiles[2]),
        upper_quartile=float(quantiles[3]),
        maximum=float(quantiles[4]),
        mean_bootstrap_interval=mean_interval(sample, confidence=confidence, seed=seed),
        mean_t_interval=mean_interval(sample, confidence=confidence, method="t"),
        note=_summary_note(sample, missing),
    )


def mean_interval(
    sample: Array, *, confidence: float = 0.95, method: str = "BCa bootstrap", seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Interval of the mean of a sample of shape (n,), by `BCa bootstrap` or `t`; NaN where there is none."""
    if method not in ("BCa bootstrap", "t"):
        raise ValueError(f"method: got {method!r}, expected 'BCa bootstrap' or 't'")
    if method == "t":
        lower, upper = t_bounds(sample[None], confidence)
    else:
        lower, upper = bca_bounds(sample[None], confidence, seed=seed, resamples=resamples)
    return Interval(lower=float(lower[0]), upper=float(upper[0]), confidence=confidence, method=method)


def t_bounds(samples: Array, confidence: float = 0.95) -> tuple[Array, Array]:
    """Student's t interval of the mean of each row of `samples`, shape (k, n): mean +- t(n - 1) s / sqrt(n).

    Assumes a normal sample, or an n that makes its mean normal. NaN for n < 2 and for a row of equal values.
    """
    k, n = samples.shape
    if n < 2:
        return np.full(k, np.nan), np.full(k, np.nan)
    mean, deviation = samples.mean(axis=1), samples.std(axis=1, ddof=1)
    half = special.stdtrit(n - 1, (1 + confidence) / 2) * deviation / np.sqrt(n)
    half[constant(samples)] = np.nan
    return mean - half, mean + half


def bca_bounds(
    samples: Array, confidence: float = 0.95, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[Array, Array]:
    """Bias-corrected and accelerated bootstrap interval of the mean of each row of `samples`, shape (k, n).

    Efron (1987), "Better bootstrap confidence intervals", JASA 82: percentiles of the resampled means, moved by the
    bias correction z0 = z(share of resampled means below the mean, ties by half) and by the acceleration
    a = sum((x - mean)^3) / (6 sum((x - mean)^2)^1.5), the jackknife's value for a mean. Assumes independent values.
    NaN for n < 3 and for a row of equal values. All rows share their resamples, so the interval of -x is that of x
    mirrored. The coverage falls below the nominal one, far at small n: read `t_bounds`. Beyond 1,000 values the
    resampled means are not drawn; their percentiles and z0 are taken from their skewness (`_skewed_bounds`).
    """
    k, n = samples.shape
    lower, upper = np.full(k, np.nan), np.full(k, np.nan)
    varied = ~constant(samples)
    if n < FEWEST_FOR_BOOTSTRAP or not varied.any():
        return lower, upper
    if n > MOST_FOR_RESAMPLING:
        lower[varied], upper[varied] = _skewed_bounds(samples[varied], confidence)
        return lower, upper
    centred = samples[varied] - samples[varied].mean(axis=1, keepdims=True)
    resampled = np.sort(centred @ _resample_weights(n, seed, resamples).T, axis=1)
    rounding = SAME * np.abs(centred).max(axis=1, keepdims=True)
    below, at_most = ((resampled < bound).mean(axis=1) for bound in (-rounding, rounding))
    bias = special.ndtri((below + at_most) / 2)
    acceleration = (centred**3).sum(axis=1) / (6 * (centred**2).sum(axis=1) ** 1.5)
    mean = samples[varied].mean(axis=1)
    for bounds, level in ((lower, (1 - confidence) / 2), (upper, (1 + confidence) / 2)):
        moved = bias + special.ndtri(level)
        share = special.ndtr(bias + moved / (1 - acceleration * moved))
        bounds[varied] = mean + _row_quantiles(resampled, share)
    return lower, upper


def _skewed_bounds(samples: Array, confidence: float) -> tuple[Array, Array]:
    """The BCa interval of the mean of each row of `samples`, shape (k, n), without resampling: for a large n.

    DiCiccio and Efron (1992), "More accurate confidence intervals in exponential families", Biometrika 79 (ABC): by
    the Edgeworth expansion, z0 and the acceleration are both skewness / (6 sqrt(n)), and the resampled means'
    percentile of a normal w is w + skewness / (6 sqrt(n)) (w^2 - 1) standard errors above the mean.
    """
    n = samples.shape[1]
    mean, deviation = samples.mean(axis=1), samples.std(axis=1)
    bias = ((samples - mean[:, None]) ** 3).mean(axis=1) / deviation**3 / (6 * np.sqrt(n))
    bounds = []
    for level in ((1 - confidence) / 2, (1 + confidence) / 2):
        moved = bias + special.ndtri(level)
        w = bias + moved / (1 - bias * moved)
        bounds.append(mean + deviation / np.sqrt(n) * (w + bias * (w**2 - 1)))
    return bounds[0], bounds[1]


def wilson_interval(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a share, Wilson (1927), JASA 22; half successes (ties) are allowed.

    Unlike the bootstrap it has a width where every trial agrees. NaN for n = 0.
    """
    if n == 0:
        return Interval(lower=float("nan"), upper=float("nan"), confidence=confidence, method="Wilson")
    z = float(special.ndtri((1 + confidence) / 2))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(
        lower=float(max(0.0, centre - half)), upper=float(min(1.0, centre + half)), confidence=confidence,
        method="Wilson",
    )  # fmt: skip


def constant(samples: Array) -> npt.NDArray[np.bool_]:
    """Which rows of `samples`, shape (..., n), hold one value only, up to rounding; True for n = 0 too."""
    if samples.shape[-1] == 0:
        return np.ones(samples.shape[:-1], dtype=np.bool_)
    largest = np.maximum(np.abs(samples).max(axis=-1), 1.0)
    return np.asarray(np.ptp(samples, axis=-1) <= SAME * largest, dtype=np.bool_)


def join_notes(*notes: str) -> str:
    """Join sentences, leaving out empty ones."""
    return " ".join(note for note in notes if note)


def _summary_note(sample: Array, missing: int) -> str:
    n = len(sample)
    values = "value is" if missing == 1 else "values are"
    left_out = f"{missing} {values} missing or not finite and left out." if missing else ""
    if n == 0:
        return join_notes(left_out, "No value: nothing to summarise.")
    if n == 1:
        return join_notes(left_out, "One value only: no spread and no interval.")
    if constant(sample[None])[0]:
        return join_notes(left_out, f"All {n} values are equal: no interval.")
    if n < FEWEST_FOR_BOOTSTRAP:
        return join_notes(left_out, "Two values: no bootstrap interval; the t interval is wide.")
    return left_out


@lru_cache(maxsize=8)
def _resample_weights(n: int, seed: int, resamples: int) -> Array:
    """Share of each of n values in each resample, shape (resamples, n), rows summing to 1."""
    drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
    positions = drawn + n * np.arange(resamples)[:, None]
    return np.bincount(positions.ravel(), minlength=n * resamples).reshape(resamples, n) / n


def _row_quantiles(ordered: Array, shares: Array) -> Array:
    """Quantile `shares[i]` of sorted row i, interpolating linearly as numpy.quantile does."""
    position = shares * (ordered.shape[1] - 1)
    left = np.floor(position).astype(np.int64)
    right = np.minimum(left + 1, ordered.shape[1] - 1)
    rows = np.arange(len(ordered))
    below, above = ordered[rows, left], ordered[rows, right]
    return np.asarray(below + (above - below) * (position - left), dtype=np.float64)
