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
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "inventories", "benchmarks_table.rst", "reproduced_tables.rst"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["skkd.css"]
default_role = "py:obj"
nitpicky = True
# Parameters, attributes and columns stand in single backticks too, and are no references.
nitpick_ignore_regex = [("py:obj", r"[^.A-Z]*|X|return_X_y")]

# Lists of the names these pages refer to, kept here so that a build needs no network.
intersphinx_mapping = {
    name: (url, f"inventories/{name}.txt")
    for name, url in {
        "sklearn": "https://scikit-learn.org/stable/",
        "keras": "https://keras.io/",
        "numpy": "https://numpy.org/doc/stable/",
        "shap": "https://shap.readthedocs.io/en/latest/",
        "matplotlib": "https://matplotlib.org/stable/",
        "joblib": "https://joblib.readthedocs.io/en/stable/",
    }.items()
}

autosummary_generate = True
autodoc_typehints = "none"
# Methods are documented in full below their class, so no table of them is wanted above.
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "all",
    # Summaries say enough of short functions, and classes link what is related.
    "ES01",
    "SA01",
    # The class's example shows its methods.
    "EX01",
    # Returned values have names, as scikit-learn's do.
    "RT02",
    # Formulas and code begin some descriptions.
    "PR08",
    # Sections of a class's docstring follow numpydoc's order for functions.
    "GL07",
}
plot_html_show_source_link = plot_html_show_formats = False
plot_formats = [("png", 160)]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skkd",),
    "capture_repr": (),
    "remove_config_comments": True,
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


def skip_what_is_told_elsewhere(app, what, name, obj, skip, options):
    """Leave fitted attributes to the class, and ``get_params`` and the like to scikit-learn."""
    fitted = name.endswith("_") and not name.startswith("_")
    of_scikit_learn = (getattr(obj, "__module__", None) or "").startswith("sklearn")
    # Some are made for each class anew, as members of its own.
    routing = name.startswith("set_") and name.endswith("_request")
    return True if fitted or of_scikit_learn or routing else None


def setup(app):
    app.connect("autodoc-skip-member", skip_what_is_told_elsewhere)
