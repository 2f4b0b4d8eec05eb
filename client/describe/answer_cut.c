/* answer_cut.c - see answer.h: the head, and where the rows are. */
#include "client/describe/answer.h"

#include "common/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_MEMORY 2

void describe_answer_fini(struct answer *a)
{
	free(a->rows);
	a->rows = NULL;
}

static bool is(const struct json_token *t, const char *text)
{
	return t->size == strlen(text) && !memcmp(t->text, text, t->size);
}

static struct answer_row *add_row(struct answer *a)
{
	if (a->count == a->capacity) {
		size_t capacity = a->capacity ? 2 * a->capacity : 16;
		struct answer_row *rows = realloc(a->rows, capacity * sizeof *rows);
		if (!rows)
			return NULL;
		a->rows = rows;
		a->capacity = capacity;
	}
	a->rows[a->count] = (struct answer_row){0};
	return &a->rows[a->count++];
}

/* read_row() - @t: its brace. Return: 0, 1 (the reader says why) or NO_MEMORY, as all below. */
static int read_row(struct json_reader *r, struct json_token *t, struct answer *a)
{
	size_t start = t->start;
	struct answer_row *row = add_row(a);
	if (!row)
		return NO_MEMORY;
	if (t->type != JSON_OBJECT)
		return json_fail(r, t->start, "a target that is no object");
	while (!json_next(r, t) && t->type == JSON_KEY) {
		bool looked = is(t, "looked");
		if (json_next(r, t))
			return 1;
		size_t at = t->start;
		if (json_skip(r, t))
			return 1;
		if (looked) {
			row->looked_at = at - start;
			row->looked_size = (size_t)(r->at - r->data) - at;
		}
	}
	row->text = (const char *)r->data + start;
	row->size = (size_t)(r->at - r->data) - start;
	return r->failed;
}

static int read_rows(struct json_reader *r, struct json_token *t, struct answer *a)
{
	if (t->type != JSON_ARRAY)
		return json_fail(r, t->start, "targets that are no list");
	int e = 0;
	while (!e && !(e = json_next(r, t)) && t->type != JSON_END_ARRAY)
		e = read_row(r, t, a);
	return e;
}

/* read_version() - "python": {"version": "3.11.2"}, or "compiler". */
static int read_version(struct json_reader *r, struct json_token *t, struct answer *a,
			struct arena *arena)
{
	if (t->type != JSON_OBJECT)
		return json_skip(r, t);
	while (!json_next(r, t) && t->type == JSON_KEY) {
		bool version = is(t, "version");
		if (json_next(r, t))
			return 1;
		if (version && t->type == JSON_STRING &&
		    !(a->version = arena_text(arena, t->text, t->size)))
			return NO_MEMORY;
		if (json_skip(r, t))
			return 1;
	}
	return r->failed;
}

static int read_member(struct json_reader *r, struct json_token *t, struct answer *a,
		       struct arena *arena, bool *protocolp)
{
	bool protocol = is(t, "protocol"), targets = is(t, "targets"),
	     version = is(t, "python") || is(t, "compiler");
	if (json_next(r, t))
		return 1;
	if (targets)
		return read_rows(r, t, a);
	if (version)
		return read_version(r, t, a, arena);
	if (protocol && (t->type != JSON_INT || t->i != ANSWER_PROTOCOL))
		return json_fail(r, t->start, "protocol %.*s; this program knows %d",
				 (int)(t->size < 20 ? t->size : 20), t->text,
				 ANSWER_PROTOCOL);
	*protocolp = *protocolp || protocol;
	return json_skip(r, t);
}

int answer_cut(struct answer *a, const void *data, size_t size, struct arena *arena)
{
	CLEANUP(json_reader_fini) struct json_reader r;
	struct json_token t;
	bool protocol = false;
	*a = (struct answer){0};
	json_reader_init(&r, data, size);
	int e = json_next(&r, &t);
	if (!e && t.type != JSON_OBJECT)
		e = json_fail(&r, t.start, "it is no object");
	while (!e && !(e = json_next(&r, &t)) && t.type == JSON_KEY)
		e = read_member(&r, &t, a, arena, &protocol);
	if (!e)
		e = json_next(&r, &t);
	if (!e && !protocol)
		e = json_fail(&r, 0, "it names no protocol");
	if (!e && !a->version)
		e = (a->version = arena_text(arena, "", 0)) ? 0 : NO_MEMORY;
	if (e == 1)
		snprintf(a->wrong, sizeof a->wrong, "%s", r.message);
	return e == NO_MEMORY ? ERR_FAILED : e ? ERR_USAGE : 0;
}
