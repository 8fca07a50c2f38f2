from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

from fmnist.sweep.node_lock import NodeMark, Occupation

SHARED, EXCLUSIVE = Occupation("shared"), Occupation("exclusive")


def entered(occupation, folder):
    mark = NodeMark(occupation, folder)
    assert mark.enter()
    return mark


def test_runs_see_those_beside_them_also_those_that_come_later(tmp_path):
    first = entered(SHARED, tmp_path)
    second, third = entered(SHARED, tmp_path), entered(SHARED, tmp_path)
    assert [mark.neighbours for mark in (first, second, third)] == [0, 1, 2]
    first.look()
    assert first.neighbours == 2
    third.release()
    third.release()
    for mark in (first, second):
        mark.look()
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
        (Occupation("exclusive", "0"), Occupation("exclusive", "1"), True),
        (Occupation("exclusive", "0"), Occupation("exclusive", "0"), False),
        (Occupation("exclusive", "0"), Occupation("shared", "0"), False),
        (Occupation("shared", "0"), Occupation("exclusive", "0"), False),
        (Occupation("shared", "0"), Occupation("shared", "0"), True),
        (Occupation("exclusive", "0"), SHARED, True),  # the CPUs of the node are not its device
        (Occupation("exclusive", "0"), EXCLUSIVE, False),  # but it is on the node
        (EXCLUSIVE, Occupation("shared", "0"), False),
    ],
)
def test_an_exclusive_run_is_alone_on_its_node_or_device(tmp_path, here, comes, may_enter):
    first, second = entered(here, tmp_path), NodeMark(comes, tmp_path)
    assert second.enter() == may_enter
    second.release()
    first.release()
    assert NodeMark(comes, tmp_path).enter()


def test_eight_exclusive_runs_on_eight_gpus_are_no_neighbours(tmp_path):
    marks = [entered(Occupation("exclusive", str(gpu)), tmp_path) for gpu in range(8)]
    for mark in marks:
        mark.look()
        assert mark.neighbours == 0
    for mark in marks:
        mark.release()


def test_every_user_may_take_a_place(tmp_path):
    before = os.umask(0o077)
    try:
        mark = entered(EXCLUSIVE, tmp_path / "runs")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o1777
    (place,) = (tmp_path / "runs").iterdir()
    assert stat.S_IMODE(place.stat().st_mode) == 0o644
    mark.release()


def test_a_run_whose_process_died_is_no_neighbour(tmp_path):
    code = "import sys, pathlib; from fmnist.sweep.node_lock import NodeMark, Occupation; "
    code += f"mark = NodeMark(Occupation('exclusive'), pathlib.Path({str(tmp_path)!r})); mark.enter();"
    code += "print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        beside = NodeMark(SHARED, tmp_path)
        assert not beside.enter()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert beside.enter()
    assert beside.neighbours == 0
    beside.release()
    assert not list(tmp_path.iterdir())
