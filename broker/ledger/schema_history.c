/* schema_history.c - the step from a record that only grows to one that is cared for. What is kept up
 * to date from then on is counted here once: a pass over all commits, ends and chunks. */
#include "broker/ledger/schema.h"

#include "broker/ledger/pack.h"
#include "broker/ledger/state.h"
#include "broker/ledger/tags.h"

#include <string.h>

const char schema_history_sql[] =
	"CREATE TABLE batch_tags(seq INTEGER PRIMARY KEY, batch INTEGER NOT NULL,"
	"  keys BLOB NOT NULL);"
	"CREATE INDEX batch_tags_batch ON batch_tags(batch);"
	"CREATE TABLE commit_tags(seq INTEGER PRIMARY KEY, entries BLOB NOT NULL);"
	"CREATE TABLE pins(name TEXT PRIMARY KEY, hash BLOB NOT NULL,"
	"  wall_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE staged(import INTEGER, n INTEGER, current INTEGER NOT NULL,"
	"  body BLOB NOT NULL, tags BLOB NOT NULL, PRIMARY KEY(import, n)) WITHOUT ROWID;"
	"CREATE TABLE use(seq INTEGER PRIMARY KEY, last_used_ms INTEGER NOT NULL,"
	"  hits INTEGER NOT NULL);"
	"CREATE TABLE changes(seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
	"  number INTEGER NOT NULL, keys BLOB NOT NULL);"
	"ALTER TABLE ends ADD COLUMN wall_ms INTEGER;"
	"CREATE INDEX ends_in_order ON ends(seq);";

static int each_row(sqlite3 *db, const char *sql, int (*fn)(void *arg, sqlite3_stmt *row),
		    void *arg)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL), stop = SQLITE_OK;
	while (rc == SQLITE_OK && stop == SQLITE_OK &&
	       (rc = sqlite3_step(s)) == SQLITE_ROW) {
		stop = fn(arg, s);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(s);
	return stop != SQLITE_OK ? stop : rc == SQLITE_DONE ? SQLITE_OK : rc;
}

struct counting {
	struct journal_state state;
	struct buf buf, keys;
	sqlite3_stmt *put;
};

/* Of a row that is damaged nothing is counted: fsck finds it. */
static int count_commit(void *arg, sqlite3_stmt *row)
{
	struct counting *c = arg;
	struct commit commit;
	buf_reset(&c->buf);
	if (commit_decode(sqlite3_column_blob(row, 0),
			  (size_t)sqlite3_column_bytes(row, 0), &commit, &c->buf) == 0)
		state_count_commit(&c->state.counters, &commit, false);
	return SQLITE_OK;
}

static int count_ends(void *arg, sqlite3_stmt *row)
{
	struct counting *c = arg;
	struct ledger_end end;
	for (size_t at = 0;
	     unpack_end(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0),
			at, &end) == 0;
	     at++)
		state_count_end(&c->state.counters, &end);
	return SQLITE_OK;
}

static int find_tags(void *arg, sqlite3_stmt *row)
{
	struct counting *c = arg;
	const void *body = sqlite3_column_blob(row, 2);
	size_t size = (size_t)sqlite3_column_bytes(row, 2);
	uint64_t raw_size = (uint64_t)sqlite3_column_int64(row, 1);
	buf_reset(&c->buf);
	buf_reset(&c->keys);
	if (raw_size) {
		if (unpack_chunk(body, size, raw_size, &c->buf))
			return SQLITE_OK;
		body = c->buf.data;
		size = c->buf.size;
	}
	tags_of_chunk(&c->keys, body, size);
	if (!c->keys.size)
		return c->keys.failed ? SQLITE_NOMEM : SQLITE_OK;
	sqlite3_bind_int64(c->put, 1, (int64_t)++c->state.mark.tag);
	sqlite3_bind_int64(c->put, 2, sqlite3_column_int64(row, 0));
	sqlite3_bind_blob64(c->put, 3, c->keys.data, c->keys.size, SQLITE_STATIC);
	return db_run(c->put);
}

static int read_hash(void *arg, sqlite3_stmt *row)
{
	struct counting *c = arg;
	c->state.mark.commit = (uint64_t)sqlite3_column_int64(row, 0);
	if (sqlite3_column_bytes(row, 1) == DIGEST_SIZE)
		memcpy(c->state.mark.commit_hash, sqlite3_column_blob(row, 1),
		       DIGEST_SIZE);
	return SQLITE_OK;
}

static int read_numbers(sqlite3 *db, struct journal_state *state)
{
	const struct {
		const char *sql;
		uint64_t *value;
	} numbers[] = {
		{"SELECT max(seq) FROM inline", &state->mark.blob},
		{"SELECT max(coalesce((SELECT max(batch) FROM batches), 0),"
		 " coalesce((SELECT value FROM meta WHERE key='top_batch'), 0))",
		 &state->mark.batch},
		{"SELECT count(*) FROM batches", &state->counters.batches},
		{"SELECT count(*) FROM inline", &state->counters.inline_blobs},
		{"SELECT sum(length(bytes)) FROM inline", &state->counters.inline_bytes},
	};
	int rc = SQLITE_OK;
	for (size_t i = 0; i < ARRAY_LEN(numbers) && rc == SQLITE_OK; i++)
		rc = db_int(db, numbers[i].sql, numbers[i].value);
	return rc;
}

int schema_history_count(sqlite3 *db)
{
	struct counting c = {0};
	int rc = db_prepare(db, "INSERT INTO batch_tags VALUES(?1, ?2, ?3)", &c.put);
	if (rc == SQLITE_OK)
		rc = read_numbers(db, &c.state);
	if (rc == SQLITE_OK)
		rc = each_row(db, "SELECT body FROM commits", count_commit, &c);
	if (rc == SQLITE_OK)
		rc = each_row(db,
			      "SELECT seq, hash FROM commits ORDER BY seq DESC LIMIT 1",
			      read_hash, &c);
	if (rc == SQLITE_OK)
		rc = each_row(db, "SELECT entries FROM ends", count_ends, &c);
	if (rc == SQLITE_OK)
		rc = each_row(db,
			      "SELECT batch, raw_size, body FROM chunks ORDER BY batch, "
			      "chunk",
			      find_tags, &c);
	if (rc == SQLITE_OK)
		rc = state_write(db, &c.state);
	if (rc == SQLITE_OK)
		rc = db_exec(db, "DELETE FROM meta WHERE key IN ('totals', 'top_batch')");
	sqlite3_finalize(c.put);
	buf_fini(&c.buf);
	buf_fini(&c.keys);
	return rc;
}
