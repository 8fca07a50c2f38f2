"""Adds repeats until every pair is decided: the sweep's side of the design in `fmnist.compare.sequential`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from fmnist.compare import Design, PairDecision, next_analysis, open_labels, planned_analyses
from fmnist.declare import METRICS, Study
from fmnist.report import select_studies
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.study_job import opened, report, say


def run_until_decided(study: Study, options: StudyOptions, console: Console, metric: str, cap: int) -> int:
    """Compute up to the next analysis, decide, continue with the labels of open pairs, until none is left or `cap`.

    The analyses follow from `cap` alone, so that the same command, stopped and started again, makes the same ones.
    Returns the number of runs without a row in the results, as `run_study`. ValueError for a cap below 3.
    """
    analyses = planned_analyses(cap)
    design = Design(metric=metric, analyses=analyses)
    given_up = 0
    with opened(study, options, console) as job:
        repeats, labels = analyses[0], [configuration.label for configuration in study.configurations]
        job.write_manifest(analyses[0], design)
        while True:
            left = tuple(configuration for configuration in study.configurations if configuration.label in labels)
            given_up += job.compute(replace(study, configurations=left, repeats=repeats))
            decisions = select_studies(job.store, [study.name])[0].decisions(design)
            _print_decisions(console, decisions, metric, repeats)
            following = next_analysis(decisions, analyses)
            if following is None or following <= repeats:
                break
            repeats, labels = following, open_labels(decisions)
    return given_up + report(job)


def _print_decisions(console: Console, decisions: Sequence[PairDecision], metric: str, repeats: int) -> None:
    undecided = [f"{item.a} and {item.b}" for item in decisions if item.verdict == "inconclusive"]
    decided = f"{len(decisions) - len(undecided)} of {len(decisions)} pairs decided"
    say(console, f"{repeats} repeats, {METRICS[metric].label}: {decided}")
    if undecided:
        say(console, f"Undecided: {', '.join(undecided)}")
