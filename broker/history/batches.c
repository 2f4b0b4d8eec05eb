/* batches.c - BatchesQuery: the batches that are going on, or all, the newest first; or one. */
#include "broker/history/parts.h"

#include "common/pure/mem.h"

#include <stdlib.h>

#define BATCHES_BYTES (4u << 20)
enum { ENVELOPE_BATCHES = 30 };

struct rows {
	struct ledger_batch_row *items;
	size_t count, room;
};

static int keep_row(void *arg, const struct ledger_batch_row *row)
{
	struct rows *rows = arg;
	mem_grow(rows->items, rows->count, rows->room);
	rows->items[rows->count++] = *row;
	return 0;
}

static int by_number(const void *key, const void *item)
{
	uint64_t a = *(const uint64_t *)key,
		 b = ((const struct history_live_batch *)item)->number;
	return a < b ? -1 : a > b;
}

static void add_row(struct history *h, const struct history_live *live, struct buf *out,
		    const struct ledger_batch_row *row)
{
	const struct history_live_batch *now =
		row->ended || !live->batch_count
			? NULL
			: bsearch(&row->batch.batch, live->batches, live->batch_count,
				  sizeof *live->batches, by_number);
	size_t mark = pb_open(out, 1);
	pb_bytes(out, 1, row->batch.id, DIGEST_SIZE);
	history_add_info(h, out, 2, row->batch.batch);
	page_add_counts(out, 3, now ? &now->counts : &row->counts);
	pb_uint(out, 4, row->ended);
	pb_uint(out, 5, row->ended_wall_ms);
	pb_uint(out, 6, now ? now->paused : row->paused && !row->ended);
	pb_text(out, 7, now ? now->note : NULL);
	pb_close(out, mark);
}

static int keep_open_row(void *arg, const struct ledger_batch_row *row)
{
	return row->sealed && !row->ended ? keep_row(arg, row) : 0;
}

/* Those that have not ended are in the broker's memory; of a store without a broker, those that one
 * will find when it starts. */
static void list_open(struct history *h, const struct history_live *live, size_t max,
		      struct rows *rows)
{
	struct ledger_batch_row row;
	if (!live->batches) {
		ledger_each_open_batch(history_reader(h), keep_open_row, rows);
		for (size_t i = 0; i < rows->count / 2; i++) {
			row = rows->items[i];
			rows->items[i] = rows->items[rows->count - 1 - i];
			rows->items[rows->count - 1 - i] = row;
		}
		if (max && rows->count > max)
			rows->count = max;
		return;
	}
	for (size_t i = live->batch_count; i-- > 0 && (!max || rows->count < max);)
		if (!ledger_read_batch(history_reader(h), live->batches[i].number, &row))
			keep_open_row(rows, &row);
}

int history_batches(struct history *h, const Cashet__Envelope *question,
		    const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__BatchesQuery *query = question->batches_query;
	struct rows rows = {0};
	if (query->has_one) {
		struct ledger_batch_row row;
		int rc = history_row(h, query->one, live, &row, e);
		if (rc)
			return rc;
		keep_row(&rows, &row);
	} else if (query->all) {
		ledger_list_batches(history_reader(h), query->max, keep_row, &rows);
	} else {
		list_open(h, live, query->max, &rows);
	}
	size_t mark = pb_open(out, ENVELOPE_BATCHES);
	size_t i = 0;
	for (; i < rows.count && out->size < BATCHES_BYTES; i++) {
		if (!live->batches)
			history_count(h, &rows.items[i]);
		add_row(h, live, out, &rows.items[i]);
	}
	struct ledger_stats stats = {0};
	uint64_t left = rows.count - i;
	if (query->all && !query->has_one &&
	    !ledger_read_stats(history_reader(h), &stats) && stats.batches > i)
		left = stats.batches - i;
	pb_uint(out, 2, left);
	pb_close(out, mark);
	free(rows.items);
	return 0;
}
