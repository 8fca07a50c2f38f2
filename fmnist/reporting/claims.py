"""The original report's claims, each held against the study that repeats it: confirmed, refuted or not decidable.

What each is read from stands in fmnist.reporting.claim_checks. A claim that nothing here repeats is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmnist.reporting.claim_checks import (
    Check,
    Reading,
    best,
    better,
    better_by,
    earlier_best_epoch,
    easiest_classes,
    hardest_class,
    larger_gap,
    more_consistent,
    not_better,
    not_repeated,
    not_told,
)
from fmnist.reporting.findings import Findings
from fmnist.tables import Table, records_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim, what became of it, and on what that stands."""

    words: str
    reading: Reading
    evidence: str


def claims_of(findings: Findings) -> list[Claim]:
    """Check the claims that this study repeats under the report's settings; none for any other study."""
    found = []
    for words, check in CLAIMS.get(findings.study.name, ()):
        reading, evidence = check(findings)
        found.append(Claim(words=words, reading=reading, evidence=evidence))
    return found


def claims_table(findings: Findings) -> Table | None:
    """The claims and what became of them; None for a study that repeats none."""
    claims = claims_of(findings)
    if not claims:
        return None
    rows = [{"claim": claim.words, "reading": claim.reading, "evidence": claim.evidence} for claim in claims]
    shown = [{"the report says": row["claim"], "here": row["reading"], "evidence": row["evidence"]} for row in rows]
    note = (
        '"About" is taken as within a quarter of the number said. Pairs: see the tables of pairs; shares of runs carry'
        " their 95 % Wilson interval."
    )
    return records_table("claims", "The original report's claims", rows, shown, note)


CLAIMS: Mapping[str, Sequence[tuple[str, Check]]] = {
    "comparison": (
        ("EfficientNet-style net is the most accurate", best("efficientnet_small")),
        ("own v3 is more accurate than own v1", better("own_v3", "own_v1")),
        ("own v3 is better than own v1 by about 2 points", better_by("own_v3", ["own_v1"], 2)),
        ("own v3 is better than LeNet-5 and Brownlee's by about 4 points",
         better_by("own_v3", ["lenet5", "brownlee"], 4)),
        ("own v2 is more consistent than own v1", more_consistent("own_v2", "own_v1")),
        ("own v2 is not better than own v1", not_better("own_v2", "own_v1")),
        ("LeNet-5 is more accurate than Brownlee's CNN (0.89 against 0.88)", better("lenet5", "brownlee")),
        ("Shirt is the hardest class, taken for T-shirt/top", hardest_class),
        ("Trouser and Sandal are the easiest classes", easiest_classes),
        ("The plain CNN overfits earlier than the EfficientNet-style net",
         earlier_best_epoch("own_v1", "efficientnet_small")),
        ("The plain CNN generalises worse than the EfficientNet-style net", larger_gap("own_v1", "efficientnet_small")),
        ("An exhaustive grid search tunes the own CNN", not_repeated("no study here repeats the grid search yet")),
    ),
    "timing": (
        ("The EfficientNet-style net takes longer to train than the own CNN",
         better("own_v3", "efficientnet_small", "train_seconds")),
        ("The EfficientNet-style net (19.95 MB) needs no more memory than the own CNN (20 to 30 MB)",
         not_better("own_v3", "efficientnet_small", "host_allocated_bytes")),
        ("The own CNN needs 20 to 30 MB", not_told("own_v3", "host_allocated_bytes")),
        ("The EfficientNet-style net needs 19.95 MB", not_told("efficientnet_small", "host_allocated_bytes")),
    ),
}  # fmt: skip
