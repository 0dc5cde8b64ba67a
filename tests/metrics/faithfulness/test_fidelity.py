import subprocess
import sys

import keras
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skkd import FeatureMapExplainer
from skkd.metrics import fidelity_report, fidelity_samples, fidelity_score, perturb_images

MASKS = [{"mask": "soft"}, {"mask": "top", "fraction": 0.2}]


class Fixed:
    """A classifier with probabilities known by heart, of an image and of any changed copy."""

    classes_ = np.array([0, 1])

    def __init__(self, original, changed):
        self.original, self.changed = np.asarray(original), changed

    def predict_proba(self, X):
        changed = X[:, 0, 0, 0] < 0
        rows = np.abs(X[:, 0, 0, 0]).round().astype(int) - 1
        proba = np.where(changed, self.changed, self.original[rows])
        return np.stack([1 - proba, proba], axis=1)


def fixed(original, changed):
    """Return a Fixed classifier, its images, labels, maps and a baseline that changes images."""
    n = len(original)
    images = np.broadcast_to(np.arange(1.0, n + 1)[:, None, None, None], (n, 3, 3, 1))
    maps = np.ones((n, 3, 3))
    maps[:, 0, 0] = 0
    return Fixed(original, changed), images, np.ones(n, int), maps


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("baseline", ["zero", "mean", "blur", "noise", "road"])
def test_true_beats_random_beats_inverted_in_keep_and_the_reverse_in_remove(patch, mask, baseline):
    classifier, images, y, maps = patch
    images = images.copy()
    # Outside the patch the images are dark, so that no baseline can guess what was inside.
    images[:, classifier.weights == 0] = 0

    for mode in ("keep", "remove"):
        options = {"mode": mode, "baseline": baseline, "random_state": 0, **mask}
        report = fidelity_report(classifier, images, y, {"true": maps}, **options)
        true, random, inverted = report.loc[["true", "random", "inverted true"], "average"]
        if mode == "keep":
            assert true > random > inverted
        else:
            assert true < random < inverted


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("mode", ["keep", "remove"])
def test_a_perturbation_that_changes_nothing_gives_exactly_1(digits, trained, rng, mask, mode):
    X, y = digits[0][:40], digits[1][:40]
    maps = rng.random((40, 8, 8))

    samples = fidelity_samples(trained, X, y, maps, mode=mode, baseline=lambda x: x, **mask)

    assert (samples["fidelity"].dropna() == 1).all()
    assert fidelity_score(trained, X, y, maps, mask="top", fraction=1.0) == 1


def test_samples_are_ratios_of_confidences_in_the_true_class(patch):
    classifier, images, y, maps = patch
    y = np.where(np.arange(20) < 7, "clear", "ill")
    column = (y == "ill").astype(int)

    samples = fidelity_samples(classifier, images, y, maps, baseline="mean", eps=0)

    after = perturb_images(images, maps, baseline="mean")
    before = classifier.predict_proba(images)[np.arange(20), column]
    np.testing.assert_array_equal(samples["class"], y)
    np.testing.assert_allclose(samples["c_orig"], before)
    changed = classifier.predict_proba(after)[np.arange(20), column]
    np.testing.assert_allclose(samples["c_adv"], changed)
    np.testing.assert_allclose(samples["fidelity"], changed / before)
    scaled = (maps - maps.min()) / maps.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(samples["kept"], scaled.mean(axis=(1, 2)))


def test_the_score_is_unbounded_unless_clipped_and_skips_hopeless_images_aloud():
    parts = fixed(original=[0.25, 0.8, 0.004], changed=0.5)
    options = {"baseline": lambda x: -x}

    with pytest.warns(UserWarning, match=r"1 of 3 images are skipped: .* below eps=0.01"):
        assert fidelity_score(*parts, **options) == pytest.approx((2 + 0.625) / 2)
    with pytest.warns(UserWarning, match="1 of 3"):
        assert fidelity_score(*parts, clip=True, **options) == pytest.approx((1 + 0.625) / 2)
    expected = (2 + 0.625 + 125) / 3
    assert fidelity_score(*parts, eps=0.001, **options) == pytest.approx(expected)


def test_a_confidence_of_zero_is_skipped_even_without_eps():
    parts = fixed(original=[0.0, 0.5], changed=0.5)
    samples = fidelity_samples(*parts, baseline=lambda x: -x, eps=0)
    np.testing.assert_array_equal(samples["fidelity"], [np.nan, 1])


@pytest.mark.parametrize("baseline", ["blur", "noise", "road"])
def test_batches_of_1_7_and_64_agree(digits, trained, baseline):
    X, y = digits[0][:9], digits[1][:9]
    maps = FeatureMapExplainer(trained).fit_transform(X)
    options = {"mask": "top", "fraction": 0.3, "baseline": baseline, "random_state": 0}

    one, seven, many = (
        fidelity_samples(trained, X, y, maps, batch_size=size, **options) for size in (1, 7, 64)
    )

    np.testing.assert_allclose(seven, many, rtol=1e-4)
    np.testing.assert_allclose(one, many, rtol=1e-4)


def test_an_explainer_asked_in_batches_gives_what_it_gives_at_once(digits, trained):
    X, y = digits[0][:20], digits[1][:20]
    explainer = FeatureMapExplainer(trained).fit()
    parts, whole = (fidelity_samples(trained, X, y, explainer, batch_size=size) for size in (7, 64))
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_seeded_reports_repeat_and_other_seeds_differ(digits, trained):
    X, y = digits[0][:50], digits[1][:50]
    explainers = [FeatureMapExplainer(trained)]
    first, again, other = (
        fidelity_report(trained, X, y, explainers, baseline="noise", random_state=seed)
        for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_explainer_its_maps_and_its_explanation_give_the_same(digits, trained):
    X, y = digits[0][:40], digits[1][:40]
    unfitted = FeatureMapExplainer(trained)
    explanation = FeatureMapExplainer(trained).fit().explain(X)

    from_explainer = fidelity_score(trained, X, y, unfitted)

    assert not hasattr(unfitted, "model_")
    assert from_explainer == pytest.approx(fidelity_score(trained, X, y, explanation), rel=1e-6)
    maps = explanation.values
    assert from_explainer == pytest.approx(fidelity_score(trained, X, y, maps[:, -1]), rel=1e-6)
    first = fidelity_score(trained, X, y, explanation, layer="block1_conv")
    assert first == pytest.approx(fidelity_score(trained, X, y, maps, layer=0), rel=1e-6)
    assert first == fidelity_score(trained, X, y, unfitted, layer=0)
    assert first != from_explainer


def test_model_classifier_and_pipeline_agree(digits, trained):
    X, y = digits[0][:40], digits[1][:40]
    maps = np.random.default_rng(0).random((40, 8, 8))
    logits = keras.Model(trained.model_.inputs, trained.model_.get_layer("logits").output)
    pipeline = make_pipeline(FunctionTransformer(), trained)

    expected = fidelity_samples(trained, X, y, maps)["fidelity"]

    for estimator in (trained.model_, logits, pipeline):
        ratios = fidelity_samples(estimator, X, y, maps)["fidelity"]
        np.testing.assert_allclose(ratios, expected, rtol=1e-5)


def test_images_reach_the_estimator_with_the_axes_they_came_with(patch):
    classifier, images, y, maps = patch
    with_axis = fidelity_score(classifier, images, y, maps)

    class Strict(type(classifier)):
        def predict_proba(self, X):
            assert X.ndim == 3
            return super().predict_proba(X)

    assert fidelity_score(Strict(), images[..., 0], y, maps) == with_axis
    assert fidelity_score(Strict(), list(images[..., 0]), list(y), maps.tolist()) == with_axis


def test_images_may_be_files(tmp_path, digits, trained):
    from PIL import Image

    X, y = digits
    paths = []
    for i in range(6):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(X[i, ..., 0].astype("uint8")).save(paths[-1])

    explainer = FeatureMapExplainer(trained).fit()
    from_files = fidelity_samples(trained, paths, y[:6], explainer, batch_size=4)

    expected = fidelity_samples(trained, X[:6], y[:6], explainer, batch_size=4)
    np.testing.assert_allclose(from_files["fidelity"], expected["fidelity"], rtol=1e-6)


def test_a_report_holds_the_means_of_classes_their_average_and_the_counts(patch, weight_explainer):
    classifier, images, _, maps = patch
    y = np.where(np.arange(20) < 7, "clear", "ill")
    eps = np.median(classifier.predict_proba(images[:7])[:, 0])
    options = {"baseline": "zero", "random_state": 0, "batch_size": 6, "eps": eps}
    sources = {"maps": maps, "explainer": weight_explainer(classifier)}

    report = fidelity_report(classifier, images, y, sources, **options)

    samples = fidelity_samples(classifier, images, y, maps, **options)
    means = samples.groupby("class")["fidelity"].mean()
    row = report.loc["maps"]
    assert row["clear"] == means["clear"]
    assert row["ill"] == means["ill"]
    assert row["average"] == means.mean()
    assert row["median"] == samples["fidelity"].median()
    assert row["std"] == pytest.approx(np.nanstd(samples["fidelity"]))
    assert row["kept"] == pytest.approx(samples["kept"].mean())
    assert row["n"] == samples["fidelity"].count()
    assert row["n"] == 17
    assert row["skipped"] == 3
    assert report.loc["explainer"].equals(row.rename("explainer"))
    assert report.index.tolist() == [
        *("maps", "explainer", "random"),
        *("inverted maps", "inverted explainer"),
    ]
    inverted = fidelity_samples(classifier, images, y, -maps, **options)["fidelity"]
    assert report.loc["inverted maps", "median"] == inverted.median()


def test_the_average_is_unknown_where_no_image_of_a_class_can_be_measured(patch):
    classifier, images, _, maps = patch
    y = np.where(np.arange(20) < 7, "clear", "ill")
    row = fidelity_report(classifier, images, y, {"maps": maps}, eps=0.5).loc["maps"]
    assert row["ill"] > 0
    assert np.isnan(row["clear"])
    assert np.isnan(row["average"])
    assert row["skipped"] == 7


def test_a_report_on_some_classes_leaves_the_others_out(patch):
    classifier, images, _, maps = patch
    y = np.where(np.arange(20) < 7, "clear", "ill")

    part = fidelity_report(classifier, images, y, [maps], classes=["ill"], random_state=0)
    whole = fidelity_report(classifier, images, y, [maps], random_state=0)

    assert part.columns.tolist()[:2] == ["ill", "average"]
    assert part.loc["ndarray", "n"] == 13
    # The random map of an image does not depend on which others are there.
    np.testing.assert_allclose(part["ill"], whole["ill"])
    with pytest.raises(ValueError, match=r"classes must occur in y; got \['well'\]"):
        fidelity_report(classifier, images, y, [maps], classes=["well"])


def test_labels_that_are_absent_unknown_or_too_few_are_refused(patch):
    classifier, images, y, maps = patch
    with pytest.raises(ValueError, match="y must hold the true labels"):
        fidelity_score(classifier, images, None, maps)
    with pytest.raises(ValueError, match="got 19 labels and 20 images"):
        fidelity_score(classifier, images, y[:19], maps)
    with pytest.raises(ValueError, match=r"only the classes \['clear', 'ill'\]; got \['dead'\]"):
        fidelity_score(classifier, images, np.repeat("dead", 20), maps)


@pytest.mark.parametrize(
    ("proba", "message"),
    [
        ([0.4, 0.7], "predictions of Liar: y_proba must sum to 1 in every row"),
        ([-0.2, 1.2], r"predictions of Liar: y_proba must lie in \[0, 1\]; got -0.2"),
        ([np.nan, 1.0], "predictions of Liar: .* contains NaN"),
        ([0.2, 0.3, 0.5], "predictions of Liar: .*2 classes .*; got 3 columns"),
    ],
)
def test_predictions_that_are_no_probabilities_are_refused(patch, proba, message):
    class Liar:
        classes_ = np.array(["clear", "ill"])

        def predict_proba(self, X):
            return np.tile(proba, (len(X), 1))

    _, images, y, maps = patch
    with pytest.raises(ValueError, match=message):
        fidelity_score(Liar(), images, y, maps)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": -1}, "eps must be a number of at least 0; got -1"),
        ({"batch_size": 0}, "batch_size must be a whole number above 0; got 0"),
        ({"mask": "top", "fraction": 2}, r"fraction must be in \(0, 1\]"),
    ],
)
def test_bad_options_are_refused_by_name(patch, options, message):
    classifier, images, y, maps = patch
    with pytest.raises(ValueError, match=message):
        fidelity_score(classifier, images, y, maps, **options)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("keras_model", [True, False])
def test_a_softmax_of_sixteen_bits_is_measured(rng, policy, keras_model):
    inputs = keras.Input((6, 6, 1))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    outputs = keras.layers.Dense(7, activation="softmax", dtype=policy)(features)
    model = keras.Model(inputs, outputs)
    X, y = rng.random((9, 6, 6, 1)).astype("float32"), np.arange(9) % 7

    class Asked:
        classes_ = np.arange(7)

        def predict_proba(self, images):
            return model.predict_on_batch(images)

    # The network is new, and hardly minds what it is shown.
    score = fidelity_score(model if keras_model else Asked(), X, y, np.ones((9, 6, 6)))
    assert score == pytest.approx(1, abs=0.05)


def test_estimators_explainers_and_images_of_a_wrong_kind_are_refused(patch):
    classifier, images, y, maps = patch
    with pytest.raises(TypeError, match=r"a keras\.Model or have predict_proba .*; got str"):
        fidelity_score("model", images, y, maps)
    with pytest.raises(TypeError, match=r"explainers must be a mapping .*; got ndarray"):
        fidelity_report(classifier, images, y, maps)
    with pytest.raises(ValueError, match=r"X must be images .*; got shape \(20, 144\)"):
        fidelity_score(classifier, images.reshape(20, -1), y, maps)


def test_measuring_without_a_network_imports_neither_keras_nor_tensorflow():
    code = (
        "import sys, numpy as np, skkd.metrics; from sklearn.dummy import DummyClassifier;"
        "X, y = np.zeros((4, 2, 2, 1)), [0, 0, 1, 1];"
        "skkd.metrics.fidelity_score(DummyClassifier().fit(X[:, 0, 0], y), X, y, X[..., 0]);"
        "sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
