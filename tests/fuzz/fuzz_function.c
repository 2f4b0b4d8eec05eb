/* fuzz_function.c - what a client says is to be run; workers believe what passes here. */
#include "common/format/function.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(function_fini) struct function x = {0};
	CLEANUP_BUF struct buf again = {0};
	if (function_decode(data, size, &x))
		return 0;

	function_encode(&again, &x);
	must_be_canonical(&again, data, size);
	return 0;
}
