/* oracle.c - the promises, held against every effect and every record. It keeps a history of its own
 * and knows the workload. */
#include "tests/sim/oracle.h"
#include "common/pure/sha256.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define POISON_DEATHS 3 /* the core's default */
#define LOSSES_MAX 20	/* of the same bytes: the core need not go on for ever */

void broken(struct sim *s, const char *fmt, ...)
{
	va_list args;

	printf("BROKEN seed %llu at %.6f s: ", (unsigned long long)s->options.seed,
	       (double)s->now / 1e9);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_Exit(1);
}

/* With these a worker may run what the core believes to be waiting there, or forget its deaths. */
static const enum fault unordered[] = {
	FAULT_CANCEL, FAULT_DELAY,     FAULT_DROP,	FAULT_DUPLICATE,
	FAULT_CUT,    FAULT_SLOW_DISK, FAULT_FULL_DISK, FAULT_BROKER_PAUSE,
};

struct oracle *oracle_new(struct sim *s)
{
	struct oracle *o = mem_alloc(sizeof *o);

	o->now = mem_alloc(s->batch_count * sizeof *o->now);
	o->durable = mem_alloc(s->batch_count * sizeof *o->durable);
	o->sealed = mem_alloc(s->batch_count);
	o->batch_count = s->batch_count;
	o->pauses = pauses_new(s);
	o->kills_are_bounded = true;
	for (size_t i = 0; i < ARRAY_LEN(unordered); i++)
		o->kills_are_bounded &= !s->rate[unordered[i]];
	for (uint32_t i = 0; i < s->batch_count; i++) {
		o->now[i] = mem_alloc(s->batches[i].task_count * sizeof **o->now);
		o->durable[i] = mem_alloc(s->batches[i].task_count * sizeof **o->durable);
		o->kills_are_bounded &= !s->batches[i].max_failures;
	}
	return o;
}

void oracle_free(struct oracle *o, const struct sim *s)
{
	free(o->prints);
	free(o->refusals);
	map_fini(&o->print_map);
	for (uint32_t i = 0; i < o->batch_count; i++) {
		free(o->now[i]);
		free(o->durable[i]);
	}
	free(o->now);
	free(o->durable);
	pauses_free(o->pauses, s);
	free(o->sealed);
	free(o);
}

const struct fate *oracle_fate(const struct sim *s, uint32_t batch, uint32_t index,
			       bool durable)
{
	return durable ? &s->oracle->durable[batch][index]
		       : &s->oracle->now[batch][index];
}

struct print *oracle_print(struct oracle *o, const uint8_t func_hash[DIGEST_SIZE],
			   const uint8_t args_hash[DIGEST_SIZE], const uint8_t *nonce)
{
	uint64_t key =
		map_mix(map_key(func_hash, DIGEST_SIZE), map_key(args_hash, DIGEST_SIZE));
	uint32_t number;

	if (nonce)
		key = map_mix(key, map_key(nonce, NONCE_SIZE));
	number = map_get(&o->print_map, key);
	if (number != UINT32_MAX)
		return &o->prints[number];
	map_set(&o->print_map, key, (uint32_t)o->print_count);
	mem_grow(o->prints, o->print_count, o->print_capacity);
	o->prints[o->print_count] = (struct print){0};
	return &o->prints[o->print_count++];
}

struct print *oracle_print_of_lease(struct sim *s, const struct core_lease *lease)
{
	return oracle_print(s->oracle, lease->func_hash, lease->args_hash,
			    lease->has_nonce ? lease->nonce : NULL);
}

/* ---- grants ---- */

static void check_grant(struct sim *s, const struct core_effect *fx)
{
	const struct core_lease *lease = &fx->grant.lease;
	uint32_t b = s->batch_of[fx->batch], owner = s->owner[fx->worker];
	const struct sim_batch *batch = &s->batches[b];
	const struct sim_task *t = &batch->tasks[fx->index];
	struct print *p = oracle_print_of_lease(s, lease);
	struct core_worker_view view;
	uint8_t hash[DIGEST_SIZE];

	if (s->replaying)
		broken(s, "a lease was granted during recovery");
	if (lease->epoch <= s->oracle->last_epoch || lease->epoch >> 32 != s->boot)
		broken(s, "epoch %llx is not above %llx",
		       (unsigned long long)lease->epoch,
		       (unsigned long long)s->oracle->last_epoch);
	s->oracle->last_epoch = lease->epoch;
	if (memcmp(lease->batch_id, batch->id, DIGEST_SIZE) || lease->index != fx->index)
		broken(s, "a lease names another task");
	if (memcmp(lease->func_hash, batch->functions[t->spec.function].hash,
		   DIGEST_SIZE))
		broken(s, "a lease names another function");
	if (lease->has_nonce != !!t->spec.nonce)
		broken(s, "a lease has another nonce");
	oracle_check_args(s, b, fx->index, fx->grant.args, fx->grant.args_size, false);
	sha256_digest(fx->grant.args, fx->grant.args_size, hash);
	if (memcmp(hash, lease->args_hash, DIGEST_SIZE))
		broken(s, "a lease's args_hash is not that of the arguments");
	if (fx->grant.early && (t->spec.ref_count || t->spec.need_count))
		broken(s, "the assignment of a task that waits for others may leave "
			  "early");
	if (fx->grant.attempt > fx->grant.attempts_max)
		broken(s, "attempt %u of %u", fx->grant.attempt, fx->grant.attempts_max);
	if (!owner)
		broken(s, "a lease for worker number %u, which nobody has", fx->worker);
	if (!core_view_worker(s->core, fx->worker, &view) &&
	    (view.used[0] > s->workers[owner - 1].cpus ||
	     view.used[1] > s->workers[owner - 1].tokens))
		broken(s, "worker %u is oversubscribed: %llu of %llu", fx->worker,
		       (unsigned long long)view.used[0],
		       (unsigned long long)s->workers[owner - 1].cpus);
	if (s->number[owner - 1] ==
	    fx->worker) /* not one that it was under another key */
		oracle_check_room(s, p, owner - 1);
	p->over = false;
	p->granted = lease->epoch;
	p->granted_boot = s->boot;
	p->holder = owner;
	/* To a process that is gone, and the broker has not heard of it: counts as its death. */
	p->deaths += !s->workers[owner - 1].up ||
		     s->session[owner - 1] != s->workers[owner - 1].session;
}

/* Without faults of network, workers and broker an attempt is proved over before the next. */
static void check_overlap(struct sim *s, const struct message *m)
{
	for (uint32_t i = 0; i < s->worker_count; i++)
		for (uint32_t k = 0; k < s->workers[i].held_count; k++) {
			const struct held *h = &s->workers[i].held[k];
			const struct core_lease *l = &h->assignment.lease;

			if (!h->finished && !h->stopping &&
			    oracle_print_of_lease(s, l) ==
				    oracle_print_of_lease(s, &m->lease))
				broken(s, "two attempts of one execution run at once");
		}
}

void oracle_assignment(struct sim *s, const struct message *m)
{
	oracle_check_args(s, m->batch, m->index, m->args, m->args_size, true);
	if (s->quiet)
		check_overlap(s, m);
}

/* ---- commits ---- */

static uint32_t retries_of(const struct sim *s, const uint8_t func_hash[DIGEST_SIZE])
{
	uint32_t most = 0;

	for (uint32_t b = 0; b < s->batch_count; b++) {
		const struct sim_batch *batch = &s->batches[b];

		for (uint32_t f = 0; f < batch->function_count; f++) {
			uint32_t retries =
				batch->options[batch->functions[f].options].retries;

			if (!memcmp(batch->functions[f].hash, func_hash, DIGEST_SIZE) &&
			    retries > most)
				most = retries;
		}
	}
	return most;
}

/* Bytes that are gone, and that nothing could bring back: no task made them, one that had to run
 * again has failed, or each time that they were made they were lost once more. */
static bool cannot_come_back(struct sim *s, const uint8_t digest[DIGEST_SIZE])
{
	const struct blob *b = blob_find(s, digest);

	if (b && !b->made)
		return !b->present;
	if (b && b->losses > LOSSES_MAX)
		return true;
	for (size_t i = 0; i < s->record_count; i++)
		if (s->records[i].type == R_COMMIT && !s->records[i].completed)
			return true;
	return false;
}

static void check_success(struct sim *s, const struct core_effect *fx, struct print *p)
{
	const struct record *before = ledger_commit(s, p->current);
	const struct record *parent = ledger_commit(s, fx->commit.parent);
	const struct core_lease *lease = &fx->commit.lease;

	if (fx->commit.parent &&
	    (!parent || memcmp(parent->func_hash, lease->func_hash, DIGEST_SIZE) ||
	     memcmp(parent->args_hash, lease->args_hash, DIGEST_SIZE)))
		broken(s, "commit %llu has a parent of another fingerprint",
		       (unsigned long long)fx->commit.commit);
	p->remade |= before && before->lost;
	/* Who missed bytes knows better than a look-up, which was read before or looks at results only. */
	bool again =
		lease->has_nonce ? p->remade : p->superseded || p->missed == p->current;
	if (p->current && !again)
		broken(s, "commits %llu and %llu are both current for one fingerprint",
		       (unsigned long long)p->current,
		       (unsigned long long)fx->commit.commit);
	if (p->current && fx->commit.parent < p->current)
		broken(s, "commit %llu supersedes %llu and does not say so",
		       (unsigned long long)fx->commit.commit,
		       (unsigned long long)p->current);
	p->current = fx->commit.commit;
	p->superseded = false;
}

static void check_commit(struct sim *s, const struct core_effect *fx)
{
	const struct core_lease *lease = &fx->commit.lease;
	struct print *p = oracle_print_of_lease(s, lease);
	uint8_t hash[DIGEST_SIZE];

	if (fx->commit.commit <= s->oracle->last_commit)
		broken(s, "commit %llu is not above %llu",
		       (unsigned long long)fx->commit.commit,
		       (unsigned long long)s->oracle->last_commit);
	s->oracle->last_commit = fx->commit.commit;
	sha256_digest(fx->commit.args, fx->commit.args_size, hash);
	if (memcmp(hash, lease->args_hash, DIGEST_SIZE))
		broken(s, "a commit's arguments are not those of its lease");
	/* An attempt from before a restart may count for what was submitted again since. */
	bool other = p->granted_boot == s->boot && p->granted != lease->epoch &&
		     !(p->over && lease->epoch >> 32 < s->boot);
	if (fx->commit.token && other)
		broken(s, "a result of lease %llx was accepted while %llx is current",
		       (unsigned long long)lease->epoch, (unsigned long long)p->granted);
	if (fx->commit.attempts > retries_of(s, lease->func_hash) + 1)
		broken(s, "%u attempts where %u were allowed", fx->commit.attempts,
		       retries_of(s, lease->func_hash) + 1);
	if (fx->commit.quarantined && p->deaths < POISON_DEATHS)
		broken(s, "a task was quarantined that killed %u workers", p->deaths);
	if (fx->commit.lost_input && !cannot_come_back(s, fx->commit.missing))
		broken(s, "a task was given up for an input that could be made again");
	p->kills = 0;
	p->full = 0;
	p->full_unsure = false;
	p->over = true;
	s->oracle->progress_at = s->now;
	if (fx->commit.completed && fx->commit.cache != CORE_CACHE_OFF)
		check_success(s, fx, p);
}

/* Whoever still reads an older result misses that one, also when another has come out different since:
 * the core, to which it is the same execution that has no bytes once more, makes it again. */
void oracle_missed(struct sim *s, const uint8_t digest[DIGEST_SIZE])
{
	for (size_t i = 0; i < s->record_count; i++) {
		const struct record *r = &s->records[i];

		for (uint32_t k = 0; r->type == R_COMMIT && k < r->slot_count; k++) {
			if (memcmp(r->slots[k].digest, digest, DIGEST_SIZE))
				continue;
			struct print *p =
				oracle_print(s->oracle, r->func_hash, r->args_hash,
					     r->has_nonce ? r->nonce : NULL);
			p->missed = p->current;
		}
	}
}

void oracle_lookup(struct sim *s, const struct message *m)
{
	const struct core_effect *fx = &m->lookup;
	struct print *p =
		oracle_print(s->oracle, fx->lookup.func_hash, fx->lookup.args_hash, NULL);

	if (!m->commit)
		return;
	if (m->hit && fx->lookup.need_bytes)
		p->whole = m->commit;
	if (!m->hit && (!fx->lookup.parent_only || ledger_commit(s, m->commit)->lost))
		p->superseded = true;
}

/* ---- workers that die ---- */

void oracle_process_ended(struct sim *s, uint32_t worker)
{
	struct oracle *o = s->oracle;

	for (size_t i = 0; i < o->print_count; i++)
		o->prints[i].deaths += o->prints[i].holder == worker + 1;
}

/* The broker believes that it waits on its worker: one that left early may overtake another that waits
 * for the disk, and start in its place. Such a death counts for nobody. The view of a task
 * that is over and being made again names no lease: it may be any that waits there. */
static bool seems_to_wait(const struct sim *s, const struct sim_worker *w,
			  const struct core_lease *lease)
{
	uint32_t number = s->number[w - s->workers];
	struct core_worker_view worker;

	for (uint32_t b = 0; b < s->batch_count; b++) {
		struct core_task_view view;

		if (!s->broker_up || !s->batches[b].number ||
		    memcmp(s->batches[b].id, lease->batch_id, DIGEST_SIZE) != 0 ||
		    core_view_task(s->core, s->batches[b].number, lease->index, &view))
			continue;
		if (view.status == CORE_COMPLETED)
			return !core_view_worker(s->core, number, &worker) &&
			       worker.queued;
		return view.status == CORE_READY && view.epoch == lease->epoch;
	}
	return false;
}

void oracle_poisoned(struct sim *s, const struct sim_worker *w,
		     const struct core_lease *lease)
{
	struct print *p = oracle_print_of_lease(s, lease);

	sim_trace(s, "lease %llx of index %u kills its worker",
		  (unsigned long long)lease->epoch, lease->index);
	if (p->granted != lease->epoch || !s->oracle->kills_are_bounded ||
	    seems_to_wait(s, w, lease))
		return;
	for (uint32_t i = 0; i < w->held_count; i++)
		if (w->held[i].finished)
			return; /* until that is heard, it seems to wait on the worker */
	p->kills++;
	if (p->kills > POISON_DEATHS + s->boot - 1) /* a crash may forget one */
		broken(s, "a task has killed %u workers", p->kills);
}

/* ---- ends ---- */

static bool is_read(const struct sim_batch *b, uint32_t index)
{
	for (uint32_t i = 0; i < b->task_count; i++)
		for (uint32_t k = 0; k < b->tasks[i].spec.ref_count; k++) {
			const struct core_ref *ref = &b->tasks[i].refs[k];

			if (ref->is_group || ref->target == index)
				return true; /* perhaps */
		}
	return false;
}

static void check_completed(struct sim *s, const struct core_effect *fx, uint32_t b)
{
	const struct sim_batch *batch = &s->batches[b];
	const struct sim_task *t = &batch->tasks[fx->index];
	const struct record *c = ledger_commit(s, fx->ended.commit);
	struct core_task_view view;
	struct print *p;
	uint8_t hash[DIGEST_SIZE];

	if (core_view_task(s->core, fx->batch, fx->index, &view))
		broken(s, "task %u:%u ended and cannot be looked at", b, fx->index);
	oracle_check_args(s, b, fx->index, view.args, (uint32_t)view.args_size, false);
	sha256_digest(view.args, view.args_size, hash);
	if (!c || !c->completed ||
	    memcmp(c->func_hash, batch->functions[t->spec.function].hash, DIGEST_SIZE) ||
	    memcmp(c->args_hash, hash, DIGEST_SIZE))
		broken(s, "task %u:%u completed with a commit that is not its own", b,
		       fx->index);
	p = oracle_print(s->oracle, c->func_hash, c->args_hash, NULL);
	if (fx->ended.cached && t->spec.nonce)
		broken(s, "task %u:%u wants no cache and got a hit", b, fx->index);
	if (fx->ended.cached && c->lost && p->whole != c->commit &&
	    (size_t)(c - s->records) < s->durable_count && !is_read(batch, fx->index))
		broken(s, "task %u:%u ended with a hit whose bytes are gone", b,
		       fx->index);
}

static void check_failed(struct sim *s, const struct core_effect *fx, uint32_t b)
{
	const struct sim_batch *batch = &s->batches[b];
	const struct core_function *fn =
		&batch->functions[batch->tasks[fx->index].spec.function];
	const struct record *c = ledger_commit(s, fx->ended.commit);
	uint32_t allowed = batch->options[fn->options].retries + 1;

	if (!c || c->completed || memcmp(c->func_hash, fn->hash, DIGEST_SIZE))
		broken(s, "task %u:%u failed without a failed commit", b, fx->index);
	if (!c->quarantined && !c->lost_input && c->attempts < allowed)
		broken(s, "task %u:%u failed after %u attempts and may have %u", b,
		       fx->index, c->attempts, allowed);
}

static void check_skipped(struct sim *s, const struct core_effect *fx, uint32_t b)
{
	const struct sim_batch *batch = &s->batches[b];
	uint32_t up = fx->ended.upstream;
	const struct fate *f =
		up < batch->task_count ? oracle_fate(s, b, up, false) : NULL;

	if (!f || !f->ended)
		broken(s, "task %u:%u was skipped for nothing", b, fx->index);
	if (f->status != CORE_COMPLETED)
		return;
	/* It had to run again, for bytes that were lost, and failed. */
	for (size_t i = 0; i < s->record_count; i++)
		if (s->records[i].type == R_COMMIT && !s->records[i].completed)
			return;
	broken(s, "task %u:%u was skipped although %u completed", b, fx->index, up);
}

static void check_ended(struct sim *s, const struct core_effect *fx)
{
	uint32_t b = s->batch_of[fx->batch];
	struct fate *f = &s->oracle->now[b][fx->index];
	const struct sim_batch *batch = &s->batches[b];

	if (s->replaying)
		broken(s, "task %u:%u ended during recovery", b, fx->index);
	if (f->ended)
		broken(s, "task %u:%u ended twice", b, fx->index);
	*f = (struct fate){true, fx->ended.status, fx->ended.commit, fx->ended.upstream,
			   fx->ended.cached ? gc_removing(s) : 0};
	switch (fx->ended.status) {
	case CORE_COMPLETED:
		check_completed(s, fx, b);
		break;
	case CORE_FAILED:
		check_failed(s, fx, b);
		break;
	case CORE_SKIPPED:
		check_skipped(s, fx, b);
		break;
	case CORE_CANCELLED:
		if (!batch->cancelled && !batch->max_failures)
			broken(s, "task %u:%u was cancelled by nobody", b, fx->index);
		oracle_rooms_reset(s);
		break;
	case CORE_WAITING:
	case CORE_READY:
	case CORE_RUNNING:
		broken(s, "task %u:%u ended and has not", b, fx->index);
	}
}

static void check_batch_ended(struct sim *s, const struct core_effect *fx)
{
	uint32_t b = s->batch_of[fx->batch];
	const struct core_counts *c = &fx->counts;
	uint64_t sum = c->cached + c->executed + c->deduplicated + c->failed +
		       c->skipped + c->cancelled;
	uint64_t by_status[CORE_CANCELLED + 1] = {0};

	for (uint32_t i = 0; i < s->batches[b].task_count; i++) {
		const struct fate *f = oracle_fate(s, b, i, false);

		if (!f->ended)
			broken(s, "batch %u ended before its task %u", b, i);
		by_status[f->status]++;
	}
	if (sum != c->total || c->total != s->batches[b].task_count ||
	    c->failed != by_status[CORE_FAILED] ||
	    c->skipped != by_status[CORE_SKIPPED] ||
	    c->cancelled != by_status[CORE_CANCELLED])
		broken(s,
		       "batch %u: %llu of %llu tasks are counted, or as something else",
		       b, (unsigned long long)sum, (unsigned long long)c->total);
}

void oracle_effect(struct sim *s, const struct core_effect *fx)
{
	if (s->calm && s->now > s->calm_at &&
	    s->now - s->oracle->progress_at > 1200 * NS_PER_S &&
	    s->now - s->calm_at > 1200 * NS_PER_S && fx->type == CORE_FX_GRANT)
		broken(s, "nothing has ended for twenty minutes");
	pauses_effect(s, s->oracle->pauses, fx);
	switch (fx->type) {
	case CORE_FX_VERDICT:
		oracle_check_verdict(s, fx);
		break;
	case CORE_FX_GRANT:
		check_grant(s, fx);
		fair_grant(s, fx);
		break;
	case CORE_FX_COMMIT:
		check_commit(s, fx);
		break;
	case CORE_FX_TASK_ENDED:
		check_ended(s, fx);
		break;
	case CORE_FX_BATCH_ENDED:
		check_batch_ended(s, fx);
		break;
	case CORE_FX_BATCH_SEALED:
	case CORE_FX_BATCH_REFUSED:
	case CORE_FX_BATCH_DISCARDED:
	case CORE_FX_LIST_BLOB:
	case CORE_FX_STOP:
	case CORE_FX_ATTEMPT_FAILED:
	case CORE_FX_BATCH_PAUSED:
	case CORE_FX_BATCH_RESUMED:
	case CORE_FX_BATCH_FORGOTTEN:
		break;
	case CORE_FX_LOOKUP: /* a new execution, which knows of no refusals */
		oracle_print(s->oracle, fx->lookup.func_hash, fx->lookup.args_hash, NULL)
			->full_unsure = true;
		break;
	case CORE_FX_WORKER_SILENT:
	case CORE_FX_WORKER_FORGOTTEN:
		fair_reset(s);
		break;
	}
}

/* ---- durability ---- */

void oracle_acknowledged(struct sim *s, uint32_t batch)
{
	if (s->batches[batch].bad)
		broken(s, "batch %u is bad and was accepted", batch);
	if (!s->oracle->sealed[batch])
		broken(s, "batch %u was acknowledged and is not on disk", batch);
}

bool oracle_sealed(const struct sim *s, uint32_t batch)
{
	return s->oracle->sealed[batch];
}

void oracle_record(struct sim *s, const struct record *r)
{
	struct oracle *o = s->oracle;

	if (r->type == R_SEALED)
		o->sealed[r->sim_batch] = true;
	if (r->type != R_END)
		return;
	if (o->durable[r->sim_batch][r->index].ended)
		broken(s, "the end of task %u:%u is on disk twice", r->sim_batch,
		       r->index);
	o->durable[r->sim_batch][r->index] =
		(struct fate){true, r->status, r->commit, r->upstream,
			      o->now[r->sim_batch][r->index].passed_on};
	if (r->commit && !ledger_commit(s, r->commit))
		broken(s, "the record of task %u:%u names a commit that is not there",
		       r->sim_batch, r->index);
}

/* What was not on disk did not happen. */
void oracle_restart(struct sim *s)
{
	struct oracle *o = s->oracle;

	for (uint32_t b = 0; b < s->batch_count; b++)
		memcpy(o->now[b], o->durable[b],
		       s->batches[b].task_count * sizeof **o->now);
	pauses_restart(s, o->pauses);
	fair_reset(s);
	o->refusal_count = 0;
	for (size_t i = 0; i < o->print_count; i++) {
		o->prints[i].current = o->prints[i].whole = 0;
		o->prints[i].superseded = false;
	}
	o->last_commit = 0;
	for (size_t i = 0; i < s->durable_count; i++) {
		const struct record *r = &s->records[i];

		if (r->type != R_COMMIT)
			continue;
		if (r->commit > o->last_commit)
			o->last_commit = r->commit;
		/* What the removed one superseded does not come back. */
		if (r->current)
			oracle_print(o, r->func_hash, r->args_hash,
				     r->has_nonce ? r->nonce : NULL)
				->current = r->removed ? 0 : r->commit;
	}
}
