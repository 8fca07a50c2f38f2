"""Adding repeats until every pair is decided, without raising the chance of a false claim: a group-sequential design.

Testing after 5, 10, 15 ... repeats and stopping at the first p below 0.05 claims falsely far more often than 5 %. Here
the interim analyses share the error out: each may spend as much as the O'Brien-Fleming-type spending function of Lan
and DeMets (1983), Biometrika 70, allows by then: by the share t of the largest number of repeats,
alpha(t) = 2 - 2 Phi(z(1 - alpha / 2) / sqrt(t)) of a one-sided error alpha; little early, so that the last analysis is
nearly a plain test. The levels follow from the joint normal distribution of the statistics at the analyses (Armitage,
McPherson and Rowe 1969, JRSS A 132). Derived for normal statistics, they are applied to p values of t tests, Jennison
and Turnbull (2000), section 4.4 ("significance level approach"). Alone that spends up to 12 % too much where repeats
are few (measured: 5.6 % instead of 5 % at analyses 5 to 10), since t statistics of few repeats hang together less than
normal ones; so the information is counted in degrees of freedom, n - 1, and a share 1 / largest n of the error is kept
back. `analysis_levels` does both, and tests/test_statistics_simulated.py shows that the error then holds.

Over the pairs Holm's procedure is applied at each analysis, with the levels of the spending function at alpha / (pairs
not yet rejected), Maurer and Bretz (2013), Statistics in Biopharmaceutical Research 5: it keeps the family-wise error
over pairs and analyses, whatever the pairs' dependence. Differences and equivalences are two families, as in
fmnist.compare.comparison. A decision stands once made; the analyses must be fixed before the first.

Estimates after an early stop are a little too far from 0: the stop favours large ones.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special

from fmnist import UserError
from fmnist.compare.comparable import metric_table
from fmnist.compare.comparison import PairDecision, PairSample, decide_verdict, pair_samples
from fmnist.compare.intervals import FAMILY_ERROR, Array, mean_of
from fmnist.compare.paired import UNTESTED, pair_tests
from fmnist.declare import Metric

NODES_PER_STEP = 4  # Gauss-Legendre nodes for each standard deviation of an increment
REACH = 9.0  # standard deviations beyond which nothing is left of a normal distribution
FIRST_ANALYSIS, ANALYSES = 5, 6  # repeats before the first analysis, and number of analyses


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is fixed before the first analysis; a study's manifest holds it: its report decides as the study did."""

    metric: str
    analyses: tuple[int, ...]  # repeats, increasing


class Rejections(NamedTuple):
    """Analysis (from 1) that rejected each null hypothesis, 0 where none did; integers of shape (..., pairs)."""

    difference: npt.NDArray[np.int64]
    equivalence: npt.NDArray[np.int64]


def planned_analyses(cap: int) -> tuple[int, ...]:
    """Spread ANALYSES analyses from FIRST_ANALYSIS repeats to `cap`, the last, evenly; fewer where two would be one.

    UserError for a cap below 3: fewer repeats decide nothing.
    """
    if cap < 3:
        raise UserError(f"--max-repeats: got {cap}, expected at least 3")
    return tuple(int(n) for n in np.unique(np.rint(np.linspace(min(FIRST_ANALYSIS, cap), cap, ANALYSES))))


def decide(
    frame: pd.DataFrame,
    metric: Metric,
    margin: float | None,
    analyses: tuple[int, ...],
    *,
    labels: Sequence[str] | None = None,
) -> list[PairDecision]:
    """Repeat every analysis that the rows allow and give each pair's decision; the same rows give the same decisions.

    `analyses` are numbers of repeats: the analysis at n reads the repeats 0 to n - 1, and includes a pair once both
    labels have a row of each of these repeats, of whatever status (a run that diverged has a row with a null metric,
    and its repeat counts as attempted and not as common). A pair that is decided needs no further rows. `frame`,
    `margin` and `labels` as in comparison.compare_pairs; a label without any row is in no analysis, but counts in the
    family, since the levels are fixed before the first analysis (compare_pairs counts the tests that were made).
    """
    analysis_levels(analyses, FAMILY_ERROR, two_sided=True)  # refuses analyses that are none
    table = metric_table(frame, metric, labels)
    pairs = list(zip(*(pair_samples(table[table.index < n], metric, margin) for n in analyses), strict=True))
    attempted = {label: set(repeats) for label, repeats in frame.groupby("label")["repeat"]}
    made = {label: sum(repeats.issuperset(range(n)) for n in analyses) for label, repeats in attempted.items()}
    last = [min(made.get(first.a, 0), made.get(first.b, 0)) for first, *_ in pairs]
    tests = [
        [pair_tests(at.differences, at.margin) if place < stop else UNTESTED for place, at in enumerate(pair)]
        for pair, stop in zip(pairs, last, strict=True)
    ]
    difference_p, equivalence_p = (
        np.array([[getattr(test, kind) for test in pair] for pair in tests]).reshape(-1, len(analyses)).T
        for kind in ("difference_p", "equivalence_p")
    )
    rejections = reject_at_analyses(difference_p, equivalence_p, analyses, FAMILY_ERROR)
    numbers = zip(pairs, last, rejections.difference.tolist(), rejections.equivalence.tolist(), strict=True)
    return [_decision(pair, stop, difference, equal, metric) for pair, stop, difference, equal in numbers]


def _decision(
    samples: Sequence[PairSample], last: int, difference: int, equivalence: int, metric: Metric
) -> PairDecision:
    """Give a pair's decision: its sample at each analysis, the number of its last one, and of those that rejected."""
    analysis = max(difference, equivalence) or last  # of one analysis, if both are rejected
    sample = samples[analysis - 1]
    significant = {"different": difference > 0, "equivalent": equivalence > 0}
    verdict = decide_verdict(mean_of(sample.differences), metric, **significant)
    return PairDecision(
        a=sample.a,
        b=sample.b,
        verdict=verdict,
        analysis=analysis,
        n=len(sample.differences) if analysis else 0,
        final=verdict != "inconclusive" or analysis == len(samples),
    )


def open_labels(decisions: Sequence[PairDecision]) -> list[str]:
    """Labels that need more repeats: those of a pair that is neither decided nor at its last analysis; sorted."""
    return sorted({label for decision in decisions if not decision.final for label in (decision.a, decision.b)})


def next_analysis(decisions: Sequence[PairDecision], analyses: Sequence[int]) -> int | None:
    """Repeats that the open pairs need next; None where every pair is decided or at the cap."""
    waiting = [decision.analysis for decision in decisions if not decision.final]
    return analyses[min(waiting)] if waiting else None


def reject_at_analyses(
    difference_p: Array, equivalence_p: Array, analyses: tuple[int, ...], alpha: float
) -> Rejections:
    """Apply the design to p values of shape (..., analyses, pairs), NaN where there is none; leading axes are studies.

    At each analysis both families step down by Holm: the smallest p of the pairs not yet decided is compared with the
    level at alpha / (hypotheses of its family not rejected so far), until one fails. A pair with a rejection of either
    kind is decided and no longer tested; its other hypothesis still counts as not rejected.
    """
    *studies, _, pairs = difference_p.shape
    rejections = Rejections(*np.zeros((2, *studies, pairs), dtype=np.int64))
    families = (
        (difference_p, rejections.difference, _level_table(analyses, pairs, alpha, two_sided=True)),
        (equivalence_p, rejections.equivalence, _level_table(analyses, pairs, alpha, two_sided=False)),
    )
    for place in range(len(analyses)):
        is_open = (rejections.difference == 0) & (rejections.equivalence == 0)
        for p_values, rejected, levels in families:
            current = np.where(is_open & ~np.isnan(p_values[..., place, :]), p_values[..., place, :], np.inf)
            for _ in range(pairs):
                smallest = current.argmin(axis=-1)[..., None]
                done = np.minimum((rejected > 0).sum(axis=-1, keepdims=True), pairs - 1)
                passes = np.take_along_axis(current, smallest, axis=-1) <= levels[done, place]
                if not passes.any():
                    break
                before = np.take_along_axis(rejected, smallest, axis=-1)
                np.put_along_axis(rejected, smallest, np.where(passes, place + 1, before), axis=-1)
                np.put_along_axis(current, smallest, np.inf, axis=-1)
    return rejections


def _level_table(analyses: tuple[int, ...], pairs: int, alpha: float, *, two_sided: bool) -> Array:
    """Levels by number of hypotheses rejected so far and analysis, shape (pairs, analyses)."""
    levels = [analysis_levels(analyses, alpha / (pairs - done), two_sided=two_sided) for done in range(pairs)]
    return np.array(levels).reshape(pairs, len(analyses))


def analysis_levels(analyses: tuple[int, ...], alpha: float, *, two_sided: bool) -> tuple[float, ...]:
    """Level that the p value of a t test must not exceed at each analysis (numbers of repeats, at least 2, increasing).

    ValueError for other analyses, and for an alpha outside (0, 1).
    """
    if not analyses or analyses[0] < 2 or any(after <= before for before, after in itertools.pairwise(analyses)):
        raise ValueError(f"analyses: got {analyses}, expected increasing numbers of repeats of at least 2: (5, 10, 20)")
    kept_back = 1 / analyses[-1] if len(analyses) > 1 else 0.0  # one analysis is a plain t test, which is exact
    return nominal_levels(tuple(n - 1 for n in analyses), alpha * (1 - kept_back), two_sided=two_sided)


@lru_cache(maxsize=4096)
def nominal_levels(analyses: tuple[int, ...], alpha: float, *, two_sided: bool) -> tuple[float, ...]:
    """Level that a p value must not exceed at each analysis, so that the chance to do so at any is `alpha` in all.

    `analyses` are numbers of repeats above 0, strictly increasing, the last one the largest there can be. A two-sided
    test is two one-sided ones at alpha / 2 each. Raises ValueError for an alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: got {alpha}, expected a number between 0 and 1")
    if two_sided:
        return tuple(2 * level for level in nominal_levels(analyses, alpha / 2, two_sided=False))
    times = np.array(analyses) / analyses[-1]
    spent = np.diff(2 * special.ndtr(special.ndtri(alpha / 2) / np.sqrt(times)), prepend=0.0)
    deviations, steps = np.sqrt(times), np.sqrt(np.diff(times, prepend=0.0))
    levels = []
    mass = np.zeros(1), np.ones(1)  # all of it is at 0 before the first analysis
    for place, (deviation, step) in enumerate(zip(deviations, steps, strict=True)):
        boundary = _boundary(mass, step, spent[place], deviation)
        levels.append(float(special.ndtr(-boundary / deviation)))
        if place + 1 < len(analyses):
            mass = _mass_below(boundary, deviation, steps[place : place + 2].min(), step, mass)
    return tuple(levels)


@lru_cache(maxsize=16)
def _gauss_legendre(count: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(count)


def _mass_below(
    boundary: float, deviation: float, finest: float, step: float, before: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Nodes below the boundary and the probability at each, given those of the analysis before.

    The statistic is B(t), normal with standard deviation sqrt(t), of a test that has not rejected yet; it grows by
    independent normal steps. Gauss-Legendre nodes from far below 0, dense enough for steps of size `finest`.
    """
    low, high = -REACH * deviation, min(boundary, REACH * deviation)
    # a power of two, so that few sets of nodes are ever computed
    points, weights = _gauss_legendre(1 << math.ceil(math.log2(max(64.0, NODES_PER_STEP * (high - low) / finest))))
    half = (high - low) / 2
    nodes, (earlier, mass) = low + half * (points + 1), before
    density = np.exp(-(((nodes[:, None] - earlier) / step) ** 2) / 2) / math.sqrt(2 * math.pi)
    return nodes, half * weights * (density @ mass) / step


def _boundary(before: tuple[Array, Array], step: float, spent: float, deviation: float) -> float:
    """The value that the statistic exceeds with probability `spent` at this analysis, not having rejected before."""
    nodes, mass = before

    def excess(boundary: float) -> float:
        return float(special.ndtr((nodes - boundary) / step) @ mass) - spent

    highest = REACH * deviation + nodes[-1]
    return highest if excess(highest) >= 0 else float(optimize.brentq(excess, nodes[0], highest, xtol=1e-12))
