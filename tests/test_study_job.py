"""The job `jobs/study.py`: its command line, what it previews, and a study through it."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from ray.tune import Callback
from rich.console import Console

from fmnist import UserError
from fmnist.compare.sequential import Design
from fmnist.data.dataset import load_data
from fmnist.declare.study import Study, configure
from fmnist.report.selection import select_studies
from fmnist.store.store import Store
from fmnist.sweep import connection as connections
from fmnist.sweep import preview, study_job, tracking, tuner
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.resources import Cluster
from fmnist.sweep.study_job import run_study, run_until_decided
from jobs import compact
from tests.sweep_runs import KnownStructures, known_structures
from tests.tiny_data import tiny_dataset
from tests.trivial_engine import COURSES

ROOT = Path(__file__).resolve().parents[1]
JOB = ROOT / "jobs" / "study.py"


def load_job():
    spec = importlib.util.spec_from_file_location("study_command", JOB)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


main = load_job().main


@pytest.fixture
def tiny(monkeypatch):
    """Tiny data and no Keras, for a study of trivial runs."""
    data = tiny_dataset(40, 10)
    monkeypatch.setattr(study_job, "load_data", lambda _: data)
    monkeypatch.setattr(study_job, "structure_process", known_structures)


@pytest.fixture
def on_one_ray(one_ray, tiny, monkeypatch):  # noqa: ARG001
    """Let every study of a test use the same Ray, to save its start."""
    monkeypatch.setattr(connections, "connection", lambda _: nullcontext(one_ray))


STUDY = Study(
    name="trivial",
    question="?",
    configurations=tuple(configure("lenet5", label=label, learning_rate=1.0, batch_size=size, epochs=1)
                         for label, size in (("a", 32), ("b", 64))),
    repeats=2,
)  # fmt: skip


def options(results, **changes):
    return StudyOptions(results=str(results), engine="tests.trivial_engine", report=None, address="local", **changes)


def console():
    return Console(file=io.StringIO(), width=200)


def test_help_gives_every_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    described = " ".join(capsys.readouterr().out.split())
    for option in ("--repeats", "--results", "--data", "--address", "--cpus-per-run", "--gpus-per-run", "--placement",
                   "--retry-failed", "--max-failures", "--report", "--no-report", "--dry-run", "--list",
                   "--until-decided", "--max-repeats"):  # fmt: skip
        assert option in described
    assert "default: results" in described
    assert "default: 2" in described


def test_list_shows_what_there_is_without_tensorflow_and_ray():
    code = f"import runpy, sys; sys.argv = ['study', '--list']\ntry: runpy.run_path({str(JOB)!r}, run_name='__main__')"
    code += "\nexcept SystemExit as end: print(end.code, sorted({'ray', 'tensorflow', 'keras'} & set(sys.modules)))"
    wide = {**os.environ, "COLUMNS": "200"}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=wide).stdout
    assert shown.endswith("0 []\n")
    lines = [line.rstrip() for line in shown.splitlines()]
    assert {"quick", "comparison", "timing"} <= set(lines)
    facts = lines[lines.index("comparison") + 2]
    assert facts.startswith("  60 runs: 6 configurations, 10 repeats, shared; lenet5, brownlee, own_v1")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quik"], r"study: study: got 'quik', expected one of .*quick"),
        ([], r"study: NAME: got none; --list shows the studies"),
        (
            ["quick", "--gpus-per-run", "0.3"],
            r"study: gpus per run: got 0.3, expected 0, 1 .* or a fraction",
        ),
        (["quick", "--cpus-per-run", "-1"], r"study: cpus per run: got -1, expected"),
        (["quick", "--max-failures", "-1"], r"study: max failures: got -1, expected a whole number of at least 0"),
        (["quick", "--checkpoint-seconds", "nan"], r"study: checkpoint seconds: got nan, expected a number in"),
        (["quick", "--max-failures", "9" * 20], r"study: max failures: got 9+, expected .* at most 2147483647"),
        (["quick", "--repeats", "99999999999"], r"study: .*repeats: got 9+, expected .* at least 1 and at most 10000$"),
        (
            ["quick", "--until-decided", "--max-repeats", "99999"],
            r"study: max repeats: got 99999, .* at most 10000$",
        ),
        (
            ["quick", "--dry-run", "--price-per-gpu-hour", "-1"],
            r"study: price per GPU-hour: got -1.0, expected a",
        ),
        (
            ["quick", "--dry-run", "--price-per-gpu-hour", "nan"],
            r"study: price per GPU-hour: got nan, expected a",
        ),
        (
            ["quick", "--dry-run", "--price-per-gpu-hour", "inf"],
            r"study: price per GPU-hour: got inf, expected a",
        ),
        (["quick", "--node-resource", ""], r"study: node resource: got '', expected a line"),
        (["quick", "--node-resource", "a\nb"], r"study: node resource: got 'a\\nb', expected a line"),
        (["quick", "--node-resource", "GPU"], r"study: node resource: got GPU, expected a custom resource"),
        (["quick", "--gpus-per-run", "1e-320"], r"study: gpus per run: got .*, expected 0, 1"),
        (["quick", "--data", "/nonexistent", "--dry-run"], r"study: .*/nonexistent"),
        (["quick", "--repeats", "5", "--until-decided"], r"study: --repeats: got it with --until-decided"),
        (["grid", "--until-decided"], r"study: --until-decided: got it with grid, whose repeats are fixed; use"),
        (["winners", "--until-decided"], r"study: --until-decided: got it with winners, whose repeats are fixed"),
        (["grid", "--max-repeats", "5"], r"study: --max-repeats: got it without --until-decided"),
        (["quick", "--max-repeats", "5"], r"study: --max-repeats: got it without --until-decided"),
        (["quick", "--until-decided", "--dry-run"], r"study: --until-decided: got it with --dry-run"),
        (["quick", "--price-per-gpu-hour", "2"], r"study: --price-per-gpu-hour: got it without --dry-run"),
        (["quick", "--report", "x", "--no-report"], r"study: --report: got it with --no-report"),
        (["quick", "--gpus-per-run", "2"], r"study: gpus per run: got 2, expected 0, 1"),
        (["quick", "--address", "nonsense", "--no-report"], r"study: address: got nonsense, where no Ray answers"),
    ],
)
def test_nonsense_is_one_clear_line(arguments, message, capsys, tmp_path, monkeypatch):
    if "--data" in arguments:
        monkeypatch.setattr(study_job, "load_data", load_data)
    assert main([*arguments, "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert re.match(message, error)
    assert error.count("\n") == 1


def test_a_store_that_is_not_there_is_not_compacted_and_said(tmp_path, capsys):
    assert compact.main(["--results", str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error == f"compact: results: got {tmp_path}/nowhere, where no study was run; give the folder or URI of one\n"


@pytest.mark.parametrize(
    "arguments", [["quick", "--repeats", "0"], ["quick", "--repeats", "x"], ["--placement", "own"]]
)
def test_nonsense_that_the_parser_sees_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("on_one_ray")
def test_a_key_in_the_uri_is_never_printed(tmp_path, capsys):
    uri, out = f"file://{tmp_path}/rows?secret_key=hidden", console()
    for _ in range(2):
        assert run_study(STUDY, options(uri), out) == 0
    preview.preview_study(STUDY, options(uri), out)
    assert compact.main(["--results", uri]) == 0
    said = out.file.getvalue() + "".join(capsys.readouterr())
    assert said.count(f"file://{tmp_path}/rows?secret_key=...") == 4
    assert "hidden" not in said


@pytest.mark.usefixtures("on_one_ray")
def test_a_study_runs_is_extended_and_then_has_nothing_to_do(tmp_path):
    out = console()
    assert run_study(STUDY, options(tmp_path), out) == 0
    said = out.file.getvalue()
    assert "4 of 4 runs to compute" in said
    assert re.search(r"4 runs in .*compiling, training and evaluating took \d+ % of the workers' time", said)
    rows = Store(tmp_path).read(["label", "repeat", "status", "study"]).to_pylist()
    assert {(row["label"], row["repeat"]) for row in rows} == {("a", 0), ("a", 1), ("b", 0), ("b", 1)}
    manifest = Store(tmp_path).read_manifest("trivial")
    assert manifest["repeats"] == 2
    assert [item["label"] for item in manifest["configurations"]] == ["a", "b"]
    assert {item["configuration_id"] for item in manifest["configurations"]} == {
        row["configuration_id"] for row in Store(tmp_path).read(["configuration_id"]).to_pylist()
    }

    out = console()
    assert run_study(STUDY, options(tmp_path), out) == 0
    assert f"Nothing to compute: all 4 runs are in {tmp_path}" in out.file.getvalue()

    out = console()
    preview.preview_study(STUDY, options(tmp_path), out)
    assert f"4 runs wanted, 4 present in {tmp_path}, 0 missing" in out.file.getvalue()


@pytest.mark.usefixtures("on_one_ray")
@pytest.mark.parametrize("shuffled", [True, False])
def test_only_a_shuffled_study_keeps_the_order_of_its_runs(tmp_path, monkeypatch, shuffled):
    kept = []
    monkeypatch.setattr(tuner, "sweep", lambda *_, **named: kept.append(named["keep_order"]))
    run_study(replace(STUDY, shuffle_within_repeat=shuffled), options(tmp_path), console())
    assert kept == [shuffled]


@pytest.mark.usefixtures("on_one_ray")
def test_more_than_the_machine_has_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a run asks for 1000 CPU, but this machine has .* ask for less"):
        run_study(STUDY, options(tmp_path, cpus_per_run=1000), console())


@pytest.mark.usefixtures("on_one_ray")
def test_a_kind_of_node_that_a_ray_of_our_own_has_not_is_refused(tmp_path):
    words = r"a run asks for 1 CPU and 1 fast, but this machine has \d+ CPU and 0 fast"
    with pytest.raises(UserError, match=words):
        run_study(STUDY, options(tmp_path, node_resource="fast"), console())


@pytest.mark.parametrize("nodes", [[{"memory": 1e9}], [{"CPU": 2.0}]])  # a head that does not compute; a small node
@pytest.mark.usefixtures("tiny")
def test_a_joined_ray_may_still_get_the_node_and_what_is_awaited_is_said(tmp_path, monkeypatch, nodes):
    states = []
    monkeypatch.setattr(tuner, "sweep", lambda *arguments, **_: states.append(arguments[4].state))
    monkeypatch.setattr(connections, "connection", lambda _: nullcontext(Cluster(nodes=nodes, can_grow=True)))
    out = console()
    run_study(STUDY, options(tmp_path, cpus_per_run=4, node_resource="fast"), out)
    assert "No node that is up has 4 CPU and 1 fast: the runs wait for one, as long as it takes" in out.file.getvalue()
    assert "waits for a node with 4 CPU and 1 fast" in states[0].headline()


@pytest.mark.usefixtures("on_one_ray")
def test_a_study_whose_runs_have_failed_says_so_each_time(tmp_path):
    failing = configure("lenet5", label="a", learning_rate=COURSES["raises"], epochs=1)
    study = replace(STUDY, configurations=(failing, STUDY.configurations[1]), repeats=1)
    assert run_study(study, options(tmp_path, max_failures=0), console()) == 1
    again = console()
    assert run_study(study, options(tmp_path), again) == 1
    words = f"all 2 runs are in {tmp_path}, 1 of them failed: --retry-failed computes those again"
    assert words in again.file.getvalue()
    longer = console()
    assert run_study(replace(study, configurations=STUDY.configurations[1:], repeats=2), options(tmp_path), longer) == 0
    assert "failed:" not in longer.file.getvalue()
    assert run_study(replace(study, repeats=2), options(tmp_path, max_failures=0), longer) == 2
    assert "3 are there, 1 of them failed: --retry-failed computes those again" in longer.file.getvalue()


def test_paths_are_made_absolute_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = StudyOptions(results="rows", data=Path("data"), report=Path("out"), tensorboard=Path("curves"))
    assert (asked.results, asked.data) == (str(tmp_path / "rows"), tmp_path / "data")
    assert (asked.report, asked.tensorboard) == (tmp_path / "out", tmp_path / "curves")
    assert StudyOptions(results="s3://bucket/rows").results == "s3://bucket/rows"
    assert StudyOptions(results="~/rows").results == str(Path.home() / "rows")


@pytest.mark.usefixtures("on_one_ray")
def test_relative_results_are_those_of_the_command_and_not_of_the_workers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the Ray was started in another folder
    assert run_study(STUDY, options("rows"), console()) == 0
    assert Store(tmp_path / "rows").read(["repeat"]).num_rows == 4


@pytest.mark.usefixtures("on_one_ray")
def test_repeats_are_added_until_the_cap_where_nothing_can_be_decided(tmp_path):
    out = console()
    assert run_until_decided(STUDY, options(tmp_path), out, "test_accuracy", 6) == 0
    said = out.file.getvalue()
    assert "5 repeats, test accuracy: 0 of 1 pairs decided" in said
    assert "6 repeats, test accuracy: 0 of 1 pairs decided" in said
    assert "Undecided: a and b" in said
    assert Store(tmp_path).read(["repeat"]).num_rows == 12
    design = {"metric": "test_accuracy", "looks": [5, 6]}
    assert Store(tmp_path).read_manifest("trivial")["sequential_design"] == design
    assert select_studies(Store(tmp_path))[0].design == Design(metric="test_accuracy", analyses=(5, 6))

    again = console()
    run_until_decided(STUDY, options(tmp_path), again, "test_accuracy", 6)
    assert "by another" not in again.file.getvalue()
    assert run_study(STUDY, options(tmp_path), again) == 0
    assert (
        "design with 2 analyses, the last at 6 repeats (test accuracy), from now on by another" in again.file.getvalue()
    )
    assert Store(tmp_path).read_manifest("trivial")["sequential_design"] is None


@pytest.mark.usefixtures("on_one_ray")
def test_rows_that_wait_are_named_in_the_last_line_and_count(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    results, out = tmp_path / "results", console()

    class CutOff(Callback):
        def on_trial_start(self, *_, **__):
            (results / "runs").write_text("a file in the way of the rows")

    monkeypatch.setattr(tracking, "tracking_callbacks", lambda *_: [CutOff()])
    assert run_study(replace(STUDY, repeats=1), options(results), out) == 2
    said = out.file.getvalue().splitlines()
    assert re.match(rf"2 files wait in {tmp_path}/cache/\S+, the same command sends them: ", said[-1])
    assert sorted(re.findall(r"[ab] repeat 0", said[-1])) == ["a repeat 0", "b repeat 0"]

    (results / "runs").unlink()
    assert run_study(replace(STUDY, repeats=1), options(results), out) == 0
    assert "Nothing to compute: all 2 runs" in out.file.getvalue()


@pytest.mark.usefixtures("on_one_ray")
def test_many_files_are_merged_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(study_job, "COMPACTED_FROM", 4)
    run_study(replace(STUDY, repeats=1), options(tmp_path), console())
    assert Store(tmp_path).file_count() == 2
    run_study(STUDY, options(tmp_path), console())
    assert Store(tmp_path).file_count() == 1
    assert Store(tmp_path).read(["repeat"]).num_rows == 4


@pytest.mark.usefixtures("tiny")
def test_the_preview_estimates_time_and_cost_from_rows(tmp_path):
    runs = STUDY.runs(KnownStructures().by_label(STUDY.configurations), tiny_dataset(40, 10).fingerprint)
    nothing = console()
    preview.preview_study(STUDY, options(tmp_path), nothing)
    assert "How long they take is not known" in nothing.file.getvalue()
    row = {"status": "ok", "attempts": 1, "resumed": False, "total_seconds": 3600.0, "device_model": "some CPU"}
    Store(tmp_path).write({**runs[0].columns(), **row, "device_kind": "CPU"})
    out = console()
    preview.preview_study(STUDY, options(tmp_path, gpus_per_run=0.5), out, gpu_hour_price=2.0)
    said = out.file.getvalue()
    assert "4 runs wanted, 1 present" in said
    assert "at most 3 h 0 min, 2 of them guessed from the others" in said
    assert "(some CPU)" in said
    assert "What they cost is not known: no row of these architectures on a GPU" in said
    assert "GPU-hours" not in said

    row |= {"total_seconds": 360.0, "device_model": "some GPU", "device_kind": "GPU"}
    Store(tmp_path).write({**runs[1].columns(), **row})
    out = console()
    preview.preview_study(STUDY, options(tmp_path, gpus_per_run=0.5), out, gpu_hour_price=2.0)
    assert "0.10 GPU-hours with 0.5 GPU a run: 0.20 in all, by the rows on some GPU" in out.file.getvalue()


@pytest.fixture
def interruptible():
    """Children obey SIGINT even where the tests themselves were started in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_study_ends_cleanly_and_says_how_to_resume(tmp_path, number):
    study = tmp_path / "long.py"
    study.write_text(
        "from fmnist.declare.study import Study, configure\n"
        "configuration = configure('lenet5', epochs=1000, early_stopping_patience=None)\n"
        "STUDY = Study(name='long', question='?', configurations=(configuration,), repeats=1)\n"
    )
    command = [sys.executable, str(JOB), str(study), "--results", str(tmp_path / "rows"), "--address", "local"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as job:
        wait_until(lambda: list((tmp_path / "rows" / "inflight").glob("*.claim")))
        job.send_signal(number)
        said = job.communicate(timeout=60)[0]
    assert job.returncode == 130
    assert "Stopped. Finished runs are kept: the same command resumes from here." in said
    assert "Traceback" not in said
    assert "Warning" not in said


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert condition()
