"""Adding repeats until every pair is decided, without raising the chance of a false claim: a group-sequential design.

Looking at the data after 5, 10, 15 ... repeats and stopping at the first p below 0.05 claims falsely far more often
than 5 %. Here the looks share the error out: at each look a test may spend as much as the O'Brien-Fleming-type spending
function allows by then, Lan and DeMets (1983), Biometrika 70: alpha(t) = 2 - 2 Phi(z(1 - alpha / 2) / sqrt(t)) for a
one-sided test, t = repeats / largest number of repeats. Little is spent early, so that the last look is nearly a plain
test. The levels follow from the joint normal distribution of the statistics (Armitage, McPherson and Rowe 1969) and are
applied to p values of t tests, Jennison and Turnbull (2000), section 4.4 ("significance level approach").

Over the pairs Holm's procedure is applied at each look, with the levels of the spending function at alpha / (pairs not
yet rejected), Maurer and Bretz (2013), Statistics in Biopharmaceutical Research 5: it keeps the family-wise error over
pairs and looks, whatever the pairs' dependence. Differences and equivalences are two families, as in
fmnist.comparison. A decision stands once made; the looks and their largest n must be fixed before the first.

Estimates after an early stop are a little too far from 0 (the stop favours large ones); the report says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import optimize, special

from fmnist.comparable import metric_table
from fmnist.intervals import Array
from fmnist.paired_tests import PairTests
from fmnist.schema import Metric
from fmnist.verdicts import PairSample, Verdict, decide_verdict, pair_samples, tests_of

NODES_PER_STEP = 4  # Gauss-Legendre nodes for each standard deviation of an increment
REACH = 9.0  # standard deviations beyond which nothing is left of a normal distribution
FIRST_LOOK, LOOKS = 5, 6  # repeats before the first look, and number of looks, unless said otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDecision:
    """What is known of a pair when the looks so far are done; p values and levels are those of the deciding look.

    For a pair still undecided they are those of its latest look.
    """

    a: str
    b: str
    verdict: Verdict  # of a against b
    look: int  # number of the look, from 1; 0: the pair has not been looked at
    n: int  # common repeats at that look
    difference_p: float  # not adjusted; a claim needs at most difference_level
    difference_level: float
    equivalence_p: float
    equivalence_level: float
    final: bool  # decided, or looked at for the last time


def planned_looks(cap: int, *, first: int = FIRST_LOOK, count: int = LOOKS) -> tuple[int, ...]:
    """Spread looks evenly from `first` repeats to `cap`, the last; at most `count` of them, strictly increasing.

    Raises ValueError for a cap below 3: fewer repeats decide nothing.
    """
    if cap < 3 or first < 2 or count < 1:
        raise ValueError(f"looks: got cap {cap}, first {first}, count {count}, expected at least 3, 2 and 1")
    evenly = np.linspace(min(first, cap), cap, count) if count > 1 else np.array([cap])
    return tuple(int(n) for n in np.unique(np.rint(evenly)))


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


def decide(
    frame: pd.DataFrame,
    metric: Metric,
    margin: float | None,
    looks: Sequence[int],
    *,
    confidence: float = 0.95,
    labels: Sequence[str] | None = None,
) -> list[PairDecision]:
    """Replay the looks that the rows allow and give each pair's decision; the same rows give the same decisions.

    `looks` are numbers of repeats: the look at n sees the repeats 0 to n - 1, and a pair is looked at there once both
    labels have a row of each of these repeats, of whatever status (a run that diverged has a row with a null metric,
    and its repeat counts as looked at but not as common). A pair that is decided needs no further rows. `frame`,
    `margin` and `labels` as in comparison.compare_pairs.
    """
    table = metric_table(frame, metric, labels)
    schedule = tuple(int(n) for n in looks)
    nominal_levels(schedule, 1 - confidence, two_sided=True)  # refuses looks that do not increase
    attempted = {label: set(rows) for label, rows in frame.groupby("label")["repeat"]}
    family = pair_samples(table, metric, margin)
    decisions = [_not_looked_at(sample) for sample in family]
    rejected = _Rejected(set(), set())
    for number, n in enumerate(schedule, start=1):
        samples = pair_samples(table[table.index < n], metric, margin)
        seen = [
            place
            for place, sample in enumerate(samples)
            if not decisions[place].final and set(range(n)) <= attempted[sample.a] & attempted[sample.b]
        ]
        tests = {place: tests_of(samples[place], metric) for place in seen}
        levels = _reject(tests, rejected, len(family), schedule, number, 1 - confidence)
        for place in seen:
            decisions[place] = _decision(
                samples[place], tests[place], levels, place, rejected, metric, number, schedule
            )
    return decisions


def open_labels(decisions: Sequence[PairDecision]) -> list[str]:
    """Labels that need more repeats: those of a pair that is neither decided nor at its last look; sorted."""
    return sorted({label for decision in decisions if not decision.final for label in (decision.a, decision.b)})


def next_look(decisions: Sequence[PairDecision], looks: Sequence[int]) -> int | None:
    """Repeats that the open pairs need next; None where every pair is decided or at the cap."""
    waiting = [decision.look for decision in decisions if not decision.final]
    return looks[min(waiting)] if waiting else None


@dataclass(frozen=True)
class _Rejected:
    """Places in the family of the null hypotheses rejected so far."""

    difference: set[int]
    equivalence: set[int]


def _reject(
    tests: dict[int, PairTests],
    rejected: _Rejected,
    family: int,
    looks: tuple[int, ...],
    number: int,
    alpha: float,
) -> dict[bool, float]:
    """Make this look's rejections in both families; return the level each family ends with (key: two-sided)."""
    levels = {}
    for two_sided, done in ((True, rejected.difference), (False, rejected.equivalence)):
        p_values = {place: pair.difference_p if two_sided else pair.equivalence_p for place, pair in tests.items()}
        for place, p in sorted(p_values.items(), key=lambda item: (math.isnan(item[1]), item[1])):
            share = alpha / (family - len(done))
            if not p <= nominal_levels(looks, share, two_sided=two_sided)[number - 1]:
                break
            done.add(place)
        share = alpha / max(family - len(done), 1)
        levels[two_sided] = nominal_levels(looks, share, two_sided=two_sided)[number - 1]
    return levels


def _decision(
    sample: PairSample,
    tests: PairTests,
    levels: dict[bool, float],
    place: int,
    rejected: _Rejected,
    metric: Metric,
    number: int,
    looks: tuple[int, ...],
) -> PairDecision:
    claims = replace(
        tests,
        difference_p=0.0 if place in rejected.difference else 1.0,
        equivalence_p=0.0 if place in rejected.equivalence else 1.0,
    )
    mean = float(sample.differences.mean()) if len(sample.differences) else float("nan")
    verdict = decide_verdict(mean, claims, sample.limit, metric, 0.5)
    return PairDecision(
        a=sample.a,
        b=sample.b,
        verdict=verdict,
        look=number,
        n=len(sample.differences),
        difference_p=tests.difference_p,
        difference_level=levels[True],
        equivalence_p=tests.equivalence_p,
        equivalence_level=levels[False],
        final=verdict != "undecided" or number == len(looks),
    )


def _not_looked_at(sample: PairSample) -> PairDecision:
    unknown = float("nan")
    return PairDecision(
        a=sample.a, b=sample.b, verdict="undecided", look=0, n=0, difference_p=unknown, difference_level=unknown,
        equivalence_p=unknown, equivalence_level=unknown, final=False,
    )  # fmt: skip


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
