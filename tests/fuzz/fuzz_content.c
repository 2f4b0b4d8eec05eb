/* fuzz_content.c - trees and results, which come from workers and are laid out by others. */
#include "common/format/content.h"
#include "common/fs.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(content_entries_fini) struct content_entries tree = {0}, result = {0};
	CLEANUP_BUF struct buf again = {0};
	if (!content_decode_tree(data, size, &tree)) {
		content_encode_tree(&again, &tree);
		must_be_canonical(&again, data, size);
		for (size_t i = 0; i < tree.count; i++)
			must(fs_path_is_inside(tree.items[i].path));
	}
	buf_reset(&again);
	if (!content_decode_result(data, size, &result)) {
		content_encode_result(&again, &result);
		must_be_canonical(&again, data, size);
	}
	return 0;
}
