/* by_name.c - cashet_by_name(): how the tasks of each name ended, as the broker counts them, a page of
 * many tasks at a time. */
#include "client/handle.h"

#include <stdlib.h>
#include <string.h>

struct by_name {
	struct cashet_by_name public; /* first: what callers have */
	struct cashet_name *items;
	size_t capacity;
};

void cashet_by_name_free(struct cashet_by_name *public)
{
	if (!public)
		return;
	struct by_name *n = container_of(public, struct by_name, public);
	for (size_t i = 0; i < public->count; i++)
		free((char *)(uintptr_t)n->items[i].name);
	free(n->items);
	free(n);
}

/* Return: NULL without memory. */
static struct cashet_name *find(struct by_name *n, const char *name)
{
	for (size_t i = n->public.count; i-- > 0;)
		if (!strcmp(n->items[i].name, name))
			return &n->items[i];
	if (n->public.count == n->capacity) {
		size_t capacity = n->capacity ? 2 * n->capacity : 8;
		struct cashet_name *items = realloc(n->items, capacity * sizeof *items);
		if (!items)
			return NULL;
		n->public.items = n->items = items;
		n->capacity = capacity;
	}
	struct cashet_name *item = &n->items[n->public.count];
	*item = (struct cashet_name){.name = strdup(name)};
	if (!item->name)
		return NULL;
	n->public.count++;
	return item;
}

static void add(struct cashet_counts *to, const struct cashet_counts *more)
{
	to->total += more->total;
	to->waiting += more->waiting;
	to->ready += more->ready;
	to->running += more->running;
	to->cached += more->cached;
	to->executed += more->executed;
	to->deduplicated += more->deduplicated;
	to->failed += more->failed;
	to->skipped += more->skipped;
	to->cancelled += more->cancelled;
}

static int take_page(struct by_name *n, const Cashet__ResultsPage *page, uint32_t first,
		     uint32_t max, struct err *e)
{
	if (!page->too_many_names && page->next < page->total && page->next <= first)
		return err_set(e, ERR_FAILED,
			       "the broker sent a page that makes no sense");
	for (size_t i = 0; i < page->n_names; i++) {
		struct cashet_counts counts;
		struct cashet_name *item = find(n, page->names[i]->name);
		if (!item)
			return handle_no_memory(e);
		counts_from(&counts, page->names[i]->counts);
		add(&item->counts, &counts);
	}
	n->public.too_many = page->too_many_names || n->public.count > max;
	return 0;
}

static int ask_all(struct cashet *c, struct by_name *n, Cashet__BatchRef *ref,
		   uint32_t max, struct err *e)
{
	for (uint32_t first = 0, total = 1; first < total && !n->public.too_many;) {
		Cashet__ResultsQuery query = CASHET__RESULTS_QUERY__INIT;
		Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
		struct request *r;
		query.batch = ref;
		query.first = first;
		query.by_name = max;
		envelope.body_case = CASHET__ENVELOPE__BODY_RESULTS_QUERY;
		envelope.results_query = &query;
		int failed = request_ask(c, &envelope,
					 CASHET__ENVELOPE__BODY_RESULTS_PAGE, &r, e);
		if (failed)
			return failed;
		const Cashet__ResultsPage *page = r->reply->results_page;
		failed = take_page(n, page, first, max, e);
		first = page->next;
		total = page->total;
		request_free(r);
		if (failed)
			return failed;
	}
	return 0;
}

int cashet_by_name(struct cashet *c, const char *batch, uint32_t max,
		   struct cashet_by_name **byp, struct cashet_error *error)
{
	struct err e = {0};
	Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
	uint8_t bytes[DIGEST_SIZE];
	struct by_name *n = calloc(1, sizeof *n);
	int failed = n ? batch_ref_parse(batch, &ref, bytes, &e) : handle_no_memory(&e);
	if (!failed)
		failed = ask_all(c, n, &ref, max ? max : 1, &e);
	if (failed && n)
		cashet_by_name_free(&n->public);
	else if (!failed)
		*byp = &n->public;
	return error_give(error, &e, failed);
}
