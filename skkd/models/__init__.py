"""Networks as parameter objects, and a classifier that trains one."""

from skkd.models._classifier import NetworkClassifier
from skkd.models._scratch import MLP, FiveBlockCNN, KDFMVNet
from skkd.models._transfer import TransferNet

__all__ = ["MLP", "FiveBlockCNN", "KDFMVNet", "NetworkClassifier", "TransferNet"]
