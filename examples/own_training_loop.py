"""A training loop of one's own: python own_training_loop.py train.yaml FF01 OUT.

Takes the steps of ``pyg-nnp train``, without its checks, history, report and resuming. Change it as you like.
"""

import sys
from pathlib import Path

import torch
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from torch_geometric.loader import DataLoader

import pyg_nnp
from pyg_nnp.config import fields_of
from pyg_nnp.data import MoleculeDataset, reference_energies, split_of
from pyg_nnp.data.labels import mean_weights
from pyg_nnp.potential.checkpoint import save_potential
from pyg_nnp.training.evaluation import evaluate
from pyg_nnp.training.loss import weighted_loss
from pyg_nnp.training.schedule import lr_schedule

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(potential, loader, validation, trainer, weights, of_labels):
    """Take one step of Adam for each batch; its learning rate rises first and then falls."""
    optimizer = Adam(potential.parameters(), lr=trainer.learning_rate)
    steps = trainer.max_epochs * len(loader)
    schedule = LambdaLR(optimizer, lr_schedule(trainer.schedule, steps, trainer.warmup_ratio))
    for epoch in range(1, trainer.max_epochs + 1):
        potential.train()
        for batch in loader:
            batch = batch.to(device)
            loss = weighted_loss(potential(batch), batch, weights, of_labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(epoch, evaluate(potential, (batch.to(device) for batch in validation), weights))


def prepare(config, name, out):
    """Return an untrained potential with its reference energies, the frames of each part, and weights of labels."""
    dataset = MoleculeDataset.from_config(config, out)
    parts = split_of(config, dataset)
    potential = pyg_nnp.build_potential(config, name)
    references = reference_energies(dataset, config.Datahub.transforms, parts["training"])
    potential.set_references(references.atomic_energies, references.shift)
    # not 1 where labels are missing or frames have weights
    of_labels = mean_weights(dataset.summary, fields_of(config.Modelhub.internal_FFs[name].loss), parts["training"])
    return potential.to(device), {part: dataset[frames] for part, frames in parts.items()}, of_labels


def main(config_file, name, out):
    """Train a model of a configuration and save it."""
    config = pyg_nnp.load_config(config_file)
    trainer, weights = config.Trainer, config.Modelhub.internal_FFs[name].loss
    potential, parts, of_labels = prepare(config, name, out)
    order = torch.Generator().manual_seed(trainer.seed)
    loader = DataLoader(parts["training"], trainer.batch_size, shuffle=True, generator=order)
    fit(potential, loader, DataLoader(parts["validation"], trainer.batch_size), trainer, weights, of_labels)
    save_potential(potential, out / f"{name}.safetensors", {})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
