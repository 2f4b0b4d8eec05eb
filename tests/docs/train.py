import json
import math
import sys

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
lr, seed = float(options["--lr"]), int(options["--seed"])
with open(options["--data"]) as f:
    assert int(f.read()) > 0
print(f"training with {lr}")
with open("weights.bin", "w") as f:
    f.write("%03d %d\n" % (lr * 1e6 % 1000, seed))  # each is as long as the others
with open("metrics.json", "w") as f:
    json.dump({"val_loss": round(0.2 + 0.1 * abs(math.log10(lr) + 2.8) + 0.001 * seed, 4)}, f)
