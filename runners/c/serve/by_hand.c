/* by_hand.c - see by_hand.h. The library is made by a program of its own, prepare: neither libclang nor a
 * compiler runs where somebody looks for a fault. What the function does to the process, exit() and
 * signals too, happens to this one. */
#include "runners/c/serve/by_hand.h"

#include "common/fs.h"
#include "runners/c/place.h"
#include "runners/c/serve/by_hand_args.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL_MAX (64u << 20)
#define ANSWER_MAX (1u << 20)

static int wrong(const char *what, const char *why)
{
	fprintf(stderr, "cashet-runner-c: %s: %s\n", what, why);
	return 1;
}

/* read_all() - what @fd gives, up to ANSWER_MAX bytes. */
static void read_all(int fd, struct buf *out)
{
	for (ssize_t got = 1; got != 0 && out->size < ANSWER_MAX;) {
		uint8_t *to = buf_reserve(out, 4096);
		got = to ? read(fd, to, 4096) : 0;
		if (got < 0 && errno != EINTR)
			return;
		out->size += got > 0 ? (size_t)got : 0;
	}
}

/* prepare() - @out: the line that it says. Return: 0 or a negative errno. */
static int prepare(const char *dir, struct buf *out)
{
	const char *argv[] = {place_program(), "prepare", "--laid-out", dir, NULL};
	posix_spawn_file_actions_t actions;
	int fds[2];
	pid_t child;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	int status = posix_spawn(&child, argv[0], &actions, NULL, (char *const *)argv,
				 environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (status == 0)
		read_all(fds[0], out);
	close(fds[0]);
	while (status == 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
	return -status;
}

static struct cashet_arg *parse(struct cashet_task *t, const struct buf *json)
{
	struct cashet_arg *arg = arena_alloc(&t->arena, sizeof *arg);
	*arg = (struct cashet_arg){.task = t, .key = "call.json"};
	return json_value_read(t, arg, json->data, json->size) ? NULL : arg;
}

/* build() - Return: the path of the library; NULL, and it has been said why. */
static const char *build(struct cashet_task *t, const char *dir)
{
	CLEANUP_BUF struct buf answer = {0};
	int status = prepare(dir, &answer);
	const struct cashet_arg *said = status ? NULL : parse(t, &answer);
	if (!said || said->type != CASHET_TYPE_MAP) {
		wrong("it cannot be compiled", strerror(status ? -status : EPROTO));
		return NULL;
	}
	if (cashet_bool(cashet_member(said, "ok")))
		return cashet_text(cashet_member(said, "library"));
	said = cashet_member(cashet_member(said, "error"), "message");
	wrong("it cannot be compiled", cashet_text(said));
	return NULL;
}

static cashet_function *open_function(const char *library, const char *name)
{
	cashet_function *function = NULL;
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	void *symbol = handle ? dlsym(handle, name) : NULL;
	const char *why = dlerror();
	if (symbol)
		memcpy(&function, &symbol, sizeof symbol);
	else
		wrong("it cannot be loaded", why ? why : "it has no such function");
	return function;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value ? value : "";
}

static void describe(struct cashet_task *t)
{
	char directory[PATH_MAX];
	if (!getcwd(directory, sizeof directory))
		directory[0] = '\0';
	t->info = (struct cashet_info){
		.name = variable("CASHET_TASK"),
		.batch = variable("CASHET_BATCH"),
		.index = (uint32_t)strtoul(variable("CASHET_INDEX"), NULL, 10),
		.attempt = (uint32_t)strtoul(variable("CASHET_ATTEMPT"), NULL, 10),
		.directory = arena_copy(&t->arena, directory, strlen(directory)),
		.checkpoint = variable("CASHET_CHECKPOINT")};
}

static int print(const struct cashet_task *t)
{
	fflush(NULL);
	int status =
		fs_write_all(STDOUT_FILENO, t->room ? t->room : t->result.data, t->size);
	if (status == 0 && t->kind == TASK_JSON)
		status = fs_write_all(STDOUT_FILENO, "\n", 1);
	return status < 0 ? wrong("the result", strerror(-status)) : 0;
}

static int call(struct cashet_task *t, const char *dir)
{
	CLEANUP_BUF struct buf path = {0};
	CLEANUP_BUF struct buf json = {0};
	buf_printf(&path, "%s/call.json", dir);
	int status = fs_read_file(buf_cstr(&path), CALL_MAX, &json);
	struct cashet_arg *said = status < 0 ? NULL : parse(t, &json);
	if (!said)
		return wrong(buf_cstr(&path),
			     status < 0 ? strerror(-status) : "it is no JSON");
	const char *name = cashet_text(cashet_member(said, "name"));
	if (by_hand_args(t, dir, said))
		return wrong("the call", buf_cstr(&t->message));
	const char *library = build(t, dir);
	cashet_function *function = library ? open_function(library, name) : NULL;
	if (!function)
		return 1;
	describe(t);
	task_finish(t, function(t));
	if (!t->failed)
		return print(t);
	fflush(NULL);
	return wrong("the function failed", buf_cstr(&t->message));
}

int by_hand_command(int argc, char **argv)
{
	char dir[PATH_MAX];
	if (argc != 1) {
		fprintf(stderr, "usage: cashet-runner-c run FOLDER\n");
		return 2;
	}
	if (!realpath(argv[0], dir))
		return wrong(argv[0], strerror(errno));
	struct cashet_task t = {.fd = -1, .results = -1, .inline_max = SIZE_MAX};
	int status = call(&t, dir);
	task_end(&t);
	task_fini(&t);
	return status;
}
