"""The methods, one file each."""

from twofold.core.estimator import Estimator
from twofold.methods.autoencoder import Autoencoder
from twofold.methods.clip import CLIP
from twofold.methods.compressor import Compressor
from twofold.methods.denoiser import Denoiser
from twofold.methods.detector import AnomalyDetector
from twofold.methods.gan import GAN
from twofold.methods.language import LanguageModel
from twofold.methods.masked import MaskedAutoencoder
from twofold.methods.transfer import TransferClassifier

__all__ = ["METHODS"]

METHODS: dict[str, type[Estimator]] = {
    "autoencoder": Autoencoder,
    "clip": CLIP,
    "compressor": Compressor,
    "denoiser": Denoiser,
    "detector": AnomalyDetector,
    "gan": GAN,
    "language": LanguageModel,
    "masked": MaskedAutoencoder,
    "transfer": TransferClassifier,
}
"""Every method, by the name it has on the command line and in config.json. The only list of methods."""
