"""The published rows give README's and docs/results.md's results and the published report's tables."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from fmnist.report import build
from fmnist.report.build import build_report
from fmnist.report.markdown import END, GLANCE_END, GLANCE_START, START, glance_section, results_section
from fmnist.store.schema import SCHEMA
from fmnist.store.store import Store

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED, REPORT = ROOT / "results" / "published", ROOT / "docs" / "report"
SECTION = (ROOT / "docs" / "results.md").read_text().split(START)[1].split(END)[0].strip()
GLANCE = (ROOT / "README.md").read_text().split(GLANCE_START)[1].split(GLANCE_END)[0].strip()
STUDIES = re.findall(r"^### Study `(.+)`$", SECTION, re.MULTILINE)
MOST_BYTES = 5_000_000  # a clone should stay small


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """The report on the published rows, its figures left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(build, "pictures", lambda *_: iter(()))
        return build_report("results/published", STUDIES, out=tmp_path_factory.mktemp("report"))


def test_rows_are_few_whole_files_of_the_schema_with_a_commit_each():
    store = Store(PUBLISHED)
    rows = store.read()
    assert rows.schema.names == SCHEMA.names
    assert not store.damaged
    assert not list((PUBLISHED / "runs").glob("*")), "compact the rows before publishing them"
    assert sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()) < MOST_BYTES
    assert not rows.filter(rows["commit"].is_null()).num_rows
    assert not any(rows["dirty"].to_pylist())


def test_the_pages_say_what_the_rows_say(rebuilt):
    assert sorted(STUDIES) == sorted(manifest["name"] for manifest in Store(PUBLISHED).manifests())
    assert results_section(rebuilt, "report/index.html") == SECTION, "run `make report`"
    assert glance_section(rebuilt) == GLANCE, "run `make report`"


def test_the_published_tables_are_those_of_the_rows(rebuilt):
    folder = rebuilt.path.parent / "tables"
    names = {path.relative_to(folder) for path in folder.rglob("*.csv")}
    assert names == {path.relative_to(REPORT / "tables") for path in (REPORT / "tables").rglob("*.csv")}
    for name in names:
        published, made = (pd.read_csv(place / name) for place in (REPORT / "tables", folder))
        pd.testing.assert_frame_equal(published, made, rtol=1e-6, obj=str(name))
