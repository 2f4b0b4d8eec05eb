/* by_hand_args.c - the arguments that call.json has (client/lay_out_call.c writes it, and people may change
 * it) as a runner has them. An object in it has one key, which says what its value stands for. */
#include "runners/c/serve/by_hand_args.h"

#include "common/pure/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct reading {
	struct cashet_task *t;
	const char *dir;
};

static int convert(const struct reading *r, struct cashet_arg *arg);

static int fail(const struct reading *r, const struct cashet_arg *arg, const char *what)
{
	task_fail(r->t, "refused", "call.json: argument %s: %s", args_label(arg), what);
	return 1;
}

static char *below(const struct reading *r, const char *path)
{
	CLEANUP_BUF struct buf full = {0};
	buf_printf(&full, "%s%s%s", *path == '/' ? "" : r->dir, *path == '/' ? "" : "/",
		   path);
	return arena_copy(&r->t->arena, buf_cstr(&full), full.size);
}

/* items() - @arg becomes the list or map that @from is. */
static int items(const struct reading *r, struct cashet_arg *arg,
		 const struct cashet_arg *from)
{
	arg->type = from->type;
	arg->count = from->count;
	arg->items = from->items;
	for (size_t i = 0; i < arg->count; i++) {
		arg->items[i].parent = arg;
		if (convert(r, &arg->items[i]))
			return 1;
	}
	return 0;
}

/* file() - the bytes of one below the folder, mapped as those of a worker are. */
static int file(const struct reading *r, struct cashet_arg *arg, const char *path,
		enum content_type type)
{
	struct task_blob *blob = arena_alloc(&r->t->arena, sizeof *blob);
	struct stat st;
	int fd = open(below(r, path), O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return fail(r, arg, "its file cannot be read");
	}
	void *data =
		st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
			   : NULL;
	close(fd);
	if (data == MAP_FAILED)
		return fail(r, arg, strerror(errno));
	if (data)
		task_remember(r->t, data, (size_t)st.st_size);
	blob->content.type = type;
	blob->from.size = (uint64_t)st.st_size;
	blob->data = data ? data : "";
	arg->blob = blob;
	arg->type = CASHET_TYPE_BYTES;
	arg->pending = type == CONTENT_JSON ? ARG_JSON_BLOB : ARG_KNOWN;
	return 0;
}

static int bytes(const struct reading *r, struct cashet_arg *arg, const char *hex,
		 enum cashet_type type)
{
	size_t size = strlen(hex) / 2;
	char *data = arena_alloc(&r->t->arena, size + 1);
	if (strlen(hex) % 2 || hex_decode((uint8_t *)data, size, hex))
		return fail(r, arg, "hexadecimal digits expected");
	arg->type = type;
	arg->data = data;
	arg->size = size;
	return 0;
}

static int number(const struct reading *r, struct cashet_arg *arg, const char *text)
{
	char *end;
	arg->type = CASHET_TYPE_FLOAT;
	arg->d = strtod(text, &end);
	return !*text || *end ? fail(r, arg, "a number expected") : 0;
}

/* kind() - @arg becomes what {@value->key: @value} stands for. */
static int kind(const struct reading *r, struct cashet_arg *arg,
		const struct cashet_arg *value)
{
	const char *name = value->key;
	if (!strcmp(name, "map") && value->type == CASHET_TYPE_MAP)
		return items(r, arg, value);
	if (value->type != CASHET_TYPE_TEXT)
		return fail(r, arg, "it is none of those that docs/cli.md has");
	if (!strcmp(name, "float"))
		return number(r, arg, value->data);
	if (!strcmp(name, "hex"))
		return bytes(r, arg, value->data, CASHET_TYPE_BYTES);
	if (!strcmp(name, "text"))
		return bytes(r, arg, value->data, CASHET_TYPE_TEXT);
	if (!strcmp(name, "bytes") || !strcmp(name, "pickle"))
		return file(r, arg, value->data, CONTENT_FILE);
	if (!strcmp(name, "json"))
		return file(r, arg, value->data, CONTENT_JSON);
	if (strcmp(name, "path"))
		return fail(r, arg, "it is none of those that docs/cli.md has");
	arg->type = CASHET_TYPE_PATH;
	arg->data = below(r, value->data);
	arg->size = strlen(arg->data);
	return 0;
}

static int convert(const struct reading *r, struct cashet_arg *arg)
{
	struct cashet_arg self = *arg;
	if (arg->type == CASHET_TYPE_LIST)
		return items(r, arg, &self);
	if (arg->type != CASHET_TYPE_MAP)
		return 0;
	if (arg->count != 1)
		return fail(r, arg, "an object has one key, which says what it is");
	return kind(r, arg, &self.items[0]);
}

/* take() - the arguments below @key. Return: 0, or 1 and the task has failed. */
static int take(const struct reading *r, struct cashet_arg *call, const char *key,
		enum cashet_type type, struct cashet_arg **listp, size_t *countp)
{
	const struct cashet_arg *found = cashet_member(call, key);
	if (r->t->failed || found->type != type) {
		task_fail(r->t, "refused", "call.json: \"%s\" is not as it should be",
			  key);
		return 1;
	}
	*listp = found->items;
	*countp = found->count;
	for (size_t i = 0; i < found->count; i++) {
		found->items[i].parent = NULL;
		if (convert(r, &found->items[i]))
			return 1;
	}
	return 0;
}

int by_hand_args(struct cashet_task *t, const char *dir, struct cashet_arg *call)
{
	const struct reading r = {t, dir};
	return take(&r, call, "args", CASHET_TYPE_LIST, &t->positional,
		    &t->positional_count) ||
	       take(&r, call, "kwargs", CASHET_TYPE_MAP, &t->named, &t->named_count);
}
