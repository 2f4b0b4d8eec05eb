#!/bin/bash
# exports.sh BUILD - libcashet lives in other people's processes: its names all start with cashet_,
# so that they cannot meet others.
set -euo pipefail

library=$1/client/libcashet.so
if [[ ! -e $library ]]; then
	echo "there is no $library" >&2
	exit 1
fi
exported=$(nm -D --defined-only "$library" | awk '{ print $NF }')
if strange=$(grep -v '^cashet_' <<<"$exported"); then
	echo "libcashet shows what is not cashet_*:" $strange >&2
	exit 1
fi
