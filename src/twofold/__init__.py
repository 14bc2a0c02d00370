"""Deep learning beyond plain classification, on your own data, with few labels or none.

`twofold.AnomalyDetector`, `twofold.Autoencoder` and the other methods are scikit-learn estimators;
`twofold.load(folder)` opens any run that `twofold fit` wrote. Nothing heavy is imported until it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twofold.methods.autoencoder import Autoencoder
    from twofold.methods.clip import CLIP
    from twofold.methods.compressor import Compressor
    from twofold.methods.denoiser import Denoiser
    from twofold.methods.detector import AnomalyDetector
    from twofold.methods.gan import GAN
    from twofold.methods.language import LanguageModel
    from twofold.methods.masked import MaskedAutoencoder
    from twofold.methods.transfer import TransferClassifier
    from twofold.runs import load

__version__ = "0.1.0"
__all__ = [
    "CLIP",
    "GAN",
    "AnomalyDetector",
    "Autoencoder",
    "Compressor",
    "Denoiser",
    "LanguageModel",
    "MaskedAutoencoder",
    "TransferClassifier",
    "__version__",
    "load",
]

_HOMES = {
    "AnomalyDetector": "twofold.methods.detector",
    "Autoencoder": "twofold.methods.autoencoder",
    "CLIP": "twofold.methods.clip",
    "Compressor": "twofold.methods.compressor",
    "Denoiser": "twofold.methods.denoiser",
    "GAN": "twofold.methods.gan",
    "LanguageModel": "twofold.methods.language",
    "MaskedAutoencoder": "twofold.methods.masked",
    "TransferClassifier": "twofold.methods.transfer",
    "load": "twofold.runs",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `import twofold` and `twofold --help` stay quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'twofold' has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
