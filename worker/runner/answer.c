/* answer.c - what a runner says of a call becomes a report. Small answers are dealt with at once; when
 * something of it is a file, or must go to the store by itself, the parts are put into a directory
 * of the attempt's own and a thread collects them as it does for commands. */
#include "worker/runner/calls.h"

#include "common/fs.h"
#include "common/json_read.h"
#include "common/log.h"
#include "common/num.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/metrics.h"
#include "worker/runner/pace.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_LINE_MAX 500
#define KIND(name) CASHET__OUTCOME__KIND__##name

/* ---- FRAME_ERROR: its JSON */

struct problem {
	char *kind, *type, *message, *traceback;
	int exit, signal; /* -1: none */
};

static void problem_fini(struct problem *p)
{
	free(p->kind);
	free(p->type);
	free(p->message);
	free(p->traceback);
}

static char *copy(const struct json_token *t)
{
	char *text = mem_alloc(t->size + 1);
	return memcpy(text, t->text, t->size);
}

static void take_member(struct problem *p, const char *name, const struct json_token *t)
{
	struct {
		const char *name;
		char **text;
		int *number;
	} members[] = {
		{"kind", &p->kind, NULL},	{"type", &p->type, NULL},
		{"message", &p->message, NULL}, {"traceback", &p->traceback, NULL},
		{"exit", NULL, &p->exit},	{"signal", NULL, &p->signal},
	};
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (strcmp(members[i].name, name))
			continue;
		if (members[i].text && t->type == JSON_STRING && !*members[i].text)
			*members[i].text = copy(t);
		else if (members[i].number && t->type == JSON_INT && t->i >= 0 &&
			 t->i < 256)
			*members[i].number = (int)t->i;
	}
}

static void read_problem(struct problem *p, const struct frame_bytes *json)
{
	struct json_reader j;
	struct json_token t;
	p->exit = p->signal = -1;
	json_reader_init(&j, json->data, json->size);
	bool ok = json_next(&j, &t) == 0 && t.type == JSON_OBJECT;
	while (ok && json_next(&j, &t) == 0 && t.type == JSON_KEY) {
		char name[16];
		snprintf(name, sizeof name, "%.*s", (int)(t.size < 15 ? t.size : 15),
			 t.text);
		ok = json_next(&j, &t) == 0;
		if (ok)
			take_member(p, name, &t);
		ok = ok && json_skip(&j, &t) == 0;
	}
	json_reader_fini(&j);
}

static void say(struct report *r, const char *type, const char *message)
{
	size_t first = strcspn(message, "\n");
	int size = (int)(first < FIRST_LINE_MAX ? first : FIRST_LINE_MAX);
	if (type && *type && size)
		report_fail(r, KIND(FAILED), "%.200s: %.*s", type, size, message);
	else if (type && *type)
		report_fail(r, KIND(FAILED), "%.200s", type);
	else
		report_fail(r, KIND(FAILED), "%.*s", size, message);
}

/* The first line is the error; what is longer goes to its log as well. @more: appended to standard
 * error. */
static void explain(struct report *r, const struct problem *p, struct buf *more)
{
	const char *message = p->message ? p->message : "";
	const char *kind = p->kind ? p->kind : "";
	if (p->signal > 0) {
		r->outcome.term_signal = p->signal;
		report_fail(r, KIND(FAILED), "killed by signal %d (%s)", p->signal,
			    strsignal(p->signal));
	} else if (!strcmp(kind, "exit") && p->exit >= 0) {
		r->outcome.exit_code = p->exit;
		report_fail(r, KIND(FAILED), "exit %d before it returned", p->exit);
	} else if (*message || (p->type && *p->type)) {
		say(r, p->type, message);
	} else {
		report_fail(r, KIND(FAILED),
			    "the runner reported an error without a text");
	}
	if (p->traceback && *p->traceback)
		buf_add_str(more, p->traceback);
	else if (strchr(message, '\n') || strlen(message) > FIRST_LINE_MAX)
		buf_add_str(more, message);
	if (more->size && more->data[more->size - 1] != '\n')
		buf_add_byte(more, '\n');
}

/* ---- small answers */

static bool is_small(const struct frame_part *p, size_t more, uint64_t max)
{
	return p->where == FRAME_INLINE && p->bytes.size + more <= max;
}

static void add_part(struct report *r, Cashet__Content *c, enum content_type type,
		     const void *data, size_t size)
{
	uint8_t digest[DIGEST_SIZE];
	if (!size) {
		report_content(r, c, type, sha256_empty, 0);
		return;
	}
	sha256_digest(data, size, digest);
	report_content(r, c, type, digest, size);
	report_inline(r, data, size);
}

static void add_err(struct report *r, const struct frame_part *err,
		    const struct buf *more)
{
	CLEANUP_BUF struct buf text = {0};
	if (!more->size) {
		add_part(r, &r->err, CONTENT_FILE, err->bytes.data, err->bytes.size);
		return;
	}
	buf_add(&text, err->bytes.data, err->bytes.size);
	if (text.size && text.data[text.size - 1] != '\n')
		buf_add_byte(&text, '\n');
	buf_add(&text, more->data, more->size);
	add_part(r, &r->err, CONTENT_FILE, text.data, text.size);
}

static void report_small(struct report *r, struct memory *memory,
			 const struct frame_answer *f, const struct buf *more)
{
	add_part(r, &r->out, CONTENT_FILE, f->out.bytes.data, f->out.bytes.size);
	r->outcome.stdout_content = &r->out;
	add_err(r, &f->err, more);
	r->outcome.stderr_content = &r->err;
	if (r->outcome.kind != KIND(COMPLETED))
		return;
	Cashet__Content *result = report_alloc(r, sizeof *result);
	cashet__content__init(result);
	add_part(r, result, (enum content_type)f->kind, f->result.bytes.data,
		 f->result.bytes.size);
	r->outcome.result = result;
	memory_put(memory, result->digest.data, f->result.bytes.data,
		   f->result.bytes.size);
	if (f->kind == CONTENT_JSON)
		metrics_of_result(r, f->result.bytes.data, f->result.bytes.size);
}

/* ---- the others */

static int append(const char *path, const void *data, size_t size)
{
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = open(path, flags, 0600);
	struct stat st;
	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) < 0 ? -errno : 0;
	if (rc == 0 && !S_ISREG(st.st_mode))
		rc = -EINVAL;
	if (rc == 0)
		rc = fs_write_all(fd, data, size);
	close(fd);
	return rc;
}

/* A part becomes the file @to, which is the attempt's. */
static int place(const struct runner *r, const struct frame_part *p, const char *to)
{
	if (p->where == FRAME_INLINE)
		return append(to, p->bytes.data, p->bytes.size);
	CLEANUP_FREE char *from = NULL;
	struct stat st;
	if (asprintf(&from, "%s/results/%.*s", r->dir->paths[DIR_SELF],
		     (int)p->bytes.size, (const char *)p->bytes.data) < 0)
		abort();
	if (lstat(from, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != p->size)
		return -EINVAL;
	return rename(from, to) < 0 ? -errno : 0;
}

static int place_all(struct runner *r, struct attempt *a, const struct frame_answer *f,
		     const struct buf *more, const char *result)
{
	int rc = place(r, &f->out, a->dir->paths[DIR_OUT]);
	if (rc == 0)
		rc = place(r, &f->err, a->dir->paths[DIR_ERR]);
	if (rc == 0 && more->size)
		rc = append(a->dir->paths[DIR_ERR], more->data, more->size);
	if (rc == 0 && result)
		rc = place(r, &f->result, result);
	return rc;
}

static int take_dir(struct worker *w, struct attempt *a)
{
	int rc = dirs_take(&w->dirs, &a->dir);
	if (rc < 0)
		a->dir = NULL;
	else
		dir_mark_start(a->dir);
	return rc;
}

static void report_large(struct worker *w, struct runner *r, struct attempt *a,
			 const struct frame_answer *f, const struct buf *more)
{
	char *result = NULL;
	int rc = a->dir ? 0 : take_dir(w, a);
	if (rc < 0) {
		finish_lost(w, a, "making a directory for a result", rc);
		return;
	}
	if (a->report->outcome.kind == KIND(COMPLETED)) {
		size_t size = strlen(a->dir->paths[DIR_SELF]) + sizeof "/result";
		result = report_alloc(a->report, size);
		snprintf(result, size, "%s/result", a->dir->paths[DIR_SELF]);
	}
	rc = place_all(r, a, f, more, result);
	if (rc == -ENOENT || rc == -EINVAL || rc == -ELOOP || rc == -EISDIR) {
		report_fail(a->report, KIND(FAILED),
			    "the runner's result is not the file that it said");
		finish_report(w, a);
		runner_kill(w, r, "the runner named a file that is not there");
	} else if (rc < 0) {
		finish_lost(w, a, "taking a result", rc);
	} else {
		finish_collect_call(w, a, result, f->kind, f->result.size);
	}
}

/* ---- */

static bool was_stopped(struct worker *w, struct attempt *a)
{
	if (a->stop == STOP_REVOKED)
		report_fail(a->report, KIND(STOPPED), "stopped");
	if (a->stop < STOP_REVOKED)
		return false;
	finish_report(w, a); /* STALE: forgets it */
	return true;
}

void calls_answered(struct worker *w, struct runner *r, struct attempt *a,
		    const struct frame *f)
{
	CLEANUP_BUF struct buf more = {0};
	const struct frame_answer *answer = &f->answer;
	uint64_t max = w->session.inline_max;
	a->report = report_new();
	a->report->outcome.duration_ns = answer->duration_ns;
	a->report->outcome.cpu_user_ns = answer->cpu_ns;
	if (a->stop == STOP_NONE) {
		pace_learn(&a->function->pace, answer->duration_ns);
		credit_ended(&w->credit, answer->duration_ns, f->type == FRAME_ERROR);
	}
	if (was_stopped(w, a))
		return;
	if (a->stop == STOP_TIMEOUT) {
		CLEANUP_BUF struct buf limit = {0};
		num_add_duration(&limit, a->options->timeout_ns);
		report_fail(a->report, KIND(TIMED_OUT), "timed out after %s",
			    buf_cstr(&limit));
	}
	if (f->type == FRAME_ERROR) {
		CLEANUP(problem_fini) struct problem problem = {0};
		read_problem(&problem, &answer->json);
		explain(a->report, &problem, &more);
	}
	bool is_done = a->report->outcome.kind == KIND(COMPLETED);
	/* its checkpoint, perhaps, or a word on why it had none */
	bool keeps = (!is_done && a->number < a->number_max) || a->checkpoint.left_out;
	if (!keeps && is_small(&answer->out, 0, max) &&
	    is_small(&answer->err, more.size + 1, max) &&
	    (!is_done || is_small(&answer->result, 0, max))) {
		if (is_done)
			a->report->outcome.exit_code = 0;
		report_small(a->report, &w->memory, answer, &more);
		finish_report(w, a);
		return;
	}
	if (is_done)
		a->report->outcome.exit_code = 0;
	report_large(w, r, a, answer, &more);
}
