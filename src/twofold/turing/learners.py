"""Three learners that score how fake an item looks: of groups of numbers, of a table's cells, of letters.

Each is made from both sides without being told which is which; `scores` then learns from some rows and scores others,
and `tells` says what it goes by.
Dimension key: N items, R of them to learn from, V to score, F numbers, P number columns, Q category columns.
"""

from typing import Protocol

import numpy as np
import pyarrow as pa
from scipy.sparse import diags_array, hstack
from scipy.stats import rankdata

from twofold.data.columns import Columns
from twofold.errors import DataError

__all__ = ["Cells", "Letters", "Groups", "Learner", "auc"]

STRENGTHS = 10.0 ** np.arange(-2, 6)  # of the ridge penalty, in numbers of rows
MANY_LEVELS = 250  # that the trees can tell apart
FAR = 6.0  # standard deviations
N_GRAMS = (1, 3)
N_RUNS = 12  # of letters that are told of


class Learner(Protocol):
    """Scores rows of the two sides, which it holds end to end."""

    def scores(self, learn_R: np.ndarray, is_fake_R: np.ndarray, score_V: np.ndarray) -> np.ndarray:
        """How fake each of the rows `score_V` looks (V), above 0: rather fake; learned from the rows `learn_R`."""
        ...

    def tells(self, learn_R: np.ndarray, is_fake_R: np.ndarray, score_V: np.ndarray, is_fake_V: np.ndarray) -> dict:
        """What tells them apart: name -> how well it does, largest first."""
        ...


class Groups:
    """Ridge regression on standardised numbers; every group of them counts alike.

    Parameters
    ----------
    groups : name -> (N, F).
    """

    def __init__(self, groups: dict[str, np.ndarray]):
        self.groups = {name: np.asarray(group, np.float64) for name, group in groups.items()}

    def scores(self, learn_R: np.ndarray, is_fake_R: np.ndarray, score_V: np.ndarray) -> np.ndarray:
        """By all groups."""
        return _ridge(*self._parts(list(self.groups), learn_R, score_V), is_fake_R)

    def tells(self, learn_R: np.ndarray, is_fake_R: np.ndarray, score_V: np.ndarray, is_fake_V: np.ndarray) -> dict:
        """The AUC of each group alone."""
        found = {
            name: auc(_ridge(*self._parts([name], learn_R, score_V), is_fake_R), is_fake_V) for name in self.groups
        }
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def _parts(self, names: list[str], learn_R: np.ndarray, score_V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardised by the rows to learn from, and side by side."""
        parts = []
        for name in names:
            learn_RF = self.groups[name][learn_R]
            mean_F, spread_F = learn_RF.mean(0), learn_RF.std(0)
            is_used = spread_F > 1e-6 * (np.abs(mean_F) + 1e-6)
            weight_F = is_used / np.where(is_used, spread_F, 1) / np.sqrt(max(1, is_used.sum()))
            limit = FAR / np.sqrt(max(1, is_used.sum()))
            parts.append([np.clip((x - mean_F) * weight_F, -limit, limit)
                          for x in (learn_RF, self.groups[name][score_V])])  # fmt: skip
        learn_RF, score_VF = (np.concatenate(part, 1) for part in zip(*parts, strict=True))
        return learn_RF, score_VF


def _ridge(learn_RF: np.ndarray, score_VF: np.ndarray, is_fake_R: np.ndarray) -> np.ndarray:
    """Ridge regression of +-1; its strength is the one with the least leave-one-out error."""
    y_R = np.where(is_fake_R, 1.0, -1.0)
    offset = y_R.mean()
    value_F, axis_FF = _axes(learn_RF)
    along_RF = learn_RF @ axis_FF
    target_F = along_RF.T @ (y_R - offset)
    errors = []
    for strength in STRENGTHS:
        shrunk_F = 1 / (np.maximum(value_F, 0) + strength)
        leverage_R = (along_RF**2 @ shrunk_F) + 1 / len(y_R)
        rest_R = y_R - offset - along_RF @ (shrunk_F * target_F)
        errors.append(np.mean((rest_R / np.maximum(1 - leverage_R, 1e-3)) ** 2))
    shrunk_F = 1 / (np.maximum(value_F, 0) + STRENGTHS[int(np.argmin(errors))])
    return score_VF @ (axis_FF @ (shrunk_F * target_F)) + offset


def _axes(learn_RF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal axes in columns, and the squares along each; by the smaller of the two products."""
    n_rows, n_numbers = learn_RF.shape
    if n_numbers <= n_rows:
        return np.linalg.eigh(learn_RF.T @ learn_RF)
    value_R, own_RR = np.linalg.eigh(learn_RF @ learn_RF.T)
    kept = value_R > 1e-10 * value_R[-1]
    return value_R[kept], learn_RF.T @ (own_RR[:, kept] / np.sqrt(value_R[kept]))


class Cells:
    """Boosted trees on the cells of two tables with the same columns.

    Parameters
    ----------
    real, fake : columns are matched by name.
    """

    def __init__(self, real: pa.Table, fake: pa.Table):
        if set(real.column_names) != set(fake.column_names):
            only = sorted(set(real.column_names) ^ set(fake.column_names))
            raise DataError(f"the two tables differ in columns: only one has {', '.join(only[:5])}. Give the same.")
        both = _joined(real, fake.select(real.column_names))
        columns = Columns.learn(both)
        number_NP, category_NQ = columns.encode(both)
        self.cell_NF = np.concatenate([number_NP, np.minimum(category_NQ, MANY_LEVELS)], 1).astype(np.float64)
        self.names = [*columns.numbers, *columns.categories]
        self.is_category_F = np.arange(len(self.names)) >= len(columns.numbers)

    def _trees(self, learn_R: np.ndarray, is_fake_R: np.ndarray):
        from sklearn.ensemble import HistGradientBoostingClassifier

        trees = HistGradientBoostingClassifier(
            max_iter=80, max_leaf_nodes=15, min_samples_leaf=max(5, len(learn_R) // 50), l2_regularization=1.0,
            categorical_features=self.is_category_F, early_stopping=False, random_state=0,
        )  # fmt: skip
        return trees.fit(self.cell_NF[learn_R], is_fake_R)

    def scores(self, learn_R: np.ndarray, is_fake_R: np.ndarray, score_V: np.ndarray) -> np.ndarray:
        """By all columns."""
        return self._trees(learn_R, is_fake_R).decision_function(self.cell_NF[score_V])

    def tells(self, learn_R: np.ndarray, is_fake_R: np.ndarray, score_V: np.ndarray, is_fake_V: np.ndarray) -> dict:
        """How much the AUC falls when a column is shuffled (Breiman 2001)."""
        trees, rng = self._trees(learn_R, is_fake_R), np.random.default_rng(0)
        whole, found = auc(trees.decision_function(self.cell_NF[score_V]), is_fake_V), {}
        for place, name in enumerate(self.names):
            cell_VF = self.cell_NF[score_V]
            cell_VF[:, place] = rng.permutation(cell_VF[:, place])
            found[name] = whole - auc(trees.decision_function(cell_VF), is_fake_V)
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _joined(real: pa.Table, fake: pa.Table) -> pa.Table:
    pieces = [table.replace_schema_metadata(None) for table in (real, fake)]
    try:
        return pa.concat_tables(pieces, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"a column is of two types in the two tables ({error}). Make them the same.") from error


class Letters:
    """Logistic regression on the length and on runs of 1 to 3 letters, weighed by how unlike the two sides use them.

    Wang and Manning 2012, Baselines and bigrams: simple, good sentiment and topic classification.

    Parameters
    ----------
    texts : of both sides.
    """

    def __init__(self, texts: list[str]):
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(
            analyzer="char", ngram_range=N_GRAMS, lowercase=False, min_df=2, max_features=50_000, binary=True,
        )  # fmt: skip
        marked = [f"^{text}$" for text in texts]  # so that first and last letters are seen
        self.has_NF = counter.fit_transform(marked).astype(np.float64).tocsr()
        length_N1 = np.log1p([[len(text)] for text in texts])
        self.length_N1 = (length_N1 - length_N1.mean()) / (length_N1.std() or 1.0)
        self.names = [repr(str(run)) for run in counter.get_feature_names_out()]

    def _learned(self, learn_R: np.ndarray, is_fake_R: np.ndarray) -> tuple[np.ndarray, float]:
        """The weight of each run and of the length, and the offset."""
        from sklearn.linear_model import LogisticRegression

        has_RF = self.has_NF[learn_R]
        fake_F, real_F = (np.asarray(has_RF[side].sum(0)).ravel() + 1 for side in (is_fake_R, ~is_fake_R))
        ratio_F = np.log(fake_F / fake_F.sum()) - np.log(real_F / real_F.sum())
        model = LogisticRegression(max_iter=300).fit(
            hstack([has_RF @ diags_array(ratio_F), self.length_N1[learn_R]]).tocsr(), is_fake_R
        )
        return model.coef_[0] * np.append(ratio_F, 1.0), float(model.intercept_[0])

    def scores(self, learn_R: np.ndarray, is_fake_R: np.ndarray, score_V: np.ndarray) -> np.ndarray:
        """By all runs of letters."""
        weight_F, offset = self._learned(learn_R, is_fake_R)
        return self.has_NF[score_V] @ weight_F[:-1] + self.length_N1[score_V, 0] * weight_F[-1] + offset

    def tells(self, learn_R: np.ndarray, is_fake_R: np.ndarray, score_V: np.ndarray, is_fake_V: np.ndarray) -> dict:
        """How many more fakes than real ones (a share) have a run of letters; how much longer they are, in spreads."""
        weight_F, _ = self._learned(learn_R, is_fake_R)
        moved_F = np.abs(weight_F[:-1]) * np.asarray(self.has_NF[learn_R].mean(0)).ravel()
        places = np.argsort(-moved_F)[:N_RUNS]
        fake_F, real_F = (np.asarray(self.has_NF[score_V[side]].mean(0)).ravel() for side in (is_fake_V, ~is_fake_V))
        found = {self.names[place]: float(fake_F[place] - real_F[place]) for place in places}
        found["length"] = float(self.length_N1[score_V[is_fake_V]].mean() - self.length_N1[score_V[~is_fake_V]].mean())
        return dict(sorted(found.items(), key=lambda pair: -abs(pair[1])))


def auc(score_V: np.ndarray, is_fake_V: np.ndarray) -> float:
    """How often a fake scores above a real one, ties by half."""
    n_fake, n_real = int(is_fake_V.sum()), int((~is_fake_V).sum())
    return float((rankdata(score_V)[is_fake_V].sum() - n_fake * (n_fake + 1) / 2) / (n_fake * n_real))
