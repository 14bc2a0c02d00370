"""Find the odd one, Make new, Write: by keyboard alone in a browser, on small runs, and what axe says of them."""

import pytest

SEEN = {"odd": ".odd-score strong", "new": ".new-walk > *", "write": ".write-token"}


@pytest.fixture
def opened(let_in, small_run):
    """Open a page with a small run."""

    def page_of(key: str, run: str, scheme: str = "light"):
        page = let_in(f"{key}?run={small_run(run)}", scheme)
        page.wait_for_selector(f"#use-body {SEEN[key]}", timeout=60_000)
        return page

    return page_of


def tab_to(page, selector: str, most: int = 120) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the Tab key does not lead to {selector}")


def serious(page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [one["id"] for one in found if one["impact"] in ("serious", "critical")]


def test_a_row_is_mended_by_keyboard_until_it_is_less_strange(opened):
    page = opened("odd", "detector")
    before = page.text_content(".odd-score p")
    assert "odd" in before and page.locator(".odd-mark").count() >= 1
    tab_to(page, ".odd-score button")
    page.keyboard.press("Enter")
    page.wait_for_function("(before) => document.querySelector('.odd-score p')?.textContent !== before", arg=before)
    tab_to(page, ".odd-cell input")
    page.keyboard.press("Control+a")
    page.keyboard.type("wide")
    page.wait_for_selector(".odd-score .error")
    assert "stands among numbers" in page.text_content(".odd-score .error")


def test_items_are_made_chosen_and_walked_between_by_keyboard(opened):
    page = opened("new", "gan")
    assert page.locator(".new-sheet button").count() == 36
    tab_to(page, ".new-sheet [data-place='4']")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=A walk from item 2 to item 5")
    tab_to(page, "input[type=range]")
    page.keyboard.press("End")
    page.wait_for_selector("text=step 32 of 32")
    end, item = (page.evaluate(INK, selector) for selector in (".new-walk canvas", "[data-place='4'] img"))
    assert end == pytest.approx(item, abs=1)


# how dark a picture is in the middle of each quarter
INK = """(selector) => {
  const node = document.querySelector(selector), canvas = document.createElement("canvas");
  canvas.width = canvas.height = 8;
  const paint = canvas.getContext("2d");
  paint.imageSmoothingEnabled = false;
  paint.drawImage(node, 0, 0, 8, 8);
  return [[2, 2], [6, 2], [2, 6], [6, 6]].map(([x, y]) => paint.getImageData(x, y, 1, 1).data[0]);
}"""


def test_made_rows_are_a_table(opened):
    page = opened("new", "gan-rows")
    assert page.locator(".odd-list tbody tr").count() >= 24 and page.locator("dl.facts").count() >= 1
    page.select_option("select:below(:text('Class'))", "class_1")
    page.wait_for_function("() => [...document.querySelectorAll('.odd-list tbody tr')].every("
                           "(row) => row.children[1].textContent === 'class_1')")  # fmt: skip


def test_a_text_is_written_walked_through_and_gone_on_with_otherwise(opened):
    page = opened("write", "language")
    page.wait_for_selector("text=Done.", timeout=60_000)
    tab_to(page, ".write-token")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator(".write-token.looked-at").count() == 1
    assert page.locator(".write-page .write-chance").count() == 8
    begun = page.input_value("textarea")
    tab_to(page, ".write-page .write-chance:not([aria-pressed])")
    instead = page.evaluate("document.activeElement.querySelector('code').textContent")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Done.", timeout=60_000)
    now = page.input_value("textarea")
    assert len(now) > len(begun) and now.startswith(begun) and (now[-1] == instead or not instead.isalnum())
    page.get_by_role("button", name="What surprises it?").press("Enter")
    page.wait_for_selector("text=a byte costs the model")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("key", "run"), [("odd", "detector"), ("new", "gan"), ("new", "gan-rows"), ("write", "language")]
)
def test_axe_finds_nothing_serious(opened, key, run, scheme):
    assert serious(opened(key, run, scheme)) == []
