/* collect.c - see collect.h. */
#include "worker/collect.h"

#include "common/fs.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/checkpoint.h"
#include "worker/logs.h"
#include "worker/metrics.h"
#include "worker/output_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAILED CASHET__OUTCOME__KIND__FAILED

/* ---- logs */

/* A log of @size bytes at @path, open as @fd; kept whole or trimmed. */
static int collect_log(const struct collect *c, struct report *r, enum dir_place place,
		       Cashet__Content *content, Cashet__Content **where)
{
	const char *path = c->dir->paths[place];
	struct stat st;
	if (stat(path, &st) == 0 && st.st_size == 0) {
		report_content(r, content, CONTENT_FILE, sha256_empty, 0);
		*where = content;
		return 0;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) < 0 ? -errno : 0;
	bool whole = place == DIR_OUT && c->stdout_is_result;
	if (rc == 0 && !whole && log_needs_trim((uint64_t)st.st_size)) {
		size_t n = strlen(path);
		char *trimmed = report_alloc(r, n + sizeof ".kept");
		memcpy(trimmed, path, n);
		memcpy(trimmed + n, ".kept", sizeof ".kept");
		unlink(trimmed);
		int to = open(trimmed, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		rc = to < 0 ? -errno : log_trim(fd, (uint64_t)st.st_size, to);
		close(fd);
		fd = to;
		path = trimmed;
	}
	uint8_t digest[DIGEST_SIZE];
	uint64_t size = 0;
	if (rc == 0)
		rc = output_add_file(r, fd, path, c->inline_max, digest, &size);
	if (rc == 0) {
		report_content(r, content, CONTENT_FILE, digest, size);
		*where = content;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

bool collect_is_small(const struct collect *c)
{
	struct stat out, err;
	return (c->with_outputs || !c->checkpoint_max || checkpoint_is_empty(c->dir)) &&
	       (!c->with_outputs ||
		(!c->function->output_count && !c->function->metrics)) &&
	       stat(c->dir->paths[DIR_OUT], &out) == 0 &&
	       stat(c->dir->paths[DIR_ERR], &err) == 0 &&
	       (uint64_t)out.st_size <= c->inline_max &&
	       (uint64_t)err.st_size <= c->inline_max;
}

/* ---- what the task declared */

/* resolve() - the real path of a declared one, if it is within the task's directory. */
static char *resolve(const struct collect *c, struct report *r, const char *what,
		     const char *path)
{
	CLEANUP_FREE char *root = NULL;
	CLEANUP_FREE char *full = NULL;
	struct stat self; /* a link in its place would lead anywhere */
	if (lstat(c->dir->paths[DIR_TASK], &self) == 0 && S_ISDIR(self.st_mode))
		root = realpath(c->dir->paths[DIR_TASK], NULL);
	if (!root || asprintf(&full, "%s/%s", root, path) < 0) {
		report_fail(r, FAILED, "%s: the task's directory is gone", what);
		return NULL;
	}
	char *real = realpath(full, NULL);
	if (!real && (errno == ENOENT || errno == ENOTDIR)) {
		struct stat st;
		report_fail(r, FAILED, "%s: %s %s", what, path,
			    lstat(full, &st) == 0 ? "is a link to nothing"
						  : "was not created");
		return NULL;
	}
	size_t n = strlen(root);
	if (!real) {
		report_fail(r, FAILED, "%s: %s: %s", what, path, strerror(errno));
	} else if (strncmp(real, root, n) != 0 || real[n] != '/') {
		report_fail(r, FAILED, "%s: %s leads out of the task's directory", what,
			    path);
		free(real);
		real = NULL;
	}
	return real;
}

static int collect_output(const struct collect *c, struct report *r,
			  const struct function_pair *declared, Cashet__Output *output)
{
	char what[160];
	snprintf(what, sizeof what, "output %s", declared->name);
	CLEANUP_FREE char *real = resolve(c, r, what, declared->value);
	if (!real)
		return 0;
	CLEANUP_FREE char *root = realpath(c->dir->paths[DIR_TASK], NULL);
	Cashet__Content *content = report_alloc(r, sizeof *content);
	cashet__content__init(content);
	cashet__output__init(output);
	output->name = report_text(r, declared->name);
	output->path = report_text(r, declared->value);
	output->content = content;
	struct err e = {0};
	struct output_walk walk = {
		.report = r, .root = root ? root : "/", .inline_max = c->inline_max};
	int rc = output_add(&walk, real, content, &e);
	if (rc > 0)
		report_fail(r, FAILED, "%s: %s", what, e.what);
	return rc < 0 ? rc : 0;
}

static int collect_outputs(const struct collect *c, struct report *r)
{
	const struct function *f = c->function;
	Cashet__Output *outputs = report_alloc(r, f->output_count * sizeof *outputs);
	Cashet__Output **list = report_alloc(r, f->output_count * sizeof *list);
	for (size_t i = 0; i < f->output_count; i++) {
		list[i] = &outputs[i];
		int rc = collect_output(c, r, &f->outputs[i], &outputs[i]);
		if (rc < 0 || r->outcome.kind != CASHET__OUTCOME__KIND__COMPLETED)
			return rc;
	}
	r->outcome.outputs = list;
	r->outcome.n_outputs = f->output_count;
	return 0;
}

static void collect_metrics(const struct collect *c, struct report *r)
{
	const char *path = c->function->metrics;
	CLEANUP_FREE char *real = resolve(c, r, "metrics", path);
	if (!real)
		return;
	struct stat st;
	if (stat(real, &st) < 0 || !S_ISREG(st.st_mode)) {
		report_fail(r, FAILED, "metrics: %s is not a file", path);
		return;
	}
	CLEANUP_BUF struct buf text = {0};
	int rc = fs_read_file(real, METRICS_MAX, &text);
	struct err e = {0};
	if (rc == -EFBIG)
		report_fail(r, FAILED, "metrics: %s is larger than 1 MiB", path);
	else if (rc < 0)
		report_fail(r, FAILED, "metrics: %s: %s", path, strerror(-rc));
	else if (metrics_parse(r, text.data, text.size, &e))
		report_fail(r, FAILED, "metrics: %s: %s", path, e.what);
}

static int collect_declared(const struct collect *c, struct report *r)
{
	size_t inside = r->outcome.n_blobs, noted = r->blob_count;
	int rc = collect_outputs(c, r);
	if (rc == 0 && c->function->metrics &&
	    r->outcome.kind == CASHET__OUTCOME__KIND__COMPLETED)
		collect_metrics(c, r);
	if (r->outcome.kind != CASHET__OUTCOME__KIND__COMPLETED) {
		/* Of a failure only the logs are kept. */
		r->outcome.n_outputs = 0;
		r->outcome.n_blobs = inside;
		r->blob_count = noted;
	}
	return rc;
}

/* ---- of a call */

static int collect_result(const struct collect *c, struct report *r)
{
	uint8_t digest[DIGEST_SIZE];
	uint64_t size = 0;
	struct stat st;
	int fd = open(c->result, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != c->result_size) {
		report_fail(r, FAILED,
			    "the runner's result is not the file that it said");
		if (fd >= 0)
			close(fd);
		return 0;
	}
	int rc = output_add_file(r, fd, c->result, c->inline_max, digest, &size);
	close(fd);
	if (rc < 0)
		return rc;
	Cashet__Content *content = report_alloc(r, sizeof *content);
	cashet__content__init(content);
	report_content(r, content, (enum content_type)c->result_type, digest, size);
	r->outcome.result = content;
	CLEANUP_BUF struct buf text = {0};
	if (c->result_type == CONTENT_JSON && size <= METRICS_MAX &&
	    fs_read_file(c->result, METRICS_MAX, &text) == 0)
		metrics_of_result(r, text.data, text.size);
	return 0;
}

int collect_run(const struct collect *c, struct report *r)
{
	int rc = 0;
	if (!c->without_logs)
		rc = collect_log(c, r, DIR_OUT, &r->out, &r->outcome.stdout_content);
	if (rc == 0 && !c->without_logs)
		rc = collect_log(c, r, DIR_ERR, &r->err, &r->outcome.stderr_content);
	if (rc == 0 && c->with_outputs &&
	    r->outcome.kind == CASHET__OUTCOME__KIND__COMPLETED)
		rc = collect_declared(c, r);
	if (rc == 0 && c->result && r->outcome.kind == CASHET__OUTCOME__KIND__COMPLETED)
		rc = collect_result(c, r);
	if (rc == 0 && c->checkpoint_max &&
	    r->outcome.kind != CASHET__OUTCOME__KIND__COMPLETED)
		rc = checkpoint_collect(c->dir, c->checkpoint_max, r);
	return rc;
}
