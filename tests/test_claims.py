"""The original report's claims, against stores in which each is true, false, or open."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fmnist.data import Dataset
from fmnist.reporting.claims import CLAIMS, claims_of, claims_table
from tests import synthetic_rows
from tests.synthetic_rows import DATA_FINGERPRINT, SIX, balanced_labels

DATA = Dataset(
    train_images=np.zeros((0, 28, 28), np.uint8),
    train_labels=np.zeros(0, np.uint8),
    test_images=np.zeros((10_000, 28, 28), np.uint8),
    test_labels=balanced_labels(),
    fingerprint=DATA_FINGERPRINT,
)


def findings_of(directory, study="comparison", repeats=10, **changes):
    """Findings of the six architectures; `changes` are of makers, by label."""
    makers = [dataclasses.replace(maker, **changes.get(maker.label, {})) for maker in SIX]
    return synthetic_rows.findings_of(directory, makers, repeats, DATA, name=study)


def readings(findings):
    return {claim.words: claim.reading for claim in claims_of(findings)}


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_claims_are_held_against_the_studies_that_repeat_the_report(tmp_path):
    findings = findings_of(tmp_path)
    found = readings(findings)
    assert list(found) == [words for words, _ in CLAIMS["comparison"]]
    assert found["own v3 is more accurate than own v1"] == "confirmed"
    assert found["own v3 is better than own v1 by about 2 points"] == "refuted"
    assert found["own v2 is not better than own v1"] == "confirmed"
    assert found["LeNet-5 is more accurate than Brownlee's CNN (0.89 against 0.88)"] == "refuted"
    assert found["Shirt is the hardest class, taken for T-shirt/top"] == "confirmed"
    assert found["Trouser and Sandal are the easiest classes"] == "refuted"
    table = claims_table(findings)
    assert list(table.shown["here"]) == list(found.values())
    evidence = dict(zip(table.frame["claim"], table.frame["evidence"], strict=True))
    assert "own_v3 against own_v1 +" in evidence["own v3 is more accurate than own v1"]
    assert "(n = 10, better)" in evidence["own v3 is more accurate than own v1"]
    assert "lenet5 10 of 10 [72, 100 %]" in evidence["Shirt is the hardest class, taken for T-shirt/top"]
    assert claims_of(dataclasses.replace(findings, study=dataclasses.replace(findings.study, name="quick"))) == []


@pytest.mark.parametrize(
    ("changes", "words", "reading"),
    [
        ({"efficientnet_small": {"accuracy": 0.93}}, "EfficientNet-style net is the most accurate", "confirmed"),
        ({"own_v3": {"accuracy": 0.94}}, "EfficientNet-style net is the most accurate", "refuted"),
        (
            {"own_v3": {"accuracy": 0.923, "spread": 0.006}},
            "EfficientNet-style net is the most accurate",
            "not decidable",
        ),
        ({"own_v1": {"accuracy": 0.9005}}, "own v3 is better than own v1 by about 2 points", "confirmed"),
        (
            {"own_v1": {"accuracy": 0.905, "spread": 0.004}},
            "own v3 is better than own v1 by about 2 points",
            "not decidable",
        ),
        ({"own_v2": {"spread": 0.0002}}, "own v2 is more consistent than own v1", "confirmed"),
        ({"own_v1": {"spread": 0.0002}}, "own v2 is more consistent than own v1", "refuted"),
        ({"own_v2": {"spread": 0.001}}, "own v2 is more consistent than own v1", "not decidable"),
        ({"own_v2": {"accuracy": 0.92}}, "own v2 is not better than own v1", "refuted"),
        ({"own_v1": {"epochs": 4}}, "The plain CNN overfits earlier than the EfficientNet-style net", "confirmed"),
        ({"own_v1": {"epochs": 60}}, "The plain CNN overfits earlier than the EfficientNet-style net", "refuted"),
    ],
)
def test_what_is_true_is_confirmed_what_is_not_refuted_and_the_rest_left_open(tmp_path, changes, words, reading):
    claim = next(claim for claim in claims_of(findings_of(tmp_path, **changes)) if claim.words == words)
    assert claim.reading == reading, claim.evidence


def test_what_nothing_repeats_stays_open_whatever_the_runs_say(tmp_path):
    claims = claims_of(findings_of(tmp_path))
    assert [claim.words for claim in claims if claim.reading == "open"] == [
        "An exhaustive grid search tunes the own CNN"
    ]
    assert claims[-1].evidence == "no study here repeats the grid search yet"


def test_time_and_memory_are_decided_by_the_timing_study(tmp_path):
    found = readings(findings_of(tmp_path, study="timing"))
    assert list(found.values()) == ["confirmed", "refuted", "not decidable", "not decidable"]


def test_one_repeat_and_missing_configurations_decide_nothing(tmp_path):
    single = claims_of(findings_of(tmp_path / "single", repeats=1))
    assert {claim.reading for claim in single} == {"not decidable", "open"}
    failed = {"own_v1": {"statuses": dict.fromkeys(range(3), "failed")}}
    claims = {claim.words: claim for claim in claims_of(findings_of(tmp_path / "failed", repeats=3, **failed))}
    claim = claims["own v3 is more accurate than own v1"]
    assert (claim.reading, claim.evidence) == ("not decidable", "no finished run of own_v1")
    assert "(n = 3," in claims["LeNet-5 is more accurate than Brownlee's CNN (0.89 against 0.88)"].evidence


def test_without_the_true_classes_nothing_is_said_of_classes(tmp_path):
    findings = dataclasses.replace(findings_of(tmp_path, repeats=2), predictions={})
    found = {claim.words: claim for claim in claims_of(findings)}
    for words in ("Shirt is the hardest class, taken for T-shirt/top", "Trouser and Sandal are the easiest classes"):
        assert found[words].reading == "not decidable"
        assert "no stored predictions" in found[words].evidence
