from pathlib import Path

import pytest
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli


@pytest.fixture
def two(copied: Path) -> list[str]:
    """Two runs of different learning rate, the second in a folder with a hostile name."""
    write_toy(copied, names=("H2O", "CH3OH"))
    write_config(copied, toy_config(Trainer__learning_rate=0.002, Trainer__max_epochs=2))
    second = "_$x_2</script><b>"
    assert cli.main(["train", "train.yaml", "-o", second]) == 0
    return ["out", second]
