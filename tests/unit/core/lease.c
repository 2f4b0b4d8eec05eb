/* lease.c - only the holder of the current lease, with all of it, changes anything. */
#include "tests/unit/core/driver.h"

static struct plan one_task(void)
{
	struct plan p = {0};
	add_function(&p, (struct core_options){.retries = 9}, 0);
	add_task(&p, 0, "a");
	return p;
}

#define ONE_TASK(p)                                                                      \
	struct plan p = one_task();                                                      \
	p.tasks[0].args = p.args[0]

Test(lease, a_report_must_present_every_field_of_its_lease)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	struct core_lease good = grant_of(&d, 1, 0).grant.lease;
	struct core_lease bad[8];
	for (int i = 0; i < 8; i++)
		bad[i] = good;
	bad[0].batch_id[5] ^= 1;
	bad[1].index++;
	bad[2].epoch++;
	bad[3].func_hash[0] ^= 1;
	bad[4].args_hash[0] ^= 1;
	bad[5].has_nonce = true;
	bad[6].worker_key[0] ^= 1;
	bad[7].mac[0] ^= 1;
	for (uint64_t i = 0; i < 8; i++) {
		report(&d, 0, &bad[i], CORE_OUT_COMPLETED, 1, 0);
		cr_expect_eq(verdict(&d), CORE_STALE);
		cr_expect_eq(refused(&d), i + 1);
		cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	}
	cr_expect_eq(seen(&d, CORE_FX_COMMIT), 0);
	report(&d, 0, &good, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
}

Test(lease, another_worker_cannot_use_it)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	join(&d, 1, 1, 0);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	report(&d, 1, &l, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(verdict(&d), CORE_STALE);
	report(&d, 7, &l, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
}

Test(lease, a_result_that_comes_twice_is_accepted_once)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	report(&d, 0, &l, CORE_OUT_COMPLETED, 1, 0);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 2, 0);
	cr_expect_eq(verdict(&d), CORE_STALE);
	cr_expect_eq(seen(&d, CORE_FX_COMMIT), 1);
	cr_expect_eq(seen(&d, CORE_FX_TASK_ENDED), 1);
}

Test(lease, a_result_of_an_expired_lease_counts_until_another_is_granted)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	pass(&d, 31 * SECOND);
	cr_expect_eq(seen(&d, CORE_FX_WORKER_SILENT), 1);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	complete(&d, 1, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED);
}

Test(lease, a_superseded_lease_changes_nothing)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	struct core_lease old = grant_of(&d, 1, 0).grant.lease;
	pass(&d, 29 * SECOND);
	join(&d, 1, 1, 0);
	pass(&d, 2 * SECOND);
	struct core_effect now = grant_of(&d, 1, 0);
	cr_expect_eq(now.worker, 1);
	cr_expect_gt(now.grant.lease.epoch, old.epoch);
	report(&d, 0, &old, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(verdict(&d), CORE_STALE);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	report(&d, 0, &old, CORE_OUT_FAILED, 1, 0);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	complete(&d, 1, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	cr_expect_eq(seen(&d, CORE_FX_COMMIT), 1);
}

Test(lease, a_stale_result_proves_the_attempt_over_and_frees_the_place)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	struct core_lease old = grant_of(&d, 1, 0).grant.lease;
	pass(&d, 29 * SECOND);
	join(&d, 1, 1, 0);
	pass(&d, 2 * SECOND);
	cr_expect_eq(worker_view(&d, 0).running, 1, "its processes may still be there");
	report(&d, 0, &old, CORE_OUT_STOPPED, 1, 0);
	cr_expect_eq(worker_view(&d, 0).running, 0);
}

Test(lease, nonsense_about_an_attempt_fails_it)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	report(&d, 0, &l, CORE_OUT_COMPLETED, 1, 3); /* more outputs than it has */
	cr_expect_eq(verdict(&d), CORE_MALFORMED);
	cr_expect_eq(seen(&d, CORE_FX_COMMIT), 0);
	cr_expect_eq(task(&d, 1, 0).attempts, 1);
	pass(&d, SECOND);
	l = grant_of(&d, 1, 0).grant.lease;
	report(&d, 0, &l, (enum core_outcome)99, 1, 0);
	cr_expect_eq(verdict(&d), CORE_MALFORMED);
	cr_expect_eq(task(&d, 1, 0).attempts, 2);
}

Test(lease, contents_of_no_known_type_are_nonsense)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	struct content slots[2] = {{255, {1}}, {1, {2}}};
	STEP(&d, .type = CORE_EV_RESULT, .worker = 0,
	     .result = {.lease = grant_of(&d, 1, 0).grant.lease,
			.slots = slots,
			.slot_count = 2});
	cr_expect_eq(verdict(&d), CORE_MALFORMED);
}

Test(lease, an_unstarted_one_that_is_handed_back_costs_nothing)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	STEP(&d, .type = CORE_EV_HANDBACK, .worker = 0, .handback = {l, false});
	struct core_effect again = grant_of(&d, 1, 0);
	cr_expect_gt(again.grant.lease.epoch, l.epoch);
	cr_expect_eq(again.grant.attempt, 1);
	STEP(&d, .type = CORE_EV_HANDBACK, .worker = 0, .handback = {l, false});
	cr_expect_eq(verdict(&d), CORE_STALE);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
}

Test(lease, a_started_one_that_is_handed_back_costs_no_attempt)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	STEP(&d, .type = CORE_EV_HANDBACK, .worker = 0, .handback = {l, true});
	pass(&d, SECOND);
	cr_expect_eq(grant_of(&d, 1, 0).grant.attempt, 1);
	cr_expect_gt(grant_of(&d, 1, 0).grant.lease.epoch, l.epoch);
}

Test(lease, handing_back_again_and_again_is_slowed_down)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	for (int i = 0; i < 20; i++) {
		struct core_lease l = grant_of(&d, 1, 0).grant.lease;
		STEP(&d, .type = CORE_EV_HANDBACK, .worker = 0, .handback = {l, false});
	}
	cr_expect_lt(seen(&d, CORE_FX_GRANT), 6);
	pass(&d, 60 * SECOND);
	cr_expect_geq(seen(&d, CORE_FX_GRANT), 5);
}

Test(lease, the_follower_takes_over_when_the_leader_is_cancelled)
{
	DRIVER(d);
	ONE_TASK(p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	submit(&d, 2, &p);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 1, .index = ALL);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 0, "somebody still wants it");
	durable(&d);
	complete(&d, 1, 0); /* the lease keeps its identity */
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	cr_expect_eq(last(&d, CORE_FX_COMMIT, 0, 0)->batch, 2);
	cr_expect_eq(status(&d, 2, 0), CORE_COMPLETED);
	cr_expect_eq(batch_view(&d, 2).counts.executed, 1);
}

Test(lease, the_follower_of_a_cancelled_leader_is_granted_under_its_own_name)
{
	DRIVER(d);
	ONE_TASK(p);
	submit(&d, 1, &p);
	submit(&d, 2, &p);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 1, .index = 0);
	join(&d, 0, 1, 0);
	cr_expect(granted(&d, 2, 0));
	cr_expect(!granted(&d, 1, 0));
}
