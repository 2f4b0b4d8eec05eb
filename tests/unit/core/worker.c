/* worker.c - workers that come, go, fall silent and come back. */
#include "tests/unit/core/driver.h"

static void one_running(struct driver *d, struct plan *p)
{
	add_task(p, 0, "a");
	join(d, 0, 1, 0);
	submit(d, 1, p);
	cr_assert(granted(d, 1, 0));
}

static void granted_on_one(struct driver *d) /* after silence of 0 */
{
	pass(d, 29 * SECOND);
	join(d, 1, 1, 0);
	pass(d, 2 * SECOND);
	cr_assert_eq(grant_of(d, 1, 0).worker, 1);
}

Test(worker, heartbeats_keep_its_leases)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	uint64_t epoch = grant_of(&d, 1, 0).grant.lease.epoch;
	for (int i = 0; i < 40; i++) {
		pass(&d, 2 * SECOND);
		alive(&d, 0, &epoch, 1);
	}
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	cr_expect_eq(seen(&d, CORE_FX_WORKER_SILENT), 0);
}

Test(worker, silence_takes_its_leases_after_thirty_seconds)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	pass(&d, 29 * SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	cr_expect_eq(worker_view(&d, 0).lost_at, d.now + SECOND);
	pass(&d, SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	cr_expect_eq(seen(&d, CORE_FX_WORKER_SILENT), 1);
	cr_expect(worker_view(&d, 0).silent);
	cr_expect_eq(seen(&d, CORE_FX_ATTEMPT_FAILED), 0, "silence is no death");
}

Test(worker, a_disconnected_one_has_three_seconds_of_grace)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 0);
	pass(&d, 2 * SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	cr_expect_eq(worker_view(&d, 0).lost_at, d.now + SECOND);
	pass(&d, SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
}

Test(worker, one_that_joins_again_and_claims_keeps_its_leases)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 0);
	pass(&d, 2 * SECOND);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	pass(&d, SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	complete(&d, 1, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
}

Test(worker, leases_that_it_does_not_claim_again_are_granted_anew)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	join(&d, 0, 1, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1, "claims may be on their way");
	pass(&d, SECOND);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(verdict(&d), CORE_STALE);
}

Test(worker, a_heartbeat_ends_the_wait_for_claims)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	join(&d, 0, 1, 0);
	alive(&d, 0, NULL, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
}

Test(worker, a_lease_that_was_granted_elsewhere_meanwhile_is_stopped)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	granted_on_one(&d);
	driver_forget(&d);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	const struct core_effect *fx = last(&d, CORE_FX_STOP, 0, 0);
	cr_assert(fx);
	cr_expect(fx->stop.why == CORE_STOP_STALE && fx->worker == 0 &&
		  fx->stop.epoch == l.epoch);
	cr_expect_eq(task(&d, 1, 0).worker, 1);
}

Test(worker, a_heartbeat_with_a_superseded_lease_is_told_to_stop_it_each_time)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	uint64_t epoch = grant_of(&d, 1, 0).grant.lease.epoch;
	granted_on_one(&d);
	alive(&d, 0, &epoch, 1);
	alive(&d, 0, &epoch, 1);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 2);
	cr_expect_eq(worker_view(&d, 0).running, 1);
	alive(&d, 0, NULL, 0);
	cr_expect_eq(worker_view(&d, 0).running, 0, "not listed: proved over");
}

Test(worker, it_does_not_get_the_same_work_again_while_its_old_attempt_may_run)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	join(&d, 0, 2, 0);
	submit(&d, 1, &p);
	uint64_t epoch = grant_of(&d, 1, 0).grant.lease.epoch;
	granted_on_one(&d);
	STEP(&d, .type = CORE_EV_WORKER_BYE, .worker = 1);
	alive(&d, 0, &epoch, 1);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2, "worker 0 has room, but still runs it");
	alive(&d, 0, NULL, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 3);
	cr_expect_eq(grant_of(&d, 1, 0).worker, 0);
}

Test(worker, others_do_not_wait_behind_work_that_cannot_go_there)
{
	DRIVER(d);
	struct plan p = {0}, q = {0};
	add_task(&p, 0, "a");
	add_task(&q, 0, "b");
	join(&d, 0, 2, 0);
	submit(&d, 1, &p);
	uint64_t epoch = grant_of(&d, 1, 0).grant.lease.epoch;
	granted_on_one(&d);
	STEP(&d, .type = CORE_EV_WORKER_BYE, .worker = 1);
	alive(&d, 0, &epoch, 1);
	submit(&d, 2, &q);
	cr_expect(granted(&d, 2, 0));
}

Test(worker, unknown_epochs_in_a_heartbeat_are_stopped)
{
	DRIVER(d);
	join(&d, 0, 1, 0);
	uint64_t epochs[] = {1, 2ull << 32, UINT64_MAX};
	alive(&d, 0, epochs, 3);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 3);
}

Test(worker, a_grant_lost_on_the_way_is_noticed_by_two_heartbeats)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	pass(&d, 2 * SECOND);
	alive(&d, 0, NULL, 0);
	pass(&d, 2 * SECOND);
	alive(&d, 0, NULL, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1, "it may still be on its way");
	pass(&d, 2 * SECOND);
	alive(&d, 0, NULL, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	pass(&d, 2 * SECOND);
	alive(&d, 0, NULL, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
	cr_expect_eq(grant_of(&d, 1, 0).grant.attempt, 1);
	cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, 0);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 1);
}

Test(worker, one_that_leaves_frees_its_leases_and_its_number)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_worker_view v;
	one_running(&d, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	STEP(&d, .type = CORE_EV_WORKER_BYE, .worker = 0);
	cr_expect_eq(seen(&d, CORE_FX_WORKER_FORGOTTEN), 1);
	cr_expect_eq(core_view_worker(d.core, 0, &v), 1);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	join(&d, 0, 1, 0);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(verdict(&d), CORE_STALE);
}

Test(worker, a_revoked_key_loses_everything_at_once)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	STEP(&d, .type = CORE_EV_REVOKE_WORKER, .worker = 0);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
}

Test(worker,
     a_silent_one_is_forgotten_after_an_hour_and_may_still_claim_what_nobody_else_got)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	pass(&d, 3700 * SECOND);
	cr_expect_eq(seen(&d, CORE_FX_WORKER_FORGOTTEN), 1);
	STEP(&d, .type = CORE_EV_DRAIN); /* so that it is not granted at once */
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
}

Test(worker, a_loop_that_stalled_extends_all_leases)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	uint64_t epoch = grant_of(&d, 1, 0).grant.lease.epoch;
	d.now += 300 * SECOND; /* without any step */
	STEP(&d, .type = CORE_EV_TIME);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	alive(&d, 0, &epoch, 1);
	pass(&d, 29 * SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
}

Test(worker, time_that_goes_backwards_is_taken_as_standing_still)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	d.now = 0;
	STEP(&d, .type = CORE_EV_TIME);
	complete(&d, 1, 0);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED);
}

Test(worker, another_key_under_its_number_is_another_worker)
{
	DRIVER(d);
	struct plan p = {0};
	one_running(&d, &p);
	struct core_event e = {.type = CORE_EV_WORKER_JOIN, .worker = 0};
	e.join.capacity[0] = (struct core_resource){"cpus", 1000};
	e.join.capacity_count = 1;
	driver_step(&d, &e);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2, "the first one's lease was taken away");
}

Test(worker, shrinking_capacity_counts_what_it_holds_anew)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	join(&d, 0, 2, 0);
	submit(&d, 1, &p);
	struct core_lease a = grant_of(&d, 1, 0).grant.lease,
			  b = grant_of(&d, 1, 1).grant.lease;
	join(&d, 0, 1, 0);
	claim(&d, 0, &a, true, false);
	claim(&d, 0, &b, true, false);
	pass(&d, SECOND);
	cr_expect_eq(worker_view(&d, 0).running, 1);
	cr_expect_eq(worker_view(&d, 0).queued, 1);
	complete(&d, 1, 0);
	cr_expect_eq(worker_view(&d, 0).running, 1);
}

Test(worker, numbers_out_of_range_are_ignored)
{
	DRIVER(d);
	join(&d, 65536, 1, 0);
	join(&d, UINT32_MAX, 1, 0);
	alive(&d, UINT32_MAX, NULL, 0);
	struct core_totals t;
	core_view_totals(d.core, &t);
	cr_expect_eq(t.workers, 0);
}

Test(worker, a_disconnected_one_that_holds_nothing_is_forgotten_after_its_grace)
{
	DRIVER(d);
	join(&d, 0, 1, 0);
	STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 0);
	pass(&d, 4 * SECOND);
	cr_expect_eq(seen(&d, CORE_FX_WORKER_FORGOTTEN), 1);
	pass(&d, 60 * SECOND); /* timers that mean nothing any more ring once */
	cr_expect_eq(core_deadline(d.core), TIME_NEVER);
}
