import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


@pytest.fixture
def spreads():
    """A function from drawn bars to the ends of their error bars."""
    return lambda bars: np.array([line[:, 0] for line in bars.errorbar.lines[2][0].get_segments()])
