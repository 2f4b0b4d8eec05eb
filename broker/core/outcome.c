/* outcome.c - how executions end, or do not yet: hit, success, failed attempt, quarantine, lost
 * input. One commit per ended execution, then the ends of its tasks, in the order in which they
 * subscribed. */
#include "broker/core/parts.h"

#include <stdlib.h>

uint64_t backoff_ns(uint32_t n)
{
	uint64_t delay = n < 9 ? BACKOFF_FIRST_NS << n : BACKOFF_MAX_NS;
	return delay < BACKOFF_MAX_NS ? delay : BACKOFF_MAX_NS;
}

static uint32_t add_one(uint32_t n)
{
	return n == UINT32_MAX ? n : n + 1;
}

/* The lease's own task if it is still there, else who stands first now. */
static struct task *owner(const struct execution *e, const struct lease *l)
{
	struct task *t = l ? l->task : NULL;
	if (t && !task_over(t) && t->state != TASK_WAITING && t->exec == e->slot)
		return t;
	if (exec_any_task(e))
		return exec_any_task(e);
	return t;
}

static struct core_effect *commit(struct core *core, const struct execution *e,
				  const struct lease *l, const struct task *t)
{
	struct core_effect *fx = fx_add(core, CORE_FX_COMMIT);
	fx->batch = task_batch(core, t)->number;
	fx->index = t->index;
	fx->commit.commit = core->next_commit;
	if (!PLANTED(PLANT_COMMIT_NUMBER_REUSED) || core->next_commit % 16)
		core->next_commit++;
	fx->commit.parent = e->extra ? e->extra->parent : 0;
	fx->commit.cache = e->cache;
	fx->commit.attempts = exec_attempts(e);
	fx->commit.function = t->function;
	fx->commit.args = t->args;
	fx->commit.args_size = t->args_size;
	if (l) {
		lease_describe(core, l, l->worker ? l->worker->key : NULL,
			       &fx->commit.lease);
		fx->worker = l->worker ? l->worker->number : 0;
	} else {
		lease_fill(core, e, t, &fx->commit.lease); /* whose commit it is */
	}
	return fx;
}

struct notice {
	uint64_t token, retry_at;
	uint32_t attempt, attempts_max, worker;
	bool final, died;
};

static void notify(struct core *core, const struct task *t, const struct notice *n)
{
	struct core_effect *fx = fx_add(core, CORE_FX_ATTEMPT_FAILED);
	fx->batch = task_batch(core, t)->number;
	fx->index = t->index;
	fx->worker = n->worker;
	fx->failed.function = t->function;
	fx->failed.attempt = n->attempt;
	fx->failed.attempts_max = n->attempts_max;
	fx->failed.token = n->token;
	fx->failed.final = n->final;
	fx->failed.died = n->died;
	fx->failed.retry_at = n->retry_at;
}

/* Watchers of each batch hear of it once; followers of one batch are behind each other. */
static void notify_batches(struct core *core, const struct execution *e,
			   const struct notice *n)
{
	const struct task *t = e->subs, *before = NULL;
	for (uint32_t i = e->sub_count; i; i--, before = t, t = t->next)
		if (!before || before->batch != t->batch)
			notify(core, t, n);
}

void outcome_hit(struct core *core, struct execution *e, uint64_t seq,
		 const struct content *slots, uint32_t slot_count)
{
	while (e->subs) {
		struct task *t = e->subs;
		exec_unsubscribe(core, e, t);
		task_end(core, t,
			 &(struct task_end){
				 .state = TASK_DONE, .cached = true, .commit = seq});
		flow_deliver(core, t, slots, slot_count);
	}
	revive_delivered(core, e, slots, slot_count);
	exec_forget(core, e);
}

static struct outcome_kept *keep(const struct core *core, const struct report *r,
				 uint64_t seq)
{
	size_t size = (size_t)r->slot_count * sizeof *r->slots;
	struct outcome_kept *kept = mem_resize(NULL, sizeof *kept + size);
	kept->commit = seq;
	kept->step = core->step;
	kept->slot_count = r->slot_count;
	memcpy(kept->slots, r->slots, size);
	return kept;
}

static void end_done(struct core *core, struct execution *e, struct task *t, uint64_t seq,
		     bool follower, const struct report *r)
{
	uint32_t attempts = add_one(exec_attempts(e));
	exec_unsubscribe(core, e, t);
	task_end(core, t,
		 &(struct task_end){.state = TASK_DONE,
				    .commit = seq,
				    .attempts = attempts,
				    .deduplicated = follower});
	flow_deliver(core, t, r->slots, r->slot_count);
}

void outcome_done(struct core *core, struct execution *e, struct lease *l,
		  const struct report *r)
{
	struct task *first = owner(e, l);
	struct core_effect *fx = commit(core, e, l, first);
	uint64_t seq = fx->commit.commit;
	fx->commit.completed = true;
	fx->commit.token = r->token;
	fx->commit.attempts = add_one(exec_attempts(e));
	if (e->lease == l)
		e->lease = NULL; /* who is done needs no floor */
	lease_end(core, l);
	if (e->subs && first->exec == e->slot && !task_over(first))
		end_done(core, e, first, seq, false, r);
	while (e->subs)
		end_done(core, e, e->subs, seq, true, r);
	revive_made(core, e);
	revive_delivered(core, e, r->slots, r->slot_count);
	exec_become(core, e, EXEC_DONE); /* with a nonce: for its own revivals */
	e->kept = keep(core, r, seq);
	queue_push(core, &core->linger, e, false);
}

static void end_failed(struct core *core, struct execution *e, uint64_t seq,
		       const struct notice *n)
{
	while (e->subs) {
		struct task *t = e->subs;
		notify(core, t, n);
		exec_unsubscribe(core, e, t);
		task_end(core, t,
			 &(struct task_end){.state = TASK_FAILED,
					    .commit = seq,
					    .attempts = n->attempt});
		flow_fail(core, t, t->index);
	}
	revive_failed(core, e);
	if (e->lease)
		lease_supersede(core, e->lease);
	exec_become(core, e, EXEC_FAILED);
	exec_unindex(core, e);
	queue_push(core, &core->dead, e, false);
}

static void wait_or_queue(struct core *core, struct execution *e, uint64_t delay_ns)
{
	if (!delay_ns) {
		exec_become(core, e, EXEC_READY);
		schedule_add(core, e, true);
	} else {
		exec_become(core, e, EXEC_BACKOFF);
		exec_extra(e)->retry_at = core->now + delay_ns;
		if (!PLANTED(PLANT_BACKOFF_FOREVER))
			timer_add(core, TIMER_RETRY, e->extra->retry_at, exec_id(e));
	}
	exec_drop_cancelled(core, e);
}

void outcome_back(struct core *core, struct execution *e, uint64_t delay_ns)
{
	if (exec_has_users(e))
		wait_or_queue(core, e, delay_ns);
	else
		exec_forget(core, e);
}

void outcome_failed_attempt(struct core *core, struct execution *e, struct lease *l,
			    const struct report *r, bool final)
{
	struct exec_extra *x = exec_extra(e);
	uint32_t max = add_one(exec_retries(core, e));
	x->attempts = add_one(x->attempts);
	x->losses = 0;
	uint64_t delay = backoff_ns(x->attempts - 1);
	bool more = x->attempts < max ||
		    (PLANTED(PLANT_ONE_RETRY_MORE) && x->attempts == max);
	struct notice n = {.token = r->token,
			   .attempt = x->attempts,
			   .attempts_max = max,
			   .worker = l->worker->number};
	if (more && !final) {
		n.retry_at = core->now + delay;
		notify_batches(core, e, &n);
		lease_end(core, l);
		wait_or_queue(core, e, delay);
		return;
	}
	struct core_effect *fx = commit(core, e, l, owner(e, l));
	uint64_t seq = fx->commit.commit;
	fx->commit.token = r->token;
	n.final = true;
	lease_end(core, l);
	end_failed(core, e, seq, &n);
}

/* Watchers are told: where it is all workers, the batch does not get on. */
bool outcome_no_room(struct core *core, struct execution *e, struct lease *l,
		     const struct report *r)
{
	struct exec_extra *x = exec_extra(e);
	struct notice n = {.token = r->token,
			   .attempt = add_one(x->attempts),
			   .attempts_max = add_one(exec_retries(core, e)),
			   .worker = l->worker->number};
	uint64_t delay = room_refused(core, e, l->worker) ? 0 : backoff_ns(x->losses++);
	bool told = e->subs;
	n.retry_at = core->now + delay;
	notify_batches(core, e, &n);
	lease_end(core, l);
	outcome_back(core, e, delay);
	return told;
}

void outcome_quarantine(struct core *core, struct execution *e)
{
	struct core_effect *fx = commit(core, e, NULL, exec_any_task(e));
	fx->commit.quarantined = true;
	fx->commit.killers = (const uint8_t(*)[KEY_SIZE])e->extra->killers;
	fx->commit.killer_count = e->extra->killer_count;
	end_failed(core, e, fx->commit.commit,
		   &(struct notice){.attempt = exec_attempts(e),
				    .final = true,
				    .died = true,
				    .attempts_max = add_one(exec_retries(core, e))});
}

void outcome_lost_input(struct core *core, struct execution *e, struct lease *l,
			uint64_t token)
{
	struct core_effect *fx = commit(core, e, l, owner(e, l));
	uint64_t seq = fx->commit.commit;
	fx->commit.token = token;
	fx->commit.lost_input = true;
	memcpy(fx->commit.missing, e->extra->missing, DIGEST_SIZE);
	struct notice n = {.token = token,
			   .attempt = exec_attempts(e),
			   .final = true,
			   .attempts_max = add_one(exec_retries(core, e))};
	if (l)
		lease_end(core, l);
	end_failed(core, e, seq, &n);
}
