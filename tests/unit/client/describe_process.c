/* describe_process.c - programs that are run from inside of somebody else's process. */
#include "client/describe/process.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_NS (60 * NS_PER_S)

static struct process_end end;
static struct err e;

static void fini(void)
{
	process_end_fini(&end);
}

static struct process_call shell(const char *script)
{
	static const char *argv[4];
	argv[0] = "/bin/sh";
	argv[1] = "-c";
	argv[2] = script;
	return (struct process_call){.argv = argv,
				     .folder = "/",
				     .output_max = 1 << 20,
				     .time_ns = PATIENCE_NS};
}

static int run(const char *script)
{
	struct process_call call = shell(script);
	return process_run(&call, &end, &e);
}

static bool said(const char *text)
{
	return end.output.size == strlen(text) &&
	       !memcmp(end.output.data, text, end.output.size);
}

static size_t open_files(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

Test(process, input_and_both_outputs_pass_through, .fini = fini)
{
	size_t before = open_files();
	struct process_call call = shell("cat; pwd; echo oops >&2; exit 3");
	call.input = "in\n";
	call.input_size = 3;
	cr_assert_eq(process_run(&call, &end, &e), 0);
	cr_expect(said("in\n/\n"));
	cr_expect_eq(end.said.size, 5);
	cr_expect(end.has_status && WIFEXITED(end.status) &&
		  WEXITSTATUS(end.status) == 3);
	cr_expect_eq(open_files(), before);
}

Test(process, much_output_is_read_whole, .fini = fini)
{
	cr_assert_eq(run("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2"), 0);
	cr_expect_eq(end.output.size, 1000000);
	cr_expect_eq(end.said.size, PROCESS_SAID_MAX);
	cr_expect(!end.too_large && !end.timed_out);
}

Test(process, too_much_output_ends_it, .fini = fini)
{
	cr_assert_eq(run("cat /dev/zero"), 0);
	cr_expect(end.too_large);
	cr_expect(end.has_status && WIFSIGNALED(end.status));
}

Test(process, it_is_killed_with_all_that_it_started_when_time_is_over, .fini = fini)
{
	struct process_call call = shell("sleep 1000 & echo $!; sleep 1000");
	call.time_ns = 200 * NS_PER_MS;
	cr_assert_eq(process_run(&call, &end, &e), 0);
	cr_expect(end.timed_out);
	buf_add_byte(&end.output, '\0');
	pid_t child = atoi((char *)end.output.data);
	while (child && kill(child, 0) == 0) { /* until init has reaped it */
		char path[64], state = 0;
		snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
		FILE *f = fopen(path, "r");
		if (!f || fscanf(f, "%*d %*s %c", &state) != 1 || state == 'Z')
			child = 0;
		if (f)
			fclose(f);
		usleep(1000);
	}
}

Test(process, one_that_leaves_a_child_behind_is_not_waited_for, .fini = fini)
{
	cr_assert_eq(run("sleep 1000 & echo done"), 0);
	cr_expect(said("done\n"));
	cr_expect(!end.timed_out);
}

static int give_up(void *arg, struct err *why)
{
	int *calls = arg;
	return ++*calls == 2 ? err_set(why, ERR_DETACHED, "enough") : 0;
}

Test(process, whoever_waits_may_give_up, .fini = fini)
{
	int calls = 0;
	struct process_call call = shell("sleep 1000");
	call.idle = give_up;
	call.idle_arg = &calls;
	cr_expect_eq(process_run(&call, &end, &e), ERR_DETACHED);
	cr_expect_str_eq(e.what, "enough");
	cr_expect(waitpid(-1, NULL, WNOHANG) < 0, "nothing is left");
}

Test(process, what_is_not_there_is_an_errno, .fini = fini)
{
	static const char *const argv[] = {"/nowhere/at/all", NULL};
	struct process_call call = {
		.argv = argv, .folder = "/", .output_max = 10, .time_ns = PATIENCE_NS};
	cr_assert_eq(process_run(&call, &end, &e), 0);
	cr_expect_eq(end.error, ENOENT);
}

Test(process, a_host_that_ignores_its_children_takes_only_the_status, .fini = fini)
{
	signal(SIGCHLD, SIG_IGN);
	cr_assert_eq(run("echo here; exit 3"), 0);
	cr_expect(said("here\n"));
	cr_expect(!end.has_status);
}

static void reap_all(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

Test(process, so_does_one_that_reaps_them_all, .fini = fini)
{
	struct sigaction reaping = {.sa_handler = reap_all};
	sigaction(SIGCHLD, &reaping, NULL);
	cr_assert_eq(run("echo here; sleep 0.05; exit 3"), 0);
	cr_expect(said("here\n"));
}

Test(process, the_child_has_neither_our_descriptors_nor_our_signals, .fini = fini)
{
	sigset_t all;
	int fd = open("/dev/null", O_RDONLY); /* not close-on-exec, as hosts' may be */
	signal(SIGINT, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	cr_assert_geq(fd, 3);
	cr_assert_eq(run("ls /proc/self/fd | wc -l; grep SigBlk /proc/self/status; kill "
			 "-INT $$; "
			 "echo alive"),
		     0);
	/* 0, 1, 2, and the one that ls reads the folder with */
	cr_expect(said("4\nSigBlk:\t0000000000000000\n"), "%.*s", (int)end.output.size,
		  (char *)end.output.data);
	cr_expect(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGINT);
}

Test(process, a_host_without_standard_streams_is_fine, .fini = fini)
{
	int copies[3];
	for (int i = 0; i < 3; i++) {
		copies[i] = fcntl(i, F_DUPFD, 50);
		close(i);
	}
	struct process_call call = shell("cat; echo out; echo err >&2");
	call.input = "in\n";
	call.input_size = 3;
	int r = process_run(&call, &end, &e);
	for (int i = 0; i < 3; i++)
		dup2(copies[i], i);
	cr_assert_eq(r, 0);
	cr_expect(said("in\nout\n"));
	cr_expect_eq(end.said.size, 4);
}
