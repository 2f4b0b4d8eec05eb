"""The digits: 64 pixels scaled to 0..1 and a label 0..9, shuffled and split. data.c says the same in C."""
import gzip
from typing import NamedTuple

PIXELS = 64
VALUES = 16     # of a pixel
MASK = (1 << 64) - 1


class Data(NamedTuple):
    train: list         # of (pixels, label)
    validation: list


class Random:
    """splitmix64: the same seed, the same run, in every language."""

    def __init__(self, seed):
        self.state = seed & MASK

    def next(self):
        self.state = (self.state + 0x9e3779b97f4a7c15) & MASK
        z = self.state
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & MASK
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb & MASK
        return z ^ (z >> 31)

    def unit(self):
        """Uniform in (-1, 1)."""
        return (self.next() >> 11) / 4503599627370496.0 - 1.0

    def shuffle(self, items):
        for i in range(len(items), 1, -1):
            j = self.next() % i
            items[i - 1], items[j] = items[j], items[i - 1]


def read_csv(path, cases, seed):
    """Shuffle all, keep @cases of them, hold out a fifth."""
    rows = []
    with gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines, 1):
            *pixels, label = [float(value) for value in line.split(",")]
            if len(pixels) != PIXELS or not 0 <= label <= 9 or not all(0 <= p <= VALUES for p in pixels):
                raise ValueError("line %d: not 64 pixels and a label" % number)
            rows.append(([p / VALUES for p in pixels], int(label)))
    Random(seed).shuffle(rows)
    rows = rows[:cases]
    held_out = len(rows) // 5
    return Data(rows[:len(rows) - held_out], rows[len(rows) - held_out:])
