import numpy as np
import pytest

from fmnist.compare.test_set import layered_estimate, variance_layers, variance_layers_of_means


def test_the_two_layers_are_kept_apart():
    generator = np.random.default_rng(0)
    hardness = generator.beta(8, 1, size=4_000)
    scores = generator.random((12, 4_000)) < hardness
    layers = variance_layers(scores)
    assert layers.runs == 12
    assert layers.mean == pytest.approx(scores.mean())
    assert layers.seed_standard_deviation == pytest.approx(scores.mean(axis=1).std(ddof=1))
    assert layers.seed_standard_error == pytest.approx(layers.seed_standard_deviation / np.sqrt(12))
    assert layers.test_set_standard_error == pytest.approx(scores.mean(axis=0).std(ddof=1) / np.sqrt(4_000))


def test_the_residual_is_that_of_the_two_way_layout_and_counted_once():
    scores = np.random.default_rng(3).integers(-1, 2, (5, 40)).astype(np.int8)
    rows, columns = scores.mean(axis=1, keepdims=True), scores.mean(axis=0, keepdims=True)
    residuals = scores - rows - columns + scores.mean()
    layers = variance_layers(scores)
    assert layers.residual_variance == pytest.approx((residuals**2).sum() / (4 * 39) / scores.size)
    wanted = layers.seed_standard_error**2 + layers.test_set_standard_error**2 - layers.residual_variance
    assert layers.standard_error**2 == pytest.approx(wanted)
    margins = variance_layers_of_means(rows.ravel(), columns.ravel(), float((scores**2).mean()))
    assert margins.residual_variance == pytest.approx(layers.residual_variance)


def test_one_run_has_the_binomial_layer_only():
    layers = variance_layers((np.arange(1_000) < 900)[None])
    assert np.isnan(layers.seed_standard_deviation)
    assert layers.test_set_standard_error == pytest.approx(np.sqrt(0.9 * 0.1 / 999))


def test_layers_of_a_difference_pair_the_images():
    right = np.random.default_rng(1).random((3, 500)) < 0.9
    assert variance_layers(right.astype(np.int8) - right).test_set_standard_error == 0.0


def test_no_scores_are_refused():
    with pytest.raises(ValueError, match="got 0 runs of 5 images, expected at least one each"):
        variance_layers(np.zeros((0, 5)))


@pytest.mark.parametrize("image_spread", [0.0, 1.0])
def test_both_layers_together_cover_new_seeds_and_new_images_as_often_as_they_say(image_spread):
    # without an image's own share everything is residual, and adding the layers as if apart would cover 99 %
    generator, studies, runs, images = np.random.default_rng(2), 1_500, 8, 60
    covered = 0
    for _ in range(studies):
        level = 0.7 + image_spread * generator.uniform(-0.2, 0.2, images) + generator.normal(0, 0.03, (runs, 1))
        scores = generator.random((runs, images)) < level
        low, high = layered_estimate(scores.mean(axis=1), variance_layers(scores)).interval()
        covered += low < 0.7 < high
    assert covered / studies == pytest.approx(0.955, abs=0.025)
