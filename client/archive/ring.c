/* ring.c - see ring.h. A slot is bytes as they are, then at most one piece of content, and goes through
 * three stations:
 *
 *   pack    by any writer: compress the content, if it is not known how it is stored
 *   place   in order: where it will be in the file
 *   write   a file: by any writer, in any order; what can only be written in order: right there
 *
 * A file that is larger than GO_AROUND goes to the disk around the page cache (common/direct.h): nobody is
 * about to read it, and the sync at its end has nothing left to wait for. It is made longer ahead, and cut in
 * the end, so that writers do not wait for each other. A piece whose memory came along, and which
 * stands there as it will in the file, is written from where it was read to. */
#include "client/archive/ring.h"

#include "common/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zstd.h>

#define WRITERS 3 /* two keep the disk busy while one packs */
#define SLOTS 8	  /* so many that a disk that stalls for a moment stops nobody */
#define SLOT_BYTES (512u << 10) /* bytes as they are, before it goes */
#define LEVEL 1
#define GO_AROUND (16u << 20)
#define GROW (64u << 20) /* so much longer at a time */

struct slot {
	struct buf bytes;
	struct direct_piece content; /* size 0: none */
	bool is_raw;		     /* the content does not compress */
	bool full, taken;
	/* its place: */
	uint64_t at;
	bool is_around;
	struct direct_tail before;
};

struct writer { /* a thread */
	struct archive_ring *ring;
	pthread_t thread;
	ZSTD_CCtx *pack; /* NULL: nothing is compressed */
	uint8_t *packed;
	struct direct_room room;
};

struct archive_ring {
	int fd;
	bool is_file; /* to be written at any place; others in order */
	struct slot slots[SLOTS];
	unsigned filling;
	struct writer writers[WRITERS];
	unsigned started;
	bool ended;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	int error;		      /* negative errno, sticks */
	uint64_t taken, placed, done; /* slots */
	/* Where the filling is: behind the last slot whose packing decides how large it is. */
	uint64_t pushed, unsure; /* slots; that one's number + 1; 0: none */
	uint64_t unsure_end;	 /* once it is placed */
	uint64_t behind;	 /* bytes since; of who fills */
	/* of who places */
	uint64_t written;
	bool is_around, was_tried;
	bool may_grow;
	uint64_t grown; /* how long the file was made ahead; 0: it was not */
	struct direct_tail tail;
};

/* ---- the writers ---- */

static size_t sum(const struct iovec *parts, int count)
{
	size_t size = 0;
	for (int i = 0; i < count; i++)
		size += parts[i].iov_len;
	return size;
}

/* In order, or at their place. */
static int write_parts(const struct archive_ring *r, struct iovec *parts, int count,
		       uint64_t at)
{
	while (count) {
		ssize_t n = r->is_file ? pwritev(r->fd, parts, count, (off_t)at)
				       : writev(r->fd, parts, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += (uint64_t)n;
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
	return 0;
}

static void put32(uint8_t *to, uint64_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (24 - 8 * i));
}

size_t archive_pack_piece(ZSTD_CCtx *cctx, const void *data, size_t size, uint8_t *out,
			  size_t room)
{
	if (!cctx || size < 64)
		return 0;
	size_t n = ZSTD_compressCCtx(cctx, out, room, data, size, LEVEL);
	return ZSTD_isError(n) || n >= size - size / 16 ? 0 : n;
}

void archive_piece_head(uint8_t head[ARCHIVE_PIECE_HEAD], enum archive_form form,
			size_t stored, size_t content)
{
	head[0] = (uint8_t)form;
	put32(head + 1, stored);
	put32(head + 5, content);
}

/* pack_slot() - what is to be written of it. Return: how many parts. */
static int pack_slot(struct writer *t, const struct slot *s,
		     uint8_t head[ARCHIVE_PIECE_HEAD], struct iovec parts[3])
{
	parts[0] = (struct iovec){s->bytes.data, s->bytes.size};
	if (!s->content.size)
		return 1;
	size_t n = s->is_raw ? 0
			     : archive_pack_piece(t->pack, s->content.data,
						  s->content.size, t->packed,
						  ZSTD_compressBound(ARCHIVE_PIECE));
	parts[1] = (struct iovec){head, ARCHIVE_PIECE_HEAD};
	parts[2] = n ? (struct iovec){t->packed, n}
		     : (struct iovec){s->content.data, s->content.size};
	archive_piece_head(head, n ? ARCHIVE_ZSTD : ARCHIVE_RAW, parts[2].iov_len,
			   s->content.size);
	return 3;
}

/* wait_for() - with the lock held. Return: is all well? */
static bool wait_for(struct archive_ring *r, const uint64_t *count, uint64_t number)
{
	while (*count != number)
		pthread_cond_wait(&r->changed, &r->lock);
	return !r->error;
}

/* go_around() - from this slot on, if that can be: what is before it is in the file then. */
static void go_around(struct archive_ring *r, uint64_t number)
{
	if (!r->is_file || r->was_tried || r->written < GO_AROUND ||
	    !wait_for(r, &r->done, number))
		return;
	struct stat st;
	r->was_tried = true;
	r->is_around = direct_switch(r->fd, true);
	/* One that is longer already, which only standard output can be, stays as long as it is. */
	r->may_grow = r->is_around && fstat(r->fd, &st) == 0 &&
		      (uint64_t)st.st_size == r->written;
}

/* grow() - room for the next @size bytes, and many more: writes that make a file longer wait for each other,
 * those into it do not. By who is to place, with the lock, which is given away meanwhile, as it waits for
 * the disk. Where it cannot be done, or there is too little room, the writes will see to it. */
static void grow(struct archive_ring *r, size_t size)
{
	if (!r->may_grow || r->written + size <= r->grown)
		return;
	pthread_mutex_unlock(&r->lock);
	uint64_t to = r->written + size + GROW;
	r->may_grow =
		fallocate(r->fd, 0, (off_t)r->written, (off_t)(to - r->written)) == 0;
	r->grown = to;
	pthread_mutex_lock(&r->lock);
}

static void place(struct archive_ring *r, struct slot *s, uint64_t number,
		  const struct iovec *parts, int count)
{
	s->at = r->written;
	s->is_around = r->is_around;
	if (r->is_file) {
		s->before = r->tail;
		direct_tail_add(&r->tail, s->at, parts, count);
	}
	r->written += sum(parts, count);
	if (number + 1 == r->unsure)
		r->unsure_end = r->written;
}

static int write_slot(struct writer *t, const struct slot *s, struct iovec *parts,
		      int count)
{
	struct archive_ring *r = t->ring;
	if (!s->is_around)
		return write_parts(r, parts, count, s->at);
	int rc = count == 3 && parts[2].iov_base == s->content.data
			 ? direct_write_piece(r->fd, &s->before, s->at, parts, 2,
					      &s->content)
			 : 1;
	return rc == 1 ? direct_write(r->fd, &s->before, s->at, parts, count, &t->room)
		       : rc;
}

static void note(struct archive_ring *r, int error)
{
	if (!r->error)
		r->error = error;
}

/* one_slot() - with the lock held, which it gives away while it works. */
static void one_slot(struct writer *t, struct slot *s, uint64_t number)
{
	struct archive_ring *r = t->ring;
	uint8_t head[ARCHIVE_PIECE_HEAD];
	struct iovec parts[3];
	int count = 0;
	pthread_mutex_unlock(&r->lock);
	count = pack_slot(t, s, head, parts);
	pthread_mutex_lock(&r->lock);
	bool go = wait_for(r, &r->placed, number);
	if (go)
		go_around(r, number);
	if (go)
		grow(r, sum(parts, count));
	if (go)
		place(r, s, number, parts, count);
	if (go && !r->is_file) {
		pthread_mutex_unlock(&r->lock);
		int rc = write_slot(t, s, parts, count);
		pthread_mutex_lock(&r->lock);
		note(r, rc);
	}
	r->placed++;
	pthread_cond_broadcast(&r->changed);
	if (go && r->is_file) {
		pthread_mutex_unlock(&r->lock);
		int rc = write_slot(t, s, parts, count);
		pthread_mutex_lock(&r->lock);
		note(r, rc);
	}
	r->done++;
	s->full = s->taken = false;
	s->bytes.size = s->content.size = 0;
	pthread_cond_broadcast(&r->changed);
}

static void *writer_main(void *arg)
{
	struct writer *t = arg;
	struct archive_ring *r = t->ring;
	pthread_mutex_lock(&r->lock);
	for (;;) {
		struct slot *s = &r->slots[r->taken % SLOTS];
		if (s->full && !s->taken) {
			s->taken = true;
			one_slot(t, s, r->taken++);
			continue;
		}
		if (r->ended)
			break;
		pthread_cond_wait(&r->changed, &r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- filling ---- */

/* The slot that is being filled goes to the thread; the next one is waited for. */
static int push(struct archive_ring *r)
{
	pthread_mutex_lock(&r->lock);
	struct slot *s = &r->slots[r->filling];
	s->full = s->bytes.size || s->content.size;
	if (s->full) {
		r->filling = (r->filling + 1) % SLOTS;
		r->pushed++;
		if (s->content.size && !s->is_raw) {
			r->unsure = r->pushed;
			r->behind = 0;
		}
	}
	pthread_cond_broadcast(&r->changed);
	while (r->slots[r->filling].full)
		pthread_cond_wait(&r->changed, &r->lock);
	int rc = r->error;
	pthread_mutex_unlock(&r->lock);
	return rc;
}

int archive_ring_bytes(struct archive_ring *r, const void *data, size_t size)
{
	struct buf *to = &r->slots[r->filling].bytes;
	buf_add(to, data, size);
	if (to->failed)
		return -ENOMEM;
	r->behind += size;
	return to->size >= SLOT_BYTES ? push(r) : 0;
}

bool archive_ring_at(struct archive_ring *r, uint64_t *atp)
{
	pthread_mutex_lock(&r->lock);
	bool is_known = r->placed >= r->unsure;
	*atp = r->unsure_end + r->behind;
	pthread_mutex_unlock(&r->lock);
	return is_known;
}

static int push_content(struct archive_ring *r, struct slot *s, bool is_raw)
{
	s->is_raw = is_raw;
	r->behind += ARCHIVE_PIECE_HEAD + s->content.size;
	return push(r);
}

int archive_ring_content(struct archive_ring *r, const void *data, size_t size,
			 bool is_raw)
{
	struct slot *s = &r->slots[r->filling];
	uint64_t at;
	(void)archive_ring_at(r, &at);
	if (direct_piece_make(&s->content, ARCHIVE_PIECE, at + ARCHIVE_PIECE_HEAD))
		return -ENOMEM;
	memcpy(s->content.data, data, size);
	s->content.size = size;
	return push_content(r, s, is_raw);
}

int archive_ring_piece(struct archive_ring *r, struct direct_piece *piece)
{
	struct slot *s = &r->slots[r->filling];
	struct direct_piece memory = s->content;
	s->content = *piece;
	*piece = memory;
	return push_content(r, s, true);
}

uint64_t archive_ring_written(const struct archive_ring *r)
{
	return r->written;
}

/* ---- life ---- */

int archive_ring_end(struct archive_ring *r)
{
	int rc = push(r);
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	while (r->started)
		pthread_join(r->writers[--r->started].thread, NULL);
	rc = rc ? rc : r->error;
	if (!rc && r->is_around)
		rc = direct_end(r->fd, &r->tail, r->written);
	if (r->grown && ftruncate(r->fd, (off_t)r->written) < 0 && !rc)
		rc = -errno;
	if (r->is_file) /* as if it had been written there */
		(void)lseek(r->fd, (off_t)r->written, SEEK_SET);
	return rc;
}

/* start() - as many writers as the system gives; no signals for them. */
static void start(struct archive_ring *r)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < WRITERS && r->started == i; i++) {
		struct writer *t = &r->writers[i];
		t->ring = r;
		t->packed = malloc(ZSTD_compressBound(ARCHIVE_PIECE));
		t->pack = t->packed ? ZSTD_createCCtx() : NULL;
		if (!direct_room_init(&t->room, ARCHIVE_PIECE + SLOT_BYTES) &&
		    !pthread_create(&t->thread, NULL, writer_main, t))
			r->started++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* One that is written from its beginning, and not by others. */
static bool is_file(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flags >= 0 &&
	       !(flags & O_APPEND) && lseek(fd, 0, SEEK_CUR) == 0;
}

struct archive_ring *archive_ring_new(int fd)
{
	struct archive_ring *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->fd = fd;
	r->is_file = is_file(fd);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	start(r);
	if (r->started)
		return r;
	archive_ring_free(r);
	return NULL;
}

void archive_ring_free(struct archive_ring *r)
{
	if (!r)
		return;
	if (r->started) {
		pthread_mutex_lock(&r->lock);
		note(r, -ECANCELED);
		pthread_mutex_unlock(&r->lock);
		(void)archive_ring_end(r);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		buf_fini(&r->slots[i].bytes);
		direct_room_fini(&r->slots[i].content.room);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		ZSTD_freeCCtx(r->writers[i].pack);
		free(r->writers[i].packed);
		direct_room_fini(&r->writers[i].room);
	}
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
