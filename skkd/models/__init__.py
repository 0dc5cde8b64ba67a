"""Networks as parameter objects, and a classifier that trains one."""

from skkd.models._classifier import NetworkClassifier
from skkd.models._networks import MLP, FiveBlockCNN, KDFMVNet, TransferNet

__all__ = ["MLP", "FiveBlockCNN", "KDFMVNet", "NetworkClassifier", "TransferNet"]
