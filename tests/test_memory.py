"""Page faults are counted, not timed: each is a page that the system had taken back."""

import os
import subprocess
import sys

import pytest

from skkd._memory import _mallopt

pytestmark = pytest.mark.skipif(_mallopt() is None, reason="memory is not glibc's here")

ALLOCATING = """
import resource, numpy as np
from skkd._memory import kept_memory

def faults(n_rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_rounds):
        # Below the size from which glibc asks the system for each array by itself.
        arrays = [np.ones(12_000) for _ in range(200)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(2)
with kept_memory():
    with kept_memory():
        faults(2)
    inside = faults(10)
print(inside, faults(10))
"""

TRAINING = """
import resource, numpy as np
from skkd import FiveBlockCNN, NetworkClassifier
X = np.random.default_rng(0).integers(0, 256, (128, 48, 48, 3), dtype=np.uint8)
y = np.arange(128) % 2
network = FiveBlockCNN(filters=(32, 32), dense=())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
classifier = NetworkClassifier(network, epochs=6, random_state=0).fit(X, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(code, **environment):
    environment = {**os.environ, **environment}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    return [int(number) for number in result.stdout.split()]


def test_memory_stays_while_somebody_uses_it_and_goes_back_afterwards():
    inside, outside = run(ALLOCATING)
    assert inside < 0.1 * outside


@pytest.mark.parametrize(
    "environment", [{"SKKD_KEEP_MEMORY": "0"}, {"MALLOC_TOP_PAD_": str(128 * 1024)}]
)
def test_a_user_has_the_last_word(environment):
    inside, outside = run(ALLOCATING, **environment)
    assert inside > 0.9 * outside


@pytest.mark.slow
def test_training_has_half_the_faults():
    # oneDNN, which TensorFlow turns on for some processors alone, keeps memory by itself.
    environment = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    (kept,) = run(TRAINING, **environment)
    (returned,) = run(TRAINING, SKKD_KEEP_MEMORY="0", **environment)
    assert kept < 0.5 * returned
