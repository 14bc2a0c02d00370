"""Features of pictures in closed form: words for patches, and what words of one picture have in common.

Small patches are whitened and named by the words of a dictionary that they resemble. Words that meet in one picture are
drawn together, as far apart from all others as linear algebra can: the directions in which pictures differ most, over
those in which patches do. That is the invariance that networks are trained for - two views of a picture alike, no
collapse - solved for one layer, in seconds.

Chen, Yun, Ma, Olshausen, LeCun 2022 (sparse manifold transform), https://arxiv.org/abs/2209.15261; Coates, Lee, Ng 2011
(patches and k-means), https://proceedings.mlr.press/v15/coates11a.html; Balestriero, LeCun 2022 (the closed form of
VICReg), https://arxiv.org/abs/2205.11508
Dimension key: N pictures, B of them at a time, C channels, S side, s side of the map of patches, P = s * s patches,
X = C * 6 * 6 numbers of a patch, K words, Z numbers of a patch's meaning, F = 16 Z features.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from twofold.nn.pixels import from_pixels

__all__ = ["PatchCode", "learn_patch_code", "ratio_axes"]

SIDE, PATCH, STRIDE, POOL = 32, 6, 2, 4
LIKE = 0.15  # least cosine at which a patch is called by a word
N_MEANINGS = 128
N_PATCHES, N_ROUNDS = 200_000, 5
AT_ONCE = 64


class PatchCode(nn.Module):
    """Pictures (B, C, S, S) in -1..1 to features (B, F): what their patches mean, over a grid of 4 x 4 places.

    Parameters
    ----------
    channels : C.
    n_words, n_meanings : K and Z.
    is_half : whether patches are compared in bfloat16, where a processor has it twice as quick.

    Examples
    --------
    >>> pixels = torch.randint(0, 256, (50, 12, 12, 1), dtype=torch.uint8)
    >>> code = learn_patch_code(pixels, 0, n_words=16)
    >>> code(torch.zeros(2, 1, 12, 12)).shape
    torch.Size([2, 64])
    """

    def __init__(self, channels: int, n_words: int, n_meanings: int, *, is_half: bool = False):
        super().__init__()
        X = channels * PATCH**2
        self.channels, self.n_words, self.n_meanings = channels, n_words, n_meanings
        self.n_features = n_meanings * POOL**2
        self.dtype = torch.bfloat16 if is_half else torch.float32
        self.register_buffer("white_XX", torch.eye(X))
        self.register_buffer("word_XK", torch.randn(X, n_words) / X**0.5)
        self.register_buffer("mean_K", torch.zeros(n_words))
        self.register_buffer("meaning_KZ", torch.randn(n_words, n_meanings) / n_words**0.5)

    @classmethod
    def with_weights(cls, tensors: Mapping[str, Tensor], *, is_half: bool) -> "PatchCode":
        """The one that these weights are of."""
        (X, K), Z = tensors["word_XK"].shape, tensors["meaning_KZ"].shape[1]
        code = cls(X // PATCH**2, K, Z, is_half=is_half)
        code.load_state_dict(dict(tensors))
        return code

    def words(self, picture_BCSS: Tensor) -> Tensor:
        """Which words each patch resembles, 0 or 1: (B, P, K)."""
        alike_BPK = functional.normalize(_patches(picture_BCSS) @ self.white_XX, dim=2).to(self.dtype) @ (
            self.word_XK.to(self.dtype)
        )
        return (alike_BPK > LIKE).to(self.dtype)

    def forward(self, picture_BCSS: Tensor) -> Tensor:
        """Features (B, F)."""
        meaning_BPZ = (self.words(picture_BCSS) @ self.meaning_KZ.to(self.dtype)).float()
        meaning_BPZ = functional.normalize(meaning_BPZ - self.mean_K @ self.meaning_KZ, dim=2)
        side = round(meaning_BPZ.shape[1] ** 0.5)
        return functional.adaptive_avg_pool2d(meaning_BPZ.mT.unflatten(2, (side, side)), POOL).flatten(1)


def _patches(picture_BCSS: Tensor, stride: int = STRIDE) -> Tensor:
    """Patches without their mean brightness, (B, P, X); of pictures larger than 32 pixels, as 32 show them."""
    if picture_BCSS.shape[2] > SIDE:
        picture_BCSS = functional.interpolate(picture_BCSS, SIDE, mode="area")
    patch_BCss66 = picture_BCSS.unfold(2, PATCH, stride).unfold(3, PATCH, stride)
    patch_BPC66 = patch_BCss66.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    return (patch_BPC66 - patch_BPC66.mean((3, 4), keepdim=True)).flatten(2)


# ---- solving -------------------------------------------------------------------------------------


@torch.no_grad()
def learn_patch_code(
    pixel_NSSC: Tensor, seed: int, *, n_words: int, n_spread: int = 6000, is_half: bool = False
) -> PatchCode:
    """The code of these pictures, uint8 (N, S, S, C) in random order.

    Few pictures have fewer words than `n_words`; two patches they must have.

    Parameters
    ----------
    n_spread : pictures whose patches tell how words occur together: more tell it finer, in as much more time.
    """
    N, C = len(pixel_NSSC), pixel_NSSC.shape[3]
    generator = torch.Generator().manual_seed(seed)
    patch_MX = _patches(from_pixels(pixel_NSSC[:4000]), 3).flatten(0, 1)
    patch_MX = patch_MX[torch.randperm(len(patch_MX), generator=generator)[:N_PATCHES]]
    K = max(2, min(n_words, max(8, len(patch_MX) // 50), len(patch_MX)))
    code = PatchCode(C, K, min(N_MEANINGS, K // 2, max(2, N - 1)), is_half=is_half)
    code.white_XX.copy_(_whitening(patch_MX))
    code.word_XK.copy_(_dictionary(functional.normalize(patch_MX @ code.white_XX, dim=1), K, generator).T)
    _solve_meanings(code, pixel_NSSC, n_spread)
    return code


def _whitening(patch_MX: Tensor, floor: float = 1e-3) -> Tensor:
    """The symmetric matrix that makes all directions of patches equally wide, down to `floor` of the mean variance."""
    variance_X, axis_XX = torch.linalg.eigh((patch_MX.T @ patch_MX / len(patch_MX)).double())
    root_X = (variance_X.clamp_min(0) + floor * variance_X.mean() + 1e-12).sqrt()
    return (axis_XX / root_X @ axis_XX.T).float()


def _dictionary(white_MX: Tensor, n_words: int, generator: torch.Generator) -> Tensor:
    """Words (K, X) of length 1, by k-means on the sphere."""
    word_KX = white_MX[torch.randperm(len(white_MX), generator=generator)[:n_words]].clone()
    for _ in range(N_ROUNDS):
        some_MX = white_MX[torch.randperm(len(white_MX), generator=generator)[:50_000]]
        nearest_M = torch.cat([(part_MX @ word_KX.T).argmax(1) for part_MX in some_MX.split(4096)])
        sum_KX = torch.zeros_like(word_KX).index_add_(0, nearest_M, some_MX)
        is_used_K1 = torch.bincount(nearest_M, minlength=n_words)[:, None] > 0
        word_KX = torch.where(is_used_K1, functional.normalize(sum_KX, dim=1), word_KX)
    return word_KX


def _solve_meanings(code: PatchCode, pixel_NSSC: Tensor, n_spread: int) -> None:
    """Directions of words along which whole pictures differ most, over single patches."""
    share_NK, spread_KK, n_seen = [], torch.zeros(2 * (len(code.mean_K),)), 0
    for part_BSSC in pixel_NSSC.split(AT_ONCE):
        word_BPK = code.words(from_pixels(part_BSSC))
        share_NK.append(word_BPK.sum(1, dtype=torch.float32) / word_BPK.shape[1])
        if n_seen < n_spread * word_BPK.shape[1]:
            flat_MK = word_BPK.flatten(0, 1)
            spread_KK += (flat_MK.T @ flat_MK).float()
            n_seen += len(flat_MK)
    share_NK = torch.cat(share_NK)
    code.mean_K.copy_(share_NK.mean(0))
    away_NK = share_NK - code.mean_K
    spread_KK = spread_KK / n_seen - code.mean_K[:, None] * code.mean_K
    axis_KZ, _ = ratio_axes(away_NK.T @ away_NK / len(away_NK), spread_KK, code.meaning_KZ.shape[1], 0.01)
    code.meaning_KZ.copy_(axis_KZ)


def ratio_axes(between_FF: Tensor, total_FF: Tensor, n_axes: int, floor: float) -> tuple[Tensor, Tensor]:
    """Directions (F, E) of the largest share of `between` in `total`, of spread 1, and those shares, largest first."""
    total_FF = total_FF.double()
    total_FF.diagonal().add_(floor * total_FF.diagonal().mean() + 1e-9)
    root_FF, failed = torch.linalg.cholesky_ex(total_FF)
    if failed:
        # half precision rounds a word that is nearly always there to less than no spread
        spread_F, own_FF = torch.linalg.eigh(total_FF)
        least = max(floor * float(spread_F.clamp_min(0).mean()), 1e-9)
        root_FF = torch.linalg.cholesky((own_FF * spread_F.clamp_min(least)) @ own_FF.T)
    inverse_FF = torch.linalg.inv(root_FF)
    share_F, axis_FF = torch.linalg.eigh(inverse_FF @ between_FF.double() @ inverse_FF.T)
    axis_FE = (inverse_FF.T @ axis_FF).flip(1)[:, :n_axes]
    # of an axis and its reverse always the same one
    axis_FE *= axis_FE.gather(0, axis_FE.abs().argmax(0, keepdim=True)).sign()
    return axis_FE.float(), share_F.flip(0)[:n_axes].clamp(0, 1).float()
