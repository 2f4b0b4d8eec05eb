/* fuzz_batch.c - a batch file of a stranger: the first byte chooses the format, the rest is the
 * file. What is accepted is fed, and what is fed is what a worker accepts. */
#include "client/batch/batch.h"
#include "common/format/source.h"
#include "common/fs.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TASKS_FED                                                                        \
	1000 /* larger sweeps are checked and not expanded: that costs time only */

static int on_chunk(void *arg, const void *packed, size_t size, bool last, struct err *e)
{
	Cashet__SubmitChunk *c = cashet__submit_chunk__unpack(NULL, size, packed);
	must(c);
	for (size_t i = 0; i < c->n_functions; i++) {
		struct function f;
		const ProtobufCBinaryData *bytes = &c->functions[i]->description;
		must(!function_decode(bytes->data, bytes->len, &f));
		must(function_has_source(&f) ==
		     (c->functions[i]->source.len == DIGEST_SIZE));
		function_fini(&f);
	}
	for (size_t i = 0; i < c->n_tasks; i++) {
		struct args a;
		const Cashet__TaskSpec *task = c->tasks[i];
		must(!args_decode(task->args.data, task->args.len, &a));
		for (size_t k = 0; k < task->n_refs; k++) {
			bool found = false;
			for (size_t n = 0; n < a.input_count; n++)
				found |= a.inputs[n].offset == task->refs[k]->offset &&
					 a.inputs[n].content.type == CONTENT_NONE;
			must(found);
		}
		args_fini(&a);
	}
	cashet__submit_chunk__free_unpacked(c, NULL);
	return 0;
}

/* What is made here and is no folder or list is a source, and workers take it. */
static int on_upload(void *arg, const struct builder_upload *upload, struct err *e)
{
	static const char tag[] = "cashet.source";
	struct source source;
	if (upload->path || upload->size < 16 ||
	    memcmp((const char *)upload->data + 2, tag, sizeof tag - 1))
		return 0;
	must(!source_decode(upload->data, upload->size, &source));
	source_fini(&source);
	return 0;
}

static bool has(const uint8_t *data, size_t size, const char *text)
{
	return memmem(data, size, text, strlen(text));
}

/* A fuzzer that finds {file: /} would hash the whole machine. */
static bool may_leave_folder(const uint8_t *data, size_t size)
{
	bool reads = has(data, size, "file") || has(data, size, "code") ||
		     has(data, size, "path");
	return reads &&
	       (has(data, size, "/") || has(data, size, "..") || has(data, size, "2f") ||
		has(data, size, "2F") || has(data, size, "\\"));
}

static void feed(struct batch *batch, struct err *e)
{
	static const uint8_t request[16];
	struct builder_sink sink = {.chunk = on_chunk, .upload = on_upload};
	struct builder *b = builder_new(request, batch_info(batch), &sink);
	must(b);
	int r = batch_feed(batch, b, e);
	uint64_t total = batch_task_total(batch);
	if (!r)
		r = builder_finish(b, true, e);
	must(!total || (!r && builder_task_count(b) == total));
	must(!r == !e->what[0]);
	builder_free(b);
}

static char folder[] = "/tmp/fuzz-batch-XXXXXX";

static void remove_folder(void)
{
	fs_remove_tree(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];
	static const char *const tags[] = {"a=b"};
	if (fd < 0) {
		must(mkdtemp(folder) && !atexit(remove_folder));
		snprintf(path, sizeof path, "%s/batch", folder);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	}
	if (!size || may_leave_folder(data, size))
		return 0;
	must(!ftruncate(fd, 0) && pwrite(fd, data + 1, size - 1, 0) == (ssize_t)size - 1);
	struct batch_options options = {.path = path,
					.format = (enum batch_format)(data[0] % 4),
					.force = data[0] & 4,
					.tags = tags,
					.tag_count = data[0] & 8 ? 1 : 0};
	struct batch *batch = NULL;
	struct err e = {0};
	int r = batch_open(&batch, &options, &e);
	must(!r == !e.what[0]);
	if (!r && batch_task_total(batch) <= TASKS_FED)
		feed(batch, &e);
	batch_free(batch);
	return 0;
}
