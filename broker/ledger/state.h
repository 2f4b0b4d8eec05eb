/* state.h - one row of meta.db that says of all others how many there are, what they come to, and
 * which numbers were given. Written in each transaction that changes it, so it is never wrong and
 * nobody ever counts. */
#pragma once

#include "broker/ledger/gap.h"
#include "broker/ledger/ledger.h"

/* No padding: compared as bytes. */
struct journal_state {
	struct ledger_counters counters;
	struct gap_mark mark; /* the highest numbers ever given, see gap.h */
	uint64_t trimmed; /* changes up to this one are forgotten: the index has them */
	uint64_t folded;  /* ends up to this seq are in the table use */
};

/** state_read() - all zero if there is none. Return: SQLite's code. */
int state_read(sqlite3 *db, struct journal_state *state);
/** state_unpack() - what state_pack() wrote, also by an earlier version with fewer fields. */
void state_unpack(const void *data, size_t size, struct journal_state *state);
void state_pack(struct buf *out, const struct journal_state *state);
/** state_write() - for the steps of the schema; the writer has a statement of its own. */
int state_write(sqlite3 *db, const struct journal_state *state);

/** state_count_commit() - one commit more, or one less (@gone). */
void state_count_commit(struct ledger_counters *counters, const struct commit *c,
			bool gone);
/** state_count_end() - one ended task more. */
void state_count_end(struct ledger_counters *counters, const struct ledger_end *end);
/** state_add_counters() - field by field, modulo 2^64. */
void state_add_counters(struct ledger_counters *to, const struct ledger_counters *delta);
