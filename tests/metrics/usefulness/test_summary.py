import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skkd.metrics import bootstrap_scores, classification_summary


class Table:
    """A classifier that knows its probabilities by heart and counts how often it is asked."""

    def __init__(self, proba, classes):
        self.proba = np.asarray(proba)
        self.classes_ = np.asarray(classes)
        self.n_calls = 0

    def predict_proba(self, X):
        self.n_calls += 1
        return self.proba


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    return X[::2, :2], names[::2], X[1::2, :2], names[1::2]


def test_figures_are_those_worked_out_by_hand():
    # Rows of x, y, z, z; the third is taken for y.
    proba = [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]]
    model = Table(proba, ["x", "y", "z"])

    row = classification_summary({"table": model}, np.zeros((4, 1)), list("xyzz")).loc["table"]

    assert row["accuracy"] == 0.75
    assert row["log_loss"] == pytest.approx(-np.log(0.8 * 0.6 * 0.3 * 0.7) / 4)
    # F1 of x, y, z: 1; precision 1/2 and recall 1; precision 1 and recall 1/2.
    assert row["macro_f1"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    # Every class is ranked above the rest without exception.
    assert row["roc_auc"] == 1.0


def test_one_against_the_rest_auc_is_averaged_over_classes():
    proba = [[0.4, 0.3, 0.3], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.1, 0.2, 0.7]]
    model = Table(proba, ["x", "y", "z"])

    row = classification_summary({"table": model}, np.zeros((4, 1)), list("xyzy")).loc["table"]

    # Pairs ranked rightly: x 2 of 3; y {.4, .2} above {.3, .2}: 2.5 of 4; z .6 above 2 of 3.
    assert row["roc_auc"] == pytest.approx((2 / 3 + 2.5 / 4 + 2 / 3) / 3)


@pytest.mark.parametrize("classifier", [GaussianNB(), DecisionTreeClassifier(max_depth=2)])
def test_figures_agree_with_scikit_learn_on_several_classes(iris, classifier):
    X_train, y_train, X, y = iris
    model = classifier.fit(X_train, y_train)

    row = classification_summary([model], X, y).iloc[0]

    proba, predicted = model.predict_proba(X), model.predict(X)
    assert row["accuracy"] == accuracy_score(y, predicted)
    assert row["log_loss"] == pytest.approx(log_loss(y, proba))
    assert row["macro_f1"] == pytest.approx(f1_score(y, predicted, average="macro"))
    assert row["roc_auc"] == pytest.approx(roc_auc_score(y, proba, multi_class="ovr"))


def test_figures_agree_with_scikit_learn_on_two_classes():
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[::2, :3], y[::2])

    row = classification_summary({"m": model}, X[1::2, :3], y[1::2]).loc["m"]

    proba = model.predict_proba(X[1::2, :3])
    assert row["accuracy"] == accuracy_score(y[1::2], model.predict(X[1::2, :3]))
    assert row["log_loss"] == pytest.approx(log_loss(y[1::2], proba))
    assert row["roc_auc"] == pytest.approx(roc_auc_score(y[1::2], proba[:, 1]))


def test_each_estimator_is_asked_for_its_probabilities_exactly_once():
    models = {name: Table([[0.9, 0.1], [0.2, 0.8]], [0, 1]) for name in ("teacher", "student")}

    classification_summary(models, np.zeros((2, 1)), [0, 1])

    assert [model.n_calls for model in models.values()] == [1, 1]


def test_rows_keep_the_order_and_the_names_given(iris):
    X_train, y_train, X, y = iris
    models = {
        "teacher": GaussianNB().fit(X_train, y_train),
        "baseline": DummyClassifier().fit(X_train, y_train),
    }

    summary = classification_summary(models, X, y)

    assert summary.index.tolist() == ["teacher", "baseline"]
    assert summary.columns.tolist() == ["accuracy", "log_loss", "macro_f1", "roc_auc"]


def test_a_list_is_named_after_classes_and_numbered_where_they_repeat(iris):
    X_train, y_train, X, y = iris
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9]}, cv=2)
    models = [GaussianNB(), DummyClassifier(), GaussianNB(priors=[0.2, 0.2, 0.6]), search]

    summary = classification_summary([model.fit(X_train, y_train) for model in models], X, y)

    assert summary.index.tolist() == [
        "GaussianNB-1",
        "DummyClassifier",
        "GaussianNB-2",
        "GridSearchCV",
    ]


def test_columns_are_matched_by_label_even_when_classes_are_not_sorted(iris):
    X_train, y_train, X, y = iris
    model = GaussianNB().fit(X_train, y_train)
    turned = Table(model.predict_proba(X)[:, [2, 0, 1]], model.classes_[[2, 0, 1]])

    summary = classification_summary({"sorted": model, "turned": turned}, X, y)

    np.testing.assert_allclose(summary.loc["turned"], summary.loc["sorted"], rtol=1e-12)


@pytest.mark.filterwarnings("error")
def test_auc_is_quietly_nan_and_the_rest_defined_when_a_class_is_absent(iris):
    X_train, y_train, X, y = iris
    keep = y != "setosa"
    model = GaussianNB().fit(X_train, y_train)

    row = classification_summary([model], X[keep], y[keep]).iloc[0]

    assert np.isnan(row["roc_auc"])
    assert row["accuracy"] == accuracy_score(y[keep], model.predict(X[keep]))
    assert row["log_loss"] == pytest.approx(
        log_loss(y[keep], model.predict_proba(X[keep]), labels=model.classes_)
    )


def test_single_precision_probabilities_are_accepted():
    proba = np.full((4, 3), 1 / 3, dtype=np.float32)
    proba[0] = [0.7, 0.2, 0.1]

    row = classification_summary([Table(proba, [0, 1, 2])], np.zeros((4, 1)), [0, 1, 2, 2]).iloc[0]

    assert row["log_loss"] == pytest.approx((3 * np.log(3) - np.log(0.7)) / 4, rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_probabilities_of_sixteen_bits_are_accepted():
    proba = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.7, 0.05]]).astype("float16")

    row = classification_summary([Table(proba, [0, 1, 2])], np.zeros((3, 1)), [0, 2, 1]).iloc[0]

    assert row["accuracy"] == row["roc_auc"] == 1
    assert row["log_loss"] == pytest.approx(-np.log([0.7, 0.6, 0.7]).mean(), abs=2e-3)


@pytest.mark.parametrize(
    ("proba", "y", "message"),
    [
        ([[0.9, 0.1], [0.2, 0.9]], [0, 1], r"estimators\['m'\]: .*row 1 sums to 1.1"),
        ([[1.2, -0.2], [0.2, 0.8]], [0, 1], r"estimators\['m'\]: y_proba must lie in \[0, 1\]"),
        ([[0.9, 0.1], [np.nan, 0.8]], [0, 1], r"estimators\['m'\]: .*y_proba contains NaN"),
        ([[0.9], [0.8]], [0, 1], r"estimators\['m'\]: .*the 2 classes \[0, 1\]; got 1 columns"),
        ([[0.9, 0.1], [0.2, 0.8]], [0, 7], r"only the classes \[0, 1\]; got \[7\] as well"),
        ([[0.9, 0.1], [0.2, 0.8]], [0, np.nan], "must have a label for every row; 1 are missing"),
        ([[0.9, 0.1], [0.2, 0.8]], [0, 1, 1], "inconsistent numbers of samples: \\[2, 3\\]"),
    ],
)
def test_bad_probabilities_and_labels_are_refused_by_name(proba, y, message):
    with pytest.raises(ValueError, match=message):
        classification_summary({"m": Table(proba, [0, 1])}, np.zeros((2, 1)), y)


def test_estimators_of_a_wrong_kind_are_refused(iris):
    X_train, y_train, X, y = iris
    margin_only = LinearSVC().fit(X_train, y_train)

    with pytest.raises(TypeError, match=r"estimators\['svm'\] must have predict_proba"):
        classification_summary({"svm": margin_only}, X, y)
    with pytest.raises(TypeError, match="mapping of names to estimators, or a list; got GaussianN"):
        classification_summary(GaussianNB(), X, y)
    with pytest.raises(ValueError, match="at least one estimator"):
        classification_summary([], X, y)


def test_intervals_are_those_of_any_score_by_the_bootstrap(iris):
    X, y, X_test, y_test = iris
    model = GaussianNB().fit(X, y)
    patients = np.arange(len(y_test)) // 3
    table = classification_summary(
        {"bayes": model}, X_test, y_test, confidence=0.9, groups=patients, random_state=0
    )
    seed = np.random.RandomState(0).randint(2**31 - 1)
    scores = ["accuracy", "neg_log_loss", "f1_macro", "roc_auc_ovr"]
    expected = bootstrap_scores(
        scores,
        y_test,
        model.predict_proba(X_test),
        confidence=0.9,
        groups=patients,
        random_state=seed,
    )
    row = table.loc["bayes"]
    for column, name in zip(["accuracy", "macro_f1", "roc_auc"], np.delete(scores, 1), strict=True):
        found = row[[column, f"{column}_low", f"{column}_high"]].to_list()
        np.testing.assert_allclose(found, expected.loc[name, ["estimate", "low", "high"]].tolist())
    loss = row[["log_loss", "log_loss_high", "log_loss_low"]].to_list()
    np.testing.assert_allclose(
        loss, -expected.loc["neg_log_loss", ["estimate", "low", "high"]].to_numpy(float)
    )
    plain = classification_summary({"bayes": model}, X_test, y_test).loc["bayes"]
    assert plain.to_dict() == row[plain.index].to_dict()


def test_an_undefined_figure_has_no_interval(iris):
    X, y, X_test, y_test = iris
    model = GaussianNB().fit(X, y)
    two = y_test != "setosa"
    row = classification_summary([model], X_test[two], y_test[two], confidence=0.9).iloc[0]
    assert row[["roc_auc", "roc_auc_low", "roc_auc_high"]].isna().all()
    assert row[["accuracy_low", "accuracy_high"]].notna().all()


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_probabilities_that_are_integers_are_taken(confidence):
    model = Table(np.eye(2, dtype=np.int64)[[0, 1, 1, 0]], [0, 1])
    row = classification_summary(
        [model], np.zeros((4, 1)), [0, 1, 0, 1], confidence=confidence, random_state=0
    ).iloc[0]
    assert row["accuracy"] == 0.5
    assert row["log_loss"] == pytest.approx(log_loss([0, 1, 0, 1], np.eye(2)[[0, 1, 1, 0]]))
