/* scale.c - a million tasks: no recursion, linear time, bounded memory that comes back. */
#include "tests/unit/core/driver.h"

#include <malloc.h>
#include <sys/resource.h>
#include <time.h>

#define CHUNK 1000u

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

/* The core alone: effects are answered from a ring, nothing is kept. */
struct runner {
	struct core *core;
	struct core_effects fx;
	uint64_t step, granted, ended, skipped, lookups, largest_step;
	struct core_effect *ring;
	size_t head, tail, room;
	bool durable;
};

static void take(struct runner *r)
{
	r->largest_step = r->fx.count > r->largest_step ? r->fx.count : r->largest_step;
	for (size_t i = 0; i < r->fx.count; i++) {
		const struct core_effect *fx = &r->fx.items[i];
		r->granted += fx->type == CORE_FX_GRANT;
		r->lookups += fx->type == CORE_FX_LOOKUP;
		r->ended += fx->type == CORE_FX_TASK_ENDED;
		r->skipped += fx->type == CORE_FX_TASK_ENDED &&
			      fx->ended.status == CORE_SKIPPED;
		if (fx->type != CORE_FX_GRANT && fx->type != CORE_FX_LOOKUP)
			continue;
		r->ring[r->tail++ % r->room] = *fx;
		cr_assert_leq(r->tail - r->head, r->room);
	}
	core_effects_reset(&r->fx);
}

static void step(struct runner *r, struct core_event *e)
{
	e->now = SECOND;
	e->step = ++r->step;
	core_step(r->core, e, &r->fx);
	take(r);
}

#define RUN(r, ...) step(r, &(struct core_event){__VA_ARGS__})

static void runner_init(struct runner *r, uint64_t cpus)
{
	struct core_config config = {.boot = 1};
	struct core_event join = {.type = CORE_EV_WORKER_JOIN};
	r->room = 1 << 15;
	r->ring = calloc(r->room, sizeof *r->ring);
	r->core = core_new(&config);
	RUN(r, .type = CORE_EV_RECOVERED);
	memset(join.join.key, 1, KEY_SIZE);
	join.join.capacity[0] = (struct core_resource){"cpus", cpus * 1000};
	join.join.capacity_count = 1;
	if (cpus)
		step(r, &join);
}

static void runner_fini(struct runner *r)
{
	core_free(r->core);
	core_effects_fini(&r->fx);
	free(r->ring);
}

static void drive(struct runner *r, enum core_outcome outcome)
{
	struct content slots[2] = {{CONTENT_FILE, {1}}, {CONTENT_FILE, {2}}};
	for (;;) {
		while (r->head < r->tail) {
			struct core_effect fx = r->ring[r->head++ % r->room];
			struct core_event e = {.type = CORE_EV_LOOKUP};
			e.lookup.exec = fx.lookup.exec;
			if (fx.type == CORE_FX_GRANT) {
				e = (struct core_event){.type = CORE_EV_RESULT};
				e.result.lease = fx.grant.lease;
				e.result.outcome = outcome;
				e.result.slots = slots;
				e.result.slot_count = 2;
				e.result.token = 1;
				/* so that tasks differ as their inputs do */
				memcpy(slots[0].digest + 1, &fx.index, sizeof fx.index);
			}
			step(r, &e);
			if (r->durable && r->step % 256 == 0)
				RUN(r, .type = CORE_EV_DURABLE, .durable = r->step - 1);
		}
		if (core_deadline(r->core) > SECOND)
			break;
		RUN(r, .type = CORE_EV_TIME);
	}
}

static void open(struct runner *r)
{
	static struct core_options options;
	static struct core_function function = {.hash = {1}};
	RUN(r, .type = CORE_EV_BATCH_OPEN, .batch = 1);
	RUN(r, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
	    .chunk = {.options = &options,
		      .option_count = 1,
		      .functions = &function,
		      .function_count = 1});
}

struct rows {
	struct core_task_spec specs[CHUNK];
	struct core_ref refs[CHUNK];
	uint8_t args[CHUNK][100];
};

/* Tasks first .. first + CHUNK - 1 with 100 bytes of arguments; @ref of each, if any. */
static void chunk(struct runner *r, struct rows *rows, uint32_t first, bool refs,
		  bool groups)
{
	for (uint32_t i = 0; i < CHUNK; i++) {
		uint32_t index = first + i;
		memset(rows->args[i], 0, sizeof rows->args[i]);
		memcpy(rows->args[i], &index, sizeof index);
		rows->specs[i] =
			(struct core_task_spec){.args = rows->args[i], .args_size = 100};
		bool has = refs && index && (!groups || first);
		rows->refs[i] = (struct core_ref){.offset = 50,
						  .is_group = groups,
						  .target = groups ? first / CHUNK - 1
								   : index - 1};
		rows->specs[i].refs = &rows->refs[i];
		rows->specs[i].ref_count = has;
	}
	RUN(r, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
	    .chunk = {.tasks = rows->specs, .task_count = CHUNK});
}

static struct core_counts counts(struct runner *r)
{
	struct core_batch_view v;
	cr_assert_eq(core_view_batch(r->core, 1, &v), 0);
	return v.counts;
}

Test(scale, a_chain_of_a_million_is_resolved_without_recursion)
{
	struct runner r = {.durable = true};
	struct rows *rows = calloc(1, sizeof *rows);
	struct rlimit stack;
	getrlimit(RLIMIT_STACK, &stack);
	stack.rlim_cur = 256 << 10;
	setrlimit(RLIMIT_STACK, &stack);
	runner_init(&r, 4);
	open(&r);
	for (uint32_t i = 0; i < 1000000; i += CHUNK)
		chunk(&r, rows, i, true, false);
	RUN(&r, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	drive(&r, CORE_OUT_COMPLETED);
	cr_expect_eq(counts(&r).executed, 1000000);
	cr_expect_leq(r.largest_step, 8192);
	runner_fini(&r);
	free(rows);
}

Test(scale, a_failed_head_skips_a_million_in_bounded_steps)
{
	struct runner r = {0};
	struct rows *rows = calloc(1, sizeof *rows);
	runner_init(&r, 4);
	open(&r);
	for (uint32_t i = 0; i < 1000000; i += CHUNK)
		chunk(&r, rows, i, true, false);
	RUN(&r, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	drive(&r, CORE_OUT_FAILED);
	cr_expect_eq(counts(&r).skipped, 999999);
	cr_expect_leq(r.largest_step, 16384);
	runner_fini(&r);
	free(rows);
}

Test(scale, layers_of_a_thousand_joined_by_lists_are_linear)
{
	struct runner r = {.durable = true};
	struct rows *rows = calloc(1, sizeof *rows);
	struct core_group_range range = {.count = CHUNK};
	struct core_group group = {&range, 1, false};
	uint32_t layers = 200;
	runner_init(&r, 8);
	open(&r);
	for (uint32_t i = 0; i < layers; i++) {
		chunk(&r, rows, i * CHUNK, true, true);
		range.first = i * CHUNK;
		RUN(&r, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
		    .chunk = {.groups = &group, .group_count = 1});
	}
	double start = seconds();
	RUN(&r, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	drive(&r, CORE_OUT_COMPLETED);
	double each = (seconds() - start) / (layers * CHUNK);
	cr_expect_eq(counts(&r).executed, layers * CHUNK);
	cr_expect_lt(each, 100e-6, "%.0f ns a task", each * 1e9);
	runner_fini(&r);
	free(rows);
}

Test(scale, a_queued_task_costs_less_than_three_hundred_bytes)
{
	struct runner r = {0};
	struct rows *rows = calloc(1, sizeof *rows);
	runner_init(&r, 0);
	core_effects_reset(&r.fx);
	size_t before = in_use();
	open(&r);
	for (uint32_t i = 0; i < 300000; i += CHUNK)
		chunk(&r, rows, i, false, false);
	RUN(&r, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	drive(&r, CORE_OUT_COMPLETED);
	cr_expect_eq(counts(&r).ready, 300000);
	size_t each = (in_use() - before) / 300000;
	cr_expect(each <= 300 || before == 0, "%zu bytes",
		  each); /* 0: a sanitizer's malloc */
	cr_log_info("%zu bytes a task", each);
	runner_fini(&r);
	free(rows);
}

Test(scale, memory_comes_back_when_everything_has_ended)
{
	struct runner r = {.durable = true};
	struct rows *rows = calloc(1, sizeof *rows);
	runner_init(&r, 100);
	size_t before = in_use();
	open(&r);
	for (uint32_t i = 0; i < 200000; i += CHUNK)
		chunk(&r, rows, i, false, false);
	RUN(&r, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	double start = seconds();
	drive(&r, CORE_OUT_COMPLETED);
	double each = (seconds() - start) / 200000;
	cr_log_info("%.0f ns a task", each * 1e9);
	cr_expect_lt(each, 60e-6);
	RUN(&r, .type = CORE_EV_DURABLE, .durable = r.step);
	RUN(&r, .type = CORE_EV_TIME);
	struct core_batch_view v;
	cr_expect_eq(core_view_batch(r.core, 1, &v), 1);
	cr_expect_lt(in_use(), before + (4 << 20));
	runner_fini(&r);
	free(rows);
}

Test(scale, cancelling_many_followers_of_one_execution_is_linear)
{
	struct runner r = {0};
	struct rows *rows = calloc(1, sizeof *rows);
	runner_init(&r, 1);
	open(&r);
	for (uint32_t i = 0; i < 100000; i += CHUNK) {
		for (uint32_t k = 0; k < CHUNK; k++)
			rows->specs[k] = (struct core_task_spec){.args = rows->args[0],
								 .args_size = 100};
		RUN(&r, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
		    .chunk = {.tasks = rows->specs, .task_count = CHUNK});
	}
	RUN(&r, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	while (core_deadline(r.core) <= SECOND)
		RUN(&r, .type = CORE_EV_TIME);
	double start = seconds();
	for (uint32_t i = 100000; i-- > 50000;)
		RUN(&r, .type = CORE_EV_CANCEL, .batch = 1, .index = i);
	RUN(&r, .type = CORE_EV_CANCEL, .batch = 1, .index = CORE_NO_INDEX);
	cr_expect_lt(seconds() - start, 5.0);
	cr_expect_eq(counts(&r).cancelled, 100000);
	runner_fini(&r);
	free(rows);
}
