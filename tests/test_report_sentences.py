"""Every sentence of a report is compared with the rows: what it claims is computed here again, by scipy and pandas.

A case is a made-up study; its answer, missing words, methods and tables are rendered as a report composes them.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fmnist.data.dataset import Dataset
from fmnist.declare.metrics import METRICS
from fmnist.report.chapter import StudyReport
from fmnist.report.chapters import report_study
from fmnist.report.selection import select_studies
from fmnist.report.study_data import MOST_COMPARED, StudyData, gather
from fmnist.report.table import Table
from fmnist.report.text import in_unit
from fmnist.store.schema import SCALAR_COLUMNS
from fmnist.store.store import Store
from tests.synthetic_rows import (
    DATA_FINGERPRINT,
    Maker,
    _circumstances,
    _identity,
    balanced_labels,
    manifest_of,
    study_data_of,
    table_of,
)

Values = Mapping[str, Sequence[float | None]]  # test accuracy by repeat; None: no row
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Case:
    """A study by the test accuracy of its runs, and what is special about it."""

    name: str
    accuracies: Values
    repeats: int
    change: Callable[[dict[str, Any]], dict[str, Any]] = dict  # of each row
    manifest: dict[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()  # somewhere in the text
    says_not: tuple[str, ...] = ()
    answers_not: tuple[str, ...] = ()  # in the answer

    @property
    def metric(self) -> str:
        return str(self.manifest.get("primary_metric", "test_accuracy"))


def noisy(k: int, n: int, *, step: float = 0.001, spread: float = 0.002, start: float = 0.9) -> dict[str, list[float]]:
    """Accuracies of k configurations in n repeats, multiples of 1e-4 as 10,000 images give them."""
    drawn = np.random.default_rng([k, n]).normal(0, spread, (k, n))
    return {f"c{place:02}": list(np.round(start + step * place + drawn[place], 4)) for place in range(k)}


def around(gaps: Sequence[float], n: int, spread: float = 0.0004) -> dict[str, list[float]]:
    """Configurations away from 0.9 by gaps, each repeat moved alike and a little apart."""
    drawn = np.random.default_rng(n).normal(0, spread, (len(gaps), n))
    return {f"c{place:02}": list(np.round(0.9 + gap + drawn[place], 5)) for place, gap in enumerate(gaps)}


def changed(**columns: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {**row, **columns}


def changed_of(label: str, **columns: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {**row, **columns} if row["label"] == label else row


def failed(row: dict[str, Any]) -> dict[str, Any]:
    measured = dict.fromkeys(METRICS)
    return {**row, **measured, "status": "failed", "error": "MemoryError: the process was killed"}


def design(*analyses: int) -> dict[str, Any]:
    return {"sequential_design": {"metric": "test_accuracy", "looks": list(analyses)}}


EARLY = [0.93, 0.931, 0.929, 0.932, 0.93]
HOSTILE = ("[/b] & <i>", "a, b and c", "50 % of 3 configurations", "x; y_z\\n", "{{ 1 + 1 }}")
CASES = [
    *(Case(name=f"{k}x{n}", accuracies=noisy(k, n), repeats=n) for k in (1, 2, 3, 12, 40) for n in (1, 2, 3, 30)),
    Case(name="all tied", accuracies={label: [0.9] * 6 for label in "abc"}, repeats=6,
         says=("All 3 configurations have the same mean test accuracy, 90.00 %; what follows speaks of a.",
               "All values equal, no interval: every configuration."), says_not=("highest",)),
    Case(name="two tied", accuracies={"a": [0.9] * 6, "b": [0.9] * 6, "c": [0.8] * 6}, repeats=6,
         says=("a and b of 3 configurations have the same highest mean test accuracy, 90.00 %",)),
    Case(name="all failed", accuracies=noisy(3, 2), repeats=2, change=failed,
         says=("There is no answer: no run has a test accuracy (6 failed). The first error is: MemoryError",
               "n = 0 finished runs each")),
    Case(name="one left", accuracies=noisy(3, 3), repeats=3,
         change=lambda row: row if row["label"] == "c02" else failed(row),
         says=("c02 has a mean test accuracy of", "No other configuration has a test accuracy to compare it with.",
               "n = 0 to 3 finished runs each"), says_not=("There is no other configuration",)),
    Case(name="one failed", accuracies=noisy(3, 8), repeats=8,
         change=lambda row: failed(row) if row["label"] == "c02" else row,
         says=("of 2 configurations: ", "Runs that failed: c02 8.")),
    Case(name="one without the primary metric", accuracies=noisy(3, 8), repeats=8,
         change=changed_of("c01", test_loss=None), manifest={"primary_metric": "test_loss"},
         says=("c01 finished without a test loss: left out where that is compared.", "of 2 configurations: ")),
    Case(name="transfer", accuracies=noisy(3, 8), repeats=8,
         change=changed_of("c01", train_images=1000, pretraining="half_classes", frozen="half", initial_weights="ab"),
         says=("With train_images, so many of them", "With pretraining, the layers before the output first learnt",
               "With initial_weights, those layers started from a file", "Frozen layers were not trained")),
    Case(name="no transfer", accuracies=noisy(3, 8), repeats=8,
         change=changed(train_images=None, pretraining="none", frozen="none", initial_weights=""),
         says_not=("train_images", "With pretraining", "initial_weights", "rozen")),
    Case(name="mixed hardware", accuracies=noisy(3, 8), repeats=8, change=changed_of("c01", device_model="Xeon"),
         says=("Mixed hardware: not compared", "2 kinds of hardware",
               "`python jobs/study.py made_up --placement exclusive --results FOLDER` with a folder of its own"),
         says_not=("Name one", "hared", "resumed from", "study.py timing")),
    Case(name="all resumed", accuracies=noisy(3, 8), repeats=8, change=changed(resumed=True),
         says=("Disturbed or resumed runs: not compared", "were resumed from a checkpoint"),
         says_not=("Mixed hardware", "shared")),
    Case(name="one resumed", accuracies=noisy(3, 8), repeats=8, change=changed_of("c01", resumed=True),
         says=("Exclusive rows of one hardware. c01 has none.",),
         says_not=("not compared", "Mixed hardware", "shared")),
    Case(name="shared", accuracies=noisy(3, 8), repeats=8, change=changed(placement="shared", neighbours=1),
         manifest={"placement": "shared"},
         says=("Shared placement: not compared", "Every run shared its machine; for clean figures run `python"
               " jobs/study.py made_up --placement exclusive`"), says_not=("Mixed hardware", "study.py timing")),
    Case(name="hostile labels", accuracies=dict(zip(HOSTILE, noisy(5, 8).values(), strict=True)), repeats=8),
    Case(name="no common repeat", repeats=6,
         accuracies={"a": [0.9, 0.91, 0.905, *[None] * 3], "b": [*[None] * 3, 0.8, 0.82, 0.81]},
         says=("differs from b (no repeat in common)", "No repeat in common: nothing to compare.",
                          "6 repeats with a value of only one of the two are left out."), says_not=("common repeat ",)),
    Case(name="one common repeat", accuracies={"a": [0.9, 0.91, 0.905, None], "b": [None, None, 0.8, 0.82]}, repeats=4,
         says=("b (one common repeat shows no spread to judge by)", "a lacks 1 repeat of 4 (3)",
               "b lacks 2 repeats of 4 (0, 1)")),
    Case(name="unlike n", accuracies={label: [*values, *([0.93] * 5 if label == "c01" else [None] * 5)]
                                  for label, values in around((0, 0.005), 10).items()}, repeats=15,
         says=("(n = 10 common repeats)",)),
    Case(name="equivalent", accuracies=around((0, 0, 0), 30), repeats=30, says=("It is practically equivalent to",)),
    Case(name="sure but small", accuracies=around((0, 0.0008), 30, 0.0002), repeats=30,
         says=("The difference is significant, but smaller than the margin that matters.",)),
    Case(name="hardly any difference", accuracies=around((0, 0.00001, 0.00002), 30), repeats=30),
    Case(name="near none", accuracies=around((0, 0.000035), 30, 0.00003), repeats=30, manifest={"margins": {}}),
    Case(name="times", accuracies=noisy(12, 6), repeats=6, manifest={"primary_metric": "train_seconds"},
         says=("has the lowest mean training time of 12 configurations",)),
    Case(name="two alone", accuracies=noisy(2, 8, step=0.02), repeats=8, answers_not=("Holm", "adjust")),
    Case(name="not looked at", accuracies=noisy(3, 4), repeats=4, manifest=design(5, 20),
         says=("Every pair: Not analysed yet: the first analysis is at 5 repeats.",), answers_not=(" would decide",)),
    Case(name="inconclusive at analysis 1", accuracies=noisy(3, 6, step=0.002), repeats=5, manifest=design(5, 20),
         says=("the next analysis is at 20 repeats",), answers_not=(" would decide", "a few more", "margin")),
    Case(name="inconclusive at the end", accuracies=noisy(2, 8, step=0.0), repeats=8, manifest=design(5, 8),
         says=("that was the last analysis",), answers_not=(" would decide",)),
    Case(name="decided for the leader, then turned", repeats=5, manifest=design(5, 21),
         accuracies={"a": EARLY + [0.88, 0.879] * 4 + [0.99] * 8, "b": [0.9] * 13 + [None] * 8},
         says=("a has the highest mean", "It is better than b (analysis 1, n = 5, though \N{MINUS SIGN}0.09",
               "points over all 13 since)"), says_not=("b by",)),
    Case(name="decided, then turned", repeats=5,
         accuracies={"a": EARLY + [0.88, 0.879] * 4, "b": [0.9, 0.9, 0.901, 0.9, 0.899] + [0.9] * 8},
         manifest=design(5, 13),
         says=("b has the highest mean test accuracy of 2 configurations", "By the design's decision it is worse than a"
               " (analysis 1, n = 5, though +0.09", "points over all 13 since)",
               "point the other way; the decision stands"),
         says_not=("On the repeats they share",)),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def rows_of_case(case: Case) -> pd.DataFrame:
    rows = []
    for place, (label, values) in enumerate(case.accuracies.items()):
        for repeat, value in enumerate(values):
            if value is None:
                continue
            maker = Maker(label=label, accuracy=value, architecture="lenet5")
            seconds = 60 * (1.02**place) * float(np.random.default_rng([place, repeat]).lognormal(0, 0.02))
            row = {
                **_identity(maker, repeat, "made_up", DATA_FINGERPRINT),
                **_circumstances("exclusive", "EPYC", repeat, place),
                "status": "ok", "test_accuracy": value, "validation_accuracy": value, "train_accuracy": value + 0.02,
                "test_loss": 1 - value, "best_epoch": 3 + place % 2, "epochs_run": 5, "train_seconds": seconds,
                "epoch_seconds": seconds / 5, "total_seconds": 1.1 * seconds, "parameter_count": 1000 + place,
                "host_allocated_bytes": int(seconds * 2**21),
            }  # fmt: skip
            rows.append(case.change(row))
    return table_of(rows).select(list(SCALAR_COLUMNS)).to_pandas()


def data_of_case(case: Case, folder: Path) -> tuple[StudyData, pd.DataFrame]:
    makers = [Maker(label=label, accuracy=0.9, architecture="lenet5") for label in case.accuracies]
    store, rows = Store(folder), rows_of_case(case)
    store.write_manifest(manifest_of(makers, case.repeats, **case.manifest))
    (study,) = select_studies(store, ["made_up"], rows)
    return gather(study, store, None, "no data"), rows[rows["repeat"] < len(next(iter(case.accuracies.values())))]


def report_of(data: StudyData) -> StudyReport:
    return report_study(data, {})  # no figure is drawn


def tables_of(data: StudyData) -> list[Table]:
    return [table for chapter in report_of(data).chapters for table in chapter.tables]


def text_of(data: StudyData) -> str:
    """All prose of a study's part of a report."""
    report = report_of(data)
    parts = [report.answer, *report.missing, *(words for chapter in report.chapters for words in chapter.text)]
    return "\n".join([*parts, *(words for table in tables_of(data) for words in (table.title, table.note))])


@dataclass(frozen=True)
class Truth:
    """What the rows say of the primary metric, of the labels that a report shows."""

    means: pd.Series  # by label, the best first
    n: pd.Series
    pairs: pd.DataFrame  # columns a, b in both orders, n, gain (positive: a is better), p, equal_p, verdict


def truth_of(case: Case, data: StudyData, rows: pd.DataFrame) -> Truth:
    metric = METRICS[case.metric]
    there = rows[(rows["status"] == "ok") & rows[case.metric].notna() & rows["label"].isin(data.compared_labels)]
    table = there.pivot_table(index="repeat", columns="label", values=case.metric)
    sign = 1 if metric.direction == "up" else -1
    means = table.mean().sort_values(ascending=sign < 0)
    records = []
    for a, b in itertools.combinations(means.index, 2):
        both = table[[a, b]].dropna()
        scaled = np.log(both) if metric.by_ratio else both
        records.append(
            {
                "a": a,
                "b": b,
                "n": len(both),
                **figures_of(sign * (scaled[a] - scaled[b]).to_numpy(), by_ratio=metric.by_ratio),
            }
        )
    pairs = pd.DataFrame(records, columns=["a", "b", "n", "gain", "p", "equal_p"])
    for name in ("p", "equal_p"):
        pairs[name] = holm_by_hand(pairs[name].to_numpy(float))
    differs = np.where(pairs["gain"] > 0, "better", "worse")
    decided = np.where(pairs["p"] <= LEVEL, differs, "inconclusive")
    pairs["verdict"] = np.where(pairs["equal_p"] <= LEVEL, "equivalent", decided)
    opposite = {"better": "worse", "worse": "better"}
    turned = pairs.assign(a=pairs["b"], b=pairs["a"], gain=-pairs["gain"], verdict=pairs["verdict"].replace(opposite))
    return Truth(means, table.count(), pd.concat([pairs, turned], ignore_index=True))


def figures_of(gains: np.ndarray, *, by_ratio: bool) -> dict[str, float]:
    margin = np.log(1.05) if by_ratio else 0.002
    if len(gains) < 2 or np.ptp(gains) < 1e-9:
        return {"gain": gains.mean() if len(gains) else np.nan, "p": np.nan, "equal_p": np.nan}
    above = stats.ttest_1samp(gains, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(gains, margin, alternative="less").pvalue
    return {"gain": gains.mean(), "p": stats.ttest_1samp(gains, 0).pvalue, "equal_p": max(above, below)}


def holm_by_hand(p_values: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known])]
    steps = p_values[order] * (len(order) - np.arange(len(order)))
    adjusted = p_values.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else steps
    return adjusted


def has_margin(case: Case) -> bool:
    return case.metric in ("test_accuracy", "train_seconds")


# --- what every text must keep


def check_grammar(text: str) -> None:
    nouns = "configuration|repeat|run|pair|analysis|value|epoch"
    assert not re.search(rf"(?<![\d.,])1 (finished |common |other )?(others|({nouns})s)\b", text), text
    assert not re.search(rf"(?<![\d.])(?!1\b)\d[\d,]* (finished |common |other )?({nouns})\b(?! \d)", text), text
    assert not re.search(r"  |\(\)|\( |,,|(?<!\.)\.\.(?!\.)| \.(?!\.)|;;|: ?\.|\bits its\b", text), text


def check_numbers(text: str) -> None:
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b|<NA>|[+\N{MINUS SIGN}-]0\.0+(?!\d)", text), text


# --- what the answer claims


def check_leader(text: str, case: Case, truth: Truth) -> None:
    metric = METRICS[case.metric]
    claimed = re.match(r"(.+) has the (highest|lowest) mean (.+?) of (?:the )?(\d+) configurations(.*?): ", text)
    best = truth.means.iloc[0]
    tied = int(np.isclose(truth.means, best, rtol=0, atol=1e-12).sum())
    assert bool(claimed) == (tied == 1 < len(truth.means)), text
    if claimed:
        label, which, what, count, scope = claimed.groups()
        assert (label, what) == (truth.means.index[0], metric.label)
        assert (which == "highest") == (metric.direction == "up")
        assert int(count) == len(truth.means)
        assert bool(scope) == (len(case.accuracies) > MOST_COMPARED)
    assert in_unit(best, metric) in text.partition(". ")[0] + text.partition("; ")[0]
    stated = re.search(r"over n = ([\d,]+) runs", text)
    if stated:
        assert int(stated[1].replace(",", "")) == truth.n[truth.means.index[0]] > 1


def check_verdicts(text: str, case: Case, truth: Truth) -> None:
    """Which others the answer calls beaten, equivalent, better or inconclusive, and by how much."""
    leader, others = truth.means.index[0], list(truth.means.index[1:])
    parts = {
        "better": re.search(r"It is better than (.*?) \(p (?:at most|below) [\d.]+", text),
        "equivalent": re.search(r"practically equivalent to (.*?): the difference", text),
        "worse": re.search(r"it is worse than (.*?)\.", text),
        "inconclusive": re.search(r"Whether it differs from (.*?) is inconclusive", text),
    }
    against = truth.pairs[truth.pairs["a"] == leader].set_index("b")
    verdicts = against["verdict"]
    for verdict, found in parts.items():
        meant = [other for other in others if verdicts[other] == verdict]
        assert bool(found) == bool(meant), (verdict, meant, text)
        if found and len(meant) <= 3:
            assert all(other in found[1] for other in meant), (verdict, meant, found[1])
        elif found and (count := re.search(r"(\d+) (others|more)", found[1])):
            assert int(count[1]) + (3 if count[2] == "more" else 0) == len(meant)
    beaten = [other for other in others if verdicts[other] == "better"]
    bound = re.search(r"\(p (at most|below) ([\d.]+?)(?: after Holm's adjustment over (\d+) pairs)?\)", text)
    if bound:
        worst = against["p"][beaten].max()
        assert worst <= float(bound[2]) <= max(1.2 * worst, 0.001)
        tests = int(truth.pairs["p"].notna().sum()) // 2
        assert int(bound[3] or 1) == tests
    if METRICS[case.metric].chapter == "accuracy" and len(beaten) <= 5:
        for other in beaten:
            stated = re.search(rf"{re.escape(other)} by ([\d.]+)", text)
            assert stated, text
            shown = METRICS[case.metric].scale * against.loc[other, "gain"]
            assert float(stated[1]) == pytest.approx(shown, abs=0.0051)


def check_other_pairs(text: str, truth: Truth) -> None:
    leader = truth.means.index[0]
    rest = truth.pairs[(truth.pairs["b"] != leader) & (truth.pairs["a"] != leader)]
    stated = re.search(r"Other pairs: (.*?)\.", text)
    words = {"better": "told apart", "worse": "told apart", "equivalent": "practically equivalent"}
    counts = rest["verdict"].replace(words).value_counts() // 2  # each pair stands there in both orders
    claimed = re.findall(r"(\d+) ([a-z ]+)", stated[1]) if stated else []
    assert {verdict: int(count) for count, verdict in claimed} == counts.to_dict()


def check_plans(data: StudyData) -> None:
    """A plan stands only beside an inconclusive pair of five common repeats or more."""
    for found in data.metrics.values():
        for pair in found.pairs:
            if pair.repeats_to_decide is not None:
                assert pair.verdict == "inconclusive"
                assert pair.n >= 5
                assert found.design is None
                assert pair.n < pair.repeats_to_decide[0] <= pair.repeats_to_decide[1]


def check_costs(text: str, rows: pd.DataFrame, data: StudyData) -> None:
    leader = data.ranked_labels[0]
    finished = rows[(rows["status"] == "ok") & rows["label"].isin(data.compared_labels)]
    times = finished.groupby("label")["train_seconds"].mean()
    if "It also has the lowest mean training time" in text:
        assert times.idxmin() == leader
    if (stated := re.search(r"Its training time is [\d.,]+ s, .*? times that of (.*?), the lowest", text)) is not None:
        assert stated[1] == times.idxmin() != leader
    for cost in ("train_seconds", "host_allocated_bytes"):
        label = METRICS[cost].label
        stated = re.search(
            rf"(?:lowest mean {label}:|Its {label} is) .*? times that of (.*?), the (?:next|lowest)(.)", text
        )
        if stated is not None and (pair := data.metrics[cost].pair(leader, stated[1])):
            assert (stated[2] == ".") == (pair.verdict in ("better", "worse")), text


# --- what methods and tables claim


def check_tests_named(text: str, data: StudyData) -> None:
    tested = [pair for found in data.metrics.values() for pair in found.pairs if pair.n > 1]
    ranked = len(data.primary.samples_of(data.compared_labels)) > 2 if data.primary and data.primary.pairs else False
    varied = data.friedman is not None and not np.isnan(data.friedman.p)
    paragraph = report_of(data).chapters[-1].text[2]
    assert ("paired t test" in paragraph) == bool(tested)
    assert ("Friedman" in paragraph) == (ranked and varied)
    assert ("group-sequential" in text) == (data.study.design is not None)
    assert ("Equivalence was tested" in paragraph) == any(pair.margin for pair in tested)
    families = [sum(pair.n > 1 for pair in found.pairs) for found in data.metrics.values()]
    assert ("Holm" in paragraph) == (max(families, default=0) > 1 or data.study.design is not None)


def check_runs(text: str, case: Case, rows: pd.DataFrame) -> None:
    counts = rows[rows["status"] == "ok"].groupby("label").size().reindex(list(case.accuracies), fill_value=0)
    stated = re.search(r"n = (\d+)(?: to (\d+))? finished runs?( each)?", text)
    assert stated
    assert (int(stated[1]), int(stated[2] or stated[1])) == (counts.min(), counts.max())
    assert bool(stated[3]) == (len(counts) > 1)
    assert ("There is no other configuration" in text) <= (len(counts) == 1)


def check_pair_tables(data: StudyData) -> None:
    """A shown interval that seems to deny its verdict has a remark on its pair."""
    for table in tables_of(data):
        if not table.name.startswith("pairs-"):
            continue
        number = r"([+\N{MINUS SIGN}]?[\d.,]+)"
        for row in table.shown.to_dict("records"):
            column, none = ("ratio", 1.0) if "ratio" in row else ("difference", 0.0)
            interval = re.search(rf"\[{number}, {number}\]", row[column])
            remark = f"{row['configuration']} and {row['against']}" in table.note or "Every pair: " in table.note
            if len(table.shown) == 1:
                remark = table.note != ""
            if interval is None:
                continue
            low, high = (float(bound.replace(",", "").replace("\N{MINUS SIGN}", "-")) for bound in interval.groups())
            holds = low <= none <= high
            if (row["verdict"] in ("better", "worse")) == holds and row["verdict"] != "equivalent":
                assert remark, (row, table.note)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_sentence_holds(case, tmp_path):
    data, rows = data_of_case(case, tmp_path)
    text, lead = text_of(data), report_of(data).answer
    for words in case.says:
        assert words in text, text
    for words in case.says_not:
        assert words not in text, words
    for words in case.answers_not:
        assert words not in lead, words
    if case.name != "hostile labels":
        check_grammar(text)
    check_numbers(text)
    check_numbers("\n".join(cell for table in tables_of(data) for cell in table.shown.to_numpy().ravel()))
    check_tests_named(text, data)
    check_runs(text, case, rows)
    check_plans(data)
    check_pair_tables(data)
    truth = truth_of(case, data, rows)
    if len(truth.means):
        check_leader(lead, case, truth)
        check_costs(lead, rows, data)
    has_spread = (truth.pairs["n"] < 2).all() or truth.pairs["p"].notna().all()
    if len(truth.means) and has_spread and has_margin(case) and not data.study.design:
        check_verdicts(lead, case, truth)
        check_other_pairs(lead, truth)


def test_with_predictions_both_layers_stand_beside_the_seeds(tmp_path):
    labels = balanced_labels()
    images = np.zeros((len(labels), 28, 28), np.uint8)
    dataset = Dataset(train_images=images[:0], train_labels=labels[:0], test_images=images, test_labels=labels,
                   fingerprint=DATA_FINGERPRINT)  # fmt: skip
    makers = [Maker(label=label, accuracy=value, architecture="lenet5", spread=0.0005, same_mistakes=True)
              for label, value in (("a", 0.91), ("b", 0.89), ("c", 0.9085))]  # fmt: skip
    data = study_data_of(tmp_path, makers, 8, dataset)
    text = text_of(data)
    check_grammar(text)
    check_numbers(text)
    check_tests_named(text, data)
    check_pair_tables(data)
    (table,) = (table for table in tables_of(data) if table.name == "pairs-test_accuracy")
    wider = table.frame["layered_upper"] - table.frame["layered_lower"]
    assert (wider > 2 * (table.frame["difference_upper"] - table.frame["difference_lower"])).all()
    unsure = table.frame[(table.frame["verdict"] == "better") & (table.frame["layered_lower"] <= 0)]
    assert list(zip(unsure["label"], unsure["other"], strict=True)) == [("a", "c")]
    assert "a and c: Significant on these test images, not on others of their kind." in table.note
    assert "That holds on these test images; on others of their kind it is not significantly better than c." in text
    assert "new seeds and splits on these test images" in table.note


def test_a_name_that_a_shell_would_split_is_quoted(tmp_path):
    case = dataclasses.replace(CASES[0], manifest={"name": "made up; rm"}, change=changed(placement="shared"))
    store, rows = Store(tmp_path), rows_of_case(case)
    maker = Maker(label="c00", accuracy=0.9)
    store.write_manifest(manifest_of([maker], 2, **case.manifest))
    (study,) = select_studies(store, ["made up; rm"], rows)
    assert "`python jobs/study.py 'made up; rm'" in " ".join(report_of(gather(study, store, None)).missing)
