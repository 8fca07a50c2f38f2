from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.train.augmentation import (
    _uniform,
    augment,
    blend,
    erase,
    random_matrices,
    random_rectangles,
    random_share,
)

SEED = (5, 6)


def square_image(count=1):
    """A bright square above and left of the centre of an otherwise black 28 x 28 image."""
    images = np.zeros((count, 28, 28, 1), np.float32)
    images[:, 6:10, 4:8] = 200.0
    return tf.constant(images)


def test_without_changes_the_images_stay_as_they_are():
    images = square_image(3)
    np.testing.assert_allclose(augment(images, Hyperparameters(), SEED), images, atol=1e-4)


def test_the_same_seed_gives_the_same_images_and_another_one_does_not():
    images = square_image(4)
    settings = Hyperparameters(rotation=10.0, translation=0.1, zoom=0.1, horizontal_flip=True)
    first = augment(images, settings, SEED).numpy()
    np.testing.assert_array_equal(first, augment(images, settings, SEED))
    assert np.abs(first - augment(images, settings, (5, 7))).max() > 1


def test_a_mirrored_image_is_the_image_from_right_to_left():
    images = square_image(64)
    changed = augment(images, Hyperparameters(horizontal_flip=True), SEED).numpy()
    mirrored = images.numpy()[:, :, ::-1]
    is_mirrored = np.isclose(changed, mirrored, atol=1e-3).all(axis=(1, 2, 3))
    is_kept = np.isclose(changed, images, atol=1e-3).all(axis=(1, 2, 3))
    assert (is_mirrored | is_kept).all()
    assert 10 < is_mirrored.sum() < 54


@pytest.mark.parametrize(
    ("changes", "largest"),
    [({"translation": 0.1}, 2.8), ({"rotation": 10.0}, 13.5 * 2**0.5 * np.radians(10)), ({"zoom": 0.1}, 13.5 * 0.12)],
)
def test_no_corner_moves_further_than_its_setting_allows_and_some_move_nearly_so_far(changes, largest):
    matrices = random_matrices(2000, (28, 28), Hyperparameters(**changes), SEED).numpy()
    a0, a1, a2, b0, b1, b2 = matrices.T[:6]
    moved = np.stack([a0 * 27 + a1 * 27 + a2 - 27, b0 * 27 + b1 * 27 + b2 - 27])
    reached = np.abs(moved).max() if "rotation" not in changes else np.hypot(*moved).max()
    assert 0.9 * largest - 0.2 < reached <= largest


def test_the_centre_stays_in_place_under_turns_zooms_and_mirrors():
    settings = Hyperparameters(rotation=180.0, zoom=0.5, horizontal_flip=True)
    matrices = random_matrices(50, (28, 28), settings, SEED).numpy()
    a0, a1, a2, b0, b1, b2 = matrices.T[:6]
    np.testing.assert_allclose(a0 * 13.5 + a1 * 13.5 + a2, 13.5, rtol=1e-5)
    np.testing.assert_allclose(b0 * 13.5 + b1 * 13.5 + b2, 13.5, rtol=1e-5)


def test_what_enters_the_image_is_black():
    white = tf.fill([8, 28, 28, 1], 255.0)
    changed = augment(white, Hyperparameters(translation=0.3), SEED).numpy()
    assert changed.min() == 0.0
    assert changed.max() == pytest.approx(255.0)


def rectangles(count):
    masks = random_rectangles(tf.constant(count), (28, 28), SEED).numpy()
    return masks, masks.any(axis=2).sum(axis=1), masks.any(axis=1).sum(axis=1)


def test_rectangles_are_whole_and_their_areas_and_aspects_are_those_of_the_paper():
    masks, heights, widths = rectangles(4000)
    np.testing.assert_array_equal(masks.sum(axis=(1, 2)), heights * widths)  # full, and none cut off at an edge
    area = heights * widths / 28**2
    assert area.mean() == pytest.approx(0.21, abs=0.01)
    assert np.std(area) == pytest.approx(0.38 / 12**0.5, abs=0.005)
    assert 0.015 < area.min() < 0.03  # sides are whole pixels
    assert 0.38 < area.max() < 0.42
    log_aspect = np.log(heights / widths)
    assert log_aspect.mean() == pytest.approx(0.0, abs=0.05)
    small = log_aspect[area < 0.25]  # as steep as allowed, since a steep one fits
    assert np.std(small) == pytest.approx(-np.log(0.3) / 3**0.5, rel=0.03)
    assert np.abs(small).max() < -np.log(0.3) + 0.2


def test_rectangles_lie_anywhere_that_they_fit():
    masks, heights, widths = rectangles(4000)
    first_row, first_column = masks.any(axis=2).argmax(axis=1), masks.any(axis=1).argmax(axis=1)
    for first, side in ((first_row, heights), (first_column, widths)):
        free = side < 28
        assert np.mean(first[free] / (28 - side[free])) == pytest.approx(0.5, abs=0.02)
        assert (first + side <= 28).all()
        assert (first + side == 28).any()


def test_an_erased_rectangle_is_noise_and_the_rest_stays():
    images = tf.fill([2000, 28, 28, 1], 300.0)
    changed = erase(images, 0.3, SEED).numpy()
    erased = changed[..., 0] != 300.0
    masks = random_rectangles(tf.constant(2000), (28, 28), SEED).numpy()
    chosen = erased.any(axis=(1, 2))
    np.testing.assert_array_equal(erased[chosen], masks[chosen])
    assert chosen.mean() == pytest.approx(0.3, abs=0.03)
    noise = changed[..., 0][erased]
    assert (noise.min() >= 0, noise.max() < 255) == (True, True)
    assert (noise.mean(), noise.std()) == pytest.approx((127.5, 255 / 12**0.5), rel=0.01)
    assert np.unique(noise).size > 0.9 * min(noise.size, 2**20)  # each pixel by itself


def test_a_warped_image_is_erased_afterwards_and_the_warp_is_as_without():
    settings = Hyperparameters(translation=0.2, random_erasing=1.0)
    both = augment(square_image(50), settings, SEED).numpy()
    alone = augment(square_image(50), replace(settings, random_erasing=0.0), SEED).numpy()
    masks = random_rectangles(tf.constant(50), (28, 28), SEED).numpy()
    np.testing.assert_array_equal(both[~masks], alone[~masks])
    assert (both[masks] != alone[masks]).mean() > 0.99


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_the_share_of_a_blend_is_beta_distributed(alpha):
    shares = shares_of_steps(alpha, 2000)
    lower = shares[shares < 0.5]  # near 1, float32 rounds
    assert len(lower) == pytest.approx(1000, abs=100)
    assert stats.kstest(lower, lambda x: 2 * stats.beta(alpha, alpha).cdf(x)).pvalue > 0.01


def test_a_tiny_alpha_leaves_nearly_every_image_alone():
    shares = shares_of_steps(0.001, 500)
    assert np.mean((shares < 0.01) | (shares > 0.99)) > 0.98
    assert shares.mean() == pytest.approx(0.5, abs=0.1)


def shares_of_steps(alpha, count):
    steps = tf.range(count)
    drawn = tf.function(lambda: tf.map_fn(lambda s: random_share(alpha, [5, s]), steps, fn_output_signature=tf.float32))
    return drawn().numpy().astype(float)


def test_a_blend_is_a_weighted_mean_with_the_next_image_and_its_target():
    generator = np.random.default_rng(0)
    images = generator.random((5, 4, 4, 1), np.float32)
    targets = np.eye(10, dtype=np.float32)[[3, 1, 4, 1, 5]]
    mixed, shares = blend(tf.constant(images), tf.constant(targets), 1.0, SEED)
    share = float(random_share(1.0, SEED))
    assert 0.01 < share < 0.99
    following = [1, 2, 3, 4, 0]
    np.testing.assert_allclose(mixed, share * images + (1 - share) * images[following], rtol=1e-5)
    np.testing.assert_allclose(shares, share * targets + (1 - share) * targets[following], rtol=1e-5)


def test_each_draw_of_a_step_and_each_step_have_random_numbers_of_their_own():
    draws = [_uniform([8], [5, step], stream).numpy() for step in range(3) for stream in range(6)]
    assert len({draw.tobytes() for draw in draws}) == len(draws)
