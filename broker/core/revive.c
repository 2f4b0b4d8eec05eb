/* revive.c - when the bytes of an input are gone, the task that made them runs again.
 *
 * A revival keeps an execution alive for a task that is over; the task itself stays DONE. Its work
 * is looked up with its bytes first: another client may have made them again. When the same bytes
 * are missing again right after that, it runs whatever the look-up says. The execution that
 * missed the input (missing.c) is BLOCKED until all revivals that it waits for are through.
 * If the new output is the same, it goes on; where it differs, readers are resolved anew
 * (readers.c). After a restart a finished task may not have its arguments (nobody asked for
 * them); then what is before it is revived first, from look-ups as far as those hit.
 *
 * Nothing recurses: revivals that can begin, or have failed, wait on core->reviving. */
#include "broker/core/parts.h"
#include "broker/core/tasks.h"

#include <stdlib.h>

bool revive_uses(const struct execution *e)
{
	return e->extra && !list_empty(&e->extra->revivals);
}

struct task *revive_first_task(const struct execution *e)
{
	if (!revive_uses(e))
		return NULL;
	return container_of(e->extra->revivals.next, struct revival, in_exec)->task;
}

/* The newest first: who asks has usually just begun it. */
struct revival *revive_find(const struct batch *b, const struct task *t)
{
	if (!(t->flags & TASK_REVIVED))
		return NULL;
	for (const struct list *pos = b->revivals.prev; pos != &b->revivals;
	     pos = pos->prev)
		if (container_of(pos, struct revival, link)->task == t)
			return container_of(pos, struct revival, link);
	return NULL;
}

static struct revival *add(struct core *core, struct task *t, bool force)
{
	struct batch *b = task_batch(core, t);
	struct revival *r = mem_alloc(sizeof *r);
	r->task = t;
	r->exec = NO_SLOT;
	r->force = force;
	list_init(&r->in_exec);
	list_init(&r->todo);
	list_add_tail(&b->revivals, &r->link);
	t->flags |= TASK_REVIVED;
	b->pins++;
	return r;
}

void revive_unblock(struct core *core, core_exec_id id)
{
	struct execution *e = exec_find_id(core, id);
	if (!e || e->state != EXEC_BLOCKED || --e->extra->blocked)
		return;
	exec_become(core, e, EXEC_READY);
	schedule_add(core, e, true);
	exec_drop_cancelled(core, e);
}

static void finish(struct core *core, struct revival *r)
{
	struct batch *b = task_batch(core, r->task);
	list_del(&r->link);
	list_del(&r->in_exec);
	list_del(&r->todo);
	r->task->flags &= ~TASK_REVIVED;
	for (uint32_t i = 0; i < r->waiter_count; i++)
		revive_unblock(core, r->waiters[i]);
	free(r->waiters);
	free(r);
	batch_unpin(core, b);
}

void revive_want(struct core *core, struct revival *r)
{
	if (list_empty(&r->todo))
		list_add_tail(&core->reviving, &r->todo);
}

void revive_ready(struct core *core, struct task *t)
{
	struct revival *r = revive_find(task_batch(core, t), t);
	if (r && r->exec == NO_SLOT)
		revive_want(core, r);
}

/* ---- which tasks to revive ---- */

/* Arguments incomplete, so what is before it must tell again; and what is before that. */
static void revive_before(struct core *core, struct task *t)
{
	CLEANUP(tasks_fini) struct tasks v = {0};
	struct batch *b = task_batch(core, t);
	tasks_push(&v, t);
	while (v.count) {
		struct task *at = v.items[--v.count];
		if (!at->pending) {
			revive_ready(core, at);
			continue;
		}
		for (uint32_t i = at->in;; i++) {
			const struct edge *e = batch_edge(b, i);
			const struct group *g =
				e->kind == EDGE_LIST ? batch_group(b, e->from) : NULL;
			uint32_t first = g ? g->in : i, count = g ? g->member_count : 1;
			for (uint32_t k = first; !e->delivered && k < first + count;
			     k++) {
				const struct edge *m = batch_edge(b, k);
				struct task *from = batch_task(b, m->from);
				if (m->delivered || from->state != TASK_DONE ||
				    from->flags & TASK_REVIVED)
					continue;
				add(core, from, false);
				tasks_push(&v, from);
			}
			if (e->last)
				break;
		}
	}
}

void revive_task(struct core *core, struct task *t, bool force, struct execution *waiter,
		 uint64_t since)
{
	assert(t->state == TASK_DONE);
	struct revival *r = revive_find(task_batch(core, t), t);
	bool fresh = !r;
	if (fresh)
		r = add(core, t, force);
	if (waiter) {
		mem_grow(r->waiters, r->waiter_count, r->waiter_capacity);
		r->waiters[r->waiter_count++] = exec_id(waiter);
		waiter->extra->blocked++;
	}
	if (r->exec == NO_SLOT) {
		r->force |= force;
		r->since = r->since > since ? r->since : since;
	}
	if (fresh)
		revive_before(core, t);
}

/* ---- what was made again lately ---- */

/* Only what did run: a look-up that says that bytes are there may be wrong, and with many readers
 * one would always have been told so lately. */
void revive_made(struct core *core, const struct execution *e)
{
	if (!revive_uses(e) && !(e->extra && e->extra->parent))
		return;
	struct remade *m = &core->remade[core->remade_next++ % REMADE_KEPT];
	memcpy(m->func_hash, e->func->hash, DIGEST_SIZE);
	memcpy(m->args_hash, e->args_hash, DIGEST_SIZE);
	m->epoch = core->config.boot << 32 | core->epochs;
}

/* Was it made again after the lease with epoch @since was granted? Then that attempt may have missed
 * what is there by now. */
static bool remade_since(const struct core *core, const struct func *func,
			 const uint8_t args_hash[DIGEST_SIZE], uint64_t since)
{
	for (uint32_t i = 0; i < REMADE_KEPT; i++) {
		const struct remade *m = &core->remade[i];
		if (m->epoch >= since && !memcmp(m->args_hash, args_hash, DIGEST_SIZE) &&
		    !memcmp(m->func_hash, func->hash, DIGEST_SIZE))
			return true;
	}
	return false;
}

/* ---- beginning and ending ---- */

static void begin(struct core *core, struct revival *r)
{
	struct task *t = r->task;
	struct func *func = task_function(core, t)->func;
	enum core_cache cache = task_options(core, t)->cache;
	uint8_t args_hash[DIGEST_SIZE];
	sha256_digest(t->args, t->args_size, args_hash);
	struct execution *e = exec_find(core, func, args_hash, cache, task_nonce(t));
	if (r->force && remade_since(core, func, args_hash, r->since))
		r->force = false;
	if (e && e->state == EXEC_DONE && !r->force) {
		readers_deliver_again(core, t, e->kept->slots, e->kept->slot_count);
		finish(core, r);
		return;
	}
	uint64_t parent = 0; /* the look-up tells, unless that is not durable yet */
	if (e && e->state == EXEC_DONE) {
		parent = e->kept->commit;
		exec_forget(
			core,
			e); /* its bytes are gone: nobody may be told that it is there */
		e = NULL;
	}
	bool fresh = !e;
	if (fresh)
		e = exec_new(core, func, args_hash, cache, task_nonce(t));
	e->flags |= EXEC_WANT_SLOTS | EXEC_WANT_BYTES | (r->force ? EXEC_FORCED : 0);
	r->exec = e->slot;
	list_add_tail(&exec_extra(e)->revivals, &r->in_exec);
	if (!fresh)
		return;
	e->extra->parent = parent;
	lookup_want(core, e);
}

void revive_delivered(struct core *core, struct execution *e, const struct content *slots,
		      uint32_t count)
{
	while (revive_uses(e)) {
		struct revival *r =
			container_of(e->extra->revivals.next, struct revival, in_exec);
		list_del(&r->in_exec);
		readers_deliver_again(core, r->task, slots, count);
		finish(core, r);
	}
}

/* Revivals behind one that failed never get their arguments. */
static void fail_behind(struct core *core, struct batch *b, uint32_t out)
{
	for (uint32_t i = out; i != NO_EDGE; i = batch_edge(b, i)->next) {
		const struct edge *e = batch_edge(b, i);
		if (e->kind == EDGE_MEMBER)
			continue;
		struct task *t = batch_task(b, e->to);
		struct revival *r = revive_find(b, t);
		if (r && r->exec == NO_SLOT && t->pending) {
			r->failed = true;
			revive_want(core, r);
		}
	}
}

static void fail(struct core *core, struct revival *r)
{
	struct task *t = r->task;
	struct batch *b = task_batch(core, t);
	list_del(&r->in_exec);
	for (uint32_t i = 0; i < r->waiter_count; i++) {
		struct execution *e = exec_find_id(core, r->waiters[i]);
		if (e && e->state == EXEC_BLOCKED)
			outcome_lost_input(core, e, NULL, 0);
	}
	r->waiter_count = 0;
	flow_fail(core, t, t->index); /* who never got its content never will */
	fail_behind(core, b, t->out);
	for (uint32_t i = t->out; i != NO_EDGE; i = batch_edge(b, i)->next)
		if (batch_edge(b, i)->kind == EDGE_MEMBER)
			fail_behind(core, b, batch_group(b, batch_edge(b, i)->to)->out);
	finish(core, r);
}

void revive_failed(struct core *core, struct execution *e)
{
	while (revive_uses(e)) {
		struct revival *r =
			container_of(e->extra->revivals.next, struct revival, in_exec);
		list_del(&r->in_exec);
		r->failed = true;
		revive_want(core, r);
	}
}

void revive_run(struct core *core)
{
	while (!list_empty(&core->reviving)) {
		struct revival *r =
			container_of(core->reviving.next, struct revival, todo);
		list_del(&r->todo);
		if (r->failed)
			fail(core, r);
		else
			begin(core, r);
	}
}

void revive_drop_batch(struct core *core, struct batch *b)
{
	while (!list_empty(&b->revivals)) {
		struct revival *r = container_of(b->revivals.next, struct revival, link);
		bool begun = !list_empty(&r->in_exec);
		uint32_t slot = r->exec;
		finish(core, r);
		if (begun)
			exec_abandon(core, exec_at(core, slot));
	}
}
