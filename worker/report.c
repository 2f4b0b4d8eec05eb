/* report.c - see report.h. */
#include "worker/report.h"

#include "common/json.h"
#include "common/pure/mem.h"
#include "common/pure/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 1024

struct report_chunk {
	struct report_chunk *next;
	size_t used, size;
	max_align_t data[];
};

struct report *report_new(void)
{
	struct report *r = mem_alloc(sizeof *r);
	cashet__outcome__init(&r->outcome);
	cashet__content__init(&r->out);
	cashet__content__init(&r->err);
	cashet__checkpoint__init(&r->checkpoint);
	cashet__content__init(&r->checkpoint_content);
	r->outcome.exit_code = -1;
	return r;
}

void report_free(struct report *r)
{
	if (!r)
		return;
	while (r->chunks) {
		struct report_chunk *c = r->chunks;
		r->chunks = c->next;
		free(c);
	}
	free(r->outcome.blobs);
	free(r->blobs);
	free(r);
}

void *report_alloc(struct report *r, size_t size)
{
	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	struct report_chunk *c = r->chunks;
	if (!c || c->size - c->used < size) {
		size_t room = size > CHUNK ? size : CHUNK;
		c = mem_alloc(sizeof *c + room);
		c->size = room;
		c->next = r->chunks;
		r->chunks = c;
	}
	void *data = (char *)c->data + c->used;
	c->used += size;
	return data;
}

char *report_text(struct report *r, const char *text)
{
	CLEANUP_BUF struct buf safe = {0};
	if (!utf8_valid(text, strlen(text))) {
		text_escape(&safe, text, strlen(text));
		text = buf_cstr(&safe);
	}
	size_t size = strlen(text) + 1;
	return memcpy(report_alloc(r, size), text, size);
}

void report_fail(struct report *r, Cashet__Outcome__Kind kind, const char *fmt, ...)
{
	char text[2048];
	va_list args;
	if (r->outcome.kind != CASHET__OUTCOME__KIND__COMPLETED)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	r->outcome.kind = kind;
	r->outcome.error = report_text(r, text);
}

void report_content(struct report *r, Cashet__Content *c, enum content_type type,
		    const uint8_t digest[DIGEST_SIZE], uint64_t size)
{
	c->type = type;
	c->digest.len = DIGEST_SIZE;
	c->digest.data = memcpy(report_alloc(r, DIGEST_SIZE), digest, DIGEST_SIZE);
	c->size = size;
}

void report_inline(struct report *r, const void *data, size_t size)
{
	Cashet__Outcome *o = &r->outcome;
	Cashet__InlineBlob *blob = report_alloc(r, sizeof *blob);
	cashet__inline_blob__init(blob);
	blob->data.len = size;
	blob->data.data = memcpy(report_alloc(r, size), data, size);
	mem_grow(o->blobs, o->n_blobs, r->inline_capacity);
	o->blobs[o->n_blobs++] = blob;
	r->inline_bytes += size;
}

void report_blob(struct report *r, const uint8_t digest[DIGEST_SIZE], uint64_t size,
		 const char *path, const void *data)
{
	for (size_t i = 0; i < r->blob_count; i++)
		if (memcmp(r->blobs[i].digest, digest, DIGEST_SIZE) == 0)
			return;
	mem_grow(r->blobs, r->blob_count, r->blob_capacity);
	struct report_blob *b = &r->blobs[r->blob_count++];
	*b = (struct report_blob){.size = size, .path = path, .data = data};
	memcpy(b->digest, digest, DIGEST_SIZE);
}

size_t report_size(const struct report *r)
{
	const Cashet__Outcome *o = &r->outcome;
	size_t size = 512 + r->inline_bytes + 8 * o->n_blobs + strlen(o->error) +
		      strlen(r->checkpoint.left_out);
	for (size_t i = 0; i < o->n_outputs; i++)
		size += 64 + strlen(o->outputs[i]->name) + strlen(o->outputs[i]->path);
	for (size_t i = 0; i < o->n_metrics; i++)
		size += 32 + strlen(o->metrics[i]->name) + strlen(o->metrics[i]->text);
	return size;
}
