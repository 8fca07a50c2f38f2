"""The forward pass of a Keras model in faster ops, behind a wall: what is computed, what is refused, which pixels."""

from fmnist.train.kernels.forward_pass import forward, unsupported, used_side
