"""Adding repeats until every pair is decided, without raising the chance of a false claim: a group-sequential design.

Looking at the data after 5, 10, 15 ... repeats and stopping at the first p below 0.05 claims falsely far more often
than 5 %. Here the looks share the error out: at each look a test may spend as much as the O'Brien-Fleming-type spending
function of Lan and DeMets allows by then (see spending): little early, so that the last look is nearly a plain test.
The levels, derived for normal statistics, are applied to p values of t tests, Jennison and Turnbull (2000), section 4.4
("significance level approach"). Alone that spends up to 12 % too much where repeats are few (measured: 5.6 % instead of
5 % at looks 5 to 10), since t statistics of few repeats hang together less than normal ones; so the information is
counted in degrees of freedom, n - 1, and a share 1 / largest n of the error is kept back. `look_levels` does both, and
tests/test_statistics_simulated.py shows that the error then holds.

Over the pairs Holm's procedure is applied at each look, with the levels of the spending function at alpha / (pairs not
yet rejected), Maurer and Bretz (2013), Statistics in Biopharmaceutical Research 5: it keeps the family-wise error over
pairs and looks, whatever the pairs' dependence. Differences and equivalences are two families, as in
fmnist.comparison. A decision stands once made; the looks and their largest n must be fixed before the first.

Estimates after an early stop are a little too far from 0 (the stop favours large ones); the report says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fmnist.errors import UserError
from fmnist.schema import Metric
from fmnist.statistics.comparable import metric_table
from fmnist.statistics.intervals import Array
from fmnist.statistics.paired_tests import UNTESTED, PairTests, pair_tests
from fmnist.statistics.spending import nominal_levels
from fmnist.statistics.verdicts import PairSample, Verdict, decide_verdict, pair_samples

Looks = npt.NDArray[np.int64]

FIRST_LOOK, LOOKS = 5, 6  # repeats before the first look, and number of looks, unless said otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is fixed before the first look; a study's manifest holds it, so that its report decides as the study did."""

    metric: str
    looks: tuple[int, ...]  # repeats, increasing

    def describe(self) -> str:
        """Say when is looked, as in: looks at 5, 10 and 15 repeats."""
        *earlier, last = map(str, self.looks)
        return f"looks at {', '.join(earlier)} and {last} repeats" if earlier else f"one look at {last} repeats"


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
        raise UserError(f"looks: got cap {cap}, first {first}, count {count}, expected at least 3, 2 and 1")
    evenly = np.linspace(min(first, cap), cap, count) if count > 1 else np.array([cap])
    return tuple(int(n) for n in np.unique(np.rint(evenly)))


def look_levels(looks: tuple[int, ...], alpha: float, *, two_sided: bool) -> tuple[float, ...]:
    """Level that the p value of a t test must not exceed at each look (numbers of repeats, at least 2, increasing).

    Raises ValueError for other looks and for an alpha outside (0, 1).
    """
    if not looks or min(looks) < 2:
        raise UserError(f"looks: got {looks}, expected increasing numbers of repeats of at least 2, e.g. (5, 10, 20)")
    kept_back = 1 / looks[-1] if len(looks) > 1 else 0.0  # one look is a plain t test, which is exact
    return nominal_levels(tuple(n - 1 for n in looks), alpha * (1 - kept_back), two_sided=two_sided)


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
    `margin` and `labels` as in comparison.compare_pairs; a label without any row is not looked at, but counts in the
    family, since the levels are fixed before the first look (compare_pairs counts the tests that were made).
    """
    there = set(frame["label"])
    table = metric_table(frame, metric, labels and [label for label in labels if label in there])
    table = table if labels is None else table.reindex(columns=list(labels))
    schedule = tuple(int(n) for n in looks)
    look_levels(schedule, 1 - confidence, two_sided=True)  # refuses looks that are none
    attempted = {str(label): set(rows) for label, rows in frame.groupby("label")["repeat"]}
    by_look = [pair_samples(table[table.index < n], metric, margin) for n in schedule]
    tests = [
        [
            pair_tests(sample.differences, sample.limit)
            if set(range(n)) <= attempted.get(sample.a, set()) & attempted.get(sample.b, set())
            else None
            for sample in samples
        ]
        for n, samples in zip(schedule, by_look, strict=True)
    ]
    claims = reject_at_looks(
        _p_values(tests, "difference_p"), _p_values(tests, "equivalence_p"), schedule, 1 - confidence
    )
    return [
        _decision(
            [samples[place] for samples in by_look], [row[place] for row in tests], place, claims, metric, schedule,
            1 - confidence,
        )
        for place in range(len(by_look[0]))
    ]  # fmt: skip


@dataclass(frozen=True)
class Claims:
    """Look (from 1) at which each null hypothesis was rejected, 0 where it was not; integers of shape (..., pairs)."""

    difference: Looks
    equivalence: Looks


def reject_at_looks(difference_p: Array, equivalence_p: Array, looks: tuple[int, ...], alpha: float) -> Claims:
    """Apply the design to p values of shape (..., looks, pairs), NaN where there is none; leading axes are studies.

    At each look both families step down by Holm: the smallest p of the pairs not yet decided is held against the level
    at alpha / (hypotheses of its family not rejected so far), until one fails. A pair with a claim of either kind is
    decided and no longer tested; its other hypothesis still counts as not rejected.
    """
    claims = Claims(*(np.zeros(difference_p.shape[:-2] + difference_p.shape[-1:], dtype=np.int64) for _ in range(2)))
    families = (
        (difference_p, claims.difference, _level_table(looks, difference_p.shape[-1], alpha, two_sided=True)),
        (equivalence_p, claims.equivalence, _level_table(looks, difference_p.shape[-1], alpha, two_sided=False)),
    )
    for place in range(len(looks)):
        is_open = (claims.difference == 0) & (claims.equivalence == 0)
        for p_values, rejected, levels in families:
            current = np.where(is_open & ~np.isnan(p_values[..., place, :]), p_values[..., place, :], np.inf)
            for _ in range(current.shape[-1]):
                smallest = current.argmin(axis=-1)[..., None]
                done = np.minimum((rejected > 0).sum(axis=-1, keepdims=True), len(levels) - 1)
                claimed = np.take_along_axis(current, smallest, axis=-1) <= levels[done, place]
                if not claimed.any():
                    break
                before = np.take_along_axis(rejected, smallest, axis=-1)
                np.put_along_axis(rejected, smallest, np.where(claimed, place + 1, before), axis=-1)
                np.put_along_axis(current, smallest, np.inf, axis=-1)
    return claims


def open_labels(decisions: Sequence[PairDecision]) -> list[str]:
    """Labels that need more repeats: those of a pair that is neither decided nor at its last look; sorted."""
    return sorted({label for decision in decisions if not decision.final for label in (decision.a, decision.b)})


def next_look(decisions: Sequence[PairDecision], looks: Sequence[int]) -> int | None:
    """Repeats that the open pairs need next; None where every pair is decided or at the cap."""
    waiting = [decision.look for decision in decisions if not decision.final]
    return looks[min(waiting)] if waiting else None


def _level_table(looks: tuple[int, ...], pairs: int, alpha: float, *, two_sided: bool) -> Array:
    """Levels by number of hypotheses rejected so far and look, shape (pairs, looks)."""
    shares = [alpha / (pairs - done) for done in range(pairs)]
    return np.array([look_levels(looks, share, two_sided=two_sided) for share in shares]).reshape(pairs, len(looks))


def _p_values(tests: Sequence[Sequence[PairTests | None]], name: str) -> Array:
    return np.array([[math.nan if pair is None else getattr(pair, name) for pair in row] for row in tests])


def _decision(
    samples: Sequence[PairSample],
    tests: Sequence[PairTests | None],
    place: int,
    claims: Claims,
    metric: Metric,
    looks: tuple[int, ...],
    alpha: float,
) -> PairDecision:
    """Read one pair's decision; `samples` and `tests` have an entry for each look."""
    claimed = (int(claims.difference[place]), int(claims.equivalence[place]))
    look = _deciding_look(tests, claimed)
    sample, pair = samples[look - 1], (tests[look - 1] if look else None) or UNTESTED
    difference_level, equivalence_level = (
        _level_at(look, family, looks, alpha, two_sided=two_sided)
        for family, two_sided in ((claims.difference, True), (claims.equivalence, False))
    )
    verdict = _verdict(sample, pair, claimed, look, metric)
    return PairDecision(
        a=sample.a,
        b=sample.b,
        verdict=verdict,
        look=look,
        n=len(sample.differences) if look else 0,
        difference_p=pair.difference_p,
        difference_level=difference_level,
        equivalence_p=pair.equivalence_p,
        equivalence_level=equivalence_level,
        final=verdict != "undecided" or look == len(looks),
    )


def _deciding_look(tests: Sequence[PairTests | None], claimed: tuple[int, int]) -> int:
    """Number of the look that decided the pair, else of its latest look, else 0."""
    seen = [number for number, pair in enumerate(tests, start=1) if pair is not None]
    return min((number for number in claimed if number), default=max(seen, default=0))


def _verdict(sample: PairSample, pair: PairTests, claimed: tuple[int, int], look: int, metric: Metric) -> Verdict:
    if look == 0 or len(sample.differences) == 0:
        return "undecided"
    as_claimed = replace(
        pair, difference_p=0.0 if claimed[0] == look else 1.0, equivalence_p=0.0 if claimed[1] == look else 1.0
    )
    return decide_verdict(float(sample.differences.mean()), as_claimed, metric, alpha=0.5)


def _level_at(look: int, claimed: Looks, looks: tuple[int, ...], alpha: float, *, two_sided: bool) -> float:
    """Level with which a family ends a look; NaN for look 0."""
    if look == 0:
        return math.nan
    done = int(((claimed > 0) & (claimed <= look)).sum())
    return look_levels(looks, alpha / max(claimed.size - done, 1), two_sided=two_sided)[look - 1]
