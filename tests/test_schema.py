from __future__ import annotations

import dataclasses

import pyarrow as pa

from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.declare.identity import Seeds
from fmnist.declare.metrics import DEFAULT_MARGINS, METRICS
from fmnist.store.schema import SCALAR_COLUMNS, SCHEMA


def test_every_hyperparameter_and_seed_is_a_column():
    assert {field.name for field in dataclasses.fields(Hyperparameters)} <= set(SCHEMA.names)
    assert {f"seed_{field.name}" for field in dataclasses.fields(Seeds)} <= set(SCHEMA.names)


def test_every_metric_is_a_numeric_column_and_says_what_it_measures():
    for name, metric in METRICS.items():
        kind = SCHEMA.field(name).type
        assert metric.name == name
        assert pa.types.is_floating(kind) or pa.types.is_integer(kind)
        assert metric.meaning.endswith(".")
        assert metric.scale > 0
    assert set(DEFAULT_MARGINS) <= set(METRICS)


def test_no_column_is_named_twice_and_scalar_columns_are_all_but_the_heavy_ones():
    assert len(set(SCHEMA.names)) == len(SCHEMA.names)
    assert set(SCHEMA.names) - set(SCALAR_COLUMNS) == {"history", "test_predicted", "test_confidence"}
