/* read.c - see read.h. The input goes through one buffer that grows as bytes arrive, never because
 * they were announced. */
#include "client/archive/read_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define INPUT_STEP (256u << 10)
#define SPARSE_STEP 4096

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
	r->tags = malloc(READ_TAGS_MAX * sizeof *r->tags);
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

int read_bad(struct err *e, const char *what)
{
	err_set(e, ERR_USAGE, "this archive is not whole, or not one of ours: %s", what);
	err_next(e, "nothing of it was imported; export it again");
	return ERR_USAGE;
}

int read_no_memory(struct err *e)
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
		return read_no_memory(e);
	r->data = data;
	r->room = room;
	return 0;
}

static int no_bytes(struct err *e, int64_t n)
{
	if (n == 0)
		return read_bad(e, "it ends too early");
	if (n == -EINTR)
		return err_set(e, ERR_DETACHED, "interrupted");
	return err_set(e, ERR_FAILED, "the archive cannot be read: %s",
		       strerror((int)-n));
}

int read_take(struct archive_reader *r, size_t size, const uint8_t **datap, struct err *e)
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

int read_pass_over(struct archive_reader *r, size_t size, struct err *e)
{
	size_t here = r->end - r->at < size ? r->end - r->at : size;
	r->at += here;
	r->taken += size;
	if (here == size)
		return 0;
	int64_t n = r->input(r->arg, NULL, size - here);
	return n > 0 ? 0 : no_bytes(e, n);
}

uint32_t read_get32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 |
	       (uint32_t)from[2] << 8 | from[3];
}

/* ---- entries ---- */

static int begin(struct archive_reader *r, struct err *e)
{
	const uint8_t *magic;
	int rc = read_take(r, ARCHIVE_MAGIC_SIZE, &magic, e);
	if (rc)
		return rc;
	/* All but the digit and the line's end. */
	if (memcmp(magic, ARCHIVE_MAGIC, ARCHIVE_MAGIC_SIZE - 2) != 0)
		return read_bad(e, "it does not begin like one");
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
	int rc = read_take(r, 5, &start, e);
	if (rc)
		return rc;
	uint8_t kind = start[0];
	uint32_t size = read_get32(start + 1);
	if (size > (kind == 'C' ? ARCHIVE_HEAD_MAX : ARCHIVE_SMALL_HEAD_MAX))
		return read_bad(e, "an entry that is too large");
	if ((kind == 'H') == r->began || (r->has_manifest && kind != 'Z'))
		return read_bad(e, "its entries are in the wrong order");
	sha256_update(&r->sha, start, 5);
	rc = read_take(r, size, &head, e);
	if (rc)
		return rc;
	sha256_update(&r->sha, head, size);
	cbor_reader_init(&in, head, size);
	r->began = true;
	*againp = kind == 'H' || kind == 'A' || kind == 'M';
	switch (kind) {
	case 'H':
		return read_on_head(r, &in, e);
	case 'B':
		return read_on_blob(r, &in, entry, e);
	case 'A':
		return read_on_absent(r, &in, e);
	case 'C':
		return read_on_commit(r, &in, entry, e);
	case 'P':
		return read_on_pin(r, &in, entry, e);
	case 'M':
		return read_on_manifest(r, &in, e);
	case 'Z':
		sha256_final(&sha, digest);
		return read_on_end(r, digest, &in, entry, e);
	default:
		return read_bad(e, "an entry of a kind that there is not");
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
