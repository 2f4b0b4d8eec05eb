/* chunk.c - a part of a batch is checked whole, then copied. What can only be known when the batch
 * is complete (forward references, cycles) is checked in graph.c.
 *
 * Options and functions must come before, or in the same chunk as, what uses them. References may
 * point anywhere. */
#include "broker/core/parts.h"

#include <stdlib.h>

struct refusal {
	enum core_refusal why;
	uint32_t index;
};

static bool refuse(struct refusal *r, enum core_refusal why, uint32_t index)
{
	*r = (struct refusal){why, index};
	return false;
}

static bool take_options(struct core *core, struct batch *b,
			 const struct core_options *from, struct refusal *r)
{
	if ((unsigned)from->cache > CORE_CACHE_FORCE)
		return refuse(r, CORE_R_BAD_OPTIONS, CORE_NO_INDEX);
	struct class *class = class_intern(core, from->resources, from->resource_count);
	if (!class)
		return refuse(r, CORE_R_BAD_OPTIONS, CORE_NO_INDEX);
	struct options *o = seg_add(&b->options);
	*o = (struct options){
		.class = class,
		.timeout_ns = from->timeout_ns,
		.retries = from->retries,
		.priority = from->priority,
		.cache = from->cache,
	};
	return true;
}

static bool take_function(struct core *core, struct batch *b,
			  const struct core_function *from, struct refusal *r)
{
	if (from->options >= b->options.count)
		return refuse(r, CORE_R_BAD_FUNCTION, CORE_NO_INDEX);
	if (from->output_count > OUTPUTS_MAX)
		return refuse(r, CORE_R_TOO_LARGE, CORE_NO_INDEX);
	struct function *f = seg_add(&b->functions);
	f->func = func_intern(core, from->hash, from->output_count);
	f->options = from->options;
	return true;
}

static bool take_group(struct batch *b, const struct core_group *from, struct refusal *r)
{
	for (uint32_t i = 0; i < from->range_count; i++)
		if (!from->ranges[i].count &&
		    !content_is_argument(from->ranges[i].content.type))
			return refuse(r, CORE_R_BAD_REF, CORE_NO_INDEX);
	struct group *g = seg_add(&b->groups);
	size_t size = (size_t)from->range_count * sizeof *from->ranges;
	g->ranges = arena_take(&b->arena, size, _Alignof(struct core_group_range));
	if (size)
		memcpy(g->ranges, from->ranges, size);
	g->range_count = from->range_count;
	g->skip_failed = from->skip_failed;
	g->in = g->out = NO_EDGE;
	return true;
}

/* Sorts by sifting a heap: no recursion, no comparison callback, no library. */
static void sort(uint32_t *v, uint32_t n)
{
	for (uint32_t start = n / 2, end = n; end > 1;) {
		uint32_t root, value;
		if (start) {
			value = v[root = --start];
		} else {
			end--;
			value = v[end];
			v[end] = v[root = 0];
			if (end == 1) {
				v[0] = value;
				break;
			}
		}
		for (uint32_t child; (child = 2 * root + 1) < end; root = child) {
			if (child + 1 < end && v[child + 1] > v[child])
				child++;
			if (v[child] <= value)
				break;
			v[root] = v[child];
		}
		v[root] = value;
	}
}

static bool placeholders_fit(const struct core_task_spec *spec)
{
	bool ascending = true;
	for (uint32_t i = 0; i < spec->ref_count; i++) {
		uint64_t end = (uint64_t)spec->refs[i].offset + CONTENT_SIZE;
		if (end > spec->args_size)
			return false;
		if (i && spec->refs[i].offset <
				 (uint64_t)spec->refs[i - 1].offset + CONTENT_SIZE)
			ascending = false;
	}
	if (ascending)
		return true;
	if (spec->ref_count > spec->args_size / CONTENT_SIZE)
		return false;
	CLEANUP_FREE uint32_t *offsets =
		mem_resize(NULL, spec->ref_count * sizeof *offsets);
	for (uint32_t i = 0; i < spec->ref_count; i++)
		offsets[i] = spec->refs[i].offset;
	sort(offsets, spec->ref_count);
	for (uint32_t i = 1; i < spec->ref_count; i++)
		if (offsets[i] - offsets[i - 1] < CONTENT_SIZE)
			return false;
	return true;
}

static bool check_task(struct batch *b, const struct core_task_spec *spec,
		       struct refusal *r)
{
	uint32_t index = b->tasks.count;
	if (index >= TASKS_MAX || spec->args_size > ARGS_MAX ||
	    (uint64_t)b->edges.count + spec->ref_count + spec->need_count > EDGES_MAX)
		return refuse(r, CORE_R_TOO_LARGE, index);
	if (spec->function >= b->functions.count)
		return refuse(r, CORE_R_BAD_FUNCTION, index);
	const struct function *f = seg_at(&b->functions, spec->function);
	const struct options *o = seg_at(&b->options, f->options);
	if ((o->cache == CORE_CACHE_USE) != !spec->nonce)
		return refuse(r, CORE_R_BAD_NONCE, index);
	if (!placeholders_fit(spec))
		return refuse(r, CORE_R_BAD_REF, index);
	for (uint32_t i = 0; i < spec->ref_count; i++)
		if (!spec->refs[i].is_group && spec->refs[i].target == index)
			return refuse(r, CORE_R_SELF_REF, index);
	for (uint32_t i = 0; i < spec->need_count; i++)
		if (spec->needs[i] == index)
			return refuse(r, CORE_R_SELF_REF, index);
	for (uint32_t i = 0; i < spec->ref_count; i++)
		if (!spec->refs[i].is_group && spec->refs[i].slot >= OUTPUTS_MAX + 2)
			return refuse(r, CORE_R_BAD_REF, index);
	return true;
}

static struct edge *add_edge(struct batch *b, struct task *t, enum edge_kind kind,
			     uint32_t from)
{
	if (t->in == NO_EDGE)
		t->in = b->edges.count;
	struct edge *e = seg_add(&b->edges);
	e->from = from;
	e->to = t->index;
	e->next = NO_EDGE;
	e->kind = kind;
	t->pending++;
	return e;
}

static void take_task(struct batch *b, const struct core_task_spec *spec)
{
	struct task *t = seg_add(&b->tasks);
	size_t nonce = spec->nonce ? NONCE_SIZE : 0;
	t->args = (uint8_t *)arena_take(&b->arena, nonce + spec->args_size, 1) + nonce;
	if (nonce)
		memcpy(t->args - nonce, spec->nonce, nonce);
	if (spec->args_size)
		memcpy(t->args, spec->args, spec->args_size);
	t->args_size = spec->args_size;
	t->function = spec->function;
	((struct function *)seg_at(&b->functions, t->function))->live++;
	t->batch = b->slot;
	t->index = b->tasks.count - 1;
	t->in = t->out = NO_EDGE;
	t->state = TASK_WAITING;
	t->flags = nonce ? TASK_NONCE : 0;
	struct edge *e = NULL;
	for (uint32_t i = 0; i < spec->ref_count; i++) {
		const struct core_ref *ref = &spec->refs[i];
		e = add_edge(b, t, ref->is_group ? EDGE_LIST : EDGE_REF, ref->target);
		e->offset = ref->offset;
		e->slot = ref->is_group ? 0 : ref->slot;
	}
	for (uint32_t i = 0; i < spec->need_count; i++)
		e = add_edge(b, t, EDGE_NEED, spec->needs[i]);
	if (e)
		e->last = true;
}

void chunk_take(struct core *core, struct batch *b, const struct core_event *event)
{
	struct refusal r = {0};
	bool good = !b->sealed;
	b->touched_at = core->now;
	if (!good)
		return; /* the loop never does that; a sealed batch must not change */
	for (uint32_t i = 0; good && i < event->chunk.option_count; i++)
		good = take_options(core, b, &event->chunk.options[i], &r);
	for (uint32_t i = 0; good && i < event->chunk.function_count; i++)
		good = take_function(core, b, &event->chunk.functions[i], &r);
	for (uint32_t i = 0; good && i < event->chunk.group_count; i++)
		good = take_group(b, &event->chunk.groups[i], &r);
	for (uint32_t i = 0; good && i < event->chunk.task_count; i++) {
		good = check_task(b, &event->chunk.tasks[i], &r);
		if (good)
			take_task(b, &event->chunk.tasks[i]);
	}
	if (!good) {
		batch_refuse(core, b, r.why, r.index, NULL, 0);
		return;
	}
	b->live = b->tasks.count;
	b->counts.total = b->counts.waiting = b->tasks.count;
}
