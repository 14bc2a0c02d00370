"""A measure is a number beside a trivial baseline and, where it is an estimate, with an interval."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Measure", "bootstrap_interval"]


@dataclass(frozen=True)
class Measure:
    """One line of a report."""

    name: str
    value: float
    interval: tuple[float, float] | None = None  # 95 %
    baselines: tuple[tuple[str, float], ...] = ()
    is_higher_better: bool = True

    def __str__(self) -> str:
        interval = f" [{self.interval[0]:.4g}, {self.interval[1]:.4g}]" if self.interval else ""
        beside = "; ".join(f"{name} {value:.4g}" for name, value in self.baselines)
        return f"{self.name} {self.value:.4g}{interval}" + (f"   beside {beside}" if beside else "")

    def to_json(self) -> dict[str, object]:
        """The same as a JSON object."""
        return {"value": self.value, "interval": self.interval, "baselines": dict(self.baselines)}


def bootstrap_interval(
    measure: Callable[..., float], *arrays: np.ndarray, seed: int = 0, n_draws: int = 200
) -> tuple[float, float]:
    """The 95 % percentile interval of `measure(*arrays)` over rows drawn with replacement (Efron 1979).

    Draws for which the measure does not exist (one class only, say) are left out.
    """
    rng = np.random.default_rng(seed)
    n_rows = len(arrays[0])
    values = []
    for _ in range(n_draws):
        index = rng.integers(0, n_rows, n_rows)
        value = measure(*(array[index] for array in arrays))
        if np.isfinite(value):
            values.append(value)
    if not values:
        return (float("nan"), float("nan"))
    low, high = np.quantile(values, [0.025, 0.975])
    return (float(low), float(high))
