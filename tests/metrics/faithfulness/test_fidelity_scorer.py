import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skkd import FeatureMapExplainer, FiveBlockCNN, NetworkClassifier
from skkd.metrics import fidelity_score, make_fidelity_scorer


@pytest.mark.filterwarnings("ignore:.*images are skipped")
def test_the_scorer_gives_the_same_inside_a_grid_search_as_outside(digits):
    X, y = digits[0][:200], digits[1][:200]
    options = {"mask": "top", "fraction": 0.3, "random_state": 0}
    classifier = NetworkClassifier(FiveBlockCNN(filters=(4,), dense=()), random_state=0)
    train, test = np.arange(100), np.arange(100, 200)

    search = GridSearchCV(
        classifier,
        {"epochs": [1, 3]},
        scoring={
            "accuracy": "accuracy",
            "fidelity": make_fidelity_scorer(FeatureMapExplainer, **options),
        },
        refit=False,
        cv=[(train, test)],
        error_score="raise",
    ).fit(X, y)

    for candidate, epochs in enumerate([1, 3]):
        again = clone(classifier).set_params(epochs=epochs).fit(X[train], y[train])
        outside = fidelity_score(again, X[test], y[test], FeatureMapExplainer(again), **options)
        inside = search.cv_results_["split0_test_fidelity"][candidate]
        assert inside == pytest.approx(outside, rel=1e-5)
        accuracy = search.cv_results_["split0_test_accuracy"][candidate]
        assert accuracy == again.score(X[test], y[test])


def test_a_scorer_of_removal_is_negated_so_that_higher_is_better(digits, trained):
    X, y = digits[0][:30], digits[1][:30]
    explainer_params = {"reduction": "max", "layers": [0]}
    scorer = make_fidelity_scorer(
        FeatureMapExplainer, explainer_params=explainer_params, mode="remove", baseline="mean"
    )
    explainer = FeatureMapExplainer(trained, **explainer_params)
    expected = fidelity_score(trained, X, y, explainer, mode="remove", baseline="mean")
    assert scorer(trained, X, y) == -expected
    assert pickle.loads(pickle.dumps(scorer))(trained, X, y) == -expected
    assert repr(scorer) == (
        "make_fidelity_scorer(FeatureMapExplainer, mode='remove', baseline='mean')"
    )


def test_unknown_parameters_and_an_explainer_for_a_class_are_refused(trained):
    with pytest.raises(TypeError, match=r"got \['reduction'\]: .* belongs into explainer_params"):
        make_fidelity_scorer(FeatureMapExplainer, reduction="max")
    with pytest.raises(TypeError, match="must be a class such as FeatureMapExplainer"):
        make_fidelity_scorer(FeatureMapExplainer(trained))
