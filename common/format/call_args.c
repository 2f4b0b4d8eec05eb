/* call_args.c - see call_args.h. */
#include "common/format/call_args.h"

#include "common/format/read.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/num.h"
#include "common/pure/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_SCHEME 2
#define SHOWN_DIGEST 6 /* bytes of a digest, for people */
#define SHOWN_BYTES 16 /* bytes of bytes */
#define LABEL_MAX 512  /* of what is told of where a reference stands */

/* What heads the array of a value that is not plain. */
enum tag { TAG_LIST = 1, TAG_MAP, TAG_REF, TAG_FILE };

static bool has_items(const struct arg *a)
{
	return a->type == ARG_LIST || a->type == ARG_MAP;
}

static void items_fini(struct arg *items, size_t count)
{
	for (size_t i = 0; items && i < count; i++)
		arg_fini(&items[i]);
	free(items);
}

void arg_fini(struct arg *a)
{
	if (!a)
		return;
	free(a->name);
	if (has_items(a))
		items_fini(a->items, a->count);
	else if (a->type == ARG_TEXT || a->type == ARG_BYTES || a->type == ARG_FILE)
		free(a->data);
	*a = (struct arg){0};
}

void call_args_fini(struct call_args *a)
{
	if (!a)
		return;
	items_fini(a->positional, a->positional_count);
	items_fini(a->keywords, a->keyword_count);
	*a = (struct call_args){0};
}

/* ---- encoding */

struct writer {
	struct buf *out;
	size_t start;
	uint32_t count;
};

static int by_name(const void *a, const void *b)
{
	const struct arg *x = a, *y = b;
	return cbor_key_order(x->name, x->name_size, y->name, y->name_size);
}

static int encode_value(struct writer *w, struct arg *a, unsigned depth);

static int encode_map(struct writer *w, struct arg *items, size_t count, unsigned depth)
{
	if (count)
		qsort(items, count, sizeof *items, by_name);
	cbor_add_map(w->out, count);
	for (size_t i = 0; i < count; i++) {
		if (i && !by_name(&items[i - 1], &items[i]))
			return 1;
		cbor_add_text_n(w->out, items[i].name, items[i].name_size);
		if (encode_value(w, &items[i], depth))
			return 1;
	}
	return 0;
}

static void encode_placeholder(struct writer *w, struct arg *a)
{
	cbor_add_bytes(w->out, &a->content, CONTENT_SIZE);
	a->offset = w->out->size - CONTENT_SIZE - w->start;
}

static int encode_list(struct writer *w, struct arg *a, unsigned depth)
{
	cbor_add_array(w->out, a->count + 1);
	cbor_add_uint(w->out, TAG_LIST);
	for (size_t i = 0; i < a->count; i++)
		if (encode_value(w, &a->items[i], depth))
			return 1;
	return 0;
}

static int encode_value(struct writer *w, struct arg *a, unsigned depth)
{
	if (++w->count > ARG_COUNT_MAX || (has_items(a) && ++depth > ARG_DEPTH_MAX))
		return 1;
	switch (a->type) {
	case ARG_NULL:
		cbor_add_null(w->out);
		return 0;
	case ARG_BOOL:
		cbor_add_bool(w->out, a->boolean);
		return 0;
	case ARG_INT:
		cbor_add_int(w->out, a->i);
		return 0;
	case ARG_FLOAT:
		cbor_add_double(w->out, a->d);
		return 0;
	case ARG_TEXT:
		cbor_add_text_n(w->out, a->data, a->size);
		return 0;
	case ARG_BYTES:
		cbor_add_bytes(w->out, a->data, a->size);
		return 0;
	case ARG_LIST:
		return encode_list(w, a, depth);
	case ARG_MAP:
		cbor_add_array(w->out, 2);
		cbor_add_uint(w->out, TAG_MAP);
		return encode_map(w, a->items, a->count, depth);
	case ARG_REF:
		cbor_add_array(w->out, 2);
		cbor_add_uint(w->out, TAG_REF);
		encode_placeholder(w, a);
		return 0;
	case ARG_FILE:
		cbor_add_array(w->out, 3);
		cbor_add_uint(w->out, TAG_FILE);
		cbor_add_text_n(w->out, a->data, a->size);
		encode_placeholder(w, a);
		return 0;
	}
	return 1;
}

int call_args_encode(struct buf *out, struct call_args *a)
{
	struct writer w = {.out = out, .start = out->size};
	cbor_add_array(out, 3);
	cbor_add_uint(out, CALL_SCHEME);
	cbor_add_array(out, a->positional_count);
	for (size_t i = 0; i < a->positional_count; i++)
		if (encode_value(&w, &a->positional[i], 0))
			return 1;
	return encode_map(&w, a->keywords, a->keyword_count, 0);
}

/* ---- decoding; counts grow with what is stored, so that call_args_fini() frees just that */

struct reader {
	struct cbor_reader r;
	const uint8_t *start;
	uint32_t count;
};

static int decode_value(struct reader *r, struct arg *a, unsigned depth);

/* take_text() - a copy of @size bytes with a NUL behind. */
static char *take_text(const void *data, size_t size)
{
	char *copy = malloc(size + 1);
	if (!copy)
		return NULL;
	if (size)
		memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

static int room_for(struct reader *r, uint64_t count, struct arg **itemsp)
{
	if (count > ARG_COUNT_MAX - r->count)
		return 1;
	r->count += (uint32_t)count;
	return !(*itemsp = read_calloc(count, sizeof **itemsp));
}

static int decode_items(struct reader *r, uint64_t count, struct arg **itemsp,
			size_t *countp, unsigned depth)
{
	if (room_for(r, count, itemsp))
		return 1;
	while (*countp < count)
		if (decode_value(r, &(*itemsp)[(*countp)++], depth))
			return 1;
	return 0;
}

static int decode_map(struct reader *r, struct arg **itemsp, size_t *countp,
		      unsigned depth)
{
	uint64_t count;
	struct cbor_key key = {0};
	if (cbor_read_map(&r->r, &count) || room_for(r, count, itemsp))
		return 1;
	while (*countp < count) {
		struct arg *a = &(*itemsp)[*countp];
		if (cbor_read_key(&r->r, &key) ||
		    !(a->name = take_text(key.text, key.size)))
			return 1;
		a->name_size = key.size;
		++*countp;
		if (decode_value(r, a, depth))
			return 1;
	}
	return 0;
}

static int decode_placeholder(struct reader *r, struct arg *a)
{
	const uint8_t *content;
	size_t size;
	if (cbor_read_bytes(&r->r, &content, &size) || size != CONTENT_SIZE)
		return 1;
	memcpy(&a->content, content, CONTENT_SIZE);
	a->offset = (size_t)(content - r->start);
	return !content_is_argument(a->content.type);
}

static int decode_file(struct reader *r, struct arg *a)
{
	const char *name;
	size_t size;
	if (cbor_read_text(&r->r, &name, &size) || !(a->data = take_text(name, size)))
		return 1;
	a->size = size;
	return !fs_path_is_inside(a->data) || strchr(a->data, '/') ||
	       decode_placeholder(r, a);
}

static int decode_tagged(struct reader *r, uint64_t count, struct arg *a, unsigned depth)
{
	uint64_t tag;
	if (!count || cbor_read_uint(&r->r, &tag))
		return 1;
	if (tag == TAG_REF && count == 2) {
		a->type = ARG_REF;
		return decode_placeholder(r, a);
	}
	if (tag == TAG_FILE && count == 3) {
		a->type = ARG_FILE;
		return decode_file(r, a);
	}
	if (depth >= ARG_DEPTH_MAX)
		return 1;
	if (tag == TAG_LIST) {
		a->type = ARG_LIST;
		return decode_items(r, count - 1, &a->items, &a->count, depth + 1);
	}
	if (tag != TAG_MAP || count != 2)
		return 1;
	a->type = ARG_MAP;
	return decode_map(r, &a->items, &a->count, depth + 1);
}

static int decode_value(struct reader *r, struct arg *a, unsigned depth)
{
	struct cbor_item item;
	if (cbor_read(&r->r, &item))
		return 1;
	switch (item.type) {
	case CBOR_NULL:
		return 0;
	case CBOR_BOOL:
		a->type = ARG_BOOL;
		a->boolean = item.boolean;
		return 0;
	case CBOR_UINT:
		a->type = ARG_INT;
		a->i = (int64_t)item.u;
		return item.u > INT64_MAX;
	case CBOR_NEGINT:
		a->type = ARG_INT;
		a->i = item.i;
		return 0;
	case CBOR_DOUBLE:
		a->type = ARG_FLOAT;
		a->d = item.d;
		return 0;
	case CBOR_TEXT:
	case CBOR_BYTES:
		a->type = item.type == CBOR_TEXT ? ARG_TEXT : ARG_BYTES;
		a->size = item.size;
		return !(a->data = take_text(item.data, item.size));
	case CBOR_ARRAY:
		return decode_tagged(r, item.u, a, depth);
	case CBOR_MAP:
		return 1;
	}
	return 1;
}

int call_args_decode(const void *data, size_t size, struct call_args *out)
{
	CLEANUP(call_args_fini) struct call_args a = {0};
	struct reader r = {.start = data};
	uint64_t scheme, count;
	cbor_reader_init(&r.r, data, size);
	if (read_array_of(&r.r, 3) || cbor_read_uint(&r.r, &scheme) ||
	    scheme != CALL_SCHEME || cbor_read_array(&r.r, &count) ||
	    decode_items(&r, count, &a.positional, &a.positional_count, 0) ||
	    decode_map(&r, &a.keywords, &a.keyword_count, 0) || !cbor_done(&r.r))
		return 1;
	*out = a;
	a = (struct call_args){0};
	return 0;
}

bool call_args_begin(const void *data, size_t size)
{
	static const uint8_t head[] = {0x83, CALL_SCHEME};
	return size >= sizeof head && !memcmp(data, head, sizeof head);
}

/* ---- looking at them */

static bool same_bytes(const void *a, size_t a_size, const void *b, size_t b_size)
{
	return a_size == b_size && (!a_size || !memcmp(a, b, a_size));
}

static bool same_items(const struct arg *a, const struct arg *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct arg *x = &a->items[i], *y = &b->items[i];
		if ((a->type == ARG_MAP &&
		     !same_bytes(x->name, x->name_size, y->name, y->name_size)) ||
		    !arg_equal(x, y))
			return false;
	}
	return true;
}

bool arg_equal(const struct arg *a, const struct arg *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case ARG_NULL:
		return true;
	case ARG_BOOL:
		return a->boolean == b->boolean;
	case ARG_INT:
		return a->i == b->i;
	case ARG_FLOAT: /* all NaN are one; 0.0 is not -0.0 */
		return (a->d != a->d && b->d != b->d) ||
		       !memcmp(&a->d, &b->d, sizeof a->d);
	case ARG_TEXT:
	case ARG_BYTES:
		return same_bytes(a->data, a->size, b->data, b->size);
	case ARG_LIST:
	case ARG_MAP:
		return same_items(a, b);
	case ARG_FILE:
		if (!same_bytes(a->data, a->size, b->data, b->size))
			return false;
		return !memcmp(&a->content, &b->content, CONTENT_SIZE);
	case ARG_REF:
		return !memcmp(&a->content, &b->content, CONTENT_SIZE);
	}
	return false;
}

static void format_hex(struct buf *out, const void *data, size_t size)
{
	char hex[2 * SHOWN_BYTES + 1];
	buf_add_str(out, hex_encode(hex, data, size));
}

static void format_bytes(struct buf *out, const struct arg *a)
{
	if (a->size > SHOWN_BYTES) {
		buf_printf(out, "<%zu bytes>", a->size);
		return;
	}
	buf_add_str(out, "<");
	format_hex(out, a->data, a->size);
	buf_add_str(out, ">");
}

static void format_text(struct buf *out, const char *text, size_t size)
{
	struct json j;
	json_init(&j, out);
	json_string_n(&j, text, size);
}

static void format_digest(struct buf *out, const struct arg *a)
{
	static const uint8_t unknown[DIGEST_SIZE];
	if (!memcmp(a->content.digest, unknown, DIGEST_SIZE)) { /* as it was submitted */
		buf_add_str(out, "(result of a task)");
		return;
	}
	buf_add_str(out, "(");
	format_hex(out, a->content.digest, SHOWN_DIGEST);
	buf_add_str(out, ")");
}

static void format_items(struct buf *out, const struct arg *a)
{
	buf_add_str(out, a->type == ARG_MAP ? "{" : "[");
	for (size_t i = 0; i < a->count; i++) {
		if (i)
			buf_add_str(out, ", ");
		if (a->type == ARG_MAP) {
			format_text(out, a->items[i].name, a->items[i].name_size);
			buf_add_str(out, ": ");
		}
		arg_format(out, &a->items[i]);
	}
	buf_add_str(out, a->type == ARG_MAP ? "}" : "]");
}

void arg_format(struct buf *out, const struct arg *a)
{
	char text[32];
	switch (a->type) {
	case ARG_NULL:
		buf_add_str(out, "null");
		return;
	case ARG_BOOL:
		buf_add_str(out, a->boolean ? "true" : "false");
		return;
	case ARG_INT:
		buf_printf(out, "%" PRId64, a->i);
		return;
	case ARG_FLOAT:
		buf_add_str(out, num_format_double(text, a->d));
		return;
	case ARG_TEXT:
		format_text(out, a->data, a->size);
		return;
	case ARG_BYTES:
		format_bytes(out, a);
		return;
	case ARG_LIST:
	case ARG_MAP:
		format_items(out, a);
		return;
	case ARG_FILE:
		buf_add(out, a->data, a->size);
		buf_add_str(out, " ");
		format_digest(out, a);
		return;
	case ARG_REF:
		format_digest(out, a);
		return;
	}
}

struct walk {
	int (*fn)(void *arg, const char *label, struct arg *value);
	void *arg;
	char label[LABEL_MAX];
};

static int walk_items(struct walk *w, struct arg *items, size_t count, size_t used);

static int walk_value(struct walk *w, struct arg *a, size_t used)
{
	if (has_items(a))
		return walk_items(w, a->items, a->count, used);
	return w->fn(w->arg, w->label, a);
}

/* add_label() - of a key, or of a place in a list; one that is too long is cut: it is for people.
 * Return: bytes of the whole label. */
static size_t add_label(struct walk *w, const struct arg *a, size_t place, size_t used)
{
	char *to = w->label + used;
	size_t room = sizeof w->label - used;
	int n;
	if (a->name)
		n = snprintf(to, room, "%s%s", used ? "." : "", a->name);
	else
		n = snprintf(to, room, used ? "[%zu]" : "%zu", place);
	size_t size = used + (n < 0 ? 0 : (size_t)n);
	return size < sizeof w->label ? size : sizeof w->label - 1;
}

/* Plain values need no label: most of a large list are such. */
static int walk_items(struct walk *w, struct arg *items, size_t count, size_t used)
{
	for (size_t i = 0; i < count; i++) {
		struct arg *a = &items[i];
		if (!has_items(a) && a->type != ARG_REF && a->type != ARG_FILE)
			continue;
		int rc = walk_value(w, a, add_label(w, a, i, used));
		if (rc)
			return rc;
	}
	w->label[used] = '\0';
	return 0;
}

int call_args_each(struct call_args *a,
		   int (*fn)(void *arg, const char *label, struct arg *value), void *arg)
{
	struct walk w = {.fn = fn, .arg = arg};
	int rc = walk_items(&w, a->positional, a->positional_count, 0);
	return rc ? rc : walk_items(&w, a->keywords, a->keyword_count, 0);
}
