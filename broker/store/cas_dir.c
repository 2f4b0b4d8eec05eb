/* cas_dir.c - the directory backend: names, durability, quarantine. Writing is in
 * cas_dir_put.c, reading in cas_dir_get.c; the invariants are in cas_dir.h. */
#include "broker/store/cas_dir.h"

#include "common/fs.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void dir_object_path(char out[OBJECT_PATH_SIZE], const uint8_t *digest)
{
	hex_encode(out, digest, 1);
	out[2] = '/';
	hex_encode(out + 3, digest + 1, DIGEST_SIZE - 1);
}

int dir_error(int error)
{
	return error == -ENOSPC || error == -EDQUOT ? CAS_E_FULL : error;
}

/* ---- folder syncs ---- */

int dir_note_failed_sync(struct cas_dir *d, int error)
{
	if (dir_error(error) < 0) {
		d->broken = error;
		log_error("store could not be synced", "path=%s error=%s", d->path,
			  strerror(-error));
	}
	return error;
}

static int fsync_folder(struct cas_dir *d, const char *name)
{
	int fd = d->objects;
	if (name)
		fd = openat(d->objects, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = fsync(fd) < 0 ? dir_note_failed_sync(d, -errno) : 0;
	if (name)
		close(fd);
	return rc;
}

/* sync_folder() - on return a sync of the folder @name (NULL: objects/ itself) has begun
 * and ended after this call: one sync serves all who came before it began. */
static int sync_folder(struct cas_dir *d, struct dir_sync *sync, const char *name)
{
	pthread_mutex_lock(&d->sync_lock);
	uint64_t mine = ++sync->asked;
	int rc = 0;
	while (sync->synced < mine && rc == 0 && !d->broken) {
		if (sync->is_running) {
			pthread_cond_wait(&d->sync_done, &d->sync_lock);
			continue;
		}
		sync->is_running = true;
		uint64_t upto = sync->asked;
		pthread_mutex_unlock(&d->sync_lock);
		rc = fsync_folder(d, name);
		pthread_mutex_lock(&d->sync_lock);
		sync->is_running = false;
		if (rc == 0)
			sync->synced = upto;
		pthread_cond_broadcast(&d->sync_done);
	}
	if (rc == 0 && sync->synced < mine)
		rc = d->broken;
	pthread_mutex_unlock(&d->sync_lock);
	return rc;
}

/* ensure_folder() - the fan-out folder of @digest exists, durably. */
static int ensure_folder(struct cas_dir *d, const char *name)
{
	if (mkdirat(d->objects, name, 0700) == 0)
		return sync_folder(d, &d->root_sync, NULL);
	if (errno != EEXIST)
		return -errno;
	/* Another thread may have made it just now and not synced yet. */
	pthread_mutex_lock(&d->sync_lock);
	bool is_settled = d->root_sync.synced == d->root_sync.asked;
	pthread_mutex_unlock(&d->sync_lock);
	return is_settled ? 0 : sync_folder(d, &d->root_sync, NULL);
}

/* ---- publishing, looking up ---- */

/* is_there() - is there a file in the place of @digest that is whole and of this size? */
static bool is_there(struct cas_dir *d, const uint8_t *digest, uint64_t blob_size)
{
	char path[OBJECT_PATH_SIZE];
	dir_object_path(path, digest);
	int fd = openat(d->objects, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	uint64_t size = 0;
	bool is_whole = frame_walk(fd, &size) == 0 && size == blob_size;
	close(fd);
	return is_whole;
}

static int open_object(const struct cas_dir *d, const char *path)
{
	return openat(d->objects, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

/* With @names. What has the place already is not whole: it goes. */
static int put_in_place(struct cas_dir *d, const char *temp, const char *path,
			const char *folder, const uint8_t *digest)
{
	int old = open_object(d, path);
	/* The folder is there but for the first blob of its kind. */
	int rc = renameat(d->tmp, temp, d->objects, path) < 0 ? -errno : 0;
	if (rc == -ENOENT) {
		rc = ensure_folder(d, folder);
		if (rc == 0 && renameat(d->tmp, temp, d->objects, path) < 0)
			rc = -errno;
	}
	if (rc == 0 && old >= 0)
		dir_count(d, digest, -1, old);
	int new = rc ? -1 : open_object(d, path);
	if (rc == 0)
		dir_count(d, digest, 1, new);
	if (old >= 0)
		close(old);
	if (new >= 0)
		close(new);
	return rc;
}

int dir_publish(struct cas_dir *d, const char *temp, const uint8_t *digest,
		uint64_t blob_size, bool is_synced)
{
	char path[OBJECT_PATH_SIZE], folder[3];
	dir_object_path(path, digest);
	memcpy(folder, path, 2);
	folder[2] = '\0';
	pthread_mutex_lock(&d->names);
	int rc = 0;
	if (is_there(d, digest, blob_size)) {
		unlinkat(d->tmp, temp, 0);
	} else if (!is_synced) {
		rc = 1;
	} else {
		rc = put_in_place(d, temp, path, folder, digest);
	}
	pthread_mutex_unlock(&d->names);
	return rc ? rc : sync_folder(d, &d->syncs[digest[0]], folder);
}

static int dir_has(struct cas *cas, const uint8_t *digest, uint64_t *sizep)
{
	struct cas_dir *d = container_of(cas, struct cas_dir, cas);
	char path[OBJECT_PATH_SIZE];
	dir_object_path(path, digest);
	int fd = openat(d->objects, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? CAS_E_MISSING : -errno;
	int rc = frame_walk(fd, sizep);
	if (rc == -EBADMSG)
		dir_quarantine(d, digest, fd);
	close(fd);
	return rc == -EBADMSG ? CAS_E_MISSING : rc;
}

void dir_quarantine(struct cas_dir *d, const uint8_t *digest, int fd)
{
	char path[OBJECT_PATH_SIZE], hex[HEX_DIGEST_SIZE], aside[HEX_DIGEST_SIZE + 24];
	if (d->quarantine < 0) /* we only read here: its owner sees to it */
		return;
	dir_object_path(path, digest);
	hex_encode(hex, digest, DIGEST_SIZE);
	snprintf(aside, sizeof aside, "%s.%" PRIuFAST64, hex,
		 atomic_fetch_add(&d->counter, 1));
	struct stat read, named;
	pthread_mutex_lock(&d->names);
	bool is_same = fstat(fd, &read) == 0 &&
		       fstatat(d->objects, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		       read.st_ino == named.st_ino && read.st_dev == named.st_dev;
	bool is_moved = is_same && renameat(d->objects, path, d->quarantine, aside) == 0;
	/* A corrupt blob must not be served again, even where it cannot be moved. */
	bool is_gone = is_moved || (is_same && unlinkat(d->objects, path, 0) == 0);
	if (is_gone) {
		dir_count(d, digest, -1, fd);
		__atomic_add_fetch(&d->cas.quarantined, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&d->names);
	if (is_gone)
		log_error("blob was corrupt", "digest=%s quarantine=%s", hex,
			  is_moved ? aside : "-");
	else if (is_same)
		log_error("corrupt blob could not be moved away", "digest=%s", hex);
}

static int dir_remove(struct cas *cas, const uint8_t *digest, int *leftp)
{
	struct cas_dir *d = container_of(cas, struct cas_dir, cas);
	char path[OBJECT_PATH_SIZE];
	dir_object_path(path, digest);
	if (d->quarantine < 0)
		return -EROFS;
	/* While it is open its blocks stay; freeing those of a large file takes long. */
	pthread_mutex_lock(&d->names);
	*leftp = open_object(d, path);
	int rc = unlinkat(d->objects, path, 0) < 0 ? -errno : 0;
	if (rc == 0)
		dir_count(d, digest, -1, *leftp);
	pthread_mutex_unlock(&d->names);
	return rc == -ENOENT ? CAS_E_MISSING : rc;
}

static int dir_broken(struct cas *cas)
{
	return container_of(cas, struct cas_dir, cas)->broken;
}

/* Names in quarantine/ are DIGEST.NUMBER; there are few, if any. */
static bool dir_was_corrupt(struct cas *cas, const uint8_t *digest)
{
	const struct cas_dir *d = container_of(cas, struct cas_dir, cas);
	char hex[HEX_DIGEST_SIZE];
	char *path = NULL;
	bool found = false;
	if (asprintf(&path, "%s/quarantine", d->path) < 0)
		abort();
	DIR *dir = opendir(path);
	free(path);
	hex_encode(hex, digest, DIGEST_SIZE);
	for (const struct dirent *entry; dir && !found && (entry = readdir(dir));)
		found = !strncmp(entry->d_name, hex, strlen(hex)) &&
			entry->d_name[strlen(hex)] == '.';
	if (dir)
		closedir(dir);
	return found;
}

/* ---- all of them ---- */

typedef int each_fn(void *arg, const uint8_t *digest, uint64_t stored_bytes);

static int each_in(int folder, uint8_t first, each_fn *fn, void *arg)
{
	DIR *dir = fdopendir(folder);
	if (!dir) {
		int error = -errno;
		close(folder);
		return error;
	}
	int rc = 0;
	for (const struct dirent *entry; rc == 0 && (entry = readdir(dir));) {
		uint8_t digest[DIGEST_SIZE] = {first};
		struct stat st;
		if (hex_decode(digest + 1, DIGEST_SIZE - 1, entry->d_name) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		rc = fn(arg, digest, (uint64_t)st.st_size);
	}
	closedir(dir);
	return rc;
}

static int dir_each(struct cas *cas, each_fn *fn, void *arg)
{
	struct cas_dir *d = container_of(cas, struct cas_dir, cas);
	for (unsigned i = 0; i < FAN_OUT; i++) {
		char name[3];
		uint8_t first = (uint8_t)i;
		int fd = openat(d->objects, hex_encode(name, &first, 1),
				O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -errno;
		int rc = each_in(fd, first, fn, arg);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- opening ---- */

static void dir_free(struct cas *cas)
{
	struct cas_dir *d = container_of(cas, struct cas_dir, cas);
	cas_pool_fini(&d->pool);
	cas_fini(&d->cas);
	for (int *fd = (int[]){d->objects, d->quarantine, d->tmp, -2}; *fd != -2; fd++) {
		if (*fd >= 0)
			close(*fd);
	}
	pthread_cond_destroy(&d->sync_done);
	pthread_mutex_destroy(&d->sync_lock);
	pthread_mutex_destroy(&d->names);
	free(d->path);
	free(d);
}

static int open_folder(const struct cas_dir *d, const char *name, int *fdp, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	if (asprintf(&path, "%s/%s", d->path, name) < 0)
		abort();
	int rc = fs_mkdir_p(path, 0700);
	if (rc == 0) {
		*fdp = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rc = *fdp < 0 ? -errno : 0;
	}
	if (rc == 0 && faccessat(*fdp, ".", W_OK | X_OK, AT_EACCESS) < 0)
		rc = -errno;
	if (rc == 0)
		return 0;
	err_set(e, rc == -EACCES || rc == -EPERM ? ERR_NOT_ALLOWED : ERR_FAILED,
		"cannot use the folder '%s' of the store: %s", path, strerror(-rc));
	if (rc == -EACCES || rc == -EROFS)
		err_next(e,
			 "the store must be writable for its broker: check the owner of "
			 "'%s'",
			 d->path);
	return e ? (int)e->code : ERR_FAILED;
}

/* empty_tmp() - what a crash left there was never acknowledged. */
static void empty_tmp(struct cas_dir *d)
{
	int fd = openat(d->tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(d->tmp, entry->d_name, 0);
	}
	closedir(dir);
}

static struct cas_dir *new_dir(const char *path)
{
	struct cas_dir *d = mem_alloc(sizeof *d);
	cas_init(&d->cas, &cas_dir_ops);
	d->path = mem_strdup(path);
	d->objects = d->quarantine = d->tmp = -1;
	pthread_mutex_init(&d->names, NULL);
	pthread_mutex_init(&d->sync_lock, NULL);
	pthread_cond_init(&d->sync_done, NULL);
	cas_pool_init(&d->pool);
	return d;
}

int cas_open_dir_reading(struct cas **casp, const char *path, struct err *e)
{
	struct cas_dir *d = new_dir(path);
	CLEANUP_FREE char *objects = NULL;
	if (asprintf(&objects, "%s/objects", path) < 0)
		abort();
	d->objects = open(objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->objects >= 0) {
		*casp = &d->cas;
		return 0;
	}
	enum err_code code = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND
			     : errno == EACCES			 ? ERR_NOT_ALLOWED
								 : ERR_FAILED;
	err_set(e, code, "cannot read the folder '%s' of the store: %s", objects,
		strerror(errno));
	if (code == ERR_NOT_ALLOWED)
		err_next(e, "the store belongs to somebody else");
	dir_free(&d->cas);
	return (int)code;
}

int cas_open_dir(struct cas **casp, const char *path, struct err *e)
{
	struct cas_dir *d = new_dir(path);
	/* Names in quarantine/ go on where no earlier run can have been. */
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	d->counter = (uint64_t)now.tv_sec << 20;
	int rc = open_folder(d, "objects", &d->objects, e);
	if (rc == 0)
		rc = open_folder(d, "quarantine", &d->quarantine, e);
	if (rc == 0)
		rc = open_folder(d, "tmp", &d->tmp, e);
	if (rc == 0) {
		int sync = fs_sync_dir(path);
		if (sync < 0)
			rc = err_set(e, ERR_FAILED, "cannot sync the store '%s': %s",
				     path, strerror(-sync));
	}
	if (rc) {
		dir_free(&d->cas);
		return rc;
	}
	empty_tmp(d);
	*casp = &d->cas;
	return 0;
}

const struct cas_ops cas_dir_ops = {
	.name = "directory",
	.free = dir_free,
	.has = dir_has,
	.put_open = cas_dir_put_open,
	.put_expect = cas_dir_put_expect,
	.put_write = cas_dir_put_write,
	.put_piece = cas_dir_put_piece,
	.put_settle = cas_dir_put_settle,
	.put_commit = cas_dir_put_commit,
	.put_free = cas_dir_put_free,
	.get_open = cas_dir_get_open,
	.get_next = cas_dir_get_next,
	.get_stored = cas_dir_get_stored,
	.get_hand_over = cas_dir_get_hand_over,
	.get_place = cas_dir_get_place,
	.get_quarantine = cas_dir_get_quarantine,
	.get_free = cas_dir_get_free,
	.each = dir_each,
	.remove = dir_remove,
	.broken = dir_broken,
	.recount = cas_dir_recount,
	.was_corrupt = dir_was_corrupt,
};
