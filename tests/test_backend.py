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


def out_of_memory_errors():
    def of_tensorflow(tf):
        return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), ValueError("x")

    def of_jax(jax):
        error = jax.errors.JaxRuntimeError
        return error("RESOURCE_EXHAUSTED: Out of memory allocating"), error("INTERNAL: bug")

    def of_torch(torch):
        return torch.OutOfMemoryError("CUDA out of memory. Tried"), RuntimeError("shapes differ")

    return {"tensorflow": of_tensorflow, "jax": of_jax, "torch": of_torch}


@pytest.mark.parametrize("backend", out_of_memory_errors())
def test_a_backend_knows_its_errors_of_memory(backend):
    short, other = out_of_memory_errors()[backend](pytest.importorskip(backend))
    ours = importlib.import_module(f"skkd._backend.{backend}")
    assert ours.is_out_of_memory(short)
    assert ours.is_out_of_memory(MemoryError())
    assert not ours.is_out_of_memory(other)


def test_torch_says_in_words_that_the_memory_of_the_machine_is_short():
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert importlib.import_module("skkd._backend.torch").is_out_of_memory(caught.value)
