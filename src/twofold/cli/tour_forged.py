"""The tour's chapter on forger and detective: letters that nobody drew."""

import numpy as np

from twofold.cli.pictures import side_by_side
from twofold.cli.report import Chapter, figure_html
from twofold.data.pictures import Pictures
from twofold.data.samples import load_pictures
from twofold.measure.report import Measure
from twofold.methods.gan import GAN

__all__ = ["forged_chapter"]
