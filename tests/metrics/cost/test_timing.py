import numpy as np
import pytest
from sklearn.base import BaseEstimator

from skkd import FeatureMapExplainer, FiveBlockCNN, count_flops, explain_timing
from skkd.metrics.cost import _timing


@pytest.fixture(scope="module")
def models():
    teacher = FiveBlockCNN(filters=(8, 16), dense=(16,)).build((8, 8, 1), 3)
    student = FiveBlockCNN(filters=(2,), dense=()).build((8, 8, 1), 3)
    return teacher, student


class Clock:
    """A clock that only a call of an explainer moves, by 2 seconds an image."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_timing, "perf_counter", clock)
    return clock


class TickingExplainer(BaseEstimator):
    def __init__(self, estimator, clock, target="predicted", batch_size=32):
        self.estimator = estimator
        self.clock = clock
        self.target = target
        self.batch_size = batch_size

    def __sklearn_clone__(self):
        return TickingExplainer(self.estimator, self.clock, self.target, self.batch_size)

    def fit(self, X, y=None):
        self.clock.now += 1000
        return self

    def transform(self, X):
        # The first of all calls compiles.
        self.clock.now += 500 if not self.clock.calls else 0
        self.clock.calls.append((len(X), self.batch_size))
        self.clock.now += 2.0 * len(X) + (len(self.clock.calls) % 2) * len(X)
        return X[..., 0]


def test_fitting_and_warming_up_stay_outside_and_repeats_are_averaged(models, clock):
    explainer = TickingExplainer(models[0], clock)

    row = explain_timing([explainer], np.zeros((5, 8, 8, 1)), n_repeats=4, batch_size=2).iloc[0]

    assert [n_images for n_images, _ in clock.calls] == [2, 1, *[2, 2, 1] * 4]
    # Calls take 3 and 2 seconds an image by turns, so repeats take 13 and 12 seconds.
    assert row["met"] == pytest.approx(2.5)
    assert row["met_std"] == pytest.approx(0.1)
    assert row["images_per_second"] == pytest.approx(0.4)
    assert row[["batch_size", "n_images", "n_repeats"]].tolist() == [2, 5, 4]


@pytest.mark.parametrize(("batch_size", "own"), [(2, 32), (64, 64)])
def test_an_explainers_own_batch_size_is_never_lowered(models, clock, batch_size, own):
    explainer = TickingExplainer(models[0], clock)
    explain_timing([explainer], np.zeros((5, 8, 8, 1)), n_repeats=1, batch_size=batch_size)
    assert {batch for _, batch in clock.calls} == {own}
    assert explainer.batch_size == 32


def test_without_warming_up_the_first_repeat_holds_the_compilation(models, clock):
    explainer = TickingExplainer(models[0], clock)
    row = explain_timing(
        [explainer], np.zeros((5, 8, 8, 1)), n_repeats=1, warmup=0, batch_size=5
    ).iloc[0]
    assert row["met"] == (500 + 5 * 3) / 5


def test_named_models_give_a_row_for_each_explainer_of_each(models):
    teacher, student = models
    X = np.zeros((3, 8, 8, 1))
    explainers = {
        "teacher": [FeatureMapExplainer(teacher), FeatureMapExplainer(teacher, layers=[0])],
        "student": FeatureMapExplainer(student),
    }

    timing = explain_timing(explainers, X, n_repeats=2)

    assert timing["model"].tolist() == ["teacher", "teacher", "student"]
    assert timing["explainer"].tolist() == ["FeatureMapExplainer"] * 3
    assert timing["parameters"].tolist() == [m.count_params() for m in (teacher, teacher, student)]
    assert timing["flops"].tolist() == [count_flops(m) for m in (teacher, teacher, student)]
    assert (timing[["met", "images_per_second"]] > 0).all(axis=None)
    np.testing.assert_allclose(timing["met"] * timing["images_per_second"], 1)
    assert timing["device"].str.contains("cpu|gpu|cuda").all()
    assert not hasattr(explainers["student"], "model_")


def test_a_list_takes_the_names_of_the_models(models):
    timing = explain_timing([FeatureMapExplainer(models[1])], np.zeros((2, 8, 8, 1)), n_repeats=1)
    assert timing["model"].tolist() == [models[1].name]
    assert timing["met_std"].tolist() == [0]


def test_bad_input_is_refused_by_name(models):
    explainer = FeatureMapExplainer(models[1])
    X = np.zeros((2, 8, 8, 1))
    with pytest.raises(ValueError, match="n_repeats must be a whole number above 0; got 0"):
        explain_timing([explainer], X, n_repeats=0)
    with pytest.raises(ValueError, match="warmup must be a whole number above 0; got -1"):
        explain_timing([explainer], X, warmup=-1)
    with pytest.raises(ValueError, match="at least one explainer; got none"):
        explain_timing({"student": []}, X)
    with pytest.raises(TypeError, match="explainers must be a list, or a mapping"):
        explain_timing(explainer, X)
    with pytest.raises(TypeError, match=r"must hold explainers, .*; got Functional"):
        explain_timing([models[1]], X)
