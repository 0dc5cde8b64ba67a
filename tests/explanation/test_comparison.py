import matplotlib.pyplot as plt
import numpy as np
import pytest

from skkd import ExplanationDisplay, FeatureMapExplainer, GradCAMExplainer, SHAPExplainer


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_the_papers_figure_is_drawn_from_an_estimator(trained, digits):
    X, y = digits[0][1000:1060], digits[1][1000:1060]
    display = ExplanationDisplay.from_estimator(trained, X, y)
    assert display.map_names == ["Grad-CAM", "SHAP", "block1_conv", "block2_conv"]
    first_of_class = [list(y).index(label) for label in range(10)]
    np.testing.assert_array_equal(display.images, X[first_of_class])
    assert display.row_names == [str(label) for label in range(10)]
    proba = trained.predict_proba(X[first_of_class])
    winner = [f"{p.argmax()} {p.max():.0%}" for p in proba]
    assert display.row_titles == winner


def test_rows_and_explainers_may_be_chosen(trained, digits):
    X = digits[0][1000:1020]
    explainers = [
        GradCAMExplainer(trained, method="layercam"),
        SHAPExplainer(trained, n_samples=4, random_state=0),
        FeatureMapExplainer(trained, layers=[0]),
    ]
    display = ExplanationDisplay.from_estimator(trained, X, explainers=explainers, rows=[3, 1])
    assert display.map_names == ["LayerCAM", "SHAP", "block1_conv"]
    np.testing.assert_array_equal(display.images, X[[3, 1]])
    assert display.row_names is None
    by_prediction = ExplanationDisplay.from_estimator(trained, X, explainers=explainers[:1])
    assert len(by_prediction.images) == len(np.unique(trained.predict(X)))
