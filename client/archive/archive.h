/* archive.h - commits and all that they need in one stream of bytes, to be carried to another store.
 *
 *   "cashet archive 1\n"
 *   ENTRY...            kind (one letter), size of the head (4 bytes), head: deterministic CBOR
 *
 *   H  [wall_ms, version]                    first: when it was made, by which cashet
 *   B  [type, digest]                        a blob; its pieces follow
 *   A  [digest]                              a blob that something names, and that is not in here
 *   C  [body, hash, current, [[key, value], ...]]   a commit and its tags
 *   P  [name, hash, wall_ms]                 a pin of a commit that came before
 *   M  [commits, blobs, absent, pins, bytes] the manifest: how many of each; bytes of all blobs
 *   Z  [digest]                              last: SHA-256 of all before it but the pieces of blobs
 *
 *   piece: form (1 byte), stored size (4), content size (4), stored bytes
 *     0  content as it is       1  one zstd frame of it
 *     2  the end of the blob: its size (8) follows in place of the two
 *     3  it turned out to be corrupt where it came from: it counts as absent
 *
 * Numbers are big-endian. What is named comes before what names it: files before the folder, all
 * blobs of a commit, its function and source included, before the commit. So both sides work in one pass, and
 * remember only digests. The pieces are covered by the digest of their blob, everything else by
 * that of Z; a byte behind Z is an error.
 *
 * The type of a blob says as what it is named: 1 a file, 3 a folder, 4 a list, 5 a result (see
 * common/format/content.h), 16 the description of a function, 17 a source (source.h). One that is named as several comes
 * once for each of them.
 *
 * To add a kind of entry: a new number of the format in the first line, here, in write.c, read.c. */
#pragma once

#include "common/format/commit.h"
#include "common/pure/buf.h"

#define ARCHIVE_MAGIC "cashet archive 1\n"
#define ARCHIVE_MAGIC_SIZE (sizeof ARCHIVE_MAGIC - 1)
#define ARCHIVE_PIECE (1u << 20)     /* content of one piece, at most */
#define ARCHIVE_PIECE_HEAD 9	     /* form and sizes */
#define ARCHIVE_HEAD_MAX (16u << 20) /* of a commit; of the others: */
#define ARCHIVE_SMALL_HEAD_MAX 4096
#define ARCHIVE_CONTAINER_MAX (256u << 20) /* a folder, a list, a result */
#define ARCHIVE_FUNCTION_MAX (1u << 20)

#define ARCHIVE_FUNCTION 16 /* beside enum content_type */
#define ARCHIVE_SOURCE 17

enum archive_form {
	ARCHIVE_RAW = 0,
	ARCHIVE_ZSTD = 1,
	ARCHIVE_END = 2,
	ARCHIVE_VOID = 3,
};

struct archive_counts {
	uint64_t commits, blobs, absent, pins, bytes;
};

/* ---- which blobs and commits an archive has so far: seen.c ---- */

enum { /* bits */
       SEEN_FILE = 1,
       SEEN_TREE = 2,
       SEEN_LIST = 4,
       SEEN_RESULT = 8,
       SEEN_FUNCTION = 16,
       SEEN_ABSENT = 32,
       SEEN_COMMIT = 64,
       SEEN_SOURCE = 128,
       SEEN_BLOB = SEEN_FILE | SEEN_TREE | SEEN_LIST | SEEN_RESULT | SEEN_FUNCTION |
		   SEEN_SOURCE,
};

struct seen { /* a hash table: 33 bytes for each digest, and room to grow */
	uint8_t (*digests)[DIGEST_SIZE];
	uint8_t *bits; /* 0: free */
	size_t count, capacity;
};

void seen_fini(struct seen *s);
/** seen_bits() - 0: never heard of. */
uint8_t seen_bits(const struct seen *s, const uint8_t digest[DIGEST_SIZE]);
/** seen_add() - Return: 0; -ENOMEM. */
int seen_add(struct seen *s, const uint8_t digest[DIGEST_SIZE], uint8_t bits);
/** seen_bit() - of a type of blob, as in an archive; 0: there is no such type. */
uint8_t seen_bit(uint64_t type);
/** seen_is_named() - does naming @c mean that its blob has to be somewhere? Not that of nothing, of
 * the empty blob, of an empty folder, of a path on every worker. */
bool seen_is_named(const struct content *c);
/** seen_has() - it came before, in the form in which @c names it, or is known to be absent. */
bool seen_has(const struct seen *s, const struct content *c);

/* ---- what names what: refs.c ---- */

typedef int archive_ref(void *arg, const struct content *content);

/** archive_refs_of_blob() - call @fn for all that a container or function names, until it returns
 * non-zero, which is returned then. Return: 0; -EBADMSG: it is not what @type says. */
int archive_refs_of_blob(uint64_t type, const void *data, size_t size, archive_ref *fn,
			 void *arg);
/** archive_refs_of_commit() - the same; @logs: also what was written to standard error, and to standard
 * output where that is not the result. The function comes as ARCHIVE_FUNCTION, the source as
 * ARCHIVE_SOURCE. */
int archive_refs_of_commit(const struct commit *c, bool logs, archive_ref *fn, void *arg);
