"""Folders of data files, which are read one after the other as one data set."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from pyg_nnp.errors import DataError

log = logging.getLogger(__name__)

_NAMES_SHOWN = 5
# beside the databases of fairchem, and not data of their own
_BESIDE = re.compile(r"metadata\.npz|.*[.-]lock|lock\.mdb")


def files_of_folder(
    folder: Path, format_of_file: Callable[[Path], str | None], data_format: str | None = None, *, tell: bool = False
) -> list[Path]:
    """Return the data files of one format in a folder, in the order of their names: numbers in them count as numbers.

    Args:
        folder: what is in its folders is not looked at.
        format_of_file: returns the format that a file seems to be of, None for no data file.
        data_format: the format; None where there is one only.
        tell: whether the log says what is left out.

    Raises:
        DataError: there is no file of the format, or of more than one.
    """
    paths = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    ordered = sorted(paths, key=lambda path: [(len(n), n) if n.isdigit() else (0, n) for n in _parts(path.name)])
    formats = {path: None if _BESIDE.fullmatch(path.name) else format_of_file(path) for path in ordered}
    found = dict.fromkeys(name for name in formats.values() if name)
    chosen = data_format if data_format in found else next(iter(found), None)
    if chosen is None:
        raise DataError(f"{folder}: there are no data files in this folder.")
    if data_format is None and len(found) > 1:
        what = f"the data files in this folder are of several formats: {', '.join(found)}"
        raise DataError(f"{folder}: {what}. Name one file, or move those of one format into a folder.")
    chosen_files = [path for path, name in formats.items() if name == chosen]
    if tell:
        log.info("%s: %d files of the format %s are read.", folder, len(chosen_files), chosen)
        data = [path.name for path, name in formats.items() if name not in (None, chosen)]
        other = [path.name for path, name in formats.items() if name is None]
        for level, names in ((logging.WARNING, data), (logging.INFO, other)):
            if names:
                more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
                shown = ", ".join(names[:_NAMES_SHOWN])
                log.log(level, "%s: not of the format %s, and not read: %s%s.", folder, chosen, shown, more)
    return chosen_files


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", name) if part]
