"""The table of formats and the configuration name the same."""

from typing import get_args

from pyg_nnp.config import Datahub
from pyg_nnp.data.formats.readers import FORMATS


def test_configuration_has_the_formats_of_the_table() -> None:
    one, none = get_args(Datahub.model_fields["data_format"].annotation)
    assert (get_args(one), none) == (tuple(FORMATS), type(None))
    assert all(name == one.name for name, one in FORMATS.items())
