import pickle

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binom
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.svm import LinearSVC

from skkd import FiveBlockCNN, NetworkClassifier, conformal_estimator
from skkd.images import ImagePaths

NAMES = np.array(["low", "middle", "high"])


@pytest.fixture(scope="module")
def data(digits):
    rows = np.random.default_rng(0).permutation(len(digits[0]))
    return (digits[0][rows] * 15).astype(np.uint8), NAMES[digits[1][rows] // 4]


@pytest.fixture(scope="module")
def student(data):
    X, y = data
    network = FiveBlockCNN(filters=(8, 8), dense=())
    return NetworkClassifier(network, epochs=8, learning_rate=5e-3, random_state=0).fit(
        X[:200], y[:200]
    )


@pytest.fixture
def conformal(student):
    """Return a function that makes one of MAPIE's classifiers of the student."""
    mapie = pytest.importorskip("mapie.classification", reason="makes the sets")

    def make(**options):
        options = {"confidence_level": 0.9, "prefit": True, **options}
        return mapie.SplitConformalClassifier(conformal_estimator(student), **options)

    return make


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_sets_hold_the_true_label_of_images_left_out_as_often_as_promised(conformal, data, score):
    X, y = data
    fitted = conformal(conformity_score=score, random_state=0).conformalize(X[200:900], y[200:900])
    predicted, sets = fitted.predict_set(X[900:])
    n = len(X) - 900
    covered = sets[np.arange(n), np.searchsorted(np.sort(NAMES), y[900:]), 0].sum()
    # Of 700 images that it was chosen on, chance moves the promise itself by 1 point.
    low, high = binom(n, 0.9 - 0.02).ppf(0.001), binom(n, 0.9 + 0.03).ppf(0.999)
    assert low <= covered
    # What "aps" gives is never empty, and holds more.
    assert score == "aps" or covered <= high
    assert set(predicted) <= set(NAMES)
    assert sets.any(axis=1).mean() > 0.9
    assert sets.all(axis=1).mean() < 0.9


def test_files_are_taken_for_their_images(conformal, data, tmp_path):
    X, y = data
    paths = [str(tmp_path / f"{number}.png") for number in range(120)]
    for path, image in zip(paths, X, strict=False):
        Image.fromarray(image[..., 0]).save(path)
    expected = conformal().conformalize(X[:90], y[:90]).predict_set(X[90:120])
    for files in (np.array(paths), np.array(paths, dtype=object)):
        sets = conformal().conformalize(files[:90], y[:90]).predict_set(files[90:])
        np.testing.assert_array_equal(sets[1], expected[1])
    images = [ImagePaths(paths[:90]), ImagePaths(paths[90:])]
    sets = conformal().conformalize(images[0], y[:90]).predict_set(images[1])
    np.testing.assert_array_equal(sets[1], expected[1])


def test_the_classifier_says_all_but_what_it_takes(student, data):
    wrapped = conformal_estimator(student)
    assert is_classifier(wrapped)
    for again in (wrapped, pickle.loads(pickle.dumps(wrapped))):
        np.testing.assert_array_equal(
            again.predict_proba(data[0][:5]), student.predict_proba(data[0][:5])
        )
        assert again.classes_.tolist() == student.classes_.tolist()
        assert not hasattr(again, "n_features_in_")
    assert student.n_features_in_ == 8


def test_only_a_fitted_classifier_with_probabilities_is_taken(data):
    with pytest.raises(TypeError, match="must have predict_proba; got LinearSVC"):
        conformal_estimator(LinearSVC())
    with pytest.raises(NotFittedError):
        conformal_estimator(NetworkClassifier())
