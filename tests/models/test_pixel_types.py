import numpy as np
import pytest
from PIL import Image

from skkd import FeatureMapExplainer, FiveBlockCNN, KDClassifier, NetworkClassifier, TransferNet
from skkd.images import read_image

NETWORK = FiveBlockCNN(filters=(3,), dense=())
LABELS = ["air", "bone"] * 4


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Files of Hounsfield units."""
    folder, rng = tmp_path_factory.mktemp("scans"), np.random.default_rng(0)
    paths = [folder / f"{number}.npy" for number in range(8)]
    for number, path in enumerate(paths):
        np.save(path, rng.normal(600 * (number % 2), 300, (8, 8)).astype(np.int16))
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def student(scans):
    return NetworkClassifier(NETWORK, window=(300, 600), random_state=0).fit(scans, LABELS)


def shown(paths):
    return np.stack([read_image(path, window=(300, 600)) for path in paths])


def test_a_network_sees_files_through_its_window(scans, student):
    assert shown(scans).dtype == np.uint8
    assert len(np.unique(shown(scans))) > 20
    np.testing.assert_array_equal(student.predict_proba(scans), student.predict_proba(shown(scans)))
    whole = NetworkClassifier(NETWORK, window=None, random_state=0).fit(scans, LABELS)
    assert not np.allclose(whole.predict_proba(scans), student.predict_proba(scans))


def test_a_distilled_student_and_its_teacher_see_files_through_the_window(scans, student):
    def fit(X):
        learner = NetworkClassifier(NETWORK, window=(300, 600), random_state=1)
        return KDClassifier(student, learner).fit(X, LABELS)

    distilled = fit(scans)
    np.testing.assert_array_equal(
        distilled.predict_proba(scans), fit(shown(scans)).predict_proba(shown(scans))
    )


def test_maps_of_files_are_those_of_what_the_window_shows(scans, student):
    explainer = FeatureMapExplainer(student).fit()
    np.testing.assert_array_equal(explainer.transform(scans), explainer.transform(shown(scans)))


def test_files_deeper_than_those_of_training_are_refused(scans, student, tmp_path):
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(deep)
    flat = NetworkClassifier(NETWORK, random_state=0).fit(shown(scans), LABELS)
    for method in (flat.predict, flat.predict_proba, FeatureMapExplainer(flat).fit().transform):
        with pytest.raises(ValueError, match=r"deep\.png.*fitted on images of type uint8"):
            method([str(deep)])


def test_a_backbone_of_8_bits_refuses_16(scans):
    network = TransferNet("mobilenetv2", weights=None)
    deep = np.full((8, 32, 32, 3), 40_000, np.uint16)
    with pytest.raises(ValueError, match=r"'mobilenetv2' takes values from 0 to 255.*uint16"):
        NetworkClassifier(network).fit(deep, LABELS)
    with pytest.raises(ValueError, match=r"'mobilenetv2' takes values from 0 to 255.*window="):
        NetworkClassifier(network, color_mode="rgb", window=None).fit(scans, LABELS)
