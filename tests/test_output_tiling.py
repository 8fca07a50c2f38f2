import numpy as np
import pytest
import tensorflow as tf

from fmnist.declare.architectures import build_model
from fmnist.train.kernels import forward, layers
from fmnist.train.kernels.output_tiling import input_gradient, pooled_convolution, suits


def draw(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def result_and_gradients(function, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = function(*inputs)
        loss = tf.reduce_sum(y * draw(*y.shape, seed=1))
    return [y, *tape.gradient(loss, inputs)]


def assert_equal(ours, theirs):
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.shape == reference.shape
        assert np.abs(mine - reference).max() <= 1e-5 * np.abs(reference).max()


def convolution_then_pooling(padding):
    return lambda x, kernel, bias: tf.nn.max_pool2d(tf.nn.conv2d(x, kernel, 1, padding), 2, 2, "VALID") + bias


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 5), (9, 8, 3), (8, 9, 2), (11, 11, 4)])
def test_result_and_gradients_are_those_of_a_convolution_and_a_pooling(height, width, size, padding):
    inputs = draw(2, height, width, 3), draw(size, size, 3, 5), draw(5)
    ours = result_and_gradients(lambda *inputs: pooled_convolution(*inputs, padding), *inputs)
    assert_equal(ours, result_and_gradients(convolution_then_pooling(padding), *inputs))


def test_the_first_of_equal_maxima_takes_the_gradient():
    inputs = draw(2, 8, 8, 1), tf.zeros([3, 3, 1, 4]), draw(4)
    ours = result_and_gradients(lambda *inputs: pooled_convolution(*inputs, "SAME"), *inputs)
    theirs = result_and_gradients(convolution_then_pooling("SAME"), *inputs)
    assert_equal(ours[2:], theirs[2:])
    assert np.abs(ours[2]).min() > 0


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 5), (9, 8, 3), (8, 9, 2), (11, 11, 4)])
def test_the_gradient_of_the_input_is_that_of_tensorflow(height, width, size, padding):
    x, kernel = draw(2, height, width, 3), draw(size, size, 3, 5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.nn.conv2d(x, kernel, 1, padding)
    dy = draw(*y.shape, seed=1)
    assert_equal([input_gradient(dy, kernel, (height, width), padding)], [tape.gradient(y, x, output_gradients=dy)])


def test_only_square_convolutions_of_few_channels_and_single_steps_suit():
    x, kernel = draw(2, 8, 8, 1), draw(5, 5, 1, 6)
    assert suits(x, kernel, 1, channels=6)
    assert not suits(x, kernel, 1, channels=8)
    assert not suits(x, kernel, 2, channels=6)
    assert not suits(x, draw(5, 3, 1, 6), 1, channels=6)
    assert not suits(x, draw(1, 1, 1, 6), 1, channels=6)
    assert not suits(tf.cast(x, tf.bfloat16), kernel, 1, channels=6)


def ops_of_a_step(name, images):
    """Kinds of the ops, each with the shape of its first output, of a training step on that many images."""
    model = build_model(name)
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function(input_signature=[tf.TensorSpec([images, 28, 28, 1])], autograph=False)
    def step(x):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            logits = forward(model, x, training=True, seed=tf.constant([0, 0]))
        return tape.gradient(logits, weights)

    return [
        (op.type, tuple(op.outputs[0].shape))
        for op in step.get_concrete_function().graph.get_operations()
        if op.outputs
    ]


def test_lenet5_takes_its_six_channels_in_tiles():
    ops = ops_of_a_step("lenet5", 32)
    assert ("Conv2D", (32, 14, 14, 4 * 6)) in ops
    assert [kind for kind, _ in ops].count("MaxPoolGrad") == 1, "of the second convolution's 16 channels"
    assert ("DepthToSpace", (32, 14, 14, 6)) in ops, "the gradient of the second convolution's input"


def test_a_batch_of_unknown_size_is_pooled_by_tensorflow():
    assert "MaxPool" in [kind for kind, _ in ops_of_a_step("lenet5", None)]


@pytest.mark.parametrize(
    ("rows", "inputs", "dtype", "turned"),
    [
        (32, 2048, tf.float32, 1),
        (8, 2048, tf.float32, 0),
        (128, 2048, tf.float32, 0),
        (None, 2048, tf.float32, 0),
        (32, 512, tf.float32, 0),
        (32, 2048, tf.bfloat16, 0),
    ],
)
def test_a_product_of_few_rows_with_a_large_kernel_turns_the_gradient_of_its_input(rows, inputs, dtype, turned):
    @tf.function(input_signature=[tf.TensorSpec([rows, inputs], dtype), tf.TensorSpec([inputs, 100], dtype)])
    def gradients(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = layers.product(x, kernel)
            loss = tf.reduce_sum(y * y)
        return tape.gradient(loss, [x, kernel])

    kinds = [op.type for op in gradients.get_concrete_function().graph.get_operations()]
    assert kinds.count("Transpose") == turned
    x, kernel = draw(rows or 8, inputs).numpy(), draw(inputs, 100).numpy()
    y = x @ kernel
    ours = gradients(tf.cast(x, dtype), tf.cast(kernel, dtype))
    for mine, reference in zip(ours, (2 * y @ kernel.T, 2 * x.T @ y), strict=True):
        error = np.abs(tf.cast(mine, tf.float32) - reference).max() / np.abs(reference).max()
        assert error < (1e-4 if dtype == tf.float32 else 3e-2)
