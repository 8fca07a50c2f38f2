"""The published rows give README's and docs/results.md's results and figures, and a clone stays small."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmnist.report import build
from fmnist.report.build import build_report
from fmnist.report.chapters.accuracy import accuracy_chapter
from fmnist.report.chapters.costs import costs_chapter
from fmnist.report.markdown import END, GLANCE_END, GLANCE_START, START, glance_section, results_section
from fmnist.store.schema import SCHEMA
from fmnist.store.store import Store
from tests.synthetic_rows import without_figures

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED, FIGURES = ROOT / "published", ROOT / "docs" / "figures"
SECTION = (ROOT / "docs" / "results.md").read_text().split(START)[1].split(END)[0].strip()
GLANCE = (ROOT / "README.md").read_text().split(GLANCE_START)[1].split(GLANCE_END)[0].strip()
STUDIES = re.findall(r"^### Study `(.+)`$", SECTION, re.MULTILINE)
SHOWN = sorted(path.relative_to(FIGURES).with_suffix("").as_posix() for path in FIGURES.rglob("*.svg"))
MOST_ROW_BYTES, MOST_FIGURE_BYTES, MOST_CLONE_BYTES = 3_500_000, 150_000, 10_000_000


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """The report on the published rows, with the figures that pages show and no others."""

    def report_shown(data, styles):
        shown = {name.partition("/")[2] for name in SHOWN if name.startswith(f"{data.study.name}/")}
        report = without_figures(data, styles)
        chapters = [chapter(data, styles) for chapter in (accuracy_chapter, costs_chapter)] if shown else []
        figures = {chapter.key: (item for item in chapter.figures if item.name in shown) for chapter in chapters}
        return replace(report, chapters=[replace(item, figures=figures.get(item.key, ())) for item in report.chapters])

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(build, "report_study", report_shown)
        return build_report("published", STUDIES, out=tmp_path_factory.mktemp("report"))


def test_rows_are_few_whole_files_of_the_schema_with_a_commit_each():
    store = Store(PUBLISHED)
    rows = store.read()
    assert rows.schema.names == SCHEMA.names
    assert not store.damaged
    assert not list((PUBLISHED / "runs").glob("*")), "compact the rows before publishing them"
    assert sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()) < MOST_ROW_BYTES
    assert not rows.filter(rows["commit"].is_null()).num_rows
    assert not any(rows["dirty"].to_pylist())


def test_the_pages_say_what_the_rows_say(rebuilt):
    assert sorted(STUDIES) == sorted(manifest["name"] for manifest in Store(PUBLISHED).manifests())
    assert results_section(rebuilt) == SECTION, "run `make report`"
    assert glance_section(rebuilt) == GLANCE, "run `make report`"


def test_figures_are_those_that_make_report_copies_and_the_pages_show():
    copied = re.search(r"^FIGURES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    pages = [(ROOT / "README.md").read_text(), (ROOT / "docs" / "results.md").read_text()]
    assert sorted(copied) == SHOWN == sorted(set(re.findall(r"figures/(\S+)\.svg\)", "".join(pages))))
    assert max((FIGURES / f"{name}.svg").stat().st_size for name in SHOWN) < MOST_FIGURE_BYTES


@pytest.mark.parametrize("name", SHOWN)
def test_the_figures_are_those_of_the_rows(rebuilt, name):
    number = re.compile(r"-?\d+\.\d+")
    shown, made = (
        re.sub(r'(id="|href="#|url\(#)\w+', r"\1", (folder / f"{name}.svg").read_text())  # without its hashes
        for folder in (FIGURES, rebuilt.path.parent / "figures")
    )
    assert number.sub("", shown) == number.sub("", made), "run `make report`"
    np.testing.assert_allclose(*([float(x) for x in number.findall(text)] for text in (shown, made)), atol=1e-3)


def test_no_report_is_in_git_and_a_clone_without_history_is_small(tmp_path):
    git = ["git", "-c", "safe.directory=*"]
    clone = [*git, "clone", "-q", "--depth", "1", f"file://{ROOT}", tmp_path / "clone"]
    if subprocess.run(clone, check=False).returncode:
        pytest.skip("this is no clone of the project")
    assert not (tmp_path / "clone" / "docs" / "report").exists()
    used = subprocess.run(["du", "-sb", tmp_path / "clone"], capture_output=True, text=True, check=True).stdout
    assert int(used.split()[0]) < MOST_CLONE_BYTES
