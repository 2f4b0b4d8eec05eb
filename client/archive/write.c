/* write.c - see write.h. Two threads share a ring of slots: one fills them, the other compresses and
 * writes them in order. A slot is bytes as they are, then at most one piece of content. */
#include "client/archive/write.h"

#include "common/pure/list.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <zstd.h>

#define SLOTS 8 /* so many that a disk that stalls for a moment stops nobody */
#define SLOT_BYTES (256u << 10) /* bytes as they are, before it goes */
#define INLINE_PIECE                                                                     \
	4096 /* is compressed where it comes from: no use in waking anybody */
#define LEVEL 1
#define PIECE_HEAD 9
#define FLUSH_BYTES (8u << 20)	 /* the disk begins with so much at a time */
#define KEEP_CACHED (256u << 20) /* what follows does not stay in memory */

struct slot {
	struct buf bytes;
	struct buf content;
	bool is_raw; /* the content does not compress */
	bool full;
};

struct archive_writer {
	int fd;
	struct sha256 sha;
	struct archive_counts counts;
	uint64_t blob_bytes;
	struct slot slots[SLOTS];
	unsigned filling;
	struct buf head;
	ZSTD_CCtx *small;
	uint8_t small_out[2 * INLINE_PIECE];

	pthread_t thread;
	bool started, ended;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int error; /* negative errno, sticks; under the lock */
	uint64_t written, flushed, dropped;
};

static void put32(uint8_t *to, uint64_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* ---- the thread ---- */

/* Have the last window written to the disk, and wait for the one before it: otherwise the last sync has
 * everything before it. Pages of what was written are given back, for fresh ones cost more than the
 * write on virtual machines. No file: no harm. */
static void write_back(struct archive_writer *w)
{
	off_t old = (off_t)w->dropped, from = (off_t)w->flushed;
	(void)sync_file_range(w->fd, from, (off_t)w->written - from,
			      SYNC_FILE_RANGE_WRITE);
	if (old < from) {
		(void)sync_file_range(w->fd, old, from - old,
				      SYNC_FILE_RANGE_WAIT_BEFORE |
					      SYNC_FILE_RANGE_WRITE |
					      SYNC_FILE_RANGE_WAIT_AFTER);
		if (w->dropped >= KEEP_CACHED)
			(void)posix_fadvise(w->fd, old, from - old, POSIX_FADV_DONTNEED);
	}
	w->dropped = w->flushed;
	w->flushed = w->written;
}

static int write_parts(struct archive_writer *w, struct iovec *parts, int count)
{
	while (count) {
		ssize_t n = writev(w->fd, parts, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		w->written += (uint64_t)n;
		while (count && (size_t)n >= parts->iov_len) {
			n -= (ssize_t)parts->iov_len;
			parts++;
			count--;
		}
		if (count) {
			parts->iov_base = (uint8_t *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
	if (w->written - w->flushed >= FLUSH_BYTES)
		write_back(w);
	return 0;
}

static size_t pack_piece(ZSTD_CCtx *cctx, const void *data, size_t size, uint8_t *out,
			 size_t room)
{
	if (!cctx || size < 64)
		return 0;
	size_t n = ZSTD_compressCCtx(cctx, out, room, data, size, LEVEL);
	return ZSTD_isError(n) || n >= size - size / 16 ? 0 : n;
}

static void piece_head(uint8_t head[PIECE_HEAD], enum archive_form form, size_t stored,
		       size_t content)
{
	head[0] = (uint8_t)form;
	put32(head + 1, stored);
	put32(head + 5, content);
}

static int write_slot(struct archive_writer *w, struct slot *s, ZSTD_CCtx *cctx,
		      uint8_t *out, size_t room)
{
	uint8_t head[PIECE_HEAD];
	struct iovec parts[3] = {{s->bytes.data, s->bytes.size}};
	if (!s->content.size)
		return write_parts(w, parts, 1);
	size_t n =
		s->is_raw ? 0
			  : pack_piece(cctx, s->content.data, s->content.size, out, room);
	parts[1] = (struct iovec){head, sizeof head};
	parts[2] = n ? (struct iovec){out, n}
		     : (struct iovec){s->content.data, s->content.size};
	piece_head(head, n ? ARCHIVE_ZSTD : ARCHIVE_RAW, parts[2].iov_len,
		   s->content.size);
	return write_parts(w, parts, 3);
}

static void *writer_main(void *arg)
{
	struct archive_writer *w = arg;
	size_t room = ZSTD_compressBound(ARCHIVE_PIECE);
	uint8_t *out = malloc(room);
	ZSTD_CCtx *cctx = out ? ZSTD_createCCtx() : NULL; /* else nothing is compressed */
	unsigned at = 0;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct slot *s = &w->slots[at];
		if (!s->full) {
			if (w->ended)
				break;
			pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		int rc = w->error;
		pthread_mutex_unlock(&w->lock);
		if (!rc)
			rc = write_slot(w, s, cctx, out, room);
		pthread_mutex_lock(&w->lock);
		if (!w->error)
			w->error = rc;
		s->full = false;
		s->bytes.size = s->content.size = 0;
		at = (at + 1) % SLOTS;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	ZSTD_freeCCtx(cctx);
	free(out);
	return NULL;
}

/* ---- filling ---- */

/* The slot that is being filled goes to the thread; the next one is waited for. */
static int push(struct archive_writer *w)
{
	pthread_mutex_lock(&w->lock);
	struct slot *s = &w->slots[w->filling];
	s->full = s->bytes.size || s->content.size;
	if (s->full)
		w->filling = (w->filling + 1) % SLOTS;
	pthread_cond_broadcast(&w->changed);
	while (w->slots[w->filling].full)
		pthread_cond_wait(&w->changed, &w->lock);
	int rc = w->error;
	pthread_mutex_unlock(&w->lock);
	return rc;
}

static int add(struct archive_writer *w, const void *data, size_t size)
{
	struct buf *to = &w->slots[w->filling].bytes;
	buf_add(to, data, size);
	if (to->failed)
		return -ENOMEM;
	return to->size >= SLOT_BYTES ? push(w) : 0;
}

static int add_hashed(struct archive_writer *w, const void *data, size_t size)
{
	sha256_update(&w->sha, data, size);
	return add(w, data, size);
}

static int add_entry(struct archive_writer *w, char kind)
{
	uint8_t start[5] = {(uint8_t)kind};
	if (w->head.failed)
		return -ENOMEM;
	put32(start + 1, w->head.size);
	int rc = add_hashed(w, start, sizeof start);
	return rc ? rc : add_hashed(w, w->head.data, w->head.size);
}

static struct buf *begin_head(struct archive_writer *w, uint64_t count)
{
	buf_reset(&w->head);
	cbor_add_array(&w->head, count);
	return &w->head;
}

int archive_write_head(struct archive_writer *w, uint64_t wall_ms, const char *version)
{
	struct buf *head = begin_head(w, 2);
	cbor_add_uint(head, wall_ms);
	cbor_add_text(head, version);
	int rc = add_hashed(w, ARCHIVE_MAGIC, ARCHIVE_MAGIC_SIZE);
	return rc ? rc : add_entry(w, 'H');
}

int archive_write_blob(struct archive_writer *w, uint64_t type,
		       const uint8_t digest[DIGEST_SIZE])
{
	struct buf *head = begin_head(w, 2);
	cbor_add_uint(head, type);
	cbor_add_bytes(head, digest, DIGEST_SIZE);
	w->blob_bytes = 0;
	return add_entry(w, 'B');
}

static int add_piece(struct archive_writer *w, enum archive_form form, const void *stored,
		     size_t stored_size, size_t size)
{
	uint8_t head[PIECE_HEAD];
	piece_head(head, form, stored_size, size);
	int rc = add(w, head, sizeof head);
	return rc ? rc : add(w, stored, stored_size);
}

static int add_content(struct archive_writer *w, const void *data, size_t size,
		       bool is_raw)
{
	if (size <= INLINE_PIECE) {
		size_t n = pack_piece(w->small, data, size, w->small_out,
				      sizeof w->small_out);
		return n ? add_piece(w, ARCHIVE_ZSTD, w->small_out, n, size)
			 : add_piece(w, ARCHIVE_RAW, data, size, size);
	}
	struct buf *to = &w->slots[w->filling].content;
	w->slots[w->filling].is_raw = is_raw;
	buf_add(to, data, size);
	return to->failed ? -ENOMEM : push(w);
}

int archive_write_content(struct archive_writer *w, const void *data, size_t size,
			  const void *stored, size_t stored_size)
{
	w->blob_bytes += size;
	if (stored && stored != data)
		return add_piece(w, ARCHIVE_ZSTD, stored, stored_size, size);
	int rc = 0;
	for (size_t at = 0; at < size && !rc; at += ARCHIVE_PIECE) {
		size_t part = size - at < ARCHIVE_PIECE ? size - at : ARCHIVE_PIECE;
		rc = add_content(w, (const uint8_t *)data + at, part, stored == data);
	}
	return rc;
}

int archive_write_blob_end(struct archive_writer *w)
{
	uint8_t end[PIECE_HEAD] = {ARCHIVE_END};
	put32(end + 1, w->blob_bytes >> 32);
	put32(end + 5, w->blob_bytes);
	w->counts.blobs++;
	w->counts.bytes += w->blob_bytes;
	return add_hashed(w, end, sizeof end);
}

int archive_write_blob_void(struct archive_writer *w)
{
	const uint8_t end[PIECE_HEAD] = {ARCHIVE_VOID};
	w->counts.absent++;
	return add_hashed(w, end, sizeof end);
}

int archive_write_absent(struct archive_writer *w, const uint8_t digest[DIGEST_SIZE])
{
	cbor_add_bytes(begin_head(w, 1), digest, DIGEST_SIZE);
	w->counts.absent++;
	return add_entry(w, 'A');
}

int archive_write_commit(struct archive_writer *w, const void *body, size_t size,
			 const uint8_t hash[DIGEST_SIZE], bool current,
			 const struct archive_tag *tags, size_t tag_count)
{
	struct buf *head = begin_head(w, 4);
	cbor_add_bytes(head, body, size);
	cbor_add_bytes(head, hash, DIGEST_SIZE);
	cbor_add_bool(head, current);
	cbor_add_array(head, tag_count);
	for (size_t i = 0; i < tag_count; i++) {
		cbor_add_array(head, 2);
		cbor_add_text(head, tags[i].key);
		cbor_add_text(head, tags[i].value);
	}
	w->counts.commits++;
	return head->size > ARCHIVE_HEAD_MAX ? -EFBIG : add_entry(w, 'C');
}

int archive_write_pin(struct archive_writer *w, const char *name,
		      const uint8_t hash[DIGEST_SIZE], uint64_t wall_ms)
{
	struct buf *head = begin_head(w, 3);
	cbor_add_text(head, name);
	cbor_add_bytes(head, hash, DIGEST_SIZE);
	cbor_add_uint(head, wall_ms);
	w->counts.pins++;
	return add_entry(w, 'P');
}

const struct archive_counts *archive_written(const struct archive_writer *w)
{
	return &w->counts;
}

/* ---- life ---- */

static int finish(struct archive_writer *w)
{
	int rc = push(w);
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->started = false;
	return rc ? rc : w->error;
}

int archive_write_end(struct archive_writer *w, struct archive_counts *counts,
		      uint64_t *bytesp)
{
	uint8_t digest[DIGEST_SIZE];
	struct buf *head = begin_head(w, 5);
	cbor_add_uint(head, w->counts.commits);
	cbor_add_uint(head, w->counts.blobs);
	cbor_add_uint(head, w->counts.absent);
	cbor_add_uint(head, w->counts.pins);
	cbor_add_uint(head, w->counts.bytes);
	int rc = add_entry(w, 'M');
	struct sha256 sha = w->sha;
	sha256_final(&sha, digest);
	cbor_add_bytes(begin_head(w, 1), digest, DIGEST_SIZE);
	if (!rc)
		rc = add_entry(w, 'Z');
	int end = finish(w);
	*counts = w->counts;
	*bytesp = w->written;
	return rc ? rc : end;
}

struct archive_writer *archive_writer_new(int fd)
{
	struct archive_writer *w = calloc(1, sizeof *w);
	sigset_t all, old;
	if (!w)
		return NULL;
	w->fd = fd;
	sha256_init(&w->sha);
	w->small = ZSTD_createCCtx();
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	w->started = pthread_create(&w->thread, NULL, writer_main, w) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (w->started)
		return w;
	archive_writer_free(w);
	return NULL;
}

void archive_writer_free(struct archive_writer *w)
{
	if (!w)
		return;
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		if (!w->error)
			w->error = -ECANCELED;
		pthread_mutex_unlock(&w->lock);
		(void)finish(w);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		buf_fini(&w->slots[i].bytes);
		buf_fini(&w->slots[i].content);
	}
	buf_fini(&w->head);
	ZSTD_freeCCtx(w->small);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
