/* fuzz_commit.c - records of executions, imported from other stores. */
#include "common/format/commit.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf arena = {0};
	CLEANUP_BUF struct buf again = {0};
	struct commit c;
	if (commit_decode(data, size, &c, &arena))
		return 0;
	commit_encode(&again, &c);
	must_be_canonical(&again, data, size);
	return 0;
}
