"""What the finite test set leaves open, apart from what seeds do: two layers of variance, votes, and McNemar's test.

Between seeds: how a rerun with other seeds would score on the same 10,000 images. Of the test set: how the same runs
would score on 10,000 other images of the same kind. All runs of a study share their test images, so more repeats shrink
the first and never the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from fmnist.statistics.intervals import Array, Interval

Marks = npt.NDArray[np.bool_]
RESAMPLES = 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceLayers:
    """The mean score (share right, or difference of two shares) and the two layers of its uncertainty."""

    runs: int
    images: int
    mean: float
    seed_standard_deviation: float  # of one run's score between seeds; NaN for 1 run
    seed_standard_error: float  # of the mean over `runs`: the above / sqrt(runs)
    test_set_standard_error: float  # of the mean over `images`, however many runs there are; NaN for 1 image

    @property
    def standard_error(self) -> float:
        """Both layers together, for a claim about new seeds and new images: root of the sum of squares."""
        return float(np.hypot(self.seed_standard_error, self.test_set_standard_error))


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Two classifiers on the same images; speaks of these two sets of weights (or votes), not of their seeds."""

    images: int
    only_a_right: int
    only_b_right: int
    exact_p: float  # binomial, two-sided; 1 where the two are right on the same images
    mid_p: float  # the one to report: the exact test is too cautious
    difference: float  # accuracy of a - accuracy of b
    interval: Interval  # of the difference, percentile bootstrap over the images
    note: str


def variance_layers(scores: npt.NDArray[np.float64] | Marks) -> VarianceLayers:
    """Split the uncertainty of a mean score; `scores` has the shape (runs, images), 1 where a run is right.

    For the difference of two configurations pass right_a - right_b over common repeats: the images pair as well.
    Standard error of the test set: standard deviation over images of the images' mean scores / sqrt(images). For one
    run it is the binomial one, sqrt(p (1 - p) / (images - 1)).
    """
    marks = np.asarray(scores, dtype=np.float64)
    if marks.size == 0:
        raise ValueError(f"scores: got {marks.shape[0]} runs of {marks.shape[1]} images, expected at least one of each")
    return variance_layers_of_means(marks.mean(axis=1), marks.mean(axis=0))


def variance_layers_of_means(run_means: Array, image_means: Array) -> VarianceLayers:
    """The same from the margins of the scores, shapes (runs,) and (images,), where the matrix is too large to keep.

    At least one run and one image.
    """
    runs, images = len(run_means), len(image_means)
    deviation = float(run_means.std(ddof=1)) if runs > 1 else float("nan")
    return VarianceLayers(
        runs=runs,
        images=images,
        mean=float(run_means.mean()),
        seed_standard_deviation=deviation,
        seed_standard_error=deviation / np.sqrt(runs),
        test_set_standard_error=float(image_means.std(ddof=1) / np.sqrt(images)) if images > 1 else float("nan"),
    )


def accuracy_interval(right: Marks, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Bootstrap interval over the test images of the accuracy of one run or vote; `right` has the shape (images,).

    Percentile bootstrap. Resampling n marks draws a binomial number of right ones, which is drawn directly.
    """
    n = len(right)
    drawn = np.random.default_rng(seed).binomial(n, right.mean() if n else 0.0, RESAMPLES) / max(n, 1)
    return _percentiles(drawn, confidence, known=n > 1)


def majority_vote(votes: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Give each image the class that most runs predict; `votes` counts them, shape (classes, images).

    A tie goes to the class that fewer images have won outright, so that no class gains by its number; then to the
    lower number.
    """
    most = votes.max(axis=0)
    leading = votes == most
    clear = leading.sum(axis=0) == 1
    won = np.bincount(votes.argmax(axis=0)[clear], minlength=len(votes))
    by_need = np.argsort(won, kind="stable")
    return np.asarray(by_need[leading[by_need].argmax(axis=0)], dtype=np.uint8)


def mcnemar(right_a: Marks, right_b: Marks, *, confidence: float = 0.95, seed: int = 0) -> McNemar:
    """Test whether two classifiers err equally often on the same images; both arguments have the shape (images,).

    McNemar (1947), conditional on the images that only one of the two gets right: binomial with chance 1/2. The mid-p
    takes the observed outcome by half, Fagerland et al. (2013), BMC Medical Research Methodology 13:91. The bootstrap
    over images draws a multinomial of (only a, only b, rest), which is the same as resampling the images.
    """
    if right_a.shape != right_b.shape:
        raise ValueError(f"images: got {right_a.shape} and {right_b.shape}, expected the same images for both")
    n = len(right_a)
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(~right_a & right_b))
    exact_p, mid_p = mcnemar_p(only_a, only_b)
    chances = np.array([only_a, only_b, n - only_a - only_b]) / max(n, 1)
    drawn = np.random.default_rng(seed).multinomial(n, chances, RESAMPLES) if n else np.zeros((1, 3))
    return McNemar(
        images=n,
        only_a_right=only_a,
        only_b_right=only_b,
        exact_p=exact_p,
        mid_p=mid_p,
        difference=(only_a - only_b) / n if n else float("nan"),
        interval=_percentiles((drawn[:, 0] - drawn[:, 1]) / max(n, 1), confidence, known=only_a + only_b > 0),
        note="" if only_a + only_b else "Both are right on the same images: nothing to test.",
    )


def mcnemar_p(only_a: int, only_b: int) -> tuple[float, float]:
    """Two-sided exact and mid-p values of McNemar's test from the two discordant counts; 1 where both are 0."""
    n, fewer = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0, 1.0
    one_sided = float(special.bdtr(fewer, n, 0.5))
    chance = one_sided - (float(special.bdtr(fewer - 1, n, 0.5)) if fewer else 0.0)
    # equal counts: both tails hold the observed outcome
    return min(1.0, 2 * one_sided), min(1.0, 2 * one_sided) - (chance / 2 if only_a == only_b else chance)


def _percentiles(drawn: Array, confidence: float, *, known: bool) -> Interval:
    shares = [(1 - confidence) / 2, (1 + confidence) / 2]
    lower, upper = np.quantile(drawn, shares) if known else (float("nan"), float("nan"))
    return Interval(lower=float(lower), upper=float(upper), confidence=confidence, method="percentile bootstrap")
