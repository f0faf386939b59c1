"""How Sphinx builds the documentation: ``make docs``."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "pyg_nnp"
release = metadata.version("pyg-nnp")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "architecture",
    "mathml",
    "reference",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"pyg_nnp {release}"
html_show_copyright = False
html_math_renderer = "mathml"

# links between pages name headings as GitHub does
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_custom_sections = [("Reads", "params_style"), ("Writes", "params_style")]
