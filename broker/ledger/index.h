/* index.h - index.db: what finds a row of the journal by a random key. Holds nothing of its own: it
 * is thrown away and made again whenever in doubt.
 *
 *   fp     SHA-256(func_hash || args_hash) -> current commit and its expiry
 *   hash   hash of a commit -> its number
 *   blob   digest of a small blob -> its number
 *   batch  id of a batch -> its number
 *   name   8 bytes of the hash of a task's name -> commits, packed (index_names.h)
 *   run    8 bytes of a fingerprint -> commits that are not current: superseded, failed, not cached
 *   tag    8 bytes of a tag's hash (tags.h) -> batches, imported commits
 *   mark   one row: which store this belongs to, how far it covers the journal, and the hash of
 *          the last commit covered, so that a journal restored from a backup is noticed
 *
 * Written in whole layers of the gap, sorted, one transaction with the mark in it. Threads: opened
 * by the opener, then the index thread's alone. */
#pragma once

#include "broker/ledger/gap.h"

#define INDEX_VERSION 4 /* another one: thrown away and made again */

struct index {
	sqlite3 *db;
	char *path;
	struct gap_mark mark;
	uint8_t store_id[16];
	sqlite3_stmt *put[GAP_END], *drop[GAP_END];
	sqlite3_stmt *old_fingerprint, *replace_fingerprint, *set_mark, *name_row;
	uint64_t rows; /* about, of all tables */
	uint64_t wal_pages, wal_done;
	int files[2]; /* of index_checkpoint(): the database, its log; -1 */
};

/** index_open() - open @dir/index.db if it belongs to @journal, otherwise move it aside and make a
 * new one; then bring it up to date with the journal, logging progress when that takes a while.
 * @rebuiltp: an existing store had none that could be used. Return: 0; ERR_FAILED with @e. */
int index_open(struct index *index, const char *dir, sqlite3 *journal,
	       const uint8_t store_id[16], bool *rebuiltp, struct err *e);
void index_close(struct index *index);
/** index_prepare() - the statements of index_write(). Return: SQLite's code. */
int index_prepare(struct index *index);
/** index_bind_mark() - write the row of the table mark. Return: SQLite's code. */
int index_bind_mark(struct index *index, const struct gap_mark *mark, uint64_t rows);
/** index_write() - one layer, one transaction, rolled back on failure. Return: SQLite's code. */
int index_write(struct index *index, const struct gap_layer *layer);
/** index_checkpoint() - if there is enough to move: much while busy (what one layer wrote, the next
 * one writes again), all when closing. What goes to the disk goes in small steps, so that the journal's
 * syncs do not wait behind it. Return: SQLite's code. */
enum index_when { INDEX_BUSY, INDEX_IDLE, INDEX_CLOSING };
int index_checkpoint(struct index *index, enum index_when when);
/** index_forget_files() - once the database is closed. */
void index_forget_files(struct index *index);
/** index_is_synced() - is all that was written in the database itself, which survives a loss of
 * power, rather than in its log, which may not? */
bool index_is_synced(const struct index *index);
/** index_wanted() - how many entries make a layer worth writing. */
size_t index_wanted(const struct index *index);
/** index_move_aside() - rename index.db and its companions, so that the next start makes a new
 * one. Any thread; open connections go on with the old file. */
void index_move_aside(const char *dir);
/** index_read_mark() - Return: SQLITE_OK; SQLITE_NOTFOUND if it is not an index of ours. */
int index_read_mark(sqlite3 *db, uint8_t store_id[16], struct gap_mark *mark);
