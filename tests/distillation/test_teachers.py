import pickle

import keras
import numpy as np
import pytest
from keras import layers
from making import make_student
from scikeras.wrappers import KerasClassifier
from scipy.special import softmax
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from skkd import MLP, FiveBlockCNN, KDClassifier, NetworkClassifier, Teacher
from skkd.distillation import load_teacher
from skkd.distillation._callable_teacher import CallableTeacher
from skkd.distillation._keras_teacher import KerasTeacher
from skkd.distillation._teachers import average_logits, match_classes

STUDENT = MLP(hidden=(4,))


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:60], np.array(["a", "b", "c"])[y[:60] % 3]


def dense_model(*head, units=3):
    initializer = keras.initializers.RandomNormal(seed=0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(units, *head, name="top", kernel_initializer=initializer),
        ]
    )


def distilled(data, teacher, fit_params=None, **params):
    params = {"student": STUDENT, "epochs": 2, "random_state": 0, "alpha": 0.0} | params
    return make_student(teacher, params.pop("student"), **params).fit(*data, **(fit_params or {}))


def weights(classifier):
    return np.concatenate([w.ravel() for w in classifier.model_.get_weights()])


def ask(model, images, **kwargs):
    return KerasTeacher(model, **kwargs).logits(images, 16)


def test_softmax_and_sigmoid_heads_are_read_before_their_activation(data):
    X = data[0]
    plain = dense_model()
    for activation in ("softmax", "sigmoid"):
        headed = dense_model(activation)
        headed.set_weights(plain.get_weights())
        np.testing.assert_allclose(ask(headed, X), ask(plain, X), atol=1e-4)


def test_a_single_sigmoid_unit_teaches_two_classes(data):
    X = data[0]
    model = dense_model("sigmoid", units=1)
    positive = model.predict(X, verbose=0)[:, 0]
    declared = softmax(ask(model, X, outputs="probabilities"), axis=1)
    np.testing.assert_allclose(declared[:, 1], positive, atol=1e-5)
    np.testing.assert_allclose(softmax(ask(model, X), axis=1)[:, 1], positive, atol=1e-5)


def test_outputs_can_be_declared(data):
    X = data[0]
    model = dense_model("softmax")
    proba = model.predict(X, verbose=0)
    as_logits = ask(model, X, outputs="logits")
    np.testing.assert_allclose(as_logits, proba, atol=1e-6)
    as_probabilities = ask(model, X, outputs="probabilities")
    np.testing.assert_allclose(softmax(as_probabilities, axis=1), proba, atol=1e-5)


def test_a_teacher_with_classes_in_another_order_teaches_the_same(data):
    model = dense_model()
    turned = dense_model()
    kernel, bias = model.get_weights()
    turned.set_weights([kernel[:, [2, 0, 1]], bias[[2, 0, 1]]])
    student = distilled(data, model)
    other = distilled(data, Teacher(turned, classes=["c", "a", "b"]))
    np.testing.assert_allclose(weights(other), weights(student), atol=1e-6)


def test_a_teacher_that_knows_more_classes_teaches_by_those_that_y_has(data):
    model, wide = dense_model(), dense_model(units=5)
    kernel, bias = model.get_weights()
    wide.set_weights([np.insert(kernel, [0, 2], 9.0, axis=1), np.insert(bias, [0, 2], 9.0)])
    names = ["?", "a", "b", "!", "c"]
    np.testing.assert_allclose(
        weights(distilled(data, Teacher(wide, classes=names))),
        weights(distilled(data, model)),
        atol=1e-6,
    )


def test_a_frozen_classifiers_own_labels_count(data):
    X, y = data
    flat = X.reshape(60, -1)
    more = np.append(y, ["zebra"])
    forest = RandomForestClassifier(5, random_state=0).fit(np.vstack([flat, flat[:1]]), more)
    student = distilled(data, FrozenEstimator(forest))
    expected = forest.predict_proba(flat)[:, :3]
    expected = expected / expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(student.teacher_predict_proba(X), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((4, 2)), ["a", "b"], r"does not know the classes \['c'\]; it knows"),
        (np.zeros((4, 5)), None, r"shape \(4, 5\), but y has 3 classes.*classes=\[\.\.\.\]"),
        (np.zeros((4, 5)), ["a", "b", "c"], r"shape \(4, 5\), but 3 labels"),
        (np.zeros(4), None, r"shape \(4,\)"),
        (np.full((4, 3), np.nan), None, "NaN or infinite for 4 of 4 images"),
        (np.array([[0, 0, np.inf]]), None, "NaN or infinite for 1 of 1 images"),
    ],
)
def test_outputs_that_do_not_fit_the_classes_are_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        match_classes(logits, labels, np.array(["a", "b", "c"]))


def test_several_teachers_probabilities_are_averaged_at_the_temperature(rng):
    members = rng.normal(0, 4, (3, 6, 4)).astype("float32")
    weights = [1.0, 0.0, 3.0]
    mean = np.average(softmax(members / 2.5, axis=2), axis=0, weights=weights)
    got = average_logits(list(members), weights, 2.5)
    np.testing.assert_allclose(softmax(got / 2.5, axis=1), mean, atol=1e-6)


def test_a_list_of_teachers_teaches(data):
    X = data[0]
    model, regression = dense_model(), LogisticRegression(max_iter=20)
    student = distilled(data, [model, Teacher(regression, weight=3)])
    assert student.teacher_[0] is model
    first = softmax(model.predict(X, verbose=0), axis=1)
    second = student.teacher_[1].predict_proba(X.reshape(60, -1))
    np.testing.assert_allclose(
        student.teacher_predict_proba(X), 0.25 * first + 0.75 * second, atol=1e-4
    )


def test_a_model_whose_softmax_is_an_operation_teaches_as_one_with_a_layer(data):
    inputs = keras.Input((8, 8, 1))
    logits = layers.Dense(3)(layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.ops.softmax(logits))
    layered = keras.Model(inputs, layers.Softmax()(logits))
    expected = weights(distilled(data, layered))
    np.testing.assert_array_equal(weights(distilled(data, model)), expected)
    declared = distilled(data, Teacher(model, outputs="probabilities"))
    np.testing.assert_allclose(weights(declared), expected, atol=1e-4)


def test_a_function_teaches_and_must_say_so_if_it_gives_probabilities(data):
    model = dense_model()

    def logits(images):
        return model.predict_on_batch(images)

    def probabilities(images):
        return softmax(model.predict_on_batch(images), axis=1)

    expected = weights(distilled(data, model))
    np.testing.assert_allclose(weights(distilled(data, logits)), expected, atol=1e-5)
    declared = distilled(data, Teacher(probabilities, outputs="probabilities"))
    np.testing.assert_allclose(weights(declared), expected, atol=1e-4)
    with pytest.raises(ValueError, match="look like probabilities; say so"):
        distilled(data, probabilities)


def test_given_logits_and_probabilities_teach_as_the_teacher_does(data):
    X = data[0]
    model = dense_model()
    logits = model.predict(X, verbose=0)
    expected = weights(distilled(data, model))
    by_logits = distilled(data, None, {"teacher_logits": logits})
    np.testing.assert_allclose(weights(by_logits), expected, atol=1e-5)
    by_proba = distilled(data, None, {"teacher_proba": softmax(logits, axis=1)})
    np.testing.assert_allclose(weights(by_proba), expected, atol=1e-4)


def test_given_logits_are_sliced_by_a_grid_search(data):
    X, y = data
    logits = dense_model().predict(X, verbose=0)
    search = GridSearchCV(
        KDClassifier(student=NetworkClassifier(STUDENT, epochs=1)),
        {"alpha": [0.0, 0.5]},
        cv=2,
        error_score="raise",
    )
    search.fit(X, y, teacher_logits=logits)
    assert search.best_estimator_.predict(X).shape == (60,)


def test_tables_are_distilled_too(rng):
    X = rng.normal(size=(80, 5))
    y = (X[:, 0] > 0).astype(int)
    student = KDClassifier(
        LogisticRegression(), NetworkClassifier(epochs=20, learning_rate=0.02, random_state=0)
    )
    assert student.fit(X, y).score(X, y) > 0.8
    assert student.agreement_score(X) > 0.8


def test_agreement_is_the_share_of_equal_predictions(data):
    X = data[0]
    student = distilled(data, RandomForestClassifier(5, random_state=0))
    by_hand = np.mean(student.predict(X) == student.teacher_.predict(X.reshape(60, -1)))
    assert student.agreement_score(X) == pytest.approx(by_hand)


def test_sample_weights_act_on_hard_and_soft_loss_alike(data):
    X, y = data
    sample_weight = np.tile([0.0, 1.0, 2.0], 20)
    rows = np.repeat(np.arange(60), sample_weight.astype(int))
    network = MLP(hidden=(4,))
    for soft_loss in ("kl", "standardized", "dkd", "dist"):
        student = KDClassifier(
            dense_model(),
            NetworkClassifier(network, batch_size=100, epochs=3, optimizer="sgd", random_state=0),
            soft_loss=soft_loss,
        )
        weighted = student.fit(X, y, sample_weight).predict_proba(X)
        repeated = student.fit(X[rows], y[rows]).predict_proba(X)
        np.testing.assert_allclose(weighted, repeated, atol=5e-6, err_msg=soft_loss)


@pytest.mark.parametrize("soft_loss", ["standardized", "dkd", "dist", "literal"])
def test_every_soft_loss_trains_and_literal_is_the_labels_alone(data, soft_loss):
    model = dense_model()
    kl = weights(distilled(data, model, alpha=0.5))
    other = weights(distilled(data, model, alpha=0.5, soft_loss=soft_loss))
    assert np.isfinite(other).all()
    assert (kl != other).any()
    if soft_loss == "literal":
        one, two = (
            weights(distilled(data, model, alpha=0.0, soft_loss="literal", epochs=n))
            for n in (1, 2)
        )
        np.testing.assert_array_equal(one, two, "nothing moves without labels")


def test_a_soft_loss_of_ones_own_is_used(data):
    def squared(one_hot, teacher_logits, student_logits, temperature, sample_weight):
        return keras.ops.mean(keras.ops.square(teacher_logits - student_logits), axis=-1)

    model = dense_model()
    student = distilled(data, model, soft_loss=squared, epochs=60, learning_rate=0.05)
    difference = student.decision_function(data[0]) - model.predict(data[0], verbose=0)
    assert np.square(difference).mean() < 0.2 * np.var(model.predict(data[0], verbose=0))


def two_classes(data):
    return data[0], np.where(data[1] == "a", "a", "b")


def test_dkd_is_refused_and_dist_warned_about_for_two_classes(data):
    with pytest.raises(ValueError, match="soft_loss='dkd' compares the classes other than"):
        distilled(two_classes(data), dense_model(units=2), soft_loss="dkd")
    with pytest.warns(UserWarning, match="soft_loss='dist': two probabilities"):
        distilled(two_classes(data), dense_model(units=2), soft_loss="dist")


@pytest.mark.parametrize(
    ("teacher", "params", "fit_params", "message"),
    [
        ("model", {}, {"teacher_logits": np.zeros((5, 3))}, "has 5 rows, but X has 60 images"),
        (None, {}, {"teacher_logits": np.zeros((60, 2))}, "shape \\(60, 2\\), but y has 3 classes"),
        (None, {}, {"teacher_logits": np.full((60, 3), np.nan)}, "teacher_logits contains NaN"),
        (
            None,
            {},
            {"teacher_logits": np.zeros((60, 3)), "teacher_proba": np.ones((60, 3))},
            "not both",
        ),
        ([], {}, {}, "must not be an empty list"),
        ("model", {"weight": 0}, {}, "weight must not be zero for every Teacher"),
        ("model", {"classes": ["a", "b", "b"]}, {}, "another class for each output"),
        ("model", {"outputs": "probabilities"}, {}, "must be probabilities, none negative"),
        (None, {}, {"teacher_proba": np.full((60, 3), 7.0)}, "sums from 21 to 21"),
        (None, {}, {"teacher_proba": np.zeros((60, 3))}, "teacher_proba must be probabilities"),
        ("model", {"classes": ["a", "b", "x"]}, {}, r"does not know the classes \['c'\]"),
        ("model", {"weight": -1}, {}, "'weight' parameter of Teacher"),
        (SVC(), {"classes": ["a", "b", "c"]}, {}, "have no effect on SVC, which knows its own"),
        ("model", {"soft_loss": "mse"}, {}, "'soft_loss' parameter"),
        (None, {}, {"X_unlabeled": np.zeros((9, 8, 8, 1))}, "X_unlabeled needs a teacher"),
        (
            "model",
            {"alpha": 1.0},
            {"X_unlabeled": np.zeros((9, 8, 8, 1))},
            "no effect with alpha=1",
        ),
        ("model", {"soft_loss": "dkd"}, {"X_unlabeled": np.zeros((9, 8, 8, 1))}, "needs labels"),
        (
            "model",
            {},
            {"X_unlabeled": np.zeros((9, 8, 9, 1))},
            r"X_unlabeled has .* shape \(8, 9, 1\)",
        ),
        ("model", {"unlabeled_ratio": 2}, {}, "unlabeled_ratio has no effect without"),
        (
            None,
            {"augmentation": layers.RandomFlip()},
            {"teacher_logits": np.zeros((60, 3))},
            "give a teacher that can be asked",
        ),
        ("model", {"n_views": 2}, {}, "n_views=2 has no effect without an augmentation"),
    ],
)
def test_bad_lessons_are_named(data, teacher, params, fit_params, message):
    models = {"model": dense_model()}
    if isinstance(teacher, str):
        teacher = models[teacher]
    of_teacher = {name: params[name] for name in ("classes", "outputs", "weight") if name in params}
    if of_teacher:
        teacher = Teacher(teacher, **of_teacher)
    params = {"alpha": 0.5} | {k: v for k, v in params.items() if k not in of_teacher}
    with pytest.raises(ValueError, match=message):
        distilled(data, teacher, fit_params, **params)


def test_weights_without_their_network_are_refused(tmp_path):
    path = tmp_path / "teacher.weights.h5"
    dense_model().save_weights(path)
    with pytest.raises(ValueError, match="holds weights without the network they belong to"):
        load_teacher(path)


def test_a_folder_is_refused_with_a_way_that_teaches(tmp_path, data):
    model = dense_model()
    model.export(tmp_path / "saved", verbose=False)
    with pytest.raises(ValueError, match=r"SavedModel, pass a function: .*TFSMLayer\('.*saved'"):
        distilled(data, str(tmp_path / "saved"))
    if keras.backend.backend() == "tensorflow":
        layer = layers.TFSMLayer(tmp_path / "saved", call_endpoint="serve")
        student = distilled(data, lambda images: layer(images))
        np.testing.assert_allclose(weights(student), weights(distilled(data, model)), atol=1e-5)


def test_a_model_of_another_library_teaches_if_it_takes_arrays_and_is_shared_by_clones(data):
    class Model:
        def fit(self, X, y):
            raise AssertionError

        def __call__(self, images):
            return images.reshape(len(images), -1)[:, 20:23]

    class OfTensors(Model):
        def __call__(self, images):
            return images.dim()

    model = Model()
    assert clone(KDClassifier(model)).teacher is model
    taught = distilled(data, model).teacher_predict_proba(data[0])
    np.testing.assert_allclose(taught, softmax(model(data[0]), axis=1), atol=1e-5)
    with pytest.raises(ValueError, match=r"OfTensors failed on an array.*Pass a function"):
        distilled(data, OfTensors())


def test_one_value_an_image_is_the_second_of_two_classes_however_it_is_given(data):
    X, y = two_classes(data)
    positive = 1 / (1 + np.exp(4 - X.mean(axis=(1, 2, 3))))
    logit = X.mean(axis=(1, 2, 3)) - 4

    def function(values):
        return lambda images: values[
            [(image == X).all(axis=(1, 2, 3)).argmax() for image in images]
        ]

    expected = weights(distilled((X, y), None, {"teacher_logits": np.c_[0 * logit, logit]}))
    for column in (logit, logit[:, None]):
        given = distilled((X, y), None, {"teacher_logits": column})
        np.testing.assert_allclose(weights(given), expected, atol=1e-5)
        asked = distilled((X, y), function(column))
        np.testing.assert_allclose(weights(asked), expected, atol=1e-5)
    for column in (positive, positive[:, None]):
        given = distilled((X, y), None, {"teacher_proba": column})
        np.testing.assert_allclose(weights(given), expected, atol=1e-4)
        asked = distilled((X, y), Teacher(function(column), outputs="probabilities"))
        np.testing.assert_allclose(weights(asked), expected, atol=1e-4)
        with pytest.raises(ValueError, match="look like probabilities; say so"):
            distilled((X, y), function(column))


def test_h5_files_are_read(tmp_path, data):
    path = tmp_path / "teacher.h5"
    model = dense_model()
    model.save(path)
    np.testing.assert_allclose(
        load_teacher(path).predict(data[0], verbose=0), model.predict(data[0], verbose=0)
    )


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("unsafe", [False, True])
def test_a_file_that_holds_code_is_refused_with_the_way_to_allow_it(
    tmp_path, data, suffix, unsafe, monkeypatch
):
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)])
    model = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(3)])
    path = tmp_path / f"teacher.{suffix}"
    model.save(path)
    if unsafe:
        # Keras before 3.11.3 runs the code of .h5 files, whatever it is asked.
        monkeypatch.setattr(keras.saving, "load_model", lambda *args, **options: model)
    for read in (load_teacher, lambda path: distilled(data, str(path))):
        with pytest.raises(ValueError, match=r"holds Python code.*Lambda.*safe_mode=False"):
            read(path)


def test_a_function_without_labels_is_matched_by_sorted_labels():
    assert CallableTeacher(len).labels is None


def test_a_networks_student_can_be_the_next_teacher(data):
    X, y = data
    first = NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1, random_state=0).fit(X, y)
    student = distilled(data, FrozenEstimator(first))
    np.testing.assert_allclose(student.teacher_predict_proba(X), first.predict_proba(X), atol=1e-5)


def test_a_file_that_a_keras_teacher_cannot_read_is_named(partly_broken_files):
    teacher = KerasTeacher(dense_model())
    with pytest.raises(ValueError, match=r"19\.png is not a readable image"):
        teacher.logits(partly_broken_files, batch_size=2)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ([[RandomForestClassifier(2)], RandomForestClassifier(2)], "a list that holds lists"),
        (VotingClassifier([("forest", RandomForestClassifier(2))]), "must have predict_proba or"),
        (SVC(decision_function_shape="ovo"), "set it to 'ovr'"),
    ],
)
def test_a_teacher_that_cannot_say_how_sure_it_is_of_each_class_is_refused(data, teacher, message):
    with pytest.raises(ValueError, match=message):
        distilled(data, teacher)


def test_a_file_that_is_damaged_inside_is_named(tmp_path):
    path = tmp_path / "teacher.keras"
    dense_model().save(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 50] = b"x" * 50
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"teacher.keras' is not a Keras model: Bad CRC"):
        load_teacher(path)


def test_a_scikeras_classifier_teaches_unfitted_and_frozen(data):
    X = data[0]
    teacher = KerasClassifier(
        dense_model("softmax"), loss="sparse_categorical_crossentropy", verbose=0
    )
    student = distilled(data, teacher)
    assert student.teacher_ is not teacher
    frozen = FrozenEstimator(student.teacher_)
    for taught in (student, distilled(data, frozen)):
        np.testing.assert_allclose(
            taught.teacher_predict_proba(X), frozen.predict_proba(X), atol=1e-5
        )


def brightness(images):
    return images.mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("steps", "takes_images"),
    [
        ((FunctionTransformer(brightness), SVC()), True),
        ((FunctionTransformer(), NetworkClassifier(STUDENT, epochs=1)), True),
        ((FunctionTransformer(np.sqrt), SVC()), False),
        ((StandardScaler(), SVC()), False),
    ],
)
def test_a_pipeline_gets_images_if_its_first_steps_take_them_and_else_rows(
    data, steps, takes_images
):
    X = data[0]
    taken = X if takes_images else X.reshape(60, -1)
    student = distilled(data, make_pipeline(*steps))
    expected = student.teacher_.predict(taken)
    frozen = distilled(data, FrozenEstimator(student.teacher_))
    for one in (student, frozen):
        taught = one.classes_[one.teacher_predict_proba(X).argmax(axis=1)]
        np.testing.assert_array_equal(taught, expected)


def test_a_weight_of_2_repeats_a_row_for_a_teacher_that_is_fitted_too(data):
    X, y = data
    sample_weight = np.tile([0.0, 1.0, 2.0], 20)
    rows = np.repeat(np.arange(60), sample_weight.astype(int))
    student = KDClassifier(
        RidgeClassifier(),
        NetworkClassifier(STUDENT, batch_size=100, optimizer="sgd", random_state=0),
    )
    weighted = student.fit(X, y, sample_weight).teacher_predict_proba(X)
    repeated = student.fit(X[rows], y[rows]).teacher_predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-4)


def test_a_pickled_teacher_holds_its_model_once(data):
    teacher = KerasTeacher(dense_model("softmax", units=3))
    expected = teacher.logits(data[0], 16)
    again = pickle.loads(pickle.dumps(teacher))
    np.testing.assert_array_equal(again.logits(data[0], 16), expected)
    assert len(pickle.dumps(teacher)) < 1.1 * len(pickle.dumps(teacher.source))
