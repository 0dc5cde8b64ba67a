"""Medical image sets, folders of images, and synthetic images with ground truth."""

from skkd.datasets._folders import load_image_folder
from skkd.datasets._leaks import check_split, find_duplicates, group_duplicates
from skkd.datasets._medical import fetch_alzheimer, fetch_brain_tumor, fetch_eye_disease
from skkd.datasets._phantoms import make_brain_phantoms, make_fundus_phantoms

__all__ = [
    "check_split",
    "fetch_alzheimer",
    "fetch_brain_tumor",
    "fetch_eye_disease",
    "find_duplicates",
    "group_duplicates",
    "load_image_folder",
    "make_brain_phantoms",
    "make_fundus_phantoms",
]
