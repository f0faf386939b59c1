"""Train the models of a configuration: python scripts/train.py train.yaml [-o OUT] [--profile]."""

import sys

from pyg_nnp.commands.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
