import pickle

import keras
import numpy as np
import pytest
from keras import layers
from keras.initializers import GlorotUniform
from making import make_student
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from skkd import FiveBlockCNN, Hints, KDClassifier, NetworkClassifier, Teacher
from skkd.models._trainer import NetworkTrainer

NETWORK = FiveBlockCNN(filters=(4,), dense=())


class CountingStore:
    """Images like those of HDF5, which counts how often each of its rows is read."""

    def __init__(self, images):
        self.images = images
        self.shape = images.shape
        self.n_reads = np.zeros(len(images), int)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        self.n_reads[rows] += 1
        return self.images[rows]


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:60], y[:60] % 3


@pytest.fixture(scope="module")
def teacher():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, kernel_initializer=GlorotUniform(seed=0), name="seen"),
            layers.Flatten(),
            layers.Dense(3, kernel_initializer=GlorotUniform(seed=1)),
        ]
    )


def twin(model):
    """Another model of the same architecture, with other weights."""
    twin = keras.models.clone_model(model)
    twin.set_weights([w + 0.1 for w in model.get_weights()])
    return twin


def weights(classifier):
    return np.concatenate([w.ravel() for w in classifier.model_.get_weights()])


def teachings(teacher):
    three = [teacher, Teacher(twin(teacher), weight=2), lambda images: images[:, 0, :3, 0]]
    return {
        "labels alone": (None, {}),
        "a teacher": (teacher, {}),
        "three teachers": (three, {}),
        "hints": (teacher, {"hints": {"seen": "block1_conv"}}),
        "fitted ones": ([LogisticRegression(max_iter=9), DecisionTreeClassifier()], {}),
        "kept views": (teacher, {"augmentation": layers.RandomFlip(), "n_views": 2}),
        "early stopping": (teacher, {"early_stopping": True, "validation_fraction": 0.2}),
    }


@pytest.mark.parametrize("name", teachings(keras.Sequential([keras.Input((1,))])))
def test_each_image_is_read_twice_at_most_before_the_first_step(
    name, data, teacher, tmp_path, monkeypatch
):
    def stop(*args, **kwargs):
        raise SystemExit

    monkeypatch.setattr(NetworkTrainer, "train", stop)
    model, params = teachings(teacher)[name]
    images = CountingStore(data[0])
    student = make_student(model, NETWORK, checkpoint=tmp_path, random_state=0, **params)
    with pytest.raises(SystemExit):
        student.fit(images, data[1])
    # The first is read once more for its type.
    assert images.n_reads[1:].max() <= 2
    assert images.n_reads[1:].min() >= 1


def test_the_student_is_cloned_and_trains_alone_as_its_own_baseline(data, teacher):
    student = NetworkClassifier(NETWORK, epochs=2, random_state=0)
    distilled = KDClassifier(teacher, student, alpha=1.0).fit(*data)
    assert not hasattr(student, "model_")
    np.testing.assert_array_equal(weights(distilled), weights(student.fit(*data)))
    assert distilled.student_ is not student
    assert distilled.model_ is distilled.student_.model_


def test_the_student_is_pickled_without_the_teacher_and_serves_alone(data):
    large = FiveBlockCNN(filters=(64, 64)).build((8, 8, 1), 3)
    distilled = KDClassifier(large, NetworkClassifier(NETWORK, epochs=1)).fit(*data)
    alone = pickle.dumps(distilled.student_)
    assert len(alone) < len(pickle.dumps(large)) / 2 < len(pickle.dumps(distilled)) / 2
    np.testing.assert_array_equal(
        pickle.loads(alone).predict_proba(data[0]), distilled.predict_proba(data[0])
    )


@pytest.mark.parametrize("student", ["five_block", NETWORK])
def test_a_bare_network_is_trained_with_the_defaults_of_a_network_classifier(student):
    taken = KDClassifier(student=student)._student_to_train(again=False)
    assert repr(taken) == repr(NetworkClassifier(student))


def test_parameters_of_the_student_and_of_its_network_are_searched(data):
    search = GridSearchCV(
        KDClassifier(student=NetworkClassifier(NETWORK)),
        {"student__epochs": [1], "student__network__filters": [(2,), (3,)]},
        cv=2,
        error_score="raise",
    ).fit(*data)
    best = search.best_estimator_
    (n_filters,) = search.best_params_["student__network__filters"]
    assert best.n_iter_ == 1
    assert best.model_.get_layer("block1_conv").filters == n_filters


def test_teachers_of_one_list_may_have_their_classes_in_different_orders(data, teacher):
    turned = keras.Sequential([teacher, layers.Lambda(lambda z: keras.ops.flip(z, axis=-1))])
    turned.build((None, 8, 8, 1))
    params = {"network": NETWORK, "epochs": 1, "random_state": 0, "alpha": 0.0}
    plain = make_student([teacher, teacher], **params).fit(*data)
    mixed = make_student([teacher, Teacher(turned, classes=[2, 1, 0])], **params).fit(*data)
    np.testing.assert_allclose(weights(mixed), weights(plain), atol=1e-5)


def test_a_teacher_of_weight_0_says_nothing_and_weights_count_relatively(data, teacher):
    other = twin(teacher)

    def taught(*weighted):
        members = [Teacher(model, weight=w) for model, w in weighted]
        student = make_student(members, NETWORK, epochs=1, random_state=0, alpha=0.0)
        return student.fit(*data).teacher_predict_proba(data[0])

    alone = taught((teacher, 1))
    np.testing.assert_allclose(taught((teacher, 3), (other, 0)), alone, atol=1e-6)
    assert abs(taught((teacher, 3), (other, 1)) - alone).max() > 1e-4
    np.testing.assert_allclose(
        taught((teacher, 3), (other, 1)), taught((teacher, 6), (other, 2)), atol=1e-6
    )


def test_classes_of_given_logits_are_named_by_a_teacher_that_is_not_here(data, teacher):
    X, y = data
    logits = teacher.predict(X, verbose=0)
    params = {"network": NETWORK, "epochs": 1, "random_state": 0}
    plain = make_student(None, **params).fit(X, y, teacher_logits=logits)
    named = make_student(Teacher(None, classes=[2, 1, 0]), **params)
    named.fit(X, y, teacher_logits=logits[:, ::-1])
    np.testing.assert_array_equal(weights(named), weights(plain))
    assert not hasattr(named, "teacher_")


def test_a_frozen_student_teaches_from_its_network_whoever_taught_it(data, teacher):
    first = make_student(teacher, NETWORK, epochs=1).fit(*data)
    for frozen in (FrozenEstimator(first), FrozenEstimator(first.student_)):
        second = make_student(frozen, NETWORK, epochs=1).fit(*data)
        assert second.teacher_ is first.model_


def test_a_cloned_teacher_shares_its_model_and_not_its_classifier(teacher):
    assert clone(Teacher(teacher)).model is teacher
    forest = DecisionTreeClassifier()
    assert clone(Teacher(forest)).model is not forest
    assert clone(KDClassifier(Teacher(teacher), hints=Hints({}))).teacher.model is teacher


def test_training_that_goes_on_notices_what_is_said_anew_of_the_same_teacher(data, teacher):
    params = {"network": NETWORK, "epochs": 1, "random_state": 0, "alpha": 0.0, "warm_start": True}
    student = make_student(Teacher(teacher), **params).fit(*data)
    before = student.teacher_predict_proba(data[0])
    student.set_params(teacher__classes=[2, 1, 0]).fit(*data)
    np.testing.assert_allclose(student.teacher_predict_proba(data[0]), before[:, ::-1])
    assert student.n_iter_ == 2


def test_a_subclassed_model_that_was_called_teaches(data):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.top = layers.Flatten(), layers.Dense(3)

        def call(self, images):
            return self.top(self.flat(images))

    model = Subclassed()
    expected = keras.ops.softmax(model(data[0]))
    student = make_student(model, NETWORK, epochs=1).fit(*data)
    np.testing.assert_allclose(student.teacher_predict_proba(data[0]), expected, atol=1e-5)
