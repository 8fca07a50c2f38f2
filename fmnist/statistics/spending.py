"""The levels of a group-sequential test: how much of its error a test may spend at each look.

The O'Brien-Fleming-type spending function of Lan and DeMets (1983), Biometrika 70: by the share t of the largest number
of repeats, alpha(t) = 2 - 2 Phi(z(1 - alpha / 2) / sqrt(t)) of a one-sided error alpha is spent. The levels follow from
the joint normal distribution of the statistics at the looks (Armitage, McPherson and Rowe 1969, JRSS A 132).
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from fmnist.statistics.intervals import Array

NODES_PER_STEP = 4  # Gauss-Legendre nodes for each standard deviation of an increment
REACH = 9.0  # standard deviations beyond which nothing is left of a normal distribution


@lru_cache(maxsize=4096)
def nominal_levels(looks: tuple[int, ...], alpha: float, *, two_sided: bool) -> tuple[float, ...]:
    """Level that a p value must not exceed at each look, so that the chance to do so at any look is `alpha` in all.

    `looks` are numbers of repeats, strictly increasing, the last one the largest there can be. A two-sided test is two
    one-sided ones at alpha / 2 each. Raises ValueError for looks that do not increase or an alpha outside (0, 1).
    """
    if not looks or min(looks) < 1 or any(after <= before for before, after in itertools.pairwise(looks)):
        raise ValueError(f"looks: got {looks}, expected increasing numbers of repeats, e.g. (5, 10, 20)")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: got {alpha}, expected a number between 0 and 1")
    if two_sided:
        return tuple(2 * level for level in nominal_levels(looks, alpha / 2, two_sided=False))
    times = np.array(looks) / looks[-1]
    spent = 2 * special.ndtr(special.ndtri(alpha / 2) / np.sqrt(times))
    deviations, steps = np.sqrt(times), np.sqrt(np.diff(times, prepend=0.0))
    levels = [float(spent[0])]
    mass = None
    boundary = -float(special.ndtri(spent[0])) * deviations[0]
    for place in range(1, len(looks)):
        mass = _mass_below(boundary, deviations[place - 1], steps[place - 1 : place + 1].min(), steps[place - 1], mass)
        boundary = _boundary(mass, steps[place], spent[place] - spent[place - 1], deviations[place])
        levels.append(float(special.ndtr(-boundary / deviations[place])))
    return tuple(levels)


def _nodes(boundary: float, deviation: float, finest: float) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights from far below 0 to the boundary, dense enough for steps of size `finest`."""
    low, high = -REACH * deviation, min(boundary, REACH * deviation)
    # a power of two, so that few sets of nodes are ever computed
    nodes, weights = _gauss_legendre(1 << math.ceil(math.log2(max(64.0, NODES_PER_STEP * (high - low) / finest))))
    half = (high - low) / 2
    return low + half * (nodes + 1), half * weights


@lru_cache(maxsize=16)
def _gauss_legendre(count: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(count)


def _mass_below(
    boundary: float, deviation: float, finest: float, step: float, before: tuple[Array, Array] | None
) -> tuple[Array, Array]:
    """Nodes below the boundary and the probability at each, given those of the look before (None: the first look).

    The statistic is B(t), normal with standard deviation sqrt(t), of a test that has not rejected yet; it grows by
    independent normal steps.
    """
    nodes, weights = _nodes(boundary, deviation, finest)
    if before is None:
        return nodes, weights * _normal_density(nodes / deviation) / deviation
    earlier, mass = before
    return nodes, weights * (_normal_density((nodes[:, None] - earlier) / step) @ mass) / step


def _boundary(before: tuple[Array, Array], step: float, spent: float, deviation: float) -> float:
    """The value that the statistic exceeds with probability `spent` at this look, not having rejected before."""
    nodes, mass = before

    def excess(boundary: float) -> float:
        return float(special.ndtr((nodes - boundary) / step) @ mass) - spent

    highest = REACH * deviation + nodes[-1]
    return highest if excess(highest) >= 0 else float(optimize.brentq(excess, nodes[0], highest, xtol=1e-12))


def _normal_density(x: Array) -> Array:
    return np.asarray(np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))
