/* flow.c - what the end of a task means to those behind it: content is written into their
 * arguments, or they are skipped.
 *
 * Delivering writes at once and never recurses: a task whose last edge was delivered, or that is to
 * be skipped, goes on core->work, and flow_run() takes from there, some per step. Each edge is
 * delivered once, so everything together is linear in the edges. A list is complete when all its
 * members have ended; its digest is computed once, and its bytes are announced before any reader
 * is resolved. */
#include "broker/core/parts.h"

void flow_list(struct core *core, struct task *t)
{
	assert(t->state == TASK_WAITING && !(t->flags & TASK_LISTED));
	t->flags |= TASK_LISTED;
	t->prev = core->work_tail;
	t->next = NULL;
	if (core->work_tail)
		core->work_tail->next = t;
	else
		core->work_head = t;
	core->work_tail = t;
}

void flow_unlist(struct core *core, struct task *t)
{
	assert(t->flags & TASK_LISTED);
	t->flags &= ~TASK_LISTED;
	if (t->prev)
		t->prev->next = t->next;
	else
		core->work_head = t->next;
	if (t->next)
		t->next->prev = t->prev;
	else
		core->work_tail = t->prev;
	t->prev = t->next = NULL;
}

/* One edge to @t is met. In recovery nothing is resolved yet. */
static void count_down(struct core *core, struct task *t)
{
	assert(t->pending);
	if (--t->pending)
		return;
	if (task_over(t)) {
		if (t->flags & TASK_REVIVED)
			revive_ready(core, t);
	} else if (t->state == TASK_WAITING && !(t->flags & TASK_LISTED) &&
		   !core->recovering) {
		flow_list(core, t);
	}
}

struct content *group_entry(struct batch *b, struct group *g, uint32_t position)
{
	if (!g->list) {
		size_t size = (size_t)g->size * sizeof *g->list;
		g->list = arena_take(&b->arena, size, 1);
		memset(g->list, 0, size);
		uint32_t at = 0;
		for (uint32_t k = 0; k < g->range_count; k++) {
			if (!g->ranges[k].count)
				g->list[at] = g->ranges[k].content;
			at += g->ranges[k].count ? g->ranges[k].count : 1;
		}
	}
	return &g->list[position];
}

/* A member that failed is left out: its entry is marked by a type that no content has. */
#define OMITTED UINT8_MAX

void group_omit(struct group *g, uint32_t position)
{
	g->list[position].type = OMITTED;
}

static void compact(struct group *g)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < g->size; i++)
		if (g->list[i].type != OMITTED)
			g->list[kept++] = g->list[i];
	g->list_count = kept;
}

void group_hash(struct group *g)
{
	sha256_digest(g->list, (size_t)g->list_count * CONTENT_SIZE, g->digest);
}

/* The empty blob always exists and is never stored. */
void group_announce(struct core *core, struct batch *b, struct group *g)
{
	if (!g->list_count)
		return;
	struct core_effect *fx = fx_add(core, CORE_FX_LIST_BLOB);
	fx->batch = b->number;
	memcpy(fx->blob.digest, g->digest, DIGEST_SIZE);
	fx->blob.data = (const uint8_t *)g->list;
	fx->blob.size = (size_t)g->list_count * CONTENT_SIZE;
}

static void write_content(struct task *t, const struct edge *e,
			  const struct content *content)
{
	memcpy(t->args + e->offset, content, CONTENT_SIZE);
}

void group_tell(struct core *core, struct batch *b, struct group *g)
{
	struct content content = {.type = CONTENT_LIST};
	memcpy(content.digest, g->digest, DIGEST_SIZE);
	for (uint32_t i = g->out; i != NO_EDGE; i = batch_edge(b, i)->next) {
		struct edge *e = batch_edge(b, i);
		if (e->delivered)
			continue;
		struct task *t = batch_task(b, e->to);
		e->delivered = true;
		write_content(t, e, &content);
		count_down(core, t);
		if (PLANTED(PLANT_GROUP_FORGETS_READERS))
			break;
	}
}

void group_complete(struct core *core, struct batch *b, struct group *g)
{
	assert(!g->complete && !g->pending);
	g->complete = true;
	if (g->size)
		group_entry(b, g, 0);
	compact(g);
	group_hash(g);
	if (g->failed)
		return; /* its readers are skipped */
	if (g->readers)
		group_announce(core, b, g);
	group_tell(core, b, g);
}

static void member_met(struct core *core, struct batch *b, struct group *g)
{
	assert(g->pending);
	if (--g->pending == 0 && !core->recovering)
		group_complete(core, b, g);
}

uint32_t group_place(const struct batch *b, const struct group *g, uint32_t in)
{
	uint32_t place = batch_edge(b, in)->offset;
	if (g->list_count == g->size)
		return place;
	uint32_t omitted = 0;
	for (uint32_t i = g->in; i < in; i++)
		omitted += batch_task(b, batch_edge(b, i)->from)->state != TASK_DONE;
	return place - omitted;
}

struct task *group_find(const struct batch *b, const struct group *g,
			const uint8_t digest[DIGEST_SIZE], bool *listed)
{
	uint32_t omitted = 0;
	*listed = false;
	for (uint32_t i = g->in; i < g->in + g->member_count; i++) {
		struct task *t = batch_task(b, batch_edge(b, i)->from);
		if (t->state != TASK_DONE) {
			omitted++;
			continue;
		}
		const struct content *c = &g->list[batch_edge(b, i)->offset - omitted];
		if (!memcmp(c->digest, digest, DIGEST_SIZE)) {
			*listed = true;
			return t;
		}
	}
	for (uint32_t i = 0; i < g->list_count && !*listed; i++)
		*listed = !memcmp(g->list[i].digest, digest, DIGEST_SIZE);
	return NULL;
}

/* @slots NULL: only order is known (a recovered task whose content nobody asked for). */
void flow_deliver(struct core *core, struct task *t, const struct content *slots,
		  uint32_t count)
{
	struct batch *b = task_batch(core, t);
	for (uint32_t i = t->out; i != NO_EDGE; i = batch_edge(b, i)->next) {
		struct edge *e = batch_edge(b, i);
		if (e->delivered ||
		    (e->kind != EDGE_NEED && (!slots || e->slot >= count)))
			continue;
		e->delivered = true;
		if (e->kind == EDGE_MEMBER) {
			struct group *g = batch_group(b, e->to);
			*group_entry(b, g, e->offset) = slots[e->slot];
			member_met(core, b, g);
			continue;
		}
		struct task *reader = batch_task(b, e->to);
		if (e->kind == EDGE_REF)
			write_content(reader, e, &slots[e->slot]);
		count_down(core, reader);
	}
}

static void skip(struct core *core, struct task *t, uint32_t root)
{
	if (t->state != TASK_WAITING || t->flags & TASK_SKIP)
		return;
	if (PLANTED(PLANT_SKIP_LOST))
		return;
	task_drop_old(core, t);
	t->flags |= TASK_SKIP;
	t->exec = root;
	if (!(t->flags & TASK_LISTED))
		flow_list(core, t);
}

static void fail_group(struct core *core, struct batch *b, const struct edge *e,
		       uint32_t root)
{
	struct group *g = batch_group(b, e->to);
	if (g->skip_failed) {
		group_entry(b, g, e->offset);
		group_omit(g, e->offset);
	} else if (!g->failed) {
		g->failed = true;
		for (uint32_t i = g->out; i != NO_EDGE; i = batch_edge(b, i)->next)
			skip(core, batch_task(b, batch_edge(b, i)->to), root);
	}
	member_met(core, b, g);
}

void flow_fail(struct core *core, struct task *t, uint32_t root)
{
	struct batch *b = task_batch(core, t);
	if (b->cancelled_all)
		return; /* everything behind it is being cancelled as well */
	for (uint32_t i = t->out; i != NO_EDGE; i = batch_edge(b, i)->next) {
		struct edge *e = batch_edge(b, i);
		if (e->delivered)
			continue;
		if (e->kind == EDGE_MEMBER) {
			e->delivered = true;
			fail_group(core, b, e, root);
		} else {
			skip(core, batch_task(b, e->to), root);
		}
	}
}

static void follow(struct core *core, struct task *t)
{
	if (!(t->flags & TASK_SKIP)) {
		if (!t->pending)
			task_resolve(core, t);
		return;
	}
	uint32_t root = t->exec;
	t->flags &= ~TASK_SKIP;
	task_end(core, t, &(struct task_end){.state = TASK_SKIPPED, .upstream = root});
	flow_fail(core, t, root);
}

void flow_run(struct core *core)
{
	for (uint32_t n = 0; core->work_head && n < STEP_BUDGET; n++) {
		struct task *t = core->work_head;
		flow_unlist(core, t);
		follow(core, t);
	}
}
