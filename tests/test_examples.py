"""Every notebook of examples/ runs from top to bottom, in one interpreter and without a kernel: that is quicker."""

import json
import tokenize
from io import StringIO
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def cells(book: Path, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(book.read_text())["cells"] if cell["cell_type"] == kind]


@pytest.fixture(autouse=True)
def no_windows():
    """Figures are drawn, and shown to nobody."""
    import matplotlib.pyplot as plt

    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_notebook_runs_from_top_to_bottom(book, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "notebook"}
    for code in cells(book, "code"):
        exec(compile(code, book.name, "exec"), names)
    # the last cell says how good it is, beside what is simple
    assert capsys.readouterr().out


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_notebook_is_short_stored_without_outputs_and_leads_to_its_chapter(book):
    whole = json.loads(book.read_text())
    assert 6 <= len(whole["cells"]) <= 13
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in whole["cells"])
    links = [part.split(")")[0] for text in cells(book, "markdown") for part in text.split("](")[1:]]
    assert links and all((book.parent / link).exists() for link in links)
    for code in cells(book, "code"):
        assert max(map(len, code.splitlines())) <= 125
        list(tokenize.generate_tokens(StringIO(code).readline))


def test_there_is_a_notebook_for_every_chapter():
    assert len(BOOKS) == 10
