/* index_names.c - see index_names.h. Entries: the differences between the numbers, descending from the
 * row's seq, as varints. */
#include "broker/ledger/index_names.h"

#include "broker/ledger/index.h"
#include "common/pure/mem.h"
#include "proto/pb.h"

#include <stdlib.h>
#include <string.h>

int names_unpack(uint64_t last, const void *entries, size_t size, struct gap_seqs *out)
{
	/* Empty is NULL to SQLite. */
	const uint8_t *at = size ? entries : (const void *)"", *end = at + size;
	for (uint64_t delta = 0;; delta = 0) {
		mem_grow(out->items, out->count, out->capacity);
		out->items[out->count++] = last;
		unsigned shift = 0;
		if (at == end)
			return 0;
		do {
			if (at == end || shift > 63)
				return 1;
			delta |= (uint64_t)(*at & 0x7f) << shift;
			shift += 7;
		} while (*at++ & 0x80);
		if (delta >= last)
			return 1;
		last -= delta;
	}
}

/* put_row() - @count numbers, ascending. */
static int put_row(struct index *index, const uint8_t key[8], const uint64_t *seqs,
		   size_t count)
{
	sqlite3_stmt *s = index->put[GAP_NAME];
	CLEANUP_BUF struct buf row = {0};
	for (size_t i = count - 1; i > 0; i--)
		if (seqs[i] != seqs[i - 1])
			pb_varint(&row, seqs[i] - seqs[i - 1]);
	if (row.failed)
		return SQLITE_NOMEM;
	sqlite3_bind_blob(s, 1, key, 8, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)seqs[count - 1]);
	sqlite3_bind_blob64(s, 3, row.size ? row.data : (const void *)"", row.size,
			    SQLITE_STATIC);
	return db_run(s);
}

int index_put_names(struct index *index, const struct gap_list *list)
{
	CLEANUP_FREE struct gap_pair *pairs = gap_list_sorted(list);
	uint64_t seqs[NAMES_ROW_MAX];
	int rc = SQLITE_OK;
	for (size_t at = 0, n; at < list->count && rc == SQLITE_OK; at += n) {
		for (n = 0; n < NAMES_ROW_MAX && at + n < list->count; n++) {
			if (memcmp(pairs[at + n].key, pairs[at].key, 8) != 0)
				break;
			seqs[n] = pairs[at + n].seq;
		}
		rc = put_row(index, pairs[at].key, seqs, n);
	}
	return rc;
}

/* find_row() - the first one that may hold @seq. @row: its numbers, descending; empty if none. */
static int find_row(struct index *index, const uint8_t key[8], uint64_t seq,
		    struct gap_seqs *row)
{
	sqlite3_stmt *s = index->name_row;
	int malformed = 0;
	row->count = 0;
	sqlite3_bind_blob(s, 1, key, 8, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)seq);
	if (sqlite3_step(s) == SQLITE_ROW)
		malformed = names_unpack((uint64_t)sqlite3_column_int64(s, 0),
					 sqlite3_column_blob(s, 1),
					 (size_t)sqlite3_column_bytes(s, 1), row);
	int rc = sqlite3_reset(s);
	return rc == SQLITE_OK && malformed ? SQLITE_CORRUPT : rc;
}

/* drop_from_row() - those of @pairs (ascending, of one name) that the row covers; *usedp: how many.
 * Those of @row that are left are written back. */
static int drop_from_row(struct index *index, const struct gap_pair *pairs, size_t count,
			 const struct gap_seqs *row, size_t *usedp)
{
	sqlite3_stmt *s = index->drop[GAP_NAME];
	CLEANUP_FREE uint64_t *left = mem_alloc(row->count * sizeof *left);
	size_t kept = 0, at = 0;
	for (size_t i = row->count; i-- > 0;) { /* ascending */
		while (at < count && pairs[at].seq < row->items[i])
			at++;
		if (at == count || pairs[at].seq != row->items[i])
			left[kept++] = row->items[i];
	}
	while (at < count && pairs[at].seq <= row->items[0])
		at++;
	*usedp = at;
	if (kept == row->count)
		return SQLITE_OK;
	sqlite3_bind_blob(s, 1, pairs[0].key, 8, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (int64_t)row->items[0]);
	int rc = db_run(s);
	return rc == SQLITE_OK && kept ? put_row(index, pairs[0].key, left, kept) : rc;
}

int index_drop_names(struct index *index, const struct gap_list *list)
{
	CLEANUP_FREE struct gap_pair *pairs = gap_list_sorted(list);
	struct gap_seqs row = {0};
	int rc = SQLITE_OK;
	for (size_t at = 0; at < list->count && rc == SQLITE_OK;) {
		size_t end = at, used = 1;
		while (end < list->count && memcmp(pairs[end].key, pairs[at].key, 8) == 0)
			end++;
		rc = find_row(index, pairs[at].key, pairs[at].seq, &row);
		if (rc == SQLITE_OK && !row.count)
			used = end - at; /* all are above the last row */
		else if (rc == SQLITE_OK)
			rc = drop_from_row(index, pairs + at, end - at, &row, &used);
		at += used;
	}
	free(row.items);
	return rc;
}
