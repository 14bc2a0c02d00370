"""A scikit-learn estimator written as a dataclass: one declaration is parameter, flag, help and form.

Each field has a type, a default that works, and one line under it that says what more of it does.
"""

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from twofold.core.checkpoint import load_tensors, save_tensors
from twofold.core.loop import Plan, Progress
from twofold.data.atomic import write_atomically
from twofold.errors import RunError, SettingError

__all__ = ["CONFIG", "FORMAT", "Estimator", "Setting", "read_config", "seeded", "settings"]

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class Setting:
    """A field of an estimator, as a flag or a form shows it."""

    name: str
    type: Any
    default: Any
    help: str


@dataclass(kw_only=True, eq=False, repr=False)
class Estimator(BaseEstimator):
    """What all methods share: training through the one loop, saving, loading.

    A subclass gives `train` (a generator of Progress that ends in a usable model and in `n_iter_`, the updates it took,
    even when it is closed early), and `_pack` / `_unpack`, which turn what fit learned into tensors and JSON and back.
    """

    method: ClassVar[str] = ""
    reads: ClassVar[tuple[str, ...]] = ("table",)  # and "pictures", or "text": what a run reads its data as

    n_steps: int | None = None
    """Updates of the weights: more learn finer detail, and take longer (None: chosen from the data)."""
    minutes: float | None = None
    """Time budget of the training: it ends when the steps are done or the minutes over, whichever is first."""
    batch_size: int = 256
    """Rows per update: more give a steadier direction and a slower step."""
    learning_rate: float = 2e-3
    """Size of an update: larger learns faster, until it learns nothing."""
    seed: int = 0
    """Start of all randomness: the same seed and data give the same model."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1, mps."""
    n_threads: int | None = None
    """CPU threads: more help large nets and hinder small ones (None: chosen from the size of the net)."""
    shard_above: float = 1e9
    """Parameters above which several processes cut the weights up instead of each holding all."""

    # ---- training --------------------------------------------------------------------------------

    def train(self, X: Any, y: Any = None, *, folder: str | Path | None = None) -> Iterator[Progress]:
        """Learn from X, one Progress a step; stop asking (`close()`) at any time and keep a usable model."""
        raise NotImplementedError(f"{type(self).__name__} must define train(X, y).")

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X to the end; the fitted estimator."""
        for _ in self.train(X, y):
            pass
        return self

    def _plan(self, n_steps: int, **more: Any) -> Plan:
        """The training plan of the shared fields; the given steps stand where the user named none."""
        self._check_settings()
        if self.minutes is not None and self.n_steps is None:
            chosen = None
        else:
            chosen = self.n_steps or n_steps
        return Plan(
            n_steps=chosen, minutes=self.minutes, batch_size=self.batch_size, seed=self.seed,
            n_threads=self.n_threads, shard_above=self.shard_above, **more,
        )  # fmt: skip

    def _check_settings(self, **least: float) -> None:
        """Refuse shared fields that no training can use, and fields below the least that is given for them."""
        for name, low in least.items():
            if (value := getattr(self, name)) is not None and not value >= low:
                raise SettingError(f"{name} is {value!r}; it must be at least {low}. Give a larger one.")
        for name in ("n_steps", "batch_size", "n_threads", "minutes", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingError(
                    f"{name} is {value!r}; it must be greater than 0. Give a larger one, or leave it out."
                )
        if not 0 <= self.seed < 2**63:
            raise SettingError(f"seed is {self.seed}; it must be a whole number from 0 to 2**63 - 1.")

    # ---- saving ----------------------------------------------------------------------------------

    def _pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What fit learned, as tensors and JSON."""
        raise NotImplementedError

    def _unpack(self, tensors: Mapping[str, Tensor], learned: Mapping[str, Any]) -> None:
        """The reverse of `_pack`."""
        raise NotImplementedError

    def describe_backbone(self) -> dict[str, Any] | None:
        """What nn/backbones rebuilds this model's encoder from, as JSON; None where there is none to hand over."""
        return None

    def save(self, folder: str | Path, **more: Any) -> Path:
        """Write config.json and model.safetensors; `more` are further entries of config.json, such as the data's name.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DiskFullError
            When there is no room; files that were there stay whole.
        """
        from twofold import __version__

        folder = Path(folder)
        tensors, learned = self._pack()
        save_tensors(folder / WEIGHTS, tensors, {})
        config = {
            "method": self.method, "twofold": __version__, "format": FORMAT, "state": "finished",
            "settings": self.get_params(deep=False), "learned": learned, **more,
        }  # fmt: skip
        if (backbone := self.describe_backbone()) is not None:
            config["backbone"] = backbone
        write_atomically(folder / CONFIG, json.dumps(config, indent=1, default=str).encode())
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The estimator that `save` wrote. Loading runs no code from the folder.

        Raises
        ------
        RunError
            When the folder is no run, is spoilt, or holds another method.
        """
        folder = Path(folder)
        config = read_config(folder)
        if config["method"] != cls.method:
            raise RunError(
                f"{folder} holds a {config['method']!r} run, not {cls.method!r}. "
                f"Load it with twofold.load({str(folder)!r})."
            )
        estimator = cls.from_settings(config["settings"])
        tensors, _ = load_tensors(folder / WEIGHTS)
        try:
            estimator._unpack(tensors, config["learned"])
        except Exception as error:  # what was altered by hand or by a bad disk fails in any way
            raise RunError(
                f"{folder}/{CONFIG} and {WEIGHTS} do not belong together ({type(error).__name__}: {error}). "
                "Restore the folder from a copy, or train the run again."
            ) from error
        return estimator

    @classmethod
    def from_settings(cls, values: Mapping[str, Any]) -> Self:
        """An estimator with these fields; lists from JSON become tuples where the field is one."""
        known = [setting.name for setting in settings(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise RunError(f"unknown setting {unknown[0]!r} of {cls.method!r}. Known: {', '.join(known)}.")
        plain: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        return cls(**plain)

    # ---- the hub's names -------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> Path:
        """`save`, by the name that Hugging Face users know."""
        return self.save(folder)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """A local run folder, or owner/name on the Hugging Face hub (fetched once, then cached)."""
        if Path(name).exists():
            return cls.load(name)
        from huggingface_hub import snapshot_download

        try:
            folder = snapshot_download(str(name), allow_patterns=[CONFIG, WEIGHTS, "README.md"])
        except Exception as error:
            raise RunError(
                f"{name} is no folder here, and could not be fetched from the hub ({type(error).__name__}: {error}). "
                "Check the name and the network, or give a local run folder."
            ) from error
        return cls.load(folder)

    def push_to_hub(self, name: str, *, private: bool = True) -> str:
        """Upload the fitted estimator as owner/name; its address."""
        from tempfile import TemporaryDirectory

        from huggingface_hub import HfApi

        hub = HfApi()
        hub.create_repo(name, private=private, exist_ok=True)
        with TemporaryDirectory() as folder:
            self.save(folder)
            return str(hub.upload_folder(repo_id=name, folder_path=folder))


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a run folder, checked for the entries that every run has."""
    path = folder / CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is no run folder: it holds no {CONFIG}. Give the folder that fit --out wrote.")
    try:
        config = json.loads(path.read_bytes())
        entries = config["method"], config["settings"], config["format"], config.get("data"), config.get("learned")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise RunError(f"{path} is spoilt ({error}). Restore it from a copy, or train the run again.") from error
    kinds = (str, dict, int, dict | None, dict | None)
    if not all(isinstance(entry, kind) for entry, kind in zip(entries, kinds, strict=True)):
        raise RunError(
            f"{path} is spoilt: an entry has the wrong type. Restore it from a copy, or train the run again."
        )
    if entries[2] > FORMAT:
        raise RunError(
            f"{path} was written by a newer twofold ({config.get('twofold')}). Install that version or later."
        )
    return config  # type: ignore[no-any-return]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights drawn inside this block depend on the seed alone, and torch's global state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def settings(cls: type[Estimator]) -> list[Setting]:
    """The fields of an estimator in order, own ones first, each with the line under it."""
    texts: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        texts |= _texts_under_fields(owner)
    own = [f for f in fields(cls) if f.name not in Estimator.__dataclass_fields__]
    shared = [f for f in fields(cls) if f.name in Estimator.__dataclass_fields__]
    return [
        Setting(f.name, f.type, None if f.default is MISSING else f.default, texts.get(f.name, f.name))
        for f in own + shared
    ]


@cache
def _texts_under_fields(cls: type) -> dict[str, str]:
    """The string that follows each annotated name in the class's source; nothing where the source is not at hand."""
    try:
        body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    texts = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field_, text in zip(statements, statements[1:], strict=False):
        is_text = (
            isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
        )
        if isinstance(field_, ast.AnnAssign) and isinstance(field_.target, ast.Name) and is_text:
            texts[field_.target.id] = text.value.value  # type: ignore[attr-defined]
    return texts
