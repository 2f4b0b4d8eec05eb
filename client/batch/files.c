/* files.c - see files.h. */
#include "client/batch/files.h"

#include "client/batch/source.h"
#include "common/fs.h"
#include "common/pure/sha256.h"
#include "common/pure/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE (256u << 10)
#define MEMO_MIN 4096 /* smaller files are hashed faster than remembered */
#define TRIES 3	      /* for a file that changes while it is read */

struct walk {
	struct files *files;
	struct files_item *item;
	enum files_use use;
	const char *shown; /* the folder as it was written */
	const char *root;  /* resolved */
	struct err *e;
	struct { /* the folders that we are in: a link back to one never ends */
		dev_t device;
		ino_t inode;
	} above[FILES_DEPTH_MAX];
	unsigned depth;
};

int files_init(struct files *f, const char *batch_path, const char *memo_path,
	       struct err *e)
{
	*f = (struct files){.memo = {.path = memo_path}};
	char here[PATH_MAX];
	if (!getcwd(here, sizeof here))
		return err_set(e, ERR_USAGE, "the working directory is gone: %s",
			       strerror(errno));
	const char *slash = strcmp(batch_path, "-") ? strrchr(batch_path, '/') : NULL;
	int size = slash ? (int)(slash - batch_path) : 0;
	if (*batch_path == '/' && slash)
		f->folder = arena_printf(&f->arena, "%.*s", size ? size : 1, batch_path);
	else
		f->folder = arena_printf(&f->arena, "%s%s%.*s", here, slash ? "/" : "",
					 size, batch_path);
	return f->folder ? 0 : source_no_memory(e);
}

void files_fini(struct files *f)
{
	for (uint32_t i = 0; i < f->count; i++) {
		free(f->items[i]->members);
		free(f->items[i]->tree);
		free(f->items[i]);
	}
	free(f->items);
	map_fini(&f->map);
	arena_fini(&f->arena);
	memo_fini(&f->memo);
	*f = (struct files){0};
}

/* ---- one file */

static int hash_fd(int fd, uint8_t digest[DIGEST_SIZE], uint64_t *sizep)
{
	uint8_t *piece = malloc(PIECE);
	if (!piece)
		return -ENOMEM;
	struct sha256 sha;
	sha256_init(&sha);
	int64_t n;
	uint64_t size = 0;
	do {
		n = fs_read_full(fd, piece, PIECE);
		if (n > 0)
			sha256_update(&sha, piece, (size_t)n);
		size += n > 0 ? (uint64_t)n : 0;
	} while (n == PIECE);
	free(piece);
	if (n < 0)
		return (int)n;
	sha256_final(&sha, digest);
	*sizep = size;
	return 0;
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Return: 0; -EAGAIN if it changed meanwhile; -EINVAL if it is not a file; negative errno. */
static int hash_once(struct files *f, const char *path, struct files_member *m)
{
	/* A FIFO that took the file's place must not make us wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	struct stat before, after;
	uint64_t size = 0;
	int r = fstat(fd, &before) < 0 ? -errno : S_ISREG(before.st_mode) ? 0 : -EINVAL;
	if (!r && before.st_size >= MEMO_MIN &&
	    memo_find(&f->memo, path, &before, m->content.digest)) {
		size = (uint64_t)before.st_size;
	} else if (!r) {
		r = hash_fd(fd, m->content.digest, &size);
		if (!r && fstat(fd, &after) < 0)
			r = -errno;
		if (!r &&
		    (!unchanged(&before, &after) || size != (uint64_t)after.st_size))
			r = -EAGAIN;
		if (!r && size >= MEMO_MIN)
			memo_put(&f->memo, path, &after, m->content.digest);
	}
	close(fd);
	m->size = size;
	m->content.type = before.st_mode & S_IXUSR ? CONTENT_EXEC : CONTENT_FILE;
	return r;
}

static int hash_file(struct files *f, const char *path, const char *shown,
		     struct files_member *m, struct err *e)
{
	int r = -EAGAIN;
	for (int i = 0; i < TRIES && r == -EAGAIN; i++)
		r = hash_once(f, path, m);
	if (r == -ENOMEM)
		return source_no_memory(e);
	if (r == -EAGAIN)
		return err_set(e, ERR_USAGE, "\"%s\" changes while it is being read",
			       shown);
	if (r == -EINVAL)
		return err_set(e, ERR_USAGE, "\"%s\" is neither a file nor a folder",
			       shown);
	if (r)
		return err_set(e, ERR_USAGE, "\"%s\" cannot be read: %s", shown,
			       strerror(-r));
	return 0;
}

static struct files_member *add_member(struct files_item *item)
{
	if (item->count == item->capacity) {
		uint32_t capacity = item->capacity ? 2 * item->capacity : 1;
		struct files_member *members =
			realloc(item->members, capacity * sizeof *members);
		if (!members)
			return NULL;
		item->members = members;
		item->capacity = capacity;
	}
	item->members[item->count] = (struct files_member){.path = ""};
	return &item->members[item->count++];
}

/* ---- folders */

static bool is_left_out(const struct walk *w, const char *name)
{
	if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, ".cashet"))
		return true;
	size_t size = strlen(name);
	return w->use == FILES_CODE &&
	       (!strcmp(name, ".git") || !strcmp(name, "__pycache__") ||
		(size > 4 && !strcmp(name + size - 4, ".pyc")));
}

/* A link may point anywhere below the folder, and nowhere else. */
static int check_link(struct walk *w, const char *full, const char *below)
{
	char *target = realpath(full, NULL);
	if (!target)
		return err_set(w->e, ERR_USAGE, "link \"%s\" in \"%s\" leads nowhere: %s",
			       below, w->shown, strerror(errno));
	size_t size = strlen(w->root);
	bool inside = !strncmp(target, w->root, size) &&
		      (target[size] == '/' || !target[size] || size == 1);
	int r = 0;
	if (!inside)
		r = err_set(w->e, ERR_USAGE,
			    "link \"%s\" in \"%s\" leads outside, to %.200s", below,
			    w->shown, target);
	free(target);
	return r;
}

static int walk_folder(struct walk *w, const char *full, const char *below);

static int walk_member(struct walk *w, const char *full_folder, const char *below_folder,
		       const char *name)
{
	struct arena *arena = &w->files->arena;
	const char *full = arena_printf(arena, "%s/%s", full_folder, name);
	const char *below = arena_printf(arena, "%s%s%s", below_folder,
					 *below_folder ? "/" : "", name);
	if (!full || !below)
		return source_no_memory(w->e);
	struct stat st;
	if (lstat(full, &st) < 0)
		return err_set(w->e, ERR_USAGE, "\"%s\" in \"%s\" cannot be read: %s",
			       below, w->shown, strerror(errno));
	if (S_ISLNK(st.st_mode)) {
		int r = check_link(w, full, below);
		if (r)
			return r;
		if (stat(full, &st) < 0)
			return err_set(w->e, ERR_USAGE,
				       "\"%s\" in \"%s\" cannot be read: %s", below,
				       w->shown, strerror(errno));
	}
	if (S_ISDIR(st.st_mode))
		return walk_folder(w, full, below);
	if (!S_ISREG(st.st_mode))
		return err_set(w->e, ERR_USAGE,
			       "\"%s\" in \"%s\" is neither a file nor a folder", below,
			       w->shown);
	if (!utf8_valid(name, strlen(name)))
		return err_set(w->e, ERR_USAGE, "a name in \"%s\" is not UTF-8: %s",
			       w->shown, below);
	struct files_member *m = add_member(w->item);
	if (!m)
		return source_no_memory(w->e);
	m->path = below;
	m->full_path = full;
	return hash_file(w->files, full, full, m, w->e);
}

static int enter_folder(struct walk *w, const char *full, const char *below)
{
	struct stat st;
	if (stat(full, &st) < 0)
		return err_set(w->e, ERR_USAGE, "\"%s\" in \"%s\" cannot be read: %s",
			       below, w->shown, strerror(errno));
	for (unsigned i = 0; i < w->depth; i++)
		if (w->above[i].device == st.st_dev && w->above[i].inode == st.st_ino)
			return err_set(
				w->e, ERR_USAGE,
				"link \"%s\" in \"%s\" leads to a folder that it is in",
				below, w->shown);
	if (w->depth == FILES_DEPTH_MAX)
		return err_set(w->e, ERR_USAGE, "\"%s\" is nested deeper than %d folders",
			       w->shown, FILES_DEPTH_MAX);
	w->above[w->depth].device = st.st_dev;
	w->above[w->depth++].inode = st.st_ino;
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The depth is bounded, so this recursion is. */
static int walk_folder(struct walk *w, const char *full, const char *below)
{
	int r = enter_folder(w, full, below);
	if (r)
		return r;
	struct dirent **names;
	int count = scandir(full, &names, NULL, by_name);
	if (count < 0)
		return err_set(w->e, ERR_USAGE, "folder \"%s\" cannot be read: %s", full,
			       strerror(errno));
	uint32_t before = w->item->count;
	for (int i = 0; i < count; i++) {
		if (!r && !is_left_out(w, names[i]->d_name))
			r = walk_member(w, full, below, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	w->depth--;
	bool keeps_empty = w->use == FILES_INPUT && *below;
	if (r || w->item->count > before || !keeps_empty)
		return r;
	struct files_member *m = add_member(w->item);
	if (!m)
		return source_no_memory(w->e);
	m->path = below;
	m->content.type = CONTENT_DIR;
	memcpy(m->content.digest, sha256_empty, DIGEST_SIZE);
	return 0;
}

static int make_tree(struct files_item *item, struct err *e)
{
	CLEANUP(content_entries_fini) struct content_entries entries = {0};
	CLEANUP_BUF struct buf out = {0};
	for (uint32_t i = 0; i < item->count; i++) {
		const struct files_member *m = &item->members[i];
		if (content_entries_add(&entries, NULL, m->path, &m->content, m->size))
			return source_no_memory(e);
	}
	content_encode_tree(&out, &entries);
	if (out.failed)
		return source_no_memory(e);
	if (out.size > FILES_TREE_MAX)
		return err_set(e, ERR_USAGE, "the folder has too many files (%u)",
			       item->count);
	sha256_digest(out.data, out.size, item->content.digest);
	item->size = out.size;
	item->tree = buf_steal(&out, &item->tree_size);
	return 0;
}

static int hash_folder(struct files *f, const char *full, const char *shown,
		       enum files_use use, struct files_item *item, struct err *e)
{
	char *root = realpath(full, NULL);
	if (!root)
		return err_set(e, ERR_USAGE, "\"%s\" cannot be read: %s", shown,
			       strerror(errno));
	struct walk w = {.files = f,
			 .item = item,
			 .use = use,
			 .shown = shown,
			 .root = root,
			 .e = e};
	int r = walk_folder(&w, full, "");
	free(root);
	item->content.type = CONTENT_TREE;
	return r || use == FILES_CODE ? r : make_tree(item, e);
}

/* ---- items */

static int hash_item(struct files *f, const char *path, enum files_use use,
		     struct files_item *item, struct err *e)
{
	const char *full = *path == '/'
				   ? arena_text(&f->arena, path, strlen(path))
				   : arena_printf(&f->arena, "%s/%s", f->folder, path);
	if (!full)
		return source_no_memory(e);
	struct stat st;
	if (stat(full, &st) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			err_set(e, ERR_USAGE, "there is no file or folder \"%s\"", path);
		else
			err_set(e, ERR_USAGE, "\"%s\" cannot be read: %s", path,
				strerror(errno));
		if (*path != '/')
			err_next(e, "paths are relative to the batch file, in %.400s",
				 f->folder);
		return ERR_USAGE;
	}
	if (S_ISDIR(st.st_mode))
		return hash_folder(f, full, path, use, item, e);
	struct files_member *m = add_member(item);
	if (!m)
		return source_no_memory(e);
	m->full_path = full;
	int r = hash_file(f, full, path, m, e);
	item->content = m->content;
	item->size = m->size;
	return r;
}

static int keep_item(struct files *f, struct files_item *item)
{
	if (f->count == f->capacity) {
		uint32_t capacity = f->capacity ? 2 * f->capacity : 16;
		struct files_item **items = realloc(f->items, capacity * sizeof *items);
		if (!items)
			return -ENOMEM;
		f->items = items;
		f->capacity = capacity;
	}
	f->items[f->count++] = item;
	return 0;
}

int files_get(struct files *f, const char *path, enum files_use use,
	      struct files_item **itemp, struct err *e)
{
	char key[PATH_MAX + 1];
	size_t size = strlen(path);
	if (size >= PATH_MAX)
		return err_set(e, ERR_USAGE, "a path has %d bytes at most", PATH_MAX - 1);
	key[0] = use == FILES_CODE ? 'c' : 'i';
	memcpy(key + 1, path, size);
	uint32_t *number = map_find(&f->map, key, size + 1);
	if (number) {
		*itemp = f->items[*number];
		return 0;
	}
	struct files_item *item = calloc(1, sizeof *item);
	const char *kept = arena_text(&f->arena, key, size + 1);
	if (!item || !kept || keep_item(f, item)) {
		free(item);
		return source_no_memory(e);
	}
	int r = hash_item(f, path, use, item, e);
	if (!r && map_put(&f->map, kept, size + 1, f->count - 1))
		r = source_no_memory(e);
	if (!r)
		*itemp = item;
	return r;
}

void files_begin(struct files *f)
{
	for (uint32_t i = 0; i < f->count; i++) {
		f->items[i]->uploaded = false;
		for (uint32_t k = 0; k < f->items[i]->count; k++)
			f->items[i]->members[k].uploaded = false;
	}
}

int files_upload_member(struct files_member *m, struct builder *b, struct err *e)
{
	if (m->uploaded || !m->size) /* the empty blob is always there */
		return 0;
	m->uploaded = true;
	struct builder_upload upload = {.path = m->full_path, .size = m->size};
	memcpy(upload.digest, m->content.digest, DIGEST_SIZE);
	return builder_upload(b, &upload, e);
}

int files_upload(struct files_item *item, struct builder *b, struct err *e)
{
	if (item->uploaded)
		return 0;
	item->uploaded = true;
	for (uint32_t i = 0; i < item->count; i++) {
		int r = files_upload_member(&item->members[i], b, e);
		if (r)
			return r;
	}
	if (!item->tree)
		return 0;
	struct builder_upload tree = {.data = item->tree, .size = item->tree_size};
	memcpy(tree.digest, item->content.digest, DIGEST_SIZE);
	return builder_upload(b, &tree, e);
}
