/* read_impl.h - what the files of the archive's reader share:
 *
 *   read.c           bytes of the input, and which entry is next
 *   read_blob.c      blobs and their pieces
 *   read_entries.c   the heads of entries, by kind */
#pragma once

#include "client/archive/read.h"
#include "common/pure/sha256.h"

#define READ_TAGS_MAX 1024

struct ZSTD_DCtx_s;

struct archive_reader {
	archive_input *input;
	void *arg;
	uint64_t ratio_free, taken; /* bytes that were used */
	uint8_t *data;		    /* what was read and not used: [at, end) */
	size_t at, end, room;
	struct sha256 sha;
	struct archive_counts counts;
	struct seen seen;
	bool began, has_manifest;
	enum archive_kind last;
	struct ZSTD_DCtx_s *dctx;
	uint8_t *content; /* of a compressed piece */
	struct buf container, again, arena, text;
	struct commit commit;
	struct archive_pair *tags;
	/* the plain blob that is being read */
	bool in_blob, verify, any;
	uint8_t digest[DIGEST_SIZE];
	uint64_t blob_bytes;
	struct sha256 blob_sha;
	bool sparse; /* what follows is passed over: no use in reading ahead */
	struct piece_head {
		bool is_packed;
		uint32_t stored, size; /* size 0: none */
	} next; /* of the piece that comes; its bytes were not taken */
	const uint8_t *piece;
	size_t piece_left;
};

/* ---- read.c: all return 0, or ERR_* in @e ---- */
int read_bad(struct err *e, const char *what);
int read_no_memory(struct err *e);
/** read_take() - the next @size bytes, borrowed until the next call. */
int read_take(struct archive_reader *r, size_t size, const uint8_t **datap,
	      struct err *e);
int read_pass_over(struct archive_reader *r, size_t size, struct err *e);
uint32_t read_get32(const uint8_t *from);

/* ---- read_blob.c ---- */
/** read_blob_piece() - the content, borrowed until the next call; *@sizep 0: the end of the blob. */
int read_blob_piece(struct archive_reader *r, const uint8_t **datap, size_t *sizep,
		    bool *voidp, struct err *e);
int read_mark(struct archive_reader *r, const uint8_t *digest, uint8_t bits,
	      struct err *e);
int read_end_blob(struct archive_reader *r, bool is_void, uint8_t bit,
		  const uint8_t *digest, struct err *e);
int read_mismatch(struct err *e, const uint8_t *digest);

/* ---- read_entries.c: of the head @in ---- */
int read_on_head(struct archive_reader *r, struct cbor_reader *in, struct err *e);
int read_on_blob(struct archive_reader *r, struct cbor_reader *in,
		 struct archive_entry *entry, struct err *e);
int read_on_absent(struct archive_reader *r, struct cbor_reader *in, struct err *e);
int read_on_commit(struct archive_reader *r, struct cbor_reader *in,
		   struct archive_entry *entry, struct err *e);
int read_on_pin(struct archive_reader *r, struct cbor_reader *in,
		struct archive_entry *entry, struct err *e);
int read_on_manifest(struct archive_reader *r, struct cbor_reader *in, struct err *e);
/** @digest: of all before this entry. */
int read_on_end(struct archive_reader *r, const uint8_t digest[DIGEST_SIZE],
		struct cbor_reader *in, struct archive_entry *entry, struct err *e);
