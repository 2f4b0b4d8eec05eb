/* cas.h - the content-addressed store: blobs named by the SHA-256 of their bytes.
 *
 * An interface with two backends (a directory, and an in-memory twin for tests and
 * simulation), and one contract test for both. Invariants:
 *   - a blob is visible whole or not at all, and durable once a put returned 0;
 *   - the name is computed here; what the sender calls it counts for nothing;
 *   - reading verifies the digest before its last byte is given out as good; a corrupt
 * blob is quarantined (moved aside) and from then on missing;
 *   - memory is bounded whatever the size of a blob.
 *
 * To add a backend: one file with a table of struct cas_ops, a row in cas_backends[] of
 * cas.c and in the contract test. */
#pragma once

#include "common/err.h"
#include "common/format/content.h"

enum cas_code {
	CAS_OK = 0,
	CAS_E_MISSING = 1,  /* not in the store */
	CAS_E_CORRUPT = 2,  /* was there, failed verification, is quarantined now */
	CAS_E_MISMATCH = 3, /* bytes do not hash to the digest that the caller promised */
	CAS_E_FULL = 4,	    /* no room; nothing was kept */
	CAS_E_SAVED = 5,    /* somebody asked for it after it was doomed */
};

struct cas;
struct cas_put; /* a put in progress: a temp file, invisible until committed */
struct cas_get; /* a read in progress */
struct direct_piece;

/** cas_open_dir() - open (create 0700) the objects of store directory @path:
 * path/objects, path/quarantine, path/tmp (emptied). Return: 0 or err code in @e. */
int cas_open_dir(struct cas **casp, const char *path, struct err *e);
/** cas_open_dir_reading() - open those of a store that somebody else may own: nothing is made or
 * changed there, puts fail with -EROFS, and a corrupt blob stays where it is. ERR_NOT_FOUND if there
 * is none. */
int cas_open_dir_reading(struct cas **casp, const char *path, struct err *e);
int cas_open_memory(struct cas **casp);
void cas_free(struct cas *cas);

/* All below: positive = enum cas_code, negative = errno. Thread: any, one thread per
 * cas_put/cas_get. */

int cas_has(struct cas *cas, const uint8_t digest[DIGEST_SIZE], uint64_t *sizep);
/** cas_put() - store @size bytes; durable on return; storing twice is harmless. @want:
 * digest that the bytes must have, or NULL; @digest (may be NULL): what they have. */
int cas_put(struct cas *cas, const void *data, size_t size, const uint8_t *want,
	    uint8_t digest[DIGEST_SIZE]);
int cas_put_open(struct cas *cas, struct cas_put **putp);
/** cas_put_expect() - before the first byte: about so many will come. UINT64_MAX: nobody knows, and nobody
 * is about to read them. What is large does not push others out of memory. */
void cas_put_expect(struct cas_put *put, uint64_t size);
int cas_put_write(struct cas_put *put, const void *data, size_t size);
/* A piece of a blob: in memory, or a part of a file; as it is, or as one zstd frame. */
#define CAS_PIECE_MAX (1u << 20)
struct cas_piece {
	const void *data; /* NULL: what @fd has at @from */
	int fd;
	uint64_t from;
	uint32_t stored; /* bytes of the frame; 0: it is @size bytes as they are */
	uint32_t size;	 /* of content, 1..CAS_PIECE_MAX */
};
/** cas_put_piece() - the next bytes of the blob. @data is borrowed until return; @fd until the put has
 * ended, because it is read meanwhile by other threads. A frame that gains something is kept as it
 * came, once it was unpacked and hashed. CAS_E_MISMATCH, by this call or a later one: it is no such
 * frame, or the file ended. */
int cas_put_piece(struct cas_put *put, const struct cas_piece *piece);
/** cas_put_name() - the digest of all that was written; nothing may follow but cas_put_commit() or
 * cas_put_abort(). */
void cas_put_name(struct cas_put *put, uint8_t digest[DIGEST_SIZE]);
/** cas_put_commit() - make it visible and durable, free @put in any case. @want as in
 * cas_put(). */
int cas_put_commit(struct cas_put *put, const uint8_t *want, uint8_t digest[DIGEST_SIZE],
		   uint64_t *sizep);
void cas_put_abort(struct cas_put *put); /* NULL is fine */
int cas_get_open(struct cas *cas, const uint8_t digest[DIGEST_SIZE],
		 struct cas_get **getp, uint64_t *sizep);
/** cas_get_read() - up to @size next bytes. Return: bytes > 0; 0 at the end, the digest
 * was right; -EBADMSG when it was not: nothing that was read counts, the blob is
 * quarantined. */
int64_t cas_get_read(struct cas_get *get, void *out, size_t size);
/** cas_get_next() - the same without a copy: *@datap is borrowed until the next call. */
int64_t cas_get_next(struct cas_get *get, const void **datap, size_t size);
/** cas_get_stored() - the bytes that the last cas_get_read() or cas_get_next() gave, as they are stored: one zstd frame of
 * at most @room bytes. They are as good as those: only once the end was reached. *@rawp: it is a whole
 * chunk, stored as it is because it hardly compresses.
 * Return: bytes; 0 if there is no such frame; negative errno. */
int64_t cas_get_stored(struct cas_get *get, void *out, size_t room, bool *rawp);
/** cas_get_hand_over() - the chunk that the last cas_get_next() gave, if it is a whole one of a larger blob: @piece
 * becomes the chunk, and the memory that @piece had is @get's. What was given stays where it is;
 * cas_get_stored() comes before, or not at all. Return: was it? If not, nothing has changed. */
bool cas_get_hand_over(struct cas_get *get, struct direct_piece *piece);
/** cas_get_place() - a hint: all that cas_get_next() gives from now on is going to be written to a file, each
 * chunk as it is stored behind @gap bytes, beginning at @at. Chunks that are read from then on stand in
 * memory accordingly, see struct direct_piece. */
void cas_get_place(struct cas_get *get, uint64_t at, unsigned gap);
void cas_get_close(struct cas_get *get);
/** cas_read() - the whole blob of at most @max bytes, verified, appended to @out. -EFBIG
 * if larger. */
int cas_read(struct cas *cas, const uint8_t digest[DIGEST_SIZE], size_t max,
	     struct buf *out);
/** cas_each() - call @fn for every visible blob in any order until it returns non-zero.
 */
int cas_each(struct cas *cas,
	     int (*fn)(void *arg, const uint8_t digest[DIGEST_SIZE],
		       uint64_t stored_bytes),
	     void *arg);
/** cas_losses() - grows whenever a blob that was asked for was missing or corrupt, or was removed:
 * what was known to be there may not be any more. Thread: any. */
uint64_t cas_losses(struct cas *cas);
/** cas_was_corrupt() - was a blob of this name ever found corrupt and put aside? Not for hot paths. */
bool cas_was_corrupt(struct cas *cas, const uint8_t digest[DIGEST_SIZE]);
/** cas_remove() - whatever anybody may think of it. Return: 0; CAS_E_MISSING; negative errno. */
int cas_remove(struct cas *cas, const uint8_t digest[DIGEST_SIZE]);
/* Removing what may just now be asked for takes two steps: cas_doom(), and once its caller knows that
 * nothing needs the blob, cas_remove_doomed(). Whoever asks for a doomed blob or puts it (cas_has(),
 * cas_get_open(), cas_put_commit()) saves it, at one point in time: either the blob is saved before
 * it could be removed, or it is found missing, and put anew by a put. Who only remembers that it was
 * there has to be told by the caller of cas_doom(). */
void cas_doom(struct cas *cas, const uint8_t digest[DIGEST_SIZE]);
/** cas_save() - not doomed any more. */
void cas_save(struct cas *cas, const uint8_t digest[DIGEST_SIZE]);
/** cas_remove_doomed() - Return: 0 removed; CAS_E_SAVED; CAS_E_MISSING; negative errno. In any case it
 * is not doomed any more. Not synced: after a power loss the blob may be there again. */
int cas_remove_doomed(struct cas *cas, const uint8_t digest[DIGEST_SIZE]);
struct cas_counts { /* files, bytes of the blobs in them, bytes that they take */
	int64_t objects, bytes, stored;
};
/** cas_take_counts() - what has changed since it was asked last. Thread: any. */
void cas_take_counts(struct cas *cas, struct cas_counts *delta);
/** cas_recount() - what there was when the store was opened, found out by looking at every file; what
 * comes and goes meanwhile does not disturb it. A file that has become unreadable since it was counted
 * may be counted differently, see cas_quarantined(). @stopped: may be NULL.
 * Return: 0; 1 stopped; negative errno. */
int cas_recount(struct cas *cas, bool (*stopped)(void *arg), void *arg,
		struct cas_counts *sum);
/** cas_quarantined() - how many blobs were put aside since it was opened. */
uint64_t cas_quarantined(struct cas *cas);
/** cas_broken() - 0; negative errno once a sync has failed: from then on no put succeeds, because the
 * disk may not hold what was written before. The store has to be opened anew. */
int cas_broken(struct cas *cas);
