import os

import keras
import numpy as np
import pytest
from joblib import Parallel, delayed
from keras import layers
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skkd import MLP, FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.distillation._losses import DistillationLoss, kl
from skkd.models import _twins
from skkd.models._progress import EpochLines

TRACES = pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch traces nothing")
NETWORK = FiveBlockCNN(filters=(4,), dense=(6,))


def uneven(input_shape, n_classes):
    """Names that count up, batch normalization, random layers, and a model inside."""
    inputs = keras.Input(input_shape)
    x = layers.RandomTranslation(0.1, 0.1)(inputs)
    x = keras.Sequential([layers.Conv2D(3, 3), layers.BatchNormalization()])(x)
    x = layers.GaussianNoise(0.1)(keras.ops.relu(x))
    return keras.Model(inputs, layers.Dense(n_classes)(layers.Flatten()(x)))


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    pool = _twins._Pool()
    monkeypatch.setattr(_twins, "_POOL", pool)
    return pool


@pytest.fixture(scope="module")
def data(digits):
    X, y = digits
    return X[:72], y[:72] % 3


@pytest.fixture(scope="module")
def teacher(data):
    return NetworkClassifier(NETWORK, epochs=1, random_state=9).fit(*data).model_


@pytest.fixture
def traces(monkeypatch):
    """The calls of distillation losses, one entry each time that a step is traced."""
    calls = []
    call = DistillationLoss.call

    def count(self, *sides):
        calls.append(self)
        return call(self, *sides)

    monkeypatch.setattr(DistillationLoss, "call", count)
    return calls


def outcome(classifier, X):
    state = [*classifier.model_.get_weights(), classifier.predict_proba(X)]
    return [*state, *classifier.history_.values()]


def assert_same(one, other):
    assert len(one) == len(other)
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def students():
    policy = {"dtype_policy": "mixed_float16"}
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-2, 2, 0.9)
    averaging = keras.optimizers.AdamW(use_ema=True, ema_overwrite_frequency=2, clipnorm=1.0)
    return {
        "labels": NetworkClassifier(NETWORK),
        "table": NetworkClassifier(MLP(hidden=(4,), dropout=0.2)),
        "any network": NetworkClassifier(uneven),
        "early stopping": NetworkClassifier(NETWORK, early_stopping=True, validation_fraction=0.2),
        "resized": NetworkClassifier(NETWORK, image_size=(6, 6)),
        "mixed": NetworkClassifier(NETWORK, **policy),
        "schedule": NetworkClassifier(NETWORK, learning_rate=schedule),
        "averaging": NetworkClassifier(NETWORK, optimizer=averaging),
        "reduced": NetworkClassifier(
            NETWORK, callbacks=[keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=9)]
        ),
    }


@TRACES
@pytest.mark.parametrize("name", students())
def test_what_a_twin_learns_is_what_the_network_learns_itself(
    name, data, teacher, pool, monkeypatch
):
    X, y = data
    student = students()[name].set_params(epochs=2, random_state=0)
    if name == "table":
        X, teacher = X.reshape(len(X), -1), None
    distilled = KDClassifier(teacher, student)
    # Twins that were something else before.
    before = clone(distilled).set_params(student__random_state=5, alpha=0.1, temperature=9)
    before.fit(X[::-1][:40], y[::-1][:40])
    (twin,) = pool.twins
    taught = outcome(distilled.fit(X, y), X)
    assert pool.twins == [twin]
    monkeypatch.setattr(_twins, "_architecture", lambda model: None)
    assert_same(taught, outcome(clone(distilled).fit(X, y), X))


def sharing(input_shape, n_classes):
    """One layer in two nested models."""
    inputs, dense = keras.Input(input_shape), layers.Dense(4)
    one = keras.Sequential([keras.Input((64,)), dense])
    other = keras.Sequential([keras.Input((64,)), dense, layers.ReLU()])
    flat = layers.Flatten()(inputs)
    return keras.Model(inputs, layers.Dense(n_classes)(layers.Add()([one(flat), other(flat)])))


def partly_frozen(input_shape, n_classes):
    inputs = keras.Input(input_shape)
    inner = keras.Sequential([keras.Input((64,)), layers.Dense(4), layers.BatchNormalization()])
    for layer in inner.layers:
        layer.trainable = False
    inner.add(layers.Dense(3))
    return keras.Model(inputs, layers.Dense(n_classes)(inner(layers.Flatten()(inputs))))


def rescaling(scale):
    def network(input_shape, n_classes):
        inputs = keras.Input(input_shape)
        x = layers.Flatten()(layers.Rescaling(scale)(inputs))
        return keras.Model(inputs, layers.Dense(n_classes)(x))

    return network


@pytest.mark.parametrize(
    "networks",
    [
        [sharing],
        [partly_frozen],
        [rescaling(0.5), rescaling(np.array([0.25])), rescaling([0.125]), rescaling(0.75)],
    ],
    ids=["sharing", "frozen", "rescaling"],
)
def test_networks_of_unusual_state_train_as_they_do_themselves(networks, data, monkeypatch):
    def train():
        classifier = NetworkClassifier(epochs=1, random_state=0)
        return [outcome(classifier.set_params(network=n).fit(*data), data[0]) for n in networks]

    taught = train()
    monkeypatch.setattr(_twins, "_architecture", lambda model: None)
    for one, other in zip(taught, train(), strict=True):
        assert_same(one, other)


@TRACES
def test_a_twin_goes_on_with_training(data, teacher, monkeypatch):
    X, y = data

    def train():
        student = NetworkClassifier(NETWORK, epochs=1, warm_start=True, random_state=0)
        distilled = KDClassifier(teacher, student).fit(X, y)
        NetworkClassifier(NETWORK, epochs=1).fit(X, y)
        distilled.set_params(alpha=0.2, student__learning_rate=0.01).fit(X, y)
        return outcome(distilled.partial_fit(X, y), X)

    taught = train()
    monkeypatch.setattr(_twins, "_architecture", lambda model: None)
    assert_same(taught, train())


@TRACES
def test_a_search_traces_one_training_step_and_no_prediction(digits, teacher, traces, pool):
    # Whole batches only, as JAX traces each size of a batch.
    X, y = digits[0][:96], digits[1][:96] % 3
    student = NetworkClassifier(NETWORK, epochs=1, random_state=0)
    distilled = KDClassifier(teacher, student)
    distilled.fit(X[:64], y[:64]).predict(X)
    once = len(traces)
    assert once > 0
    grid = {"alpha": [0.2, 0.5], "temperature": [1.0, 3.0], "student__learning_rate": [0.1, 0.01]}
    search = GridSearchCV(distilled, grid, cv=3, error_score="raise").fit(X, y)
    assert len(traces) == once
    assert len(pool.twins) == 1
    assert search.best_estimator_.student_._logits_model.predict_function is None


@TRACES
@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 1.0},
        {"soft_loss": "dkd"},
        {"student__optimizer": "nadam"},
        {"student__network": FiveBlockCNN(filters=(4,), dense=(6,), dropout=0.1)},
        {"hints": {"block1_conv": "block1_conv"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_computes_otherwise_has_a_twin_of_its_own(change, data, teacher, traces, pool):
    distilled = KDClassifier(teacher, NetworkClassifier(NETWORK, epochs=1, random_state=0))
    distilled.fit(*data)
    distilled.set_params(**change).fit(*data)
    assert len(pool.twins) == 2


@TRACES
def test_optimizers_of_the_same_settings_are_told_apart(data, pool):
    for optimizer in (keras.optimizers.Adamax(), keras.optimizers.Lamb()):
        NetworkClassifier(NETWORK, optimizer=optimizer, epochs=1).fit(*data)
    assert [type(twin.model.optimizer).__name__ for twin in pool.twins] == ["Adamax", "Lamb"]


@TRACES
def test_a_loss_of_a_users_own_is_told_a_plain_temperature(data, teacher, pool):
    def careful(one_hot, teacher_logits, student_logits, temperature, sample_weight):
        seen.append(temperature)
        return kl(one_hot, teacher_logits, student_logits, temperature, sample_weight)

    seen = []
    student = NetworkClassifier(NETWORK, epochs=1, random_state=0)
    distilled = KDClassifier(teacher, student, soft_loss=careful)
    for temperature in (2.0, 5.0, 2.0):
        distilled.set_params(temperature=temperature).fit(*data)
    assert {type(one) for one in seen} == {float}
    # Nobody can see what else the function reads, so it is traced anew for each fit.
    assert pool.twins == []


def network_of(*operations):
    def build(input_shape, n_classes):
        inputs = keras.Input(input_shape)
        x = layers.Flatten()(inputs)
        for operation in operations:
            x = operation(x)
        return keras.Model(inputs, layers.Dense(n_classes)(x))

    return build


def dense_with(name, rule):
    def call(x):
        layer = layers.Dense(4)
        result = layer(x)
        setattr(layer.kernel, name, rule)
        return result

    return call


class Light(keras.regularizers.Regularizer):
    def __call__(self, kernel):
        return keras.ops.sum(kernel) * 0.0

    def get_config(self):
        return {}


UNSEEN = {
    "a function of a user in an operation": lambda x: keras.ops.map(lambda row: row * 2.0, x),
    "a number without a configuration": lambda x: keras.ops.leaky_relu(x, np.float32(0.1)),
    "an array without a configuration": lambda x: keras.ops.pad(x, np.array([[0, 0], [1, 1]])),
    "a rule of a user on weights": dense_with("regularizer", Light()),
}


@TRACES
@pytest.mark.parametrize("operation", UNSEEN.values(), ids=list(UNSEEN))
def test_networks_that_no_text_describes_are_trained_themselves(data, pool, operation):
    NetworkClassifier(network_of(operation), epochs=1, random_state=0).fit(*data).predict(data[0])
    assert pool.twins == []


@TRACES
@pytest.mark.parametrize(
    ("name", "rule"),
    [("regularizer", keras.regularizers.L2(10.0)), ("constraint", keras.constraints.NonNeg())],
)
def test_rules_set_on_weights_are_kept(data, pool, monkeypatch, name, rule):
    X, y = data

    def fit(*operations):
        classifier = NetworkClassifier(network_of(*operations), epochs=2, random_state=0)
        return outcome(classifier.fit(X, y), X)

    fit(layers.Dense(4))
    ruled = fit(dense_with(name, rule))
    monkeypatch.setattr(_twins, "_architecture", lambda model: None)
    assert_same(ruled, fit(dense_with(name, rule)))


@TRACES
def test_constants_that_are_tensors_stay_the_users(data, pool):
    scale = keras.ops.convert_to_tensor(np.array([0.1], "float32"))
    network = network_of(lambda x: layers.Rescaling(scale, offset=scale)(x))
    NetworkClassifier(network, epochs=1, random_state=0).fit(*data)
    np.testing.assert_array_equal(scale, np.array([0.1], "float32"))


@TRACES
def test_after_some_predictions_a_model_has_its_own_traced(data, pool, monkeypatch):
    monkeypatch.setattr(_twins, "_FEW_PREDICTIONS", 2)
    classifier = NetworkClassifier(NETWORK, epochs=1, random_state=0).fit(*data)
    answers, taken = [], []
    take = _twins._Twin.take
    monkeypatch.setattr(
        _twins._Twin, "take", lambda self, *args, **kw: taken.append(1) or take(self, *args, **kw)
    )
    answers = [classifier.predict_proba(data[0]) for _ in range(4)]
    assert len(taken) == 2
    for other in answers[1:]:
        np.testing.assert_array_equal(other, answers[0])


class Doubled(layers.Layer):
    factor = 2.0

    def call(self, x):
        return self.factor * x


def doubled(input_shape, n_classes):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, layers.Dense(n_classes)(layers.Flatten()(Doubled()(inputs))))


def with_lambda(input_shape, n_classes):
    inputs = keras.Input(input_shape)
    x = layers.Flatten()(layers.Lambda(lambda x: x / 2)(inputs))
    return keras.Model(inputs, layers.Dense(n_classes)(x))


def adapted(input_shape, n_classes):
    inputs = keras.Input(input_shape)
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng().normal(size=(5, *input_shape)))
    x = layers.Flatten()(normalization(inputs))
    return keras.Model(inputs, layers.Dense(n_classes)(x))


@pytest.mark.parametrize("network", [doubled, with_lambda, adapted])
def test_networks_whose_likeness_no_text_tells_have_no_twin(network, data, pool):
    NetworkClassifier(network, epochs=1).fit(*data).predict(data[0])
    assert pool.twins == []


def test_callbacks_that_look_at_weights_see_the_network_itself(data, pool, tmp_path):
    path = tmp_path / "epoch.weights.h5"
    saving = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    classifier = NetworkClassifier(NETWORK, epochs=1, callbacks=[saving]).fit(*data)
    assert pool.twins == []
    saved = classifier.model_.get_weights()
    classifier._trainer.model_.load_weights(path)
    assert_same(saved, classifier.model_.get_weights())


def test_other_callbacks_end_with_the_network_itself(data):
    reduce = keras.callbacks.ReduceLROnPlateau()
    classifier = NetworkClassifier(NETWORK, epochs=1, callbacks=[reduce]).fit(*data)
    assert classifier.callbacks_[0].model is classifier._trainer.model_


@TRACES
def test_lines_on_progress_leave_the_network_shared(data, pool):
    lines = [EpochLines([].append, "student")]
    NetworkClassifier(NETWORK, epochs=1, callbacks=lines).fit(*data)
    assert len(pool.twins) == 1


def test_fitted_networks_stay_as_they_are_when_others_are_trained(data):
    X, y = data
    first = NetworkClassifier(NETWORK, epochs=1, random_state=0).fit(X, y)
    before = outcome(first, X)
    second = NetworkClassifier(NETWORK, epochs=1, random_state=1).fit(X, y)
    assert np.any(second.predict_proba(X) != before[-3])
    assert_same(before, outcome(first, X))
    # A network's weights may be changed by hand.
    first.model_.set_weights(second.model_.get_weights())
    assert_same(outcome(first, X)[:-2], outcome(second, X)[:-2])


def test_threads_fit_as_if_alone_and_leave_no_random_numbers_behind(data, teacher):
    X, y = data
    _, keys, *position = np.random.get_state()
    environment = dict(os.environ)

    def fit(seed):
        student = NetworkClassifier(NETWORK, epochs=3, random_state=seed)
        return outcome(KDClassifier(teacher, student, alpha=0.1 + seed / 10).fit(X, y), X)

    alone = [fit(seed) for seed in range(3)]
    together = Parallel(3, backend="threading")(delayed(fit)(seed) for seed in range(3))
    for one, other in zip(alone, together, strict=True):
        assert_same(one, other)
    _, keys_after, *position_after = np.random.get_state()
    np.testing.assert_array_equal(keys_after, keys)
    assert position_after == position
    assert dict(os.environ) == environment


def test_a_fit_that_fails_leaves_nothing_to_the_next(data, pool):
    X, y = data
    good = NetworkClassifier(NETWORK, epochs=1, random_state=0)
    before = outcome(good.fit(X, y), X)
    with pytest.raises(ValueError, match="diverged"):
        NetworkClassifier(NETWORK, epochs=1, learning_rate=1e30, random_state=0).fit(X, y)
    assert pool.twins == []
    assert_same(before, outcome(clone(good).fit(X, y), X))


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="torch draws dropout for itself")
def test_a_seed_decides_dropout_and_a_fit_moves_no_generator(data):
    import torch

    classifier = NetworkClassifier(
        NETWORK, epochs=2, augmentation=layers.Dropout(0.3), n_views=2, random_state=0
    )
    before = outcome(classifier.fit(*data), data[0])
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = clone(classifier).fit(*data)
    np.testing.assert_array_equal(torch.get_rng_state(), state)
    assert_same(before, outcome(again, data[0]))


@TRACES
def test_few_twins_are_kept(data, pool, monkeypatch):
    monkeypatch.setattr(_twins, "_MAX_TWINS", 2)
    for units in (3, 4, 5):
        NetworkClassifier(FiveBlockCNN((2,), dense=(units,)), epochs=1).fit(*data)
    assert [twin.model.get_layer("dense1").units for twin in pool.twins] == [4, 5]
    monkeypatch.setattr(_twins, "_MAX_VALUES", 1)
    NetworkClassifier(FiveBlockCNN((2,), dense=(6,)), epochs=1).fit(*data)
    assert pool.twins == []
    monkeypatch.setattr(_twins, "_MAX_WEIGHTS", 10)
    assert _twins._architecture(NETWORK.build((8, 8, 1), 3)) is None
