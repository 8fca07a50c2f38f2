import numpy as np
import pytest
import tensorflow as tf

from fmnist.declare.hyperparameters import Hyperparameters
from fmnist.train.augmentation import augment, random_matrices

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
