/* oracle.h - what the files of the oracle share: its history, by fingerprint. */
#pragma once

#include "tests/sim/sim.h"

struct print {				/* one fingerprint with its nonce */
	uint64_t granted, granted_boot; /* latest epoch, and the boot that gave it */
	bool over;			/* a commit has ended that execution */
	uint32_t holder;		/* worker + 1 of that lease */
	uint64_t current;		/* commit, 0: none */
	uint64_t whole; /* commit that was there with its bytes when last asked */
	uint64_t
		missed; /* current commit when a worker missed bytes of one of its results */
	bool superseded; /* the ledger said that it is expired or without bytes */
	bool remade;	 /* bytes of one of its commits were lost once */
	uint32_t deaths; /* of processes that may have held a lease of it */
	uint32_t kills;	 /* that it did itself */
	uint32_t full;	 /* workers, as bits: had no room for its inputs, in this round */
	uint64_t full_at;
	uint64_t refused_at[SIM_WORKERS_MAX]; /* when each last had none; 0: never */
	bool full_unsure;
};

struct refusal { /* NO_ROOM, as reported */
	struct core_lease lease;
	uint32_t worker;
	uint64_t token;
};

struct oracle {
	struct print *prints;
	size_t print_count, print_capacity;
	struct map print_map;
	struct fate **now, **durable; /* by sim batch and index */
	bool *sealed;		      /* durably */
	uint32_t batch_count;
	uint64_t last_epoch, last_commit, progress_at;
	struct pauses *pauses;
	struct refusal *refusals; /* without a verdict yet */
	size_t refusal_count, refusal_capacity;
	bool kills_are_bounded; /* nothing makes the core forget them */
};

struct print *oracle_print(struct oracle *o, const uint8_t func_hash[DIGEST_SIZE],
			   const uint8_t args_hash[DIGEST_SIZE], const uint8_t *nonce);
struct print *oracle_print_of_lease(struct sim *s, const struct core_lease *lease);
/* oracle_room.c: before a lease of @p is granted to @worker; what the core made of a report */
void oracle_check_room(struct sim *s, struct print *p, uint32_t worker);
void oracle_check_verdict(struct sim *s, const struct core_effect *fx);
/* it had no room for the inputs of @p, lately enough not to be asked again while there are others */
bool oracle_is_refused(const struct sim *s, const struct print *p, uint32_t worker);
