"""What came out of a study, in tables."""

import numpy as np
import pandas as pd

from skkd.metrics import bootstrap_scores, expected_calibration_error, mcnemar_test

_SCORES = {
    "accuracy": ("accuracy", 1),
    "loss": ("neg_log_loss", -1),
    "average F1": ("f1_macro", 1),
    "ROC AUC": ("roc_auc_ovr", 1),
}
# Column of the model that another is compared with.
OTHER = "other's accuracy"


class Models:
    """What the models of a study say of the images of one part.

    Parameters
    ----------
    images : Images
        The images.
    part : str
        "validation" or "test".
    teacher : ndarray of shape (n, n_classes)
        What the teacher says.
    students : dict of Kind to dict of int to ndarray
        What students say, by how they were taught and by their seeds.
    settings : Settings
        Of the intervals.
    """

    def __init__(self, images, part, teacher, students, settings):
        _, self.y, self.groups = images.part(part)
        self.classes = images.classes
        self.leaked = images.table["leaked"].to_numpy()[images.rows(part)]
        self.part = part
        self.teacher = teacher
        self.students = students
        self.settings = settings

    def without_leaked(self):
        """Return the same of the images that none of those learned or chosen from is like."""
        kept = ~self.leaked
        rest = object.__new__(type(self))
        vars(rest).update(vars(self))
        rest.y, rest.groups, rest.leaked = self.y[kept], self.groups[kept], self.leaked[kept]
        rest.teacher = self.teacher[kept]
        rest.students = {
            kind: {seed: proba[kept] for seed, proba in seeds.items()}
            for kind, seeds in self.students.items()
        }
        return rest

    def scores(self, proba):
        """Return each figure of one model, with its interval."""
        table = bootstrap_scores(
            [name for name, _ in _SCORES.values()],
            self.y,
            proba,
            **self._interval(),
        )
        row = {}
        for column, (name, sign) in _SCORES.items():
            estimate, low, high = table.loc[name, ["estimate", "low", "high"]]
            row[column] = sign * estimate
            row[f"{column} low"], row[f"{column} high"] = sorted([sign * low, sign * high])
        return row | self.sizes()

    def accuracy(self, kind):
        """Return the accuracy of the first model of a kind, with its interval."""
        right = (self.predicted(kind) == self.y).astype(float)
        table = bootstrap_scores({"accuracy": right}, self.y, self.teacher, **self._interval())
        return table.loc["accuracy"]

    def can_be_drawn_from(self):
        """Return whether intervals can be had: whether images are of two groups at least."""
        return len(np.unique(self.groups)) > 1

    def sizes(self):
        """Return the number of images, and of groups that are drawn whole."""
        return {"n": len(self.y), "groups": len(np.unique(self.groups))}

    def of_seeds(self, kind):
        """Return what a kind of model says, by its seeds; the teacher has one for all."""
        return {None: self.teacher} if kind == "teacher" else self.students[kind]

    def first(self, kind):
        """Return what the first model of a kind says."""
        return next(iter(self.of_seeds(kind).values()))

    def right(self, kind, seeds=None):
        """Return how often models of a kind are right about each image, over seeds."""
        of_seeds = self.of_seeds(kind)
        chosen = of_seeds if seeds is None or None in of_seeds else seeds
        return np.mean([self.labels_of(of_seeds[seed]) == self.y for seed in chosen], axis=0)

    def predicted(self, kind):
        """Return the labels that the first model of a kind predicts."""
        return self.labels_of(self.first(kind))

    def compare(self, kind, other, confidence=None):
        """Return the difference of the accuracies of two kinds of model.

        Its interval is over images, of the mean over the seeds that both have; beside it stand the
        lowest and highest difference of a seed.
        """
        seeds = [set(self.of_seeds(k)) for k in (kind, other) if k != "teacher"]
        seeds = sorted(set.intersection(*seeds))
        values = np.stack([self.right(kind, seeds), self.right(other, seeds)], axis=1)
        some = self.teacher
        given = self._interval()
        if confidence is not None:
            given["confidence"] = confidence
        table = bootstrap_scores({"accuracy": values}, self.y, some, paired_with=some, **given)
        row = table.loc["accuracy"]
        of_seeds = [np.mean(self.right(kind, [seed]) - self.right(other, [seed])) for seed in seeds]
        found = {
            "accuracy": row["estimate"],
            OTHER: row["paired_with"],
            "difference": row["difference"],
            "low": row["low"],
            "high": row["high"],
            "p": row["p_value"],
            "seeds": len(seeds),
            "lowest of seeds": min(of_seeds),
            "highest of seeds": max(of_seeds),
            **self.sizes(),
        }
        if found["groups"] == found["n"]:
            first, second = (
                self.labels_of(self.of_seeds(k).get(seeds[0], self.teacher)) for k in (kind, other)
            )
            found["McNemar p (first seed)"] = mcnemar_test(self.y, first, second).pvalue
        return found

    def accuracies(self, kind):
        """Return the accuracy of each model of a kind."""
        of_seeds = self.of_seeds(kind).values()
        return np.array([np.mean(self.labels_of(proba) == self.y) for proba in of_seeds])

    def calibration_error(self, proba):
        """Return the expected calibration error of one model, with its interval."""

        def error(y, p):
            return expected_calibration_error(y, p, labels=self.classes)

        row = bootstrap_scores({"ECE": error}, self.y, proba, **self._interval()).loc["ECE"]
        ends = {"ECE": row["estimate"], "ECE low": row["low"], "ECE high": row["high"]}
        return ends | self.sizes()

    def labels_of(self, proba):
        return self.classes[proba.argmax(axis=1)]

    def _interval(self):
        return {
            "labels": self.classes,
            "groups": self.groups,
            "confidence": self.settings.confidence,
            "n_resamples": self.settings.n_resamples,
            "random_state": self.settings.random_state,
        }


def rank(models):
    """Return the kinds of student, the best on the images to choose by first."""

    def quality(kind):
        losses = [
            -np.log(np.clip(p[np.arange(len(p)), codes], 1e-7, 1)).mean()
            for p in models.students[kind].values()
        ]
        return -models.right(kind).mean(), np.mean(losses)

    codes = np.searchsorted(models.classes, models.y)
    return sorted(models.students, key=quality)


def verdict_of_search(models, ranked):
    """Return whether the best kind of student is better than the second beyond noise.

    Of many kinds one is best by chance, so the interval is that of all comparisons at once
    (Bonferroni).
    """
    best, second = ranked[:2]
    n_looks = len(ranked) - 1
    confidence = 1 - (1 - models.settings.confidence) / n_looks
    return models.compare(best, second, confidence)


def table_of_models(named, validation, test):
    """Return the paper's Table 2, with intervals and the spread over seeds.

    Parameters
    ----------
    named : dict of str to kind
        What is shown, "teacher" or a kind of student, by its name.
    validation, test : Models
        What they say.
    """
    rows = []
    for name, kind in named.items():
        for models in (validation, test):
            row = {"model": name, "measured on": models.part}
            if kind != "teacher":
                row |= {
                    "alpha": kind.alpha,
                    "T": kind.temperature,
                    "soft loss": kind.soft_loss,
                    "labels": kind.n_labels,
                }
            row |= models.scores(models.first(kind))
            accuracies = models.accuracies(kind)
            row["seeds"] = len(accuracies)
            row["accuracy mean of seeds"] = accuracies.mean()
            row["accuracy sd of seeds"] = accuracies.std(ddof=1) if len(accuracies) > 1 else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def table_of_comparisons(named, pairs, test):
    """Return the differences of pairs of models, with and without leaked images."""
    parts = {"all test images": test}
    rest = test.without_leaked()
    if test.leaked.any() and rest.can_be_drawn_from():
        parts["without leaked ones"] = rest
    return pd.DataFrame(
        {"model": one, "against": other, "measured on": what}
        | models.compare(named[one], named[other])
        for what, models in parts.items()
        for one, other in pairs
    )


def table_of_leaks(named, test):
    """Return the accuracy of each first model with and without the leaked test images."""
    parts = {"all": test, "without leaked": test.without_leaked()}
    rows = []
    for name, kind in named.items():
        row = {"model": name}
        for what, models in parts.items():
            found = dict.fromkeys(("estimate", "low", "high"), np.nan)
            if models.can_be_drawn_from():
                found = models.accuracy(kind)
            ends = {f"{what} {end}": found[end] for end in ("low", "high")}
            row |= {what: found["estimate"], **ends, f"{what} n": len(models.y)}
        rows.append(row)
    return pd.DataFrame(rows)


def table_of_calibration(named, test):
    """Return the expected calibration error of the first model of each kind."""
    return pd.DataFrame(
        {"model": name} | test.calibration_error(test.first(kind)) for name, kind in named.items()
    )
