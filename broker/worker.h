/* worker.h - the workers, as the loop knows them: who they are, what was sent to them, and the
 * messages of this turn that are being put together. What they run is the core's business.
 *
 * A worker outlives its session: it is found again by its key, and is freed when the core says
 * CORE_FX_WORKER_FORGOTTEN. */
#pragma once

#include "broker/batch.h"
#include "broker/core/types.h"
#include "broker/net/peer.h"

struct known_function { /* sent in this session */
	struct map_node by_hash;
	uint8_t hash[DIGEST_SIZE];
	uint64_t step;		     /* it left, or leaves, when this is durable */
	uint8_t source[DIGEST_SIZE]; /* with it; zeros: none */
	uint64_t
		mixed_step; /* until this is durable, an older message may bring another source */
};

struct assigning {			      /* an Assign in the making */
	struct buf tasks, functions, options; /* encoded fields of cashet.Assign */
	uint64_t batch, timeout_ns;	      /* of the last options */
	uint32_t batch_option;
	uint32_t option_count;
};

struct worker {
	struct map_node by_key;
	uint32_t number;
	uint8_t key[KEY_SIZE];
	char *name, *host, *isolation;
	uint64_t pid;
	struct core_resource capacity[CORE_RESOURCES_MAX];
	uint32_t capacity_count;
	uint32_t credit;
	bool draining, silent;
	uint8_t process[KEY_SIZE]; /* Hello.instance */
	bool drain_asked;	   /* of that process, which may not know */
	uint64_t drain_deadline_ns;
	peer_handle peer; /* stale or 0: not connected */
	struct map functions;
	struct assigning early, held;
	struct buf acks, revoke_cancelled, revoke_stale;
	struct list touched; /* something is waiting to be sent at the end of this turn */
	struct list gone;    /* lost its session; the core is to be told */
	uint64_t done, failed, heard_ns;
};

struct workers {
	struct map by_key;
	struct worker **by_number;
	uint32_t count, capacity; /* of by_number */
	struct list touched, gone;
};

void workers_init(struct broker *b);
void workers_fini(struct broker *b);
struct worker *worker_get(struct broker *b, uint32_t number); /* or NULL */
struct worker *workers_find(struct broker *b, const uint8_t key[KEY_SIZE]);
void worker_free(struct broker *b, struct worker *w);
/** worker_name() - of whoever has @key; a short form of the key when it is not known. */
const char *worker_name(struct broker *b, const uint8_t key[KEY_SIZE]);
/** worker_detach() - its session ended; workers_gone() tells the core, unless it is back. */
void worker_detach(struct broker *b, struct peer *peer);
void workers_gone(struct broker *b);
void worker_touch(struct broker *b, struct worker *w);
/** worker_ask_drain() - @w is to take nothing new, and to stop what runs at @deadline_ns
 * (TIME_NEVER: never). A process that is away is told when it is back. */
void worker_ask_drain(struct broker *b, struct worker *w, uint64_t deadline_ns);

void worker_grant(struct broker *b, const struct core_effect *fx);
void worker_stop(struct broker *b, const struct core_effect *fx);
void worker_ack(struct broker *b, struct worker *w, uint64_t epoch,
		enum core_verdict verdict, const uint8_t (*missing)[DIGEST_SIZE],
		size_t missing_count);
/** workers_send_early() - what may leave now; workers_flush() - the rest, as of step @hold. */
void workers_send_early(struct broker *b);
void workers_flush(struct broker *b, uint64_t hold);
/** worker_lease() - Return: 0; 1 if a size is wrong. *@numberp: number of its batch, 0 unknown. */
int worker_lease(struct broker *b, const Cashet__Lease *from, struct core_lease *lease,
		 uint64_t *numberp);
int worker_resources(struct core_resource *out, uint32_t *countp,
		     Cashet__Resource *const *from, size_t count);
