"""The pages, named by what one wants to do: for each the chapter's idea, its method and the drawing of its networks."""

from dataclasses import dataclass, field
from typing import Any

from twofold.studio import drawings
from twofold.studio.drawings import Drawing

__all__ = ["WISHES", "Wish"]


@dataclass(frozen=True)
class Wish:
    """A page."""

    key: str
    title: str
    idea: str
    """The chapter's idea in a sentence."""
    methods: tuple[str, ...] = ()
    """Whose runs can be used here; the first one is learned here."""
    stock: str = ""
    """The data that are chosen at first."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the form says at first, where it is not the field's default."""
    fit: dict[str, str] = field(default_factory=dict)
    """Label and normal value at first."""
    asks: tuple[str, ...] = ()
    """What else the form asks for: label, normal."""
    reads: str = "pictures"
    """What may be dropped, in words."""
    drawing: Drawing | None = None


WISHES: dict[str, Wish] = {wish.key: wish for wish in (
    Wish("learn", "Learn", "Pick a method and your data, press learn, and watch two networks make each other better."),
    Wish("map", "Map", "An autoencoder says each item in a few numbers; their map puts like beside like.",
         ("autoencoder",), "sample-digits", {"minutes": 0.5}, {"label": "digit"}, ("label",),
         reads="pictures or a table", drawing=drawings.AUTOENCODER),
    Wish("clean", "Clean up", "Learn how pictures look by taking noise away that was put there on purpose.",
         ("denoiser",), "sample-photos", {"minutes": 0.5, "dim": 32, "depth": 1}, drawing=drawings.DENOISER),
    Wish("odd", "Find the odd one", "Learn what is normal; what is rebuilt badly, or far from all of that, is strange.",
         ("detector",), "sample-breast-cancer", {}, {"label": "diagnosis", "normal": "benign"}, ("label", "normal"),
         reads="a table or pictures", drawing=drawings.DETECTOR),
    Wish("smaller", "Make smaller", "The latent numbers of an autoencoder, written to a real file.",
         ("compressor",), "sample-photos", {"minutes": 0.5, "dim": 64, "depth": 1, "context_dim": 48, "patch": 64,
         "learning_rate": 0.008}, drawing=drawings.COMPRESSOR),
    Wish("new", "Make new", "A counterfeiter and a detective compete: in the end the fakes look like your own data.",
         ("gan",), "sample-glyphs", {"minutes": 1.0, "size": 16, "conditional": False}, {}, ("label",),
         reads="pictures, a table, sounds or names", drawing=drawings.GAN),
    Wish("fill", "Fill in", "Hide most of a picture and learn to paint it: no labels are needed.",
         ("masked",), "sample-glyphs", {"minutes": 0.7, "invariance": 0.0, "hidden": 0.6, "image_size": 16, "dim": 64,
         "depth": 3, "batch_size": 64, "learning_rate": 0.005}, drawing=drawings.MASKED),
    Wish("write", "Write", "Predict what comes next in a text that nobody labelled; who predicts well can write.",
         ("language",), "sample-topics", {"minutes": 0.5}, reads="a text", drawing=drawings.LANGUAGE),
    Wish("search", "Search and describe", "Pictures and words in one space: words find pictures, pictures find words.",
         ("clip",), "sample-glyphs", {"minutes": 0.3, "image_size": 24}, reads="pictures with captions",
         drawing=drawings.CLIP),
    Wish("recognise", "Recognise", "Borrow what a network learned elsewhere; teach it your classes by a few pictures.",
         ("transfer",), "sample-glyphs", {"mode": "frozen"}, {}, ("label",), drawing=drawings.TRANSFER),
    Wish("turing", "Real or fake?", "The visual Turing test: can you tell what was made from what is real?",
         ("gan", "compressor", "masked", "language"), "sample-glyphs", {"minutes": 0.5, "size": 16},
         reads="pictures, a table, sounds or names", drawing=drawings.TURING),
    Wish("game", "The game, seen", "Draw points, and watch a counterfeiter and a detective play for them turn by turn.",
         drawing=drawings.GAN),
    Wish("runs", "Runs", "All that was learned: settings, data, measures, files."),
)}  # fmt: skip
"""Key -> page, in the order of the menu."""
