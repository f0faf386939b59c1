"""What Sphinx does not see of the documentation: links of the README and of examples, and layers without a page."""

import re
from pathlib import Path

import pytest

from pyg_nnp.layers import CORES, LAYERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["README.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("examples/*/README.md"))])
def test_links_lead_to_files(page: str) -> None:
    # code has brackets, too
    text = re.sub(r"```.*?```|`[^`\n]*`|^    [^\n]*", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", link):
            assert ((ROOT / page).parent / link.partition("#")[0]).exists(), link


def test_each_layer_has_a_page() -> None:
    listed = re.findall(r"^   ([\w.]+)$", (ROOT / "docs" / "layers.md").read_text(), re.MULTILINE)
    for kind in (*LAYERS.values(), *CORES.values()):
        assert kind.__name__ in listed
