"""What Sphinx does not see: links of pages outside of the documentation, names in the text, layers without a page."""

import pkgutil
import re
import runpy
from pathlib import Path

import pytest

from pyg_nnp.layers import LAYERS
from pyg_nnp.layers.cores import CORES

ROOT = Path(__file__).resolve().parents[2]


PAGES = [
    str(path.relative_to(ROOT))
    for kind in ("*.md", "docs/*.md", "docs/engines/*.md", "examples/*/README.md")
    for path in ROOT.glob(kind)
]


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("docs")])
def test_links_lead_to_files(page: str) -> None:
    # code has brackets, too
    text = re.sub(r"```.*?```|`[^`\n]*`|^    [^\n]*", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", link):
            assert ((ROOT / page).parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    folders = "benchmarks|docs|examples|pyg_nnp|scripts|tests"
    for name in re.findall(rf"(?<![\w/.])(?:{folders})/[\w/]+\.(?:py|md|yaml)\b", text):
        made_up = "NAME" in name or re.search(r"\ba/(test_)?b\.py", name)
        assert made_up or (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_python_names_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    if page == "CHANGELOG.md":
        text = re.sub(r"^\|.*\| (.*) \|$", r"\1", text, flags=re.MULTILINE)  # those of now
    for name in re.findall(r"(?<![\w.])pyg_nnp(?:\.[A-Za-z_]\w*)+", text):
        pkgutil.resolve_name(name)


def test_each_layer_has_a_page() -> None:
    listed = re.findall(r"^   ([\w.]+)$", (ROOT / "docs" / "layers.md").read_text(), re.MULTILINE)
    for kind in (*LAYERS.values(), *CORES.values()):
        assert kind.__name__ in listed


def test_tables_of_keys_and_options_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(ROOT / "docs")
    reference = runpy.run_path(str(ROOT / "docs" / "reference.py"))
    keys = reference["configuration"]()
    assert (
        "| `loss` | mapping to (mapping to (number at least 0 or mapping to numbers at least 0)) | required |" in keys
    )
    for name in ("`max_time`", "`Splitter`", "`targets`"):
        assert name in keys
    assert "--minutes MINUTES" in reference["commands"]()
    assert "num_interactions" in reference["options_of_layers"]()
