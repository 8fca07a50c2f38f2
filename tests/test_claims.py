"""The original report's claims: quantities measured on plain predictions, and the table on the published rows."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmnist.compare import Estimate, claim_verdicts
from fmnist.data import CLASS_NAMES, load_data
from fmnist.report.chapters.claim_measures import (
    UndecidableError,
    accuracy_gap,
    best_epoch_gap,
    generalisation_gap,
    mistake_gap,
    recall_gap,
    recall_gaps,
    share_gap,
    spread_ratio,
)
from fmnist.report.chapters.claims import ABOVE, BELOW, CLAIMS, about, claims_table, outcomes_of
from fmnist.report.predictions import PredictionSums, accuracy_difference, right_difference
from fmnist.report.selection import select_studies
from fmnist.report.study_data import gather
from fmnist.store.store import Store
from fmnist.studies import comparison, timing, winners
from tests import synthetic_rows
from tests.synthetic_rows import SIX

PUBLISHED = Path(__file__).resolve().parents[1] / "published"
IMAGES = 60  # of each class
TRUE = np.repeat(np.arange(10, dtype=np.uint8), IMAGES)
SHIRT, TOP, COAT, TROUSER, SANDAL, BAG = (
    CLASS_NAMES.index(name) for name in ("Shirt", "T-shirt/top", "Coat", "Trouser", "Sandal", "Bag")
)
RECALLS = {SHIRT: 0.6, TROUSER: 0.99, SANDAL: 0.99}


def sums_of(recalls=RECALLS, *, other=0.88, taken_for=TOP, repeats=range(10), seed=0):
    """Runs that recognise a class's images with the given chance and take the rest for one class or a third."""
    random = np.random.default_rng(seed)
    sums = PredictionSums(TRUE)
    chances = np.array([recalls.get(number, other) for number in range(10)])[TRUE]
    hardness = random.uniform(-0.05, 0.05, len(TRUE))  # of an image, for every run
    right = random.random((len(repeats), len(TRUE))) < np.clip(chances + hardness, 0, 1)
    second = np.where(taken_for == TRUE, (taken_for + 1) % 10, taken_for)
    third = (TRUE + 3) % 10
    wrong = np.where(random.random(right.shape) < 2 / 3, second, third)
    predicted = np.where(right, TRUE, wrong).astype(np.uint8)
    sums.add(predicted, np.full(predicted.shape, 0.9, np.float16), np.array(repeats))
    return sums


def reading(parts, region):
    return claim_verdicts([([getattr(part, "estimate", part) for part in parts], region)])[0][0]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Data of the six under the package's own question, whose numbers each test replaces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        study = comparison.STUDY
        return synthetic_rows.study_data_of(
            tmp_path_factory.mktemp("rows"), SIX, 2, name=study.name, question=study.question
        )


def with_rows(base, columns, repeats=12):
    """Data whose finished rows hold the columns given by label: {label: {column: values}}."""
    blank = base.study.outcomes.iloc[0]
    frames = [
        pd.DataFrame([blank] * repeats).assign(label=label, repeat=range(repeats), **values)
        for label, values in columns.items()
    ]
    study = dataclasses.replace(base.study, outcomes=pd.concat(frames, ignore_index=True))
    return dataclasses.replace(base, study=study)


def with_predictions(base, predictions):
    return dataclasses.replace(base, predictions=predictions)


def test_accuracy_is_compared_over_common_repeats_image_by_image():
    a, b = sums_of(repeats=range(2, 8), seed=1), sums_of(repeats=[7, 5, 3, 1], seed=2)
    difference = right_difference(a, b)
    for row, repeat in zip(difference, (3, 5, 7), strict=True):
        own, other = (list(sums.repeats).index(repeat) for sums in (a, b))
        assert (row == a.right[own].astype(int) - b.right[other].astype(int)).all()
    assert accuracy_difference(a, b).n == 3
    assert math.isnan(accuracy_difference(a, sums_of(repeats=[20, 21])).value)


def test_a_difference_of_accuracy_carries_both_layers():
    a, b = sums_of(seed=1), sums_of(seed=2, other=0.85)
    estimate, difference = accuracy_difference(a, b), right_difference(a, b)
    seeds = difference.mean(axis=1).std(ddof=1) / math.sqrt(10)
    images = difference.mean(axis=0).std(ddof=1) / math.sqrt(len(TRUE))
    assert estimate.value == pytest.approx(difference.mean())
    assert seeds < estimate.standard_error < math.hypot(seeds, images)
    assert estimate.degrees_of_freedom > 9


@pytest.mark.parametrize(
    ("recalls", "named", "region", "wanted"),
    [
        (RECALLS, [SHIRT], BELOW, "confirmed"),
        ({**RECALLS, COAT: 0.6}, [SHIRT], BELOW, "not decidable"),
        ({**RECALLS, COAT: 0.3}, [SHIRT], BELOW, "refuted"),
        (RECALLS, [TROUSER, SANDAL], ABOVE, "confirmed"),
        ({**RECALLS, BAG: 0.99}, [TROUSER, SANDAL], ABOVE, "not decidable"),  # a tie refutes nothing
        ({TROUSER: 0.99, SANDAL: 0.8, BAG: 0.99}, [TROUSER, SANDAL], ABOVE, "refuted"),
    ],
)
def test_classes_are_told_apart_by_recall_within_runs(recalls, named, region, wanted):
    others = [number for number in range(10) if number not in named]
    gaps = list(recall_gaps(sums_of(recalls), named, others))
    assert [(a, b) for a, b, _ in gaps] == [(a, b) for a in named for b in others]
    assert reading([estimate for _, _, estimate in gaps], region) == wanted
    recall = sums_of(recalls).recall_by_run
    assert gaps[0][2].value == pytest.approx((recall[:, named[0]] - recall[:, others[0]]).mean())


def test_what_a_class_is_taken_for_is_counted_in_each_run():
    sums = sums_of()
    gap = share_gap(sums, SHIRT, TOP, COAT)
    counts = sums.confusion_by_run[:, SHIRT]
    by_run = (counts[:, TOP] - counts[:, COAT]) / IMAGES
    assert gap.value == pytest.approx(by_run.mean())
    assert gap.standard_error > by_run.std(ddof=1) / math.sqrt(10)
    assert reading([gap], ABOVE) == "confirmed"
    assert reading([share_gap(sums, SHIRT, COAT, TOP)], ABOVE) == "refuted"


@pytest.fixture
def six(base):
    """Predictions of all six: each as good as the next but for those a test replaces."""
    return {label: sums_of(seed=place) for place, label in enumerate(base.study.labels)}


def test_classes_must_hold_in_every_configuration(base, six):
    def readings(data):
        hardest, taken = recall_gap(data, "Shirt"), mistake_gap(data, "Shirt", "T-shirt/top")
        assert len(hardest) == 6 * 9
        return reading(hardest, BELOW), reading(taken, ABOVE)

    assert readings(with_predictions(base, six)) == ("confirmed", "confirmed")
    data = with_predictions(base, six | {"own_v2": sums_of({COAT: 0.3}, taken_for=BAG)})
    assert readings(data) == ("refuted", "refuted")


def test_the_best_is_compared_with_every_configuration_of_the_study(base, six):
    def best(data):
        return accuracy_gap(data, "efficientnet_small")

    strong = six | {"efficientnet_small": sums_of(other=0.97, seed=9)}
    assert reading(best(with_predictions(base, strong)), ABOVE) == "confirmed"
    assert reading(best(with_predictions(base, six)), ABOVE) == "not decidable"
    assert reading(best(with_predictions(base, strong | {"lenet5": sums_of(other=0.999)})), ABOVE) != "confirmed"
    del strong["own_v3"]
    with pytest.raises(UndecidableError, match="no predictions of own_v3"):
        best(with_predictions(base, strong))


def test_a_configuration_whose_runs_all_failed_makes_a_claim_undecidable_and_is_named(base, six):
    outcomes = base.study.outcomes.copy()
    outcomes.loc[outcomes["label"] == "own_v3", "status"] = "failed"
    data = with_predictions(base, six | {"efficientnet_small": sums_of(other=0.97)})
    data = dataclasses.replace(data, study=dataclasses.replace(base.study, outcomes=outcomes))
    found = {item["claim"]: item for item in outcomes_of(data)}
    item = found["EfficientNet-style net is the most accurate"]
    assert (item["reading"], item["evidence"]) == ("not decidable", "no finished run of own_v3")


def test_about_four_points_must_hold_against_each_of_the_others(base):
    def read_gaps(first, second):
        parts = [Estimate(value=gap, standard_error=0.001, degrees_of_freedom=9, n=10) for gap in (first, second)]
        return reading(parts, about(4))

    assert [read_gaps(0.04, 0.041), read_gaps(0.04, 0.02), read_gaps(0.02, 0.06), read_gaps(0.04, 0.0489)] == [
        "confirmed", "refuted", "refuted", "not decidable"]  # fmt: skip
    sums = {label: sums_of(seed=place) for place, label in enumerate(base.study.labels)}
    parts = accuracy_gap(with_predictions(base, sums), "own_v3", "lenet5", "brownlee")
    assert [part.group for part in parts] == ["lenet5", "brownlee"]


def test_without_the_test_images_accuracy_is_not_decided_and_it_says_why(base):
    data = dataclasses.replace(base, predictions={}, dataset_problem="no such folder")
    with pytest.raises(UndecidableError, match="no such folder"):
        accuracy_gap(data, "own_v3", "own_v1")


def test_a_gap_is_training_less_test_accuracy_and_larger_where_it_generalises_worse(base, six):
    test = np.linspace(0.90, 0.92, 12)
    noise = np.random.default_rng(0).normal(0, 0.002, 12)
    data = with_rows(
        with_predictions(base, six),
        {"own_v1": {"test_accuracy": test, "train_accuracy": test + 0.3 + noise},
         "efficientnet_small": {"test_accuracy": test, "train_accuracy": test + 0.1}},
    )  # fmt: skip
    (part,) = generalisation_gap(data, "own_v1", "efficientnet_small")
    assert part.estimate.value == pytest.approx(0.2 + noise.mean())
    assert part.estimate.n == 12
    claim = next(claim for claim in CLAIMS["comparison"] if "generalises worse" in claim.words)
    assert (claim.measure, claim.of) == (generalisation_gap, ("own_v1", "efficientnet_small"))
    assert reading([part], claim.region) == "confirmed"
    assert reading(generalisation_gap(data, "efficientnet_small", "own_v1"), claim.region) == "refuted"


def test_best_epochs_cut_off_by_the_limit_are_not_compared(base):
    early, late = np.tile([5, 6, 7], 4), np.tile([14, 15, 17], 4)
    free = {"own_v1": {"best_epoch": early, "epochs_run": early + 3, "epochs": 20},
            "efficientnet_small": {"best_epoch": late, "epochs_run": late + 3, "epochs": 30}}  # fmt: skip

    def measured(columns):
        return best_epoch_gap(with_rows(base, columns), "own_v1", "efficientnet_small")

    (part,) = measured(free)
    assert part.estimate.value == pytest.approx((early - late).mean())
    assert reading([part], BELOW) == "confirmed"
    for label, limit in (("own_v1", 10), ("efficientnet_small", 20)):  # a third of the runs end there
        capped = free | {label: free[label] | {"epochs": limit}}
        with pytest.raises(
            UndecidableError, match=r"censored by the limit of epochs in . of 12 runs of own_v1 and . of"
        ):
            measured(capped)
    some = free | {"own_v1": free["own_v1"] | {"epochs": np.r_[np.full(2, 8), np.full(10, 20)]}}
    assert measured(some)


def test_spread_is_compared_as_a_ratio_below_one_for_the_calmer(base):
    deviations = np.random.default_rng(1).normal(size=30)
    wild = {"test_accuracy": 0.9 + 0.01 * deviations}
    calm = {"test_accuracy": 0.9 + 0.001 * deviations[::-1]}
    (part,) = spread_ratio(with_rows(base, {"own_v2": calm, "own_v1": wild}, 30), "own_v2", "own_v1")
    assert math.exp(part.estimate.value) == pytest.approx(0.1)
    assert reading([part], BELOW) == "confirmed"
    (part,) = spread_ratio(with_rows(base, {"own_v2": wild, "own_v1": calm}, 30), "own_v2", "own_v1")
    assert reading([part], BELOW) == "refuted"


def shifted(base_sums, wins):
    """Runs that have `wins` more images right than the given ones, others in each run."""
    sums = PredictionSums(TRUE)
    right = base_sums.right.copy()
    for run, row in enumerate(right):
        row[np.flatnonzero(~row)[run : run + wins + run % 2]] = True
    sums.add(np.where(right, TRUE, (TRUE + 1) % 10).astype(np.uint8), np.full(right.shape, 0.9, np.float16),
             base_sums.repeats)  # fmt: skip
    return sums


def test_a_significant_difference_smaller_than_what_matters_says_both(base, six, monkeypatch):
    data = with_predictions(base, six | {"own_v3": shifted(six["own_v1"], 9)})
    better = CLAIMS["comparison"][1]
    assert better.words == "own v3 is more accurate than own v1"

    def outcome(margin):
        claim = dataclasses.replace(better, margin=margin)
        monkeypatch.setitem(CLAIMS, "comparison", (claim,))
        return outcomes_of(data)[0]

    assert (outcome(0.002)["reading"], outcome(0.002)["remark"]) == ("confirmed", "")
    assert (outcome(0.2)["reading"], outcome(0.2)["remark"]) == ("confirmed", "but by less than the 20 pp that matter")
    data = with_predictions(base, six)
    assert (outcome(0.2)["reading"], outcome(0.2)["remark"]) == (
        "not decidable", "any difference is less than the 20 pp that matter")  # fmt: skip


def test_styles_of_a_sequential_design_are_paid_for(base, six):
    def error_with(design):
        study = dataclasses.replace(base.study, design=design)
        found = outcomes_of(dataclasses.replace(with_predictions(base, six), study=study))
        return next(item["p"] for item in found if item["claim"] == "Shirt is the hardest class")

    class FourAnalyses:
        analyses = (5, 10, 15, 20)

    assert error_with(FourAnalyses()) == pytest.approx(4 * error_with(None))


def test_only_the_packages_own_study_is_compared_with_the_report(base, six):
    data = with_predictions(base, six)
    assert [item["claim"] for item in outcomes_of(data)] == [claim.words for claim in CLAIMS["comparison"]]
    for change in ({"question": "Mine?"}, {"name": "quick"}, {"architectures": {"own_v1": "own_v3"}}):
        assert outcomes_of(dataclasses.replace(data, study=dataclasses.replace(base.study, **change))) == []
        assert claims_table(dataclasses.replace(data, study=dataclasses.replace(base.study, **change))) is None


def winners_of(base, sums, labels=("own_v1 default", "own_v1 tuned"), **changes):
    """A study of winners whose own CNN has these labels from default to best point, with their predictions."""
    tuning = {"search": "grid", "labels": {"own_v1": list(labels)}}
    outcomes = pd.concat([base.study.outcomes[base.study.outcomes["label"] == "own_v1"].assign(label=label)
                          for label in labels])  # fmt: skip
    study = dataclasses.replace(
        base.study, name="winners", question=winners.STUDY.question, tuning=tuning, outcomes=outcomes,
        architectures=dict.fromkeys(labels, "own_v1"),
    )  # fmt: skip
    data = dataclasses.replace(base, study=dataclasses.replace(study, **changes))
    return with_predictions(data, dict(zip(labels, sums, strict=True)))


@pytest.mark.parametrize(("wins", "expected"), [(0, "confirmed"), (30, "refuted"), (1, "not decidable")])
def test_what_a_grid_search_finds_is_read_from_the_tuned_own_cnn(base, wins, expected):
    default = sums_of()
    (item,) = outcomes_of(winners_of(base, [default, shifted(default, wins)]))
    assert winners.STUDY.search.settings == {"epochs": 2}
    assert item["claim"].endswith("finds nothing better than its settings (here two epochs a run)")
    assert item["reading"] == expected
    assert item["evidence"].startswith("own_v1 tuned less own_v1 default +" if wins else "own_v1 tuned less")


def test_a_search_that_chose_the_default_found_nothing_better(base):
    data = winners_of(base, [sums_of()], ["own_v1 default"])
    (item,) = outcomes_of(data)
    assert (item["reading"], item["p"]) == ("confirmed", 0)
    assert item["evidence"] == "own_v1 default is the best point of the search 0.00 [0.00, 0.00] pp (n = 2)"
    note = claims_table(data).note
    assert note.startswith("Intervals are 95 %")


def test_only_the_packages_own_winners_answer_the_claim(base):
    both = [sums_of(), sums_of()]
    other = {"search": "mine", "labels": {"own_v1": ["own_v1 default", "own_v1 tuned"]}}
    for change in ({"question": "Mine?"}, {"tuning": other}, {"tuning": {}}, {"name": "path"}):
        assert outcomes_of(winners_of(base, both, **change)) == []
    lacking = {"search": "grid", "labels": {"lenet5": ["lenet5 default"]}}
    (item,) = outcomes_of(winners_of(base, both, tuning=lacking))
    assert (item["reading"], item["evidence"]) == ("not decidable", "own_v1 was not tuned")


def test_time_and_memory_are_read_as_ratios_where_they_may_be_compared(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    study = timing.STUDY
    data = synthetic_rows.study_data_of(tmp_path, SIX, 4, name=study.name, question=study.question)
    found = outcomes_of(data)
    assert [item["reading"] for item in found] == ["confirmed", "refuted", "not decidable"]
    assert "training time of efficientnet_small to that of own_v1 6." in found[0]["evidence"]
    assert "times (n = 4)" in found[0]["evidence"]
    cost = dataclasses.replace(data.metrics["train_seconds"], refusal="got no exclusive row")
    metrics = {**data.metrics, "train_seconds": cost}
    item = outcomes_of(dataclasses.replace(data, metrics=metrics))[0]
    assert (item["reading"], item["evidence"]) == ("not decidable", "got no exclusive row")


def test_the_published_rows_say_what_can_be_said_of_the_report():
    data = gather(select_studies(Store(PUBLISHED), ["comparison"])[0], Store(PUBLISHED), load_data())
    found = {item["claim"]: item for item in outcomes_of(data)}
    assert {words: item["reading"] for words, item in found.items()} == {
        "EfficientNet-style net is the most accurate": "confirmed",
        "own v3 is more accurate than own v1": "not decidable",
        "own v3 is better than own v1 by about 2 percentage points": "refuted",
        "own v3 is better than LeNet-5 and Brownlee's by about 4 percentage points": "refuted",
        "own v2 is more consistent than own v1": "not decidable",
        "own v2 is not better than own v1": "confirmed",
        "LeNet-5 is more accurate than Brownlee's CNN (0.89 against 0.88)": "refuted",
        "Shirt is the hardest class": "confirmed",
        "Shirt is taken for T-shirt/top": "not decidable",
        "Trouser and Sandal are the easiest classes": "not decidable",
        "The plain CNN overfits earlier than the EfficientNet-style net": "not decidable",
        "The plain CNN generalises worse than the EfficientNet-style net": "confirmed",
    }
    censored = found["The plain CNN overfits earlier than the EfficientNet-style net"]["evidence"]
    assert "own_v1 and 9 of 10 of efficientnet_small" in censored
    gaps = found["Shirt is the hardest class"]["evidence"].split("; ")
    assert [gap.split(":")[0] for gap in gaps] == data.study.labels
    sizes = [float(gap.split("\N{MINUS SIGN}")[1].split()[0]) for gap in gaps]
    assert (round(min(sizes)), round(max(sizes))) == (9, 17)
    table = claims_table(data)
    assert "Holm's procedure over the 12 claims" in table.note
    assert list(table.shown["here"]) == [", ".join(filter(None, (i["reading"], i["remark"]))) for i in found.values()]
