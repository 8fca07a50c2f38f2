import numpy as np
import pytest
import tensorflow as tf

from fmnist.train.kernels.winograd import convolution, suits, transforms


def draw(*shape):
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def result_and_gradients(convolve, x, kernel):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
        loss = tf.reduce_sum(y * tf.cast(draw(*y.shape), y.dtype))
    return [y, *tape.gradient(loss, [x, kernel])]


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("outputs", [1, 2, 5, 6, 7, 10, 11, 13])
def test_one_dimensional_products_are_the_convolution(outputs, size):
    input_transform, filter_transform, output_transform = transforms(outputs, size)
    x, w = np.random.default_rng(0).normal(size=outputs + size - 1), np.random.default_rng(1).normal(size=size)
    ours = output_transform @ ((input_transform @ x) * (filter_transform @ w))
    np.testing.assert_allclose(ours, np.correlate(x, w, "valid"), atol=1e-9)


@pytest.mark.parametrize("side", [7, 12, 13])
def test_result_and_gradients_equal_the_direct_convolution_in_double_precision(side):
    x, kernel = draw(3, side, side, 5), draw(3, 3, 5, 4)
    ours = result_and_gradients(convolution, x, kernel)
    exact = result_and_gradients(
        lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "VALID"), tf.cast(x, tf.float64), tf.cast(kernel, tf.float64)
    )
    for mine, reference in zip(ours, exact, strict=True):
        assert mine.shape == reference.shape
        assert np.abs(mine - tf.cast(reference, tf.float32)).max() < 5e-5 * np.abs(reference).max()


def test_only_wide_unpadded_convolutions_of_small_images_suit():
    x, kernel = draw(1, 13, 13, 32), draw(3, 3, 32, 64)
    assert suits(x, kernel, 1, "VALID")
    assert not suits(x, kernel, 2, "VALID")
    assert not suits(x, kernel, 1, "SAME")
    assert not suits(x, draw(5, 5, 32, 64), 1, "VALID")
    assert not suits(draw(1, 28, 28, 1), draw(3, 3, 1, 32), 1, "VALID")
    assert not suits(draw(1, 28, 28, 32), kernel, 1, "VALID")
