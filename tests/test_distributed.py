"""Searches and training in several processes, as on several machines."""

import json
import os
import signal
import socket
import subprocess
import sys
from itertools import chain

import joblib
import keras
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skkd import MLP, FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.models._batches import Batches

SMALL = NetworkClassifier(MLP(hidden=(4,)), epochs=2, random_state=0)


@pytest.fixture(scope="module")
def cluster():
    """A client of two worker processes, in place of two machines."""
    distributed = pytest.importorskip("distributed", reason="needs the extra 'distributed'")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as two,
        distributed.Client(two) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:150], y[:150] % 3


class Counting:
    """A teacher that writes down in a file how many images it is shown."""

    def __init__(self, log):
        self.log = log
        self.fingerprint = "counts"

    def __call__(self, images):
        with open(self.log, "a") as file:
            file.write(f"{len(images)}\n")
        return images.mean(axis=(1, 2))[:, [0, 0, 0]] * [1, 2, 3]

    @property
    def count(self):
        return sum(map(int, self.log.read_text().split()))


class KillOnce(keras.callbacks.Callback):
    """Kill the process of the first fit to come so far."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark

    def on_epoch_end(self, epoch, logs=None):
        try:
            open(self.mark, "x").close()
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def search(teacher, memory=None, student=SMALL):
    return GridSearchCV(
        KDClassifier(teacher, student, memory=memory),
        {"alpha": [0.2, 0.8], "temperature": [1, 4]},
        scoring=["accuracy", "neg_log_loss"],
        refit="neg_log_loss",
        cv=StratifiedKFold(3),
        error_score="raise",
    )


def scores(fitted):
    kept = {k: v for k, v in fitted.cv_results_.items() if k != "params" and "time" not in k}
    return fitted.best_params_, {name: values.tolist() for name, values in kept.items()}


@pytest.mark.slow
def test_a_search_on_two_workers_is_that_of_one_process_and_asks_about_each_image_once(
    cluster, data, tmp_path
):
    one = search(Counting(tmp_path / "one")).fit(*data)
    teacher = Counting(tmp_path / "two")
    with joblib.parallel_config(backend="dask"):
        two = search(teacher, memory=tmp_path / "kept").fit(*data)
    assert scores(two) == scores(one)
    assert teacher.count == 150


@pytest.mark.slow
def test_a_worker_killed_in_mid_search_changes_nothing(cluster, data, tmp_path):
    X, y = data
    mark = tmp_path / "killed"
    student = NetworkClassifier(**SMALL.get_params(deep=False)).set_params(
        callbacks=[KillOnce(str(mark))]
    )
    mark.touch()
    one = search(Counting(tmp_path / "one"), student=student).fit(X, y)
    mark.unlink()
    before = set(cluster.run(os.getpid).values())
    splits = list(StratifiedKFold(3).split(X, y))
    teacher = Counting(tmp_path / "two")
    two = search(teacher, memory=tmp_path / "kept", student=student).set_params(cv=splits)
    # What is on one worker alone is lost with it, and Dask would take all other copies away.
    cluster.amm.stop()
    with joblib.parallel_config(backend="dask", scatter=[X, y, *chain.from_iterable(splits)]):
        two.fit(X, y)
    assert mark.exists()
    cluster.amm.start()
    cluster.wait_for_workers(2)
    assert len(before & set(cluster.run(os.getpid).values())) == 1
    assert scores(two) == scores(one)
    assert teacher.count == 150


def count_loads(log):
    """Have the process write down in a file how often it reads a Keras model."""
    load = keras.saving.load_model

    def counted(*args, **options):
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")
        return load(*args, **options)

    keras.saving.load_model = counted


@pytest.mark.slow
def test_each_worker_loads_a_teacher_of_a_file_once(cluster, data, tmp_path):
    teacher = tmp_path / "teacher.keras"
    FiveBlockCNN(filters=(4,)).build((8, 8, 1), n_classes=3).save(teacher)
    # With what the teacher said for both: in which batch a network meets an image moves the last
    # bits of its answer.
    one = search(teacher, memory=tmp_path / "kept").fit(*data)
    cluster.run(count_loads, tmp_path / "log")
    with joblib.parallel_config(backend="dask"):
        two = search(teacher, memory=tmp_path / "kept").fit(*data)
    loads = (tmp_path / "log").read_text().split()
    assert len(loads) == len(set(loads)) > 0
    assert scores(two) == scores(one)


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


TRAIN = """
import sys
import keras, numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier
def train(distribution, out):
    digits = load_digits()
    X, y = digits.images[:80, ..., None], digits.target[:80] % 3
    network = FiveBlockCNN(filters=(4,), dense=(8,), dropout=0.0)
    plain = NetworkClassifier(network, epochs=2, batch_size=20, random_state=0)
    plain.set_params(distribution=distribution).fit(X, y, X_val=X[:20], y_val=y[:20])
    student = KDClassifier(SVC(), plain).fit(X, y)
    # Training that goes on.
    plain.partial_fit(X, y)
    losses = plain.history_["loss"] + plain.history_["val_loss"] + student.history_["loss"]
    np.savez(out, proba=[plain.predict_proba(X), student.predict_proba(X)], losses=losses)
"""
STRATEGIES = {
    "jax": """
keras.distribution.initialize("localhost:PORT", 2, int(sys.argv[2]))
strategy = keras.distribution.DataParallel(auto_shard_dataset=False)
""",
    "tensorflow": """
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", STRATEGIES)
def test_two_processes_train_one_network_as_one_process_does(backend, tmp_path):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    ports = free_port(), free_port()
    code = (
        TRAIN + STRATEGIES[backend].replace("PORT", str(ports[0])) + "train(strategy, sys.argv[1])"
    )
    runs = []
    for number in range(2):
        task = {"type": "worker", "index": number}
        workers = {"worker": [f"localhost:{port}" for port in ports]}
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "TF_CONFIG": json.dumps({"cluster": workers, "task": task}),
        }
        run = [sys.executable, "-c", code, str(tmp_path / f"{number}.npz"), str(number)]
        runs.append(subprocess.Popen(run, env=environment))
    alone = TRAIN + "train(None, sys.argv[1])"
    environment = {**os.environ, "KERAS_BACKEND": backend}
    run = [sys.executable, "-c", alone, str(tmp_path / "alone.npz")]
    assert subprocess.run(run, env=environment).returncode == 0
    assert [run.wait() for run in runs] == [0, 0]
    one = np.load(tmp_path / "alone.npz")
    for number in range(2):
        for name, values in np.load(tmp_path / f"{number}.npz").items():
            np.testing.assert_allclose(values, one[name], atol=1e-4, err_msg=name)


def test_processes_share_each_batch_of_an_epoch_in_order(rng):
    X = rng.random((10, 2))
    whole = Batches(X, batch_size=4, seed=0)
    parts = [Batches(X, batch_size=4, seed=0) for _ in range(2)]
    for number, part in enumerate(parts):
        part.share(number, 2)
    for index in range(len(whole)):
        together = np.concatenate([part[index][0] for part in parts])
        np.testing.assert_array_equal(together, whole[index][0])


@pytest.mark.parametrize(("n_images", "batch_size"), [(10, 5), (10, 6), (3, 4), (9, 4)])
def test_batches_that_processes_cannot_share_evenly_are_refused(n_images, batch_size):
    batches = Batches(np.zeros((n_images, 2)), batch_size=batch_size)
    with pytest.raises(ValueError, match=rf"batch_size={batch_size} cuts {n_images} images"):
        batches.check_shares(4 if n_images == 10 else 2)


def test_processes_that_would_draw_other_weights_are_refused(data, monkeypatch):
    monkeypatch.setattr("skkd.models._classifier.n_processes", lambda: 2)
    with pytest.raises(ValueError, match=r"random_state must be an int where several.*got None"):
        NetworkClassifier(MLP(hidden=(2,)), epochs=1).fit(*data)
