/* source.c - see source.h: the table, and what a thread does to bring a source here. */
#include "worker/runner/source.h"

#include "common/format/c_tokens.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/runner/prepare.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BAD_NS (10 * NS_PER_S)
#define KIND(name) CASHET__OUTCOME__KIND__##name

/* ---- fetching: in a thread */

struct source_fetch {
	struct job job;
	struct source_place *place; /* dir, code: unchanged meanwhile */
	struct cache *cache;
	/* out */
	enum layout_result result;
	struct err error;
	uint8_t missing[DIGEST_SIZE];
	struct source source;
};

static enum layout_result fail(struct err *e, const char *path, int error)
{
	err_set(e, ERR_FAILED, "laying out %s: %s", path, strerror(error));
	return error == ENOSPC || error == EDQUOT ? LAYOUT_FULL : LAYOUT_ERROR;
}

static enum layout_result read_source(struct source_fetch *f,
				      const struct layout_source *from)
{
	int fd = -1;
	uint64_t size = 0;
	enum layout_result result = (enum layout_result)from->open(
		from->arg, f->place->digest, &fd, &size, &f->error);
	if (result != LAYOUT_OK) {
		memcpy(f->missing, f->place->digest, DIGEST_SIZE);
		return result;
	}
	CLEANUP_BUF struct buf blob = {0};
	int64_t n = -EFBIG;
	if (size <= SOURCE_SIZE_MAX && buf_reserve(&blob, (size_t)size + 1))
		n = fs_read_full(fd, blob.data, (size_t)size);
	close(fd);
	if (n == (int64_t)size && source_decode(blob.data, (size_t)size, &f->source) == 0)
		return LAYOUT_OK;
	err_set(&f->error, ERR_USAGE,
		"the source of the function is not one that this worker understands; is "
		"it older than the client?");
	return LAYOUT_BAD;
}

/* Its own files, and those that the description names by their bytes. */
static enum layout_result lay_out(struct source_fetch *f,
				  const struct layout_source *from)
{
	const struct source_place *p = f->place;
	size_t count = 0, max = f->source.file_count + p->code_count;
	CLEANUP_FREE struct layout_file *files = mem_alloc(max * sizeof *files);
	for (size_t i = 0; i < f->source.file_count; i++) {
		const struct source_file *s = &f->source.files[i];
		files[count++] = (struct layout_file){s->path, s->executable, s->digest};
	}
	for (size_t i = 0; p->is_call && i < p->code_count; i++) {
		const struct function_code *c = &p->code[i];
		bool known = c->scheme > CODE_BYTES;
		for (size_t k = 0; k < f->source.file_count; k++)
			known = known || !strcmp(files[k].path, c->path);
		if (!known)
			files[count++] =
				(struct layout_file){c->path, c->executable, c->digest};
	}
	return layout_files(p->files, files, count, from, f->missing, &f->error);
}

/* ---- what of it can be checked without its language */

static enum layout_result mismatch(struct source_fetch *f, const char *path,
				   const uint8_t *described, const uint8_t *found)
{
	char a[HEX_DIGEST_SIZE], b[HEX_DIGEST_SIZE];
	err_set(&f->error, ERR_USAGE,
		"%s is not what the client described: its identity is %s, described was "
		"%s",
		path, hex_encode(b, found, DIGEST_SIZE),
		hex_encode(a, described, DIGEST_SIZE));
	return LAYOUT_BAD;
}

static enum layout_result check_tokens(struct source_fetch *f,
				       const struct function_code *c)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_BUF struct buf text = {0};
	struct c_tokens_error error;
	uint8_t found[DIGEST_SIZE];
	if (asprintf(&path, "%s/%s", f->place->files, c->path) < 0)
		abort();
	int rc = fs_read_file(path, C_TOKENS_SIZE_MAX, &text);
	if (rc < 0 && rc != -EFBIG && rc != -ENOENT)
		return fail(&f->error, path, -rc);
	if (rc < 0 || c_tokens_digest(text.data, text.size, found, &error)) {
		err_set(&f->error, ERR_USAGE, "%s cannot be what the client described",
			c->path);
		return LAYOUT_BAD;
	}
	if (memcmp(found, c->digest, DIGEST_SIZE))
		return mismatch(f, c->path, c->digest, found);
	return LAYOUT_OK;
}

/* That the unit is right is for `prepare` to say. */
static enum layout_result check_script(struct source_fetch *f,
				       const struct function_code *c)
{
	for (size_t i = 0; i < f->source.unit_count; i++) {
		const struct source_unit *u = &f->source.units[i];
		if (u->name || strcmp(u->language, "python") || strcmp(u->path, c->path))
			continue;
		if (memcmp(u->identity, c->digest, DIGEST_SIZE))
			return mismatch(f, c->path, c->digest, u->identity);
		return LAYOUT_OK;
	}
	err_set(&f->error, ERR_USAGE, "the client did not say what %s is", c->path);
	return LAYOUT_BAD;
}

static const struct function_code *code_at(const struct source_place *p, const char *path)
{
	for (size_t i = 0, end = p->code_count; i < end;) {
		size_t at = i + (end - i) / 2;
		int order = strcmp(path, p->code[at].path);
		if (order == 0)
			return &p->code[at];
		if (order < 0)
			end = at;
		else
			i = at + 1;
	}
	return NULL;
}

/* Whether there are scripts, which are all in the description; `prepare` looks at what they reach. */
static enum layout_result check_units(struct source_fetch *f, bool *scripts)
{
	for (size_t i = 0; i < f->source.unit_count; i++) {
		const struct source_unit *u = &f->source.units[i];
		const struct function_code *c = code_at(f->place, u->path);
		if (u->name)
			continue;
		if (!c || c->scheme != CODE_PYTHON) {
			err_set(&f->error, ERR_USAGE, "%s is not what the task names",
				u->path);
			return LAYOUT_BAD;
		}
		*scripts = true;
	}
	return LAYOUT_OK;
}

/* A shipped file of a call that the description has too has the bytes that it says. Of what the description
 * does not have, `prepare` says whether something reaches it; beside C alone there is nothing to. */
static enum layout_result check_file(struct source_fetch *f,
				     const struct source_file *file, bool scripts)
{
	const struct source_place *p = f->place;
	const struct function_code *c = code_at(p, file->path);
	if (p->is_call && c && c->scheme == CODE_BYTES &&
	    memcmp(c->digest, file->digest, DIGEST_SIZE))
		return mismatch(f, file->path, c->digest, file->digest);
	if (p->is_call || c || scripts)
		return LAYOUT_OK;
	err_set(&f->error, ERR_USAGE, "the client did not say what %s is", file->path);
	return LAYOUT_BAD;
}

static enum layout_result check_code(struct source_fetch *f)
{
	bool scripts = false;
	enum layout_result result = check_units(f, &scripts);
	for (size_t i = 0; result == LAYOUT_OK && i < f->source.file_count; i++)
		result = check_file(f, &f->source.files[i], scripts);
	for (size_t i = 0; result == LAYOUT_OK && i < f->place->code_count; i++) {
		const struct function_code *c = &f->place->code[i];
		if (c->scheme == CODE_C)
			result = check_tokens(f, c);
		else if (c->scheme == CODE_PYTHON)
			result = check_script(f, c);
	}
	return result;
}

/* Nobody should write there by mistake. */
static void protect(const struct source_fetch *f)
{
	for (size_t i = 0; i < f->source.file_count; i++) {
		CLEANUP_FREE char *path = NULL;
		if (asprintf(&path, "%s/%s", f->place->files, f->source.files[i].path) <
		    0)
			abort();
		chmod(path, f->source.files[i].executable ? 0555 : 0444);
		for (char *slash = strrchr(path, '/');
		     slash && (size_t)(slash - path) >= strlen(f->place->files);
		     slash = strrchr(path, '/')) {
			*slash = '\0';
			chmod(path, 0555);
		}
	}
}

static void fetch_run(struct job *job, struct job_thread *thread)
{
	struct source_fetch *f = container_of(job, struct source_fetch, job);
	struct fetcher fetcher = {f->cache, thread};
	const struct layout_source from = {&fetcher, fetch_open};
	f->result = read_source(f, &from);
	if (f->result != LAYOUT_OK)
		return;
	int rc = fs_remove_tree(f->place->dir);
	if (rc == 0)
		rc = fs_mkdir_p(f->place->files, 0700);
	if (rc < 0) {
		f->result = fail(&f->error, f->place->dir, -rc);
		return;
	}
	f->result = lay_out(f, &from);
	if (f->result == LAYOUT_OK)
		f->result = check_code(f);
	if (f->result == LAYOUT_OK)
		protect(f);
}

/* ---- the table */

void sources_init(struct sources *s, char *root)
{
	*s = (struct sources){.root = root};
	list_init(&s->places);
	list_init(&s->queued);
	list_init(&s->preparing);
}

static void free_check(struct check *c)
{
	list_del(&c->link);
	list_del(&c->queue_link);
	kind_unref(c->kind);
	free(c->version);
	free(c->library);
	free(c->text);
	free(c);
}

static void free_place(struct sources *s, struct source_place *p)
{
	while (!list_empty(&p->checks))
		free_check(container_of(p->checks.next, struct check, link));
	list_del(&p->link);
	s->place_count--;
	source_fini(&p->source);
	for (size_t i = 0; i < p->code_count; i++)
		free(p->code[i].path);
	free(p->code);
	free(p->dir);
	free(p->files);
	free(p);
}

void sources_fini(struct sources *s)
{
	if (!s->root)
		return;
	while (!list_empty(&s->places))
		free_place(s, container_of(s->places.next, struct source_place, link));
	free(s->root);
	*s = (struct sources){0};
}

static bool is_idle(const struct source_place *p)
{
	struct list *at;
	list_for_each (at, &p->checks) {
		const struct check *c = container_of(at, struct check, link);
		if (c->refs || c->state == CHECK_PREPARING)
			return false;
	}
	return !p->fetch;
}

struct removal {
	struct job job;
	char *dir;
};

static void removal_run(struct job *job, struct job_thread *thread)
{
	fs_remove_tree(container_of(job, struct removal, job)->dir);
}

static void removal_done(struct job *job, void *owner)
{
	struct removal *r = container_of(job, struct removal, job);
	free(r->dir);
	free(r);
}

/* Its folder gets another name first: the source may come back before the thread has come to it. */
static void remove_place(struct worker *w, struct source_place *p)
{
	struct removal *r = mem_alloc(sizeof *r);
	if (asprintf(&r->dir, "%s/old-%llu", w->sources.root,
		     (unsigned long long)++w->sources.serial) < 0)
		abort();
	if (rename(p->dir, r->dir) == 0 || errno != ENOENT) {
		r->job.run = removal_run;
		r->job.done = removal_done;
		r->job.lane = LANE_UPLOAD;
		jobs_submit(w->jobs, &r->job);
	} else {
		removal_done(&r->job, w);
	}
	free_place(&w->sources, p);
}

static void keep_few(struct worker *w)
{
	struct list *at, *next;
	list_for_each_safe (at, next, &w->sources.places) {
		struct source_place *p = container_of(at, struct source_place, link);
		if (w->sources.place_count < SOURCES_MAX)
			return;
		if (is_idle(p))
			remove_place(w, p);
	}
}

/* ---- what fetching came to */

static Cashet__Outcome__Kind outcome_of(enum layout_result result)
{
	switch (result) {
	case LAYOUT_MISSING:
		return KIND(INPUT_MISSING);
	case LAYOUT_BAD:
		return KIND(REJECTED);
	case LAYOUT_ABSENT:
		return KIND(FAILED);
	case LAYOUT_FULL:
		return KIND(NO_ROOM);
	case LAYOUT_OK:
	case LAYOUT_CANCELLED:
	case LAYOUT_ERROR:
		break;
	}
	return KIND(LOST);
}

static void fail_checks(struct worker *w, struct source_place *p,
			const struct source_fetch *f)
{
	char hex[HEX_DIGEST_SIZE];
	struct list *at, *next;
	list_for_each_safe (at, next, &p->checks) {
		struct check *c = container_of(at, struct check, link);
		memcpy(c->missing, f->missing, DIGEST_SIZE);
		if (f->result == LAYOUT_MISSING)
			check_end(w, c, CHECK_FAILED, KIND(INPUT_MISSING),
				  "the store does not have blob %s, of the function's "
				  "source",
				  hex_encode(hex, f->missing, DIGEST_SIZE));
		else
			check_end(w, c,
				  f->result == LAYOUT_BAD ? CHECK_BAD : CHECK_FAILED,
				  outcome_of(f->result), "%s", f->error.what);
	}
}

static void fetched(struct job *job, void *owner)
{
	struct worker *w = owner;
	struct source_fetch *f = container_of(job, struct source_fetch, job);
	struct source_place *p = f->place;
	p->fetch = NULL;
	p->is_here = f->result == LAYOUT_OK;
	p->source = f->source;
	f->source = (struct source){0};
	if (f->result == LAYOUT_FULL)
		worker_disk_full(w, "laying out a source");
	if (p->is_here) {
		struct list *at, *next;
		list_for_each_safe (at, next, &p->checks)
			check_begin(w, container_of(at, struct check, link));
	} else {
		fail_checks(w, p, f);
	}
	source_fini(&f->source);
	free(f);
}

static void begin_fetch(struct worker *w, struct source_place *p)
{
	struct source_fetch *f = mem_alloc(sizeof *f);
	f->place = p;
	f->cache = w->cache;
	f->job.run = fetch_run;
	f->job.done = fetched;
	f->job.lane = LANE_FETCH;
	p->fetch = f;
	jobs_submit(w->jobs, &f->job);
}

/* ---- looking up */

static struct source_place *find_place(struct sources *s, const uint8_t *key)
{
	struct list *at;
	list_for_each (at, &s->places) {
		struct source_place *p = container_of(at, struct source_place, link);
		if (memcmp(p->key, key, DIGEST_SIZE) == 0)
			return p;
	}
	return NULL;
}

static struct source_place *new_place(struct worker *w, const struct worker_function *f)
{
	struct source_place *p = mem_alloc(sizeof *p);
	char hex[HEX_DIGEST_SIZE];
	memcpy(p->key, f->source_key, DIGEST_SIZE);
	memcpy(p->digest, f->source, DIGEST_SIZE);
	hex_encode(hex, p->key, DIGEST_SIZE);
	if (asprintf(&p->dir, "%s/%s", w->sources.root, hex) < 0 ||
	    asprintf(&p->files, "%s/files", p->dir) < 0)
		abort();
	p->is_call = function_is_call(&f->f);
	p->code = mem_alloc(f->f.code_count * sizeof *p->code);
	for (size_t i = 0; i < f->f.code_count; i++) {
		p->code[p->code_count] = f->f.code[i];
		p->code[p->code_count++].path = mem_strdup(f->f.code[i].path);
	}
	list_init(&p->checks);
	list_add_tail(&w->sources.places, &p->link);
	w->sources.place_count++;
	return p;
}

static bool same_version(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static struct check *find_check(struct source_place *p, const struct kind *kind,
				const char *version)
{
	struct list *at;
	list_for_each (at, &p->checks) {
		struct check *c = container_of(at, struct check, link);
		if (c->kind == kind && same_version(c->version, version))
			return c;
	}
	return NULL;
}

/* An answer that may be another one by now, or of a library that had to make room for others. */
static bool is_outdated(const struct worker *w, const struct check *c)
{
	return c->refs == 0 &&
	       (c->state == CHECK_FAILED ||
		(c->state == CHECK_BAD && w->now_ns - c->since_ns > BAD_NS) ||
		(c->library && access(c->library, R_OK)));
}

struct check *sources_get(struct worker *w, const struct worker_function *f,
			  struct kind *kind)
{
	struct source_place *p = find_place(&w->sources, f->source_key);
	if (!p) {
		keep_few(w); /* before it is there: nobody uses it yet */
		p = new_place(w, f);
	}
	list_del(&p->link);
	list_add_tail(&w->sources.places, &p->link);
	struct check *c = find_check(p, kind, f->f.version);
	if (c && is_outdated(w, c)) {
		free_check(c);
		c = NULL;
	}
	if (c) {
		c->refs++;
		return c;
	}
	c = mem_alloc(sizeof *c);
	c->place = p;
	c->kind = kind;
	kind_ref(kind);
	c->version = f->f.version ? mem_strdup(f->f.version) : NULL;
	c->serial = ++w->sources.serial;
	c->refs = 1;
	c->since_ns = w->now_ns;
	list_init(&c->queue_link);
	list_add_tail(&p->checks, &c->link);
	if (p->is_here)
		check_begin(w, c);
	else if (!p->fetch)
		begin_fetch(w, p);
	return c;
}

void sources_put(struct check *c)
{
	if (!c)
		return;
	assert(c->refs > 0);
	c->refs--;
}

const struct source_unit *sources_unit(const struct check *c)
{
	const struct source *s = &c->place->source;
	for (size_t i = 0; i < s->unit_count; i++)
		if (s->units[i].name)
			return &s->units[i];
	return NULL;
}
