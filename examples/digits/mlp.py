"""A multilayer perceptron with one hidden layer: 64 -> hidden (ReLU) -> 10 (softmax). mlp.c does the same
sums in the same order, so both come to the same network, bit for bit."""
from math import exp, inf, log, sqrt

from data import PIXELS, Random

CLASSES = 10


class Network:
    def __init__(self, hidden, seed):
        self.random = Random(seed ^ 0x6469676974730000)
        # He et al. (2015): variance 2 / fan-in; a uniform of half-width s has s^2 / 3.
        self.w1 = [[self.random.unit() * sqrt(6.0 / PIXELS) for _ in range(PIXELS)] for _ in range(hidden)]
        self.b1 = [0.0] * hidden
        self.w2 = [[self.random.unit() * sqrt(6.0 / hidden) for _ in range(hidden)] for _ in range(CLASSES)]
        self.b2 = [0.0] * CLASSES

    def rows(self):
        """All parameters."""
        return self.w1 + [self.b1] + self.w2 + [self.b2]

    def forward(self, pixels, label):
        """What the hidden units and the classes come to, and the cross-entropy of the label."""
        lit = [(i, x) for i, x in enumerate(pixels) if x]  # 0 adds nothing
        hidden = []
        for row, value in zip(self.w1, self.b1):
            for i, x in lit:
                value += row[i] * x
            hidden.append(value if value > 0 else 0.0)
        values = []
        for row, value in zip(self.w2, self.b2):
            for w, h in zip(row, hidden):
                value += w * h
            values.append(value)
        largest, total = -inf, 0.0
        for value in values:
            largest = max(largest, value)
        values = [exp(value - largest) for value in values]
        for value in values:
            total += value
        probability = [value / total for value in values]
        return hidden, probability, -log(max(probability[label], 1e-12))


def zeros_like(network):
    return [[0.0] * len(row) for row in network.rows()]


def backward(network, gradient, pixels, label, hidden, probability):
    units = len(hidden)
    g1, gb1, g2, gb2 = gradient[:units], gradient[units], gradient[units + 1:-1], gradient[-1]
    hidden_gradient = [0.0] * units
    for c, (row, grow) in enumerate(zip(network.w2, g2)):
        delta = probability[c] - (1.0 if c == label else 0.0)
        gb2[c] += delta
        for h in range(units):
            grow[h] += delta * hidden[h]
            hidden_gradient[h] += delta * row[h]
    lit = [(i, x) for i, x in enumerate(pixels) if x]
    for h, delta in enumerate(hidden_gradient):
        if hidden[h] <= 0:
            continue
        gb1[h] += delta
        row = g1[h]
        for i, x in lit:
            row[i] += delta * x


class Sgd:
    """With momentum 0.9."""

    def __init__(self, network, lr):
        self.lr, self.moments = lr, zeros_like(network)

    def step(self, network, gradient, scale):
        for row, moment, slope in zip(network.rows(), self.moments, gradient):
            for i, g in enumerate(slope):
                moment[i] = 0.9 * moment[i] + g * scale
                row[i] -= self.lr * moment[i]


class Adam:
    """Kingma and Ba (2015)."""
    BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, network, lr):
        self.lr, self.steps = lr, 0
        self.first, self.second = zeros_like(network), zeros_like(network)

    def step(self, network, gradient, scale):
        self.steps += 1
        beta1, beta2, epsilon = self.BETA1, self.BETA2, self.EPSILON
        rate = self.lr * sqrt(1 - beta2 ** self.steps) / (1 - beta1 ** self.steps)
        for row, first, second, slope in zip(network.rows(), self.first, self.second, gradient):
            for i, g in enumerate(slope):
                g *= scale
                first[i] = beta1 * first[i] + (1 - beta1) * g
                second[i] = beta2 * second[i] + (1 - beta2) * g * g
                row[i] -= rate * first[i] / (sqrt(second[i]) + epsilon)


OPTIMIZERS = {"adam": Adam, "sgd": Sgd}


def train_epoch(network, optimizer, rows, order, batch):
    """One pass in a fresh order. Returns the mean loss."""
    network.random.shuffle(order)
    loss = 0.0
    for start in range(0, len(order), batch):
        chosen = order[start:start + batch]
        gradient = zeros_like(network)
        for number in chosen:
            pixels, label = rows[number]
            hidden, probability, cost = network.forward(pixels, label)
            backward(network, gradient, pixels, label, hidden, probability)
            loss += cost
        optimizer.step(network, gradient, 1.0 / len(chosen))
    return loss / len(order)


def score(network, rows):
    """Accuracy and mean loss."""
    hits, loss = 0, 0.0
    for pixels, label in rows:
        _, probability, cost = network.forward(pixels, label)
        hits += probability.index(max(probability)) == label
        loss += cost
    return hits / len(rows), loss / len(rows)
