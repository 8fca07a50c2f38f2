"""What is special about a pair, in plain words for the report."""

from __future__ import annotations

from collections.abc import Sequence

from fmnist.statistics.intervals import join_notes

MOST_NAMED = 5  # repeats named one by one


def missing_words(a: str, b: str, repeats: Sequence[int]) -> str:
    """Say which repeats have a value of one of the two only."""
    if not repeats:
        return ""
    named = ", ".join(str(repeat) for repeat in repeats[:MOST_NAMED])
    more = f" and {len(repeats) - MOST_NAMED} more" if len(repeats) > MOST_NAMED else ""
    one = len(repeats) == 1
    return (
        f"Repeat{'' if one else 's'} {named}{more} {'has' if one else 'have'} a value of only one of {a} and {b} and"
        f" {'is' if one else 'are'} left out: the comparison speaks of runs that both finish."
    )


def size_words(n: int, *, no_ratio: int) -> str:
    """Say what too few common repeats mean; `no_ratio` counts common repeats with a value of 0 or less."""
    ratio = f"{no_ratio} common repeat{'s' if no_ratio > 1 else ''} with a value of 0 or less: no ratio." * bool(
        no_ratio
    )
    if n == 0:
        return join_notes(ratio, "No repeat in common: nothing to compare.")
    if n == 1:
        return join_notes(ratio, "One common repeat: a difference without a spread, which no test can judge.")
    return ratio


def basis_words(basis: str, mean: float, n: int) -> str:
    """Say what decides where it is not the paired t test; `mean` is the mean difference."""
    if basis == "value":
        return "Fixed by the architecture and equal in every run: compared as it is, without a test."
    if basis == "signed rank" and mean == 0:
        return f"Both have the same value in each of the {n} repeats; the signed-rank test decides."
    if basis == "signed rank":
        return f"The difference is the same in each of the {n} repeats: no spread for t, the signed-rank test decides."
    return ""


def agreement_words(*, n: int, alpha: float, verdict: str, t_p_holm: float, signed_rank_p_holm: float) -> str:
    """Say where the verdict would change with the test: a sure but small difference, or ranks that disagree."""
    sure = t_p_holm <= alpha
    if verdict == "equivalent" and sure:
        return "The difference is sure, but smaller than the margin that matters."
    if verdict in ("better", "worse") and sure and signed_rank_p_holm > alpha:
        if 2.0 ** (1 - n) > alpha:
            return f"The signed-rank test cannot fall below p = {2.0 ** (1 - n):.3g} at n = {n} and confirms nothing."
        return f"The signed-rank test does not confirm it (adjusted p = {signed_rank_p_holm:.3g})."
    if verdict == "undecided" and signed_rank_p_holm <= alpha:
        return (
            f"The signed-rank test would see a difference (adjusted p = {signed_rank_p_holm:.3g}): look for outliers."
        )
    return ""
