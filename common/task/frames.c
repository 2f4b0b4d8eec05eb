/* frames.c - see frames.h. */
#include "common/task/frames.h"

#include "common/format/content.h"

#include <string.h>

/* ---- reading: every take_ checks that the bytes are there */

struct reader {
	const uint8_t *at, *end;
	bool failed; /* sticks */
};

static const uint8_t *take(struct reader *r, uint64_t size)
{
	if (r->failed || size > (uint64_t)(r->end - r->at)) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *data = r->at;
	r->at += size;
	return data;
}

static uint64_t take_int(struct reader *r, size_t size)
{
	const uint8_t *data = take(r, size);
	uint64_t value = 0;
	for (size_t i = 0; data && i < size; i++)
		value |= (uint64_t)data[i] << (8 * i);
	return value;
}

static struct frame_bytes take_bytes(struct reader *r, size_t width)
{
	uint64_t size = take_int(r, width);
	const uint8_t *data = take(r, size);
	return (struct frame_bytes){data, data ? (size_t)size : 0};
}

static struct frame_bytes take_rest(struct reader *r)
{
	size_t size = (size_t)(r->end - r->at);
	const uint8_t *data = take(r, size);
	return (struct frame_bytes){data, data ? size : 0};
}

/* A string in C on the other side. */
static struct frame_bytes take_text(struct reader *r, size_t width)
{
	struct frame_bytes text = take_bytes(r, width);
	if (text.size && memchr(text.data, '\0', text.size))
		r->failed = true;
	return text;
}

static struct frame_bytes take_path(struct reader *r)
{
	struct frame_bytes path = take_text(r, 4);
	if (path.size && path.data[0] != '/')
		r->failed = true;
	return path;
}

static bool is_file_name(struct frame_bytes name)
{
	if (name.size == 0 || name.size > FRAME_NAME_MAX ||
	    memchr(name.data, '/', name.size))
		return false;
	return name.data[0] != '.' ||
	       (name.size > 1 && (name.size > 2 || name.data[1] != '.'));
}

/* ---- frames */

size_t frame_size(const void *data, size_t size)
{
	struct reader r = {.at = data, .end = (const uint8_t *)data + size};
	uint64_t rest = take_int(&r, 4);
	if (r.failed)
		return 0;
	return rest == 0 || rest > FRAME_MAX ? SIZE_MAX : (size_t)rest + 4;
}

static void take_blob(struct reader *r, struct frame_blob *b)
{
	*b = (struct frame_blob){.type = (uint8_t)take_int(r, 1)};
	b->digest = take(r, DIGEST_SIZE);
	b->size = take_int(r, 8);
	b->where = (enum frame_where)take_int(r, 1);
	switch (b->where) {
	case FRAME_INLINE:
		b->bytes.data = take(r, b->size);
		b->bytes.size = r->failed ? 0 : (size_t)b->size;
		return;
	case FRAME_DESCRIPTOR:
		b->descriptor = (uint32_t)take_int(r, 4);
		b->offset = take_int(r, 8);
		if (b->descriptor >= FRAME_DESCRIPTORS_MAX ||
		    b->offset % FRAME_OFFSET_ALIGN || b->offset > INT64_MAX ||
		    b->size > INT64_MAX - b->offset)
			r->failed = true;
		return;
	case FRAME_PATH:
		b->bytes = take_path(r);
		if (b->bytes.size == 0)
			r->failed = true;
		return;
	}
	r->failed = true;
}

static bool is_blob_type(uint8_t type)
{
	return content_is_argument(type) && type != CONTENT_NONE;
}

static void take_call(struct reader *r, struct frame_call *c)
{
	c->id = take_int(r, 8);
	c->load = (uint32_t)take_int(r, 4);
	c->index = (uint32_t)take_int(r, 4);
	c->attempt = (uint32_t)take_int(r, 4);
	c->batch = take(r, DIGEST_SIZE);
	c->isolation = (enum frame_isolation)take_int(r, 1);
	c->name = take_text(r, 2);
	c->directory = take_path(r);
	c->args = take_bytes(r, 4);
	c->blob_count = (uint32_t)take_int(r, 4);
	c->blobs = (struct frame_bytes){r->at, (size_t)(r->end - r->at)};
	if (c->isolation != FRAME_SHARED && c->isolation != FRAME_FORK)
		r->failed = true;
	for (uint32_t i = 0; i < c->blob_count && !r->failed; i++) {
		struct frame_blob blob;
		take_blob(r, &blob);
		if (!is_blob_type(blob.type))
			r->failed = true;
	}
}

bool frame_next_blob(struct frame_bytes *restp, struct frame_blob *b)
{
	struct reader r = {.at = restp->data, .end = restp->data + restp->size};
	if (restp->size == 0)
		return false;
	take_blob(&r, b);
	*restp = (struct frame_bytes){r.at, (size_t)(r.end - r.at)};
	return !r.failed;
}

static void take_part(struct reader *r, struct frame_part *p)
{
	uint64_t is_file = take_int(r, 1);
	if (is_file > 1)
		r->failed = true;
	p->where = is_file ? FRAME_PATH : FRAME_INLINE;
	if (p->where == FRAME_INLINE) {
		p->bytes = take_bytes(r, 4);
		p->size = p->bytes.size;
		return;
	}
	p->size = take_int(r, 8);
	p->bytes = take_text(r, 2);
	if (p->size > INT64_MAX || !is_file_name(p->bytes))
		r->failed = true;
}

static void take_answer(struct reader *r, struct frame_answer *a, bool is_done)
{
	a->id = take_int(r, 8);
	a->kind = is_done ? (uint8_t)take_int(r, 1) : CONTENT_NONE;
	a->duration_ns = take_int(r, 8);
	a->cpu_ns = take_int(r, 8);
	if (is_done) {
		take_part(r, &a->result);
		if (a->kind != CONTENT_FILE && a->kind != CONTENT_JSON &&
		    a->kind != CONTENT_PICKLE)
			r->failed = true;
	}
	take_part(r, &a->out);
	take_part(r, &a->err);
	if (!is_done)
		a->json = take_bytes(r, 4);
}

int frame_decode(const void *data, size_t size, struct frame *f)
{
	struct reader r = {.at = data, .end = (const uint8_t *)data + size};
	if (frame_size(data, size) != size)
		return 1;
	take(&r, 4);
	*f = (struct frame){.type = (enum frame_type)take_int(&r, 1)};
	switch (f->type) {
	case FRAME_WELCOME:
	case FRAME_READY:
		f->json = take_rest(&r);
		break;
	case FRAME_LOAD:
		f->load.number = (uint32_t)take_int(&r, 4);
		f->load.json = take_rest(&r);
		break;
	case FRAME_CALL:
		take_call(&r, &f->call);
		break;
	case FRAME_PING:
	case FRAME_PONG:
		f->token = take_int(&r, 8);
		break;
	case FRAME_QUIT:
		break;
	case FRAME_DONE:
	case FRAME_ERROR:
		take_answer(&r, &f->answer, f->type == FRAME_DONE);
		break;
	default:
		return 1;
	}
	return r.failed || r.at != r.end;
}

/* ---- writing */

static void add_int(struct buf *out, uint64_t value, size_t size)
{
	uint8_t bytes[8];
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	buf_add(out, bytes, size);
}

static void add_bytes(struct buf *out, size_t width, struct frame_bytes bytes)
{
	add_int(out, bytes.size, width);
	buf_add(out, bytes.data, bytes.size);
}

/* Return: where the frame begins. */
static size_t begin(struct buf *out, enum frame_type type)
{
	size_t at = out->size;
	add_int(out, 0, 4);
	buf_add_byte(out, (uint8_t)type);
	return at;
}

static void end(struct buf *out, size_t at)
{
	if (out->failed)
		return;
	size_t rest = out->size - at - 4;
	for (size_t i = 0; i < 4; i++)
		out->data[at + i] = (uint8_t)(rest >> (8 * i));
}

void frame_add_json(struct buf *out, enum frame_type type, const char *json, size_t size)
{
	size_t at = begin(out, type);
	buf_add(out, json, size);
	end(out, at);
}

void frame_add_load(struct buf *out, uint32_t number, const char *json, size_t size)
{
	size_t at = begin(out, FRAME_LOAD);
	add_int(out, number, 4);
	buf_add(out, json, size);
	end(out, at);
}

static void add_blob(struct buf *out, const struct frame_blob *b)
{
	buf_add_byte(out, b->type);
	buf_add(out, b->digest, DIGEST_SIZE);
	add_int(out, b->size, 8);
	buf_add_byte(out, (uint8_t)b->where);
	switch (b->where) {
	case FRAME_INLINE:
		buf_add(out, b->bytes.data, b->bytes.size);
		return;
	case FRAME_DESCRIPTOR:
		add_int(out, b->descriptor, 4);
		add_int(out, b->offset, 8);
		return;
	case FRAME_PATH:
		add_bytes(out, 4, b->bytes);
		return;
	}
}

void frame_add_call(struct buf *out, const struct frame_call *c,
		    const struct frame_blob *blobs)
{
	size_t at = begin(out, FRAME_CALL);
	add_int(out, c->id, 8);
	add_int(out, c->load, 4);
	add_int(out, c->index, 4);
	add_int(out, c->attempt, 4);
	buf_add(out, c->batch, DIGEST_SIZE);
	buf_add_byte(out, (uint8_t)c->isolation);
	add_bytes(out, 2, c->name);
	add_bytes(out, 4, c->directory);
	add_bytes(out, 4, c->args);
	add_int(out, c->blob_count, 4);
	for (uint32_t i = 0; i < c->blob_count; i++)
		add_blob(out, &blobs[i]);
	end(out, at);
}

static void add_part(struct buf *out, const struct frame_part *p)
{
	buf_add_byte(out, p->where == FRAME_INLINE ? 0 : 1);
	if (p->where == FRAME_INLINE) {
		add_bytes(out, 4, p->bytes);
		return;
	}
	add_int(out, p->size, 8);
	add_bytes(out, 2, p->bytes);
}

void frame_add_answer(struct buf *out, enum frame_type type, const struct frame_answer *a)
{
	size_t at = begin(out, type);
	add_int(out, a->id, 8);
	if (type == FRAME_DONE)
		buf_add_byte(out, a->kind);
	add_int(out, a->duration_ns, 8);
	add_int(out, a->cpu_ns, 8);
	if (type == FRAME_DONE)
		add_part(out, &a->result);
	add_part(out, &a->out);
	add_part(out, &a->err);
	if (type == FRAME_ERROR)
		add_bytes(out, 4, a->json);
	end(out, at);
}

void frame_add_token(struct buf *out, enum frame_type type, uint64_t token)
{
	size_t at = begin(out, type);
	add_int(out, token, 8);
	end(out, at);
}

void frame_add_quit(struct buf *out)
{
	end(out, begin(out, FRAME_QUIT));
}
