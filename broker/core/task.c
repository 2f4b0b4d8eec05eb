/* task.c - the state of tasks.
 *
 *   WAITING     pending edges, or on core->work, or in front of its batch's start cursor
 *   RESOLVED    in the ring of an execution in LOOKUP; arguments complete
 *   SUBSCRIBED  in the ring of an execution in READY, LEASED, BACKOFF or BLOCKED
 *   over        in no list; commit, attempts and upstream hold what it came to, for ever
 *
 * task_become() is the only writer. Edges of the table and who takes them:
 *   WAITING -> RESOLVED, SUBSCRIBED   exec_subscribe()
 *   RESOLVED -> SUBSCRIBED            exec_become(): the look-up missed
 *   SUBSCRIBED -> RESOLVED            exec_become(): looked up again for more than was asked
 *   RESOLVED, SUBSCRIBED -> WAITING   exec_unsubscribe(): over in a moment, or resolved anew
 *   WAITING -> over                   task_end(), and recover_end() for what was over before */
#include "broker/core/parts.h"

static const uint8_t legal[][7] = {
	[TASK_WAITING] = {[TASK_RESOLVED] = 1,
			  [TASK_SUBSCRIBED] = 1,
			  [TASK_DONE] = 1,
			  [TASK_FAILED] = 1,
			  [TASK_SKIPPED] = 1,
			  [TASK_CANCELLED] = 1},
	[TASK_RESOLVED] = {[TASK_WAITING] = 1, [TASK_SUBSCRIBED] = 1},
	[TASK_SUBSCRIBED] = {[TASK_WAITING] = 1, [TASK_RESOLVED] = 1},
	[TASK_DONE] = {0},
	[TASK_FAILED] = {0},
	[TASK_SKIPPED] = {0},
	[TASK_CANCELLED] = {0},
};

const struct function *task_function(const struct core *core, const struct task *t)
{
	return seg_at(&task_batch(core, t)->functions, t->function);
}

const struct options *task_options(const struct core *core, const struct task *t)
{
	return seg_at(&task_batch(core, t)->options, task_function(core, t)->options);
}

const uint8_t *task_nonce(const struct task *t)
{
	return t->flags & TASK_NONCE ? t->args - NONCE_SIZE : NULL;
}

static enum core_task_status exec_status(const struct execution *e)
{
	switch ((enum exec_state)e->state) {
	case EXEC_LOOKUP:
	case EXEC_READY:
	case EXEC_BACKOFF:
		return CORE_READY;
	case EXEC_LEASED:
		return e->flags & EXEC_WAITS ? CORE_READY : CORE_RUNNING;
	case EXEC_BLOCKED:
	case EXEC_DONE:
	case EXEC_FAILED:
		break;
	}
	return CORE_WAITING;
}

enum core_task_status task_status(const struct core *core, const struct task *t)
{
	switch ((enum task_state)t->state) {
	case TASK_WAITING:
		return CORE_WAITING;
	case TASK_RESOLVED:
	case TASK_SUBSCRIBED:
		return exec_status(exec_at(core, t->exec));
	case TASK_DONE:
		return CORE_COMPLETED;
	case TASK_FAILED:
		return CORE_FAILED;
	case TASK_SKIPPED:
		return CORE_SKIPPED;
	case TASK_CANCELLED:
		return CORE_CANCELLED;
	}
	return CORE_WAITING;
}

void task_count(struct core *core, struct batch *b, enum core_task_status status, int by)
{
	uint64_t n = (uint64_t)(int64_t)by;
	switch (status) {
	case CORE_WAITING:
		b->counts.waiting += n;
		core->totals.waiting += b->sealed ? n : 0;
		break;
	case CORE_READY:
		b->counts.ready += n;
		core->totals.ready += b->sealed ? n : 0;
		break;
	case CORE_RUNNING:
		b->counts.running += n;
		core->totals.running += b->sealed ? n : 0;
		break;
	case CORE_COMPLETED:
	case CORE_FAILED:
	case CORE_SKIPPED:
	case CORE_CANCELLED:
		break;
	}
}

void task_become(struct core *core, struct task *t, enum task_state state)
{
	assert(legal[t->state][state]);
	struct batch *b = task_batch(core, t);
	task_count(core, b, task_status(core, t), -1);
	t->state = (uint8_t)state;
	task_count(core, b, task_status(core, t), 1);
}

void task_drop_old(struct core *core, struct task *t)
{
	if (!(t->flags & TASK_OLD))
		return;
	t->flags &= ~TASK_OLD;
	core->old[t->exec].epoch = 0;
	t->exec = 0;
	core->old_live--;
}

static void count_end(struct batch *b, const struct task_end *end)
{
	switch (end->state) {
	case TASK_DONE:
		if (end->cached)
			b->counts.cached++;
		else if (end->deduplicated)
			b->counts.deduplicated++;
		else
			b->counts.executed++;
		break;
	case TASK_FAILED:
		b->counts.failed++;
		break;
	case TASK_SKIPPED:
		b->counts.skipped++;
		break;
	case TASK_CANCELLED:
		b->counts.cancelled++;
		break;
	case TASK_WAITING:
	case TASK_RESOLVED:
	case TASK_SUBSCRIBED:
		assert(false);
	}
}

static void leave_lists(struct batch *b, const struct task *t)
{
	if (t->in == NO_EDGE)
		return;
	for (uint32_t i = t->in;; i++) {
		struct edge *e = batch_edge(b, i);
		if (e->kind == EDGE_LIST)
			batch_group(b, e->from)->readers--;
		if (e->last)
			break;
	}
}

static void end(struct core *core, struct task *t, const struct task_end *end)
{
	struct batch *b = task_batch(core, t);
	assert(t->state == TASK_WAITING);
	if (t->flags & TASK_LISTED)
		flow_unlist(core, t);
	task_drop_old(core, t);
	t->flags &= ~(TASK_SKIP | TASK_CLAIMED | TASK_HELD);
	task_become(core, t, end->state);
	t->flags |= (end->cached ? TASK_CACHED : 0) |
		    (end->deduplicated ? TASK_DEDUPLICATED : 0);
	t->commit = end->commit;
	t->attempts = end->attempts;
	t->upstream = end->upstream;
	count_end(b, end);
	pause_count(core, t);
	leave_lists(b, t);
}

void task_end_before(struct core *core, struct task *t, const struct task_end *how)
{
	end(core, t, how);
	task_batch(core, t)->live--;
}

static void announce(struct core *core, const struct task *t, const struct task_end *how)
{
	struct core_effect *fx = fx_add(core, CORE_FX_TASK_ENDED);
	fx->batch = task_batch(core, t)->number;
	fx->index = t->index;
	fx->ended.status = task_status(core, t);
	fx->ended.cached = how->cached;
	fx->ended.deduplicated = how->deduplicated;
	fx->ended.commit = how->commit;
	fx->ended.upstream = how->upstream;
	fx->ended.attempts = how->attempts;
}

void task_end(struct core *core, struct task *t, const struct task_end *how)
{
	bool claimed = t->flags & TASK_CLAIMED;
	end(core, t, how);
	announce(core, t, how);
	if (PLANTED(PLANT_FOLLOWER_ENDS_TWICE) && how->deduplicated)
		announce(core, t, how);
	batch_task_over(core, task_batch(core, t), t);
	if (claimed)
		claim_retry_task(core, t); /* it is over: they are refused */
}

void task_cancel(struct core *core, struct task *t)
{
	struct execution *e = NULL;
	uint32_t attempts = 0;
	if (t->state != TASK_WAITING) {
		e = exec_at(core, t->exec);
		attempts = exec_attempts(e) + (e->state == EXEC_LEASED);
		exec_unsubscribe(core, e, t);
	}
	task_end(core, t,
		 &(struct task_end){.state = TASK_CANCELLED, .attempts = attempts});
	flow_fail(core, t, t->index);
	if (e)
		exec_abandon(core, e);
}

/* An execution that has just succeeded and is not durable yet answers better than the ledger. */
static bool join_lingering(struct core *core, struct task *t, const struct execution *e)
{
	if (e->state != EXEC_DONE)
		return false;
	task_end(core, t,
		 &(struct task_end){
			 .state = TASK_DONE, .cached = true, .commit = e->kept->commit});
	flow_deliver(core, t, e->kept->slots, e->kept->slot_count);
	return true;
}

void task_resolve(struct core *core, struct task *t)
{
	assert(t->state == TASK_WAITING && !t->pending);
	if (task_batch(core, t)->cancelled) {
		task_cancel(core, t);
		return;
	}
	struct func *func = task_function(core, t)->func;
	enum core_cache cache = task_options(core, t)->cache;
	const uint8_t *nonce = task_nonce(t);
	uint8_t args_hash[DIGEST_SIZE];
	sha256_digest(t->args, t->args_size, args_hash);
	struct execution *e = exec_find(core, func, args_hash, cache, nonce);
	if (e && e->state == EXEC_DONE && cache != CORE_CACHE_USE) {
		exec_forget(core, e); /* it lingers for its own revivals only */
		e = NULL;
	}
	if (e && join_lingering(core, t, e))
		return;
	bool fresh = !e;
	if (fresh)
		e = exec_new(core, func, args_hash, cache, nonce);
	exec_subscribe(core, e, t);
	if (fresh)
		lookup_want(core, e);
}
