import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from skkd import MLP, KDClassifier, NetworkClassifier, Teacher
from skkd.distillation._encoded import check_agreement

STUDENT = NetworkClassifier(MLP(hidden=(16,)), epochs=8, learning_rate=0.03, random_state=0)


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:200], y[:200]


def distiller(data, labels=None, **params):
    X, y = data
    frozen = FrozenEstimator(
        SVC(gamma=0.001).fit(X.reshape(len(X), -1), y if labels is None else labels)
    )
    teacher = Teacher(frozen, **params) if params else frozen
    return KDClassifier(teacher, STUDENT, alpha=0.0, temperature=1.0)


def voting(classifier):
    return VotingClassifier([("student", classifier)], voting="soft")


@pytest.mark.parametrize("wrapper", [voting, OneVsRestClassifier])
def test_a_teacher_that_knows_more_classes_refuses_labels_that_a_wrapper_encoded(data, wrapper):
    X, y = data
    some = np.isin(y, [2, 5, 7])
    wrapped = wrapper(distiller(data))
    with pytest.raises(ValueError, match=r"VotingClassifier.*Teacher\(model, classes=\[\.\.\.\]\)"):
        wrapped.fit(X[some], y[some])


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2]])
def test_a_teacher_that_knows_more_classes_teaches_the_first_of_them(data, labels):
    X, y = data
    some = np.isin(y, labels)
    for classifier in (distiller(data), voting(distiller(data))):
        assert classifier.fit(X[some], y[some]).score(X[some], y[some]) > 0.9


def test_a_frozen_teachers_classes_are_named_as_they_are_encoded(data):
    X, y = data
    some = np.isin(y, [1, 3])
    codes = [-1, 0, -2, 1, -4, -5, -6, -7, -8, -9]
    classifier = voting(distiller(data, classes=codes)).fit(X[some], y[some])
    assert classifier.classes_.tolist() == [1, 3]
    assert classifier.score(X[some], y[some]) > 0.9


def test_labels_that_are_names_are_told_from_their_codes(data):
    X, y = data
    names = np.array(list("abcdefghij"))[y]
    wrapped = voting(distiller(data, names))
    with pytest.raises(ValueError, match=r"does not know.*a wrapper encoded it: VotingClassifier"):
        wrapped.fit(X, names)
    named = voting(distiller(data, names, classes=np.arange(10)))
    assert named.fit(X, names).score(X, names) > 0.8


def test_given_logits_are_looked_at_too(data):
    X, y = data
    some = np.isin(y, [1, 3])
    student = KDClassifier(Teacher(None, classes=range(10)), STUDENT)
    said = 9 * np.eye(10)[y[some]]
    with pytest.raises(ValueError, match="seem to be encoded"):
        student.fit(X[some], (y[some] == 3).astype(int), teacher_logits=said)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_a_weak_teacher_is_not_refused(rng, strength):
    for _ in range(50):
        y = np.arange(60) % 2
        logits = rng.normal(size=(60, 10)) + strength * np.eye(10)[y]
        check_agreement(logits, range(10), y, np.arange(2))


def test_a_teacher_that_calls_a_label_by_another_name_is_taken_if_it_tells_labels_apart(rng):
    y = np.arange(60) % 2
    logits = 3 * np.eye(10)[y] + 5 * np.eye(10)[np.where(y == 1, 7, 0)]
    check_agreement(logits, range(10), y, np.arange(2))
