import importlib

import pytest

import skkd._backend
from skkd._backend import _default


def functions_of(module):
    """Return the names of the functions that a module defines for others."""
    return {
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }


def test_the_default_says_what_backends_are_asked_for():
    assert functions_of(_default) == set(skkd._backend.__all__)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_backend_has_its_own_gradient_and_nothing_that_the_default_has_not(backend):
    own = functions_of(importlib.import_module(f"skkd._backend.{backend}"))
    assert "gradient" in own
    assert own <= functions_of(_default)
