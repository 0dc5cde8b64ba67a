"""Students inside what scikit-learn and Optuna put around a classifier."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import sklearn
from PIL import Image
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax
from scipy.stats import loguniform, uniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_digits
from sklearn.ensemble import AdaBoostClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    ParameterSampler,
    RandomizedSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.fixes import parse_version

from skkd import MLP, FeatureMapExplainer, FiveBlockCNN, KDClassifier, NetworkClassifier

NETWORK = FiveBlockCNN(filters=(3,), dense=())
FOLDS = KFold(2)


@pytest.fixture(scope="module")
def data(digits):
    """48 images, with the labels of three classes as a user names them."""
    X, y = digits
    return X[:48], np.array(["a", "b", "c"])[y[:48] % 3]


@pytest.fixture(scope="module")
def teacher(data):
    return NetworkClassifier(NETWORK, epochs=20, learning_rate=0.03, random_state=1).fit(*data)


@pytest.fixture(scope="module")
def student(teacher):
    """A student that is not fitted. Tests must not change it."""
    small = NetworkClassifier(NETWORK, epochs=1, learning_rate=0.02, random_state=0)
    return KDClassifier(teacher.model_, small, alpha=0.3)


@pytest.fixture(scope="module")
def of_folds(student, data):
    """The students of the folds, fitted by hand. Tests must not change them."""
    return [fit(student, *data, train) for train, _ in FOLDS.split(data[0])]


def fit(estimator, X, y, rows=slice(None), **params):
    return clone(estimator).fit(X[rows], y[rows], **params)


def weights(estimator):
    return np.concatenate([w.ravel() for w in estimator.model_.get_weights()])


def assert_same_network(one, other):
    np.testing.assert_array_equal(weights(one), weights(other))


def score_by_hand(estimator, X, y, folds=FOLDS, **params):
    """Return the mean score of cross-validation."""
    scores = []
    for train, test in folds.split(X, y):
        fitted = clone(estimator).set_params(**params).fit(X[train], y[train])
        scores.append(-log_loss(y[test], fitted.predict_proba(X[test])))
    return np.mean(scores)


def test_a_grid_search_finds_the_best_by_hand(student, data):
    grid = [{"alpha": [0.0]}, {"alpha": [1.0], "student__network__filters": [(2,)]}]
    search = GridSearchCV(student, grid, scoring="neg_log_loss", cv=FOLDS).fit(*data)
    params = search.cv_results_["params"]
    by_hand = [score_by_hand(student, *data, **candidate) for candidate in params]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-6)
    assert search.best_params_ == params[np.argmax(by_hand)]
    best = clone(student).set_params(**search.best_params_).fit(*data)
    assert_same_network(search.best_estimator_, best)


def test_a_halving_search_gives_its_epochs_to_the_best(student, data):
    search = HalvingGridSearchCV(
        student,
        {"alpha": [0.0, 0.5, 1.0]},
        resource="student__epochs",
        min_resources=1,
        max_resources=3,
        factor=3,
        scoring="neg_log_loss",
        cv=FOLDS,
    ).fit(*data)
    assert search.n_candidates_ == [3, 1]
    results = pd.DataFrame(search.cv_results_)
    epochs = [params["student__epochs"] for params in results.params]
    assert epochs == results.n_resources.tolist() == [1, 1, 1, 3]
    assert results.param_alpha[3] == results.param_alpha[results.mean_test_score[:3].idxmax()]
    by_hand = score_by_hand(student, *data, **search.best_params_)
    assert results.mean_test_score[3] == pytest.approx(by_hand, rel=1e-6)
    assert search.best_estimator_.n_iter_ == 3


def test_a_halving_search_of_rows_takes_what_a_teacher_said_of_them(student, teacher, data):
    X, y = data
    search = HalvingGridSearchCV(
        clone(student).set_params(teacher=None),
        {"alpha": [0.0, 0.5]},
        resource="n_samples",
        min_resources=24,
        factor=2,
        scoring="neg_log_loss",
        cv=FOLDS,
    ).fit(X, y, teacher_logits=teacher.decision_function(X))
    assert search.n_resources_ == [24, 48]
    by_hand = score_by_hand(student, X, y, **search.best_params_)
    assert search.cv_results_["mean_test_score"][-1] == pytest.approx(by_hand, rel=1e-5)


def test_a_random_search_draws_from_distributions(student, data):
    drawn = {"alpha": uniform(), "temperature": loguniform(0.5, 20)}
    search = RandomizedSearchCV(
        student, drawn, n_iter=2, scoring="neg_log_loss", cv=FOLDS, random_state=0
    ).fit(*data)
    params = search.cv_results_["params"]
    assert params == list(ParameterSampler(drawn, 2, random_state=0))
    by_hand = [score_by_hand(student, *data, **candidate) for candidate in params]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-6)


def test_cross_val_predict_is_folds_by_hand(student, of_folds, data):
    X, y = data
    for method in ("predict", "predict_proba"):
        predicted = cross_val_predict(student, X, y, cv=FOLDS, method=method)
        for fitted, (_, test) in zip(of_folds, FOLDS.split(X), strict=True):
            np.testing.assert_array_equal(predicted[test], getattr(fitted, method)(X[test]))


@pytest.mark.parametrize("incremental", [False, True])
def test_a_learning_curve_is_fits_on_parts_by_hand(incremental, student, data):
    X, y = data
    ((train, test), _) = FOLDS.split(X)
    sizes, _, scores = learning_curve(
        student,
        X,
        y,
        train_sizes=[12, 24],
        cv=[(train, test)],
        scoring="neg_log_loss",
        exploit_incremental_learning=incremental,
    )
    assert sizes.tolist() == [12, 24]
    fitted = clone(student)
    for rows, score in zip((train[:12], train[12:]), scores[:, 0], strict=True):
        if incremental:
            fitted.partial_fit(X[rows], y[rows], classes=["a", "b", "c"])
        else:
            fitted.fit(X[train[0] : rows[-1] + 1], y[train[0] : rows[-1] + 1])
        by_hand = -log_loss(y[test], fitted.predict_proba(X[test]))
        assert score == pytest.approx(by_hand, rel=1e-6)


def test_a_pipeline_is_its_parts(student, data):
    X, y = data
    sample_weight = np.linspace(0.5, 2, 48)
    half = FunctionTransformer(lambda images: images / 2)
    pipeline = Pipeline([("half", half), ("kd", clone(student))])
    pipeline.fit(X, y, kd__sample_weight=sample_weight)
    by_hand = fit(student, X / 2, y, sample_weight=sample_weight)
    assert_same_network(pipeline["kd"], by_hand)
    np.testing.assert_array_equal(pipeline.predict_proba(X), by_hand.predict_proba(X / 2))
    assert pipeline.score(X, y) == by_hand.score(X / 2, y)


def test_columns_of_a_table_are_brought_to_a_student_of_tables(rng):
    table = pd.DataFrame(rng.normal(size=(40, 3)), columns=["age", "dose", "site"])
    y = (table["age"] > 0).to_numpy()
    columns = make_column_transformer((StandardScaler(), ["age", "dose"]), remainder="passthrough")
    small = NetworkClassifier(MLP(hidden=(3,)), epochs=2, random_state=0)
    student = KDClassifier(LogisticRegression(), small)
    pipeline = make_pipeline(columns, student).fit(table, y)
    brought = table.to_numpy().copy()
    brought[:, :2] = (brought[:, :2] - brought[:, :2].mean(axis=0)) / brought[:, :2].std(axis=0)
    expected = fit(student, brought, y).predict_proba(brought)
    np.testing.assert_allclose(pipeline.predict_proba(table), expected, atol=1e-6)
    named = clone(pipeline).set_output(transform="pandas").fit(table, y)
    names = ["standardscaler__age", "standardscaler__dose", "remainder__site"]
    assert named[-1].feature_names_in_.tolist() == names
    np.testing.assert_allclose(named.predict_proba(table), expected, atol=1e-6)


def test_maps_of_a_column_of_files_stand_beside_other_columns(data, teacher, tmp_path):
    X, y = data
    paths = [str(tmp_path / f"{number}.png") for number in range(48)]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image[..., 0].astype(np.uint8)).save(path)
    table = pd.DataFrame({"image": paths, "age": np.arange(48.0)})
    maps = FeatureMapExplainer(teacher, flatten=True)
    columns = ColumnTransformer(
        [("maps", maps, ["image"]), ("age", "passthrough", ["age"])],
        verbose_feature_names_out=False,
    )
    both = columns.set_output(transform="pandas").fit_transform(table)
    assert both.columns[[0, 63, 64]].tolist() == ["block1_conv_0_0", "block1_conv_7_7", "age"]
    np.testing.assert_array_equal(both.iloc[:, :64], maps.fit().transform(X))
    np.testing.assert_array_equal(both["age"], table["age"])
    pipeline = make_pipeline(columns, StandardScaler(), LogisticRegression())
    assert cross_validate(pipeline, table, y, cv=3)["test_score"].mean() > 0.5


def inverse_temperature(logits, y):
    """Return what logits are multiplied by for the smallest cross-entropy."""

    def loss(beta):
        return -np.mean(log_softmax(beta * logits, axis=1)[np.arange(len(y)), y])

    return minimize_scalar(loss, bounds=(1e-6, 1e3), method="bounded", options={"xatol": 1e-9}).x


def sigmoid(scores, positive):
    """Return slope and offset of Platt's sigmoid, fitted to labels drawn in by a count of one."""
    n, n_positive = len(positive), positive.sum()
    targets = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n - n_positive + 2))

    def loss(line):
        p = np.clip(expit(line[0] * scores + line[1]), 1e-15, 1 - 1e-15)
        return -np.sum(targets * np.log(p) + (1 - targets) * np.log1p(-p))

    return minimize(loss, [0, 0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x


@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_calibration_of_images_is_that_of_their_logits_by_hand(method, student, of_folds, data):
    if method == "temperature" and parse_version(sklearn.__version__) < parse_version("1.8"):
        pytest.skip("temperature scaling came with scikit-learn 1.8")
    X, y = data
    calibrated = CalibratedClassifierCV(student, method=method, cv=FOLDS).fit(X, y)
    codes = np.searchsorted(["a", "b", "c"], y)
    by_hand = []
    for fitted, (_, test) in zip(of_folds, FOLDS.split(X), strict=True):
        logits = fitted.decision_function(X)
        if method == "temperature":
            beta = inverse_temperature(logits[test], codes[test])
            by_hand.append(softmax(beta * logits, axis=1))
        else:
            lines = [sigmoid(logits[test, k], codes[test] == k) for k in range(3)]
            slope, offset = np.transpose(lines)
            proba = expit(slope * logits + offset)
            by_hand.append(proba / proba.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(
        calibrated.predict_proba(X), np.mean(by_hand, axis=0), rtol=1e-3, atol=1e-4
    )
    assert calibrated.classes_.tolist() == ["a", "b", "c"]
    assert calibrated.n_features_in_ == 8


def test_a_tuned_threshold_is_the_best_by_hand(student, data):
    X, y = data
    y = np.where(y == "a", "ill", "well")
    small = clone(student.student).set_params(epochs=4)
    thresholds, folds = [0.2, 0.4, 0.5, 0.6, 0.8], StratifiedKFold(2)
    tuned = TunedThresholdClassifierCV(
        small, scoring="balanced_accuracy", cv=folds, thresholds=thresholds
    ).fit(X, y)
    scores = []
    for train, test in folds.split(X, y):
        proba = fit(small, X, y, train).predict_proba(X[test])[:, 1]
        predicted = [np.where(proba >= threshold, "well", "ill") for threshold in thresholds]
        scores.append([balanced_accuracy_score(y[test], labels) for labels in predicted])
    assert tuned.best_score_ == pytest.approx(np.mean(scores, axis=0).max())
    well = fit(small, X, y).predict_proba(X)[:, 1] >= tuned.best_threshold_
    assert tuned.predict(X).tolist() == np.where(well, "well", "ill").tolist()


def test_a_soft_vote_is_the_mean_of_its_voters(student, data):
    X, y = data
    plain = NetworkClassifier(NETWORK, epochs=1, random_state=3)
    voting = VotingClassifier([("kd", student), ("plain", plain)], voting="soft").fit(X, y)
    means = (fit(student, X, y).predict_proba(X) + fit(plain, X, y).predict_proba(X)) / 2
    np.testing.assert_allclose(voting.predict_proba(X), means, rtol=1e-6)
    assert voting.predict(X).tolist() == np.array(["a", "b", "c"])[means.argmax(axis=1)].tolist()


def test_a_stack_learns_from_predictions_across_folds(student, of_folds, data):
    X, y = data
    final = LogisticRegression()
    stack = StackingClassifier([("kd", student)], final, cv=FOLDS).fit(X, y)
    across = [
        fitted.predict_proba(X[test])
        for fitted, (_, test) in zip(of_folds, FOLDS.split(X), strict=True)
    ]
    expected = clone(final).fit(np.concatenate(across), y)
    np.testing.assert_allclose(stack.final_estimator_.coef_, expected.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        stack.predict_proba(X),
        expected.predict_proba(fit(student, X, y).predict_proba(X)),
        rtol=1e-4,
    )


def test_boosting_gives_more_weight_to_what_was_mistaken(student, data):
    X, y = data
    learned = clone(student).set_params(student__epochs=5)
    booster = AdaBoostClassifier(learned, n_estimators=2, random_state=0).fit(X, y)
    first, second = booster.estimators_
    share = np.full(48, 1 / 48)
    assert_same_network(first, fit(first, X, y, sample_weight=share))
    wrong = first.predict(X) != y
    error = wrong.mean()
    assert booster.estimator_errors_[0] == pytest.approx(error)
    # SAMME for three classes.
    say = np.log((1 - error) / error) + np.log(2)
    assert booster.estimator_weights_[0] == pytest.approx(say)
    share = share * np.exp(say * wrong)
    assert_same_network(second, fit(second, X, y, sample_weight=share / share.sum()))
    assert second.student.random_state != first.student.random_state


def test_one_against_the_rest_is_a_student_for_each_class(student, data):
    X, y = data
    learned = clone(student).set_params(teacher=LogisticRegression(max_iter=200))
    against = OneVsRestClassifier(learned).fit(X, y)
    proba = []
    for label, fitted in zip("abc", against.estimators_, strict=True):
        by_hand = fit(learned, X, (y == label).astype(int))
        assert_same_network(fitted, by_hand)
        proba.append(by_hand.predict_proba(X)[:, 1])
    proba = np.transpose(proba)
    np.testing.assert_allclose(
        against.predict_proba(X), proba / proba.sum(axis=1, keepdims=True), rtol=1e-6
    )
    # A teacher of all three classes has nothing to say about two.
    with pytest.raises(ValueError, match=r"have shape \(48, 3\), but y has 2 classes"):
        OneVsRestClassifier(student).fit(X, y)


def test_no_patient_is_on_both_sides_of_a_fold(student, data):
    X, y = data
    patients = np.array([f"patient {number // 4}" for number in range(48)])
    folds = StratifiedGroupKFold(2, shuffle=True, random_state=0)
    results = cross_validate(
        student, X, y, groups=patients, cv=folds, return_estimator=True, return_indices=True
    )
    sides = zip(results["indices"]["train"], results["indices"]["test"], strict=True)
    for number, (train, test) in enumerate(sides):
        assert not set(patients[train]) & set(patients[test])
        by_hand = fit(student, X, y, train)
        assert_same_network(results["estimator"][number], by_hand)
        assert results["test_score"][number] == by_hand.score(X[test], y[test])


def metadata(X, y, logits):
    """What may be said of images beside their labels."""
    return {
        "weights": {"sample_weight": np.linspace(0.1, 3, 48)},
        "what a teacher said": {"teacher_logits": logits},
        "its probabilities": {"teacher_proba": softmax(logits, axis=1)},
        "validation": {"X_val": X[:9], "y_val": y[:9], "sample_weight_val": np.arange(9.0)},
        "patients": {"groups": np.arange(48) // 4},
        "images without labels": {"X_unlabeled": X[:7] + 1},
    }


@pytest.mark.parametrize("name", metadata(*np.zeros((3, 48, 3))))
def test_metadata_reach_a_fold_as_its_rows(name, student, teacher, data):
    X, y = data
    given = metadata(X, y, teacher.decision_function(X))[name]
    learner = clone(student).set_params(student__early_stopping="groups" in given)
    if given.keys() & {"teacher_logits", "teacher_proba"}:
        learner.set_params(teacher=None)
    folds = StratifiedGroupKFold(2) if "groups" in given else FOLDS
    train, test = next(folds.split(X, y, given.get("groups")))
    rows = {key: value[train] if len(value) == 48 else value for key, value in given.items()}
    expected = fit(learner, X, y, train, **rows)
    # They do not go unheard.
    assert expected.history_ != fit(learner, X, y, train).history_
    params = {"cv": [(train, test)], "params": given, "return_estimator": True}
    (fitted,) = cross_validate(learner, X, y, **params)["estimator"]
    assert_same_network(fitted, expected)
    assert fitted.history_ == expected.history_
    with config_context(enable_metadata_routing=True):
        learner.set_fit_request(**dict.fromkeys(given, True))
        if "sample_weight" in given:
            learner.set_score_request(sample_weight=True)
        results = cross_validate(learner, X, y, **params)
    (fitted,) = results["estimator"]
    assert_same_network(fitted, expected)
    assert fitted.history_ == expected.history_
    correct = expected.predict(X[test]) == y[test]
    score = np.average(correct, weights=given.get("sample_weight", np.ones(48))[test])
    assert results["test_score"] == pytest.approx(score)


def test_groups_go_to_a_splitter_and_to_fit(student, data):
    X, y = data
    patients = np.arange(48) // 4
    learner = clone(student).set_params(student__early_stopping=True)
    folds = StratifiedGroupKFold(2)
    by_hand = [
        fit(learner, X, y, train, groups=patients[train]).history_
        for train, _ in folds.split(X, y, patients)
    ]
    with config_context(enable_metadata_routing=True):
        learner.set_fit_request(groups=True)
        results = cross_validate(
            learner, X, y, params={"groups": patients}, cv=folds, return_estimator=True
        )
    assert [fitted.history_ for fitted in results["estimator"]] == by_hand


def test_metadata_that_are_not_requested_are_refused_where_routing_is_on(student, data):
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(student, {"alpha": [0.5]}, cv=FOLDS)
        with pytest.raises(ValueError, match=r"\[teacher_logits\] are passed but are not explici"):
            search.fit(*data, teacher_logits=np.ones((48, 3)))


def test_optunas_search_scores_as_folds_by_hand(student, data):
    optuna = pytest.importorskip("optuna", reason="needs the extra 'search'")
    integration = pytest.importorskip("optuna_integration", reason="needs the extra 'search'")
    space = {
        "alpha": optuna.distributions.FloatDistribution(0, 1),
        "student__epochs": optuna.distributions.IntDistribution(1, 2),
    }
    options = {"n_trials": 2, "cv": FOLDS, "scoring": "neg_log_loss", "random_state": 0}
    search = integration.OptunaSearchCV(student, space, **options).fit(*data)
    for trial in search.trials_:
        by_hand = score_by_hand(student, *data, **trial.params)
        assert trial.value == pytest.approx(by_hand, rel=1e-6)
    assert len({trial.params["alpha"] for trial in search.trials_}) == 2
    best = clone(student).set_params(**search.best_params_).fit(*data)
    assert_same_network(search.best_estimator_, best)


class Death(keras.callbacks.Callback):
    """The end of the process, in the middle of a fit."""

    def on_epoch_begin(self, epoch, logs=None):
        os.kill(os.getpid(), signal.SIGKILL)


def study_with_journal(journal, dies_in=None):
    """Run, or go on with, a study that is written down in a file."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    X, y = load_digits(n_class=3, return_X_y=True)
    small = NetworkClassifier(MLP(hidden=(3,)), epochs=1, random_state=0)
    student = KDClassifier(LogisticRegression(max_iter=200), small)
    grid = {"alpha": [0.0, 0.5], "temperature": [1.0, 4.0]}

    def objective(trial):
        params = {name: trial.suggest_categorical(name, grid[name]) for name in grid}
        if trial.number == dies_in:
            params["student__callbacks"] = [Death()]
        return score_by_hand(student, X[:60], y[:60], **params)

    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal))),
        study_name="students",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.GridSampler(grid, seed=0),
    )
    study.optimize(objective)
    return study, objective


@pytest.mark.slow
def test_a_study_with_a_journal_goes_on_after_a_kill(tmp_path):
    optuna = pytest.importorskip("optuna", reason="needs the extra 'search'")
    journal = tmp_path / "journal.log"
    run = f"import {__name__} as tests; tests.study_with_journal({str(journal)!r}, dies_in=2)"
    killed = subprocess.run(
        [sys.executable, "-c", run], cwd=Path(__file__).parent, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    study, objective = study_with_journal(journal)
    state = optuna.trial.TrialState
    complete = [trial for trial in study.trials if trial.state == state.COMPLETE]
    # What was finished stays, and of what was not, nothing is missing in the end.
    assert [trial.number for trial in complete] == [0, 1, 3, 4]
    params = [(trial.params["alpha"], trial.params["temperature"]) for trial in complete]
    assert sorted(params) == [(0.0, 1.0), (0.0, 4.0), (0.5, 1.0), (0.5, 4.0)]
    for trial in complete:
        again = objective(optuna.trial.FixedTrial(trial.params))
        assert trial.value == pytest.approx(again, rel=1e-6)
