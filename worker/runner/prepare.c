/* prepare.c - see prepare.h. What the program prints is one line of JSON; docs/runners.md has it. */
#include "worker/runner/prepare.h"

#include "common/fs.h"
#include "common/json_read.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "worker/runner/program.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX (4u << 20) /* bytes that it may print */
#define TEXT_MAX (256u << 10) /* bytes of what it says to people that are kept */
#define KIND(name) CASHET__OUTCOME__KIND__##name

void check_end(struct worker *w, struct check *c, enum check_state state, int outcome,
	       const char *fmt, ...)
{
	CLEANUP_BUF struct buf text = {0};
	va_list args;
	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	list_del(&c->queue_link);
	c->state = state;
	c->outcome = outcome;
	c->since_ns = w->now_ns;
	free(c->text);
	c->text = state == CHECK_READY ? NULL : mem_strdup(buf_cstr(&text));
	calls_checked(w, c);
}

/* ---- before */

static bool has_script(const struct check *c)
{
	const struct source *s = &c->place->source;
	for (size_t i = 0; i < s->unit_count; i++)
		if (!s->units[i].name)
			return true;
	return false;
}

/* Whose program checks it: a call's own language; of a command, that of its scripts. */
static const char *language_of(const struct check *c)
{
	if (c->place->is_call)
		return c->kind->language;
	return has_script(c) ? "python" : NULL;
}

void check_begin(struct worker *w, struct check *c)
{
	if (c->place->is_call && !sources_unit(c)) {
		check_end(w, c, CHECK_BAD, KIND(REJECTED),
			  "the source has no function that could be called");
		return;
	}
	if (!language_of(c)) { /* what there was to check is checked */
		check_end(w, c, CHECK_READY, KIND(COMPLETED), "%s", "");
		return;
	}
	c->state = CHECK_QUEUED;
	list_del(&c->queue_link);
	list_add_tail(&w->sources.queued, &c->queue_link);
}

static void write_units(struct json *j, const struct source *s)
{
	json_array(j);
	for (size_t i = 0; i < s->unit_count; i++) {
		const struct source_unit *u = &s->units[i];
		json_object(j);
		json_key(j, "language");
		json_string(j, u->language);
		json_key(j, "path");
		json_string(j, u->path);
		json_key(j, "name");
		u->name ? json_string(j, u->name) : json_null(j);
		json_key(j, "hash");
		json_hex(j, u->hash, DIGEST_SIZE);
		json_key(j, "identity");
		json_hex(j, u->identity, DIGEST_SIZE);
		json_key(j, "packages");
		json_array(j);
		for (size_t k = 0; k < u->package_count; k++) {
			const struct source_package *p = &u->packages[k];
			json_object(j);
			json_key(j, "name");
			json_string(j, p->name);
			json_key(j, "version");
			p->version ? json_string(j, p->version) : json_null(j);
			json_key(j, "counts");
			json_bool(j, p->counts);
			json_end_object(j);
		}
		json_end_array(j);
		json_key(j, "flags");
		json_array(j);
		for (size_t k = 0; k < u->flag_count; k++)
			json_string(j, u->flags[k]);
		json_end_array(j);
		json_end_object(j);
	}
	json_end_array(j);
}

static int by_path(const void *path, const void *code)
{
	return strcmp(path, ((const struct function_code *)code)->path);
}

/* Those that have to be reached by what is described; the others, the description names by their bytes. */
static void write_files(struct json *j, const struct source_place *p)
{
	json_array(j);
	for (size_t i = 0; i < p->source.file_count; i++)
		if (!p->code_count || !bsearch(p->source.files[i].path, p->code,
					       p->code_count, sizeof *p->code, by_path))
			json_string(j, p->source.files[i].path);
	json_end_array(j);
}

static int write_description(const struct check *c)
{
	CLEANUP_BUF struct buf text = {0};
	CLEANUP_FREE char *path = NULL;
	char hex[HEX_DIGEST_SIZE];
	struct json j;
	json_init(&j, &text);
	json_object(&j);
	json_key(&j, "source");
	json_string(&j, hex_encode(hex, c->place->digest, DIGEST_SIZE));
	json_key(&j, "version");
	c->version ? json_string(&j, c->version) : json_null(&j);
	json_key(&j, "units");
	write_units(&j, &c->place->source);
	json_key(&j, "files");
	write_files(&j, c->place);
	json_end_object(&j);
	if (asprintf(&path, "%s/source.json", c->place->dir) < 0)
		abort();
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc = fs_write_all(fd, text.data, text.size);
	close(fd);
	return rc;
}

static void add_arg(struct buf *strings, uint32_t *countp, const char *text)
{
	buf_add(strings, text, strlen(text) + 1);
	++*countp;
}

static void make_strings(struct worker *w, struct check *c, const char *program,
			 struct buf *strings, struct slot_program *p)
{
	CLEANUP_FREE char *fallback = NULL;
	if (asprintf(&fallback, "%s/libraries", w->options->work_dir) < 0)
		abort();
	CLEANUP_FREE char *cache = program_cache(fallback);
	uint32_t places = 0;
	add_arg(strings, &places, c->dir->paths[DIR_TASK]);
	add_arg(strings, &places, c->dir->paths[DIR_OUT]);
	add_arg(strings, &places, c->dir->paths[DIR_ERR]);
	add_arg(strings, &p->argc, program);
	if (*c->kind->interpreter) {
		add_arg(strings, &p->argc, "--python");
		add_arg(strings, &p->argc, c->kind->interpreter);
	}
	add_arg(strings, &p->argc, "prepare");
	add_arg(strings, &p->argc, "--cache");
	add_arg(strings, &p->argc, cache);
	add_arg(strings, &p->argc, c->place->files);
	buf_add(strings, c->kind->env.data, c->kind->env.size);
	p->envc = c->kind->env_count + 1;
	buf_printf(strings, "TMPDIR=%s", c->dir->paths[DIR_TMP]);
	buf_add_byte(strings, 0);
	p->strings = strings->data;
	p->size = strings->size;
	p->memory_max = PREPARE_MEMORY;
	p->channel = -1;
}

/* ---- after */

static char *tail_of(const char *path)
{
	CLEANUP_BUF struct buf text = {0};
	if (fs_read_file(path, TEXT_MAX, &text) < 0)
		return mem_strdup("");
	const char *at = buf_cstr(&text);
	return mem_strdup(at);
}

static void drop_dir(struct worker *w, struct check *c)
{
	if (c->dir)
		finish_clean_dir(w, steal(c->dir));
}

struct answer {
	bool ok, has_ok;
	char *library, *kind, *message;
};

static void answer_fini(struct answer *a)
{
	free(a->library);
	free(a->kind);
	free(a->message);
}

static char *copy_text(const struct json_token *t)
{
	char *text = mem_alloc(t->size + 1);
	return memcpy(text, t->text, t->size);
}

/* @inner: of the member "error". Return: 0 or 1. */
static int take_members(struct json_reader *r, struct answer *a, bool inner)
{
	struct json_token key, value;
	for (;;) {
		if (json_next(r, &key))
			return 1;
		if (key.type == JSON_END_OBJECT)
			return 0;
		char name[16];
		snprintf(name, sizeof name, "%.*s", (int)(key.size < 15 ? key.size : 15),
			 key.text);
		if (json_next(r, &value))
			return 1;
		bool is_text = value.type == JSON_STRING;
		if (!inner && !strcmp(name, "error") && value.type == JSON_OBJECT) {
			if (take_members(r, a, true))
				return 1;
			continue;
		}
		if (!inner && !strcmp(name, "ok")) {
			a->has_ok = value.type == JSON_TRUE || value.type == JSON_FALSE;
			a->ok = value.type == JSON_TRUE;
		} else if (!inner && is_text && !strcmp(name, "library") && !a->library) {
			a->library = copy_text(&value);
		} else if (inner && is_text && !strcmp(name, "kind") && !a->kind) {
			a->kind = copy_text(&value);
		} else if (inner && is_text && !strcmp(name, "message") && !a->message) {
			a->message = copy_text(&value);
		}
		if (json_skip(r, &value))
			return 1;
	}
}

static bool read_answer(const struct check *c, struct answer *a)
{
	CLEANUP_BUF struct buf text = {0};
	if (fs_read_file(c->dir->paths[DIR_OUT], ANSWER_MAX, &text) < 0 || !text.size)
		return false;
	struct json_reader r;
	struct json_token t;
	json_reader_init(&r, text.data, text.size);
	int rc = json_next(&r, &t) || t.type != JSON_OBJECT ||
		 take_members(&r, a, false) || json_next(&r, &t);
	json_reader_fini(&r);
	return rc == 0 && a->has_ok && (a->ok || a->message) &&
	       (!a->library || a->library[0] == '/');
}

static void explain_end(struct worker *w, struct check *c, const struct slot_report *s)
{
	const char *language = language_of(c);
	CLEANUP_FREE char *said = tail_of(c->dir->paths[DIR_ERR]);
	if (c->is_late)
		check_end(w, c, CHECK_BAD, KIND(FAILED),
			  "cashet-runner-%s did not check the source within %llu s\n%s",
			  language, PREPARE_NS / NS_PER_S, said);
	else if (s->over_bytes)
		check_end(w, c, CHECK_BAD, KIND(FAILED),
			  "checking or compiling the source takes more than 4 GiB\n%s",
			  said);
	else if (s->step == SLOT_STEP_EXEC)
		check_end(w, c, CHECK_BAD, KIND(FAILED),
			  "cashet-runner-%s cannot be started: %s", language,
			  strerror(s->error));
	else if (s->step)
		check_end(w, c, CHECK_FAILED, KIND(LOST),
			  "this worker could not start cashet-runner-%s: %s", language,
			  strerror(s->error));
	else if (WIFSIGNALED(s->status))
		check_end(w, c, CHECK_BAD, KIND(FAILED),
			  "cashet-runner-%s died while it checked the source: signal %d "
			  "(%s)\n%s",
			  language, WTERMSIG(s->status), strsignal(WTERMSIG(s->status)),
			  said);
	else
		check_end(w, c, CHECK_BAD, KIND(FAILED),
			  "cashet-runner-%s did not say what it thinks of the source "
			  "(exit %d)\n%s",
			  language, WEXITSTATUS(s->status), said);
}

static void prepared(struct slot_user *user, void *owner, const struct slot_report *s)
{
	struct worker *w = owner;
	struct check *c = container_of(user, struct check, user);
	CLEANUP(answer_fini) struct answer a = {0};
	w->sources.preparing_count--;
	bool understood = !s->step && !c->is_late && read_answer(c, &a);
	if (!understood) {
		explain_end(w, c, s);
	} else if (a.ok) {
		c->library = steal(a.library);
		check_end(w, c, CHECK_READY, KIND(COMPLETED), "%s", "");
	} else {
		bool differs = a.kind && !strcmp(a.kind, "mismatch");
		bool full = a.kind && !strcmp(a.kind, "full");
		if (full) {
			worker_disk_full(w, "preparing a source");
			check_end(w, c, CHECK_FAILED, KIND(LOST), "%s", a.message);
		} else {
			check_end(w, c, CHECK_BAD,
				  differs ? KIND(REJECTED) : KIND(FAILED), "%s",
				  a.message);
		}
	}
	drop_dir(w, c);
}

/* ---- starting */

static bool place_is_busy(const struct check *c)
{
	struct list *at;
	list_for_each (at, &c->place->checks)
		if (container_of(at, struct check, link)->state == CHECK_PREPARING)
			return true; /* source.json is between them */
	return false;
}

static void start(struct worker *w, struct check *c)
{
	struct err e = {0};
	CLEANUP_BUF struct buf strings = {0};
	CLEANUP_FREE char *program = program_find(language_of(c), &e);
	if (!program) {
		check_end(w, c, CHECK_BAD, KIND(FAILED), "%s", e.what);
		return;
	}
	int rc = dirs_take(&w->dirs, &c->dir);
	if (rc == 0) {
		dir_mark_start(c->dir);
		rc = write_description(c);
	}
	if (rc < 0) {
		if (rc == -ENOSPC || rc == -EDQUOT)
			worker_disk_full(w, "checking a source");
		check_end(w, c, CHECK_FAILED, KIND(LOST),
			  "this worker cannot write in %s: %s", w->options->work_dir,
			  strerror(-rc));
		drop_dir(w, c);
		return;
	}
	struct slot_program p = {0};
	make_strings(w, c, program, &strings, &p);
	c->user.ended = prepared;
	c->user.run = ++w->run_count;
	c->state = CHECK_PREPARING;
	c->is_late = false;
	c->deadline_ns = w->now_ns + PREPARE_NS;
	list_del(&c->queue_link);
	list_add_tail(&w->sources.preparing, &c->queue_link);
	w->sources.preparing_count++;
	struct slot *slot = slots_take(&w->slots, NULL, &c->user);
	rc = slot_send_run(slot->sock, c->user.run, &p);
	if (rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN) {
		slots_broken(&w->slots, slot); /* the spawner will tell when it is gone */
	} else if (rc < 0) {
		const struct slot_report failed = {.step = SLOT_STEP_REQUEST,
						   .error = -rc};
		slots_put(&w->slots, slot);
		prepared(&c->user, w, &failed);
	}
}

void sources_start(struct worker *w)
{
	uint64_t cpus = resources_get(&w->capacity.total, "cpus") / 1000;
	size_t max = cpus ? (size_t)cpus : 1;
	struct list *at, *next;
	list_for_each_safe (at, next, &w->sources.queued) {
		struct check *c = container_of(at, struct check, queue_link);
		if (w->sources.preparing_count >= max)
			return;
		if (place_is_busy(c))
			continue;
		if (!w->slots.idle) {
			if (!w->slots.starting)
				pool_request_slot(w);
			return;
		}
		start(w, c);
	}
}

uint64_t sources_timers(struct worker *w)
{
	uint64_t next_ns = TIME_NEVER;
	struct list *at;
	list_for_each (at, &w->sources.preparing) {
		struct check *c = container_of(at, struct check, queue_link);
		if (w->now_ns >= c->deadline_ns && c->user.slot) {
			c->is_late = true;
			slot_send_signal(c->user.slot->sock, c->user.run, SIGKILL);
			c->deadline_ns = w->now_ns + NS_PER_S;
		}
		if (c->deadline_ns < next_ns)
			next_ns = c->deadline_ns;
	}
	return next_ns;
}
