"""What a tree of pictures means: splits, classes, masks, metadata.

cats/1.jpg dogs/2.jpg                        a folder a class
train/cats/1.jpg test/cats/3.jpg             splits, by the first folder: train..., val..., test...
train/good/1.png test/scratch/2.png          MVTec AD; ground_truth/ holds masks and is left out
metadata.csv with a column file_name         captions, labels, whatever else is known of each picture
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from twofold.errors import DataError

__all__ = ["Place", "choose_split", "places", "split_word"]

WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
MASKS = ("ground_truth", "groundtruth")


class Place(NamedTuple):
    """Where a picture lies in the tree."""

    split: str | None
    """The folder's own name, such as train400."""
    label: str | None
    is_mask: bool


def split_word(name: str) -> str | None:
    """train, val or test, when a name begins with a word for it: train400, test_images, Validation."""
    found = re.match(r"([a-z]+)(?![a-z])", name.lower())
    return WORDS.get(found[1]) if found else None


def places(names: Sequence[str]) -> list[Place]:
    """What the folders of each name, with slashes, say."""
    paths = [name.split("/") for name in names]
    depth = _shared_depth(paths)
    paths = [path[depth:] for path in paths]
    splits = _split_folders(paths)
    masks = {path[0] for path in paths if len(path) > 1 and path[0].lower() in MASKS} if splits else set()
    rests = [path[1:] if path[0] in splits else path for path in paths]
    has_classes = all(len(rest) > 1 for rest, path in zip(rests, paths, strict=True) if path[0] not in masks)
    return [
        Place(
            path[0] if path[0] in splits else None,
            rest[0] if has_classes and (not splits or path[0] in splits) else None,
            path[0] in masks,
        )
        for path, rest in zip(paths, rests, strict=True)
    ]


def _shared_depth(paths: list[list[str]]) -> int:
    """How many folders all names begin with, up to a split."""
    depth = 0
    while paths and all(len(path) > depth + 1 and path[depth] == paths[0][depth] for path in paths):
        if split_word(paths[0][depth]):
            break
        depth += 1
    return depth


def _split_folders(paths: list[list[str]]) -> set[str]:
    folders = {path[0] for path in paths if len(path) > 1}
    words = {name: word for name in folders if (word := split_word(name))}
    others = {name for name in folders if name not in words and name.lower() not in MASKS}
    # "train" alone beside other folders is a class of vehicles; train400 beside others is a split
    if others and set(words) and all(name.lower() in WORDS for name in words) and set(words.values()) == {"train"}:
        return set()
    return folders - {name for name in folders if name.lower() in MASKS} if words else set()


def choose_split(splits: Sequence[str | None], split: str | None, name: str) -> tuple[list[int], list[str]]:
    """The rows of the split that is asked for, and a note on what is left out.

    Parameters
    ----------
    splits : the split's own name for each row, None where there is none.
    split : train, val, test, a split's own name, or "all"; None: train where there is one.
    """
    counts = Counter(own for own in splits if own is not None)
    wanted = _wanted(counts, split, name)
    if wanted is None:
        there = ", ".join(f"{own} {n}" for own, n in sorted(counts.items()))
        return list(range(len(splits))), [f"splits: {there}"] if counts else []
    rows = [row for row, own in enumerate(splits) if own in wanted]
    left_out = sorted(own for own in counts if own not in wanted)
    note = f"split {', '.join(sorted(wanted))}: {len(rows)} pictures"
    return rows, [note + (f"; {', '.join(left_out)} left out" if left_out else "")]


def _wanted(counts: Iterable[str], split: str | None, name: str) -> set[str] | None:
    if split == "all":
        return None
    word = split_word(split or "train")
    own = {s for s in counts if s == split} or {s for s in counts if word and split_word(s) == word}
    if split is not None and not own:
        there = ", ".join(sorted(counts)) or "none"
        raise DataError(f"{name} has no split {split!r}; there are: {there}. Choose one of these, or 'all'.")
    return own or None
