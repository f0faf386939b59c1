"""How problems are listed."""

import pytest
from configurations import REMOVED, read

from pyg_nnp.errors import ConfigError


def test_several_problems_are_listed_unknown_keys_first():
    with pytest.raises(ConfigError) as caught:
        read({"Datahub/data_path": REMOVED, "Datahub/data_paht": "x", "Trainer/cuda": 3})
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("train.yaml: Datahub: unknown key 'data_paht'. Did you mean 'data_path'?")
    assert lines[1:] == [
        "  Datahub: 'data_path' is missing: data file, folder of such files, pattern such as 'run*/*.npz', or a list "
        "of these, relative to the working directory.",
        "  Trainer.cuda: expects true or false, found 3 (whole number).",
    ]


def test_message_ends_with_one_mark():
    with pytest.raises(ConfigError, match=r"found 'pikle' \(text\)\. Did you mean 'pickle'\?$"):
        read({"Datahub/data_format": "pikle"})
    with pytest.raises(ConfigError, match=r"Options of a layer go under its params\.$"):
        read({"FF/layers/1/cutoff": 3})


def test_at_most_ten_problems_are_listed():
    with pytest.raises(ConfigError) as caught:
        read({f"Trainer/x{n}": 1 for n in range(12)})
    lines = str(caught.value).split("\n")
    assert [line.split("'")[1] for line in lines[:-1]] == [f"x{n}" for n in range(10)]
    assert lines[-1] == "  and 2 more."


def test_long_text_is_cut_and_stays_in_its_line():
    with pytest.raises(ConfigError) as caught:
        read({"Trainer/seed": "x\n" * 1000})
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)
