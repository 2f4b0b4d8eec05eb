/* describe.c - targets in, answer out. Parsing is done in a child: some sources kill libclang, or would
 * take all memory; that is an error of their target, and the others get their answers. */
#include "runners/c/describe/describe.h"

#include "common/fs.h"
#include "common/pure/mem.h"
#include "common/pure/utf8.h"
#include "runners/c/describe/describer.h"
#include "runners/c/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROTOCOL 1
#define SCHEME 1
#define SECONDS_MAX 60
#define MEMORY_MAX (3ull << 30)

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SHADOW 1 /* sanitizers take terabytes of address space */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SHADOW 1
#endif
#endif
#ifndef HAS_SHADOW
#define HAS_SHADOW 0
#endif

/* ---- one target */

static bool is_identifier(const char *text)
{
	if (!text[0] || (text[0] >= '0' && text[0] <= '9'))
		return false;
	for (; *text; text++)
		if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
		    !(*text >= '0' && *text <= '9') && *text != '_')
			return false;
	return true;
}

/* absolute() - the folder without links, the name as it is: what it includes is beside that name. */
static const char *absolute(struct describer *d, const char *file)
{
	char folder[PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(file, '/');
	size_t size = slash ? (size_t)(slash - file) : 1;
	if (size >= sizeof folder)
		return NULL;
	memcpy(folder, slash ? file : ".", size);
	folder[size] = '\0';
	if (!realpath(folder[0] ? folder : "/", real))
		return NULL;
	struct buf path = {0};
	buf_printf(&path, "%s/%s", strcmp(real, "/") ? real : "",
		   slash ? slash + 1 : file);
	const char *found = arena_copy(&d->arena, path.data, path.size);
	buf_fini(&path);
	return found;
}

static int split(struct describer *d, const char *given, struct target *t)
{
	*t = (struct target){.given = given};
	if (!utf8_valid(given, strlen(given)))
		return describer_fail(d, "bad-target", NULL, 0, 0,
				      "the file's name is not UTF-8: rename it");
	const char *colon = strrchr(given, ':');
	if (!colon || colon == given || !is_identifier(colon + 1))
		return describer_fail(
			d, "bad-target", NULL, 0, 0,
			"write FILE.c:FUNCTION: this names no function of a file");
	t->file = arena_copy(&d->arena, given, (size_t)(colon - given));
	t->function = colon + 1;
	size_t size = strlen(t->file);
	if (size < 3 || strcmp(t->file + size - 2, ".c"))
		return describer_fail(d, "bad-target", t->file, 0, 0,
				      "the name of a source in C ends in .c");
	t->path = absolute(d, t->file);
	if (!t->path)
		return describer_fail(d, "not-found", t->file, 0, 0,
				      "there is no such file");
	return 0;
}

static bool is_task(const struct declaration *d)
{
	CXString text = clang.getTypeSpelling(
		clang.getCanonicalType(clang.getCursorType(d->cursor)));
	bool good = !strcmp(clang.getCString(text), "int (struct cashet_task *)");
	clang.disposeString(text);
	return good && d->is_external;
}

static int fail_no_function(struct describer *d, const struct unit *u,
			    const struct target *t)
{
	CLEANUP_BUF struct buf names = {0};
	size_t count = 0;
	for (size_t i = 0; i < u->declaration_count && count < 10; i++) {
		const struct declaration *dcl = &u->declarations[i];
		if (dcl->kind == CXCursor_FunctionDecl && dcl->defines && dcl->atom &&
		    is_task(dcl))
			buf_printf(&names, "%s%s", count++ ? ", " : "",
				   atoms_text(&d->atoms, dcl->atom));
	}
	return describer_fail(d, "no-such-function", t->path, 0, 0,
			      "it defines no function %s; it has: %s", t->function,
			      count ? buf_cstr(&names) : "no functions of tasks");
}

/* find_entry() - the definition of the function. Return: NULL: d->problem. */
static const struct declaration *find_entry(struct describer *d, const struct unit *u,
					    const struct target *t)
{
	uint32_t atom = atoms_find(&d->atoms, t->function);
	const struct declaration *found = NULL;
	for (uint32_t n = statements_name(u, SPACE_ORDINARY, atom); n && !found;
	     n = u->declarations[n - 1].next)
		if (u->declarations[n - 1].defines)
			found = &u->declarations[n - 1];
	if (!found) {
		fail_no_function(d, u, t);
		return NULL;
	}
	if (found->kind == CXCursor_FunctionDecl && is_task(found))
		return found;
	const struct text *in = u->files[found->file].text;
	const struct token *at = &in->tokens[text_at(in, found->start)];
	describer_fail(
		d, "not-a-task", in->path, at->line, describer_column(in, at->start),
		"a task calls a function of this form, not static, with cashet/task.h "
		"included: int %s(struct cashet_task *task)",
		t->function);
	return NULL;
}

static int describe_target(struct describer *d, const char *given, bool canonical,
			   struct json *j)
{
	struct target t;
	const struct declaration *entry = NULL;
	struct unit *u = NULL;
	d->problem = (struct problem){0};
	if (!split(d, given, &t) && (u = unit_get(d, t.path)))
		entry = find_entry(d, u, &t);
	if (entry && !reach(d, u, entry->statement)) {
		canon_write(d);
		answer_row(d, &t, entry, canonical, j);
		return 0;
	}
	answer_error(&t, &d->problem, j);
	return 1;
}

/* ---- the child */

static void limit(void)
{
	struct rlimit memory = {MEMORY_MAX, MEMORY_MAX}, none = {0, 0};
	struct rlimit seconds = {SECONDS_MAX, SECONDS_MAX + 1};
	if (!HAS_SHADOW)
		setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CPU, &seconds);
	setrlimit(RLIMIT_CORE, &none);
	alarm(2 * SECONDS_MAX); /* a header may be a pipe that nobody writes into */
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		dup2(fd, STDERR_FILENO); /* where libclang says that it has crashed */
	for (const char *const *name = (const char *const[]){"CPATH", "C_INCLUDE_PATH",
							     "CPLUS_INCLUDE_PATH", NULL};
	     *name; name++)
		unsetenv(*name);
}

static void no_clang(const char *given, struct json *j)
{
	const struct target t = {.given = given};
	const struct problem p = {
		.name = "no-libclang",
		.message = (char *)(uintptr_t) "there is no libclang on this machine, "
					       "which reads C: "
					       "install it (Debian: libclang1-14)"};
	answer_error(&t, &p, j);
}

/* describe_all() - "VERSION\n" and the rows, with commas. Return: exit status. */
static int describe_all(const struct describe_call *call, size_t first, size_t count,
			struct buf *out)
{
	struct describer d;
	int status = 0;
	bool there = clang_open() == 0;
	if (there)
		describer_init(&d, &call->flags);
	buf_printf(out, "%s\n", there ? clang.version : "");
	for (size_t i = first; i < first + count; i++) {
		struct json j;
		json_init(&j, out);
		if (i > first)
			buf_add_byte(out, ',');
		if (there)
			status |= describe_target(&d, call->targets[i], call->canonical,
						  &j);
		else
			no_clang(call->targets[i], &j);
	}
	return there ? status : 1;
}

static _Noreturn void be_child(const struct describe_call *call, size_t first,
			       size_t count, int fd, pid_t parent)
{
	struct buf out = {0};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	limit();
	int status = describe_all(call, first, count, &out);
	if (out.failed || fs_write_all(fd, out.data, out.size) < 0)
		_exit(3);
	_exit(status);
}

/* collect() - what a child says of these targets. Return: its status as of waitpid(). */
static int collect(const struct describe_call *call, size_t first, size_t count,
		   struct buf *out)
{
	int fds[2], status = 1 << 8;
	pid_t parent = getpid();
	if (pipe2(fds, O_CLOEXEC))
		return status;
	pid_t child = fork();
	if (child == 0)
		be_child(call, first, count, fds[1], parent);
	close(fds[1]);
	for (;;) {
		uint8_t *to = child > 0 ? buf_reserve(out, 64 << 10) : NULL;
		ssize_t got = to ? read(fds[0], to, 64 << 10) : 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		out->size += (size_t)got;
	}
	close(fds[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

static bool is_whole(int status, const struct buf *out)
{
	return WIFEXITED(status) && WEXITSTATUS(status) <= 1 &&
	       memchr(out->data ? out->data : (const uint8_t *)"", '\n', out->size);
}

static void killed(const char *given, int status, struct buf *out)
{
	int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	bool slow = signal == SIGALRM || signal == SIGXCPU;
	char message[160];
	struct json j;
	const char *colon = strrchr(given, ':');
	char *file = mem_strdup(given);
	file[colon ? (size_t)(colon - given) : strlen(given)] = '\0';
	snprintf(message, sizeof message,
		 slow ? "it takes more than %d s to read: is one of its files a pipe?"
		      : "what reads it ended with %d: it is nested too deeply, or needs "
			"more memory "
			"than there is",
		 slow ? SECONDS_MAX : signal);
	const struct target t = {.given = given, .file = file};
	const struct problem p = {.name = slow ? "too-large" : "nested-too-deeply",
				  .message = message,
				  .file = file};
	json_init(&j, out);
	answer_error(&t, &p, &j);
	free(file);
}

/* add_rows() - behind the version of the child's answer, which is kept. */
static void add_rows(struct buf *rows, const struct buf *answer, char *version,
		     size_t size)
{
	const uint8_t *end = memchr(answer->data, '\n', answer->size);
	snprintf(version, size, "%.*s", (int)(end - answer->data),
		 (const char *)answer->data);
	if (rows->size)
		buf_add_byte(rows, ',');
	buf_add(rows, end + 1, answer->size - (size_t)(end + 1 - answer->data));
}

/* one_by_one() - a child has died: each target in one of its own. Return: exit status. */
static int one_by_one(const struct describe_call *call, struct buf *rows, char *version,
		      size_t size)
{
	int worst = 0;
	for (size_t i = 0; i < call->target_count; i++) {
		CLEANUP_BUF struct buf answer = {0};
		int status = collect(call, i, 1, &answer);
		if (is_whole(status, &answer)) {
			add_rows(rows, &answer, version, size);
			worst |= WEXITSTATUS(status);
			continue;
		}
		if (rows->size)
			buf_add_byte(rows, ',');
		killed(call->targets[i], status, rows);
		worst = 1;
	}
	return worst;
}

int describe_run(const struct describe_call *call, struct buf *out)
{
	CLEANUP_BUF struct buf answer = {0};
	CLEANUP_BUF struct buf rows = {0};
	char version[64] = "";
	int status = collect(call, 0, call->target_count, &answer);
	if (is_whole(status, &answer)) {
		add_rows(&rows, &answer, version, sizeof version);
		status = WEXITSTATUS(status);
	} else {
		status = one_by_one(call, &rows, version, sizeof version);
	}
	buf_printf(out,
		   "{\"protocol\":%d,\"describer\":\"c\",\"scheme\":%d,\"c\":{"
		   "\"libclang\":\"%s\"},"
		   "\"targets\":[",
		   PROTOCOL, SCHEME, version);
	buf_add(out, rows.data, rows.size);
	buf_add_str(out, "]}\n");
	return status;
}

void describe_call_fini(struct describe_call *c)
{
	for (size_t i = 0; i < c->root_count; i++)
		free((char *)(uintptr_t)c->roots[i]);
	for (size_t i = 0; i < c->target_count; i++)
		free((char *)(uintptr_t)c->targets[i]);
	free(c->roots);
	free(c->targets);
	flags_fini(&c->flags);
}
