"""How `make docs` builds the site: the pages of this folder, an API reference from docstrings, executed tutorials."""

from importlib.metadata import version as version_of

from sphinx.application import Sphinx

project = "limbeck"
author = "The limbeck authors"
version = release = version_of("limbeck")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
html_theme = "furo"
html_title = "limbeck"
highlight_language = "text"
exclude_patterns = ["build"]

# Pages are Markdown as GitHub shows it: a link may lead to any heading.
myst_heading_anchors = 4

# A word in single backticks links to what it names, and is code where it names nothing.
default_role = "py:obj"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar, napoleon_use_rtype = True, False
napoleon_custom_sections = [("Source", "notes_style")]
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples/tutorials",
    "gallery_dirs": "tutorials",
    "filename_pattern": r"\.py",
    "image_scrapers": ("matplotlib",),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 3600,
    "show_memory": False,
    "show_signature": False,
}


def setup(app: Sphinx) -> None:
    """CONTRIBUTING.md lies outside this folder: on the site, links to it lead to the page that includes it."""

    def within_the_site(_: Sphinx, __: str, source: list[str]) -> None:
        source[0] = source[0].replace("](../CONTRIBUTING.md", "](contributing.md")

    app.connect("source-read", within_the_site)
