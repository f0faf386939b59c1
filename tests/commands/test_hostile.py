"""Some of the malicious files of ``tests/torture``, of each kind."""

import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from torture.hostile_checks import faults, open_all
from torture.hostile_pickles import MARK, pickles

NAMES = {
    "pickle: os.system": "asks for os.system, which is not run",
    "pickle: numpy.f2py.crackfortran.getlincoef": "asks for numpy.f2py.crackfortran.getlincoef, which is not run",
    "pickle: torch.storage._load_from_bytes": "asks for torch.storage._load_from_bytes, which is not run",
    "pickle: attributes of a function": "changes an object of type function",
    "pickle: newobj_ex": "asks for os.system",
    "pickle: bytearray": "TypeError",
    "pickle: index of the memo": "there are no frames",
    "pickle: laughing lists": "refers to the same parts so often",
    "pickle: deep key": "tuples of tuples as keys",
    "pickle: arrays in arrays": "arrays of objects",
    "pickle: copies of copies": "much more memory than",
    "pickle: key of ten thousand digits": "there is no 'R'",
    "pickle: escapes of a terminal in a key": r"It has: \x1b[2J\x1b]0;x\x07",
    "npz: objects": "asks for os.system, which is not run",
    "npz: header that never ends": "a header of 4294967295 bytes",
    "npz: positions of nothing but zeros": "no data are packed so well",
    "npz: another compression": "method 14, is not one of numpy",
    "hdf5: links one after the other": "is a link to another file",
    "hdf5: passwords": "lies in other files",
    "hdf5: never written": "not all of it was written",
    "hdf5: deep groups": "nested more than 100 deep",
    "extxyz: a billion columns": "1000000004 columns, but the first atom has 4 values",
    "ase: an array of one number": "an array of shape [10000000000] with 1 numbers",
    "ase: a view": "is not one of ASE",
    "csv: a field of a megabyte": "field larger than field limit",
    "yaml: base 60": "more than 5000 characters",
    "yaml: laughing aliases": "the aliases in here never end",
    "link: best": "holds a trained potential already",
    "link: model": "outside of out",
    "potential: a function as architecture": "'system' in module 'os' is no subclass",
    "potential: large layers": "do not fit together",
    "potential: a file of torch.save": "damaged",
}


def test_malicious_files_are_refused(tmp_path: Path) -> None:
    results = open_all(tmp_path / "hostile", *NAMES)
    assert list(results) == list(NAMES)
    assert not faults(results)
    for name, message in NAMES.items():
        assert message in results[name]["message"], (name, results[name]["message"])


def test_what_counts_as_a_fault() -> None:
    good: dict[str, Any] = {"code": 2, "message": "DataError: x.", "seconds": 1.0, "executed": False}
    good["wrote outside"] = False
    bad = [{"executed": True}, {"wrote outside": True}, {"code": 0}, {"code": -11}, {"message": ""}, {"seconds": 1e3}]
    bad += [{"message": "MemoryError: out of memory"}, {"message": "Traceback ...\nValueError: x"}]
    assert not faults({"good": good})
    for change in bad:
        assert faults({"bad": good | change})


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "numpy.f2py.crackfortran.myeval"])
def test_the_payloads_work_where_they_are_let(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with suppress(ValueError):  # myeval runs the code, and then wants a number
        pickle.loads(pickles()[name])
    assert (tmp_path / MARK).exists()
