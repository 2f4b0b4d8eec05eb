/* fuzz_args.c - the arguments of a task; the broker writes into them at the offsets found here. */
#include "common/format/function.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(args_fini) struct args x = {0};
	CLEANUP_BUF struct buf again = {0};
	if (args_decode(data, size, &x))
		return 0;
	for (size_t i = 0; i < x.input_count; i++)
		must(x.inputs[i].offset + CONTENT_SIZE <= size);
	args_encode(&again, &x);
	must_be_canonical(&again, data, size);
	return 0;
}
