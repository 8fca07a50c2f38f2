"""Forward and backward passes of layers that are faster than Keras' own, and the refusal of what they do not know."""
