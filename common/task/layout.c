/* layout.c - see layout.h. Files are clones of the cached ones where the file system can do that,
 * copies elsewhere; never hard links, as the task may write into its inputs. */
#include "common/task/layout.h"

#include "common/fs.h"
#include "common/pure/mem.h"
#include "common/template.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_MAX (256u << 20) /* bytes of a tree, list or result blob */
#define COPY_PIECE (1u << 20)

static enum layout_result failed_at(struct err *e, const char *path, int error)
{
	if (error == EEXIST || error == ENOTDIR || error == EISDIR) {
		err_set(e, ERR_USAGE, "two things are to be laid out at %s", path);
		return LAYOUT_BAD;
	}
	if (error == ENAMETOOLONG || error == EILSEQ || error == EINVAL) {
		err_set(e, ERR_USAGE, "%s: %s", path, strerror(error));
		return LAYOUT_BAD;
	}
	err_set(e, ERR_FAILED, "laying out %s: %s", path, strerror(error));
	return error == ENOSPC || error == EDQUOT ? LAYOUT_FULL : LAYOUT_ERROR;
}

/* ---- folders */

/* All folders of @path but the last component, or with it. Return: 0 or errno. */
static int make_folders(int dir, const char *path, bool with_last)
{
	CLEANUP_FREE char *copy = mem_strdup(path);
	for (char *slash = strchr(copy, '/');; slash = strchr(slash + 1, '/')) {
		if (!slash && !with_last)
			return 0;
		if (slash)
			*slash = '\0';
		if (mkdirat(dir, copy, 0777) < 0 && errno != EEXIST)
			return errno;
		if (!slash)
			return 0;
		*slash = '/';
	}
}

static enum layout_result make_folder(struct layout *l, const char *path, struct err *e)
{
	int error = make_folders(l->dir_fd, path, true);
	struct stat st;
	if (!error && (fstatat(l->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		       !S_ISDIR(st.st_mode)))
		error = ENOTDIR;
	return error ? failed_at(e, path, error) : LAYOUT_OK;
}

/* ---- files */

static int copy_by_hand(int to, int from)
{
	CLEANUP_FREE char *piece = mem_alloc(COPY_PIECE);
	for (;;) {
		int64_t n = fs_read_full(from, piece, COPY_PIECE);
		if (n <= 0)
			return (int)-n;
		int rc = fs_write_all(to, piece, (size_t)n);
		if (rc < 0)
			return -rc;
	}
}

/* Return: 0 or errno. */
static int copy_content(int to, int from, uint64_t size)
{
	if (size == 0 || ioctl(to, FICLONE, from) == 0)
		return 0;
	uint64_t left = size;
	while (left) {
		size_t piece = left > (1u << 30) ? 1u << 30 : (size_t)left;
		ssize_t n = copy_file_range(from, NULL, to, NULL, piece, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && left == size && errno != ENOSPC && errno != EDQUOT &&
		    errno != EIO)
			return copy_by_hand(to,
					    from); /* not between these file systems */
		if (n <= 0)
			return n < 0 ? errno : EIO;
		left -= (uint64_t)n;
	}
	return 0;
}

static enum layout_result place_file(struct layout *l, const char *path,
				     const uint8_t *digest, bool executable,
				     struct err *e)
{
	int from = -1;
	uint64_t size = 0;
	enum layout_result result = (enum layout_result)l->source->open(
		l->source->arg, digest, &from, &size, e);
	if (result != LAYOUT_OK) {
		memcpy(l->missing, digest, DIGEST_SIZE);
		return result;
	}
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	mode_t mode = executable ? 0777 : 0666;
	int to = openat(l->dir_fd, path, flags, mode);
	int error = to < 0 ? errno : 0;
	if (error == ENOENT) {
		error = make_folders(l->dir_fd, path, false);
		if (!error) {
			to = openat(l->dir_fd, path, flags, mode);
			error = to < 0 ? errno : 0;
		}
	}
	if (!error)
		error = copy_content(to, from, size);
	if (to >= 0 && close(to) < 0 && !error)
		error = errno;
	close(from);
	return error ? failed_at(e, path, error) : LAYOUT_OK;
}

/* ---- contents */

static enum layout_result read_blob(struct layout *l, const uint8_t *digest,
				    struct buf *out, struct err *e)
{
	int fd = -1;
	uint64_t size = 0;
	enum layout_result result = (enum layout_result)l->source->open(
		l->source->arg, digest, &fd, &size, e);
	if (result != LAYOUT_OK) {
		memcpy(l->missing, digest, DIGEST_SIZE);
		return result;
	}
	if (size > FORMAT_MAX) {
		err_set(e, ERR_USAGE,
			"a list of files has %llu bytes, more than is read at once",
			(unsigned long long)size);
		result = LAYOUT_BAD;
	} else {
		uint8_t *to = buf_reserve(out, (size_t)size);
		int64_t n = to ? fs_read_full(fd, to, (size_t)size) : -ENOMEM;
		if (n == (int64_t)size) {
			out->size += (size_t)size;
		} else {
			err_set(e, ERR_FAILED, "reading a cached input: %s",
				n < 0 ? strerror((int)-n) : "it is shorter than it was");
			result = LAYOUT_ERROR;
		}
	}
	close(fd);
	return result;
}

static enum layout_result place_tree(struct layout *l, const char *path,
				     const uint8_t *digest, struct err *e)
{
	CLEANUP_BUF struct buf blob = {0};
	enum layout_result result = read_blob(l, digest, &blob, e);
	if (result != LAYOUT_OK)
		return result;
	CLEANUP(content_entries_fini) struct content_entries entries = {0};
	if (content_decode_tree(blob.data, blob.size, &entries)) {
		err_set(e, ERR_USAGE, "the folder for %s is described wrongly", path);
		return LAYOUT_BAD;
	}
	result = make_folder(l, path, e);
	CLEANUP_BUF struct buf full = {0};
	for (size_t i = 0; result == LAYOUT_OK && i < entries.count; i++) {
		const struct content_entry *entry = &entries.items[i];
		buf_reset(&full);
		buf_printf(&full, "%s/%s", path, entry->path);
		if (entry->content.type == CONTENT_DIR)
			result = make_folder(l, buf_cstr(&full), e);
		else
			result = place_file(l, buf_cstr(&full), entry->content.digest,
					    entry->content.type == CONTENT_EXEC, e);
	}
	return result;
}

static enum layout_result place_plain(struct layout *l, const char *path,
				      const struct content *content, struct err *e)
{
	switch ((enum content_type)content->type) {
	case CONTENT_FILE:
	case CONTENT_EXEC:
	case CONTENT_JSON:
	case CONTENT_PICKLE:
		return place_file(l, path, content->digest, content->type == CONTENT_EXEC,
				  e);
	case CONTENT_TREE:
		return place_tree(l, path, content->digest, e);
	case CONTENT_NONE:
	case CONTENT_LIST:
	case CONTENT_RESULT:
	case CONTENT_EXTERN:
	case CONTENT_DIR:
		break;
	}
	err_set(e, ERR_USAGE, "nothing of type %u can be laid out at %s", content->type,
		path);
	return LAYOUT_BAD;
}

static enum layout_result place_result(struct layout *l, const char *folder,
				       const uint8_t *digest, struct err *e)
{
	CLEANUP_BUF struct buf blob = {0};
	enum layout_result result = read_blob(l, digest, &blob, e);
	if (result != LAYOUT_OK)
		return result;
	CLEANUP(content_entries_fini) struct content_entries entries = {0};
	if (content_decode_result(blob.data, blob.size, &entries)) {
		err_set(e, ERR_USAGE, "the result for %s is described wrongly", folder);
		return LAYOUT_BAD;
	}
	result = make_folder(l, folder, e);
	CLEANUP_BUF struct buf full = {0};
	for (size_t i = 0; result == LAYOUT_OK && i < entries.count; i++) {
		buf_reset(&full);
		buf_printf(&full, "%s/%s", folder, entries.items[i].path);
		result = place_plain(l, buf_cstr(&full), &entries.items[i].content, e);
	}
	return result;
}

/* ---- inputs */

static bool is_file_name(const char *name)
{
	return *name && strlen(name) <= 255 && !strchr(name, '/') && strcmp(name, ".") &&
	       strcmp(name, "..");
}

static const char *extern_path(const struct layout *l, size_t input, size_t member)
{
	for (size_t i = 0; i < l->extern_count; i++)
		if (l->externs[i].input == input && l->externs[i].member == member)
			return l->externs[i].path;
	return NULL;
}

/* What one content becomes below @folder; its path goes to *pathp. Links are only noted. */
static enum layout_result place_member(struct layout *l, const char *folder,
				       const char *name, const struct content *content,
				       char **pathp, struct err *e)
{
	if (content->type == CONTENT_RESULT) {
		*pathp = mem_strdup(folder);
		return place_result(l, folder, content->digest, e);
	}
	if (!is_file_name(name)) {
		err_set(e, ERR_USAGE, "\"%.200s\" is not a file's name", name);
		return LAYOUT_BAD;
	}
	if (asprintf(pathp, "%s/%s", folder, name) < 0)
		abort();
	if (content->type == CONTENT_EXTERN)
		return make_folder(l, folder, e); /* place_links() does the rest */
	return place_plain(l, *pathp, content, e);
}

static enum layout_result place_list_members(struct layout *l, size_t index,
					     const struct buf *blob, struct err *e)
{
	const struct args_input *input = &l->args->inputs[index];
	const char *name = l->function->inputs[index];
	struct input_paths *paths = &l->inputs[index];
	size_t count = blob->size / CONTENT_SIZE;
	if (blob->size % CONTENT_SIZE || input->name_count == 0 ||
	    (input->name_count != 1 && input->name_count != count)) {
		err_set(e, ERR_USAGE, "input %s: its list is malformed", name);
		return LAYOUT_BAD;
	}
	paths->is_list = true;
	paths->paths = mem_alloc(count * sizeof *paths->paths);
	enum layout_result result = LAYOUT_OK;
	for (size_t i = 0; result == LAYOUT_OK && i < count; i++) {
		char folder[200];
		struct content content;
		memcpy(&content, blob->data + i * CONTENT_SIZE, CONTENT_SIZE);
		snprintf(folder, sizeof folder, "inputs/%s/%06zu", name, i);
		const char *file = input->names[input->name_count == 1 ? 0 : i];
		result = place_member(l, folder, file, &content, &paths->paths[i], e);
		paths->count = i + 1;
	}
	return result;
}

static enum layout_result place_input(struct layout *l, size_t index, struct err *e)
{
	const struct args_input *input = &l->args->inputs[index];
	struct input_paths *paths = &l->inputs[index];
	if (input->content.type == CONTENT_LIST) {
		CLEANUP_BUF struct buf blob = {0};
		enum layout_result result = read_blob(l, input->content.digest, &blob, e);
		return result == LAYOUT_OK ? place_list_members(l, index, &blob, e)
					   : result;
	}
	char folder[200];
	snprintf(folder, sizeof folder, "inputs/%s", l->function->inputs[index]);
	paths->paths = mem_alloc(sizeof *paths->paths);
	paths->count = 1;
	return place_member(l, folder, input->name_count ? input->names[0] : "",
			    &input->content, &paths->paths[0], e);
}

static bool text_wants_list(const char *text, const char *name)
{
	struct template_scan scan;
	struct template_span span;
	template_scan_init(&scan, text, strlen(text));
	while (template_next(&scan, &span))
		if (span.kind == TEMPLATE_INPUT_LIST && strlen(name) == span.name_size &&
		    memcmp(name, span.name, span.name_size) == 0)
			return true;
	return false;
}

static bool wants_list(const struct function *f, const char *name)
{
	if (f->shell && text_wants_list(f->shell, name))
		return true;
	for (size_t i = 0; i < f->argc; i++)
		if (text_wants_list(f->argv[i], name))
			return true;
	for (size_t i = 0; i < f->env_count; i++)
		if (text_wants_list(f->env[i].value, name))
			return true;
	return false;
}

static enum layout_result write_list(struct layout *l, size_t index, struct err *e)
{
	struct input_paths *paths = &l->inputs[index];
	const char *name = l->function->inputs[index];
	if (!paths->is_list && !wants_list(l->function, name))
		return LAYOUT_OK;
	CLEANUP_BUF struct buf text = {0};
	for (size_t i = 0; i < paths->count; i++)
		buf_printf(&text, "%s\n", paths->paths[i]);
	if (asprintf(&paths->list, "inputs/%s.list", name) < 0)
		abort();
	int error = make_folders(l->dir_fd, paths->list, false);
	if (error)
		return failed_at(e, paths->list, error);
	int fd = openat(l->dir_fd, paths->list, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			0666);
	if (fd < 0)
		return failed_at(e, paths->list, errno);
	int rc = fs_write_all(fd, text.data, text.size);
	close(fd);
	return rc < 0 ? failed_at(e, paths->list, -rc) : LAYOUT_OK;
}

/* place_links() - inputs that this machine has already. @externs say where; that the arguments
 * agree was checked when the path was noted. */
static enum layout_result place_links(struct layout *l, struct err *e)
{
	for (size_t i = 0; i < l->extern_count; i++) {
		const struct layout_extern *x = &l->externs[i];
		if (x->input >= l->function->input_count ||
		    x->member >= l->inputs[x->input].count)
			continue;
		const char *path = l->inputs[x->input].paths[x->member];
		if (x->path[0] != '/' || access(x->path, F_OK) < 0) {
			err_set(e, ERR_NOT_FOUND, "input %s: %s is not on this worker",
				l->function->inputs[x->input], x->path);
			return LAYOUT_ABSENT;
		}
		if (symlinkat(x->path, l->dir_fd, path) < 0)
			return failed_at(e, path, errno);
	}
	return LAYOUT_OK;
}

/* Each input that is said to be everywhere needs the path where it is. */
static enum layout_result check_externs(const struct layout *l, struct err *e)
{
	for (size_t i = 0; i < l->function->input_count; i++)
		if (l->args->inputs[i].content.type == CONTENT_EXTERN &&
		    !extern_path(l, i, 0)) {
			err_set(e, ERR_USAGE, "input %s: its path was not sent",
				l->function->inputs[i]);
			return LAYOUT_BAD;
		}
	return LAYOUT_OK;
}

/* The bytes of an entry that is described by what it says are those of the source. */
static const struct source_file *shipped_file(const struct layout *l, const char *path)
{
	for (size_t i = 0; l->shipped && i < l->shipped->file_count; i++)
		if (!strcmp(l->shipped->files[i].path, path))
			return &l->shipped->files[i];
	return NULL;
}

static const struct function_code *code_at(const struct function *f, const char *path)
{
	for (size_t i = 0; i < f->code_count; i++)
		if (!strcmp(f->code[i].path, path))
			return &f->code[i];
	return NULL;
}

static enum layout_result place_code(struct layout *l, struct err *e)
{
	const struct function *f = l->function;
	enum layout_result result = LAYOUT_OK;
	for (size_t i = 0; result == LAYOUT_OK && i < f->code_count; i++) {
		const struct function_code *c = &f->code[i];
		const struct source_file *file =
			c->scheme > CODE_BYTES ? shipped_file(l, c->path) : NULL;
		if (c->scheme > CODE_BYTES && !file) {
			err_set(e, ERR_USAGE, "%s is not in the source that was sent",
				c->path);
			return LAYOUT_BAD;
		}
		result = place_file(l, c->path, file ? file->digest : c->digest,
				    c->executable, e);
	}
	for (size_t i = 0;
	     l->shipped && result == LAYOUT_OK && i < l->shipped->file_count; i++) {
		const struct source_file *file = &l->shipped->files[i];
		if (!code_at(f, file->path))
			result = place_file(l, file->path, file->digest, file->executable,
					    e);
	}
	return result;
}

static enum layout_result make_output_folders(struct layout *l, struct err *e)
{
	const struct function *f = l->function;
	for (size_t i = 0; i < f->output_count + 1; i++) {
		const char *path = i < f->output_count ? f->outputs[i].value : f->metrics;
		int error = path ? make_folders(l->dir_fd, path, false) : 0;
		if (error)
			return failed_at(e, path, error);
	}
	return LAYOUT_OK;
}

enum layout_result layout_run(struct layout *l, struct err *e)
{
	const struct function *f = l->function;
	l->inputs = mem_alloc(f->input_count * sizeof *l->inputs);
	if (l->args->input_count != f->input_count ||
	    l->args->value_count != f->param_count) {
		err_set(e, ERR_USAGE, "the arguments do not fit the function");
		return LAYOUT_BAD;
	}
	l->dir_fd = open(l->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->dir_fd < 0)
		return failed_at(e, l->dir, errno);
	enum layout_result result = check_externs(l, e);
	if (result == LAYOUT_OK)
		result = place_code(l, e);
	for (size_t i = 0; result == LAYOUT_OK && i < f->input_count; i++)
		result = place_input(l, i, e);
	for (size_t i = 0; result == LAYOUT_OK && i < f->input_count; i++)
		result = write_list(l, i, e);
	if (result == LAYOUT_OK)
		result = make_output_folders(l, e);
	if (result == LAYOUT_OK)
		result = place_links(l, e);
	close(l->dir_fd);
	return result;
}

enum layout_result layout_folder(const char *dir, const uint8_t digest[DIGEST_SIZE],
				 const struct layout_source *source, uint8_t *missing,
				 struct err *e)
{
	struct layout l = {.dir = dir, .source = source};
	l.dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l.dir_fd < 0)
		return failed_at(e, dir, errno);
	enum layout_result result = place_tree(&l, ".", digest, e);
	if (missing)
		memcpy(missing, l.missing, DIGEST_SIZE);
	close(l.dir_fd);
	return result;
}

enum layout_result layout_files(const char *dir, const struct layout_file *files,
				size_t count, const struct layout_source *source,
				uint8_t *missing, struct err *e)
{
	struct layout l = {.dir = dir, .source = source};
	l.dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l.dir_fd < 0)
		return failed_at(e, dir, errno);
	enum layout_result result = LAYOUT_OK;
	for (size_t i = 0; result == LAYOUT_OK && i < count; i++)
		result = place_file(&l, files[i].path, files[i].digest,
				    files[i].executable, e);
	memcpy(missing, l.missing, DIGEST_SIZE);
	close(l.dir_fd);
	return result;
}

void layout_fini(struct layout *l)
{
	for (size_t i = 0; l->inputs && i < l->function->input_count; i++) {
		struct input_paths *paths = &l->inputs[i];
		for (size_t k = 0; k < paths->count; k++)
			free(paths->paths[k]);
		free(paths->paths);
		free(paths->list);
	}
	free(l->inputs);
	l->inputs = NULL;
}
