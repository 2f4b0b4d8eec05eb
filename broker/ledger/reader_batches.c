/* reader_batches.c - batches and what belongs to them. Rows are copied out a few at a time and the
 * callbacks run between the statements: they may take as long as they like and use the reader. */
#include "broker/ledger/pack.h"
#include "broker/ledger/reader.h"

#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS 64
#define MATCH_SPARE 16 /* discarded batches may still be in the index */

/* ---- rows ---- */

static int copy_fixed(sqlite3_stmt *s, int column, uint8_t *out, size_t size)
{
	if ((size_t)sqlite3_column_bytes(s, column) != size)
		return 1;
	memcpy(out, sqlite3_column_blob(s, column), size);
	return 0;
}

/* read_row() - Return: 0; -EBADMSG if the row is damaged. */
static int read_row(sqlite3_stmt *s, struct ledger_batch_row *row)
{
	*row = (struct ledger_batch_row){
		.batch.batch = (uint64_t)sqlite3_column_int64(s, 0),
		.sealed = sqlite3_column_int(s, 4),
		.task_count = (uint32_t)sqlite3_column_int64(s, 5),
		.chunk_count = (uint32_t)sqlite3_column_int64(s, 6),
		.ended = sqlite3_column_type(s, 7) != SQLITE_NULL,
		.ended_wall_ms = (uint64_t)sqlite3_column_int64(s, 7),
	};
	int64_t paused = sqlite3_column_int64(s, 9);
	row->paused = paused > 0;
	row->resumed = paused < 0;
	row->paused_by = row->paused ? (uint32_t)(paused - 1) : 0;
	if (!copy_fixed(s, 1, row->batch.id, DIGEST_SIZE) &&
	    !copy_fixed(s, 2, row->batch.client_key, KEY_SIZE) &&
	    !copy_fixed(s, 3, row->batch.request, NONCE_SIZE) &&
	    (!row->ended ||
	     !unpack_counts(sqlite3_column_blob(s, 8), (size_t)sqlite3_column_bytes(s, 8),
			    &row->counts)))
		return 0;
	log_error("batch found damaged", "batch=%" PRIu64, row->batch.batch);
	return -EBADMSG;
}

/* count_chunks() - of a batch that is still being sent (the row says so once it is sealed). */
static int count_chunks(struct ledger_reader *r, struct ledger_batch_row *row)
{
	if (row->sealed)
		return 0;
	sqlite3_stmt *s = reader_stmt(r, R_CHUNK_COUNT);
	int rc = reader_enter(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)row->batch.batch);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		row->chunk_count = (uint32_t)sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : reader_errno(r, r->meta, rc);
}

/* read_rows() - a page of rows behind batch @from. Return: 0 or negative errno. */
static int read_rows(struct ledger_reader *r, enum reader_stmt which, uint64_t from,
		     struct ledger_batch_row *rows, size_t *countp)
{
	sqlite3_stmt *s = reader_stmt(r, which);
	int rc = reader_enter(r), err = 0;
	size_t count = 0;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)from);
	sqlite3_bind_int64(s, 2, PAGE_ROWS);
	while (!err && (rc = sqlite3_step(s)) == SQLITE_ROW)
		err = read_row(s, &rows[count++]);
	sqlite3_reset(s);
	reader_leave(r);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = reader_errno(r, r->meta, rc);
	for (size_t i = 0; i < count && !err; i++)
		err = count_chunks(r, &rows[i]);
	*countp = count;
	return err;
}

int ledger_read_batch(struct ledger_reader *r, uint64_t batch,
		      struct ledger_batch_row *row)
{
	sqlite3_stmt *s = reader_stmt(r, R_BATCH);
	struct ledger_batch_row found;
	int rc = reader_enter(r), err = 1;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		err = read_row(s, &found);
	sqlite3_reset(s);
	reader_leave(r);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return reader_errno(r, r->meta, rc);
	if (!err)
		err = count_chunks(r, &found);
	if (!err)
		*row = found;
	return err;
}

/* ---- finding ---- */

static int find_newest(struct ledger_reader *r, struct ledger_batch_row *rows, size_t max,
		       size_t *countp)
{
	sqlite3_stmt *s = reader_stmt(r, R_NEWEST);
	uint64_t batch = 0;
	int rc = reader_enter(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		batch = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	reader_leave(r);
	*countp = 0;
	if (rc == SQLITE_DONE || (rc == SQLITE_ROW && max == 0))
		return rc == SQLITE_DONE;
	if (rc != SQLITE_ROW)
		return reader_errno(r, r->meta, rc);
	int err = ledger_read_batch(r, batch, &rows[0]);
	*countp = err == 0;
	return err;
}

static int newer_first(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? 1 : -(*x > *y);
}

int ledger_find_batch(struct ledger_reader *r, const uint8_t *prefix, unsigned nibbles,
		      struct ledger_batch_row *rows, size_t max, size_t *countp)
{
	if (nibbles == 0)
		return find_newest(r, rows, max, countp);
	size_t room = (max > 2 ? max : 2) + MATCH_SPARE, count, found = 0;
	CLEANUP_FREE uint64_t *numbers = mem_alloc(room * sizeof *numbers);
	int err = reader_match(r, GAP_BATCH, prefix, nibbles, numbers, room, &count);
	if (err)
		return err;
	qsort(numbers, count, sizeof *numbers, newer_first);
	*countp = 0;
	for (size_t i = 0; i < count; i++) {
		struct ledger_batch_row row;
		err = ledger_read_batch(r, numbers[i], &row);
		if (err < 0)
			return err;
		if (err || !pack_prefix_matches(row.batch.id, prefix, nibbles))
			continue; /* discarded since */
		if (found++ < max)
			rows[(*countp)++] = row;
	}
	return found == 0 ? 1 : found == 1 ? 0 : 2;
}

/* ---- going through ---- */

static int each_batch(struct ledger_reader *r, enum reader_stmt which, uint64_t from,
		      size_t max,
		      int (*fn)(void *arg, const struct ledger_batch_row *row), void *arg)
{
	CLEANUP_FREE struct ledger_batch_row *rows = mem_alloc(PAGE_ROWS * sizeof *rows);
	size_t count = PAGE_ROWS, given = 0;
	while (count == PAGE_ROWS) {
		int err = read_rows(r, which, from, rows, &count);
		if (err)
			return err;
		for (size_t i = 0; i < count; i++) {
			if (max && given++ == max)
				return 0;
			int stop = fn(arg, &rows[i]);
			if (stop)
				return stop;
			from = rows[i].batch.batch;
		}
	}
	return 0;
}

int ledger_list_batches(struct ledger_reader *r, size_t max,
			int (*fn)(void *arg, const struct ledger_batch_row *row),
			void *arg)
{
	return each_batch(r, R_LIST, INT64_MAX, max, fn, arg);
}

int ledger_list_batches_before(struct ledger_reader *r, uint64_t before,
			       int (*fn)(void *arg, const struct ledger_batch_row *row),
			       void *arg)
{
	return each_batch(r, R_LIST, before ? before : INT64_MAX, 0, fn, arg);
}

int ledger_each_open_batch(struct ledger_reader *r,
			   int (*fn)(void *arg, const struct ledger_batch_row *row),
			   void *arg)
{
	return each_batch(r, R_OPEN, 0, 0, fn, arg);
}

int ledger_read_chunk(struct ledger_reader *r, uint64_t batch, uint32_t chunk,
		      struct buf *out)
{
	return ledger_read_chunk_head(r, batch, chunk, SIZE_MAX, out);
}

int ledger_read_chunk_head(struct ledger_reader *r, uint64_t batch, uint32_t chunk,
			   size_t max, struct buf *out)
{
	sqlite3_stmt *s = reader_stmt(r, R_CHUNK);
	int rc = reader_enter(r), err = 1;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	sqlite3_bind_int64(s, 2, chunk);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		uint64_t raw_size = (uint64_t)sqlite3_column_int64(s, 0);
		const void *body = sqlite3_column_blob(s, 1);
		size_t size = (size_t)sqlite3_column_bytes(s, 1);
		err = 0;
		if (raw_size > max)
			err = unpack_chunk_head(body, size, max, out);
		else if (raw_size)
			err = unpack_chunk(body, size, raw_size, out);
		else
			buf_add(out, body, size < max ? size : max);
		if (err == -EBADMSG)
			log_error("chunk found damaged", "batch=%" PRIu64 " chunk=%u",
				  batch, chunk);
		if (out->failed)
			err = -ENOMEM;
	}
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? err : reader_errno(r, r->meta, rc);
}

int ledger_has_tags(struct ledger_reader *r, uint64_t batch)
{
	int rc = reader_enter(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_stmt *s = reader_stmt(r, R_HAS_TAGS);
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	rc = sqlite3_step(s);
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_ROW	   ? 0
	       : rc == SQLITE_DONE ? 1
				   : reader_errno(r, r->meta, rc);
}

/* next_entries() - copy the row of a batch behind *seqp to @out. Return: 0; 1 if none is left. */
static int next_entries(struct ledger_reader *r, enum reader_stmt which, uint64_t batch,
			uint64_t *seqp, struct buf *out)
{
	sqlite3_stmt *s = reader_stmt(r, which);
	int rc = reader_enter(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)batch);
	sqlite3_bind_int64(s, 2, (int64_t)*seqp);
	buf_reset(out);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		*seqp = (uint64_t)sqlite3_column_int64(s, 0);
		buf_add(out, sqlite3_column_blob(s, 1),
			(size_t)sqlite3_column_bytes(s, 1));
	}
	sqlite3_reset(s);
	reader_leave(r);
	if (out->failed)
		return -ENOMEM;
	return rc == SQLITE_ROW	   ? 0
	       : rc == SQLITE_DONE ? 1
				   : reader_errno(r, r->meta, rc);
}

static int bad_row(const char *what, uint64_t batch)
{
	log_error("row found damaged", "kind=%s batch=%" PRIu64, what, batch);
	return -EBADMSG;
}

int ledger_each_end(struct ledger_reader *r, uint64_t batch,
		    int (*fn)(void *arg, const struct ledger_end *end), void *arg)
{
	CLEANUP_BUF struct buf row = {0}; /* not the reader's: callbacks may read too */
	struct ledger_end end;
	uint64_t seq = 0;
	int rc, stop;
	while (!(rc = next_entries(r, R_ENDS, batch, &seq, &row))) {
		size_t at = 0;
		while (!(rc = unpack_end(row.data, row.size, at++, &end)))
			if ((stop = fn(arg, &end)))
				return stop;
		if (rc == 2)
			return bad_row("ends", batch);
	}
	return rc == 1 ? 0 : rc;
}

int ledger_each_lease(struct ledger_reader *r, uint64_t batch,
		      int (*fn)(void *arg, const struct ledger_lease *lease), void *arg)
{
	CLEANUP_BUF struct buf row = {0};
	struct ledger_lease lease;
	uint64_t seq = 0;
	int rc, stop;
	while (!(rc = next_entries(r, R_LEASES, batch, &seq, &row))) {
		size_t at = 0;
		while (!(rc = unpack_lease(row.data, row.size, at++, &lease)))
			if ((stop = fn(arg, &lease)))
				return stop;
		if (rc == 2)
			return bad_row("leases", batch);
	}
	return rc == 1 ? 0 : rc;
}

int ledger_each_checkpoint(struct ledger_reader *r, uint64_t batch,
			   int (*fn)(void *arg,
				     const struct ledger_checkpoint *checkpoint),
			   void *arg)
{
	CLEANUP_BUF struct buf row = {0};
	struct ledger_checkpoint checkpoint;
	uint64_t seq = 0;
	int rc, stop;
	while (!(rc = next_entries(r, R_CHECKPOINTS, batch, &seq, &row))) {
		if (unpack_checkpoint(row.data, row.size, &checkpoint))
			return bad_row("checkpoints", batch);
		checkpoint.index = (uint32_t)(seq - 1);
		if (checkpoint.size && (stop = fn(arg, &checkpoint)))
			return stop;
	}
	return rc == 1 ? 0 : rc;
}

int ledger_read_stats(struct ledger_reader *r, struct ledger_stats *stats)
{
	struct ledger_counters counters;
	int err = ledger_read_counters(r, &counters);
	if (!err)
		*stats = (struct ledger_stats){
			.commits = counters.completed + counters.failed,
			.batches = counters.batches,
			.inline_blobs = counters.inline_blobs,
		};
	return err;
}
