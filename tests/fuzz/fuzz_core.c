/* fuzz_core.c - the core driven by arbitrary event sequences, hostile values included; every
 * invariant checked after every step.
 *
 * The input is read byte by byte as a program: an event's type, then what it needs. Small numbers
 * are likely, so that sequences hang together; a byte above 250 is followed by a raw value. Half of
 * the input would do nothing otherwise: leases that were granted, look-ups that were asked are
 * remembered and usually used. */
#include "broker/core/core.h"
#include "broker/core/lease.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 400
#define LEASES 32
#define EXECS 32
#define TASKS 12

struct input {
	const uint8_t *at, *end;
};

struct state {
	struct core *core;
	struct core_effects fx;
	struct core_lease leases[LEASES];
	uint32_t lease_workers[LEASES], lease_count;
	core_exec_id execs[EXECS];
	uint32_t exec_count;
	uint64_t now, step, boot;
};

static uint8_t byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Small mostly; any 64 bits sometimes. */
static uint64_t number(struct input *in)
{
	uint8_t b = byte(in);
	if (b <= 250)
		return b % 8;
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | byte(in);
	return v;
}

static void note(struct state *s)
{
	for (size_t i = 0; i < s->fx.count; i++) {
		const struct core_effect *fx = &s->fx.items[i];
		if (fx->type == CORE_FX_GRANT) {
			uint32_t at = s->lease_count++ % LEASES;
			s->leases[at] = fx->grant.lease;
			s->lease_workers[at] = fx->worker;
			uint8_t sum = 0; /* what effects point to can be read */
			for (uint32_t k = 0; k < fx->grant.args_size; k++)
				sum ^= fx->grant.args[k];
			if (sum == 1 && !fx->grant.args_size)
				abort();
		} else if (fx->type == CORE_FX_LOOKUP) {
			s->execs[s->exec_count++ % EXECS] = fx->lookup.exec;
		} else if (fx->type == CORE_FX_COMMIT) {
			for (uint32_t k = 0; k < fx->commit.killer_count; k++)
				if (fx->commit.killers[k][0] != fx->commit.killers[k][31])
					abort();
		}
	}
}

static void step(struct state *s, struct core_event *e)
{
	e->now = s->now;
	e->step = ++s->step;
	core_effects_reset(&s->fx);
	core_step(s->core, e, &s->fx);
	note(s);
	core_check(s->core);
}

static void boot(struct state *s)
{
	struct core_config config = {
		.boot = ++s->boot, .poison_deaths = 2, .pause_after = 3};
	if (s->core)
		core_free(s->core);
	s->core = core_new(&config);
	s->exec_count = 0;
}

static struct core_lease lease(struct state *s, struct input *in, uint32_t *worker)
{
	static const struct core_lease none;
	uint32_t most = s->lease_count < LEASES ? s->lease_count : LEASES;
	uint8_t which = byte(in), how = byte(in);
	struct core_lease l = most ? s->leases[which % most] : none;
	*worker = most ? s->lease_workers[which % most] : (uint32_t)number(in);
	if (how < 224)
		return l;
	((uint8_t *)&l)[byte(in) % offsetof(struct core_lease, has_nonce)] ^= byte(in);
	*worker = (uint32_t)number(in);
	if (how >= 240) { /* with a good MAC nevertheless */
		uint8_t key[32] = {0};
		lease_sign(&l, key);
	}
	return l;
}

static void fill(struct input *in, struct content *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		memset(&slots[i], 0, sizeof slots[i]);
		slots[i].type = byte(in) % 9;
		slots[i].digest[0] = byte(in) % 4;
	}
}

static void open(struct state *s, struct input *in)
{
	struct core_event e = {.type = CORE_EV_BATCH_OPEN, .batch = number(in)};
	e.open.id[0] = (uint8_t)e.batch;
	e.open.max_failures = byte(in) % 4;
	e.open.max_parallel = byte(in) % 4;
	step(s, &e);
}

static void chunk(struct state *s, struct input *in)
{
	struct core_options options[2] = {0};
	struct core_function functions[2] = {0};
	struct core_group groups[2] = {0};
	struct core_group_range ranges[2] = {0};
	struct core_task_spec tasks[TASKS] = {0};
	struct core_ref refs[TASKS][3] = {0};
	uint32_t needs[TASKS][2];
	uint8_t args[TASKS][160];
	uint8_t nonce[NONCE_SIZE] = {0};
	struct core_event e = {.type = CORE_EV_BATCH_CHUNK, .batch = number(in)};
	for (int i = 0; i < 2; i++) {
		options[i].retries = (uint32_t)number(in);
		options[i].timeout_ns = number(in);
		options[i].priority = (int8_t)byte(in) / 32;
		options[i].cache = byte(in) < 192 ? CORE_CACHE_USE : byte(in) % 4;
		options[i].resource_count = byte(in) % 3;
		memcpy(options[i].resources[0].name, "cpus", 5);
		options[i].resources[0].amount = 500 * (uint64_t)(byte(in) % 6);
		memcpy(options[i].resources[1].name, "x", byte(in) % 3);
		options[i].resources[1].amount = number(in);
		functions[i].hash[0] = byte(in) % 2;
		functions[i].options =
			byte(in) % 16 < 15 ? (uint32_t)i : (uint32_t)number(in);
		functions[i].output_count = byte(in) % 3;
		ranges[i].first = (uint32_t)number(in);
		ranges[i].count = (uint32_t)number(in);
		ranges[i].slot = byte(in) % 4;
		fill(in, &ranges[i].content, 1);
		groups[i] = (struct core_group){ranges, 1 + byte(in) % 2, byte(in) & 1};
	}
	uint32_t count = byte(in) % TASKS;
	for (uint32_t i = 0; i < count; i++) {
		struct core_task_spec *t = &tasks[i];
		memset(args[i], 0, sizeof args[i]);
		args[i][0] = byte(in) % 4;
		t->args = args[i];
		t->args_size = 1;
		t->function = byte(in) % 16 < 15 ? byte(in) % 2 : (uint32_t)number(in);
		t->refs = refs[i];
		t->needs = needs[i];
		t->ref_count = byte(in) % 4;
		t->need_count = byte(in) % 8 < 7 ? 0 : 2;
		for (uint32_t k = 0; k < t->ref_count; k++) {
			refs[i][k] = (struct core_ref){
				.offset = t->args_size,
				.is_group = byte(in) % 4 == 0,
				.target = (uint32_t)number(in),
				.slot = byte(in) % 3,
			};
			t->args_size += CONTENT_SIZE;
			if (byte(in) > 250)
				refs[i][k].offset = (uint32_t)number(in);
		}
		needs[i][0] = (uint32_t)number(in);
		needs[i][1] = (uint32_t)number(in);
		nonce[0] = byte(in) % 3;
		if (t->function < 2 && functions[t->function].options < 2 &&
		    options[functions[t->function].options].cache != CORE_CACHE_USE)
			t->nonce = nonce;
	}
	e.chunk.options = options;
	e.chunk.option_count = 2;
	e.chunk.functions = functions;
	e.chunk.function_count = 2;
	e.chunk.groups = groups;
	e.chunk.group_count = byte(in) % 3;
	e.chunk.tasks = tasks;
	e.chunk.task_count = count;
	step(s, &e);
}

static void join(struct state *s, struct input *in)
{
	struct core_event e = {.type = CORE_EV_WORKER_JOIN,
			       .worker = (uint32_t)number(in)};
	uint8_t other = byte(in);
	memset(e.join.key, other < 250 ? (uint8_t)e.worker : other, KEY_SIZE);
	e.join.process = byte(in) % 3;
	e.join.process = byte(in) % 3;
	memcpy(e.join.capacity[0].name, "cpus", 5);
	e.join.capacity[0].amount = 1000 * (uint64_t)(byte(in) % 4);
	memset(e.join.capacity[1].name, 'x', byte(in) < 250 ? 1 : CORE_RESOURCE_NAME);
	e.join.capacity[1].amount = number(in);
	e.join.capacity_count = byte(in) < 250 ? byte(in) % 3 : (uint32_t)number(in);
	if (e.join.capacity_count > CORE_RESOURCES_MAX)
		e.join.capacity_count = CORE_RESOURCES_MAX;
	e.join.credit = (uint32_t)number(in) % 64;
	e.join.draining = byte(in) > 240;
	e.join.claims = e.join.credit & 1;
	step(s, &e);
}

static void result(struct state *s, struct input *in)
{
	struct core_event e = {.type = CORE_EV_RESULT};
	struct content slots[5];
	e.result.lease = lease(s, in, &e.worker);
	e.result.outcome = byte(in) % 8;
	e.result.token = number(in) + 1;
	fill(in, slots, 5);
	e.result.slots = slots;
	e.result.slot_count = 2 + byte(in) % 3;
	e.result.missing[0] = byte(in) % 4;
	step(s, &e);
}

static void answer(struct state *s, struct input *in)
{
	struct core_event e = {.type = CORE_EV_LOOKUP};
	struct content slots[5];
	uint32_t most = s->exec_count < EXECS ? s->exec_count : EXECS;
	e.lookup.exec = most && byte(in) < 250 ? s->execs[byte(in) % most]
					       : number(in) << 32 | number(in);
	e.lookup.hit = byte(in) % 4 == 0;
	e.lookup.commit = number(in);
	fill(in, slots, 5);
	e.lookup.slots = byte(in) < 192 ? slots : NULL;
	e.lookup.slot_count = byte(in) % 6;
	step(s, &e);
}

static void alive(struct state *s, struct input *in)
{
	uint64_t epochs[4];
	struct core_event e = {.type = CORE_EV_WORKER_ALIVE,
			       .worker = (uint32_t)number(in)};
	uint32_t other;
	e.alive.epoch_count = byte(in) % 5;
	for (uint32_t i = 0; i < e.alive.epoch_count; i++)
		epochs[i] = lease(s, in, &other).epoch;
	e.alive.epochs = epochs;
	e.alive.credit = byte(in) % 4;
	step(s, &e);
}

static void old(struct state *s, struct input *in, enum core_event_type type)
{
	struct core_event e = {
		.type = type, .batch = number(in), .index = (uint32_t)number(in)};
	struct content slots[5];
	uint32_t other;
	if (type == CORE_EV_OLD_END) {
		fill(in, slots, 5);
		e.old_end.status = byte(in) % 9;
		e.old_end.cached = byte(in) & 1;
		e.old_end.commit = number(in);
		e.old_end.upstream = (uint32_t)number(in);
		e.old_end.slots = byte(in) & 1 ? slots : NULL;
		e.old_end.slot_count = byte(in) % 6;
	} else if (type == CORE_EV_OLD_PAUSE) {
		e.old_pause.paused = byte(in) & 1;
		e.old_pause.function = (uint32_t)number(in);
	} else {
		struct core_lease l = lease(s, in, &other);
		e.old_lease.epoch = l.epoch;
		memcpy(e.old_lease.worker_key, l.worker_key, KEY_SIZE);
		e.old_lease.attempt = (uint32_t)number(in);
		e.old_lease.deaths = (uint32_t)number(in);
	}
	step(s, &e);
}

static void pass(struct state *s, struct input *in)
{
	static const uint64_t some[] = {0,	  1,	       NS_PER_MS, 100 * NS_PER_MS,
					NS_PER_S, 3 * NS_PER_S};
	uint8_t b = byte(in);
	uint64_t due = core_deadline(s->core);
	s->now += some[b % ARRAY_LEN(some)];
	if (b > 128 && due != TIME_NEVER && due > s->now)
		s->now = due;
	if (b == 255)
		s->now = number(in);
}

static void look(const struct state *s, struct input *in)
{
	struct core_task_view task;
	struct core_batch_view batch;
	struct core_worker_view worker;
	struct core_totals totals;
	uint64_t number_ = number(in);
	uint32_t index = (uint32_t)number(in);
	core_view_task(s->core, number_, index, &task);
	core_view_batch(s->core, number_, &batch);
	core_view_worker(s->core, index, &worker);
	core_view_totals(s->core, &totals);
	core_wants_slots(s->core, number_, index);
}

static void simple(struct state *s, struct input *in, enum core_event_type type)
{
	struct core_event e = {
		.type = type, .batch = number(in), .worker = (uint32_t)number(in)};
	e.index = byte(in) < 128 ? (uint32_t)number(in) : CORE_NO_INDEX;
	if (type == CORE_EV_DURABLE)
		e.durable = byte(in) < 250 ? s->step - s->step % 4 : number(in);
	else if (type == CORE_EV_HOLD)
		e.hold = byte(in) & 1;
	else if (type == CORE_EV_WORKER_CREDIT)
		e.credit = byte(in) % 16;
	step(s, &e);
}

static void one(struct state *s, struct input *in)
{
	struct core_event e = {0};
	enum core_event_type type = byte(in) % (CORE_EV_RECOVERED + 3);
	pass(s, in);
	switch (type) {
	case CORE_EV_BATCH_OPEN:
		open(s, in);
		break;
	case CORE_EV_BATCH_CHUNK:
		chunk(s, in);
		break;
	case CORE_EV_WORKER_JOIN:
		join(s, in);
		break;
	case CORE_EV_WORKER_CLAIM:
		e.type = type;
		e.claim.lease = lease(s, in, &e.worker);
		e.claim.started = byte(in) & 1;
		e.claim.finished = byte(in) & 1;
		step(s, &e);
		break;
	case CORE_EV_HANDBACK:
		e.type = type;
		e.handback.lease = lease(s, in, &e.worker);
		e.handback.started = byte(in) & 1;
		step(s, &e);
		break;
	case CORE_EV_RESULT:
		result(s, in);
		break;
	case CORE_EV_LOOKUP:
		answer(s, in);
		break;
	case CORE_EV_WORKER_ALIVE:
		alive(s, in);
		break;
	case CORE_EV_OLD_END:
	case CORE_EV_OLD_LEASE:
	case CORE_EV_OLD_PAUSE:
		old(s, in, type);
		break;
	case CORE_EV_TIME:
	case CORE_EV_BATCH_SEAL:
	case CORE_EV_BATCH_DISCARD:
	case CORE_EV_CANCEL:
	case CORE_EV_RESUME:
	case CORE_EV_DURABLE:
	case CORE_EV_WORKER_CREDIT:
	case CORE_EV_WORKER_GONE:
	case CORE_EV_WORKER_BYE:
	case CORE_EV_WORKER_DRAIN:
	case CORE_EV_REVOKE_WORKER:
	case CORE_EV_DRAIN:
	case CORE_EV_HOLD:
	case CORE_EV_RECOVERED:
		simple(s, in, type);
		break;
	default:
		look(s, in);
		if (byte(in) == 77)
			boot(s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct state s = {0};
	boot(&s);
	for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
		one(&s, &in);
	core_free(s.core);
	core_effects_fini(&s.fx);
	return 0;
}
