import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import keras
import numpy as np
import pytest
from keras import layers
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from skkd import MLP, KDClassifier, NetworkClassifier
from skkd.distillation._cache import _DiskStore, remembering
from skkd.distillation._callable_teacher import CallableTeacher
from skkd.distillation._estimator_teacher import EstimatorTeacher
from skkd.distillation._keras_teacher import KerasTeacher
from skkd.images._blocks import image_digests, read_blocks


class Counting:
    """A teacher that writes down in a file how many images it is shown."""

    def __init__(self, log):
        self.log = log
        self.fingerprint = f"counts in {log}"

    def __call__(self, images):
        with open(self.log, "a") as file:
            file.write(f"{len(images)}\n")
        return np.stack([images.mean(axis=(1, 2, 3)), images.std(axis=(1, 2, 3))], axis=1)

    @property
    def count(self):
        return sum(map(int, self.log.read_text().split())) if self.log.exists() else 0


class Wide(Counting):
    """One with more outputs than a page of the file holds."""

    def __call__(self, images):
        return np.tile(super().__call__(images), 600).astype("float32")


@pytest.fixture
def counting(tmp_path):
    return Counting(tmp_path / "log")


@pytest.fixture
def images(rng):
    return rng.random((30, 4, 4, 1)).astype("float32")


def ask_once(teacher, images, memory=None):
    with remembering(teacher, 8, memory) as answers:
        blocks = read_blocks(images, np.arange(len(images)), 8)
        return np.concatenate([answers(block, digests) for _, block, digests in blocks])


def ask(teacher, images, memory=None):
    return ask_once(CallableTeacher(teacher), images, memory)


@pytest.mark.parametrize("on_disk", [False, True])
def test_each_distinct_image_is_asked_about_once_in_any_order(counting, images, tmp_path, on_disk):
    memory = tmp_path / "kept" if on_disk else None
    twice = np.concatenate([images, images[::-1]])
    answers = ask(counting, twice, memory)
    assert counting.count == 30
    np.testing.assert_array_equal(answers[:30], answers[:29:-1])
    np.testing.assert_allclose(answers[:30], counting(images), rtol=1e-6)
    again = ask(counting, twice[7:40], memory)
    np.testing.assert_array_equal(again, answers[7:40])
    assert counting.count == 60, "the 30 of the line above, and no more"


@pytest.mark.slow
@pytest.mark.parametrize(("n_jobs", "on_disk"), [(1, False), (2, True)])
def test_a_grid_search_asks_about_each_image_once(counting, images, tmp_path, n_jobs, on_disk):
    y = np.arange(30) % 2
    search = GridSearchCV(
        KDClassifier(
            counting,
            NetworkClassifier(MLP(hidden=(2,)), epochs=1),
            memory=tmp_path / "kept" if on_disk else None,
        ),
        {"alpha": [0.2, 0.8], "temperature": [1, 2, 3]},
        cv=3,
        n_jobs=n_jobs,
        error_score="raise",
    )
    search.fit(images, y)
    assert counting.count == 30


def test_joblib_memory_names_the_folder(counting, images, tmp_path):
    ask(counting, images, joblib.Memory(tmp_path / "kept", verbose=0))
    ask(counting, images, tmp_path / "kept")
    assert counting.count == 30
    ask(counting, images, joblib.Memory(None))
    assert counting.count == 60


def test_digests_are_those_of_content_dtype_and_shape(images):
    digests = image_digests(images)
    assert digests == image_digests(images.astype("float64"))
    assert len(set(digests)) == 30
    changed = images.copy()
    changed[3, 0, 0, 0] += 1e-3
    assert [a == b for a, b in zip(digests, image_digests(changed), strict=True)].count(False) == 1
    assert digests != image_digests(images.reshape(30, 2, 8, 1))


def linear_model(seed):
    keras_initializer = keras.initializers.RandomNormal(seed=seed)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1), name="images"),
            layers.Flatten(name="flat"),
            layers.Dense(2, kernel_initializer=keras_initializer, name="top"),
        ],
        name="linear",
    )


def test_another_teacher_or_other_weights_have_another_fingerprint(images):
    first, same, other = linear_model(0), linear_model(0), linear_model(1)
    fingerprints = [KerasTeacher(model).fingerprint() for model in (first, same, other)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    assert KerasTeacher(first, outputs="probabilities").fingerprint() != fingerprints[0]
    first.set_weights([w + 1 for w in first.get_weights()])
    assert KerasTeacher(first).fingerprint() != fingerprints[0]


def test_a_teacher_that_was_trained_on_is_asked_anew(images, tmp_path):
    model = linear_model(0)
    for memory in (None, tmp_path):
        before = ask_once(KerasTeacher(model), images, memory)
        model.set_weights([w + 1 for w in model.get_weights()])
        after = ask_once(KerasTeacher(model), images, memory)
        assert (before != after).all()


def test_a_frozen_classifier_is_recognized_and_one_fitted_here_is_not_kept(digits):
    X = digits[0][:40].reshape(40, -1)
    forest = RandomForestClassifier(3, random_state=0).fit(X, digits[1][:40] % 2)
    frozen = EstimatorTeacher(FrozenEstimator(forest), kept=True)
    assert frozen.fingerprint() == EstimatorTeacher(FrozenEstimator(forest), True).fingerprint()
    assert EstimatorTeacher(forest, kept=False).fingerprint() is None


def kept_file(folder):
    (path,) = folder.glob("*.sqlite")
    return path


def test_a_damaged_file_is_said_and_rebuilt(counting, images, tmp_path):
    folder = tmp_path / "kept"
    answers = ask(counting, images, folder)
    kept_file(folder).write_bytes(b"no database" * 500)
    with pytest.warns(UserWarning, match=r"are damaged .*; they are made anew"):
        np.testing.assert_array_equal(ask(counting, images, folder), answers)
    assert counting.count == 60
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask(counting, images, folder)
    assert counting.count == 60


def test_a_damaged_row_is_said_and_asked_about_again(counting, images, tmp_path):
    folder = tmp_path / "kept"
    answers = ask(counting, images, folder)
    with sqlite3.connect(kept_file(folder)) as connection:
        (digest,) = connection.execute("SELECT digest FROM outputs").fetchone()
        connection.execute(
            "UPDATE outputs SET logits = ? WHERE digest = ?",
            (np.array([9, 9], "float32").tobytes(), digest),
        )
    with pytest.warns(UserWarning, match="1 of the kept outputs .* are damaged"):
        np.testing.assert_array_equal(ask(counting, images, folder), answers)
    assert counting.count == 31


def test_logits_under_another_images_digest_are_said_and_asked_about_again(
    counting, images, tmp_path
):
    folder = tmp_path / "kept"
    answers = ask(counting, images, folder)
    with sqlite3.connect(kept_file(folder)) as connection:
        first, second = connection.execute("SELECT digest FROM outputs LIMIT 2").fetchall()
        connection.execute(
            "UPDATE outputs SET (logits, crc) ="
            " (SELECT logits, crc FROM outputs WHERE digest = ?) WHERE digest = ?",
            (*second, *first),
        )
    with pytest.warns(UserWarning, match="1 of the kept outputs .* are damaged"):
        np.testing.assert_array_equal(ask(counting, images, folder), answers)


@pytest.mark.filterwarnings("ignore:.*the kept outputs")
def test_whichever_bytes_of_a_file_are_damaged_the_answers_are_right(counting, rng, tmp_path):
    images = rng.random((200, 4, 4, 1)).astype("float32")
    answers = ask(counting, images, tmp_path / "kept")
    content = np.frombuffer(kept_file(tmp_path / "kept").read_bytes(), dtype=np.uint8)
    for _ in range(60):
        damaged = content.copy()
        places = rng.integers(len(content), size=20)
        damaged[places] = rng.integers(256, size=20)
        kept_file(tmp_path / "kept").write_bytes(damaged.tobytes())
        np.testing.assert_allclose(ask(counting, images, tmp_path / "kept"), answers, rtol=1e-6)


def test_outputs_kept_by_other_libraries_are_sampled_and_rebuilt_if_stale(
    counting, images, tmp_path
):
    folder = tmp_path / "kept"
    answers = ask(counting, images, folder)

    def come_from_elsewhere():
        with sqlite3.connect(kept_file(folder)) as connection:
            connection.execute("UPDATE stamp SET libraries = 'keras 1'")

    come_from_elsewhere()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask(counting, images, folder)
    assert counting.count == 34, "four were asked about again, and agreed"

    come_from_elsewhere()

    class Changed(Counting):
        def __call__(self, images):
            return super().__call__(images) + 1

    with pytest.warns(UserWarning, match="not what the teacher says now; they are made anew"):
        changed = ask(Changed(counting.log), images, folder)
    np.testing.assert_allclose(changed, answers + 1, rtol=1e-6)


def test_two_writers_at_once_ask_once_and_lose_nothing(counting, rng, tmp_path):
    images = rng.random((1500, 2, 2, 1)).astype("float32")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: ask(counting, images, tmp_path / "kept"), range(2)))
    np.testing.assert_array_equal(*both)
    assert counting.count == 1500


@pytest.mark.slow
def test_two_processes_at_once_ask_once_and_lose_nothing(counting, tmp_path):
    code = f"""
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
from test_cache import Counting, ask
images = np.random.default_rng(0).random((1500, 2, 2, 1)).astype("float32")
np.save(sys.argv[1], ask(Counting(Path({str(counting.log)!r})), images, {str(tmp_path)!r}))
"""
    outputs = [tmp_path / f"{number}.npy" for number in range(2)]
    processes = [subprocess.Popen([sys.executable, "-c", code, output]) for output in outputs]
    assert [process.wait() for process in processes] == [0, 0]
    np.testing.assert_array_equal(*map(np.load, outputs))
    assert counting.count == 1500


def test_an_interrupted_teacher_keeps_what_it_said_before(counting, rng, tmp_path):
    images = rng.random((1100, 2, 2, 1)).astype("float32")

    class Tired(Counting):
        def __call__(self, images):
            if self.count >= 600:
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        ask(Tired(counting.log), images, tmp_path / "kept")
    asked = counting.count
    ask(counting, images, tmp_path / "kept")
    assert counting.count == asked + 1100 - 512, "the first 512 were kept"


def test_a_function_without_a_fingerprint_cannot_be_kept_on_disk(images, tmp_path):
    with pytest.raises(ValueError, match="attribute 'fingerprint'"):
        ask(lambda images: images[:, 0, 0], images, tmp_path)


def test_paths_and_arrays_share_their_answers(counting, tmp_path, rng):
    from PIL import Image

    from skkd.images import as_images

    X = rng.integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    for number, image in enumerate(X):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{number}.png")
    ask(counting, X)
    ask(counting, as_images([tmp_path / f"{number}.png" for number in range(5)]))
    assert counting.count == 5


def test_a_trained_network_that_is_frozen_teaches_from_its_model(digits):
    X, y = digits[0][:40], digits[1][:40] % 2
    teacher = NetworkClassifier(MLP(hidden=(4,)), epochs=1, random_state=0).fit(X, y)
    student = KDClassifier(FrozenEstimator(teacher), NetworkClassifier(MLP(hidden=(2,)), epochs=1))
    assert student.fit(X, y).teacher_ is teacher.model_


def test_compiling_a_model_changes_no_fingerprint_even_with_a_loss_keras_cannot_save():
    class Loss:
        def __call__(self, y_true, y_pred, sample_weight=None):
            return keras.ops.mean(y_pred)

    model = linear_model(0)
    before = KerasTeacher(model).fingerprint()
    model.compile(loss=Loss())
    assert KerasTeacher(model).fingerprint() == before


def test_a_frozen_pipeline_around_a_network_is_recognized_where_its_pickles_differ(
    digits, monkeypatch
):
    X, y = digits[0][:40], digits[1][:40] % 2
    pipeline = make_pipeline(FunctionTransformer(), NetworkClassifier(MLP(hidden=(4,)), epochs=1))
    pipeline.fit(X, y)
    fingerprint = EstimatorTeacher(FrozenEstimator(pipeline), kept=True).fingerprint()
    # A .keras file, and so the pickle, holds the date.
    later = time.time() + 100
    monkeypatch.setattr(time, "time", lambda: later)
    assert EstimatorTeacher(FrozenEstimator(pipeline), kept=True).fingerprint() == fingerprint
    pipeline[-1].partial_fit(X, y)
    assert EstimatorTeacher(FrozenEstimator(pipeline), kept=True).fingerprint() != fingerprint


def test_what_cannot_be_pickled_has_no_fingerprint_and_teaches(digits):
    X, y = digits[0][:40].reshape(40, -1), digits[1][:40] % 2
    pipeline = make_pipeline(FunctionTransformer(lambda X: X + 1), SVC()).fit(X, y)
    assert EstimatorTeacher(FrozenEstimator(pipeline), kept=True).fingerprint() is None
    KDClassifier(FrozenEstimator(pipeline), NetworkClassifier(MLP(hidden=(2,)), epochs=1)).fit(X, y)


def test_a_memory_that_is_no_folder_is_named(counting, images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"memory must be None or a folder to write to; got .*file"):
        ask(counting, images, tmp_path / "file")


def test_a_full_disk_is_named_and_loses_nothing_kept_before(counting, rng, tmp_path, monkeypatch):
    images = rng.random((1100, 2, 2, 1)).astype("float32")
    put = _DiskStore.put

    def put_on_a_full_disk(store, new):
        if counting.count > 512:
            (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
            store._connection.execute(f"PRAGMA max_page_count = {pages}")
        put(store, new)

    with monkeypatch.context() as patched:
        patched.setattr(_DiskStore, "put", put_on_a_full_disk)
        named = r"cannot use .*skkd-teacher-.*\.sqlite: database or disk is full\. Make room"
        with pytest.raises(OSError, match=named):
            ask(counting, images, tmp_path / "kept")
    ask(counting, images, tmp_path / "kept")
    assert counting.count == 1024 + 1100 - 512


def test_a_file_that_cannot_be_written_to_is_named_left_and_closed(
    counting, images, tmp_path, monkeypatch
):
    ask(counting, images, tmp_path / "kept")
    connect, connections = sqlite3.connect, []

    def connect_to_read(path, **options):
        connections.append(connect(f"{path.as_uri()}?mode=ro", uri=True, **options))
        return connections[0]

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", connect_to_read)
        with pytest.raises(OSError, match=r"sqlite: attempt to write a readonly database\. Make"):
            ask(counting, images, tmp_path / "kept")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connections[0].execute("SELECT 1")
    ask(counting, images, tmp_path / "kept")
    assert counting.count == 30


@pytest.mark.slow
def test_a_process_killed_while_it_writes_loses_what_it_was_writing(tmp_path):
    code = f"""
import os, signal, sqlite3, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
from test_cache import Wide, ask
from skkd.distillation._cache import _DiskStore
teacher, put = Wide(Path(sys.argv[1])), _DiskStore.put
def killed(store, new):
    # A page of the first block is overwritten in the file before the end of the transaction.
    store._connection.execute("PRAGMA cache_size = 1")
    put(store, new)
    if teacher.count > 512:
        os.kill(os.getpid(), signal.SIGKILL)
_DiskStore.put = killed
images = np.random.default_rng(0).random((1100, 2, 2, 1)).astype("float32")
ask(teacher, images, Path(sys.argv[2]))
"""
    log, folder = tmp_path / "log", tmp_path / "kept"
    killed = subprocess.run([sys.executable, "-c", code, str(log), str(folder)])
    assert killed.returncode == -signal.SIGKILL
    assert kept_file(folder).with_name(f"{kept_file(folder).name}-journal").exists()
    images = np.random.default_rng(0).random((1100, 2, 2, 1)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = ask(Wide(log), images, folder)
    assert Wide(log).count == 1024 + 1100 - 512
    np.testing.assert_array_equal(answers, Wide(log)(images))
