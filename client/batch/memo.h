/* memo.h - remembers digests of files between runs, so that 10 GB are not hashed every time.
 *
 * An entry holds while path, size, mtime, ctime, inode and device are what they were. A file that
 * was touched within two seconds of its hashing is not remembered: its time stamp could not tell
 * a later change. The file is a cache: unreadable or damaged, it is as if it were not there. */
#pragma once

#include "client/batch/arena.h"
#include "client/batch/map.h"
#include <sys/stat.h>

struct memo {
	const char *path; /* of the file, or NULL: remembers nothing */
	bool loaded, changed;
	struct arena arena;
	struct map map; /* path to number of entry */
	struct memo_entry *entries;
	uint32_t count, capacity;
};

void memo_fini(struct memo *m);
/** memo_find() - @path is absolute. Return: true and the digest if it is remembered. */
bool memo_find(struct memo *m, const char *path, const struct stat *st,
	       uint8_t digest[DIGEST_SIZE]);
/** memo_put() - failing to remember is no error. */
void memo_put(struct memo *m, const char *path, const struct stat *st,
	      const uint8_t digest[DIGEST_SIZE]);
/** memo_save() - write the file anew if anything is new. */
void memo_save(struct memo *m);
