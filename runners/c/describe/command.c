/* command.c - the words of `cashet-runner-c describe`. */
#include "runners/c/describe/describe.h"

#include "common/fs.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TARGETS_MAX (256u << 20) /* bytes on standard input */

struct words {
	int argc;
	char **argv;
	struct describe_call call;
	const char **flags; /* read when all roots are known */
	size_t flag_count, flag_capacity;
};

static int wrong(const char *what, const char *about)
{
	CLEANUP_BUF struct buf text = {0};
	buf_add_str(&text, about);
	fprintf(stderr, "cashet-runner-c: %s%s; cashet-runner-c help says more\n", what,
		buf_cstr(&text));
	return 2;
}

static void add_target(struct words *w, const char *text, size_t size)
{
	struct describe_call *c = &w->call;
	char *copy = mem_alloc(size + 1);
	memcpy(copy, text, size);
	mem_grow(c->targets, c->target_count, c->target_capacity);
	c->targets[c->target_count++] = copy;
}

static int add_root(struct words *w, const char *dir)
{
	char real[PATH_MAX];
	struct stat st;
	if (!realpath(dir, real) || stat(real, &st) || !S_ISDIR(st.st_mode))
		return wrong("there is no folder --root ", dir);
	mem_grow(w->call.roots, w->call.root_count, w->call.root_capacity);
	w->call.roots[w->call.root_count++] = mem_strdup(real);
	return 0;
}

static int read_input(struct words *w)
{
	CLEANUP_BUF struct buf input = {0};
	for (;;) {
		uint8_t *to = buf_reserve(&input, 64 << 10);
		ssize_t got = to ? read(STDIN_FILENO, to, 64 << 10) : 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		input.size += (size_t)got;
		if (input.size > TARGETS_MAX)
			return wrong("too many targets on standard input", "");
	}
	const char *at = buf_cstr(&input), *end = at + input.size;
	while (at < end) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		line = line ? line : end;
		if (line > at)
			add_target(w, at, (size_t)(line - at));
		at = line + 1;
	}
	return 0;
}

/* value() - of --NAME VALUE or --NAME=VALUE. Return: 1 if it is this option; *valuep is NULL if the
 * value is missing. */
static bool value(struct words *w, const char *name, const char **valuep)
{
	size_t size = strlen(name);
	if (strncmp(w->argv[0], name, size) ||
	    (w->argv[0][size] && w->argv[0][size] != '='))
		return false;
	if (w->argv[0][size]) {
		*valuep = w->argv[0] + size + 1;
		return true;
	}
	*valuep = w->argc > 1 ? w->argv[1] : NULL;
	w->argc -= w->argc > 1;
	w->argv += *valuep != NULL;
	return true;
}

/* word() - one, or an option with its value. Return: 0 or an exit status. */
static int word(struct words *w, bool *only_targets)
{
	const char *given = w->argv[0], *text;
	if (*only_targets || (given[0] != '-' && given[0])) {
		add_target(w, given, strlen(given));
	} else if (!strcmp(given, "--")) {
		*only_targets = true;
	} else if (!strcmp(given, "-")) {
		return read_input(w);
	} else if (!strcmp(given, "--canonical")) {
		w->call.canonical = true;
	} else if (value(w, "--root", &text)) {
		return text ? add_root(w, text) : wrong("--root needs a folder", "");
	} else if (value(w, "--flag", &text)) {
		if (!text)
			return wrong("--flag needs a flag", "");
		mem_grow(w->flags, w->flag_count, w->flag_capacity);
		w->flags[w->flag_count++] = text;
	} else {
		return wrong("no option ", given);
	}
	return 0;
}

/* add_flags() - -I DIR is relative to the roots, then to the folder of the first target. */
static int add_flags(struct words *w)
{
	CLEANUP_BUF struct buf problem = {0};
	struct describe_call *c = &w->call;
	char folder[PATH_MAX] = ".";
	const char *target = c->targets[0], *slash = strrchr(target, '/');
	if (slash && (size_t)(slash - target) < sizeof folder) {
		memcpy(folder, target, (size_t)(slash - target) + 1);
		folder[slash - target + 1] = '\0';
	}
	const char **roots = mem_alloc((c->root_count + 1) * sizeof *roots);
	for (size_t i = 0; i < c->root_count; i++)
		roots[i] = c->roots[i];
	roots[c->root_count] = folder;
	int status = 0;
	for (size_t i = 0; i < w->flag_count && !status; i++)
		if (flags_add(&c->flags, w->flags[i], roots, c->root_count + 1, &problem))
			status = wrong(buf_cstr(&problem), "");
	free(roots);
	return status;
}

int describe_command(int argc, char **argv)
{
	CLEANUP_BUF struct buf out = {0};
	struct words w = {.argc = argc, .argv = argv};
	bool only_targets = false;
	int status = 0;
	for (; w.argc > 0 && !status; w.argc--, w.argv++)
		status = word(&w, &only_targets);
	if (!status && w.call.target_count == 0)
		status = wrong("describe needs a target: FILE.c:FUNCTION", "");
	if (!status)
		status = add_flags(&w);
	if (!status) {
		status = describe_run(&w.call, &out);
		if (out.failed || fs_write_all(STDOUT_FILENO, out.data, out.size) < 0)
			status = 1;
	}
	free(w.flags);
	describe_call_fini(&w.call);
	return status;
}
