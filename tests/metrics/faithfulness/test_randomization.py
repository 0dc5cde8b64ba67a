import keras
import numpy as np
import pytest
from keras import layers
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, TransformerMixin

from skkd import FeatureMapExplainer
from skkd.metrics import randomization_check
from skkd.metrics.faithfulness._randomization import spearman, structural_similarity


class EdgeExplainer(TransformerMixin, BaseEstimator):
    """Shows the image itself, whatever the network: what the check is there to unmask."""

    def __init__(self, estimator, target="predicted"):
        self.estimator = estimator
        self.target = target

    def fit(self, X=None, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X)[..., 0]


class ClassWeightExplainer(EdgeExplainer):
    """Shows a linear network's weights of the class asked for."""

    def transform(self, X):
        model, classes = self.estimator.model_, self.estimator.classes_
        kernel = model.layers[-1].get_weights()[0]
        columns = np.searchsorted(classes, self.target)
        return kernel[:, columns].T.reshape(-1, 6, 6)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((12, 16, 16, 1)).astype("float32")


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Normalization(mean=0.5, variance=1.0),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="first"),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="second"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="head"),
        ]
    )


def test_feature_maps_change_once_the_cascade_reaches_their_layer(network, images):
    before = network.get_weights()
    explainer = FeatureMapExplainer(network).fit()

    check = randomization_check(explainer, images, layer=0, random_state=0)

    assert check.index.tolist() == ["head", "second", "first"]
    np.testing.assert_allclose(check.loc[["head", "second"], ["spearman", "ssim"]], 1, atol=1e-5)
    assert (check.loc["first", ["spearman", "ssim"]] < 0.9).all()
    assert (check["n"] == 12).all()
    for was, now in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    assert explainer.model_ is network


def test_an_explainer_that_ignores_the_network_is_unmasked(network, images):
    check = randomization_check(EdgeExplainer(network), images, random_state=0)
    np.testing.assert_allclose(check[["spearman", "ssim"]], 1, atol=1e-6)


def test_the_class_explained_is_the_one_predicted_before(images):
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(4)])
    X = np.random.default_rng(1).normal(size=(9, 6, 6, 1)).astype("float32")
    predicted = model.predict(X, verbose=0).argmax(axis=1)
    kernel, _ = model.layers[-1].get_weights()

    check = randomization_check(ClassWeightExplainer(model), X, random_state=3, batch_size=4)

    seed = np.random.RandomState(3).randint(2**31 - 1)
    shuffled = np.random.default_rng(seed).permutation(kernel.ravel()).reshape(kernel.shape)
    expected = [spearmanr(kernel[:, k], shuffled[:, k]).statistic for k in predicted]
    assert check["spearman"].iloc[0] == pytest.approx(np.mean(expected))
    assert check["spearman_std"].iloc[0] == pytest.approx(np.std(expected))


def test_seeded_checks_repeat_and_other_seeds_differ(network, images):
    explainer = FeatureMapExplainer(network)
    first, again, other = (
        randomization_check(explainer, images[:3], max_layers=2, random_state=seed)
        for seed in (0, 0, 1)
    )
    assert first.index.tolist() == ["head", "second"]
    assert first.equals(again)
    assert not first.equals(other)


def test_classifiers_and_their_labels_are_understood(digits, trained):
    check = randomization_check(
        FeatureMapExplainer(trained), digits[0][:10], max_layers=1, random_state=0
    )
    assert check.index.tolist() == ["logits"]


def test_rank_correlation_is_scipys_and_undefined_for_a_constant_map(rng):
    first, second = rng.normal(size=(3, 5, 7)), rng.normal(size=(3, 5, 7)).round(1)
    second[2] = 4
    ranks = spearman(first, second)
    for i in range(2):
        expected = spearmanr(first[i].ravel(), second[i].ravel()).statistic
        assert ranks[i] == pytest.approx(expected)
    assert np.isnan(ranks[2])


@pytest.mark.parametrize(("shape", "side"), [((9, 11), 7), ((4, 6), 3)])
def test_structural_similarity_is_the_published_formula_over_every_window(rng, shape, side):
    first, second = rng.random((2, 1, *shape))
    a, b = (m[0] / 1.0 for m in (first, second))
    a, b = ((m - m.min()) / (m.max() - m.min()) for m in (a, b))
    windows = []
    for y in range(shape[0] - side + 1):
        for x in range(shape[1] - side + 1):
            p, q = (m[y : y + side, x : x + side].ravel() for m in (a, b))
            (vp, cov), (_, vq) = np.cov(p, q, bias=True)
            windows.append(
                (2 * p.mean() * q.mean() + 1e-4)
                * (2 * cov + 9e-4)
                / ((p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (vp + vq + 9e-4))
            )
    assert structural_similarity(first, second)[0] == pytest.approx(np.mean(windows))
    np.testing.assert_allclose(structural_similarity(first, first), 1)


def test_bad_options_are_refused_by_name(network, images):
    explainer = FeatureMapExplainer(network)
    with pytest.raises(ValueError, match="max_layers must be a whole number above 0; got 0"):
        randomization_check(explainer, images, max_layers=0)
    with pytest.raises(ValueError, match="batch_size must be a whole number above 0; got 0"):
        randomization_check(explainer, images, batch_size=0)
    with pytest.raises(ValueError, match="X must be images"):
        randomization_check(explainer, images.reshape(12, -1))
