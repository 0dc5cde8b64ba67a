import subprocess
import sys

import pytest

import skkd


def test_importing_skkd_imports_neither_keras_nor_tensorflow():
    code = "import sys, skkd; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_importing_skkd_leaves_the_classes_of_keras_as_they_are():
    code = (
        "import keras; before = [dict(vars(c)) for c in (keras.Model, keras.losses.Loss,"
        " keras.metrics.Metric, keras.optimizers.Optimizer)];"
        "from skkd import KDClassifier; import scikeras;"
        "after = [dict(vars(c)) for c in (keras.Model, keras.losses.Loss,"
        " keras.metrics.Metric, keras.optimizers.Optimizer)]; assert before == after"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_fit_leaves_tensorflow_keras_and_the_environment_as_they_were():
    code = """
import os, random
import keras, numpy as np, tensorflow as tf
from tensorflow.python.framework import config
from skkd import MLP, KDClassifier, NetworkClassifier
def state():
    return (dict(os.environ), random.getstate(), np.random.get_state()[1].tolist(),
            keras.config.floatx(), keras.config.dtype_policy().name)
X, y = np.eye(6), np.arange(6) % 2
before = state()
student = NetworkClassifier(MLP(hidden=(2,)), epochs=1, random_state=0)
KDClassifier(student=student).fit(X, y).predict(X)
assert state() == before
assert not config.is_op_determinism_enabled()
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", skkd.__all__)
def test_every_public_name_can_be_had(name):
    assert getattr(skkd, name) is not None
    assert name in dir(skkd)


def test_an_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'KDClasifier'"):
        skkd.KDClasifier  # noqa: B018
