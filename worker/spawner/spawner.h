/* spawner.h - the process that is forked from the worker before any thread exists, and
 * forks the slot processes. It stays small, so that forking is cheap, and it outlives the
 * worker just long enough to see every task's tree dead. */
#pragma once

#include "worker/spawner/protocol.h"
#include <sys/types.h>

/** spawner_start() - fork the spawner. Call it first in main(): no thread, no lock,
 * nothing open. Return: the worker's end of its socket (non-blocking, close-on-exec), or
 * negative errno. */
int spawner_start(pid_t *pidp);
/** spawner_request_slot() - ask for a slot process; the answer is a SPAWNER_SLOT. 0 or
 * -errno. */
int spawner_request_slot(int spawner, uint32_t slot);
/** spawner_receive() - @sockp: the slot's socket (non-blocking) of a SPAWNER_SLOT, or -1.
 * Return: 0; 1 nothing there; negative errno, -EPIPE when the spawner is gone. */
int spawner_receive(int spawner, struct spawner_message *message, int *sockp);

struct slot_program { /* what is to run; strings: as slot_request describes */
	uint32_t argc, envc;
	const void *strings;
	size_t size;
	uint64_t memory_max; /* bytes, 0 for no limit */
	int channel; /* what the program finds as descriptor 3; stays ours. -1: nothing */
};

/** slot_send_run() - Return: 0 or negative errno. */
int slot_send_run(int sock, uint32_t run, const struct slot_program *program);
int slot_send_signal(int sock, uint32_t run, int signal);
/** slot_receive() - Return: 0; 1 nothing there; -EPIPE when the slot process is gone. */
int slot_receive(int sock, struct slot_report *report);
