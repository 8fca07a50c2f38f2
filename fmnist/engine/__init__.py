"""How a run computes: whole epochs on the device, faster ops than plain Keras, the same mathematics."""
