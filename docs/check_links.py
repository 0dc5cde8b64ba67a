"""Say which links inside a built site lead nowhere: ``python docs/check_links.py FOLDER``."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """The places a page can be linked at, and where it links to."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = {""}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.add(attrs.get("id"))
        for name in ("href", "src"):
            if attrs.get(name) and not urlsplit(attrs[name]).scheme:
                self.links.append(urldefrag(attrs[name]))


def main(folder):
    files = [path for path in Path(folder).resolve().rglob("*.html") if "_static" not in path.parts]
    pages = {path: Page(path) for path in files}
    dead = 0
    for path, page in pages.items():
        for link, anchor in page.links:
            target = (path.parent / unquote(urlsplit(link).path)).resolve() if link else path
            anchors = pages[target].anchors if target in pages else {anchor}
            if not target.exists() or unquote(anchor) not in anchors:
                print(f"{path}: {link}#{anchor} leads nowhere")
                dead += 1
    print(f"{len(pages)} pages, {dead} dead links")
    return dead > 0 or not pages


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
