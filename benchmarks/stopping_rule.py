"""Shows what adding repeats until every pair is decided costs and saves, by simulation; takes about a minute.

    python benchmarks/stopping_rule.py [--studies N]

Prints a Markdown table; docs/log.md holds the figures of one run. Accuracies are in points (1 point = 0.01).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmnist.compare.intervals import Array
from fmnist.compare.paired import equivalence_t, holm, paired_t
from fmnist.compare.sequential import planned_analyses, reject_at_analyses

MARGIN, SPREAD = 0.2, 0.3  # points; the spread is what one architecture shows between seeds
CASES = {
    "5 alike": [91.0] * 5,
    "2 alike, 3 apart by 2 points": [88.0, 90.0, 90.0, 92.0, 94.0],
    "6 as in the report": [89.0, 88.0, 90.0, 90.0, 92.0, 92.8],
    "4 apart by the margin": [90.0, 90.2, 90.4, 90.6],
    "2 apart by half a point": [91.0, 91.5],
}


def main() -> None:
    """Simulate each case at caps of 20, 30 and 60 repeats."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=5_000, help="simulated studies per row (default: 5000)")
    studies = parser.parse_args().studies
    print(f"{studies} studies a row, spread {SPREAD}, margin {MARGIN} points, level 0.05, standard error of 5 %:"
          f" {100 * (0.05 * 0.95 / studies) ** 0.5:.2f} %\n")  # fmt: skip
    print("| configurations | cap | falsely different | peeking instead | falsely equivalent | decided | plain tests |"
          " repeats | saved |\n| --- |" + " ---: |" * 8)  # fmt: skip
    for name, means in CASES.items():
        for cap in (20, 30, 60):
            figures = simulate_stopping(means, SPREAD, MARGIN, planned_analyses(cap), studies=studies)
            shares = [figures.false_difference, figures.peeking_error, figures.false_equivalence, figures.decided,
                      figures.decided_by_plain_tests]  # fmt: skip
            cells = " | ".join("-" if share != share else f"{100 * share:.1f} %" for share in shares)
            print(f"| {name} | {cap} | {cells} | {figures.repeats:.1f} | {100 * figures.saving:.0f} % |")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingFigures:
    """Shares are of studies unless said otherwise; NaN where a study has no pair of the kind."""

    studies: int
    false_difference: float  # a pair without a difference is claimed to differ: the family-wise error
    false_equivalence: float  # a pair at or beyond the margin is claimed equivalent: the family-wise error
    peeking_error: float  # false_difference of stopping at the first plain Holm-adjusted p that is small enough
    decided: float  # share of pairs with a claim by the last analysis
    decided_by_plain_tests: float  # the same of plain tests, Holm-adjusted, once at the last analysis
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
    analyses: tuple[int, ...],
    *,
    studies: int = 2_000,
    alpha: float = 0.05,
    seed: int = 0,
) -> StoppingFigures:
    """Run the design on `studies` studies of normal values: `means` per configuration, standard deviation `spread`.

    Half of the variance is the repeat's own, shared by all configurations, which pairing takes out.
    """
    generator = np.random.default_rng(seed)
    shared = generator.normal(0, spread / np.sqrt(2), (studies, analyses[-1], 1))
    values = shared + generator.normal(means, spread / np.sqrt(2), (studies, analyses[-1], len(means)))
    pairs = list(itertools.combinations(range(len(means)), 2))
    differences = np.stack([values[..., a] - values[..., b] for a, b in pairs], axis=1)
    difference_p = np.stack([paired_t(differences[..., :n]) for n in analyses], axis=1)
    equivalence_p = np.stack([equivalence_t(differences[..., :n], margin) for n in analyses], axis=1)
    rejections = reject_at_analyses(difference_p, equivalence_p, analyses, alpha)
    gaps = np.array([abs(means[a] - means[b]) for a, b in pairs])
    plain = (holm(difference_p[:, -1]) <= alpha) | (holm(equivalence_p[:, -1]) <= alpha)
    return StoppingFigures(
        studies=studies,
        false_difference=_any_share(rejections.difference > 0, gaps == 0),
        false_equivalence=_any_share(rejections.equivalence > 0, gaps >= margin),
        peeking_error=_any_share(np.asarray((holm(difference_p) <= alpha).any(axis=1)), gaps == 0),
        decided=float(((rejections.difference > 0) | (rejections.equivalence > 0)).mean()),
        decided_by_plain_tests=float(plain.mean()),
        repeats=_mean_repeats(rejections.difference, rejections.equivalence, pairs, analyses),
        cap=analyses[-1],
    )


def _any_share(claimed: npt.NDArray[np.bool_], untrue: npt.NDArray[np.bool_]) -> float:
    """Share of studies with a claim among the pairs for which it is untrue."""
    return float(claimed[:, untrue].any(axis=1).mean()) if untrue.any() else float("nan")


def _mean_repeats(
    difference: npt.NDArray[np.int64],
    equivalence: npt.NDArray[np.int64],
    pairs: Sequence[tuple[int, int]],
    analyses: tuple[int, ...],
) -> float:
    never = len(analyses)
    analysis = np.minimum(np.where(difference > 0, difference, never), np.where(equivalence > 0, equivalence, never))
    repeats: Array = np.array(analyses, dtype=np.float64)[analysis - 1]  # (studies, pairs)
    configurations = range(max(b for _, b in pairs) + 1)
    mine = [repeats[:, [place in pair for pair in pairs]].max(axis=1) for place in configurations]
    return float(np.mean(mine))


if __name__ == "__main__":
    main()
