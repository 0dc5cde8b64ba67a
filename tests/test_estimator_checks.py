"""What scikit-learn and skkd ask of every estimator, explainer and parameter object alike."""

import inspect
import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from keras import layers, ops
from PIL import Image
from scipy.special import softmax
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_public_names import ROOMS, names_in

import skkd
from skkd import (
    MLP,
    BaseExplainer,
    DeferringClassifier,
    FeatureMapExplainer,
    FiveBlockCNN,
    GradCAMExplainer,
    Hints,
    KDClassifier,
    KDFMVNet,
    NetworkClassifier,
    SHAPExplainer,
    Teacher,
    TransferNet,
)


class BrightnessExplainer(BaseExplainer):
    """Written as outside skkd."""

    def _make_function(self, image_shape):
        def explain(images, targets):
            return ops.mean(images, axis=-1), self.network_(images, training=False)

        return explain


def small():
    return NetworkClassifier(FiveBlockCNN(filters=(4,), dense=()), epochs=1, random_state=0)


def backbone():
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3)])


# Each public class that scikit-learn is to take for one of its own, and how to make one, given a
# classifier of images that is fitted.
MAKE = {
    FiveBlockCNN: lambda fitted: FiveBlockCNN(filters=(4,), dense=[3], dropout=0.1),
    KDFMVNet: lambda fitted: KDFMVNet(dropout=[0.1, 0.2, 0.3]),
    MLP: lambda fitted: MLP(hidden=(4, 3), dropout=0.1),
    TransferNet: lambda fitted: TransferNet(backbone(), dense=(3,), dropout=0.1),
    Hints: lambda fitted: Hints({"block1_conv": "block1_conv"}, weight=2),
    Teacher: lambda fitted: Teacher(fitted.model_, weight=2),
    NetworkClassifier: lambda fitted: small(),
    DeferringClassifier: lambda fitted: DeferringClassifier(
        small(), FrozenEstimator(fitted), threshold=0.4
    ),
    KDClassifier: lambda fitted: KDClassifier(Teacher(fitted.model_), small(), alpha=0.3),
    BaseExplainer: BrightnessExplainer,
    FeatureMapExplainer: FeatureMapExplainer,
    GradCAMExplainer: GradCAMExplainer,
    SHAPExplainer: lambda fitted: SHAPExplainer(
        fitted, background=np.zeros((2, 8, 8, 1)), n_samples=4, random_state=0
    ),
}
# Those that train a network. What asks others has tests of its own.
CLASSIFIERS = [cls for cls in MAKE if hasattr(cls, "decision_function")]
EXPLAINERS = [cls for cls in MAKE if issubclass(cls, BaseExplainer)]
NETWORKS = [cls for cls in MAKE if hasattr(cls, "build")]


def public_estimators():
    """Return the public classes that scikit-learn clones, searches and prints."""
    found = set()
    for name in (name for room in ROOMS for name in names_in(room)):
        value = skkd
        for part in name.split("."):
            value = getattr(value, part)
        if inspect.isclass(value) and issubclass(value, BaseEstimator):
            found.add(value)
    return found


def test_every_public_estimator_is_checked(fitted):
    assert public_estimators() == set(MAKE)
    for cls, make in MAKE.items():
        made = make(fitted)
        assert isinstance(made, cls) if inspect.isabstract(cls) else type(made) is cls


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    X = (X[:36] * 15).astype(np.uint8)
    # Whoever changes what a user passes in, is told.
    X.setflags(write=False)
    return X, y[:36] % 3


@pytest.fixture(scope="module")
def paths(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    files = [folder / f"{number}.png" for number in range(len(data[0]))]
    for file, image in zip(files, data[0], strict=True):
        Image.fromarray(image[..., 0]).save(file)
    return files


@pytest.fixture(scope="module")
def fitted(data):
    return small().fit(*data)


@pytest.fixture(scope="module", params=CLASSIFIERS, ids=lambda cls: cls.__name__)
def classifier(request, fitted, data):
    """A fitted classifier. Tests must not change it."""
    return MAKE[request.param](fitted).fit(*data)


@pytest.fixture(scope="module", params=EXPLAINERS, ids=lambda cls: cls.__name__)
def explainer(request, fitted):
    """A fitted explainer. Tests must not change it."""
    return MAKE[request.param](fitted).fit()


# Those of scikit-learn's checks that need no data.
ABOUT_PARAMETERS = [
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
]
# And those whose tables an explainer does not look at. All others would have tables explained,
# where an explainer takes images of the size its model takes, as its tags say.
ABOUT_FITTING = [
    "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self",
    "check_estimators_unfitted",
    "check_fit_check_is_fitted",
    "check_transformers_unfitted",
]


@pytest.mark.parametrize("check", ABOUT_PARAMETERS)
@pytest.mark.parametrize("cls", MAKE)
def test_parameters_pass_the_check_of_scikit_learn(cls, check, fitted):
    getattr(estimator_checks, check)(cls.__name__, MAKE[cls](fitted))


@pytest.mark.parametrize("check", ABOUT_FITTING)
@pytest.mark.parametrize("cls", EXPLAINERS)
def test_an_explainer_passes_the_check_of_scikit_learn(cls, check, fitted):
    getattr(estimator_checks, check)(cls.__name__, MAKE[cls](fitted))


NOT_TO_THE_LAST_BIT = {
    "check_sample_weight_equivalence_on_dense_data": (
        "weighted and repeated rows are drawn into different mini-batches and summed in float32; "
        "test_classifier.py proves the equivalence to float error with full batches"
    ),
}

# The checks compare to 1e-7, and where a row stands in a batch moves the last bits of float32 on
# some processors; how far, test_classifier.py says.
TRAINING = {"epochs": 6, "learning_rate": 0.1, "dtype_policy": "float64"}


# The checks of one estimator take a minute, some of them ten seconds.
@pytest.mark.slow
@parametrize_with_checks(
    [
        NetworkClassifier(MLP(hidden=(16,)), **TRAINING),
        KDClassifier(student=NetworkClassifier(MLP(hidden=(16,)), random_state=0, **TRAINING)),
    ],
    expected_failed_checks=lambda estimator: NOT_TO_THE_LAST_BIT,
)
def test_estimator_passes_the_check_of_scikit_learn(estimator, check):
    check(estimator)


def test_tags_say_what_is_taken(classifier, explainer):
    assert get_tags(classifier).input_tags.two_d_array
    assert get_tags(classifier).input_tags.three_d_array
    assert not get_tags(explainer).input_tags.two_d_array
    assert get_tags(explainer).input_tags.three_d_array
    assert get_tags(explainer).transformer_tags.preserves_dtype == ["float32"]


@pytest.mark.parametrize("cls", MAKE)
def test_parameters_make_an_estimator_that_is_alike(cls, fitted):
    made = MAKE[cls](fitted)
    for again in (
        type(made)(**made.get_params(deep=False)),
        clone(made).set_params(**made.get_params()),
        clone(clone(made)),
    ):
        assert repr(again) == repr(made)
        assert list(again.get_params()) == list(made.get_params())
    for again in (pickle.loads(pickle.dumps(made)), pickle.loads(pickle.dumps(clone(made)))):
        assert type(again) is type(made)
        assert list(again.get_params()) == list(made.get_params())


@pytest.mark.parametrize("cls", NETWORKS)
def test_a_network_that_was_cloned_or_pickled_builds_the_same(cls, fitted):
    made = MAKE[cls](fitted)
    kept = str(vars(made))
    shapes = [w.shape for w in made.build((8, 8, 1), 3).weights]
    assert str(vars(made)) == kept
    for again in (clone(made), pickle.loads(pickle.dumps(made))):
        assert [w.shape for w in again.build((8, 8, 1), 3).weights] == shapes


def weights(classifier):
    return np.concatenate([w.ravel() for w in classifier.model_.get_weights()])


def test_a_classifier_gives_scores_probabilities_and_labels_of_images(classifier, data):
    X, y = data
    logits = classifier.decision_function(X)
    assert logits.shape == (36, 3)
    proba = classifier.predict_proba(X)
    np.testing.assert_allclose(proba, softmax(logits, axis=1), atol=1e-7)
    np.testing.assert_allclose(proba, classifier.model_.predict(X, verbose=0), atol=1e-5)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[logits.argmax(axis=1)])
    assert classifier.score(X, y) == np.mean(classifier.predict(X) == y)
    assert classifier.n_features_in_ == 8
    for order in ([5, 2, 9], [7], np.arange(36)[::-1]):
        np.testing.assert_allclose(
            classifier.decision_function(X[order]), logits[order], rtol=1e-4, atol=1e-4
        )


def test_a_classifier_takes_files_for_their_images(classifier, data, paths):
    X, y = data
    for files in (paths, np.array(paths).astype(str)[:, None], pd.Series(paths)):
        np.testing.assert_array_equal(classifier.predict_proba(files), classifier.predict_proba(X))
    np.testing.assert_array_equal(weights(clone(classifier).fit(paths, y)), weights(classifier))


@pytest.mark.parametrize("kind", ["str", "object", "category", "string"])
def test_a_classifier_gives_labels_back_as_they_were(classifier, data, kind):
    X, y = data
    names = np.array(["glioma", "meningioma", "pituitary"])
    labels = pd.Series(names[y], dtype=kind) if kind != "str" else names[y]
    named = clone(classifier).fit(X, labels)
    assert named.classes_.tolist() == names.tolist()
    np.testing.assert_array_equal(weights(named), weights(classifier))
    np.testing.assert_array_equal(named.predict(X), names[classifier.predict(X)])
    assert named.score(X, labels) == classifier.score(X, y)


def test_weights_count_relatively_and_of_0_leave_a_row_out(classifier, data):
    X, y = data
    doubled = clone(classifier).fit(X, y, sample_weight=np.full(36, 2.0))
    np.testing.assert_array_equal(weights(doubled), weights(classifier))
    kept = np.arange(36) % 5 > 0
    left_out = clone(classifier).fit(X, y, sample_weight=kept.tolist())
    absent = clone(classifier).fit(X[kept], y[kept])
    np.testing.assert_array_equal(weights(left_out), weights(absent))
    assert (weights(left_out) != weights(classifier)).any()
    half = classifier.score(X, y, sample_weight=kept)
    assert half == np.average(classifier.predict(X) == y, weights=kept)


def test_a_clone_of_a_fitted_classifier_is_not_fitted_and_becomes_its_equal(classifier, data):
    before = weights(classifier)
    new = clone(classifier)
    with pytest.raises(NotFittedError):
        new.predict(data[0])
    assert vars(new).keys() == new.get_params(deep=False).keys()
    for _ in range(2):
        np.testing.assert_array_equal(weights(new.fit(*data)), before)
    np.testing.assert_array_equal(weights(classifier), before)


def test_a_pickled_classifier_predicts_alike_and_one_not_fitted_stays_so(classifier, data):
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(data[0]), classifier.predict_proba(data[0]))
    assert again.history_ == classifier.history_
    with pytest.raises(NotFittedError):
        pickle.loads(pickle.dumps(clone(classifier))).predict(data[0])


def test_classifiers_fit_and_predict_in_threads_as_they_do_alone(classifier, data):
    expected = classifier.predict_proba(data[0])
    threads = Parallel(n_jobs=3, backend="threading")
    for proba in threads(delayed(classifier.predict_proba)(data[0]) for _ in range(6)):
        np.testing.assert_array_equal(proba, expected)
    for other in threads(delayed(clone(classifier).fit)(*data) for _ in range(3)):
        np.testing.assert_array_equal(weights(other), weights(classifier))


def test_a_classifier_of_a_table_knows_its_columns(classifier, data):
    X, y = data
    table = pd.DataFrame(X.reshape(36, -1)[:, 20:24], columns=list("abcd"))
    params = {"student": "mlp"} if isinstance(classifier, KDClassifier) else {"network": "mlp"}
    tabular = clone(classifier).set_params(**params)
    if "teacher" in tabular.get_params():
        tabular.set_params(teacher=None)
    tabular.fit(table, y)
    assert tabular.feature_names_in_.tolist() == list("abcd")
    assert tabular.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        tabular.predict(table[list("badc")])
    assert not hasattr(clone(tabular).fit(table.to_numpy(), y), "feature_names_in_")


def test_an_explainer_gives_maps_of_the_size_of_images(explainer, data):
    X, y = data
    explanation = explainer.explain(X, y)
    maps = explainer.transform(X)
    assert maps.dtype == np.float32
    # With one map for each layer, or for each channel, there is one of either here.
    assert maps.size == 36 * 8 * 8
    assert maps.shape[0] == 36
    assert np.isfinite(maps).all()
    np.testing.assert_array_equal(explanation.values, maps)
    np.testing.assert_array_equal(clone(explainer).fit_transform(X, y), maps)
    np.testing.assert_array_equal(explanation.targets, explainer.estimator.predict(X))
    np.testing.assert_allclose(
        explanation.probabilities, explainer.estimator.predict_proba(X).max(axis=1), atol=1e-5
    )
    for order in ([5, 2, 9], [7], np.arange(36)[::-1]):
        np.testing.assert_allclose(
            explainer.transform(X[order]), maps[order], rtol=1e-4, atol=1e-4 * abs(maps).max()
        )


def test_an_explainer_takes_files_for_their_images(explainer, data, paths):
    expected = explainer.transform(data[0])
    for files in (paths, np.array(paths).astype(str)[:, None], pd.Series(paths)):
        np.testing.assert_array_equal(explainer.transform(files), expected)


def test_an_explainer_names_classes_as_their_user_does(explainer, data):
    X, y = data
    names = np.array(["glioma", "meningioma", "pituitary"])
    named = clone(explainer).set_params(estimator=clone(explainer.estimator).fit(X, names[y]))
    target = {"target": "true"} if "target" in named.get_params() else {}
    explanation = named.set_params(**target).fit().explain(X[:4], names[y[:4]])
    expected = names[y[:4]] if target else named.estimator.predict(X[:4])
    assert explanation.targets.tolist() == expected.tolist()
    assert explanation.labels.tolist() == names[y[:4]].tolist()
    assert named.classes_.tolist() == names.tolist()


def test_a_clone_of_an_explainer_is_about_the_same_classifier(explainer, data):
    new = clone(explainer)
    assert new.estimator is explainer.estimator
    with pytest.raises(NotFittedError):
        new.transform(data[0])
    np.testing.assert_array_equal(new.fit().transform(data[0]), explainer.transform(data[0]))


def test_a_pickled_explainer_explains_alike_and_one_not_fitted_stays_so(explainer, data):
    again = pickle.loads(pickle.dumps(explainer))
    np.testing.assert_allclose(
        again.transform(data[0]), explainer.transform(data[0]), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(NotFittedError):
        pickle.loads(pickle.dumps(clone(explainer))).transform(data[0])


def test_explainers_explain_in_threads_as_they_do_alone(explainer, data):
    expected = explainer.transform(data[0])
    threads = Parallel(n_jobs=3, backend="threading")
    for maps in threads(delayed(explainer.transform)(data[0]) for _ in range(6)):
        np.testing.assert_array_equal(maps, expected)
    # Nor is there a first call that only one thread may make.
    new = clone(explainer).fit()
    for maps in threads(delayed(new.transform)(data[0]) for _ in range(3)):
        np.testing.assert_array_equal(maps, expected)


def test_maps_come_as_frames_only_where_they_have_columns(explainer, data):
    expected = explainer.transform(data[0])
    with config_context(transform_output="pandas"):
        assert isinstance(explainer.transform(data[0]), np.ndarray)
    assert not hasattr(explainer, "set_output")
    if isinstance(explainer, FeatureMapExplainer):
        flat = clone(explainer).set_params(flatten=True).set_output(transform="pandas").fit()
        frame = clone(flat).fit_transform(data[0])
        assert frame.columns.tolist() == flat.get_feature_names_out().tolist()
        np.testing.assert_array_equal(frame, expected.reshape(36, -1))


def test_an_explainer_refuses_a_table(explainer, data):
    with pytest.raises(ValueError, match=r"takes images of shape \(8, 8, 1\)"):
        explainer.transform(data[0].reshape(36, -1))
