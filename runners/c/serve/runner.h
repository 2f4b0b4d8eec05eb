/* runner.h - the process that calls functions: docs/runners.md, "Serving".
 *
 * One call at a time. Its answer is sent before the next one is begun; then the process is put back into
 * the state in which it was (state.h). Where that cannot be done it ends with RUNNER_EXIT_SPENT, and
 * the worker starts another one. */
#pragma once

#include "runners/c/serve/channel.h"
#include "runners/c/serve/libraries.h"
#include "runners/c/serve/output.h"
#include "runners/c/serve/state.h"
#include "runners/c/serve/task.h"

enum {
	RUNNER_EXIT_PROTOCOL = 70, /* the worker says what no worker says */
	RUNNER_EXIT_SPENT = 71,	   /* replace me: no call is under way */
	RUNNER_EXIT_CLOSED = 72,   /* the call has closed the channel itself */
};

struct runner {
	struct channel channel;
	struct state state;
	struct output out, err;
	struct libraries libraries;
	struct cashet_task task;
	struct buf answer;
	int results; /* DIR/results */
	size_t inline_max;

	/* the call */
	bool calling;  /* the user's code runs */
	bool quiet;    /* it made no system call */
	bool is_child; /* of a fork */
	int report;    /* where such a child says how it went */
	uint64_t id, started_ns, cpu_ns;
	uint64_t child_cpu_ns;
	int exit_status, signal; /* of one that ended the process; -1: none */
};

/** runner_call() - does it, and answers. Return: 0; an exit status if the process must end. */
int runner_call(struct runner *r, const struct frame_call *call);
/** runner_left() - in a child that a function has made: it is none of ours. */
void runner_left(struct runner *r);
/** runner_exiting() - the function has called exit(): the answer to its call. Does not return if a
 * function was running. */
void runner_exiting(struct runner *r, int status);

/* ---- fork.c */

/** runner_fork() - the function in a child; r->task is then as if it had run here. */
void runner_fork(struct runner *r, cashet_function *function);
/** runner_report() - in the child: how it went, for the parent. Does not return. */
_Noreturn void runner_report(struct runner *r);
