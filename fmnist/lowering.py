"""The forward pass of a plain Keras model, layer by layer, with faster TensorFlow ops for the layers known here.

The mathematics and the variables are those of the Keras layers; a layer that is not known here is simply called.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Tensor = Any


def logits_of(model: keras.Model, images: Tensor, *, training: bool, seed: Tensor) -> Tensor:
    """Return the class scores before the softmax, float32 (batch, classes), of float images in [0, 1].

    `seed` is an integer pair that decides the dropout masks: the same pair gives the same masks.
    """
    pass_ = _ForwardPass(model, training=training, seed=seed)
    outputs = model._run_through_graph(images, operation_fn=pass_.operation)
    return outputs if pass_.gives_logits else tf.math.log(tf.cast(outputs, tf.float32))


class _ForwardPass:
    """One way through the model: knows which layer is the last and how many dropout layers it has met."""

    def __init__(self, model: keras.Model, *, training: bool, seed: Tensor) -> None:
        self.training = training
        self.seed = seed
        self.dropouts_met = 0
        last = model.outputs[0]._keras_history.operation
        self.gives_logits = _is_softmax(last)
        self.lowered = {
            keras.layers.BatchNormalization: self._batch_normalization,
            keras.layers.Dropout: self._dropout,
        }
        self.last = last

    def operation(self, layer: Any) -> Any:
        """Return the function to call in the layer's place."""
        if layer is self.last and self.gives_logits:
            return lambda x, **_: _dense(layer, x)
        function = self.lowered.get(type(layer))
        if function is not None:
            return lambda x, **_: function(layer, x)
        return _called(layer, self.training)

    def _dropout(self, layer: keras.layers.Dropout, x: Tensor) -> Tensor:
        if not self.training or layer.rate == 0:
            return x
        seed = self.seed + tf.constant([self.dropouts_met, 0], self.seed.dtype)
        self.dropouts_met += 1
        kept = tf.random.stateless_uniform(tf.shape(x), seed, alg="philox") >= layer.rate
        return x * tf.cast(kept, x.dtype) * (1.0 / (1.0 - layer.rate))

    def _batch_normalization(self, layer: keras.layers.BatchNormalization, x: Tensor) -> Tensor:
        if layer.renorm or layer.axis not in (-1, len(x.shape) - 1) or len(x.shape) not in (2, 4):
            return _called(layer, self.training)(x)
        x = tf.cast(x, layer.compute_dtype)
        channels = x.shape[-1]
        spread = x if len(x.shape) == 4 else tf.reshape(x, [-1, 1, 1, channels])
        scale = layer.gamma.value if layer.scale else tf.ones(channels)
        offset = layer.beta.value if layer.center else tf.zeros(channels)
        training = self.training and layer.trainable
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            spread,
            scale,
            offset,
            mean=None if training else layer.moving_mean.value,
            variance=None if training else layer.moving_variance.value,
            epsilon=layer.epsilon,
            is_training=training,
        )
        if training:
            _update_moving_statistics(layer, mean, variance, tf.size(spread) // channels)
        return tf.reshape(y, tf.shape(x))


def _update_moving_statistics(layer: Any, mean: Tensor, variance: Tensor, count: Tensor) -> None:
    # the fused kernel gives the unbiased variance, Keras keeps the biased one
    samples = tf.cast(count, tf.float32)
    variance = variance * ((samples - 1.0) / samples)
    for moving, batch in ((layer.moving_mean.value, mean), (layer.moving_variance.value, variance)):
        moving.assign_sub((moving - batch) * (1.0 - layer.momentum))


def _dense(layer: keras.layers.Dense, x: Tensor) -> Tensor:
    x = tf.cast(x, layer.compute_dtype)
    return tf.nn.bias_add(tf.matmul(x, tf.cast(layer.kernel.value, x.dtype)), tf.cast(layer.bias.value, x.dtype))


def _is_softmax(layer: Any) -> bool:
    return type(layer) is keras.layers.Dense and layer.activation is keras.activations.softmax and layer.use_bias


def _called(layer: Any, training: bool) -> Any:
    if "training" in layer._call_context_args:
        return lambda *arguments, **options: layer(*arguments, **{**options, "training": training})
    return layer
