"""What came of a search over alpha and the temperature."""

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skkd.metrics._names import apart_from
from skkd.metrics.usefulness._summary import classification_summary

# scikit-learn's names of scores, where the table calls them otherwise, and their sign.
_COLUMNS = {"neg_log_loss": ("log_loss", -1), "f1_macro": ("macro_f1", 1), "score": ("score", 1)}


def distillation_report(search, X=None, y=None) -> pd.DataFrame:
    """Tabulate a teacher and the students of a search, as the paper's Table 2 does.

    Parameters
    ----------
    search : GridSearchCV or another fitted search over a KDClassifier
        With any scorers; those called "accuracy", "neg_log_loss" and "f1_macro" fill the columns
        that the other rows have too.
    X : array-like of shape (n, ...), default=None
        Images none of the models was trained on, for a row of the teacher and one of the best
        student.
    y : array-like of shape (n,), default=None
        Their labels.

    Returns
    -------
    report : pandas.DataFrame
        A row a model with the columns

        - `model`: "teacher", "student" or "best student";
        - `measured_on`: "validation", the folds of the search, or "test", the images given;
        - `alpha`, `temperature`: the student's, NaN for the teacher;
        - `accuracy`, `log_loss`, `macro_f1`, `roc_auc` and whatever else the search scored:
          means over the folds, or the value on the images given. A score with the name of
          another column, such as "alpha", is called "score alpha".

    See Also
    --------
    DistillationGridDisplay : The same as a heat map.
    classification_summary : Figures of any classifiers.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025, Table 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.svm import SVC
    >>> from skkd import KDClassifier, MLP, NetworkClassifier, distillation_report
    >>> X, y = load_digits(return_X_y=True)
    >>> search = GridSearchCV(
    ...     KDClassifier(SVC(), NetworkClassifier(MLP(hidden=(4,)), epochs=1)),
    ...     {"alpha": [0.5], "temperature": [2, 4]},
    ...     cv=2,
    ... ).fit(X[:200], y[:200])
    >>> distillation_report(search, X[200:300], y[200:300])["model"].tolist()
    ['student', 'student', 'teacher', 'best student']
    """
    check_is_fitted(search, "cv_results_")
    if (X is None) != (y is None):
        raise ValueError("X and y must be given together; got only one of them")
    results = search.cv_results_
    report = pd.DataFrame(
        {
            "model": "student",
            "measured_on": "validation",
            "alpha": searched(results, "alpha", search),
            "temperature": searched(results, "temperature", search),
        }
    )
    for key, scores in results.items():
        if key.startswith("mean_test_"):
            name = key.removeprefix("mean_test_")
            column, sign = _COLUMNS.get(name, (name, 1))
            report[apart_from(report.columns, column, "score")] = sign * np.asarray(scores)
    if X is None:
        return report
    check_is_fitted(search, "best_estimator_")
    best = search.best_estimator_
    student = best[-1] if hasattr(best, "named_steps") else best
    models = {"best student": best}
    if hasattr(student, "teacher_"):
        steps = best[:-1] if student is not best and len(best) > 1 else None
        models = {"teacher": _Teacher(student, steps), **models}
    rows = classification_summary(models, X, y).reset_index(names="model")
    rows.insert(1, "measured_on", "test")
    of_best = rows["model"] == "best student"
    rows.insert(2, "alpha", np.where(of_best, student.alpha, np.nan))
    rows.insert(3, "temperature", np.where(of_best, student.temperature, np.nan))
    return pd.concat([report, rows], ignore_index=True)


def searched(results, name, search):
    """Return a student's parameter in every candidate, wherever in a pipeline the student stands.

    A grid of several parts may leave it out of some, which then have the search's own.
    """
    defaults = search.estimator.get_params()
    # A teacher, which is a parameter of the student, may have one of this name too.
    keys = [key for key in defaults if key.rpartition("__")[2] == name]
    if not keys:
        raise ValueError(
            f"search must be over a KDClassifier, which has the parameter {name!r}; got "
            f"{type(search.estimator).__name__}"
        )
    key = min(keys, key=lambda key: key.count("__"))
    return [params.get(key, defaults[key]) for params in results["params"]]


class _Teacher:
    """A student's teacher as a classifier."""

    def __init__(self, student, steps_before):
        self.student = student
        self.steps_before = steps_before
        self.classes_ = student.classes_

    def predict_proba(self, X):
        X = X if self.steps_before is None else self.steps_before.transform(X)
        return self.student.teacher_predict_proba(X)
