/* read.c - see read.h. The input goes through one buffer that grows as bytes arrive, never because
 * they were announced. */
#include "client/archive/read.h"

#include "common/names.h"
#include "common/pure/hex.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define INPUT_STEP (256u << 10)
#define SPARSE_STEP 4096
#define PIECE_HEAD 9
#define STORED_MAX (ARCHIVE_PIECE + (64u << 10)) /* of a piece */
#define RATIO_MAX 1000
#define TAGS_MAX 1024

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
	ZSTD_DCtx *dctx;
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

struct archive_reader *archive_reader_new(archive_input *input, void *arg,
					  uint64_t ratio_free)
{
	struct archive_reader *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->input = input;
	r->arg = arg;
	r->ratio_free = ratio_free;
	r->dctx = ZSTD_createDCtx();
	r->content = malloc(ARCHIVE_PIECE);
	r->tags = malloc(TAGS_MAX * sizeof *r->tags);
	sha256_init(&r->sha);
	if (r->dctx && r->content && r->tags)
		return r;
	archive_reader_free(r);
	return NULL;
}

void archive_reader_free(struct archive_reader *r)
{
	if (!r)
		return;
	ZSTD_freeDCtx(r->dctx);
	free(r->content);
	free(r->tags);
	free(r->data);
	seen_fini(&r->seen);
	buf_fini(&r->container);
	buf_fini(&r->again);
	buf_fini(&r->arena);
	buf_fini(&r->text);
	free(r);
}

const struct archive_counts *archive_read_counts(const struct archive_reader *r)
{
	return &r->counts;
}

uint64_t archive_read_bytes(const struct archive_reader *r)
{
	return r->taken;
}

/* ---- bytes ---- */

static int bad(struct err *e, const char *what)
{
	err_set(e, ERR_USAGE, "this archive is not whole, or not one of ours: %s", what);
	err_next(e, "nothing of it was imported; export it again");
	return ERR_USAGE;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED, "out of memory");
}

static int make_room(struct archive_reader *r, struct err *e)
{
	if (r->at) {
		memmove(r->data, r->data + r->at, r->end - r->at);
		r->end -= r->at;
		r->at = 0;
	}
	if (r->room - r->end >= INPUT_STEP)
		return 0;
	size_t room = r->room ? 2 * r->room : 2 * INPUT_STEP;
	uint8_t *data = realloc(r->data, room);
	if (!data)
		return no_memory(e);
	r->data = data;
	r->room = room;
	return 0;
}

static int no_bytes(struct err *e, int64_t n)
{
	if (n == 0)
		return bad(e, "it ends too early");
	if (n == -EINTR)
		return err_set(e, ERR_DETACHED, "interrupted");
	return err_set(e, ERR_FAILED, "the archive cannot be read: %s",
		       strerror((int)-n));
}

/* take() - the next @size bytes, borrowed until the next call. */
static int take(struct archive_reader *r, size_t size, const uint8_t **datap,
		struct err *e)
{
	while (r->end - r->at < size) {
		int rc = make_room(r, e);
		if (rc)
			return rc;
		size_t most = r->room - r->end, need = size - (r->end - r->at);
		if (r->sparse && need <= SPARSE_STEP)
			most = SPARSE_STEP;
		int64_t n = r->input(r->arg, r->data + r->end, most);
		if (n <= 0)
			return no_bytes(e, n);
		r->end += (size_t)n;
	}
	*datap = r->data + r->at;
	r->at += size;
	r->taken += size;
	return 0;
}

static int pass_over(struct archive_reader *r, size_t size, struct err *e)
{
	size_t here = r->end - r->at < size ? r->end - r->at : size;
	r->at += here;
	r->taken += size;
	if (here == size)
		return 0;
	int64_t n = r->input(r->arg, NULL, size - here);
	return n > 0 ? 0 : no_bytes(e, n);
}

static uint32_t get32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 |
	       (uint32_t)from[2] << 8 | from[3];
}

/* ---- pieces ---- */

static int add_size(struct archive_reader *r, size_t size, struct err *e)
{
	r->blob_bytes += size;
	r->counts.bytes += size;
	if (r->ratio_free == UINT64_MAX || r->counts.bytes <= r->ratio_free ||
	    (r->counts.bytes - r->ratio_free) / RATIO_MAX <= r->taken)
		return 0;
	err_set(e, ERR_USAGE,
		"this archive unpacks to more than 1000 times its own size");
	err_next(e, "if that is right, say how much it may be: --max-size");
	return ERR_USAGE;
}

/* next_head() - what piece comes; r->next.size 0: the blob ends here. */
static int next_head(struct archive_reader *r, bool *voidp, struct err *e)
{
	const uint8_t *head;
	int rc = take(r, PIECE_HEAD, &head, e);
	if (rc)
		return rc;
	uint8_t form = head[0];
	uint32_t stored = get32(head + 1), size = get32(head + 5);
	r->next.size = 0;
	*voidp = form == ARCHIVE_VOID;
	if (form == ARCHIVE_END || form == ARCHIVE_VOID) {
		sha256_update(&r->sha, head, PIECE_HEAD);
		uint64_t total = form == ARCHIVE_END ? r->blob_bytes : 0;
		return ((uint64_t)stored << 32 | size) == total
			       ? 0
			       : bad(e, "a blob is not as long as it says");
	}
	if (form > ARCHIVE_VOID || !size || size > ARCHIVE_PIECE || !stored ||
	    stored > STORED_MAX || (form == ARCHIVE_RAW && stored != size))
		return bad(e, "a piece of a blob that cannot be one");
	r->next = (struct piece_head){form == ARCHIVE_ZSTD, stored, size};
	return add_size(r, size, e);
}

/* unpack_next() - the content of the piece that comes, borrowed until the next call. */
static int unpack_next(struct archive_reader *r, const uint8_t **datap, size_t *sizep,
		       struct err *e)
{
	struct piece_head head = r->next;
	r->next.size = 0;
	int rc = take(r, head.stored, datap, e);
	if (!rc && head.is_packed) {
		size_t n = ZSTD_decompressDCtx(r->dctx, r->content, head.size, *datap,
					       head.stored);
		if (ZSTD_isError(n) || n != head.size)
			return bad(e, "a piece of a blob that does not unpack");
		*datap = r->content;
	}
	*sizep = head.size;
	return rc;
}

/* read_piece() - the content, borrowed until the next call; *@sizep 0: the end of the blob. */
static int read_piece(struct archive_reader *r, const uint8_t **datap, size_t *sizep,
		      bool *voidp, struct err *e)
{
	*sizep = 0;
	int rc = next_head(r, voidp, e);
	return rc || !r->next.size ? rc : unpack_next(r, datap, sizep, e);
}

static int mark(struct archive_reader *r, const uint8_t *digest, uint8_t bits,
		struct err *e)
{
	return seen_add(&r->seen, digest, bits) ? no_memory(e) : 0;
}

static int end_blob(struct archive_reader *r, bool is_void, uint8_t bit,
		    const uint8_t *digest, struct err *e)
{
	if (!is_void) {
		r->counts.blobs++;
		return mark(r, digest, bit, e);
	}
	r->counts.bytes -= r->blob_bytes;
	r->counts.absent++;
	if (seen_bits(&r->seen, digest) & SEEN_BLOB)
		return bad(e, "a blob is there and absent");
	return mark(r, digest, SEEN_ABSENT, e);
}

static int mismatch(struct err *e, const uint8_t *digest)
{
	char hex[HEX_DIGEST_SIZE], what[128];
	snprintf(what, sizeof what, "the bytes of blob %.16s are not those of its name",
		 hex_encode(hex, digest, DIGEST_SIZE));
	return bad(e, what);
}

void archive_read_verify(struct archive_reader *r)
{
	r->verify = true;
	sha256_init(&r->blob_sha);
}

static int finish_blob(struct archive_reader *r, bool is_void, struct err *e)
{
	r->in_blob = r->sparse = false;
	if (!is_void && !r->blob_bytes)
		return bad(e, "a blob without bytes");
	if (!is_void && r->verify) {
		uint8_t digest[DIGEST_SIZE];
		sha256_final(&r->blob_sha, digest);
		if (memcmp(digest, r->digest, DIGEST_SIZE) != 0)
			return mismatch(e, r->digest);
	}
	return end_blob(r, is_void, SEEN_FILE, r->digest, e);
}

int archive_next_size(struct archive_reader *r, size_t *sizep, bool *voidp, struct err *e)
{
	bool is_void = false;
	int rc = 0;
	if (r->in_blob && !r->piece_left && !r->next.size) {
		rc = next_head(r, &is_void, e);
		if (!rc && !r->next.size)
			rc = finish_blob(r, is_void, e);
	}
	if (voidp)
		*voidp = is_void;
	*sizep = rc ? 0 : r->next.size;
	return rc;
}

int archive_read_content(struct archive_reader *r, size_t max, const void **datap,
			 size_t *sizep, bool *voidp, struct err *e)
{
	size_t size;
	int rc = archive_next_size(r, &size, voidp, e);
	if (!rc && size)
		rc = unpack_next(r, &r->piece, &r->piece_left, e);
	if (!rc && size && r->verify)
		sha256_update(&r->blob_sha, r->piece, r->piece_left);
	*sizep = rc ? 0 : r->piece_left < max ? r->piece_left : max;
	*datap = r->piece;
	if (rc || !*sizep)
		return rc;
	r->piece += *sizep;
	r->piece_left -= *sizep;
	return 0;
}

int archive_read_piece(struct archive_reader *r, bool pass_over_it,
		       struct archive_piece *piece, bool *voidp, struct err *e)
{
	size_t size;
	*piece = (struct archive_piece){0};
	int rc = archive_next_size(r, &size, voidp, e);
	if (rc || (!size && !r->piece_left))
		return rc;
	struct piece_head head = r->next;
	/* A frame that gains nothing may be larger than what it holds. */
	bool is_plain = !size || (head.is_packed && head.stored >= head.size);
	if (is_plain) {
		rc = archive_read_content(r, ARCHIVE_PIECE, &piece->data, &size, voidp,
					  e);
		piece->size = (uint32_t)size;
		return rc;
	}
	r->sparse = pass_over_it;
	r->next.size = 0;
	piece->from = r->taken;
	piece->stored = head.is_packed ? head.stored : 0;
	piece->size = head.size;
	if (pass_over_it)
		return pass_over(r, head.stored, e);
	const uint8_t *data;
	rc = take(r, head.stored, &data, e);
	piece->data = data;
	return rc;
}

/* ---- entries ---- */

static int check_ref(void *arg, const struct content *c)
{
	const struct archive_reader *r = arg;
	return !seen_is_named(c) || seen_has(&r->seen, c) ? 0 : 1;
}

static int read_container(struct archive_reader *r, struct archive_entry *entry,
			  struct err *e)
{
	size_t max = entry->type == ARCHIVE_FUNCTION ? ARCHIVE_FUNCTION_MAX
						     : ARCHIVE_CONTAINER_MAX;
	uint8_t digest[DIGEST_SIZE];
	const uint8_t *data;
	size_t size;
	bool is_void;
	buf_reset(&r->container);
	for (;;) {
		int rc = read_piece(r, &data, &size, &is_void, e);
		if (rc)
			return rc;
		if (!size)
			break;
		if (size > max - r->container.size)
			return bad(
				e,
				"a folder, list, function or source that is too large");
		buf_add(&r->container, data, size);
	}
	if (r->container.failed)
		return no_memory(e);
	if (is_void)
		return bad(e, "half a folder, list, function or source");
	sha256_digest(r->container.data, r->container.size, digest);
	if (memcmp(digest, entry->digest, DIGEST_SIZE) != 0)
		return mismatch(e, entry->digest);
	int rc = archive_refs_of_blob(entry->type, r->container.data, r->container.size,
				      check_ref, r);
	if (rc < 0)
		return bad(e, "a folder, list, function or source that is malformed");
	if (rc)
		return bad(e, "a folder, list, function or source names a blob that did "
			      "not come before it");
	entry->data = r->container.data;
	entry->size = r->container.size;
	return end_blob(r, false, seen_bit(entry->type), entry->digest, e);
}

static int on_blob(struct archive_reader *r, struct cbor_reader *in,
		   struct archive_entry *entry, struct err *e)
{
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 2 ||
	    cbor_read_uint(in, &entry->type) || cbor_read_digest(in, entry->digest) ||
	    !cbor_done(in) || !seen_bit(entry->type))
		return bad(e, "a blob without a name");
	struct content c = {.type = CONTENT_FILE};
	memcpy(c.digest, entry->digest, DIGEST_SIZE);
	uint8_t before = seen_bits(&r->seen, entry->digest);
	if (before & (seen_bit(entry->type) | SEEN_ABSENT) || !seen_is_named(&c) ||
	    (entry->type == CONTENT_FILE && before & SEEN_BLOB))
		return bad(e, "a blob that comes twice, or has no bytes");
	r->blob_bytes = 0;
	entry->kind = ARCHIVE_BLOB;
	if (entry->type != CONTENT_FILE)
		return read_container(r, entry, e);
	memcpy(r->digest, entry->digest, DIGEST_SIZE);
	r->in_blob = true;
	r->verify = false;
	r->piece_left = 0;
	r->next.size = 0;
	return 0;
}

static int on_absent(struct archive_reader *r, struct cbor_reader *in, struct err *e)
{
	uint8_t digest[DIGEST_SIZE];
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 1 || cbor_read_digest(in, digest) ||
	    !cbor_done(in))
		return bad(e, "an absent blob without a name");
	if (seen_bits(&r->seen, digest) & (SEEN_BLOB | SEEN_ABSENT))
		return bad(e, "an absent blob that is there, or comes twice");
	r->counts.absent++;
	return mark(r, digest, SEEN_ABSENT, e);
}

/* A text behind those in r->text; its place there. */
static int keep_text(struct archive_reader *r, struct cbor_reader *in, size_t *placep)
{
	const char *text;
	size_t size;
	if (cbor_read_text(in, &text, &size))
		return 1;
	*placep = r->text.size;
	buf_add(&r->text, text, size);
	buf_add_byte(&r->text, 0);
	return r->text.failed;
}

static int read_tags(struct archive_reader *r, struct cbor_reader *in,
		     struct archive_entry *entry)
{
	size_t places[TAGS_MAX][2];
	uint64_t count, two;
	buf_reset(&r->text);
	if (cbor_read_array(in, &count) || count > TAGS_MAX)
		return 1;
	for (uint64_t i = 0; i < count; i++)
		if (cbor_read_array(in, &two) || two != 2 ||
		    keep_text(r, in, &places[i][0]) || keep_text(r, in, &places[i][1]))
			return 1;
	for (uint64_t i = 0; i < count; i++) {
		r->tags[i].key = (const char *)r->text.data + places[i][0];
		r->tags[i].value = (const char *)r->text.data + places[i][1];
		if (!*r->tags[i].key)
			return 1;
	}
	entry->tags = r->tags;
	entry->tag_count = count;
	return 0;
}

static int check_commit(struct archive_reader *r, const struct archive_entry *entry,
			struct err *e)
{
	uint8_t hash[DIGEST_SIZE];
	buf_reset(&r->arena);
	buf_reset(&r->again);
	if (commit_decode(entry->data, entry->size, &r->commit, &r->arena))
		return bad(e, "a record that is no commit");
	commit_encode(&r->again, &r->commit);
	if (r->again.failed)
		return no_memory(e);
	if (r->again.size != entry->size ||
	    memcmp(r->again.data, entry->data, entry->size) != 0)
		return bad(e, "a commit that is not in its canonical form");
	sha256_digest(entry->data, entry->size, hash);
	if (memcmp(hash, entry->digest, DIGEST_SIZE) != 0)
		return bad(e, "a commit that is not what its hash says");
	if (seen_bits(&r->seen, hash) & SEEN_COMMIT)
		return bad(e, "a commit that comes twice");
	int rc = archive_refs_of_commit(&r->commit, true, check_ref, r);
	if (rc < 0)
		return bad(e, "a commit whose arguments are malformed");
	if (rc)
		return bad(e, "a commit names a blob that did not come before it");
	return 0;
}

static int on_commit(struct archive_reader *r, struct cbor_reader *in,
		     struct archive_entry *entry, struct err *e)
{
	const uint8_t *body;
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 4 ||
	    cbor_read_bytes(in, &body, &entry->size) ||
	    cbor_read_digest(in, entry->digest) || cbor_read_bool(in, &entry->current) ||
	    read_tags(r, in, entry) || !cbor_done(in))
		return bad(e, "a malformed commit");
	entry->kind = ARCHIVE_COMMIT;
	entry->data = body;
	int rc = check_commit(r, entry, e);
	if (rc)
		return rc;
	if (entry->current && r->commit.status != COMMIT_COMPLETED)
		return bad(e, "a failure that is current");
	entry->commit = &r->commit;
	r->counts.commits++;
	return mark(r, entry->digest, SEEN_COMMIT, e);
}

static int on_pin(struct archive_reader *r, struct cbor_reader *in,
		  struct archive_entry *entry, struct err *e)
{
	size_t place;
	uint64_t count;
	buf_reset(&r->text);
	if (cbor_read_array(in, &count) || count != 3 || keep_text(r, in, &place) ||
	    cbor_read_digest(in, entry->digest) || cbor_read_uint(in, &entry->wall_ms) ||
	    !cbor_done(in))
		return bad(e, "a malformed pin");
	entry->name = (const char *)r->text.data;
	if (!names_valid(entry->name, true))
		return bad(e, "a pin whose name cannot be one");
	if (!(seen_bits(&r->seen, entry->digest) & SEEN_COMMIT))
		return bad(e, "a pin of a commit that did not come before it");
	entry->kind = ARCHIVE_PIN;
	r->counts.pins++;
	return 0;
}

static int on_manifest(struct archive_reader *r, struct cbor_reader *in, struct err *e)
{
	struct archive_counts said;
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 5 ||
	    cbor_read_uint(in, &said.commits) || cbor_read_uint(in, &said.blobs) ||
	    cbor_read_uint(in, &said.absent) || cbor_read_uint(in, &said.pins) ||
	    cbor_read_uint(in, &said.bytes) || !cbor_done(in) || r->has_manifest)
		return bad(e, "a malformed manifest");
	if (memcmp(&said, &r->counts, sizeof said) != 0)
		return bad(e, "its manifest tells of other things than are in it");
	r->has_manifest = true;
	return 0;
}

static int on_end(struct archive_reader *r, const uint8_t digest[DIGEST_SIZE],
		  struct cbor_reader *in, struct archive_entry *entry, struct err *e)
{
	uint8_t said[DIGEST_SIZE], byte;
	uint64_t count;
	if (cbor_read_array(in, &count) || count != 1 || cbor_read_digest(in, said) ||
	    !cbor_done(in) || !r->has_manifest)
		return bad(e, "a malformed end");
	if (memcmp(said, digest, DIGEST_SIZE) != 0)
		return bad(e, "it was changed since it was written");
	if (r->at < r->end || r->input(r->arg, &byte, 1) != 0)
		return bad(e, "there is more behind its end");
	entry->kind = ARCHIVE_FINISHED;
	return 0;
}

static int on_head(struct archive_reader *r, struct cbor_reader *in, struct err *e)
{
	uint64_t count, wall_ms;
	size_t place;
	buf_reset(&r->text);
	if (cbor_read_array(in, &count) || count != 2 || cbor_read_uint(in, &wall_ms) ||
	    keep_text(r, in, &place) || !cbor_done(in))
		return bad(e, "a malformed beginning");
	return 0;
}

static int begin(struct archive_reader *r, struct err *e)
{
	const uint8_t *magic;
	int rc = take(r, ARCHIVE_MAGIC_SIZE, &magic, e);
	if (rc)
		return rc;
	/* All but the digit and the line's end. */
	if (memcmp(magic, ARCHIVE_MAGIC, ARCHIVE_MAGIC_SIZE - 2) != 0)
		return bad(e, "it does not begin like one");
	if (memcmp(magic, ARCHIVE_MAGIC, ARCHIVE_MAGIC_SIZE) != 0) {
		err_set(e, ERR_USAGE, "this archive was written by a newer cashet");
		err_next(e, "import it with that version");
		return ERR_USAGE;
	}
	sha256_update(&r->sha, magic, ARCHIVE_MAGIC_SIZE);
	return 0;
}

/* read_entry() - the next head. *@againp: nothing for the caller. */
static int read_entry(struct archive_reader *r, struct archive_entry *entry, bool *againp,
		      struct err *e)
{
	const uint8_t *start, *head;
	uint8_t digest[DIGEST_SIZE];
	struct sha256 sha = r->sha; /* before this entry: what Z has the digest of */
	struct cbor_reader in;
	int rc = take(r, 5, &start, e);
	if (rc)
		return rc;
	uint8_t kind = start[0];
	uint32_t size = get32(start + 1);
	if (size > (kind == 'C' ? ARCHIVE_HEAD_MAX : ARCHIVE_SMALL_HEAD_MAX))
		return bad(e, "an entry that is too large");
	if ((kind == 'H') == r->began || (r->has_manifest && kind != 'Z'))
		return bad(e, "its entries are in the wrong order");
	sha256_update(&r->sha, start, 5);
	rc = take(r, size, &head, e);
	if (rc)
		return rc;
	sha256_update(&r->sha, head, size);
	cbor_reader_init(&in, head, size);
	r->began = true;
	*againp = kind == 'H' || kind == 'A' || kind == 'M';
	switch (kind) {
	case 'H':
		return on_head(r, &in, e);
	case 'B':
		return on_blob(r, &in, entry, e);
	case 'A':
		return on_absent(r, &in, e);
	case 'C':
		return on_commit(r, &in, entry, e);
	case 'P':
		return on_pin(r, &in, entry, e);
	case 'M':
		return on_manifest(r, &in, e);
	case 'Z':
		sha256_final(&sha, digest);
		return on_end(r, digest, &in, entry, e);
	default:
		return bad(e, "an entry of a kind that there is not");
	}
}

int archive_read(struct archive_reader *r, struct archive_entry *entry, struct err *e)
{
	const void *data;
	size_t size = 1;
	int rc = r->taken ? 0 : begin(r, e);
	if (!rc && r->in_blob && !r->piece_left && !r->blob_bytes)
		archive_read_verify(r);
	while (!rc && r->in_blob && size)
		rc = archive_read_content(r, ARCHIVE_PIECE, &data, &size, NULL, e);
	bool again = true;
	while (!rc && again) {
		*entry = (struct archive_entry){0};
		again = false;
		rc = read_entry(r, entry, &again, e);
	}
	return rc;
}
