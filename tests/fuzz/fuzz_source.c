/* fuzz_source.c - what a client says was shipped: workers lay its files out. */
#include "common/format/source.h"
#include "common/fs.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(source_fini) struct source x = {0};
	CLEANUP_BUF struct buf again = {0};
	if (source_decode(data, size, &x))
		return 0;
	for (size_t i = 0; i < x.file_count; i++)
		must(fs_path_is_inside(x.files[i].path));
	source_encode(&again, &x);
	must_be_canonical(&again, data, size);
	return 0;
}
