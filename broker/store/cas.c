/* cas.c - see cas.h: the front of all backends. Names are computed and verified here and
 * nowhere else, so a backend cannot get them wrong; the empty blob exists without being
 * stored. */
#include "broker/store/cas_ops.h"

#include "broker/store/piece.h"
#include "common/pure/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

/* To add a backend: implement struct cas_ops, declare it in cas_ops.h, open it by a
 * function of its own that is declared in cas.h, and add a row here and one in
 * tests/contract/cas.c. */
static const struct cas_ops *const cas_backends[] = {
	&cas_dir_ops,
	&cas_memory_ops,
};

const char *cas_backend_name(const struct cas *cas)
{
	for (size_t i = 0; i < ARRAY_LEN(cas_backends); i++) {
		if (cas->ops == cas_backends[i])
			return cas_backends[i]->name;
	}
	return "unknown";
}

static bool is_empty_blob(const uint8_t *digest)
{
	return memcmp(digest, sha256_empty, DIGEST_SIZE) == 0;
}

void cas_free(struct cas *cas)
{
	if (cas)
		cas->ops->free(cas);
}

int cas_has(struct cas *cas, const uint8_t digest[DIGEST_SIZE], uint64_t *sizep)
{
	uint64_t size = 0;
	cas_save(cas, digest);
	int rc = is_empty_blob(digest) ? 0 : cas->ops->has(cas, digest, &size);
	if (rc == 0 && sizep)
		*sizep = size;
	return rc;
}

/* ---- putting ---- */

int cas_put_open(struct cas *cas, struct cas_put **putp)
{
	struct cas_put *put = NULL;
	int rc = cas->ops->put_open(cas, &put);
	if (rc)
		return rc;
	put->cas = cas;
	sha256_init(&put->sha);
	*putp = put;
	return 0;
}

void cas_put_expect(struct cas_put *put, uint64_t size)
{
	if (put->cas->ops->put_expect)
		put->cas->ops->put_expect(put, size);
}

void cas_put_hash(struct cas_put *put, const void *data, size_t size)
{
	sha256_update(&put->sha, data, size);
	put->size += size;
}

/* settle() - what the backend has taken is hashed. */
static int settle(struct cas_put *put)
{
	const struct cas_ops *ops = put->cas->ops;
	if (!put->failed && ops->put_settle)
		put->failed = ops->put_settle(put);
	return put->failed;
}

int cas_put_write(struct cas_put *put, const void *data, size_t size)
{
	if (!size || settle(put))
		return put->failed;
	put->failed = put->cas->ops->put_write(put, data, size);
	if (!put->failed)
		cas_put_hash(put, data, size);
	return put->failed;
}

/* write_loaded() - for a backend that takes nothing but bytes. */
static int write_loaded(struct cas_put *put, const struct cas_piece *piece)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	uint8_t *content = malloc(piece->size), *stored = malloc(piece->stored + 1u);
	int rc = context && content && stored
			 ? piece_load(context, piece,
				      &(struct direct_reader){.fd = piece->fd}, content,
				      stored, NULL)
			 : -ENOMEM;
	if (rc == 0)
		rc = cas_put_write(put, content, piece->size);
	free(content);
	free(stored);
	ZSTD_freeDCtx(context);
	return rc;
}

int cas_put_piece(struct cas_put *put, const struct cas_piece *piece)
{
	const struct cas_ops *ops = put->cas->ops;
	if (put->failed)
		return put->failed;
	if (!piece_is_sane(piece))
		return put->failed = CAS_E_MISMATCH;
	if (piece->data && !piece->stored)
		return cas_put_write(put, piece->data, piece->size);
	put->failed =
		ops->put_piece ? ops->put_piece(put, piece) : write_loaded(put, piece);
	return put->failed;
}

void cas_put_abort(struct cas_put *put)
{
	if (put)
		put->cas->ops->put_free(put);
}

void cas_put_name(struct cas_put *put, uint8_t digest[DIGEST_SIZE])
{
	(void)settle(put); /* an error sticks */
	if (!put->is_named)
		sha256_final(&put->sha, put->digest);
	put->is_named = true;
	memcpy(digest, put->digest, DIGEST_SIZE);
}

static int publish(struct cas_put *put, const uint8_t name[DIGEST_SIZE])
{
	cas_put_begins(put, name);
	int rc = put->cas->ops->put_commit(put, name);
	cas_put_ended(put);
	return rc;
}

int cas_put_commit(struct cas_put *put, const uint8_t *want, uint8_t digest[DIGEST_SIZE],
		   uint64_t *sizep)
{
	uint8_t name[DIGEST_SIZE];
	int rc = settle(put);
	uint64_t size = put->size;
	if (rc == 0) {
		cas_put_name(put, name);
		if (want && memcmp(want, name, DIGEST_SIZE) != 0)
			rc = CAS_E_MISMATCH;
		else if (size)
			rc = publish(put, name);
	}
	put->cas->ops->put_free(put);
	if (rc)
		return rc;
	if (digest)
		memcpy(digest, name, DIGEST_SIZE);
	if (sizep)
		*sizep = size;
	return 0;
}

int cas_put(struct cas *cas, const void *data, size_t size, const uint8_t *want,
	    uint8_t digest[DIGEST_SIZE])
{
	struct cas_put *put = NULL;
	int rc = cas_put_open(cas, &put);
	if (rc)
		return rc;
	rc = cas_put_write(put, data, size);
	if (rc) {
		cas_put_abort(put);
		return rc;
	}
	return cas_put_commit(put, want, digest, NULL);
}

/* ---- getting ---- */

static void count_loss(struct cas *cas)
{
	__atomic_add_fetch(&cas->losses, 1, __ATOMIC_RELAXED);
}

bool cas_was_corrupt(struct cas *cas, const uint8_t digest[DIGEST_SIZE])
{
	return cas->ops->was_corrupt && cas->ops->was_corrupt(cas, digest);
}

uint64_t cas_losses(struct cas *cas)
{
	return __atomic_load_n(&cas->losses, __ATOMIC_RELAXED);
}

int cas_get_open(struct cas *cas, const uint8_t digest[DIGEST_SIZE],
		 struct cas_get **getp, uint64_t *sizep)
{
	struct cas_get *get = NULL;
	cas_save(cas, digest);
	int rc = cas->ops->get_open(cas, digest, &get);
	if (rc == CAS_E_MISSING)
		count_loss(cas);
	if (rc)
		return rc;
	get->cas = cas;
	memcpy(get->digest, digest, DIGEST_SIZE);
	sha256_init(&get->sha);
	if (sizep)
		*sizep = get->size;
	*getp = get;
	return 0;
}

static int64_t refuse(struct cas_get *get)
{
	get->cas->ops->get_quarantine(get);
	count_loss(get->cas);
	return get->ended = -EBADMSG;
}

static int64_t finish(struct cas_get *get)
{
	uint8_t name[DIGEST_SIZE];
	sha256_final(&get->sha, name);
	if (get->done != get->size || memcmp(name, get->digest, DIGEST_SIZE) != 0)
		return refuse(get);
	get->ended = 1;
	return 0;
}

int64_t cas_get_next(struct cas_get *get, const void **datap, size_t size)
{
	if (get->ended)
		return get->ended < 0 ? get->ended : 0;
	uint64_t left = get->size - get->done;
	if (left == 0)
		return finish(get);
	if (size > left)
		size = left;
	int64_t n = get->cas->ops->get_next(get, datap, size);
	if (n == 0 || n == -EBADMSG)
		return refuse(get);
	if (n > 0) {
		sha256_update(&get->sha, *datap, (size_t)n);
		get->done += (uint64_t)n;
	}
	return n;
}

int64_t cas_get_read(struct cas_get *get, void *out, size_t size)
{
	const void *data;
	int64_t n = cas_get_next(get, &data, size);
	if (n > 0)
		memcpy(out, data, (size_t)n);
	return n;
}

int64_t cas_get_stored(struct cas_get *get, void *out, size_t room, bool *rawp)
{
	*rawp = false;
	return get->cas->ops->get_stored ? get->cas->ops->get_stored(get, out, room, rawp)
					 : 0;
}

bool cas_get_hand_over(struct cas_get *get, struct direct_piece *piece)
{
	return get->cas->ops->get_hand_over && get->cas->ops->get_hand_over(get, piece);
}

void cas_get_place(struct cas_get *get, uint64_t at, unsigned gap)
{
	if (get->cas->ops->get_place)
		get->cas->ops->get_place(get, at, gap);
}

void cas_get_close(struct cas_get *get)
{
	if (get)
		get->cas->ops->get_free(get);
}

static int read_all(struct cas_get *get, struct buf *out)
{
	for (;;) {
		uint64_t left = get->size - get->done;
		size_t want = left < (256u << 10) ? (size_t)left : 256u << 10;
		uint8_t *to = buf_reserve(out, want + 1);
		if (!to)
			return -ENOMEM;
		int64_t n = cas_get_read(get, to, want + 1);
		if (n == -EBADMSG)
			return CAS_E_CORRUPT;
		if (n <= 0)
			return (int)n;
		out->size += (size_t)n;
	}
}

int cas_read(struct cas *cas, const uint8_t digest[DIGEST_SIZE], size_t max,
	     struct buf *out)
{
	struct cas_get *get = NULL;
	uint64_t size = 0;
	int rc = cas_get_open(cas, digest, &get, &size);
	if (rc)
		return rc;
	size_t before = out->size;
	rc = size > max ? -EFBIG : read_all(get, out);
	cas_get_close(get);
	if (rc)
		out->size = before;
	return rc;
}

/* ---- all of them ---- */

int cas_each(struct cas *cas,
	     int (*fn)(void *arg, const uint8_t digest[DIGEST_SIZE],
		       uint64_t stored_bytes),
	     void *arg)
{
	return cas->ops->each(cas, fn, arg);
}

int cas_remove(struct cas *cas, const uint8_t digest[DIGEST_SIZE])
{
	if (is_empty_blob(digest))
		return CAS_E_MISSING;
	int left = -1;
	count_loss(cas);
	cas_save(cas, digest);
	int rc = cas->ops->remove(cas, digest, &left);
	if (left >= 0)
		close(left);
	return rc;
}

void cas_count(struct cas *cas, int sign, uint64_t bytes, uint64_t stored)
{
	__atomic_add_fetch(&cas->counts.objects, sign, __ATOMIC_RELAXED);
	__atomic_add_fetch(&cas->counts.bytes, sign * (int64_t)bytes, __ATOMIC_RELAXED);
	__atomic_add_fetch(&cas->counts.stored, sign * (int64_t)stored, __ATOMIC_RELAXED);
}

void cas_take_counts(struct cas *cas, struct cas_counts *delta)
{
	struct cas_counts *c = &cas->counts;
	delta->objects = __atomic_exchange_n(&c->objects, 0, __ATOMIC_RELAXED);
	delta->bytes = __atomic_exchange_n(&c->bytes, 0, __ATOMIC_RELAXED);
	delta->stored = __atomic_exchange_n(&c->stored, 0, __ATOMIC_RELAXED);
}

int cas_recount(struct cas *cas, bool (*stopped)(void *arg), void *arg,
		struct cas_counts *sum)
{
	*sum = (struct cas_counts){0};
	return cas->ops->recount ? cas->ops->recount(cas, stopped, arg, sum) : 0;
}

uint64_t cas_quarantined(struct cas *cas)
{
	return __atomic_load_n(&cas->quarantined, __ATOMIC_RELAXED);
}

int cas_broken(struct cas *cas)
{
	return cas->ops->broken ? cas->ops->broken(cas) : 0;
}
