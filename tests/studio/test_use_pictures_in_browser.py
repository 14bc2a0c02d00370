"""Map, Clean up, Make smaller, Fill in: by keyboard alone in a browser, on small runs, and what axe says of them."""

import re

import pytest

HOLDS = {"map": "autoencoder", "clean": "denoiser", "smaller": "compressor", "fill": "masked"}


@pytest.fixture
def opened(let_in, small_run):
    """Open a page with the small run of its method."""

    def page_of(key: str, scheme: str = "light"):
        page = let_in(f"{key}?run={small_run(HOLDS[key])}", scheme)
        page.wait_for_selector("#use-body .trio img, #use-body .wipe img[src], #use-body .answers img", timeout=60_000)
        settled(page)
        return page

    return page_of


def settled(page) -> None:
    """Until nothing that was asked is on its way."""
    page.wait_for_timeout(250)
    page.wait_for_selector("#use-body [aria-busy=true]", state="detached", timeout=30_000)


def tab_to(page, selector: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the Tab key does not lead to {selector}")


def picture_in(page, selector: str) -> str:
    return page.get_attribute(selector, "src")


def test_the_map_is_walked_zoomed_and_asked_by_keyboard(opened):
    page = opened("map")
    first = page.text_content(".found h3")
    tab_to(page, "canvas.plane")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "+", "Shift+ArrowLeft", "-", "0"):
        page.keyboard.press(key)
    settled(page)
    decoded = picture_in(page, ".found + .found img")
    assert decoded.startswith("data:image/png")
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    settled(page)
    assert picture_in(page, ".found + .found img") != decoded
    page.keyboard.press("Enter")
    settled(page)
    assert page.text_content(".found h3") != first
    assert page.locator(".neighbours button").count() == 8


def test_fewer_latent_numbers_show_at_once_what_is_lost(opened):
    page = opened("map")
    before = picture_in(page, ".trio figure:nth-child(2) img")
    tab_to(page, ".found input[type=range]")
    page.keyboard.press("Home")
    settled(page)
    assert picture_in(page, ".trio figure:nth-child(2) img") != before
    assert "1 of " in page.text_content(".found .soft")


def test_the_map_is_coloured_by_any_column(opened):
    page = opened("map")
    assert page.locator(".legend button").count() == 10
    page.select_option("select[aria-label='Column that gives the colours']", "pixel_4_4")
    page.wait_for_selector(".ramp")
    settled(page)
    assert page.input_value("select[aria-label='Column that gives the colours']") == "pixel_4_4"


def test_the_map_is_clicked_dragged_and_wheeled(opened):
    page = opened("map")
    canvas = page.locator("canvas.plane")
    box = canvas.bounding_box()
    canvas.click(position={"x": 3, "y": 3})
    settled(page)
    assert page.locator(".found + .found img").count() == 1
    shown = canvas.screenshot()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 90, steps=4)
    page.mouse.up()
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(200)
    assert canvas.screenshot() != shown


def test_noise_is_added_and_wiped_away_by_keyboard(opened):
    page = opened("clean")
    noisy = picture_in(page, ".wipe img")
    tab_to(page, "#use-body .uses input[type=range]")
    page.keyboard.press("End")
    settled(page)
    assert picture_in(page, ".wipe img") != noisy
    assert page.text_content(".slide-name output") == "60"
    tab_to(page, ".wipe-box input[type=range]")
    page.keyboard.press("Home")
    assert page.evaluate("document.querySelector('.wipe').style.getPropertyValue('--at')") == "0%"
    assert re.search(r"\d dB", page.text_content("#use-body .facts"))
    assert page.get_attribute("#use-body a[download]", "download") == "cleaned.png"


def test_a_file_is_made_and_opened_again(opened, served, tmp_path):
    page = opened("smaller")
    sizes = page.locator("#use-body tbody td.number").all_text_contents()
    assert len(sizes) == 12 and "kB" in sizes[0]
    tab_to(page, "#use-body a[download='picture.tfz']")
    # a browser's own download would come without the key that these tests show in a header
    made = page.request.get(served["url"] + page.get_attribute("#use-body a[download='picture.tfz']", "href"))
    (tmp_path / "picture.tfz").write_bytes(made.body())
    page.set_input_files(".opener input[type=file]", tmp_path / "picture.tfz")
    page.wait_for_selector(".opener img", timeout=20_000)
    assert "640 × 427" in page.text_content(".opener figcaption")
    (tmp_path / "other.tfz").write_bytes(b"nothing")
    page.set_input_files(".opener input[type=file]", tmp_path / "other.tfz")
    page.wait_for_selector(".opener .error")
    assert "not a .tfz file" in page.text_content(".opener .error")


def test_a_brush_hides_and_shows_by_keyboard(opened):
    page = opened("fill")
    page.get_by_role("button", name="Show all again").press("Enter")
    settled(page)
    assert "0 %" in page.text_content("#use-body .facts")
    tab_to(page, "canvas.easel")
    page.keyboard.press("Space")
    settled(page)
    hidden = page.text_content("#use-body .facts dd")
    assert hidden != "0 %" and picture_in(page, ".answers img").startswith("/api/v1/files/painted-")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    settled(page)
    assert int(page.text_content("#use-body .facts dd")[:-2]) > int(hidden[:-2])
    page.keyboard.press("Backspace")
    settled(page)
    assert page.text_content("#use-body .facts dd") == hidden


def test_pictures_to_choose_from_are_one_stop_of_the_tab_key(opened):
    page = opened("fill")
    tab_to(page, ".thumbs button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    settled(page)
    assert page.locator(".thumbs button[aria-pressed=true]").get_attribute("tabindex") == "0"
    page.keyboard.press("Tab")
    assert page.evaluate("!document.activeElement.closest('.thumbs')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("key", HOLDS)
def test_axe_finds_nothing_serious(opened, key, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(key, scheme)
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found
               if one["impact"] in ("serious", "critical")]  # fmt: skip
    assert not serious


def test_settings_for_the_sample_are_not_forced_on_other_data(opened):
    page = opened("fill")

    def values():
        return [page.input_value(f"#learn-form [name={name}]") for name in ("image_size", "dim", "minutes")]

    assert values() == ["16", "64", "0.7"]
    page.select_option("#learn-form select", "sample-photos")
    assert values() == ["", "", "0.7"]
    page.select_option("#learn-form select", "sample-glyphs")
    assert values() == ["16", "64", "0.7"]


@pytest.mark.parametrize("key", HOLDS)
def test_a_page_fits_a_narrow_window(opened, key):
    page = opened(key)
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
