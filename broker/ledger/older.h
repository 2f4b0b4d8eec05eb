/* older.h - the writer's look at what else there is of a fingerprint: in the gap, then in index.db. Its
 * connection is opened when it is first needed, which is when a commit is first removed. */
#pragma once

#include "broker/ledger/gap.h"

struct older {
	struct gap *gap;
	const char *dir; /* borrowed */
	sqlite3 *db;
	sqlite3_stmt *current, *runs;
};

/** older_find() - append to @out, in any order, the numbers below @below of commits that may have
 * fingerprint @key and have been current: at least all that have. Return: SQLite's code. */
int older_find(struct older *older, const uint8_t key[DIGEST_SIZE], uint64_t below,
	       struct gap_seqs *out);
void older_fini(struct older *older);
