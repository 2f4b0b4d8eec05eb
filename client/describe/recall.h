/* recall.h - remembers answers of describers between runs, so that a repeat starts no process.
 *
 * An answer holds while all that the describer says it looked at ("looked" in docs/runners.md) is
 * as it was: files and folders by size, times, inode and device, and what was absent still is.
 * What was touched within two seconds before is not remembered: its time stamp could not tell a
 * later change. The file is a cache: unreadable or damaged, it is as if it were not there; of two
 * who write at once, one is forgotten. */
#pragma once

#include "client/batch/arena.h"
#include "client/batch/map.h"
#include "common/pure/buf.h"

struct recall {
	char *path;	    /* of the file; NULL: remembers nothing */
	uint64_t settle_ns; /* the two seconds */
	bool loaded, changed;
	struct buf file;
	struct arena arena;
	struct map map; /* key to number */
	struct recall_entry *entries;
	uint32_t count, capacity;
	struct map seen; /* path to number of stamp, of one round */
	struct arena seen_arena;
	struct recall_stamp *stamps;
	uint32_t stamp_count, stamp_capacity;
};

/** recall_init() - @path: copied; NULL: remembers nothing. Return: 0 or -ENOMEM. */
int recall_init(struct recall *r, const char *path);
void recall_fini(struct recall *r);
/** recall_begin() - a round: what is looked at is looked at once. */
void recall_begin(struct recall *r);
/** recall_find() - Return: true with what was put; borrowed until recall_fini(). */
bool recall_find(struct recall *r, const uint8_t key[DIGEST_SIZE], const char **versionp,
		 const char **rowp, size_t *sizep);
/** recall_put() - @row: without what was looked at; @looked: that, as JSON. Failing to remember is no
 * error. */
void recall_put(struct recall *r, const uint8_t key[DIGEST_SIZE], const char *version,
		const struct buf *row, const char *looked, size_t looked_size);
/** recall_save() - write the file anew if anything is new. */
void recall_save(struct recall *r);
