/* quiet.c - what counts as a system call of a function, and what functions do to those who watch. Each
 * test runs in a child: a process of Criterion has threads, so it is never quiet. */
#include "runners/c/serve/quiet.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define check(condition)                                                                 \
	do {                                                                             \
		if (!(condition)) {                                                      \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);  \
			_exit(1);                                                        \
		}                                                                        \
	} while (0)

/* ALONE(name) - a test that is the body of a function, in a process without other threads. */
#define ALONE(name)                                                                      \
	static void name(void);                                                          \
	Test(quiet, name)                                                                \
	{                                                                                \
		run_alone(name);                                                         \
	}                                                                                \
	static void name(void)

static void run_alone(void (*test)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		test();
		_exit(0);
	}
	cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
	cr_expect(status == 0, "status %#x", (unsigned)status);
}

static int calls;

static void computes(void)
{
	calls++;
}

static void asks(void)
{
	calls++;
	check(syscall(SYS_getppid) == getppid());
}

static bool is_quiet(void (*function)(void))
{
	quiet_begin();
	function();
	return quiet_end();
}

/* There is help from the kernel, and no thread of a sanitizer. */
static bool can_be_quiet(void)
{
	struct stat st;
	return prctl(59, 0, 0, 0, 0) == 0 && stat("/proc/self/task", &st) == 0 &&
	       st.st_nlink == 3;
}

ALONE(only_a_call_without_system_calls_is)
{
	bool can = can_be_quiet();
	for (int i = 0; i < 5; i++) {
		check(is_quiet(computes) == can);
		check(!is_quiet(asks));
	}
	check(calls == 10);
	check(is_quiet(computes) == can);
}

ALONE(what_libraries_do_when_they_are_opened_counts)
{
	bool can = can_be_quiet();
	check(is_quiet(computes) == can);
	quiet_distrust();
	check(!is_quiet(computes));
	check(is_quiet(computes) == can);
}

ALONE(functions_that_never_are_get_no_signal_each_time)
{
	bool can = can_be_quiet();
	for (int i = 0; i < QUIET_TRIES; i++)
		check(!is_quiet(asks));
	int until_quiet = 0;
	while (can && !is_quiet(computes))
		until_quiet++;
	check(!can || (until_quiet > 0 && until_quiet < QUIET_EVERY));
	check(is_quiet(computes) == can);
}

static void goes_away(void)
{
	sigset_t all;
	sigfillset(&all);
	signal(SIGSYS, SIG_IGN);
	sigprocmask(SIG_SETMASK, &all, NULL);
	const stack_t none = {.ss_flags = SS_DISABLE};
	sigaltstack(&none, NULL);
	prctl(59, 0, 0, 0, 0);
}

ALONE(a_function_cannot_put_an_end_to_it)
{
	bool can = can_be_quiet();
	check(!is_quiet(goes_away));
	check(is_quiet(computes) == can);
	check(!is_quiet(asks));
	check(calls == 2);
}

static volatile int turn; /* spun on: no system call tells of it */

static void *waits(void *arg)
{
	while (turn != 1)
		continue;
	umask(0);
	turn = 2;
	return arg;
}

static pthread_t thread;

static void leaves_a_thread(void)
{
	check(pthread_create(&thread, NULL, waits, NULL) == 0);
}

static void lets_it_work(void)
{
	turn = 1;
	while (turn != 2)
		continue;
}

ALONE(a_process_with_threads_never_is)
{
	bool can = can_be_quiet();
	check(!is_quiet(leaves_a_thread));
	check(!is_quiet(computes));
	check(!is_quiet(lets_it_work));
	pthread_join(thread, NULL);
	while (can && !is_quiet(computes)) /* it is still leaving */
		continue;
}

static ucontext_t here, there;
static bool was_quiet;

static void on_small_stack(void)
{
	was_quiet = is_quiet(asks);
}

ALONE(stacks_of_functions_may_be_small)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *pages =
		mmap(NULL, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(pages != MAP_FAILED);
	check(mprotect(pages + page, page, PROT_READ | PROT_WRITE) == 0);
	getcontext(&there);
	there.uc_stack.ss_sp = pages + page;
	there.uc_stack.ss_size = 2048; /* less than what a signal takes */
	there.uc_link = &here;
	makecontext(&there, on_small_stack, 0);
	asks();		    /* what it calls is looked up at the first time, */
	is_quiet(computes); /* and what is needed is set up */
	was_quiet = true;
	swapcontext(&here, &there);
	check(!was_quiet);
	check(calls == 3);
	munmap(pages, 2 * page);
}
