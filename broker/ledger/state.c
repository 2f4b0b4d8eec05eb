/* state.c - see state.h. Packed as the hash in the mark, then all numbers little-endian. To add one:
 * append it to numbers[]; of an older store it is 0 then, unless a step of the schema counts it. */
#include "broker/ledger/state.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>

#define COUNTER(field) offsetof(struct journal_state, counters.field)

static const size_t numbers[] = {
	COUNTER(completed),
	COUNTER(failed),
	COUNTER(compute_ns),
	COUNTER(referenced_bytes),
	COUNTER(batches),
	COUNTER(inline_blobs),
	COUNTER(inline_bytes),
	COUNTER(objects),
	COUNTER(object_bytes),
	COUNTER(stored_bytes),
	COUNTER(hits),
	COUNTER(executed),
	COUNTER(deduplicated),
	COUNTER(saved_ns),
	offsetof(struct journal_state, mark.commit),
	offsetof(struct journal_state, mark.blob),
	offsetof(struct journal_state, mark.batch),
	offsetof(struct journal_state, mark.tag),
	offsetof(struct journal_state, mark.change),
	offsetof(struct journal_state, trimmed),
	offsetof(struct journal_state, folded),
};
_Static_assert(sizeof(struct journal_state) ==
		       ARRAY_LEN(numbers) * sizeof(uint64_t) + DIGEST_SIZE,
	       "every number is packed");

void state_pack(struct buf *out, const struct journal_state *state)
{
	buf_add(out, state->mark.commit_hash, DIGEST_SIZE);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uint64_t value;
		memcpy(&value, (const uint8_t *)state + numbers[i], sizeof value);
		value = htole64(value);
		buf_add(out, &value, sizeof value);
	}
}

void state_unpack(const void *data, size_t size, struct journal_state *state)
{
	const uint8_t *at = data;
	*state = (struct journal_state){0};
	if (size < DIGEST_SIZE)
		return;
	memcpy(state->mark.commit_hash, at, DIGEST_SIZE);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		size_t from = DIGEST_SIZE + i * sizeof(uint64_t);
		uint64_t value;
		if (from + sizeof value > size)
			return;
		memcpy(&value, at + from, sizeof value);
		value = le64toh(value);
		memcpy((uint8_t *)state + numbers[i], &value, sizeof value);
	}
}

int state_read(sqlite3 *db, struct journal_state *state)
{
	sqlite3_stmt *stmt = NULL;
	*state = (struct journal_state){0};
	int rc = sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key='state'", -1,
				    &stmt, NULL);
	if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		state_unpack(sqlite3_column_blob(stmt, 0),
			     (size_t)sqlite3_column_bytes(stmt, 0), state);
	int end = sqlite3_finalize(stmt);
	return rc == SQLITE_OK ? end : rc;
}

int state_write(sqlite3 *db, const struct journal_state *state)
{
	CLEANUP_BUF struct buf row = {0};
	sqlite3_stmt *stmt = NULL;
	state_pack(&row, state);
	if (row.failed)
		return SQLITE_NOMEM;
	int rc = sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO meta VALUES('state', ?1)",
				    -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_blob64(stmt, 1, row.data, row.size, SQLITE_STATIC);
		rc = db_run(stmt);
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* ---- counting ---- */

static uint64_t referenced(const struct commit *c)
{
	uint64_t sum = 0;
	if (c->has_stdout)
		sum += c->stdout_size;
	if (c->has_stderr)
		sum += c->stderr_size;
	bool is_stdout = c->has_stdout &&
			 memcmp(c->result.digest, c->stdout_digest, DIGEST_SIZE) == 0;
	if (c->result.type != CONTENT_NONE && !is_stdout)
		sum += c->result_size;
	for (size_t i = 0; i < c->output_count; i++)
		sum += c->outputs[i].size;
	return sum;
}

void state_count_commit(struct ledger_counters *counters, const struct commit *c,
			bool gone)
{
	uint64_t sign = gone ? UINT64_MAX : 1; /* 0 - 1, modulo 2^64 */
	if (c->status == COMMIT_COMPLETED)
		counters->completed += sign;
	else
		counters->failed += sign;
	counters->compute_ns += sign * c->duration_ns;
	counters->referenced_bytes += sign * referenced(c);
}

void state_count_end(struct ledger_counters *counters, const struct ledger_end *end)
{
	if (end->flags & LEDGER_END_CACHED)
		counters->hits++;
	else if (end->flags & LEDGER_END_DEDUPLICATED)
		counters->deduplicated++;
	else if (end->commit)
		counters->executed++;
}

void state_add_counters(struct ledger_counters *to, const struct ledger_counters *delta)
{
	uint64_t values[2][sizeof *to / sizeof(uint64_t)];
	_Static_assert(sizeof values[0] == sizeof *to, "numbers and nothing else");
	memcpy(values[0], to, sizeof *to);
	memcpy(values[1], delta, sizeof *delta);
	for (size_t i = 0; i < ARRAY_LEN(values[0]); i++)
		values[0][i] += values[1][i];
	memcpy(to, values[0], sizeof *to);
}
