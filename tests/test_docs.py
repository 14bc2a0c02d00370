"""Every shell command and every Python block of the README and of docs/ is run, on small real data.

Blocks are marked by their language: ```sh is run line by line, ```python as it stands, ```text is only shown. Trainings
are cut short (QUICK): three steps of a small network instead of minutes, since here only counts that everything runs.
"""

import ast
import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twofold.cli import COMMANDS, main
from twofold.data.audio import write_sound
from twofold.data.pictures import Pictures, write_picture
from twofold.data.samples import load_pictures, load_sample, load_text
from twofold.methods import METHODS
from twofold.runs import Source, fit_run

ROOT = Path(__file__).resolve().parents[1]
# docs/benchmarks.md is written by benchmarks/record.py, docs/LOG.md is a diary
PAGES = [ROOT / "README.md"] + [p for p in sorted((ROOT / "docs").glob("*.md")) if p.stem not in ("benchmarks", "LOG")]

QUICK = {
    "autoencoder": {"n_steps": 3, "map_steps": 3, "dim": 16, "latent_dim": 8},
    "clip": {"n_steps": 6, "dim": 16, "embed_dim": 16, "batch_size": 32},
    "compressor": {"n_steps": 3, "dim": 8, "depth": 1, "context_dim": 8, "patch": 32, "batch_size": 4},
    "denoiser": {"n_steps": 3, "dim": 8, "depth": 1, "patch_size": 16, "batch_size": 4},
    "detector": {"n_steps": 3, "dim": 16, "image_size": 32},
    "gan": {"n_steps": 3, "dim": 4, "batch_size": 8},
    "language": {"n_steps": 3, "depth": 1, "context": 16, "batch_size": 8},
    "masked": {"n_steps": 3, "dim": 32, "depth": 1, "n_words": 16, "batch_size": 8},
    # the default borrows a network from the hub; its weights are drawn here instead of fetched
    "transfer": {"backbone": "untrained:mobilenetv1_025", "n_steps": 3, "image_size": 32, "n_folds": 2},
}
"""What makes a training short, wherever a page does not set the same; its minutes and steps are left out."""

NOT_RUN = {
    "make ": "works on the checkout itself: `make test` would run this test, `make tour` is tests/cli/test_tour.py",
    "twofold studio": "a server that runs until it is stopped: tests/studio; docs/studio.md's Python asks one",
    "--judge human": "opens the studio and waits for people: tests/studio",
    "twofold fit clip photos/ --out runs/far --image-tower": "fetches a network from the hub",
    "twofold index openclip:": "fetches a network from the hub",
    "twofold fit bell": "in a copy of the package that has it: the test below",
    "pytest tests/methods/test_bell.py tests/test_contract.py -k bell": "in a copy of the package: the test below",
}
"""What a command holds that is shown and not run, and why."""


# ---- what a page shows ---------------------------------------------------------------------------


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks, in order; of a file: its name stands behind the language."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(), re.M | re.S)


def commands(text: str) -> list[str]:
    """The lines of a shell block without their comments; a line that ends in a backslash goes on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [kept for line in lines if (kept := re.sub(r"(^|\s)#\s.*", "", line).strip())]


def is_run(command: str) -> bool:
    return not any(shown in command for shown in NOT_RUN)


# ---- making it quick -----------------------------------------------------------------------------


def own_quick(method: str, has_backbone: bool) -> dict[str, object]:
    """QUICK's settings; a network that the page names has its own size."""
    return {k: v for k, v in QUICK[method].items() if not (has_backbone and k in ("backbone", "image_size"))}


def shortened_command(words: list[str]) -> list[str]:
    """`fit METHOD ...` without its minutes and steps, with QUICK's flags; other commands as they are."""
    if words[0] != "fit" or words[1] not in QUICK:
        return words
    kept, quick = list(words), own_quick(words[1], "--backbone" in words)
    for flag in ("--minutes", "--steps"):
        if flag in kept:
            del kept[kept.index(flag) : kept.index(flag) + 2]
    flags = {"--" + {"n_steps": "steps"}.get(k, k).replace("_", "-"): str(v) for k, v in quick.items()}
    return kept + [part for flag, value in flags.items() if flag not in kept for part in (flag, value)]


class Shortener(ast.NodeTransformer):
    """The same for Python: Denoiser(minutes=60) becomes Denoiser(n_steps=3, ...)."""

    methods = {cls.__name__: name for name, cls in METHODS.items()}

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in self.methods:
            node.keywords = [k for k in node.keywords if k.arg not in ("minutes", "n_steps")]
            quick = own_quick(self.methods[node.func.id], bool(node.args))
            more = {k: v for k, v in quick.items() if k not in {given.arg for given in node.keywords}}
            node.keywords += [ast.keyword(k, ast.Constant(v)) for k, v in more.items()]
        return node


# ---- small real data under the names that the pages use ------------------------------------------


@cache
def glyphs() -> Pictures:
    return load_pictures("glyphs")


def letters(n: int, *, of: str = "") -> list[int]:
    """Rows of the first n signs of a letter, or of any."""
    letter_N = np.array(glyphs().table["letter"].to_pylist(), object)
    return np.flatnonzero(letter_N == of if of else letter_N != "")[:n].tolist()


def save(folder: Path, pictures: list[np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        write_picture(folder / f"{number}.png", picture)


def photos(n: int, size: int = 48) -> list[np.ndarray]:
    """Parts of scikit-learn's two photographs."""
    both, rng = load_pictures("photos"), np.random.default_rng(0)
    corners = rng.integers(0, 370, (n, 2))
    return [np.asarray(both[i % 2])[y : y + size, x : x + size] for i, (y, x) in enumerate(corners)]


def write_pictures(place: Path) -> None:
    rng = np.random.default_rng(0)
    save(place / "photos", photos(16))
    save(place / "Pictures", photos(12))
    some = [np.asarray(glyphs()[row]) for row in letters(120)]
    save(place / "parts", some[:40]), save(place / "new", some[40:52])
    save(place / "real", some), save(place / "generated", [255 - picture for picture in some[:60]])
    for letter in "abc":
        save(place / "sorted" / letter, [np.asarray(glyphs()[row]) for row in letters(9, of=letter)])
    noisy = photos(1)[0] + 25 * rng.standard_normal((48, 48, 3))
    write_picture(place / "noisy.png", noisy.round().clip(0, 255).astype(np.uint8))
    write_picture(place / "photo.png", photos(2)[1])
    write_picture(place / "mask.png", np.pad(np.full((12, 12, 1), 255, np.uint8), ((18, 18), (18, 18), (0, 0))))
    with zipfile.ZipFile(place / "parts.zip", "w") as archive:
        for path in (place / "parts").iterdir():
            archive.write(path, path.name)


def write_pairs(place: Path) -> None:
    """Signs with their Unicode names: as a table of paths, and as a folder with metadata.csv."""
    rows = letters(80)
    save(place / "pairs", [np.asarray(glyphs()[row]) for row in rows])
    titles = [glyphs().table["caption"][row].as_py() for row in rows]
    pd.DataFrame({"file_name": [f"{i}.png" for i in range(80)], "title": titles}).to_csv(
        place / "pairs" / "metadata.csv", index=False
    )
    pd.DataFrame({"filepath": [f"pairs/{i}.png" for i in range(80)], "title": titles}).to_csv(
        place / "pairs.csv", index=False
    )


def write_tables_and_texts(place: Path) -> None:
    payments = load_sample("breast-cancer").to_pandas().rename(columns={"diagnosis": "fraud"})
    payments["fraud"] = (payments["fraud"] == "malignant").astype(int)
    payments[:240].to_csv(place / "payments.csv", index=False)
    payments[240:300].to_csv(place / "new.csv", index=False)
    load_sample("wine").to_pandas().to_csv(place / "people.csv", index=False)
    text = load_text("topics")
    for name, part in {"novel": text[:30_000], "other": text[30_000:34_000], "letter": text[34_000:36_000]}.items():
        (place / f"{name}.txt").write_text(part)
    names = dict.fromkeys(caption.split()[-1] for caption in glyphs().table["caption"].to_pylist())
    (place / "names.txt").write_text("\n".join(list(names)[:200]))


def write_sounds(place: Path) -> None:
    """Low and high bells: digit_speaker_number.wav, as the Free Spoken Digit Dataset names its files."""
    rng, second_T = np.random.default_rng(0), np.arange(2400) / 8000
    (place / "recordings").mkdir()
    for i in range(40):
        digit = (3, 7)[i % 2]
        bell = np.exp(-second_T * 9) * np.sin(2 * np.pi * digit * 150 * rng.uniform(0.9, 1.1) * second_T)
        write_sound(place / "recordings" / f"{digit}_ann_{i}.wav", bell * 0.5, 8000)


@pytest.fixture(scope="session")
def stock(tmp_path_factory):
    """A folder with all of it."""
    folder = tmp_path_factory.mktemp("stock")
    for write in (write_pictures, write_pairs, write_tables_and_texts, write_sounds):
        write(folder)
    return folder


@pytest.fixture
def place(stock, tmp_path, monkeypatch):
    """A copy of it, which is also the home folder: ~/Pictures is there."""
    shutil.copytree(stock, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def given(place: Path) -> dict[str, object]:
    """Names that stand for the reader's own data in Python blocks."""
    frame = pd.read_csv(place / "payments.csv").drop(columns="fraud")
    mask = np.zeros((48, 48), bool)
    mask[18:30, 18:30] = True
    return {"__name__": "page", "frame": frame, "new": frame[:20], "X": frame.to_numpy(), "mask": mask}


# ---- running it ----------------------------------------------------------------------------------


def run_python(*arguments: str, source: Path = ROOT / "src") -> str:
    """A process of its own; what it said."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def run_command(command: str, capsys) -> None:
    words = [os.path.expanduser(word) for word in shlex.split(command)]
    words = [name for word in words for name in (sorted(map(str, Path().glob(word))) if word[0] == "*" else [word])]
    if words[0] == "torchrun":
        start = words.index("twofold") + 1
        run_python("-m", "torch.distributed.run", *words[1:start], *shortened_command(words[start:]))
        return
    assert words[0] == "twofold", f"{command}: what is this? Mark the block as text, or list it in NOT_RUN."
    with pytest.raises(SystemExit) as end:
        main(shortened_command(words[1:]))
    assert end.value.code == 0, f"{command}: {capsys.readouterr().err}"


@pytest.fixture
def prepared(request, place, monkeypatch):
    """What a page takes for granted: a run that was stopped, a studio that is up."""
    text = request.getfixturevalue("page").read_text()
    if "twofold resume runs/stopped" in text:
        training = fit_run(METHODS["detector"](n_steps=6, dim=16), Source("sample:wine"), "runs/stopped")
        next(training), training.close()
    if "TWOFOLD_URL" not in text:
        yield
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "twofold", "studio", "--json", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            monkeypatch.setenv("TWOFOLD_KEY", json.loads(server.stdout.readline())["key"])
            monkeypatch.setenv("TWOFOLD_URL", f"http://127.0.0.1:{port}")
            wait_for(port)
            yield
        finally:
            server.terminate()


def wait_for(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_everything_that_a_page_shows_runs(page, place, prepared, capsys):
    names = given(place)
    for language, text in blocks(page):
        kind, is_file = language.split(" ")[0], " " in language
        assert kind in ("sh", "python", "text"), f"a block is marked {language!r}: sh, python or text"
        for command in commands(text) if language == "sh" else []:
            if is_run(command):
                run_command(command, capsys)
        # a command must not hide as a picture in letters
        assert kind != "text" or not re.search(r"^(twofold|torchrun|make) ", text, re.M), text
        if kind == "python" and not is_file:
            tree = ast.fix_missing_locations(Shortener().visit(ast.parse(text)))
            exec(compile(tree, page.name, "exec"), names)


def test_a_tenth_method_costs_what_its_page_says(tmp_path):
    page = ROOT / "docs" / "adding-a-method.md"
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests" / "methods").mkdir(parents=True)
    for name in ("conftest.py", "test_contract.py", "digits.parquet"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests" / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for language, text in blocks(page):
        if " " in language:
            with open(tmp_path / language.split(" ")[1], "a") as file:
                file.write("\n" + text if file.tell() else text)
    tests = [str(tmp_path / "tests" / name) for name in ("methods/test_bell.py", "test_contract.py")]
    said = run_python("-m", "pytest", *tests, "-k", "bell", "-p", "no:xdist", source=tmp_path / "src")
    # its own test, and what every method promises
    assert int(re.search(r"(\d+) passed", said)[1]) >= 25
    check = [sys.executable, "-m", "ruff", "check", str(tmp_path / "src" / "twofold" / "methods" / "bell.py")]
    assert subprocess.run(check, cwd=tmp_path).returncode == 0
    run_python("-m", "twofold", "fit", "bell", "sample:wine", "--out", str(tmp_path / "run"), source=tmp_path / "src")


def test_the_page_of_the_python_api_is_what_the_docstrings_say():
    said = run_python("benchmarks/python_api.py", "--print")
    assert (ROOT / "docs" / "python-api.md").read_text() == said, "write it anew: python benchmarks/python_api.py"


# ---- what is said beside the blocks --------------------------------------------------------------

SHOWN = [command for page in PAGES for language, text in blocks(page) if language == "sh" for command in commands(text)]


def test_each_exception_is_still_shown_somewhere():
    assert not [shown for shown in NOT_RUN if not any(shown in command for command in SHOWN)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_sentence_names_is_there(page):
    """Commands in a line of text begin like one that is run; scripts, flags' methods and links lead somewhere."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for span in re.findall(r"`([^`\n]+)`", text):
        words = span.split()
        if words[0] == "twofold" and len(words) > 1:
            assert words[1] in COMMANDS, span
            assert len(words) == 2 or any(command.startswith(span.rstrip(" .")) for command in SHOWN), span
        if words[0] == "python" and len(words) > 1 and words[1].endswith(".py") and "NAME" not in span:
            assert (ROOT / words[1]).is_file(), span
        if words[0] == "make" and len(words) == 2:
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), span
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert link.startswith(("http", "mailto")) or (page.parent / link).exists(), f"{page.name} links to {link}"
