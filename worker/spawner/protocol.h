/* protocol.h - what the worker says to its spawner and to the slot processes. Both ends
 * are one program of one build, so messages are plain structs over SOCK_SEQPACKET: one
 * message, one record.
 *
 *   worker -> spawner   SPAWNER_NEW_SLOT
 *   spawner -> worker   SPAWNER_SLOT with the worker's end of the slot's socket
 * (SCM_RIGHTS); SPAWNER_SLOT_GONE when a slot process died: its whole tree is dead by
 * then worker -> slot      SLOT_RUN, followed by strings; SLOT_SIGNAL for the run in
 * progress slot -> worker      one SLOT_ENDED per SLOT_RUN, when the run's whole tree is
 * dead
 *
 * The end of the stream is the message "the other end died": a slot kills its tree and
 * exits. */
#pragma once

#include "common/pure/base.h"

enum spawner_type { SPAWNER_NEW_SLOT = 1, SPAWNER_SLOT, SPAWNER_SLOT_GONE };

struct spawner_message {
	uint32_t type; /* enum spawner_type */
	uint32_t slot; /* chosen by the worker */
	int32_t pid;   /* SPAWNER_SLOT: of the slot process */
	int32_t error; /* SPAWNER_SLOT: errno if there is no slot, or 0 */
};

enum slot_type { SLOT_RUN = 1, SLOT_SIGNAL, SLOT_ENDED };

/* A record of at most SLOT_INLINE_MAX bytes carries its strings behind the struct; longer
 * strings come in a memfd (SCM_RIGHTS), as argument lists may have 2 MiB. With @has_channel one
 * more descriptor comes, behind that one: it becomes descriptor 3 of the program. Strings are
 * NUL-terminated, in this order: working directory, file of standard output, file of
 * standard error, argc arguments, envc NAME=VALUE. The files exist and are opened for
 * appending. */
#define SLOT_INLINE_MAX 65536

struct slot_request {
	uint32_t type; /* SLOT_RUN, SLOT_SIGNAL */
	uint32_t run;  /* number of the run; a signal for another run is ignored */
	uint32_t signal;
	uint32_t argc, envc;
	uint32_t size; /* bytes of all strings */
	uint32_t has_channel;
	uint64_t memory_max; /* bytes that the tree may use; 0: no limit. See memory.h */
};

enum slot_step { /* what failed, if the program did not start */
		 SLOT_STEP_NONE,
		 SLOT_STEP_REQUEST,
		 SLOT_STEP_STDOUT,
		 SLOT_STEP_STDERR,
		 SLOT_STEP_FORK,
		 SLOT_STEP_CHDIR,
		 SLOT_STEP_EXEC,
};

struct slot_report {
	uint32_t type; /* SLOT_ENDED */
	uint32_t run;
	uint32_t step;	    /* enum slot_step; then nothing ran and @error says why */
	int32_t error;	    /* errno */
	int32_t status;	    /* as of wait() */
	uint32_t leftovers; /* processes that the program left behind; killed */
	uint64_t duration_ns;
	uint64_t cpu_user_ns, cpu_system_ns, max_rss_bytes; /* of the whole tree */
	uint64_t over_bytes; /* it was killed because it used so much; 0: it was not */
};
