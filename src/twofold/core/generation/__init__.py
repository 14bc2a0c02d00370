"""How good fakes are: pictures, rows, texts and sounds, each measure beside its floor and trivial baselines."""

from twofold.core.generation.fakes import Maker, measure_fakes
from twofold.core.generation.judge import PictureJudge, SoundJudge
from twofold.core.generation.pictures import picture_measures, sound_measures
from twofold.core.generation.rows import row_measures
from twofold.core.generation.texts import text_measures

__all__ = [
    "Maker", "PictureJudge", "SoundJudge", "measure_fakes", "picture_measures", "row_measures", "sound_measures",
    "text_measures",
]  # fmt: skip
