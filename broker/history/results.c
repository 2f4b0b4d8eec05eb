/* results.c - ResultsQuery: a page of a batch's tasks. */
#include "broker/history/names.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

enum { ENVELOPE_RESULTS_PAGE = 25 };
enum { PAGE_TOO_MANY_NAMES = 12 };

/* Numbers of a batch's functions or options within one page. */
struct numbers {
	uint32_t *items, count, room;
	uint32_t *seen; /* number in the page + 1, by number in the batch */
	uint32_t seen_room;
};

static uint32_t number_of(struct numbers *n, uint32_t number, bool *is_new)
{
	if (number >= n->seen_room) {
		uint32_t room = 2 * (number + 1);
		n->seen = mem_resize(n->seen, room * sizeof *n->seen);
		memset(n->seen + n->seen_room, 0,
		       (room - n->seen_room) * sizeof *n->seen);
		n->seen_room = room;
	}
	*is_new = !n->seen[number];
	if (*is_new) {
		mem_grow(n->items, n->count, n->room);
		n->items[n->count++] = number;
		n->seen[number] = n->count;
	}
	return n->seen[number] - 1;
}

static void numbers_fini(struct numbers *n)
{
	free(n->items);
	free(n->seen);
}

static uint32_t add_function(struct buf *out, struct specs *s, uint32_t number,
			     struct numbers *functions, struct numbers *options)
{
	bool is_new, options_new;
	uint32_t local = number_of(functions, number, &is_new);
	size_t size, options_size;
	uint32_t option;
	const uint8_t *packed = is_new ? specs_function(s, number, &size, &option) : NULL;
	if (!packed)
		return local;
	uint32_t local_option = number_of(options, option, &options_new);
	size_t mark = pb_open(out, 7);
	buf_add(out, packed, size);
	pb_tag(out, 3, PB_VARINT); /* of two fields of one number the last counts */
	pb_varint(out, local_option);
	pb_close(out, mark);
	const uint8_t *packed_options =
		options_new ? specs_options(s, option, &options_size) : NULL;
	if (packed_options) {
		mark = pb_open(out, 10);
		buf_add(out, packed_options, options_size);
		pb_close(out, mark);
	}
	return local;
}

void history_page_range(const Cashet__ResultsQuery *query, uint32_t total,
			uint32_t *firstp, uint32_t *countp)
{
	uint32_t first = query->first < total ? query->first : total;
	uint32_t max = query->by_name ? PAGE_COUNTED_MAX : PAGE_TASKS_MAX;
	uint32_t count = query->count && query->count < max ? query->count : max;
	*firstp = first;
	*countp = count < total - first ? count : total - first;
}

/* What a page is made of. */
struct range {
	const struct history_live *live;
	const struct ends *ends; /* unless all is in memory */
	struct specs *specs;	 /* NULL: they are not wanted, or gone */
	uint32_t first, count;
};

/* Number @i of the page. */
static struct page_task task_at(const struct range *r, uint32_t i)
{
	struct page_task task;
	if (r->live->in_memory)
		return r->live->tasks[i];
	const struct ends *ends = r->ends;
	uint32_t index = r->first + i;
	page_from_end(&task, &ends->items[index]);
	if (task.status == CORE_SKIPPED && task.upstream < ends->count)
		task.upstream_cancelled =
			ends->items[task.upstream].status == CORE_CANCELLED;
	return task;
}

/* Return: how many tasks the page has. */
static uint32_t add_tasks(struct history *h, struct buf *out, const struct range *r)
{
	struct numbers functions = {0}, options = {0};
	uint32_t i = 0;
	for (; i < r->count && out->size < PAGE_BYTES; i++) {
		struct page_task task = task_at(r, i);
		struct page_spec spec = {0};
		struct specs_task t;
		if (r->specs && !specs_task(r->specs, r->first + i, &t)) {
			spec = (struct page_spec){.present = true,
						  .args = t.args,
						  .args_size = t.args_size,
						  .nonce = t.nonce,
						  .nonce_size = t.nonce_size};
			spec.function = add_function(out, r->specs, t.function,
						     &functions, &options);
		}
		page_add_task(out, &h->pager, &task, &spec);
	}
	numbers_fini(&functions);
	numbers_fini(&options);
	return i;
}

/* Return: how many tasks were counted; UINT32_MAX if they have too many names, or these are gone. */
static uint32_t add_names(struct buf *out, const struct range *r, uint32_t max)
{
	CLEANUP(names_fini) struct names names = {.max = max};
	bool fits = r->specs;
	for (uint32_t i = 0; i < r->count && fits; i++) {
		struct page_task task = task_at(r, i);
		struct specs_task t;
		fits = !specs_task(r->specs, r->first + i, &t) &&
		       names_count(&names, r->specs, t.function, &task);
	}
	if (fits)
		names_add(out, &names);
	else
		pb_uint(out, PAGE_TOO_MANY_NAMES, true);
	return fits ? r->count : UINT32_MAX;
}

int history_results(struct history *h, const Cashet__Envelope *question,
		    const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__ResultsQuery *query = question->results_query;
	struct ledger_batch_row row;
	int rc = history_row(h, query->batch, live, &row, e);
	if (rc)
		return rc;
	struct range range = {.live = live};
	history_page_range(query, row.task_count, &range.first, &range.count);
	if (query->specs || query->by_name)
		range.specs = history_specs(h, &row);
	if (!live->in_memory)
		range.ends = history_ends(h, &row);
	size_t mark = pb_open(out, ENVELOPE_RESULTS_PAGE);
	pb_bytes(out, 1, row.batch.id, DIGEST_SIZE);
	pb_uint(out, 2, range.first);
	if (!range.first)
		history_add_info(h, out, 6, row.batch.batch);
	uint32_t count = query->by_name ? add_names(out, &range, query->by_name)
					: add_tasks(h, out, &range);
	pb_uint(out, 3, count == UINT32_MAX ? row.task_count : range.first + count);
	pb_uint(out, 4, row.task_count);
	pb_uint(out, 5, row.ended);
	page_add_counts(out, 9, &row.counts);
	pb_close(out, mark);
	return 0;
}
