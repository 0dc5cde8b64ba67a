import itertools

import numpy as np
import pytest

from skkd import FeatureMapExplainer
from skkd.metrics import deletion_curve, insertion_curve


@pytest.mark.parametrize("curve", [deletion_curve, insertion_curve])
def test_areas_and_confidences_equal_a_hand_loop(patch, curve):
    classifier, images, y, maps = patch
    images, y = images[:4], np.array(["ill", "ill", "clear", "ill"])
    maps = maps[:4] + np.random.default_rng(0).normal(size=maps[:4].shape)

    result = curve(classifier, images, y, maps, n_steps=6, baseline="mean", batch_size=3)

    for i in range(4):
        order = np.argsort(-maps[i].ravel())
        start, end = images[i].copy(), np.full_like(images[i], images[i].mean())
        if curve is insertion_curve:
            start, end = end, start
        confidences = []
        for step in range(7):
            image = start.copy().ravel()
            first = order[: 24 * step]
            image[first] = end.ravel()[first]
            proba = classifier.predict_proba(image.reshape(1, 12, 12, 1))[0]
            confidences.append(proba[list(classifier.classes_).index(y[i])])
        np.testing.assert_allclose(result.confidence[i], confidences, rtol=1e-12)
        area = sum((a + b) / 2 / 6 for a, b in itertools.pairwise(confidences))
        assert result.auc[i] == pytest.approx(area, rel=1e-12)
    np.testing.assert_allclose(result.fractions, [0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1])


def test_true_maps_delete_faster_and_insert_faster_than_inverted_ones(patch):
    classifier, images, y, maps = patch
    for curve, sign in ((deletion_curve, 1), (insertion_curve, -1)):
        true, inverted = (
            curve(classifier, images, y, m, baseline="zero", random_state=0).auc
            for m in (maps, -maps)
        )
        assert (sign * true < sign * inverted).all()


@pytest.mark.parametrize("baseline", ["zero", "blur", "noise", "road"])
def test_curves_start_and_end_at_the_image_and_the_baseline(digits, trained, baseline):
    X, y = digits[0][:10], digits[1][:10]
    explainer = FeatureMapExplainer(trained)
    options = {"n_steps": 3, "baseline": baseline, "random_state": 0}

    down = deletion_curve(trained, X, y, explainer, **options)
    up = insertion_curve(trained, X, y, explainer, **options)

    truth = trained.predict_proba(X)[np.arange(10), y]
    np.testing.assert_allclose(down.confidence[:, 0], truth, rtol=1e-5)
    np.testing.assert_allclose(up.confidence[:, -1], truth, rtol=1e-5)
    np.testing.assert_allclose(up.confidence[:, 0], down.confidence[:, -1], rtol=1e-4)


def test_batches_of_1_7_and_64_agree_and_seeds_repeat(patch):
    classifier, images, y, maps = patch
    one, seven, many = (
        deletion_curve(
            classifier, images, y, maps, baseline="noise", batch_size=size, random_state=5
        )
        for size in (1, 7, 64)
    )
    np.testing.assert_allclose(one.confidence, many.confidence, rtol=1e-12)
    np.testing.assert_allclose(seven.auc, many.auc, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0}, "n_steps must be a whole number above 0; got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number above 0; got 2.5"),
        ({"baseline": "gray"}, "baseline must be one of"),
        ({"y": None}, "y must hold the true labels"),
    ],
)
def test_bad_options_are_refused_by_name(patch, options, message):
    classifier, images, y, maps = patch
    arguments = {"y": y} | options
    with pytest.raises(ValueError, match=message):
        insertion_curve(classifier, images, explanation=maps, **arguments)
