"""Weight updates: one fused TensorFlow kernel a weight, where Keras builds each of a dozen small ops; their rate."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from fmnist.declare import Hyperparameters

Tensor = Any
Variable = Any

# Keras' defaults, which are those of Kingma and Ba (2015) but for epsilon
ADAM_BETA_1 = 0.9
ADAM_BETA_2 = 0.999
ADAM_EPSILON = 1e-7

WARM_UP = 0.3  # of all steps
WARM_UP_START = 1 / 25  # of the highest rate


def scheduled(learning_rate: Any, schedule: str, step: Any, steps: int) -> Any:
    """Give the rate of a step, 0 to `steps` - 1, where `learning_rate` is the highest of the schedule.

    `cosine` falls along half a cosine, 0 after the last step (Loshchilov and Hutter 2017, without restarts).
    `one_cycle` rises linearly from 1/25 over the first 30 % of the steps, then falls along half a cosine to 0 (after
    Smith and Topin 2018; the momentum stays). Arithmetic is float32 unless the schedule is constant.
    """
    if schedule == "constant":
        return learning_rate
    warm_up = WARM_UP if schedule == "one_cycle" else 0.0
    progress = tf.cast(step, tf.float32) / steps
    falling = 0.5 + 0.5 * tf.cos(math.pi * (progress - warm_up) / (1.0 - warm_up))
    if schedule == "cosine":
        return learning_rate * falling
    rising = WARM_UP_START + (1.0 - WARM_UP_START) * progress / warm_up
    return learning_rate * tf.where(progress < warm_up, rising, falling)


class Optimizer:
    """Adam, or stochastic gradient descent with or without momentum, as Keras computes it, of TensorFlow variables."""

    def __init__(self, hyperparameters: Hyperparameters, weights: Sequence[Variable]) -> None:
        self.weights = list(weights)
        self.is_adam = hyperparameters.optimizer == "adam"
        self.momentum = hyperparameters.momentum
        moments = 2 if self.is_adam else 1 if self.momentum else 0  # running means of a weight's gradients
        self.moments = [[tf.Variable(tf.zeros_like(w), trainable=False) for w in weights] for _ in range(moments)]
        self.variables = [variable for group in self.moments for variable in group]  # all that changes besides weights

    def apply(self, gradients: Sequence[Tensor], learning_rate: Tensor, step: Tensor) -> None:
        """Change the weights by one step; `step` counts from 0, `learning_rate` is a float32 scalar."""
        count = tf.cast(step + 1, tf.float32)
        powers = tf.pow(ADAM_BETA_1, count), tf.pow(ADAM_BETA_2, count)
        for weight, gradient, *moments in zip(self.weights, gradients, *self.moments, strict=True):
            if self.is_adam:
                mean, square = moments
                tf.raw_ops.ResourceApplyAdam(
                    var=weight.handle, m=mean.handle, v=square.handle, beta1_power=powers[0], beta2_power=powers[1],
                    lr=learning_rate, beta1=ADAM_BETA_1, beta2=ADAM_BETA_2, epsilon=ADAM_EPSILON, grad=gradient,
                )  # fmt: skip
            elif self.momentum:
                tf.raw_ops.ResourceApplyKerasMomentum(
                    var=weight.handle, accum=moments[0].handle, lr=learning_rate, grad=gradient, momentum=self.momentum
                )
            else:
                tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=learning_rate, delta=gradient)


class LossScale:
    """Dynamic loss scaling for float16, whose smallest gradients would vanish (Micikevicius et al. 2018, section 3.2).

    The loss is multiplied by a scale, the gradients are divided by it. A step whose gradients overflow is left out and
    halves the scale; `GROWTH_STEPS` good ones in a row double it. The optimizer counts the steps that are taken, as
    Keras' does.
    """

    INITIAL = 2.0**15
    GROWTH_STEPS = 2000

    def __init__(self) -> None:
        self.scale = tf.Variable(self.INITIAL, trainable=False)
        self.good_steps = tf.Variable(0, trainable=False)
        self.steps_taken = tf.Variable(0, trainable=False)
        self.variables = [self.scale, self.good_steps, self.steps_taken]

    def apply(self, optimizer: Optimizer, gradients: Sequence[Tensor], learning_rate: Tensor) -> None:
        """Take the scale out of the gradients and apply them, or leave the step out if they overflowed."""
        gradients = [tf.cast(gradient, tf.float32) / self.scale for gradient in gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])

        def good() -> Tensor:
            optimizer.apply(gradients, learning_rate, self.steps_taken)
            self.steps_taken.assign_add(1)
            grown = self.good_steps + 1 >= self.GROWTH_STEPS
            self.scale.assign(tf.where(grown, self.scale * 2.0, self.scale))
            return self.good_steps.assign(tf.where(grown, 0, self.good_steps + 1))

        def overflowed() -> Tensor:
            self.scale.assign(tf.maximum(1.0, self.scale / 2.0))
            return self.good_steps.assign(0)

        tf.cond(finite, good, overflowed)
