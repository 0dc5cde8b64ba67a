import inspect

import keras
import numpy as np
import pytest

from skkd import FeatureMapExplainer, count_flops, explain_timing, fidelity_score
from skkd._warnings import warn


class Sorted(keras.layers.Layer):
    def call(self, x):
        return keras.ops.sort(x, axis=1)


@pytest.fixture
def model():
    convolution = keras.layers.Conv2D(1, 1)
    head = [keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    return keras.Sequential([keras.Input((4, 4, 1)), Sorted(), convolution, *head])


def place(caught):
    (warning,) = caught
    return warning.filename, warning.lineno


def test_a_warning_names_the_users_file_and_line_however_deep_inside_it_is_raised(model):
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(UserWarning, match="its type Sort is unknown") as caught:
        count_flops(model)
    assert place(caught) == (__file__, line)

    # The same warning, with the timing of explainers in between.
    explainer, X = FeatureMapExplainer(model), np.zeros((1, 4, 4, 1))
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(UserWarning, match="its type Sort is unknown") as caught:
        explain_timing([explainer], X, n_repeats=1)
    assert place(caught) == (__file__, line)


def test_a_warning_from_inside_a_decorated_function_names_the_users_line(model):
    X = np.zeros((1, 4, 4, 1))
    explainer = FeatureMapExplainer(model).fit()
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(UserWarning, match="1 of 1 maps are empty") as caught:
        fidelity_score(model, X, [0], explainer)
    assert place(caught) == (__file__, line)


def test_a_warning_has_the_category_asked_for():
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(DeprecationWarning, match="old") as caught:
        warn("old", DeprecationWarning)
    assert place(caught) == (__file__, line)
