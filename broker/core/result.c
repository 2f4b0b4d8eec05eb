/* result.c - what workers report about attempts. Only the holder of the current lease, presenting
 * all of it, changes anything; everybody else gets CORE_STALE and is counted. A stale report still
 * proves that its attempt is over. */
#include "broker/core/parts.h"

static void verdict(struct core *core, const struct worker *w, uint64_t epoch,
		    enum core_verdict what, uint64_t token, bool kept)
{
	if (what == CORE_STALE)
		core->refused_results++;
	struct core_effect *fx = fx_add(core, CORE_FX_VERDICT);
	fx->worker = w->number;
	fx->verdict.epoch = epoch;
	fx->verdict.verdict = what;
	fx->verdict.token = token;
	fx->verdict.kept = kept;
}

bool contents_valid(const struct content *slots, uint32_t count, uint32_t want)
{
	if (!slots || count < want)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!content_is_argument(slots[i].type))
			return false;
	return true;
}

/* The lease that @got names if @w may speak for it and it can still count, in LEASE_CURRENT. */
static struct lease *find_current(struct core *core, struct worker *w,
				  const struct core_lease *got)
{
	struct lease *l = lease_find(core, got->epoch);
	if (!l || (l->worker && l->worker != w))
		return NULL;
	if (l->state == LEASE_STALE) {
		if (PLANTED(PLANT_NO_EPOCH_CHECK) && lease_make_current(core, l))
			return l;
		if (!memcmp(got->mac, l->mac, CORE_MAC_SIZE) &&
		    lease_verify_with(got, &core->signer))
			lease_end(core, l); /* proved over */
		return NULL;
	}
	if (!lease_matches(core, l, w, got))
		return NULL;
	if (l->state == LEASE_EXPIRED)
		lease_reinstate(core, l, w);
	return l;
}

/* Lost through no fault of the task: the longer the more often in a row, so that a worker that
 * cannot keep anything does not spin. */
static uint64_t loss_delay(struct execution *e, uint32_t free_ones)
{
	struct exec_extra *x = exec_extra(e);
	uint32_t n = x->losses++;
	return n < free_ones ? 0 : backoff_ns(n - free_ones);
}

/* Return: true if the full report is still needed. */
static bool take_missing(struct core *core, struct execution *e, struct lease *l,
			 const struct report *r)
{
	struct exec_extra *x = exec_extra(e);
	bool same = x->missing_same && !memcmp(x->missing, r->missing, DIGEST_SIZE);
	x->missing_same = same ? x->missing_same + 1 : 1;
	x->missing_total++;
	memcpy(x->missing, r->missing, DIGEST_SIZE);
	if (missing_revive(core, e, l, r->missing) != MISSING_LOST)
		return false;
	outcome_lost_input(core, e, l, r->token);
	return true;
}

/* Nobody waits for it any more. A success is worth keeping all the same. */
static bool take_unwanted(struct core *core, struct execution *e, struct lease *l,
			  const struct report *r)
{
	if (r->outcome == CORE_OUT_COMPLETED) {
		outcome_done(core, e, l, r);
		return true;
	}
	lease_end(core, l);
	exec_forget(core, e);
	return false;
}

static bool take(struct core *core, struct execution *e, struct lease *l,
		 const struct report *r)
{
	if (!exec_has_users(e))
		return take_unwanted(core, e, l, r);
	switch (r->outcome) {
	case CORE_OUT_COMPLETED:
		outcome_done(core, e, l, r);
		return true;
	case CORE_OUT_FAILED:
	case CORE_OUT_TIMED_OUT:
		outcome_failed_attempt(core, e, l, r, false);
		return true;
	case CORE_OUT_REJECTED:
		outcome_failed_attempt(core, e, l, r, true);
		return true;
	case CORE_OUT_INPUT_MISSING:
		return take_missing(core, e, l, r);
	case CORE_OUT_STOPPED: {
		bool ordered = l->stopping;
		lease_end(core, l);
		outcome_back(core, e, ordered ? 0 : loss_delay(e, 0));
		return false;
	}
	case CORE_OUT_LOST:
		lease_end(core, l);
		outcome_back(core, e, loss_delay(e, 0));
		return false;
	case CORE_OUT_NO_ROOM:
		return outcome_no_room(core, e, l, r);
	}
	return false;
}

static bool well_formed(const struct execution *e, const struct report *r)
{
	if ((unsigned)r->outcome > CORE_OUT_NO_ROOM)
		return false;
	uint32_t want = 2 + e->func->output_count;
	return r->outcome != CORE_OUT_COMPLETED ||
	       (r->slot_count == want && contents_valid(r->slots, r->slot_count, want));
}

void result_take(struct core *core, struct worker *w, const struct core_lease *lease,
		 const struct report *report)
{
	if (!lease_find(core, lease->epoch)) {
		switch (claim_judge(core, w, lease, true, true, report)) {
		case CLAIM_WAITS:
			return; /* and the report with it */
		case CLAIM_ADOPTED:
		case CLAIM_REFUSED:
			break;
		}
	}
	struct lease *l = find_current(core, w, lease);
	if (!l) {
		verdict(core, w, lease->epoch, CORE_STALE, report->token, false);
		return;
	}
	struct execution *e = exec_find_id(core, l->exec);
	if (well_formed(e, report)) {
		bool kept = take(core, e, l, report);
		verdict(core, w, lease->epoch, CORE_ACCEPTED, report->token, kept);
		return;
	}
	/* A worker that talks nonsense about an attempt has failed it. */
	struct report failed = {.outcome = CORE_OUT_FAILED,
				.missing = report->missing,
				.token = report->token};
	bool kept = take(core, e, l, &failed);
	verdict(core, w, lease->epoch, CORE_MALFORMED, report->token, kept);
}

void result_handback(struct core *core, struct worker *w, const struct core_lease *lease,
		     bool started)
{
	struct lease *l = find_current(core, w, lease);
	if (!l) {
		verdict(core, w, lease->epoch, CORE_STALE, 0, false);
		return;
	}
	struct execution *e = exec_find_id(core, l->exec);
	lease_end(core, l);
	outcome_back(core, e, exec_has_users(e) ? loss_delay(e, started ? 0 : 3) : 0);
}
