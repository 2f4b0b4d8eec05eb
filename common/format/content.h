/* content.h - what a digest can stand for, and the small formats that hold lists of digests.
 *
 * A *placeholder* is 33 bytes: a type and a SHA-256. In arguments it is a CBOR byte string of
 * that size at a known offset, so that the broker resolves a reference by writing in place.
 *
 * list blob:     the concatenated placeholders of its members, in order (empty is fine). A
 *                wildcard reference resolves to CONTENT_LIST and the SHA-256 of these bytes.
 * tree blob:     ["cashet.tree", 1, [[path, type, size, digest], ...]] sorted by path (bytewise).
 *                type is CONTENT_FILE, CONTENT_EXEC, or CONTENT_DIR for an empty folder (size 0,
 *                digest of nothing). Paths pass fs_path_is_inside(). No links.
 * result blob:   ["cashet.result", 1, [[name, path, type, size, digest], ...]] sorted by name: the
 *                result of a task that declares outputs. */
#pragma once

#include "common/pure/cbor.h"

enum content_type {
	CONTENT_NONE = 0, /* not resolved yet */
	CONTENT_FILE = 1,
	CONTENT_EXEC = 2,   /* a file with the executable bit */
	CONTENT_TREE = 3,   /* a folder: digest of a tree blob */
	CONTENT_LIST = 4,   /* digest of a list blob */
	CONTENT_RESULT = 5, /* digest of a result blob */
	CONTENT_EXTERN = 6, /* a path that every worker has: digest of the text of `as` */
	CONTENT_DIR = 7,    /* only inside tree blobs */
	CONTENT_JSON =
		8, /* what a call returned, as JSON; where files are taken, a file */
	CONTENT_PICKLE = 9, /* what a Python call returned, pickled; the same */
};

/** content_is_argument() - can a placeholder have it? Also NONE, as long as it is not known. */
static inline bool content_is_argument(uint8_t type)
{
	return type <= CONTENT_EXTERN || type == CONTENT_JSON || type == CONTENT_PICKLE;
}

/** content_is_result() - can a task have made it? */
static inline bool content_is_result(uint8_t type)
{
	return content_is_argument(type) && type != CONTENT_NONE &&
	       type != CONTENT_EXTERN;
}

/** content_is_file() - is its blob the bytes of a file? */
static inline bool content_is_file(uint8_t type)
{
	return type == CONTENT_FILE || type == CONTENT_EXEC || type == CONTENT_JSON ||
	       type == CONTENT_PICKLE;
}

#define CONTENT_SIZE 33
struct content {
	uint8_t type; /* enum content_type */
	uint8_t digest[DIGEST_SIZE];
};
_Static_assert(sizeof(struct content) == CONTENT_SIZE, "a placeholder has no padding");

struct content_entry {
	char *name; /* output's name; NULL in trees */
	char *path;
	struct content content;
	uint64_t size; /* bytes of the blob that the digest names */
};

struct content_entries {
	struct content_entry *items;
	size_t count, capacity;
};

void content_entries_fini(struct content_entries *e);
/** content_entries_add() - copies @name (or NULL) and @path. Return: 0, -ENOMEM. */
int content_entries_add(struct content_entries *e, const char *name, const char *path,
			const struct content *content, uint64_t size);
/* Encoders sort a copy of the order, so callers may add in any order. */
void content_encode_tree(struct buf *out, struct content_entries *e);
void content_encode_result(struct buf *out, struct content_entries *e);
/* Decoders check everything: tag, version, order, types, paths, no duplicate and no file that is
 * another entry's folder. Return: 0, 1 if malformed; nothing is kept then. */
int content_decode_tree(const void *data, size_t size, struct content_entries *e);
int content_decode_result(const void *data, size_t size, struct content_entries *e);
