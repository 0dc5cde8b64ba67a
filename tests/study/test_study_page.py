import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra browser")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra browser")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"),
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, study):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.complaints, page.fetched = [], []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.fetched.append(request.url))
    page.goto(study.found.report.as_uri())
    yield page
    page.close()


def test_the_page_opens_without_complaints_and_without_a_network(page, study):
    assert page.complaints == []
    assert [url for url in page.fetched if not url.startswith("data:")] == [
        study.found.report.as_uri()
    ]
    assert page.locator("h1").inner_text().startswith(study.data.name)


def test_sliders_step_through_images_and_maps(page, study):
    n_images = page.evaluate("data.pictures.length")
    titles = page.evaluate("data.models.student.maps.map(map => map.title)")
    assert n_images == 8
    assert [title.partition(",")[0] for title in titles[-3:]] == ["Feature map", "Grad-CAM", "SHAP"]
    shown = set()
    for image in range(n_images):
        page.locator("#which-image").fill(str(image))
        shown.add(page.locator("#picture").get_attribute("src"))
        assert f"image {image + 1} of 8" in page.locator("#picture").get_attribute("alt")
    assert len(shown) == n_images
    overlays = set()
    for number, title in enumerate(titles):
        page.locator("#which-map").fill(str(number))
        assert page.locator("#about").inner_text().startswith(title)
        overlays.add(page.locator("#overlay").get_attribute("src"))
    assert len(overlays) == len(titles)
    page.locator("#strength").fill("25")
    assert page.locator("#overlay").evaluate("image => image.style.opacity") == "0.25"
    page.locator("#which-model").select_option("teacher")
    assert "of the teacher" in page.locator("#overlay").get_attribute("alt")


def test_keys_step_through_images_and_maps(page):
    page.locator("#stack").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert page.locator("#which-image").input_value() == "1"
    assert page.locator("#which-map").input_value() == "1"
    assert "image 2 of" in page.locator("#picture").get_attribute("alt")
    # Tab leaves the picture, and reaches all that can be set.
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert {"which-model", "which-image", "which-map", "strength"} <= set(reached)


def test_probabilities_are_those_of_the_image(page):
    for image in (0, 3):
        page.locator("#which-image").fill(str(image))
        shares = page.locator("#bars li > span:last-child").all_inner_texts()
        known = page.evaluate(f"data.models.student.proba[{image}]")
        assert shares == [f"{100 * p:.1f} %" for p in known]


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_scrolls_sideways_but_tables(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    for details in page.locator("details").all():
        details.evaluate("element => element.open = true")
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_every_picture_is_described(page):
    without = page.evaluate(
        "[...document.querySelectorAll('img, [role=img]')].filter("
        "element => !(element.alt || element.getAttribute('aria-label'))).length"
    )
    assert without == 0


def test_print_cuts_no_table(page):
    page.emulate_media(media="print")
    # A4 less margins, in CSS pixels.
    page.set_viewport_size({"width": 718, "height": 1000})
    cut = page.evaluate(
        "[...document.querySelectorAll('table')].filter(table =>"
        " table.getBoundingClientRect().right > innerWidth + 1).map(table => table.innerText)"
    )
    assert cut == []
    # What is folded on the screen is on paper too.
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.pdf(format="A4").startswith(b"%PDF")
