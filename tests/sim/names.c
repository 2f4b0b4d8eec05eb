/* names.c - words for the numbers in a trace, and lines that say what an event, an effect or a
 * message is about. */
#include "common/pure/hex.h"
#include "tests/sim/sim.h"

const char *const event_names[] = {
	[CORE_EV_TIME] = "TIME",
	[CORE_EV_BATCH_OPEN] = "BATCH_OPEN",
	[CORE_EV_BATCH_CHUNK] = "BATCH_CHUNK",
	[CORE_EV_BATCH_SEAL] = "BATCH_SEAL",
	[CORE_EV_BATCH_DISCARD] = "BATCH_DISCARD",
	[CORE_EV_CANCEL] = "CANCEL",
	[CORE_EV_RESUME] = "RESUME",
	[CORE_EV_LOOKUP] = "LOOKUP",
	[CORE_EV_DURABLE] = "DURABLE",
	[CORE_EV_WORKER_JOIN] = "WORKER_JOIN",
	[CORE_EV_WORKER_CLAIM] = "WORKER_CLAIM",
	[CORE_EV_WORKER_CREDIT] = "WORKER_CREDIT",
	[CORE_EV_WORKER_ALIVE] = "WORKER_ALIVE",
	[CORE_EV_WORKER_GONE] = "WORKER_GONE",
	[CORE_EV_WORKER_BYE] = "WORKER_BYE",
	[CORE_EV_WORKER_DRAIN] = "WORKER_DRAIN",
	[CORE_EV_RESULT] = "RESULT",
	[CORE_EV_HANDBACK] = "HANDBACK",
	[CORE_EV_REVOKE_WORKER] = "REVOKE_WORKER",
	[CORE_EV_DRAIN] = "DRAIN",
	[CORE_EV_HOLD] = "HOLD",
	[CORE_EV_OLD_END] = "OLD_END",
	[CORE_EV_OLD_LEASE] = "OLD_LEASE",
	[CORE_EV_OLD_PAUSE] = "OLD_PAUSE",
	[CORE_EV_RECOVERED] = "RECOVERED",
};

const char *const effect_names[] = {
	[CORE_FX_BATCH_SEALED] = "BATCH_SEALED",
	[CORE_FX_BATCH_REFUSED] = "BATCH_REFUSED",
	[CORE_FX_BATCH_DISCARDED] = "BATCH_DISCARDED",
	[CORE_FX_LOOKUP] = "LOOKUP",
	[CORE_FX_LIST_BLOB] = "LIST_BLOB",
	[CORE_FX_GRANT] = "GRANT",
	[CORE_FX_STOP] = "STOP",
	[CORE_FX_COMMIT] = "COMMIT",
	[CORE_FX_VERDICT] = "VERDICT",
	[CORE_FX_ATTEMPT_FAILED] = "ATTEMPT_FAILED",
	[CORE_FX_TASK_ENDED] = "TASK_ENDED",
	[CORE_FX_BATCH_PAUSED] = "BATCH_PAUSED",
	[CORE_FX_BATCH_RESUMED] = "BATCH_RESUMED",
	[CORE_FX_BATCH_ENDED] = "BATCH_ENDED",
	[CORE_FX_BATCH_FORGOTTEN] = "BATCH_FORGOTTEN",
	[CORE_FX_WORKER_SILENT] = "WORKER_SILENT",
	[CORE_FX_WORKER_FORGOTTEN] = "WORKER_FORGOTTEN",
};

const char *const message_names[] = {
	[M_SUBMIT] = "submit", [M_ACK] = "ack",	      [M_REFUSED] = "refused",
	[M_CANCEL] = "cancel", [M_HELLO] = "hello",   [M_ALIVE] = "alive",
	[M_BYE] = "bye",       [M_RESULT] = "result", [M_HANDBACK] = "handback",
	[M_ASSIGN] = "assign", [M_STOP] = "stop",     [M_VERDICT] = "verdict",
	[M_LOOKUP] = "lookup",
};

const char *const status_names[] = {
	[CORE_WAITING] = "waiting",	[CORE_READY] = "ready",
	[CORE_RUNNING] = "running",	[CORE_COMPLETED] = "completed",
	[CORE_FAILED] = "failed",	[CORE_SKIPPED] = "skipped",
	[CORE_CANCELLED] = "cancelled",
};

static const char *const outcome_names[] = {
	[CORE_OUT_COMPLETED] = "completed", [CORE_OUT_FAILED] = "failed",
	[CORE_OUT_TIMED_OUT] = "timed-out", [CORE_OUT_INPUT_MISSING] = "input-missing",
	[CORE_OUT_STOPPED] = "stopped",	    [CORE_OUT_LOST] = "lost",
	[CORE_OUT_REJECTED] = "rejected",   [CORE_OUT_NO_ROOM] = "no room",
};

static const char *const verdict_names[] = {
	[CORE_ACCEPTED] = "accepted",
	[CORE_STALE] = "stale",
	[CORE_BLOB_MISSING] = "blob-missing",
	[CORE_MALFORMED] = "malformed",
};

static const char *const stop_names[] = {
	[CORE_STOP_CANCELLED] = "cancelled",
	[CORE_STOP_STALE] = "stale",
	[CORE_STOP_UNKNOWN] = "unknown",
};

static const char *const cache_names[] = {
	[CORE_CACHE_USE] = "use",
	[CORE_CACHE_OFF] = "off",
	[CORE_CACHE_FORCE] = "force",
};

typedef unsigned long long ull;

/* The beginning of a fingerprint is enough to follow it through a trace. */
static const char *print_text(const uint8_t func[DIGEST_SIZE],
			      const uint8_t args[DIGEST_SIZE])
{
	static char text[2][16];
	static int turn;
	char *to = text[turn ^= 1];

	hex_encode(to, func, 2);
	to[4] = ':';
	hex_encode(to + 5, args, 3);
	return to;
}

static const char *digest_text(const uint8_t digest[DIGEST_SIZE])
{
	static char text[16];

	return hex_encode(text, digest, 4);
}

void trace_event(struct sim *s, const struct core_event *ev)
{
	const char *name = event_names[ev->type];
	ull batch = ev->batch, step = ev->step;

	switch (ev->type) {
	case CORE_EV_LOOKUP:
		sim_trace(s, "#%llu %s exec %llx %s commit %llu", step, name,
			  (ull)ev->lookup.exec, ev->lookup.hit ? "hit" : "miss",
			  (ull)ev->lookup.commit);
		break;
	case CORE_EV_DURABLE:
		sim_trace(s, "#%llu %s up to #%llu", step, name, (ull)ev->durable);
		break;
	case CORE_EV_WORKER_CLAIM:
		sim_trace(s, "#%llu %s worker %u lease %llx of index %u%s%s", step, name,
			  ev->worker, (ull)ev->claim.lease.epoch, ev->claim.lease.index,
			  ev->claim.started ? " started" : "",
			  ev->claim.finished ? " finished" : "");
		break;
	case CORE_EV_RESULT:
		sim_trace(s, "#%llu %s worker %u lease %llx of index %u: %s%s%s", step,
			  name, ev->worker, (ull)ev->result.lease.epoch,
			  ev->result.lease.index, outcome_names[ev->result.outcome],
			  ev->result.outcome == CORE_OUT_INPUT_MISSING ? " " : "",
			  ev->result.outcome == CORE_OUT_INPUT_MISSING
				  ? digest_text(ev->result.missing)
				  : "");
		break;
	case CORE_EV_HANDBACK:
		sim_trace(s, "#%llu %s worker %u lease %llx%s", step, name, ev->worker,
			  (ull)ev->handback.lease.epoch,
			  ev->handback.started ? " started" : "");
		break;
	case CORE_EV_WORKER_ALIVE:
		sim_trace(s, "#%llu %s worker %u holds %u", step, name, ev->worker,
			  ev->alive.epoch_count);
		break;
	case CORE_EV_WORKER_JOIN:
	case CORE_EV_WORKER_CREDIT:
	case CORE_EV_WORKER_GONE:
	case CORE_EV_WORKER_BYE:
	case CORE_EV_WORKER_DRAIN:
	case CORE_EV_REVOKE_WORKER:
		sim_trace(s, "#%llu %s worker %u", step, name, ev->worker);
		break;
	case CORE_EV_OLD_END:
		sim_trace(s, "#%llu %s task %llu:%u %s commit %llu", step, name, batch,
			  ev->index, status_names[ev->old_end.status],
			  (ull)ev->old_end.commit);
		break;
	case CORE_EV_OLD_LEASE:
		sim_trace(s, "#%llu %s task %llu:%u lease %llx attempt %u deaths %u",
			  step, name, batch, ev->index, (ull)ev->old_lease.epoch,
			  ev->old_lease.attempt, ev->old_lease.deaths);
		break;
	case CORE_EV_CANCEL:
		if (ev->index == CORE_NO_INDEX)
			sim_trace(s, "#%llu %s batch %llu", step, name, batch);
		else
			sim_trace(s, "#%llu %s task %llu:%u", step, name, batch,
				  ev->index);
		break;
	case CORE_EV_BATCH_OPEN:
	case CORE_EV_BATCH_CHUNK:
	case CORE_EV_BATCH_SEAL:
	case CORE_EV_BATCH_DISCARD:
	case CORE_EV_RESUME:
	case CORE_EV_OLD_PAUSE:
		sim_trace(s, "#%llu %s batch %llu", step, name, batch);
		break;
	case CORE_EV_TIME:
	case CORE_EV_DRAIN:
	case CORE_EV_RECOVERED:
		sim_trace(s, "#%llu %s", step, name);
		break;
	case CORE_EV_HOLD:
		sim_trace(s, "#%llu %s %s", step, name, ev->hold ? "full" : "room again");
		break;
	}
}

void trace_effect(struct sim *s, const struct core_effect *fx)
{
	const char *name = effect_names[fx->type];
	ull batch = fx->batch;

	switch (fx->type) {
	case CORE_FX_LOOKUP:
		sim_trace(s, "   %s task %llu:%u %s exec %llx%s%s%s", name, batch,
			  fx->index,
			  print_text(fx->lookup.func_hash, fx->lookup.args_hash),
			  (ull)fx->lookup.exec, fx->lookup.need_bytes ? " bytes" : "",
			  fx->lookup.need_slots ? " slots" : "",
			  fx->lookup.parent_only ? " parent-only" : "");
		break;
	case CORE_FX_GRANT:
		sim_trace(
			s,
			"   %s task %llu:%u %s worker %u lease %llx attempt %u of %u%s",
			name, batch, fx->index,
			print_text(fx->grant.lease.func_hash, fx->grant.lease.args_hash),
			fx->worker, (ull)fx->grant.lease.epoch, fx->grant.attempt,
			fx->grant.attempts_max, fx->grant.early ? " early" : "");
		break;
	case CORE_FX_STOP:
		sim_trace(s, "   %s worker %u lease %llx: %s", name, fx->worker,
			  (ull)fx->stop.epoch, stop_names[fx->stop.why]);
		break;
	case CORE_FX_COMMIT:
		sim_trace(
			s,
			"   %s %llu of %llu:%u %s cache %s lease %llx parent %llu %s%s%s",
			name, (ull)fx->commit.commit, batch, fx->index,
			print_text(fx->commit.lease.func_hash,
				   fx->commit.lease.args_hash),
			cache_names[fx->commit.cache], (ull)fx->commit.lease.epoch,
			(ull)fx->commit.parent,
			fx->commit.completed ? "completed" : "failed",
			fx->commit.quarantined ? " quarantined" : "",
			fx->commit.lost_input ? " lost-input" : "");
		break;
	case CORE_FX_VERDICT:
		sim_trace(s, "   %s worker %u lease %llx: %s", name, fx->worker,
			  (ull)fx->verdict.epoch, verdict_names[fx->verdict.verdict]);
		break;
	case CORE_FX_ATTEMPT_FAILED:
		sim_trace(s, "   %s task %llu:%u attempt %u of %u%s%s", name, batch,
			  fx->index, fx->failed.attempt, fx->failed.attempts_max,
			  fx->failed.final ? " final" : "",
			  fx->failed.died ? " died" : "");
		break;
	case CORE_FX_TASK_ENDED:
		sim_trace(s, "   %s task %llu:%u %s%s%s commit %llu", name, batch,
			  fx->index, status_names[fx->ended.status],
			  fx->ended.cached ? " cached" : "",
			  fx->ended.deduplicated ? " deduplicated" : "",
			  (ull)fx->ended.commit);
		break;
	case CORE_FX_LIST_BLOB:
		sim_trace(s, "   %s batch %llu %s, %zu bytes", name, batch,
			  digest_text(fx->blob.digest), fx->blob.size);
		break;
	case CORE_FX_WORKER_SILENT:
	case CORE_FX_WORKER_FORGOTTEN:
		sim_trace(s, "   %s worker %u", name, fx->worker);
		break;
	case CORE_FX_BATCH_SEALED:
	case CORE_FX_BATCH_REFUSED:
	case CORE_FX_BATCH_DISCARDED:
	case CORE_FX_BATCH_PAUSED:
	case CORE_FX_BATCH_RESUMED:
	case CORE_FX_BATCH_ENDED:
	case CORE_FX_BATCH_FORGOTTEN:
		sim_trace(s, "   %s batch %llu", name, batch);
		break;
	}
}
