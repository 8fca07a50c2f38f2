"""The original report's claims, each compared with the study that repeats it: confirmed, refuted or not decidable.

A claim is a quantity, measured by claim_measures, and the region in which the report says it lies; one evaluator
(fmnist.compare) reads them all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import fmnist.report.chapters.claim_measures as measure
from fmnist.compare import FAMILY_ERROR, ClaimVerdict, Region, claim_verdicts
from fmnist.declare import DEFAULT_MARGINS
from fmnist.report.chapters.claim_measures import EPOCHS, NEW_IMAGES, NEW_SEEDS, POINTS, TIMES, Part, Unit
from fmnist.report.chapters.original_report import OWN_CNN, is_package_study
from fmnist.report.study_data import StudyData
from fmnist.report.table import Columns, Row, Table, make_table
from fmnist.report.text import number, p_value

BELOW, ABOVE = Region(high=0.0), Region(low=0.0)
ACCURACY_MARGIN = DEFAULT_MARGINS["test_accuracy"]  # the smallest difference that matters
MEMORY_MARGIN = DEFAULT_MARGINS["host_allocated_bytes"]


def about(points: float) -> Region:
    """Take "about so many percentage points" as within a quarter of the number said."""
    return Region(low=0.75 * points / 100, high=1.25 * points / 100)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the report says, and what is to be measured for it and where it must lie."""

    words: str
    measure: Callable[..., list[Part]]  # of claim_measures
    of: tuple[str, ...]  # what it is measured of: the arguments of `measure` behind the data
    region: Region
    margin: float = 0.0  # the smallest amount that matters; 0: none is set
    unit: Unit = POINTS
    generalises_to: str = NEW_IMAGES


def outcomes_of(data: StudyData) -> list[Row]:
    """Read the claims that this study repeats: what became of each, and on what that stands; none for other studies."""
    if data.study.name not in CLAIMS or not is_package_study(data.study):
        return []
    claims = CLAIMS[data.study.name]
    measured = [_measured(claim, data) for claim in claims]
    analyses = len(data.study.design.analyses) if data.study.design else 1
    estimates = [[part.estimate for part in parts] for parts, _ in measured]
    readings = claim_verdicts(list(zip(estimates, (claim.region for claim in claims), strict=True)), analyses)
    share = FAMILY_ERROR / (analyses * len(claims))
    tested = [
        _outcome(claim, parts, reason, reading, error, share)
        for claim, (parts, reason), (reading, error) in zip(claims, measured, readings, strict=True)
    ]
    return [*tested, *UNTESTED.get(data.study.name, ())]


def _measured(claim: Claim, data: StudyData) -> tuple[list[Part], str]:
    """Measure the parts of a claim, or say why that cannot be."""
    try:
        return claim.measure(data, *claim.of), ""
    except measure.UndecidableError as error:
        return [], str(error)


def _outcome(
    claim: Claim, parts: Sequence[Part], reason: str, reading: ClaimVerdict, error: float, share: float
) -> Row:
    """Put one claim's outcome into words; `share` is the error that Bonferroni leaves it."""
    shown = _deciding(parts, claim.region)
    return {
        "claim": claim.words,
        "reading": reading,
        "remark": _size_remark(claim, shown, reading, share),
        "p": float("nan") if reason else error,  # adjusted over the claims of the table
        "generalises_to": claim.generalises_to,
        "evidence": reason or "; ".join(f"{part.words} {claim.unit.text(part.estimate)}" for part in shown),
    }


def _deciding(parts: Sequence[Part], region: Region) -> list[Part]:
    """Choose of each group the part that decides: the one least within the region, or furthest outside."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.group, []).append(part)
    return [min(group, key=lambda part: region.depth(part.estimate.value)) for group in groups.values()]


def _size_remark(claim: Claim, shown: Sequence[Part], reading: ClaimVerdict, share: float) -> str:
    """Say where a difference is significantly smaller than the smallest that matters."""
    bounds = [part.estimate.interval(share) for part in shown]
    small = [-claim.margin < lower and upper < claim.margin for lower, upper in bounds]
    if not small or not all(small):
        return ""
    amount = f"{claim.margin * claim.unit.scale:g} {claim.unit.name} that matter"
    return f"but by less than the {amount}" if reading == "confirmed" else f"any difference is less than the {amount}"


def claims_table(data: StudyData) -> Table | None:
    """The claims and what became of them; None for a study that repeats none."""
    columns: Columns = {
        "the report says": "claim",
        "here": lambda row: ", ".join(filter(None, (row["reading"], row["remark"]))),
        "p": lambda row: p_value(row["p"]),
        "holds for": "generalises_to",
        "evidence": "evidence",
    }
    count = len(CLAIMS.get(data.study.name, ()))
    adjusted = (
        f"p values are adjusted by Holm's procedure over the {number(count)} claims that can be tested, so that the"
        f" chance of any false reading among them is at most {100 * FAMILY_ERROR:g} %; intervals"
    )
    note = (
        f"{adjusted if count > 1 else 'Intervals'} are 95 % and each claim's own. A claim of several parts is confirmed"
        " where every part is, and refuted where one is; shown is the part that decides."
        ' "About" is taken as within a quarter of the number said, "not better" as better by'
        f" less than {100 * ACCURACY_MARGIN:g} percentage points (pp)."
    )
    return make_table("claims", "The original report's claims", outcomes_of(data), columns, note, is_main=True)


CLAIMS: Mapping[str, Sequence[Claim]] = {
    "comparison": (
        Claim("EfficientNet-style net is the most accurate",
              measure.accuracy_gap, ("efficientnet_small",), ABOVE, margin=ACCURACY_MARGIN),
        Claim("own v3 is more accurate than own v1",
              measure.accuracy_gap, ("own_v3", "own_v1"), ABOVE, margin=ACCURACY_MARGIN),
        Claim("own v3 is better than own v1 by about 2 percentage points",
              measure.accuracy_gap, ("own_v3", "own_v1"), about(2)),
        Claim("own v3 is better than LeNet-5 and Brownlee's by about 4 percentage points",
              measure.accuracy_gap, ("own_v3", "lenet5", "brownlee"), about(4)),
        Claim("own v2 is more consistent than own v1",
              measure.spread_ratio, ("own_v2", "own_v1"), BELOW, unit=TIMES, generalises_to=NEW_SEEDS),
        Claim("own v2 is not better than own v1",
              measure.accuracy_gap, ("own_v2", "own_v1"), Region(high=ACCURACY_MARGIN), margin=ACCURACY_MARGIN),
        Claim("LeNet-5 is more accurate than Brownlee's CNN (0.89 against 0.88)",
              measure.accuracy_gap, ("lenet5", "brownlee"), ABOVE, margin=ACCURACY_MARGIN),
        Claim("Shirt is the hardest class", measure.recall_gap, ("Shirt",), BELOW),
        Claim("Shirt is taken for T-shirt/top", measure.mistake_gap, ("Shirt", "T-shirt/top"), ABOVE),
        Claim("Trouser and Sandal are the easiest classes", measure.recall_gap, ("Trouser", "Sandal"), ABOVE),
        Claim("The plain CNN overfits earlier than the EfficientNet-style net",
              measure.best_epoch_gap, ("own_v1", "efficientnet_small"), BELOW, unit=EPOCHS, generalises_to=NEW_SEEDS),
        Claim("The plain CNN generalises worse than the EfficientNet-style net",
              measure.generalisation_gap, ("own_v1", "efficientnet_small"), ABOVE),
    ),
    "timing": (
        Claim("The EfficientNet-style net takes longer to train than the own CNN (here three epochs each)",
              measure.cost_ratio, ("efficientnet_small", OWN_CNN, "train_seconds"), ABOVE, unit=TIMES,
              generalises_to=NEW_SEEDS),
        Claim("The EfficientNet-style net (19.95 MB) needs no more memory than the own CNN (20 to 30 MB)",
              measure.cost_ratio, ("efficientnet_small", OWN_CNN, "host_allocated_bytes"),
              Region(high=float(np.log1p(MEMORY_MARGIN))), unit=TIMES, generalises_to=NEW_SEEDS),
    ),
    "winners": (
        Claim("An exhaustive grid search of the own CNN finds nothing better than its settings (here two epochs a run)",
              measure.tuning_gain, (OWN_CNN,), Region(high=ACCURACY_MARGIN), margin=ACCURACY_MARGIN),
    ),
}  # fmt: skip

# claims that nothing here can test
UNTESTED: Mapping[str, Sequence[Row]] = {
    "timing": [{"claim": "The own CNN needs 20 to 30 MB, the EfficientNet-style net 19.95 MB",
                "reading": "not decidable", "remark": "", "p": float("nan"),
                "evidence": "how the report measured memory is not said"}],
}  # fmt: skip
