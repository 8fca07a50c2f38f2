from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmnist.store.store import Store
from tests.synthetic_rows import SIX, manifest_of, rows_of

JOBS = Path(__file__).resolve().parent.parent / "jobs"


def aggregate(tmp_path, *arguments, job="aggregate", **settings):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "80", **settings}
    command = [sys.executable, str(JOBS / f"{job}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)


def test_help_names_every_default(tmp_path):
    done = aggregate(tmp_path, "--help")
    assert done.returncode == 0
    for words in ("--results", "default: results", "--study", "--out", "default: report", "--data", "--pages"):
        assert words in done.stdout


@pytest.mark.parametrize("uri", ["nowhere", "nothing://x"])
def test_no_rows_is_one_clear_line_and_exit_code_two(tmp_path, uri):
    done = aggregate(tmp_path, "--results", uri)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert uri in done.stderr
    assert not (tmp_path / "report").exists()


def test_default_places_and_an_unknown_study(tmp_path):
    store = Store(tmp_path / "results")
    for row in rows_of(SIX[:1], 1):
        store.write(row)
    store.write_manifest(manifest_of(SIX[:1], 1))
    refused = aggregate(tmp_path, "--study", "other")
    assert refused.returncode == 2
    assert "made_up" in refused.stderr
    (tmp_path / "README.md").write_text("<!-- results -->\n<!-- end of results -->\n")
    notebook = {"MPLBACKEND": "module://not_here.backend_inline", "PYTHONIOENCODING": "ascii"}
    done = aggregate(tmp_path, "--pages", "README.md", **notebook)
    assert done.returncode == 0, done.stderr
    assert "test accuracy of" in done.stdout
    assert "### Study `made_up`" in (tmp_path / "README.md").read_text()
    assert done.stdout.startswith("Report on all studies\nReading results\n")
    assert "Report: report/index.html" in done.stdout
    assert (tmp_path / "report" / "index.html").is_file()


def test_a_key_in_the_uri_stays_out_of_what_is_printed_and_written(tmp_path):
    uri = f"file://{tmp_path}/results?secret_key=hidden"
    assert "hidden" not in aggregate(tmp_path, "--results", uri).stderr
    store = Store(uri)
    for row in rows_of(SIX[:1], 1):
        store.write(row)
    store.write_manifest(manifest_of(SIX[:1], 1))
    done = aggregate(tmp_path, "--results", uri)
    assert done.returncode == 0, done.stderr
    assert f"Reading file://{tmp_path}/results?secret_key=...\n" in done.stdout
    written = [path for path in (tmp_path / "report").rglob("*") if path.is_file()]
    assert any(b"secret_key=..." in path.read_bytes() for path in written)
    assert not any(b"hidden" in path.read_bytes() for path in written)
    assert "hidden" not in done.stdout + done.stderr


def test_a_terminal_in_ascii_gets_marks_for_what_it_cannot_print(tmp_path):
    folder = "r\N{LATIN SMALL LETTER E WITH ACUTE}"
    Store(tmp_path / folder).write_manifest(manifest_of(SIX[:1], 1))
    for job, code in (("aggregate", 2), ("compact", 0)):
        done = aggregate(tmp_path, "--results", folder, job=job, PYTHONIOENCODING="ascii")
        assert done.returncode == code, done.stderr
        assert "r?" in done.stdout


def test_a_script_without_a_main_guard_builds_the_report_once(tmp_path):
    store = Store(tmp_path / "results")
    for row in rows_of(SIX[:1], 1):
        store.write(row)
    store.write_manifest(manifest_of(SIX[:1], 1))
    script = tmp_path / "plain.py"
    script.write_text(
        "from fmnist.report.build import build_report\nprint('started')\nbuild_report('results')\nprint('done')\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(JOBS.parent)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["started", "done"]
    assert (tmp_path / "report" / "index.html").is_file()


def test_the_job_loads_neither_tensorflow_nor_ray():
    code = (
        "import fmnist.report.build, fmnist.report.terminal, sys; print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "ray", "torch"} & set(loaded)
