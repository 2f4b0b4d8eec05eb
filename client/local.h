/* local.h - the store of a directory that no broker serves, read in our own process. */
#pragma once

#include "client/handle.h"
#include "common/direct.h"

#define LOCAL_SERVED 1000 /* a broker has come meanwhile: ask it */

/** local_may() - is this handle's store a directory that no broker serves just now? */
bool local_may(const struct cashet *c);
/** local_answers() - is @question one about what is recorded in a store? */
bool local_answers(Cashet__Envelope__BodyCase question);
/** local_open() - Return: 0; ERR_NOT_FOUND if there is no store; LOCAL_SERVED; others. */
int local_open(struct cashet *c, struct err *e);
void local_close(struct cashet *c);
/** local_answer() - @r->reply, as if a broker had sent it. Return: 0; LOCAL_SERVED; ERR_*. */
int local_answer(struct cashet *c, struct request *r, struct err *e);
/** local_object() - the bytes of a blob from the files of a store directory, whoever serves it, a chunk
 * at a time. All are verified once 0 is returned.
 * Return: 0; LOCAL_SERVED: it is no file, or the store is not ours: ask for the blob; LOCAL_CORRUPT;
 * ERR_* of @fn, or if it cannot be read. */
#define LOCAL_CORRUPT 1001
struct cas_get;
struct local_chunk { /* borrowed */
	const void *data;
	size_t size;
	/* The same, if it is stored as one compressed frame; @data if it hardly compresses, and is
	 * stored as it is; NULL: nobody knows. */
	const void *stored;
	size_t stored_size;
	struct cas_get *from; /* NULL: not from a file */
};
typedef int local_chunk_fn(void *arg, const struct local_chunk *chunk);
int local_object(struct cashet *c, const uint8_t digest[DIGEST_SIZE], local_chunk_fn *fn,
		 void *arg, struct err *e);
/** local_take(), local_place() - in such a function: cas_get_hand_over(), cas_get_place(). */
bool local_take(const struct local_chunk *chunk, struct direct_piece *piece);
void local_place(const struct local_chunk *chunk, uint64_t at, unsigned gap);
/** local_file() - the same, to a sink. LOCAL_SERVED only if nothing was given to it; LOCAL_CORRUPT: what
 * was given is not right. */
int local_file(struct cashet *c, const uint8_t digest[DIGEST_SIZE], cashet_sink sink,
	       void *arg, struct err *e);
void local_fini(struct cashet *c); /* local_close(), for good */
/** local_blob() - as blob_client_get(). LOCAL_SERVED only if nothing was given to @sink. */
int local_blob(struct cashet *c, const uint8_t digest[DIGEST_SIZE], uint64_t offset,
	       cashet_sink sink, void *arg, struct err *e);
