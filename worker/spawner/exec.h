/* exec.h - start a program: a child that shares memory (as of vfork()) and execve(), with errors that say what failed. */
#pragma once

#include "worker/spawner/protocol.h"
#include <sys/types.h>

struct exec_plan {
	char **argv,
		**envp; /* NULL-terminated; PATH of envp is where argv[0] is looked for */
	const char *cwd;
	int in, out, err; /* above 2, close-on-exec */
	int channel;	  /* the same; it becomes descriptor 3. -1: none */
};

/** exec_start() - own session, no signal blocked, killed when the calling thread dies.
 * Return: pid; -1 with *stepp and *errorp if the program does not run. */
pid_t exec_start(const struct exec_plan *plan, enum slot_step *stepp, int *errorp);
