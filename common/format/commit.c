/* commit.c - see commit.h. Decoding runs twice over the same code: once to check and to count the
 * memory that strings and arrays need, once to fill it, so that the arena is one piece that never
 * moves under the pointers into it. */
#include "common/format/commit.h"

#include "common/format/read.h"
#include "common/fs.h"
#include "common/names.h"

#include <string.h>

#define COMMIT_TAG "cashet.commit"
#define COMMIT_FIELDS 32	/* tag and version included */
#define COMMIT_FIELDS_SOURCE 33 /* with a source behind; without one they are as ever */

/* ---- encoding */

static void add_bytes_or_null(struct buf *out, bool present, const void *data,
			      size_t size)
{
	if (present)
		cbor_add_bytes(out, data, size);
	else
		cbor_add_null(out);
}

static void encode_outputs(struct buf *out, const struct commit *c)
{
	cbor_add_array(out, c->output_count);
	for (size_t i = 0; i < c->output_count; i++) {
		cbor_add_array(out, 4);
		cbor_add_text(out, c->outputs[i].name);
		cbor_add_text(out, c->outputs[i].path);
		cbor_add_bytes(out, &c->outputs[i].content, CONTENT_SIZE);
		cbor_add_uint(out, c->outputs[i].size);
	}
}

static void encode_metrics(struct buf *out, const struct commit *c)
{
	cbor_add_array(out, c->metric_count);
	for (size_t i = 0; i < c->metric_count; i++) {
		cbor_add_array(out, 2);
		cbor_add_text(out, c->metrics[i].name);
		if (c->metrics[i].is_text)
			cbor_add_text(out, c->metrics[i].text);
		else
			cbor_add_double(out, c->metrics[i].number);
	}
}

void commit_encode(struct buf *out, const struct commit *c)
{
	cbor_add_array(out, c->has_source ? COMMIT_FIELDS_SOURCE : COMMIT_FIELDS);
	cbor_add_text(out, COMMIT_TAG);
	cbor_add_uint(out, 1);
	cbor_add_uint(out, c->status);
	cbor_add_text(out, c->name);
	cbor_add_bytes(out, c->func_hash, DIGEST_SIZE);
	cbor_add_bytes(out, c->args, c->args_size);
	add_bytes_or_null(out, c->has_nonce, c->nonce, NONCE_SIZE);
	add_bytes_or_null(out, c->has_parent, c->parent, DIGEST_SIZE);
	add_bytes_or_null(out, c->result.type != CONTENT_NONE, &c->result, CONTENT_SIZE);
	cbor_add_uint(out, c->result_size);
	add_bytes_or_null(out, c->has_stdout, c->stdout_digest, DIGEST_SIZE);
	add_bytes_or_null(out, c->has_stderr, c->stderr_digest, DIGEST_SIZE);
	cbor_add_uint(out, c->stdout_size);
	cbor_add_uint(out, c->stderr_size);
	encode_outputs(out, c);
	encode_metrics(out, c);
	cbor_add_int(out, c->exit_code);
	cbor_add_int(out, c->term_signal);
	cbor_add_text(out, c->error);
	cbor_add_uint(out, c->ended_wall_ms);
	cbor_add_uint(out, c->duration_ns);
	cbor_add_uint(out, c->cpu_user_ns);
	cbor_add_uint(out, c->cpu_system_ns);
	cbor_add_uint(out, c->max_rss_bytes);
	cbor_add_uint(out, c->attempts);
	cbor_add_text(out, c->worker_name);
	cbor_add_bytes(out, c->worker_key, KEY_SIZE);
	cbor_add_uint(out, c->epoch);
	cbor_add_bytes(out, c->batch, DIGEST_SIZE);
	cbor_add_uint(out, c->index);
	cbor_add_uint(out, c->ttl_s);
	cbor_add_bytes(out, c->options, c->options_size);
	if (c->has_source)
		cbor_add_bytes(out, c->source, DIGEST_SIZE);
}

/* ---- decoding */

struct room {
	uint8_t *base; /* NULL while counting */
	size_t used;
};

static void *room_take(struct room *room, size_t size, size_t align)
{
	room->used = (room->used + align - 1) / align * align;
	void *at = room->base ? room->base + room->used : NULL;
	room->used += size;
	return at;
}

/* read_text() - *@textp is terminated, and NULL while counting. */
static int read_text(struct cbor_reader *r, struct room *room, const char **textp)
{
	const char *text;
	size_t size;
	if (cbor_read_text(r, &text, &size))
		return 1;
	char *copy = room_take(room, size + 1, 1);
	if (copy && size)
		memcpy(copy, text, size);
	if (copy)
		copy[size] = '\0';
	*textp = copy;
	return 0;
}

static int read_fixed(struct cbor_reader *r, void *out, size_t size)
{
	const uint8_t *data;
	size_t found;
	if (cbor_read_bytes(r, &data, &found) || found != size)
		return 1;
	memcpy(out, data, size);
	return 0;
}

static int read_fixed_or_null(struct cbor_reader *r, bool *present, void *out,
			      size_t size)
{
	*present = read_null(r) != 0;
	return *present ? read_fixed(r, out, size) : 0;
}

static int read_int32(struct cbor_reader *r, int32_t *out)
{
	int64_t value;
	if (cbor_read_int(r, &value) || value < INT32_MIN || value > INT32_MAX)
		return 1;
	*out = (int32_t)value;
	return 0;
}

static int read_uint32(struct cbor_reader *r, uint32_t *out)
{
	uint64_t value;
	if (cbor_read_uint(r, &value) || value > UINT32_MAX)
		return 1;
	*out = (uint32_t)value;
	return 0;
}

static bool is_output_type(uint8_t type)
{
	return type == CONTENT_FILE || type == CONTENT_EXEC || type == CONTENT_TREE;
}

static int decode_outputs(struct cbor_reader *r, struct room *room, struct commit *c)
{
	uint64_t count;
	if (cbor_read_array(r, &count))
		return 1;
	c->output_count = (size_t)count;
	c->outputs = room_take(room, c->output_count * sizeof *c->outputs,
			       _Alignof(struct commit_output));
	const char *before = NULL;
	for (size_t i = 0; i < c->output_count; i++) {
		struct commit_output o;
		if (read_array_of(r, 4) || read_text(r, room, &o.name) ||
		    read_text(r, room, &o.path) ||
		    read_fixed(r, &o.content, CONTENT_SIZE) ||
		    cbor_read_uint(r, &o.size) || !is_output_type(o.content.type))
			return 1;
		if (!room->base) /* what needs terminated text is checked when there is some */
			continue;
		if (!names_valid(o.name, true) || !fs_path_is_inside(o.path) ||
		    (before && strcmp(before, o.name) >= 0))
			return 1;
		before = o.name;
		c->outputs[i] = o;
	}
	return 0;
}

static int decode_metric(struct cbor_reader *r, struct room *room,
			 struct commit_metric *m)
{
	enum cbor_type type;
	*m = (struct commit_metric){0};
	if (read_array_of(r, 2) || read_text(r, room, &m->name) ||
	    cbor_peek_type(r, &type))
		return 1;
	m->is_text = type == CBOR_TEXT;
	if (m->is_text)
		return read_text(r, room, &m->text);
	struct cbor_item item;
	if (cbor_read(r, &item) || item.type != CBOR_DOUBLE)
		return 1;
	m->number = item.d;
	return 0;
}

static int decode_metrics(struct cbor_reader *r, struct room *room, struct commit *c)
{
	uint64_t count;
	if (cbor_read_array(r, &count))
		return 1;
	c->metric_count = (size_t)count;
	c->metrics = room_take(room, c->metric_count * sizeof *c->metrics,
			       _Alignof(struct commit_metric));
	for (size_t i = 0; i < c->metric_count; i++) {
		struct commit_metric m;
		if (decode_metric(r, room, &m))
			return 1;
		if (!room->base)
			continue;
		if (i > 0 && strcmp(c->metrics[i - 1].name, m.name) >= 0)
			return 1;
		c->metrics[i] = m;
	}
	return 0;
}

static int decode_what(struct cbor_reader *r, struct room *room, struct commit *c)
{
	uint64_t status;
	bool has_result;
	if (cbor_read_uint(r, &status) || status > COMMIT_FAILED ||
	    read_text(r, room, &c->name) || cbor_read_digest(r, c->func_hash) ||
	    cbor_read_bytes(r, &c->args, &c->args_size) ||
	    read_fixed_or_null(r, &c->has_nonce, c->nonce, NONCE_SIZE) ||
	    read_fixed_or_null(r, &c->has_parent, c->parent, DIGEST_SIZE) ||
	    read_fixed_or_null(r, &has_result, &c->result, CONTENT_SIZE) ||
	    cbor_read_uint(r, &c->result_size))
		return 1;
	c->status = (uint8_t)status;
	/* Absent is null and nothing else, so a present one has a type, which a result can have. */
	if (has_result && !content_is_result(c->result.type))
		return 1;
	return read_fixed_or_null(r, &c->has_stdout, c->stdout_digest, DIGEST_SIZE) ||
	       read_fixed_or_null(r, &c->has_stderr, c->stderr_digest, DIGEST_SIZE) ||
	       cbor_read_uint(r, &c->stdout_size) || cbor_read_uint(r, &c->stderr_size);
}

static int decode_how(struct cbor_reader *r, struct room *room, struct commit *c)
{
	return read_int32(r, &c->exit_code) || read_int32(r, &c->term_signal) ||
	       read_text(r, room, &c->error) || cbor_read_uint(r, &c->ended_wall_ms) ||
	       cbor_read_uint(r, &c->duration_ns) || cbor_read_uint(r, &c->cpu_user_ns) ||
	       cbor_read_uint(r, &c->cpu_system_ns) ||
	       cbor_read_uint(r, &c->max_rss_bytes) || read_uint32(r, &c->attempts) ||
	       read_text(r, room, &c->worker_name) ||
	       read_fixed(r, c->worker_key, KEY_SIZE) || cbor_read_uint(r, &c->epoch) ||
	       cbor_read_digest(r, c->batch) || read_uint32(r, &c->index) ||
	       cbor_read_uint(r, &c->ttl_s) ||
	       cbor_read_bytes(r, &c->options, &c->options_size);
}

static int decode(const void *data, size_t size, struct commit *c, struct room *room)
{
	struct cbor_reader r;
	*c = (struct commit){0};
	cbor_reader_init(&r, data, size);
	struct cbor_reader head = r;
	uint64_t fields;
	c->has_source =
		!cbor_read_array(&head, &fields) && fields == COMMIT_FIELDS_SOURCE;
	return read_header(&r, c->has_source ? COMMIT_FIELDS_SOURCE : COMMIT_FIELDS,
			   COMMIT_TAG, 1) ||
	       decode_what(&r, room, c) || decode_outputs(&r, room, c) ||
	       decode_metrics(&r, room, c) || decode_how(&r, room, c) ||
	       (c->has_source && cbor_read_digest(&r, c->source)) || !cbor_done(&r);
}

int commit_decode(const void *data, size_t size, struct commit *out, struct buf *arena)
{
	struct commit c;
	struct room room = {0};
	if (decode(data, size, &c, &room))
		return 1;
	size_t need = room.used;
	room = (struct room){.base = buf_reserve(arena, need)};
	if (!room.base || decode(data, size, &c, &room))
		return 1;
	assert(room.used == need);
	arena->size += need;
	*out = c;
	return 0;
}
