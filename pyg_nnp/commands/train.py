"""The command ``train``: everything that happens between a configuration and trained potentials."""

import argparse
import copy
import logging
from contextlib import closing
from functools import partial
from pathlib import Path

import torch
from torch_geometric import seed_everything

from pyg_nnp.config import Config, dump_config, load_config
from pyg_nnp.diagnostics.prediction import check_prediction
from pyg_nnp.runtime import processes, threads
from pyg_nnp.runtime.logs import final_error_logged, kept_warnings, run_log, versions
from pyg_nnp.training.callbacks.reporting import Reporting
from pyg_nnp.training.data_preparation import read_data
from pyg_nnp.training.resume import check_resumable
from pyg_nnp.training.run_setup import initial_potentials, make_folder, save_config
from pyg_nnp.training.train_model import train_model

log = logging.getLogger(__name__)


def train(config: Config, out: Path, profile: bool = False, resume: bool = False) -> None:
    """Train every active model of a configuration.

    Args:
        config: from :func:`pyg_nnp.load_config`.
        out: folder that everything is written to.
        profile: log where the time of an epoch goes.
        resume: go on with trainings that were stopped, as with ``Trainer.resume``.

    Raises:
        ConfigError: something in the configuration is not right; all that can be known without data is checked first.
        DataError: something in the data is not right.
    """
    as_given, config = config, config.model_copy(deep=True)
    config.Trainer.resume = config.Trainer.resume or resume
    potentials, lines = initial_potentials(config, out)
    processes.once(lambda: make_folder(config, out))
    with run_log(out / "logs") as console, final_error_logged(), kept_warnings() as warnings:
        log.info("Configuration %s, output in %s.", config.source, out.resolve())
        log.debug("Versions: %s", versions())
        log.debug("The whole configuration:\n%s", dump_config(config))
        for line in lines:
            log.info("%s", line)
        data = read_data(config, out, potentials)
        # ends its loader processes
        with closing(data.dataset):

            def check_and_save() -> None:
                for name, potential in potentials.items():
                    # a copy: what layers remember of a prediction is no part of the training
                    check_prediction(config, name, copy.deepcopy(potential), data.dataset)
                    check_resumable(config, name, data.dataset.hash, out)
                # that of a training that is there stays as long as this one may be refused
                save_config(as_given, out / "config.yaml")

            processes.once(check_and_save)
            device, reporting = _device(config), Reporting(out, console, warnings, profile)
            for name in list(potentials):
                callbacks = partial(reporting.callbacks, config, name)
                with threads.restored():
                    # each goes, with its memory, when it is trained
                    train_model(config, name, potentials.pop(name).to(device), data, out, callbacks)


def _device(config: Config) -> torch.device:
    if "cuda" in config.Trainer.model_fields_set and config.Trainer.cuda and not torch.cuda.is_available():
        log.warning(
            "There is no CUDA device here, which Trainer.cuda asks for where there is one. Training on the CPU."
        )
    return processes.cuda_device() if config.Trainer.cuda and torch.cuda.is_available() else torch.device("cpu")


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp train``."""
    config = load_config(options.config)
    seed_everything(config.Trainer.seed)
    train(config, options.out, options.profile, options.resume)
    return 0
