from __future__ import annotations

import dataclasses
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.sweep.plan import Durations, is_satisfied, make_plan
from tests.sweep_runs import trivial_runs


def presence(run, status="ok", placement=None):
    return (run.run_id, placement or run.placement, status)


def test_only_missing_runs_are_planned():
    runs = trivial_runs(4)
    plan = make_plan(runs, {presence(runs[0]), presence(runs[2], "diverged")})
    assert plan.missing == [runs[1], runs[3]]
    assert plan.wanted == 4


def test_an_exclusive_row_satisfies_a_shared_run_and_not_the_other_way_round():
    shared, exclusive = trivial_runs(1)[0], trivial_runs(1, placement="exclusive")[0]
    assert shared.run_id == exclusive.run_id
    assert not make_plan([shared], {presence(shared, placement="exclusive")}).missing
    assert make_plan([exclusive], {presence(exclusive, placement="shared")}).missing


def test_failed_runs_are_computed_again_only_when_asked():
    (run,) = trivial_runs(1)
    assert not make_plan([run], {presence(run, "failed")}).missing
    assert make_plan([run], {presence(run, "failed")}, retry_failed=True).missing
    assert not make_plan([run], {presence(run, "diverged")}, retry_failed=True).missing


@pytest.mark.parametrize(
    ("status", "serves_study", "serves_search"),
    [("ok", True, True), ("diverged", True, True), ("failed", False, False), ("validated", False, True),
     ("pruned", False, False)],
)  # fmt: skip
def test_a_row_without_a_score_of_the_test_set_serves_searches_alone(status, serves_study, serves_search):
    (run,) = trivial_runs(1)
    there = {presence(run, status)}
    assert is_satisfied(run, there) == serves_study
    assert is_satisfied(dataclasses.replace(run, scores_test=False), there) == serves_search
    assert is_satisfied(run, there, failed=True) == (serves_study or status == "failed")


def test_failed_runs_are_counted_where_no_other_row_stands_for_them():
    failed, mended, fine, missing = trivial_runs(4)
    there = {presence(failed, "failed"), presence(mended, "failed"), presence(mended), presence(fine, "diverged")}
    plan = make_plan([failed, mended, fine, missing], there)
    assert (len(plan.present), plan.missing, plan.failed) == (3, [missing], 1)
    again = make_plan([failed, mended, fine, missing], there, retry_failed=True)
    assert (again.missing, again.failed) == ([failed, missing], 0)


def row_of(run, seconds, epochs_run=2, status="ok"):
    return {
        "configuration_id": run.configuration_id,
        "architecture": run.configuration.architecture,
        "status": status,
        "total_seconds": seconds,
        "epochs_run": epochs_run,
        "device_model": "a CPU",
    }


def test_durations_are_those_of_the_configuration_or_else_of_the_architecture():
    known, other = trivial_runs(1)[0], trivial_runs(1, epochs=10)[0]
    durations = Durations()
    assert durations.expected(known) is None
    assert durations.total([known] * 3) is None
    assert durations.total([]) == 0
    for seconds in (30.0, 10.0, 12.0):
        durations.learn(row_of(known, seconds))
    durations.learn(row_of(known, 1000.0, status="failed"))
    durations.learn(row_of(known, 1.0, status="pruned"))
    assert durations.expected(known) == 12.0
    assert durations.expected(other) == pytest.approx(60.0)
    durations.learn(row_of(known, 11.0, status="validated"))
    assert durations.expected(known) == 11.5
    assert durations.devices == {"a CPU"}


def test_epochs_of_few_images_tell_nothing_of_those_of_all():
    few, other = trivial_runs(1)[0], trivial_runs(1, "is_slow", epochs=10)[0]
    durations = Durations()
    durations.learn({**row_of(few, 1.0), "train_images": 100})
    assert durations.expected(few) == 1.0
    assert durations.expected(other) is None
    durations.learn({**row_of(few, 20.0), "train_images": None})
    assert durations.expected(other) == pytest.approx(100.0)


def test_a_run_on_few_images_or_one_that_pretrains_is_estimated_by_its_images():
    from fmnist.declare.study import Study, configure

    few = {"epochs": 10, "train_images": 1000}
    study = Study(
        name="few",
        question="?",
        configurations=(
            configure("own_v1", label="all", epochs=10),
            configure("own_v1", label="few", **few),
            configure("own_v1", label="pretrained", **few, pretraining="half_classes", pretraining_epochs=4),
        ),
        repeats=1,
    )
    whole, small, pretrained = study.runs({"all": "a", "few": "a", "pretrained": "a"}, "data")
    durations = Durations()
    durations.learn({**row_of(whole, 100.0), "configuration_id": "another", "epochs_run": 10})
    expected = [durations.expected(run) for run in (whole, small, pretrained)]
    assert expected == pytest.approx([100.0, 10.0, 30.0])


def test_unknown_runs_count_as_the_mean_of_the_known_ones():
    from fmnist.declare.study import Study, configure

    study = Study(name="two", question="?", configurations=(configure("lenet5"), configure("own_v1")), repeats=1)
    lenet, own = study.runs({"lenet5": "a", "own_v1": "b"}, "data")
    durations = Durations()
    durations.learn(row_of(lenet, 8.0))
    assert durations.total([lenet] * 3 + [own] * 2) == pytest.approx(40.0)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_the_running_median_is_that_of_statistics(seconds):
    (run,) = trivial_runs(1)
    durations = Durations()
    for value in seconds:
        durations.learn(row_of(run, value))
    assert durations.expected(run) == statistics.median(seconds)
