/* quiet.c - see quiet.h. */
#include "runners/c/serve/quiet.h"

#include <signal.h>

#ifdef __x86_64__

#include "common/pure/mem.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

#define SYS_DISPATCHED 2       /* si_code: SYS_USER_DISPATCH */
#define INSTRUCTION_SIZE 2     /* of syscall, and of int 0x80 */
#define STACK_SIZE (64u << 10) /* of the handler: the function's own may be a small one */

enum { ALLOW, HOLD }; /* as the kernel reads the byte */

static volatile uint8_t selector;
static volatile bool was_seen;
static bool is_watched;	   /* since quiet_begin() */
static bool is_distrusted; /* quiet_distrust() */
static bool is_set_up;	   /* and no system call of a function may have changed that */
static void *stack;
static unsigned loud; /* calls in a row that were not quiet */

static void held_up(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	selector = ALLOW;
	was_seen = true;
	if (info->si_code == SYS_DISPATCHED) {
		c->uc_mcontext.gregs[REG_RIP] -= INSTRUCTION_SIZE;
		return;
	}
	signal(number, SIG_DFL); /* somebody else's: it ends the process */
	raise(number);
}

/* Whether there is no other thread: /proc/self/task has a folder for each, and "." and "..". */
static bool is_alone(void)
{
	struct stat st;
	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3;
}

static bool set_up(void)
{
	struct sigaction action = {.sa_sigaction = held_up,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK};
	if (!stack)
		stack = mem_alloc(STACK_SIZE);
	const stack_t to = {.ss_sp = stack, .ss_size = STACK_SIZE};
	sigset_t ours;
	sigemptyset(&ours);
	sigaddset(&ours, SIGSYS);
	return is_alone() && sigaltstack(&to, NULL) == 0 &&
	       sigaction(SIGSYS, &action, NULL) == 0 &&
	       sigprocmask(SIG_UNBLOCK, &ours, NULL) == 0 &&
	       prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) ==
		       0;
}

void quiet_distrust(void)
{
	is_distrusted = true;
}

void quiet_begin(void)
{
	is_watched = false;
	if (is_distrusted) {
		is_distrusted = is_set_up = false;
		return;
	}
	if (loud >= QUIET_TRIES && loud % QUIET_EVERY)
		return;
	if (!is_set_up && !(is_set_up = set_up()))
		return;
	is_watched = true;
	was_seen = false;
	selector = HOLD;
}

bool quiet_end(void)
{
	selector = ALLOW;
	bool quiet = is_watched && !was_seen;
	loud = quiet ? 0 : loud + 1;
	if (!quiet)
		is_set_up = false;
	return quiet;
}

#else

void quiet_distrust(void)
{
}

void quiet_begin(void)
{
}

bool quiet_end(void)
{
	return false;
}

#endif
