import os
import pickle

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from scikeras.wrappers import KerasClassifier
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skkd import (
    BaseExplainer,
    FeatureMapExplainer,
    GradCAMExplainer,
    NetworkClassifier,
    SHAPExplainer,
)

EXPLAINERS = [FeatureMapExplainer, GradCAMExplainer]


class LogitExplainer(BaseExplainer):
    """Written as outside skkd: each image times the logit of the class asked for."""

    def __init__(self, estimator, *, target="predicted", batch_size=32):
        super().__init__(estimator, batch_size=batch_size)
        self.target = target

    def _make_function(self, image_shape):
        def explain(images, targets):
            logits = self.network_(images, training=False)
            targets = keras.ops.where(targets < 0, 0, targets)
            chosen = keras.ops.take_along_axis(logits, targets[:, None], axis=1)
            return images[..., 0] * chosen[..., None], logits

        return explain


@pytest.mark.parametrize("explainer_class", EXPLAINERS)
def test_memory_maps_and_files_give_the_maps_of_arrays(explainer_class, tmp_path, rng):
    images = rng.integers(256, size=(5, 10, 12, 3), dtype=np.uint8)
    model = keras.Sequential(
        [
            keras.Input((10, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(3, 3),
            layers.GlobalMaxPooling2D(),
            layers.Dense(2),
        ]
    )
    explainer = explainer_class(model, batch_size=2).fit()
    expected = explainer.transform(images)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_allclose(explainer.transform(mapped), expected, atol=1e-6)
    paths = [os.fspath(tmp_path / f"{number}.png") for number in range(5)]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    explanation = explainer.explain(np.array(paths))
    np.testing.assert_allclose(explanation.values, expected, atol=1e-6)
    np.testing.assert_array_equal(explanation.images[[3, 1]], images[[3, 1]])


@pytest.mark.parametrize("explainer_class", EXPLAINERS)
def test_a_pickled_explainer_explains_alike(explainer_class, trained, digits):
    explainer = explainer_class(trained).fit()
    expected = explainer.transform(digits[0][:5])
    again = pickle.loads(pickle.dumps(explainer))
    np.testing.assert_allclose(again.transform(digits[0][:5]), expected, atol=1e-6)
    assert again.layer_names_ == explainer.layer_names_
    assert not hasattr(pickle.loads(pickle.dumps(explainer_class(trained))), "classes_")


def test_a_progress_bar_shows_when_asked_for(trained, digits, capsys):
    GradCAMExplainer(trained, batch_size=4, verbose=1).fit().transform(digits[0][:10])
    assert "GradCAMExplainer: 100%" in capsys.readouterr().err
    GradCAMExplainer(trained, batch_size=4).fit().transform(digits[0][:10])
    assert capsys.readouterr().err == ""


def test_a_search_or_a_pipeline_around_one_may_be_explained(digits, tiny_network):
    X, y = digits[0][:60], digits[1][:60]
    classifier = NetworkClassifier(tiny_network, random_state=0)
    search = GridSearchCV(classifier, {"epochs": [1]}, cv=2)
    pipeline = make_pipeline(FunctionTransformer(lambda images: images / 2), search).fit(X, y)
    maps = GradCAMExplainer(pipeline).fit().transform(X[:4])
    best = pipeline[-1].best_estimator_
    expected = GradCAMExplainer(best.model_).fit().transform(X[:4] / 2)
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_classifier_of_scikeras_may_be_explained(digits):
    def build():
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.Flatten(),
                layers.Dense(10, activation="softmax"),
            ]
        )

    loss = "sparse_categorical_crossentropy"
    classifier = KerasClassifier(build, loss=loss, verbose=0, random_state=0)
    classifier.fit(digits[0][:50], digits[1][:50] + 5)
    explanation = GradCAMExplainer(classifier, target=7).fit().explain(digits[0][:3])
    assert explanation.values.shape == (3, 8, 8)
    np.testing.assert_array_equal(explanation.targets, 7)


def test_a_model_with_a_list_of_one_input_is_explained_and_with_two_refused(rng):
    first, second = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    convolution, flatten, dense = layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)
    listed = keras.Model([first], dense(flatten(convolution(first))))
    plain = keras.Model(first, dense(flatten(convolution(first))))
    images = rng.normal(size=(2, 8, 8, 1))
    for make in (
        FeatureMapExplainer,
        GradCAMExplainer,
        lambda model: SHAPExplainer(model, background=images, random_state=0),
    ):
        maps = make(listed).fit().transform(images)
        np.testing.assert_allclose(maps, make(plain).fit().transform(images), atol=1e-6)
    both = keras.Model([first, second], dense(flatten(convolution(first + second))))
    with pytest.raises(ValueError, match="has 2 inputs; models of one image"):
        GradCAMExplainer(both).fit()


def test_flat_maps_feed_a_classifier_in_a_grid_search(trained, digits):
    X, y = digits[0][1000:1200], digits[1][1000:1200]
    pipeline = Pipeline(
        [
            ("maps", FeatureMapExplainer(trained, flatten=True)),
            ("classifier", LogisticRegression(max_iter=2000)),
        ]
    )
    grid = {"maps__layers": ["conv", [0]], "classifier__C": [0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.6
    assert search.best_estimator_["maps"].estimator is trained
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_flat_maps_have_names_and_may_come_as_a_frame(trained, digits):
    flat = FeatureMapExplainer(trained, flatten=True).fit()
    names = flat.get_feature_names_out()
    assert names.shape == (2 * 8 * 8,)
    assert names[:2].tolist() == ["block1_conv_0_0", "block1_conv_0_1"]
    frame = clone(flat.set_output(transform="pandas")).fit_transform(digits[0][:3])
    assert frame.columns.tolist() == names.tolist()
    maps = FeatureMapExplainer(trained).fit().transform(digits[0][:3])
    np.testing.assert_allclose(frame["block2_conv_3_4"], maps[:, 1, 3, 4], atol=1e-6)
    assert not hasattr(FeatureMapExplainer(trained), "get_feature_names_out")


def test_names_of_flat_maps_need_an_image_size():
    model = keras.Sequential(
        [keras.Input((None, None, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()]
        + [layers.Dense(2)]
    )
    explainer = FeatureMapExplainer(model, flatten=True)
    with pytest.raises(ValueError, match=r"call fit\(X\) with images"):
        explainer.fit().get_feature_names_out()
    assert len(explainer.fit(np.zeros((1, 5, 6, 1))).get_feature_names_out()) == 30


@pytest.mark.parametrize("explainer_class", EXPLAINERS)
def test_a_file_that_an_explainer_cannot_read_is_named(
    explainer_class, trained, partly_broken_files
):
    explainer = explainer_class(trained, batch_size=2).fit()
    with pytest.raises(ValueError, match=r"19\.png is not a readable image"):
        explainer.transform(partly_broken_files)


def test_an_explainer_that_defines_its_function_alone_has_all_that_others_have(trained, digits):
    X, y = digits[0][:20], digits[1][:20]
    explainer = LogitExplainer(trained, target="true", batch_size=7)
    explanation = explainer.fit().explain(X, y)
    logits = trained.decision_function(X)
    chosen = logits[np.arange(20), y][:, None, None]
    np.testing.assert_allclose(explanation.values, X[..., 0] * chosen, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(explanation.targets, y)
    probabilities = trained.predict_proba(X)
    np.testing.assert_allclose(
        explanation.probabilities, probabilities[np.arange(20), y], atol=1e-5
    )
    assert explanation.method == "Logit"
    predicted = clone(explainer).set_params(target="predicted").fit().explain(X)
    np.testing.assert_array_equal(predicted.targets, trained.predict(X))
    np.testing.assert_allclose(predicted.probabilities, probabilities.max(axis=1), atol=1e-5)
    again = pickle.loads(pickle.dumps(explainer)).explain(X, y)
    np.testing.assert_allclose(again.values, explanation.values, atol=1e-5)
    with pytest.raises(ValueError, match="The 'batch_size' parameter of LogitExplainer"):
        LogitExplainer(trained, batch_size=0).fit()


def test_a_fitted_explainer_follows_the_weights_of_its_network(rng):
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2)])
    images = rng.random((3, 4, 4, 1)).astype("float32")
    explainer = LogitExplainer(model, target=1).fit()
    explainer.transform(images)
    model.set_weights([np.zeros((16, 2)), np.array([0.0, 3.0])])
    np.testing.assert_allclose(explainer.transform(images), 3 * images[..., 0], rtol=1e-6)


def test_the_base_itself_explains_nothing(trained):
    with pytest.raises(TypeError, match="abstract method"):
        BaseExplainer(trained)
