/* cache.c - see cache.h. An entry is in the table from the moment someone begins to download it;
 * others wait for it then. Its file has its final name only when the bytes are verified. */
#include "worker/cache.h"

#include "common/fs.h"
#include "common/pure/hex.h"
#include "common/pure/list.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKETS 4096 /* power of two */

struct entry {
	struct entry *next;
	struct list used; /* least recently used first; only when complete */
	uint8_t digest[DIGEST_SIZE];
	bool complete;
	struct stat stamp;
};

struct cache {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* an entry was completed or given up */
	char *dir;
	uint64_t max_bytes, bytes;
	uint64_t serial; /* of temporary names */
	struct entry *buckets[BUCKETS];
	struct list used;
};

static void path_of(const struct cache *c, const uint8_t *digest, char *out, size_t size)
{
	char hex[HEX_DIGEST_SIZE];
	snprintf(out, size, "%s/%s", c->dir, hex_encode(hex, digest, DIGEST_SIZE));
}

static struct entry **find(struct cache *c, const uint8_t *digest)
{
	uint32_t n;
	memcpy(&n, digest, sizeof n);
	struct entry **at = &c->buckets[n & (BUCKETS - 1)];
	while (*at && memcmp((*at)->digest, digest, DIGEST_SIZE))
		at = &(*at)->next;
	return at;
}

int cache_new(struct cache **cachep, const char *dir, uint64_t max_bytes)
{
	int rc = fs_remove_tree(dir);
	if (rc == 0)
		rc = fs_mkdir_p(dir, 0700);
	if (rc < 0)
		return rc;
	struct cache *c = mem_alloc(sizeof *c);
	c->dir = mem_strdup(dir);
	c->max_bytes = max_bytes;
	list_init(&c->used);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	*cachep = c;
	return 0;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *e = c->buckets[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c->dir);
	free(c);
}

/* Locked. Take an entry out of the table, and its file away. */
static void drop(struct cache *c, struct entry **at)
{
	struct entry *e = *at;
	*at = e->next;
	if (e->complete) {
		char path[4096];
		path_of(c, e->digest, path, sizeof path);
		unlink(path);
		list_del(&e->used);
		c->bytes -= (uint64_t)e->stamp.st_size;
	}
	free(e);
}

static void evict(struct cache *c, uint64_t limit)
{
	while (c->bytes > limit && !list_empty(&c->used)) {
		struct entry *e = container_of(c->used.next, struct entry, used);
		drop(c, find(c, e->digest));
	}
}

/* Locked. Return: a descriptor, or -1 when the file is not what was verified. */
static int open_entry(struct cache *c, struct entry *e)
{
	char path[4096];
	struct stat st;
	path_of(c, e->digest, path, sizeof path);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	const struct stat *was = &e->stamp;
	if (fstat(fd, &st) == 0 && st.st_ino == was->st_ino && st.st_dev == was->st_dev &&
	    st.st_size == was->st_size && st.st_mtim.tv_sec == was->st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == was->st_mtim.tv_nsec &&
	    st.st_ctim.tv_sec == was->st_ctim.tv_sec &&
	    st.st_ctim.tv_nsec == was->st_ctim.tv_nsec)
		return fd;
	close(fd);
	return -1;
}

/* ---- downloading */

struct download {
	int fd;
	struct sha256 hash;
	int error; /* errno of writing */
};

static int sink(void *arg, const void *data, size_t size)
{
	struct download *d = arg;
	int rc = fs_write_all(d->fd, data, size);
	if (rc < 0) {
		d->error = -rc;
		return rc;
	}
	sha256_update(&d->hash, data, size);
	return 0;
}

static enum cache_result explain(const struct download *d, int rc, struct err *e)
{
	if (d->error) {
		err_set(e, ERR_FAILED, "writing an input: %s", strerror(d->error));
		return d->error == ENOSPC || d->error == EDQUOT ? CACHE_FULL
								: CACHE_ERROR;
	}
	if (rc == ERR_NOT_FOUND)
		return CACHE_MISSING;
	return rc == ERR_UNREACHABLE || rc == ERR_NOT_ALLOWED ? CACHE_UNREACHABLE
							      : CACHE_ERROR;
}

/* Unlocked. @final: the file's name once its bytes are right. The stamp is taken last. */
static enum cache_result download(const char *final, uint64_t serial,
				  const uint8_t *digest,
				  const struct cache_getter *getter, struct stat *stamp,
				  struct err *e)
{
	char temp[4200];
	snprintf(temp, sizeof temp, "%s.%llu", final, (unsigned long long)serial);
	struct download d = {
		.fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444)};
	if (d.fd < 0) {
		d.error = errno;
		return explain(&d, 0, e);
	}
	sha256_init(&d.hash);
	bool is_empty = memcmp(digest, sha256_empty, DIGEST_SIZE) == 0;
	int rc = is_empty ? 0 : getter->get(getter->arg, digest, sink, &d, e);
	uint8_t have[DIGEST_SIZE];
	sha256_final(&d.hash, have);
	if (!rc && memcmp(have, digest, DIGEST_SIZE)) {
		err_set(e, ERR_FAILED,
			"an input arrived with other bytes than it should have");
		rc = ERR_FAILED;
	}
	if (!rc && (rename(temp, final) < 0 || fstat(d.fd, stamp) < 0)) {
		d.error = errno;
		rc = ERR_FAILED;
	}
	close(d.fd);
	if (!rc)
		return CACHE_OK;
	unlink(temp);
	return explain(&d, rc, e);
}

/* Locked on entry and on return; the entry is in the table, incomplete, and ours. */
static enum cache_result fill(struct cache *c, struct entry *entry,
			      const struct cache_getter *getter, struct err *e)
{
	char path[4096];
	struct stat stamp;
	path_of(c, entry->digest, path, sizeof path);
	uint64_t serial = c->serial++;
	pthread_mutex_unlock(&c->lock);
	enum cache_result result =
		download(path, serial, entry->digest, getter, &stamp, e);
	pthread_mutex_lock(&c->lock);
	if (result == CACHE_OK) {
		entry->complete = true;
		entry->stamp = stamp;
		c->bytes += (uint64_t)stamp.st_size;
		list_add_tail(&c->used, &entry->used);
	}
	pthread_cond_broadcast(&c->changed);
	return result;
}

/* Locked. */
static struct entry *insert(struct cache *c, const uint8_t *digest)
{
	struct entry *e = mem_alloc(sizeof *e);
	memcpy(e->digest, digest, DIGEST_SIZE);
	list_init(&e->used);
	*find(c, digest) = e;
	return e;
}

static enum cache_result open_locked(struct cache *c, const uint8_t *digest,
				     const struct cache_getter *getter, int *fdp,
				     uint64_t *sizep, struct err *e)
{
	bool evicted_all = false;
	for (;;) {
		struct entry **at = find(c, digest);
		struct entry *entry = *at;
		if (entry && !entry->complete) {
			pthread_cond_wait(&c->changed, &c->lock);
			continue;
		}
		if (entry) {
			int fd = open_entry(c, entry);
			if (fd >= 0) {
				list_del(&entry->used);
				list_add_tail(&c->used, &entry->used);
				*fdp = fd;
				*sizep = (uint64_t)entry->stamp.st_size;
				evict(c, c->max_bytes);
				return CACHE_OK;
			}
			drop(c, at);
		}
		entry = insert(c, digest);
		enum cache_result result = fill(c, entry, getter, e);
		if (result == CACHE_OK)
			continue;
		drop(c, find(c, digest));
		if (result != CACHE_FULL || evicted_all)
			return result;
		evict(c, 0); /* what is cached may be what fills the disk */
		evicted_all = true;
	}
}

enum cache_result cache_open(struct cache *c, const uint8_t digest[DIGEST_SIZE],
			     const struct cache_getter *getter, int *fdp, uint64_t *sizep,
			     struct err *e)
{
	pthread_mutex_lock(&c->lock);
	enum cache_result result = open_locked(c, digest, getter, fdp, sizep, e);
	pthread_mutex_unlock(&c->lock);
	return result;
}

bool cache_has(struct cache *c, const uint8_t digest[DIGEST_SIZE])
{
	pthread_mutex_lock(&c->lock);
	struct entry *e = *find(c, digest);
	bool has = e && e->complete;
	pthread_mutex_unlock(&c->lock);
	return has;
}

uint64_t cache_bytes(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
	uint64_t bytes = c->bytes;
	pthread_mutex_unlock(&c->lock);
	return bytes;
}
