import pickle
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV

from skkd import MLP, FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.models._batches import Batches
from skkd.models._normalization import mean_and_variance


def test_the_trained_model_gives_the_probabilities_of_predict_proba(trained, digits):
    X, y = digits
    proba = trained.predict_proba(X[1000:1100])
    np.testing.assert_allclose(trained.model_.predict(X[1000:1100], verbose=0), proba, atol=1e-6)
    np.testing.assert_array_equal(trained.predict(X[1000:1100]), proba.argmax(axis=1))
    assert trained.score(X[1000:], y[1000:]) > 0.8


def test_string_labels_come_back(digits):
    X, y = digits
    names = np.array(["even", "odd"])[y[:60] % 2]
    classifier = NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1).fit(X[:60], names)
    assert classifier.classes_.tolist() == ["even", "odd"]
    assert set(classifier.predict(X[:60])) <= {"even", "odd"}
    assert classifier.decision_function(X[:60]).shape == (60,)


@pytest.mark.parametrize(
    ("labels", "dtype", "plain"),
    [([True, False], "boolean", bool), ([3, 5], "Int64", np.int64), ([1, 2], "UInt8", np.uint8)],
)
def test_nullable_labels_come_back_as_plain_ones_and_none_may_be_missing(
    digits, labels, dtype, plain
):
    X, y = digits[0][:8], pd.Series(labels * 4, dtype=dtype)
    classifier = NetworkClassifier(MLP(hidden=(2,)), epochs=1)
    classifier.fit(X, y)
    assert classifier.classes_.tolist() == sorted(labels)
    assert classifier.classes_.dtype == classifier.predict(X).dtype == plain
    y[3] = pd.NA
    with pytest.raises(ValueError, match="no missing labels; got NA for 1 images"):
        classifier.fit(X, y)
    with pytest.raises(ValueError, match="no missing labels; got None or NaN for 1 images"):
        classifier.fit(X, list(y))


@pytest.fixture
def fit_tiny(digits, tiny_network):
    X, y = digits

    def fit(rows=slice(0, 96), sample_weight=None, **kwargs):
        params = {"epochs": 2, "random_state": 3} | kwargs
        classifier = NetworkClassifier(tiny_network, **params)
        return classifier.fit(X[rows], y[rows], sample_weight)

    return fit


def test_a_seed_repeats_a_fit_to_the_bit_and_leaves_global_seeds_alone(fit_tiny):
    np.random.seed(5)
    first = fit_tiny().model_.get_weights()
    drawn = np.random.rand()
    second = fit_tiny().model_.get_weights()
    np.random.seed(5)
    assert drawn == np.random.rand()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    other = fit_tiny(random_state=4).model_.get_weights()
    assert (first[0] != other[0]).any()


def test_paths_train_to_the_weights_of_the_same_images_as_array(tmp_path, rng):
    X = rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    y = np.arange(12) % 2
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    fits = [
        NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=2, batch_size=5, random_state=0)
        .fit(images, y)
        .model_.get_weights()
        for images in (X, paths)
    ]
    for from_array, from_paths in zip(*fits, strict=True):
        np.testing.assert_array_equal(from_array, from_paths)


@pytest.mark.parametrize("weight", [0, 2])
def test_a_weight_of_0_leaves_a_row_out_and_of_2_repeats_it(weight, digits):
    X, y = digits[0][:40], digits[1][:40]
    sample_weight = np.ones(40)
    sample_weight[::4] = weight
    rows = np.repeat(np.arange(40), sample_weight.astype(int))
    network = FiveBlockCNN(filters=(4, 8), dropout=0.0)
    classifier = NetworkClassifier(
        network, optimizer="sgd", learning_rate=0.05, epochs=3, batch_size=100, random_state=0
    )
    weighted = clone(classifier).fit(X, y, sample_weight).predict_proba(X)
    repeated = clone(classifier).fit(X[rows], y[rows]).predict_proba(X)
    plain = clone(classifier).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=2e-6)
    assert abs(weighted - plain).max() > 1e-4


def test_class_weight_multiplies_the_weights_of_its_class(fit_tiny, digits):
    y = digits[1][:96]
    by_class = fit_tiny(class_weight={digit: 3.0 if digit == 7 else 1.0 for digit in range(10)})
    by_row = fit_tiny(sample_weight=np.where(y == 7, 3.0, 1.0))
    np.testing.assert_array_equal(by_class.model_.get_weights()[0], by_row.model_.get_weights()[0])


def test_a_weight_of_0_leaves_a_row_out_of_balanced_class_weights_too(fit_tiny, digits):
    y = digits[1][:96]
    sample_weight = np.ones(96)
    sample_weight[np.flatnonzero(y == 3)[1:]] = 0
    kept = np.flatnonzero(sample_weight)
    params = {"class_weight": "balanced", "batch_size": 100, "optimizer": "sgd"}
    left_out = fit_tiny(sample_weight=sample_weight, **params).history_["loss"]
    absent = fit_tiny(kept, **params).history_["loss"]
    assert left_out[0] == pytest.approx(absent[0], rel=1e-5)


def test_early_stopping_with_too_few_images_of_a_class_is_named(digits):
    X, y = digits[0][:20], np.array(["a", "b", "c"])[digits[1][:20] % 3]
    with pytest.raises(ValueError, match=r"early_stopping with validation_fraction=0.1 cannot"):
        NetworkClassifier(MLP(), early_stopping=True).fit(X, y)


def test_early_stopping_keeps_the_weights_of_the_best_epoch(fit_tiny):
    classifier = fit_tiny(
        slice(0, 200), epochs=40, early_stopping=True, n_iter_no_change=2, learning_rate=0.05
    )
    losses = classifier.history_["val_loss"]
    assert classifier.n_iter_ == len(losses) < 40
    assert np.argmin(losses) == len(losses) - 3


def test_a_fit_that_was_pickled_trains_on_as_if_it_never_had_been(fit_tiny, digits):
    X, y = digits
    stayed = fit_tiny()
    returned = pickle.loads(pickle.dumps(stayed))
    for classifier in (stayed, returned):
        classifier.partial_fit(X[:96], y[:96])
    assert stayed.n_iter_ == returned.n_iter_ == 3
    for a, b in zip(stayed.model_.get_weights(), returned.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_warm_start_continues_and_a_cold_start_does_not(fit_tiny, digits):
    X, y = digits
    classifier = fit_tiny(warm_start=True)
    whole = fit_tiny(epochs=4)
    classifier.fit(X[:96], y[:96])
    assert classifier.n_iter_ == 4
    np.testing.assert_array_equal(classifier.model_.get_weights()[0], whole.model_.get_weights()[0])
    assert fit_tiny().fit(X[:96], y[:96]).n_iter_ == 2


def test_a_warm_start_takes_a_new_learning_rate_and_refuses_a_new_network(fit_tiny, digits):
    X, y = digits[0][:96], digits[1][:96]
    classifier = fit_tiny(warm_start=True)
    before = classifier.model_.get_weights()
    classifier.set_params(learning_rate=1e-12).fit(X, y)
    for old, new in zip(before, classifier.model_.get_weights(), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)
    changes = [{"network": MLP()}, {"optimizer": "sgd"}, {"image_size": (9, 9)}]
    for params in [*changes, {"network__filters": (2,)}]:
        changed = clone(classifier).fit(X, y).set_params(**params)
        name = next(iter(params)).partition("__")[0]
        with pytest.raises(ValueError, match=f"{name} cannot change while training goes on"):
            changed.fit(X, y)
        changed.set_params(warm_start=False).fit(X, y)


def test_an_optimizer_object_is_copied_and_keeps_its_learning_rate(fit_tiny):
    optimizer = keras.optimizers.SGD(0.123, momentum=0.5)
    classifier = fit_tiny(optimizer=optimizer, epochs=1)
    used = classifier._trainer.model_.optimizer
    assert used is not optimizer
    assert float(used.learning_rate) == pytest.approx(0.123)
    assert not optimizer.built
    with pytest.raises(ValueError, match=r"learning_rate=0.5 has no effect on an optimizer object"):
        fit_tiny(optimizer=optimizer, learning_rate=0.5)


def test_callbacks_are_called_and_ctrl_c_keeps_the_network(fit_tiny):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted in epoch 2; the network is kept"):
        classifier = fit_tiny(epochs=5, callbacks=[Interrupt()])
    assert classifier.n_iter_ == 1
    once = fit_tiny(epochs=1)
    np.testing.assert_array_equal(classifier.model_.get_weights()[0], once.model_.get_weights()[0])


def test_arrays_of_another_size_are_resized_inside_the_model(digits):
    X, y = digits[0][:40], digits[1][:40]
    classifier = NetworkClassifier(FiveBlockCNN(filters=(4,)), image_size=(16, 12), epochs=1)
    classifier.fit(X, y)
    assert classifier.model_.input_shape == (None, 8, 8, 1)
    assert (None, 16, 12, 4) in [layer.output.shape for layer in classifier.model_.layers]
    assert classifier.predict(X).shape == (40,)


def test_a_network_given_as_keras_model_lends_its_architecture_and_is_shared_by_clones(digits):
    X, y = digits[0][:40], digits[1][:40] % 3
    given = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    before = given.get_weights()
    search = GridSearchCV(
        NetworkClassifier(given, epochs=2), {"learning_rate": [1e-3, 1e-2]}, cv=2
    ).fit(X, y)
    assert search.best_estimator_.network is given
    np.testing.assert_array_equal(given.get_weights()[0], before[0])


def test_mean_and_variance_are_the_weighted_ones_even_far_from_zero(rng):
    images = rng.normal(1e4, 1.0, (50, 4, 3, 2))
    weights = rng.integers(0, 4, 50).astype(np.float32)
    rows = np.flatnonzero(weights)
    mean, variance = mean_and_variance(images, rows, weights, batch_size=7)
    repeated = np.repeat(images, weights.astype(int), axis=0).reshape(-1, 2)
    np.testing.assert_allclose(mean, repeated.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, repeated.var(axis=0), rtol=1e-9)


@pytest.mark.parametrize("shape", [(60,), (60, 5, 3)])
def test_the_variance_of_a_constant_that_rounds_is_one(shape):
    images = np.broadcast_to([0.1, 700000.1, 0.0], (*shape, 3))
    weights = np.linspace(0.1, 1, 60)
    mean, variance = mean_and_variance(images, np.arange(60), weights, batch_size=7)
    np.testing.assert_allclose(mean, [0.1, 700000.1, 0.0], rtol=1e-12)
    np.testing.assert_array_equal(variance, 1.0)


def test_batches_show_every_row_once_in_an_order_of_seed_and_epoch_alone():
    images = np.arange(10.0)[:, None]
    batches = Batches(images, batch_size=4, rows=np.arange(1, 10), seed=1)
    first = np.concatenate([batches[i][0] for i in range(len(batches))]).ravel()
    assert sorted(first) == list(range(1, 10))
    batches.on_epoch_end()
    second = np.concatenate([batches[i][0] for i in range(len(batches))]).ravel()
    assert (first != second).any()
    resumed = Batches(images, batch_size=4, rows=np.arange(1, 10), seed=1)
    resumed.start(epoch=1)
    np.testing.assert_array_equal(resumed[0][0].ravel(), second[:4])


def test_gray_and_boolean_images_without_a_channel_axis_are_taken(digits):
    X, y = digits[0][:30, ..., 0] > 8, digits[1][:30]
    classifier = NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1).fit(X, y)
    assert classifier.model_.input_shape == (None, 8, 8, 1)


def bad_fits(X, y):
    nan = X.copy()
    nan[0] = np.nan
    return {
        "NaN": (dict(X=nan), "contains NaN"),
        "missing label": (dict(y=["a", "b", None, np.nan, "a"] * 6), "None or NaN for 12 images"),
        "one class": (dict(y=np.zeros(30)), "at least 2 classes in y; got 1 class"),
        "zero weights": (dict(sample_weight=np.zeros(30)), "zero"),
        "negative weights": (dict(sample_weight=-np.ones(30)), "Negative values"),
        "lengths": (dict(y=y[:20]), "inconsistent numbers of samples"),
        "ragged": (dict(X=[np.zeros((8, 8)), np.zeros((9, 8))] * 15), "one and the same shape"),
        "no y": (dict(y=None), "requires y to be passed"),
    }


@pytest.mark.parametrize("case", bad_fits(np.zeros((30, 8, 8, 1)), np.arange(30) % 2))
def test_bad_training_data_is_named(case, digits):
    X, y = digits[0][:30], digits[1][:30]
    arguments, message = bad_fits(X, y)[case]
    for class_weight in (None, "balanced"):
        classifier = NetworkClassifier(MLP(), epochs=1, class_weight=class_weight)
        with pytest.raises(ValueError, match=message):
            classifier.fit(**(dict(X=X, y=y) | arguments))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"network": "six_block"}, "network must be 'auto'"),
        ({"epochs": 0}, "'epochs' parameter"),
        ({"batch_size": 2.5}, "'batch_size' parameter"),
        ({"learning_rate": -1.0}, "'learning_rate' parameter"),
        ({"validation_fraction": 1.0}, "'validation_fraction' parameter"),
        ({"class_weight": "even"}, "'class_weight' parameter"),
        ({"color_mode": "cmyk"}, "'color_mode' parameter"),
        ({"optimizer": "adamm"}, "adamm"),
    ],
)
def test_bad_parameters_are_named(params, message, digits):
    with pytest.raises(ValueError, match=message):
        NetworkClassifier(**params).fit(digits[0][:30], digits[1][:30])


def test_images_of_another_shape_than_in_fit_are_refused(trained):
    with pytest.raises(ValueError, match=r"shape \(8, 8, 3\), but NetworkClassifier was fitted"):
        trained.predict(np.zeros((2, 8, 8, 3)))


def test_a_single_gray_image_is_told_to_be_one_of_many(trained, digits):
    for ask in (trained.predict, trained.predict_proba, lambda X: trained.score(X, [1])):
        with pytest.raises(ValueError, match=r"If it is a single image, pass X\[None\]"):
            ask(digits[0][0, ..., 0])


def test_a_dataset_of_pairs_trains_to_the_weights_of_its_arrays(digits):
    tf = pytest.importorskip("tensorflow")
    X, y = digits[0][:60], digits[1][:60]
    dataset = tf.data.Dataset.from_tensor_slices((X, y)).batch(25)
    classifier = NetworkClassifier(MLP(), epochs=1, random_state=0)
    expected = clone(classifier).fit(X, y)
    for estimator in (classifier, KDClassifier(student=classifier)):
        estimator.fit(dataset)
        np.testing.assert_array_equal(
            estimator.predict_proba(dataset.map(lambda image, label: image)),
            expected.predict_proba(X),
        )
        assert estimator.score(dataset.shuffle(3)) == expected.score(X, y)


def test_labels_of_any_library_keep_their_type(digits):
    numbers = np.array([3, 1, 1, 3])
    for y, classes in (
        (pd.array([True, False, False, True], dtype="boolean"), [False, True]),
        (pd.Series(numbers, dtype="Int64"), [1, 3]),
        (pd.Series(["b", "a", "a", "b"], dtype="category"), ["a", "b"]),
        (keras.ops.convert_to_tensor(numbers), [1, 3]),
    ):
        classifier = NetworkClassifier(MLP(), epochs=1).fit(digits[0][:4], y)
        assert classifier.classes_.tolist() == classes
        assert [type(label) for label in classifier.classes_.tolist()] == list(map(type, classes))
        assert classifier.score(digits[0][:4], y) in (0, 0.25, 0.5, 0.75, 1)


def test_a_column_of_labels_is_flattened_with_a_warning(trained, digits):
    X, y = digits[0][:50], digits[1][:50]
    for column in (y[:, None], pd.DataFrame({"y": y}), [[label] for label in y]):
        with pytest.warns(DataConversionWarning):
            assert trained.score(X, column) == trained.score(X, y)
        with pytest.warns(DataConversionWarning):
            fitted = NetworkClassifier(MLP(), epochs=1).fit(X, column)
        np.testing.assert_array_equal(fitted.classes_, np.unique(y))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda y: np.eye(10)[y], r"one-hot rows, of shape \(20, 10\): pass y\.argmax\(axis=1\)"),
        (lambda y: np.eye(10)[y].tolist(), r"one-hot rows.*argmax"),
        (lambda y: pd.get_dummies(y), r"one-hot rows.*y\.idxmax\(axis=1\)"),
        (lambda y: 0.9 * np.eye(10)[y] + 0.01, r"probabilities.*teacher_proba=y"),
        (lambda y: np.eye(10)[y] + np.eye(10)[y - 1], "multilabel targets are not supported"),
        (lambda y: [{1, 2}, {1}] * 10, "multilabel targets are not supported"),
        (lambda y: [[1, 2], [1]] * 10, "multilabel targets are not supported"),
        (lambda y: y[None], r"pass y\[0\]"),
        (lambda y: (label for label in y), r"a generator, .* pass list\(y\)"),
        (lambda y: {"label": y}, r"pass one of its values, such as y\['label'\]"),
        (lambda y: y / 3, "continuous"),
        (lambda y: pd.array([pd.NA, *map(str, y[1:])], dtype="string"), "None or NaN for 1 images"),
    ],
)
def test_labels_that_are_not_one_an_image_are_told_the_way(make, message, trained, digits):
    X, y = digits[0][:20], digits[1][:20]
    for ask in (NetworkClassifier(MLP(), epochs=1).fit, trained.score):
        with pytest.raises(ValueError, match=message):
            ask(X, make(y))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"network": FiveBlockCNN}, r"got the class: FiveBlockCNN\(\)"),
        ({"network": "net.h5"}, r"keras\.models\.load_model\(path\)"),
        ({"image_size": (8,)}, r"\(height, width\) in pixels; got \(8,\)"),
        ({"image_size": (8.0, 8.0)}, r"\(height, width\) in pixels; got \(8.0, 8.0\)"),
    ],
)
def test_networks_and_sizes_that_are_nearly_right_are_named(params, message, digits):
    with pytest.raises(ValueError, match=message):
        NetworkClassifier(**params).fit(digits[0][:20], digits[1][:20])


def test_an_image_size_for_a_table_is_named(digits):
    table = digits[0][:20].reshape(20, -1)
    with pytest.raises(ValueError, match=r"image_size=\(4, 4\) resizes images, but X has rows"):
        NetworkClassifier(image_size=(4, 4)).fit(table, digits[1][:20])


def test_channels_that_seem_to_come_first_are_warned_of():
    X, y = np.zeros((4, 3, 16, 17), np.uint8), [0, 1, 0, 1]
    classifier = NetworkClassifier(FiveBlockCNN(filters=(2,)), epochs=1)
    with pytest.warns(UserWarning, match=r"channels come first, pass np\.moveaxis\(X, 1, -1\)"):
        classifier.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        classifier.fit(np.moveaxis(X, 1, -1), y)


def test_classes_that_fit_did_not_know_are_refused(fit_tiny, digits):
    classifier = fit_tiny()
    with pytest.raises(ValueError, match=r"only the classes of the first fit.*got \[17\]"):
        classifier.partial_fit(digits[0][:10], np.full(10, 17))
    with pytest.raises(ValueError, match="classes must be passed in the first call"):
        NetworkClassifier().partial_fit(digits[0][:10], digits[1][:10])


def test_a_label_that_is_not_in_classes_is_refused_by_the_first_partial_fit_too(digits):
    with pytest.raises(ValueError, match=r"labels that are in classes, \[0, 1, 3\]; got \[2\]"):
        NetworkClassifier(MLP()).partial_fit(digits[0][:9], np.arange(9) % 3, classes=[0, 1, 3])


def test_where_a_row_stands_moves_no_more_than_the_last_bits(trained, digits):
    X = digits[0][:70]
    expected = trained.decision_function(X)
    order = np.random.default_rng(0).permutation(70)
    single = np.concatenate([trained.decision_function(X[[row]]) for row in range(70)])
    # Scores of this size have a spacing of 2e-6 in float32.
    for given in (trained.decision_function(X[order])[np.argsort(order)], single):
        np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5 * abs(expected).max())
