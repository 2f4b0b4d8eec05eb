/* batches.c - BatchesQuery: the newest batches, or one. */
#include "broker/history/parts.h"

#include "common/pure/mem.h"

#include <stdlib.h>

#define BATCHES_DEFAULT 20
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

static size_t how_many(const Cashet__BatchesQuery *query)
{
	return query->max ? query->max : query->all ? 0 : BATCHES_DEFAULT;
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
	} else {
		ledger_list_batches(history_reader(h), how_many(query), keep_row, &rows);
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
	if (!query->has_one && !ledger_read_stats(history_reader(h), &stats) &&
	    stats.batches > i)
		left = stats.batches - i;
	pb_uint(out, 2, left);
	pb_close(out, mark);
	free(rows.items);
	return 0;
}
