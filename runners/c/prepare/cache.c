/* cache.c - see cache.h. Several processes use one folder: files appear by rename() and are never written
 * again; what vanishes between a look and a use is built again. */
#include "runners/c/prepare/cache.h"

#include "common/fs.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY_MAX (256u << 20)
#define LEFT_BEHIND_S 3600 /* what a killed compiler left */
#define HEX (2 * DIGEST_SIZE)
#define NOBODY 65534 /* root's of another user namespace */

static char *default_dir(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	struct buf path = {0};
	if (cache && cache[0] == '/')
		buf_printf(&path, "%s/cashet/libraries", cache);
	else if (home && home[0] == '/')
		buf_printf(&path, "%s/.cache/cashet/libraries", home);
	else
		buf_printf(&path, "/tmp/cashet-%u/libraries", (unsigned)getuid());
	return buf_steal(&path, NULL);
}

/* check_owners() - what others can write there, or put in its place, they could make us run. Return: 0
 * or a negative errno. */
static int check_owners(const struct cache *c)
{
	char path[PATH_MAX];
	struct stat st;
	if (!realpath(c->dir, path) || stat(path, &st))
		return -errno;
	if (st.st_uid != getuid() || (st.st_mode & 022))
		return -EPERM;
	for (char *slash; !c->anywhere && (slash = strrchr(path, '/'));) {
		*slash = '\0';
		if (stat(path[0] ? path : "/", &st))
			return -errno;
		if ((st.st_uid != getuid() && st.st_uid != 0 && st.st_uid != NOBODY) ||
		    ((st.st_mode & 02) && !(st.st_mode & S_ISVTX)))
			return -EPERM;
	}
	return 0;
}

int cache_open(struct cache *c, const char *dir)
{
	c->dir = dir ? mem_strdup(dir) : default_dir();
	int status = fs_mkdir_p(c->dir, 0700);
	return status < 0 ? status : check_owners(c);
}

void cache_close(struct cache *c)
{
	free(c->dir);
	c->dir = NULL;
}

/* is_library() - KEY-DIGEST.so, of any key if @key is NULL. */
static bool is_library(const char *name, const char *key)
{
	size_t size = strlen(name);
	return size == 2 * HEX + 4 && name[HEX] == '-' &&
	       !strcmp(name + size - 3, ".so") && (!key || !strncmp(name, key, HEX));
}

static bool is_whole(const char *path, const char *name)
{
	CLEANUP_BUF struct buf bytes = {0};
	uint8_t digest[DIGEST_SIZE];
	char hex[HEX_DIGEST_SIZE];
	if (fs_read_file(path, LIBRARY_MAX, &bytes) < 0)
		return false;
	sha256_digest(bytes.data, bytes.size, digest);
	return !strncmp(name + HEX + 1, hex_encode(hex, digest, sizeof digest), HEX);
}

bool cache_find(struct cache *c, const uint8_t key[DIGEST_SIZE], struct buf *path)
{
	char hex[HEX_DIGEST_SIZE];
	bool found = false;
	hex_encode(hex, key, DIGEST_SIZE);
	DIR *dir = opendir(c->dir);
	for (struct dirent *e; dir && !found && (e = readdir(dir));) {
		if (!is_library(e->d_name, hex))
			continue;
		buf_reset(path);
		buf_printf(path, "%s/%s", c->dir, e->d_name);
		found = is_whole(buf_cstr(path), e->d_name);
		if (found)
			utimensat(AT_FDCWD, buf_cstr(path), NULL, 0);
		else
			unlink(buf_cstr(path));
	}
	if (dir)
		closedir(dir);
	return found;
}

void cache_new(struct cache *c, const char *end, struct buf *path)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	buf_reset(path);
	buf_printf(path, "%s/new-%d-%lld%09ld%s", c->dir, (int)getpid(),
		   (long long)now.tv_sec, now.tv_nsec, end);
	buf_cstr(path);
}

/* ---- room */

struct entry {
	char name[2 * HEX + 5];
	struct timespec used;
	uint64_t size;
};

static int by_use(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static void make_room(struct cache *c, const char *keep)
{
	struct entry *list = NULL;
	size_t count = 0, capacity = 0;
	uint64_t total = 0;
	time_t now = time(NULL);
	DIR *dir = opendir(c->dir);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		struct stat st;
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (!strncmp(e->d_name, "new-", 4) && st.st_mtime < now - LEFT_BEHIND_S)
			unlinkat(dirfd(dir), e->d_name, 0);
		if (!is_library(e->d_name, NULL))
			continue;
		mem_grow(list, count, capacity);
		list[count] =
			(struct entry){.used = st.st_mtim, .size = (uint64_t)st.st_size};
		strcpy(list[count++].name, e->d_name);
		total += (uint64_t)st.st_size;
	}
	if (count)
		qsort(list, count, sizeof *list, by_use);
	for (size_t i = 0; i < count && total > CACHE_SIZE_MAX; i++) {
		if (!strcmp(list[i].name, keep))
			continue;
		unlinkat(dirfd(dir), list[i].name, 0);
		total -= list[i].size;
	}
	free(list);
	if (dir)
		closedir(dir);
}

/* digest_and_sync() - Return: 0 or a negative errno. */
static int digest_and_sync(const char *file, uint8_t digest[DIGEST_SIZE])
{
	CLEANUP_BUF struct buf bytes = {0};
	int status = fs_read_file(file, LIBRARY_MAX, &bytes);
	if (status < 0)
		return status;
	sha256_digest(bytes.data, bytes.size, digest);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	status = fchmod(fd, 0500) || fsync(fd) ? -errno : 0;
	close(fd);
	return status;
}

int cache_put(struct cache *c, const uint8_t key[DIGEST_SIZE], const char *file,
	      struct buf *path)
{
	uint8_t digest[DIGEST_SIZE];
	char hex[HEX_DIGEST_SIZE], name[2 * HEX + 5];
	int status = digest_and_sync(file, digest);
	if (status < 0)
		return status;
	snprintf(name, sizeof name, "%s-", hex_encode(hex, key, DIGEST_SIZE));
	snprintf(name + HEX + 1, sizeof name - HEX - 1, "%s.so",
		 hex_encode(hex, digest, DIGEST_SIZE));
	buf_reset(path);
	buf_printf(path, "%s/%s", c->dir, name);
	if (rename(file, buf_cstr(path)))
		return -errno;
	make_room(c, name);
	return fs_sync_dir(c->dir);
}
