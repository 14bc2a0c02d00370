"""LanguageModel: predict the next token of your own text; so write, score and compress.

A decoder-only transformer beside a memory of what followed the last few tokens before (nn/language.py). The memory
knows in a second what a network would need minutes to learn; the network says how far to trust each of its orders
here, and adds what it knows better. Matrices are trained by Muon, all else by AdamW.

Radford et al. 2019 (next-token models); Jordan et al. 2024 (Muon, and speed runs that found what pays),
https://github.com/KellerJordan/modded-nanogpt; Ney, Essen, Kneser 1994 (smoothed counts); Deletang et al. 2023,
Language modeling is compression, https://arxiv.org/abs/2309.10668
Dimension key: B windows, W tokens of a window, T predicted ones, V tokens of the vocabulary, H tokens of history that
the memory needs, N tokens of a text.
"""

import hashlib
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from twofold.core.device import choose_device, has_fast_bfloat16, threads
from twofold.core.estimator import Estimator, seeded
from twofold.core.learner import Learner
from twofold.core.loop import Progress, train
from twofold.core.packing import compress_alone, decompress_alone
from twofold.data.container import pack, unpack
from twofold.data.text import Vocabulary, read_text, spread
from twofold.errors import DataError, SettingError
from twofold.measure.copies import longest_common
from twofold.measure.report import Measure
from twofold.measure.sizes import general_compressors
from twofold.nn.coding import decode_tokens, encode_tokens
from twofold.nn.language import HEAD_DIM, NEW_TEXT, LanguageNetwork, Opinion, Reader, evenly, windows
from twofold.nn.memory import Memory, fold_of_each
from twofold.nn.muon import Muon
from twofold.nn.sampling import as_text, draw, until

__all__ = ["LanguageModel", "NextToken"]

N_FOLDS = 4  # parts of the text; the network sees the memory of the other parts
WATCHED_WINDOWS = 96  # held-out windows measured during training
MOST_COUNTED = 10_000_000  # tokens in the memory: 1.5 GB while it is in use
MOST_HELD_OUT = 2_000_000  # characters: minutes to measure
SMALL = 20_000  # bytes below which the file is also tried without the model


# ---- network -------------------------------------------------------------------------------------


class NextToken(Learner):
    """The network as a learner: Muon for the matrices, AdamW for all else."""

    def __init__(self, network: LanguageNetwork):
        super().__init__()
        self.network = network

    def loss(self, window_BW: Tensor, fold_B: Tensor) -> dict[str, Tensor]:
        """Nats per token."""
        return {"nats": self.network.nats(window_BW, fold_B).mean()}

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """Muon for the matrices inside, AdamW for embeddings, head and mixing weights."""
        size, network, body = self.learning_rate / 0.02, self.network, self.network.transformer
        groups = [
            ([body.embedding.weight, body.pairs.weight], 0.03), ([network.head.weight], 0.005), ([body.mix_L2], 0.01),
            (list(network.recall.parameters()), 0.001),
        ]  # fmt: skip
        rest = [{"params": weights, "lr": rate * size} for weights, rate in groups if weights]
        return {
            "matrices": Muon(body.blocks.parameters(), lr=self.learning_rate, is_half=network.uses_bfloat16),
            "rest": torch.optim.AdamW(rest, betas=(0.8, 0.95), eps=1e-8, weight_decay=0.0, fused=True),
        }

    def schedule(self, fraction: float) -> float:
        """Warm-up, flat, then over the last 70 % down to 0."""
        return min(1.0, (fraction + 1e-3) / 0.02, max((1 - fraction) / 0.7, 0.0))

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        """One update of both optimizers. No clipping: these steps have one size, whatever the gradient's."""
        losses = self.parallel_loss(*batch)
        losses["nats"].backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return losses

    @torch.inference_mode()
    def evaluate(self, window_NW: Tensor, fold_N: Tensor) -> dict[str, float]:
        """Nats per token on held-out windows."""
        parts = zip(window_NW.split(32), fold_N.split(32), strict=True)
        return {"held_out": float(torch.cat([self.network.nats(*part) for part in parts]).mean())}


# ---- the estimator -------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class LanguageModel(Estimator):
    """Predicts the next token of a text; writes on, scores and compresses texts of its kind.

    Attributes
    ----------
    network_ : the fitted network, with its memory.
    vocabulary_ : what its tokens are.
    measures_ : bits per byte on the last part of the text, which was held out, beside compressors.

    Examples
    --------
    >>> model = LanguageModel(n_steps=5, depth=1, context=16).fit(["the cat sat on the mat. " * 50])
    >>> len(model.write("the ", n_tokens=12))
    16
    """

    method: ClassVar[str] = "language"
    reads: ClassVar[tuple[str, ...]] = ("text",)

    depth: int | None = None
    """Blocks of the network, 32 wider with each: deeper learns finer, and takes longer (None: by the minutes)."""
    context: int = 128
    """Tokens that are looked back on: more see longer connections, and cost more."""
    memory: int = 7
    """Longest context counted (in ten million tokens at most): more know more by heart; 0 keeps no training text."""
    tokenizer: str = "auto"
    """What a token is: byte, character or bpe (sub-words: for long texts); auto goes by the text's size."""
    precision: str = "auto"
    """bfloat16 is quicker where the processor has it, float32 finer; auto takes the quicker."""
    encoding: str = "utf-8"
    """How the file writes its characters."""
    held_out: float = 0.1
    """Share at the end (two million characters at most) to measure on: more measures finer, and learns from less."""
    batch_size: int = 16
    """Windows per update: more give a steadier direction and a slower step."""
    learning_rate: float = 0.02
    """Size of an update: larger learns faster, until it learns nothing."""

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from a text, one Progress a step.

        Parameters
        ----------
        X : path of a text file or of a folder of them, or a sequence of texts.
        y : not used.
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        place = None if folder is None else Path(folder)
        vocabulary, learnt_N, held_N = self._read(X, place)
        counted_N = np.concatenate(spread(learnt_N, MOST_COUNTED if self.memory else 0, 16 * N_FOLDS))
        learner = self._learner(vocabulary, counted_N, len(learnt_N))
        H, span = learner.network.n_history, min(self.context, (len(learnt_N) - 3) // 2)
        spans = torch.from_numpy(learnt_N).unfold(0, H + span, 1)
        folds = torch.from_numpy(fold_of_each(len(learnt_N), N_FOLDS)[: len(spans)])
        watched = evenly(windows(learnt_N, held_N, H, span), WATCHED_WINDOWS)
        n_steps = int(np.clip(1.5 * len(learnt_N) / (self.batch_size * span), 100, 3000))
        plan = self._plan(n_steps, interval=max(10, min(200, (self.n_steps or n_steps) // 8)), patience=10)
        held_out = (watched, torch.full((len(watched),), NEW_TEXT)) if len(watched) else None
        training = train(learner, (spans, folds), plan, held_out=held_out, folder=place)
        try:
            yield from training
        finally:
            training.close()  # type: ignore[attr-defined]
            self._finish(learner.network, vocabulary, counted_N)
            self._measure(held_N, learner.best_step)
            self.n_iter_ = learner.n_updates

    def _check(self) -> None:
        self._check_settings(context=8, memory=0)
        if not 0 <= self.held_out < 0.9:
            raise SettingError(f"held_out is {self.held_out!r}; it must be at least 0 and below .9, such as 0.1.")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise SettingError(f"precision is {self.precision!r}. Allowed: auto, float32, bfloat16.")
        if self.depth is not None and self.depth < 1:
            raise SettingError(f"depth is {self.depth}; it must be at least 1. Leave it out to go by the minutes.")

    def _read(self, X: Any, folder: Path | None) -> tuple[Vocabulary, np.ndarray, np.ndarray]:
        """The tokens to learn from, mapped from disk, and those of the last part, which are held out."""
        text = read_text(X, self.encoding)
        n_learnt = len(text) - min(int(self.held_out * len(text)), MOST_HELD_OUT)
        vocabulary = Vocabulary.learn(text[:n_learnt], self.tokenizer)
        learnt_N, held_N = vocabulary.mapped(text[:n_learnt], folder), vocabulary.encode(text[n_learnt:])
        if len(learnt_N) < 20:
            raise DataError(
                f"the text has {len(text)} characters; learning needs at least 20 tokens. Give a longer text: "
                "some 100,000 characters for sense, a million for style."
            )
        return vocabulary, learnt_N, held_N

    def _learner(self, vocabulary: Vocabulary, token_N: np.ndarray, n_learnt: int) -> NextToken:
        depth = self.depth or _depth_for(self.minutes, n_learnt)
        memory = Memory(token_N, vocabulary.size, self.memory, N_FOLDS)
        with seeded(self.seed):
            network = LanguageNetwork(memory, vocabulary.size, HEAD_DIM * max(2, depth), depth)
        network.recall.fit(memory, torch.from_numpy(token_N), torch.Generator().manual_seed(self.seed))
        network.uses_bfloat16 = self.precision == "bfloat16" or (self.precision == "auto" and has_fast_bfloat16())
        learner = NextToken(network)
        learner.learning_rate = self.learning_rate
        return learner.to(choose_device(self.device))

    def _finish(self, network: LanguageNetwork, vocabulary: Vocabulary, token_N: np.ndarray) -> None:
        self.network_ = network.cpu().float().eval().requires_grad_(False)
        # one token at a time is not worth half precision, and files must decode to the bit
        self.network_.uses_bfloat16 = False
        self.vocabulary_, self.token_N_ = vocabulary, token_N

    def _measure(self, held_N: np.ndarray, best_step: int) -> None:
        self.measures_: dict[str, float] = {}
        if len(held_N) < 2:
            return
        data, nats = self.vocabulary_.decode_bytes(held_N), self.token_nats(held_N)
        self.measures_ = {
            "bits per byte, held out": float(nats.sum()) / math.log(2) / len(data),
            "nats a token, held out": float(nats.mean()),
            **{f"bits per byte by {name}": value for name, value in general_compressors(data).items()},
            "best at step": float(best_step),
        }

    # ---- verbs -----------------------------------------------------------------------------------

    def write(self, prompt: str = "", n_tokens: int = 200, **how: Any) -> str:
        """The prompt and `n_tokens` tokens more; `how` as in `stream`."""
        return prompt + "".join(self.stream(prompt, n_tokens, **how))

    def stream(
        self, prompt: str = "", n_tokens: int = 200, *, temperature: float = 0.8, top_p: float = 1.0,
        stop: str | None = None, seed: int = 0,
    ) -> Iterator[str]:  # fmt: skip
        """Text that goes on from the prompt, piece by piece.

        Parameters
        ----------
        temperature : 0 takes the likeliest token each time, 1 draws as the model believes, more is wilder.
        top_p : only the likeliest tokens that make up this share are drawn from.
        stop : the text ends before this one.
        """
        check_is_fitted(self, "network_")
        if temperature < 0 or not 0 < top_p <= 1:
            raise SettingError(f"temperature is {temperature}, top_p {top_p}; allowed: 0 and up, above 0 up to 1.")
        token_N = self.vocabulary_.encode(prompt)[-self.context :]
        drawn = self._drawn(token_N, n_tokens, temperature, top_p, torch.Generator().manual_seed(seed))
        yield from until(stop, as_text(self.vocabulary_.spelled(drawn)))

    def _drawn(
        self, token_N: np.ndarray, n_tokens: int, temperature: float, top_p: float, generator: torch.Generator
    ) -> Iterator[int]:
        reader = self.reader()
        for token in token_N.tolist():
            reader.read(torch.tensor([[token]]))
        for _ in range(n_tokens):
            token = draw(reader.logits()[0], temperature, top_p, generator)
            reader.read(torch.tensor([[token]]))
            yield token

    def reader(self, n_texts: int = 1) -> Reader:
        """The network, ready to read texts token by token."""
        check_is_fitted(self, "network_")
        return Reader(self.network_, self.context, n_texts)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log2 likelihood of a byte: minus the bits per byte; higher is better, as in scikit-learn."""
        return -self.bits_per_byte(X)

    def bits_per_byte(self, X: Any) -> float:
        """What a byte of the text costs, for a path or a sequence of texts; independent of what a token is."""
        check_is_fitted(self, "network_")
        text = read_text(X, self.encoding)
        token_N = self.vocabulary_.encode(text)
        if not len(token_N):
            raise DataError("the text is empty, so nothing can be scored. Give one with at least one character.")
        return float(self.token_nats(token_N).sum()) / math.log(2) / len(text.encode("utf-8", "surrogateescape"))

    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """Bits per byte beside general compressors."""
        data = read_text(X, self.encoding).encode("utf-8", "surrogateescape")
        beside = tuple(general_compressors(data).items())
        return [Measure("bits per byte", self.bits_per_byte(X), None, beside, is_higher_better=False)]

    def surprises(self, X: Any, n_passages: int = 5, length: int = 80) -> list[tuple[float, str]]:
        """The passages that surprised most: (bits per byte, passage), the most surprising first."""
        check_is_fitted(self, "network_")
        token_N = self.vocabulary_.encode(read_text(X, self.encoding))
        nats_N = self.token_nats(token_N)
        parts = [slice(i, i + length) for i in range(0, max(1, len(token_N) - length // 2), length)]
        passages = [(nats_N[part], self.vocabulary_.decode_bytes(token_N[part])) for part in parts]
        costs = [(float(n.sum()) / math.log(2) / max(1, len(p)), p.decode("utf-8", "replace")) for n, p in passages]
        return sorted(costs, reverse=True)[:n_passages]

    def longest_copies(self, text: str, n_passages: int = 5) -> list[str]:
        """The longest passages of `text` that stand so in the training text; none where the model keeps none."""
        check_is_fitted(self, "network_")
        return longest_common(text, self.vocabulary_.decode(self.token_N_), n_passages) if self.memory else []

    @torch.inference_mode()
    def token_nats(self, token_N: np.ndarray) -> np.ndarray:
        """-log likelihood of each token of `vocabulary_` (N), each seen with up to `context` tokens before it."""
        check_is_fitted(self, "network_")
        H, N = self.network_.n_history, len(token_N)
        span = min(self.context, max(N, 1))
        window_NW = windows(np.zeros(H, np.int32), np.concatenate([token_N, np.zeros(-N % span, np.int32)]), H, span)
        parts = [self.network_.nats(part, torch.full((len(part),), NEW_TEXT)) for part in window_NW.split(32)]
        return torch.cat(parts).flatten()[:N].double().numpy()

    # ---- compression -----------------------------------------------------------------------------

    def compress(self, data: bytes | str, run: str = "") -> bytes:
        """The bytes as a .tfz file that `decompress` of the same model turns back, byte by byte.

        The coder mixes the model's opinion with what the text itself teaches, so that strange text never explodes.

        Parameters
        ----------
        run : where the model is kept; written into the file for whoever opens it.
        """
        check_is_fitted(self, "network_")
        data = data.encode("utf-8") if isinstance(data, str) else data
        vocabulary = self.vocabulary_
        try:
            token_N = vocabulary.encode(data)
        except DataError:
            return compress_alone(data)  # bytes that sub-words cannot write: the file says that it needs no model
        with threads(1):
            coded = encode_tokens(token_N, vocabulary.size, Opinion(self.network_, self.context))
        header = {"kind": "text", "run": run, "model": self._hash(), "tokens": len(token_N), "crc": zlib.crc32(data)}
        packed = pack(header, [coded])
        return min(packed, compress_alone(data), key=len) if len(data) < SMALL else packed

    def decompress(self, packed: bytes) -> bytes:
        """The bytes that `compress` was given.

        Raises
        ------
        DataError
            When the file was damaged, or was written by another model.
        """
        check_is_fitted(self, "network_")
        header, chunks = unpack(packed)
        if header.get("kind") != "text":
            return decompress_alone(packed)
        if len(chunks) != 1 or not isinstance(header.get("tokens"), int):
            raise DataError("the file's header lacks what a text needs. Compress the original again.")
        if header.get("model") != self._hash():
            raise DataError(
                f"the file was compressed by another model ({header.get('model')}, of {header.get('run') or '?'}); "
                f"this one is {self._hash()}. Give the run that it was compressed with."
            )
        with threads(1):
            opinion = Opinion(self.network_, self.context)
            token_N = decode_tokens(chunks[0], header["tokens"], self.vocabulary_.size, opinion)
        data = self.vocabulary_.decode_bytes(token_N)
        if zlib.crc32(data) != header.get("crc"):
            raise DataError(
                "the bytes that came out are not those that went in: another processor or another torch computes other "
                "last bits. Decompress where the file was made."
            )
        return data

    def _hash(self) -> str:
        """A short name for exactly these weights and this memory."""
        digest = hashlib.sha256(json.dumps(self.vocabulary_.to_json()).encode() + self.token_N_.tobytes())
        for name, value in sorted(self.network_.state_dict().items()):
            digest.update(name.encode() + value.numpy().tobytes())
        return digest.hexdigest()[:16]

    # ---- saving ----------------------------------------------------------------------------------

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "network_")
        tensors = {f"network.{name}": value for name, value in self.network_.state_dict().items()}
        # the memory is counted again from the text when the model is loaded: it is smaller so
        tensors |= {"memory.tokens": torch.from_numpy(self.token_N_)} if self.memory else {}
        learned = {
            "vocabulary": self.vocabulary_.to_json(), "depth": len(self.network_.transformer.blocks),
            "measures": self.measures_, "n_iter": self.n_iter_,
        }  # fmt: skip
        return tensors, learned

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        vocabulary = Vocabulary(**learned["vocabulary"])
        token_N = tensors["memory.tokens"].numpy() if self.memory else np.zeros(0, np.int32)
        memory = Memory(token_N, vocabulary.size, self.memory)
        network = LanguageNetwork(memory, vocabulary.size, HEAD_DIM * max(2, learned["depth"]), learned["depth"])
        network.load_state_dict(
            {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        )
        self._finish(network, vocabulary, token_N)
        self.measures_, self.n_iter_ = learned["measures"], learned["n_iter"]


def _depth_for(minutes: float | None, n_tokens: int) -> int:
    """The dial: more time and more text are worth a deeper network."""
    by_time = 4 if minutes is None or minutes <= 6 else 6 if minutes <= 20 else 8
    return min(by_time, 2 if n_tokens < 50_000 else 4 if n_tokens < 2_000_000 else 8)
