"""The game of forger and detective: both players' losses, a turn of each in a step, and what steers it.

Dimension key: B items at a time, N of them to measure on, Z noise numbers, R chances of an augmentation; `x` an item as
the discriminator sees it, (B, ...).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.core.distributed import average, gathered, world_size
from twofold.core.learner import Learner
from twofold.core.loop import Progress
from twofold.methods.gan.alarms import Sight, alarm
from twofold.methods.gan.forms import Form
from twofold.nn.dcgan import BatchNorm, settle
from twofold.nn.sketch import Sketch

__all__ = ["EVEN", "REACH", "WATCHED", "Game", "Rivals", "slopes"]

EVEN = 0.6931  # nats: the loss of guessing, log 2
LAZY = 4  # steps from one penalty to the next
SLOWLY = 0.02  # how fast the balance follows what the detective says now
FAIR = 0.47  # nats the detective should lose a pair; at .69 it guesses. Below, the penalty grows (docs/LOG.md)
STEER = 0.02
GAMMAS = (1 / 16, 64.0)  # least and most, times what the penalty began with
REACH = 10.0  # weight of the coarse look
LEASH, LATELY = 0.1, 0.01  # weight; share of the newest batch in what scores were lately
SETTLED = 500  # steps, or half of all, before which nothing is called wrong
GAP, GAP_STEP = 0.5, 0.1  # how much better the detective may know what it was taught than what it was not
LEAST_LEAD = 0.1  # of real items over made ones, in scores, below which there is no gap to speak of
N_SETTLED = 8  # batches
WATCHED, SHOWN = 256, 36  # items by which the game is watched, and that are shown


# ---- networks ------------------------------------------------------------------------------------


class Rivals(nn.Module):
    """Generator and discriminator, and how the discriminator's score becomes a probability."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        # slope and offset, from held-out items and fresh ones
        self.register_buffer("trust_2", torch.tensor([1.0, 0.0]))

    def probability(self, x: Tensor, class_B: Tensor) -> Tensor:
        """That each item is real, (B)."""
        return torch.sigmoid(self.trust_2[0] * self.discriminator(x, class_B) + self.trust_2[1])


# ---- loss and step -------------------------------------------------------------------------------


class Game(Learner):
    """Both players' losses, and a turn of each in a step."""

    def __init__(self, network: Rivals, form: Form, *, loss: str, gamma: float, is_half: bool):
        super().__init__()
        self.network, self.form = network, form
        self.is_half, self.first_gamma = is_half, gamma
        self.is_paired, self.is_plain = loss == "relativistic", loss == "dcgan"
        # what real and made items scored lately
        self.register_buffer("lately_2", torch.zeros(2))
        for norm in (part for part in network.modules() if isinstance(part, BatchNorm)):
            norm.gather = gathered if world_size() > 1 else None
        state = {"gamma": gamma, "strength": loss == "nonsaturating", "balance": EVEN, "n_turns": 0}
        for name, value in state.items():
            self.register_buffer(name, torch.tensor(float(value)))
        self.watched: tuple[Tensor, ...] = ()
        self.sight: Sight | None = None
        self.latest: Tensor | None = None

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """Adam: without momentum where slopes are punished, as what is to be learned moves."""
        betas = (0.0, 0.99) if self.is_paired else (0.5, 0.999)
        players = {"generator": self.network.generator, "discriminator": self.network.discriminator}
        return {
            name: torch.optim.Adam(_moving(player), self.learning_rate, betas=betas, eps=1e-6, fused=True)
            for name, player in players.items()
        }

    def schedule(self, fraction: float) -> float:
        """Short warm-up, flat, then down to nothing; the plain game knows none of it."""
        return 1.0 if self.is_plain else super().schedule(fraction)

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        """A turn of the discriminator, then one of the generator, with the same made items."""
        *arrays, class_B = batch
        real = self.form.real(*arrays)
        noise_BZ = self.noise(len(real))
        sketch = getattr(self.network.generator, "sketch", None)
        told = [] if sketch is None else [self.told(sketch, real, noise_BZ, class_B)]
        with self.precision(real):
            made = self.network.generator(noise_BZ, class_B, *told)
        seen, forged = self.changed(real), self.changed(made)
        losses = {"discriminator": self.detect(seen, forged.detach(), class_B)}
        with _frozen(self.network.discriminator), self.precision(real):
            losses["generator"] = self.forge(seen, forged, class_B)
            if sketch is not None:
                losses["reach"] = self.reach(sketch, made, real)
            self.move("generator", losses["generator"] + losses.get("reach", 0.0))
        self.n_turns += 1
        return losses

    def detect(self, real: Tensor, made: Tensor, class_B: Tensor) -> Tensor:
        """The discriminator's turn: tell the real one of each pair; lazily, with the penalties on both slopes."""
        is_due = self.is_paired and int(self.n_turns) % LAZY == 0
        if is_due:
            real, made = real.requires_grad_(), made.requires_grad_()
        with torch.autocast(real.device.type, torch.bfloat16, enabled=self.is_half and not is_due):
            scores = self.scores(real, made, class_B)
        loss, penalty = self.discriminator_loss(*scores), torch.zeros((), device=real.device)
        if is_due:
            penalty = LAZY * self.gamma / 2 * sum(slopes(s, x) for s, x in zip(scores, (real, made), strict=True))
        elif not self.is_paired and not self.is_plain:
            penalty = LEASH * self.strayed(*scores)
        self.move("discriminator", loss + penalty)
        self.steer(loss)
        return loss

    def strayed(self, real_B: Tensor, made_B: Tensor) -> Tensor:
        """How far the scores of either side lie from what the other side's were lately.

        Of few items a detective soon knows each by heart; so he is kept from being surer and surer.
        Tseng et al. 2021, https://arxiv.org/abs/2104.03310
        """
        real, made = self.lately_2.clone()
        now_2 = torch.stack([real_B.mean(), made_B.mean()]).detach().float()
        self.lately_2.lerp_(average(now_2), LATELY)
        return (real_B - made).square().mean() + (made_B - real).square().mean()

    def forge(self, real: Tensor, made: Tensor, class_B: Tensor) -> Tensor:
        """The generator's loss: what it made should look more real than the real one beside it."""
        score_B = self.network.discriminator(made, class_B)
        if not self.is_paired:
            return functional.softplus(-score_B).mean()
        with torch.no_grad():
            real_B = self.network.discriminator(real, class_B)
        return functional.softplus(real_B - score_B).mean()

    def told(self, sketch: Sketch, real: Tensor, noise_BZ: Tensor, class_B: Tensor) -> Tensor:
        """What made pictures are to look like coarsely: every second one like the real one beside it (B, P)."""
        code_BP = sketch.draw(noise_BZ[:, : sketch.n_noise], class_B)
        code_BP[::2] = sketch.code(sketch.look(real[::2]))
        return code_BP

    def reach(self, sketch: Sketch, made: Tensor, real: Tensor) -> Tensor:
        """How far every second made picture is, coarsely, from the real one whose look it was told.

        So the forger learns to make every kind there is; in the game alone it settles for a few. What is fine is still
        the detective's business.
        """
        return REACH * (sketch.look(made[::2]) - sketch.look(real[::2])).square().mean()

    def scores(self, real: Tensor, made: Tensor, class_B: Tensor) -> tuple[Tensor, Tensor]:
        """Of both (B): in one go, but where batches are normalised."""
        judge = self.network.discriminator
        if not self.is_paired:
            return judge(real, class_B), judge(made, class_B)
        real_B, made_B = judge(torch.cat([real, made]), class_B.repeat(2)).chunk(2)
        return real_B, made_B

    def discriminator_loss(self, real_B: Tensor, made_B: Tensor) -> Tensor:
        """-log probability of the truth."""
        if not self.is_paired:
            return functional.softplus(-real_B).mean() + functional.softplus(made_B).mean()
        return functional.softplus(made_B - real_B).mean()

    def move(self, player: str, loss: Tensor) -> None:
        """One update of that player's weights."""
        optimizer = self.optimizers[player]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    average(weight.grad)
        optimizer.step()

    # ---- what steers the game --------------------------------------------------------------------

    @torch.no_grad()
    def steer(self, loss: Tensor) -> None:
        """The penalty grows while the discriminator is too good, and shrinks while it is not good enough."""
        # per judgement: of a pair, or of each of two
        self.balance.lerp_(average(loss.detach().clone()) / (1 if self.is_paired else 2), SLOWLY)
        low, high = (self.first_gamma * factor for factor in GAMMAS)
        self.gamma.mul_(torch.exp(STEER * (FAIR - self.balance))).clamp_(low, high)

    def watch(self, *known: Tensor) -> None:
        """Take some training items, arrays and class, by which `evaluate` watches the game."""
        self.watched = known
        self.sight = Sight(self.form.real(*known[:-1]))

    @torch.inference_mode()
    def evaluate(self, *held_out: Tensor) -> dict[str, float]:
        """How real the discriminator finds what it was taught with, what it was not, and what is made.

        Where it knows the first much better than the second it learns by heart: augmentation grows.
        """
        *arrays, class_N = (part[:WATCHED] for part in held_out)
        *known, known_class_N = self.watched
        unseen, taught = self.form.real(*arrays), self.form.real(*known)
        self.settle(taught, known_class_N)
        made = self.network.generator(self.noise(len(taught)), known_class_N)
        self.latest = made[:SHOWN].cpu()
        judge = self.network.discriminator
        told = {"taught": judge(taught, known_class_N), "unseen": judge(unseen, class_N),
                "made": judge(made, known_class_N)}  # fmt: skip
        told = {name: float(score_N.mean()) for name, score_N in told.items()}
        gap = min(1.0, (told["taught"] - told["unseen"]) / max(told["taught"] - told["made"], LEAST_LEAD))
        if self.is_paired:
            self.strength.add_(GAP_STEP if gap > GAP else -GAP_STEP).clamp_(0, 1)
        return {"real": told["unseen"], "made": told["made"], "gap": gap, "coverage": self.sight.coverage(made, taught),
                "balance": float(self.balance)}  # fmt: skip

    def shown(self, progress: Progress) -> Progress:
        """With a look at what is made, always of the same noise, and what is wrong, where the game was measured."""
        if not progress.measures or self.latest is None:
            return progress
        is_settled = progress.step >= SETTLED or 2 * progress.step >= (progress.n_steps or math.inf)
        warning = alarm(progress.measures) if is_settled else ""
        return replace(progress, preview=self.form.items(self.latest), note=progress.note or warning)

    def settle(self, real: Tensor, class_N: Tensor) -> None:
        """Fit batch normalisation to the weights that are measured, or kept."""
        noises = [(self.noise(len(class_N)), class_N) for _ in range(N_SETTLED)]
        settle(self.network.generator, noises)
        made = self.network.generator(*noises[0])
        settle(self.network.discriminator, [(real, class_N), (made, class_N)])

    def changed(self, x: Tensor) -> Tensor:
        """As the discriminator sees it: real and made alike are changed a little, the more it learns by heart."""
        if not self.form.n_chances or self.is_plain:
            return x
        return self.form.changed(x, self.uniform(len(x), self.form.n_chances), self.strength)

    def noise(self, n: int) -> Tensor:
        """What the generator begins with, (B, Z)."""
        return self.normal(n, self.network.generator.n_noise)  # type: ignore[arg-type]

    def precision(self, like: Tensor) -> torch.autocast:
        """Half precision where it is quicker."""
        return torch.autocast(like.device.type, torch.bfloat16, enabled=self.is_half)


def slopes(score_B: Tensor, x: Tensor) -> Tensor:
    """The mean square of the slope of each score by its item (Mescheder, Geiger, Nowozin 2018)."""
    slope = torch.autograd.grad(score_B.sum(), x, create_graph=True)[0]
    return slope.flatten(1).square().sum(1).mean()


def _moving(player: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in player.parameters() if weight.requires_grad]


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for its weights in this block; they still flow through it."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
