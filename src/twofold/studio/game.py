"""The game of forger and detective in two dimensions, so that all of it can be seen.

It is the very game that a GAN plays on rows of a table with two columns: its networks, its losses, its turns
(`GAN.begin`), not a likeness of it. What is shown is read from the two networks between two turns.
Dimension key: N points, M made ones, G points a side of the grid.
"""

import math
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import DivergedError, RunError, SettingError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SHAPES", "Bench", "Games", "Setting", "points_of"]

SHAPES = ("ring", "moons", "grid", "spiral", "line")
"""Distributions that need not be drawn."""
N_POINTS, N_MADE, N_SHOWN = 800, 240, 400
SPREAD = 0.035  # of points around what was drawn
REACH = 1.15  # of the plane that is shown, from the middle
MOST_GAMES = 16
CLOUD, N_CLOUD = 0.45, 1000
LITTLE = 0.02  # step along a slope, in the detective's coordinates, that gives an arrow its direction
NEIGHBOUR, NEAR = 5, 0.9
WEAK, STRONG, WILD = 0.685, 0.3, 1.0  # nats that the detective loses a judgement; at .69 it guesses
DIVERGED = "The numbers ran away, three times over: a smaller learning rate helps. Begin anew."
FITS, COVERS, POOR = 0.75, 0.9, 0.55


@dataclass(frozen=True)
class Setting:
    """What can be set; the same fields as those of GAN."""

    loss: str = "relativistic"
    gamma: float = 1.0
    learning_rate: float = 1e-3
    noise_dim: int = 8
    n_steps: int = 1500
    seed: int = 0


def points_of(shape: str, dabs: list[tuple[float, float]], seed: int) -> np.ndarray:
    """Points (N, 2) around a shape by name, or around what was drawn."""
    rng = np.random.default_rng(seed)
    if dabs:
        centre_N2 = np.array(dabs, np.float64)[rng.integers(0, len(dabs), N_POINTS)]
        return _in_sight(centre_N2 + rng.normal(size=(N_POINTS, 2)) * SPREAD)
    if shape not in SHAPES:
        raise SettingError(f"shape is {shape!r}. Allowed: {', '.join(SHAPES)}; or draw one.")
    part_N, along_N = rng.random(N_POINTS), rng.random(N_POINTS)
    return _in_sight(_CURVES[shape](part_N, along_N) + rng.normal(size=(N_POINTS, 2)) * SPREAD)


def _in_sight(point_N2: np.ndarray) -> np.ndarray:
    return np.clip(point_N2, -1, 1)


def _ring(part_N: np.ndarray, along_N: np.ndarray) -> np.ndarray:
    turn_N = np.floor(8 * part_N) * math.pi / 4
    return 0.75 * np.stack([np.cos(turn_N), np.sin(turn_N)], 1)


def _moons(part_N: np.ndarray, along_N: np.ndarray) -> np.ndarray:
    turn_N, is_lower_N = math.pi * along_N, part_N < 0.5
    x_N = np.where(is_lower_N, 0.3 - 0.55 * np.cos(turn_N), -0.3 + 0.55 * np.cos(turn_N))
    return np.stack([x_N, np.where(is_lower_N, 0.15 - 0.6 * np.sin(turn_N), -0.15 + 0.6 * np.sin(turn_N))], 1)


def _grid(part_N: np.ndarray, along_N: np.ndarray) -> np.ndarray:
    # turned: upright, it would be forged as soon as each axis is right by itself
    place_N2 = 0.31 * (np.stack([np.floor(5 * part_N), np.floor(5 * along_N)], 1) - 2)
    return place_N2 @ np.array([[0.906, 0.423], [-0.423, 0.906]])


def _spiral(part_N: np.ndarray, along_N: np.ndarray) -> np.ndarray:
    turn_N = 0.6 + 10.5 * np.sqrt(along_N)
    return (turn_N / 13)[:, None] * np.stack([np.cos(turn_N), np.sin(turn_N)], 1)


def _line(part_N: np.ndarray, along_N: np.ndarray) -> np.ndarray:
    return np.stack([1.6 * along_N - 0.8, 0.9 * along_N - 0.45], 1)


_CURVES = {"ring": _ring, "moons": _moons, "grid": _grid, "spiral": _spiral, "line": _line}


def _even_form(gan: Any) -> Any:
    """Points coded as if they were a round cloud: the detective then sees the plane as it is drawn.

    Learned from the points themselves, the coding would spread each axis by its own quantiles.
    """
    from scipy.special import ndtri

    from twofold.methods.gan.rows import RowForm

    cloud_N = CLOUD * ndtri((np.arange(N_CLOUD) + 0.5) / N_CLOUD)
    other_N = np.random.default_rng(0).permutation(cloud_N)
    return RowForm.learn(gan, np.stack([cloud_N, other_N], 1))[0]


class Bench:
    """A game under way.

    Parameters
    ----------
    point_N2 : what is to be forged.

    Examples
    --------
    >>> bench = Bench(points_of("ring", [], 0), Setting(n_steps=3))
    >>> frame = bench.play(2, 8)
    >>> frame["step"], len(frame["made"]), len(frame["surface"])
    (2, 240, 64)
    """

    def __init__(self, point_N2: np.ndarray, setting: Setting):
        import torch

        from twofold.methods.gan import GAN

        self.point_N2, self.setting = point_N2, setting
        gan = GAN(
            loss=setting.loss, gamma=setting.gamma, learning_rate=setting.learning_rate, noise_dim=setting.noise_dim,
            n_steps=setting.n_steps, seed=setting.seed, dim=96, batch_size=128, n_threads=1, device="cpu",
            precision="float32",
        )  # fmt: skip
        # without the clusters that the forger of rows is told: so that it has everything to learn
        self._match = gan.begin(point_N2, form=_even_form(gan), is_blank=True)
        self.game, self.form = self._match.game, self._match.game.form
        generator = torch.Generator().manual_seed(setting.seed)
        self._noise_MZ = torch.randn(N_MADE, self.game.network.generator.n_noise, generator=generator)
        self._grids: dict[int, Tensor] = {}
        self.step, self.is_over, self.has_diverged = 0, False, False
        self.losses: list[list[float]] = []

    def play(self, n: int, side: int) -> dict[str, Any]:
        """Some turns of both players, and how it looks then.

        Parameters
        ----------
        side : points a side of the grid on which the detective is asked; 0: it is not.
        """
        first = len(self.losses)
        for _ in range(n):
            try:
                progress = next(self._match.turns, None)
            except DivergedError:
                self.has_diverged, progress = True, None
            if progress is None:
                self.is_over = True
                break
            self.step = progress.step
            terms = (progress.losses["discriminator"], progress.losses["generator"])
            self.losses.append([round(term, 5) if math.isfinite(term) else 0.0 for term in terms])
        self.is_over = self.is_over or self.step >= self.setting.n_steps
        return {**self.look(side), "losses": self.losses[first:]}

    def look(self, side: int) -> dict[str, Any]:
        """Made points, where the detective would have them go, its surface, and words; nothing is learned."""
        import torch

        class_M = torch.zeros(N_MADE, dtype=torch.int64)
        network = self.game.network
        with torch.no_grad():
            made = network.generator(self._noise_MZ, class_M)
        made.requires_grad_()
        score_M = network.discriminator(made, class_M)
        slope = torch.autograd.grad(score_M.sum(), made)[0]
        made, score_M = made.detach(), score_M.detach()
        point_M2 = self._plane(made)
        real = self.form.real(*self.game.watched[:-1])
        with torch.no_grad():
            real_score = float(network.discriminator(real, torch.zeros(len(real), dtype=torch.int64)).mean())
        middle = (real_score + float(score_M.mean())) / 2 if self.game.is_paired else 0.0
        measures = self._measures(point_M2)
        words = DIVERGED if self.has_diverged else words_for(self.step, measures)
        return {
            "step": self.step, "n_steps": self.setting.n_steps, "is_over": self.is_over,
            "made": point_M2.round(4).tolist(), "arrows": self._arrows(made, slope, point_M2),
            "surface": self._surface(side, middle), "measures": measures, "words": words,
        }  # fmt: skip

    def _plane(self, made: "Tensor") -> np.ndarray:
        """Made rows as points of the plane, (M, 2)."""
        return np.nan_to_num(np.asarray(self.form.items(made), np.float64), nan=0.0)

    def _arrows(self, made: "Tensor", slope: "Tensor", point_M2: np.ndarray) -> list[list[float]]:
        """Where the slope of the score leads, as directions in the plane, the longest of length 1."""
        length_M1 = slope.norm(dim=1, keepdim=True)
        ahead_M2 = self._plane(made + LITTLE * slope / length_M1.clamp_min(1e-12)) - point_M2
        size_M1 = np.maximum(np.linalg.norm(ahead_M2, axis=1, keepdims=True), 1e-12)
        strength_M1 = (length_M1 / length_M1.max().clamp_min(1e-12)).numpy()
        return np.nan_to_num(ahead_M2 / size_M1 * strength_M1).round(3).tolist()

    def _surface(self, side: int, middle: float) -> list[float]:
        """How surely the detective finds each place of the plane real, row by row from the top; (G * G)."""
        import torch

        if not side:
            return []
        if side not in self._grids:
            tick_G = np.linspace(-REACH, REACH, side)
            place_N2 = np.stack([np.tile(tick_G, side), np.repeat(tick_G[::-1], side)], 1)
            self._grids[side] = self.form.real(*map(torch.from_numpy, self.form.arrays(place_N2)))
        grid = self._grids[side]
        with torch.no_grad():
            score_N = self.game.network.discriminator(grid, torch.zeros(len(grid), dtype=torch.int64))
        return torch.sigmoid(score_N - middle).nan_to_num(0.5).numpy().astype(float).round(3).tolist()

    def _measures(self, point_M2: np.ndarray) -> dict[str, float]:
        """How much of the real is covered, how much of the made fits, how far the detective is from guessing."""
        real_N2 = self.point_N2[:N_SHOWN]
        apart_NN = np.linalg.norm(real_N2[:, None] - real_N2[None], axis=2)
        radius = float(np.quantile(np.partition(apart_NN, NEIGHBOUR, axis=1)[:, NEIGHBOUR], NEAR))
        apart_NM = np.linalg.norm(real_N2[:, None] - point_M2[None], axis=2)
        told = {
            "coverage": float((apart_NM.min(1) <= radius).mean()), "fit": float((apart_NM.min(0) <= radius).mean()),
            "balance": float(self.game.balance), "gamma": float(self.game.gamma),
        }  # fmt: skip
        return {name: round(value, 4) if math.isfinite(value) else 0.0 for name, value in told.items()}


def words_for(step: int, measures: dict[str, float]) -> str:
    """What is happening, in a sentence."""
    balance, coverage, fit = (measures[name] for name in ("balance", "coverage", "fit"))
    if step == 0:
        return "The forger scatters points around the middle, and the detective only guesses: both know nothing yet."
    if fit > FITS and coverage > COVERS:
        return "Well forged: made points lie where yours lie, nearly everywhere, and the detective is left to guess."
    if fit > POOR and coverage < POOR:
        return (
            "Mode collapse: what is made passes, but much of yours is never made. The forger found a place that works."
        )
    if balance < STRONG:
        return (
            "The detective is too strong: it is hardly ever wrong, and the forger runs after it. "
            "The relativistic loss with a larger gamma holds it back; so does a smaller learning rate."
        )
    if balance > WILD:
        return "The steps are too large: both run past each other. A smaller learning rate calms them."
    if balance > WEAK:
        return "The detective guesses: the arrows say little. It must learn first what gives a fake away."
    return "An even match: the detective sees a difference, and the arrows show the forger the way."


class Games:
    """The games of this start, by drawn names; the longest unused one makes room."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Bench] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, bench: Bench) -> str:
        """A name for a new game."""
        name = secrets.token_hex(8)
        with self._lock:
            self._open[name] = bench
            while len(self._open) > MOST_GAMES:
                self._open.popitem(last=False)
        return name

    def game(self, name: str) -> Bench:
        """The game of that name."""
        with self._lock:
            if name not in self._open:
                raise RunError(f"there is no game {name[:40]!r}: {MOST_GAMES} are kept. Begin one: POST /api/v1/games.")
            self._open.move_to_end(name)
            return self._open[name]

    def remove(self, name: str) -> None:
        """Let it go."""
        self.game(name)
        with self._lock:
            self._open.pop(name, None)
