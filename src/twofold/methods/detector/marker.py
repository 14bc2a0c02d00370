"""What a picture network learns from: defects forged in normal pictures, to be marked and painted over.

Zavrtanik et al. 2021 (DRAEM), https://arxiv.org/abs/2108.07610
Dimension key: B pictures of a batch, N pictures of the bank, S side, C channels, g = S / 4 cells a side, K chances.
"""

import torch
from torch import Tensor
from torch.nn import functional

from twofold.core.learner import Learner
from twofold.nn.defects import N_CHANCES, forge
from twofold.nn.finder import DefectNetwork
from twofold.nn.muon import Muon
from twofold.nn.pixels import from_pixels

__all__ = ["DefectMarker"]

N_ROUNDS, SHARE = 2, 0.6  # times that a defect is forged, each with this chance


class DefectMarker(Learner):
    """Learns to mark forged defects and to paint what was there before.

    Parameters
    ----------
    bank_NSSC : uint8 pictures, of which pieces are pasted into others.
    """

    weight_decay = 1e-2

    def __init__(self, network: DefectNetwork, bank_NSSC: Tensor, is_half: bool = False):
        super().__init__()
        self.network, self.is_half = network, is_half
        self.register_buffer("bank_NSSC", bank_NSSC, persistent=False)

    def configure(self) -> dict[str, torch.optim.Optimizer]:
        """Muon for the convolutions inside, AdamW for all else."""
        inner = [p for n, p in self.named_parameters() if p.ndim == 4 and n.split(".")[1] in ("stages", "shrinks")]
        known = {id(p) for p in inner}
        others = [p for p in self.parameters() if id(p) not in known]
        return {
            "inner": Muon(inner, lr=10 * self.learning_rate),
            "others": torch.optim.AdamW(
                others, lr=self.learning_rate, betas=(0.9, 0.99), weight_decay=self.weight_decay
            ),
        }

    def loss(self, pixel_BSSC: Tensor) -> dict[str, Tensor]:
        """How badly defects are marked, and how far the painting is from the picture before."""
        clean_BCSS, spoilt_BCSS, where_B1SS = self._spoil(pixel_BSSC)
        with torch.autocast(spoilt_BCSS.device.type, torch.bfloat16, enabled=self.is_half):
            mark_B1gg, repaired_BCSS = self.network(spoilt_BCSS.contiguous(memory_format=torch.channels_last))
        mark_B1gg, where_B1gg = mark_B1gg.float(), functional.avg_pool2d(where_B1SS, 4)
        cost = functional.binary_cross_entropy_with_logits(mark_B1gg, where_B1gg, reduction="none")
        share = mark_B1gg.sigmoid()
        both = (share * where_B1gg).sum((1, 2, 3)), (share + where_B1gg).sum((1, 2, 3))
        return {
            # cells that are already right count little: nearly all are
            "marks": 10 * (cost * (share - where_B1gg).abs()).mean(),
            "overlap": 0.3 * (1 - (2 * both[0] + 1) / (both[1] + 1)).mean(),
            "repair": 0.3 * (repaired_BCSS.float() - clean_BCSS).abs().mean(),
        }

    def _spoil(self, pixel_BSSC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        B = len(pixel_BSSC)
        which_B = (self.uniform(B) * len(self.bank_NSSC)).long().clamp_max(len(self.bank_NSSC) - 1)
        clean_BCSS = _varied(from_pixels(pixel_BSSC), self.uniform(B, 4))
        other_BCSS = _varied(from_pixels(self.bank_NSSC[which_B]), self.uniform(B, 4))
        spoilt_BCSS, where_B1SS = clean_BCSS, torch.zeros_like(clean_BCSS[:, :1])
        for _ in range(N_ROUNDS):
            chance_BK = self.uniform(B, N_CHANCES)
            forged_BCSS, new_B1SS = forge(spoilt_BCSS, other_BCSS, chance_BK)
            is_forged = chance_BK[:, -1, None, None, None] < SHARE
            spoilt_BCSS = torch.where(is_forged, forged_BCSS, spoilt_BCSS)
            where_B1SS = torch.where(is_forged, where_B1SS.maximum(new_B1SS), where_B1SS)
        return clean_BCSS, spoilt_BCSS, where_B1SS


def _varied(picture_BCSS: Tensor, chance_B4: Tensor) -> Tensor:
    """Mirrored, with a little more or less light and contrast."""
    across, down, contrast, light = chance_B4[:, :, None, None, None].unbind(1)
    picture_BCSS = torch.where(across < 0.5, picture_BCSS, picture_BCSS.flip(3))
    picture_BCSS = torch.where(down < 0.5, picture_BCSS, picture_BCSS.flip(2))
    mean = picture_BCSS.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, picture_BCSS, 0.8 + 0.4 * contrast).add(0.2 * (light - 0.5)).clamp(-1, 1)
