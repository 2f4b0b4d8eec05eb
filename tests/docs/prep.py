import gzip
import sys

with gzip.open("inputs/src/digits.csv.gz", "rt") as f, open(sys.argv[-1], "w") as out:
    out.write(str(len(f.readlines())))
