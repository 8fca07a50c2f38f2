from __future__ import annotations

import os
import signal
import subprocess
import sys

from fmnist.sweeping.neighbours import NodeMark


def test_runs_see_those_that_run_beside_them(tmp_path):
    first = NodeMark(tmp_path)
    second = NodeMark(tmp_path)
    assert (first.neighbours, second.neighbours) == (0, 1)
    first.release()
    first.release()
    third = NodeMark(tmp_path)
    assert third.neighbours == 1
    second.release()
    third.release()
    assert not list(tmp_path.iterdir())


def test_a_run_whose_process_died_is_no_neighbour(tmp_path):
    code = "import sys, pathlib; from fmnist.sweeping.neighbours import NodeMark; "
    code += f"mark = NodeMark(pathlib.Path({str(tmp_path)!r}));"
    code += "print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        beside = NodeMark(tmp_path)
        assert beside.neighbours == 1
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    after = NodeMark(tmp_path)
    assert after.neighbours == 1
    beside.release()
    after.release()
    assert not list(tmp_path.iterdir())
