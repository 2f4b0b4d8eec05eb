/* execution.c - the work for one fingerprint, and who waits for it.
 *
 *   LOOKUP   in core->lookups, or asked: one answer will come
 *   READY    in a ready queue, or held: batch paused, restart (rule 6). lease: an expired one or none
 *   LEASED   lease is CURRENT
 *   BACKOFF  a timer brings it back to READY
 *   BLOCKED  extra->blocked revivals will bring it back
 *   DONE     nobody subscribes; in core->linger until durable, so that equal tasks find it
 *   FAILED   nobody subscribes; in core->dead until the next step
 *
 * exec_become() is the only writer. Edges and who takes them:
 *   LOOKUP -> READY            lookup_answer(): a miss; revive_task(): known to be gone
 *   READY -> LEASED            lease_grant(), claim_judge(), lease_reinstate()
 *   BACKOFF -> LEASED          claim_judge(), lease_reinstate()
 *   LEASED -> READY, BACKOFF   lease_expire(), outcome_back(), outcome_failed_attempt()
 *   BACKOFF -> READY           timer_run()
 *   LEASED -> BLOCKED -> READY missing_revive(), and when its inputs are back
 *   LEASED -> DONE             outcome_done()
 *   READY, LEASED, BACKOFF, BLOCKED -> FAILED   outcome.c
 * An execution without users vanishes from any state but LEASED, which is told to stop. */
#include "broker/core/parts.h"

#include <stdlib.h>

static const uint8_t legal[][7] = {
	[EXEC_LOOKUP] = {[EXEC_READY] = 1},
	[EXEC_READY] = {[EXEC_LEASED] = 1, [EXEC_FAILED] = 1},
	[EXEC_LEASED] = {[EXEC_READY] = 1,
			 [EXEC_BACKOFF] = 1,
			 [EXEC_BLOCKED] = 1,
			 [EXEC_DONE] = 1,
			 [EXEC_FAILED] = 1},
	[EXEC_BACKOFF] = {[EXEC_READY] = 1, [EXEC_LEASED] = 1, [EXEC_FAILED] = 1},
	[EXEC_BLOCKED] = {[EXEC_READY] = 1, [EXEC_FAILED] = 1},
	[EXEC_DONE] = {0},
	[EXEC_FAILED] = {0},
};

static uint32_t fingerprint_hash(const struct core *core, const struct func *func,
				 const uint8_t args_hash[DIGEST_SIZE],
				 const uint8_t *nonce)
{
	uint64_t args, function, extra = 0;
	memcpy(&args, args_hash, sizeof args);
	memcpy(&function, func->hash, sizeof function);
	if (nonce)
		memcpy(&extra, nonce, sizeof extra);
	return table_hash((args ^ core->secret) + function * 0x9e3779b97f4a7c15ull +
			  extra);
}

struct exec_extra *exec_extra(struct execution *e)
{
	if (!e->extra) {
		e->extra = mem_alloc(sizeof *e->extra);
		list_init(&e->extra->revivals);
	}
	return e->extra;
}

void exec_free_extra(struct execution *e)
{
	if (!e->extra)
		return;
	free(e->extra->killers);
	free(e->extra->full);
	free(e->extra);
	e->extra = NULL;
}

static const uint8_t *exec_nonce(const struct execution *e)
{
	return e->cache == CORE_CACHE_USE ? NULL : e->extra->nonce;
}

struct execution *exec_find_id(const struct core *core, core_exec_id id)
{
	uint32_t slot = (uint32_t)(id >> 32), generation = (uint32_t)id;
	if (!generation || !pool_has(&core->execs, slot))
		return NULL;
	struct execution *e = exec_at(core, slot);
	return e->slot == slot && e->generation == generation ? e : NULL;
}

struct execution *exec_find(const struct core *core, const struct func *func,
			    const uint8_t args_hash[DIGEST_SIZE], enum core_cache cache,
			    const uint8_t *nonce)
{
	const struct table *t = &core->fingerprints;
	uint32_t hash = fingerprint_hash(core, func, args_hash, nonce), at;
	for (uint32_t slot = table_first(t, hash, &at); slot != TABLE_NONE;
	     slot = table_next(t, hash, &at)) {
		struct execution *e = exec_at(core, slot);
		if (e->func == func && e->cache == cache &&
		    !memcmp(e->args_hash, args_hash, DIGEST_SIZE) &&
		    (!nonce || !memcmp(e->extra->nonce, nonce, NONCE_SIZE)))
			return e;
	}
	return NULL;
}

bool core_has_execution(const struct core *core, const uint8_t func_hash[DIGEST_SIZE],
			const uint8_t args_hash[DIGEST_SIZE], const uint8_t *nonce)
{
	const struct table *t = &core->fingerprints;
	struct func func;
	memcpy(func.hash, func_hash, DIGEST_SIZE);
	uint32_t hash = fingerprint_hash(core, &func, args_hash, nonce), at;
	for (uint32_t slot = table_first(t, hash, &at); slot != TABLE_NONE;
	     slot = table_next(t, hash, &at)) {
		const struct execution *e = exec_at(core, slot);
		const uint8_t *has = exec_nonce(e);
		if (e->state != EXEC_DONE && e->state != EXEC_FAILED && !has == !nonce &&
		    !memcmp(e->func->hash, func_hash, DIGEST_SIZE) &&
		    !memcmp(e->args_hash, args_hash, DIGEST_SIZE) &&
		    (!nonce || !memcmp(has, nonce, NONCE_SIZE)))
			return true;
	}
	return false;
}

struct execution *exec_new(struct core *core, struct func *func,
			   const uint8_t args_hash[DIGEST_SIZE], enum core_cache cache,
			   const uint8_t *nonce)
{
	uint32_t slot;
	struct execution *e = pool_take(&core->execs, &slot);
	if (++core->generation == 0)
		core->generation = 1;
	e->slot = slot;
	e->generation = core->generation;
	e->func = func;
	func_ref(func);
	memcpy(e->args_hash, args_hash, DIGEST_SIZE);
	e->state = EXEC_LOOKUP;
	e->cache = (uint8_t)cache;
	e->prev = e->next = NO_SLOT;
	if (nonce)
		memcpy(exec_extra(e)->nonce, nonce, NONCE_SIZE);
	table_add(&core->fingerprints, fingerprint_hash(core, func, args_hash, nonce),
		  slot);
	e->flags |= EXEC_INDEXED;
	return e;
}

void exec_unindex(struct core *core, struct execution *e)
{
	if (!(e->flags & EXEC_INDEXED))
		return;
	table_remove(&core->fingerprints,
		     fingerprint_hash(core, e->func, e->args_hash, exec_nonce(e)),
		     e->slot);
	e->flags &= ~EXEC_INDEXED;
}

void exec_forget(struct core *core, struct execution *e)
{
	assert(!exec_has_users(e));
	if (e->queue)
		queue_remove(core, e);
	exec_unindex(core, e);
	if (e->state == EXEC_DONE)
		free(e->kept);
	else if (e->lease)
		lease_supersede(core, e->lease);
	func_unref(core, e->func);
	exec_free_extra(e);
	e->generation = 0;
	pool_release(&core->execs, e->slot);
}

bool exec_has_users(const struct execution *e)
{
	return e->subs || revive_uses(e);
}

/* Tasks of an execution that leaves or enters LOOKUP change their own state with it. */
static void follow_lookup(struct core *core, struct execution *e, enum task_state state)
{
	struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next)
		task_become(core, t, state);
}

static void count_all(struct core *core, struct execution *e, int by)
{
	struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next)
		task_count(core, task_batch(core, t), task_status(core, t), by);
}

void exec_become(struct core *core, struct execution *e, enum exec_state state)
{
	assert(legal[e->state][state]);
	if (e->queue)
		queue_remove(core, e);
	bool was_lookup = e->state == EXEC_LOOKUP;
	count_all(core, e, -1);
	e->state = (uint8_t)state;
	e->flags &= (uint16_t)~EXEC_WAITS;
	if (state == EXEC_LEASED && e->lease->place == LEASE_QUEUED)
		e->flags |= EXEC_WAITS;
	count_all(core, e, 1);
	if (was_lookup)
		follow_lookup(core, e, TASK_SUBSCRIBED);
}

void exec_moved(struct core *core, struct execution *e)
{
	if (e->state != EXEC_LEASED ||
	    (e->lease->place == LEASE_QUEUED) == !!(e->flags & EXEC_WAITS))
		return;
	count_all(core, e, -1);
	e->flags ^= EXEC_WAITS;
	count_all(core, e, 1);
}

/* What @t needs of a hit, and what it brings from before a restart. */
static void bring(struct core *core, struct execution *e, struct task *t,
		  uint32_t old_number)
{
	e->flags |= t->flags & TASK_READ ? EXEC_WANT_SLOTS : EXEC_WANT_BYTES;
	if (t->flags & TASK_HELD)
		e->flags |= EXEC_HELD;
	if (t->flags & TASK_CLAIMED)
		e->flags |= EXEC_CLAIMED;
	if (!(t->flags & TASK_OLD))
		return;
	const struct old_lease *old = &core->old[old_number];
	struct exec_extra *x = exec_extra(e);
	uint32_t failed = old->attempt ? old->attempt - 1 : 0;
	x->attempts = x->attempts > failed ? x->attempts : failed;
	x->deaths = x->deaths > old->deaths ? x->deaths : old->deaths;
	x->floor = x->floor > old->epoch ? x->floor : old->epoch;
	t->flags &= ~TASK_OLD;
	core->old_live--;
}

/* A new subscriber may be able to pay where those before it could not, or asks for something else for
 * which there may be room. */
static void improve_place(struct core *core, struct execution *e, const struct task *t)
{
	const struct batch *b = task_batch(core, t);
	struct queue *q = e->queue;
	if (q == &core->held || b->cancelled)
		return;
	bool held = !q->class;
	bool limited = q->limit != NO_SLOT && !b->max_parallel;
	const struct class *class = task_options(core, t)->class;
	bool unfit = !held && q->class != class && !class_fits(core, q->class);
	bool differs = !held && class_may_stand_in(class, q->class) &&
		       q->other != class && !q->many;
	if (b->paused && !differs) /* its request counts when it goes on */
		return;
	if (!held && !limited && !unfit && !differs &&
	    task_options(core, t)->priority <= q->priority) {
		core->schedule = true; /* one limit may be reached, the other not */
		return;
	}
	queue_remove(core, e);
	schedule_add(core, e, false);
}

void exec_subscribe(struct core *core, struct execution *e, struct task *t)
{
	assert(t->state == TASK_WAITING && !(t->flags & TASK_LISTED));
	uint32_t old_number = t->exec;
	t->exec = e->slot;
	if (e->subs) {
		t->prev = e->subs->prev;
		t->next = e->subs;
		t->prev->next = t->next->prev = t;
	} else {
		e->subs = t->prev = t->next = t;
	}
	e->sub_count++;
	bring(core, e, t, old_number);
	task_become(core, t, e->state == EXEC_LOOKUP ? TASK_RESOLVED : TASK_SUBSCRIBED);
	if (e->state == EXEC_READY)
		improve_place(core, e, t);
	if (t->flags & TASK_CLAIMED && e->state != EXEC_LOOKUP)
		claim_retry_exec(core, e);
}

/* Whoever leaves may have been the only one to ask for what @e waits for: it may wait behind others who do
 * ask for that, so it moves now. Of many subscribers the last ones to stay see to it. */
static void leave_place(struct core *core, struct execution *e, const struct task *left)
{
	const struct queue *q = e->queue;
	const struct task *t = e->subs;
	bool live = false;
	if (q->class != task_options(core, left)->class || e->sub_count > SPONSOR_LOOK)
		return;
	for (uint32_t n = e->sub_count; n; n--, t = t->next) {
		const struct batch *b = task_batch(core, t);
		if (b->paused || b->cancelled)
			continue;
		if (task_options(core, t)->class == q->class)
			return;
		live = true;
	}
	if (live) {
		queue_remove(core, e);
		schedule_add(core, e, false);
	}
}

void exec_unsubscribe(struct core *core, struct execution *e, struct task *t)
{
	assert(t->exec == e->slot && e->sub_count);
	task_become(core, t, TASK_WAITING);
	if (t->next == t) {
		e->subs = NULL;
	} else {
		t->prev->next = t->next;
		t->next->prev = t->prev;
		if (e->subs == t)
			e->subs = t->next;
	}
	t->prev = t->next = NULL;
	t->exec = 0;
	e->sub_count--;
	e->flags |= EXEC_CHECK;
	if (e->queue && e->state == EXEC_READY && e->subs) {
		if (PLANTED(PLANT_CANCEL_KILLS_FOLLOWER)) {
			queue_remove(core, e);
		} else if (!e->queue->class && e->queue != &core->held) {
			queue_remove(
				core,
				e); /* it lay with a paused batch, perhaps this one */
			schedule_add(core, e, false);
		} else if (e->queue->class) {
			leave_place(core, e, t);
		}
	}
}

void exec_abandon(struct core *core, struct execution *e)
{
	if (exec_has_users(e))
		return;
	if (e->state == EXEC_LEASED)
		lease_stop(core, e->lease, CORE_STOP_CANCELLED);
	else
		exec_forget(core, e);
}

struct task *exec_any_task(const struct execution *e)
{
	return e->subs ? e->subs : revive_first_task(e);
}

/* first_sponsor() - one that has no limit, or has not reached it. */
static struct task *first_sponsor(const struct core *core, const struct execution *e)
{
	struct task *t = e->subs, *limited = NULL;
	for (uint32_t n = e->sub_count; n; n--, t = t->next) {
		const struct batch *b = task_batch(core, t);
		if (b->paused || b->cancelled)
			continue;
		if (!b->max_parallel)
			return t;
		if (!limited || task_batch(core, limited)->running >=
					task_batch(core, limited)->max_parallel)
			limited = t;
	}
	return limited ? limited : revive_first_task(e);
}

/* fitting_sponsor() - the newest one whose request some worker could hold; NULL: none is seen. */
static struct task *fitting_sponsor(const struct core *core, const struct execution *e,
				    const struct class *unfit)
{
	struct task *t = e->subs->prev, *limited = NULL;
	uint32_t looks = e->sub_count < SPONSOR_LOOK ? e->sub_count : SPONSOR_LOOK;
	for (; looks; looks--, t = t->prev) {
		const struct batch *b = task_batch(core, t);
		const struct class *class = task_options(core, t)->class;
		if (b->paused || b->cancelled || class == unfit)
			continue;
		if (!class_fits(core, class))
			unfit = class;
		else if (!b->max_parallel || b->running < b->max_parallel)
			return t;
		else
			limited = t;
	}
	return limited;
}

struct task *exec_sponsor(const struct core *core, const struct execution *e)
{
	struct task *t = first_sponsor(core, e);
	if (!t || e->sub_count < 2 || class_fits(core, task_options(core, t)->class))
		return t;
	struct task *other = fitting_sponsor(core, e, task_options(core, t)->class);
	return other ? other : t;
}

uint32_t exec_retries(const struct core *core, const struct execution *e)
{
	uint32_t most = 0;
	struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next) {
		uint32_t retries = task_options(core, t)->retries;
		most = most > retries ? most : retries;
	}
	if (!e->subs && revive_first_task(e))
		most = task_options(core, revive_first_task(e))->retries;
	return most;
}

/* No timeout is the largest one. */
uint64_t exec_timeout(const struct core *core, const struct execution *e)
{
	uint64_t most = 0;
	struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next) {
		uint64_t timeout = task_options(core, t)->timeout_ns;
		if (!timeout)
			return 0;
		most = most > timeout ? most : timeout;
	}
	if (!e->subs && revive_first_task(e))
		most = task_options(core, revive_first_task(e))->timeout_ns;
	return most;
}

bool exec_drop_cancelled(struct core *core, struct execution *e)
{
	core_exec_id id = exec_id(e);
	struct task *t = e->subs, *next;
	for (uint32_t n = e->sub_count; n; n--, t = next) {
		next = t->next;
		if (task_batch(core, t)->cancelled)
			task_cancel(core, t);
	}
	return exec_find_id(core, id) == e;
}

void exec_linger_done(struct core *core)
{
	while (core->linger.count) {
		struct execution *e = exec_at(core, core->linger.head);
		if (e->kept->step > core->durable)
			break;
		exec_forget(core, e);
	}
}

void exec_bury(struct core *core)
{
	while (core->dead.count)
		exec_forget(core, exec_at(core, core->dead.head));
}
