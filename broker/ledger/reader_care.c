/* reader_care.c - pins, small blobs, counters: what the care of a store asks. */
#include "broker/ledger/reader.h"

#include "broker/ledger/state.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PAGE_ROWS 256

/* ---- pins ---- */

int ledger_find_pin(struct ledger_reader *r, const char *name, uint8_t hash[DIGEST_SIZE])
{
	sqlite3_stmt *s = reader_stmt(r, R_PIN);
	int rc = reader_enter(r), err = 1;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		err = sqlite3_column_bytes(s, 0) == DIGEST_SIZE ? 0 : -EBADMSG;
		if (!err)
			memcpy(hash, sqlite3_column_blob(s, 0), DIGEST_SIZE);
	}
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? err : reader_errno(r, r->meta, rc);
}

/* next_pin() - the one behind the name in @name, which takes its place. Return: 0; 1 at the end. */
static int next_pin(struct ledger_reader *r, struct buf *name, struct ledger_pin *pin)
{
	sqlite3_stmt *s = reader_stmt(r, R_PINS);
	int rc = reader_enter(r), err = 1;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_text(s, 1, buf_cstr(name), -1, SQLITE_TRANSIENT);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		err = sqlite3_column_bytes(s, 1) == DIGEST_SIZE ? 0 : -EBADMSG;
		if (!err)
			memcpy(pin->hash, sqlite3_column_blob(s, 1), DIGEST_SIZE);
		pin->wall_ms = (uint64_t)sqlite3_column_int64(s, 2);
		buf_reset(name);
		buf_add_str(name, (const char *)sqlite3_column_text(s, 0));
		pin->name = buf_cstr(name);
	}
	sqlite3_reset(s);
	reader_leave(r);
	if (name->failed)
		return -ENOMEM;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? err : reader_errno(r, r->meta, rc);
}

int ledger_each_pin(struct ledger_reader *r,
		    int (*fn)(void *arg, const struct ledger_pin *pin), void *arg)
{
	CLEANUP_BUF struct buf name = {0};
	struct ledger_pin pin;
	int err, stop;
	while (!(err = next_pin(r, &name, &pin)))
		if ((stop = fn(arg, &pin)))
			return stop;
	return err == 1 ? 0 : err;
}

/* ---- small blobs ---- */

struct inline_row {
	uint64_t seq, size;
	uint8_t digest[DIGEST_SIZE];
};

static int read_inline(struct ledger_reader *r, uint64_t from, struct inline_row *rows,
		       size_t *countp)
{
	sqlite3_stmt *s = reader_stmt(r, R_INLINE);
	int rc = reader_enter(r);
	*countp = 0;
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	sqlite3_bind_int64(s, 1, (int64_t)from);
	sqlite3_bind_int64(s, 2, PAGE_ROWS);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct inline_row *row = &rows[(*countp)++];
		row->seq = (uint64_t)sqlite3_column_int64(s, 0);
		row->size = (uint64_t)sqlite3_column_int64(s, 2);
		/* One that is malformed has no name by which anybody finds it. */
		memset(row->digest, 0, DIGEST_SIZE);
		if (sqlite3_column_bytes(s, 1) == DIGEST_SIZE)
			memcpy(row->digest, sqlite3_column_blob(s, 1), DIGEST_SIZE);
	}
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_DONE ? 0 : reader_errno(r, r->meta, rc);
}

int ledger_each_inline(struct ledger_reader *r, uint64_t from,
		       int (*fn)(void *arg, uint64_t seq,
				 const uint8_t digest[DIGEST_SIZE], uint64_t size),
		       void *arg)
{
	CLEANUP_FREE struct inline_row *rows = mem_alloc(PAGE_ROWS * sizeof *rows);
	size_t count = PAGE_ROWS;
	while (count == PAGE_ROWS) {
		int err = read_inline(r, from, rows, &count);
		if (err)
			return err;
		for (size_t i = 0; i < count; i++) {
			int stop = fn(arg, rows[i].seq, rows[i].digest, rows[i].size);
			if (stop)
				return stop;
			from = rows[i].seq;
		}
	}
	return 0;
}

int ledger_read_inline(struct ledger_reader *r, uint64_t seq, struct buf *out)
{
	uint8_t digest[DIGEST_SIZE];
	return reader_read_checked(r, R_BLOB, seq, out, digest);
}

/* ---- counters ---- */

int reader_state(struct ledger_reader *r, struct journal_state *state)
{
	sqlite3_stmt *s = reader_stmt(r, R_STATE);
	*state = (struct journal_state){0};
	int rc = reader_enter(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		state_unpack(sqlite3_column_blob(s, 0),
			     (size_t)sqlite3_column_bytes(s, 0), state);
	sqlite3_reset(s);
	reader_leave(r);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : reader_errno(r, r->meta, rc);
}

int ledger_read_counters(struct ledger_reader *r, struct ledger_counters *counters)
{
	struct journal_state state;
	int err = reader_state(r, &state);
	*counters = state.counters;
	return err;
}

int ledger_read_tops(struct ledger_reader *r, struct ledger_tops *tops)
{
	struct journal_state state;
	int err = reader_state(r, &state);
	*tops = (struct ledger_tops){state.mark.commit, state.mark.batch,
				     state.mark.blob};
	return err;
}

static int count_commit(void *arg, const struct ledger_commit_row *row)
{
	CLEANUP_BUF struct buf arena = {0};
	struct commit c;
	if (commit_decode(row->body, row->size, &c, &arena) == 0)
		state_count_commit(arg, &c, false);
	return 0;
}

static int count_inline(void *arg, uint64_t seq, const uint8_t digest[DIGEST_SIZE],
			uint64_t size)
{
	struct ledger_counters *counters = arg;
	(void)seq;
	(void)digest;
	counters->inline_blobs++;
	counters->inline_bytes += size;
	return 0;
}

/* pragma() - a number about meta.db. */
static int pragma(struct ledger_reader *r, const char *sql, uint64_t *value)
{
	int rc = reader_enter(r);
	if (rc != SQLITE_OK)
		return reader_errno(r, r->meta, rc);
	rc = db_int(r->meta, sql, value);
	reader_leave(r);
	return rc == SQLITE_OK ? 0 : reader_errno(r, r->meta, rc);
}

int ledger_is_clean(struct ledger_reader *r)
{
	uint64_t clean = 0;
	int rc = pragma(r, "SELECT value FROM meta WHERE key='clean'", &clean);
	return rc ? rc : !clean;
}

int ledger_count(struct ledger_reader *r, struct ledger_counters *counters)
{
	*counters = (struct ledger_counters){0};
	int err = pragma(r, "SELECT count(*) FROM batches", &counters->batches);
	if (!err)
		err = ledger_each_commit(r, LEDGER_OLDEST_FIRST, 0, count_commit,
					 counters);
	return err ? err : ledger_each_inline(r, 0, count_inline, counters);
}

int ledger_file_bytes(struct ledger_reader *r, uint64_t *sizep, uint64_t *freep)
{
	uint64_t size = 0, pages = 0, spare = 0;
	int err = pragma(r, "PRAGMA page_size", &size);
	if (!err)
		err = pragma(r, "PRAGMA page_count", &pages);
	if (!err)
		err = pragma(r, "PRAGMA freelist_count", &spare);
	*sizep = pages * size;
	*freep = spare * size;
	return err;
}
