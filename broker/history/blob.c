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
	err_next(e, "the task that made it makes it again when it is submitted again");
	return ERR_NOT_FOUND;
}

static int corrupt(struct err *e, const uint8_t *digest)
{
	char hex[HEX_DIGEST_SIZE];
	err_set(e, ERR_FAILED,
		"the blob %.16s is corrupt: its bytes are not what its "
		"name says",
		hex_encode(hex, digest, DIGEST_SIZE));
	err_next(e, "cashet fsck --repair puts it aside; its task then makes it again");
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
