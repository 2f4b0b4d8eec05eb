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

/* The value behind a key. Return: 0 or 1. */
static int take_value(struct report *r, struct json_reader *j, Cashet__Metric *m)
{
	struct json_token t;
	if (json_next(j, &t))
		return 1;
	switch (t.type) {
	case JSON_INT:
		m->number = (double)t.i;
		return 0;
	case JSON_UINT:
		m->number = (double)t.u;
		return 0;
	case JSON_DOUBLE:
		m->number = t.d;
		return 0;
	case JSON_STRING:
		m->is_text = true;
		m->text = keep(r, &t);
		return 0;
	case JSON_OBJECT:
	case JSON_ARRAY:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
	case JSON_KEY:
	case JSON_END_OBJECT:
	case JSON_END_ARRAY:
	case JSON_END:
		break;
	}
	return json_fail(j, t.start, "\"%.60s\" is %s; metrics are numbers and strings",
			 m->name, json_type_name(t.type));
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
	if (!rc) {
		size_t bytes = found.count * sizeof *found.items;
		r->outcome.metrics = report_alloc(r, bytes);
		if (bytes)
			memcpy(r->outcome.metrics, found.items, bytes);
		r->outcome.n_metrics = found.count;
	}
	json_reader_fini(&j);
	free(found.items);
	return rc;
}
