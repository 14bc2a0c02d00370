"""How good made rows and texts are: can they be told from real ones, do they teach as well, which letters have they.

Two-sample test by a classifier: Lopez-Paz, Oquab 2017, https://arxiv.org/abs/1610.06545. Train on synthetic, test on
real: Esteban, Hyland, Raetsch 2017, https://arxiv.org/abs/1706.02633.
Dimension key: N rows or texts, of both sides where they stand together, P numbers, Q categories, L classes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from twofold.measure.report import bootstrap_interval

__all__ = ["Rows", "Taught", "ToldApart", "letter_divergence", "rows_told_apart", "texts_told_apart",
           "train_on_synthetic"]  # fmt: skip

N_FOLDS, N_TREES = 5, 100
MOST_LEVELS = 254  # that the trees take; rarer ones count as one
N_LETTERS = 3


@dataclass(frozen=True)
class Rows:
    """Rows of a table as numbers."""

    number_NP: np.ndarray
    """NaN where missing."""
    category_NQ: np.ndarray
    """Whole numbers, the commonest level first; 0 where missing."""

    def __len__(self) -> int:
        return len(self.number_NP)

    def take(self, rows: Any) -> "Rows":
        """Some of them, by numbers, booleans or a slice."""
        return Rows(self.number_NP[rows], self.category_NQ[rows])

    def column(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """The column of that place, numbers first, and where it is not missing."""
        P = self.number_NP.shape[1]
        x_N = self.number_NP[:, place] if place < P else self.category_NQ[:, place - P]
        return x_N, ~np.isnan(x_N) if place < P else x_N > 0

    def features(self, without: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """All columns side by side, and which are categories."""
        code_NQ = np.minimum(self.category_NQ, MOST_LEVELS).astype(np.float64)
        x_NF = np.hstack([self.number_NP.astype(np.float64), code_NQ])
        is_category_F = np.arange(x_NF.shape[1]) >= self.number_NP.shape[1]
        kept = np.arange(x_NF.shape[1]) != without
        return x_NF[:, kept], is_category_F[kept]


# ---- can they be told apart? ---------------------------------------------------------------------


@dataclass(frozen=True)
class ToldApart:
    """What a classifier says of items that it did not learn from."""

    is_fake_N: np.ndarray
    score_N: np.ndarray

    @property
    def auc(self) -> float:
        """How often a fake looks more like one than a real item does: .5 = cannot be told, 1 = always."""
        return float(roc_auc_score(self.is_fake_N, self.score_N))

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """The 95 % interval of `auc`, over items drawn anew."""
        return bootstrap_interval(_auc, self.is_fake_N, self.score_N, seed=seed)


def _auc(is_true_N: np.ndarray, score_N: np.ndarray) -> float:
    return float(roc_auc_score(is_true_N, score_N)) if 0 < is_true_N.sum() < len(is_true_N) else float("nan")


def rows_told_apart(real: Rows, fake: Rows, seed: int = 0) -> ToldApart:
    """By boosted trees, cross-validated; give as many fakes as real rows, of those that the fakes' maker never saw.

    Rows that were copied from training pass this test: see `generation.copies`.
    """
    (x_NF, is_category_F), (other_NF, _) = real.features(), fake.features()
    trees = HistGradientBoostingClassifier(
        max_iter=N_TREES, categorical_features=is_category_F, early_stopping=False, random_state=seed
    )
    return _told_apart(trees, np.vstack([x_NF, other_NF]), len(real), seed)


def texts_told_apart(real: Sequence[str], fake: Sequence[str], seed: int = 0) -> ToldApart:
    """By the runs of one to four letters that they hold, word ends included; cross-validated."""
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, lowercase=False)
    classifier = make_pipeline(letters, LogisticRegression(C=10.0, max_iter=1000))
    return _told_apart(classifier, np.array([*real, *fake], object), len(real), seed)


def _told_apart(classifier: Any, items: np.ndarray, n_real: int, seed: int) -> ToldApart:
    is_fake_N = np.arange(len(items)) >= n_real
    n_folds = min(N_FOLDS, n_real, len(items) - n_real)
    if n_folds < 2:
        return ToldApart(is_fake_N, np.zeros(len(items)))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    with threadpool_limits(1):
        score_N2 = cross_val_predict(classifier, items, is_fake_N, cv=folds, method="predict_proba")
    return ToldApart(is_fake_N, score_N2[:, 1])


# ---- do they teach as well? ----------------------------------------------------------------------


@dataclass(frozen=True)
class Taught:
    """Trees that learned to predict a column from made rows, and from real ones, both tested on held-out real rows."""

    name: str
    """AUC (two classes), macro AUC (more), or R2 (a number)."""
    fake: float
    real: float

    @property
    def share(self) -> float:
        """Of the real score: 1 = made rows teach as well; NaN where real rows teach nothing."""
        return self.fake / self.real if self.real > 0 else float("nan")


def train_on_synthetic(fake: Rows, real: Rows, held_out: Rows, target: int, seed: int = 0) -> Taught:
    """How well a column is predicted on held-out real rows after learning from made rows, and after real ones.

    Parameters
    ----------
    target : the column's place, numbers first, then categories; rows where it is missing are left out.
    """
    is_number = target < real.number_NP.shape[1]
    judged, teach = held_out.take(held_out.column(target)[1]), _r2 if is_number else _macro_auc
    scores = [teach(rows.take(rows.column(target)[1]), judged, target, seed) for rows in (fake, real)]
    n_classes = len(np.unique(judged.column(target)[0]))
    return Taught("R2" if is_number else "AUC" if n_classes <= 2 else "macro AUC", *scores)


def _macro_auc(rows: Rows, judged: Rows, target: int, seed: int) -> float:
    """The mean over classes of the AUC of each against the rest."""
    (x_NF, is_category_F), (judged_NF, _) = rows.features(target), judged.features(target)
    y_N, true_N = rows.column(target)[0], judged.column(target)[0]
    classes = np.unique(y_N)
    if len(classes) < 2 or len(np.unique(true_N)) < 2:
        return 0.5
    trees = HistGradientBoostingClassifier(
        max_iter=N_TREES, categorical_features=is_category_F, early_stopping=False, random_state=seed
    )
    with threadpool_limits(1):
        share_NL = trees.fit(x_NF, y_N).predict_proba(judged_NF)
    # a class that was never made is never foreseen
    share_of = dict(zip(classes, share_NL.T, strict=True))
    never_N = np.zeros(len(judged))
    return float(np.mean([roc_auc_score(true_N == own, share_of.get(own, never_N)) for own in np.unique(true_N)]))


def _r2(rows: Rows, judged: Rows, target: int, seed: int) -> float:
    (x_NF, is_category_F), (judged_NF, _) = rows.features(target), judged.features(target)
    trees = HistGradientBoostingRegressor(
        max_iter=N_TREES, categorical_features=is_category_F, early_stopping=False, random_state=seed
    )
    if len(rows) < 2 or len(judged) < 2:
        return 0.0
    with threadpool_limits(1):
        said_N = trees.fit(x_NF, rows.column(target)[0]).predict(judged_NF)
    return float(r2_score(judged.column(target)[0], said_N))


# ---- letters -------------------------------------------------------------------------------------


def letter_divergence(real: Sequence[str], fake: Sequence[str], n_letters: int = N_LETTERS) -> float:
    """Jensen-Shannon divergence, in bits, of the runs of letters, ends included: 0 = used as often, 1 = none shared.

    Few texts make it larger: compare equal numbers, beside the floor.

    Examples
    --------
    >>> letter_divergence(["ann", "eva"], ["eva", "ann"]), letter_divergence(["ann"], ["zoe"])
    (0.0, 1.0)
    """
    counts = [_runs(texts, n_letters) for texts in (real, fake)]
    totals = [max(1, count.total()) for count in counts]
    value = 0.0
    for run in counts[0].keys() | counts[1].keys():
        shares = [count[run] / total for count, total in zip(counts, totals, strict=True)]
        middle = sum(shares) / 2
        value += sum(share * np.log2(share / middle) for share in shares if share) / 2
    return round(float(value), 12)


def _runs(texts: Sequence[str], n: int) -> Counter[str]:
    """How often each run of n letters occurs, with what stands for beginning and end."""
    ended = (f"\2{text}\3" for text in texts)
    return Counter(text[i : i + n] for text in ended for i in range(max(1, len(text) - n + 1)))
