"""Callbacks are the user's: every fit calls copies of them."""

import pickle
import threading

import joblib
import keras
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from skkd import MLP, NetworkClassifier


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["loss"])


class Run(Recorder):
    """As of a service that runs are reported to: it holds what cannot be copied."""

    def __init__(self):
        super().__init__()
        self.connection = threading.Lock()


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:60], y[:60] % 2


def classifier(*callbacks, **params):
    return NetworkClassifier(MLP(hidden=(4,)), epochs=2, callbacks=list(callbacks), **params)


def makers(folder):
    return {
        "csv": lambda: keras.callbacks.CSVLogger(folder / "log.csv"),
        "tensorboard": lambda: keras.callbacks.TensorBoard(folder / "board"),
        "checkpoint": lambda: keras.callbacks.ModelCheckpoint(folder / "best.keras"),
        "lambda": lambda: keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        "service": Run,
    }


@pytest.mark.parametrize("name", ["csv", "tensorboard", "checkpoint", "lambda", "service"])
@pytest.mark.filterwarnings("ignore:the callback .* is left out of a pickle")
def test_whatever_a_callback_holds_a_search_runs_and_is_pickled(name, data, tmp_path):
    if name == "tensorboard":
        pytest.importorskip("tensorboard")
    callback = makers(tmp_path)[name]()
    before = dict(vars(callback))
    search = GridSearchCV(classifier(callback), {"batch_size": [30, 60]}, cv=2).fit(*data)
    assert vars(callback) == before
    clone(search.best_estimator_)
    joblib.dump(search, tmp_path / "search.joblib")
    read = joblib.load(tmp_path / "search.joblib")
    assert read.predict(data[0]).tolist() == search.predict(data[0]).tolist()
    assert len(cross_val_score(clone(search.best_estimator_), *data, cv=2)) == 2


def test_every_fit_calls_copies_with_lists_of_their_own(data):
    recorder = Recorder()
    first = classifier(recorder, random_state=0).fit(*data)
    second = clone(first).fit(*data)
    assert recorder.losses == []
    assert recorder.model is None
    for fitted in (first, second):
        (copy,) = fitted.callbacks_
        assert copy.losses == pytest.approx(fitted.history_["loss"])


def test_a_callback_that_cannot_be_pickled_is_left_out_and_that_is_said(data):
    fitted = classifier(Run(), Recorder()).fit(*data)
    with pytest.warns(UserWarning, match=r"Run is left out of a pickle, .* cannot pickle"):
        again = pickle.loads(pickle.dumps(fitted))
    assert [type(callback) for callback in again.callbacks] == [Recorder]
    assert fitted.callbacks[0].connection is fitted.callbacks_[0].connection
