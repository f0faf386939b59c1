"""Global random generators."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed python's, numpy's and PyTorch's global generators, which layers of users may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
