"""Writing of estimators to files that hold no code."""

import importlib
import json
import platform
from importlib.metadata import version

import keras

from skkd._warnings import warn
from skkd.persistence._archive import check_path, write_archive
from skkd.persistence._values import Writer

FORMAT = 1
RECORD = "skkd.json"


class SavesMixin:
    """Mixin of estimators that are written to a file without code, and read by `skkd.load`.

    A class defines ``_to_save()``, which returns its parameters and what makes it fitted, two dicts
    by name, the second None before it is fitted, and ``_set_fitted(state)``, which takes the second
    one back.
    """

    def save(self, path) -> None:
        """Write the estimator to a file that `skkd.load` reads without running code.

        Parameters
        ----------
        path : str or path
            The file, such as "student.skkd"; one that is there is replaced. It is a zip archive of
            ``skkd.json``, which holds parameters, labels, history, versions and digests, of
            networks as ``.keras`` files and of large arrays as ``.npy`` files.

        Raises
        ------
        ValueError
            If it cannot be written without code, such as a network with a Lambda layer.
        """
        write(self, path, *self._to_save())


def write(estimator, path, params, fitted):
    """Write an estimator to a file.

    Parameters
    ----------
    estimator : estimator
        It is only read.
    path : str or path
        The file.
    params, fitted : dict of str to object
        Its parameters, and what makes it fitted or None.
    """
    check_path(path)
    writer = Writer()
    try:
        content = writer.encode_estimator(estimator, params, fitted)
        record = _record(writer, content)
    # CannotSaveError is one; so is what JSON does not allow.
    except ValueError as error:
        raise ValueError(f"{type(estimator).__name__} cannot be saved: {error}") from error
    except OSError as error:
        raise OSError(f"path: cannot write {str(path)!r}: {error}") from error
    try:
        write_archive(path, {RECORD: record, **writer.members})
    except OSError as error:
        raise OSError(f"path: cannot write {str(path)!r}: {error}") from error
    except ValueError as error:
        raise ValueError(f"path: there can be no file {str(path)!r}: {error}") from error
    if writer.left_out:
        warn(
            f"the file leaves out what needs code to be read: {', '.join(writer.left_out)}. What "
            "is loaded predicts and explains; set these parameters before it is fitted anew"
        )


def _record(writer, content):
    record = {
        "format": FORMAT,
        "versions": {
            "skkd": importlib.import_module("skkd").__version__,
            "python": platform.python_version(),
            "backend": keras.backend.backend(),
            **{name: version(name) for name in ("keras", "numpy", "scikit-learn")},
        },
        "custom_objects": sorted(writer.custom_objects),
        "content": content,
    }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False).encode()
