import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skkd import MLP, KDClassifier, NetworkClassifier

# The checks of one estimator take a minute, some of them ten seconds.
pytestmark = pytest.mark.slow

NOT_TO_THE_LAST_BIT = {
    "check_sample_weight_equivalence_on_dense_data": (
        "weighted and repeated rows are drawn into different mini-batches and summed in float32; "
        "test_classifier.py proves the equivalence to float error with full batches"
    ),
}


# The checks compare to 1e-7, and where a row stands in a batch moves the last bits of float32 on
# some processors; how far, test_classifier.py says.
TRAINING = {"epochs": 6, "learning_rate": 0.1, "dtype_policy": "float64"}


@parametrize_with_checks(
    [
        NetworkClassifier(MLP(hidden=(16,)), **TRAINING),
        KDClassifier(student=NetworkClassifier(MLP(hidden=(16,)), random_state=0, **TRAINING)),
    ],
    expected_failed_checks=lambda estimator: NOT_TO_THE_LAST_BIT,
)
def test_estimator_passes_the_check_of_scikit_learn(estimator, check):
    check(estimator)
