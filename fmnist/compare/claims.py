"""What estimates say of a claim: confirmed, refuted or not decidable, with one error for all claims of a table.

A claim says that quantities (its parts) all lie in a region. It is confirmed where every part lies significantly
within, and refuted where one lies significantly outside. All claims of a table are one family for Holm's procedure, so
that the chance of any false verdict in it is at most 5 %.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from fmnist.compare.intervals import FAMILY_ERROR, Estimate
from fmnist.compare.paired import holm

ClaimVerdict = Literal["confirmed", "refuted", "not decidable"]


class Region(NamedTuple):
    """Where a claim says its quantity lies, on the scale of the analysis."""

    low: float = -np.inf
    high: float = np.inf

    def depth(self, value: float) -> float:
        """Distance to the nearest edge: positive within, negative outside."""
        return min(value - self.low, self.high - value)


def lean(parts: Sequence[Estimate], region: Region) -> tuple[ClaimVerdict, float]:
    """Say which way a claim with these parts (at least one) leans, with the two-sided p value of that.

    Confirmed: every part within, and the largest p value counts (intersection-union, no adjustment). Refuted: some part
    outside, and the smallest counts, by Bonferroni over the parts.
    """
    within = max(part.p_value(region.depth(part.value)) for part in parts)
    outside = min(1.0, len(parts) * min(part.p_value(-region.depth(part.value)) for part in parts))
    return ("confirmed", within) if within < outside else ("refuted", outside)


def claim_verdicts(
    claims: Sequence[tuple[Sequence[Estimate], Region]], analyses: int = 1
) -> list[tuple[ClaimVerdict, float]]:
    """Give each claim's verdict and p value, adjusted by Holm's procedure and, by Bonferroni, for `analyses`.

    A claim without parts cannot be decided and still counts into the family.
    """
    leaning = [lean(parts, region) if parts else ("not decidable", 1.0) for parts, region in claims]
    adjusted = holm(np.minimum(analyses * np.array([p for _, p in leaning]), 1.0)).tolist()
    return [
        (verdict if p <= FAMILY_ERROR else "not decidable", p)
        for (verdict, _), p in zip(leaning, adjusted, strict=True)
    ]
