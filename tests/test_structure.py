"""The structure fingerprint: equal for what computes the same under other names, different after any other edit."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmnist import UserError
from fmnist.declare.architectures import ARCHITECTURES, build_model
from fmnist.declare.structure import structure_fingerprint

layers = keras.layers


def test_fingerprints_never_change():
    # another value here makes every stored run of that architecture a stranger; own_v1 and own_v2 differ by dropout
    assert {name: structure_fingerprint(build_model(name)) for name in ARCHITECTURES} == {
        "lenet5": "4f523ec1d5d0522d",
        "brownlee": "e173997b8f91b2ea",
        "own_v1": "59f12e122b0b7b11",
        "own_v2": "b6fdf4abee1e8aba",
        "own_v3": "3bb3dcdd5caa7505",
        "efficientnet_small": "4115afcb85156be4",
        "residual_small": "2c1a75077fc07a68",
        "wide_residual": "0ee6109b085b7340",
    }


@dataclass(frozen=True)
class Step:
    """One step of a random model; each field changes what the model computes, whatever the kind."""

    kind: str  # dense, dropout, scale, subtract or nested
    number: float = 0.5  # activity regularisation, rate, factor
    turned: bool = False  # frozen, operands the other way round
    precise: bool = False  # float64 by hand

    def __call__(self, x, first, name):
        dtype = "float64" if self.precise else None
        if self.kind == "scale":
            scaled = self.number - x if self.turned else x - self.number
            return keras.ops.cast(scaled, "float64" if self.precise else "float32")
        if self.kind == "subtract":
            pair = [first, x] if self.turned else [x, first]
            return layers.Subtract(name=name, dtype=dtype)([layers.Rescaling(self.number)(pair[0]), pair[1]])
        if self.kind == "nested":
            inner = keras.Input((4,))
            return keras.Model(inner, replace(self, kind="dense")(inner, inner, None))(x)
        kept = layers.Dense(4, activity_regularizer=keras.regularizers.L2(self.number), name=name, dtype=dtype)
        kept.trainable = not self.turned
        return kept(x)


STEPS = st.lists(
    st.builds(
        Step,
        kind=st.sampled_from(["dense", "scale", "subtract", "nested"]),
        number=st.sampled_from([0.25, 0.5]),
        turned=st.booleans(),
        precise=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


def model_of(steps, name):
    x = inputs = keras.Input((4,), name=f"{name}_in")
    x = layers.Dense(4, name=f"{name}_first")(x)
    for index, step in enumerate(steps):
        x = step(x, inputs, f"{name}_{index}")
    return keras.Model(inputs, layers.Dense(2, name=f"{name}_last")(x), name=name)


@settings(max_examples=25)
@given(steps=STEPS, data=st.data())
def test_a_renamed_model_is_the_same_and_an_edited_one_another(steps, data):
    fingerprint = structure_fingerprint(model_of(steps, "one"))
    assert structure_fingerprint(model_of(steps, "other")) == fingerprint
    place = data.draw(st.integers(0, len(steps) - 1))
    edits = [{"number": 0.75}, {"turned": not steps[place].turned}, {"precise": not steps[place].precise}]
    changed = replace(steps[place], **data.draw(st.sampled_from(edits)))
    others = [
        [*steps[:place], changed, *steps[place + 1 :]],
        [*steps[:place], *steps[place + 1 :]],
        [*steps[:place], steps[place], *steps[place:]],
    ]
    assert fingerprint not in {structure_fingerprint(model_of(other, "one")) for other in others}


def chain(*parts, shape=(8,), last=None):
    """A model of its parts, each a function of a tensor."""
    x = inputs = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, last(x) if last else x)


def branches(merge, *, first=3.0, second=5.0):
    inputs = keras.Input((8,))
    return keras.Model(inputs, merge(layers.Rescaling(first)(inputs), layers.Rescaling(second)(inputs)))


def shared(twice):
    one, other = layers.Dense(8), layers.Dense(8)
    return chain(one, one if twice else other)


def two_ends(order):
    """Two outputs of a nested model, the first or the second of them used."""
    inner = keras.Input((8,))
    nested = keras.Model(inner, [layers.Dense(8)(inner), layers.Dense(8)(inner)])
    return chain(lambda x: nested(x)[order])


DIFFERENT = {
    "order of inputs": lambda edit: branches(lambda p, q: layers.Subtract()([q, p] if edit else [p, q])),
    "order of operands": lambda edit: branches(lambda p, q: q - p if edit else p - q),
    "constant": lambda edit: chain(lambda x: x * (3.0 if edit else 2.0)),
    "whole constant": lambda edit: chain(lambda x: keras.ops.add(x, True if edit else 1)),
    "array": lambda edit: chain(lambda x: x * np.full(8, 3.0 if edit else 2.0, np.float32)),
    "slice": lambda edit: chain(lambda x: x[:, 1 if edit else 2 : 7 if edit else 8]),
    "setting of an operation": lambda edit: chain(lambda x: keras.ops.sum(x, axis=1, keepdims=edit)),
    "kind of an operation": lambda edit: chain(keras.ops.relu if edit else keras.ops.tanh),
    "argument of a call": lambda edit: chain(
        lambda x: layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=edit), shape=(3, 8)
    ),
    "frozen": lambda edit: chain(layers.Dense(8, trainable=edit)),
    "frozen later": lambda edit: chain(frozen(edit)),
    "dtype": lambda edit: chain(layers.Dense(8, dtype="float64" if edit else None)),
    "dtype within": lambda edit: chain(
        layers.TimeDistributed(layers.Dense(8, dtype="float64" if edit else None)), shape=(3, 8)
    ),
    "seed": lambda edit: chain(layers.Dense(8, kernel_initializer=keras.initializers.HeNormal(5 if edit else None))),
    "regularizer": lambda edit: chain(layers.Dense(8, kernel_regularizer="l2" if edit else None)),
    "constraint": lambda edit: chain(layers.Dense(8, kernel_constraint="non_neg" if edit else None)),
    "noise shape": lambda edit: chain(layers.Dropout(0.5, noise_shape=(None, 1) if edit else None)),
    "input shape": lambda edit: chain(layers.Flatten(), shape=(8, 1) if edit else (4, 2)),
    "shared layer": shared,
    "which output": lambda edit: two_ends(int(edit)),
    "nested": lambda edit: chain(chain(layers.Dense(8, activation="relu" if edit else "tanh"))),
    "model within a layer": lambda edit: chain(
        layers.TimeDistributed(chain(layers.Dense(8, activation="relu" if edit else "tanh"))), shape=(3, 8)
    ),
    "sequential": lambda edit: chain(keras.Sequential([layers.Dense(8, use_bias=edit)])),
}


def frozen(edit):
    layer = layers.Dense(8)
    layer.trainable = edit
    return layer


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_computes_differently_has_another_fingerprint(name):
    build = DIFFERENT[name]
    one, again, other = (structure_fingerprint(build(edit)) for edit in (False, False, True))
    assert one == again  # the second is built with other automatic names
    assert one != other


def test_a_layer_used_elsewhere_too_is_the_same():
    inputs = keras.Input((8,))
    hidden = layers.Dense(8)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    before = structure_fingerprint(model)
    for layer in model.layers[1:]:
        layer(keras.Input((8,)))
    assert structure_fingerprint(model) == before


def test_the_order_in_which_branches_are_made_does_not_matter():
    def model(later_first):
        inputs = keras.Input((8,))
        made = {}
        for kind in ("relu", "tanh")[:: -1 if later_first else 1]:
            made[kind] = layers.Dense(8, activation=kind)(inputs)
        return keras.Model(inputs, layers.Subtract()([made["relu"], made["tanh"]]))

    assert structure_fingerprint(model(False)) == structure_fingerprint(model(True))


OWN_CODE = """
import keras
from functools import partial

SCALE = 2.0

def helper(x, shift=1.0):
    return x * SCALE + shift

def outer(amount):
    def inner(x):
        return x * amount
    return inner

class Mild(keras.regularizers.Regularizer):
    def __call__(self, weights):
        return 0.25 * keras.ops.sum(weights)
    def get_config(self):
        return {}

class Base(keras.layers.Layer):
    # a comment
    def call(self, x):
        return self.change(x)

class Own(Base):
    def __init__(self, factor=4.0, **others):
        super().__init__(**others)
        self.inner = keras.layers.Dense(8, activation="relu")
        self.hidden_factor = factor
        self.also = partial(helper, shift=8.0)
    def change(self, x):
        return helper(self.also(self.inner(x))) * 7.0

def own(): return Own()
def activation(): return keras.layers.Dense(8, activation=helper)
def closure(): return keras.layers.Dense(8, activation=outer(6.0))
def regularizer(): return keras.layers.Dense(8, kernel_regularizer=Mild())
def function(): return keras.layers.Lambda(lambda x: helper(x) - 9.0)
"""


def own_layer(tmp_path, text, maker, number):
    path = tmp_path / f"own_{number}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return structure_fingerprint(chain(getattr(module, maker)()))


@pytest.mark.parametrize(
    ("maker", "edit"),
    [
        ("own", ("* 7.0", "* 7.5")),
        ("own", ("factor=4.0", "factor=4.5")),
        ("own", ('activation="relu"', 'activation="tanh"')),
        ("own", ("SCALE = 2.0", "SCALE = 2.5")),
        ("own", ("shift=1.0", "shift=1.5")),
        ("own", ("* SCALE +", "* SCALE -")),
        ("own", ("self.change(x)", "x + self.change(x)")),
        ("activation", ("* SCALE +", "* SCALE -")),
        ("closure", ("outer(6.0)", "outer(6.5)")),
        ("own", ("shift=8.0", "shift=8.5")),
        ("regularizer", ("0.25", "0.5")),
        ("function", ("- 9.0", "- 9.5")),
        ("function", ("SCALE = 2.0", "SCALE = 2.5")),
    ],
)
def test_code_of_ones_own_is_part_of_the_structure(tmp_path, maker, edit):
    assert edit[0] in OWN_CODE
    one = own_layer(tmp_path, OWN_CODE, maker, 1)
    moved = "\n\n" + OWN_CODE.replace("# a comment", "# another comment")
    assert own_layer(tmp_path, moved, maker, 2) == one
    assert own_layer(tmp_path, OWN_CODE.replace(*edit), maker, 3) != one


def test_a_layer_that_cannot_be_told_from_others_is_named():
    class Unsaid(layers.Layer):
        def __init__(self, array):
            super().__init__(name="unsaid")
            self.array = array

        def call(self, x):
            return x * self.array

    with pytest.raises(UserError, match=r"layer 'unsaid' \(Unsaid\) cannot be told from others.*get_config"):
        structure_fingerprint(chain(Unsaid(np.ones(8))))
    made = {"layers": layers, "__name__": "nowhere"}
    exec("class Sourceless(layers.Layer):\n    def call(self, x):\n        return x", made)
    with pytest.raises(UserError, match=r"\(Sourceless\) cannot be told from others.*source"):
        structure_fingerprint(chain(made["Sourceless"]()))


def test_a_precision_set_by_hand_shows_where_it_changes_what_is_computed():
    def fingerprint(policy, dtype):
        keras.config.set_dtype_policy(policy)
        try:
            return structure_fingerprint(chain(layers.Dense(8, dtype=dtype)))
        finally:
            keras.config.set_dtype_policy("float32")

    assert fingerprint("float32", "float32") == fingerprint("float32", None) == fingerprint("mixed_bfloat16", None)
    assert fingerprint("mixed_bfloat16", "float32") != fingerprint("mixed_bfloat16", None)
