/* read.h - reading an archive of a stranger: entry after entry, in bounded memory, everything checked.
 *
 * What it checks: the form (kinds, order, sizes before memory is taken, canonical heads), that nothing
 * comes twice, that commits are canonical and hash to their names, that folders, lists, results and
 * functions are such and hash to theirs, that all that is named came before or is told to be absent,
 * the manifest, the digest of the whole, and that nothing follows. The bytes of plain blobs are
 * for the caller to verify: archive_read_verify(), or a store that does so when they are put.
 *
 * Memory: 33 bytes for each digest, twice that while growing; one head, one piece, one container. */
#pragma once

#include "client/archive/archive.h"
#include "common/err.h"

struct archive_reader;

enum archive_kind {
	ARCHIVE_BLOB = 'B',
	ARCHIVE_COMMIT = 'C',
	ARCHIVE_PIN = 'P',
	ARCHIVE_FINISHED = 'Z', /* everything was right */
};

struct archive_entry { /* borrowed until the next call */
	enum archive_kind kind;
	/* BLOB. Of a plain file archive_read_content() gives the bytes; of others they are here. */
	uint64_t type;
	uint8_t digest[DIGEST_SIZE]; /* COMMIT: its hash; PIN: that of its commit */
	const void *data;	     /* COMMIT: canonical bytes */
	size_t size;
	/* COMMIT */
	const struct commit *commit;
	bool current;
	const struct archive_pair {
		const char *key, *value;
	} * tags;
	size_t tag_count;
	/* PIN */
	const char *name;
	uint64_t wall_ms;
};

/** Bytes of an archive: at most @size of them to @out; @out NULL: all @size are passed over, which is
 * asked for only if archive_read_piece() was. Return: how many, 0: the end; negative errno. */
typedef int64_t archive_input(void *arg, void *out, size_t size);

/** archive_reader_new() - Return: NULL: out of memory.
 * @ratio_free: content may unpack to so much, and to 1000 times the bytes that were read, and not to
 * more; UINT64_MAX: to any size */
struct archive_reader *archive_reader_new(archive_input *input, void *arg,
					  uint64_t ratio_free);
void archive_reader_free(struct archive_reader *r); /* NULL is fine */

/* Return: 0; ERR_USAGE in @e: it is no archive, or not a good one; ERR_FAILED. After an error: free. */

/** archive_read() - the next entry; what is left of a plain blob is read, verified and dropped. */
int archive_read(struct archive_reader *r, struct archive_entry *entry, struct err *e);
/** archive_read_content() - the next bytes of the plain blob, borrowed until the next call, at most
 * @max of them. *@sizep 0: that was all; *@voidp (may be NULL): it counts as absent. */
int archive_read_content(struct archive_reader *r, size_t max, const void **datap,
			 size_t *sizep, bool *voidp, struct err *e);
/** archive_next_size() - how much content the next piece of the plain blob has, before any of it is taken;
 * 0: there is none; *@voidp: it counts as absent. */
int archive_next_size(struct archive_reader *r, size_t *sizep, bool *voidp,
		      struct err *e);
/** archive_read_piece() - instead of archive_read_content(): the next piece as it is in the archive.
 * @pass_over: if possible it is not even read. Bytes of packed pieces, and those that are not read,
 * are for others to verify. */
struct archive_piece {
	const void *
		data; /* borrowed until the next call; NULL: the bytes are in the input, */
	uint64_t from; /* there */
	uint32_t
		stored; /* bytes: one zstd frame of the content; 0: the content as it is */
	uint32_t size;	/* of content; 0: that was all */
};
int archive_read_piece(struct archive_reader *r, bool pass_over,
		       struct archive_piece *piece, bool *voidp, struct err *e);
/** archive_read_verify() - from now on, archive_read_content() hashes what it gives, and fails at the
 * end if that is not the digest. To be called before the first byte of a blob. */
void archive_read_verify(struct archive_reader *r);
const struct archive_counts *archive_read_counts(const struct archive_reader *r);
/** archive_read_bytes() - of the archive, so far. */
uint64_t archive_read_bytes(const struct archive_reader *r);
