/* reader_use.c - see reader_use.h. The writer may sum up while we read: then a hit may be counted twice
 * in what one walk says, never in what is kept. */
#include "broker/ledger/reader_use.h"

#include "broker/ledger/pack.h"
#include "broker/ledger/reader.h"
#include "broker/ledger/state.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE_ROWS 16
#define SAVED_LOOKS 16 /* commits: reading one takes up to 100 us */
/* Where few of many ends are hits, no more of these are looked at. */
#define SAVED_ROWS 64
#define SAVED_BYTES (64u << 10)

static void add_row(struct use_rest *rest, const void *entries, size_t size,
		    uint64_t wall_ms)
{
	struct ledger_end end;
	for (size_t at = 0; unpack_end(entries, size, at, &end) == 0; at++) {
		if (!(end.flags & LEDGER_END_CACHED) || !end.commit)
			continue;
		if (rest->max && rest->count == rest->max) {
			rest->more++;
			continue;
		}
		mem_grow(rest->items, rest->count, rest->capacity);
		rest->items[rest->count++] = (struct use){end.commit, wall_ms, 1};
	}
}

/* *@rowsp: at most so many; then those that there were. @bytesp: goes up by their size. */
static int read_page(struct use_rest *rest, struct ledger_reader *r, uint64_t *fromp,
		     size_t *rowsp, size_t *bytesp)
{
	size_t max = *rowsp;
	sqlite3_stmt *s = reader_stmt(r, R_RECENT_ENDS);
	int rc = reader_enter(r);
	*rowsp = 0;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)*fromp);
	sqlite3_bind_int64(s, 2, (int64_t)max);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		*fromp = (uint64_t)sqlite3_column_int64(s, 0);
		add_row(rest, sqlite3_column_blob(s, 2),
			(size_t)sqlite3_column_bytes(s, 2),
			(uint64_t)sqlite3_column_int64(s, 1));
		*bytesp += (size_t)sqlite3_column_bytes(s, 2);
		++*rowsp;
	}
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_DONE ? 0 : reader_errno(r, r->meta, rc);
}

static int by_seq(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void sum_up(struct use_rest *rest)
{
	size_t kept = 0;
	if (rest->count)
		qsort(rest->items, rest->count, sizeof *rest->items, by_seq);
	for (size_t i = 0; i < rest->count; i++) {
		struct use *from = &rest->items[i];
		struct use *to = kept ? &rest->items[kept - 1] : NULL;
		if (!to || to->seq != from->seq) {
			rest->items[kept++] = *from;
			continue;
		}
		to->hits += from->hits;
		if (from->last_used_ms > to->last_used_ms)
			to->last_used_ms = from->last_used_ms;
	}
	rest->count = kept;
}

int use_rest_read(struct use_rest *rest, struct ledger_reader *r)
{
	struct journal_state state;
	*rest = (struct use_rest){0};
	int err = reader_state(r, &state);
	uint64_t from = state.folded;
	size_t rows = PAGE_ROWS, bytes = 0;
	while (!err && rows == PAGE_ROWS)
		err = read_page(rest, r, &from, &rows, &bytes);
	sum_up(rest);
	return err;
}

int ledger_saved_ns(struct ledger_reader *r, uint64_t *saved_ns)
{
	CLEANUP(use_rest_fini) struct use_rest rest = {.max = SAVED_LOOKS};
	CLEANUP_BUF struct buf body = {0}, arena = {0};
	struct journal_state state;
	uint64_t hits, looked = 0, sum = 0;
	int err = reader_state(r, &state);
	uint64_t from = state.folded;
	size_t rows = 1, bytes = 0, total = 0;
	*saved_ns = state.counters.saved_ns;
	while (!err && rows && total < SAVED_ROWS && bytes < SAVED_BYTES) {
		/* A row is all that one turn has ended: one task, or a hundred thousand. */
		rows = total && bytes / total < 1024 ? PAGE_ROWS : 1;
		err = read_page(&rest, r, &from, &rows, &bytes);
		total += rows;
	}
	if (err)
		return err;
	sum_up(&rest);
	for (size_t i = 0; i < rest.count; i++) {
		struct ledger_commit_row row;
		struct commit c;
		buf_reset(&body);
		buf_reset(&arena);
		if (ledger_read_commit_row(r, rest.items[i].seq, &body, &row) ||
		    commit_decode(row.body, row.size, &c, &arena))
			continue;
		looked += rest.items[i].hits;
		sum += rest.items[i].hits * c.duration_ns;
	}
	hits = rest.more;
	for (size_t i = 0; i < rest.count; i++)
		hits += rest.items[i].hits;
	if (looked < hits && looked)
		sum = sum / looked * hits;
	*saved_ns += sum;
	return 0;
}

void use_rest_fini(struct use_rest *rest)
{
	free(rest->items);
	*rest = (struct use_rest){0};
}

void use_rest_add(const struct use_rest *rest, struct ledger_commit_row *row)
{
	const struct use key = {.seq = row->seq};
	if (!rest->count)
		return;
	const struct use *use =
		bsearch(&key, rest->items, rest->count, sizeof key, by_seq);
	if (!use)
		return;
	row->hits += use->hits;
	if (use->last_used_ms > row->last_used_ms)
		row->last_used_ms = use->last_used_ms;
}
