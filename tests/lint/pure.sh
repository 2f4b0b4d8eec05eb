#!/bin/bash
# pure.sh BUILD - the core decides everything and touches nothing: what its library calls, beyond
# itself and common_pure, must be in this list, and so for common_pure. Memory and text, no more.
set -euo pipefail

allowed=' abort __assert_fail __assert calloc free malloc realloc qsort bsearch
 memcpy memmove memset memcmp bcmp memchr strlen strcmp strncmp strchr strcspn strspn strnlen
 vsnprintf snprintf ldexp fabs
 __memcpy_chk __memmove_chk __memset_chk __snprintf_chk __vsnprintf_chk __stack_chk_fail
 _GLOBAL_OFFSET_TABLE_ '
sanitizer='^(__asan_|__ubsan_|__tsan_|__sanitizer_|__gcov_|_Unwind_)'

build=$1
libraries=()
for library in "$build/broker/core/libcore.a" "$build/common/pure/libcommon_pure.a"; do
	[[ -f $library ]] && libraries+=("$library")
done

defined=$(nm -g --defined-only "${libraries[@]}" | awk 'NF == 3 { print $3 }' | sort -u)
undefined=$(nm -g --undefined-only "${libraries[@]}" | awk '$1 == "U" { print $2 }' | sort -u)
status=0
while read -r symbol; do
	[[ $symbol =~ $sanitizer || " "${allowed//$'\n'/ }" " == *" $symbol "* ]] && continue
	echo "the core may not call $symbol" >&2
	status=1
done < <(comm -13 <(echo "$defined") <(echo "$undefined"))
exit "$status"
