"""What an estimate says of a claim: confirmed, refuted or not decidable, with one error for all claims of a table.

A claim says that quantities (its parts) all lie in a region. It is confirmed where every part surely lies within, and
refuted where one surely lies outside. All claims of a table are one family for Holm's procedure, so that the chance of
any false reading in it is at most 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from fmnist.compare.intervals import FAMILY_ERROR, Array, constant, mean_of
from fmnist.compare.paired_tests import holm
from fmnist.compare.test_set import VarianceLayers

Reading = Literal["confirmed", "refuted", "not decidable", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate whose error follows Student's t; everything is on the scale of the analysis."""

    value: float
    standard_error: float  # NaN or 0: nothing is known of the error, and nothing can be decided
    degrees_of_freedom: float  # n - 1 of the seeds, more where test images add to the error
    n: int  # repeats

    def bounds(self, error: float = FAMILY_ERROR) -> tuple[float, float]:
        """Give the interval that misses the true value with chance `error`; NaN where the error is not known."""
        half = special.stdtrit(self.degrees_of_freedom, 1 - error / 2) * self._known_error
        return self.value - float(half), self.value + float(half)

    def error_at(self, distance: float) -> float:
        """Give the error at which the interval reaches just so far from the value; 1 for a distance below 0."""
        if np.isnan(self._known_error) or distance <= 0:
            return 1.0
        return float(2 * special.stdtr(self.degrees_of_freedom, -distance / self._known_error))

    @property
    def _known_error(self) -> float:
        return self.standard_error if self.standard_error > 0 else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where a claim says its quantity lies, on the scale of the analysis."""

    low: float = -np.inf
    high: float = np.inf

    def depth(self, value: float) -> float:
        """Distance to the nearest edge: positive within, negative outside."""
        return min(value - self.low, self.high - value)


def paired_estimate(differences: Array) -> Estimate:
    """Mean of the differences of common repeats, shape (n,), for new seeds on the same test images: the paired t."""
    n = len(differences)
    return Estimate(
        value=mean_of(differences),
        standard_error=float(differences.std(ddof=1) / np.sqrt(n))
        if n > 1 and not constant(differences)
        else float("nan"),
        degrees_of_freedom=n - 1,
        n=n,
    )


def layered_estimate(differences: Array, *layers: VarianceLayers) -> Estimate:
    """The same for new seeds and other test images; `layers` are those of each set of images that the values stand on.

    The images add their variance without the run x image residual, which the variance between runs holds already.
    Degrees of freedom by Welch (1938) and Satterthwaite (1946), those of the images taken as infinite.
    """
    seeds = paired_estimate(differences)
    if not seeds.standard_error > 0:  # no spread to judge the seeds by, whatever the images say
        return seeds
    variance = seeds.standard_error**2 + sum(item.image_variance for item in layers)
    freedom = seeds.degrees_of_freedom * (variance / seeds.standard_error**2) ** 2
    return replace(seeds, standard_error=float(np.sqrt(variance)), degrees_of_freedom=freedom)


def read(parts: Sequence[Estimate], region: Region) -> tuple[Reading, float]:
    """Say which way a claim with these parts (at least one) leans, and the error at which it can be decided so.

    Confirmed: every part within, and the least sure of them decides (intersection-union, no adjustment). Refuted: some
    part outside, the surest one decides, by Bonferroni over the parts. The error is two-sided, in [0, 1].
    """
    within = max(part.error_at(region.depth(part.value)) for part in parts)
    outside = min(1.0, len(parts) * min(part.error_at(-region.depth(part.value)) for part in parts))
    return ("confirmed", within) if within < outside else ("refuted", outside)


def read_family(claims: Sequence[tuple[Sequence[Estimate], Region]], analyses: int = 1) -> list[tuple[Reading, float]]:
    """Read every claim of a table and give its error, adjusted by Holm's procedure and, by Bonferroni, for `analyses`.

    A claim without parts cannot be decided and still counts into the family.
    """
    leaning = [read(parts, region) if parts else ("not decidable", 1.0) for parts, region in claims]
    adjusted = holm(np.minimum(analyses * np.array([error for _, error in leaning]), 1.0))
    return [
        (reading if error <= FAMILY_ERROR else "not decidable", float(error))
        for (reading, _), error in zip(leaning, adjusted, strict=True)
    ]
