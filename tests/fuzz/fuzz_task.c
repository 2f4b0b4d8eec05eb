/* fuzz_task.c - a call as cashet-runner-c takes it: its arguments are read, or refused, and whatever they are,
 * a function can walk through all of them and return a result. */
#include "runners/c/serve/task.h"
#include "tests/fuzz/fuzz.h"

static void walk(struct cashet_task *t, const struct cashet_arg *arg, int depth)
{
	size_t size;
	must(depth < 200);
	switch (cashet_type(arg)) {
	case CASHET_TYPE_TEXT:
		cashet_json_text(t, cashet_text(arg));
		return;
	case CASHET_TYPE_BYTES: {
		const uint8_t *bytes = cashet_bytes(arg, &size);
		cashet_json_int(t, size ? bytes[0] + bytes[size - 1] : 0);
		return;
	}
	case CASHET_TYPE_LIST:
	case CASHET_TYPE_MAP:
		for (size_t i = 0; i < cashet_count(arg); i++) {
			const struct cashet_arg *item = cashet_item(arg, i);
			must(strlen(cashet_key(item)) < 1 << 20);
			walk(t, item, depth + 1);
		}
		return;
	default:
		cashet_json_text(t, args_label(arg));
		cashet_float(arg); /* fails the task, with a message, unless it is one */
	}
}

static void run(struct cashet_task *t, const struct frame_call *call)
{
	if (task_begin(t, call, NULL, 0, -1, 1 << 20)) {
		must(t->failed && t->message.size > 0);
		return;
	}
	cashet_json_array(t);
	for (size_t i = 0; i < cashet_arg_count(t); i++)
		walk(t, cashet_arg_at(t, i), 0);
	for (size_t i = 0; i < t->named_count; i++)
		walk(t, cashet_arg(t, t->named[i].key), 0);
	cashet_json_end(t);
	task_finish(t, 0);
	must(t->failed || t->result.size >= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cashet_task task = {0};
	struct frame f;
	if (frame_decode(data, size, &f) || f.type != FRAME_CALL)
		return 0;
	run(&task, &f.call);
	task_end(&task);
	task_fini(&task);
	return 0;
}
