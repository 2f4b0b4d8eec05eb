/* guard.h - what must not be removed now: between gc, which decides on a thread of its own what nothing
 * needs, and everybody who may need it meanwhile.
 *
 *   watched   on the loop, while something is being removed: digests that somebody was told are
 *             there, and commits that were hits, since it began. They stay.
 *   claimed   by any thread: digests that a peer asked for or uploaded (HAVE, PUT), and has not
 *             named in a batch or a result yet. They stay while that may still come.
 *   dying     small blobs and commits whose removal is handed in and not durable: they count as
 *             missing already.
 *
 * gc looks at the ledger only after the watch began and all that was decided before is durable. So
 * whatever comes to need a blob is either in the ledger that gc reads, or watched, or claimed; or it
 * comes after the removal and finds the blob missing. The last safety is guard_chunk(): a batch that
 * names inputs which went is refused, and says so. */
#pragma once

#include "common/format/content.h"
#include "proto/cashet.pb-c.h"

struct broker;
struct chunk_view;
struct guard;

void guard_init(struct broker *b);
void guard_fini(struct broker *b);

/* ---- the loop ---- */

/** guard_watch() - begin (forgetting what was watched before), or end. */
void guard_watch(struct broker *b, bool on);
/** guard_digest(), guard_commit() - somebody relies on it from now on. */
void guard_digest(struct broker *b, const uint8_t digest[DIGEST_SIZE]);
void guard_commit(struct broker *b, uint64_t seq);
bool guard_has_commit(const struct broker *b, uint64_t seq);
/** guard_commits() - those watched from place *@from on, which is moved behind them. */
const uint64_t *guard_commits(const struct broker *b, size_t *from, size_t *countp);
/** guard_doom() - if nothing relies on @digest: forget that it is there. @object: and cas_doom() it.
 * Return: false if it stays. */
bool guard_doom(struct broker *b, const uint8_t digest[DIGEST_SIZE], bool object);
/** guard_close() - until the next watch begins, no more blobs are doomed: an import names some that the
 * gc which is at work has not seen. */
void guard_close(struct broker *b);

void guard_dying(struct broker *b, const uint8_t digest[DIGEST_SIZE]);
void guard_dying_commit(struct broker *b, uint64_t seq);
bool guard_is_dying(const struct broker *b, const uint8_t digest[DIGEST_SIZE]);
bool guard_is_dying_commit(const struct broker *b, uint64_t seq);
/** guard_revive() - it is put anew: not dying any more. */
void guard_revive(struct broker *b, const uint8_t digest[DIGEST_SIZE]);
/** guard_died() - what was dying is durable. */
void guard_died(struct broker *b);

/** guard_sealed() - the client with this key has sealed a batch: what it claimed is named in it. */
void guard_sealed(struct broker *b, const uint8_t key[KEY_SIZE]);
/** guard_swept() - something was removed: batches are looked at for a while, see guard_chunk(). */
void guard_swept(struct broker *b);
/** guard_chunk() - the literal inputs, code and sources of a chunk are there, as far as that can be in
 * doubt; they are watched. Return: 0; 1 and the first that is missing. */
int guard_chunk(struct broker *b, const Cashet__SubmitChunk *c,
		const struct chunk_view *view, uint8_t missing[DIGEST_SIZE]);

/* ---- any thread ---- */

/** guard_claim() - before a peer is told that @digest is there. @arg: the broker. */
void guard_claim(void *arg, const uint8_t key[KEY_SIZE],
		 const uint8_t digest[DIGEST_SIZE]);
