/* task.c - the life of a task, and how it fails. */
#include "runners/c/serve/task.h"

#include "common/pure/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void task_vfail(struct cashet_task *t, const char *kind, const char *format, va_list args)
{
	if (t->failed)
		return;
	t->failed = true;
	t->failed_kind = kind;
	buf_reset(&t->message);
	buf_vprintf(&t->message, format, args);
}

void task_fail(struct cashet_task *t, const char *kind, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	task_vfail(t, kind, format, args);
	va_end(args);
}

static const char *text_of(struct cashet_task *t, struct frame_bytes bytes)
{
	return arena_copy(&t->arena, bytes.data, bytes.size);
}

int task_begin(struct cashet_task *t, const struct frame_call *call,
	       const int *descriptors, size_t descriptor_count, int results,
	       size_t inline_max)
{
	*t = (struct cashet_task){.arena = t->arena,
				  .message = t->message,
				  .result = t->result,
				  .descriptors = descriptors,
				  .descriptor_count = descriptor_count,
				  .results = results,
				  .inline_max = inline_max,
				  .fd = -1};
	buf_reset(&t->message);
	buf_reset(&t->result);
	snprintf(t->file, sizeof t->file, "%" PRIu64, call->id);
	char *batch = arena_alloc(&t->arena, HEX_DIGEST_SIZE);
	t->info =
		(struct cashet_info){.name = text_of(t, call->name),
				     .batch = hex_encode(batch, call->batch, DIGEST_SIZE),
				     .index = call->index,
				     .attempt = call->attempt};
	blobs_read(t, call);
	if (args_read(t, call->args.data, call->args.size)) {
		task_fail(t, "refused", "the arguments of the call are malformed");
		return 1;
	}
	return t->failed;
}

void task_finish(struct cashet_task *t, int status)
{
	if (status)
		task_fail(t, "exception", "the function returned %d", status);
	result_finish(t);
	t->in_file = !t->failed && t->fd >= 0;
}

void task_end(struct cashet_task *t)
{
	for (struct task_mapping *m = t->mappings; m; m = m->next)
		munmap(m->data, m->size);
	t->mappings = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	if (t->failed && t->file[0])
		unlinkat(t->results, t->file, 0);
	call_args_fini(&t->given);
	arena_reset(&t->arena);
}

void task_fini(struct cashet_task *t)
{
	arena_fini(&t->arena);
	buf_fini(&t->message);
	buf_fini(&t->result);
}

/* ---- cashet/task.h */

int cashet_fail(struct cashet_task *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	task_vfail(t, "exception", format, args);
	va_end(args);
	return 1;
}

bool cashet_failed(const struct cashet_task *t)
{
	return t->failed;
}

const struct cashet_info *cashet_info(struct cashet_task *t)
{
	return &t->info;
}
