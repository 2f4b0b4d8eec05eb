/* claim.c - leases that workers say they hold and that are in no table: granted before the broker
 * was restarted. The MAC says that they were granted by this store; whether they still count is
 * judged here.
 *
 * A claim that cannot be judged yet waits: its batch is unknown or not sealed (its client will send
 * it again; parked for park_ns), or its task is not resolved or being looked up (judged when that
 * is answered). Its result, should it come meanwhile, waits with it. Each is in core->claims and in
 * two tables, by epoch and by task. */
#include "broker/core/parts.h"

#include <stdlib.h>

static uint32_t task_hash(const uint8_t batch_id[DIGEST_SIZE], uint32_t index)
{
	uint64_t word;
	memcpy(&word, batch_id, sizeof word);
	return table_hash(word + index);
}

static struct claim *find(const struct core *core, uint64_t epoch)
{
	uint32_t hash = table_hash(epoch), at;
	for (uint32_t slot = table_first(&core->claim_epochs, hash, &at);
	     slot != TABLE_NONE; slot = table_next(&core->claim_epochs, hash, &at)) {
		struct claim *c = pool_at(&core->claim_cells, slot);
		if (c->lease.epoch == epoch)
			return c;
	}
	return NULL;
}

bool claim_waits(const struct core *core, uint64_t epoch)
{
	return find(core, epoch);
}

static struct claim *add(struct core *core, const struct core_lease *lease)
{
	uint32_t slot;
	struct claim *c = pool_take(&core->claim_cells, &slot);
	c->lease = *lease;
	c->slot = slot;
	c->deadline = TIME_NEVER;
	list_add_tail(&core->claims, &c->link);
	table_add(&core->claim_epochs, table_hash(lease->epoch), slot);
	table_add(&core->claim_tasks, task_hash(lease->batch_id, lease->index), slot);
	return c;
}

static void drop(struct core *core, struct claim *c)
{
	list_del(&c->link);
	table_remove(&core->claim_epochs, table_hash(c->lease.epoch), c->slot);
	table_remove(&core->claim_tasks, task_hash(c->lease.batch_id, c->lease.index),
		     c->slot);
	free(c->slots);
	pool_release(&core->claim_cells, c->slot);
}

static void keep_report(struct claim *c, const struct report *r)
{
	size_t size = (size_t)r->slot_count * sizeof *r->slots;
	free(c->slots);
	c->slots = r->slots ? mem_copy(r->slots, size) : NULL;
	c->slot_count = r->slots ? r->slot_count : 0;
	c->outcome = r->outcome;
	c->token = r->token;
	memcpy(c->missing, r->missing, DIGEST_SIZE);
	c->has_report = true;
}

static enum claim_result wait_for(struct core *core, const struct worker *w,
				  const struct core_lease *lease, bool started,
				  bool finished, const struct report *report, bool park)
{
	struct claim *c = find(core, lease->epoch);
	if (!c)
		c = add(core, lease);
	c->worker = w->number;
	c->started |= started;
	c->finished |= finished;
	if (park && c->deadline == TIME_NEVER) {
		c->deadline = core->now + core->config.park_ns;
		timer_add(core, TIMER_CLAIMS, c->deadline, 0);
	}
	if (!park)
		c->deadline = TIME_NEVER;
	if (report)
		keep_report(c, report);
	return CLAIM_WAITS;
}

static bool same_fingerprint(const struct execution *e, const struct task *t,
			     const struct core_lease *lease)
{
	const uint8_t *nonce = task_nonce(t);
	return !memcmp(e->func->hash, lease->func_hash, DIGEST_SIZE) &&
	       !memcmp(e->args_hash, lease->args_hash, DIGEST_SIZE) &&
	       lease->has_nonce == !!nonce &&
	       (!nonce || !memcmp(nonce, lease->nonce, NONCE_SIZE));
}

static void adopt(struct core *core, struct worker *w, struct execution *e,
		  struct task *t, const struct core_lease *lease, bool finished)
{
	bool leased = e->state == EXEC_LEASED;
	if (leased)
		lease_stop(core, e->lease, CORE_STOP_STALE); /* the higher epoch wins */
	struct lease *l = lease_add(core, w, e, t, lease->epoch, lease->mac);
	if (!finished)
		lease_put(core, l,
			  worker_fits(w, l->class, true) ? LEASE_PLACED : LEASE_QUEUED);
	if (!leased)
		exec_become(core, e, EXEC_LEASED);
	worker_update(core, w);
}

enum claim_result claim_judge(struct core *core, struct worker *w,
			      const struct core_lease *lease, bool started, bool finished,
			      const struct report *report)
{
	/* Leases of this boot are in the table until they are over. */
	if (lease->epoch >> 32 >= core->config.boot ||
	    memcmp(lease->worker_key, w->key, KEY_SIZE) != 0 ||
	    !lease_verify_with(lease, &core->signer))
		return CLAIM_REFUSED;
	struct batch *b = batch_find_id(core, lease->batch_id);
	if (!b || !b->sealed)
		return wait_for(core, w, lease, started, finished, report, true);
	if (lease->index >= b->tasks.count)
		return CLAIM_REFUSED;
	struct task *t = batch_task(b, lease->index);
	if (task_over(t))
		return CLAIM_REFUSED;
	struct execution *e = t->state == TASK_WAITING ? NULL : exec_at(core, t->exec);
	if (e &&
	    (!same_fingerprint(e, t, lease) ||
	     (e->extra && lease->epoch < e->extra->floor) || e->state == EXEC_BLOCKED))
		return CLAIM_REFUSED;
	if (!e || e->state == EXEC_LOOKUP) {
		t->flags |= TASK_CLAIMED;
		if (e)
			e->flags |= EXEC_CLAIMED;
		return wait_for(core, w, lease, started, finished, report, false);
	}
	if (e->lease && e->lease->epoch >= lease->epoch)
		return CLAIM_REFUSED;
	adopt(core, w, e, t, lease, finished);
	return CLAIM_ADOPTED;
}

/* A running attempt is to be stopped; a finished one only to be forgotten. */
static void refuse(struct core *core, const struct worker *w, uint64_t epoch,
		   bool finished, uint64_t token, enum core_stop_why why)
{
	core->refused_results++;
	struct core_effect *fx = fx_add(core, finished ? CORE_FX_VERDICT : CORE_FX_STOP);
	fx->worker = w->number;
	if (finished) {
		fx->verdict.epoch = epoch;
		fx->verdict.verdict = CORE_STALE;
		fx->verdict.token = token;
	} else {
		fx->stop.epoch = epoch;
		fx->stop.why = why;
	}
}

/* A lease of this core that @w still holds, after it joined again. */
static void confirm(struct core *core, struct worker *w, struct lease *l, bool started,
		    bool finished)
{
	if (l->state == LEASE_EXPIRED)
		lease_reinstate(core, l, w);
	l->unconfirmed = false;
	if (finished && l->place != LEASE_NOWHERE) {
		lease_put(core, l, LEASE_NOWHERE);
		worker_promote(core, w);
		schedule_room(core);
	} else if (started && l->place == LEASE_QUEUED &&
		   worker_fits(w, l->class, true)) {
		lease_put(core, l, LEASE_PLACED);
	}
	if (!exec_has_users(exec_find_id(core, l->exec)) && !finished)
		lease_stop(core, l, CORE_STOP_CANCELLED);
}

void claim_take(struct core *core, struct worker *w, const struct core_lease *lease,
		bool started, bool finished)
{
	struct lease *l = lease_find(core, lease->epoch);
	if (!l) {
		if (claim_judge(core, w, lease, started, finished, NULL) == CLAIM_REFUSED)
			refuse(core, w, lease->epoch, finished, 0, CORE_STOP_STALE);
		return;
	}
	if (l->worker && l->worker != w) {
		refuse(core, w, lease->epoch, finished, 0, CORE_STOP_STALE);
		return;
	}
	if (l->state == LEASE_STALE) {
		l->unconfirmed = false;
		l->stopping = !finished;
		refuse(core, w, lease->epoch, finished, 0, CORE_STOP_STALE);
		if (finished)
			lease_end(core, l);
		return;
	}
	if (lease_matches(core, l, w, lease))
		confirm(core, w, l, started, finished);
	else
		refuse(core, w, lease->epoch, finished, 0, CORE_STOP_STALE);
}

/* Judges a claim that waited; frees it unless it waits on. */
static void retry(struct core *core, struct claim *c)
{
	struct claim copy = *c;
	c->slots = NULL; /* the copy has them now */
	drop(core, c);
	struct worker *w = worker_find(core, copy.worker);
	struct report r = {copy.outcome, copy.slots, copy.slot_count, copy.missing,
			   copy.token};
	const struct report *report = copy.has_report ? &r : NULL;
	if (w) {
		switch (claim_judge(core, w, &copy.lease, copy.started, copy.finished,
				    report)) {
		case CLAIM_REFUSED:
			refuse(core, w, copy.lease.epoch, copy.finished, copy.token,
			       CORE_STOP_STALE);
			break;
		case CLAIM_WAITS:
			break;
		case CLAIM_ADOPTED:
			if (report)
				result_take(core, w, &copy.lease, report);
			break;
		}
	}
	free(copy.slots);
}

/* Claims that match, by epoch: judging one may change all tables. */
struct waiting {
	uint64_t *epochs;
	uint32_t count, capacity;
};

static void waiting_fini(struct waiting *v)
{
	free(v->epochs);
}

static void note(struct waiting *v, const struct claim *c)
{
	mem_grow(v->epochs, v->count, v->capacity);
	v->epochs[v->count++] = c->lease.epoch;
}

static void retry_noted(struct core *core, const struct waiting *v)
{
	for (uint32_t i = 0; i < v->count; i++) {
		struct claim *c = find(core, v->epochs[i]);
		if (c)
			retry(core, c);
	}
}

void claim_retry_task(struct core *core, const struct task *t)
{
	CLEANUP(waiting_fini) struct waiting v = {0};
	const struct batch *b = task_batch(core, t);
	uint32_t hash = task_hash(b->id, t->index), at;
	for (uint32_t slot = table_first(&core->claim_tasks, hash, &at);
	     slot != TABLE_NONE; slot = table_next(&core->claim_tasks, hash, &at)) {
		struct claim *c = pool_at(&core->claim_cells, slot);
		if (c->lease.index == t->index &&
		    !memcmp(c->lease.batch_id, b->id, DIGEST_SIZE))
			note(&v, c);
	}
	retry_noted(core, &v);
}

void claim_retry_exec(struct core *core, struct execution *e)
{
	core_exec_id id = exec_id(e);
	e->flags &= ~EXEC_CLAIMED;
	struct task *t = e->subs;
	uint32_t n = e->sub_count;
	while (n && e) {
		if (!(t->flags & TASK_CLAIMED)) {
			t = t->next;
			n--;
			continue;
		}
		t->flags &= ~TASK_CLAIMED;
		claim_retry_task(core, t);
		e = exec_find_id(core, id);
		t = e ? e->subs : NULL; /* it may have ended: from the start */
		n = e ? e->sub_count : 0;
	}
}

void claim_retry_batch(struct core *core, const uint8_t id[DIGEST_SIZE])
{
	CLEANUP(waiting_fini) struct waiting v = {0};
	struct list *pos;
	list_for_each (pos, &core->claims)
		if (!memcmp(container_of(pos, struct claim, link)->lease.batch_id, id,
			    DIGEST_SIZE))
			note(&v, container_of(pos, struct claim, link));
	retry_noted(core, &v);
}

void claim_expire(struct core *core)
{
	struct list *pos, *tmp;
	list_for_each_safe (pos, tmp, &core->claims) {
		struct claim *c = container_of(pos, struct claim, link);
		const struct worker *w = worker_find(core, c->worker);
		if (c->deadline > core->now)
			continue;
		if (w)
			refuse(core, w, c->lease.epoch, c->finished, c->token,
			       CORE_STOP_UNKNOWN);
		drop(core, c);
	}
}

void claim_drop_worker(struct core *core, uint32_t worker)
{
	struct list *pos, *tmp;
	list_for_each_safe (pos, tmp, &core->claims) {
		struct claim *c = container_of(pos, struct claim, link);
		if (c->worker == worker)
			drop(core, c);
	}
}

void claim_free_all(struct core *core)
{
	while (!list_empty(&core->claims))
		drop(core, container_of(core->claims.next, struct claim, link));
	table_free_all(&core->claim_epochs);
	table_free_all(&core->claim_tasks);
	pool_fini(&core->claim_cells);
}
