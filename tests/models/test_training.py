import contextlib
import errno
import gc
import logging
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import warnings

import joblib
import keras
import numpy as np
import pytest
import tensorflow as tf

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.models._checkpoint import Checkpoint
from skkd.models._trainer import EpochSeeds

NETWORK = FiveBlockCNN(filters=(4,), dense=(8,))


class Stop(keras.callbacks.Callback):
    """Cut training off in some epoch, as a killed process would, after its checkpoint."""

    def __init__(self, epoch):
        super().__init__()
        self.cut_off_in = {epoch}

    def on_epoch_begin(self, epoch, logs=None):
        if epoch in self.cut_off_in:
            raise SystemExit


def weights(classifier):
    return np.concatenate([w.ravel() for w in classifier.model_.get_weights()])


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:80], y[:80] % 3


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("epoch", [1, 4])
def test_a_fit_cut_off_in_any_epoch_goes_on_to_the_same_weights(
    data, tmp_path, epoch, early_stopping
):
    params = {
        "epochs": 6,
        "random_state": 0,
        "early_stopping": early_stopping,
        "n_iter_no_change": 3,
    }
    whole = NetworkClassifier(NETWORK, **params).fit(*data)
    params["checkpoint"] = tmp_path
    with pytest.raises(SystemExit):
        NetworkClassifier(NETWORK, callbacks=[Stop(epoch)], **params).fit(*data)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = NetworkClassifier(NETWORK, callbacks=[Stop(99)], **params).fit(*data)
    np.testing.assert_array_equal(weights(resumed), weights(whole))
    assert resumed.history_["loss"] == pytest.approx(whole.history_["loss"])
    assert resumed.n_iter_ == whole.n_iter_
    assert list(tmp_path.iterdir()) == [], "a finished fit leaves nothing behind"


@pytest.mark.slow
def test_a_fit_killed_by_the_system_goes_on_to_the_same_weights(tmp_path):
    code = """
import os, signal, sys
import keras, numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier
class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == int(sys.argv[3]) and batch == 1:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
digits = load_digits()
X, y = digits.images[:80, ..., None], digits.target[:80] % 3
student = NetworkClassifier(FiveBlockCNN(filters=(4,), dense=(8,)), epochs=5,
                            random_state=0, checkpoint=sys.argv[1], callbacks=[Kill()])
np.save(sys.argv[4], KDClassifier(SVC(), student).fit(X, y).predict_proba(X))
"""

    def run(folder, signal_name="", epoch=-1, output="no.npy"):
        folder, output = str(tmp_path / folder), str(tmp_path / output)
        command = [sys.executable, "-c", code, folder, signal_name, str(epoch), output]
        return subprocess.run(command).returncode

    # A scheduler first asks a job to end, and kills it when that has not helped.
    assert run("folder", "SIGTERM", 1) == -signal.SIGTERM
    assert len(list((tmp_path / "folder").iterdir())) == 1
    assert run("folder", "SIGKILL", 3) == -signal.SIGKILL
    assert len(list((tmp_path / "folder").iterdir())) == 1
    assert run("folder", output="resumed.npy") == 0
    assert run("elsewhere", output="whole.npy") == 0
    np.testing.assert_array_equal(
        np.load(tmp_path / "resumed.npy"), np.load(tmp_path / "whole.npy")
    )


@pytest.mark.parametrize("failure", [SystemExit(), KeyboardInterrupt()])
def test_a_fit_cut_off_while_it_writes_its_checkpoint_goes_on_from_the_one_before(
    data, tmp_path, monkeypatch, failure
):
    dump = joblib.dump

    def dump_in_part(state, path):
        dump(state, path)
        if state["epoch"] == 3:
            os.truncate(path, 1000)
            raise failure

    params = {"epochs": 4, "random_state": 0, "checkpoint": tmp_path}
    with monkeypatch.context() as patched:
        patched.setattr(joblib, "dump", dump_in_part)
        # Whoever presses Ctrl-C while fit trains keeps the network.
        with contextlib.suppress(SystemExit), warnings.catch_warnings(action="ignore"):
            NetworkClassifier(NETWORK, **params).fit(*data)
    (kept,) = tmp_path.iterdir()
    assert joblib.load(kept)["epoch"] == 2
    assert NetworkClassifier(NETWORK, **params).set_params(epochs=1).fit(*data).n_iter_ == 1
    resumed = NetworkClassifier(NETWORK, **params).fit(*data)
    whole = NetworkClassifier(NETWORK, epochs=4, random_state=0).fit(*data)
    np.testing.assert_array_equal(weights(resumed), weights(whole))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_said_and_training_begins_anew(data, tmp_path):
    params = {"epochs": 2, "random_state": 0, "checkpoint": tmp_path}
    with pytest.raises(SystemExit):
        NetworkClassifier(NETWORK, callbacks=[Stop(1)], **params).fit(*data)
    (kept,) = tmp_path.iterdir()
    os.truncate(kept, 1000)
    with pytest.warns(UserWarning, match=rf"checkpoint .*{kept.name} is damaged and not used"):
        NetworkClassifier(NETWORK, callbacks=[Stop(99)], **params).fit(*data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_checkpoint_that_cannot_be_written_is_said_and_training_is_not_lost(
    data, tmp_path, monkeypatch, fault
):
    dump = joblib.dump

    def dump_in_part(state, path):
        dump(state, path)
        if state["epoch"] == 2:
            os.truncate(path, 1000)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(path, missing_ok=False):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    classifier = NetworkClassifier(NETWORK, epochs=3, random_state=0, checkpoint=tmp_path)
    with monkeypatch.context() as patched:
        if fault == "full":
            patched.setattr(joblib, "dump", dump_in_part)
            said = r"cannot be written: \[Errno 28\] No space left on device. Training goes on"
        else:
            patched.setattr(pathlib.Path, "unlink", refuse)
            said = "is not needed any more and cannot be removed.*Read-only"
        with pytest.warns(UserWarning, match=said) as caught:
            classifier.fit(*data)
    ours = [warning for warning in caught if warning.category is UserWarning]
    assert {warning.filename for warning in ours} == {__file__}
    assert len(list(tmp_path.iterdir())) == (0 if fault == "full" else 1)
    whole = NetworkClassifier(NETWORK, epochs=3, random_state=0).fit(*data)
    np.testing.assert_array_equal(weights(classifier), weights(whole))


def test_a_folder_that_no_checkpoint_can_be_written_to_is_named_before_anything_is_done(
    data, tmp_path
):
    (tmp_path / "file").write_text("")
    asked = []

    def teacher(images):
        asked.append(len(images))
        return np.zeros((len(images), 3))

    student = NetworkClassifier(NETWORK, random_state=0, checkpoint=tmp_path / "file" / "folder")
    with pytest.raises(
        OSError, match=r"checkpoint must be None or a folder to write to; got .*file"
    ):
        KDClassifier(teacher, student).fit(*data)
    assert asked == []


def test_the_same_fit_run_twice_at_once_in_one_folder_comes_to_the_same_weights_twice(
    data, tmp_path, monkeypatch
):
    params = {"epochs": 4, "random_state": 0, "checkpoint": tmp_path}
    dump, other = joblib.dump, []

    def dump_meanwhile(state, path):
        dump(state, path)
        if state["epoch"] == 2 and not other:
            other.append(NetworkClassifier(NETWORK, **params))
            other[0].fit(*data)

    monkeypatch.setattr(joblib, "dump", dump_meanwhile)
    with warnings.catch_warnings(action="ignore"):
        first = NetworkClassifier(NETWORK, **params).fit(*data)
    whole = NetworkClassifier(NETWORK, epochs=4, random_state=0).fit(*data)
    for classifier in (first, *other):
        np.testing.assert_array_equal(weights(classifier), weights(whole))
    assert list(tmp_path.iterdir()) == []


def test_two_that_write_one_checkpoint_at_once_do_not_mix(tmp_path, monkeypatch):
    first, second = (Checkpoint(tmp_path, "key", 5, []) for _ in range(2))
    first.state, second.state = {"epoch": 1}, {"epoch": 2}
    dump = joblib.dump

    def dump_meanwhile(state, path):
        dump(state, path)
        if state is first.state:
            second._write()

    monkeypatch.setattr(joblib, "dump", dump_meanwhile)
    first._write()
    assert joblib.load(first.path) == first.state


class ThrowAway(keras.optimizers.schedules.LearningRateSchedule):
    """Of three steps an epoch, lose all weights in the last of the third, after its loss."""

    def __call__(self, step):
        return keras.ops.where(step < 8, 1e-3, np.inf)

    def get_config(self):
        return {}


def test_training_that_diverges_leaves_the_last_good_epoch_to_a_fit_of_so_many(
    data, tmp_path, monkeypatch
):
    params = {"optimizer": "sgd", "learning_rate": ThrowAway(), "random_state": 0}
    kept = {"checkpoint": tmp_path, **params}
    with pytest.raises(ValueError, match=r"in epoch 4\..* after epoch 2: fit with epochs=2"):
        NetworkClassifier(NETWORK, epochs=6, **kept).fit(*data)
    whole = NetworkClassifier(NETWORK, epochs=2, **params).fit(*data)
    trained = []
    monkeypatch.setattr(EpochSeeds, "on_epoch_begin", lambda *args: trained.append(args))
    good = NetworkClassifier(NETWORK, epochs=2, warm_start=True, **kept).fit(*data)
    assert trained == []
    np.testing.assert_array_equal(weights(good), weights(whole))
    assert good.history_["loss"] == pytest.approx(whole.history_["loss"])
    assert len(list(tmp_path.iterdir())) == 1, "the file is that of the fit of six epochs"


def test_a_checkpoint_of_other_data_or_parameters_is_not_taken_up(data, tmp_path):
    X, y = data
    params = {"epochs": 3, "random_state": 0, "checkpoint": tmp_path}
    with pytest.raises(SystemExit):
        NetworkClassifier(NETWORK, callbacks=[Stop(2)], **params).fit(X, y)
    (kept,) = tmp_path.iterdir()
    NetworkClassifier(NETWORK, callbacks=[Stop(99)], **params).fit(X, y[::-1])
    NetworkClassifier(NETWORK, callbacks=[Stop(99)], learning_rate=0.1, **params).fit(X, y)
    other = X.copy()
    other[40] += 1
    NetworkClassifier(NETWORK, callbacks=[Stop(99)], **params).fit(other, y)
    NetworkClassifier(NETWORK, callbacks=[Stop(99), Stop(99)], **params).fit(X, y)
    assert list(tmp_path.iterdir()) == [kept]


def test_a_fit_under_a_strategy_goes_on_from_a_checkpoint_made_under_another_like_it(
    data, tmp_path
):
    class Strategy:
        scope = contextlib.nullcontext

    params = {"epochs": 3, "random_state": 0, "checkpoint": tmp_path}
    stopping = NetworkClassifier(NETWORK, callbacks=[Stop(2)], **params)
    stopping.set_params(distribution=Strategy())
    with pytest.raises(SystemExit):
        stopping.fit(*data)
    going_on = NetworkClassifier(NETWORK, callbacks=[Stop(99)], **params)
    going_on.set_params(distribution=Strategy()).fit(*data)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_needs_a_seed(data, tmp_path):
    with pytest.raises(ValueError, match=r"needs an int as random_state.*got None"):
        NetworkClassifier(NETWORK, checkpoint=tmp_path).fit(*data)


def test_mixed_precision_normalizes_and_decides_in_full_precision(data):
    X, y = data
    classifier = NetworkClassifier(NETWORK, epochs=1, random_state=0, dtype_policy="mixed_float16")
    # 16 times 6,000 is beyond what a float16 holds.
    classifier.fit(X * 6000, y)
    assert np.isfinite(classifier.history_["loss"]).all()
    logits = classifier.decision_function(X * 6000).astype("float32")
    assert (logits != logits.astype("float16")).any()


def test_mixed_precision_computes_in_it_and_leaves_the_global_policy(data):
    classifier = NetworkClassifier(NETWORK, epochs=2, random_state=0, dtype_policy="mixed_bfloat16")
    classifier.fit(*data)
    assert classifier.model_.get_layer("block1_conv").compute_dtype == "bfloat16"
    assert classifier.model_.get_layer("block1_conv").variable_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    np.testing.assert_allclose(classifier.predict_proba(data[0]).sum(axis=1), 1)
    plain = NetworkClassifier(NETWORK, epochs=2, random_state=0).fit(*data)
    np.testing.assert_allclose(
        classifier.history_["loss"], plain.history_["loss"], rtol=0.1, err_msg="much the same"
    )


@pytest.mark.slow
def test_training_under_a_strategy_of_two_devices_comes_to_the_same_weights(tmp_path):
    pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.distribute is TensorFlow's")
    code = """
import sys
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier
digits = load_digits()
X, y = digits.images[:80, ..., None], digits.target[:80] % 3
def fit(distribution):
    student = NetworkClassifier(FiveBlockCNN(filters=(4,), dense=(8,), dropout=0.0), epochs=2,
                                batch_size=20, random_state=0, distribution=distribution)
    return KDClassifier(SVC(), student).fit(X, y).predict_proba(X)
both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert both.num_replicas_in_sync == 2
np.testing.assert_allclose(fit(both), fit(None), atol=1e-4)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_student_from_a_grid_search_has_the_architecture_searched(data):
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(
        KDClassifier(student=NetworkClassifier(FiveBlockCNN(filters=(4,), dense=()), epochs=1)),
        {"student__network__filters": [(2,), (3,)]},
        cv=2,
        error_score="raise",
    ).fit(*data)
    (n_filters,) = search.best_params_["student__network__filters"]
    assert search.best_estimator_.model_.get_layer("block1_conv").filters == n_filters


def test_a_fit_is_the_same_while_another_thread_draws_random_numbers(data):
    def fit():
        return NetworkClassifier(NETWORK, epochs=1, random_state=0).fit(*data)

    def draw():
        while not finished.is_set():
            random.random()

    alone = weights(fit())
    finished = threading.Event()
    thread = threading.Thread(target=draw)
    thread.start()
    try:
        beside = weights(fit())
    finally:
        finished.set()
        thread.join()
    np.testing.assert_array_equal(beside, alone)


def test_a_fit_leaves_no_graph_of_its_training_behind(data):
    def fit():
        NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1).fit(*data)
        gc.collect()
        return sum(isinstance(kept, tf.Graph) for kept in gc.get_objects())

    # Some are made once for the process, in the first fit.
    assert fit() == fit()


def test_many_fits_are_not_advised_to_trace_less(data):
    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger("tensorflow")
    filters, level = list(logger.filters), logger.level
    logger.addHandler(handler)
    logger.setLevel("WARNING")
    try:
        for _ in range(7):
            NetworkClassifier(FiveBlockCNN(filters=(2,)), epochs=1).fit(*data).predict(data[0])
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert [text for text in told if "retracing" in text] == []
    assert logger.filters == filters
