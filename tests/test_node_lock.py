from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

from fmnist.sweep.node_lock import NodeLock, Occupancy

SHARED, EXCLUSIVE = Occupancy("shared"), Occupancy("exclusive")


def locked(occupation, folder):
    lock = NodeLock(occupation, folder)
    assert lock.acquire()
    return lock


def test_runs_see_those_beside_them_also_those_that_come_later(tmp_path):
    first = locked(SHARED, tmp_path)
    second, third = locked(SHARED, tmp_path), locked(SHARED, tmp_path)
    assert [lock.neighbours for lock in (first, second, third)] == [0, 1, 2]
    first.look()
    assert first.neighbours == 2
    third.release()
    third.release()
    for lock in (first, second):
        lock.look()
    assert (first.neighbours, second.neighbours) == (2, 1)  # the most at the same time
    first.release()
    second.release()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("here", "comes", "may_enter"),
    [
        (SHARED, SHARED, True),
        (SHARED, EXCLUSIVE, False),
        (EXCLUSIVE, SHARED, False),
        (EXCLUSIVE, EXCLUSIVE, False),
        (Occupancy("exclusive", "0"), Occupancy("exclusive", "1"), True),
        (Occupancy("exclusive", "0"), Occupancy("exclusive", "0"), False),
        (Occupancy("exclusive", "0"), Occupancy("shared", "0"), False),
        (Occupancy("shared", "0"), Occupancy("exclusive", "0"), False),
        (Occupancy("shared", "0"), Occupancy("shared", "0"), True),
        (Occupancy("exclusive", "0"), SHARED, True),  # the CPUs of the node are not its device
        (Occupancy("exclusive", "0"), EXCLUSIVE, False),  # but it is on the node
        (EXCLUSIVE, Occupancy("shared", "0"), False),
    ],
)
def test_an_exclusive_run_is_alone_on_its_node_or_device(tmp_path, here, comes, may_enter):
    first, second = locked(here, tmp_path), NodeLock(comes, tmp_path)
    assert second.acquire() == may_enter
    second.release()
    first.release()
    assert NodeLock(comes, tmp_path).acquire()


def test_eight_exclusive_runs_on_eight_gpus_are_no_neighbours(tmp_path):
    locks = [locked(Occupancy("exclusive", str(gpu)), tmp_path) for gpu in range(8)]
    for lock in locks:
        lock.look()
        assert lock.neighbours == 0
    for lock in locks:
        lock.release()


def test_every_user_may_take_a_place(tmp_path):
    before = os.umask(0o077)
    try:
        lock = locked(EXCLUSIVE, tmp_path / "runs")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o1777
    (place,) = (tmp_path / "runs").iterdir()
    assert stat.S_IMODE(place.stat().st_mode) == 0o644
    lock.release()


def test_a_run_whose_process_died_is_no_neighbour(tmp_path):
    code = "import sys, pathlib; from fmnist.sweep.node_lock import NodeLock, Occupancy; "
    code += f"lock = NodeLock(Occupancy('exclusive'), pathlib.Path({str(tmp_path)!r})); lock.acquire();"
    code += "print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        beside = NodeLock(SHARED, tmp_path)
        assert not beside.acquire()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert beside.acquire()
    assert beside.neighbours == 0
    beside.release()
    assert not list(tmp_path.iterdir())
