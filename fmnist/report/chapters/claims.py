"""The original report's claims, each held against the study that repeats it: confirmed, refuted or not decidable.

A claim is a quantity, measured by fmnist.report.chapters.claim_measures, and the region in which the report says it lies; one
evaluator (fmnist.compare.claims) reads them all. A claim that nothing here repeats is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fmnist.compare import FAMILY_ERROR, ClaimVerdict, Region, claim_verdicts
from fmnist.declare import DEFAULT_MARGINS
from fmnist.report.chapters.claim_measures import (
    EPOCHS,
    NEW_IMAGES,
    NEW_SEEDS,
    POINTS,
    TIMES,
    Part,
    UndecidableError,
    Unit,
    accuracy_gap,
    best_epoch_gap,
    cost_ratio,
    generalisation_gap,
    mistake_gap,
    recall_gap,
    spread_ratio,
)
from fmnist.report.chapters.original_report import OWN_CNN, is_package_study
from fmnist.report.study_data import Findings
from fmnist.report.table import Columns, Table, make_table, p_value

BELOW, ABOVE = Region(high=0.0), Region(low=0.0)
ACCURACY_MARGIN = DEFAULT_MARGINS["test_accuracy"]  # the smallest difference that matters
MEMORY_MARGIN = DEFAULT_MARGINS["host_allocated_bytes"]


def about(points: float) -> Region:
    """Take "about so many points" as within a quarter of the number said."""
    return Region(low=0.75 * points / 100, high=1.25 * points / 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the report says, and what is to be measured for it and where it must lie."""

    words: str
    measure: Callable[..., list[Part]]  # of claim_checks
    of: tuple[str, ...]  # what it is measured of: the arguments of `measure` behind the findings
    region: Region
    margin: float = 0.0  # the smallest amount that matters; 0: none is set
    unit: Unit = POINTS
    generalises_to: str = NEW_IMAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one claim, and on what that stands: a row of the table."""

    claim: str
    reading: ClaimVerdict
    remark: str = ""  # what the reading leaves out: sure, yet too small to matter
    p: float = float("nan")  # of the reading, adjusted over the claims of the table
    generalises_to: str = ""
    evidence: str


def outcomes_of(findings: Findings) -> list[Outcome]:
    """Read the claims that this study repeats; none for any other study, nor for one of the same name."""
    if findings.study.name not in CLAIMS or not is_package_study(findings.study):
        return []
    claims = CLAIMS[findings.study.name]
    measured = [_measured(claim, findings) for claim in claims]
    analyses = len(findings.study.design.analyses) if findings.study.design else 1
    estimates = [[part.estimate for part in parts] for parts, _ in measured]
    readings = claim_verdicts(list(zip(estimates, (claim.region for claim in claims), strict=True)), analyses)
    share = FAMILY_ERROR / (analyses * len(claims))
    tested = [
        _outcome(claim, parts, reason, reading, error, share)
        for claim, (parts, reason), (reading, error) in zip(claims, measured, readings, strict=True)
    ]
    return [*tested, *UNTESTED[findings.study.name]]


def _measured(claim: Claim, findings: Findings) -> tuple[list[Part], str]:
    """Measure the parts of a claim, or say why that cannot be."""
    try:
        return claim.measure(findings, *claim.of), ""
    except UndecidableError as error:
        return [], str(error)


def _outcome(
    claim: Claim, parts: Sequence[Part], reason: str, reading: ClaimVerdict, error: float, share: float
) -> Outcome:
    """Put one claim's outcome into words; `share` is the error that Bonferroni leaves it."""
    shown, unit = _deciding(parts, claim.region), claim.unit
    return Outcome(
        claim=claim.words,
        reading=reading,
        remark=_size_remark(claim, shown, reading, share),
        p=float("nan") if reason else error,
        generalises_to=claim.generalises_to,
        evidence=reason or "; ".join(f"{part.words} {unit.text(part.estimate)}" for part in shown),
    )


def _deciding(parts: Sequence[Part], region: Region) -> list[Part]:
    """Choose of each group the part that decides: the one least within the region, or furthest outside."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.group, []).append(part)
    return [min(group, key=lambda part: region.depth(part.estimate.value)) for group in groups.values()]


def _size_remark(claim: Claim, shown: Sequence[Part], reading: ClaimVerdict, share: float) -> str:
    """Say where a difference is surely smaller than the smallest that matters."""
    bounds = [part.estimate.interval(share) for part in shown]
    small = [-claim.margin < lower and upper < claim.margin for lower, upper in bounds]
    if not small or not all(small):
        return ""
    amount = f"{claim.margin * claim.unit.scale:g} {claim.unit.name} that matter"
    return f"but by less than the {amount}" if reading == "confirmed" else f"any difference is less than the {amount}"


def claims_table(findings: Findings) -> Table | None:
    """The claims and what became of them; None for a study that repeats none."""
    rows = [asdict(outcome) for outcome in outcomes_of(findings)]
    columns: Columns = {
        "the report says": "claim",
        "here": lambda row: ", ".join(filter(None, (row["reading"], row["remark"]))),
        "p": lambda row: p_value(row["p"]),
        "holds for": "generalises_to",
        "evidence": "evidence",
    }
    count = len(CLAIMS.get(findings.study.name, ()))
    note = (
        f"p values are adjusted by Holm's procedure over the {count} claims that can be tested, so that the chance of"
        f" any false reading among them is at most {100 * FAMILY_ERROR:g} %; intervals are 95 % and each claim's own. A"
        " claim of several parts is confirmed where every part is, and refuted where one is surely false; shown is the"
        ' part that decides. "About" is taken as within a quarter of the number said, "not better" as better by less'
        f" than {100 * ACCURACY_MARGIN:g} points."
    )
    return make_table("original", "claims", "The original report's claims", rows, columns, note)


CLAIMS: Mapping[str, Sequence[Claim]] = {
    "comparison": (
        Claim(words="EfficientNet-style net is the most accurate",
              measure=accuracy_gap, of=("efficientnet_small",), region=ABOVE, margin=ACCURACY_MARGIN),
        Claim(words="own v3 is more accurate than own v1",
              measure=accuracy_gap, of=("own_v3", "own_v1"), region=ABOVE, margin=ACCURACY_MARGIN),
        Claim(words="own v3 is better than own v1 by about 2 points",
              measure=accuracy_gap, of=("own_v3", "own_v1"), region=about(2)),
        Claim(words="own v3 is better than LeNet-5 and Brownlee's by about 4 points",
              measure=accuracy_gap, of=("own_v3", "lenet5", "brownlee"), region=about(4)),
        Claim(words="own v2 is more consistent than own v1",
              measure=spread_ratio, of=("own_v2", "own_v1"), region=BELOW, unit=TIMES, generalises_to=NEW_SEEDS),
        Claim(words="own v2 is not better than own v1", measure=accuracy_gap, of=("own_v2", "own_v1"),
              region=Region(high=ACCURACY_MARGIN), margin=ACCURACY_MARGIN),
        Claim(words="LeNet-5 is more accurate than Brownlee's CNN (0.89 against 0.88)",
              measure=accuracy_gap, of=("lenet5", "brownlee"), region=ABOVE, margin=ACCURACY_MARGIN),
        Claim(words="Shirt is the hardest class", measure=recall_gap, of=("Shirt",), region=BELOW),
        Claim(words="Shirt is taken for T-shirt/top", measure=mistake_gap, of=("Shirt", "T-shirt/top"), region=ABOVE),
        Claim(words="Trouser and Sandal are the easiest classes",
              measure=recall_gap, of=("Trouser", "Sandal"), region=ABOVE),
        Claim(words="The plain CNN overfits earlier than the EfficientNet-style net", measure=best_epoch_gap,
              of=("own_v1", "efficientnet_small"), region=BELOW, unit=EPOCHS, generalises_to=NEW_SEEDS),
        Claim(words="The plain CNN generalises worse than the EfficientNet-style net",
              measure=generalisation_gap, of=("own_v1", "efficientnet_small"), region=ABOVE),
    ),
    "timing": (
        Claim(words="The EfficientNet-style net takes longer to train than the own CNN (here three epochs each)",
              measure=cost_ratio, of=("efficientnet_small", OWN_CNN, "train_seconds"), region=ABOVE,
              unit=TIMES, generalises_to=NEW_SEEDS),
        Claim(words="The EfficientNet-style net (19.95 MB) needs no more memory than the own CNN (20 to 30 MB)",
              measure=cost_ratio, of=("efficientnet_small", OWN_CNN, "host_allocated_bytes"),
              region=Region(high=float(np.log1p(MEMORY_MARGIN))), unit=TIMES, generalises_to=NEW_SEEDS),
    ),
}  # fmt: skip

UNTESTED: Mapping[str, Sequence[Outcome]] = {
    "comparison": (
        Outcome(claim="An exhaustive grid search tunes the own CNN", reading="open",
                evidence="no study here repeats the grid search yet"),
    ),
    "timing": (
        Outcome(claim="The own CNN needs 20 to 30 MB, the EfficientNet-style net 19.95 MB", reading="not decidable",
                evidence="how the report measured memory is not said"),
    ),
}  # fmt: skip
