"""A trained model with its report, and the page as a parser sees it."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import torch

from pyg_nnp import load_config
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.units import Units

TARGETS = ("E", "Fa", "Qa", "M2")
PLOTS = {"data", "learning_curves", "errors_by_element"} | {f"parity_{name}" for name in TARGETS}
HARTREE = Units(1, 0.529177).names
# the text of a user that would end a script, or begin an element
HOSTILE = "a<b></script><img src=x onerror=alert(1)>&{{ 7 * 7 }}"


class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text outside of scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif not self._inside:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == tag]


def opened(out: Path) -> tuple[Any, MoleculeDataset, dict[str, torch.Tensor]]:
    config = load_config(out / "config.yaml")
    dataset = MoleculeDataset(next(out.glob("processed_dataset_*")))
    return config, dataset, split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
