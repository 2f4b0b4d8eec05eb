/* driver.h - drives the core through a story: builds batches from a few words, keeps every effect of
 * every step, answers look-ups with misses unless told otherwise, completes grants. core_check()
 * after every step. Pointers inside kept effects are dead after their step: read them in time. */
#pragma once

#include "broker/core/core.h"
#include "broker/core/lease.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SECOND NS_PER_S
#define ALL CORE_NO_INDEX

struct driver {
	struct core_config config;
	struct core *core;
	struct core_effects fx;
	struct core_effect *log; /* of all steps since driver_forget() */
	size_t count, capacity;
	uint64_t now, step;
	size_t answered;    /* look-ups up to here have their answer */
	size_t commits_end; /* behind the last commit in @log; 0: there is none */
	bool unchecked;	    /* core_check() would take too long */
};

static inline void driver_step(struct driver *d, struct core_event *event)
{
	event->now = d->now;
	event->step = ++d->step;
	core_effects_reset(&d->fx);
	core_step(d->core, event, &d->fx);
	for (size_t i = 0; i < d->fx.count; i++) {
		mem_grow(d->log, d->count, d->capacity);
		d->log[d->count++] = d->fx.items[i];
		if (d->fx.items[i].type == CORE_FX_COMMIT)
			d->commits_end = d->count;
	}
	if (!d->unchecked)
		core_check(d->core);
}

#define STEP(d, ...) driver_step(d, &(struct core_event){__VA_ARGS__})

static inline void driver_boot(struct driver *d, uint64_t boot)
{
	memset(d->config.mac_key, 0x5a, sizeof d->config.mac_key);
	d->config.boot = boot;
	if (!d->config.next_commit)
		d->config.next_commit = 1;
	d->core = core_new(&d->config);
	d->now += SECOND;
}

static inline void driver_init(struct driver *d)
{
	driver_boot(d, d->config.boot ? d->config.boot : 1);
	STEP(d, .type = CORE_EV_RECOVERED);
}

static inline void driver_fini(struct driver *d)
{
	core_free(d->core);
	core_effects_fini(&d->fx);
	free(d->log);
}

#define DRIVER(d)                                                                        \
	struct driver d __attribute__((cleanup(driver_fini))) = {0};                     \
	driver_init(&d)

/* ---- looking back ---- */

static inline void driver_forget(struct driver *d)
{
	d->count = d->answered = d->commits_end = 0;
}

static inline size_t seen(const struct driver *d, enum core_effect_type type)
{
	size_t n = 0;
	for (size_t i = 0; i < d->count; i++)
		n += d->log[i].type == type;
	return n;
}

/* The last one of its type, of a task if @batch is not 0. NULL: none. */
static inline const struct core_effect *
last(const struct driver *d, enum core_effect_type type, uint64_t batch, uint32_t index)
{
	for (size_t i = d->count; i-- > 0;)
		if (d->log[i].type == type &&
		    (!batch || (d->log[i].batch == batch && d->log[i].index == index)))
			return &d->log[i];
	return NULL;
}

static inline struct core_effect grant_of(const struct driver *d, uint64_t batch,
					  uint32_t index)
{
	const struct core_effect *fx = last(d, CORE_FX_GRANT, batch, index);
	cr_assert(fx, "no grant of %lu:%u", (unsigned long)batch, index);
	return *fx;
}

static inline bool granted(const struct driver *d, uint64_t batch, uint32_t index)
{
	return last(d, CORE_FX_GRANT, batch, index);
}

static inline struct core_task_view task(const struct driver *d, uint64_t batch,
					 uint32_t index)
{
	struct core_task_view v = {0};
	cr_assert(core_view_task(d->core, batch, index, &v) == 0);
	return v;
}

static inline enum core_task_status status(const struct driver *d, uint64_t batch,
					   uint32_t index)
{
	return task(d, batch, index).status;
}

static inline struct core_batch_view batch_view(const struct driver *d, uint64_t batch)
{
	struct core_batch_view v = {0};
	cr_assert(core_view_batch(d->core, batch, &v) == 0);
	return v;
}

static inline struct core_worker_view worker_view(const struct driver *d, uint32_t worker)
{
	struct core_worker_view v = {0};
	cr_assert(core_view_worker(d->core, worker, &v) == 0);
	return v;
}

static inline uint64_t refused(const struct driver *d)
{
	struct core_totals t;
	core_view_totals(d->core, &t);
	return t.refused_results;
}

static inline enum core_verdict verdict(const struct driver *d)
{
	const struct core_effect *fx = last(d, CORE_FX_VERDICT, 0, 0);
	cr_assert(fx, "no verdict");
	return fx->verdict.verdict;
}

/* ---- time ---- */

/* The latest success of what is asked for, as the ledger tells it also with a miss; 0: none. */
static inline uint64_t superseded(const struct driver *d, const struct core_effect *asked)
{
	for (size_t i = d->commits_end; i-- > 0;) {
		const struct core_effect *fx = &d->log[i];
		if (fx->type == CORE_FX_COMMIT && fx->commit.completed &&
		    !memcmp(fx->commit.lease.func_hash, asked->lookup.func_hash,
			    DIGEST_SIZE) &&
		    !memcmp(fx->commit.lease.args_hash, asked->lookup.args_hash,
			    DIGEST_SIZE))
			return fx->commit.commit;
	}
	return 0;
}

static inline void answer_misses(struct driver *d)
{
	for (; d->answered < d->count; d->answered++) {
		struct core_effect fx = d->log[d->answered];
		if (fx.type == CORE_FX_LOOKUP)
			STEP(d, .type = CORE_EV_LOOKUP,
			     .lookup = {.exec = fx.lookup.exec,
					.commit = superseded(d, &fx)});
	}
}

/* In steps that the core asks for, answering what it asks. */
static inline void pass(struct driver *d, uint64_t ns)
{
	uint64_t end = d->now + ns;
	answer_misses(d);
	while (d->now < end) {
		uint64_t due = core_deadline(d->core);
		d->now = due < end ? (due > d->now ? due : d->now) : end;
		STEP(d, .type = CORE_EV_TIME);
		answer_misses(d);
		if (due <= d->now && core_deadline(d->core) <= d->now && d->now == end)
			break;
	}
}

/* Until the core has nothing left to follow up. */
static inline void settle(struct driver *d)
{
	answer_misses(d);
	while (core_deadline(d->core) <= d->now) {
		STEP(d, .type = CORE_EV_TIME);
		answer_misses(d);
	}
}

static inline void durable(struct driver *d)
{
	STEP(d, .type = CORE_EV_DURABLE, .durable = d->step);
}

/* ---- batches: function f has hash {f + 1, ...} and options f ---- */

#define PLAN_MAX 64

struct plan {
	struct core_options options[PLAN_MAX];
	struct core_function functions[PLAN_MAX];
	struct core_group groups[PLAN_MAX];
	struct core_group_range ranges[PLAN_MAX];
	struct core_task_spec tasks[PLAN_MAX];
	struct core_ref refs[PLAN_MAX][8];
	uint32_t needs[PLAN_MAX][8];
	uint8_t args[PLAN_MAX][512];
	uint8_t nonces[PLAN_MAX][NONCE_SIZE];
	uint32_t function_count, group_count, range_count, task_count;
	uint32_t max_failures, max_parallel;
};

static inline uint32_t add_function(struct plan *p, struct core_options options,
				    uint32_t outputs)
{
	uint32_t f = p->function_count++;
	p->options[f] = options;
	p->functions[f].hash[0] = (uint8_t)(f + 1);
	p->functions[f].options = f;
	p->functions[f].output_count = outputs;
	return f;
}

/* A task whose arguments begin with @text; placeholders go behind it. */
static inline uint32_t add_task(struct plan *p, uint32_t function, const char *text)
{
	uint32_t t = p->task_count++;
	if (!p->function_count)
		add_function(p, (struct core_options){0}, 0);
	p->tasks[t].function = function;
	p->tasks[t].args = p->args[t];
	p->tasks[t].refs = p->refs[t];
	p->tasks[t].needs = p->needs[t];
	p->tasks[t].args_size = (uint32_t)strlen(text);
	memcpy(p->args[t], text, strlen(text));
	if (p->options[function].cache != CORE_CACHE_USE) {
		memcpy(p->nonces[t], text,
		       strlen(text) < NONCE_SIZE ? strlen(text) : NONCE_SIZE);
		p->tasks[t].nonce = p->nonces[t];
	}
	return t;
}

static inline struct core_ref *add_placeholder(struct plan *p, uint32_t t,
					       uint32_t target)
{
	struct core_ref *r = &p->refs[t][p->tasks[t].ref_count++];
	r->offset = p->tasks[t].args_size;
	r->target = target;
	p->tasks[t].args_size += CONTENT_SIZE;
	return r;
}

static inline void add_ref(struct plan *p, uint32_t t, uint32_t target, uint32_t slot)
{
	add_placeholder(p, t, target)->slot = slot;
}

static inline void add_group_ref(struct plan *p, uint32_t t, uint32_t group)
{
	add_placeholder(p, t, group)->is_group = true;
}

static inline void add_need(struct plan *p, uint32_t t, uint32_t target)
{
	p->needs[t][p->tasks[t].need_count++] = target;
}

static inline uint32_t add_group(struct plan *p, uint32_t first, uint32_t count,
				 bool skip_failed)
{
	uint32_t g = p->group_count++;
	struct core_group_range *r = &p->ranges[p->range_count++];
	*r = (struct core_group_range){.first = first, .count = count};
	p->groups[g] = (struct core_group){r, 1, skip_failed};
	return g;
}

static inline void batch_id(uint64_t batch, uint8_t id[DIGEST_SIZE])
{
	memset(id, 0, DIGEST_SIZE);
	memcpy(id, &batch, sizeof batch);
}

static inline void feed(struct driver *d, uint64_t batch, const struct plan *p)
{
	struct core_event open = {.type = CORE_EV_BATCH_OPEN, .batch = batch};
	batch_id(batch, open.open.id);
	open.open.max_failures = p->max_failures;
	open.open.max_parallel = p->max_parallel;
	driver_step(d, &open);
	STEP(d, .type = CORE_EV_BATCH_CHUNK, .batch = batch,
	     .chunk = {.options = p->options,
		       .option_count = p->function_count,
		       .functions = p->functions,
		       .function_count = p->function_count,
		       .groups = p->groups,
		       .group_count = p->group_count,
		       .tasks = p->tasks,
		       .task_count = p->task_count});
	STEP(d, .type = CORE_EV_BATCH_SEAL, .batch = batch);
}

/* Sealed, and every look-up missed. */
static inline void submit(struct driver *d, uint64_t batch, const struct plan *p)
{
	feed(d, batch, p);
	settle(d);
}

/* ---- workers ---- */

static inline void worker_key(uint32_t worker, uint8_t key[KEY_SIZE])
{
	memset(key, (int)(worker + 1), KEY_SIZE);
}

/* As process @process of this worker; 0: not known. */
static inline void join_as(struct driver *d, uint32_t worker, uint64_t cpus,
			   uint32_t credit, uint64_t process)
{
	struct core_event e = {.type = CORE_EV_WORKER_JOIN, .worker = worker};
	worker_key(worker, e.join.key);
	e.join.process = process;
	e.join.capacity[0] = (struct core_resource){"cpus", cpus * 1000};
	e.join.capacity[1] = (struct core_resource){"memory", 1 << 30};
	e.join.capacity_count = 2;
	e.join.credit = credit;
	driver_step(d, &e);
}

static inline void join(struct driver *d, uint32_t worker, uint64_t cpus, uint32_t credit)
{
	join_as(d, worker, cpus, credit, 0);
}

static inline void claim(struct driver *d, uint32_t worker,
			 const struct core_lease *lease, bool started, bool finished)
{
	STEP(d, .type = CORE_EV_WORKER_CLAIM, .worker = worker,
	     .claim = {*lease, started, finished});
}

static inline void alive(struct driver *d, uint32_t worker, const uint64_t *epochs,
			 uint32_t count)
{
	STEP(d, .type = CORE_EV_WORKER_ALIVE, .worker = worker,
	     .alive = {.epochs = epochs, .epoch_count = count});
}

/* Content of slot @slot of a result that is told apart by @tag. */
static inline struct content content(uint8_t tag, uint32_t slot)
{
	return (struct content){CONTENT_FILE, {tag, (uint8_t)slot, 0xcc}};
}

static inline void report(struct driver *d, uint32_t worker,
			  const struct core_lease *lease, enum core_outcome outcome,
			  uint8_t tag, uint32_t outputs)
{
	struct content slots[2 + 8];
	for (uint32_t i = 0; i < 2 + outputs; i++)
		slots[i] = content(tag, i);
	struct core_event e = {.type = CORE_EV_RESULT, .worker = worker};
	e.result.lease = *lease;
	e.result.outcome = outcome;
	e.result.token = 1000 + d->step;
	if (outcome == CORE_OUT_COMPLETED) {
		e.result.slots = slots;
		e.result.slot_count = 2 + outputs;
	}
	driver_step(d, &e);
}

static inline void report_missing(struct driver *d, uint32_t worker,
				  const struct core_lease *lease, struct content missing)
{
	struct core_event e = {.type = CORE_EV_RESULT, .worker = worker};
	e.result.lease = *lease;
	e.result.outcome = CORE_OUT_INPUT_MISSING;
	e.result.token = 1000 + d->step;
	memcpy(e.result.missing, missing.digest, DIGEST_SIZE);
	driver_step(d, &e);
}

/* The current lease of a task ends like this. */
static inline void finish(struct driver *d, uint64_t batch, uint32_t index,
			  enum core_outcome outcome, uint8_t tag)
{
	struct core_effect g = grant_of(d, batch, index);
	report(d, g.worker, &g.grant.lease, outcome, tag, 0);
}

static inline void complete(struct driver *d, uint64_t batch, uint32_t index)
{
	finish(d, batch, index, CORE_OUT_COMPLETED, (uint8_t)(index + 1));
}

/* Everything that is granted completes, until nothing is left to do. Tags are the indices. */
static inline void run_all(struct driver *d)
{
	size_t at = 0;
	settle(d);
	while (at < d->count) {
		struct core_effect fx = d->log[at++];
		if (fx.type != CORE_FX_GRANT)
			continue;
		report(d, fx.worker, &fx.grant.lease, CORE_OUT_COMPLETED,
		       (uint8_t)(fx.index + 1), 0);
		settle(d);
	}
}
