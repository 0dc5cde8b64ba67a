import keras
import numpy as np
import pytest
from keras import layers
from making import make_student

from skkd import FiveBlockCNN, Hints
from skkd.distillation._hints import TeacherFeatures
from skkd.models._features import with_features, without_features

STUDENT = FiveBlockCNN(filters=(3,), dense=(5,), dropout=0.0)


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:64], y[:64] % 3


@pytest.fixture(scope="module")
def teacher():
    body = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="relu", name="seen"),
            layers.MaxPooling2D(),
        ],
        name="body",
    )
    inputs = keras.Input((12, 12, 1))
    x = layers.Dense(5, activation="relu", name="thought")(layers.Flatten()(body(inputs)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def distilled(data, teacher, **params):
    params = {"student": STUDENT, "epochs": 2, "random_state": 0, "alpha": 0.5} | params
    return make_student(teacher, params.pop("student"), **params).fit(*data)


def hint_error(classifier, teacher, X, kind):
    """How far the student's features are from the teacher's, by hand."""
    big = layers.Resizing(12, 12)(X)
    theirs = keras.Model(
        teacher.get_layer("body").inputs[0], teacher.get_layer("body").get_layer("seen").output
    )(big)
    theirs = keras.ops.convert_to_numpy(keras.ops.image.resize(theirs, (8, 8)))
    student = classifier.model_
    ours = keras.ops.convert_to_numpy(
        keras.Model(student.input, student.get_layer("block1_conv").output)(X)
    )
    if kind == "attention":
        theirs, ours = ((f**2).mean(axis=-1).reshape(len(X), -1) for f in (theirs, ours))
        theirs, ours = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (theirs, ours))
    return np.square(theirs - ours).mean()


def test_attention_hints_bring_the_students_maps_close_to_the_teachers(data, teacher):
    pairs = {"body/seen": "block1_conv"}
    without = distilled(data, teacher, epochs=15, learning_rate=0.01)
    hinted = distilled(
        data,
        teacher,
        hints=Hints(pairs, loss="attention", weight=100.0),
        epochs=15,
        learning_rate=0.01,
    )
    errors = [hint_error(c, teacher, data[0], "attention") for c in (without, hinted)]
    assert errors[1] < 0.7 * errors[0]


def test_the_hint_loss_is_the_mean_squared_difference_of_resized_features(data, teacher):
    X = data[0]
    student = without_softmax(STUDENT.build((8, 8, 1), 3))
    hints = Hints({"body/seen": "block1_conv"}, loss="attention")
    hints = TeacherFeatures(hints, teacher, student)
    targets = hints.targets(X, 16)
    model = with_features(lambda: student, **hints.attachment)
    given = keras.ops.convert_to_numpy(model(X))[:, 3:]
    assert hints.sizes == [64]

    class Fitted:
        model_ = without_features(model)

    expected = hint_error(Fitted, teacher, X, "attention")
    assert np.square(targets - given).mean() == pytest.approx(expected, rel=1e-4)
    ours, before = (keras.ops.convert_to_numpy(network(X)) for network in (Fitted.model_, student))
    np.testing.assert_allclose(ours, before, atol=1e-6)


def without_softmax(model):
    return keras.Model(model.input, model.get_layer("logits").output)


def test_a_projection_is_learned_where_channels_differ_and_is_no_part_of_the_student(data, teacher):
    classifier = distilled(data, teacher, hints={"body/seen": "block1_conv"})
    trained = classifier.student_._trainer.model_
    projection = trained.get_layer("hint_projection1")
    assert projection.kernel.shape == (1, 1, 3, 4)
    plain = distilled(data, teacher)
    assert classifier.model_.count_params() == plain.model_.count_params()
    assert "hint_projection1" not in [layer.name for layer in classifier.model_.layers]
    assert trained.count_params() > plain.model_.count_params()


def test_vectors_can_be_hinted_and_hints_weigh_in(data, teacher):
    weights = [
        distilled(data, teacher, hints=Hints({"thought": "dense1"}, weight=weight))
        .model_.get_layer("block1_conv")
        .get_weights()[0]
        for weight in (0.0, 1.0)
    ]
    assert (weights[0] != weights[1]).any()


def test_a_hinted_student_survives_pickling_and_trains_on(data, teacher):
    import pickle

    classifier = distilled(data, teacher, hints={"body/seen": "block1_conv"})
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_allclose(
        again.predict_proba(data[0]), classifier.predict_proba(data[0]), atol=1e-6
    )
    again.partial_fit(*data)
    assert again.n_iter_ == 3


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hints": {"sen": "block1_conv"}}, "the teacher has no layer 'sen'.*'body/seen'"),
        ({"hints": {"thought": "dense"}}, "the student has no layer 'dense'.*'dense1'"),
        ({"hints": {"thought": "block1_conv"}}, "both must be feature maps, or both vectors"),
        ({"hints": Hints({"thought": "dense1"}, loss="attention")}, "needs feature maps"),
        ({"hints": Hints({"thought": "dense1"}, loss="l1")}, "'loss' parameter of Hints"),
        ({"hints": {"thought": "dense1"}, "teacher": None}, "that is one keras.Model"),
        (
            {"hints": {"thought": "dense1"}, "augmentation": layers.RandomFlip()},
            "hints with an augmentation need n_views",
        ),
    ],
)
def test_bad_hints_are_named(data, teacher, params, message):
    with pytest.raises(ValueError, match=message):
        distilled(data, **{"teacher": teacher} | params)


@pytest.mark.parametrize("hints", [{}, Hints({})])
def test_no_pair_of_layers_is_no_hint(data, teacher, hints):
    expected = distilled(data, teacher).model_.get_weights()[0]
    np.testing.assert_array_equal(
        distilled(data, teacher, hints=hints).model_.get_weights()[0], expected
    )


def test_a_file_that_hints_cannot_read_is_named(teacher, partly_broken_files):
    student = STUDENT.build((8, 8, 1), 3)
    hints = TeacherFeatures(Hints({"body/seen": "block1_conv"}), teacher, student)
    before = teacher.get_weights()
    with pytest.raises(ValueError, match=r"19\.png is not a readable image"):
        hints.targets(partly_broken_files, batch_size=2)
    for weights, kept in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weights, kept)


def test_a_hinted_student_is_what_it_was_fitted_as_whatever_hints_is_set_to(data, teacher):
    import pickle

    classifier = distilled(data, teacher, hints={"body/seen": "block1_conv"})
    classifier.set_params(hints=None)
    again = pickle.loads(pickle.dumps(classifier))
    assert again.predict_proba(data[0]).shape == (64, 3)
    with pytest.raises(ValueError, match="hints cannot change while training goes on"):
        again.set_params(student__warm_start=True).fit(*data)
    again.set_params(hints={"body/seen": "block1_conv"}, teacher=keras.models.clone_model(teacher))
    with pytest.raises(ValueError, match="teacher cannot change while training goes on with hints"):
        again.fit(*data)


def test_a_teacher_is_left_as_it_was(data, tmp_path):
    model = FiveBlockCNN(filters=(8,), dense=()).build((16, 16, 3), n_classes=3)
    before, weights = written_down(model), model.get_weights()
    X, y = data[0][:20], data[1][:20]
    # Asked in another size and color, about hidden layers too, and kept under its digest.
    distilled(
        (X, y),
        model,
        hints={"block1_conv": "block1_conv"},
        memory=str(tmp_path),
        epochs=1,
    )
    assert written_down(model) == before
    for given, kept in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(given, kept)
    model.save(tmp_path / "teacher.keras")
    again = keras.saving.load_model(tmp_path / "teacher.keras")
    images = np.ones((2, 16, 16, 3))
    np.testing.assert_array_equal(
        again.predict(images, verbose=0), model.predict(images, verbose=0)
    )


def written_down(model):
    """Count what Keras keeps on a model's layers of every symbolic call of them."""
    return [(len(o._inbound_nodes), len(o._outbound_nodes)) for o in model.operations]


@pytest.mark.parametrize(("layer", "loss"), [("thought", "mse"), ("later", "attention")])
def test_layers_may_be_called_as_keras_calls_those_of_hints(data, layer, loss):
    inputs = keras.Input((8, 8, 1))
    x = layers.UnitNormalization(name="unit_normalization")(inputs)
    x = layers.Flatten(name="flatten")(layers.Conv2D(3, 3, name="later")(x))
    x = layers.Dense(5, name="thought")(x)
    network = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    keras.utils.clear_session()  # Keras counts its names from the beginning again.
    hints = Hints({layer: layer}, loss=loss)
    student = distilled(data, network, student=network, hints=hints, epochs=1)
    assert np.isfinite(student.history_["loss"]).all()
