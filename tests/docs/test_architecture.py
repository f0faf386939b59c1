"""docs/architecture.py: the picture shows the folders and imports that there are."""

import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("sphinx")
ROOT = Path(__file__).resolve().parents[2]


def test_picture_shows_folders_and_imports(tmp_path: Path) -> None:
    sources = {
        "one.py": '"""The first."""\n',
        "two/__init__.py": '"""The second."""\nfrom pyg_nnp.one import something\n',
        "two/inner.py": '"""A part."""\nimport pyg_nnp.two\n',
        "three/__init__.py": '"""The third."""\n',
        "three/part.py": '"""A part."""\ndef run():\n    from pyg_nnp import one\n    from pyg_nnp.two import inner\n',
    }
    for name, text in {"__init__.py": '"""All."""\n', **sources}.items():
        path = tmp_path / "pyg_nnp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    drawing = runpy.run_path(str(ROOT / "docs" / "architecture.py"))
    drawing["STEPS"].clear()
    drawing["STEPS"].update({"file": "", "batch": "two.inner"})
    svg = ElementTree.fromstring(drawing["picture"](tmp_path))
    shown = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in shown if text in ("one", "two", "three")] == ["three", "two", "one"] * 2
    assert {"The first.", "The second.", "The third.", "inner", "part", "two/inner"} <= set(shown)
    # three imports one and two, two imports one
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}circle"))) == 3
    drawing["STEPS"]["rows"] = "two.nothing"
    with pytest.raises(ValueError, match=r"there is no module pyg_nnp\.two\.nothing, named for 'rows'"):
        drawing["picture"](tmp_path)


def test_the_package_can_be_drawn() -> None:
    svg = ElementTree.fromstring(runpy.run_path(str(ROOT / "docs" / "architecture.py"))["picture"]())
    shown = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    for folder in (ROOT / "pyg_nnp").glob("*/__init__.py"):
        assert shown.count(folder.parent.name) >= 2
