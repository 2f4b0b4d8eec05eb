/* result.c - what a function returns: bytes, in memory as long as they are few, then in a file of the
 * results folder; or JSON, whose grammar is kept here. */
#include "runners/c/serve/task.h"

#include "common/fs.h"
#include "common/pure/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void fail(struct cashet_task *t, const char *what)
{
	task_fail(t, "result", "%s", what);
}

static void fail_errno(struct cashet_task *t, const char *what)
{
	task_fail(t, "result", "cannot %s the result (%ju bytes so far): %s", what,
		  (uintmax_t)t->size, strerror(errno));
}

/* begin() - a result of this kind, or more of it. Return: 0 or 1. */
static int begin(struct cashet_task *t, enum task_result kind)
{
	if (t->failed)
		return 1;
	if (t->kind != TASK_NOTHING && (t->kind != kind || kind == TASK_ROOM)) {
		fail(t, "a task has one result: bytes, or JSON, or one "
			"cashet_return_room()");
		return 1;
	}
	if (t->kind == TASK_NOTHING && kind == TASK_JSON)
		json_init(&t->json, &t->result);
	t->kind = kind;
	return 0;
}

static int open_file(struct cashet_task *t)
{
	t->fd = openat(t->results, t->file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (t->fd < 0) {
		fail_errno(t, "write");
		return 1;
	}
	return 0;
}

static int write_file(struct cashet_task *t, const void *data, size_t size)
{
	int status = fs_write_all(t->fd, data, size);
	if (status == 0)
		return 0;
	errno = -status;
	fail_errno(t, "write");
	return 1;
}

int cashet_return_bytes(struct cashet_task *t, const void *data, size_t size)
{
	if (begin(t, TASK_BYTES))
		return 1;
	if (t->fd < 0 && t->size + size > t->inline_max) {
		if (open_file(t) || write_file(t, t->result.data, t->result.size))
			return 1;
		buf_reset(&t->result);
	}
	if (t->fd >= 0) {
		if (write_file(t, data, size))
			return 1;
	} else {
		buf_add(&t->result, data, size);
	}
	t->size += size;
	return 0;
}

int cashet_return_text(struct cashet_task *t, const char *format, ...)
{
	CLEANUP_BUF struct buf text = {0};
	va_list args;
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	if (text.failed) {
		fail(t, "there is not enough memory for the result");
		return 1;
	}
	return cashet_return_bytes(t, text.data, text.size);
}

/* map_file() - room that is a file already. The disk is asked for it now: later it would be a crash. */
static void *map_file(struct cashet_task *t, size_t size)
{
	if (open_file(t))
		return NULL;
	int status = posix_fallocate(t->fd, 0, (off_t)size);
	if (status == 0) {
		void *room =
			mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
		if (room != MAP_FAILED) {
			struct task_mapping *m = arena_alloc(&t->arena, sizeof *m);
			*m = (struct task_mapping){t->mappings, room, size};
			t->mappings = m;
			return room;
		}
		status = errno;
	}
	errno = status;
	fail_errno(t, "make room for");
	return NULL;
}

void *cashet_return_room(struct cashet_task *t, size_t size)
{
	if (begin(t, TASK_ROOM))
		return NULL;
	if (size > INT64_MAX) {
		fail(t, "a result cannot be that large");
		return NULL;
	}
	t->room = size > t->inline_max ? map_file(t, size)
				       : arena_alloc(&t->arena, size + 1);
	t->size = size;
	return t->room;
}

static void finish_json(struct cashet_task *t)
{
	if (t->json.depth > 0 || t->result.size == 0)
		fail(t, "the JSON result has no end: each object and array needs its "
			"cashet_json_end()");
	t->size = t->result.size;
	if (!t->failed && t->size > t->inline_max && !open_file(t))
		write_file(t, t->result.data, t->result.size);
}

void result_finish(struct cashet_task *t)
{
	if (t->failed)
		return;
	if (t->kind == TASK_NOTHING)
		cashet_json_null(t);
	if (t->result.failed)
		fail(t, "there is not enough memory for the result");
	else if (t->kind == TASK_JSON)
		finish_json(t);
}

/* ---- JSON */

static bool in_object(const struct cashet_task *t)
{
	return t->json.depth > 0 && (t->json_objects >> t->json.depth & 1);
}

/* value() - may a value stand here? Return: 0; 1 if not, the task has failed. */
static int value(struct cashet_task *t)
{
	if (begin(t, TASK_JSON))
		return 1;
	if (in_object(t) && !t->json_key_given) {
		fail(t, "in a JSON object, each value needs its cashet_json_key() first");
		return 1;
	}
	if (t->json.depth == 0 && t->result.size > 0) {
		fail(t, "a JSON result is one value; begin with cashet_json_object() or "
			"cashet_json_array() for more");
		return 1;
	}
	t->json_key_given = false;
	return 0;
}

static void container(struct cashet_task *t, bool object)
{
	if (value(t))
		return;
	if (t->json.depth == JSON_DEPTH_MAX - 1) {
		fail(t, "the JSON result is nested too deeply (62 levels)");
		return;
	}
	if (object)
		json_object(&t->json);
	else
		json_array(&t->json);
	t->json_objects &= ~(UINT64_C(1) << t->json.depth);
	t->json_objects |= (uint64_t)object << t->json.depth;
	if (object)
		keys_open(t);
}

void cashet_json_object(struct cashet_task *t)
{
	container(t, true);
}

void cashet_json_array(struct cashet_task *t)
{
	container(t, false);
}

void cashet_json_end(struct cashet_task *t)
{
	if (begin(t, TASK_JSON))
		return;
	if (t->json.depth == 0 || t->json_key_given)
		fail(t, t->json_key_given
				? "in a JSON object, a key has no value"
				: "cashet_json_end() without an object or array to end");
	else if (in_object(t))
		json_end_object(&t->json);
	else
		json_end_array(&t->json);
}

void cashet_json_key(struct cashet_task *t, const char *key)
{
	if (begin(t, TASK_JSON))
		return;
	if (!in_object(t) || t->json_key_given) {
		fail(t, "cashet_json_key() stands in objects only, before each value");
		return;
	}
	if (!utf8_valid(key, strlen(key))) {
		fail(t, "a JSON key is not UTF-8");
		return;
	}
	size_t at = t->result.size;
	json_key(&t->json, key);
	t->json_key_given = true;
	if (!t->result.failed && !keys_add(t, at))
		task_fail(t, "result", "a JSON object has the key %s twice", key);
}

void cashet_json_null(struct cashet_task *t)
{
	if (!value(t))
		json_null(&t->json);
}

void cashet_json_bool(struct cashet_task *t, bool boolean)
{
	if (!value(t))
		json_bool(&t->json, boolean);
}

void cashet_json_int(struct cashet_task *t, int64_t number)
{
	if (!value(t))
		json_int(&t->json, number);
}

void cashet_json_float(struct cashet_task *t, double number)
{
	if (value(t))
		return;
	if (isfinite(number))
		json_double(&t->json, number);
	else
		fail(t, isnan(number) ? "JSON has no NaN" : "JSON has no infinity");
}

void cashet_json_text(struct cashet_task *t, const char *text)
{
	if (value(t))
		return;
	if (utf8_valid(text, strlen(text)))
		json_string(&t->json, text);
	else
		fail(t, "a JSON text is not UTF-8; return other bytes with "
			"cashet_return_bytes()");
}
