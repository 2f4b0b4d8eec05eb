/* workload.c - batches from a seed: chains, diamonds, fans joined by groups, independent tasks,
 * equal tasks across clients, twins of whole batches, now and then a very wide one, a crowd of small
 * requests beside large ones, scarce tokens, and some that must be refused. */
#include "common/pure/sha256.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { PLACEHOLDER = 35 }; /* 0x58 0x21 and CONTENT_SIZE bytes */

struct content workload_output(const struct core_lease *lease, uint32_t slot,
			       enum task_kind kind)
{
	static const uint8_t types[] = {CONTENT_FILE, CONTENT_JSON, CONTENT_PICKLE};
	uint8_t text[2 * DIGEST_SIZE + 12] = {0};
	struct content content = {.type = CONTENT_FILE};

	memcpy(text, lease->func_hash, DIGEST_SIZE);
	memcpy(text + DIGEST_SIZE, lease->args_hash, DIGEST_SIZE);
	memcpy(text + 2 * DIGEST_SIZE, &slot, 4);
	if (kind == KIND_CHANGING)
		memcpy(text + 2 * DIGEST_SIZE + 4, &lease->epoch, 8);
	sha256_digest(text, sizeof text, content.digest);
	if (!slot) /* a call returns any of these */
		content.type = types[content.digest[0] % sizeof types];
	return content;
}

/* Arguments: some bytes that tell tasks apart, then a placeholder per reference. */
static void make_args(struct sim_task *t, uint64_t value)
{
	uint32_t at = 9;

	t->args[0] = 0x1b;
	memcpy(t->args + 1, &value, 8);
	for (uint32_t i = 0; i < t->spec.ref_count; i++) {
		t->args[at] = 0x58;
		t->args[at + 1] = CONTENT_SIZE;
		t->refs[i].offset = at + 2;
		at += PLACEHOLDER;
	}
	t->spec.args = t->args;
	t->spec.args_size = at;
	t->spec.refs = t->refs;
	t->spec.needs = t->needs;
}

static void add_ref(struct sim_batch *b, struct sim_task *t, bool is_group,
		    uint32_t target, uint32_t slot)
{
	if (t->spec.ref_count == ARRAY_LEN(t->refs))
		return;
	if (!is_group && target < b->task_count) {
		uint32_t outputs =
			b->functions[b->tasks[target].spec.function].output_count;

		if (slot >= 2 + outputs)
			slot = 0;
	}
	t->refs[t->spec.ref_count++] =
		(struct core_ref){.is_group = is_group, .target = target, .slot = slot};
}

enum { SHAPE_GROUPS = 4, SHAPE_FORWARD = 5, SHAPES, SHAPE_WIDE };
enum { WIDE_READERS = 10 };

/* Shapes of graphs: who reads whom. Tasks only read earlier ones, but for one shape. */
static void make_edges(struct sim *s, struct sim_batch *b, unsigned shape, uint32_t i)
{
	struct rng *r = &s->workload;
	struct sim_task *t = &b->tasks[i];

	switch (shape) {
	case 0:
		break; /* independent */
	case 1:	       /* a chain */
		if (i)
			add_ref(b, t, false, i - 1, (uint32_t)rng_below(r, 4));
		break;
	case 2: /* a fan: one root, many readers */
		if (i)
			add_ref(b, t, false, 0, (uint32_t)rng_below(r, 3));
		break;
	case 3: /* random, up to four inputs and some pure order */
		for (uint64_t n = i ? rng_below(r, 5) : 0; n; n--)
			add_ref(b, t, false, (uint32_t)rng_below(r, i),
				(uint32_t)rng_below(r, 4));
		if (i && rng_chance(r, 300)) {
			t->needs[0] = (uint32_t)rng_below(r, i);
			t->spec.need_count = 1;
		}
		break;
	case SHAPE_GROUPS: /* two layers joined by a group */
		if (i >= b->task_count / 2 && b->group_count)
			add_ref(b, t, true, (uint32_t)rng_below(r, b->group_count), 0);
		break;
	case SHAPE_WIDE: /* one, thousands, a list of those, few readers of it */
		if (i >= b->task_count - WIDE_READERS)
			add_ref(b, t, true, 0, 0);
		else if (i)
			add_ref(b, t, false, 0, 0);
		break;
	default: /* forward references: the last task is the root */
		if (i + 1 < b->task_count)
			add_ref(b, t, false, i + 1, 0);
		break;
	}
}

static void make_groups(struct sim *s, struct sim_batch *b)
{
	struct rng *r = &s->workload;
	uint32_t half = b->task_count / 2;

	if (!half)
		return;
	b->group_count = 1 + (uint32_t)rng_below(r, 2);
	for (uint32_t g = 0; g < b->group_count; g++) {
		uint32_t first = g ? (uint32_t)rng_below(r, half) : 0;

		b->ranges[g][0] =
			(struct core_group_range){.first = first,
						  .count = half - first,
						  .slot = (uint32_t)rng_below(r, 2)};
		b->groups[g].ranges = b->ranges[g];
		b->groups[g].range_count = 1;
		b->groups[g].skip_failed = rng_chance(r, 400);
		if (rng_chance(r, 200)) {
			b->ranges[g][1].content.type = CONTENT_FILE;
			b->ranges[g][1].content.digest[0] = (uint8_t)(g + 1);
			b->groups[g].range_count = 2;
		}
	}
}

static void make_wide_group(struct sim_batch *b)
{
	b->group_count = 1;
	b->ranges[0][0] = (struct core_group_range){
		.first = 1, .count = b->task_count - WIDE_READERS - 1};
	b->groups[0].ranges = b->ranges[0];
	b->groups[0].range_count = 1;
	b->groups[0].skip_failed = true;
}

/* Equal ones of different batches do the same. */
static void name_function(struct core_function *f, uint64_t which, enum task_kind kind)
{
	uint64_t name = which * 8 + kind;

	sha256_digest(&name, sizeof name, f->hash);
}

static void make_functions(struct sim *s, struct sim_batch *b)
{
	struct rng *r = &s->workload;

	b->option_count = 1 + (uint32_t)rng_below(r, 3);
	for (uint32_t i = 0; i < b->option_count; i++) {
		struct core_options *o = &b->options[i];

		o->retries = (uint32_t)rng_below(r, 4);
		o->priority = (int32_t)rng_below(r, 3) - 1;
		o->resource_count = 1;
		o->resources[0] =
			(struct core_resource){"cpus", 500 * (1 + rng_below(r, 3))};
		if (rng_chance(r, 100))
			o->cache = CORE_CACHE_OFF;
		else if (rng_chance(r, 100))
			o->cache = CORE_CACHE_FORCE;
	}
	b->function_count = 1 + (uint32_t)rng_below(r, 6);
	for (uint32_t i = 0; i < b->function_count; i++) {
		struct core_function *f = &b->functions[i];
		uint64_t which = rng_below(r, 6); /* few: equal ones across clients */

		b->kinds[i] = KIND_GOOD;
		if (which == 5 && rng_chance(r, 500))
			b->kinds[i] = KIND_BAD;
		else if (which == 4 && s->rate[FAULT_FLAKY])
			b->kinds[i] = KIND_FLAKY;
		else if (which == 3)
			b->kinds[i] = KIND_SLOW;
		else if (which == 2 && s->rate[FAULT_POISON] && rng_chance(r, 200))
			b->kinds[i] = KIND_POISON;
		else if (which == 1 && rng_chance(r, 200))
			b->kinds[i] = KIND_CHANGING;
		f->output_count = (uint32_t)which % 3;
		name_function(f, which, b->kinds[i]);
		f->options = (uint32_t)rng_below(r, b->option_count);
	}
}

static void make_bad(struct sim *s, struct sim_batch *b, bool forward)
{
	struct sim_task *t = &b->tasks[0], *u = &b->tasks[1];

	b->bad = true;
	if (rng_chance(&s->workload, 500) || b->task_count < 2 || forward) {
		t->spec.ref_count = 0;
		add_ref(b, t, false, b->task_count + 7, 0);
	} else {
		t->spec.ref_count = u->spec.ref_count = 0;
		add_ref(b, t, false, 1, 0);
		add_ref(b, u, false, 0, 0);
		make_args(u, 1);
	}
	make_args(t, 1);
}

static void draw_nonce(struct sim *s, const struct sim_batch *b, struct sim_task *t)
{
	const struct core_function *f = &b->functions[t->spec.function];
	uint64_t draw = rng_next(&s->workload);

	t->spec.nonce = NULL;
	if (b->options[f->options].cache == CORE_CACHE_USE)
		return;
	memcpy(t->nonce, &draw, sizeof draw);
	t->spec.nonce = t->nonce;
}

static void make_tasks(struct sim *s, struct sim_batch *b, unsigned shape)
{
	struct rng *r = &s->workload;
	uint64_t values = rng_chance(r, 300) ? 5 : 30;

	b->chunk_size = 1 + (uint32_t)rng_below(r, b->task_count);
	b->tasks = mem_alloc(b->task_count * sizeof *b->tasks);
	if (shape == SHAPE_GROUPS)
		make_groups(s, b);
	if (shape == SHAPE_WIDE)
		make_wide_group(b);
	for (uint32_t i = 0; i < b->task_count; i++)
		b->tasks[i].spec.function = (uint32_t)rng_below(r, b->function_count);
	for (uint32_t i = 0; i < b->task_count; i++) {
		struct sim_task *t = &b->tasks[i];

		make_edges(s, b, shape, i);
		draw_nonce(s, b, t);
		make_args(t, shape == SHAPE_WIDE ? i : rng_below(r, values));
	}
	if (rng_chance(r, 60))
		make_bad(s, b, shape == SHAPE_FORWARD);
}

/* A wide one has many quick tasks, and nothing else about it is odd. */
static void make_wide(struct sim *s, struct sim_batch *b)
{
	struct rng *r = &s->workload;

	b->task_count = WIDE_READERS + 1000 + (uint32_t)rng_below(r, 9001);
	make_functions(s, b);
	b->function_count = b->option_count = 1;
	b->functions[0].options = 0;
	b->kinds[0] = KIND_GOOD;
	name_function(&b->functions[0], 6 + b->functions[0].output_count, KIND_GOOD);
	b->max_failures = b->max_parallel = 0;
	make_tasks(s, b, SHAPE_WIDE);
}

/* The same work under other terms, at about the same time: followers everywhere. */
static void make_twin(struct sim *s, struct sim_batch *b, const struct sim_batch *of)
{
	struct rng *r = &s->workload;
	uint64_t at = of->submit_at + rng_below(r, 4) * NS_PER_S / 2;
	uint8_t id[DIGEST_SIZE];

	memcpy(id, b->id, DIGEST_SIZE);
	*b = *of;
	memcpy(b->id, id, DIGEST_SIZE);
	b->submit_at = at;
	b->client = (uint32_t)rng_below(r, 3);
	b->chunk_size = 1 + (uint32_t)rng_below(r, b->task_count);
	for (uint32_t i = 0; i < b->option_count; i++) {
		b->options[i].retries = (uint32_t)rng_below(r, 4);
		b->options[i].priority = (int32_t)rng_below(r, 3) - 1;
		b->options[i].resources[0].amount = 500 * (1 + rng_below(r, 3));
	}
	for (uint32_t i = 0; i < b->group_count; i++)
		b->groups[i].ranges = b->ranges[i];
	b->tasks = mem_copy(of->tasks, b->task_count * sizeof *b->tasks);
	for (uint32_t i = 0; i < b->task_count; i++) {
		struct sim_task *t = &b->tasks[i];

		t->spec.args = t->args;
		t->spec.refs = t->refs;
		t->spec.needs = t->needs;
		draw_nonce(s, b, t);
	}
}

static void make_batch(struct sim *s, uint32_t number)
{
	struct rng *r = &s->workload;
	struct sim_batch *b = &s->batches[number];
	unsigned shape = (unsigned)rng_below(r, SHAPES);
	uint64_t id = s->options.seed + number;

	sha256_digest(&id, sizeof id, b->id);
	b->client = (uint32_t)rng_below(r, 3);
	b->submit_at = rng_below(r, 40) * NS_PER_S;
	b->task_count = 1 + (uint32_t)rng_below(r, rng_chance(r, 100) ? 300 : 25);
	if (rng_chance(r, 80))
		b->max_failures = 1 + (uint32_t)rng_below(r, 4);
	if (rng_chance(r, 80))
		b->max_parallel = 1 + (uint32_t)rng_below(r, 3);
	if (number && rng_chance(r, 250)) {
		make_twin(s, b, &s->batches[rng_below(r, number)]);
	} else if (rng_below(r, 1500) == 0) {
		make_wide(s, b);
	} else {
		make_functions(s, b);
		make_tasks(s, b, shape);
	}
}

static void make_workers(struct sim *s)
{
	struct rng *r = &s->workload;

	s->worker_count = 1 + (uint32_t)rng_below(r, SIM_WORKERS_MAX);
	for (uint32_t i = 0; i < s->worker_count; i++) {
		struct sim_worker *w = &s->workers[i];

		memset(w->key, (int)i + 1, sizeof w->key);
		w->cpus = 1500 + 500 * rng_below(r, 6); /* every task fits everywhere */
		w->credit = (uint32_t)rng_below(r, rng_chance(r, 200) ? 40 : 5);
	}
}

/* @count independent tasks that ask for @cpus and work. */
static void make_plain(struct sim_batch *b, uint32_t count, uint64_t cpus, uint64_t at)
{
	struct sim_batch plain = {.client = b->client, .submit_at = at};

	memcpy(plain.id, b->id, DIGEST_SIZE);
	free(b->tasks);
	*b = plain;
	b->option_count = b->function_count = 1;
	b->options[0].resource_count = 1;
	b->options[0].resources[0] = (struct core_resource){"cpus", cpus};
	sha256_digest(&cpus, sizeof cpus, b->functions[0].hash);
	b->task_count = b->chunk_size = count;
	b->tasks = mem_alloc(count * sizeof *b->tasks);
	for (uint32_t i = 0; i < count; i++)
		make_args(&b->tasks[i], i);
}

/* Small ones keep coming, and a few large ones want room as well. */
static void make_crowd(struct sim *s)
{
	struct rng r = {s->options.seed ^ 0x63726f776475u};
	uint64_t at = rng_below(&r, 20) * NS_PER_S;

	if (s->batch_count < 2 || !rng_chance(&r, 60))
		return;
	s->worker_count = s->worker_count > 2 ? 2 : s->worker_count;
	for (uint32_t i = 0; i < s->worker_count; i++)
		s->workers[i].credit = (uint32_t)rng_below(&r, 2);
	make_plain(&s->batches[0], 100 + (uint32_t)rng_below(&r, 200), 500, at);
	make_plain(&s->batches[1], 1 + (uint32_t)rng_below(&r, 5), 1500,
		   at + rng_below(&r, 3) * NS_PER_S);
}

/* In some runs requests are such that one may fit where another, which asks for less of something else,
 * does not; each fits everywhere. */
static void make_tokens(struct sim *s)
{
	struct rng r = {s->options.seed ^ 0x6d656d6f7279u};
	bool scarce = rng_chance(&r, 300);

	s->second = rng_chance(&r, 300) ? "memory" : "tokens";
	for (uint32_t i = 0; i < s->worker_count; i++)
		s->workers[i].tokens = SIM_TOKENS_MOST + rng_below(&r, 4);
	for (uint32_t i = 0; i < s->batch_count && scarce; i++)
		for (uint32_t k = 0; k < s->batches[i].option_count; k++) {
			struct core_options *o = &s->batches[i].options[k];

			strcpy(o->resources[1].name, s->second);
			o->resources[1].amount = rng_below(&r, SIM_TOKENS_MOST + 1);
			o->resource_count = 2;
		}
}

/* What clients have uploaded before, and no task can make again. */
static void upload_inputs(struct sim *s)
{
	for (uint32_t i = 0; i < s->batch_count; i++)
		for (uint32_t g = 0; g < s->batches[i].group_count; g++)
			for (uint32_t k = 0; k < s->batches[i].groups[g].range_count; k++)
				if (!s->batches[i].ranges[g][k].count)
					blob_put(
						s,
						s->batches[i].ranges[g][k].content.digest,
						false);
}

void workload_make(struct sim *s)
{
	uint32_t count;

	make_workers(s);
	count = 1 + (uint32_t)rng_below(&s->workload, 8);
	if (s->options.batch_max && count > s->options.batch_max)
		count = s->options.batch_max;
	s->batch_count = count;
	s->batches = mem_alloc(count * sizeof *s->batches);
	for (uint32_t i = 0; i < count; i++)
		make_batch(s, i);
	make_crowd(s);
	make_tokens(s);
	upload_inputs(s);
}

void workload_free(struct sim *s)
{
	for (uint32_t i = 0; i < s->batch_count; i++)
		free(s->batches[i].tasks);
	free(s->batches);
}
