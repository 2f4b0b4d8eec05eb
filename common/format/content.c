/* content.c - see content.h. Trees and results are the same rows, with and without a name, so one
 * encoder and one decoder serve both. */
#include "common/format/content.h"

#include "common/format/path_order.h"
#include "common/format/read.h"
#include "common/fs.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kind {
	const char *tag;
	bool named; /* and sorted by name; else sorted by path */
	unsigned types;
};

static const struct kind tree_kind = {"cashet.tree", false,
				      1u << CONTENT_FILE | 1u << CONTENT_EXEC |
					      1u << CONTENT_DIR};
static const struct kind result_kind = {"cashet.result", true,
					1u << CONTENT_FILE | 1u << CONTENT_EXEC |
						1u << CONTENT_TREE};

void content_entries_fini(struct content_entries *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->count; i++) {
		free(e->items[i].name);
		free(e->items[i].path);
	}
	free(e->items);
	*e = (struct content_entries){0};
}

/* add_owned() - takes @name and @path, also on failure. */
static int add_owned(struct content_entries *e, char *name, char *path,
		     const struct content *content, uint64_t size)
{
	if (e->count == e->capacity) {
		size_t capacity = e->capacity ? 2 * e->capacity : 8;
		struct content_entry *items = realloc(e->items, capacity * sizeof *items);
		if (!items) {
			free(name);
			free(path);
			return -ENOMEM;
		}
		e->items = items;
		e->capacity = capacity;
	}
	e->items[e->count++] = (struct content_entry){
		.name = name, .path = path, .content = *content, .size = size};
	return 0;
}

int content_entries_add(struct content_entries *e, const char *name, const char *path,
			const struct content *content, uint64_t size)
{
	char *name_copy = name ? strdup(name) : NULL, *path_copy = strdup(path);
	if (!path_copy || (name && !name_copy)) {
		free(name_copy);
		free(path_copy);
		return -ENOMEM;
	}
	return add_owned(e, name_copy, path_copy, content, size);
}

static int by_path(const void *a, const void *b)
{
	const struct content_entry *const *x = a, *const *y = b;
	return strcmp((*x)->path, (*y)->path);
}

static int by_name(const void *a, const void *b)
{
	const struct content_entry *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static void encode(struct buf *out, const struct kind *kind,
		   const struct content_entries *e)
{
	const struct content_entry **order = malloc((e->count + 1) * sizeof(void *));
	if (!order) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < e->count; i++)
		order[i] = &e->items[i];
	if (e->count)
		qsort(order, e->count, sizeof *order, kind->named ? by_name : by_path);
	cbor_add_array(out, 3);
	cbor_add_text(out, kind->tag);
	cbor_add_uint(out, 1);
	cbor_add_array(out, e->count);
	for (size_t i = 0; i < e->count; i++) {
		cbor_add_array(out, kind->named ? 5 : 4);
		if (kind->named)
			cbor_add_text(out, order[i]->name);
		cbor_add_text(out, order[i]->path);
		cbor_add_uint(out, order[i]->content.type);
		cbor_add_uint(out, order[i]->size);
		cbor_add_bytes(out, order[i]->content.digest, DIGEST_SIZE);
	}
	free(order);
}

void content_encode_tree(struct buf *out, struct content_entries *e)
{
	encode(out, &tree_kind, e);
}

void content_encode_result(struct buf *out, struct content_entries *e)
{
	encode(out, &result_kind, e);
}

/* read_row() - the rest of a row, behind name and path. */
static int read_row(struct cbor_reader *r, const struct kind *kind,
		    struct content *content, uint64_t *size)
{
	uint64_t type;
	if (cbor_read_uint(r, &type) || type > CONTENT_DIR || !(kind->types >> type & 1))
		return 1;
	if (cbor_read_uint(r, size) || cbor_read_digest(r, content->digest))
		return 1;
	content->type = (uint8_t)type;
	return type == CONTENT_DIR &&
	       (*size || memcmp(content->digest, sha256_empty, DIGEST_SIZE) != 0);
}

static int decode_entry(struct cbor_reader *r, const struct kind *kind,
			struct content_entries *e)
{
	if (read_array_of(r, kind->named ? 5 : 4))
		return 1;
	char *name = NULL;
	if (kind->named && !(name = read_name(r)))
		return 1;
	char *path = read_strdup(r);
	struct content content;
	uint64_t size;
	if (!path || !fs_path_is_inside(path) || read_row(r, kind, &content, &size) ||
	    (name && e->count && strcmp(e->items[e->count - 1].name, name) >= 0)) {
		free(name);
		free(path);
		return 1;
	}
	return add_owned(e, name, path, &content, size) < 0;
}

static int decode_entries(struct cbor_reader *r, const struct kind *kind, uint64_t count,
			  struct content_entries *e)
{
	CLEANUP(path_order_fini) struct path_order order = {0};
	for (uint64_t i = 0; i < count; i++) {
		if (decode_entry(r, kind, e))
			return 1;
		/* Outputs may overlap (a folder, and a file in it); what a tree lays out may not. */
		if (!kind->named && path_order_next(&order, e->items[e->count - 1].path))
			return 1;
	}
	return !cbor_done(r);
}

static int decode(const void *data, size_t size, const struct kind *kind,
		  struct content_entries *e)
{
	struct cbor_reader r;
	uint64_t count;
	cbor_reader_init(&r, data, size);
	if (read_header(&r, 3, kind->tag, 1) || cbor_read_array(&r, &count))
		return 1;
	CLEANUP(content_entries_fini) struct content_entries entries = {0};
	if (decode_entries(&r, kind, count, &entries))
		return 1;
	*e = entries;
	entries = (struct content_entries){0};
	return 0;
}

int content_decode_tree(const void *data, size_t size, struct content_entries *e)
{
	return decode(data, size, &tree_kind, e);
}

int content_decode_result(const void *data, size_t size, struct content_entries *e)
{
	return decode(data, size, &result_kind, e);
}
