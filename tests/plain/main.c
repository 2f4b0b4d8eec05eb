/* main.c - runs the cases that criterion.h of this folder has collected, and ends with the line that
 * Criterion would end with. */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#define EXIT_SKIPPED 77

static struct plain_test *tests, **tests_end = &tests, *suites;

void plain_add_test(struct plain_test *test)
{
	*tests_end = test;
	tests_end = &test->next;
}

void plain_add_suite(struct plain_test *suite)
{
	suite->next = suites;
	suites = suite;
}

void plain_fail(const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fprintf(stderr, "%s:%d: not true: %s ", file, line, what);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	fflush(NULL);
	_exit(1);
}

void plain_skip(void)
{
	_exit(EXIT_SKIPPED);
}

static struct plain_options options_of(const struct plain_test *test)
{
	struct plain_options options = test->options;
	for (const struct plain_test *s = suites; s; s = s->next) {
		if (strcmp(s->suite, test->suite) != 0)
			continue;
		options.init = options.init ? options.init : s->options.init;
		options.fini = options.fini ? options.fini : s->options.fini;
		options.timeout =
			options.timeout > 0 ? options.timeout : s->options.timeout;
		options.disabled |= s->options.disabled;
	}
	return options;
}

/* run() - exit(), not _exit(), so that the sanitizer gives its verdict. */
static _Noreturn void run(const struct plain_test *test,
			  const struct plain_options *options, void *param)
{
	alarm(options->timeout > 0 ? (unsigned)options->timeout * 4 + 1 : 0);
	if (options->init)
		options->init();
	if (test->run_with)
		test->run_with(param);
	else
		test->run();
	if (options->fini)
		options->fini();
	exit(0);
}

static int tested, failing, crashing;

static void run_forked(const struct plain_test *test, const struct plain_options *options,
		       void *param)
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0)
		run(test, options, param);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			abort();
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED)
		return;
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == options->exit_code;
	if (options->signal)
		good = WIFSIGNALED(status) && WTERMSIG(status) == options->signal;
	tested++;
	failing += !good;
	crashing += !good && WIFSIGNALED(status);
	if (!good)
		fprintf(stderr, "[FAIL] %s::%s (status %x)\n", test->suite, test->name,
			(unsigned)status);
}

int main(void)
{
	for (const struct plain_test *test = tests; test; test = test->next) {
		struct plain_options options = options_of(test);
		struct criterion_test_params params = {.length = 1};
		if (options.disabled)
			continue;
		if (test->params)
			params = test->params();
		for (size_t i = 0; i < params.length; i++)
			run_forked(test, &options,
				   (char *)params.params + i * params.size);
	}
	fprintf(stderr,
		"[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: "
		"%d\n",
		tested, tested - failing, failing, crashing);
	return failing > 0;
}
