"""The two-dimensional bench: forger and detective, step by step."""

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from twofold.studio.place import Answer, Here, Question

if TYPE_CHECKING:
    from twofold.studio.game import Bench

__all__ = ["routes"]

routes = APIRouter(prefix="/games", tags=["game"])

GameId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
Place = Annotated[list[Annotated[float, Field(ge=-1, le=1)]], Field(min_length=2, max_length=2)]


class GameQuestion(Question):
    """What to forge, and how the game is played."""

    shape: Literal["ring", "moons", "grid", "spiral", "line"] = "ring"
    dabs: list[Place] = Field(default_factory=list, max_length=400, description="drawn places, instead of a shape")
    loss: Literal["relativistic", "nonsaturating", "dcgan"] = "relativistic"
    gamma: float = Field(default=1.0, ge=0.001, le=1000)
    learning_rate: float = Field(default=1e-3, ge=1e-6, le=0.1)
    noise_dim: int = Field(default=8, ge=1, le=256)
    n_steps: int = Field(default=1500, ge=50, le=20_000, description="how long the whole game is")
    seed: int = Field(default=0, ge=0, lt=2**31)


class PlayQuestion(Question):
    """How many turns."""

    n: int = Field(default=1, ge=0, le=50)
    side: int = Field(default=36, ge=0, le=64, description="points a side of the detective's surface; 0: none")


class FrameAnswer(Answer):
    """How the game looks."""

    step: int
    n_steps: int
    is_over: bool
    made: list[list[float]]
    arrows: list[list[float]] = Field(description="where the detective would have each go; the longest is 1")
    surface: list[float] = Field(description="how real each place looks, row by row from the top, -1.15 to 1.15")
    losses: list[list[float]] = Field(description="of these turns: detective's, forger's")
    measures: dict[str, float]
    words: str


class GameAnswer(Answer):
    """A game that is begun."""

    id: str
    points: list[list[float]]
    """Real ones; some of them."""
    frame: FrameAnswer


@routes.post("", status_code=201)
async def begin_game(here: Here, question: GameQuestion) -> GameAnswer:
    """Begin: the very game that a GAN plays on a table of two columns. At most 16 are kept."""
    bench = await here.workbench.work(_begun, question)
    frame = await here.workbench.work(_played, bench, PlayQuestion(n=0))
    return GameAnswer(id=here.games.add(bench), points=bench.point_N2[:400].round(4).tolist(), frame=frame)


@routes.post("/{game}/steps")
async def play_game(here: Here, game: GameId, question: PlayQuestion) -> FrameAnswer:
    """Some turns of both, at most 50 at once, and how it looks then."""
    return await here.workbench.work(_played, here.games.game(game), question)


@routes.delete("/{game}", status_code=204)
async def end_game(here: Here, game: GameId) -> None:
    """Let it go."""
    here.games.remove(game)


def _begun(question: GameQuestion) -> "Bench":
    from twofold.studio.game import Bench, Setting, points_of

    told = question.model_dump()
    shape, dabs = told.pop("shape"), told.pop("dabs")
    return Bench(points_of(shape, dabs, question.seed), Setting(**told))


def _played(bench: "Bench", question: PlayQuestion) -> FrameAnswer:
    return FrameAnswer(**bench.play(question.n, question.side))
