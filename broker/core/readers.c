/* readers.c - readers of an output that was made again and differs.
 *
 * Those that do not run are resolved anew; those that do may finish with what they have. A list is
 * changed in a copy, since effects of this step may point at the old bytes. */
#include "broker/core/parts.h"

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
	struct revival *r = revive_find(task_batch(core, t), t);
	struct execution *left = r->exec == NO_SLOT ? NULL : exec_at(core, r->exec);
	if (left && runs_with_old(left))
		return;
	memcpy(t->args + e->offset, content, CONTENT_SIZE);
	if (!left)
		return;
	list_del(&r->in_exec);
	r->exec = NO_SLOT;
	r->force = false;
	revive_want(core, r);
	exec_abandon(core, left);
}

/* A reader gets @content instead of what it has. */
static void rewrite(struct core *core, struct task *t, const struct edge *e,
		    const struct content *content)
{
	if (!memcmp(edge_content(t, e), content, CONTENT_SIZE))
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

void readers_update_lists(struct core *core, struct task *t)
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
	struct content *list = arena_take(&b->arena, size, 1);
	memcpy(list, g->list, size);
	list[entry - g->list] = *content;
	g->list = list;
	group_hash(g);
	group_announce(core, b, g);
	struct content c = list_content(g);
	for (uint32_t i = g->out; i != NO_EDGE; i = batch_edge(b, i)->next)
		rewrite(core, batch_task(b, batch_edge(b, i)->to), batch_edge(b, i), &c);
}

void readers_deliver_again(struct core *core, struct task *t, const struct content *slots,
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
