/* batch.c - batches from opening to forgetting.
 *
 *   open       chunks come in; may be discarded by the loop, or when none came for unsealed_ns
 *   sealed     checked whole; its start cursor resolves what has no inputs, a window at a time
 *   ended      every task is over (live == 0); announced once
 *   forgotten  ended, durable, and no lease or revival needs its memory (pins == 0)
 *
 * Once batch->cancelled, nothing of it is granted or retried. */
#include "broker/core/parts.h"

#include <stdlib.h>

static uint32_t id_hash(const uint8_t id[DIGEST_SIZE])
{
	uint64_t word;
	memcpy(&word, id, sizeof word);
	return table_hash(word);
}

struct batch *batch_find(const struct core *core, uint64_t number)
{
	uint32_t hash = table_hash(number), at;
	for (uint32_t slot = table_first(&core->batch_numbers, hash, &at);
	     slot != TABLE_NONE; slot = table_next(&core->batch_numbers, hash, &at))
		if (core->batches[slot]->number == number)
			return core->batches[slot];
	return NULL;
}

struct batch *batch_find_id(const struct core *core, const uint8_t id[DIGEST_SIZE])
{
	uint32_t hash = id_hash(id), at;
	for (uint32_t slot = table_first(&core->batch_ids, hash, &at); slot != TABLE_NONE;
	     slot = table_next(&core->batch_ids, hash, &at))
		if (!memcmp(core->batches[slot]->id, id, DIGEST_SIZE))
			return core->batches[slot];
	return NULL;
}

static uint32_t take_slot(struct core *core)
{
	if (core->batch_free_count)
		return core->batch_free[--core->batch_free_count];
	if (core->batch_count == core->batch_capacity) {
		core->batch_capacity =
			core->batch_capacity ? 2 * core->batch_capacity : 16;
		core->batches = mem_resize(core->batches,
					   core->batch_capacity * sizeof *core->batches);
	}
	return core->batch_count++;
}

static void release_slot(struct core *core, uint32_t slot)
{
	core->batches[slot] = NULL;
	mem_grow(core->batch_free, core->batch_free_count, core->batch_free_capacity);
	core->batch_free[core->batch_free_count++] = slot;
	if (--core->batch_live)
		return;
	free(core->batches);
	free(core->batch_free);
	core->batches = NULL;
	core->batch_free = NULL;
	core->batch_count = core->batch_capacity = 0;
	core->batch_free_count = core->batch_free_capacity = 0;
}

void batch_begin(struct core *core, const struct core_event *event)
{
	struct batch *b = batch_find(core, event->batch);
	if (b) {
		b->touched_at = core->now;
		return;
	}
	b = mem_alloc(sizeof *b);
	b->number = event->batch;
	memcpy(b->id, event->open.id, DIGEST_SIZE);
	b->max_failures = event->open.max_failures;
	b->max_parallel = event->open.max_parallel;
	b->slot = take_slot(core);
	b->no_room = CORE_NO_INDEX;
	b->touched_at = core->now;
	b->options.size = sizeof(struct options);
	b->functions.size = sizeof(struct function);
	b->groups.size = sizeof(struct group);
	b->tasks.size = sizeof(struct task);
	b->edges.size = sizeof(struct edge);
	list_init(&b->start_link);
	list_init(&b->sweep_link);
	list_init(&b->end_link);
	list_init(&b->revivals);
	queue_init(&b->held);
	core->batches[b->slot] = b;
	core->batch_live++;
	table_add(&core->batch_numbers, table_hash(b->number), b->slot);
	table_add(&core->batch_ids, id_hash(b->id), b->slot);
	if (core->config.unsealed_ns)
		timer_add(core, TIMER_UNSEALED, core->now + core->config.unsealed_ns,
			  b->number);
}

/* Nobody finds it any more; its memory goes at the next step. */
static void bury(struct core *core, struct batch *b)
{
	assert(!b->pins && !b->held.count && list_empty(&b->revivals));
	b->dead = true;
	table_remove(&core->batch_numbers, table_hash(b->number), b->slot);
	table_remove(&core->batch_ids, id_hash(b->id), b->slot);
	if (b->max_parallel)
		schedule_forget_batch(core, b->slot);
	list_del(&b->start_link);
	list_del(&b->sweep_link);
	list_del(&b->end_link);
	list_add_tail(&core->graveyard, &b->end_link);
}

static void free_batch(struct core *core, struct batch *b)
{
	for (uint32_t i = 0; i < b->functions.count; i++)
		func_unref(core, ((struct function *)seg_at(&b->functions, i))->func);
	for (uint32_t i = 0; i < b->options.count; i++)
		class_unref(core, ((struct options *)seg_at(&b->options, i))->class);
	seg_fini(&b->options);
	seg_fini(&b->functions);
	seg_fini(&b->groups);
	seg_fini(&b->tasks);
	seg_fini(&b->edges);
	arena_free_all(&b->arena);
	release_slot(core, b->slot);
	free(b);
}

void batch_bury(struct core *core)
{
	while (!list_empty(&core->graveyard)) {
		struct batch *b =
			container_of(core->graveyard.next, struct batch, end_link);
		list_del(&b->end_link);
		free_batch(core, b);
	}
}

void batch_refuse(struct core *core, struct batch *b, enum core_refusal why,
		  uint32_t index, uint32_t *indices, uint32_t index_count)
{
	struct core_effect *fx = fx_add(core, CORE_FX_BATCH_REFUSED);
	fx->batch = b->number;
	fx->index = index;
	fx->refused.why = why;
	fx->refused.indices = indices;
	fx->refused.index_count = index_count;
	free(core->scratch);
	core->scratch = indices;
	bury(core, b);
}

void batch_discard(struct core *core, struct batch *b)
{
	if (b->sealed)
		return;
	struct core_effect *fx = fx_add(core, CORE_FX_BATCH_DISCARDED);
	fx->batch = b->number;
	bury(core, b);
}

void batch_unsealed_timer(struct core *core, uint64_t number)
{
	struct batch *b = batch_find(core, number);
	if (!b || b->sealed)
		return;
	uint64_t at = b->touched_at + core->config.unsealed_ns;
	if (core->now >= at)
		batch_discard(core, b);
	else
		timer_add(core, TIMER_UNSEALED, at, number);
}

void batch_seal(struct core *core, struct batch *b)
{
	if (b->sealed || graph_link(core, b))
		return;
	b->sealed = true;
	core->totals.waiting += b->counts.waiting;
	struct core_effect *fx = fx_add(core, CORE_FX_BATCH_SEALED);
	fx->batch = b->number;
	if (core->recovering)
		return; /* recover_start() goes on */
	batch_start(core, b);
	if (!list_empty(&core->claims))
		claim_retry_batch(core, b->id);
}

void batch_start(struct core *core, struct batch *b)
{
	for (uint32_t i = 0; i < b->groups.count; i++) {
		struct group *g = batch_group(b, i);
		if (!g->pending && !g->complete)
			group_complete(core, b, g);
	}
	list_add_tail(&core->starting, &b->start_link);
	if (!b->live)
		list_add_tail(&core->ending, &b->end_link);
}

/* ---- cancelling ---- */

/* All of it at once, so that the step that acknowledges it is the step that does it. */
static void cancel_all(struct core *core, struct batch *b)
{
	b->cancelled = b->cancelled_all = true;
	for (uint32_t i = 0; i < b->tasks.count && b->live; i++)
		if (!task_over(batch_task(b, i)))
			task_cancel(core, batch_task(b, i));
}

void batch_cancel(struct core *core, struct batch *b, uint32_t index)
{
	if (!b->sealed || !b->live)
		return;
	if (index == CORE_NO_INDEX) {
		cancel_all(core, b);
		return;
	}
	if (index >= b->tasks.count)
		return;
	struct task *t = batch_task(b, index);
	if (!task_over(t))
		task_cancel(core, t);
}

/* At max_failures: what does not run is cancelled, by a cursor, and nothing is retried. After a
 * restart it is decided again from the counts, so it may take several steps. */
static void stop_failing(struct core *core, struct batch *b)
{
	b->cancelled = true;
	b->sweep_cursor = 0;
	list_add_tail(&core->sweeping, &b->sweep_link);
}

/* Some of one batch. Return: true when it is through. */
static bool sweep_some(struct core *core, struct batch *b, uint32_t *ended,
		       uint32_t *seen)
{
	while (b->sweep_cursor < b->tasks.count && b->live) {
		if (*ended >= STEP_BUDGET || *seen >= SCAN_BUDGET)
			return false;
		struct task *t = batch_task(b, b->sweep_cursor++);
		++*seen;
		if (!task_over(t) && task_status(core, t) != CORE_RUNNING) {
			task_cancel(core, t);
			++*ended;
		}
	}
	return true;
}

/* Some of one batch. Return: true when its cursor is through. */
static bool start_some(struct core *core, struct batch *b, uint32_t *seen)
{
	for (uint32_t resolved = 0; b->start_cursor < b->tasks.count && b->live;) {
		if (resolved == START_TURN || *seen == SCAN_BUDGET ||
		    !lookup_has_room(core))
			return false;
		struct task *t = batch_task(b, b->start_cursor++);
		++*seen;
		if (t->state == TASK_WAITING && !t->pending &&
		    !(t->flags & TASK_LISTED)) {
			task_resolve(core, t);
			resolved++;
		}
	}
	return true;
}

/* Batches take turns, so that a small one does not wait for a large one. */
static void start_batches(struct core *core)
{
	uint32_t seen = 0;
	for (uint32_t turns = 0; turns < STEP_BUDGET / START_TURN && seen < SCAN_BUDGET &&
				 !list_empty(&core->starting) && lookup_has_room(core);
	     turns++) {
		struct batch *b =
			container_of(core->starting.next, struct batch, start_link);
		list_del(&b->start_link);
		if (!start_some(core, b, &seen))
			list_add_tail(&core->starting, &b->start_link);
	}
}

void batch_run(struct core *core)
{
	uint32_t ended = 0, seen = 0;
	while (!list_empty(&core->sweeping)) {
		struct batch *b =
			container_of(core->sweeping.next, struct batch, sweep_link);
		if (!sweep_some(core, b, &ended, &seen))
			break;
		list_del(&b->sweep_link);
	}
	start_batches(core);
}

void batch_task_over(struct core *core, struct batch *b, const struct task *t)
{
	b->live--;
	if (!b->live) {
		if (!core->recovering && list_empty(&b->end_link))
			list_add_tail(&core->ending, &b->end_link);
		return;
	}
	if (t->state != TASK_FAILED)
		return;
	batch_check_failures(core, b);
	pause_check(core, b, t->function);
}

void batch_check_failures(struct core *core, struct batch *b)
{
	if (b->max_failures && b->counts.failed >= b->max_failures && !b->cancelled)
		stop_failing(core, b);
}

/* ---- ending ---- */

static void maybe_forget(struct core *core, struct batch *b)
{
	if (!b->ended || b->dead || b->pins || b->end_step > core->durable)
		return;
	struct core_effect *fx = fx_add(core, CORE_FX_BATCH_FORGOTTEN);
	fx->batch = b->number;
	bury(core, b);
}

void batch_finish(struct core *core)
{
	while (!list_empty(&core->ending)) {
		struct batch *b = container_of(core->ending.next, struct batch, end_link);
		list_del(&b->end_link);
		list_del(&b->start_link);
		list_del(&b->sweep_link);
		revive_drop_batch(core, b);
		b->ended = true;
		b->end_step = core->step;
		b->paused = false;
		list_add_tail(&core->ended, &b->end_link);
		struct core_effect *fx = fx_add(core, CORE_FX_BATCH_ENDED);
		fx->batch = b->number;
		fx->counts = b->counts;
	}
}

void batch_unpin(struct core *core, struct batch *b)
{
	assert(b->pins);
	b->pins--;
	maybe_forget(core, b);
}

void batch_durable(struct core *core)
{
	struct list *pos, *tmp;
	list_for_each_safe (pos, tmp, &core->ended) {
		struct batch *b = container_of(pos, struct batch, end_link);
		if (b->end_step > core->durable)
			break;
		if (b->pins) {
			list_del(&b->end_link); /* batch_unpin() forgets it */
			continue;
		}
		maybe_forget(core, b);
	}
}

void batch_free_all(struct core *core)
{
	for (uint32_t i = 0; i < core->batch_count; i++)
		if (core->batches[i])
			free_batch(core,
				   core->batches[i]); /* the last one frees the array */
	table_free_all(&core->batch_numbers);
	table_free_all(&core->batch_ids);
	free(core->batches);
	free(core->batch_free);
}
