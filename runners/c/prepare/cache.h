/* cache.h - compiled libraries of this machine: DIR/KEY-DIGEST.so. KEY is what they are made of, DIGEST what
 * they are: a file is only used when it is still that. Those that were not used for longest go
 * when all are larger than CACHE_SIZE_MAX. */
#pragma once

#include "common/pure/buf.h"

#define CACHE_SIZE_MAX (512ull << 20)

struct cache {
	char *dir;     /* absolute; heap */
	bool anywhere; /* whoever may write in the folders that it is in */
};

/** cache_open() - makes @dir (0700); -EPERM if others may write in it, or put another in its place. NULL: $XDG_CACHE_HOME/cashet/libraries, or below $HOME/.cache.
 * Return: 0 or a negative errno. */
int cache_open(struct cache *c, const char *dir);
void cache_close(struct cache *c);
/** cache_find() - @path: of the library with this key, verified, and noted as used. Return: whether there
 * is one. One that is damaged is removed. */
bool cache_find(struct cache *c, const uint8_t key[DIGEST_SIZE], struct buf *path);
/** cache_new() - the path of a new file of its own in the folder, which ends in @end. */
void cache_new(struct cache *c, const char *end, struct buf *path);
/** cache_put() - takes @file, which cache_new() named, as the library of @key; removes others if there are
 * too many. @path: where it is then. Durable on return. Return: 0 or a negative errno. */
int cache_put(struct cache *c, const uint8_t key[DIGEST_SIZE], const char *file,
	      struct buf *path);
