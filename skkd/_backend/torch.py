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
