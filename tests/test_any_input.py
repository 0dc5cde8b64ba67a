"""Every public function and method, called with inputs of every kind.

Each gives a right result, or refuses by a ValueError or TypeError that names an argument.
"""

import contextlib
import functools
import inspect
import os
import re
import shutil
import traceback
import warnings
from collections import Counter
from types import SimpleNamespace
from unittest import mock

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.utils import Bunch
from sklearn.utils.fixes import parse_version
from test_public_names import ROOMS, members, names_in

import skkd
from skkd import (
    MLP,
    BaseExplainer,
    DecisionCurveDisplay,
    DeferralCurveDisplay,
    DeferringClassifier,
    DistillationGridDisplay,
    Explanation,
    ExplanationDisplay,
    FeatureMapExplainer,
    FidelityDisplay,
    FiveBlockCNN,
    GradCAMExplainer,
    Hints,
    KDClassifier,
    KDFMVNet,
    NetworkClassifier,
    PerturbationCurveDisplay,
    SHAPExplainer,
    SubgroupDisplay,
    Teacher,
    TimingDisplay,
    TransferNet,
    blocks,
    datasets,
    metrics,
    persistence,
    study,
)
from skkd.deployment import _card, _export
from skkd.distillation import load_teacher
from skkd.images import ImagePaths, as_images, file_metadata, read_image
from skkd.study import _run

SIDE = 8
KNOWN_CHECKS = ("sklearn.utils.validation", "sklearn.utils.multiclass")
FRAMEWORKS = ("keras", "tensorflow", "jax", "jaxlib", "torch")
DTYPES = ("bool", "uint8", "uint16", "float16", "float32", "float64", "int64", "object")

TRIED = Counter()
CASES = {}


def case(*names, few=4, many=100, files=False):
    """Register how a public function is called, and how many inputs are tried.

    What reads files may raise an OSError too.
    """

    def register(make):
        for name in names:
            CASES[name] = SimpleNamespace(make=make, name=name, few=few, many=many, files=files)
        return make

    return register


# Inputs


@st.composite
def arrays(draw, shape, dtypes=DTYPES, odd=True):
    """Draw an array of a shape as its user may have it, and the same as plain float32."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(dtypes))
    # Every type holds these numbers exactly.
    plain = rng.integers(0, 17, shape).astype(np.float32)
    if dtype == "bool":
        plain = np.minimum(plain, 1)
    elif dtype.startswith(("float", "object")):
        plain = plain - 2.5
    if (
        odd
        and dtype.startswith(("float", "object"))
        and plain.size
        and draw(st.integers(0, 9)) == 9
    ):
        plain.flat[-1] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    values = plain.astype(dtype)
    if odd and dtype == "float64" and values.size and draw(st.integers(0, 19)) == 19:
        values.flat[0] = 1e300
        plain.flat[0] = np.inf
    values = np.asarray(values)
    layout = draw(st.sampled_from(["C", "F", "reversed", "strided", "frozen", "swapped"]))
    if layout == "F":
        values = np.asfortranarray(values)
    elif layout == "reversed" and values.ndim:
        axis = draw(st.integers(0, values.ndim - 1))
        values = np.flip(np.flip(values, axis).copy(), axis)
    elif layout == "strided" and values.ndim:
        axis = draw(st.integers(0, values.ndim - 1))
        twice = np.repeat(values, 2, axis)
        values = twice[
            tuple(slice(None, None, 2) if i == axis else slice(None) for i in range(values.ndim))
        ]
    elif layout == "swapped" and dtype != "object":
        values = values.astype(values.dtype.newbyteorder())
    elif layout == "frozen":
        values.setflags(write=False)
    return values, plain


def contained(draw, values):
    """Draw what an array comes in."""
    kind = draw(st.sampled_from(["array"] * 6 + ["list", "tuple", "nested", "series", "column"]))
    if values.ndim == 0 or kind == "array":
        return values
    if kind == "list":
        return list(values)
    if kind == "tuple":
        return tuple(values)
    if kind == "nested":
        return values.tolist() if values.size < 2000 else values
    if values.ndim == 1:
        return pd.Series(values)
    column = np.empty(len(values), dtype=object)
    column[:] = list(values)
    return pd.Series(column, index=range(5, 5 + len(column))) if kind == "series" else column


@st.composite
def images(draw, likely=(SIDE, SIDE, 1), odds=7):
    """Draw what a user may call images, and the same as float32 where they are images."""
    n = draw(st.sampled_from([0, 1, 1, 2, 3, 5]))
    kind = draw(st.integers(0, 9))
    if kind < odds:
        shape = (n, *likely)
    elif kind == odds:
        axes = draw(st.integers(0, 5))
        shape = tuple(draw(st.lists(st.integers(0, 6), min_size=axes, max_size=axes)))
    else:
        sides = draw(st.integers(1, 70)), draw(st.integers(1, 70))
        channels = draw(st.sampled_from([(), (1,), (2,), (3,), (4,)]))
        shape = (n, *sides, *channels)
    values, plain = draw(arrays(shape))
    if plain.ndim == 3:
        plain = plain[..., None]
    is_right = plain.ndim == 4 and len(plain) and np.isfinite(plain).all()
    return contained(draw, values), plain if is_right else None


@st.composite
def labels(draw, n, classes):
    """Draw what a user may call labels, and the same as an array where they are labels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes = np.asarray(classes)
    plain = classes[rng.integers(0, len(classes), n)]
    kind = draw(st.integers(0, 25))
    if kind < 8:
        ways = [list, tuple, np.asarray, lambda y: y.astype(object), lambda y: y[::-1][::-1]]
        ways += [pd.Series, lambda y: pd.Series(y, index=np.arange(len(y))[::-1])]
        ways += [lambda y: pd.Series(y).astype("category")]
        return ways[kind](plain), plain
    if kind == 8:
        return plain[:, None], plain
    wrong = [
        lambda: plain[: max(n - 1, 0)],
        lambda: np.append(plain, plain[:1]) if n else classes[:1],
        lambda: np.array([*plain[1:], None][:n] if n else [], dtype=object),
        lambda: np.array([np.nan, *plain[1:]][:n], dtype=object),
        lambda: rng.normal(size=n),
        lambda: np.full(n, np.nan),
        lambda: rng.integers(0, 2, n).astype(bool),
        lambda: rng.integers(-3, 99, n),
        lambda: np.full(n, classes[0]),
        lambda: np.eye(3)[rng.integers(0, 3, n)],
        lambda: plain.astype("S8"),
        lambda: rng.normal(size=n) + 1j,
        lambda: np.array(["2020-01-01"] * n, dtype="datetime64[D]"),
        lambda: pd.array([pd.NA, *[True] * max(n - 1, 0)][:n], dtype="boolean"),
        lambda: draw(st.sampled_from([None, 3, "a", {}, {"a": 1}, {1}, [[1], [1, 2]], object()])),
        lambda: [draw(st.sampled_from([1, "a", None, 2.5, True])) for _ in range(n)],
        lambda: draw(arrays((n, 2)))[0],
    ]
    return wrong[kind - 9](), None


JUNK = st.sampled_from(
    [
        None,
        -1,
        0,
        1,
        2,
        0.5,
        1e9,
        np.nan,
        True,
        "",
        "a",
        "soft",
        (),
        [],
        (0, 0),
        (8, 8),
        {},
        object(),
    ]
)


# How what comes of a call is judged


def refusal(error, one, called, given):
    """Return what is wrong with a refusal, None if it is one that helps."""
    if one.files and isinstance(error, OSError):
        return None
    if not isinstance(error, ValueError | TypeError):
        return "it is neither a ValueError nor a TypeError"
    frames = [
        frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    if frames[-1].partition(".")[0] in FRAMEWORKS:
        return f"it comes from {frames[-1]}"
    # Words that users of scikit-learn know.
    if frames[-1] in KNOWN_CHECKS or not given:
        return None
    names = {*given, *inspect.signature(called).parameters}
    owner = getattr(called, "__self__", None)
    if isinstance(owner, BaseEstimator):
        names |= {*owner.get_params(deep=False)}
    names -= {"self", "kwargs"}
    if one.files:
        names |= {"path", *(value for value in given.values() if isinstance(value, str) and value)}
    if not any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error)) for name in names):
        return f"it names none of {sorted(names)}"
    return None


def try_input(one, kit, data):
    """Call a public function with an input that is drawn, and judge what comes of it."""
    called, given, check = one.make(data.draw, kit, one.name)
    TRIED[one.name] += 1
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = called(**given)
        except Exception as error:
            fault = refusal(error, one, called, given)
            if fault is not None:
                raise AssertionError(f"{one.name} refused, but {fault}: {error!r}") from error
        else:
            check(result)
        finally:
            plt.close("all")


def close(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def anything(result):
    """Accept a result of which nothing is known beforehand."""


# The classifiers


def given_name(name):
    return name.rpartition(".")[2]


METHODS = ["decision_function", "predict", "predict_proba"]


@case(*(f"NetworkClassifier.{method}" for method in METHODS), many=350)
@case(*(f"KDClassifier.{method}" for method in [*METHODS, "teacher_predict_proba"]), many=250)
@case("KDClassifier.agreement_score", many=150)
def predictions(draw, kit, name):
    fitted = (
        kit.student if name.startswith("KD") else draw(st.sampled_from([kit.network, kit.table]))
    )
    likely = (6,) if fitted is kit.table else (SIDE, SIDE, 1)
    given, plain = draw(images(likely))
    method = getattr(fitted, given_name(name))

    def check(result):
        assert (
            np.isfinite(result).all()
            if name[-7:] != "predict"
            else np.isin(result, fitted.classes_).all()
        )
        if plain is not None:
            close(result, method(plain)) if name[
                -7:
            ] != "predict" else np.testing.assert_array_equal(result, method(plain))
        if name.endswith("proba"):
            close(result.sum(axis=1), 1)

    return method, {"X": given}, check


@case("NetworkClassifier.score", "KDClassifier.score", many=250)
def scores(draw, kit, name):
    fitted = kit.student if name.startswith("KD") else kit.network
    X, plain = draw(images(odds=9))
    n = 2 if plain is None else len(plain)
    y, plain_y = draw(labels(n, fitted.classes_))
    weights, plain_weights = draw(sample_weights(n))

    def check(result):
        assert 0 <= result <= 1
        if plain is not None and plain_y is not None and plain_weights is not None:
            close(result, np.average(fitted.predict(plain) == plain_y, weights=plain_weights))

    return fitted.score, {"X": X, "y": y, "sample_weight": weights}, check


@st.composite
def sample_weights(draw, n):
    kind = draw(st.integers(0, 9))
    if kind < 3:
        return None, np.ones(n)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    plain = rng.integers(1, 4, n).astype(float)
    if kind < 7:
        return [list, pd.Series, np.asarray, lambda w: w.astype(np.float16)][kind - 3](plain), plain
    wrong = [
        plain[1:],
        -plain,
        plain * np.nan,
        plain[:, None],
        plain.astype(str),
        "a",
        2.0,
        np.zeros(n),
    ]
    return wrong[draw(st.integers(0, len(wrong) - 1))], None


@case("NetworkClassifier.fit", "KDClassifier.fit", few=3, many=40)
@case("NetworkClassifier.partial_fit", "KDClassifier.partial_fit", few=3, many=25)
def fits(draw, kit, name):
    # Mostly one shape, as another is compiled anew.
    X, plain = draw(
        images(draw(st.sampled_from([(SIDE, SIDE, 1)] * 5 + [(3, 5, 2), (4,)])), odds=9)
    )
    n = 2 if plain is None else len(plain)
    y, plain_y = draw(
        labels(n, draw(st.sampled_from([["a", "b", "c"], [0, 1], [-1.0, 1.0], [True, False]])))
    )
    estimator = NetworkClassifier(MLP(hidden=(1,)), epochs=1, random_state=0)
    if name.startswith("KD"):
        estimator = KDClassifier(draw(st.sampled_from([None, zeros])), estimator)
    given = {"X": X, "y": y, "sample_weight": draw(sample_weights(n))[0]}
    if name.endswith("partial_fit"):
        given["classes"] = draw(
            st.sampled_from([None, ["a", "b", "c"], [0, 1], [1], "ab", [None, 1], 3])
        )

    def check(result):
        assert result is estimator
        if plain is not None and plain_y is not None and "classes" not in given:
            assert estimator.classes_.tolist() == sorted(set(plain_y.tolist()))
            close(estimator.predict_proba(plain).sum(axis=1), 1)

    return getattr(estimator, given_name(name)), given, check


def zeros(X):
    return np.zeros((len(X), 3))


# The explainers


class BrightnessExplainer(BaseExplainer):
    def _make_function(self, image_shape):
        def explain(images, targets):
            return keras.ops.mean(images, axis=-1), self.network_(images, training=False)

        return explain


EXPLAINERS = ["BaseExplainer", "FeatureMapExplainer", "GradCAMExplainer", "SHAPExplainer"]


@case(*(f"{name}.{method}" for name in EXPLAINERS for method in ("explain", "transform")), many=150)
@case(*(f"{name}.fit_transform" for name in EXPLAINERS), few=2, many=30)
def explanations(draw, kit, name):
    explainer = kit.explainers[name.partition(".")[0]]
    X, plain = draw(images())
    method = getattr(explainer, given_name(name))
    if name.endswith("fit_transform"):
        method = clone(explainer).fit_transform
    given = {"X": X}
    if not name.endswith(".transform"):
        n = 2 if plain is None else len(plain)
        given["y"] = draw(
            st.one_of(st.none(), labels(n, kit.network.classes_).map(lambda pair: pair[0]))
        )

    def check(result):
        values = getattr(result, "values", result)
        assert np.isfinite(values).all()
        assert values.dtype == np.float32
        if plain is not None:
            assert len(values) == len(plain)
            if "SHAP" not in name:
                close(values, explainer.transform(plain))

    return method, given, check


@case(*(f"{name}.fit" for name in EXPLAINERS), many=60)
def explainer_fits(draw, kit, name):
    explainer = clone(kit.explainers[name.partition(".")[0]])
    X, _ = draw(st.one_of(st.just((None, None)), images()))

    def check(result):
        assert result is explainer
        assert explainer.classes_.tolist() == kit.network.classes_.tolist()

    return explainer.fit, {"X": X, "y": None}, check


@case("FeatureMapExplainer.get_feature_names_out", many=20)
def feature_names(draw, kit, name):
    explainer = kit.flat
    given = draw(st.one_of(JUNK, st.lists(st.text(max_size=3), max_size=3)))
    return explainer.get_feature_names_out, {"input_features": given}, lambda names: len(names) > 0


@case("Explanation.plot", "ExplanationDisplay.from_explanations", few=2, many=30)
def explained_pictures(draw, kit, name):
    rows = draw(st.one_of(JUNK, st.lists(st.integers(-7, 7), max_size=4)))
    if name.startswith("Explanation."):
        return kit.explanation.plot, {"rows": rows}, anything
    several = draw(st.sampled_from([[kit.explanation], [kit.explanation] * 2, [], [1], None]))
    return ExplanationDisplay.from_explanations, {"explanations": several, "rows": rows}, anything


@case("ExplanationDisplay.from_estimator", few=2, many=15)
def explained_estimators(draw, kit, name):
    X, plain = draw(images())
    y, _ = draw(labels(2 if plain is None else len(plain), kit.network.classes_))
    given = {"estimator": kit.network, "X": X, "y": y}
    given["explainers"] = [kit.explainers["FeatureMapExplainer"]]
    return ExplanationDisplay.from_estimator, given, anything


@case("Explanation.to_shap", few=2, many=20)
def shap_explanations(draw, kit, name):
    explained = kit.explainers["SHAPExplainer"].explain(kit.X[:3], kit.y[:3])
    rows = draw(st.one_of(st.just(slice(None)), st.lists(st.integers(0, 2), max_size=3)))
    if draw(st.booleans()):
        explained = kit.explanation
    return explained[rows].to_shap, {}, anything


# Images and their files


@case("images.as_images", many=800, files=True)
def any_images(draw, kit, name):
    given = draw(st.one_of(images(odds=2).map(lambda pair: pair[0]), paths(kit), JUNK))
    options = draw(reading_options())
    # Files are read when rows are asked for.
    return lambda X, **options: as_images(X, **options)[:], {"X": given, **options}, anything


@st.composite
def reading_options(draw):
    sizes = st.sampled_from(
        [None, (4, 5), [3, 3], 8, (0, 3), (2.5, 3), "big", (4, 5, 1), (True, 2), -1]
    )
    modes = st.sampled_from([None, "rgb", "grayscale", "bgr", 3])
    windows = st.sampled_from(["header", None, "brain", (40, 80), (1, 0), "a", 7, (np.nan, 1)])
    options = {"image_size": draw(sizes), "color_mode": draw(modes), "window": draw(windows)}
    return {key: value for key, value in options.items() if draw(st.booleans())}


def paths(kit):
    wrong = [*kit.files[:1], str(kit.folder), "gone.png", "", "a\0b", 3, None, b"x.png"]
    ways = [list, tuple, np.array, pd.Series, lambda x: np.array(x, object)[:, None]]
    ways += [lambda x: pd.DataFrame({"path": x}), lambda x: np.array(x).astype("S"), lambda x: x[0]]
    listed = st.lists(st.sampled_from(kit.files * 4 + wrong), min_size=1, max_size=4)
    right = st.lists(st.sampled_from(kit.files), min_size=1, max_size=4)
    return st.tuples(st.one_of(listed, right), st.sampled_from(ways)).map(made_of)


def made_of(pair):
    listed, way = pair
    with contextlib.suppress(Exception):
        return way(listed)
    return listed


@case("images.ImagePaths", many=200, files=True)
def any_paths(draw, kit, name):
    frames = {"frames": draw(st.sampled_from([None, "first", "all", "last", 3]))}
    given = {"paths": draw(st.one_of(paths(kit), JUNK)), **draw(reading_options()), **frames}
    return lambda paths, **options: ImagePaths(paths, **options)[:], given, anything


@case("images.file_metadata", many=100, files=True)
def headers(draw, kit, name):
    paths = draw(st.sampled_from([kit.files] * 3 + [np.array(kit.files), kit.files[0], [], kit.X]))
    paths = draw(st.one_of(st.just(paths), JUNK))

    def check(table):
        assert table["height"].tolist() == [SIDE] * len(paths)

    return file_metadata, {"paths": paths, "verbose": False}, check


@case("images.read_image", many=200, files=True)
def any_file(draw, kit, name):
    path = draw(st.one_of(st.sampled_from([*kit.files, str(kit.folder), "a\0b"]), JUNK))
    frames = {"frames": draw(st.sampled_from([None, "first", "all", "last", 3]))}
    return read_image, {"path": path, **draw(reading_options()), **frames}, anything


@case("distillation.load_teacher", many=60, files=True)
def any_teacher_file(draw, kit, name):
    known = st.sampled_from([*kit.files, str(kit.folder), "a\0b.keras"])
    path = draw(st.one_of(known, JUNK.filter(lambda path: path != "")))
    return load_teacher, {"path": path}, anything


# Files of estimators and blocks of files


@case("NetworkClassifier.save", "KDClassifier.save", few=2, many=12, files=True)
@case(*(f"{name}.save" for name in EXPLAINERS), few=2, many=12, files=True)
def saving(draw, kit, name):
    known = {"NetworkClassifier": kit.network, "KDClassifier": kit.student, **kit.explainers}
    to = kit.folder / "a.skkd"
    wrong = JUNK.filter(lambda path: not isinstance(path, str | bytes | os.PathLike))
    places = st.sampled_from([to, str(to), kit.folder, kit.folder / "no" / "a.skkd", "a\0b"])
    return known[name.partition(".")[0]].save, {"path": draw(st.one_of(places, wrong))}, anything


@case("load", few=3, many=60, files=True)
def loading(draw, kit, name):
    known = st.sampled_from([*kit.saved, *kit.files, str(kit.folder), "a\0b"])
    given = {"path": draw(st.one_of(known, JUNK.filter(lambda path: path != "")))}
    given["custom_objects"] = draw(st.one_of(st.sampled_from([None, None, {}]), JUNK))

    def check(loaded):
        assert isinstance(loaded, NetworkClassifier | GradCAMExplainer)

    return skkd.load, given, check


@case("persistence.NotSaved", few=1, many=5)
def a_stand_in(draw, kit, name):
    return persistence.NotSaved, {"description": draw(JUNK)}, anything


@case("blocks.predict_block", "blocks.teacher_block", "blocks.explain_block", files=True)
def blocks_of_files(draw, kit, name):
    given = {"paths": draw(st.one_of(st.sampled_from([kit.files, kit.files, []]), JUNK))}
    model = {"t": "teacher", "e": "explainer"}.get(given_name(name)[0], "model")
    given[model] = draw(st.one_of(st.sampled_from([*kit.saved, kit.files[0]]), JUNK))
    if model == "teacher":
        given["color_mode"] = draw(st.sampled_from(["grayscale", "grayscale", "rgb", "a", None]))

    def check(result):
        assert len(result) == len(given["paths"])

    return getattr(blocks, given_name(name)), given, check


@case("blocks.write_block", files=True)
def written_blocks(draw, kit, name):
    given = {"paths": draw(st.one_of(st.sampled_from([kit.files, kit.files, []]), JUNK))}
    wrong = JUNK.filter(lambda path: not isinstance(path, str | bytes | os.PathLike))
    given["folder"] = draw(st.one_of(st.just(kit.folder / "out"), wrong))
    given["block"] = draw(st.one_of(st.just(blocks.predict_block), JUNK))
    given["model"] = draw(st.one_of(st.sampled_from(kit.saved), JUNK))
    return blocks.write_block, given, anything


# Data sets


@case("datasets.find_duplicates", many=250)
def duplicates(draw, kit, name):
    X, plain = draw(images(odds=4))
    given = {"X": draw(st.sampled_from([X, X, X, kit.files])), "verbose": False}
    given["method"] = draw(st.sampled_from(["exact", "exact", "perceptual", "a", None]))
    given["threshold"] = draw(st.sampled_from([8, 8, 0, -1, 0.5, 1000, "a", None, np.nan]))

    def check(groups):
        if plain is not None and given["method"] == "exact" and given["X"] is X:
            rows = [tuple(image.ravel()) for image in plain]
            expected = [
                np.flatnonzero([row == other for other in rows]) for row in dict.fromkeys(rows)
            ]
            expected = [group.tolist() for group in expected if len(group) > 1]
            assert [group.tolist() for group in groups] == expected

    return datasets.find_duplicates, given, check


@case("datasets.group_duplicates", many=100)
def numbers_of_duplicates(draw, kit, name):
    _, given, _ = duplicates(draw, kit, name)

    def check(groups):
        assert groups.shape == (len(given["X"]),)
        # Numbered in the order in which they come.
        np.testing.assert_array_equal(pd.factorize(groups)[0], groups)

    return datasets.group_duplicates, given, check


@case("datasets.check_split", many=250)
def splits(draw, kit, name):
    sides = {}
    for side in ("train", "test"):
        X, plain = draw(images(odds=9))
        y, _ = draw(labels(2 if plain is None else len(plain), ["a", "b"]))
        sides[side] = draw(
            st.sampled_from([(X, y)] * 4 + [Bunch(data=X, target=y), (kit.files, y), (X,), 3, None])
        )
        if draw(st.booleans()) and isinstance(sides[side], tuple):
            n = 2 if plain is None else len(plain)
            sides[side] = (*sides[side], draw(labels(n, ["p", "q", "r"]))[0])
    method = draw(st.sampled_from(["exact", "exact", "perceptual", "a"]))

    def check(report):
        assert set(report.shared) == {"test", "train", "test_label", "train_label"}
        assert set(report.shared_groups) == {"group", "n_train", "n_test"}

    return datasets.check_split, {**sides, "method": method, "verbose": False}, check


@case("datasets.load_image_folder", many=80, files=True)
def folders(draw, kit, name):
    given = {"root": draw(st.one_of(st.just(kit.classes), JUNK)), **draw(reading_options())}
    for key in ("subset", "frames", "manifest", "limit", "on_error", "as_paths", "random_state"):
        if draw(st.integers(0, 4)) == 4:
            given[key] = draw(JUNK)
    return datasets.load_image_folder, {**given, "verbose": False}, lambda images: images.data.shape


@case("datasets.make_brain_phantoms", "datasets.make_fundus_phantoms", many=40)
def phantoms(draw, kit, name):
    make = getattr(datasets, given_name(name))
    given = {"n_samples": draw(st.one_of(st.integers(4, 8), JUNK.filter(lambda n: n != 1e9)))}
    sides = st.tuples(st.integers(1, 70), st.integers(1, 70))
    given["image_size"] = draw(st.one_of(sides, sides, JUNK))
    given["random_state"] = draw(st.sampled_from([0, None, "a", np.random.RandomState(0)]))
    given["return_masks"] = draw(st.booleans())

    def check(made):
        assert [len(part) for part in made] == [given["n_samples"]] * len(made)

    return make, given, check


@case(
    *(f"datasets.fetch_{name}" for name in ("alzheimer", "brain_tumor", "eye_disease")),
    many=30,
    files=True,
)
def fetched(draw, kit, name):
    given = {"data_home": str(kit.folder), "download_if_missing": False}
    for key in ("subset", "image_size", "color_mode", "random_state", "data_home"):
        if draw(st.booleans()):
            # Without a folder of data of one's own, a real one might be read.
            given[key] = draw(JUNK) or given.get(key)
    return getattr(datasets, given_name(name)), given, anything


# Metrics of predictions


@st.composite
def probabilities(draw, n, n_classes, odds=8):
    """Draw probabilities and the same as float64, None where they are none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Eighths, which every floating-point type holds.
    plain = rng.multinomial(8, np.ones(n_classes) / n_classes, n) / 8
    if draw(st.integers(0, 9)) >= odds:
        wrong = [
            plain * 2 - 0.5,
            plain * np.nan,
            plain[:-1],
            plain[:, :1],
            plain[..., None],
            "a",
            None,
        ]
        wrong += [
            plain.astype(str),
            plain.astype(object),
            plain[:, [0, *range(n_classes)]],
            0.5,
            plain + 1j,
        ]
        return draw(st.sampled_from(wrong)), None
    values = plain.astype(draw(st.sampled_from(["float16", "float32", "float64"])))
    ways = [
        np.asarray,
        np.asfortranarray,
        list,
        pd.DataFrame,
        lambda p: p[::-1][::-1],
        np.ndarray.tolist,
    ]
    return draw(st.sampled_from(ways))(values), plain


@st.composite
def predicted(draw):
    n = draw(st.sampled_from([0, 1, 2, 5, 9]))
    classes = draw(
        st.sampled_from([[0, 1], [-1, 1], ["a", "b"], ["a", "b", "c"], [0.0, 1.0], [False, True]])
    )
    y, plain_y = draw(labels(n, classes))
    proba, plain = draw(probabilities(n, len(classes)))
    given = {"y_true": y, "y_proba": proba}
    if (
        len(classes) == 2
        and isinstance(proba, np.ndarray)
        and proba.ndim == 2
        and draw(st.booleans())
    ):
        given["y_proba"] = proba[:, 1:]
    if draw(st.booleans()):
        given["pos_label"] = draw(st.sampled_from([*classes, None, "z", 1]))
    if draw(st.integers(0, 3)) == 3:
        given["sample_weight"] = draw(sample_weights(n))[0]
    for key in ("prevalence", "standardized", "test_harm"):
        if draw(st.integers(0, 5)) == 5:
            given[key] = draw(JUNK)
    is_right = plain is not None and plain_y is not None
    return given, classes, (plain_y, plain) if is_right else None


@case("net_benefit", many=900)
def benefits(draw, kit, name):
    given, classes, plain = draw(predicted())
    if np.ndim(given["y_proba"]) == 2 and draw(st.booleans()):
        given["y_proba"] = np.asarray(given["y_proba"])[:, -1]
    t = draw(
        st.sampled_from([0.5, 0.25, [0.25, 0.75], np.array([0.5]), 0, 1, np.nan, "a", None, []])
    )
    given["thresholds"] = t

    def check(result):
        assert np.isfinite(result).all()
        simple = given.keys() <= {"y_true", "y_proba", "thresholds", "pos_label"}
        if plain is not None and simple and isinstance(t, float):
            y = plain[0] == (given.get("pos_label", 1) if given.get("pos_label") is not None else 1)
            treated = plain[1][:, -1] >= t
            right = np.mean(treated & y) - np.mean(treated & ~y) * t / (1 - t)
            if given.get("pos_label") in (None, classes[-1]):
                close(result, right)

    return metrics.net_benefit, given, check


@case("decision_curve", many=300)
@case("DecisionCurveDisplay.from_predictions", few=2, many=25)
def curves(draw, kit, name):
    given, classes, _ = draw(predicted())
    given["thresholds"] = draw(st.sampled_from([None, 0.5, [0.2, 0.8], [], "a", [2], [0.1] * 3]))
    given["labels"] = draw(
        st.sampled_from([None, None, classes, classes[::-1], classes[:1], 3, "ab"])
    )
    if name == "decision_curve":
        return metrics.decision_curve, given, lambda curve: np.isfinite(curve["net_benefit"]).all()
    return DecisionCurveDisplay.from_predictions, given, anything


@case("DecisionCurveDisplay.from_estimator", few=2, many=20)
def estimated_curves(draw, kit, name):
    X, plain = draw(images())
    y, _ = draw(labels(2 if plain is None else len(plain), kit.network.classes_))
    estimator = draw(st.sampled_from([kit.network] * 4 + [kit.network.model_, None]))
    return DecisionCurveDisplay.from_estimator, {"estimator": estimator, "X": X, "y": y}, anything


@case("classification_summary", many=200)
def summaries(draw, kit, name):
    X, plain = draw(images())
    y, plain_y = draw(labels(2 if plain is None else len(plain), kit.network.classes_))
    estimators = draw(
        st.sampled_from([{"a": kit.network}, [kit.student]] * 3 + [kit.network, [], {}, 3])
    )

    def check(table):
        if plain is not None and plain_y is not None:
            (fitted,) = getattr(estimators, "values", lambda: estimators)()
            assert table["accuracy"].iloc[0] == np.mean(fitted.predict(plain) == plain_y)

    return metrics.classification_summary, {"estimators": estimators, "X": X, "y": y}, check


@case("bootstrap_scores", many=150)
def bootstrapped(draw, kit, name):
    given, classes, plain = draw(predicted())
    given = {key: given[key] for key in ("y_true", "y_proba")}
    scores = ["accuracy", ["accuracy", "neg_log_loss"], {"a": "f1_macro"}, "roc_auc", 3, [], "x"]
    given["scores"] = draw(st.sampled_from(scores))
    given["labels"] = classes
    given["n_resamples"] = draw(st.sampled_from([4, 4, 4, 1, 0, "a"]))
    given["random_state"] = 0
    if draw(st.integers(0, 3)) == 3:
        given["groups"] = draw(labels(len(given["y_true"]) if plain else 2, ["p", "q"]))[0]
    for key in ("confidence", "method", "paired_with"):
        if draw(st.integers(0, 5)) == 5:
            given[key] = draw(st.one_of(st.sampled_from([0.5, "bca", given["y_proba"]]), JUNK))

    def check(table):
        if plain is not None and "accuracy" in table.index:
            right = plain[1].argmax(axis=1) == [classes.index(label) for label in plain[0]]
            close(table.estimate["accuracy"], right.mean())

    return metrics.bootstrap_scores, given, check


@case("mcnemar_test", many=150)
def predicted_twice(draw, kit, name):
    n = draw(st.sampled_from([0, 1, 2, 5]))
    classes = draw(st.sampled_from([[0, 1], ["a", "b"], [False, True]]))
    columns = [draw(labels(n, classes)) for _ in range(3)]
    given = dict(zip(("y_true", "y_pred", "y_pred_other"), [c[0] for c in columns], strict=True))

    def check(result):
        y, first, other = (plain for _, plain in columns)
        if not any(plain is None for plain in (y, first, other)):
            close(result.difference, np.mean(y == first) - np.mean(y == other))

    return metrics.mcnemar_test, given, check


@case("delong_test", many=150)
def scored_twice(draw, kit, name):
    given, _, plain = draw(predicted())
    scores = [given.pop("y_proba"), draw(probabilities(len(plain[0]) if plain else 2, 2))[0]]
    if np.ndim(scores[0]) == 2:
        scores = [
            np.asarray(values)[:, -1] if np.ndim(values) == 2 else values for values in scores
        ]
    given = {key: value for key, value in given.items() if key in ("y_true", "pos_label")}
    given |= {"y_score": scores[0], "y_score_other": scores[1]}

    def check(result):
        assert 0 <= result.auc <= 1
        assert result.low <= result.difference <= result.high

    return metrics.delong_test, given, check


@case("expected_calibration_error", many=300)
def calibration_errors(draw, kit, name):
    given, classes, plain = draw(predicted())
    given = {key: given[key] for key in ("y_true", "y_proba")}
    given["labels"] = draw(st.sampled_from([classes, classes, classes, None, classes[::-1], 3]))
    given["n_bins"] = draw(st.sampled_from([1, 1, 1, 15, 0, "a"]))
    for key in ("strategy", "debiased"):
        if draw(st.integers(0, 3)) == 3:
            given[key] = draw(st.one_of(st.sampled_from(["quantile", True]), JUNK))

    def check(error):
        assert -1 <= error <= 1
        simple = given["labels"] is classes and given["n_bins"] == 1 and "debiased" not in given
        if plain is not None and simple:
            right = plain[1].argmax(axis=1) == [classes.index(label) for label in plain[0]]
            close(error, abs(right.mean() - plain[1].max(axis=1).mean()))

    return metrics.expected_calibration_error, given, check


# What is made ready for use


@case("deferral_curve", many=300)
@case("DeferralCurveDisplay.from_predictions", few=2, many=25)
def deferral_curves(draw, kit, name):
    given, classes, plain = draw(predicted())
    n = len(plain[0]) if plain else 2
    given = {key: given[key] for key in ("y_true", "y_proba")}
    given["labels"] = classes
    answers = draw(st.one_of(probabilities(n, len(classes)), labels(n, classes)))
    given["fallback"] = draw(st.sampled_from([answers[0], answers[0], None]))
    for key in ("coverages", "error_cost", "fallback_cost"):
        if draw(st.integers(0, 5)) == 5 and (name == "deferral_curve" or key != "coverages"):
            given[key] = draw(st.one_of(st.sampled_from([[0.5, 1], [0]]), JUNK))

    def check(curve):
        shares = curve["share_asked"]
        assert ((shares >= 0) & (shares <= 1)).all()
        if plain is not None and "coverages" not in given:
            right = plain[1].argmax(axis=1) == [classes.index(label) for label in plain[0]]
            close(curve["accuracy_kept"].iloc[-1], right.mean())

    if name == "deferral_curve":
        return skkd.deferral_curve, given, check
    return DeferralCurveDisplay.from_predictions, given, anything


@case("DeferralCurveDisplay.from_estimator", few=2, many=20)
def estimated_deferral(draw, kit, name):
    X, plain = draw(images())
    y, _ = draw(labels(2 if plain is None else len(plain), kit.network.classes_))
    estimator = draw(st.sampled_from([kit.deferring] * 5 + [kit.network, None]))
    return DeferralCurveDisplay.from_estimator, {"estimator": estimator, "X": X, "y": y}, anything


@case(*(f"DeferringClassifier.{method}" for method in ("defer", "predict", "predict_proba")))
@case("DeferringClassifier.score", many=50)
def deferring_answers(draw, kit, name):
    X, plain = draw(images())
    method = getattr(kit.deferring, given_name(name))
    given = {"X": X}
    if name.endswith("score"):
        given["y"], plain_y = draw(labels(2 if plain is None else len(plain), kit.network.classes_))

    def check(result):
        if plain is None:
            return
        if name.endswith("score"):
            if plain_y is not None:
                close(result, np.mean(kit.deferring.predict(plain) == plain_y))
        else:
            assert len(result) == len(plain)
            same = method(plain)
            close(result, same) if result.dtype.kind == "f" else np.testing.assert_array_equal(
                result, same
            )

    return method, given, check


@case("DeferringClassifier.fit", few=3, many=30)
def deferring_fits(draw, kit, name):
    X, plain = draw(images())
    y, _ = draw(labels(2 if plain is None else len(plain), kit.network.classes_))
    deferring = DeferringClassifier(
        FrozenEstimator(draw(st.sampled_from([kit.network, kit.student]))),
        draw(st.sampled_from([FrozenEstimator(kit.network), "teacher", None])),
        threshold=draw(st.one_of(st.sampled_from([0.5, None]), JUNK)),
        coverage=draw(st.one_of(st.sampled_from([0.5, None, None]), JUNK)),
        deferred_label=draw(st.one_of(st.sampled_from([None, None, "ask"]), JUNK)),
    )
    return deferring.fit, {"X": X, "y": y}, lambda fitted: fitted.threshold_ >= 0


@case("DeferringClassifier.get_metadata_routing", few=1, many=2)
def routing(draw, kit, name):
    return kit.deferring.get_metadata_routing, {}, anything


@case("fold_temperature", few=2, many=10)
def folded(draw, kit, name):
    calibrated = draw(st.one_of(st.sampled_from([kit.calibrated, kit.network]), JUNK))

    def check(student):
        close(student.predict_proba(kit.X), calibrated.predict_proba(kit.X))

    return skkd.fold_temperature, {"calibrated": calibrated}, check


@case("conformal_estimator", few=2, many=10)
def conformal(draw, kit, name):
    estimator = draw(st.one_of(st.sampled_from([kit.network, NetworkClassifier()]), JUNK))
    return skkd.conformal_estimator, {"estimator": estimator}, anything


# What else is known of images


@st.composite
def columns(draw, n):
    """Draw what a user may say of images beside their labels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    two = np.array(["x", "y"])[rng.integers(0, 2, n)]
    ways = [
        lambda: {"a": two, "b": rng.normal(size=n)},
        lambda: pd.DataFrame({"a": two}, index=np.arange(n)[::-1]),
        lambda: pd.DataFrame({"a": pd.Categorical(two), "b": pd.date_range("2020", periods=n)}),
        lambda: {"a": pd.array(rng.integers(0, 2, n), dtype="Int64"), "b": [None] * n},
        lambda: {"a": np.where(two == "x", np.nan, 1.0), "b": two == "x", 3: list(two)},
        lambda: {"a": draw(labels(n, ["p", "q"]))[0]},
        lambda: {"a": draw(arrays((n,)))[0]},
        lambda: draw(JUNK),
    ]
    return draw(st.sampled_from(ways))()


@case("subgroup_report", few=3, many=150)
@case("SubgroupDisplay.from_estimator", few=2, many=20)
@case("shortcut_report", few=2, many=40)
def audits(draw, kit, name):
    X, plain = draw(images())
    n = 2 if plain is None else len(plain)
    y, plain_y = draw(labels(n, kit.network.classes_))
    given = {
        "estimator": draw(st.sampled_from([kit.network] * 3 + [kit.network.model_, 3])),
        "X": X,
        "y": y,
        "metadata": draw(columns(n)),
        "groups": draw(st.one_of(st.none(), labels(n, ["p", "q"]).map(lambda pair: pair[0]))),
        "n_resamples": draw(st.sampled_from([3, 3, 0, None])),
        "random_state": 0,
    }
    if name == "shortcut_report":
        given["masks"] = draw(st.one_of(st.none(), arrays((n, SIDE, SIDE)).map(lambda m: m[0])))
        given["n_repeats"] = 1
    else:
        given["min_count"] = 2
        given["scores"] = draw(st.sampled_from(["accuracy", ["accuracy", "roc_auc_ovr"], "a"]))

    def check(report):
        report = getattr(report, "report", report)
        right = kit.network.predict(plain) == plain_y if plain_y is not None else None
        if plain is not None and plain_y is not None:
            first = "accuracy" if name == "shortcut_report" else "estimate"
            # One patient is too few to be scored.
            if name == "shortcut_report" or report["n_patients"].iloc[0] > 1:
                close(report[first].iloc[0], np.mean(right))

    called = SubgroupDisplay.from_estimator if "." in name else getattr(metrics, name)
    return called, given, check


# Faithfulness


@st.composite
def maps(draw, n, kit):
    """Draw what a user may call an explanation of images, and the same as (n, height, width)."""
    kind = draw(st.integers(0, 9))
    if kind < 6:
        shape = draw(
            st.sampled_from([(SIDE, SIDE), (SIDE, SIDE), (2, SIDE, SIDE), (SIDE, SIDE, 1)])
        )
        values, plain = draw(arrays((n, *shape)))
        if plain.ndim == 4:
            plain = plain[..., 0] if shape[-1] == 1 else plain[:, -1]
        return contained(draw, values), plain if np.isfinite(plain).all() else None
    if kind == 6:
        return draw(images())[0], None
    if kind == 7:
        return draw(st.sampled_from([kit.explainers["FeatureMapExplainer"], kit.explanation])), None
    return draw(JUNK), None


CHANGES = ["perturb_images", "average_drop", "increase_in_confidence", "fidelity_score"]
CHANGES += ["fidelity_samples", "insertion_curve", "deletion_curve"]


@case(*CHANGES, many=150)
def faithfulness(draw, kit, name):
    X, plain = draw(images(odds=9))
    n = 2 if plain is None else len(plain)
    y, plain_y = draw(labels(n, kit.network.classes_))
    explanation, plain_maps = draw(maps(n, kit))
    function = getattr(metrics, name)
    given = {"X": X, "explanation": explanation}
    if name != "perturb_images":
        estimator = draw(st.sampled_from([kit.network] * 5 + [kit.student, kit.network.model_, 3]))
        given |= {"estimator": estimator, "y": y}
    for key in ("mode", "mask", "fraction", "baseline", "layer", "n_steps", "batch_size"):
        if key in inspect.signature(function).parameters and draw(st.integers(0, 7)) == 7:
            values = [
                "remove",
                "top",
                0.5,
                "zero",
                "mean",
                "noise",
                "road",
                -1,
                2,
                "a",
                None,
                np.nan,
            ]
            given[key] = draw(st.sampled_from(values))

    def check(result):
        whole = None not in (plain is None or None, plain_maps is None or None)
        plain_given = given | {
            "X": plain,
            "explanation": plain_maps,
            "y": plain_y,
            "random_state": 0,
        }
        if name == "perturb_images":
            plain_given.pop("y")
            assert np.isfinite(result).all()
        if plain is None or plain_maps is None or plain_y is None or whole is False:
            return
        again, result = function(**plain_given), function(**given, random_state=0)
        if isinstance(result, Bunch):
            again, result = again.auc, result.auc
        close(np.asarray(result, float), np.asarray(again, float))

    return function, given, check


@case("fidelity_report", "FidelityDisplay.from_estimator", few=2, many=25)
@case("PerturbationCurveDisplay.from_estimator", few=2, many=20)
def reports(draw, kit, name):
    X, plain = draw(images(odds=9))
    y, _ = draw(labels(2 if plain is None else len(plain), kit.network.classes_))
    explainers = draw(st.sampled_from([[kit.explainers["FeatureMapExplainer"]]] * 3 + [[], 3, {}]))
    given = {"estimator": kit.network, "X": X, "y": y, "explainers": explainers}
    if name.startswith("Perturbation"):
        given["kind"] = draw(st.sampled_from(["deletion", "insertion", "a", None]))
        return PerturbationCurveDisplay.from_estimator, given, anything
    if name.startswith("Fidelity"):
        return FidelityDisplay.from_estimator, given, anything
    given["classes"] = draw(st.sampled_from([None, None, ["a"], ["z"], "a", 3, []]))
    return metrics.fidelity_report, given, anything


@case("make_fidelity_scorer", many=60)
def scorers(draw, kit, name):
    X, plain = draw(images(odds=9))
    y, _ = draw(labels(2 if plain is None else len(plain), kit.network.classes_))
    explainer_class = draw(
        st.sampled_from([FeatureMapExplainer] * 4 + [3, None, "a", NetworkClassifier])
    )

    def score(explainer_class, X, y):
        return metrics.make_fidelity_scorer(explainer_class)(kit.network, X, y)

    return score, {"explainer_class": explainer_class, "X": X, "y": y}, anything


@case("pointing_game", "saliency_iou", many=500)
def localizations(draw, kit, name):
    n = draw(st.sampled_from([0, 1, 2, 5]))
    explanation, plain = draw(maps(n, kit))
    shape = draw(
        st.sampled_from(
            [(n, SIDE, SIDE)] * 6 + [(n, SIDE, SIDE, 1), (n, 3, 3), (n,), (n + 1, SIDE, SIDE)]
        )
    )
    masks, plain_masks = draw(arrays(shape))
    option = "tolerance" if name == "pointing_game" else "fraction"
    given = {
        "explanation": explanation,
        "masks": draw(st.sampled_from([masks] * 9 + [None, 3, "a"])),
    }
    if draw(st.integers(0, 5)) == 5:
        given[option] = draw(st.sampled_from([None, 0, 1, 2.5, 0.5, -1, np.nan, "a"]))
    if draw(st.integers(0, 5)) == 5:
        given["layer"] = draw(JUNK)

    def check(result):
        assert 0 <= result <= 1
        if plain is None or given["masks"] is not masks or not np.isfinite(plain_masks).all():
            return
        plain_given = given | {"explanation": plain, "masks": plain_masks}
        close(result, getattr(metrics, name)(**plain_given))

    return getattr(metrics, name), given, check


@case("randomization_check", few=2, many=15)
def randomized(draw, kit, name):
    given = {"explainer": kit.explainers["FeatureMapExplainer"], "X": draw(images())[0]}
    if draw(st.booleans()):
        given["max_layers"] = draw(st.sampled_from([1, 0, -1, "a", 0.5]))
    return metrics.randomization_check, {**given, "random_state": 0}, anything


# Costs


@case("count_flops", many=150)
def flops(draw, kit, name):
    model = draw(
        st.sampled_from(
            [kit.network, kit.network.model_, kit.student, kit.any_size] * 2 + [3, None]
        )
    )
    given = {
        "model": model,
        "input_shape": draw(st.sampled_from([None, (8, 8, 1), (9, 7, 1), (8, 8, 3)])),
    }
    if draw(st.integers(0, 2)) == 2:
        given["input_shape"] = draw(JUNK)
    given["convention"] = draw(st.sampled_from(["profiler", "mac", "2mac", "a", None, 3]))
    given["per_layer"] = draw(st.booleans())

    def check(result):
        assert np.sum(result if isinstance(result, int) else result["flops"]) > 0

    return metrics.count_flops, given, check


@case("explain_timing", "TimingDisplay.from_explainers", few=2, many=30)
def timings(draw, kit, name):
    explainers = draw(
        st.sampled_from([[kit.explainers["FeatureMapExplainer"]]] * 4 + [[], 3, {}, [3]])
    )
    given = {"explainers": explainers, "X": draw(images())[0], "n_repeats": 1, "warmup": 0}
    for key in ("n_repeats", "warmup", "batch_size"):
        if draw(st.integers(0, 5)) == 5:
            given[key] = draw(JUNK.filter(lambda value: value != 1e9))
    called = metrics.explain_timing if name == "explain_timing" else TimingDisplay.from_explainers
    return called, given, anything


# Pictures of results, and reports of searches


@case("DecisionCurveDisplay", "DecisionCurveDisplay.plot", few=2, many=15)
@case("TimingDisplay", "TimingDisplay.plot", "TimingDisplay.from_timing", few=2, many=15)
@case("FidelityDisplay", "FidelityDisplay.plot", "FidelityDisplay.from_report", few=2, many=15)
@case("SubgroupDisplay", "SubgroupDisplay.plot", "SubgroupDisplay.from_report", few=2, many=15)
@case("PerturbationCurveDisplay", "PerturbationCurveDisplay.plot", few=2, many=15)
@case("PerturbationCurveDisplay.from_curves", few=2, many=15)
@case("DeferralCurveDisplay", "DeferralCurveDisplay.plot", few=2, many=15)
@case("DistillationGridDisplay", "DistillationGridDisplay.plot", few=2, many=15)
@case("DistillationGridDisplay.from_search", few=2, many=15)
@case("Explanation", "ExplanationDisplay", "ExplanationDisplay.plot", few=2, many=15)
def pictures(draw, kit, name):
    cls, _, method = name.partition(".")
    dtypes = ("float16", "float32", "float64")
    of = {
        "DecisionCurveDisplay": lambda: DecisionCurveDisplay(
            np.array([0.2, 0.5, 0.8]),
            *(draw(arrays((2, 3), dtypes, odd=False))[0] for _ in "ab"),
            ["a", "b"],
        ),
        "DeferralCurveDisplay": lambda: DeferralCurveDisplay(
            skkd.deferral_curve([0, 1], [[0.5, 0.5], [0, 1]]), share_asked=draw(JUNK)
        ),
        "TimingDisplay": lambda: TimingDisplay(
            *(np.abs(draw(arrays(2, dtypes, odd=False))[0]) + 1 for _ in "ab"), ["a", "b"]
        ),
        "FidelityDisplay": lambda: FidelityDisplay(kit.report),
        "SubgroupDisplay": lambda: SubgroupDisplay(kit.subgroups),
        "PerturbationCurveDisplay": lambda: PerturbationCurveDisplay({"a": kit.curve}, "deletion"),
        "DistillationGridDisplay": lambda: DistillationGridDisplay(
            scores=draw(arrays((2, 3), dtypes))[0], alphas=[0, 1], temperatures=[1, 2, 3]
        ),
        "ExplanationDisplay": lambda: ExplanationDisplay(
            images=draw(arrays((2, 8, 8, 1), dtypes, odd=False))[0],
            maps=draw(arrays((2, 1, 8, 8), dtypes, odd=False))[0],
            map_names=["a"],
            row_titles=["a", "b"],
        ),
        "Explanation": lambda: Explanation(
            *(
                draw(arrays(shape, dtypes, odd=False))[0]
                for shape in ((2, 8, 8), (2, 8, 8, 1), 2, 2)
            )
        ),
    }
    thing = draw(JUNK)
    made = {
        "from_timing": lambda: (TimingDisplay.from_timing, {"timing": thing}),
        "from_report": lambda: (
            {"FidelityDisplay": FidelityDisplay, "SubgroupDisplay": SubgroupDisplay}[
                cls
            ].from_report,
            {"report": thing},
        ),
        "from_curves": lambda: (
            PerturbationCurveDisplay.from_curves,
            {"curves": draw(st.sampled_from([{"a": kit.curve}, {}, thing])), "kind": thing},
        ),
        "from_search": lambda: (
            DistillationGridDisplay.from_search,
            {"search": draw(st.sampled_from([kit.search, thing])), "score": thing},
        ),
    }
    if method in made:
        return *made[method](), anything
    options = {} if cls == "Explanation" else {"ax": draw(st.sampled_from([None, None, 3, "a"]))}
    return of[cls]().plot, options, anything


@case("distillation_report", few=2, many=60)
def searches(draw, kit, name):
    X, plain = draw(images())
    y, _ = draw(labels(2 if plain is None else len(plain), kit.network.classes_))
    search = draw(st.sampled_from([kit.search] * 5 + [kit.network, 3, None]))
    given = {"search": search, "X": draw(st.sampled_from([X, X, X, None])), "y": y}
    return metrics.distillation_report, given, anything


# What is made of a trained classifier


@case("export_student", few=3, many=60, files=True)
def exports(draw, kit, name):
    X, _ = draw(images())
    runtime = SimpleNamespace(
        SUFFIX=".tflite",
        check_packages=lambda quantize: None,
        convert=lambda model: b"float32",
        quantize=lambda content, kind, images: b"".join(map(bytes, images or [])),
        describe=lambda content, record: content,
        load=lambda content: lambda image: kit.network.predict_proba(image),
    )

    @functools.wraps(skkd.export_student)
    def export(**given):
        # What LiteRT itself does with a network is tested with it.
        with mock.patch.dict(_export._FORMATS, litert=runtime):
            return skkd.export_student(**given)

    to = kit.folder / "a.tflite"
    given = {
        "estimator": draw(st.sampled_from([kit.network] * 5 + [NetworkClassifier(), 3, None])),
        "path": draw(st.sampled_from([to, to, str(to), kit.folder / "a.onnx", "a\0b.tflite", 3])),
        "format": draw(st.sampled_from(["litert"] * 5 + ["tf", None])),
        "quantize": draw(st.sampled_from([None, None, "int8", "float16", "int4", 8])),
        "X_representative": draw(st.sampled_from([None, None, kit.X, kit.files, X])),
        "X": draw(st.sampled_from([None, X, X, kit.X])),
        "y": draw(st.sampled_from([None, None, kit.y, kit.y[:1], 3, "a"])),
        "groups": draw(st.sampled_from([None, None, kit.y, kit.y[:1]])),
        "confidence": draw(st.sampled_from([0.95, 0.9, 0, 1, "a"])),
        "random_state": draw(st.sampled_from([None, 0])),
    }

    def check(report):
        assert report.loc["float32", "share"] == 1
        assert to.exists()

    return export, given, check


@case("model_card", few=3, many=60)
def cards(draw, kit, name):
    card = SimpleNamespace(
        add=lambda **sections: None, select=lambda name: SimpleNamespace(content="")
    )

    @functools.wraps(skkd.model_card)
    def write(**given):
        # How sections become a text is the business of skops.
        with mock.patch.object(_card, "_new_card", return_value=card):
            return skkd.model_card(**given)

    table = pd.DataFrame({"a": [1, np.nan]})
    parts = ("scores", "calibration", "subgroups", "external", "fidelity", "export")
    given = {key: draw(st.sampled_from([None, table, table.iloc[:0], 3])) for key in parts}
    y, _ = draw(labels(5, kit.network.classes_))
    given |= {
        "estimator": draw(st.sampled_from([kit.network, kit.student, NetworkClassifier(), 3])),
        "title": draw(st.sampled_from(["a", "a/b", ""])),
        "splits": draw(st.one_of(st.just({"train": y}), JUNK)),
        "groups": draw(st.sampled_from([None, None, {"train": [1] * 5}, {"b": [1]}, 3])),
        "leaks": draw(st.sampled_from([None, None, 3, {}])),
        "tables": draw(st.sampled_from([None, {"a": table}, {"a": 1}, 3])),
        "fields": draw(st.sampled_from([None, {"ethics": "a"}, {"a": "a"}, {"ethics": 1}, 3])),
    }

    def check(result):
        assert result is card

    return write, given, check


@case("study.run_study", few=3, many=60, files=True)
def studies(draw, kit, name):
    @functools.wraps(study.run_study)
    def begin(**given):
        # What comes of a study that has begun is tested with it.
        with (
            mock.patch.object(_run, "_run", return_value="begun"),
            mock.patch.object(_run, "_planned", return_value="planned"),
        ):
            return study.run_study(**given)

    # One wrong setting is refused; a study begins where all are right.
    texts = st.sampled_from([None] * 40 + ["a", "", "(", "a\0b", 3])
    choices = {
        "teacher": [None, None, None, *kit.saved, kit.files[0], 3],
        "alphas": [(0.5,), [0.1, 1], 0.5, np.array([0.4]), (), [1], [2], "a", None, [None]],
        "temperatures": [(4,), 4, [], [0], [np.inf], "a", None, [True]],
        "student": ["five_block", "five_block", "a", None, 3],
        "image_size": [32, 40, 8, 0, (8, 8), 8.5, "a", None],
        "limit": [40, 60, 3, 0, None],
        "seeds": [1, 2, 0, 1.5, "a", True],
        "confidence": [0.95, 0, 1, 95, "a", None],
        "budget": [None, 1, 0, -1, np.inf, "a"],
        "random_state": [0, 3, -1, None, "a"],
    }
    given = {
        key: draw(st.sampled_from(values[:1] * 40 + values)) for key, values in choices.items()
    }
    given |= {key: draw(texts) for key in ("manifest", "patients", "backbone", "weights")}
    data = st.sampled_from([None, None, None, str(kit.folder), kit.folder, kit.files[0], "gone", 3])
    out = kit.folder / "study"
    given |= {
        "data": draw(data),
        "out": draw(st.sampled_from([out, out, str(out), kit.files[0], "a\0b", 3, None])),
        "dry_run": draw(st.booleans()),
        "verbose": 0,
    }

    def check(found):
        assert found == ("planned" if given["dry_run"] else "begun")
        if not given["dry_run"]:
            # Another one is not begun in its place.
            shutil.rmtree(out)

    return begin, given, check


# Networks, and what else is made of parameters


@case("FiveBlockCNN.build", "MLP.build", "KDFMVNet.build", few=2, many=25)
@case("TransferNet.build", few=2, many=8)
def networks(draw, kit, name):
    parameters = {
        "FiveBlockCNN": {
            "filters": [(2,), (2, 2), [1], 2, (0,), "a"],
            "dropout": [0, 0.5, 1.0, -1, "a"],
        },
        "MLP": {"hidden": [(2,), (), [1], 2, (0,), "a", (1.5,)], "dropout": [0, 0.5, 1.0, -1, "a"]},
        "KDFMVNet": {"dropout": [(0, 0, 0), 0.5, (0.5,), "a", (2, 2, 2)]},
        "TransferNet": {
            "backbone": ["mobilenetv2", "a", 3],
            "weights": [None],
            "dense": [(2,), 2, "a"],
            "dropout": [(0.5, 0.5), 0.1],
        },
    }
    cls = name.partition(".")[0]
    chosen = {key: draw(st.sampled_from(values)) for key, values in parameters[cls].items()}
    channels = st.sampled_from([1, 2, 3, 4])
    shape = st.tuples(st.integers(1, 70), st.integers(1, 70), channels)
    given = {
        "input_shape": draw(st.one_of(shape, shape, JUNK)),
        "n_classes": draw(st.sampled_from([2, 3, 1, 0, "a"])),
    }

    def check(model):
        assert model.output_shape == (None, given["n_classes"])
        assert model.input_shape == (None, *given["input_shape"])

    return getattr(skkd, cls)(**chosen).build, given, check


MADE = [FiveBlockCNN, KDFMVNet, MLP, TransferNet, NetworkClassifier, KDClassifier]
MADE += [DeferringClassifier]
MADE += [BrightnessExplainer, FeatureMapExplainer, GradCAMExplainer, SHAPExplainer, Teacher, Hints]


@case(*(cls.__name__.replace("Brightness", "Base") for cls in MADE), few=2, many=20)
def made(draw, kit, name):
    (cls,) = (cls for cls in MADE if cls.__name__.replace("Brightness", "Base") == name)
    names = list(inspect.signature(cls).parameters)
    given = {key: draw(JUNK) for key in names}

    def check(thing):
        assert all(getattr(thing, key) is given[key] for key in names)

    return cls, given, check


def public_calls():
    """Return the names of all public functions, classes and methods."""
    found = set()
    for name in (name for room in ROOMS for name in names_in(room)):
        value = skkd
        for part in name.split("."):
            value = getattr(value, part)
        found.add(name)
        if inspect.isclass(value):
            found |= {f"{name}.{method}" for method, _ in members(value)}
    return found


def test_every_public_function_and_method_is_called():
    assert sorted(CASES) == sorted(public_calls())


def run_tests(kit, one, n_examples):
    @settings(
        max_examples=n_examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def run(data):
        try_input(one, kit, data)

    run()


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """Return small fitted models, and what is made of them."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 17, (24, SIDE, SIDE, 1)).astype(np.float32)
    y = np.array(["a", "b", "c"])[np.arange(24) % 3]
    cnn = FiveBlockCNN(filters=(2, 2), dense=())
    network = NetworkClassifier(cnn, epochs=1, random_state=0).fit(X, y)
    table = NetworkClassifier(MLP(hidden=(2,)), epochs=1, random_state=0).fit(
        X[:, 0, :6, 0], y == "a"
    )
    student = NetworkClassifier(MLP(hidden=(2,)), epochs=1, random_state=0)
    student = KDClassifier(network.model_, student).fit(X, y)
    explainers = {
        "BaseExplainer": BrightnessExplainer(network),
        "FeatureMapExplainer": FeatureMapExplainer(network),
        "GradCAMExplainer": GradCAMExplainer(network),
        "SHAPExplainer": SHAPExplainer(network, background=2, n_samples=2, random_state=0),
    }
    explainers = {name: explainer.fit(X) for name, explainer in explainers.items()}
    has_temperature = parse_version(sklearn.__version__) >= parse_version("1.8")
    calibrated = CalibratedClassifierCV(
        FrozenEstimator(network), method="temperature" if has_temperature else "sigmoid"
    )
    deferring = DeferringClassifier(FrozenEstimator(student), "teacher", coverage=0.5)
    folder = tmp_path_factory.mktemp("files")
    classes = tmp_path_factory.mktemp("classes")
    saved = [str(folder / "network.skkd"), str(folder / "explainer.skkd")]
    network.save(saved[0])
    explainers["GradCAMExplainer"].save(saved[1])
    for label in "ab":
        (classes / label).mkdir()
        Image.new("L", (SIDE, SIDE)).save(classes / label / "1.png")
    for number in range(3):
        Image.fromarray(X[number, ..., 0].astype(np.uint8)).save(folder / f"{number}.png")
    return SimpleNamespace(
        X=X,
        y=y,
        network=network,
        table=table,
        student=student,
        calibrated=calibrated.fit(X, y),
        deferring=deferring.fit(X, y),
        explainers=explainers,
        explanation=explainers["GradCAMExplainer"].explain(X[:3], y[:3]),
        folder=folder,
        classes=classes,
        flat=FeatureMapExplainer(network, flatten=True).fit(X),
        any_size=keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3)]),
        report=metrics.fidelity_report(network, X[:6], y[:6], [explainers["FeatureMapExplainer"]]),
        subgroups=metrics.subgroup_report(network, X, y, {"a": y}, min_count=2, n_resamples=3),
        curve=metrics.deletion_curve(network, X[:3], y[:3], np.ones((3, SIDE, SIDE))),
        search=GridSearchCV(
            KDClassifier(network.model_, student.student),
            {"alpha": [0.5], "temperature": [2]},
            cv=2,
        ).fit(X, y),
        files=[str(folder / f"{number}.png") for number in range(3)],
        saved=saved,
    )


@pytest.mark.parametrize("name", CASES)
def test_a_few_inputs_give_a_right_result_or_a_refusal_that_names_an_argument(kit, name):
    run_tests(kit, CASES[name], CASES[name].few)


@pytest.mark.slow
def test_thousands_of_inputs_give_a_right_result_or_a_refusal_that_names_an_argument(kit):
    TRIED.clear()
    for one in CASES.values():
        run_tests(kit, one, one.many)
    assert TRIED.total() >= 10_000
