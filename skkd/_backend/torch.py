"""PyTorch, which is imported when asked for: it need not be installed."""

import contextlib
import threading

from skkd._backend import _default


def traced(function, model):
    """Record no gradients but those asked for. Nothing is compiled."""
    import torch

    return _default.traced(torch.no_grad()(function), model)


def may_share_traces():
    """Return that nothing is traced."""
    return False


def is_out_of_memory(error):
    """Look for torch's words too: a type of its own has only the error of some devices."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(words in str(error) for words in ("out of memory", "can't allocate memory"))
    )


def gradient(function, inputs):
    """Differentiate with ``torch.autograd``."""
    import torch

    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        scalar, results = function(inputs)
        gradients = torch.autograd.grad(scalar, inputs, allow_unused=True, materialize_grads=True)
    return list(gradients), results


# Layers without a seed, and every reader of batches, draw from the generator of the process, which
# serves one thread at a time if what it draws is to be repeated.
_GENERATOR = threading.RLock()


def draws_in_threads():
    """Return that the generator of the process is for one thread."""
    return False


@contextlib.contextmanager
def random_state_kept():
    """Have the generator of the process, on every device, alone, and put back its state."""
    import torch

    with _GENERATOR, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


def set_random_state(seed):
    """Seed the generator of the process, from which layers without a seed draw."""
    import torch

    torch.manual_seed(seed)
