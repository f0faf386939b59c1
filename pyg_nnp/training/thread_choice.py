"""The number of threads of a training on the CPU, chosen by some steps before it."""

import copy
import logging
from typing import TYPE_CHECKING

import torch

from pyg_nnp.config import Trainer, Weights
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime import processes, threads
from pyg_nnp.training.loss import weighted_loss

if TYPE_CHECKING:
    from pyg_nnp.training.state import TrainingData

log = logging.getLogger(__name__)


def choose_threads(potential: Potential, trainer: Trainer, loss: Weights, data: "TrainingData") -> None:
    """Take one thread where a step is faster with it than with all: other programs may keep a processor busy.

    What the user has set stays, and with several processes all threads are taken.
    """
    if threads.are_given() or potential.device.type != "cpu" or torch.get_num_threads() == 1 or processes.count() > 1:
        return
    # a copy: what layers remember of a step is no part of the training
    tried = copy.deepcopy(potential).train()
    parameters = list(tried.parameters())
    batch = data.dataset.batch(data.parts["training"][: trainer.batch_size])
    batch.progress = torch.zeros((), dtype=torch.float64)

    def step() -> None:
        # labels that are missing make the loss NaN, which is no matter here
        weighted_loss(tried(batch), batch, loss).backward(inputs=parameters)  # type: ignore[no-untyped-call]

    with torch.random.fork_rng(devices=[]):
        number, times = threads.faster_number(step)
    most = torch.get_num_threads()
    torch.set_num_threads(number)
    text = "%d of %d threads: a step takes %.3g s with 1, %.3g s with %d. OMP_NUM_THREADS sets their number."
    log.info(text, number, most, times[1], times[most], most)
