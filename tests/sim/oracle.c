/* oracle.c - the promises, held against what happens. It keeps a history of its own, knows the
 * workload, and derives from both what each task must read, write and become. */
#include "common/pure/hex.h"
#include "common/pure/sha256.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct print { /* one fingerprint with its nonce */
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE], nonce[NONCE_SIZE];
	uint64_t granted, granted_boot; /* latest epoch, and the boot that gave it */
	uint64_t current;		/* commit, 0: none */
	bool lost;			/* its bytes were reported gone since */
};

struct fate {
	bool ended;
	enum core_task_status status;
	uint64_t commit;
};

struct oracle {
	struct print *prints;
	size_t print_count, print_capacity;
	struct fate **now, **durable; /* by sim batch and index */
	uint32_t batch_count;
	uint64_t last_epoch, last_commit, progress_at;
};

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

struct oracle *oracle_new(struct sim *s)
{
	struct oracle *o = mem_alloc(sizeof *o);

	o->now = mem_alloc(s->batch_count * sizeof *o->now);
	o->durable = mem_alloc(s->batch_count * sizeof *o->durable);
	o->batch_count = s->batch_count;
	for (uint32_t i = 0; i < s->batch_count; i++) {
		o->now[i] = mem_alloc(s->batches[i].task_count * sizeof **o->now);
		o->durable[i] = mem_alloc(s->batches[i].task_count * sizeof **o->durable);
	}
	return o;
}

void oracle_free(struct oracle *o)
{
	free(o->prints);
	for (uint32_t i = 0; i < o->batch_count; i++) {
		free(o->now[i]);
		free(o->durable[i]);
	}
	free(o->now);
	free(o->durable);
	free(o);
}

static struct print *print_of(struct oracle *o, const struct core_lease *lease)
{
	static const uint8_t none[NONCE_SIZE];
	const uint8_t *nonce = lease->has_nonce ? lease->nonce : none;

	for (size_t i = 0; i < o->print_count; i++) {
		struct print *p = &o->prints[i];

		if (!memcmp(p->args_hash, lease->args_hash, DIGEST_SIZE) &&
		    !memcmp(p->func_hash, lease->func_hash, DIGEST_SIZE) &&
		    !memcmp(p->nonce, nonce, NONCE_SIZE))
			return p;
	}
	mem_grow(o->prints, o->print_count, o->print_capacity);
	struct print *p = &o->prints[o->print_count++];

	memset(p, 0, sizeof *p);
	memcpy(p->func_hash, lease->func_hash, DIGEST_SIZE);
	memcpy(p->args_hash, lease->args_hash, DIGEST_SIZE);
	memcpy(p->nonce, nonce, NONCE_SIZE);
	return p;
}

void oracle_lost_blob(struct sim *s, const uint8_t digest[DIGEST_SIZE])
{
	struct oracle *o = s->oracle;

	for (size_t i = 0; i < o->print_count; i++) {
		struct print *p = &o->prints[i];

		for (uint32_t slot = 0; slot < 5; slot++) {
			struct content c =
				workload_output(p->func_hash, p->args_hash, slot);

			if (!memcmp(c.digest, digest, DIGEST_SIZE))
				p->lost = true;
		}
	}
}

/* ---- what a task must read ---- */

static bool content_of(struct sim *s, uint32_t b, uint32_t index, uint32_t slot,
		       struct content *out)
{
	const struct fate *f = &s->oracle->now[b][index];
	const struct record *c = f->commit ? ledger_commit(s, f->commit) : NULL;

	if (!f->ended || f->status != CORE_COMPLETED || !c || slot >= c->slot_count)
		return false;
	*out = c->slots[slot];
	return true;
}

static bool group_content(struct sim *s, uint32_t b, const struct core_group *g,
			  struct content *out)
{
	struct sha256 sha;

	sha256_init(&sha);
	for (uint32_t i = 0; i < g->range_count; i++) {
		const struct core_group_range *r = &g->ranges[i];

		if (!r->count)
			sha256_update(&sha, &r->content, CONTENT_SIZE);
		for (uint32_t k = r->first; k < r->first + r->count; k++) {
			struct content c;

			if (content_of(s, b, k, r->slot, &c))
				sha256_update(&sha, &c, CONTENT_SIZE);
			else if (!g->skip_failed || !s->oracle->now[b][k].ended)
				return false;
		}
	}
	out->type = CONTENT_LIST;
	sha256_final(&sha, out->digest);
	return true;
}

static void expected_args_hash(struct sim *s, uint32_t b, uint32_t index,
			       uint8_t hash[DIGEST_SIZE])
{
	const struct sim_task *t = &s->batches[b].tasks[index];
	uint8_t args[SIM_ARGS_MAX];

	memcpy(args, t->args, t->spec.args_size);
	for (uint32_t i = 0; i < t->spec.ref_count; i++) {
		const struct core_ref *ref = &t->refs[i];
		struct content c;
		bool known =
			ref->is_group
				? group_content(s, b, &s->batches[b].groups[ref->target],
						&c)
				: content_of(s, b, ref->target, ref->slot, &c);

		if (!known)
			broken(s, "task %u:%u went on before what it reads was there", b,
			       index);
		memcpy(args + ref->offset, &c, CONTENT_SIZE);
	}
	sha256_digest(args, t->spec.args_size, hash);
}

/* ---- effects ---- */

static void check_grant(struct sim *s, const struct core_effect *fx)
{
	const struct core_lease *lease = &fx->grant.lease;
	uint32_t b = s->batch_of[fx->batch];
	const struct sim_batch *batch = &s->batches[b];
	const struct sim_task *t = &batch->tasks[fx->index];
	struct print *p = print_of(s->oracle, lease);
	struct core_worker_view view;
	uint8_t hash[DIGEST_SIZE];

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
	sha256_digest(fx->grant.args, fx->grant.args_size, hash);
	if (memcmp(hash, lease->args_hash, DIGEST_SIZE))
		broken(s, "a lease's args_hash is not that of the arguments");
	expected_args_hash(s, b, fx->index, hash);
	if (memcmp(hash, lease->args_hash, DIGEST_SIZE))
		broken(s, "task %u:%u was given arguments that are not what it must read",
		       b, fx->index);
	if (fx->grant.early && t->spec.ref_count)
		broken(s, "the assignment of a task that reads others may leave early");
	if (fx->grant.attempt > fx->grant.attempts_max)
		broken(s, "attempt %u of %u", fx->grant.attempt, fx->grant.attempts_max);
	if (!core_view_worker(s->core, fx->worker, &view) &&
	    view.used[0] > s->workers[fx->worker].cpus)
		broken(s, "worker %u is oversubscribed: %llu of %llu", fx->worker,
		       (unsigned long long)view.used[0],
		       (unsigned long long)s->workers[fx->worker].cpus);
	if (s->replaying)
		broken(s, "a lease was granted during recovery");
	p->granted = lease->epoch;
	p->granted_boot = s->boot;
}

static uint32_t retries_of(const struct sim *s, const uint8_t func_hash[DIGEST_SIZE])
{
	uint32_t most = 0;

	for (uint32_t b = 0; b < s->batch_count; b++) {
		const struct sim_batch *batch = &s->batches[b];

		for (uint32_t f = 0; f < batch->function_count; f++)
			if (!memcmp(batch->functions[f].hash, func_hash, DIGEST_SIZE) &&
			    batch->options[batch->functions[f].options].retries > most)
				most = batch->options[batch->functions[f].options]
					       .retries;
	}
	return most;
}

static void check_commit(struct sim *s, const struct core_effect *fx)
{
	const struct core_lease *lease = &fx->commit.lease;
	struct print *p = print_of(s->oracle, lease);

	if (fx->commit.commit <= s->oracle->last_commit)
		broken(s, "commit %llu is not above %llu",
		       (unsigned long long)fx->commit.commit,
		       (unsigned long long)s->oracle->last_commit);
	s->oracle->last_commit = fx->commit.commit;
	if (fx->commit.token && p->granted_boot == s->boot && p->granted != lease->epoch)
		broken(s, "a result of lease %llx was accepted while %llx is current",
		       (unsigned long long)lease->epoch, (unsigned long long)p->granted);
	if (fx->commit.attempts > retries_of(s, lease->func_hash) + 1)
		broken(s, "%u attempts where %u were allowed", fx->commit.attempts,
		       retries_of(s, lease->func_hash) + 1);
	if (!fx->commit.completed || fx->commit.cache == CORE_CACHE_OFF)
		return;
	if (p->current && !p->lost)
		broken(s, "commits %llu and %llu are both current for one fingerprint",
		       (unsigned long long)p->current,
		       (unsigned long long)fx->commit.commit);
	if (p->current && fx->commit.cache == CORE_CACHE_USE && !fx->commit.parent)
		broken(s, "commit %llu supersedes %llu and does not say so",
		       (unsigned long long)fx->commit.commit,
		       (unsigned long long)p->current);
	p->current = fx->commit.commit;
	p->lost = false;
}

static void check_ended(struct sim *s, const struct core_effect *fx)
{
	uint32_t b = s->batch_of[fx->batch];
	struct fate *f = &s->oracle->now[b][fx->index];
	const struct sim_batch *batch = &s->batches[b];
	const struct sim_task *t = &batch->tasks[fx->index];
	const struct core_function *fn = &batch->functions[t->spec.function];
	const struct record *c;
	uint8_t hash[DIGEST_SIZE];

	if (f->ended)
		broken(s, "task %u:%u ended twice", b, fx->index);
	s->oracle->progress_at = s->now;
	*f = (struct fate){true, fx->ended.status, fx->ended.commit};
	c = fx->ended.commit ? ledger_commit(s, fx->ended.commit) : NULL;
	switch (fx->ended.status) {
	case CORE_COMPLETED:
		expected_args_hash(s, b, fx->index, hash);
		if (!c || !c->completed || memcmp(c->func_hash, fn->hash, DIGEST_SIZE) ||
		    memcmp(c->args_hash, hash, DIGEST_SIZE))
			broken(s,
			       "task %u:%u completed with a commit that is not its own",
			       b, fx->index);
		break;
	case CORE_FAILED:
		if (!c || c->completed)
			broken(s, "task %u:%u failed without a failed commit", b,
			       fx->index);
		if (batch->kinds[t->spec.function] == KIND_BAD && !c->quarantined &&
		    c->attempts < batch->options[fn->options].retries + 1)
			broken(s, "task %u:%u failed after %u attempts and may have %u",
			       b, fx->index, c->attempts,
			       batch->options[fn->options].retries + 1);
		break;
	case CORE_SKIPPED:
		if (fx->ended.upstream >= batch->task_count ||
		    !s->oracle->now[b][fx->ended.upstream].ended ||
		    s->oracle->now[b][fx->ended.upstream].status == CORE_COMPLETED)
			broken(s, "task %u:%u was skipped for nothing", b, fx->index);
		break;
	case CORE_CANCELLED:
		if (!batch->cancelled && !batch->max_failures)
			broken(s, "task %u:%u was cancelled by nobody", b, fx->index);
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

	for (uint32_t i = 0; i < s->batches[b].task_count; i++)
		if (!s->oracle->now[b][i].ended)
			broken(s, "batch %u ended before its task %u", b, i);
	if (sum != c->total || c->total != s->batches[b].task_count)
		broken(s, "batch %u: %llu of %llu tasks are counted", b,
		       (unsigned long long)sum, (unsigned long long)c->total);
}

void oracle_effect(struct sim *s, const struct core_effect *fx)
{
	if (s->calm && s->now > s->calm_at &&
	    s->now - s->oracle->progress_at > 1200 * NS_PER_S &&
	    s->now - s->calm_at > 1200 * NS_PER_S && fx->type == CORE_FX_GRANT)
		broken(s, "nothing has ended for twenty minutes");
	switch (fx->type) {
	case CORE_FX_GRANT:
		check_grant(s, fx);
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
	case CORE_FX_LOOKUP:
	case CORE_FX_LIST_BLOB:
	case CORE_FX_STOP:
	case CORE_FX_VERDICT:
	case CORE_FX_ATTEMPT_FAILED:
	case CORE_FX_BATCH_PAUSED:
	case CORE_FX_BATCH_FORGOTTEN:
	case CORE_FX_WORKER_SILENT:
	case CORE_FX_WORKER_FORGOTTEN:
		break;
	}
}

/* ---- durability ---- */

void oracle_assignment(struct sim *s, const struct message *m)
{
	for (uint32_t i = 0; i < m->ref_count; i++)
		if (!m->refs[i].is_group &&
		    !s->oracle->durable[m->batch][m->refs[i].target].ended)
			broken(s,
			       "a worker has task %u:%u, and what it reads is not on "
			       "disk",
			       m->batch, m->index);
}

void oracle_record(struct sim *s, const struct record *r)
{
	if (r->type == R_END)
		s->oracle->durable[r->sim_batch][r->index] =
			(struct fate){true, r->status, r->commit};
	if (r->type == R_END && r->commit && !ledger_commit(s, r->commit))
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
	for (size_t i = 0; i < o->print_count; i++)
		o->prints[i].current = 0;
	o->last_commit = 0;
	for (size_t i = 0; i < s->durable_count; i++) {
		const struct record *r = &s->records[i];
		struct core_lease key = {.has_nonce = r->has_nonce};

		if (r->type != R_COMMIT)
			continue;
		if (r->commit > o->last_commit)
			o->last_commit = r->commit;
		memcpy(key.func_hash, r->func_hash, DIGEST_SIZE);
		memcpy(key.args_hash, r->args_hash, DIGEST_SIZE);
		memcpy(key.nonce, r->nonce, NONCE_SIZE);
		if (r->current)
			print_of(o, &key)->current = r->commit;
	}
}

/* ---- the end: a naive model of what must have become of each task ---- */

enum guess { GUESS_COMPLETED, GUESS_FAILED, GUESS_SKIPPED, GUESS_UNKNOWN };

static enum guess worse(enum guess a, enum guess upstream)
{
	if (a == GUESS_SKIPPED || upstream == GUESS_FAILED || upstream == GUESS_SKIPPED)
		return GUESS_SKIPPED;
	return upstream == GUESS_UNKNOWN ? GUESS_UNKNOWN : a;
}

static enum guess guess(const struct sim_batch *b, uint32_t i, const uint8_t *known)
{
	const struct sim_task *t = &b->tasks[i];
	enum guess g = GUESS_COMPLETED;

	for (uint32_t k = 0; k < t->spec.need_count; k++)
		g = worse(g, known[t->needs[k]]);
	for (uint32_t k = 0; k < t->spec.ref_count; k++) {
		const struct core_ref *ref = &t->refs[k];

		if (!ref->is_group) {
			g = worse(g, known[ref->target]);
			continue;
		}
		const struct core_group *group = &b->groups[ref->target];

		for (uint32_t n = 0; n < group->range_count; n++)
			for (uint32_t m = 0;
			     m < group->ranges[n].count && !group->skip_failed; m++)
				g = worse(g, known[group->ranges[n].first + m]);
	}
	if (g != GUESS_COMPLETED)
		return g;
	switch (b->kinds[t->spec.function]) {
	case KIND_GOOD:
	case KIND_SLOW:
		return GUESS_COMPLETED;
	case KIND_BAD:
		return GUESS_FAILED;
	case KIND_FLAKY:
	case KIND_POISON:
		return GUESS_UNKNOWN;
	}
	return GUESS_UNKNOWN;
}

void oracle_end(struct sim *s)
{
	static const enum core_task_status want[] = {CORE_COMPLETED, CORE_FAILED,
						     CORE_SKIPPED};

	for (uint32_t b = 0; b < s->batch_count; b++) {
		const struct sim_batch *batch = &s->batches[b];
		uint8_t *known = mem_alloc(batch->task_count);
		bool forward = batch->task_count > 1 && batch->tasks[0].spec.ref_count &&
			       batch->tasks[0].refs[0].target == 1;

		for (uint32_t n = 0; n < batch->task_count && !batch->refused; n++) {
			uint32_t i = forward ? batch->task_count - 1 - n : n;
			const struct fate *f = &s->oracle->durable[b][i];

			if (!f->ended)
				broken(s, "task %u:%u of an accepted batch never ended",
				       b, i);
			known[i] = (uint8_t)guess(batch, i, known);
			if (f->status == CORE_FAILED &&
			    ledger_commit(s, f->commit)->quarantined)
				known[i] = GUESS_UNKNOWN; /* on three workers that died */
			if (batch->cancelled || batch->max_failures ||
			    known[i] == GUESS_UNKNOWN)
				continue;
			if (f->status != want[known[i]])
				broken(s, "task %u:%u is %d and must be %d", b, i,
				       (int)f->status, (int)want[known[i]]);
		}
		free(known);
	}
}
