/* missing.c - a worker misses an input: which tasks made it?
 *
 * The one whose content stands in the arguments or in a list that is read. Bytes inside a folder or a
 * result with several outputs are not known here: then every input of those kinds is looked up
 * with its bytes, and what is not whole runs again. All users of the execution are asked, as
 * those of other batches have makers of their own. */
#include "broker/core/parts.h"
#include "broker/core/tasks.h"

#define SAME_MAX 20u	 /* the same bytes missing so often in a row: given up */
#define TOTAL_MAX 10000u /* missing inputs of one execution: given up */
#define NESTED_MAX 4096u /* inputs looked up because something inside them is missing */

static bool nested(const struct content *c)
{
	return c->type == CONTENT_TREE || c->type == CONTENT_RESULT;
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
	if (memcmp(edge_content(t, e)->digest, g->digest, DIGEST_SIZE) != 0)
		return FOUND_OLD_LIST; /* it has changed since */
	struct task *maker = group_find(b, g, digest, &listed);
	if (!maker)
		return FOUND_NOTHING;
	tasks_push(makers, maker);
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
			   !memcmp(edge_content(t, e)->digest, digest, DIGEST_SIZE)) {
			tasks_push(makers, batch_task(b, e->from));
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
		if (e->kind == EDGE_REF && nested(edge_content(t, e)))
			tasks_push(makers, batch_task(b, e->from));
		if (e->kind == EDGE_LIST) {
			struct group *g = batch_group(b, e->from);
			for (uint32_t k = g->in;
			     k < g->in + g->member_count && makers->count < NESTED_MAX;
			     k++) {
				struct task *m = batch_task(b, batch_edge(b, k)->from);
				if (m->state == TASK_DONE &&
				    nested(&g->list[group_place(b, g, k)]))
					tasks_push(makers, m);
			}
		}
		if (e->last)
			return;
	}
}

/* Everybody who uses @e: its subscribers, and tasks that are over and being made again. */
static void collect_users(const struct execution *e, struct tasks *users)
{
	struct task *t = e->subs;
	for (uint32_t n = e->sub_count; n; n--, t = t->next)
		tasks_push(users, t);
	if (!revive_uses(e))
		return;
	const struct list *pos;
	list_for_each (pos, &e->extra->revivals)
		tasks_push(users, container_of(pos, struct revival, in_exec)->task);
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
			readers_update_lists(core, users->items[i]);
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
	revive_unblock(core, id);
}

enum missing_result missing_revive(struct core *core, struct execution *e,
				   struct lease *l, const uint8_t digest[DIGEST_SIZE])
{
	CLEANUP(tasks_fini) struct tasks users = {0};
	CLEANUP(tasks_fini) struct tasks makers = {0};
	const struct exec_extra *x = e->extra;
	uint32_t again = x->missing_same - 1;
	if (again > SAME_MAX || x->missing_total > TOTAL_MAX)
		return MISSING_LOST;
	collect_users(e, &users);
	unsigned found = search_users(core, &users, digest, &makers);
	if (makers.count || found & 1u << FOUND_OLD_LIST) {
		block(core, e, l, &users, &makers, again);
	} else if (found & 1u << FOUND_LIST) {
		lease_end(core, l);
		outcome_back(core, e, again ? backoff_ns(again - 1) : 0);
	} else {
		return MISSING_LOST;
	}
	return MISSING_WAITS;
}
