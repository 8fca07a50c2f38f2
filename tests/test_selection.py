from __future__ import annotations

import dataclasses
from datetime import timedelta

import pandas as pd
import pytest

from fmnist import UserError
from fmnist.compare import Design, Hardware, Refusal
from fmnist.declare import METRICS
from fmnist.report.chapters.overview import _lacking_sentences
from fmnist.report.selection import refusal_words, select_studies, tell_apart
from fmnist.report.study_data import gather
from fmnist.store.store import Store
from tests.synthetic_rows import SIX, manifest_of, rows_of

TWO = SIX[:2]


def fill(store, rows):
    for row in rows:
        store.write(row)
    return store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Store(tmp_path / "results")


def test_an_empty_store_says_what_to_run(store):
    with pytest.raises(ValueError, match=r"holds no run.*jobs/study.py quick"):
        select_studies(store)


def test_an_unknown_study_lists_the_known_ones(store):
    fill(store, rows_of(TWO, 1)).write_manifest(manifest_of(TWO, 1))
    with pytest.raises(ValueError, match=r"got 'other'.*made_up"):
        select_studies(store, ["other"])


def test_a_study_without_rows_says_what_to_run(store):
    fill(store, rows_of(TWO, 1)).write_manifest(manifest_of(SIX[2:], 1, name="later"))
    with pytest.raises(ValueError, match=r"jobs/study.py later"):
        select_studies(store, ["later"])


def test_rows_are_found_by_configuration_whoever_asked_for_them(store):
    fill(store, rows_of(TWO, 3, study="another")).write_manifest(manifest_of(TWO, 3))
    (study,) = select_studies(store)
    assert study.name == "made_up"
    assert study.counts()["ok"].to_dict() == {"lenet5": 3, "brownlee": 3}


def test_a_label_is_the_studys_own(store):
    manifest = manifest_of(TWO, 1)
    manifest["configurations"][0]["label"] = "renamed"
    fill(store, rows_of(TWO, 1)).write_manifest(manifest)
    (study,) = select_studies(store)
    assert study.finished_labels == ["renamed", "brownlee"]


def test_rows_of_no_manifest_are_reported_under_their_study(store):
    fill(store, [*rows_of(TWO, 1), *rows_of(SIX[2:3], 2, study="orphan")]).write_manifest(manifest_of(TWO, 1))
    studies = {study.name: study for study in select_studies(store)}
    assert set(studies) == {"made_up", "orphan"}
    assert studies["orphan"].repeats is None
    assert studies["orphan"].missing_repeats["own_v1"] == []


def test_the_study_with_the_latest_run_comes_first(store):
    fill(store, [*rows_of(TWO, 1), *rows_of(SIX[2:3], 5)])
    store.write_manifest(manifest_of(TWO, 1, name="early"))
    store.write_manifest(manifest_of(SIX[2:3], 5, name="late"))
    assert [study.name for study in select_studies(store)] == ["late", "early"]
    assert [study.name for study in select_studies(store, ["early", "late", "early"])] == ["early", "late"]


def test_every_run_is_counted_and_missing_repeats_are_named(store):
    maker = dataclasses.replace(TWO[0], statuses={1: "failed", 2: "diverged"}, left_out=frozenset({4}))
    fill(store, rows_of([maker, TWO[1]], 5)).write_manifest(manifest_of(TWO, 5))
    (study,) = select_studies(store)
    counts = study.counts().loc["lenet5"].to_dict()
    assert counts == {"wanted": 5, "ok": 2, "failed": 1, "diverged": 1, "missing": 1}
    assert study.missing_repeats["lenet5"] == [4]


def earlier(makers):
    """The same labels with other hyperparameters or layers: other configurations."""
    return [dataclasses.replace(maker, generation="earlier", accuracy=0.5) for maker in makers]


def test_an_edited_study_is_read_from_its_present_settings(store):
    fill(store, [*rows_of(earlier(TWO), 3), *rows_of(TWO, 5)]).write_manifest(manifest_of(TWO, 5))
    (study,) = select_studies(store)
    assert study.repeats == 5
    assert study.values("test_accuracy")["lenet5"].min() > 0.8
    assert study.counts()["ok"].to_dict() == {"lenet5": 5, "brownlee": 5}
    assert "6 rows of earlier settings are left out." in study.remarks
    assert study.decisions(Design(metric="test_accuracy", analyses=(5,)))[0].n == 5


def test_a_net_taken_out_of_a_study_is_an_earlier_setting(store):
    fill(store, rows_of(SIX[:3], 2)).write_manifest(manifest_of(TWO, 2))
    (study,) = select_studies(store)
    assert study.labels == ["lenet5", "brownlee"]
    assert study.remarks == ("2 rows of earlier settings are left out.",)


def test_rows_that_another_study_claims_are_no_earlier_settings(store):
    fill(store, rows_of(SIX[:3], 2)).write_manifest(manifest_of(TWO, 2))
    store.write_manifest(manifest_of(SIX[2:3], 2, name="other"))
    assert [study.remarks for study in select_studies(store)] == [(), ()]


def test_a_study_with_earlier_rows_alone_says_so(store):
    fill(store, rows_of(earlier(TWO[:1]), 1)).write_manifest(manifest_of(TWO, 1))
    for names in ((), ("made_up",)):
        with pytest.raises(UserError, match=r"jobs/study.py made_up` first. 1 row of earlier settings is left out"):
            select_studies(store, names)


def test_without_a_manifest_configurations_of_one_label_are_told_apart(store):
    first, second = rows_of(earlier(TWO[:1]), 4), rows_of(TWO[:1], 1)
    later = [{**row, "started_at": row["started_at"] + timedelta(days=1)} for row in second]
    fill(store, [*first, *later])
    (study,) = select_studies(store)
    values = study.values("test_accuracy")
    assert {label: len(column) for label, column in values.items()} == {"lenet5": 1, "lenet5 (earlier settings 1)": 4}
    assert values["lenet5"].min() > 0.8
    assert study.remarks == ()


def test_names_are_told_apart():
    assert tell_apart(["a", "a", "b", "a", "a 1"], " {}") == ["a", "a 1", "b", "a 2", "a 1 1"]
    assert tell_apart(["A", "a"], "-{}") == ["A", "a"]
    assert tell_apart(["A", "a"], "-{}", key=str.casefold) == ["A", "a-1"]


def test_two_labels_of_one_configuration_are_both_named(store):
    manifest = manifest_of(TWO, 2)
    manifest["configurations"].append({**manifest["configurations"][0], "label": "again"})
    fill(store, rows_of(TWO, 2)).write_manifest(manifest)
    (study,) = select_studies(store)
    assert study.counts()["ok"].to_dict() == {"lenet5": 2, "brownlee": 2}
    assert study.remarks == ("lenet5 and again are one and the same configuration: its runs stand under lenet5.",)


def test_repeats_beyond_those_asked_for_are_left_out_and_counted(store):
    fill(store, rows_of(TWO, 4)).write_manifest(manifest_of(TWO, 2))
    (study,) = select_studies(store)
    assert list(study.values("test_accuracy")["lenet5"].index) == [0, 1]
    assert list(study.values("train_seconds")["lenet5"].index) == [0, 1]
    (remark,) = study.remarks
    assert "beyond the 2 that the study asks for are there and left out (lenet5 2, brownlee 2)" in remark


def test_a_design_reads_repeats_up_to_its_last_look(store):
    design = {"metric": "test_accuracy", "looks": [2, 3]}
    fill(store, rows_of(TWO, 4)).write_manifest(manifest_of(TWO, 2, sequential_design=design))
    (study,) = select_studies(store)
    assert list(study.values("test_accuracy")["lenet5"].index) == [0, 1, 2]
    assert "beyond the 3 that" in study.remarks[0]


def test_the_configurations_of_a_remark_are_few(store):
    makers = [dataclasses.replace(SIX[0], label=f"net{place}") for place in range(8)]
    fill(store, rows_of(makers, 2)).write_manifest(manifest_of(makers, 1))
    assert "(net0 1, net1 1, net2 1, net3 1, net4 1 and 3 more configurations)" in select_studies(store)[0].remarks[0]


@pytest.mark.parametrize(("shared", "exclusive"), [("diverged", "ok"), ("ok", "diverged")])
def test_of_two_outcomes_that_of_the_studys_placement_counts_and_both_are_told(store, shared, exclusive):
    for placement, status in (("shared", shared), ("exclusive", exclusive)):
        fill(store, rows_of([dataclasses.replace(TWO[0], statuses={1: status})], 2, placement=placement))
    store.write_manifest(manifest_of(TWO[:1], 2, placement="shared"))
    (study,) = select_studies(store)
    assert study.counts().loc["lenet5", shared] == 2 - (shared == "diverged")
    assert study.counts().loc["lenet5", "diverged"] == (shared == "diverged")
    assert "Diverged in one placement and finished in another: lenet5 repeat 1." in study.remarks[0]


def test_a_repeat_counts_once_the_finished_row_before_the_failed_one(store):
    failed = dataclasses.replace(TWO[0], statuses={0: "failed"})
    fill(store, [*rows_of([failed], 1, placement="exclusive"), *rows_of(TWO, 1, placement="shared")])
    store.write_manifest(manifest_of(TWO, 1))
    (study,) = select_studies(store)
    assert study.counts().loc["lenet5", "ok"] == 1
    assert study.counts().loc["lenet5", "failed"] == 0


def test_time_is_read_from_exclusive_rows_alone(store):
    slow = [dataclasses.replace(maker, train_seconds=1000.0) for maker in TWO]
    fill(store, [*rows_of(slow, 3, placement="shared"), *rows_of(TWO, 2, placement="exclusive")])
    store.write_manifest(manifest_of(TWO, 3, placement="shared"))
    (study,) = select_studies(store)
    rows, refusal = study.rows_for("train_seconds")
    assert refusal == ""
    assert set(rows["placement"]) == {"exclusive"}
    assert max(study.values("train_seconds")["lenet5"]) < 100
    assert len(study.values("test_accuracy")["lenet5"]) == 3


def test_time_of_shared_rows_is_described_and_says_what_to_run(store):
    fill(store, rows_of(TWO, 2, placement="shared")).write_manifest(manifest_of(TWO, 2))
    (study,) = select_studies(store)
    rows, refusal = study.rows_for("train_seconds")
    assert len(rows) == 4
    assert refusal == (
        "training time: the runs of brownlee, lenet5 shared a machine, expected exclusive runs, not resumed"
    )


def test_time_on_two_kinds_of_hardware_is_refused(store):
    fill(store, [*rows_of(TWO, 2), *rows_of(SIX[2:3], 2, device_model="Another CPU")])
    store.write_manifest(manifest_of(SIX[:3], 2))
    (study,) = select_studies(store)
    assert "2 kinds of hardware" in study.rows_for("host_allocated_bytes")[1]
    with pytest.raises(UserError, match="training time: got exclusive rows of 2 kinds of hardware"):
        study.decisions(Design(metric="train_seconds", analyses=(2,)))


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Refusal(("disturbed",), ("b",)),
         "the runs of b had other runs beside them, expected exclusive runs, not resumed"),
        (Refusal(("shared", "resumed"), ("a", "b")),
         "the runs of a, b shared a machine or were resumed from a checkpoint, expected exclusive runs, not resumed"),
        (Refusal(("mixed hardware",), hardware=(Hardware("EPYC", 2, 0.0), Hardware("EPYC", 1, 0.5))),
         "got exclusive rows of 2 kinds of hardware (EPYC, 1 thread, 0.5 GPU; EPYC, 2 threads, 0 GPU), expected one"),
    ],
)  # fmt: skip
def test_a_refusal_in_words(refusal, words):
    assert refusal_words(refusal, METRICS["train_seconds"]) == f"training time: {words}"


def test_a_study_with_an_unknown_metric_blocks_no_report(store):
    fill(store, [*rows_of(TWO, 1), *rows_of(SIX[2:3], 1)])
    store.write_manifest(manifest_of(TWO, 1, primary_metric="beauty", margins={"beauty": 0.1}))
    store.write_manifest(manifest_of(SIX[2:3], 1, name="other"))
    studies = {study.name: study for study in select_studies(store)}
    assert studies["other"].remarks == ()
    assert studies["made_up"].primary_metric == "test_accuracy"
    assert "beauty" not in studies["made_up"].margins
    assert "primary metric is 'beauty'" in studies["made_up"].remarks[0]
    assert "margin for beauty" in studies["made_up"].remarks[1]


def test_values_of_many_labels_are_those_of_each(store):
    fill(store, rows_of([dataclasses.replace(TWO[0], statuses={1: "failed"}), TWO[1]], 3))
    store.write_manifest(manifest_of(TWO, 3))
    (study,) = select_studies(store)
    values = study.values("test_accuracy")
    for label in study.labels:
        rows = study.finished[study.finished["label"] == label].set_index("repeat")
        pd.testing.assert_series_equal(values[label], rows["test_accuracy"], check_index_type=False)


def test_values_search_the_rows_once_and_not_once_a_label(store, monkeypatch):
    makers = [dataclasses.replace(SIX[0], label=f"net{place}") for place in range(30)]
    fill(store, rows_of(makers, 1)).write_manifest(manifest_of(makers, 1))
    (study,) = select_studies(store)
    whole, compared, plain = study.finished, [], pd.Series._cmp_method
    monkeypatch.setattr(pd.Series, "_cmp_method", lambda *args: compared.append(len(args[0])) or plain(*args))
    assert len(study.values("test_accuracy")) == 30
    assert study.missing_repeats["net7"] == study.missing_repeats["net8"] == []
    assert sum(compared) <= len(whole)


def searched(rows, **changes):
    """What a search makes of rows: no score of the test set."""
    return [{**row, "status": "validated", "study": "grid", "test_accuracy": None, **changes} for row in rows]


def test_repeats_may_begin_after_those_of_a_search(store):
    rows = list(rows_of(TWO, 6))
    fill(store, [*searched(rows[:4]), *rows[4:11]]).write_manifest(manifest_of(TWO, 3, first_repeat=2))
    (study,) = select_studies(store)
    assert sorted(set(study.outcomes["repeat"])) == [2, 3, 4]
    assert study.missing_repeats == {"lenet5": [], "brownlee": []}
    assert study.remarks == (
        "Repeats beyond the 3 that the study asks for are there and left out (lenet5 1): their number was not fixed"
        " before these results were seen.",
    )
    assert (study.first_repeat, study.counts()["ok"].to_dict()) == (2, {"lenet5": 3, "brownlee": 3})


def test_missing_repeats_are_counted_from_the_first_that_is_asked_for(store):
    rows = [row for row in rows_of(TWO, 5) if row["repeat"] != 3]
    fill(store, rows).write_manifest(manifest_of(TWO, 3, first_repeat=2))
    (study,) = select_studies(store)
    assert study.missing_repeats == {"lenet5": [3], "brownlee": [3]}
    (words,) = _lacking_sentences(gather(study, store, None))
    assert "lack 1 repeat of 3 (3)" in words


def test_rows_of_a_search_are_in_no_study(store):
    rows = list(rows_of(TWO, 3))
    ends = [*searched(rows[:2]), *searched(rows[2:4], status="pruned", error="below"), *rows[4:]]
    fill(store, [*ends, *searched(rows_of(SIX[3:4], 2))]).write_manifest(manifest_of(TWO, 3))
    (study,) = select_studies(store)  # and none made up for the rows of own_v2, which no manifest names
    assert list(study.rows["repeat"]) == list(study.outcomes["repeat"]) == [2, 2]
    assert set(study.counts().columns) == {"wanted", "ok", "failed", "diverged", "missing"}
    assert study.missing_repeats == {"lenet5": [0, 1], "brownlee": [0, 1]}
    assert study.search_rows.empty
    assert study.remarks == ()


def test_the_runs_that_chose_a_configuration_stand_beside_those_that_judge_it(store):
    """One row each, as the search read them: also one that a study had scored on the test set."""
    rows = list(rows_of(TWO, 4))
    both = [*searched(rows[:2]), *rows[:1], *searched(rows[2:3], status="pruned"), *searched(rows[3:6]), *rows[6:]]
    labels = {"lenet5": ["lenet5", "brownlee"]}
    manifest = manifest_of(TWO, 1, first_repeat=3, tuning={"search": "grid", "labels": labels})
    fill(store, both).write_manifest(manifest)
    (study,) = select_studies(store)
    found = [tuple(row) for row in study.search_rows[["label", "repeat", "status"]].itertuples(index=False)]
    assert sorted(found) == [("brownlee", 0, "validated"), ("brownlee", 1, "validated"), ("brownlee", 2, "validated"),
                             ("lenet5", 0, "ok"), ("lenet5", 2, "validated")]  # fmt: skip
    assert study.tuning == {"search": "grid", "labels": labels}
    assert list(study.outcomes["repeat"]) == [3, 3]
