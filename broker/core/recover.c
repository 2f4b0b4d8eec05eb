/* recover.c - after a restart. Batches are replayed by the ordinary events; what had ended and what
 * was granted is added here without telling anybody; recover_start() begins ordinary life.
 *
 * Rule 6: what may have been granted before the restart waits (TASK_HELD, EXEC_HELD, core->held)
 * until every worker named in a recorded lease has joined and claimed, or adopt_ns are over. What
 * could be granted before is what was recorded as granted, and what has no open inputs: its
 * assignment may have left before its record was durable. */
#include "broker/core/parts.h"

#include <stdlib.h>

static bool ended_status(enum core_task_status status, enum task_state *state)
{
	switch (status) {
	case CORE_COMPLETED:
		*state = TASK_DONE;
		return true;
	case CORE_FAILED:
		*state = TASK_FAILED;
		return true;
	case CORE_SKIPPED:
		*state = TASK_SKIPPED;
		return true;
	case CORE_CANCELLED:
		*state = TASK_CANCELLED;
		return true;
	case CORE_WAITING:
	case CORE_READY:
	case CORE_RUNNING:
		break;
	}
	return false;
}

void recover_end(struct core *core, struct batch *b, const struct core_event *event)
{
	enum task_state state;
	if (!core->recovering || !b->sealed || event->index >= b->tasks.count ||
	    !ended_status(event->old_end.status, &state))
		return;
	struct task *t = batch_task(b, event->index);
	if (!task_over(t))
		task_end_before(core, t,
				&(struct task_end){
					.state = state,
					.cached = event->old_end.cached,
					.deduplicated = event->old_end.deduplicated,
					.commit = event->old_end.commit,
					.upstream = event->old_end.upstream,
					.attempts = event->old_end.attempts,
				});
	const struct content *slots = event->old_end.slots;
	uint32_t count = event->old_end.slot_count;
	if (t->state == TASK_DONE &&
	    contents_valid(slots, count, 2 + task_function(core, t)->func->output_count))
		flow_deliver(core, t, slots, count);
}

void recover_lease(struct core *core, struct batch *b, const struct core_event *event)
{
	if (!core->recovering || !b->sealed || event->index >= b->tasks.count ||
	    !event->old_lease.epoch)
		return;
	struct task *t = batch_task(b, event->index);
	if (t->state != TASK_WAITING)
		return;
	if (!(t->flags & TASK_OLD)) {
		mem_grow(core->old, core->old_count, core->old_capacity);
		t->flags |= TASK_OLD;
		t->exec = core->old_count;
		core->old[core->old_count++] = (struct old_lease){0};
		core->old_live++;
	}
	struct old_lease *old = &core->old[t->exec];
	if (old->epoch >= event->old_lease.epoch)
		return;
	old->epoch = event->old_lease.epoch;
	old->attempt = event->old_lease.attempt;
	old->deaths = event->old_lease.deaths;
	memcpy(old->worker_key, event->old_lease.worker_key, KEY_SIZE);
}

static uint32_t key_hash(const uint8_t key[KEY_SIZE])
{
	uint64_t word;
	memcpy(&word, key, sizeof word);
	return table_hash(word);
}

static struct awaited *find_awaited(const struct core *core, const uint8_t key[KEY_SIZE])
{
	uint32_t hash = key_hash(key), at;
	for (uint32_t i = table_first(&core->awaited_table, hash, &at); i != TABLE_NONE;
	     i = table_next(&core->awaited_table, hash, &at))
		if (!memcmp(core->awaited[i].key, key, KEY_SIZE))
			return &core->awaited[i];
	return NULL;
}

static void await_workers(struct core *core)
{
	for (uint32_t i = 0; i < core->old_count; i++) {
		const struct old_lease *old = &core->old[i];
		if (!old->epoch || find_awaited(core, old->worker_key))
			continue;
		mem_grow(core->awaited, core->awaited_count, core->awaited_capacity);
		struct awaited *a = &core->awaited[core->awaited_count];
		*a = (struct awaited){0};
		memcpy(a->key, old->worker_key, KEY_SIZE);
		table_add(&core->awaited_table, key_hash(a->key), core->awaited_count++);
	}
	core->awaited_missing = core->awaited_count;
	core->adopting = core->awaited_missing;
	if (!core->adopting)
		return;
	core->adopt_at = core->now + core->config.adopt_ns;
	timer_add(core, TIMER_ADOPT, core->adopt_at, 0);
	for (uint32_t i = 0; i < core->worker_capacity && core->adopting; i++) {
		struct worker *w = core->workers[i];
		if (!w)
			continue;
		recover_worker_joined(core, w);
		if (!w->unsettled)
			recover_worker_here(core, w);
	}
}

void recover_worker_joined(const struct core *core, struct worker *w)
{
	const struct awaited *a = core->adopting ? find_awaited(core, w->key) : NULL;
	w->awaited = a && !a->here;
}

void recover_worker_here(struct core *core, struct worker *w)
{
	if (!w->awaited)
		return;
	w->awaited = false;
	struct awaited *a = core->adopting ? find_awaited(core, w->key) : NULL;
	if (!a || a->here)
		return;
	a->here = true;
	if (--core->awaited_missing == 0)
		recover_release(core);
}

void recover_release(struct core *core)
{
	core->adopting = false;
	free(core->awaited);
	core->awaited = NULL;
	core->awaited_count = core->awaited_capacity = core->awaited_missing = 0;
	table_free_all(&core->awaited_table);
	schedule_release(core, &core->held);
}

/* What the end of @t means to those behind it, which were not told while replaying. */
static void follow(struct core *core, struct task *t)
{
	if (t->state == TASK_DONE) {
		flow_deliver(core, t, NULL, 0);
		if (task_is_wanted(core, t, true))
			revive_task(core, t, false, NULL,
				    0); /* its content was not replayed */
	} else {
		flow_fail(core, t, t->state == TASK_SKIPPED ? t->upstream : t->index);
	}
}

static void start_batch(struct core *core, struct batch *b)
{
	for (uint32_t i = 0; i < b->tasks.count; i++) {
		struct task *t = batch_task(b, i);
		if (!task_over(t) && (!t->pending || t->flags & TASK_OLD))
			t->flags |= TASK_HELD;
	}
	for (uint32_t i = 0; i < b->tasks.count; i++)
		if (task_over(batch_task(b, i)))
			follow(core, batch_task(b, i));
	batch_start(core, b);
	if (!b->live)
		return;
	batch_check_failures(core, b);
	pause_start(core, b);
}

void recover_start(struct core *core)
{
	if (!core->recovering)
		return;
	core->recovering = false;
	await_workers(core);
	for (uint32_t i = 0; i < core->batch_count; i++)
		if (core->batches[i] && core->batches[i]->sealed)
			start_batch(core, core->batches[i]);
	for (uint32_t i = 0; i < core->batch_count; i++)
		if (core->batches[i] && core->batches[i]->sealed &&
		    !list_empty(&core->claims))
			claim_retry_batch(core, core->batches[i]->id);
	core->schedule = true;
}
