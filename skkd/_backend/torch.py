"""PyTorch, which is imported when asked for: it need not be installed."""

from skkd._backend import _default


def traced(function, model):
    """Record no gradients but those asked for. Nothing is compiled."""
    import torch

    return _default.traced(torch.no_grad()(function), model)


def may_share_traces():
    """Return that nothing is traced."""
    return False


def gradient(function, inputs):
    """Differentiate with ``torch.autograd``."""
    import torch

    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        scalar, results = function(inputs)
        gradients = torch.autograd.grad(scalar, inputs, allow_unused=True, materialize_grads=True)
    return list(gradients), results


def random_state_kept():
    """Put back the state of the generator of the process, on every device."""
    import torch

    return torch.random.fork_rng(devices=range(torch.cuda.device_count()))


def set_random_state(seed):
    """Seed the generator of the process, from which layers without a seed draw."""
    import torch

    torch.manual_seed(seed)
