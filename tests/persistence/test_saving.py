import errno
import hashlib
import io
import json
import pickle
import random
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.fixes import parse_version

from skkd import (
    MLP,
    BaseExplainer,
    FeatureMapExplainer,
    FiveBlockCNN,
    GradCAMExplainer,
    Hints,
    KDClassifier,
    NetworkClassifier,
    SHAPExplainer,
    Teacher,
    TransferNet,
    load,
)
from skkd.persistence import NotSaved

FILES = Path(__file__).with_name("files")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (24, 8, 8, 1), dtype=np.uint8), np.arange(24) % 3


def make_classifier(network=None, **params):
    network = FiveBlockCNN(filters=(4,), dense=()) if network is None else network
    return NetworkClassifier(network, **{"epochs": 1, "random_state": 0, **params})


@pytest.fixture(scope="module")
def fitted(data):
    return make_classifier().fit(*data)


@pytest.fixture
def reread(tmp_path):
    """Return a function that saves an estimator and loads what was saved."""

    def reread(estimator, custom_objects=None, **options):
        path = tmp_path / "estimator.skkd"
        estimator.save(path, **options)
        return load(path, custom_objects=custom_objects)

    return reread


def rewrite(path, change):
    """Change the parts of a file, a dict of bytes, and write it with checksums that fit."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    del members["SHA256SUMS"]
    change(members)
    sums = "".join(f"{hashlib.sha256(v).hexdigest()}  {k}\n" for k, v in members.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, "SHA256SUMS": sums}.items():
            archive.writestr(name, content)


def change_record(path, change):
    def change_members(members):
        record = json.loads(members["skkd.json"])
        change(record)
        members["skkd.json"] = json.dumps(record).encode()

    rewrite(path, change_members)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["glioma", "no tumor", "méningiome"]),
        np.array(["a", "b", "c"], dtype=object),
        np.array([2.0, -1.0, 7.0]),
        np.array([10, 20, 30], dtype=np.uint8),
    ],
    ids=["strings", "objects", "floats", "uint8"],
)
def test_what_is_loaded_predicts_to_the_bit_and_keeps_its_labels(labels, data, reread):
    X, y = data
    classifier = make_classifier().fit(X, labels[y])
    loaded = reread(classifier)
    assert loaded.classes_.dtype == classifier.classes_.dtype
    np.testing.assert_array_equal(loaded.predict(X), classifier.predict(X))
    np.testing.assert_array_equal(loaded.decision_function(X), classifier.decision_function(X))
    assert loaded.history_ == classifier.history_
    assert str(loaded.get_params()) == str(classifier.get_params())


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"optimizer": keras.optimizers.SGD(1e-2, momentum=0.9, nesterov=True)},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(1e-2, 3, 0.5)},
        {"dtype_policy": "mixed_float16"},
        {"dtype_policy": "float64"},
        {"network": keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),
                                      keras.layers.Dense(3, activation="softmax")])},
        {"augmentation": keras.layers.RandomFlip(seed=1), "image_size": (6, 6)},
        {"class_weight": {0: 1.0, 1: 2.5, 2: 1.0}, "early_stopping": True},
    ],
    ids=["plain", "momentum", "schedule", "float16", "float64", "model", "layers", "weights"],
)  # fmt: skip
def test_what_is_loaded_trains_on_to_the_same_weights(params, data, reread):
    X, y = data
    classifier = make_classifier(**params).fit(X, y)
    loaded = reread(classifier)
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    loaded.partial_fit(X, y)
    classifier.partial_fit(X, y)
    assert loaded.n_iter_ == classifier.n_iter_
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    again = pickle.loads(pickle.dumps(loaded))
    np.testing.assert_array_equal(again.predict_proba(X), loaded.predict_proba(X))


def cube(x):
    return x**3


def cubing_network(input_shape, n_classes):
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(3, 3, activation=cube)(inputs)
    return keras.Model(inputs, keras.layers.Dense(n_classes)(keras.layers.Flatten()(x)))


def test_a_function_of_ones_own_is_read_where_it_is_given_and_trains_on(data, tmp_path):
    X, y = data
    path = tmp_path / "student.skkd"
    classifier = make_classifier(cubing_network, random_state=np.random.RandomState(3)).fit(X, y)
    with pytest.warns(UserWarning, match="function cubing_network"):
        classifier.save(path)
    with pytest.raises(ValueError, match=r"custom_objects=\{'cube': cube\}"):
        load(path)
    loaded = load(path, custom_objects={"cube": cube}).set_params(network=cubing_network)
    loaded.partial_fit(X, y)
    classifier.partial_fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_weights_that_share_a_name_are_kept_but_not_trained_on(data, reread):
    X, y = data
    inner = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(3, 3, name="same")])
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    x = inner(keras.layers.Conv2D(3, 3, name="same")(x))
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    classifier = make_classifier(network).fit(X, y)
    loaded = reread(classifier)
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    with pytest.raises(ValueError, match="some of which have the same names"):
        loaded.partial_fit(X, y)


@pytest.mark.parametrize("optimizer", ["nadam", "adafactor"])
def test_a_sequential_of_a_function_trains_on_with_any_optimizer(optimizer, data, reread):
    def network(input_shape, n_classes):
        parts = [keras.layers.Flatten(), keras.layers.Dense(4), keras.layers.Dense(n_classes)]
        return keras.Sequential([keras.Input(input_shape), *parts])

    X, y = data
    classifier = make_classifier(network, optimizer=optimizer).fit(X, y)
    with pytest.warns(UserWarning, match="network of NetworkClassifier"):
        loaded = reread(classifier).set_params(network=network)
    loaded.partial_fit(X, y)
    classifier.partial_fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_what_was_unpickled_is_saved(data, fitted, student, reread):
    X, _ = data
    for estimator in (fitted, student, GradCAMExplainer(fitted).fit()):
        copy = reread(pickle.loads(pickle.dumps(estimator)))
        method = "transform" if isinstance(estimator, BaseExplainer) else "predict_proba"
        np.testing.assert_array_equal(getattr(copy, method)(X), getattr(estimator, method)(X))


def test_dates_and_other_byte_orders_are_kept_as_labels(data, reread):
    X, y = data
    for labels in (np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]"),
                   np.array([1, 2, 3], ">i4")):  # fmt: skip
        classifier = make_classifier().fit(X, labels[y])
        np.testing.assert_array_equal(reread(classifier).predict(X), classifier.predict(X))


def test_a_fit_that_fails_leaves_nothing_to_predict_with_or_to_save(data):
    X, y = data
    classifier = make_classifier().fit(X, np.array(["a", "b", "c"])[y])
    with pytest.raises(ValueError, match="groups"):
        classifier.fit(X, np.array(["x", "y", "z"])[(y + 1) % 3], groups=y)
    with pytest.raises(NotFittedError):
        classifier.predict(X)


def test_a_layer_with_weights_is_not_kept_as_a_parameter_without_them(data, reread):
    X, y = data
    scaling = keras.layers.Normalization()
    scaling.adapt(X.astype("float32"))
    classifier = make_classifier(augmentation=scaling).fit(X, y)
    with pytest.warns(UserWarning, match="augmentation of NetworkClassifier"):
        loaded = reread(classifier)
    with pytest.raises(InvalidParameterError, match=r"augmentation.*NotSaved"):
        loaded.partial_fit(X, y)


class Turned(FrozenEstimator):
    def predict_proba(self, X):
        return self.estimator.predict_proba(X)[:, ::-1]


def test_what_derives_from_an_estimator_of_scikit_learn_is_not_taken_for_it(data, reread):
    pytest.importorskip("skops")
    X, y = data
    student = KDClassifier(Turned(LogisticRegression().fit(flat(X), y)), make_classifier())
    student.fit(X, y)
    with pytest.raises(ValueError, match="Turned"):
        reread(student, teacher=True)


def test_a_pipeline_keeps_its_options(data, fitted, reread):
    pipeline = make_pipeline("passthrough", fitted, memory="kept", verbose=True)
    loaded = reread(GradCAMExplainer(pipeline).fit()).estimator
    assert (loaded.memory, loaded.verbose) == ("kept", True)


def test_an_explainer_of_what_cannot_be_saved_or_was_refitted_is_refused(data, reread):
    X, y = data
    with pytest.raises(ValueError, match="Lambda layer"):
        reread(GradCAMExplainer(lambda_convolution()).fit())
    classifier = make_classifier().fit(X, y)
    explainer = GradCAMExplainer(classifier).fit()
    classifier.set_params(random_state=7).fit(X, y)
    with pytest.raises(ValueError, match="fitted anew since"):
        reread(explainer)


def lambda_convolution():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3),
            keras.layers.Lambda(lambda x: x * 2, output_shape=(6, 6, 2)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )


def test_an_explainer_of_a_search_is_saved_with_the_best_of_it(data, reread):
    X, y = data
    search = GridSearchCV(make_classifier(), {"learning_rate": [1e-3]}, cv=2).fit(X, y)
    explainer = GradCAMExplainer(search).fit()
    np.testing.assert_array_equal(reread(explainer).transform(X), explainer.transform(X))


def test_a_teacher_that_changed_between_saving_and_going_on_is_said(data, teacher, tmp_path):
    X, y = data
    file = tmp_path / "teacher.keras"
    teacher.save(file)
    student = KDClassifier(file, make_classifier()).fit(X, y)
    student.save(tmp_path / "student.skkd")
    loaded = load(tmp_path / "student.skkd")
    assert loaded.teacher == file
    changed = keras.models.clone_model(teacher)
    changed.set_weights([weights + 0.1 for weights in teacher.get_weights()])
    changed.save(file)
    with pytest.warns(UserWarning, match="another teacher than the one"):
        loaded.partial_fit(X, y)


def test_loading_moves_nobody_elses_random_numbers(fitted, tmp_path):
    fitted.save(tmp_path / "student.skkd")
    random.seed(3)
    expected = random.random(), random.random()
    random.seed(3)
    first = random.random()
    load(tmp_path / "student.skkd")
    assert (first, random.random()) == expected


def test_a_table_keeps_the_names_of_its_columns(data, reread):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(24, 3)), columns=["a", "b", "ć"])
    classifier = make_classifier(MLP(hidden=(4,))).fit(X, data[1])
    loaded = reread(classifier)
    assert loaded.feature_names_in_.tolist() == ["a", "b", "ć"]
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(X[["b", "a", "ć"]])


def test_an_unfitted_estimator_is_loaded_unfitted(reread):
    loaded = reread(KDClassifier("teacher.keras", make_classifier(), alpha=0.25))
    assert loaded.alpha == 0.25
    assert loaded.teacher == "teacher.keras"
    assert not hasattr(loaded, "student_")


def test_the_file_is_read_without_skkd(data, fitted, tmp_path):
    X, y = data
    path = tmp_path / "student.skkd"
    make_classifier().fit(X, np.array(["no", "glioma", "cyst"])[y]).save(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    record = json.loads((tmp_path / "skkd.json").read_text(encoding="utf-8"))
    assert record["content"]["fitted"]["classes_"]["$array"] == ["cyst", "glioma", "no"]
    assert record["versions"]["keras"] == keras.__version__
    for line in (tmp_path / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    model = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        model.predict(X, verbose=0), load(path).model_.predict(X, verbose=0)
    )
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert b"skkd" not in archive.read("config.json")


def test_a_file_that_is_cut_off_or_changed_anywhere_is_refused(fitted, tmp_path):
    path = tmp_path / "student.skkd"
    fitted.save(path)
    whole = path.read_bytes()
    expected = fitted.get_params(), fitted.model_.get_weights()
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:position])
        with pytest.raises(ValueError, match=r"student\.skkd"):
            load(path)
        changed = bytearray(whole)
        changed[position] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            loaded = load(path)
        except ValueError:
            refused += 1
        else:
            # Some bytes of a zip archive say nothing, such as the time of a member.
            assert str(loaded.get_params()) == str(expected[0])
            for ours, theirs in zip(loaded.model_.get_weights(), expected[1], strict=True):
                np.testing.assert_array_equal(ours, theirs)
    assert refused > 50


def test_a_part_that_was_exchanged_in_a_sound_archive_is_refused(fitted, tmp_path):
    path = tmp_path / "student.skkd"
    fitted.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = members["skkd.json"].replace(b'"batch_size": 32', b'"batch_size": 64')
    assert changed != members["skkd.json"]
    for parts in ({**members, "skkd.json": changed}, {**members, "more.txt": b""}):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        with pytest.raises(ValueError, match="SHA256SUMS"):
            load(path)


def test_a_file_that_is_none_of_ours_is_refused(tmp_path):
    path = tmp_path / "other.skkd"
    with pytest.raises(FileNotFoundError, match=r"other\.skkd"):
        load(path)
    for content in (b"", b"no zip", pickle.dumps({"a": 1})):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"other\.skkd"):
            load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "text")
    with pytest.raises(ValueError, match="SHA256SUMS"):
        load(path)
    rewrite_with_sums = {"other.txt": b"text"}
    sums = f"{hashlib.sha256(b'text').hexdigest()}  other.txt\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in {**rewrite_with_sums, "SHA256SUMS": sums}.items():
            archive.writestr(name, part)
    with pytest.raises(ValueError, match=r"skkd\.json"):
        load(path)


def test_a_file_of_a_later_version_says_so(fitted, tmp_path):
    path = tmp_path / "student.skkd"
    fitted.save(path)
    change_record(path, lambda record: record.update(format=99))
    with pytest.raises(ValueError, match="install a later one"):
        load(path)


class Canary:
    """Creates a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_run(data, fitted, tmp_path, monkeypatch):
    path, canary = tmp_path / "student.skkd", tmp_path / "sung"

    def poison_array(members):
        content = io.BytesIO()
        np.savez(content, **{"adam/iteration": np.array([Canary(canary)], dtype=object)})
        members["arrays.npz"] = content.getvalue()

    fitted.save(path)
    rewrite(path, poison_array)
    with pytest.raises(ValueError, match="cannot be read"):
        load(path)

    # A module that Keras may be told to import.
    (tmp_path / "poison.py").write_text(f"open({str(canary)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    foreign = {"module": "poison", "class_name": "Layer", "config": {}, "registered_name": "Layer"}

    def poison_parameter(record):
        record["content"]["parameters"]["augmentation"] = {"$keras": foreign}

    fitted.save(path)
    change_record(path, poison_parameter)
    with pytest.raises(ValueError, match="'Layer', which is not of Keras"):
        load(path)

    def poison_model(members):
        with zipfile.ZipFile(io.BytesIO(members["model.keras"])) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(parts["config.json"])
        config["config"]["layers"][1].update(foreign)
        parts["config.json"] = json.dumps(config)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)
        members["model.keras"] = content.getvalue()

    fitted.save(path)
    rewrite(path, poison_model)
    with pytest.raises(ValueError, match="'Layer', which is not of Keras"):
        load(path)

    for name in ("system", "__version__", "load", "models"):
        fitted.save(path)
        change_record(path, lambda record, name=name: record["content"].update({"$object": name}))
        with pytest.raises(ValueError, match="is no estimator of skkd"):
            load(path)
    assert not canary.exists()


def lambda_network(input_shape, n_classes):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Lambda(lambda x: x * 2, output_shape=(64,)),
            keras.layers.Dense(n_classes),
        ]
    )


def test_a_network_that_holds_code_is_not_saved(data, tmp_path):
    classifier = make_classifier(lambda_network).fit(*data)
    with pytest.raises(ValueError, match="Lambda layer, which is code"):
        classifier.save(tmp_path / "student.skkd")
    assert not list(tmp_path.iterdir())


class Halving(keras.layers.Layer):
    def call(self, x):
        return x / 2


def halving_network(input_shape, n_classes):
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(Halving()(inputs))
    return keras.Model(inputs, keras.layers.Dense(n_classes)(x))


def test_a_layer_of_ones_own_is_read_where_its_class_is_given(data, tmp_path):
    X, y = data
    path = tmp_path / "student.skkd"
    classifier = make_classifier(halving_network).fit(X, y)
    with pytest.warns(UserWarning, match="network of NetworkClassifier, function halving_network"):
        classifier.save(path)
    with pytest.raises(ValueError, match=r"custom_objects=\{'Halving': Halving\}"):
        load(path)
    loaded = load(path, custom_objects={"Halving": Halving})
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))


def test_a_parameter_that_is_code_is_left_out_and_must_be_set_before_a_fit(data, reread):
    X, y = data
    network = FiveBlockCNN(filters=(4,))
    classifier = make_classifier(lambda shape, n_classes: network.build(shape, n_classes))
    classifier.set_params(callbacks=[keras.callbacks.LambdaCallback()]).fit(X, y)
    with pytest.warns(UserWarning, match=r"callbacks.*network of NetworkClassifier, function"):
        loaded = reread(classifier)
    assert isinstance(loaded.network, NotSaved)
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    with pytest.raises(InvalidParameterError, match=r"NotSaved\('list of LambdaCallback'\)"):
        clone(loaded).fit(X, y)
    clone(loaded).set_params(network=network, callbacks=None).fit(X, y)


def test_a_schedule_of_ones_own_ends_training_but_not_prediction(data, reread):
    class Falling(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 1e-3 / (1.0 + keras.ops.cast(step, "float32"))

    X, y = data
    classifier = make_classifier(learning_rate=Falling()).fit(X, y)
    with pytest.warns(UserWarning, match="learning_rate of NetworkClassifier"):
        loaded = reread(classifier)
    np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    loaded.set_params(learning_rate=1e-3)
    with pytest.raises(ValueError, match="lacks what training would need to go on"):
        loaded.partial_fit(X, y)
    # It says so after another journey too.
    with pytest.raises(ValueError, match="lacks what training would need to go on"):
        reread(loaded).partial_fit(X, y)
    assert loaded.fit(X, y).partial_fit(X, y).n_iter_ == 2


@pytest.fixture(scope="module")
def teacher(data):
    return make_classifier(FiveBlockCNN(filters=(6,), dense=())).fit(*data).model_


@pytest.fixture(scope="module")
def student(data, teacher):
    return KDClassifier(teacher, make_classifier(), alpha=0.3).fit(*data)


def test_a_student_is_saved_without_its_teacher_but_with_the_digest_of_it(student, data, tmp_path):
    X, _ = data
    path = tmp_path / "student.skkd"
    student.save(path)
    loaded = load(path)
    np.testing.assert_array_equal(loaded.predict_proba(X), student.predict_proba(X))
    assert loaded.student_.data_digest_ == student.student_.data_digest_
    with zipfile.ZipFile(path) as archive:
        assert [name for name in archive.namelist() if name.endswith(".keras")] == ["model.keras"]
        digests = json.loads(archive.read("skkd.json"))["content"]["fitted"]["teacher_digests"]
    assert digests == [student._teachers.members[0].fingerprint()]
    assert repr(loaded.teacher).startswith("NotSaved('Functional")
    with pytest.raises(ValueError, match="without a teacher that can be asked"):
        loaded.teacher_predict_proba(X)
    with pytest.raises(InvalidParameterError, match=r"'teacher' parameter.*NotSaved"):
        loaded.fit(*data)
    loaded.save(path)
    with zipfile.ZipFile(path) as archive:
        record = json.loads(archive.read("skkd.json"))
    assert record["content"]["fitted"]["teacher_digests"] == digests


def flat(images):
    return images.reshape(len(images), -1)


@pytest.mark.parametrize("kind", ["model", "path", "list", "estimator", "frozen", "frozen network"])
def test_teachers_are_saved_where_asked_for(kind, data, teacher, reread, tmp_path):
    X, y = data
    file = tmp_path / "teacher.keras"
    teacher.save(file)
    rows = FrozenEstimator(make_pipeline(StandardScaler(), LogisticRegression()).fit(flat(X), y))
    given = {
        "model": teacher,
        "path": str(file),
        "list": [Teacher(teacher, weight=2.0), Teacher(teacher, classes=[2, 1, 0])],
        "estimator": LogisticRegression(max_iter=20),
        "frozen": rows,
        "frozen network": FrozenEstimator(make_classifier().fit(X, y)),
    }[kind]
    if kind in ("estimator", "frozen"):
        pytest.importorskip("skops")
    before = KDClassifier(given, make_classifier()).fit(X, y)
    loaded = reread(before, teacher=True)
    np.testing.assert_array_equal(loaded.teacher_predict_proba(X), before.teacher_predict_proba(X))
    np.testing.assert_array_equal(
        loaded.partial_fit(X, y).predict_proba(X), before.partial_fit(X, y).predict_proba(X)
    )


def test_a_teacher_that_is_code_is_refused_where_it_is_asked_for(data, reread):
    X, y = data
    student = KDClassifier(lambda images: 9.0 * np.eye(3)[[0] * len(images)], make_classifier())
    student.fit(X, y)
    with pytest.raises(ValueError, match="cannot be saved: function"):
        reread(student, teacher=True)
    np.testing.assert_array_equal(reread(student).predict_proba(X), student.predict_proba(X))


def test_an_estimator_that_skops_does_not_trust_is_refused(data, reread, monkeypatch):
    pytest.importorskip("skops")
    X, y = data
    pipeline = make_pipeline(FunctionTransformer(flat), LogisticRegression(max_iter=20))
    student = KDClassifier(pipeline, make_classifier()).fit(X, y)
    with pytest.raises(ValueError, match=r"FunctionTransformer holds .*flat"):
        reread(student, teacher=True)
    student = KDClassifier(LogisticRegression(max_iter=20), make_classifier()).fit(X, y)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ValueError, match="install skops"):
        reread(student, teacher=True)


def test_a_student_of_hints_predicts_and_does_not_go_on(data, teacher, reread):
    X, y = data
    hints = Hints({"block1_conv": "block1_conv"}, weight=0.5)
    student = KDClassifier(teacher, make_classifier(), hints=hints).fit(X, y)
    loaded = reread(student, teacher=True)
    assert loaded.hints.layers == {"block1_conv": "block1_conv"}
    np.testing.assert_array_equal(loaded.predict_proba(X), student.predict_proba(X))
    with pytest.raises(ValueError, match="features"):
        loaded.partial_fit(X, y)


EXPLAINERS = [
    (FeatureMapExplainer, {"flatten": True}),
    (GradCAMExplainer, {"target": 1}),
    (SHAPExplainer, {"background": 4, "n_samples": 4, "random_state": 0}),
]


@pytest.mark.parametrize(("explainer_class", "params"), EXPLAINERS)
@pytest.mark.parametrize("around", ["classifier", "student", "model", "pipeline"])
def test_explainers_explain_to_the_bit(
    explainer_class, params, around, data, fitted, student, teacher, reread
):
    X, _ = data
    estimator = {
        "classifier": fitted,
        "student": student,
        "model": teacher,
        "pipeline": make_pipeline("passthrough", fitted),
    }[around]
    explainer = explainer_class(estimator, **params).fit(X)
    loaded = reread(explainer)
    np.testing.assert_array_equal(loaded.classes_, explainer.classes_)
    np.testing.assert_array_equal(loaded.transform(X[:3]), explainer.transform(X[:3]))


class BrightnessExplainer(BaseExplainer):
    def _make_function(self, image_shape):
        def explain(images, targets):
            return keras.ops.mean(images, axis=-1), self.network_(images, training=False)

        return explain


def test_an_explainer_of_ones_own_is_read_where_its_class_is_given(data, fitted, tmp_path):
    X, _ = data
    path = tmp_path / "brightness.skkd"
    explainer = BrightnessExplainer(fitted).fit()
    explainer.save(path)
    with pytest.raises(ValueError, match="pass its class"):
        load(path)
    loaded = load(path, custom_objects={"BrightnessExplainer": BrightnessExplainer})
    np.testing.assert_array_equal(loaded.transform(X), explainer.transform(X))


def test_settings_of_output_and_metadata_are_kept(data, fitted, reread):
    X, _ = data
    explainer = FeatureMapExplainer(fitted, flatten=True).set_output(transform="pandas").fit(X)
    assert isinstance(reread(explainer).transform(X), pd.DataFrame)
    from sklearn import config_context

    with config_context(enable_metadata_routing=True):
        classifier = make_classifier().set_fit_request(sample_weight=True, groups="patient")
        loaded = reread(classifier)
        requests = loaded.get_metadata_routing().fit.requests
    assert requests["sample_weight"] is True
    assert requests["groups"] == "patient"


def test_a_backbone_among_the_parameters_is_kept_with_its_weights(data, reread):
    X, y = data
    backbone = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)])
    network = TransferNet(backbone, dense=(), dropout=0.0, batch_norm=False)
    loaded = reread(make_classifier(network).fit(X, y))
    for ours, theirs in zip(
        loaded.network.backbone.get_weights(), backbone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_disk_that_is_full_leaves_the_file_as_it_was(fitted, tmp_path, monkeypatch):
    path = tmp_path / "student.skkd"
    fitted.save(path)
    before = path.read_bytes()

    def write(self, name, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", write)
    with pytest.raises(OSError, match=r"cannot write .*student\.skkd.*No space left"):
        fitted.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["student.skkd"]


def test_a_folder_that_is_not_there_is_named(fitted, tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        fitted.save(tmp_path / "nowhere" / "student.skkd")


def test_the_digest_of_the_data_is_that_of_images_labels_and_weights(data, tmp_path):
    from PIL import Image

    X, y = data

    def digest(X, y, **options):
        params = {"color_mode": "grayscale"} if isinstance(X, list) else {}
        return make_classifier(**params).fit(X, y, **options).data_digest_

    paths = [tmp_path / f"{number}.png" for number in range(len(X))]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    whole = digest(X, y)
    assert digest(X.copy(), y.tolist()) == whole
    assert digest(X, y, sample_weight=np.full(len(X), 2.0)) != whole
    assert digest(X, y[::-1]) != whole
    changed = X.copy()
    changed[3, 2, 1] ^= 1
    assert digest(changed, y) != whole
    of_files = digest(paths, y)
    assert digest(paths, y) == of_files
    Image.fromarray(changed[3, ..., 0]).save(paths[3])
    assert digest(paths, y) != of_files


@pytest.mark.parametrize("name", ["student-0.1.0.skkd", "student-0.1.0.pickle"])
def test_what_earlier_versions_wrote_is_still_read(name):
    with zipfile.ZipFile(FILES / "student-0.1.0.skkd") as archive:
        writer = json.loads(archive.read("skkd.json"))["versions"]["keras"]
    if parse_version(keras.__version__) < parse_version(writer):
        pytest.skip(f"was written by Keras {writer}, which this one is older than")
    expected = json.loads((FILES / "student-0.1.0.json").read_text())
    path = FILES / name
    # A file of our own, which holds what this test's comment says and nothing else.
    student = load(path) if path.suffix == ".skkd" else pickle.loads(path.read_bytes())
    images = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8, 1)
    assert student.classes_.tolist() == expected["classes"]
    np.testing.assert_allclose(student.predict_proba(images), expected["proba"], atol=1e-5)
