"""The three tasks of sweep-python.yaml. tasks.c has them in C."""
from math import isfinite

from data import read_csv
from mlp import OPTIMIZERS, Network, score, train_epoch

SHOWN = 5


def prep(csv, cases=900, seed=7):
    """What every training reads."""
    return read_csv(csv, cases, seed)


def train(data, opt, lr, hidden, seed, epochs=8, batch=32):
    """Train one network; its numbers become the metrics of the task."""
    network = Network(hidden, seed)
    optimizer = OPTIMIZERS[opt](network, lr)
    order = list(range(len(data.train)))
    for _ in range(epochs):
        loss = train_epoch(network, optimizer, data.train, order, batch)
    accuracy, validation_loss = score(network, data.validation)
    if not isfinite(loss) or not isfinite(validation_loss):
        raise ArithmeticError("training diverged, try a smaller lr than %g" % lr)
    return {"val_accuracy": accuracy, "val_loss": validation_loss, "train_loss": loss,
            "options": {"opt": opt, "lr": lr, "hidden": hidden, "seed": seed}}


def report(runs):
    """Rank the networks."""
    best = sorted(runs, key=lambda run: run["val_loss"])
    return {"networks": len(runs), "mean_accuracy": sum(run["val_accuracy"] for run in runs) / len(runs),
            "best": best[:SHOWN]}
