/* process.h - runs a program to its end from inside of somebody else's process: bytes go in, what it
 * writes comes back, both bounded.
 *
 * Nothing of the host is touched: its signal handlers and mask are not those of the child, which is
 * a process group of its own and inherits three descriptors; input is a file in memory, so nobody
 * can raise SIGPIPE; a host that reaps all children, or ignores SIGCHLD, takes away the status and
 * nothing else. Whatever the child started is killed when it has ended. */
#pragma once

#include "common/err.h"
#include "common/pure/buf.h"

#define PROCESS_SAID_MAX (16u << 10)

struct process_call {
	const char *const
		*argv;	    /* ends with NULL; the first is the program's absolute path */
	const char *folder; /* where it works */
	const void *input;
	size_t input_size;
	size_t output_max; /* beyond, it is killed */
	uint64_t time_ns;  /* the same */
	/* Called a few times a second; not 0 kills it. May be NULL. */
	int (*idle)(void *arg, struct err *e);
	void *idle_arg;
};

struct process_end {
	struct buf output; /* standard output */
	struct buf said;   /* the first of its standard error */
	bool has_status;
	int status; /* as waitpid() gives it */
	bool timed_out, too_large;
	int error; /* errno, if it could not be started; else 0 */
};

void process_end_fini(struct process_end *end);
/** process_run() - @end: zeroed. Return: 0 when it ended, however, or could not be started: see
 * @end; ERR_FAILED out of memory; what idle() returned. */
int process_run(const struct process_call *call, struct process_end *end, struct err *e);
