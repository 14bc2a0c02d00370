"""AnomalyDetector: learn what is normal, say how strange a new row or picture is, and what gave it away.

A judge learns the normal: of the rows of a table (rows.py) or of pictures (pictures.py). Both weigh several kinds of
evidence by forged anomalies, and turn the sum into conformal p-values whose alarm rate holds on the mean.
Dimension key: N rows or pictures, H, W height and width of a picture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional

from twofold.core.device import PRECISIONS, choose_device
from twofold.core.estimator import Estimator
from twofold.core.loop import Progress, train
from twofold.data.pictures import holds_pictures
from twofold.errors import DataError, SettingError
from twofold.measure.detection import detection_measures
from twofold.measure.patches import Spot
from twofold.measure.reasons import Reason
from twofold.measure.report import Measure
from twofold.methods.detector.marker import DefectMarker
from twofold.methods.detector.pictures import PictureJudge
from twofold.methods.detector.rows import MaskedCells, RowJudge

__all__ = ["AnomalyDetector", "DefectMarker", "MaskedCells"]

JUDGES = {"rows": RowJudge, "pictures": PictureJudge}
STRIDE = 16  # what image_size is a multiple of


@dataclass(eq=False, repr=False)
class AnomalyDetector(OutlierMixin, Estimator):
    """Learns what normal rows or pictures look like; scores new ones, with p-values and reasons.

    Of tables, numbers, dates, categories and missing cells may be mixed. As in scikit-learn, `score_samples` is lower
    for stranger ones and `predict` gives -1 for them; `detect` gives what people read, higher = stranger.

    Attributes
    ----------
    weights_ : how far each kind of evidence is trusted, by name; they sum to 1.
    offset_ : `score_samples` below it are anomalies at the alarm rate.
    measures_ : what self-made anomalies say of the detector, beside plain nearest neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> detector = AnomalyDetector(normal_only=True).fit(X)
    >>> detector.predict([[0.0, 0.0, 0.0], [9.0, -9.0, 9.0]]).tolist()
    [1, -1]
    """

    method: ClassVar[str] = "detector"
    reads: ClassVar[tuple[str, ...]] = ("table", "pictures")

    normal_only: bool = False
    """Whether all that is given is known to be normal: True learns finer, False guards against anomalies inside."""
    alarm_rate: float = 0.01
    """Share of what is normal that may be flagged: more finds more anomalies, and raises more false alarms."""
    trim: float = 0.2
    """Loneliest share that is not learnt from unless normal_only: more forgives more anomalies inside."""
    dim: int = 64
    """Width of the network: wider sees finer dependences, and takes longer."""
    depth: int = 2
    """Blocks of the network: more can bend further, and take longer."""
    n_references: int = 20_000
    """Rows, or patches (8,000 at most), kept for nearest neighbours: more see finer, and take more memory and time."""
    image_size: int = 128
    """Side to which pictures are stretched, a multiple of 16: larger sees smaller defects, and takes longer."""
    features: str | None = None
    """Safetensors file of a timm network whose features help: a better network sees more (None: only our own)."""
    kinds: dict[str, str] | None = None
    """Column name to number, category, date or ignore, where the guess would be wrong."""
    missing: tuple[str, ...] = ()
    """Words that mean a missing cell, besides the usual ones: the more are named, the fewer pass for values."""
    batch_size: int = 128
    """Rows, or 8 times the pictures, per update: more give a steadier direction and a slower step."""
    learning_rate: float = 6e-3
    """Size of an update: larger learns faster, until it learns nothing."""
    precision: str = "auto"
    """float32, bfloat16 (pictures only: half the digits, often twice as quick), or auto: what is quicker here."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # ---- learning --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from rows or pictures, one Progress a step.

        Parameters
        ----------
        X : a table of N rows: 2-D array, pandas, polars or Arrow frame, or path of one; or N pictures: a folder or
            archive of them, arrays or PIL images.
        y : not used.
        folder : where the checkpoint lives; a checkpoint found there is gone on from.
        """
        self._check()
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        judge = JUDGES["pictures" if holds_pictures(X) else "rows"]()
        learner, data = judge.prepare(self, X)
        plan = replace(self._plan(judge.n_steps), batch_size=judge.batch_size)
        learner.to(choose_device(self.device))
        try:
            yield from train(learner, data, plan, folder=None if folder is None else Path(folder))
        finally:
            judge.finish(learner)
            self.judge_, self.measures_, self.n_iter_ = judge, judge.measures, learner.n_updates
            self._conclude()

    def _check(self) -> None:
        self._check_settings(dim=1, depth=1, n_references=1)
        for name, low, high in (("alarm_rate", 0, 1), ("trim", -1e-9, 0.5)):
            if not low < getattr(self, name) < high:
                raise SettingError(
                    f"{name} is {getattr(self, name)!r}; it must lie between {max(low, 0):g} and {high:g}."
                )
        if self.image_size < 2 * STRIDE or self.image_size % STRIDE:
            near = max(2, round(self.image_size / STRIDE)) * STRIDE
            raise SettingError(f"image_size is {self.image_size!r}; it must be 32, 48, 64, ... Give {near}.")
        if self.precision not in PRECISIONS:
            raise SettingError(f"precision is {self.precision!r}. Allowed: {', '.join(PRECISIONS)}.")

    def _conclude(self) -> None:
        """What follows from what was learnt, after fit and after load alike."""
        self.weights_ = self.judge_.weights
        self.offset_ = -self.judge_.calibration.threshold(self.alarm_rate)

    # ---- verbs -----------------------------------------------------------------------------------

    def score_samples(self, X: Any) -> np.ndarray:
        """How normal each is (N,), lower = stranger. All are taken for new ones, also those learnt from."""
        check_is_fitted(self, "judge_")
        return -self.judge_.scores(self.judge_.read(self, X)).numpy()

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less `offset_`: negative for anomalies."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for what is normal, -1 for anomalies at the alarm rate, (N,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """How large a share of what is normal is at least as strange, (N,); at least 1 / (calibration rows + 1)."""
        scores = -torch.from_numpy(self.score_samples(X))
        return self.judge_.calibration.p_values(scores).numpy()

    def explain(self, X: Any, n_columns: int = 3) -> list[list[Reason]] | list[list[Spot]]:
        """What gave each away: the columns whose repair makes the row less strange, or the strangest spot of a picture.

        Returns
        -------
        N lists. Of a row at most `n_columns` reasons, the most telling first: column, value seen, value expected, share
        of the strangeness. Of a picture one spot: place, and what is strange there.
        """
        check_is_fitted(self, "judge_")
        items = self.judge_.read(self, X)
        return self.judge_.reasons(items, None, torch.arange(self.judge_.count(items)), n_columns)

    @torch.inference_mode()
    def heat_maps(self, X: Any) -> list[np.ndarray]:
        """Where each picture is strange, float32 (H, W) at its own size: 0 where it is as pictures are, and up.

        Raises
        ------
        DataError
            When the detector has learned from a table.
        """
        check_is_fitted(self, "judge_")
        if self.judge_.kind != "pictures":
            raise DataError("heat maps are for pictures; this detector has learned from a table. Use explain.")
        pictures = self.judge_.read(self, X)
        heats = self.judge_.heats(pictures, self.judge_.own(pictures))
        return [
            functional.interpolate(heat.sum(0)[None, None], tuple(size.tolist()), mode="bilinear")[0, 0].float().numpy()
            for heat, size in zip(heats, pictures.size_N2, strict=True)
        ]

    @torch.inference_mode()
    def detect(self, X: Any) -> dict[str, np.ndarray]:
        """What people read, as columns: anomaly_score (higher = stranger), p_value, is_anomaly, reason.

        Where X holds most of what was learnt from, each of those is judged without itself as a neighbour.
        """
        check_is_fitted(self, "judge_")
        judge, items = self.judge_, self.judge_.read(self, X)
        own_N = judge.own(items)
        score_N = judge.scores(items, own_N)
        is_anomaly_N, reason_N = score_N > -self.offset_, np.full(len(score_N), "", dtype=object)
        reasons = judge.reasons(items, own_N, is_anomaly_N.nonzero()[:, 0])
        reason_N[is_anomaly_N.numpy()] = ["; ".join(map(str, few)) for few in reasons]
        return {
            "anomaly_score": score_N.numpy(),
            "p_value": judge.calibration.p_values(score_N).numpy(),
            "is_anomaly": is_anomaly_N.numpy(),
            "reason": reason_N,
        }

    @torch.inference_mode()
    def evaluate(self, X: Any, y: Any = None) -> list[Measure]:
        """AUROC and average precision beside baselines; without the truth, the share that is flagged.

        Parameters
        ----------
        y : (N,) true for anomalies.
        """
        check_is_fitted(self, "judge_")
        items = self.judge_.read(self, X)
        own_N = self.judge_.own(items)
        score_N = self.judge_.scores(items, own_N).numpy()
        asked, is_flagged_N = (("asked", self.alarm_rate),), score_N > -self.offset_
        truth_N = None if y is None else np.asarray(y, dtype=bool)
        if truth_N is None or truth_N.all() or not truth_N.any():
            return [Measure("share flagged", float(is_flagged_N.mean()), None, asked, False)]
        baselines = self.judge_.baselines(items, own_N)
        measures = detection_measures(truth_N, score_N, baselines, seed=self.seed % 2**32)
        alarms = float(is_flagged_N[~truth_N].mean())
        return [*measures, Measure(f"alarm rate on normal {self.judge_.kind}", alarms, None, asked, False)]

    def n_seen(self, X: Any) -> int:
        """How many rows or pictures of X were learnt from."""
        check_is_fitted(self, "judge_")
        return self.judge_.n_seen(self.judge_.read(self, X))

    # ---- saving ----------------------------------------------------------------------------------

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        check_is_fitted(self, "judge_")
        tensors, learned = self.judge_.pack()
        names = getattr(self, "feature_names_in_", None)
        learned |= {
            "kind": self.judge_.kind, "measures": self.measures_, "n_iter": self.n_iter_,
            "n_features_in": getattr(self, "n_features_in_", None),
            "feature_names_in": None if names is None else list(names),
        }  # fmt: skip
        return tensors, learned

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        self.judge_ = JUDGES[learned["kind"]]()
        self.judge_.unpack(self, tensors, learned)
        self.measures_, self.n_iter_ = learned["measures"], learned["n_iter"]
        if learned["n_features_in"] is not None:
            self.n_features_in_ = learned["n_features_in"]
        if learned["feature_names_in"] is not None:
            self.feature_names_in_ = np.array(learned["feature_names_in"], dtype=object)
        self._conclude()
