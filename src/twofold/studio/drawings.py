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
        Part("in", "your data", "data", 7, 5),
        Part("encoder", "encoder", "narrowing", 28, 5, ("encoder",)),
        Part("latent", "few numbers", "code", 50, 5),
        Part("map", "map", "network", 50, 98, ("map",), ("neighbours", "way_back")),
        Part("decoder", "decoder", "widening", 72, 5, ("decoder",)),
        Part("out", "rebuilt", "data", 93, 5, losses=("relative_error",), about="compared with the data"),
    ),
    (*_chain("in", "encoder", "latent", "decoder", "out"), Arrow("latent", "map")),
    "The encoder must say the data in a few numbers; the decoder must rebuild them from those alone.",
)
DENOISER = Drawing(
    (
        Part("in", "picture", "data", 7, 50),
        Part("noise", "+ noise", "code", 27, 50, about="drawn anew each time"),
        Part("encoder", "encoder", "narrowing", 48, 50, ("first", "downs", "shrinks")),
        Part("decoder", "decoder", "widening", 70, 50, ("middle", "grows", "ups", "last"), about="finds the noise"),
        Part("out", "cleaned", "data", 93, 50, losses=("log_error", "neighbour", "gap"), about="compared with before"),
    ),
    _chain("in", "noise", "encoder", "decoder", "out"),
    "Noise is added, and the networks must find what was there before: what they learn is how pictures look.",
)
DETECTOR = Drawing(
    (
        Part("in", "normal data", "data", 7, 50),
        Part("hidden", "some is hidden", "code", 27, 50, about="or spoilt on purpose"),
        Part("network", "puts it right", "network", 50, 50, ("network",)),
        Part("error", "how far off?", "judge", 73, 50, losses=("hidden_cells", "marks", "overlap", "repair"),
             about="little for what is normal"),
        Part("p", "p-value", "code", 94, 50, about="how rare is that?"),
    ),
    _chain("in", "hidden", "network", "error", "p"),
    "Who has learned only what is normal puts what is strange right badly: how far off it is gives the alarm.",
)  # fmt: skip
COMPRESSOR = Drawing(
    (
        Part("in", "picture", "data", 7, 5),
        Part("encoder", "encoder", "narrowing", 28, 5, ("codec.blocks", "codec.finer", "codec.spread")),
        Part("code", "file", "code", 50, 5),
        Part("prior", "foresees them", "network", 50, 98, ("contexts",), ("bits",)),
        Part("decoder", "decoder", "widening", 72, 5, ("codec.synthesis", "codec.post")),
        Part("out", "rebuilt", "data", 93, 5, losses=("error",)),
    ),
    (*_chain("in", "encoder", "code", "decoder", "out"), Arrow("prior", "code")),
    "Fewer bits or fewer errors: the latent numbers are written to a real file, short where they could be foreseen.",
)
GAN = Drawing(
    (
        Part("noise", "noise", "code", 7, 0),
        Part("generator", "generator", "widening", 28, 0, ("generator",), ("generator",), "the counterfeiter"),
        Part("fake", "made", "data", 50, 0),
        Part("real", "your data", "data", 50, 92),
        Part("discriminator", "discriminator", "narrowing", 72, 46, ("discriminator",), ("discriminator",),
             "the detective"),
        Part("says", "real or fake?", "judge", 94, 46),
    ),
    (
        *_chain("noise", "generator", "fake", "discriminator", "says"),
        Arrow("real", "discriminator"),
        Arrow("says", "generator", "what gave it away"),
    ),
    "The counterfeiter learns from what the detective noticed, and the detective from better and better fakes.",
)  # fmt: skip
MASKED = Drawing(
    (
        Part("in", "picture", "data", 7, 50),
        Part("hidden", "hide", "code", 27, 50, about="most of it"),
        Part("encoder", "encoder", "narrowing", 48, 50, ("encoder",), ("alike",), "sees the rest"),
        Part("decoder", "painter", "widening", 70, 50, ("painter",)),
        Part("out", "painted", "data", 93, 50, losses=("pixels",), about="compared with the picture"),
    ),
    _chain("in", "hidden", "encoder", "decoder", "out"),
    "To paint what is hidden one must understand what is seen: so features are learned from pictures without labels.",
)
LANGUAGE = Drawing(
    (
        Part("in", "text so far", "data", 7, 46),
        Part("network", "network", "network", 34, 0, ("network",), about="looks back, and foresees"),
        Part("memory", "memory", "network", 34, 96, ("memory",), about="what followed before"),
        Part("next", "next token?", "judge", 63, 46, losses=("nats",), about="a chance for each"),
        Part("out", "what came", "data", 93, 46),
    ),
    (
        Arrow("in", "network"),
        Arrow("in", "memory"),
        Arrow("network", "next"),
        Arrow("memory", "next"),
        Arrow("out", "next", "was it foreseen?"),
    ),
    "The text itself says what was right: predicting the next token needs no labels.",
)
CLIP = Drawing(
    (
        Part("picture", "pictures", "data", 7, 0),
        Part("eye", "picture tower", "narrowing", 34, 0, ("tower",)),
        Part("words", "captions", "data", 7, 96),
        Part("reader", "text tower", "narrowing", 34, 96, ("text",)),
        Part("space", "one space", "judge", 62, 46, losses=("pairwise",), about="near if they belong together"),
        Part("describer", "describer", "widening", 90, 46, ("describer",), ("next_word",), "says it in words"),
    ),
    (*_chain("picture", "eye", "space", "describer"), *_chain("words", "reader", "space")),
    "Pictures and words are put into one space, each caption nearest to its own picture.",
)
TRANSFER = Drawing(
    (
        Part("in", "pictures, labels", "data", 7, 50),
        Part("body", "borrowed body", "narrowing", 32, 50, ("backbone", "tuned"), about="learned elsewhere"),
        Part("features", "features", "code", 55, 50, about="what it sees"),
        Part("head", "new head", "network", 75, 50, ("ridge",)),
        Part("out", "class", "judge", 95, 50, losses=("log_loss",)),
    ),
    _chain("in", "body", "features", "head", "out"),
    "What was learned from many pictures is lent: only the head is new, and the body is tuned gently, if at all.",
)
TURING = Drawing(
    (
        Part("real", "real items", "data", 16, 0, about="none that was learned from"),
        Part("fake", "made items", "data", 16, 100),
        Part("you", "you", "judge", 52, 0, about="one at a time, or side by side"),
        Part("machine", "a machine", "judge", 52, 100, about="judges the same items"),
        Part("verdict", "verdict", "code", 86, 50, about="told apart, or not, and how surely"),
    ),
    (Arrow("real", "you"), Arrow("fake", "you"), Arrow("real", "machine"), Arrow("fake", "machine"),
     Arrow("you", "verdict"), Arrow("machine", "verdict")),
    "The last judge of a counterfeiter is a person: if guessing does as well, the game is won.",
)  # fmt: skip
