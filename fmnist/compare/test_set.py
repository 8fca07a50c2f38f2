"""What the finite test set leaves open, apart from what seeds do: two layers of variance.

Between seeds: how a rerun with other seeds would score on the same test images. Of the test set: how the same runs
would score on as many other images of the same kind. All runs of a study share their test images, so more repeats
shrink the first and never the second.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fmnist.compare.intervals import Array, Estimate, mean_estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceLayers:
    """The mean score (share right, or difference of two shares) and the two layers of its uncertainty."""

    runs: int
    mean: float
    seed_standard_deviation: float  # of one run's score between seeds; NaN for 1 run
    seed_standard_error: float  # of the mean over `runs`: the above / sqrt(runs)
    test_set_standard_error: float  # of the mean over the images, however many runs there are; NaN for 1 image
    residual_variance: float  # of the mean, by chance of single runs on single images: in both layers; 0 for 1 run

    @property
    def image_variance(self) -> float:
        """Variance of the mean that other images add to that of the seeds: the residual is counted there."""
        return max(self.test_set_standard_error**2 - self.residual_variance, 0.0)

    @property
    def standard_error(self) -> float:
        """Both layers together, for a claim about new seeds and new images."""
        return float(np.sqrt(self.seed_standard_error**2 + self.image_variance))


def variance_layers(scores: npt.NDArray[np.number] | npt.NDArray[np.bool_]) -> VarianceLayers:
    """Split the uncertainty of a mean score; `scores` has the shape (runs, images), values 1 (right), 0 and -1.

    For the difference of two configurations pass right_a - right_b over common repeats: the images pair as well.
    """
    if scores.size == 0:
        raise ValueError(f"scores: got {scores.shape[0]} runs of {scores.shape[1]} images, expected at least one each")
    return variance_layers_of_means(scores.mean(axis=1), scores.mean(axis=0), np.count_nonzero(scores) / scores.size)


def variance_layers_of_means(run_means: Array, image_means: Array, mean_square: float) -> VarianceLayers:
    """The same from the margins of the scores, shapes (runs,) and (images,), and the mean of their squares.

    Standard error of the test set: standard deviation over images of the images' mean scores / sqrt(images). For one
    run it is the binomial one, sqrt(p (1 - p) / (images - 1)). The residual is the mean square of the two-way layout
    without replication (runs x images), / (runs x images). At least one run and one image.
    """
    runs, images = len(run_means), len(image_means)
    mean = float(run_means.mean())
    deviation = float(run_means.std(ddof=1)) if runs > 1 else float("nan")
    squares = mean_square - mean**2 - float(run_means.var()) - float(image_means.var())  # / (runs x images)
    return VarianceLayers(
        runs=runs,
        mean=mean,
        seed_standard_deviation=deviation,
        seed_standard_error=deviation / np.sqrt(runs),
        test_set_standard_error=float(image_means.std(ddof=1) / np.sqrt(images)) if images > 1 else float("nan"),
        residual_variance=max(squares, 0.0) / ((runs - 1) * (images - 1)) if runs > 1 and images > 1 else 0.0,
    )


def layered_estimate(differences: Array, *layers: VarianceLayers) -> Estimate:
    """Mean of the differences of common repeats, shape (n,), for new seeds and other test images.

    `layers` are those of each set of images that the values stand on: they add their variance without the run x image
    residual, which the variance between runs holds already. Degrees of freedom by Welch (1938) and Satterthwaite
    (1946), those of the images taken as infinite.
    """
    seeds = mean_estimate(differences)
    if not seeds.standard_error > 0:  # no spread to judge the seeds by, whatever the images say
        return seeds
    variance = seeds.standard_error**2 + sum(item.image_variance for item in layers)
    freedom = seeds.degrees_of_freedom * (variance / seeds.standard_error**2) ** 2
    return replace(seeds, standard_error=float(np.sqrt(variance)), degrees_of_freedom=freedom)
