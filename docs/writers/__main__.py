"""Write the pages that are made from the code into a folder: `python -m writers docs`."""

import sys
from pathlib import Path

from writers.pages import PAGES

if __name__ == "__main__":
    for name, render_page in PAGES.items():
        Path(sys.argv[1], name).write_text(render_page(), encoding="utf-8")
