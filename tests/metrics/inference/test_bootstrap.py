import functools

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import stats
from sklearn import metrics
from sklearn.utils import check_random_state
from sklearn.utils.fixes import parse_version

from skkd import FeatureMapExplainer
from skkd.metrics import bootstrap_scores, make_fidelity_scorer, net_benefit

N_CLASSES = 3
AT_ONCE = ["accuracy", "balanced_accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr"]


def probabilities(y, n_classes, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(y), n_classes))
    logits[np.arange(len(y)), y] += 1
    proba = np.exp(logits)
    # Few values, so that some are equal.
    proba = np.round(proba / proba.sum(axis=1, keepdims=True), 1) + 0.01
    return proba / proba.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def three():
    y = np.random.default_rng(0).integers(0, N_CLASSES, 60)
    return y, probabilities(y, N_CLASSES, 1)


@pytest.fixture(scope="module")
def two():
    y = np.random.default_rng(2).integers(0, 2, 50)
    return y, probabilities(y, 2, 3)


def drawn_rows(n, n_resamples, seed):
    return check_random_state(seed).randint(n, size=(n_resamples, n))


def by_hand(name, y, proba):
    predicted = proba.argmax(axis=1)
    return {
        "accuracy": lambda: metrics.accuracy_score(y, predicted),
        "balanced_accuracy": lambda: metrics.balanced_accuracy_score(y, predicted),
        "f1_macro": lambda: metrics.f1_score(y, predicted, average="macro"),
        "neg_log_loss": lambda: -metrics.log_loss(y, proba, labels=range(proba.shape[1])),
        "roc_auc_ovr": lambda: metrics.roc_auc_score(y, proba, multi_class="ovr"),
        "roc_auc": lambda: metrics.roc_auc_score(y, proba[:, 1]),
    }[name]()


@pytest.mark.parametrize("name", [*AT_ONCE, "roc_auc"])
def test_the_ends_are_quantiles_of_what_scikit_learn_says_of_each_resample(name, two, three):
    y, proba = two if name == "roc_auc" else three
    table = bootstrap_scores(name, y, proba, n_resamples=40, confidence=0.8, random_state=7)
    rows = drawn_rows(len(y), 40, 7)
    expected = [by_hand(name, y[drawn], proba[drawn]) for drawn in rows]
    assert table.loc[name, "estimate"] == pytest.approx(by_hand(name, y, proba), abs=1e-12)
    np.testing.assert_allclose(
        table.loc[name, ["low", "high"]].to_numpy(float),
        np.quantile(expected, [0.1, 0.9]),
        atol=1e-12,
    )


def test_any_scorer_metric_and_values_are_of_the_same_resamples(two):
    y, proba = two
    values = np.random.default_rng(4).random(len(y))
    scores = {
        "mcc": "matthews_corrcoef",
        "ap": metrics.make_scorer(metrics.average_precision_score, response_method="predict_proba"),
        "benefit": lambda y, p: net_benefit(y, p[:, 1], 0.3),
        "values": values,
    }
    table = bootstrap_scores(scores, y, proba, n_resamples=20, confidence=0.5, random_state=3)
    expected = [
        [
            metrics.matthews_corrcoef(y[rows], proba[rows].argmax(axis=1)),
            metrics.average_precision_score(y[rows], proba[rows, 1]),
            net_benefit(y[rows], proba[rows, 1], 0.3),
            values[rows].mean(),
        ]
        for rows in drawn_rows(len(y), 20, 3)
    ]
    np.testing.assert_allclose(
        table[["low", "high"]].to_numpy().T, np.quantile(expected, [0.25, 0.75], axis=0)
    )


def test_a_metric_gets_probabilities_as_they_are_given(two):
    y, proba = two
    benefit = functools.partial(net_benefit, thresholds=0.3, pos_label="ill")
    labels = np.array(["fine", "ill"])[y]
    table = bootstrap_scores([benefit, "roc_auc"], labels, proba[:, 1], n_resamples=5)
    assert table.index.to_list() == ["net_benefit", "roc_auc"]
    assert table.estimate["net_benefit"] == net_benefit(y, proba[:, 1], 0.3)
    assert table.estimate["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, proba[:, 1]))


def test_patients_are_drawn_whole(three):
    y, proba = three
    patients = np.repeat([f"p{i}" for i in range(12)], 5)
    table = bootstrap_scores(
        "accuracy", y, proba, groups=patients, n_resamples=30, confidence=0.9, random_state=0
    )
    right = (proba.argmax(axis=1) == y).reshape(12, 5)
    expected = [right[drawn].mean() for drawn in drawn_rows(12, 30, 0)]
    ends = table.loc["accuracy", ["low", "high"]].to_numpy(float)
    np.testing.assert_allclose(ends, np.quantile(expected, [0.05, 0.95]))


def test_images_of_one_patient_that_are_alike_widen_the_interval():
    y = np.random.default_rng(0).integers(0, 2, 40).repeat(10)
    proba = probabilities(y[::10], 2, 1).repeat(10, axis=0)
    width = {}
    for name, groups in (("images", None), ("patients", np.arange(40).repeat(10))):
        row = bootstrap_scores("accuracy", y, proba, groups=groups, random_state=0).iloc[0]
        width[name] = row.high - row.low
    # Ten equal images say as much as one: the standard error is that of a tenth of the rows.
    assert width["patients"] / width["images"] == pytest.approx(np.sqrt(10), rel=0.1)


def test_two_models_are_compared_on_the_same_draws(three):
    y, proba = three
    other = probabilities(y, N_CLASSES, 9)
    values = np.random.default_rng(5).random((len(y), 2))
    scores = {"accuracy": "accuracy", "fidelity": values}
    table = bootstrap_scores(
        scores, y, proba, paired_with=other, n_resamples=50, confidence=0.8, random_state=1
    )
    rows = drawn_rows(len(y), 50, 1)
    right = (proba.argmax(axis=1) == y) - (other.argmax(axis=1) == y).astype(float)
    expected = np.stack([right[rows].mean(axis=1), np.diff(values)[:, 0][rows].mean(axis=1) * -1])
    np.testing.assert_allclose(
        table[["low", "high"]].to_numpy().T, np.quantile(expected, [0.1, 0.9], axis=1)
    )
    far = np.minimum((expected <= 0).sum(axis=1), (expected >= 0).sum(axis=1))
    np.testing.assert_allclose(table.p_value, np.minimum(1, 2 * (far + 1) / 51))
    np.testing.assert_allclose(table.difference, table.estimate - table.paired_with)


def test_a_model_does_not_differ_from_itself(three):
    y, proba = three
    row = bootstrap_scores("accuracy", y, proba, paired_with=proba, n_resamples=20).iloc[0]
    assert (row.difference, row.low, row.high, row.p_value) == (0, 0, 0, 1)


def test_bca_of_a_mean_is_that_of_scipy():
    values = np.array([3, 5, 7, 18, 43, 85, 91, 98, 100, 130, 230, 487.0])
    y = np.arange(12) % 2
    table = bootstrap_scores(
        {"mean": values}, y, y.astype(float), method="bca", n_resamples=4000, random_state=0
    )
    # Another program and other draws: the ends agree within the error of the draws.
    expected = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=40_000, random_state=np.random.RandomState(1)
    ).confidence_interval
    ends = table.loc["mean", ["low", "high"]].to_numpy(float)
    np.testing.assert_allclose(ends, expected, rtol=0.05)
    plain = bootstrap_scores(
        {"mean": values}, y, y.astype(float), n_resamples=4000, random_state=0
    ).iloc[0]
    # The failures of air conditioning are skewed: both ends move up.
    assert ends[0] > plain.low * 1.05
    assert ends[1] > plain.high * 1.05


def test_bca_leaves_out_patients():
    values = np.array([3, 5, 7, 18, 43, 85, 91, 98, 100, 130, 230, 487.0])
    y = np.arange(12) % 2
    kwargs = dict(method="bca", n_resamples=300, random_state=0)
    one = bootstrap_scores({"mean": values}, y, y.astype(float), **kwargs)
    twice = bootstrap_scores(
        {"mean": values.repeat(2)},
        y.repeat(2),
        y.repeat(2).astype(float),
        groups=np.arange(12).repeat(2),
        **kwargs,
    )
    pd.testing.assert_frame_equal(one, twice)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_resamples_without_a_class_are_counted(method):
    y = np.array([1, 0, 0, 0, 0, 0, 0, 0])
    proba = np.linspace(0.9, 0.1, 8)
    scores = ["roc_auc", "accuracy"]
    table = bootstrap_scores(scores, y, proba, method=method, n_resamples=200, random_state=0)
    with_both = sum(0 < (rows == 0).sum() < 8 for rows in drawn_rows(8, 200, 0))
    assert table.n_resamples["roc_auc"] == with_both < 150
    assert table.n_resamples["accuracy"] == 200


def test_resamples_of_which_a_scorer_refuses_the_labels_are_counted(three):
    y, proba = three[0][:6], three[1][:6]
    table = bootstrap_scores("roc_auc_ovo", y, proba, n_resamples=50, random_state=0)
    with_all = sum(len(set(y[rows])) == N_CLASSES for rows in drawn_rows(6, 50, 0))
    assert table.n_resamples["roc_auc_ovo"] == with_all < 50


def test_missing_values_by_image_are_left_out(two):
    y, proba = two
    values = np.where(np.arange(len(y)) % 2, np.nan, np.arange(len(y)))
    table = bootstrap_scores({"fidelity": values}, y, proba, n_resamples=10)
    assert table.estimate["fidelity"] == np.arange(len(y))[::2].mean()


def test_frames_strings_and_other_types_give_the_same(two):
    y, proba = two
    # Which class wins a tie depends on the order of the columns.
    proba = np.where(proba == 0.5, [0.49, 0.51], proba)
    kwargs = dict(n_resamples=10, random_state=0)
    expected = bootstrap_scores(AT_ONCE, y, proba, **kwargs)
    names = np.array(["a", "b"])[y]
    index = np.arange(len(y))[::-1]
    given = [
        (pd.Series(names, index), pd.DataFrame(proba, index, ["a", "b"]), {}),
        (pd.Categorical(names), proba, {}),
        (names.astype(object), proba[:, ::-1], {"labels": ["b", "a"]}),
        (y.astype(bool), proba.tolist(), {}),
    ]
    for labels, values, more in given:
        table = bootstrap_scores(AT_ONCE, labels, values, **kwargs, **more)
        pd.testing.assert_frame_equal(table, expected)


def test_rows_of_half_precision_are_taken(two):
    y, proba = two
    table = bootstrap_scores(["accuracy", "matthews_corrcoef"], y, proba.astype(np.float16))
    assert table.estimate["accuracy"] == (proba.argmax(axis=1) == y).mean()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"confidence": 95}, r"confidence must be a number in \(0, 1\), such as 0.95; got 95"),
        ({"n_resamples": 0}, "n_resamples must be an integer of at least 1; got 0"),
        ({"method": "basic"}, 'method must be "percentile" or "bca"'),
        ({"groups": [1, 2]}, "groups must have one group.*each of the 50 images; got 2 groups"),
        ({"groups": [None] * 50}, "50 are missing, the first in row 0"),
        ({"groups": ["x"] * 50}, "at least two groups to draw from; got 'x' alone"),
        ({"paired_with": np.ones((50, 3)) / 3}, "paired_with must have one column for each"),
        ({"paired_with": [0.5] * 49}, "paired_with must have as many rows"),
        ({"y_proba": np.zeros((50, 2))}, "y_proba must sum to 1"),
        ({"labels": [0, 1, 2]}, "y_proba must have one column for each of the 3 classes"),
        ({"scores": []}, "at least one score"),
        ({"scores": 3}, "scores must be a name, a callable"),
        ({"scores": [[1, 2]]}, "pass values by image in a mapping"),
        ({"scores": {"fid": [1, 2]}}, r"values of shape \(50,\)"),
        ({"scores": ["accuracy", "accuracy"]}, "names of their own"),
        (
            {"scores": "no_such_score"},
            r"get_scorer_names\(\).*got 'no_such_score'",
        ),
        ({"scores": make_fidelity_scorer(FeatureMapExplainer)}, "pass the fidelity of each"),
    ],
)
def test_what_is_malformed_is_refused(two, changed, message):
    y, proba = two
    arguments = {"scores": "accuracy", "y_true": y, "y_proba": proba, "n_resamples": 5} | changed
    with pytest.raises((ValueError, TypeError), match=message):
        bootstrap_scores(**arguments)


def test_the_global_random_state_is_left_alone(two):
    before = np.random.get_state()[1].tolist()
    bootstrap_scores("accuracy", *two, n_resamples=5, random_state=0)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("name", ["recall", "precision", "f1", "average_precision"])
def test_what_scikit_learn_calls_0_for_want_of_cases_is_undefined(name):
    y = np.array([1, 1] + [0] * 28)
    # A perfect model: of every resample with a case the score is 1.
    table = bootstrap_scores(name, y, np.where(y == 1, 0.9, 0.1), n_resamples=300, random_state=0)
    with_cases = sum((y[rows] == 1).any() for rows in drawn_rows(30, 300, 0))
    assert table.loc[name, ["estimate", "low", "high"]].tolist() == [1, 1, 1]
    assert table.n_resamples[name] == with_cases < 300


def test_correlation_is_that_of_scikit_learn_and_undefined_of_one_class(three):
    y, proba = three
    name = "matthews_corrcoef"
    table = bootstrap_scores(name, y, proba, n_resamples=30, confidence=0.6, random_state=5)
    expected = [
        metrics.matthews_corrcoef(y[rows], proba[rows].argmax(axis=1))
        for rows in drawn_rows(len(y), 30, 5)
    ]
    ends = table.loc[name, ["low", "high"]].to_numpy(float)
    np.testing.assert_allclose(ends, np.quantile(expected, [0.2, 0.8]))
    constant = bootstrap_scores(name, [0, 1, 1], [0.9, 0.9, 0.9], n_resamples=5)
    assert constant.estimate[name] == 0
    single = bootstrap_scores(name, [1, 1, 1], [0.9, 0.2, 0.9], labels=[0, 1], n_resamples=5)
    assert single.isna().loc[name, ["estimate", "low", "high"]].all()


@pytest.mark.parametrize("name", ["roc_auc_ovo", "top_k_accuracy", "neg_brier_score"])
def test_columns_may_be_in_any_order_for_every_scorer(three, name):
    y, proba = three
    names = np.array(["a", "b", "c"])[y]
    score = name
    if name == "top_k_accuracy":
        score = metrics.make_scorer(
            metrics.top_k_accuracy_score, response_method="predict_proba", k=2
        )
    elif name == "neg_brier_score" and parse_version(sklearn.__version__) < parse_version("1.7"):
        pytest.skip("scikit-learn 1.6 has no Brier score of several classes")
    kwargs = dict(n_resamples=10, random_state=0)
    sorted_ones = bootstrap_scores({"s": score}, names, proba, **kwargs)
    other = bootstrap_scores(
        {"s": score}, names, proba[:, [2, 0, 1]], labels=["c", "a", "b"], **kwargs
    )
    pd.testing.assert_frame_equal(sorted_ones, other)


def test_a_score_that_is_undefined_of_all_rows_is_missing():
    table = bootstrap_scores(
        {"auc": "roc_auc", "none": [np.nan] * 3},
        [1, 1, 1],
        [0.5, 0.7, 0.2],
        labels=[0, 1],
        n_resamples=5,
    )
    assert table[["estimate", "low", "high"]].isna().all(axis=None)
    assert table["n_resamples"].tolist() == [0, 0]


def test_a_score_of_one_label_that_is_not_known_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"precision.*make_scorer\(f1_score, pos_label='ill'\)"):
        bootstrap_scores("precision", ["a", "b"], [0.1, 0.9], n_resamples=5)


def test_the_loss_of_probabilities_of_0_is_that_of_scikit_learn_in_every_precision():
    y = np.array([0, 1, 1, 0])
    for dtype in (np.float16, np.float32, np.float64):
        proba = np.array([[1, 0], [1, 0], [0.25, 0.75], [0.5, 0.5]], dtype)
        table = bootstrap_scores("neg_log_loss", y, proba, n_resamples=3)
        expected = -metrics.log_loss(y, proba)
        assert table.estimate["neg_log_loss"] == pytest.approx(expected, rel=1e-3)


def test_bca_that_cannot_be_is_said():
    y = np.arange(21) == 10
    proba = np.linspace(0.6, 0.2, 21)
    with pytest.warns(UserWarning, match="roc_auc has no BCa interval"):
        table = bootstrap_scores("roc_auc", y, proba, method="bca", n_resamples=50)
    assert table.loc["roc_auc", ["low", "high"]].isna().all()


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_missing_patients_and_labels_in_a_list_are_found(missing):
    with pytest.raises(ValueError, match="groups must have a group for every image; 1"):
        bootstrap_scores("accuracy", [0, 1, 1], [0.2, 0.8, 0.7], groups=["p1", missing, "p2"])
    with pytest.raises(ValueError, match="y_true must have a label for every row; 1"):
        bootstrap_scores("accuracy", ["a", missing, "b"], [0.2, 0.8, 0.7])


def test_patients_of_two_kinds_are_refused():
    with pytest.raises(ValueError, match="names or numbers, not both"):
        bootstrap_scores("accuracy", [0, 1, 1], [0.2, 0.8, 0.7], groups=[1, "1", 2])


def test_infinite_values_are_refused(two):
    y, proba = two
    values = np.where(np.arange(len(y)) == 3, np.inf, 1.0)
    with pytest.raises(ValueError, match=r"scores\['v'\] must be finite"):
        bootstrap_scores({"v": values}, y, proba)
