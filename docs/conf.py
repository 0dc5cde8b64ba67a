"""Configuration of the documentation."""

import os

# Read when TensorFlow is imported: its notes on processors would bury what Sphinx has to say.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import skkd

project = "skkd"
author = "The skkd developers"
copyright = author
version = release = skkd.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"
# Methods are documented in full below their class, so no table of them is wanted above.
numpydoc_show_class_members = False
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "capture_repr": (),
    "download_all_examples": False,
    "show_signature": False,
    "reference_url": {"skkd": None},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"skkd {release}"
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}


def skip_methods_of_scikit_learn(app, what, name, obj, skip, options):
    """Leave to scikit-learn what it documents itself, such as ``get_params``."""
    of_scikit_learn = (getattr(obj, "__module__", None) or "").startswith("sklearn")
    # Some are made for each class anew, as members of its own.
    routing = name.startswith("set_") and name.endswith("_request")
    return True if of_scikit_learn or routing else None


def setup(app):
    app.connect("autodoc-skip-member", skip_methods_of_scikit_learn)
