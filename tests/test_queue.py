from __future__ import annotations

from dataclasses import replace

import pytest

from fmnist.declare.study import Study, configure
from fmnist.store.store import Store
from fmnist.sweep import queue as queue_module
from fmnist.sweep.in_flight import CheckpointStore, Claims
from fmnist.sweep.queue import RunQueue, failed_row
from tests.sweep_runs import trivial_runs


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def row_of(run):
    return {**run.columns(), "status": "ok", "attempts": 1, "resumed": False}


def drain(queue):
    taken = []
    while (attempt := queue.take()) is not None:
        taken.append(attempt)
        queue.finished(attempt)
    return [attempt.run.repeat for attempt in taken]


def test_every_run_is_handed_out_once_and_in_order(store):
    assert drain(RunQueue(trivial_runs(5), store, max_failures=0)) == [0, 1, 2, 3, 4]
    assert not Claims(store.storage).claimed()


def test_a_failed_run_is_tried_again_at_the_end_and_given_up_in_the_end(store):
    queue = RunQueue(trivial_runs(2), store, max_failures=1)
    first = queue.take()
    assert queue.failed(first)
    second, again = queue.take(), queue.take()
    assert (second.run.repeat, again.run.repeat, again.number) == (1, 0, 2)
    assert not queue.failed(again)
    assert queue.take() is None


def test_a_row_that_another_sweep_wrote_is_not_computed(store):
    runs, elsewhere = trivial_runs(3), []
    queue = RunQueue(runs, store, 0, done_elsewhere=elsewhere.append)
    store.write(failed_row(runs[0], "whatever its status", 1))
    assert drain(queue) == [1, 2]
    assert elsewhere == [runs[0]]


def test_a_failed_run_that_is_to_be_computed_again_is(store):
    runs = trivial_runs(2)
    store.write(failed_row(runs[0], "from an earlier sweep", 1))
    assert drain(RunQueue(runs, store, max_failures=0)) == [0, 1]


def test_further_runs_come_behind_the_others(store):
    runs = trivial_runs(4)
    queue = RunQueue(runs[:2], store, max_failures=0)
    queue.finished(queue.take())
    queue.add(runs[2:])
    assert drain(queue) == [1, 2, 3]


def searched(run, **cutoffs):
    return replace(run, scores_test=False, pruned_below={int(epoch[1:]): least for epoch, least in cutoffs.items()})


def test_a_pruned_row_serves_only_if_it_came_meanwhile_and_only_a_run_that_may_be_pruned(store, monkeypatch):
    monkeypatch.setattr(queue_module, "LISTING_SHARE", 0)  # look each time
    first, second, third = trivial_runs(3)
    elsewhere = []
    store.write({**row_of(first), "status": "pruned"})
    queue = RunQueue([searched(first, e1=0.5), searched(second, e1=0.5)], store, 0, done_elsewhere=elsewhere.append)
    store.write({**row_of(second), "status": "pruned"})
    store.write({**row_of(third), "status": "pruned"})
    queue.add([searched(third)])
    assert drain(queue) == [0, 2]
    assert elsewhere == [searched(second, e1=0.5)]
    queue.add([searched(second, e1=0.4)])  # that row was looked at, and is too short
    assert drain(queue) == [1]


@pytest.mark.parametrize(
    ("status", "scores_test", "computed"),
    [("validated", True, [0]), ("validated", False, []), ("ok", False, []), ("ok", True, [])],
)
def test_a_row_of_a_search_serves_searches_alone(store, status, scores_test, computed):
    run = trivial_runs(1)[0]
    store.write({**row_of(run), "status": status})
    assert drain(RunQueue([replace(run, scores_test=scores_test)], store, max_failures=0)) == computed


def test_rows_that_another_sweep_made_and_compacted_are_not_computed(store, monkeypatch):
    monkeypatch.setattr(queue_module, "LISTING_SHARE", 0)  # look each time
    runs = trivial_runs(12)
    queue = RunQueue(runs, store, max_failures=0)
    first = queue.take()
    other = Store(store.uri)
    for run in runs[1:5]:
        other.write(row_of(run))
    other.compact()
    for run in runs[5:9]:
        other.write(row_of(run))
    queue.finished(first)
    assert drain(queue) == [9, 10, 11]


@pytest.mark.parametrize("row", ["ok", "failed"])
def test_two_sweeps_that_try_failed_runs_again_see_each_others_rows(store, row):
    runs = trivial_runs(3)
    for run in runs:
        store.write(failed_row(run, "from an earlier sweep", 1))
    queue = RunQueue(runs, store, max_failures=0)
    store.write(row_of(runs[0]) if row == "ok" else failed_row(runs[0], "again", 1))
    assert drain(queue) == [1, 2]


def test_a_row_that_appears_before_the_queue_is_made_is_not_computed(store):
    runs = trivial_runs(3)
    store.write(row_of(runs[1]))  # after the plan that found all three missing
    assert drain(RunQueue(runs, store, max_failures=0)) == [0, 2]


def test_a_run_that_is_to_be_tried_again_but_left_its_row_is_not(store, monkeypatch):
    monkeypatch.setattr(queue_module, "LISTING_SHARE", 0)  # look each time
    (run,) = trivial_runs(1)
    queue = RunQueue([run], store, max_failures=2)
    attempt = queue.take()
    store.write(row_of(run))
    queue.failed(attempt)  # its worker was lost after it had written the row
    assert queue.take() is None
    assert not Claims(store.storage).claimed()


def test_runs_that_older_code_has_claimed_are_not_put_off(store):
    runs = trivial_runs(3)
    Claims(store.storage, "older").claim(runs[0])
    assert drain(RunQueue(runs, store, max_failures=0)) == [0, 1, 2]


def test_checkpoints_of_runs_whose_row_is_there_are_swept(store):
    runs = trivial_runs(2)
    checkpoints = CheckpointStore(store.storage)
    for run in runs:
        checkpoints.save(run, b"checkpoint")
    store.write(row_of(runs[0]))
    RunQueue(runs, store, max_failures=0)
    assert checkpoints.load(runs[0]) is None
    assert checkpoints.load(runs[1]) == b"checkpoint"


def test_runs_of_another_sweep_come_last_and_are_not_lost(store):
    runs = trivial_runs(4)
    Claims(store.storage).claim(runs[0])
    assert drain(RunQueue(runs, store, max_failures=0)) == [1, 2, 3, 0]


def test_two_queues_divide_the_runs_between_them(store):
    runs = trivial_runs(20)
    queues = [RunQueue(runs, store, max_failures=0) for _ in range(2)]
    out = {0: None, 1: None}
    computed = []
    for step in range(60):
        mine = step % 2
        if out[mine] is not None:
            store.write(failed_row(out[mine].run, "done", 1))
            queues[mine].finished(out[mine])
            computed.append(out[mine].run.repeat)
        out[mine] = queues[mine].take()
    assert sorted(set(computed)) == list(range(20))
    assert len(computed) <= 21  # at most the run in flight at the end is computed twice


def test_what_was_not_finished_is_given_back_with_its_checkpoint(store):
    runs = trivial_runs(2)
    queue = RunQueue(runs, store, max_failures=0)
    queue.take()
    queue.take()
    checkpoints = CheckpointStore(store.storage)
    checkpoints.save(runs[1], b"checkpoint")
    queue.release()
    assert not Claims(store.storage).claimed()  # so that the next sweep takes them up in their place, not at the end
    assert checkpoints.load(runs[1]) == b"checkpoint"


def test_the_longest_run_of_a_repeat_comes_first_as_soon_as_it_is_known(store):
    labels = ("short", "long", "middle")
    configurations = tuple(
        configure("lenet5", label=label, learning_rate=float(i)) for i, label in enumerate(labels, 1)
    )
    study = Study(name="mixed", question="?", configurations=configurations, repeats=3)
    runs = study.runs(dict.fromkeys(labels, "structure"), "data")
    seconds = {}
    queue = RunQueue(runs, store, 0, expected=lambda run: seconds.get(run.configuration.label))

    def take(count):
        return [
            (attempt.run.configuration.label, attempt.run.repeat) for attempt in (queue.take() for _ in range(count))
        ]

    assert take(3) == [("short", 0), ("long", 0), ("middle", 0)], "nothing is known: as declared"
    seconds |= {"short": 1.0, "middle": 2.0}
    assert take(3) == [("long", 1), ("middle", 1), ("short", 1)], "what is not known counts as longest"
    seconds["long"] = 1.5
    assert take(3) == [("middle", 2), ("long", 2), ("short", 2)]
    assert queue.take() is None


def test_a_failed_run_of_an_earlier_repeat_stays_at_the_end(store):
    runs = trivial_runs(3)
    queue = RunQueue(runs, store, max_failures=1, expected=lambda run: float(-run.repeat))
    assert queue.failed(queue.take())
    assert drain(queue) == [1, 2, 0]
