"""The tour's chapters on pictures: a map of glyphs, denoising, compression, defects."""

import numpy as np

from twofold.cli.pictures import bytes_and_error, picture_map
from twofold.cli.report import Chapter, figure_html, rows_html
from twofold.data.pictures import Pictures
from twofold.data.samples import load_pictures
from twofold.data.sheets import overlays
from twofold.measure.rates import pillow_curve
from twofold.methods.autoencoder import Autoencoder
from twofold.methods.compressor import Compressor
from twofold.methods.denoiser import Denoiser, denoise_alone
from twofold.methods.detector import AnomalyDetector

__all__ = ["compressor_chapter", "defect_chapter", "denoiser_chapter", "map_chapter"]

N_GLYPHS = 700


def map_chapter(seed: int) -> Chapter:
    """Latin, Greek and Cyrillic letters, and where they lie on a plane."""
    letters = _letters(seed)
    train, test = _parts(letters, 0.8)
    autoencoder = Autoencoder(n_steps=100, map_steps=150, latent_dim=16, dim=128, image_size=24, seed=seed).fit(train)
    measures = {measure.name: measure for measure in autoencoder.evaluate(test)}
    return Chapter(
        "Autoencoder on pictures",
        "The same bottleneck, with convolutions: 576 pixels of a letter in 16 numbers. A second network lays the "
        "letters on a plane so that neighbours stay neighbours.",
        "letters of three scripts on a plane",
        next(measure for name, measure in measures.items() if name.startswith("trustworthiness of the map")),
        [
            (picture_map(autoencoder.map(test), test), "Letters never seen in training, by their place."),
            (
                rows_html(_rebuilt(autoencoder, test), 1.5),
                "Unseen letters, and the same from 2, 4, 8 and 16 numbers.",
            ),
        ],
    )


def _rebuilt(autoencoder: Autoencoder, test: Pictures) -> list[tuple[str, list[np.ndarray]]]:
    few = test.take(range(12))
    told = [(f"{k} numbers", list(autoencoder.reconstruct(few, k))) for k in (2, 4, 8, 16)]
    return [("original", list(few.resized(24))), *told]


def denoiser_chapter(seed: int) -> Chapter:
    """Letters under noise, and a photograph that cleans itself."""
    train, test = _parts(_letters(seed), 0.8)
    denoiser = Denoiser(n_steps=150, dim=32, depth=1, patch_size=32, learning_rate=3e-3, seed=seed).fit(train)
    few = list(test.take(range(12)))
    rng = np.random.default_rng(seed)
    noisy = [_noisy(picture, 50, rng) for picture in few]
    photo = load_pictures("photos")[0][70:182, 70:246]
    noisy_photo = _noisy(photo, 25, rng)
    clean_photo, gain = denoise_alone(noisy_photo)
    return Chapter(
        "Denoising",
        "Spoil the picture, ask for the original: what cannot be foretold is noise. Learnt from clean letters on the "
        "left; on the right a photograph that had nothing but its own noisy self.",
        "letters under noise of every strength",
        denoiser.evaluate(test.take(range(60)))[-1],
        [
            (
                rows_html([("noisy", noisy), ("cleaned", denoiser.denoise(noisy)), ("truth", few)]),
                "Unseen letters with noise of 50 of 255.",
            ),
            (
                rows_html([("noisy", [noisy_photo]), ("cleaned", [clean_photo])], 1.9),
                f"A photograph with noise of 25, and cleaned by itself: {gain:.1f} dB foreseen, no clean one seen.",
            ),
        ],
    )


def compressor_chapter(seed: int) -> Chapter:
    """One photograph's upper half to learn from, the rest to write."""
    photos = load_pictures("photos")
    learnt = Pictures.of([photo[:, : photo.shape[1] // 2] for photo in photos])
    unseen = Pictures.of([photo[100:356, -256:] for photo in photos])
    compressor = Compressor(n_steps=60, dim=32, depth=1, context_dim=32, patch=64, shrink=1.0, seed=seed).fit(learnt)
    measures = compressor.evaluate(unseen)
    curve, jpeg = (np.mean([of(picture) for picture in unseen], 0) for of in (compressor.curve, pillow_curve))
    return Chapter(
        "Compression",
        "A bottleneck that counts its bits: networks make few, foreseeable whole numbers of a picture, a range coder "
        "writes them to a real file, other networks make the picture of them again.",
        "the left halves of two photographs; the right ones are written",
        measures[0],
        [
            (figure_html(bytes_and_error(curve, jpeg)), "Bits a pixel against PSNR, real files; beside JPEG."),
            (
                rows_html(_written(compressor, unseen[0])),
                "An unseen part of a photograph from files of three sizes; its middle is shown.",
            ),
        ],
    )


def _written(compressor: Compressor, picture: np.ndarray) -> list[tuple[str, list[np.ndarray]]]:
    files = [compressor.compress(picture, quality) for quality in (10, 40, 80)]
    sizes = " / ".join(f"{len(file):,}" for file in files)
    return [(f"{sizes} bytes", [compressor.decompress(file)[56:200, 56:200] for file in files])]


def defect_chapter(seed: int) -> Chapter:
    """Whole Braille signs to learn from; scratched ones are strangers."""
    rng = np.random.default_rng(seed)
    # as a camera sees them: without noise any difference would give a scratch away
    train, test = _parts(Pictures.of([_noisy(picture, 12, rng) for picture in _braille(seed)]), 0.6)
    is_scratched = rng.random(len(test)) < 0.5
    shown = Pictures.of([_scratched(p, rng) if bad else p for p, bad in zip(test, is_scratched, strict=True)])
    detector = AnomalyDetector(normal_only=True, n_steps=200, image_size=32, seed=seed).fit(train)
    strangest = np.argsort(detector.score_samples(shown))[:8]
    few = shown.take(strangest)
    rows = [("picture", list(few)), ("where", overlays(few, detector.heat_maps(few)))]
    return Chapter(
        "Defects in pictures",
        "Learn what whole signs look like, patch by patch; say where a picture is like none of them.",
        "whole Braille signs; half of the unseen ones were scratched",
        detector.evaluate(shown, is_scratched)[0],
        [(rows_html(rows, 2), "The strangest unseen signs, and where they are strange.")],
    )


def _letters(seed: int) -> Pictures:
    """Some letters of the scripts that most people can read."""
    glyphs = load_pictures("glyphs")
    assert glyphs.table is not None and glyphs.labels is not None
    script = np.array(glyphs.table["script"].to_pylist(), object)
    rows = np.flatnonzero(np.isin(script, ["latin", "greek", "cyrillic"]))
    return glyphs.take(np.random.default_rng(seed).permutation(rows)[:N_GLYPHS])


def _braille(seed: int) -> Pictures:
    """Dots on a grid, in every combination."""
    glyphs = load_pictures("glyphs")
    assert glyphs.table is not None
    captions = glyphs.table["caption"].to_pylist()
    rows = np.flatnonzero([caption.startswith("braille pattern") for caption in captions])
    return glyphs.take(np.random.default_rng(seed).permutation(rows))


def _parts(pictures: Pictures, share: float) -> tuple[Pictures, Pictures]:
    n_first = int(share * len(pictures))
    return pictures.take(np.arange(n_first)), pictures.take(np.arange(n_first, len(pictures)))


def _noisy(picture: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return (picture + level * rng.standard_normal(picture.shape)).round().clip(0, 255).astype(np.uint8)


def _scratched(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A short, thin, pale line in the middle part."""
    spoilt = picture.copy()
    (y, x), angle = rng.uniform(8, 24, 2), rng.uniform(0, np.pi)
    for step in np.linspace(-3, 3, 20):
        row, column = int(y + step * np.sin(angle)), int(x + step * np.cos(angle))
        if 0 <= row < spoilt.shape[0] and 0 <= column < spoilt.shape[1]:
            spoilt[row, column] = 0.8 * picture[row, column] + 0.2 * 80
    return spoilt
