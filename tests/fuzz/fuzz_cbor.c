/* fuzz_cbor.c - the reader: whatever is accepted is written back to the same bytes, and skipping an
 * item ends where reading all of its parts does. */
#include "common/pure/cbor.h"
#include "tests/fuzz/fuzz.h"

static void write_item(struct buf *out, const struct cbor_item *item)
{
	switch (item->type) {
	case CBOR_UINT:
		cbor_add_uint(out, item->u);
		break;
	case CBOR_NEGINT:
		cbor_add_int(out, item->i);
		break;
	case CBOR_BYTES:
		cbor_add_bytes(out, item->data, item->size);
		break;
	case CBOR_TEXT:
		cbor_add_text_n(out, (const char *)item->data, item->size);
		break;
	case CBOR_ARRAY:
		cbor_add_array(out, item->u);
		break;
	case CBOR_MAP:
		cbor_add_map(out, item->u);
		break;
	case CBOR_BOOL:
		cbor_add_bool(out, item->boolean);
		break;
	case CBOR_NULL:
		cbor_add_null(out);
		break;
	case CBOR_DOUBLE:
		cbor_add_double(out, item->d);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf again = {0};
	struct cbor_reader r, skipper;
	struct cbor_item item;
	cbor_reader_init(&r, data, size);
	while (r.at < r.end && !cbor_read(&r, &item))
		write_item(&again, &item);
	if (!r.failed && size)
		must_be_canonical(&again, data, size);
	cbor_reader_init(&skipper, data, size);
	while (skipper.at < skipper.end && !cbor_skip(&skipper))
		must(skipper.at <= skipper.end);
	must(!(r.failed && cbor_done(&skipper)));
	return 0;
}
