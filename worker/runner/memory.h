/* memory.h - small blobs in memory: what calls returned here and what was read for them lately. The next
 * call in a chain finds its arguments without a file, a thread or the network. Bounded, least
 * recently used first out. Thread: the loop's. */
#pragma once

#include "common/pure/base.h"
#include "common/pure/list.h"

#define MEMORY_BLOB_MAX 4096u /* bytes of one */
#define MEMORY_MAX (16u << 20)

struct memory {
	struct memory_blob **buckets;
	struct list used; /* least recently used first */
	uint64_t bytes;
};

void memory_init(struct memory *m);
void memory_fini(struct memory *m);
/** memory_put() - @data hashes to @digest, as the caller has made sure; a copy. Too large ones are passed
 * over. */
void memory_put(struct memory *m, const uint8_t digest[DIGEST_SIZE], const void *data,
		size_t size);
/** memory_get() - borrowed until the next put; NULL if it is not there. */
const void *memory_get(struct memory *m, const uint8_t digest[DIGEST_SIZE],
		       size_t *sizep);
