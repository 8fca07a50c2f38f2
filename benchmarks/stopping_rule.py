"""Shows what adding repeats until every pair is decided costs and saves, by simulation; takes about a minute.

    python benchmarks/stopping_rule.py [--studies N]

Prints a Markdown table; docs/log.md holds the figures of one run. Accuracies are in points (1 point = 0.01).
"""

from __future__ import annotations

import argparse

from fmnist.statistics.sequential import planned_looks
from fmnist.statistics.stopping_simulation import simulate_stopping

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
            figures = simulate_stopping(means, SPREAD, MARGIN, planned_looks(cap), studies=studies)
            shares = [figures.false_difference, figures.peeking_error, figures.false_equivalence, figures.decided,
                      figures.decided_by_plain_tests]  # fmt: skip
            cells = " | ".join("-" if share != share else f"{100 * share:.1f} %" for share in shares)
            print(f"| {name} | {cap} | {cells} | {figures.repeats:.1f} | {100 * figures.saving:.0f} % |")


if __name__ == "__main__":
    main()
