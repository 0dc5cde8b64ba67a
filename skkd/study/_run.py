"""A study from images to a report."""

import inspect
import shlex

from sklearn.utils import Bunch

from skkd.distillation import load_teacher
from skkd.study import _data, _figures, _models, _report, _results
from skkd.study._models import PLAIN
from skkd.study._plan import plan
from skkd.study._settings import Settings
from skkd.study._stages import alone_in
from skkd.study._study import Study


def run_study(
    data=None,
    out="study",
    *,
    manifest=None,
    patients=None,
    teacher=None,
    backbone=None,
    weights=None,
    preprocessing="auto",
    teacher_learning_rate=None,
    teacher_epochs=None,
    student="five_block",
    image_size=64,
    limit=None,
    alphas=(0.4, 0.7),
    temperatures=(5, 10, 15),
    seeds=1,
    few_labels=None,
    epochs=12,
    batch_size=32,
    n_explained=2,
    n_fidelity=64,
    confidence=0.95,
    n_resamples=2000,
    random_state=0,
    budget=None,
    dry_run=False,
    verbose=1,
) -> Bunch:
    """Distill a teacher into students, and report what was learned and how sure that is.

    From images to the paper's tables and figures [1]_ with intervals, and ``report.html``, which
    holds all of it in one file. Each stage is kept when it is finished: called again with the same
    arguments, a study that was cut off goes on.

    Parameters
    ----------
    data : str, path or None, default=None
        A folder of class folders, with or without Training and Testing or the like above them, or
        one of the sets "brain_tumor", "eye_disease" and "alzheimer"; a folder of such a name is
        "./alzheimer". None makes phantoms.
    out : str or path, default="study"
        Folder of the results: a new or empty one, or that of the same study.
    manifest : str, path or None, default=None
        A CSV file with the columns path, label and, optionally, patient and split, as for
        `skkd.datasets.load_image_folder`.
    patients : str or None, default=None
        Regular expression that finds the patient in a file's path, by its first part in
        parentheses. Images of one patient are kept on one side of every split.
    teacher : str, path or None, default=None
        A trained Keras model, whose outputs are the classes in sorted order. None trains one.
    backbone : str or None, default=None
        Name of the backbone of the teacher that is trained, as of `skkd.TransferNet`. None trains a
        convolutional network twice as wide as the default student, from random weights.
    weights : {"imagenet", "none"}, path or None, default=None
        Weights that the backbone begins with; None and "none" are random ones.
    preprocessing : str or None, default="auto"
        What happens to images before the backbone, as of `skkd.TransferNet`.
    teacher_learning_rate : float or None, default=None
        Of the teacher that is trained; None is 1e-3, and 1e-4, as in the paper, with a backbone.
    teacher_epochs : int or None, default=None
        Epochs of that teacher at most; None is as many as of a student. The best by the loss on
        the images to choose by is kept.
    student : str, default="five_block"
        Name of the student's network, as of `skkd.NetworkClassifier`.
    image_size : int, default=64
        Side of the images in pixels.
    limit : int or None, default=None
        Number of images, drawn evenly by class and given part; None takes all.
    alphas : sequence of float, default=(0.4, 0.7)
        Weights of the labels to search, in [0, 1]. A student without a teacher, as with 1, is
        always trained.
    temperatures : sequence of float, default=(5, 10, 15)
        Temperatures to search, above 0.
    seeds : int, default=1
        Number of students of each kind.
    few_labels : int or None, default=None
        Number of labels, as many of each class, of a second comparison: a student that has these
        images alone, with as many steps, and one that has all other images beside, unlabeled.
    epochs, batch_size : int, default=12, 32
        Of training.
    n_explained : int, default=2
        Test images of each class that are explained, half of them predicted wrongly where there
        are such.
    n_fidelity : int, default=64
        Test images that fidelity is measured on, as many of each class.
    confidence : float, default=0.95
        Of the intervals, in (0, 1).
    n_resamples : int, default=2000
        Draws of the bootstrap.
    random_state : int, default=0
        Seed of everything random. With one device results are the same to the bit.
    budget : float or None, default=None
        Minutes after which no further student is begun but those that a report needs; None sets
        no limit. What is left out is said.
    dry_run : bool, default=False
        Only plan: time a few images, and say how long it would take. Nothing is written.
    verbose : {0, 1}, default=1
        0 prints nothing on the way.

    Returns
    -------
    study : Bunch
        With the attributes

        - report : path of ``report.html``
        - tables : dict of str to DataFrame: "models", "comparisons", "leaks", "calibration",
          "fidelity", "timing", "subgroups" and "shortcuts"
        - models : dict of str to path of the saved models
        - left_out : list of str, what there was no time for

        With `dry_run`, with the attributes plan, a DataFrame, and seconds, a float.

    Raises
    ------
    ValueError
        If a setting is wrong, if `out` holds another study or one of other data, if the teacher's
        outputs are not the classes, or if a class has too few images.
    OSError
        If there is no such folder or file, or no space.

    References
    ----------
    .. [1] A. Chaddad et al., "Knowledge distillation and feature map visualization for medical
       image analysis", 2025.

    Examples
    --------
    >>> from skkd.study import run_study
    >>> small = dict(limit=60, image_size=32, epochs=1, alphas=[0.5], temperatures=[4])
    >>> planned = run_study(**small, dry_run=True, verbose=0)
    >>> list(planned.plan["what"])[:2]
    ['train the teacher', 'ask the teacher']
    >>> study = run_study(out="my_study", **small)  # doctest: +SKIP
    >>> study.tables["comparisons"]  # doctest: +SKIP
    """
    given = {name: value for name, value in locals().items() if name != "dry_run"}
    study = Study(Settings(**given))
    if dry_run:
        return _planned(study)
    study.begin()
    with alone_in(study.out):
        return _run(study)


def _run(study):
    s = study.settings
    images, leaks = study.split()
    n_labels = None if s.few_labels is None else _models.count_few_labels(images, s.few_labels)
    teacher, said = study.teacher(images)

    searched = study.students(images, teacher, [PLAIN, *_models.grid(s)], needed=2)
    validation = _of("validation", images, said, searched, s)
    ranked = _results.rank(validation)
    best = next(kind for kind in ranked if not kind.is_plain)
    literal = best._replace(soft_loss="literal")
    beside = {"student of Eq. 2 as printed": literal}
    if n_labels is not None:
        beside[f"plain student, {n_labels} labels"] = PLAIN._replace(n_labels=n_labels)
        beside[f"distilled student, {n_labels} labels"] = best._replace(n_labels=n_labels)
    folders = searched | study.students(images, teacher, [*beside.values()], needed=len(beside))

    main = {"teacher": "teacher", "plain student": PLAIN, "distilled student": best}
    named = main | beside
    validation = _of("validation", images, said, folders, s)
    test = _of("test", images, said, folders, s)
    first = {name: next(iter(folders[named[name]].values())) for name in list(main)[1:]}
    student = first["distilled student"]
    models = {"teacher": teacher, "student": student / "student.keras"}
    maps, tables = study.looked_at(images, models, student, test.predicted(best))
    study.say("intervals and report: begun")
    tables = _tables(named, ranked, n_labels, validation, test) | tables
    histories = {name: _models.read_history(folder) for name, folder in first.items()}
    if s.teacher is None:
        histories["teacher"] = _models.read_history(teacher.parent)
    found = _report.Found(
        settings=s,
        identity=study.identity,
        command=_command(s),
        images=images,
        leaks=leaks,
        tables=tables,
        n_labels=n_labels,
        search=_results.verdict_of_search(validation, ranked),
        ranked=ranked,
        figures=_figures.draw(test, main, histories),
        maps=maps,
        models=models,
        student=student / "student.skkd",
        seconds=study.stages.seconds,
        left_out=study.left_out,
        versions=study.stages.versions,
    )
    report = _report.write(found, study.out, study.say)
    study.say(f"wrote {report}")
    return Bunch(report=report, tables=tables, models=models, left_out=study.left_out)


def _of(part, images, said, folders, settings):
    students = {
        kind: {seed: _models.read_predictions(folder, part) for seed, folder in of_seeds.items()}
        for kind, of_seeds in folders.items()
    }
    teacher = _models.read_predictions(said, part)
    return _results.Models(images, part, teacher, students, settings)


def _tables(named, ranked, n_labels, validation, test):
    others = {f"student, {kind}": kind for kind in ranked if kind not in named.values()}
    pairs = [
        ("distilled student", "plain student"),
        ("distilled student", "teacher"),
        ("distilled student", "student of Eq. 2 as printed"),
    ]
    if n_labels is not None:
        pairs.append(tuple(f"{who} student, {n_labels} labels" for who in ("distilled", "plain")))
    return {
        "models": _results.table_of_models(named | others, validation, test),
        "comparisons": _results.table_of_comparisons(named, pairs, test),
        "leaks": _results.table_of_leaks(named, test),
        "calibration": _results.table_of_calibration(named, test),
    }


def _planned(study):
    images = _data.Images(study.X, _data.dealt_by_image(study.table, study.settings))
    path = study.settings.teacher
    table = plan(study.settings, images, None if path is None else load_teacher(path))
    return Bunch(plan=table, seconds=float(table["seconds"].sum()))


def _command(settings):
    """Return the command that does the same."""
    words = ["skkd", "study"]
    default = inspect.signature(run_study).parameters
    for name, value in vars(settings).items():
        was = default[name].default
        if value == (tuple(map(float, was)) if isinstance(was, tuple) else was) and name != "out":
            continue
        values = value if isinstance(value, tuple) else ("none" if value is None else value,)
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)
