/* grant.c - leases: the right of one worker to make one attempt.
 *
 *   CURRENT  its execution is LEASED and execution->lease is it; pins its batch, counts in running
 *   EXPIRED  taken away, execution->lease still is it: until another is granted a result counts;
 *            pins its batch
 *   STALE    nothing that its holder says changes anything; kept until the attempt is proved over
 *
 * lease_become() is the only writer. CURRENT -> EXPIRED lease_expire(), EXPIRED -> CURRENT
 * lease_reinstate(), either -> STALE lease_supersede(). lease_end() frees from any state.
 *
 * Deaths. A task that kills its workers is quarantined, so one that only suffers with them must not be
 * taken for it. A death counts against the execution when the process that ran an attempt is
 * gone while it held the lease: a disconnect whose grace is over, or a new process of the same
 * worker that does not claim it. Silence alone is no death (a stopped process, a cut network, an
 * overloaded machine), nor is a lease that still waited on the worker, or a farewell. What was
 * counted for a disconnect is taken back when that same process is heard of again.
 *
 * A lease occupies its worker (place) until it ends, also while the worker is silent and when it is
 * STALE: the processes are there until the opposite is proved. Only CURRENT ones are ever placed
 * anew, so what is placed never exceeds the capacity. */
#include "broker/core/parts.h"

static const uint8_t legal[][3] = {
	[LEASE_CURRENT] = {[LEASE_EXPIRED] = 1, [LEASE_STALE] = 1},
	[LEASE_EXPIRED] = {[LEASE_CURRENT] = 1, [LEASE_STALE] = 1},
	[LEASE_STALE] = {0},
};

struct lease *lease_find(const struct core *core, uint64_t epoch)
{
	uint32_t hash = table_hash(epoch), at;
	for (uint32_t slot = table_first(&core->epoch_table, hash, &at);
	     slot != TABLE_NONE; slot = table_next(&core->epoch_table, hash, &at)) {
		struct lease *l = pool_at(&core->leases, slot);
		if (l->epoch == epoch)
			return l;
	}
	return NULL;
}

/* A batch at its max_parallel may have room again. */
static void count_running(struct core *core, struct batch *b, int by)
{
	b->running += (uint32_t)by;
	if (b->max_parallel && by < 0)
		core->schedule = true;
}

static void count_unproven(const struct core *core, const struct lease *l, int by)
{
	struct execution *e = exec_find_id(core, l->exec);
	if (e)
		exec_extra(e)->unproven += (uint32_t)by;
}

static void let_go(struct core *core, struct lease *l)
{
	struct batch *b = task_batch(core, l->task);
	l->task = NULL;
	batch_unpin(core, b);
}

void lease_become(struct core *core, struct lease *l, enum lease_state state)
{
	assert(legal[l->state][state]);
	struct batch *b = task_batch(core, l->task);
	if (l->state == LEASE_CURRENT) {
		count_running(core, b, -1);
		count_unproven(core, l, 1);
	}
	l->state = (uint8_t)state;
	if (state == LEASE_CURRENT) {
		count_running(core, b, 1);
		count_unproven(core, l, -1);
	}
	if (state == LEASE_STALE)
		let_go(core, l);
}

void lease_put(struct core *core, struct lease *l, enum lease_place place)
{
	struct worker *w = l->worker;
	fair_moves(l, place);
	list_del(&l->link);
	w->counts[l->place]--;
	if (l->place == LEASE_PLACED)
		worker_use(w, l->class, false);
	l->place = (uint8_t)place;
	if (place == LEASE_QUEUED) {
		const struct list *first = w->leases[LEASE_QUEUED].next;
		w->mixed = w->counts[LEASE_QUEUED] &&
			   (w->mixed ||
			    container_of(first, const struct lease, link)->class !=
				    l->class);
	}
	list_add_tail(&w->leases[place], &l->link);
	w->counts[place]++;
	if (place == LEASE_PLACED)
		worker_use(w, l->class, true);
	struct execution *e = exec_find_id(core, l->exec);
	if (e && e->state == EXEC_LEASED && e->lease == l)
		exec_moved(core, e);
}

struct lease *lease_add(struct core *core, struct worker *w, struct execution *e,
			struct task *t, uint64_t epoch, const uint8_t mac[CORE_MAC_SIZE])
{
	if (e->lease)
		lease_supersede(core, e->lease);
	uint32_t slot;
	struct batch *b = task_batch(core, t);
	struct lease *l = pool_take(&core->leases, &slot);
	l->epoch = epoch;
	l->exec = exec_id(e);
	l->task = t;
	l->batch = b->number;
	l->index = t->index;
	l->slot = slot;
	l->worker = w;
	l->class = task_options(core, t)->class;
	class_ref(l->class);
	l->granted_at = core->now;
	l->priority = e->queue && e->queue->class ? e->queue->priority
						  : task_options(core, t)->priority;
	l->state = LEASE_CURRENT;
	l->place = LEASE_NOWHERE;
	list_add_tail(&w->leases[LEASE_NOWHERE], &l->link);
	w->counts[LEASE_NOWHERE]++;
	if (mac)
		memcpy(l->mac, mac, CORE_MAC_SIZE);
	table_add(&core->epoch_table, table_hash(epoch), slot);
	b->pins++;
	count_running(core, b, 1);
	e->lease = l;
	exec_moved(core, e);
	return l;
}

void lease_fill(const struct core *core, const struct execution *e, const struct task *t,
		struct core_lease *out)
{
	memset(out, 0, sizeof *out);
	memcpy(out->batch_id, task_batch(core, t)->id, DIGEST_SIZE);
	out->index = t->index;
	memcpy(out->func_hash, e->func->hash, DIGEST_SIZE);
	memcpy(out->args_hash, e->args_hash, DIGEST_SIZE);
	if (task_nonce(t)) {
		out->has_nonce = true;
		memcpy(out->nonce, task_nonce(t), NONCE_SIZE);
	}
}

void lease_describe(const struct core *core, const struct lease *l,
		    const uint8_t key[KEY_SIZE], struct core_lease *out)
{
	lease_fill(core, exec_find_id(core, l->exec), l->task, out);
	out->epoch = l->epoch;
	if (key)
		memcpy(out->worker_key, key, KEY_SIZE);
	memcpy(out->mac, l->mac, CORE_MAC_SIZE);
}

bool lease_matches(const struct core *core, const struct lease *l, const struct worker *w,
		   const struct core_lease *got)
{
	struct core_lease want;
	if (PLANTED(PLANT_NO_LEASE_CHECK))
		return true;
	lease_describe(core, l, w->key, &want);
	return got->index == want.index && got->epoch == want.epoch &&
	       got->has_nonce == want.has_nonce &&
	       !memcmp(got->batch_id, want.batch_id, DIGEST_SIZE) &&
	       !memcmp(got->func_hash, want.func_hash, DIGEST_SIZE) &&
	       !memcmp(got->args_hash, want.args_hash, DIGEST_SIZE) &&
	       (!want.has_nonce || !memcmp(got->nonce, want.nonce, NONCE_SIZE)) &&
	       !memcmp(got->worker_key, want.worker_key, KEY_SIZE) &&
	       !memcmp(got->mac, want.mac, CORE_MAC_SIZE);
}

/* Only the assignment of a task that depends on nothing may leave before its step is durable. */
static bool may_be_early(const struct task *t)
{
	return t->in == NO_EDGE || PLANTED(PLANT_EARLY_READER);
}

void lease_grant(struct core *core, struct worker *w, struct execution *e, struct task *t,
		 bool placed)
{
	uint64_t epoch = core->config.boot << 32 | ++core->epochs;
	struct lease *l = lease_add(core, w, e, t, epoch, NULL);
	lease_put(core, l, placed ? LEASE_PLACED : LEASE_QUEUED);
	exec_become(core, e, EXEC_LEASED);
	uint32_t retries = exec_retries(core, e);
	struct core_effect *fx = fx_add(core, CORE_FX_GRANT);
	fx->batch = l->batch;
	fx->index = l->index;
	fx->worker = w->number;
	lease_describe(core, l, w->key, &fx->grant.lease);
	lease_sign_with(&fx->grant.lease, &core->signer);
	memcpy(l->mac, fx->grant.lease.mac, CORE_MAC_SIZE);
	fx->grant.function = t->function;
	fx->grant.attempt = exec_attempts(e) + 1;
	fx->grant.attempts_max = retries == UINT32_MAX ? retries : retries + 1;
	if (fx->grant.attempts_max < fx->grant.attempt)
		fx->grant.attempts_max =
			fx->grant.attempt; /* who allowed more has left */
	fx->grant.timeout_ns = exec_timeout(core, e);
	fx->grant.args = t->args;
	fx->grant.args_size = t->args_size;
	fx->grant.early = may_be_early(t);
	fx->grant.deaths = e->extra ? e->extra->deaths : 0;
}

void lease_stop(struct core *core, struct lease *l, enum core_stop_why why)
{
	if (l->stopping || !l->worker)
		return;
	l->stopping = true;
	struct core_effect *fx = fx_add(core, CORE_FX_STOP);
	fx->batch = l->batch;
	fx->index = l->index;
	fx->worker = l->worker->number;
	fx->stop.epoch = l->epoch;
	fx->stop.why = why;
}

/* Leases of former boots could be claimed again: whoever claims one that is over must be told, also when
 * what was granted in its place is over, too. */
static void raise_floor(struct execution *e, uint64_t epoch)
{
	struct exec_extra *x = exec_extra(e);
	if (x->floor <= epoch)
		x->floor = epoch + 1;
}

void lease_supersede(struct core *core, struct lease *l)
{
	struct execution *e = exec_find_id(core, l->exec);
	assert(e && e->lease == l);
	raise_floor(e, l->epoch);
	e->lease = NULL;
	lease_become(core, l, LEASE_STALE);
	if (!l->worker)
		lease_end(core, l); /* its worker was forgotten: nothing to wait for */
}

static void leave_worker(struct core *core, struct lease *l)
{
	struct worker *w = l->worker;
	uint64_t used[CORE_RESOURCES_MAX];
	bool more = false;
	for (uint32_t i = 0; i < w->capacity_count; i++)
		used[i] = w->capacity[i].used;
	lease_put(core, l, LEASE_NOWHERE);
	list_del(&l->link);
	w->counts[LEASE_NOWHERE]--;
	worker_promote(core, w);
	for (uint32_t i = 0; i < w->capacity_count; i++)
		more |= w->capacity[i].used < used[i];
	worker_update(core, w);
	schedule_ended(core, w, more);
}

void lease_end(struct core *core, struct lease *l)
{
	struct execution *e = exec_find_id(core, l->exec);
	if (e && e->state != EXEC_DONE && e->lease == l) {
		raise_floor(e, l->epoch);
		e->lease = NULL;
	}
	if (l->state == LEASE_CURRENT)
		count_running(core, task_batch(core, l->task), -1);
	else
		count_unproven(core, l, -1);
	if (l->state != LEASE_STALE)
		let_go(core, l);
	if (l->worker)
		leave_worker(core, l);
	class_unref(core, l->class);
	table_remove(&core->epoch_table, table_hash(l->epoch), l->slot);
	pool_release(&core->leases, l->slot);
}

bool lease_make_current(struct core *core, struct lease *l)
{
	struct execution *e = exec_find_id(core, l->exec);
	if (!e || e->state != EXEC_LEASED || !exec_has_users(e))
		return false;
	lease_supersede(core, e->lease);
	l->task = exec_any_task(e);
	l->batch = task_batch(core, l->task)->number;
	l->index = l->task->index;
	l->state = LEASE_CURRENT;
	task_batch(core, l->task)->pins++;
	count_running(core, task_batch(core, l->task), 1);
	count_unproven(core, l, -1);
	e->lease = l;
	exec_moved(core, e);
	return true;
}

static void count_death(struct core *core, struct execution *e, struct lease *l)
{
	struct exec_extra *x = exec_extra(e);
	l->died = true;
	x->deaths++;
	mem_grow(x->killers, x->killer_count, x->killer_capacity);
	memcpy(x->killers[x->killer_count++], l->worker->key, KEY_SIZE);
	if (!l->task)
		return; /* stale: its batch may be over */
	struct core_effect *fx = fx_add(core, CORE_FX_ATTEMPT_FAILED);
	fx->batch = l->batch;
	fx->index = l->index;
	fx->worker = l->worker->number;
	fx->failed.function = l->task->function;
	fx->failed.attempt = exec_attempts(e) + 1;
	fx->failed.attempts_max = exec_retries(core, e) + 1;
	fx->failed.died = true;
}

void lease_survived(const struct core *core, struct lease *l)
{
	struct execution *e = exec_find_id(core, l->exec);
	if (!l->died)
		return;
	l->died = false;
	if (!e || !e->extra)
		return;
	struct exec_extra *x = e->extra;
	x->deaths--;
	for (uint32_t i = x->killer_count; i-- > 0;)
		if (!memcmp(x->killers[i], l->worker->key, KEY_SIZE)) {
			memmove(x->killers[i], x->killers[i + 1],
				(x->killer_count - i - 1) * sizeof *x->killers);
			x->killer_count--;
			break;
		}
}

/* One that is being tried elsewhere right now gets that chance. */
static void check_poison(struct core *core, const struct lease *l)
{
	struct execution *e = exec_find_id(core, l->exec);
	if (e && e->lease == l && e->extra->deaths >= core->config.poison_deaths)
		outcome_quarantine(core, e);
}

void lease_expire(struct core *core, struct lease *l, bool died)
{
	struct execution *e = exec_find_id(core, l->exec);
	assert(l->state == LEASE_CURRENT && e->lease == l);
	if (!exec_has_users(e)) {
		lease_become(core, l, LEASE_EXPIRED);
		exec_become(core, e, EXEC_READY);
		exec_forget(core, e); /* nobody wants it: its lease is stale then */
		return;
	}
	lease_become(core, l, LEASE_EXPIRED);
	if (PLANTED(PLANT_LOSS_COSTS_ATTEMPT))
		exec_extra(e)->attempts++;
	if (died)
		count_death(core, e, l);
	outcome_back(core, e, 0);
	if (died)
		check_poison(core, l);
}

void lease_died(struct core *core, struct lease *l)
{
	struct execution *e = exec_find_id(core, l->exec);
	if (l->died || !e || e->state == EXEC_DONE || e->state == EXEC_FAILED)
		return;
	count_death(core, e, l);
	check_poison(core, l);
}

void lease_reinstate(struct core *core, struct lease *l, struct worker *w)
{
	struct execution *e = exec_find_id(core, l->exec);
	assert(l->state == LEASE_EXPIRED && e && e->lease == l);
	if (!l->worker) {
		l->worker = w;
		l->place = LEASE_NOWHERE;
		list_add_tail(&w->leases[LEASE_NOWHERE], &l->link);
		w->counts[LEASE_NOWHERE]++;
		lease_put(core, l,
			  worker_fits(w, l->class, true) ? LEASE_PLACED : LEASE_QUEUED);
	}
	lease_survived(core, l);
	lease_become(core, l, LEASE_CURRENT);
	l->unconfirmed = false;
	l->missed = 0;
	exec_become(core, e, EXEC_LEASED);
}
