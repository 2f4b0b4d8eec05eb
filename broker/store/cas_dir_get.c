/* cas_dir_get.c - reading a blob. A small one is read and unpacked by the caller. Of a
 * larger one the pool unpacks chunks ahead while the caller hashes and hands out
 * the one before. What was read is only good once cas_get_read() in cas.c has seen the
 * end of it. */
#include "broker/store/cas_dir.h"

#include "common/pure/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AHEAD 8		       /* chunks: one handed out, the others on their way */
#define AHEAD_BYTES (3u << 20) /* that are on their way, unless it is but one */

struct slot {
	struct cas_pool_job job;
	const struct direct_reader *from;
	struct frame_record record;
	struct direct_piece content;
	int error;
};

struct dir_get {
	struct cas_get get;
	struct cas_dir *dir;
	int fd; /* -1: the empty blob */
	struct direct_reader from;
	uint64_t offset;    /* of the next record */
	uint64_t announced; /* content bytes of the records seen so far */
	struct slot slots[AHEAD];
	unsigned head, count; /* oldest slot in use, slots in use */
	uint64_t handed_out;
	size_t taken;  /* bytes handed out of the oldest */
	bool is_spent; /* that was all of it */
	struct frame_record
		last; /* handed out at once by the last read; else stored is 0 */
	/* Where what the next record holds is going to be written, behind a gap; see cas_get_place(). */
	uint64_t place;
	unsigned gap;
};

static struct dir_get *get_of(struct cas_get *get)
{
	return container_of(get, struct dir_get, get);
}

/* open_object() - Return: descriptor, or CAS_E_* or -errno in *@error and -1. */
static int open_object(struct cas_dir *d, const uint8_t *digest, int *error)
{
	char path[OBJECT_PATH_SIZE];
	dir_object_path(path, digest);
	int fd = openat(d->objects, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	if (fd < 0) {
		*error = errno == ENOENT || errno == ELOOP ? CAS_E_MISSING : -errno;
	} else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		*error = CAS_E_MISSING;
		close(fd);
		fd = -1;
	}
	return fd;
}

static int read_header(int fd, uint64_t *size)
{
	uint8_t header[FRAME_HEADER_SIZE];
	ssize_t n = pread(fd, header, sizeof header, 0);
	if (n < 0)
		return -errno;
	return n == sizeof header && !frame_get_header(header, size) ? 0 : -EBADMSG;
}

int cas_dir_get_open(struct cas *cas, const uint8_t *digest, struct cas_get **getp)
{
	struct cas_dir *d = container_of(cas, struct cas_dir, cas);
	int fd = -1, rc = 0;
	uint64_t size = 0;
	if (memcmp(digest, sha256_empty, DIGEST_SIZE) != 0) {
		fd = open_object(d, digest, &rc);
		if (fd < 0)
			return rc;
		rc = read_header(fd, &size);
	}
	if (rc == -EBADMSG)
		dir_quarantine(d, digest, fd);
	if (rc) {
		close(fd);
		return rc == -EBADMSG ? CAS_E_CORRUPT : rc;
	}
	struct dir_get *get = mem_alloc(sizeof *get);
	get->dir = d;
	get->fd = get->from.fd = fd;
	if (size > FRAME_CHUNK) {
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		direct_reader_init(&get->from, fd, DIRECT_KEPT);
	}
	get->get.size = size;
	get->offset = FRAME_HEADER_SIZE;
	*getp = &get->get;
	return 0;
}

/* ---- chunks ---- */

static void run_unpack(struct cas_pool_job *job, struct cas_pool_tools *tools)
{
	struct slot *slot = container_of(job, struct slot, job);
	slot->error = frame_read(tools->unpack, slot->from, &slot->record,
				 slot->content.data, tools->scratch, &tools->room);
}

static uint64_t written_size(const struct frame_record *r)
{
	return r->is_raw ? r->content : r->stored;
}

/* make_room() - chunks of one blob are of one size but for the last, so this grows once. */
static void make_room(struct dir_get *get, struct slot *slot)
{
	size_t size = slot->record.content;
	struct direct_piece *to = &slot->content;
	if (get->get.size > FRAME_CHUNK) {
		if (direct_piece_make(to, size, get->place + get->gap))
			abort(); /* as mem_alloc() does */
		get->place += get->gap + written_size(&slot->record);
		return;
	}
	if (to->room.size < size) { /* a small blob's stays here */
		to->room.data = mem_resize(to->room.data, size);
		to->room.size = size;
	}
	to->data = to->room.data;
}

/* start_slot() - read the next record and have its frame unpacked. */
static int start_slot(struct dir_get *get)
{
	struct slot *slot = &get->slots[(get->head + get->count) % AHEAD];
	uint64_t left = get->get.size - get->announced;
	int rc = frame_next(get->fd, &get->offset, left, &slot->record);
	if (rc)
		return rc;
	/* Around the cache nothing reads ahead: the next record is on its way when it is asked for. */
	if (get->from.map)
		(void)posix_fadvise(get->fd, (off_t)get->offset, FRAME_RECORD_SIZE,
				    POSIX_FADV_WILLNEED);
	make_room(get, slot);
	slot->from = &get->from;
	slot->job.run = run_unpack;
	get->announced += slot->record.content;
	get->count++;
	if (get->get.size > FRAME_CHUNK) {
		cas_pool_submit(&get->dir->pool, &slot->job);
		return 0;
	}
	struct cas_pool_tools tools = cas_pool_borrow(&get->dir->pool);
	run_unpack(&slot->job, &tools);
	cas_pool_give_back(&get->dir->pool, &tools);
	slot->job.is_done = true;
	return 0;
}

static int fill_slots(struct dir_get *get)
{
	while (get->count < AHEAD && get->announced < get->get.size &&
	       (!get->count || get->announced - get->handed_out < AHEAD_BYTES)) {
		int rc = start_slot(get);
		/* What was announced before may still be handed out; the error comes
		 * again. */
		if (rc)
			return get->count ? 0 : rc;
	}
	return 0;
}

/* give_back() - what was handed out, and is not needed any more. */
static void give_back(struct dir_get *get)
{
	if (!get->is_spent)
		return;
	get->is_spent = false;
	get->taken = 0;
	get->head = (get->head + 1) % AHEAD;
	get->count--;
}

int64_t cas_dir_get_next(struct cas_get *base, const void **datap, size_t size)
{
	struct dir_get *get = get_of(base);
	get->last.stored = 0;
	give_back(get);
	int rc = fill_slots(get);
	if (rc)
		return rc;
	struct slot *slot = &get->slots[get->head];
	if (get->taken == 0) {
		if (base->size > FRAME_CHUNK)
			cas_pool_wait(&get->dir->pool, &slot->job);
		if (slot->error)
			return slot->error;
	}
	size_t left = slot->record.content - get->taken;
	if (size > left)
		size = left;
	*datap = slot->content.data + get->taken;
	get->last = slot->record;
	if (size < slot->record.content)
		get->last.stored = 0;
	get->taken += size;
	get->handed_out += size;
	get->is_spent = get->taken == slot->record.content;
	return (int64_t)size;
}

int64_t cas_dir_get_stored(struct cas_get *base, void *out, size_t room, bool *rawp)
{
	struct dir_get *get = get_of(base);
	const struct frame_record *r = &get->last;
	*rawp = r->stored && r->is_raw;
	if (!r->stored || r->is_raw || r->stored > room)
		return 0;
	for (size_t done = 0; done < r->stored;) {
		ssize_t n = pread(get->fd, (uint8_t *)out + done, r->stored - done,
				  (off_t)(r->at + done));
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		done += (size_t)n;
	}
	return r->stored;
}

bool cas_dir_get_hand_over(struct cas_get *base, struct direct_piece *piece)
{
	struct dir_get *get = get_of(base);
	struct direct_piece *content = &get->slots[get->head].content;
	if (!get->last.stored || base->size <= FRAME_CHUNK)
		return false;
	struct direct_piece memory = *piece;
	*piece = *content;
	*content = memory;
	get->last.stored = 0; /* it is not ours any more */
	return true;
}

void cas_dir_get_place(struct cas_get *base, uint64_t at, unsigned gap)
{
	struct dir_get *get = get_of(base);
	get->place = at;
	get->gap = gap;
	for (unsigned i = get->is_spent; i < get->count; i++)
		get->place +=
			gap + written_size(&get->slots[(get->head + i) % AHEAD].record);
}

void cas_dir_get_quarantine(struct cas_get *base)
{
	struct dir_get *get = get_of(base);
	if (get->fd >= 0)
		dir_quarantine(get->dir, base->digest, get->fd);
}

void cas_dir_get_free(struct cas_get *base)
{
	struct dir_get *get = get_of(base);
	for (unsigned i = 0; i < get->count && base->size > FRAME_CHUNK; i++)
		cas_pool_wait(&get->dir->pool, &get->slots[(get->head + i) % AHEAD].job);
	for (unsigned i = 0; i < AHEAD; i++)
		direct_room_fini(&get->slots[i].content.room);
	direct_reader_fini(&get->from);
	if (get->fd >= 0)
		close(get->fd);
	free(get);
}
