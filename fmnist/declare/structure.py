"""The identity of what a model computes: one hash for the same layers, settings and connections, whatever their names.

What the plain case leaves open (an unbranched chain of Keras' own layers, all trained) is described only where it
deviates from that case, so that the hashes of the plain models that were stored first stay as they are.
"""

import ast
import hashlib
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fmnist import UserError
from fmnist.data import DATASET
from fmnist.declare.architectures import OUTPUT_NAME

_LIBRARIES = {"keras", "tensorflow", "numpy", *sys.stdlib_module_names} - {"__main__"}
_ARRAYS = (np.ndarray, np.generic, tf.Tensor, keras.Variable)
# what methods, decorated functions, properties and partials hold
_WRAPPING = ("__func__", "__wrapped__", "python_function", "fget", "func", "args", "keywords")
_IGNORED = ("module", "registered_name", "build_config", "name")  # in a config: they say nothing of the mathematics
# what Python adds to each class, the last two from 3.13 on
_OF_EVERY_CLASS = ("__module__", "__qualname__", "__doc__", "__annotations__", "__dict__", "__weakref__",
                   "__firstlineno__", "__static_attributes__")  # fmt: skip
_BATCH_SHAPE = (None, *DATASET.image_shape)
_PLAIN = {"trainable": True, "sparse": False, "ragged": False, "optional": False, "batch_shape": _BATCH_SHAPE}


def structure_fingerprint(model: keras.Model) -> str:
    """Hash what a model computes: 16 hexadecimal digits, the same on every machine.

    Renaming a layer or moving code leaves it as it is; a filter count, an activation, an initialiser, the order of
    inputs, a constant, a frozen layer, a precision set by hand or the code of a layer of one's own changes it (of a
    lambda: any edit of its lines). UserError names a layer whose settings or source are not to be had.
    """
    text = json.dumps(_graph(model), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _graph(model: keras.Model) -> list[dict[str, Any]]:
    """Describe the operations of a model in their order, and where it begins and ends if that is not plain."""
    graph = _functional(model)
    # a layer may also be called outside this model
    own_nodes = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
    nodes = [[node for node in operation._inbound_nodes if id(node) in own_nodes] for operation in graph.operations]
    places = {id(node): [i, call] for i, calls in enumerate(nodes) for call, node in enumerate(calls)}

    def place(tensor: Any) -> dict[str, list[int]]:
        """Where a tensor comes from: position of the operation, which call of it, which output."""
        operation, node, output = tensor._keras_history
        return {"tensor": [*places[id(operation._inbound_nodes[node])], output]}

    described = [
        _operation(operation) | _connections(calls, place)
        for operation, calls in zip(graph.operations, nodes, strict=True)
    ]
    ends = [[place(tensor) for tensor in tensors] for tensors in (graph.inputs, graph.outputs)]
    plain = [[{"tensor": [0, 0, 0]}], [{"tensor": [len(described) - 1, 0, 0]}]]
    return described if ends == plain else [*described, {"ends": ends}]


def _connections(calls: list[Any], place: Callable[[Any], dict[str, list[int]]]) -> dict[str, Any]:
    """Positions of the inputs; the calls' arguments too, unless it is one call of one tensor or a list in order."""
    places = [place(tensor) for node in calls for tensor in node.input_tensors]
    inputs = sorted(item["tensor"][0] for item in places)
    arguments = []
    for node in calls:
        named = {k: v for k, v in node.arguments.kwargs.items() if (k, v) != ("training", False)}  # Keras adds it
        arguments.append([_as_json(node.arguments.args, place), _as_json(named, place)])
    in_order = [{"tensor": [position, 0, 0]} for position in inputs]
    plain = [in_order] if len(in_order) < 2 else [[in_order]]
    return {"inputs": inputs} if arguments == [[*plain, {}]] else {"inputs": inputs, "calls": arguments}


def _functional(operation: Any) -> Any:
    """Give the graph of a nested model, that of a Sequential too; None for what is no model of layers."""
    graph = getattr(operation, "_functional", None) or operation
    return graph if hasattr(graph, "_nodes_by_depth") else None


def _operation(operation: Any) -> dict[str, Any]:
    """Describe one layer, or another operation, without its connections."""
    kind = type(operation)
    described: dict[str, Any] = {"kind": kind.__name__}
    try:
        described["shape"] = [list(map(str, weight.shape)) for weight in getattr(operation, "weights", [])]
        if _functional(operation):
            described["model"] = _graph(operation)
        elif isinstance(operation, keras.Layer):
            described["config"] = _as_json(_deviating(operation))
            described["parts"] = [_operation(part) for part in operation._flatten_layers(False, False)]
        else:
            described["config"] = _as_json(_attributes(operation))
        described["code"] = list(_code([kind, _attributes(operation)], {}, _is_own(kind)))
    except (OSError, NotImplementedError, TypeError) as error:
        why = " ".join(str(error).strip().partition("\n\n")[0].split())  # Keras adds an example
        raise UserError(f"layer {operation.name!r} ({kind.__name__}) cannot be told from others: {why}") from error
    return {key: value for key, value in described.items() if value or key not in ("parts", "code")}


def _deviating(layer: keras.Layer) -> dict[str, Any]:
    """Give a layer's settings without those that are as in the plain case; the output layer's dtype is not its own."""
    config = {k: v for k, v in layer.get_config().items() if not (k in _PLAIN and v == _PLAIN[k])}
    return {k: v for k, v in config.items() if k != "dtype" or layer.name != OUTPUT_NAME}


def _attributes(operation: Any) -> dict[str, Any]:
    """Give what an operation holds beyond what all of them hold."""
    of_all = {*vars(keras.Layer(name="bare")), *vars(keras.Operation(name="bare"))}
    return {name: value for name, value in vars(operation).items() if name not in of_all}


def _as_json(value: Any, place: Callable[[Any], Any] | None = None) -> Any:
    """Give a setting, or with `place` an argument of a call, as a JSON value; TypeError for what has none."""
    if place is not None and isinstance(value, keras.KerasTensor):
        return place(value)
    if isinstance(value, Mapping):
        if place is None and (value.get("class_name") == "__lambda__" or "input_layers" in value.get("config", ())):
            return value["class_name"]  # described by its source, or as a model within the layer
        kept = {key: item for key, item in value.items() if item is not None}
        if place is None:
            kept = {k: item for k, item in kept.items() if k not in _IGNORED and not (k == "dtype" and _is_plain(item))}
        return {key: _as_json(item, place) for key, item in kept.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item, place) for item in value]
    if isinstance(value, _ARRAYS):
        array = np.asarray(value)
        return {"array": [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (slice, np.dtype, tf.DType, tf.TensorShape, keras.DTypePolicy, type(...))):
        return str(value)
    if callable(value):
        return list(_code([value], {})) or f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"it holds {value!r:.80}, a {type(value).__name__}; let get_config give numbers and texts")


def _is_plain(dtype: Any) -> bool:
    """Whether a dtype is the one that layers have unless they say otherwise."""
    policy = dtype.get("config", {}).get("name") if isinstance(dtype, Mapping) else None
    return bool(dtype == keras.config.floatx() if policy is None else policy == keras.config.dtype_policy().name)


def _code(things: Iterable[Any], seen: dict[int, Any], constants: bool = False) -> Iterator[Any]:
    """Give the source of each function and class that is no library's and, in turn, of all that it names.

    With `constants` also the numbers, texts and arrays among `things`.
    """
    for thing in things:
        if isinstance(thing, (Mapping, list, tuple)):
            values = [thing[key] for key in sorted(thing, key=str)] if isinstance(thing, Mapping) else thing
            yield from _code(values, seen, constants)
        elif isinstance(thing, (bool, int, float, str, *_ARRAYS)):
            yield from [_as_json(thing)] if constants else []
        elif id(thing) not in seen and not isinstance(thing, keras.Operation):
            seen[id(thing)] = thing
            if isinstance(thing, (FunctionType, type, ModuleType)):
                if _is_own(thing):
                    yield _source(thing)
                    yield from _code(_named_by(thing), seen, constants=True)
            elif _is_own(type(thing)):
                yield from _code([type(thing), vars(thing)], seen, constants=True)
            else:
                yield from _code([getattr(thing, name, None) for name in _WRAPPING], seen, constants)


def _is_own(thing: Any) -> bool:
    """Whether a class, function or module is of no library that a row names the version of."""
    module = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    return str(module).partition(".")[0] not in _LIBRARIES


def _source(thing: Any) -> str:
    """Give the source, without comments where it stands alone (the lines of a lambda may be no whole statement)."""
    try:
        source = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError) as error:
        raise OSError(f"there is no source of {thing.__name__}: define it in a file") from error
    try:
        return ast.unparse(ast.parse(source))
    except SyntaxError:
        return source


def _named_by(thing: Any) -> Iterator[Any]:
    """Give what the source of a function or class refers to: bases, members, defaults, global and outer names."""
    if isinstance(thing, type):
        yield from thing.__bases__
        yield {name: member for name, member in vars(thing).items() if name not in _OF_EVERY_CLASS}
    elif isinstance(thing, FunctionType):
        yield from (thing.__defaults__ or (), thing.__kwdefaults__ or {})
        yield from (cell.cell_contents for cell in thing.__closure__ or ())
        yield {name: thing.__globals__.get(name) for name in _names(thing.__code__)}


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
