/* cas_dir_count.c - how many files there are, and how large.
 *
 * Whatever puts a file in place or takes one away counts it, under @names; the ledger keeps the sums.
 * A crash loses what was counted and not handed to the ledger yet, so after one the files are looked
 * at. That may go on beside all other work and still be exact: of each folder is counted what it has
 * at one moment, with @names held, and what has come and gone in it since the store was opened is
 * taken off. So that @names is not held for long, the files are opened before. */
#include "broker/store/cas_dir.h"

#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void count(struct cas_dir *d, uint8_t folder, int sign, uint64_t bytes,
		  uint64_t stored)
{
	struct cas_counts *c = &d->since_open[folder];
	c->objects += sign;
	c->bytes += sign * (int64_t)bytes;
	c->stored += sign * (int64_t)stored;
	cas_count(&d->cas, sign, bytes, stored);
}

/* Sizes of the blob and of the file. What is no blob counts as one without content. */
static void sizes_of(int fd, uint64_t *bytes, uint64_t *stored)
{
	uint8_t header[FRAME_HEADER_SIZE];
	struct stat st;
	*bytes = *stored = 0;
	if (fd < 0)
		return;
	if (pread(fd, header, sizeof header, 0) != sizeof header ||
	    frame_get_header(header, bytes))
		*bytes = 0;
	if (fstat(fd, &st) == 0)
		*stored = (uint64_t)st.st_size;
}

void dir_count(struct cas_dir *d, const uint8_t *digest, int sign, int fd)
{
	uint64_t bytes, stored;
	sizes_of(fd, &bytes, &stored);
	count(d, digest[0], sign, bytes, stored);
}

/* ---- counting again ---- */

struct file {
	uint8_t rest[DIGEST_SIZE - 1]; /* of its digest */
	uint64_t bytes, stored;
};

struct folder {
	int fd;
	struct file *files;
	size_t count, capacity;
};

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE - 1);
}

static void look_at(const struct folder *f, const char *name, struct file *file)
{
	int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	sizes_of(fd, &file->bytes, &file->stored);
	if (fd >= 0)
		close(fd);
}

/* The next name of a blob in @dir, or NULL. */
static const char *next_name(DIR *dir, uint8_t rest[DIGEST_SIZE - 1])
{
	for (const struct dirent *entry; (entry = readdir(dir));)
		if (hex_decode(rest, DIGEST_SIZE - 1, entry->d_name) == 0 &&
		    (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN))
			return entry->d_name;
	return NULL;
}

static DIR *list(const struct folder *f)
{
	int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

static int look_at_all(struct folder *f)
{
	DIR *dir = list(f);
	struct file file;
	const char *name;
	if (!dir)
		return -errno;
	while ((name = next_name(dir, file.rest))) {
		look_at(f, name, &file);
		mem_grow(f->files, f->count, f->capacity);
		f->files[f->count++] = file;
	}
	closedir(dir);
	if (f->count)
		qsort(f->files, f->count, sizeof *f->files, by_name);
	return 0;
}

/* With @names: what is there now. Few are not known from the look before. */
static int add_up(const struct folder *f, struct cas_counts *sum)
{
	DIR *dir = list(f);
	struct file file;
	const char *name;
	if (!dir)
		return -errno;
	while ((name = next_name(dir, file.rest))) {
		const struct file *known =
			f->count ? bsearch(file.rest, f->files, f->count,
					   sizeof *f->files, by_name)
				 : NULL;
		if (!known)
			look_at(f, name, &file);
		sum->objects++;
		sum->bytes += (int64_t)(known ? known : &file)->bytes;
		sum->stored += (int64_t)(known ? known : &file)->stored;
	}
	closedir(dir);
	return 0;
}

static int recount_folder(struct cas_dir *d, uint8_t first, struct cas_counts *sum)
{
	char name[3];
	hex_encode(name, &first, 1);
	struct folder f = {
		.fd = openat(d->objects, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (f.fd < 0 && errno != ENOENT)
		return -errno;
	int rc = f.fd < 0 ? 0 : look_at_all(&f);
	const struct cas_counts *since = &d->since_open[first];
	pthread_mutex_lock(&d->names);
	if (f.fd < 0) /* made just now, perhaps */
		f.fd = openat(d->objects, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!rc && f.fd >= 0)
		rc = add_up(&f, sum);
	sum->objects -= since->objects;
	sum->bytes -= since->bytes;
	sum->stored -= since->stored;
	pthread_mutex_unlock(&d->names);
	if (f.fd >= 0)
		close(f.fd);
	free(f.files);
	return rc;
}

int cas_dir_recount(struct cas *cas, bool (*stopped)(void *arg), void *arg,
		    struct cas_counts *sum)
{
	struct cas_dir *d = container_of(cas, struct cas_dir, cas);
	*sum = (struct cas_counts){0};
	for (unsigned i = 0; i < FAN_OUT; i++) {
		if (stopped && stopped(arg))
			return 1;
		int rc = recount_folder(d, (uint8_t)i, sum);
		if (rc)
			return rc;
	}
	return 0;
}
