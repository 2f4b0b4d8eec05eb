/* graph.c - what the core alone costs: batches of different shapes are opened, resolved, granted
 * and ended in one process, without sockets and disk. That resolution is linear and does not
 * recurse shows in the time per task of a small and a large one.
 *
 *   graph plain N      N independent tasks
 *   graph chain N      each task reads the one before
 *   graph layers N     layers of 1000 tasks, each of which reads the whole layer before
 *
 * Prints "ns_per_task X" and "bytes_per_task X" (memory when all is queued). */
#include "broker/core/core.h"
#include "common/clock.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYER = 1000, ARGS = 100, OFFSET = 20, CHUNK = 10000 };

struct graph {
	struct core *core;
	struct core_effects effects;
	uint64_t now, step, ended;
	struct core_effect *work; /* grants and look-ups that wait for an answer */
	size_t work_count, work_capacity;
};

static void step(struct graph *g, struct core_event *event)
{
	event->now = ++g->now;
	event->step = ++g->step;
	core_effects_reset(&g->effects);
	core_step(g->core, event, &g->effects);
	for (size_t i = 0; i < g->effects.count; i++) {
		const struct core_effect *fx = &g->effects.items[i];

		g->ended += fx->type == CORE_FX_TASK_ENDED;
		if (fx->type != CORE_FX_LOOKUP && fx->type != CORE_FX_GRANT)
			continue;
		mem_grow(g->work, g->work_count, g->work_capacity);
		g->work[g->work_count++] = *fx;
	}
}

/* Every look-up misses, every grant succeeds at once. */
static void answer(struct graph *g, const struct core_effect *fx)
{
	struct core_event event = {.type = CORE_EV_LOOKUP};
	struct content slots[2] = {{.type = CONTENT_FILE}, {.type = CONTENT_FILE}};

	if (fx->type == CORE_FX_LOOKUP) {
		event.lookup.exec = fx->lookup.exec;
	} else {
		event.type = CORE_EV_RESULT;
		event.worker = fx->worker;
		event.result.lease = fx->grant.lease;
		memcpy(slots[0].digest, fx->grant.lease.args_hash, DIGEST_SIZE);
		event.result.slots = slots;
		event.result.slot_count = 2;
		event.result.token = 1;
	}
	step(g, &event);
}

static void run(struct graph *g, uint64_t count)
{
	struct core_effect *work = NULL;
	size_t capacity = 0;

	while (g->ended < count && g->work_count) {
		struct core_event durable = {.type = CORE_EV_DURABLE};
		size_t n = g->work_count, room = g->work_capacity;

		/* Swap the lists: answers append to the other one. */
		struct core_effect *now = g->work;
		g->work = work;
		g->work_capacity = capacity;
		g->work_count = 0;
		for (size_t i = 0; i < n; i++)
			answer(g, &now[i]);
		work = now;
		capacity = room;
		durable.durable = g->step;
		step(g, &durable);
	}
	free(work);
}

static void open_batch(struct graph *g, const char *shape, uint32_t count)
{
	struct core_event event = {.type = CORE_EV_BATCH_OPEN, .batch = 1};
	struct core_options options = {.resource_count = 1,
				       .resources = {{"cpus", 1000}}};
	struct core_function function = {.hash = "f"};
	struct core_task_spec *specs = mem_alloc(CHUNK * sizeof *specs);
	uint8_t *args = mem_alloc((size_t)CHUNK * ARGS);
	struct core_ref *refs = mem_alloc(CHUNK * sizeof *refs);
	uint32_t layers = count / LAYER;
	struct core_group *groups = mem_alloc((layers + 1) * sizeof *groups);
	struct core_group_range *ranges = mem_alloc((layers + 1) * sizeof *ranges);
	bool chain = !strcmp(shape, "chain"), layered = !strcmp(shape, "layers");

	step(g, &event);
	for (uint32_t l = 0; l < layers; l++) {
		ranges[l] = (struct core_group_range){.first = l * LAYER, .count = LAYER};
		groups[l] = (struct core_group){.ranges = &ranges[l], .range_count = 1};
	}
	for (uint32_t first = 0; first < count; first += CHUNK) {
		uint32_t n = count - first < CHUNK ? count - first : CHUNK;

		event = (struct core_event){.type = CORE_EV_BATCH_CHUNK, .batch = 1};
		for (uint32_t i = 0; i < n; i++) {
			uint32_t index = first + i;

			memcpy(args + (size_t)i * ARGS, &index, sizeof index);
			specs[i] = (struct core_task_spec){
				.args = args + (size_t)i * ARGS, .args_size = ARGS};
			refs[i] = (struct core_ref){.offset = OFFSET};
			if (chain && index)
				refs[i].target = index - 1;
			else if (layered && index >= LAYER)
				refs[i] = (struct core_ref){.offset = OFFSET,
							    .is_group = true,
							    .target = index / LAYER - 1};
			else
				continue;
			specs[i].refs = &refs[i];
			specs[i].ref_count = 1;
		}
		if (!first) {
			event.chunk.options = &options;
			event.chunk.option_count = 1;
			event.chunk.functions = &function;
			event.chunk.function_count = 1;
			event.chunk.groups = layered ? groups : NULL;
			event.chunk.group_count = layered ? layers : 0;
		}
		event.chunk.tasks = specs;
		event.chunk.task_count = n;
		step(g, &event);
	}
	event = (struct core_event){.type = CORE_EV_BATCH_SEAL, .batch = 1};
	step(g, &event);
	free(specs);
	free(args);
	free(refs);
	free(groups);
	free(ranges);
}

int main(int argc, char **argv)
{
	const struct core_config config = {.boot = 1, .next_commit = 1};
	struct core_event event = {.type = CORE_EV_RECOVERED};
	uint32_t count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
	struct graph g = {.core = core_new(&config)};
	struct mallinfo2 before = mallinfo2();
	uint64_t start;

	if (!count) {
		fprintf(stderr, "usage: graph plain|chain|layers N\n");
		return 2;
	}
	step(&g, &event);
	start = clock_mono_ns();
	open_batch(&g, argv[1], count);
	struct mallinfo2 queued = mallinfo2();
	event = (struct core_event){.type = CORE_EV_WORKER_JOIN, .worker = 1};
	event.join.key[0] = 1;
	event.join.capacity_count = 1;
	event.join.capacity[0] = (struct core_resource){"cpus", 20000 * 1000};
	step(&g, &event);
	run(&g, count);
	printf("ns_per_task %.0f\n", (double)(clock_mono_ns() - start) / count);
	printf("bytes_per_task %.0f\n", (double)(queued.uordblks + queued.hblkhd -
						 before.uordblks - before.hblkhd) /
						count);
	printf("ended %llu\n", (unsigned long long)g.ended);
	free(g.work);
	core_effects_fini(&g.effects);
	core_free(g.core);
	return g.ended != count;
}
