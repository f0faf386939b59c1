"""Findings are data first, and messages where they are printed."""

import logging

import numpy as np
import pytest

from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.finding import Finding, counted, field_finding, report
from pyg_nnp.errors import ConfigError, DataError


def test_message_has_file_frames_field_and_advice() -> None:
    source = DataSource("data.pkl", {"Fa": "grad"})
    finding = field_finding(source, "outlying forces", "Fa", "has a force of 9.", "Look.", np.array([4, 2]), largest=9)
    assert str(finding) == "data.pkl: frames 4, 2: 'grad' (Fa) has a force of 9. Look."
    assert (finding.kind, finding.field, finding.advice) == ("outlying forces", "Fa", "Look.")
    assert (finding.frames, finding.numbers, finding.error) == ((4, 2), {"largest": 9}, None)
    assert (
        str(field_finding(source, "sign", "Q", "is wrong.", "")) == "data.pkl: Q, which is not in the file, is wrong."
    )


def test_findings_are_logged_up_to_the_first_error(caplog: pytest.LogCaptureFixture) -> None:
    warning = Finding("a", "E", "100 % of E is odd.", "Look.")
    error = Finding("b", None, "It cannot be.", "Change it.", error=DataError)
    with pytest.raises(DataError, match=r"^It cannot be\. Change it\.$"):
        report([warning, error, Finding("c", None, "Never said.", error=ConfigError)])
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "100 % of E is odd. Look.")
    ]


def test_numbers_in_words() -> None:
    assert counted(1, "frame") == "1 frame"
    assert counted(2, "copy", "copies") == "2 copies"
    assert counted(0, "frame") == "0 frames"
