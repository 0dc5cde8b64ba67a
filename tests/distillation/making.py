import inspect

from skkd import KDClassifier, NetworkClassifier


def make_student(teacher, network, **params):
    """A KDClassifier whose student gets the parameters of NetworkClassifier."""
    of_training = set(inspect.signature(NetworkClassifier).parameters)
    training = {name: params.pop(name) for name in of_training & set(params)}
    return KDClassifier(teacher, NetworkClassifier(network, **training), **params)
