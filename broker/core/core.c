/* core.c - one step: what happened, then what follows from it.
 *
 * What follows is bounded per step (STEP_BUDGET, SCAN_BUDGET, LOOKUP_WINDOW); if some is left,
 * core_deadline() is now. The order is fixed: followers and cursors, batches that ended, questions,
 * grants. */
#include "broker/core/parts.h"

#include <stdlib.h>

#ifdef CASHET_PLANTED
enum plant core_planted;
#endif

#define NOW_MAX (UINT64_MAX / 4) /* so that adding limits to it cannot wrap around */
#define ROUNDS 16u

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
	uint64_t most = NOW_MAX / 4;
	value = value ? value : otherwise;
	return value < most ? value : most;
}

static void read_config(struct core *core, const struct core_config *config)
{
	struct core_config *c = &core->config;
	*c = *config;
	c->boot &= UINT32_MAX;
	c->heartbeat_ns = or_default(c->heartbeat_ns, 30 * NS_PER_S);
	c->disconnect_ns = or_default(c->disconnect_ns, 3 * NS_PER_S);
	c->adopt_ns = or_default(c->adopt_ns, 5 * NS_PER_S);
	c->park_ns = or_default(c->park_ns, 60 * NS_PER_S);
	c->unsealed_ns = or_default(c->unsealed_ns, 0);
	c->poison_deaths = c->poison_deaths ? c->poison_deaths : 3;
	c->pause_after = c->pause_after ? c->pause_after : CORE_PAUSE_AFTER;
	c->keep_after = c->keep_after ? c->keep_after : 32;
	core->next_commit = c->next_commit ? c->next_commit : 1;
}

struct core *core_new(const struct core_config *config)
{
	struct core *core = mem_alloc(sizeof *core);
	uint8_t secret[DIGEST_SIZE];
	read_config(core, config);
	lease_signer_init(&core->signer, config->mac_key);
	hmac_sha256(config->mac_key, 32, "cashet.table", 12, secret);
	memcpy(&core->secret, secret, sizeof core->secret);
	core->recovering = true;
	core->room = core->places = 1;
	pool_init(&core->funcs, sizeof(struct func), 10);
	pool_init(&core->classes, sizeof(struct class), 5);
	pool_init(&core->execs, sizeof(struct execution), 13);
	pool_init(&core->leases, sizeof(struct lease), 8);
	pool_init(&core->claim_cells, sizeof(struct claim), 5);
	list_init(&core->starting);
	list_init(&core->sweeping);
	list_init(&core->ending);
	list_init(&core->ended);
	list_init(&core->graveyard);
	list_init(&core->reviving);
	list_init(&core->claims);
	queue_init(&core->lookups);
	queue_init(&core->linger);
	queue_init(&core->held);
	queue_init(&core->dead);
	return core;
}

/* Everything at once: nobody is told, and what points at what no longer matters. */
static void free_executions(struct core *core)
{
	uint32_t left = core->execs.used;
	for (uint32_t slot = 0; left; slot++) {
		struct execution *e =
			pool_has(&core->execs, slot) ? exec_at(core, slot) : NULL;
		if (!e || !e->generation)
			continue;
		left--;
		if (e->state == EXEC_DONE)
			free(e->kept);
		exec_free_extra(e);
		func_unref(core, e->func);
		pool_release(&core->execs, slot);
	}
}

static void free_revivals(struct core *core)
{
	for (uint32_t i = 0; i < core->batch_count; i++) {
		struct batch *b = core->batches[i];
		while (b && !list_empty(&b->revivals)) {
			struct revival *r =
				container_of(b->revivals.next, struct revival, link);
			list_del(&r->link);
			free(r->waiters);
			free(r);
		}
	}
}

static void free_leases(struct core *core)
{
	const struct table *t = &core->epoch_table;
	for (uint32_t i = 0; i < t->capacity; i++) {
		if (t->slots[i].value == TABLE_NONE)
			continue;
		struct lease *l = pool_at(&core->leases, t->slots[i].value);
		class_unref(core, l->class);
		pool_release(&core->leases, t->slots[i].value);
	}
	table_free_all(&core->epoch_table);
}

uint64_t core_reserve_commits(struct core *core, uint64_t count)
{
	uint64_t first = core->next_commit;
	core->next_commit += count;
	return first;
}

void core_free(struct core *core)
{
	if (!core)
		return;
	batch_bury(core);
	free_revivals(core);
	free_executions(core);
	free_leases(core);
	claim_free_all(core);
	schedule_free_all(core);
	worker_free_all(core);
	batch_free_all(core);
	table_free_all(&core->fingerprints);
	table_free_all(&core->func_table);
	table_free_all(&core->class_table);
	table_free_all(&core->awaited_table);
	pool_fini(&core->execs);
	pool_fini(&core->leases);
	pool_fini(&core->funcs);
	pool_fini(&core->classes);
	free(core->resources);
	free(core->old);
	free(core->awaited);
	free(core->timers);
	free(core->scratch);
	free(core);
}

static void on_batch(struct core *core, const struct core_event *event)
{
	struct batch *b = batch_find(core, event->batch);
	if (!b)
		return; /* refused, discarded or over meanwhile */
	switch (event->type) {
	case CORE_EV_BATCH_CHUNK:
		chunk_take(core, b, event);
		break;
	case CORE_EV_BATCH_SEAL:
		batch_seal(core, b);
		break;
	case CORE_EV_BATCH_DISCARD:
		batch_discard(core, b);
		break;
	case CORE_EV_CANCEL:
		batch_cancel(core, b, event->index);
		break;
	case CORE_EV_RESUME:
		pause_resume(core, b);
		break;
	case CORE_EV_OLD_END:
		recover_end(core, b, event);
		break;
	case CORE_EV_OLD_LEASE:
		recover_lease(core, b, event);
		break;
	case CORE_EV_OLD_PAUSE:
		pause_recover(core, b, event);
		break;
	default:
		break;
	}
}

static void on_result(struct core *core, struct worker *w, const struct core_event *event)
{
	struct report r = {
		.outcome = event->result.outcome,
		.slots = event->result.slots,
		.slot_count = event->result.slots ? event->result.slot_count : 0,
		.missing = event->result.missing,
		.token = event->result.token,
	};
	result_take(core, w, &event->result.lease, &r);
}

static void on_worker(struct core *core, const struct core_event *event)
{
	struct worker *w = worker_find(core, event->worker);
	if (!w)
		return; /* forgotten; the loop will make it say hello */
	switch (event->type) {
	case CORE_EV_WORKER_CLAIM:
		worker_heard(core, w);
		claim_take(core, w, &event->claim.lease, event->claim.started,
			   event->claim.finished);
		break;
	case CORE_EV_WORKER_CREDIT:
		worker_credit(core, w, event->credit);
		break;
	case CORE_EV_WORKER_ALIVE:
		worker_alive(core, w, event);
		break;
	case CORE_EV_WORKER_GONE:
		worker_gone(core, w);
		break;
	case CORE_EV_WORKER_BYE:
	case CORE_EV_REVOKE_WORKER:
		worker_leave(core, w);
		break;
	case CORE_EV_WORKER_DRAIN:
		worker_drain(core, w);
		break;
	case CORE_EV_RESULT:
		worker_heard(core, w);
		on_result(core, w, event);
		break;
	case CORE_EV_HANDBACK:
		worker_heard(core, w);
		result_handback(core, w, &event->handback.lease, event->handback.started);
		break;
	default:
		break;
	}
}

static void dispatch(struct core *core, const struct core_event *event)
{
	switch (event->type) {
	case CORE_EV_TIME:
		break;
	case CORE_EV_BATCH_OPEN:
		batch_begin(core, event);
		break;
	case CORE_EV_BATCH_CHUNK:
	case CORE_EV_BATCH_SEAL:
	case CORE_EV_BATCH_DISCARD:
	case CORE_EV_CANCEL:
	case CORE_EV_RESUME:
	case CORE_EV_OLD_END:
	case CORE_EV_OLD_LEASE:
	case CORE_EV_OLD_PAUSE:
		on_batch(core, event);
		break;
	case CORE_EV_LOOKUP:
		lookup_answer(core, event);
		break;
	case CORE_EV_DURABLE:
		if (event->durable > core->durable)
			core->durable = event->durable;
		exec_linger_done(core);
		batch_durable(core);
		break;
	case CORE_EV_WORKER_JOIN:
		worker_join(core, event);
		break;
	case CORE_EV_WORKER_CLAIM:
	case CORE_EV_WORKER_CREDIT:
	case CORE_EV_WORKER_ALIVE:
	case CORE_EV_WORKER_GONE:
	case CORE_EV_WORKER_BYE:
	case CORE_EV_WORKER_DRAIN:
	case CORE_EV_RESULT:
	case CORE_EV_HANDBACK:
	case CORE_EV_REVOKE_WORKER:
		on_worker(core, event);
		break;
	case CORE_EV_DRAIN:
		core->draining = true;
		break;
	case CORE_EV_HOLD:
		core->holding = event->hold;
		core->schedule = true;
		break;
	case CORE_EV_RECOVERED:
		recover_start(core);
		break;
	}
}

bool core_has_work(const struct core *core)
{
	if (core->recovering)
		return false;
	return core->work_head || !list_empty(&core->sweeping) ||
	       !list_empty(&core->reviving) ||
	       (!list_empty(&core->starting) && lookup_has_room(core));
}

static void follow(struct core *core)
{
	for (uint32_t i = 0;
	     i < ROUNDS && core_has_work(core) && fx_count(core) < STEP_BUDGET; i++) {
		revive_run(core);
		flow_run(core);
		batch_run(core);
		lookup_run(core);
	}
	batch_finish(core);
	lookup_run(core);
	schedule_run(core);
}

void core_step(struct core *core, const struct core_event *event,
	       struct core_effects *effects)
{
	uint64_t now = event->now < NOW_MAX ? event->now : NOW_MAX;
	if (core->started && now < core->now)
		now = core->now;
	timer_stalled(core, now);
	core->started = true;
	core->now = now;
	core->step = event->step;
	core->fx = effects;
	core->fx_start = effects->count;
	exec_bury(core);
	batch_bury(core);
	free(core->scratch);
	core->scratch = NULL;
	dispatch(core, event);
	timer_run(core);
	if (!core->recovering)
		follow(core);
	core->fx = NULL;
}
