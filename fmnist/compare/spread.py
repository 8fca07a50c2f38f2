"""How much runs of one configuration spread between repeats, and how many their limit of epochs ended."""

import numpy as np
import pandas as pd
from scipy import special, stats

from fmnist.compare.intervals import FAMILY_ERROR, UNKNOWN, Array, Estimate, Interval, is_constant

FEWEST_FOR_RATIO = 3  # pairs; with two, each deviates by half of its range
FEWEST_FOR_INTERVAL = 5  # values; Bonett's trimmed mean needs them


def log_spread_ratio(a: Array, b: Array) -> Estimate:
    """Logarithm of the ratio of the spreads of paired samples, shapes (n,): a's mean |deviation from the median| / b's.

    The standard error is the jackknife's over pairs (Miller 1968, Annals of Mathematical Statistics 39), of the
    deviations from the whole samples' medians (Brown and Forsythe 1974, JASA 69), on n - 1 degrees of freedom. Keeps
    its level for heavy tails and for runs stopped early, where Pitman and Morgan's test errs in 15 to 30 of 100 cases.
    NaN for n < 3 and for a sample (or all of it but one value) without spread.
    """
    n = len(a)
    deviations = np.abs(np.array([a - np.median(a), b - np.median(b)])) if n else np.empty((2, 0))
    remaining = (deviations.sum(axis=1, keepdims=True) - deviations) / max(n - 1, 1)
    if n < FEWEST_FOR_RATIO or is_constant(np.array([a, b])).any() or (remaining < np.finfo(np.float64).eps).any():
        nothing = float("nan")
        return Estimate(value=nothing, standard_error=nothing, degrees_of_freedom=n - 1, n=n)
    ratio, without_one = np.log(deviations.mean(axis=1)), np.log(remaining)
    error = np.sqrt((n - 1) ** 2 / n) * (without_one[0] - without_one[1]).std(ddof=1)
    return Estimate(value=float(ratio[0] - ratio[1]), standard_error=float(error), degrees_of_freedom=n - 1, n=n)


def standard_deviation_interval(sample: Array) -> Interval:
    """95 % interval of the standard deviation of a sample, shape (n,), that need not be normal.

    Bonett (2006), Computational Statistics and Data Analysis 50, with the kurtosis about a trimmed mean. Simulated,
    95 % intervals at n = 10 cover 96 % for normal values, 91 % where 7 % of the runs stop early and 86 % for t with 3
    degrees of freedom; the chi-square interval covers 95, 82 and 76 %.
    """
    n = len(sample)
    if n < FEWEST_FOR_INTERVAL or is_constant(sample):
        return UNKNOWN
    z = float(special.ndtri(1 - FAMILY_ERROR / 2))
    centred = sample - stats.trim_mean(sample, 1 / (2 * np.sqrt(n - 4)))
    kurtosis = n * float((centred**4).sum()) / float(((sample - sample.mean()) ** 2).sum()) ** 2
    factor = n / (n - z)
    half = z * factor * np.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    return Interval(*(float(np.sqrt(factor * sample.var(ddof=1) * np.exp(end))) for end in (-half, half)))


def at_epoch_limit(finished: pd.DataFrame) -> int:
    """Count the runs that ended at their limit of epochs: their best epoch is censored, it might have come later.

    Needs the columns epochs_run and epochs.
    """
    return int((finished["epochs_run"] >= finished["epochs"]).sum())
