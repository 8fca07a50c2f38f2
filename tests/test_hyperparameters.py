from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fmnist.declare.hyperparameters import Hyperparameters


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
        ("plateau_factor", 0, r"\(0, 1\)"),
        ("rotation", 10**400, r"\[0, 180\]"),
        ("zoom", True, r"\[0, 1\)"),
        ("l2", None, r"\[0, infinity\)"),
        ("l2", np.array([0.1]), r"\[0, infinity\)"),
        ("batch_size", 2**31, "whole number of at least 1 and at most 2147483647"),
        ("epochs", None, "whole number of at least 1"),
        ("horizontal_flip", 1, "True or False"),
        ("restore_best_weights", 1, "True or False"),
        ("restore_best_weights", None, "True or False"),
        ("early_stopping_patience", 2.5, "whole number of at least 0"),
        ("optimizer", None, "one of adam, sgd"),
        ("optimizer", ["adam"], "one of adam, sgd"),
        ("minimum_learning_rate", -1.0, r"\[0, infinity\)"),
        ("random_erasing", 1.1, r"\[0, 1\]"),
        ("mixup", -0.1, r"\[0, 1000\]"),
        ("minimum_delta", -0.1, r"\[0, infinity\)"),
        ("activation", "softmax", "one of default, relu"),
        ("schedule", "linear", "one of constant, cosine, one_cycle"),
        ("label_smoothing", 1.0, r"\[0, 1\)"),
        ("train_images", 0, "whole number of at least 1"),
        ("pretraining", "mnist", "one of none, half_classes"),
        ("pretraining_epochs", None, "whole number of at least 1"),
        ("frozen", True, "one of none, half, all"),
        ("initial_weights", "mobilenet.weights.h5", "the SHA-256 of a file, 64 digits"),
        ("initial_weights", None, "the SHA-256 of a file"),
    ],
)
def test_value_outside_its_range_names_field_value_and_range(name, value, expected):
    with pytest.raises(ValueError, match=f"^{name}: got .*expected .*{expected}"):
        Hyperparameters(**{name: value})


def test_the_ends_of_a_range_belong_to_it_as_it_says():
    assert Hyperparameters(rotation=180, momentum=0, early_stopping_patience=0, batch_size=1).rotation == 180.0


def test_augments_when_any_change_is_asked_for():
    assert not Hyperparameters().augments
    warps = ({"rotation": 5.0}, {"translation": 0.1}, {"zoom": 0.1}, {"horizontal_flip": True})
    for change in (*warps, {"random_erasing": 0.1}):
        assert Hyperparameters(**change).augments
        assert Hyperparameters(**change).warps == (change in warps)


def test_fields_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Hyperparameters().epochs = 3  # type: ignore[misc]
