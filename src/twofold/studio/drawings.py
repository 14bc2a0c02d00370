"""Drawings of the two networks of each chapter, as data.

Parts stand at (x, y) in 0..100, from left to right; `weights` says which learned tensors belong to a part (the
beginnings of their names), `losses` which loss terms are shown at it.
"""

from dataclasses import dataclass

__all__ = ["AUTOENCODER", "CLIP", "COMPRESSOR", "DENOISER", "DETECTOR", "GAN", "LANGUAGE", "MASKED", "TRANSFER",
           "TURING", "Arrow", "Drawing", "Part"]  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A box of a drawing."""

    id: str
    label: str
    kind: str
    """data, code, narrowing, widening, network or judge."""
    x: float
    y: float
    weights: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True)
class Arrow:
    """From part to part."""

    start: str
    end: str
    label: str = ""


@dataclass(frozen=True)
class Drawing:
    """Two networks, or two views, that make each other better."""

    parts: tuple[Part, ...]
    arrows: tuple[Arrow, ...]
    caption: str


def _chain(*labels: str) -> tuple[Arrow, ...]:
    return tuple(Arrow(start, end) for start, end in zip(labels, labels[1:], strict=False))


AUTOENCODER = Drawing(
    (
        Part("in", "your data", "data", 8, 50),
        Part("encoder", "encoder", "narrowing", 30, 50, ("encoder",)),
        Part("latent", "latent", "code", 50, 50, about="a few numbers that must be enough"),
        Part("decoder", "decoder", "widening", 70, 50, ("decoder",)),
        Part("out", "rebuilt", "data", 92, 50, losses=("reconstruction",), about="compared with the input"),
    ),
    _chain("in", "encoder", "latent", "decoder", "out"),
    "The encoder must say the input in a few numbers; the decoder must rebuild it from them alone.",
)
DENOISER = Drawing(
    (
        Part("in", "clean picture", "data", 8, 50),
        Part("noise", "+ noise", "code", 27, 50, about="drawn anew each time"),
        Part("encoder", "encoder", "narrowing", 46, 50, ("network", "net", "finder")),
        Part("decoder", "decoder", "widening", 68, 50),
        Part(
            "out",
            "cleaned",
            "data",
            92,
            50,
            losses=("denoising", "reconstruction"),
            about="compared with the clean one",
        ),
    ),
    _chain("in", "noise", "encoder", "decoder", "out"),
    "Noise is added, and the networks must find what was there before: what they learn is how pictures look.",
)
DETECTOR = Drawing(
    (
        Part("in", "normal data", "data", 8, 50),
        Part("hidden", "some cells hidden", "code", 28, 50),
        Part("network", "rebuilds them", "network", 52, 50, ("",)),
        Part(
            "error",
            "error and distance",
            "judge",
            78,
            30,
            losses=("reconstruction", "hidden"),
            about="small for what is normal",
        ),
        Part("p", "p-value", "code", 94, 70, about="how rare is such a score among normal ones?"),
    ),
    (*_chain("in", "hidden", "network", "error"), Arrow("error", "p")),
    "Who has learned only what is normal rebuilds what is strange badly: the error is the alarm.",
)
COMPRESSOR = Drawing(
    (
        Part("in", "picture", "data", 7, 40),
        Part("encoder", "encoder", "narrowing", 26, 40, ("encoder", "analysis")),
        Part(
            "code",
            "file",
            "code",
            48,
            40,
            losses=("rate", "bits"),
            about="whole numbers, packed by how likely they are",
        ),
        Part("prior", "foresees the file", "network", 48, 84, ("prior", "hyper", "context")),
        Part("decoder", "decoder", "widening", 70, 40, ("decoder", "synthesis")),
        Part("out", "rebuilt", "data", 92, 40, losses=("distortion",)),
    ),
    (*_chain("in", "encoder", "code", "decoder", "out"), Arrow("prior", "code")),
    "Fewer bits or fewer errors: the latent numbers are written to a real file, short where they could be foreseen.",
)
GAN = Drawing(
    (
        Part("noise", "noise", "code", 7, 26),
        Part(
            "generator",
            "generator",
            "widening",
            28,
            26,
            ("generator", "average", "net"),
            ("generator",),
            "the counterfeiter",
        ),
        Part("fake", "made", "data", 50, 26),
        Part("real", "your data", "data", 50, 80),
        Part(
            "discriminator",
            "discriminator",
            "narrowing",
            72,
            52,
            ("discriminator", "critic"),
            ("discriminator",),
            "the detective",
        ),
        Part("says", "real or fake?", "judge", 93, 52, losses=("gap",)),
    ),
    (
        *_chain("noise", "generator", "fake", "discriminator", "says"),
        Arrow("real", "discriminator"),
        Arrow("says", "generator", "what gave it away"),
    ),
    "The counterfeiter learns from what the detective noticed, and the detective from better and better fakes.",
)
MASKED = Drawing(
    (
        Part("in", "picture", "data", 7, 50),
        Part("hidden", "most patches hidden", "code", 26, 50),
        Part("encoder", "encoder sees the rest", "narrowing", 47, 50, ("encoder",)),
        Part("decoder", "decoder paints", "widening", 70, 50, ("decoder",)),
        Part("out", "painted", "data", 92, 50, losses=("painting", "reconstruction")),
    ),
    _chain("in", "hidden", "encoder", "decoder", "out"),
    "To paint what is hidden one must understand what is seen: so features are learned from pictures without labels.",
)
LANGUAGE = Drawing(
    (
        Part("in", "text so far", "data", 8, 50),
        Part("model", "network", "network", 34, 30, ("",), about="looks back, and foresees"),
        Part("memory", "memory of counts", "network", 34, 78, about="what followed before"),
        Part(
            "next",
            "next token?",
            "judge",
            64,
            50,
            losses=("next", "prediction", "nats"),
            about="a probability for each",
        ),
        Part("out", "what really came", "data", 91, 50),
    ),
    (
        Arrow("in", "model"),
        Arrow("in", "memory"),
        Arrow("model", "next"),
        Arrow("memory", "next"),
        Arrow("out", "next"),
    ),
    "The text itself says what was right: predicting the next word needs no labels.",
)
CLIP = Drawing(
    (
        Part("picture", "pictures", "data", 8, 24),
        Part("eye", "picture tower", "narrowing", 34, 24, ("picture", "image", "eye")),
        Part("words", "captions", "data", 8, 80),
        Part("reader", "text tower", "narrowing", 34, 80, ("text", "reader", "words")),
        Part(
            "space",
            "one space",
            "judge",
            66,
            52,
            losses=("contrast", "likeness"),
            about="near when they belong together",
        ),
        Part("use", "search, describe", "code", 92, 52),
    ),
    (*_chain("picture", "eye", "space", "use"), *_chain("words", "reader", "space")),
    "Pictures and words are put into one space, each caption nearest to its own picture.",
)
TRANSFER = Drawing(
    (
        Part("in", "few labelled pictures", "data", 8, 50),
        Part(
            "body",
            "borrowed body",
            "narrowing",
            36,
            50,
            ("body", "backbone", "network"),
            about="learned elsewhere, from much more",
        ),
        Part("features", "features", "code", 60, 50),
        Part("head", "new head", "network", 76, 50, ("head", "probe")),
        Part("out", "class", "judge", 94, 50, losses=("classification", "cross_entropy")),
    ),
    _chain("in", "body", "features", "head", "out"),
    "What was learned from many pictures is lent: only the head is new, and the body is tuned gently, if at all.",
)
TURING = Drawing(
    (
        Part("real", "real items, never learned from", "data", 16, 24),
        Part("fake", "made items", "data", 16, 78),
        Part("you", "you", "judge", 52, 24, about="one after the other, or side by side"),
        Part("machine", "a machine judge", "judge", 52, 78),
        Part("verdict", "verdict", "code", 86, 50, about="told apart, or not, and how surely"),
    ),
    (Arrow("real", "you"), Arrow("fake", "you"), Arrow("real", "machine"), Arrow("fake", "machine"),
     Arrow("you", "verdict"), Arrow("machine", "verdict")),
    "The last judge of a counterfeiter is a person: if guessing does as well, the game is won.",
)  # fmt: skip
