"""How Sphinx makes the site of these pages: `make site`."""

from vpplb import __version__

project = "vpplb"
release = __version__
html_title = f"vpplb {release}"

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # links to headings are those that GitHub makes
exclude_patterns = ["writers"]
html_extra_path = ["openapi.json"]

html_theme = "furo"  # brings no font, script or picture of somebody else's server
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
