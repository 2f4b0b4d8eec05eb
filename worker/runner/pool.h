/* pool.h - all runners of a worker: which one a call goes to, when another is started, when one ends.
 *
 * A call goes to an idle runner of its kind; else a new one is started, if what it asks for is free;
 * else it is queued behind short calls in one that is busy. Idle ones hold no resources. They are
 * pinged, and end after POOL_IDLE_NS or when there are too many. */
#pragma once

#include "worker/runner/runner.h"

#define POOL_IDLE_NS (60 * NS_PER_S)
#define POOL_PING_NS (15 * NS_PER_S)
#define POOL_PONG_NS (10 * NS_PER_S)
#define POOL_START_NS (120 * NS_PER_S) /* that a runner may take until it is ready */
#define POOL_AHEAD_NS (2 * NS_PER_MS)  /* of work that is queued in a runner */
#define POOL_DEPTH_MAX 256	       /* calls */
#define POOL_PAUSE_NS 200000u	       /* shorter than what DEEP of the fastest take */
#define POOL_DEEP 64		       /* calls */

struct pool {
	struct list runners;
	struct runner *items[SLOTS_MAX];
	uint32_t count; /* of items */
	uint32_t alive, starting, idle;
};

enum pool_answer {
	POOL_TAKEN,   /* the call is in a runner, or it was reported */
	POOL_NO_ROOM, /* what it asks for is not free */
	POOL_NO_SLOT, /* a slot process is being started */
};

void pool_init(struct pool *p);
/** pool_fini() - all slots are closed. */
void pool_fini(struct worker *w);
/** pool_give() - find a runner for a call that is WAITING or PREPARED. */
enum pool_answer pool_give(struct worker *w, struct attempt *a);
/** pool_request_slot() - one more slot process; if there can be no more, the runner that has been idle
 * for longest gives up its own. */
void pool_request_slot(struct worker *w);
/** pool_make_room() - idle runners end, if what they keep is wanted by something else. */
void pool_make_room(struct worker *w, const struct resources *want);
void pool_flush(struct worker *w);
/** pool_timers() - pings, idle ones, those that do not get ready. Return: when to call it again. */
uint64_t pool_timers(struct worker *w);
/** pool_is_deep() - all runners that are busy have so much to do that the loop may look away for
 * POOL_PAUSE_NS: to be woken by each answer would cost more than the calls. */
bool pool_is_deep(const struct pool *p);
void pool_readable(struct worker *w, uint32_t number);
/** pool_quit() - runners that idle end now. */
void pool_quit(struct worker *w);
