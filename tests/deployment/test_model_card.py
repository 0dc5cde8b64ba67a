import re
import sys
from html.parser import HTMLParser

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skkd import KDClassifier, NetworkClassifier
from skkd.datasets import check_split
from skkd.deployment import model_card
from skkd.deployment._card_items import ITEMS, elsewhere

LABELS = np.array(["a|b", "<script>alert(1)</script>", "*x*\n# y"])


@pytest.fixture(autouse=True)
def _skops(request):
    if "without_skops" not in request.node.name:
        pytest.importorskip("skops", reason="needs the extra 'card'")


@pytest.fixture(scope="module")
def images(digits):
    few = digits[1] < 3
    return digits[0][few], LABELS[digits[1][few]]


@pytest.fixture(scope="module")
def student(images, tiny_network):
    X, y = images
    plain = NetworkClassifier(tiny_network, epochs=1, random_state=0, class_weight="balanced")
    return KDClassifier(SVC(gamma=0.001), plain, alpha=0.3, temperature=7).fit(X[:300], y[:300])


class Cells(HTMLParser):
    """The texts of all cells, and the kinds of all elements."""

    def __init__(self, html):
        super().__init__()
        self.cells, self.tags = [], set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        self._open = tag in ("td", "th")

    def handle_data(self, data):
        if self._open:
            self.cells[-1] += data

    def handle_endtag(self, tag):
        self._open = False


def test_a_card_holds_what_is_known_of_a_student(student, images, tmp_path):
    X, y = images
    card = model_card(
        student,
        title="Digits",
        splits={"train": y[:300], "test": y[300:]},
        groups={"train": np.arange(300), "test": np.arange(290, 290 + len(y) - 300)},
        leaks=check_split((X[:300], y[:300]), (X[299:], y[299:]), verbose=False),
        scores=pd.DataFrame({"estimate": [0.91], "low": [0.8]}, index=["accuracy"]),
        fields={"intended_use": "To read *digits*."},
        tables={"Time": pd.DataFrame({"ms": [1.5]})},
    )
    text = card.render()
    assert "| alpha | 0.3 |" in text
    assert "| temperature | 7 |" in text
    assert "- SVC(gamma=0.001)" in text
    assert "Classes were weighted in training: balanced." in text
    assert student.student_.data_digest_ in text
    assert "| accuracy | 0.91 | 0.8 |" in text
    assert f"| all images | 300 | {len(y) - 300} |" in text
    assert "| in train and in test | 10 |" in text
    assert "- 10 patients are in train and in test." in text
    assert f"- 1 of {len(y) - 299} test images are also in train." in text
    assert "- 1 test images are also in training." in text
    assert "### Time\n\n|  | ms |\n| --- | --- |\n| 0 | 1.5 |" in text
    used = card.select("Digits").select("Purpose").select("Intended use").content
    assert used == "*TRIPOD+AI 3a, 3b; CLAIM 3, 41*\n\nTo read *digits*."
    assert "**To be filled in by the authors:** committee, and consent or its waiver." in text
    card.save(tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == text


def test_names_are_shown_as_they_are(student, images):
    markdown_it = pytest.importorskip("markdown_it", reason="needs the extra 'card'")
    y = images[1]
    nasty = pd.DataFrame({"`a`": ["[x](y)"], ("<b>", "|"): ["\\|"]}, index=["_i_ & $1$"])
    card = model_card(student, title="<i>a/b</i>", splits={"all": y}, scores=nasty)
    html = markdown_it.MarkdownIt("commonmark").enable("table").render(card.render())
    found = Cells(html)
    assert not found.tags & {"script", "b", "i", "a", "code"}
    shown = [" ".join(label.split()) for label in LABELS]
    assert set(shown) <= set(found.cells)
    assert {"`a`", "[x](y)", "<b>, |", "\\|", "_i_ & $1$"} <= set(found.cells)
    # Rows of equally many cells, as rows broken by a name are not.
    for table in re.findall(r"<table>.*?</table>", html, re.S):
        rows = re.findall(r"<tr>.*?</tr>", table, re.S)
        assert len({len(re.findall("<t[hd]", row)) for row in rows}) == 1


def test_a_card_names_each_item_of_both_checklists_here_or_as_elsewhere():
    said = " ".join([*(item.tripod for item in ITEMS), *re.findall(r"AI ([^;]*)", elsewhere())])
    tripod = set(said.replace(",", "").split())
    # 27 items, of which 52 are counted apart.
    assert len(tripod) == 52
    assert {int(re.match(r"\d+", item)[0]) for item in tripod} == set(range(1, 28))
    said = " ".join([*(item.claim for item in ITEMS), elsewhere().partition("CLAIM ")[2]])
    assert set(said.replace(",", "").split()) == {str(number) for number in range(1, 45)}


def test_a_card_of_a_keras_model_says_what_is_not_known(trained):
    text = model_card(trained.model_).render()
    assert "Not known of a bare Keras model." in text
    assert "Whether test images are also in training was not checked here." in text
    assert "No figures are given." in text
    assert "| type in training | not known |" in text


def test_steps_before_the_network_are_listed(digits):
    X, y = digits[0][:40].reshape(40, -1), digits[1][:40]
    steps = make_pipeline(StandardScaler(with_std=False), "passthrough", NetworkClassifier("mlp"))
    text = model_card(steps.set_params(networkclassifier__epochs=1).fit(X, y)).render()
    assert "no file of the network alone:\n\n- StandardScaler(with\\_std=False)\n\n" in text
    assert "| values | what the steps below make of it |" in text
    assert "passthrough" not in text
    assert "raw, as in training" not in text


@pytest.mark.parametrize(
    ("units", "activation", "n_classes", "said"),
    [
        (1, "sigmoid", 2, "the higher it is, the more probable is 1, and the less 0."),
        (3, "sigmoid", 3, "each of 3 labels by itself, which do not exclude each other"),
        (3, "softmax", 3, "A probability for each of 3 classes, which sum to 1."),
        (3, None, 3, "A logit, or logarithm of a probability, for each of 3 classes"),
        (3, "log_softmax", 3, "A logit, or logarithm of a probability, for each of 3 classes"),
    ],
)
def test_outputs_are_read_as_they_are(units, activation, n_classes, said):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation)])
    # A network in another is looked into.
    network = keras.Sequential([keras.Input((4,)), network])
    text = model_card(network, splits={"train": np.arange(n_classes)}).render()
    classes = ", ".join(map(str, range(n_classes)))
    assert f"Classes, in the order of outputs: {classes}." in text
    assert said in text
    assert text.count("which sum to 1.") == (activation not in ("sigmoid",))


def test_a_regression_is_no_classifier():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="regression"):
        model_card(network)


def test_patients_are_counted_whatever_type_their_numbers_are(trained):
    y = trained.classes_[[0, 0, 0]]
    groups = {"train": [1, 2, 3], "test": np.array([3.0, 4.0, 4.0])}
    text = model_card(trained, splits={"train": y, "test": y}, groups=groups).render()
    assert "| in test | 2 |" in text
    assert "- 1 patients are in train and in test." in text


@pytest.mark.parametrize(
    ("of_test", "message"),
    [
        ([np.nan, 2, 2], r"groups\['test'\] must have a group for every image; 1 are missing"),
        (["1", "2", "2"], r"one way in all parts, as 1 is not '1'; got .*'test': 'string'"),
        ([1, 2], r"groups\['test'\] must have one group, .* each of the 3 images; got 2 groups"),
    ],
)
def test_patients_that_cannot_be_counted_are_refused(of_test, message, trained):
    y = trained.classes_[[0, 0, 0]]
    with pytest.raises(ValueError, match=message):
        model_card(
            trained, splits={"train": y, "test": y}, groups={"train": [1, 1, 2], "test": of_test}
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fields": {"use": "x"}}, ValueError, "fields has no part 'use'; there are intended_use"),
        ({"fields": {"ethics": 1}}, TypeError, r"fields\['ethics'\] must be a str; got int"),
        ({"scores": {"accuracy": 1}}, TypeError, "scores must be a DataFrame; got dict"),
        ({"tables": {"t": 1}}, TypeError, r"tables\['t'\] must be a DataFrame; got int"),
        ({"leaks": "none"}, TypeError, "leaks must be what skkd.datasets.check_split returned"),
        ({"splits": {"test": [77]}}, ValueError, r"splits\['test'\] must hold only the classes"),
        ({"groups": {"test": [1]}}, ValueError, r"groups\['test'\] must have a patient for each"),
    ],
)
def test_what_cannot_be_written_down_is_refused(options, error, message, trained):
    with pytest.raises(error, match=message):
        model_card(trained, **options)


def test_a_student_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        model_card(NetworkClassifier())


def test_without_skops_it_is_named(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops.card", None)
    with pytest.raises(ImportError, match=r"model_card needs skops: pip install 'skkd\[card\]'"):
        model_card(trained)
