/* metrics.c - see metrics.h. */
#include "worker/metrics.h"

#include "common/json_read.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static char *keep(struct report *r, const struct json_token *t)
{
	char *text = report_alloc(r, t->size + 1);
	return memcpy(text, t->text, t->size);
}

static int by_name(const void *a, const void *b)
{
	const Cashet__Metric *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static void set_value(struct report *r, const struct json_token *t, Cashet__Metric *m)
{
	m->is_text = t->type == JSON_STRING;
	if (m->is_text)
		m->text = keep(r, t);
	else
		m->number = t->type == JSON_INT	   ? (double)t->i
			    : t->type == JSON_UINT ? (double)t->u
						   : t->d;
}

static bool is_metric(const struct json_token *t)
{
	return t->type == JSON_INT || t->type == JSON_UINT || t->type == JSON_DOUBLE ||
	       t->type == JSON_STRING;
}

/* The value behind a key. Return: 0 or 1. */
static int take_value(struct report *r, struct json_reader *j, Cashet__Metric *m)
{
	struct json_token t;
	if (json_next(j, &t))
		return 1;
	if (!is_metric(&t))
		return json_fail(j, t.start,
				 "\"%.60s\" is %s; metrics are numbers and strings",
				 m->name, json_type_name(t.type));
	set_value(r, &t, m);
	return 0;
}

struct found {
	Cashet__Metric **items;
	size_t count, capacity;
};

static int take_all(struct report *r, struct json_reader *j, struct found *found)
{
	struct json_token t;
	if (json_next(j, &t))
		return 1;
	if (t.type != JSON_OBJECT)
		return json_fail(j, t.start, "it holds %s; metrics are one object",
				 json_type_name(t.type));
	for (;;) {
		if (json_next(j, &t))
			return 1;
		if (t.type == JSON_END_OBJECT)
			return json_next(j, &t); /* the end, or something behind it */
		Cashet__Metric *m = report_alloc(r, sizeof *m);
		cashet__metric__init(m);
		m->name = keep(r, &t);
		if (take_value(r, j, m))
			return 1;
		mem_grow(found->items, found->count, found->capacity);
		found->items[found->count++] = m;
	}
}

static void keep_all(struct report *r, const struct found *found)
{
	size_t bytes = found->count * sizeof *found->items;
	r->outcome.metrics = report_alloc(r, bytes);
	if (bytes)
		memcpy(r->outcome.metrics, found->items, bytes);
	r->outcome.n_metrics = found->count;
}

int metrics_parse(struct report *r, const void *data, size_t size, struct err *e)
{
	struct json_reader j;
	struct found found = {0};
	json_reader_init(&j, data, size);
	j.takes_nan = true; /* a training that diverged is a result, too */
	int rc = take_all(r, &j, &found);
	if (rc)
		err_set(e, ERR_FAILED, "line %" PRIu64 ", column %" PRIu64 ": %s", j.line,
			j.column, j.message);
	if (!rc && found.count)
		qsort(found.items, found.count, sizeof *found.items, by_name);
	for (size_t i = 1; !rc && i < found.count; i++)
		if (strcmp(found.items[i - 1]->name, found.items[i]->name) == 0)
			rc = err_set(e, ERR_FAILED, "\"%.60s\" is there twice",
				     found.items[i]->name);
	if (!rc)
		keep_all(r, &found);
	json_reader_fini(&j);
	free(found.items);
	return rc;
}

/* Return: 0 or 1. */
static int take_some(struct report *r, struct json_reader *j, struct found *found)
{
	struct json_token t;
	if (json_next(j, &t) || t.type != JSON_OBJECT)
		return 1;
	for (;;) {
		if (json_next(j, &t))
			return 1;
		if (t.type == JSON_END_OBJECT)
			return json_next(j, &t);
		Cashet__Metric *m = report_alloc(r, sizeof *m);
		cashet__metric__init(m);
		bool has_name = t.size && !memchr(t.text, '\0', t.size);
		m->name = keep(r, &t);
		if (json_next(j, &t))
			return 1;
		if (!is_metric(&t)) {
			if (json_skip(j, &t))
				return 1;
			continue;
		}
		if (t.type == JSON_STRING && memchr(t.text, '\0', t.size))
			continue;
		set_value(r, &t, m);
		if (!has_name)
			continue;
		mem_grow(found->items, found->count, found->capacity);
		found->items[found->count++] = m;
	}
}

void metrics_of_result(struct report *r, const void *data, size_t size)
{
	struct json_reader j;
	struct found found = {0};
	size_t kept = 0;
	if (!size || *(const char *)data != '{' || size > METRICS_MAX)
		return;
	json_reader_init(&j, data, size);
	j.takes_nul = true; /* what has one is left out */
	int rc = take_some(r, &j, &found);
	if (found.count)
		qsort(found.items, found.count, sizeof *found.items, by_name);
	for (size_t i = 0; i < found.count; i++)
		if (!kept || strcmp(found.items[kept - 1]->name, found.items[i]->name))
			found.items[kept++] = found.items[i];
	found.count = kept;
	if (!rc)
		keep_all(r, &found);
	json_reader_fini(&j);
	free(found.items);
}
