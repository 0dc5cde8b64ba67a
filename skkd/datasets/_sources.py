"""Where the public sets come from, where they are kept, and how they get there."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """Where a set comes from, and the folders it consists of."""

    name: str
    handle: str
    folders: tuple
    description: str


BRAIN_TUMOR = Source(
    "brain_tumor",
    "masoudnickparvar/brain-tumor-mri-dataset",
    ("Training", "Testing"),
    """\
Brain tumor MRI dataset

Slices of magnetic resonance scans with a glioma, a meningioma, a pituitary tumor or none; 7023
as published, joined from three earlier collections (figshare, SARTAJ and Br35H).

Source: https://www.kaggle.com/datasets/masoudnickparvar/brain-tumor-mri-dataset
License: CC0 by second-hand account; see the source before you redistribute.
Citation: M. Nickparvar, Brain Tumor MRI Dataset, Kaggle, 2021.

Known problems
- 189 groups of pixel-identical images span Training and Testing, and 426 images are extra copies
  of others: a test accuracy here is flattered. check_split names them.
- Many more are there several times, saved anew, most of them without a tumor: check_split with
  method="perceptual" names them too.
- There are no patient numbers: slices of one patient may lie on both sides as well.
- Whether a file is stored in gray or in color goes with its class, and so does its source.
- Sizes vary as published: set image_size.""",
)
EYE_DISEASE = Source(
    "eye_disease",
    "gunavenkatdoddi/eye-diseases-classification",
    ("dataset",),
    """\
Eye diseases classification

Color photographs of the back of the eye with cataract, diabetic retinopathy, glaucoma or none;
4217 as published, joined from several earlier collections.

Source: https://www.kaggle.com/datasets/gunavenkatdoddi/eye-diseases-classification
License: none found; ask the authors before you redistribute.
Citation: G. V. Doddi, eye_diseases_classification, Kaggle, 2022.

Known problems
- At native size the image size gives the class away, and the file format does in part; resizing
  hides the size, not what the camera left in the picture.
- Some photographs are there twice, saved anew: find_duplicates with method="perceptual" names
  them. Left and right eyes of one patient may lie on different sides of a split.
- No split is published: the one here is 7:2:1, stratified, identical files on one side.""",
)
ALZHEIMER = Source(
    "alzheimer",
    "uraninjo/augmented-alzheimer-mri-dataset",
    ("OriginalDataset",),
    """\
Alzheimer MRI dataset

Axial slices of magnetic resonance scans by degree of dementia: none, very mild, mild, moderate;
6400 original slices as published, and about 34,000 augmented ones.

Source: https://www.kaggle.com/datasets/uraninjo/augmented-alzheimer-mri-dataset
License: Apache-2.0 by second-hand account; see the source before you redistribute.
Citation: uraninjo, Augmented Alzheimer MRI Dataset, Kaggle, 2022.

Known problems
- There are no patient numbers, and neighboring slices of one patient look alike: any random
  split, this one included, has the same patients on all sides. A test accuracy here tells how
  well patients are recognized, not how well dementia is.
- Only 64 original slices are of moderate dementia.
- The augmented images were made before any split: copies of one slice lie on all sides of it.
- No split is published: the one here is 7:2:1, stratified, identical files on one side.""",
)


def find(source, data_home, download_if_missing):
    """Find the folder of a set, after downloading it where that is asked for.

    Parameters
    ----------
    source : Source
        The set.
    data_home : str, path-like or None
        Folder that holds the sets; None means $SKKD_DATA, or ~/skkd_data.
    download_if_missing : bool
        Whether to download a set that is not there.

    Returns
    -------
    folder : Path
        Folder with all of `source.folders`.
    """
    if not isinstance(data_home, str | os.PathLike | None):
        raise TypeError(f"data_home must be None or the path of a folder; got {data_home!r}")
    home = Path(data_home or os.environ.get("SKKD_DATA") or "~/skkd_data").expanduser()
    folder = home / source.name
    missing = _missing_folders(source, folder)
    if not missing:
        return folder
    by_hand = (
        f"unpack https://www.kaggle.com/datasets/{source.handle} so that "
        f"{folder / missing[0]} is there"
    )
    if folder.exists():
        raise OSError(f"{folder} has no folder {missing[0]}; remove it, or {by_hand}")
    if not download_if_missing:
        raise OSError(f"{folder} is not there and download_if_missing is False; {by_hand}")
    try:
        import kagglehub
    except ImportError as error:
        raise ImportError(
            f"{folder} is not there, and downloading it needs kagglehub: pip install "
            f"skkd[datasets]. Or {by_hand}"
        ) from error
    # Only a whole set gets its name: whatever fails or is interrupted before leaves a temporary
    # folder at most, and that is removed.
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=f".{source.name}-") as workplace:
        whole = Path(workplace, source.name)
        try:
            shutil.copytree(kagglehub.dataset_download(source.handle), whole)
        # kagglehub has no error class of its own.
        except Exception as error:
            raise OSError(f"Downloading {source.handle} failed: {error}. Or {by_hand}") from error
        missing = _missing_folders(source, whole)
        if missing:
            raise OSError(f"The download of {source.handle} has no folder {missing[0]}; {by_hand}")
        try:
            whole.rename(folder)
        except OSError:
            # Another process may have been faster; its set is as whole as this one.
            if _missing_folders(source, folder):
                raise
    return folder


def _missing_folders(source, folder):
    return [name for name in source.folders if not (folder / name).is_dir()]
