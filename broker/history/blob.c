/* blob.c - bytes of the store: small blobs from the journal, the others from objects/. A range is
 * read from the start of the blob and to its end all the same: only so is it verified. Opening a
 * directory's store for that changes nothing in it. */
#include "broker/history/parts.h"

#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (256u << 10)

struct range {
	uint64_t skip, left; /* bytes that are not wanted yet, and that still are */
	int (*sink)(void *arg, const void *data, size_t size);
	void *arg;
};

static int give(struct range *r, const uint8_t *data, size_t size)
{
	uint64_t skip = r->skip < size ? r->skip : size;
	r->skip -= skip;
	size -= (size_t)skip;
	if (size > r->left)
		size = (size_t)r->left;
	r->left -= size;
	return size ? r->sink(r->arg, data + skip, size) : 0;
}

static int missing(struct err *e, const uint8_t *digest)
{
	char hex[HEX_DIGEST_SIZE];
	err_set(e, ERR_NOT_FOUND, "the blob %.16s is not in the store",
		hex_encode(hex, digest, DIGEST_SIZE));
	err_next(e,
		 "submit the task that made it again; where it is a hit all the same, "
		 "since nothing that runs needs these bytes: cashet rm its commit first");
	return ERR_NOT_FOUND;
}

static int corrupt(struct err *e, const uint8_t *digest)
{
	char hex[HEX_DIGEST_SIZE];
	err_set(e, ERR_FAILED,
		"the blob %.16s is corrupt: its bytes are not what its "
		"name says",
		hex_encode(hex, digest, DIGEST_SIZE));
	err_next(e, "cashet fsck --repair --read-data 100 puts it aside; then submit its "
		    "task again");
	return ERR_FAILED;
}

static int sink_failed(struct err *e, int rc)
{
	return err_set(e, ERR_FAILED, "the bytes cannot be written: %s", strerror(-rc));
}

static int unreadable(struct err *e, const uint8_t *digest, int rc)
{
	char hex[HEX_DIGEST_SIZE];
	return err_set(e, ERR_FAILED, "the blob %.16s cannot be read: %s",
		       hex_encode(hex, digest, DIGEST_SIZE), strerror(-rc));
}

static int from_cas(struct history *h, const uint8_t *digest, struct range *r,
		    struct err *e)
{
	struct cas_get *get = NULL;
	int rc = h->cas ? cas_get_open(h->cas, digest, &get, NULL) : CAS_E_MISSING;
	if (rc == CAS_E_MISSING)
		return missing(e, digest);
	if (rc == CAS_E_CORRUPT)
		return corrupt(e, digest);
	if (rc)
		return unreadable(e, digest, rc);
	CLEANUP_FREE uint8_t *piece = mem_alloc(PIECE);
	int64_t n;
	while ((n = cas_get_read(get, piece, PIECE)) > 0) {
		rc = give(r, piece, (size_t)n);
		if (rc)
			break;
	}
	cas_get_close(get);
	if (rc)
		return sink_failed(e, rc);
	if (n == -EBADMSG)
		return corrupt(e, digest);
	return n < 0 ? unreadable(e, digest, (int)n) : 0;
}

int history_blob(struct history *h, const uint8_t digest[DIGEST_SIZE], uint64_t offset,
		 uint64_t size, int (*sink)(void *arg, const void *data, size_t size),
		 void *arg, struct err *e)
{
	struct range r = {.skip = offset,
			  .left = size ? size : UINT64_MAX,
			  .sink = sink,
			  .arg = arg};
	buf_reset(&h->blob);
	int rc = ledger_find_blob(history_reader(h), digest, &h->blob);
	if (rc == 1)
		return from_cas(h, digest, &r, e);
	if (rc < 0)
		return unreadable(e, digest, rc);
	rc = give(&r, h->blob.data, h->blob.size);
	return rc ? sink_failed(e, rc) : 0;
}

enum { ENVELOPE_BLOB_REPLY = 88 };
#define SMALL_MAX (64u << 10)

static int keep(void *arg, const void *data, size_t size)
{
	buf_add(arg, data, size);
	return 0;
}

int history_small_blob(struct history *h, const Cashet__Envelope *question,
		       const struct history_live *live, struct buf *out, struct err *e)
{
	const ProtobufCBinaryData *digest = &question->blob_query->digest;
	CLEANUP_BUF struct buf data = {0};
	uint64_t size = 0;
	(void)live;
	if (!wire_is(digest, DIGEST_SIZE)) {
		err_set(e, ERR_USAGE, "a digest has 32 bytes");
		return ERR_USAGE;
	}
	bool is_large = ledger_has_blob(history_reader(h), digest->data) == 1 && h->cas &&
			!cas_has(h->cas, digest->data, &size) && size > SMALL_MAX;
	int rc = is_large ? 0 : history_blob(h, digest->data, 0, 0, keep, &data, e);
	/* It was corrupt, and was put aside: from now on it is missing. */
	if (rc == ERR_FAILED && h->cas && cas_has(h->cas, digest->data, NULL) == 1)
		return missing(e, digest->data);
	if (rc)
		return rc;
	size_t mark = pb_open(out, ENVELOPE_BLOB_REPLY);
	pb_bytes(out, 1, data.data, data.size);
	pb_uint(out, 2, is_large);
	pb_close(out, mark);
	return 0;
}

int history_open_dir(struct history **hp, const char *dir, struct err *e)
{
	struct ledger_reader *reader;
	struct cas *cas = NULL;
	int rc = ledger_reader_open(&reader, NULL, dir, e);
	if (rc)
		return e && e->code ? (int)e->code : rc;
	rc = cas_open_dir_reading(&cas, dir, e);
	if (rc) {
		ledger_reader_close(reader);
		return rc;
	}
	struct history *h = history_open(reader, cas);
	h->owned = true;
	*hp = h;
	return 0;
}
