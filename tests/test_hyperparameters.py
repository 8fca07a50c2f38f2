from __future__ import annotations

import dataclasses

import pytest

from fmnist.hyperparameters import Hyperparameters


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("optimizer", "lion", "one of adam, sgd"),
        ("precision", "float8", "one of float32"),
        ("learning_rate", 0, r"\(0, infinity\)"),
        ("learning_rate", float("nan"), r"\(0, infinity\)"),
        ("learning_rate", float("inf"), r"\(0, infinity\)"),
        ("momentum", 1.0, r"\[0, 1\)"),
        ("batch_size", 0, "whole number of at least 1"),
        ("batch_size", 32.0, "whole number of at least 1"),
        ("epochs", True, "whole number of at least 1"),
        ("dropout_rate", 1.0, r"\[0, 1\)"),
        ("l2", -1e-9, r"\[0, infinity\)"),
        ("rotation", 181, r"\[0, 180\]"),
        ("translation", -0.1, r"\[0, 1\)"),
        ("zoom", "0.1", r"\[0, 1\)"),
        ("early_stopping_patience", -1, "whole number of at least 0"),
        ("plateau_factor", 1.0, r"\(0, 1\)"),
        ("minimum_learning_rate", -1.0, r"\[0, infinity\)"),
    ],
)
def test_value_outside_its_range_names_field_value_and_range(name, value, expected):
    with pytest.raises(ValueError, match=f"^{name}: got .*expected .*{expected}"):
        Hyperparameters(**{name: value})


def test_augments_when_any_change_is_asked_for():
    assert not Hyperparameters().augments
    for change in ({"rotation": 5.0}, {"translation": 0.1}, {"zoom": 0.1}, {"horizontal_flip": True}):
        assert Hyperparameters(**change).augments


def test_fields_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Hyperparameters().epochs = 3  # type: ignore[misc]
