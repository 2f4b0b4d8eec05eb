/* source.c - see source.h. What is decoded here comes from clients; workers lay it out. */
#include "common/format/source.h"

#include "common/format/path_order.h"
#include "common/format/read.h"

#include <stdlib.h>
#include <string.h>

#define SOURCE_TAG "cashet.source"
#define SOURCE_VERSION 1
#define SOURCE_FIELDS 4
#define UNIT_FIELDS 8

void source_unit_fini(struct source_unit *u)
{
	if (!u)
		return;
	free(u->language);
	free(u->path);
	free(u->name);
	for (size_t i = 0; u->packages && i < u->package_count; i++) {
		free(u->packages[i].name);
		free(u->packages[i].version);
	}
	for (size_t i = 0; u->flags && i < u->flag_count; i++)
		free(u->flags[i]);
	for (size_t i = 0; u->definitions && i < u->definition_count; i++) {
		free(u->definitions[i].label);
		free(u->definitions[i].kind);
		free(u->definitions[i].path);
	}
	free(u->packages);
	free(u->flags);
	free(u->definitions);
	*u = (struct source_unit){0};
}

void source_fini(struct source *s)
{
	if (!s)
		return;
	for (size_t i = 0; s->files && i < s->file_count; i++)
		free(s->files[i].path);
	for (size_t i = 0; s->units && i < s->unit_count; i++)
		source_unit_fini(&s->units[i]);
	free(s->files);
	free(s->units);
	*s = (struct source){0};
}

/* ---- encoding */

static int by_path(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static void add_text_or_null(struct buf *out, const char *text)
{
	if (text)
		cbor_add_text(out, text);
	else
		cbor_add_null(out);
}

static void encode_unit(struct buf *out, const struct source_unit *u)
{
	cbor_add_array(out, UNIT_FIELDS);
	cbor_add_text(out, u->language);
	cbor_add_text(out, u->path);
	add_text_or_null(out, u->name);
	cbor_add_bytes(out, u->hash, DIGEST_SIZE);
	cbor_add_bytes(out, u->identity, DIGEST_SIZE);
	cbor_add_array(out, u->package_count);
	for (size_t i = 0; i < u->package_count; i++) {
		cbor_add_array(out, 3);
		cbor_add_text(out, u->packages[i].name);
		add_text_or_null(out, u->packages[i].version);
		cbor_add_bool(out, u->packages[i].counts);
	}
	cbor_add_array(out, u->flag_count);
	for (size_t i = 0; i < u->flag_count; i++)
		cbor_add_text(out, u->flags[i]);
	cbor_add_array(out, u->definition_count);
	for (size_t i = 0; i < u->definition_count; i++) {
		const struct source_definition *d = &u->definitions[i];
		cbor_add_array(out, 5);
		cbor_add_text(out, d->label);
		cbor_add_text(out, d->kind);
		cbor_add_text(out, d->path);
		cbor_add_uint(out, d->line);
		cbor_add_bytes(out, d->digest, DIGEST_SIZE);
	}
}

void source_encode(struct buf *out, struct source *s)
{
	if (s->file_count)
		qsort(s->files, s->file_count, sizeof *s->files, by_path);
	cbor_add_array(out, SOURCE_FIELDS);
	cbor_add_text(out, SOURCE_TAG);
	cbor_add_uint(out, SOURCE_VERSION);
	cbor_add_array(out, s->file_count);
	for (size_t i = 0; i < s->file_count; i++) {
		cbor_add_array(out, 4);
		cbor_add_text(out, s->files[i].path);
		cbor_add_bool(out, s->files[i].executable);
		cbor_add_uint(out, s->files[i].size);
		cbor_add_bytes(out, s->files[i].digest, DIGEST_SIZE);
	}
	cbor_add_array(out, s->unit_count);
	for (size_t i = 0; i < s->unit_count; i++)
		encode_unit(out, &s->units[i]);
}

/* ---- decoding; counts grow with what is stored, so that source_fini() frees just that */

static int decode_files(struct cbor_reader *r, struct source *s)
{
	CLEANUP(path_order_fini) struct path_order order = {0};
	uint64_t count;
	if (cbor_read_array(r, &count) ||
	    !(s->files = read_calloc(count, sizeof *s->files)))
		return 1;
	while (s->file_count < count) {
		struct source_file *f = &s->files[s->file_count++];
		if (read_array_of(r, 4) || !(f->path = read_strdup(r)) ||
		    path_order_next(&order, f->path) ||
		    cbor_read_bool(r, &f->executable) || cbor_read_uint(r, &f->size) ||
		    cbor_read_digest(r, f->digest))
			return 1;
	}
	return 0;
}

static int decode_packages(struct cbor_reader *r, struct source_unit *u)
{
	uint64_t count;
	if (cbor_read_array(r, &count) ||
	    !(u->packages = read_calloc(count, sizeof *u->packages)))
		return 1;
	while (u->package_count < count) {
		struct source_package *p = &u->packages[u->package_count++];
		if (read_array_of(r, 3) || !(p->name = read_strdup(r)) ||
		    read_text_or_null(r, &p->version) || cbor_read_bool(r, &p->counts))
			return 1;
	}
	return 0;
}

static int decode_flags(struct cbor_reader *r, struct source_unit *u)
{
	uint64_t count;
	if (cbor_read_array(r, &count) ||
	    !(u->flags = read_calloc(count, sizeof *u->flags)))
		return 1;
	for (; u->flag_count < count; u->flag_count++)
		if (!(u->flags[u->flag_count] = read_strdup(r)))
			return 1;
	return 0;
}

static int decode_definitions(struct cbor_reader *r, struct source_unit *u)
{
	uint64_t count;
	if (cbor_read_array(r, &count) ||
	    !(u->definitions = read_calloc(count, sizeof *u->definitions)))
		return 1;
	while (u->definition_count < count) {
		struct source_definition *d = &u->definitions[u->definition_count++];
		uint64_t line;
		if (read_array_of(r, 5) || !(d->label = read_strdup(r)) ||
		    !(d->kind = read_strdup(r)) || !(d->path = read_strdup(r)) ||
		    cbor_read_uint(r, &line) || line > UINT32_MAX ||
		    cbor_read_digest(r, d->digest))
			return 1;
		d->line = (uint32_t)line;
	}
	return 0;
}

static bool has_file(const struct source *s, const char *path)
{
	struct source_file key = {.path = (char *)path};
	return s->file_count &&
	       bsearch(&key, s->files, s->file_count, sizeof *s->files, by_path);
}

static int decode_unit(struct cbor_reader *r, const struct source *s,
		       struct source_unit *u)
{
	return read_array_of(r, UNIT_FIELDS) || !(u->language = read_name(r)) ||
	       !(u->path = read_strdup(r)) || !has_file(s, u->path) ||
	       read_text_or_null(r, &u->name) || cbor_read_digest(r, u->hash) ||
	       cbor_read_digest(r, u->identity) || decode_packages(r, u) ||
	       decode_flags(r, u) || decode_definitions(r, u);
}

int source_decode(const void *data, size_t size, struct source *out)
{
	CLEANUP(source_fini) struct source s = {0};
	struct cbor_reader r;
	uint64_t count;
	cbor_reader_init(&r, data, size);
	if (read_header(&r, SOURCE_FIELDS, SOURCE_TAG, SOURCE_VERSION) ||
	    decode_files(&r, &s) || cbor_read_array(&r, &count) ||
	    !(s.units = read_calloc(count, sizeof *s.units)))
		return 1;
	while (s.unit_count < count)
		if (decode_unit(&r, &s, &s.units[s.unit_count++]))
			return 1;
	if (!cbor_done(&r))
		return 1;
	*out = s;
	s = (struct source){0};
	return 0;
}
