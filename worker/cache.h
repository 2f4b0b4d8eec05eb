/* cache.h - inputs that were downloaded, by digest, in files of their own: bounded, least recently
 * used first out, private to this process (a new one begins empty).
 *
 * Tasks run as the same user and could write into the files, so a file is trusted only while size,
 * mtime, ctime and inode are as they were when its bytes were verified; otherwise it is downloaded
 * again. Readers get an open descriptor, so that eviction never pulls a file from under them.
 * Thread: any; a blob that two threads want is downloaded once. */
#pragma once

#include "common/err.h"
#include "common/pure/base.h"

struct cache;

/* How bytes are got; as blob_client_get(). */
struct cache_getter {
	void *arg;
	int (*get)(void *arg, const uint8_t digest[DIGEST_SIZE],
		   int (*sink)(void *sink_arg, const void *data, size_t size),
		   void *sink_arg, struct err *e);
};

enum cache_result { CACHE_OK, CACHE_MISSING, CACHE_FULL, CACHE_UNREACHABLE, CACHE_ERROR };

/** cache_new() - @dir is made; what is in it is removed. Return: 0 or negative errno. */
int cache_new(struct cache **cachep, const char *dir, uint64_t max_bytes);
void cache_free(
	struct cache *cache); /* the files stay for whoever removes the work directory */
/** cache_open() - a descriptor at offset 0 on the verified bytes; the caller closes it. */
enum cache_result cache_open(struct cache *cache, const uint8_t digest[DIGEST_SIZE],
			     const struct cache_getter *getter, int *fdp, uint64_t *sizep,
			     struct err *e);
/** cache_has() - true if cache_open() would not need the network, as far as one can tell. */
bool cache_has(struct cache *cache, const uint8_t digest[DIGEST_SIZE]);
uint64_t cache_bytes(struct cache *cache);
