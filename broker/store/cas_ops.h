/* cas_ops.h - what a backend of the blob store implements. cas.c in front of it computes
 * the name of what is put and checks the name of what is read, for every backend alike,
 * and answers for the empty blob; a backend only keeps bytes. Return codes as in cas.h.
 * Thread: as in cas.h. */
#pragma once

#include "broker/store/cas.h"
#include "common/pure/sha256.h"
#include <pthread.h>

/* Digests that are about to be removed: open addressing, a few thousand at most. */
struct doomed {
	pthread_mutex_t lock;
	uint8_t (*items)[DIGEST_SIZE]; /* all zero: free */
	size_t capacity;	       /* a power of two, or 0 */
	uint64_t count;		       /* atomic: spares others the lock while it is 0 */
	struct cas_put *putting;       /* puts that are being published */
};

struct cas {
	const struct cas_ops *ops;
	uint64_t losses; /* atomic; of the front, see cas_losses() */
	struct doomed doomed;
	struct cas_counts counts; /* atomic members; what nobody has taken yet */
	uint64_t quarantined;	  /* atomic; by a backend */
};

/** cas_count() - by a backend: a blob came (@sign 1) or went (-1). */
void cas_count(struct cas *cas, int sign, uint64_t bytes, uint64_t stored);

/** cas_init(), cas_fini() - the front's part of @cas; a backend calls them. */
void cas_init(struct cas *cas, const struct cas_ops *ops);
void cas_fini(struct cas *cas);

/* The first member of a backend's own struct. */
struct cas_put {
	struct cas *cas;
	struct sha256 sha;
	uint64_t size; /* bytes so far */
	int failed;    /* first error; sticks */
	/* While it is being published, see doomed.c: */
	const uint8_t *name;
	struct cas_put *next;
	bool is_named; /* @digest is known */
	uint8_t digest[DIGEST_SIZE];
};

/** cas_put_begins(), cas_put_ended() - around put_commit(): meanwhile nobody removes @digest, which
 * stays the caller's. */
void cas_put_begins(struct cas_put *put, const uint8_t digest[DIGEST_SIZE]);
void cas_put_ended(struct cas_put *put);

/** cas_put_hash() - by a backend: the next bytes of the blob are these. */
void cas_put_hash(struct cas_put *put, const void *data, size_t size);

struct cas_get {
	struct cas *cas;
	struct sha256 sha;
	uint8_t digest[DIGEST_SIZE];
	uint64_t size, done; /* bytes in all, bytes handed out */
	int ended;	     /* 1: verified; -EBADMSG: corrupt */
};

struct cas_ops {
	const char *name;
	void (*free)(struct cas *cas);
	int (*has)(struct cas *cas, const uint8_t *digest, uint64_t *sizep);
	int (*put_open)(struct cas *cas, struct cas_put **putp);
	/* See cas_put_expect(); NULL: it does not matter. */
	void (*put_expect)(struct cas_put *put, uint64_t size);
	/* Takes @data, which the front hashes. */
	int (*put_write)(struct cas_put *put, const void *data, size_t size);
	/* See cas_put_piece(); a sane one, not of bytes in memory as they are. The backend gives its
	 * content to cas_put_hash(), at the latest in put_settle(). Both NULL: the front makes a
	 * put_write() of it. */
	int (*put_piece)(struct cas_put *put, const struct cas_piece *piece);
	int (*put_settle)(struct cas_put *put);
	/* Visible and durable as @digest. Frees nothing; put_free() follows. */
	int (*put_commit)(struct cas_put *put, const uint8_t *digest);
	void (*put_free)(struct cas_put *put);
	/* Sets size; the front fills in the rest. */
	int (*get_open)(struct cas *cas, const uint8_t *digest, struct cas_get **getp);
	/* How many, of at most @size; *@datap is good until the next call. 0 at the end; -EBADMSG if what is
	 * stored makes no sense. */
	int64_t (*get_next)(struct cas_get *get, const void **datap, size_t size);
	/* See cas_get_stored(); NULL: never. */
	int64_t (*get_stored)(struct cas_get *get, void *out, size_t room, bool *rawp);
	/* See cas_get_hand_over() and cas_get_place(); both NULL: never. */
	bool (*get_hand_over)(struct cas_get *get, struct direct_piece *piece);
	void (*get_place)(struct cas_get *get, uint64_t at, unsigned gap);
	/* What @get reads is corrupt: it must be missing from now on. */
	void (*get_quarantine)(struct cas_get *get);
	void (*get_free)(struct cas_get *get);
	int (*each)(struct cas *cas,
		    int (*fn)(void *arg, const uint8_t *digest, uint64_t stored_bytes),
		    void *arg);
	/* The name goes at once. *leftp: a descriptor whose close() frees the bytes, which may take
	 * long; -1: none. */
	int (*remove)(struct cas *cas, const uint8_t *digest, int *leftp);
	int (*broken)(struct cas *cas); /* NULL: never */
	/* See cas_recount(); NULL: there was nothing when it was opened. */
	int (*recount)(struct cas *cas, bool (*stopped)(void *arg), void *arg,
		       struct cas_counts *sum);
	bool (*was_corrupt)(struct cas *cas, const uint8_t *digest); /* NULL: not known */
};

extern const struct cas_ops cas_dir_ops, cas_memory_ops;

/** cas_backend_name() - of the backend that @cas is. */
const char *cas_backend_name(const struct cas *cas);
/** cas_memory_flip() - bit rot in the in-memory twin, for tests and simulation. Return:
 * as cas_has(). */
int cas_memory_flip(struct cas *cas, const uint8_t digest[DIGEST_SIZE], uint64_t bit);
