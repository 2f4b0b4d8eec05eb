/* blobs.c - see blobs.h. What does not fit inside the frame goes as descriptors of the cache's own files,
 * mapped by the runner and never copied; when there are too many of them, the rest is packed into
 * one file. */
#include "worker/runner/blobs.h"

#include "common/fs.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_MAX (256u << 20)			 /* bytes of a list or manifest */
#define FRAME_BLOBS_MAX (FRAME_MAX - (8u << 20)) /* bytes; the rest is for arguments */

struct gather {
	struct call_blobs *b;
	const char *dir;
	const struct layout_source *source;
	uint8_t *missing;
	struct err *e;
	uint32_t *table; /* of items, by digest: number + 1; power of two */
	size_t table_size;
	int packed; /* file for those that no descriptor is left for; -1 */
	uint64_t packed_size;
	uint32_t folders;
};

/* ---- memory */

static void *keep(struct call_blobs *b, void *text)
{
	mem_grow(b->texts, b->text_count, b->text_capacity);
	b->texts[b->text_count++] = text;
	return text;
}

void blobs_free(struct call_blobs *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->fd_count; i++)
		close(b->fds[i]);
	for (size_t i = 0; i < b->text_count; i++)
		free(b->texts[i]);
	free(b->texts);
	buf_fini(&b->digests);
	free(b->items);
	free(b);
}

/* ---- each digest once */

static const uint8_t *digest_of(const struct call_blobs *b, size_t i)
{
	return b->digests.data + i * DIGEST_SIZE;
}

static size_t slot_of(const struct gather *g, const uint8_t *digest)
{
	size_t at;
	memcpy(&at, digest, sizeof at);
	return at & (g->table_size - 1);
}

static void index_item(struct gather *g, size_t i)
{
	size_t at = slot_of(g, digest_of(g->b, i));
	while (g->table[at])
		at = (at + 1) & (g->table_size - 1);
	g->table[at] = (uint32_t)i + 1;
}

static bool is_known(const struct gather *g, const struct content *c)
{
	if (!g->table_size)
		return false;
	for (size_t at = slot_of(g, c->digest); g->table[at];
	     at = (at + 1) & (g->table_size - 1)) {
		size_t i = g->table[at] - 1;
		if (g->b->items[i].type == c->type &&
		    memcmp(digest_of(g->b, i), c->digest, DIGEST_SIZE) == 0)
			return true;
	}
	return false;
}

/* @is_file: under its own name; it is found by that and does not stand for the digest. */
static struct frame_blob *add_item(struct gather *g, const struct content *c,
				   bool is_file)
{
	struct call_blobs *b = g->b;
	mem_grow(b->items, b->count, b->capacity);
	b->items[b->count] = (struct frame_blob){.type = c->type};
	buf_add(&b->digests, c->digest, DIGEST_SIZE);
	b->count++;
	if (2 * b->count > g->table_size) {
		g->table_size = g->table_size ? 4 * g->table_size : 64;
		free(g->table);
		g->table = mem_alloc(g->table_size * sizeof *g->table);
		for (size_t i = 0; i < b->count - 1; i++)
			if (!b->items[i].descriptor || b->items[i].where != FRAME_PATH)
				index_item(g, i);
	}
	if (is_file)
		b->items[b->count - 1].descriptor = 1; /* a note; no such field is sent */
	else
		index_item(g, b->count - 1);
	return &b->items[b->count - 1];
}

/* ---- bytes */

static enum layout_result fail(struct gather *g, const char *what, int error)
{
	err_set(g->e, ERR_FAILED, "%s: %s", what, strerror(error));
	return error == ENOSPC || error == EDQUOT ? LAYOUT_FULL : LAYOUT_ERROR;
}

static enum layout_result open_blob(struct gather *g, const uint8_t *digest, int *fdp,
				    uint64_t *sizep)
{
	enum layout_result result = (enum layout_result)g->source->open(
		g->source->arg, digest, fdp, sizep, g->e);
	if (result != LAYOUT_OK)
		memcpy(g->missing, digest, DIGEST_SIZE);
	return result;
}

static enum layout_result read_all(struct gather *g, int fd, uint64_t size, void *to)
{
	int64_t n = fs_read_full(fd, to, (size_t)size);
	if (n == (int64_t)size)
		return LAYOUT_OK;
	return fail(g, "reading a cached input", n < 0 ? (int)-n : EIO);
}

static enum layout_result open_packed(struct gather *g)
{
	CLEANUP_FREE char *path = NULL;
	struct call_blobs *b = g->b;
	if (g->packed >= 0)
		return LAYOUT_OK;
	if (asprintf(&path, "%s/../packed", g->dir) < 0)
		abort();
	g->packed = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int reader = g->packed < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	int error = errno;
	unlink(path);
	if (reader < 0)
		return fail(g, "packing inputs", error);
	b->fds[b->fd_count++] = reader;
	return LAYOUT_OK;
}

static enum layout_result pack(struct gather *g, int fd, uint64_t size,
			       struct frame_blob *item)
{
	enum layout_result result = open_packed(g);
	if (result != LAYOUT_OK)
		return result;
	uint64_t at =
		(g->packed_size + FRAME_OFFSET_ALIGN - 1) & -(uint64_t)FRAME_OFFSET_ALIGN;
	off_t to = (off_t)at, from = 0;
	while ((uint64_t)from < size) {
		ssize_t n = copy_file_range(fd, &from, g->packed, &to,
					    size - (uint64_t)from, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(g, "packing inputs", n < 0 ? errno : EIO);
	}
	g->packed_size = at + size;
	item->where = FRAME_DESCRIPTOR;
	item->descriptor = (uint32_t)g->b->fd_count - 1; /* it is the last one */
	item->offset = at;
	return LAYOUT_OK;
}

static enum layout_result add_open(struct gather *g, const struct content *c, int fd,
				   uint64_t size)
{
	struct call_blobs *b = g->b;
	struct frame_blob *item = add_item(g, c, false);
	item->size = size;
	if (size <= BLOB_INLINE_MAX && b->inline_bytes + size <= BLOB_INLINE_TOTAL) {
		uint8_t *data = keep(b, mem_alloc((size_t)size + 1));
		b->inline_bytes += size;
		item->where = FRAME_INLINE;
		item->bytes = (struct frame_bytes){data, (size_t)size};
		enum layout_result result = read_all(g, fd, size, data);
		close(fd);
		return result;
	}
	if (g->packed < 0 && b->fd_count < FRAME_DESCRIPTORS_MAX - 1) {
		item->where = FRAME_DESCRIPTOR;
		item->descriptor = (uint32_t)b->fd_count;
		b->fds[b->fd_count++] = fd;
		return LAYOUT_OK;
	}
	enum layout_result result = pack(g, fd, size, item);
	close(fd);
	return result;
}

static enum layout_result add_bytes(struct gather *g, const struct content *c)
{
	int fd;
	uint64_t size;
	enum layout_result result = open_blob(g, c->digest, &fd, &size);
	return result == LAYOUT_OK ? add_open(g, c, fd, size) : result;
}

/* A list or manifest: the runner gets its bytes, and we look behind it. */
static enum layout_result add_and_read(struct gather *g, const struct content *c,
				       struct buf *out)
{
	int fd;
	uint64_t size;
	enum layout_result result = open_blob(g, c->digest, &fd, &size);
	if (result != LAYOUT_OK)
		return result;
	if (size > LIST_MAX) {
		close(fd);
		err_set(g->e, ERR_USAGE,
			"a list has %llu bytes, more than is read at once",
			(unsigned long long)size);
		return LAYOUT_BAD;
	}
	uint8_t *to = buf_reserve(out, (size_t)size + 1);
	result = to ? read_all(g, fd, size, to) : fail(g, "reading a list", ENOMEM);
	if (result != LAYOUT_OK || lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return result;
	}
	out->size += (size_t)size;
	return add_open(g, c, fd, size);
}

/* ---- paths */

static void set_path(struct gather *g, struct frame_blob *item, char *path)
{
	keep(g->b, path);
	item->where = FRAME_PATH;
	item->bytes = (struct frame_bytes){(const uint8_t *)path, strlen(path)};
	g->b->has_paths = true;
}

static enum layout_result new_folder(struct gather *g, const char *name, char **pathp)
{
	CLEANUP_FREE char *inputs = NULL;
	CLEANUP_FREE char *folder = NULL;
	if (asprintf(&inputs, "%s/inputs", g->dir) < 0 ||
	    asprintf(&folder, "%s/%06u", inputs, g->folders++) < 0 ||
	    asprintf(pathp, "%s/%s", folder, name) < 0)
		abort();
	keep(g->b, *pathp);
	if ((mkdir(inputs, 0777) < 0 && errno != EEXIST) || mkdir(folder, 0777) < 0)
		return fail(g, folder, errno);
	return LAYOUT_OK;
}

static enum layout_result place_folder(struct gather *g, const struct content *c,
				       const char *path)
{
	if (mkdir(path, 0777) < 0)
		return fail(g, path, errno);
	return layout_folder(path, c->digest, g->source, g->missing, g->e);
}

static enum layout_result add_folder(struct gather *g, const struct content *c)
{
	char *path;
	enum layout_result result = new_folder(g, "folder", &path);
	if (result == LAYOUT_OK)
		result = place_folder(g, c, path);
	if (result == LAYOUT_OK)
		set_path(g, add_item(g, c, false), mem_strdup(path));
	return result;
}

static bool is_there(const struct gather *g, const struct content *c, const char *name)
{
	for (size_t i = 0; i < g->b->count; i++) {
		const struct frame_blob *item = &g->b->items[i];
		size_t size = strlen(name);
		if (item->where == FRAME_PATH && item->descriptor &&
		    item->type == c->type &&
		    !memcmp(digest_of(g->b, i), c->digest, DIGEST_SIZE) &&
		    item->bytes.size > size &&
		    !memcmp(item->bytes.data + item->bytes.size - size, name, size) &&
		    item->bytes.data[item->bytes.size - size - 1] == '/')
			return true;
	}
	return false;
}

/* A file or folder of the submitter's, a copy for this call alone. */
static enum layout_result add_file(struct gather *g, const struct content *c,
				   const char *name)
{
	char *path;
	if (is_there(g, c, name))
		return LAYOUT_OK;
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ||
	    strlen(name) > FRAME_NAME_MAX) {
		err_set(g->e, ERR_USAGE, "\"%.200s\" is not a file's name", name);
		return LAYOUT_BAD;
	}
	enum layout_result result = new_folder(g, name, &path);
	if (result != LAYOUT_OK)
		return result;
	if (c->type == CONTENT_TREE) {
		result = place_folder(g, c, path);
	} else {
		CLEANUP_FREE char *folder = mem_strdup(path);
		*strrchr(folder, '/') = '\0';
		const struct layout_file file = {name, c->type == CONTENT_EXEC,
						 c->digest};
		result = layout_files(folder, &file, 1, g->source, g->missing, g->e);
	}
	if (result == LAYOUT_OK)
		set_path(g, add_item(g, c, true), mem_strdup(path));
	return result;
}

static enum layout_result add_extern(struct gather *g, const struct content *c,
				     const struct layout_extern *externs, size_t count,
				     size_t input, const char *name)
{
	const char *path = NULL;
	for (size_t i = 0; i < count; i++)
		if (externs[i].input == input && externs[i].member == 0)
			path = externs[i].path;
	if (!path) {
		err_set(g->e, ERR_USAGE, "%s: its path was not sent", name);
		return LAYOUT_BAD;
	}
	if (path[0] != '/' || access(path, F_OK) < 0) {
		err_set(g->e, ERR_NOT_FOUND, "%s: %s is not on this worker", name, path);
		return LAYOUT_ABSENT;
	}
	if (!is_known(g, c))
		set_path(g, add_item(g, c, false), mem_strdup(path));
	return LAYOUT_OK;
}

/* ---- contents */

static enum layout_result add_content(struct gather *g, const struct content *c,
				      int depth);

static enum layout_result add_members(struct gather *g, const struct content *c)
{
	CLEANUP_BUF struct buf list = {0};
	enum layout_result result = add_and_read(g, c, &list);
	if (result == LAYOUT_OK && list.size % CONTENT_SIZE) {
		err_set(g->e, ERR_USAGE, "a list of results is malformed");
		return LAYOUT_BAD;
	}
	for (size_t at = 0; result == LAYOUT_OK && at < list.size; at += CONTENT_SIZE) {
		struct content member;
		memcpy(&member, list.data + at, CONTENT_SIZE);
		result = add_content(g, &member, 1);
	}
	return result;
}

static enum layout_result add_outputs(struct gather *g, const struct content *c,
				      int depth)
{
	CLEANUP_BUF struct buf text = {0};
	CLEANUP(content_entries_fini) struct content_entries entries = {0};
	enum layout_result result = add_and_read(g, c, &text);
	if (result == LAYOUT_OK &&
	    content_decode_result(text.data, text.size, &entries)) {
		err_set(g->e, ERR_USAGE, "a result of several outputs is malformed");
		return LAYOUT_BAD;
	}
	for (size_t i = 0; result == LAYOUT_OK && i < entries.count; i++)
		result = add_content(g, &entries.items[i].content, 2);
	return result;
}

static enum layout_result add_content(struct gather *g, const struct content *c,
				      int depth)
{
	if (is_known(g, c))
		return LAYOUT_OK;
	switch ((enum content_type)c->type) {
	case CONTENT_FILE:
	case CONTENT_EXEC:
	case CONTENT_JSON:
	case CONTENT_PICKLE:
		return add_bytes(g, c);
	case CONTENT_TREE:
		return add_folder(g, c);
	case CONTENT_LIST:
		if (depth == 0)
			return add_members(g, c);
		break;
	case CONTENT_RESULT:
		if (depth < 2)
			return add_outputs(g, c, depth);
		break;
	case CONTENT_NONE:
	case CONTENT_EXTERN:
	case CONTENT_DIR:
		break;
	}
	err_set(g->e, ERR_USAGE, "nothing of type %u can be an argument here", c->type);
	return LAYOUT_BAD;
}

/* ---- arguments: args->inputs are its references and files in order, as call_args_each() gives them */

struct walk {
	struct gather *g;
	const struct layout_extern *externs;
	size_t extern_count, input;
	enum layout_result result;
};

static int visit(void *arg, const char *label, struct arg *value)
{
	struct walk *walk = arg;
	struct gather *g = walk->g;
	size_t input = walk->input++;
	if (value->content.type == CONTENT_EXTERN)
		walk->result = add_extern(g, &value->content, walk->externs,
					  walk->extern_count, input, label);
	else if (value->type == ARG_FILE)
		walk->result = add_file(g, &value->content, value->data);
	else
		walk->result = add_content(g, &value->content, 0);
	return walk->result != LAYOUT_OK;
}

/* Where they lie is final now. */
static void settle(struct call_blobs *b)
{
	for (size_t i = 0; i < b->count; i++) {
		b->items[i].digest = digest_of(b, i);
		if (b->items[i].where == FRAME_PATH)
			b->items[i].descriptor = 0;
	}
}

/* What they take in a frame, at most. */
static uint64_t bytes_in_frame(const struct call_blobs *b)
{
	uint64_t size = 0;
	for (size_t i = 0; i < b->count; i++)
		size += 64 + b->items[i].bytes.size;
	return size;
}

enum layout_result blobs_gather(struct call_blobs *b, const struct args *args,
				const struct layout_extern *externs, size_t extern_count,
				const char *dir, const struct layout_source *source,
				uint8_t missing[DIGEST_SIZE], struct err *e)
{
	struct gather g = {.b = b,
			   .dir = dir,
			   .source = source,
			   .missing = missing,
			   .e = e,
			   .packed = -1};
	struct walk walk = {&g, externs, extern_count, 0, LAYOUT_OK};
	call_args_each(args->call, visit, &walk);
	if (g.packed >= 0)
		close(g.packed);
	free(g.table);
	settle(b);
	if (walk.result == LAYOUT_OK && bytes_in_frame(b) > FRAME_BLOBS_MAX) {
		err_set(e, ERR_USAGE,
			"its arguments name %zu blobs, more than one call can have",
			b->count);
		return LAYOUT_BAD;
	}
	return walk.result;
}

/* ---- from memory */

struct recall {
	struct gather g;
	struct memory *memory;
};

static int recall_one(void *arg, const char *label, struct arg *value)
{
	struct recall *r = arg;
	const struct content *c = &value->content;
	size_t size;
	bool is_bytes = c->type == CONTENT_FILE || c->type == CONTENT_EXEC ||
			c->type == CONTENT_JSON || c->type == CONTENT_PICKLE;
	if (!is_bytes || value->type != ARG_REF)
		return 1;
	if (is_known(&r->g, c))
		return 0;
	const void *data = memory_get(r->memory, c->digest, &size);
	if (!data || r->g.b->inline_bytes + size > BLOB_INLINE_TOTAL)
		return 1;
	struct frame_blob *item = add_item(&r->g, c, false);
	item->size = size;
	item->where = FRAME_INLINE;
	item->bytes = (struct frame_bytes){keep(r->g.b, mem_copy(data, size)), size};
	r->g.b->inline_bytes += size;
	return 0;
}

struct call_blobs *blobs_remembered(const struct args *args, struct memory *memory)
{
	struct call_blobs *b = mem_alloc(sizeof *b);
	struct recall r = {.g = {.b = b, .packed = -1}, .memory = memory};
	int rc = call_args_each(args->call, recall_one, &r);
	free(r.g.table);
	settle(b);
	if (rc == 0)
		return b;
	blobs_free(b);
	return NULL;
}

void blobs_remember(const struct call_blobs *b, struct memory *memory)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->items[i].where == FRAME_INLINE)
			memory_put(memory, b->items[i].digest, b->items[i].bytes.data,
				   b->items[i].bytes.size);
}
