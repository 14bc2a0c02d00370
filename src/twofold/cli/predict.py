"""twofold predict: the class of each picture, by a finished run."""

from typing import Any

import pyarrow as pa

from twofold.cli.flags import parse
from twofold.cli.output import say
from twofold.cli.use import WriteFlags, ids_of, read_pictures
from twofold.data.tables import write_table
from twofold.runs import load, with_verb

__all__ = ["predict"]


def predict(arguments: list[str]) -> dict[str, Any]:
    """Write id, prediction and a probability for each class."""
    flags = parse(WriteFlags, "predict", arguments)
    classifier = with_verb(load(flags.run), "predict_proba", flags.run)
    pictures, _ = read_pictures(flags)
    probability_NK = classifier.predict_proba(pictures)
    said_N = classifier.classes_[probability_NK.argmax(1)]
    # before a class's name something, or one called `id` would be taken for the id
    columns = {f"p_{name}": probability_NK[:, i] for i, name in enumerate(classifier.classes_)}
    write_table(pa.table({"id": ids_of(pictures), "prediction": pa.array(said_N.tolist()), **columns}), flags.out)
    counts = {str(name): int((said_N == name).sum()) for name in classifier.classes_}
    said = ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda item: -item[1])[:10] if n)
    say(f"{len(pictures)} pictures: {said}; all in {flags.out}")
    return {"out": str(flags.out), "pictures": len(pictures), "predicted": counts}
