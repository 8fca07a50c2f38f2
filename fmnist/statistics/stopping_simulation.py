"""What the group-sequential design costs and saves, by simulated studies: its errors, its power, its repeats."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmnist.statistics.intervals import Array
from fmnist.statistics.paired_tests import equivalence_t, holm, paired_t
from fmnist.statistics.sequential import reject_at_looks


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingFigures:
    """Shares are of studies unless said otherwise; NaN where a study has no pair of the kind."""

    studies: int
    false_difference: float  # a pair without a difference is claimed to differ: the family-wise error
    false_equivalence: float  # a pair at or beyond the margin is claimed equivalent: the family-wise error
    peeking_error: float  # false_difference of stopping at the first look whose plain Holm-adjusted p is small enough
    decided: float  # share of pairs with a claim by the last look
    decided_by_plain_tests: float  # the same of plain tests, Holm-adjusted, once at the last look
    repeats: float  # mean number of repeats of a configuration, which goes on while one of its pairs is open
    cap: int  # what plain tests take

    @property
    def saving(self) -> float:
        """Share of the runs that the design leaves out."""
        return 1 - self.repeats / self.cap


def simulate_stopping(
    means: Sequence[float],
    spread: float,
    margin: float,
    looks: tuple[int, ...],
    *,
    studies: int = 2_000,
    alpha: float = 0.05,
    seed: int = 0,
) -> StoppingFigures:
    """Run the design on `studies` studies of normal values: `means` per configuration, standard deviation `spread`.

    Half of the variance is the repeat's own, shared by all configurations, which pairing takes out.
    """
    generator = np.random.default_rng(seed)
    shared = generator.normal(0, spread / np.sqrt(2), (studies, looks[-1], 1))
    values = shared + generator.normal(means, spread / np.sqrt(2), (studies, looks[-1], len(means)))
    pairs = list(itertools.combinations(range(len(means)), 2))
    differences = np.stack([values[..., a] - values[..., b] for a, b in pairs], axis=1)
    difference_p = np.stack([paired_t(differences[..., :n]) for n in looks], axis=1)
    equivalence_p = np.stack([equivalence_t(differences[..., :n], margin) for n in looks], axis=1)
    claims = reject_at_looks(difference_p, equivalence_p, looks, alpha)
    gaps = np.array([abs(means[a] - means[b]) for a, b in pairs])
    plain = (holm(difference_p[:, -1]) <= alpha) | (holm(equivalence_p[:, -1]) <= alpha)
    return StoppingFigures(
        studies=studies,
        false_difference=_any_share(claims.difference > 0, gaps == 0),
        false_equivalence=_any_share(claims.equivalence > 0, gaps >= margin),
        peeking_error=_any_share(np.asarray((holm(difference_p) <= alpha).any(axis=1)), gaps == 0),
        decided=float(((claims.difference > 0) | (claims.equivalence > 0)).mean()),
        decided_by_plain_tests=float(plain.mean()),
        repeats=_mean_repeats(claims.difference, claims.equivalence, pairs, looks),
        cap=looks[-1],
    )


def _any_share(claimed: npt.NDArray[np.bool_], untrue: npt.NDArray[np.bool_]) -> float:
    """Share of studies with a claim among the pairs for which it is untrue."""
    return float(claimed[:, untrue].any(axis=1).mean()) if untrue.any() else float("nan")


def _mean_repeats(
    difference: npt.NDArray[np.int64],
    equivalence: npt.NDArray[np.int64],
    pairs: Sequence[tuple[int, int]],
    looks: tuple[int, ...],
) -> float:
    never = len(looks)
    look = np.minimum(np.where(difference > 0, difference, never), np.where(equivalence > 0, equivalence, never))
    repeats: Array = np.array(looks, dtype=np.float64)[look - 1]  # (studies, pairs)
    configurations = range(max(b for _, b in pairs) + 1)
    mine = [repeats[:, [place in pair for pair in pairs]].max(axis=1) for place in configurations]
    return float(np.mean(mine))
