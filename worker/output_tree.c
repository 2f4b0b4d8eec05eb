/* output_tree.c - see output_tree.h. */
#include "worker/output_tree.h"

#include "common/fs.h"
#include "common/num.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "common/pure/utf8.h"
#include "worker/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (256u << 10)

/* Small blobs go inside the report while there is room. */
static bool goes_inside(const struct report *r, uint64_t size, uint64_t inline_max)
{
	return size <= inline_max && r->inline_bytes + size <= INLINE_TOTAL_MAX;
}

int output_add_file(struct report *r, int fd, const char *path, uint64_t inline_max,
		    uint8_t digest[DIGEST_SIZE], uint64_t *sizep)
{
	char first[1024];
	CLEANUP_FREE char *large = NULL;
	struct sha256 hash;
	uint64_t size = 0;
	char *piece = first;
	size_t room = sizeof first;
	sha256_init(&hash);
	for (;;) {
		ssize_t n = pread(fd, piece, room, (off_t)size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		sha256_update(&hash, piece, (size_t)n);
		size += (uint64_t)n;
		if (n == 0)
			break;
		if (!large && size >= sizeof first) {
			large = piece = mem_alloc(PIECE);
			room = PIECE;
		} else if (!large) {
			piece = first + size;
			room = sizeof first - (size_t)size;
		}
	}
	sha256_final(&hash, digest);
	*sizep = size;
	if (size == 0) /* the empty blob is everywhere */
		return 0;
	if (!goes_inside(r, size, inline_max)) {
		report_blob(r, digest, size, path, NULL);
		return 0;
	}
	if (size <= sizeof first && !large) {
		report_inline(r, first, (size_t)size);
		return 0;
	}
	CLEANUP_FREE char *whole = mem_alloc((size_t)size);
	ssize_t n = pread(fd, whole, (size_t)size, 0);
	if (n != (ssize_t)size)
		return n < 0 ? -errno : -EIO;
	report_inline(r, whole, (size_t)size);
	return 0;
}

/* What is at @path below the output @top, for messages. */
static const char *shown(const struct output_walk *w, const char *path)
{
	size_t n = strlen(w->root);
	return strncmp(path, w->root, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

static int refuse(struct output_walk *w, const char *path, const char *why, struct err *e)
{
	err_set(e, ERR_FAILED, "%s %s", shown(w, path), why);
	return 1;
}

/* cannot_open() - with errno. What this worker is out of is no fault of the task's. */
static int cannot_open(struct output_walk *w, const char *path, struct err *e)
{
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		return -errno;
	return refuse(w, path, strerror(errno), e);
}

static int add_regular(struct output_walk *w, const char *path, Cashet__Content *content,
		       struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == EACCES && chmod(path, 0600) == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (fd < 0)
		return cannot_open(w, path, e);
	struct stat st;
	uint8_t digest[DIGEST_SIZE];
	uint64_t size;
	size_t length = strlen(path) + 1;
	char *kept = memcpy(report_alloc(w->report, length), path, length);
	int rc = fstat(fd, &st) < 0 ? -errno : 0;
	w->bytes += rc == 0 ? (uint64_t)st.st_size : 0;
	if (rc == 0 && w->bytes_max && w->bytes > w->bytes_max) {
		close(fd);
		CLEANUP_BUF struct buf limit = {0};
		num_add_size(&limit, w->bytes_max);
		err_set(e, ERR_FAILED, "more than %s", buf_cstr(&limit));
		return 1;
	}
	if (rc == 0)
		rc = output_add_file(w->report, fd, kept, w->inline_max, digest, &size);
	if (rc == 0)
		report_content(w->report, content,
			       st.st_mode & S_IXUSR ? CONTENT_EXEC : CONTENT_FILE, digest,
			       size);
	close(fd);
	return rc;
}

static int walk_folder(struct output_walk *w, struct content_entries *tree,
		       const char *path, const char *inside, unsigned depth,
		       struct err *e);

/* One name in a folder: @path is it in full, @inside its path within the tree. */
static int walk_entry(struct output_walk *w, struct content_entries *tree,
		      const char *path, const char *inside, unsigned depth, struct err *e)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return -errno;
	if (++w->entries > OUTPUT_ENTRIES_MAX)
		return refuse(w, path, "is one file too many: 1000000 are collected", e);
	if (!utf8_valid(inside, strlen(inside)))
		return refuse(w, path, "has a name that is not UTF-8", e);
	CLEANUP_FREE char *real = NULL;
	if (S_ISLNK(st.st_mode)) {
		size_t n = strlen(w->root);
		real = realpath(path, NULL);
		if (!real || stat(real, &st) < 0)
			return refuse(w, path, "is a link to nothing", e);
		if (strncmp(real, w->root, n) != 0 || real[n] != '/')
			return refuse(w, path,
				      "is a link that leaves the task's directory", e);
		if (S_ISDIR(st.st_mode))
			return refuse(w, path, "is a link to a folder", e);
		path = real;
	}
	if (S_ISDIR(st.st_mode))
		return walk_folder(w, tree, path, inside, depth + 1, e);
	if (!S_ISREG(st.st_mode))
		return refuse(w, path, "is neither a file nor a folder", e);
	Cashet__Content found;
	cashet__content__init(&found);
	int rc = add_regular(w, path, &found, e);
	if (rc)
		return rc;
	struct content content = {.type = (uint8_t)found.type};
	memcpy(content.digest, found.digest.data, DIGEST_SIZE);
	return content_entries_add(tree, NULL, inside, &content, found.size);
}

/* read_names() - of what is in a folder, each with its NUL, in @names. They are all read before any
 * is looked at, so that a deep tree takes one descriptor and not one per level. */
static int read_names(struct output_walk *w, const char *path, struct buf *names,
		      struct err *e)
{
	DIR *dir = opendir(path);
	if (!dir && errno == EACCES && chmod(path, 0700) == 0)
		dir = opendir(path);
	if (!dir)
		return cannot_open(w, path, e);
	uint32_t room = OUTPUT_ENTRIES_MAX - w->entries;
	for (struct dirent *d; (d = readdir(dir));)
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..")) {
			buf_add(names, d->d_name, strlen(d->d_name) + 1);
			if (room-- == 0)
				break; /* the last of them is refused */
		}
	closedir(dir);
	return names->failed ? -ENOMEM : 0;
}

static int walk_folder(struct output_walk *w, struct content_entries *tree,
		       const char *path, const char *inside, unsigned depth,
		       struct err *e)
{
	if (depth > OUTPUT_DEPTH_MAX)
		return refuse(w, path, "is nested deeper than 64 folders", e);
	CLEANUP_BUF struct buf names = {0};
	CLEANUP_BUF struct buf full = {0};
	CLEANUP_BUF struct buf within = {0};
	int rc = read_names(w, path, &names, e);
	for (size_t at = 0; rc == 0 && at < names.size;) {
		const char *name = (const char *)names.data + at;
		at += strlen(name) + 1;
		buf_reset(&full);
		buf_reset(&within);
		buf_printf(&full, "%s/%s", path, name);
		buf_printf(&within, "%s%s%s", inside, *inside ? "/" : "", name);
		rc = walk_entry(w, tree, buf_cstr(&full), buf_cstr(&within), depth, e);
	}
	if (rc == 0 && names.size == 0 && *inside) {
		struct content empty = {.type = CONTENT_DIR};
		memcpy(empty.digest, sha256_empty, DIGEST_SIZE);
		rc = content_entries_add(tree, NULL, inside, &empty, 0);
	}
	return rc;
}

static int add_folder(struct output_walk *w, const char *path, Cashet__Content *content,
		      struct err *e)
{
	CLEANUP(content_entries_fini) struct content_entries tree = {0};
	int rc = walk_folder(w, &tree, path, "", 0, e);
	if (rc)
		return rc;
	CLEANUP_BUF struct buf blob = {0};
	content_encode_tree(&blob, &tree);
	if (blob.failed)
		return -ENOMEM;
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(blob.data, blob.size, digest);
	report_content(w->report, content, CONTENT_TREE, digest, blob.size);
	if (goes_inside(w->report, blob.size, w->inline_max)) {
		report_inline(w->report, blob.data, blob.size);
	} else {
		void *kept =
			memcpy(report_alloc(w->report, blob.size), blob.data, blob.size);
		report_blob(w->report, digest, blob.size, NULL, kept);
	}
	return 0;
}

int output_add(struct output_walk *w, const char *path, Cashet__Content *content,
	       struct err *e)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return refuse(w, path, strerror(errno), e);
	if (S_ISDIR(st.st_mode))
		return add_folder(w, path, content, e);
	if (S_ISREG(st.st_mode))
		return add_regular(w, path, content, e);
	return refuse(w, path, "is neither a file nor a folder", e);
}
