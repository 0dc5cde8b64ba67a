import keras
import numpy as np
import pytest
from keras import layers
from making import make_student

from skkd import MLP, KDClassifier, NetworkClassifier
from skkd.images._blocks import image_digests
from skkd.models._batches import Batches
from skkd.models._views import Views

STUDENT = MLP(hidden=(8,))


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:48], y[:48] % 3


@pytest.fixture(scope="module")
def teacher():
    initializer = keras.initializers.RandomNormal(seed=0)
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, kernel_initializer=initializer)]
    )


def distilled(data, teacher, fit_params=None, **params):
    params = {"student": STUDENT, "epochs": 2, "random_state": 0, "batch_size": 16} | params
    return make_student(teacher, params.pop("student"), **params).fit(*data, **(fit_params or {}))


def weights(classifier):
    return np.concatenate([w.ravel() for w in classifier.model_.get_weights()])


def test_unlabeled_images_teach_what_the_teacher_says_about_them(digits, teacher):
    X, y = digits
    few = X[:20], y[:20] % 3
    common = {"alpha": 0.1, "learning_rate": 0.01}
    without = distilled(few, teacher, epochs=150, **common)
    with_more = distilled(few, teacher, {"X_unlabeled": X[20:620]}, epochs=5, **common)
    agreement = [classifier.agreement_score(X[1000:]) for classifier in (without, with_more)]
    assert agreement[1] > agreement[0] + 0.02


def test_the_labels_of_unlabeled_images_do_not_exist(data, teacher):
    X, y = data
    labeled = (X[:24], y[:24])
    student = distilled(labeled, teacher, {"X_unlabeled": X[24:]}, alpha=0.0, batch_size=48)
    all_labeled = distilled((X, y), teacher, alpha=0.0, batch_size=48)
    assert student.history_["loss"][0] == pytest.approx(all_labeled.history_["loss"][0], rel=0.2)
    assert 0 <= student.history_["accuracy"][-1] <= 1


@pytest.mark.parametrize(
    ("ratio", "n_extra", "of_each"), [(None, 30, (2, 6)), (1.0, 30, (4, 4)), (3.0, 4, (2, 6))]
)
def test_batches_mix_both_kinds_by_the_ratio_and_show_every_row(ratio, n_extra, of_each):
    images = np.arange(10.0 + n_extra)[:, None]
    batches = Batches(
        images,
        rows=np.arange(10),
        extra_rows=np.arange(10, 10 + n_extra),
        extra_ratio=ratio,
        batch_size=8,
        seed=0,
    )
    seen = [batches[i][0].ravel() for i in range(len(batches))]
    for batch in seen:
        assert ((batch < 10).sum(), (batch >= 10).sum()) == of_each
    assert set(np.concatenate(seen)) == set(images.ravel())


def test_unlabeled_images_pass_through_a_grid_search_whole(data, teacher):
    from sklearn.model_selection import GridSearchCV

    X, y = data
    asked = []

    def counting(images):
        asked.append(len(images))
        return teacher.predict_on_batch(images)

    search = GridSearchCV(
        KDClassifier(counting, NetworkClassifier(STUDENT, epochs=1)),
        {"alpha": [0.1, 0.5]},
        cv=2,
        error_score="raise",
    )
    search.fit(X[:20], y[:20], X_unlabeled=X[20:])
    assert sum(asked) == 48


@pytest.fixture
def augmentation():
    return layers.RandomTranslation(0.3, 0.3, fill_mode="constant", seed=1)


def test_views_of_the_same_key_are_the_same_and_the_users_layer_does_not_move(
    data, augmentation, rng
):
    X = data[0]
    state = augmentation.generator.state.numpy().copy()
    views = Views(augmentation, seed=3)
    first = views.draw(X, 1, 0)
    views.draw(X, 2, 0)
    np.testing.assert_array_equal(views.draw(X, 1, 0), first)
    assert (views.draw(X, 1, 16) != first).any()
    assert (Views(augmentation, seed=4).draw(X, 1, 0) != first).any()
    np.testing.assert_array_equal(augmentation.generator.state.numpy(), state)


def test_drawn_views_follow_the_images_and_keep_eight_bits(data, augmentation):
    X = (data[0] * 15).astype("uint8")
    drawn = Views(augmentation, 0).draw_all(X, n_views=2, batch_size=16)
    assert (drawn.shape, drawn.dtype) == ((96, 8, 8, 1), np.uint8)
    assert (drawn[:48] != drawn[48:]).any()
    again = Views(augmentation, 0).draw_all(X, n_views=2, batch_size=16)
    np.testing.assert_array_equal(again, drawn)


@pytest.mark.parametrize("n_views", [None, 2])
def test_augmented_training_repeats_to_the_bit_and_differs_from_plain(
    data, teacher, augmentation, n_views
):
    params = {"augmentation": augmentation, "n_views": n_views}
    first, second = (distilled(data, teacher, **params) for _ in range(2))
    np.testing.assert_array_equal(weights(first), weights(second))
    assert (weights(first) != weights(distilled(data, teacher))).any()


def test_a_network_without_a_teacher_is_augmented_too(data, augmentation):
    fits = [
        NetworkClassifier(STUDENT, epochs=1, random_state=0, **params).fit(*data)
        for params in (
            {},
            {"augmentation": augmentation},
            {"augmentation": augmentation, "n_views": 2},
        )
    ]
    flat = [weights(fit) for fit in fits]
    assert (flat[0] != flat[1]).any()
    assert (flat[0] != flat[2]).any()


def test_live_views_are_taught_as_they_are_seen(data, augmentation, monkeypatch):
    seen_by_teacher = []

    def teacher(images):
        seen_by_teacher.append(np.asarray(images))
        return np.stack([images.sum(axis=(1, 2, 3))] * 3, axis=1) * [0, 1, 2]

    classifier = KDClassifier(
        teacher, NetworkClassifier(STUDENT, augmentation=augmentation), alpha=0.5
    )
    given = []
    monkeypatch.setattr(NetworkClassifier, "_learn", lambda self, *args: given.append(args))
    classifier.fit(*data)
    ((lessons, _),) = given
    images, targets, _ = lessons.batches(16)[0][1]
    np.testing.assert_array_equal(images, seen_by_teacher[-1])
    expected = images.sum(axis=(1, 2, 3))[:, None] * [0, 1, 2]
    np.testing.assert_allclose(targets[:, 3:6], expected, rtol=1e-5)
    assert (images != data[0][:16]).any()


def test_kept_views_are_taught_once_over_a_grid(data, augmentation):
    asked = []

    def teacher(images):
        asked.append(len(images))
        return images.reshape(len(images), -1)[:, :3]

    for alpha in (0.1, 0.5):
        distilled(data, teacher, augmentation=augmentation, n_views=2, alpha=alpha, epochs=3)
    n_distinct = len(set(image_digests(Views(augmentation, _seed()).draw_all(data[0], 2, 16))))
    assert sum(asked) == n_distinct


def _seed():
    return np.random.RandomState(0).randint(2**31 - 1)


def test_epochs_take_the_views_in_turn():
    images = np.arange(12.0)[:, None]
    batches = Batches(images, rows=np.arange(4), n_views=2, batch_size=4, seed=0)
    shown = []
    for _ in range(3):
        shown.append(set(batches[0][0].ravel()))
        batches.on_epoch_end()
    assert shown == [{4, 5, 6, 7}, {8, 9, 10, 11}, {4, 5, 6, 7}]


def test_an_augmentation_that_changes_the_shape_is_refused(data):
    with pytest.raises(ValueError, match=r"shape \(8, 8, 1\) into \(5, 5, 1\); it must keep"):
        Views(layers.RandomCrop(5, 5), 0).draw(data[0])
