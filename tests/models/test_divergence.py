"""What has no finite score has no class, and what holds NaN is not trained on."""

import keras
import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import GridSearchCV

from skkd import MLP, GradCAMExplainer, KDClassifier, NetworkClassifier, SHAPExplainer


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:60], y[:60] % 2


def diverging(**params):
    params = {"epochs": 2, "optimizer": "sgd", "random_state": 0, "learning_rate": 1e30} | params
    return NetworkClassifier(MLP(hidden=(8,)), **params)


def test_a_candidate_that_diverges_is_never_best(data):
    search = GridSearchCV(diverging(), {"learning_rate": [1e30, 1e-3]}, cv=2)
    with (
        pytest.warns(FitFailedWarning, match="training diverged"),
        pytest.warns(UserWarning, match="test scores are non-finite"),
    ):
        search.fit(*data)
    assert search.best_params_ == {"learning_rate": 1e-3}
    assert np.isnan(search.cv_results_["mean_test_score"][0])


@pytest.mark.parametrize("student", ["plain", "distilled", "stopped early"])
def test_training_that_diverges_is_an_error_and_leaves_nothing_that_predicts(student, data):
    classifier = diverging(early_stopping=student == "stopped early")
    given = {}
    if student == "distilled":
        classifier = KDClassifier(None, classifier)
        given["teacher_logits"] = np.eye(2)[data[1]]
    with pytest.raises(ValueError, match="training diverged: the loss is nan in epoch 1"):
        classifier.fit(*data, **given)
    with pytest.raises(NotFittedError):
        classifier.predict(data[0])


def test_weights_that_the_last_step_loses_are_noticed(data):
    # The loss of the only batch is that before its step.
    with pytest.raises(ValueError, match=r"weights of .* are not finite at its end"):
        diverging(batch_size=60, epochs=1, learning_rate=1e39).fit(*data)


def lose_a_weight(model):
    """As the last step of an epoch may, whose loss was taken before."""
    *others, last = model.get_weights()
    model.set_weights([*others, last * np.nan])


class BeforeTheSecondValidation(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_test_begin(self, logs=None):
        if self.epoch == 1:
            lose_a_weight(self.model)


class AtTheEnd(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        lose_a_weight(self.model)


def test_weights_of_the_best_epoch_are_what_counts_after_early_stopping(data):
    params = {"learning_rate": 1e-3, "callbacks": [BeforeTheSecondValidation()]}
    fitted = diverging(early_stopping=True, **params).fit(*data)
    assert np.isnan(fitted.history_["val_loss"][1])
    assert np.isfinite(fitted.predict_proba(data[0])).all()


def test_a_weight_lost_at_the_very_end_is_noticed(data):
    with pytest.raises(ValueError, match="'logits/bias' are not finite at its end"):
        diverging(learning_rate=1e-3, epochs=1, callbacks=[AtTheEnd()]).fit(*data)


def test_a_second_fit_that_diverges_does_not_leave_the_first_network(data):
    classifier = diverging(learning_rate=1e-3).fit(*data)
    with pytest.raises(ValueError, match="training diverged"):
        classifier.set_params(learning_rate=1e30).fit(*data)
    with pytest.raises(NotFittedError):
        classifier.predict(data[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_no_class(bad, data):
    classifier = diverging(learning_rate=1e-3, epochs=1).fit(*data)
    weights = classifier.model_.get_weights()
    weights[-1] = np.array([0.0, bad])
    classifier.model_.set_weights(weights)
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(ValueError, match=r"NaN or infinity for 60 of 60 images of X, .*row 0"):
            getattr(classifier, method)(data[0])


def test_a_network_that_gives_nan_is_not_explained(data):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 3)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(x)))
    model.layers[-1].set_weights([np.full((2, 2), np.nan), np.zeros(2)])
    for explainer in (GradCAMExplainer(model), SHAPExplainer(model, background=2, n_samples=2)):
        with pytest.raises(ValueError, match="gives image 0 the probability nan"):
            explainer.fit(data[0]).explain(data[0][:2])


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_store_with_values_that_are_no_numbers_is_refused_as_an_array_is(bad, as_store, data):
    X = data[0].copy()
    good = diverging(learning_rate=1e-3, epochs=1).fit(as_store(X), data[1])
    X[7, 3, 3] = bad
    with pytest.raises(ValueError, match="X has NaN or infinity in image 7"):
        diverging(learning_rate=1e-3).fit(as_store(X), data[1])
    with pytest.raises(ValueError, match="X has NaN or infinity in image 7"):
        good.predict(as_store(X))
