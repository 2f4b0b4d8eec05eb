import json
import math
import sys

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
lr, seed = float(options["--lr"]), int(options["--seed"])
with open(options["--data"]) as f:
    assert int(f.read()) > 0
print(f"training with {lr}")
with open("weights.bin", "w") as f:
    f.write(f"{lr} {seed}\n")
with open("metrics.json", "w") as f:
    json.dump({"val_loss": round(0.2 + 0.1 * abs(math.log10(lr) + 2.8) + 0.001 * seed, 4)}, f)
