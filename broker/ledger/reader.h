/* reader.h - struct ledger_reader, shared by the files that read. */
#pragma once

#include "broker/ledger/gap.h"
#include "broker/ledger/ledger.h"

enum reader_stmt {
	R_COMMIT,
	R_BLOB,
	R_BATCH,
	R_CHUNK,
	R_CHUNK_COUNT,
	R_ENDS,
	R_LEASES,
	R_NEWEST,
	R_LIST,
	R_OPEN,
	R_META_COUNT,
	R_FP = R_META_COUNT,
	R_HASH,
	R_BLOB_SEQ,
	R_BATCH_NUMBER,
	R_HASH_RANGE,
	R_BATCH_RANGE,
	R_COUNT,
};

struct ledger_reader {
	struct ledger *ledger; /* NULL: a program of its own */
	char *dir;
	sqlite3 *meta, *index; /* @index NULL: not there, all is read from the journal */
	sqlite3_stmt *stmts[R_COUNT];
	/* Without a ledger: what the index does not cover. */
	struct gap_scan *scan;
	struct gap_layer *layer;
	struct buf scratch;
};

/** reader_errno() - the negative errno for @rc; tells the ledger when index.db is damaged. */
int reader_errno(struct ledger_reader *r, sqlite3 *db, int rc);
/** reader_lookup() - the gap first, then the index (see gap.h). Return: 0; 1 if none. */
int reader_lookup(struct ledger_reader *r, enum gap_kind kind,
		  const uint8_t key[DIGEST_SIZE], struct gap_entry *entry);
/** reader_match() - numbers of the entries with a prefix, each once, at most @max, unordered.
 * Return: 0 and *countp; negative errno. */
int reader_match(struct ledger_reader *r, enum gap_kind kind, const uint8_t *prefix,
		 unsigned nibbles, uint64_t *seqs, size_t max, size_t *countp);
