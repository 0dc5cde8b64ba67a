import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skkd import FeatureMapExplainer, FiveBlockCNN
from skkd.metrics import TimingDisplay


def test_timing_bars_have_the_mean_as_length_the_spread_as_error_and_units(spreads):
    timing = pd.DataFrame(
        {
            "explainer": ["Fast", "Slow"],
            "model": ["student", "teacher"],
            "met": [0.01, 2.0],
            "met_std": [0.002, 0.5],
        }
    )

    display = TimingDisplay.from_timing(timing)

    assert [bar.get_width() for bar in display.bars_] == [0.01, 2.0]
    np.testing.assert_allclose(spreads(display.bars_), [[0.008, 0.012], [1.5, 2.5]])
    assert display.ax_.get_xlabel() == "Mean execution time (seconds per image)"
    assert display.ax_.get_xscale() == "log"
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["Fast (student)", "Slow (teacher)"]


def test_explainers_are_timed_and_drawn_on_the_axes_given():
    _, ax = plt.subplots()
    explainer = FeatureMapExplainer(FiveBlockCNN(filters=(2,)).build((8, 8, 1), 2))
    display = TimingDisplay.from_explainers(
        [explainer], np.zeros((2, 8, 8, 1)), n_repeats=1, ax=ax, bar_kwargs={"color": "red"}
    )
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.bars_[0].get_facecolor() == (1, 0, 0, 1)
    assert display.bars_[0].get_width() == display.met[0] > 0
