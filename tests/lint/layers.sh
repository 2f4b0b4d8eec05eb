#!/bin/bash
# layers.sh - who may include whom. A folder may include itself, and what its row allows; the row of
# the longest matching prefix counts. System headers are not looked at, except in the core, where
# only headers without I/O, clocks and threads are allowed.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

find common proto broker worker client runners/c -name '*.[ch]' -print0 | xargs -0 awk '
BEGIN {
	allowed["common/pure/"] = ""
	allowed["common/"] = "common/"
	allowed["proto/"] = "common/"
	allowed["broker/core/"] = "common/pure/ common/format/content.h" # types only; checked by pure.sh
	allowed["broker/store/"] = "common/"
	allowed["broker/ledger/"] = "broker/core/ broker/store/ common/ proto/"
	allowed["broker/history/"] = "broker/core/ broker/ledger/ broker/store/ common/ proto/"
	allowed["broker/"] = "broker/ proto/ common/"
	allowed["worker/"] = "proto/ common/"
	allowed["client/"] = "proto/ common/"
	allowed["runners/c/"] = "common/"
	# libcashet carries the reading half of a broker, for stores that nobody serves
	allowed["client/local.c"] = "broker/history/history.h proto/ common/ client/"

	# What the core and common/pure (and these only) may take from the system.
	pure["broker/core/"] = pure["common/pure/"] = 1
	split("assert ctype errno inttypes limits math stdalign stdarg stdbool stddef stdint " \
	      "stdio stdlib string cpuid immintrin", names, " ")
	for (i in names)
		pure_header[names[i] ".h"] = 1
}
FNR == 1 {
	folder = ""
	for (prefix in allowed)
		if (index(FILENAME, prefix) == 1 && length(prefix) > length(folder))
			folder = prefix
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, part, "\"")
	target = part[2]
	good = index(target, folder) == 1 || (target == "version.h" && !(folder in pure))
	count = split(allowed[folder], rows, " ")
	for (i = 1; i <= count; i++)
		good = good || index(target, rows[i]) == 1
	if (!good) {
		printf "%s:%d: %s may not include %s\n", FILENAME, FNR, folder, target
		bad = 1
	}
}
/^[ \t]*#[ \t]*include[ \t]*</ && (folder in pure) {
	split($0, part, /[<>]/)
	if (!(part[2] in pure_header)) {
		printf "%s:%d: %s is pure and may not include <%s>\n", FILENAME, FNR, folder, part[2]
		bad = 1
	}
}
END { exit bad }
'
