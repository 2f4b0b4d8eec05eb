/* compile.c - see compile.h. Names of the library stay inside of it: functions of one source never take the
 * place of another's, or of the C library's. What the function does not reach is dropped, so that it may
 * name what is not there. */
#include "runners/c/prepare/compile.h"

#include "common/fs.h"
#include "common/pure/mem.h"
#include "runners/c/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct words {
	char **list; /* NULL-terminated */
	size_t count, capacity;
};

static void add(struct words *w, const char *word)
{
	mem_grow(w->list, w->count, w->capacity);
	w->list[w->count++] = word ? mem_strdup(word) : NULL;
}

static void add_two(struct words *w, const char *a, const char *b)
{
	CLEANUP_BUF struct buf both = {0};
	buf_printf(&both, "%s%s", a, b);
	add(w, buf_cstr(&both));
}

static void words_fini(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->list[i]);
	free(w->list);
}

/* add_compiler() - CC may have words: "ccache gcc". */
static void add_compiler(struct words *w)
{
	const char *cc = getenv("CC");
	size_t before = w->count;
	while (cc && *cc) {
		char word[PATH_MAX];
		size_t size = strcspn(cc, " \t");
		if (size > 0 && size < sizeof word) {
			memcpy(word, cc, size);
			word[size] = '\0';
			add(w, word);
		}
		cc += size + strspn(cc + size, " \t");
	}
	if (w->count == before)
		add(w, "cc");
}

static _Noreturn void be_compiler(char *const *argv, const char *folder, int fd)
{
	static const char *const unset[] = {
		"CPATH",       "C_INCLUDE_PATH",      "LIBRARY_PATH",
		"LD_RUN_PATH", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"};
	for (size_t i = 0; i < ARRAY_LEN(unset); i++)
		unsetenv(unset[i]);
	setenv("LC_ALL", "C", 1);
	setenv("SOURCE_DATE_EPOCH", "0", 1); /* __DATE__ */
	int null = open("/dev/null", O_RDONLY);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (folder && chdir(folder)) {
		dprintf(fd, "%s: %s\n", folder, strerror(errno));
		_exit(127);
	}
	execvp(argv[0], argv);
	dprintf(fd,
		"there is no C compiler %s (%s): install one (Debian: gcc libc6-dev), or "
		"set CC\n",
		argv[0], strerror(errno));
	_exit(127);
}

/* run() - Return: 0; 1 if it failed. */
static int run(struct words *w, const char *folder, struct buf *said)
{
	int fds[2], status = 0;
	add(w, NULL);
	if (pipe2(fds, O_CLOEXEC)) {
		buf_printf(said, "cannot start a compiler: %s\n", strerror(errno));
		return 1;
	}
	pid_t child = fork();
	if (child == 0)
		be_compiler(w->list, folder, fds[1]);
	close(fds[1]);
	char piece[4096];
	for (ssize_t got; child > 0;) {
		got = read(fds[0], piece, sizeof piece);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size_t room =
			COMPILE_SAID_MAX -
			(said->size < COMPILE_SAID_MAX ? said->size : COMPILE_SAID_MAX);
		buf_add(said, piece, (size_t)got < room ? (size_t)got : room);
	}
	close(fds[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (child > 0 && WIFSIGNALED(status))
		buf_printf(said, "the compiler was killed by signal %d\n",
			   WTERMSIG(status));
	return child < 0 || status != 0;
}

int compile_version(struct buf *out)
{
	CLEANUP(words_fini) struct words w = {0};
	add_compiler(&w);
	add(&w, "--version");
	return run(&w, NULL, out);
}

static int write_script(const struct compile_job *job)
{
	CLEANUP_BUF struct buf text = {0};
	buf_printf(&text, "{ global: %s; local: *; };\n", job->function);
	int fd = open(job->script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int status = fs_write_all(fd, text.data, text.size);
	close(fd);
	return status;
}

static void add_all(struct words *w, const struct compile_job *job)
{
	static const char *const first[] = {"-std=gnu17",
					    "-O2",
					    "-g",
					    "-fPIC",
					    "-fno-semantic-interposition",
					    "-ffunction-sections",
					    "-fdata-sections",
					    "-fdiagnostics-color=never"};
	add_compiler(w);
	add(w, "-shared");
	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		add(w, first[i]);
	for (size_t i = 0; i < job->flag_count; i++)
		if (strncmp(job->flags[i], "-l", 2))
			add(w, job->flags[i]);
	add(w, "-isystem");
	add(w, place_include());
	add_two(w,
		job->by_hand ? "-fmacro-prefix-map=" : "-ffile-prefix-map=", job->folder);
	w->list[w->count - 1] =
		mem_resize(w->list[w->count - 1], strlen(w->list[w->count - 1]) + 3);
	strcat(w->list[w->count - 1], "=.");
	add(w, "-o");
	add(w, job->output);
	for (size_t i = 0; i < job->source_count; i++)
		add_two(w, "./", job->sources[i]);
	add_two(w, "-Wl,--version-script=", job->script);
	add(w, "-Wl,--gc-sections,-Bsymbolic,--build-id=none");
	for (size_t i = 0; i < job->flag_count; i++)
		if (!strncmp(job->flags[i], "-l", 2))
			add(w, job->flags[i]);
	add(w, "-lm");
}

int compile_run(const struct compile_job *job, struct buf *said)
{
	CLEANUP(words_fini) struct words w = {0};
	int status = write_script(job);
	if (status < 0) {
		buf_printf(said, "cannot write %s: %s\n", job->script, strerror(-status));
		return 1;
	}
	add_all(&w, job);
	status = run(&w, job->folder, said);
	unlink(job->script);
	return status;
}
