/* fuzz_text.c - text of strangers on its way to a terminal or into JSON, and what people type as
 * durations and sizes. */
#include "common/json.h"
#include "common/num.h"
#include "common/pure/utf8.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf escaped = {0};
	CLEANUP_BUF struct buf quoted = {0};
	CLEANUP_BUF struct buf text = {0};
	text_escape(&escaped, (const char *)data, size);
	must(utf8_valid(escaped.data, escaped.size));
	for (size_t i = 0; i < escaped.size; i++)
		must(escaped.data[i] >= 0x20 && escaped.data[i] != 0x7f);

	struct json j;
	json_init(&j, &quoted);
	json_string_n(&j, (const char *)data, size);
	must(utf8_valid(quoted.data, quoted.size));
	for (size_t i = 0; i < quoted.size; i++)
		must(quoted.data[i] >= 0x20 && quoted.data[i] != 0x7f);

	uint64_t amount;
	buf_add(&text, data, size);
	if (!num_parse_duration(buf_cstr(&text), &amount)) {
		buf_reset(&escaped);
		num_add_duration(&escaped, amount);
	}
	if (!num_parse_size(buf_cstr(&text), &amount)) {
		buf_reset(&escaped);
		num_add_size(&escaped, amount);
	}
	return 0;
}
