"""The original report's claims, each held against the study that repeats it: confirmed, refuted or not decidable.

A claim is a quantity (fmnist.reporting.claim_checks) and the region in which the report says it lies; one evaluator
(fmnist.statistics.claim_evaluation) reads them all. A claim that nothing here repeats is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fmnist.reporting.claim_checks import (
    AccuracyDifference,
    BestEpoch,
    CostRatio,
    GeneralisationGap,
    MistakeGap,
    Part,
    Quantity,
    RecallGap,
    SpreadRatio,
    UndecidableError,
)
from fmnist.reporting.findings import Findings
from fmnist.reporting.original import OWN_CNN, is_package_study
from fmnist.statistics.claim_evaluation import Reading, Region, read_family
from fmnist.statistics.intervals import FAMILY_ERROR
from fmnist.study import DEFAULT_MARGINS
from fmnist.tables import NOTHING, Table, p_value, records_table

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
    quantity: Quantity
    region: Region
    margin: float = 0.0  # the smallest amount that matters; 0: none is set


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one claim, and on what that stands."""

    words: str
    reading: Reading
    remark: str = ""  # what the reading leaves out: sure, yet too small to matter
    evidence: str
    error: float = float("nan")  # p value of the reading, adjusted over the claims of the table
    generalises_to: str = ""


def outcomes_of(findings: Findings) -> list[Outcome]:
    """Read the claims that this study repeats; none for any other study, nor for one of the same name."""
    claims = CLAIMS.get(findings.study.name, ()) if is_package_study(findings.study) else ()
    measured, reasons = [], []
    for claim in claims:
        try:
            measured.append(claim.quantity.parts(findings))
            reasons.append("")
        except UndecidableError as error:
            measured.append([])
            reasons.append(str(error))
    looks = len(findings.study.design.looks) if findings.study.design else 1
    readings = read_family(
        [([part.estimate for part in parts], claim.region) for parts, claim in zip(measured, claims, strict=True)],
        looks,
    )
    tested = [
        _outcome(claim, parts, reason, reading, error, FAMILY_ERROR / (looks * len(claims)))
        for claim, parts, reason, (reading, error) in zip(claims, measured, reasons, readings, strict=True)
    ]
    return [*tested, *(UNTESTED.get(findings.study.name, ()) if claims else ())]


def _outcome(claim: Claim, parts: Sequence[Part], reason: str, reading: Reading, error: float, share: float) -> Outcome:
    """Put one claim's outcome into words; `share` is the error that Bonferroni leaves it."""
    shown = _deciding(parts, claim.region)
    return Outcome(
        words=claim.words,
        reading=reading,
        remark=_size_remark(claim, shown, reading, share),
        evidence=reason or "; ".join(_evidence(part, claim.quantity) for part in shown),
        error=float("nan") if reason else error,
        generalises_to=claim.quantity.generalises_to,
    )


def _deciding(parts: Sequence[Part], region: Region) -> list[Part]:
    """Choose of each group the part that decides: the one least within the region, or furthest outside."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.group, []).append(part)
    return [min(group, key=lambda part: region.depth(part.estimate.value)) for group in groups.values()]


def _evidence(part: Part, quantity: Quantity) -> str:
    return f"{part.words} {quantity.unit.text(part.estimate)} (n = {part.estimate.n})"


def _size_remark(claim: Claim, shown: Sequence[Part], reading: Reading, share: float) -> str:
    """Say where a difference is surely smaller than the smallest that matters."""
    bounds = [part.estimate.bounds(share) for part in shown]
    small = [-claim.margin < lower and upper < claim.margin for lower, upper in bounds]
    if not any(small) or (len(shown) > 1 and not all(small)):
        return ""
    amount = f"{claim.margin * claim.quantity.unit.scale:g} {claim.quantity.unit.name} that matter"
    return f"but by less than the {amount}" if reading == "confirmed" else f"any difference is less than the {amount}"


def claims_table(findings: Findings) -> Table | None:
    """The claims and what became of them; None for a study that repeats none."""
    outcomes = outcomes_of(findings)
    if not outcomes:
        return None
    raw = [
        {"claim": item.words, "reading": item.reading, "remark": item.remark, "p": item.error,
         "generalises_to": item.generalises_to, "evidence": item.evidence}
        for item in outcomes
    ]  # fmt: skip
    shown = [
        {
            "the report says": item.words,
            "here": ", ".join(text for text in (item.reading, item.remark) if text),
            "p": p_value(item.error),
            "holds for": item.generalises_to or NOTHING,
            "evidence": item.evidence,
        }
        for item in outcomes
    ]
    count = len(CLAIMS[findings.study.name])
    note = (
        f"p values are adjusted by Holm's procedure over the {count} claims that can be tested, so that the chance of"
        f" any false reading among them is at most {100 * FAMILY_ERROR:g} %; intervals are 95 % and each claim's own. A"
        " claim of several parts is confirmed where every part is, and refuted where one is surely false; shown is the"
        ' part that decides. "About" is taken as within a quarter of the number said, "not better" as better by less'
        f" than {100 * ACCURACY_MARGIN:g} points."
    )
    return records_table("claims", "The original report's claims", raw, shown, note)


CLAIMS: Mapping[str, Sequence[Claim]] = {
    "comparison": (
        Claim(words="EfficientNet-style net is the most accurate", quantity=AccuracyDifference("efficientnet_small"),
              region=ABOVE, margin=ACCURACY_MARGIN),
        Claim(words="own v3 is more accurate than own v1", quantity=AccuracyDifference("own_v3", ["own_v1"]),
              region=ABOVE, margin=ACCURACY_MARGIN),
        Claim(words="own v3 is better than own v1 by about 2 points",
              quantity=AccuracyDifference("own_v3", ["own_v1"]), region=about(2)),
        Claim(words="own v3 is better than LeNet-5 and Brownlee's by about 4 points",
              quantity=AccuracyDifference("own_v3", ["lenet5", "brownlee"]), region=about(4)),
        Claim(words="own v2 is more consistent than own v1", quantity=SpreadRatio("own_v2", "own_v1"), region=BELOW),
        Claim(words="own v2 is not better than own v1", quantity=AccuracyDifference("own_v2", ["own_v1"]),
              region=Region(high=ACCURACY_MARGIN), margin=ACCURACY_MARGIN),
        Claim(words="LeNet-5 is more accurate than Brownlee's CNN (0.89 against 0.88)",
              quantity=AccuracyDifference("lenet5", ["brownlee"]), region=ABOVE, margin=ACCURACY_MARGIN),
        Claim(words="Shirt is the hardest class", quantity=RecallGap(["Shirt"]), region=BELOW),
        Claim(words="Shirt is taken for T-shirt/top", quantity=MistakeGap("Shirt", "T-shirt/top"), region=ABOVE),
        Claim(words="Trouser and Sandal are the easiest classes", quantity=RecallGap(["Trouser", "Sandal"]),
              region=ABOVE),
        Claim(words="The plain CNN overfits earlier than the EfficientNet-style net",
              quantity=BestEpoch("own_v1", "efficientnet_small"), region=BELOW),
        Claim(words="The plain CNN generalises worse than the EfficientNet-style net",
              quantity=GeneralisationGap("own_v1", "efficientnet_small"), region=ABOVE),
    ),
    "timing": (
        Claim(words="The EfficientNet-style net takes longer to train than the own CNN (here three epochs each)",
              quantity=CostRatio("efficientnet_small", OWN_CNN, "train_seconds"), region=ABOVE),
        Claim(words="The EfficientNet-style net (19.95 MB) needs no more memory than the own CNN (20 to 30 MB)",
              quantity=CostRatio("efficientnet_small", OWN_CNN, "host_allocated_bytes"),
              region=Region(high=float(np.log1p(MEMORY_MARGIN)))),
    ),
}  # fmt: skip

UNTESTED: Mapping[str, Sequence[Outcome]] = {
    "comparison": (
        Outcome(words="An exhaustive grid search tunes the own CNN", reading="open",
                evidence="no study here repeats the grid search yet"),
    ),
    "timing": (
        Outcome(words="The own CNN needs 20 to 30 MB, the EfficientNet-style net 19.95 MB", reading="not decidable",
                evidence="how the report measured memory is not said"),
    ),
}  # fmt: skip
