/* revive.c - when the bytes of an input are gone, the task that made them runs again.
 *
 * A revival keeps an execution alive for a task that is over; the task itself stays DONE. Its work
 * is looked up with its bytes first: another client may have made them again. When the same bytes
 * are missing again right after that, it runs whatever the look-up says. The execution that
 * missed the input is BLOCKED until all revivals that it waits for are through.
 * If the new output is the same, it goes on; where it differs, readers that do not run are
 * resolved anew. After a restart a finished task may not have its arguments (nobody asked for
 * them); then what is before it is revived first, from look-ups as far as those hit.
 *
 * Which task made the missing bytes: the one whose content stands in the arguments or in a list
 * that is read. Bytes inside a folder or a result with several outputs are not known here: then
 * every input of those kinds is looked up with its bytes, and what is not whole runs again.
 *
 * Nothing recurses: revivals that can begin, or have failed, wait on core->reviving. */
#include "broker/core/parts.h"

#include <stdlib.h>

#define SAME_MAX 20u	 /* the same bytes missing so often in a row: given up */
#define TOTAL_MAX 10000u /* missing inputs of one execution: given up */
#define NESTED_MAX 4096u /* inputs looked up because something inside them is missing */

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
static struct revival *find(const struct batch *b, const struct task *t)
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

static void unblock(struct core *core, core_exec_id id)
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
		unblock(core, r->waiters[i]);
	free(r->waiters);
	free(r);
	batch_unpin(core, b);
}

static void want(struct core *core, struct revival *r)
{
	if (list_empty(&r->todo))
		list_add_tail(&core->reviving, &r->todo);
}

void revive_ready(struct core *core, struct task *t)
{
	struct revival *r = find(task_batch(core, t), t);
	if (r && r->exec == NO_SLOT)
		want(core, r);
}

/* ---- which tasks to revive ---- */

struct tasks {
	struct task **items;
	uint32_t count, capacity;
};

static void tasks_fini(struct tasks *v)
{
	free(v->items);
}

static void push(struct tasks *v, struct task *t)
{
	if (v->count && v->items[v->count - 1] == t)
		return; /* followers of one batch read the same */
	mem_grow(v->items, v->count, v->capacity);
	v->items[v->count++] = t;
}

/* Arguments incomplete, so what is before it must tell again; and what is before that. */
static void revive_before(struct core *core, struct task *t)
{
	CLEANUP(tasks_fini) struct tasks v = {0};
	struct batch *b = task_batch(core, t);
	push(&v, t);
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
				push(&v, from);
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
	struct revival *r = find(task_batch(core, t), t);
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

static bool nested(const struct content *c)
{
	return c->type == CONTENT_TREE || c->type == CONTENT_RESULT;
}

static const struct content *placeholder(const struct task *t, const struct edge *e)
{
	return (const struct content *)(t->args + e->offset);
}

enum found { FOUND_NOTHING, FOUND_TASK, FOUND_LIST, FOUND_OLD_LIST };

static enum found search_list(struct core *core, struct batch *b, const struct task *t,
			      const struct edge *e, const uint8_t digest[DIGEST_SIZE],
			      struct tasks *makers)
{
	struct group *g = batch_group(b, e->from);
	bool listed;
	if (!memcmp(g->digest, digest, DIGEST_SIZE)) {
		group_announce(core, b, g); /* the list itself */
		return FOUND_LIST;
	}
	if (memcmp(placeholder(t, e)->digest, g->digest, DIGEST_SIZE) != 0)
		return FOUND_OLD_LIST; /* it has changed since */
	struct task *maker = group_find(b, g, digest, &listed);
	if (!maker)
		return FOUND_NOTHING;
	push(makers, maker);
	return FOUND_TASK;
}

static enum found search(struct core *core, const struct task *t,
			 const uint8_t digest[DIGEST_SIZE], struct tasks *makers)
{
	struct batch *b = task_batch(core, t);
	if (t->in == NO_EDGE)
		return FOUND_NOTHING;
	for (uint32_t i = t->in;; i++) {
		const struct edge *e = batch_edge(b, i);
		enum found found = FOUND_NOTHING;
		if (e->kind == EDGE_LIST) {
			found = search_list(core, b, t, e, digest, makers);
		} else if (e->kind == EDGE_REF &&
			   !memcmp(placeholder(t, e)->digest, digest, DIGEST_SIZE)) {
			push(makers, batch_task(b, e->from));
			found = FOUND_TASK;
		}
		if (found || e->last)
			return found;
	}
}

static void search_nested(const struct core *core, const struct task *t,
			  struct tasks *makers)
{
	struct batch *b = task_batch(core, t);
	if (t->in == NO_EDGE)
		return;
	for (uint32_t i = t->in; makers->count < NESTED_MAX; i++) {
		const struct edge *e = batch_edge(b, i);
		if (e->kind == EDGE_REF && nested(placeholder(t, e)))
			push(makers, batch_task(b, e->from));
		if (e->kind == EDGE_LIST) {
			struct group *g = batch_group(b, e->from);
			for (uint32_t k = g->in;
			     k < g->in + g->member_count && makers->count < NESTED_MAX;
			     k++) {
				struct task *m = batch_task(b, batch_edge(b, k)->from);
				if (m->state == TASK_DONE &&
				    nested(&g->list[group_place(b, g, k)]))
					push(makers, m);
			}
		}
		if (e->last)
			return;
	}
}

/* ---- resolving readers anew ---- */

/* Takes @t, whose arguments are about to change, away from its execution. */
static void detach(struct core *core, struct task *t, struct execution **leftp)
{
	struct execution *e = exec_at(core, t->exec);
	exec_unsubscribe(core, e, t);
	*leftp = e;
	flow_list(core, t);
}

/* What runs with the old content may finish. If it misses that, the new one is there to be asked
 * for. */
static bool runs_with_old(struct execution *e)
{
	if (e->state != EXEC_LEASED)
		return false;
	if (e->extra)
		e->extra->missing_same = 0;
	return true;
}

/* One that is over and is being made again gets @content: it begins anew, as other work. */
static void restart(struct core *core, struct task *t, const struct edge *e,
		    const struct content *content)
{
	struct revival *r = find(task_batch(core, t), t);
	struct execution *left = r->exec == NO_SLOT ? NULL : exec_at(core, r->exec);
	if (left && runs_with_old(left))
		return;
	memcpy(t->args + e->offset, content, CONTENT_SIZE);
	if (!left)
		return;
	list_del(&r->in_exec);
	r->exec = NO_SLOT;
	r->force = false;
	want(core, r);
	exec_abandon(core, left);
}

/* A reader gets @content instead of what it has. */
static void rewrite(struct core *core, struct task *t, const struct edge *e,
		    const struct content *content)
{
	if (!memcmp(placeholder(t, e), content, CONTENT_SIZE))
		return;
	if (t->flags & TASK_REVIVED)
		restart(core, t, e, content);
	if (task_over(t))
		return;
	if (t->state != TASK_WAITING) {
		struct execution *left = exec_at(core, t->exec);
		if (runs_with_old(left))
			return;
		detach(core, t, &left);
		memcpy(t->args + e->offset, content, CONTENT_SIZE);
		exec_abandon(core, left);
		return;
	}
	memcpy(t->args + e->offset, content, CONTENT_SIZE);
}

static struct content list_content(const struct group *g)
{
	struct content c = {.type = CONTENT_LIST};
	memcpy(c.digest, g->digest, DIGEST_SIZE);
	return c;
}

static void update_lists(struct core *core, struct task *t)
{
	struct batch *b = task_batch(core, t);
	for (uint32_t i = t->in;; i++) {
		const struct edge *e = batch_edge(b, i);
		if (e->kind == EDGE_LIST) {
			struct content c = list_content(batch_group(b, e->from));
			rewrite(core, t, e, &c);
		}
		if (e->last)
			return;
	}
}

static void update_group(struct core *core, struct batch *b, struct group *g,
			 uint32_t edge, const struct content *content)
{
	struct content *entry = &g->list[group_place(b, g, edge)];
	if (!memcmp(entry, content, CONTENT_SIZE))
		return;
	/* Effects of this step may point at the old bytes. */
	size_t size = (size_t)g->size * sizeof *g->list;
	struct content *list = arena_alloc(&b->arena, size, 1);
	memcpy(list, g->list, size);
	list[entry - g->list] = *content;
	g->list = list;
	group_hash(g);
	group_announce(core, b, g);
	struct content c = list_content(g);
	for (uint32_t i = g->out; i != NO_EDGE; i = batch_edge(b, i)->next)
		rewrite(core, batch_task(b, batch_edge(b, i)->to), batch_edge(b, i), &c);
}

static void deliver_again(struct core *core, struct task *t, const struct content *slots,
			  uint32_t count)
{
	struct batch *b = task_batch(core, t);
	for (uint32_t i = t->out; i != NO_EDGE; i = batch_edge(b, i)->next) {
		struct edge *e = batch_edge(b, i);
		if (!e->delivered || e->kind == EDGE_NEED || e->slot >= count)
			continue;
		if (e->kind == EDGE_REF)
			rewrite(core, batch_task(b, e->to), e, &slots[e->slot]);
		else if (batch_group(b, e->to)->complete)
			update_group(core, b, batch_group(b, e->to), i, &slots[e->slot]);
		else
			*group_entry(b, batch_group(b, e->to), e->offset) =
				slots[e->slot];
	}
	flow_deliver(core, t, slots, count); /* what was never delivered */
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
		deliver_again(core, t, e->kept->slots, e->kept->slot_count);
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
		deliver_again(core, r->task, slots, count);
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
		struct revival *r = find(b, t);
		if (r && r->exec == NO_SLOT && t->pending) {
			r->failed = true;
			want(core, r);
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
		want(core, r);
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

/* ---- a worker misses an input ---- */

/* Everybody who uses @e: its subscribers, and tasks that are over and being made again. */
static void collect_users(const struct execution *e, struct tasks *users)
{
	struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next)
		push(users, t);
	if (!revive_uses(e))
		return;
	const struct list *pos;
	list_for_each (pos, &e->extra->revivals)
		push(users, container_of(pos, struct revival, in_exec)->task);
}

/* Users of several batches have a maker each, and lists of their own: all are told what comes of it,
 * for it may differ. Return: what was found, as bits. */
static unsigned search_users(struct core *core, const struct tasks *users,
			     const uint8_t digest[DIGEST_SIZE], struct tasks *makers)
{
	unsigned found = 0;
	for (uint32_t i = 0; i < users->count; i++)
		found |= 1u << search(core, users->items[i], digest, makers);
	for (uint32_t i = 0; i < users->count && found == 1u << FOUND_NOTHING; i++)
		search_nested(core, users->items[i], makers);
	return found;
}

/* Readers of a list that has changed since they were resolved leave. Return: false if nobody stays. */
static bool update_users(struct core *core, const struct execution *e,
			 const struct tasks *users)
{
	core_exec_id id = exec_id(e);
	for (uint32_t i = 0; i < users->count && exec_find_id(core, id); i++)
		if (users->items[i]->in != NO_EDGE)
			update_lists(core, users->items[i]);
	return exec_find_id(core, id);
}

static void block(struct core *core, struct execution *e, struct lease *l,
		  const struct tasks *users, const struct tasks *makers, bool force)
{
	uint64_t since = l->epoch;
	core_exec_id id = exec_id(e);
	lease_end(core, l);
	exec_become(core, e, EXEC_BLOCKED);
	e->extra->blocked = 1; /* until all of it is begun */
	if (!update_users(core, e, users) || !exec_drop_cancelled(core, e))
		return;
	for (uint32_t i = 0; i < makers->count; i++)
		revive_task(core, makers->items[i], force, e, since);
	unblock(core, id);
}

enum revive_result revive_missing(struct core *core, struct execution *e, struct lease *l,
				  const uint8_t digest[DIGEST_SIZE])
{
	CLEANUP(tasks_fini) struct tasks users = {0};
	CLEANUP(tasks_fini) struct tasks makers = {0};
	const struct exec_extra *x = e->extra;
	uint32_t again = x->missing_same - 1;
	if (again > SAME_MAX || x->missing_total > TOTAL_MAX)
		return REVIVE_LOST;
	collect_users(e, &users);
	unsigned found = search_users(core, &users, digest, &makers);
	if (makers.count || found & 1u << FOUND_OLD_LIST) {
		block(core, e, l, &users, &makers, again);
	} else if (found & 1u << FOUND_LIST) {
		lease_end(core, l);
		outcome_back(core, e, again ? backoff_ns(again - 1) : 0);
	} else {
		return REVIVE_LOST;
	}
	return REVIVE_WAITS;
}
