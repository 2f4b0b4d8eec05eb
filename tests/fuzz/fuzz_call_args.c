/* fuzz_call_args.c - the arguments of a call: a stranger's values, within each other. Brokers write into
 * the placeholders, workers and runners walk the tree. */
#include "common/format/function.h"
#include "tests/fuzz/fuzz.h"

struct found {
	const uint8_t *data;
	size_t size, count;
};

static int note(void *arg, const char *label, struct arg *value)
{
	struct found *f = arg;
	must(value->offset + CONTENT_SIZE <= f->size);
	must(!memcmp(f->data + value->offset, &value->content, CONTENT_SIZE));
	f->count++;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(call_args_fini) struct call_args x = {0};
	CLEANUP(args_fini) struct args flat = {0};
	CLEANUP_BUF struct buf again = {0}, shown = {0};
	struct found found = {data, size, 0};
	if (call_args_decode(data, size, &x)) {
		must(!call_args_begin(data, size) || args_decode(data, size, &flat));
		return 0;
	}
	must(call_args_begin(data, size));
	call_args_each(&x, note, &found);
	must(!args_decode(data, size, &flat) && flat.input_count == found.count);
	for (size_t i = 0; i < x.positional_count; i++) {
		must(arg_equal(&x.positional[i], &flat.call->positional[i]));
		arg_format(&shown, &x.positional[i]);
	}
	must(!call_args_encode(&again, &x));
	must_be_canonical(&again, data, size);
	return 0;
}
