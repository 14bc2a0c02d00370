"""Rounded latents as bytes, and back: a range coder over stored tables of whole numbers.

The context networks (nn/fixed_point.py) give each latent a centre and a spread; both are rounded to the few for which
a table of counts is stored. Latents that share a table are coded together. The encoder picks, latent by latent, the
neighbouring whole number that is cheapest in bits and error together, knowing what each costs.
Dimension key: C latents of a block, G of a group, H and W blocks down and across, S blocks of a pass, K latents of a
pass, T tables, A anchors of the quality.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import constriction
import numpy as np
import torch
from torch import Tensor

from twofold.errors import DataError
from twofold.nn.codec import N_COEFFICIENTS, anchor_weights
from twofold.nn.contexts import Foresight
from twofold.nn.fixed_point import UNIT, FixedContexts
from twofold.nn.tables import FRACTIONS, SPREADS, Tables

__all__ = ["LatentCoder"]

LARGEST_LATENT = 4095
BYTE = constriction.stream.model.Uniform(256)


@dataclass
class Told:
    """What the latents of a pass, flat, are coded by: for each a table, and the whole number in the middle of it."""

    table_K: np.ndarray
    middle_K: np.ndarray

    @classmethod
    def of(cls, foresight: Foresight, is_coded_C: np.ndarray) -> "Told":
        """Centres and spreads in 256ths, rounded to those that have tables."""
        is_coded_G = torch.from_numpy(is_coded_C[foresight.channels])
        centre_K, spread_K = (x[0][is_coded_G].flatten().numpy() for x in (foresight.centre_BGS, foresight.spread_BGS))
        sixteenth_K = np.floor(centre_K / (UNIT // FRACTIONS) + 0.5).astype(np.int64)
        step = (SPREADS[1] - SPREADS[0]) * UNIT
        spread_K = np.floor((spread_K - SPREADS[0] * UNIT) / step + 0.5).clip(0, len(SPREADS) - 1).astype(np.int64)
        return cls(spread_K * FRACTIONS + sixteenth_K % FRACTIONS, sixteenth_K // FRACTIONS)

    def off(self, value_K: np.ndarray) -> np.ndarray:
        """How far values are from their centres."""
        return value_K - self.middle_K - self.table_K % FRACTIONS / FRACTIONS

    def groups(self) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """An order in which those of one table stand together, and each table with how many it has."""
        order_K = np.argsort(self.table_K.astype(np.int16), kind="stable")
        table, n = np.unique(self.table_K, return_counts=True)
        return order_K, list(zip(table.tolist(), n.tolist(), strict=True))


class LatentCoder:
    """Latents of one picture, or of one tile, to bytes and back.

    Parameters
    ----------
    contexts : what foresees them.
    tables : the counts that stand for its centres and spreads.
    """

    def __init__(self, contexts: FixedContexts, tables: Tables):
        self.contexts, self.tables = contexts, tables

    @torch.inference_mode()
    def encode(
        self, wanted_CHW: Tensor, level: int, is_coded_C: np.ndarray, *, price: float = 0.0
    ) -> tuple[bytes, Tensor]:
        """The bytes, and the whole numbers that a decoder will get from them.

        Parameters
        ----------
        wanted_CHW : latents before rounding.
        level : quality, 0 to 64.
        is_coded_C : latents that are 0 everywhere by agreement are left out.
        price : what a bit may cost in squared rounding steps; 0 rounds to the nearest.
        """
        encoder = constriction.stream.queue.RangeEncoder()
        latent_1CHW = torch.zeros(1, *wanted_CHW.shape, dtype=torch.float64)
        for foresight in self.contexts(latent_1CHW, anchor_weights(torch.tensor([level])).double()):
            told = Told.of(foresight, is_coded_C)
            wanted_K = _coded(wanted_CHW[None], foresight, is_coded_C).flatten().double().numpy()
            value_K = self._choose(wanted_K, told, price)
            _fill(latent_1CHW, foresight, is_coded_C, value_K)
            self._write(encoder, told, value_K)
        return encoder.get_compressed().astype("<u4").tobytes(), latent_1CHW[0]

    @torch.inference_mode()
    def decode(self, data: bytes, shape: tuple[int, int], level: int, is_coded_C: np.ndarray) -> Tensor:
        """The whole numbers (C, H, W) that `encode` ended with, for the same level and latents left out.

        Raises
        ------
        DataError
            When the bytes cannot have come from `encode`.
        """
        if len(data) % 4:
            raise DataError(f"{len(data)} bytes cannot hold latents. The file is damaged: copy it again.")
        decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32))
        latent_1CHW = torch.zeros(1, N_COEFFICIENTS, *shape, dtype=torch.float64)
        for foresight in self.contexts(latent_1CHW, anchor_weights(torch.tensor([level])).double()):
            told = Told.of(foresight, is_coded_C)
            try:
                value_K = self._read(decoder, told)
            except (AssertionError, ValueError) as error:
                raise DataError("the latents are damaged. Copy the file again from where it came.") from error
            _fill(latent_1CHW, foresight, is_coded_C, value_K)
        return latent_1CHW[0]

    @torch.inference_mode()
    def fit_tables(self, examples: Iterable[tuple[Tensor, int]], *, price: float = 0.0) -> None:
        """Shape the tables by latents before rounding, (C, H, W) each, and the level they are for."""
        offs, spreads, all_C = [], [], np.ones(N_COEFFICIENTS, bool)
        for wanted_CHW, level in examples:
            latent_1CHW = self.encode(wanted_CHW, level, all_C, price=price)[1][None]
            for foresight in self.contexts(latent_1CHW, anchor_weights(torch.tensor([level])).double()):
                told = Told.of(foresight, all_C)
                offs.append(told.off(_coded(latent_1CHW, foresight, all_C).flatten().numpy()))
                spreads.append(told.table_K // FRACTIONS)
        self.tables = Tables.fitted(np.concatenate(offs), np.concatenate(spreads))

    def _choose(self, wanted_K: np.ndarray, told: Told, price: float) -> np.ndarray:
        """The nearest whole number, or its neighbour towards the centre where that saves more than it costs."""
        near_K = np.round(wanted_K).clip(-LARGEST_LATENT, LARGEST_LATENT)
        if not price:
            return near_K.astype(np.int64)
        other_K = (near_K - np.sign(near_K - told.middle_K)).clip(-LARGEST_LATENT, LARGEST_LATENT)
        cost_near_K, cost_other_K = (
            (wanted_K - value_K) ** 2 + price * self._bits(told, value_K) for value_K in (near_K, other_K)
        )
        return np.where(cost_other_K < cost_near_K, other_K, near_K).astype(np.int64)

    def _bits(self, told: Told, value_K: np.ndarray) -> np.ndarray:
        symbol_K = self._symbols(told, value_K.astype(np.int64))
        is_outside_K = symbol_K == 2 * self.tables.reach_T[told.table_K] + 1
        return self.tables.bits[self.tables.start_T[told.table_K] + symbol_K] + 16 * is_outside_K

    def _symbols(self, told: Told, value_K: np.ndarray) -> np.ndarray:
        reach_K = self.tables.reach_T[told.table_K]
        symbol_K = value_K - told.middle_K + reach_K
        return np.where((symbol_K < 0) | (symbol_K > 2 * reach_K), 2 * reach_K + 1, symbol_K)

    def _write(self, encoder: constriction.stream.queue.RangeEncoder, told: Told, value_K: np.ndarray) -> None:
        symbol_K, start = self._symbols(told, value_K), 0
        order_K, groups = told.groups()
        ordered_K = symbol_K[order_K].astype(np.int32)
        for table, n in groups:
            encoder.encode(ordered_K[start : start + n], self.tables.model(table))
            start += n
        outside = value_K[symbol_K == 2 * self.tables.reach_T[told.table_K] + 1] + LARGEST_LATENT
        if len(outside):
            encoder.encode(np.stack([outside >> 8, outside & 255], 1).flatten().astype(np.int32), BYTE)

    def _read(self, decoder: constriction.stream.queue.RangeDecoder, told: Told) -> np.ndarray:
        order_K, groups = told.groups()
        parts = [np.zeros(0, np.int32), *(decoder.decode(self.tables.model(table), n) for table, n in groups)]
        symbol_K = np.empty(len(order_K), np.int64)
        symbol_K[order_K] = np.concatenate(parts)
        reach_K = self.tables.reach_T[told.table_K]
        value_K = symbol_K - reach_K + told.middle_K
        is_outside_K = symbol_K == 2 * reach_K + 1
        if n := int(is_outside_K.sum()):
            high, low = decoder.decode(BYTE, 2 * n).astype(np.int64).reshape(n, 2).T
            value_K[is_outside_K] = (high << 8 | low) - LARGEST_LATENT
        return value_K.clip(-LARGEST_LATENT, LARGEST_LATENT)


def _coded(latent_1CHW: Tensor, foresight: Foresight, is_coded_C: np.ndarray) -> Tensor:
    is_coded_G = torch.from_numpy(is_coded_C[foresight.channels])
    return latent_1CHW[0, foresight.channels][is_coded_G][:, foresight.place_HW]


def _fill(latent_1CHW: Tensor, foresight: Foresight, is_coded_C: np.ndarray, value_K: np.ndarray) -> None:
    """Put values into their places, in place."""
    channels = torch.arange(N_COEFFICIENTS)[foresight.channels][torch.from_numpy(is_coded_C[foresight.channels])]
    rows, columns = foresight.place_HW.nonzero(as_tuple=True)
    value_CS = torch.from_numpy(value_K).double().reshape(len(channels), len(rows))
    latent_1CHW[0, channels[:, None], rows, columns] = value_CS
