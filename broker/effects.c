/* effects.c - what the core decided, carried out: records into the ledger's turn, messages into
 * the workers' and watchers' hands.
 *
 * What is replayed in recovery is recorded already and is told to nobody. To add an effect: a case here; the compiler names a forgotten one. */
#include "broker/checkpoint.h"

#include "broker/care/guard.h"
#include "common/clock.h"
#include "common/log.h"

#include <string.h>

#define EFFECTS_KEEP 65536 /* more room than this is given back */

static void list_blob(struct broker *b, const struct core_effect *fx)
{
	if (presence_noted(b, fx->blob.digest))
		return;
	if (fx->blob.size <= 65536) {
		ledger_add_blob(b->turn, fx->blob.digest, fx->blob.data, fx->blob.size);
	} else {
		uint8_t digest[DIGEST_SIZE];
		int rc = cas_put(b->cas, fx->blob.data, fx->blob.size, fx->blob.digest,
				 digest);
		if (rc) {
			/* Its readers will find it missing, and it is made again. */
			log_error("list not stored", "rc=%d", rc);
			return;
		}
	}
	presence_note(b, fx->blob.digest);
}

static void granted(struct broker *b, const struct core_effect *fx)
{
	struct ledger_lease lease = {.index = fx->index,
				     .epoch = fx->grant.lease.epoch,
				     .attempt = fx->grant.attempt,
				     .deaths = fx->grant.deaths};
	memcpy(lease.worker_key, fx->grant.lease.worker_key, KEY_SIZE);
	ledger_add_lease(b->turn, fx->batch, &lease);
	if (!fx->grant.early)
		b->turn_only_early = false;
	worker_grant(b, fx);
	struct batch *batch = batch_find_number(b, fx->batch);
	if (batch)
		batch_touch(b, batch);
}

static void task_ended(struct broker *b, const struct core_effect *fx)
{
	struct ledger_end end = {
		.index = fx->index,
		.status = (uint8_t)fx->ended.status,
		.flags = (uint8_t)((fx->ended.cached ? 1 : 0) |
				   (fx->ended.deduplicated ? 2 : 0)),
		.attempts =
			(uint16_t)(fx->ended.attempts > UINT16_MAX ? UINT16_MAX
								   : fx->ended.attempts),
		.upstream = fx->ended.upstream,
		.commit = fx->ended.commit,
	};
	ledger_add_end(b->turn, fx->batch, &end);
	/* The commit may have been decided, not recorded, when gc began, and this end is after that. */
	if (fx->ended.cached)
		guard_commit(b, fx->ended.commit);
	if (fx->ended.status == CORE_CANCELLED)
		checkpoints_look(b);
	struct batch *batch = batch_find_number(b, fx->batch);
	if (!batch)
		return;
	/* A hit on a commit that is on disk may be told at once; all else waits for this turn. */
	if (!fx->ended.cached || fx->ended.commit > b->commit_durable)
		batch->hold_step = b->step;
	batch_touch(b, batch);
}

static void batch_ended(struct broker *b, const struct core_effect *fx)
{
	struct batch *batch = batch_find_number(b, fx->batch);
	ledger_add_batch_ended(b->turn, fx->batch, &fx->counts, clock_wall_ms());
	if (!batch)
		return;
	batch->ended = true;
	watch_ended(b, batch, &fx->counts);
	log_info("batch ended",
		 "batch=%llu total=%llu cached=%llu executed=%llu deduplicated=%llu "
		 "failed=%llu "
		 "skipped=%llu cancelled=%llu",
		 (unsigned long long)fx->batch, (unsigned long long)fx->counts.total,
		 (unsigned long long)fx->counts.cached,
		 (unsigned long long)fx->counts.executed,
		 (unsigned long long)fx->counts.deduplicated,
		 (unsigned long long)fx->counts.failed,
		 (unsigned long long)fx->counts.skipped,
		 (unsigned long long)fx->counts.cancelled);
}

static void batch_paused(struct broker *b, const struct core_effect *fx)
{
	struct batch *batch = batch_find_number(b, fx->batch);
	ledger_add_paused(b->turn, fx->batch, fx->paused.function);
	if (!batch)
		return;
	batch->hold_step = b->step;
	batch_touch(b, batch);
	log_warn("batch paused", "batch=%llu task=%s why=its first %u all failed",
		 (unsigned long long)fx->batch,
		 batch->functions[fx->paused.function].name, fx->paused.failed);
}

static void apply(struct broker *b, const struct core_effect *fx)
{
	struct batch *batch;
	struct worker *w;
	switch (fx->type) {
	case CORE_FX_BATCH_SEALED:
		submit_sealed(b, fx);
		break;
	case CORE_FX_BATCH_REFUSED:
		submit_refused(b, fx);
		break;
	case CORE_FX_BATCH_DISCARDED:
		submit_discarded(b, fx);
		break;
	case CORE_FX_LOOKUP:
		lookup_add(b, fx);
		break;
	case CORE_FX_LIST_BLOB:
		list_blob(b, fx);
		break;
	case CORE_FX_GRANT:
		granted(b, fx);
		break;
	case CORE_FX_STOP:
		worker_stop(b, fx);
		break;
	case CORE_FX_COMMIT:
		b->turn_only_early = false;
		if (fx->commit.commit > b->commit_last)
			b->commit_last = fx->commit.commit;
		report_commit(b, fx);
		checkpoint_drop(b, &fx->commit.lease);
		break;
	case CORE_FX_VERDICT:
		report_verdict(b, fx);
		break;
	case CORE_FX_ATTEMPT_FAILED:
		report_failed(b, fx);
		break;
	case CORE_FX_TASK_ENDED:
		task_ended(b, fx);
		break;
	case CORE_FX_BATCH_PAUSED:
		batch_paused(b, fx);
		break;
	case CORE_FX_BATCH_RESUMED:
		ledger_add_resumed(b->turn, fx->batch);
		if ((batch = batch_find_number(b, fx->batch)))
			batch_touch(b, batch);
		log_info("batch resumed", "batch=%llu", (unsigned long long)fx->batch);
		break;
	case CORE_FX_BATCH_ENDED:
		batch_ended(b, fx);
		break;
	case CORE_FX_BATCH_FORGOTTEN:
		if ((batch = batch_find_number(b, fx->batch)))
			batch_free(b, batch);
		checkpoints_look(b);
		break;
	case CORE_FX_WORKER_SILENT:
		if ((w = worker_get(b, fx->worker))) {
			w->silent = true;
			log_warn("worker lost its leases", "worker=%s why=silent or gone",
				 w->name);
		}
		break;
	case CORE_FX_WORKER_FORGOTTEN:
		if ((w = worker_get(b, fx->worker)))
			worker_free(b, w);
		break;
	}
}

void effects_apply(struct broker *b)
{
	for (size_t i = 0; i < b->effects.count; i++) {
		const struct core_effect *fx = &b->effects.items[i];
		if (b->recovering && fx->type != CORE_FX_BATCH_REFUSED)
			continue;
		apply(b, fx);
	}
	if (b->effects.capacity > EFFECTS_KEEP)
		core_effects_fini(&b->effects);
	else
		core_effects_reset(&b->effects);
}

void broker_step(struct broker *b, struct core_event *event)
{
	/* Carrying out effects never steps the core: what it finds out (a peer is gone) is noted
	 * and stepped later, see workers_gone(). */
	assert(!b->stepping);
	b->stepping = true;
	event->now = b->now;
	event->step = b->step;
	core_step(b->core, event, &b->effects);
	effects_apply(b);
	b->stepping = false;
	reports_settle(b);
}
