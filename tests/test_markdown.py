"""The results as sections of Markdown pages."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from fmnist.report.build import ReportResult
from fmnist.report.chapter import Chapter, StudyReport
from fmnist.report.markdown import END, GLANCE_END, GLANCE_START, START, markdown_table, update_sections
from fmnist.report.table import Table

COLUMNS = {"configuration": ["a|b", "c"], "n": ["3", "4"], "training time, s": ["1.0", "2.0"],
           "allocated host memory, MiB": ["5.0", "6.0"]}  # fmt: skip


def table(note=""):
    shown = pd.DataFrame(COLUMNS)
    return Table("results", "Results", shown, shown, note, is_main=True)


@pytest.fixture
def result(tmp_path):
    studies = tuple(
        StudyReport(name=name, question="Which?", answer=f"Answer {name}.", missing=("a lacks 2 repeats.",),
                    measurement="Measured.", chapters=[Chapter(key="overview", title="", tables=[table()])])
        for name in ("timing", "comparison")
    )  # fmt: skip
    return ReportResult(path=tmp_path / "docs" / "report" / "index.html", studies=studies)


def test_a_table_becomes_rows_with_escaped_bars():
    lines = ["**Results**", "", "| configuration | n | training time, s | allocated host memory, MiB |",
             "| --- | --- | --- | --- |", r"| a\|b | 3 | 1.0 | 5.0 |", "| c | 4 | 2.0 | 6.0 |", "",
             "A note."]  # fmt: skip
    assert markdown_table(table("A note.")) == "\n".join(lines)


def test_the_section_takes_the_place_between_the_marks_and_nothing_else(tmp_path, result):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    update_sections(readme, result)
    text = readme.read_text()
    assert text.startswith(f"before\n{START}\n\n### Study `timing`\n")
    assert text.endswith(f"Measured.\n\n{END}\nafter\n")
    assert "old" not in text
    assert "\n\n- a lacks 2 repeats.\n\n" in text
    assert text.index("Answer timing.") < text.index("### Study `comparison`") < text.index("Answer comparison.")
    update_sections(readme, result)
    assert readme.read_text() == text


@pytest.mark.parametrize("text", ["nothing", START, f"{END} {START}", f"{START} {END} {END}", f"{START} {START} {END}"])
def test_without_the_marks_the_file_stays(tmp_path, result, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ValueError, match=r"README\.md: expected the lines <!-- results -->"):
        update_sections(readme, result)
    assert readme.read_text() == text


def test_at_a_glance_time_and_memory_are_those_of_the_study_that_measures_them(tmp_path, result):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{GLANCE_START}\n{GLANCE_END}\nafter\n")
    (timing, comparison) = result.studies
    shown = pd.DataFrame({**COLUMNS, "training time, s": ["8.0 ± 0.5 [7.0, 9.0]", "9.0"]}).iloc[::-1]
    timing = replace(timing, chapters=[replace(timing.chapters[0], tables=[replace(table(), shown=shown)])])
    update_sections(readme, replace(result, studies=(timing, comparison)))
    lines = readme.read_text().splitlines()
    assert lines[3] == "| configuration | n | training time, s | host memory, MiB |"
    assert lines[5:7] == [r"| a\|b | 3 | 8.0 [7.0, 9.0] | 5.0 |", "| c | 4 | 9.0 | 6.0 |"]
    assert "study `timing`, n = 4, 3," in " ".join(lines)
    assert lines[-1] == "after"
    with pytest.raises(ValueError, match="got no study comparison"):
        update_sections(readme, replace(result, studies=(timing,)))
