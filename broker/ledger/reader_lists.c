/* reader_lists.c - candidates, newest first: those of the gap, collected at the beginning, and pages
 * of those in index.db, merged. What moves from the one to the other meanwhile comes once. */
#include "broker/ledger/reader.h"

#include "broker/ledger/impl.h"
#include "broker/ledger/index_names.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 64

static void collect(struct ledger_reader *r, enum gap_kind kind, const uint8_t key[8],
		    struct gap_seqs *out)
{
	if (r->ledger)
		gap_list(&r->ledger->gap, kind, key, out);
	else
		gap_layer_list(r->layer, kind, key, out);
}

/* find_first() - a packed row that begins above @below may hold some below it. */
static int find_first(struct reader_list *list)
{
	struct ledger_reader *r = list->r;
	sqlite3_stmt *s = reader_stmt(r, R_NAME_FIRST);
	int rc = reader_enter_index(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->index, rc);
	sqlite3_bind_blob(s, 1, list->key, sizeof list->key, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)list->below);
	rc = sqlite3_step(s);
	list->from =
		rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) + 1 : INT64_MAX;
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : reader_errno(r, r->index, rc);
}

int reader_list_begin(struct reader_list *list, struct ledger_reader *r,
		      enum gap_kind kind, const uint8_t key[8], uint64_t below)
{
	*list = (struct reader_list){.r = r, .below = below ? below : INT64_MAX};
	list->from = list->below;
	list->stmt = kind == GAP_NAME ? R_NAMES : kind == GAP_TAG ? R_TAGS : R_RUNS;
	memcpy(list->key, key, sizeof list->key);
	int err = r->ledger ? 0 : reader_refresh(r);
	if (err)
		return err;
	collect(r, kind, key, &list->gap);
	if (kind == GAP_RUN)
		collect(r, GAP_OVER, key, &list->gap);
	return kind == GAP_NAME && below && r->index ? find_first(list) : 0;
}

void reader_list_add(struct reader_list *list, uint64_t seq)
{
	mem_grow(list->gap.items, list->gap.count, list->gap.capacity);
	list->gap.items[list->gap.count++] = seq;
}

static int newer_first(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? 1 : -(*x > *y);
}

/* keep_row() - Return: 0; 1 if it is malformed. */
static int keep_row(struct reader_list *list, sqlite3_stmt *s)
{
	struct gap_seqs *page = &list->page;
	list->from = (uint64_t)sqlite3_column_int64(s, 0);
	if (list->stmt == R_NAMES)
		return names_unpack(list->from, sqlite3_column_blob(s, 1),
				    (size_t)sqlite3_column_bytes(s, 1), page);
	mem_grow(page->items, page->count, page->capacity);
	page->items[page->count++] = list->from;
	return 0;
}

/* next_page() - of the index. Return: 0 or negative errno. */
static int next_page(struct reader_list *list)
{
	struct ledger_reader *r = list->r;
	size_t rows = 0, max = list->stmt == R_NAMES ? 1 : PAGE_ROWS;
	list->page.count = list->place = 0;
	list->ended |= !r->index;
	if (list->ended)
		return 0;
	sqlite3_stmt *s = reader_stmt(r, list->stmt);
	int rc = reader_enter_index(r), malformed = 0;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->index, rc);
	sqlite3_bind_blob(s, 1, list->key, sizeof list->key, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)list->from);
	sqlite3_bind_int64(s, 3, (int64_t)max);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW && !malformed) {
		malformed = keep_row(list, s);
		rows++;
	}
	sqlite3_reset(s);
	reader_leave(r);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		rc = malformed ? SQLITE_CORRUPT : SQLITE_DONE;
	if (rc != SQLITE_DONE)
		return reader_errno(r, r->index, rc);
	list->ended = rows < max;
	return 0;
}

int reader_list_next(struct reader_list *list, uint64_t *seqp)
{
	struct gap_seqs *gap = &list->gap;
	if (!list->sorted && gap->count)
		qsort(gap->items, gap->count, sizeof *gap->items, newer_first);
	list->sorted = true;
	while (list->at < gap->count && gap->items[list->at] >= list->below)
		list->at++;
	for (;;) {
		const struct gap_seqs *page = &list->page;
		while (list->place < page->count &&
		       page->items[list->place] >= list->below)
			list->place++;
		if (list->place < page->count || list->ended)
			break;
		int err = next_page(list);
		if (err)
			return err;
	}
	uint64_t in_gap = list->at < gap->count ? gap->items[list->at] : 0;
	uint64_t in_index =
		list->place < list->page.count ? list->page.items[list->place] : 0;
	if (!in_gap && !in_index)
		return 1;
	*seqp = list->below = in_gap > in_index ? in_gap : in_index;
	return 0;
}

void reader_list_end(struct reader_list *list)
{
	free(list->gap.items);
	free(list->page.items);
	list->gap = list->page = (struct gap_seqs){0};
}
