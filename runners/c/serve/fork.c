/* fork.c - a call in a child of its own (isolation: fork). The child leaves its outcome in a file in
 * memory and ends; the parent reads it when it is dead, so nothing that the child does
 * reaches the worker but through here. Large results are files already. */
#include "runners/c/serve/runner.h"

#include "common/fs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_MAGIC 0x6361736865740001u
#define REPORT_MAX (16u << 20)

struct report {
	uint64_t magic; /* written last */
	int32_t failed, exit_status;
	int32_t kind;	      /* enum task_result */
	int32_t in_file;      /* the result */
	uint64_t size;	      /* of the result */
	char failed_kind[16]; /* static in the child */
	uint64_t text_size;   /* what follows: the message, or the result */
};

static const char *const kinds[] = {"exception", "result", "exit", "refused"};

/* known() - the same text, static here. */
static const char *known(const char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i], text))
			return list[i];
	return list[0];
}

static const void *result_bytes(const struct cashet_task *t)
{
	return t->room ? t->room : t->result.data;
}

_Noreturn void runner_report(struct runner *r)
{
	struct cashet_task *t = &r->task;
	struct report report = {.magic = REPORT_MAGIC,
				.failed = t->failed,
				.exit_status = r->exit_status,
				.kind = t->kind,
				.in_file = t->in_file,
				.size = t->size};
	const void *text = t->failed ? t->message.data : result_bytes(t);
	report.text_size = t->failed ? t->message.size : report.in_file ? 0 : t->size;
	if (t->failed) {
		snprintf(report.failed_kind, sizeof report.failed_kind, "%s",
			 t->failed_kind);
	}
	fflush(stdout);
	fflush(stderr);
	if (pwrite(r->report, text, report.text_size, sizeof report) < 0 ||
	    pwrite(r->report, &report, sizeof report, 0) < 0)
		_exit(RUNNER_EXIT_SPENT);
	_exit(0);
}

static _Noreturn void be_child(struct runner *r, cashet_function *function, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(RUNNER_EXIT_SPENT);
	r->is_child = true; /* the channel is closed: runner_left() */
	r->calling = true;
	int status = function(&r->task);
	r->calling = false;
	task_finish(&r->task, status);
	runner_report(r);
}

/* read_report() - what the child left. Return: 0; 1 if that is nothing whole. */
static int read_report(struct runner *r, int fd)
{
	CLEANUP_BUF struct buf text = {0};
	struct cashet_task *t = &r->task;
	struct report report;
	if (pread(fd, &report, sizeof report, 0) != sizeof report ||
	    report.magic != REPORT_MAGIC || report.text_size > REPORT_MAX)
		return 1;
	uint8_t *to = buf_reserve(&text, report.text_size);
	if (!to ||
	    pread(fd, to, report.text_size, sizeof report) != (ssize_t)report.text_size)
		return 1;
	text.size = report.text_size;
	report.failed_kind[sizeof report.failed_kind - 1] = '\0';
	if (report.failed) {
		r->exit_status = report.exit_status;
		task_fail(t, known(kinds, ARRAY_LEN(kinds), report.failed_kind), "%s",
			  buf_cstr(&text));
		return 0;
	}
	t->kind = (enum task_result)report.kind;
	t->size = report.size;
	buf_add(&t->result, text.data, text.size);
	t->in_file = report.in_file;
	return 0;
}

static void ended(struct runner *r, int report, int status)
{
	struct cashet_task *t = &r->task;
	if (WIFSIGNALED(status)) {
		r->signal = WTERMSIG(status);
		task_fail(t, "signal", "the function was killed by signal %d (%s)",
			  r->signal, strsignal(r->signal));
	} else if (WEXITSTATUS(status) || read_report(r, report)) {
		r->exit_status = WEXITSTATUS(status);
		task_fail(t, "exit", "the function ended its process with status %d",
			  r->exit_status);
	}
}

void runner_fork(struct runner *r, cashet_function *function)
{
	struct rusage usage = {0};
	int status = 0;
	pid_t parent = getpid();
	r->report = memfd_create("cashet-report", MFD_CLOEXEC);
	if (r->report < 0) {
		task_fail(&r->task, "exception", "cannot fork: %s", strerror(errno));
		return;
	}
	fflush(stdout);
	pid_t child = fork();
	if (child == 0)
		be_child(r, function, parent);
	if (child < 0)
		task_fail(&r->task, "exception", "cannot fork: %s", strerror(errno));
	else {
		while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
			continue;
		ended(r, r->report, status);
	}
	r->child_cpu_ns =
		((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) *
			NS_PER_S +
		((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) *
			1000;
	close(r->report);
}
