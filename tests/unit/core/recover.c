/* recover.c - a broker that is started again: replay, adoption of what still runs, rule 6. */
#include "tests/unit/core/driver.h"

/* The plan is replayed; the caller adds ends and leases, then STEP(RECOVERED). */
static void reboot(struct driver *d, const struct plan *p)
{
	if (d->core)
		core_free(d->core);
	driver_forget(d);
	driver_boot(d, d->config.boot + 1);
	if (p)
		feed(d, 1, p);
	driver_forget(d);
}

static void recovered(struct driver *d)
{
	STEP(d, .type = CORE_EV_RECOVERED);
	settle(d);
}

static void old_end(struct driver *d, uint32_t index, enum core_task_status status,
		    uint64_t commit, uint32_t upstream)
{
	struct content slots[2] = {content((uint8_t)(index + 1), 0),
				   content((uint8_t)(index + 1), 1)};
	bool wanted = status == CORE_COMPLETED && core_wants_slots(d->core, 1, index);
	STEP(d, .type = CORE_EV_OLD_END, .batch = 1, .index = index,
	     .old_end = {.status = status,
			 .commit = commit,
			 .upstream = upstream,
			 .attempts = 1,
			 .slots = wanted ? slots : NULL,
			 .slot_count = wanted ? 2 : 0});
}

static void old_lease(struct driver *d, uint32_t index, const struct core_lease *l,
		      uint32_t attempt, uint32_t deaths)
{
	struct core_event e = {.type = CORE_EV_OLD_LEASE, .batch = 1, .index = index};
	e.old_lease.epoch = l->epoch;
	e.old_lease.attempt = attempt;
	e.old_lease.deaths = deaths;
	memcpy(e.old_lease.worker_key, l->worker_key, KEY_SIZE);
	driver_step(d, &e);
}

/* One task, granted to worker 0 and recorded, then the broker is started again. */
static struct core_lease running_then_reboot(struct driver *d, struct plan *p)
{
	if (!p->task_count)
		add_task(p, 0, "a");
	join(d, 0, 1, 0);
	submit(d, 1, p);
	struct core_lease l = grant_of(d, 1, 0).grant.lease;
	reboot(d, p);
	return l;
}

Test(recover, asks_and_grants_nothing_before_it_is_told_to_start)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	reboot(&d, &p);
	join(&d, 0, 1, 0);
	STEP(&d, .type = CORE_EV_TIME);
	cr_expect_eq(d.count, 0);
	recovered(&d);
	cr_expect(granted(&d, 1, 0));
	cr_expect_eq(grant_of(&d, 1, 0).grant.lease.epoch >> 32, 2);
}

Test(recover, what_had_ended_stays_ended_and_is_not_told_again)
{
	DRIVER(d);
	struct plan p = {0};
	for (int i = 0; i < 5; i++)
		add_task(&p, 0, (const char *[]){"a", "b", "c", "d", "e"}[i]);
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 3, 2, 0);
	reboot(&d, &p);
	old_end(&d, 0, CORE_COMPLETED, 7, 0);
	old_end(&d, 2, CORE_FAILED, 8, 0);
	old_end(&d, 3, CORE_SKIPPED, 0, 2);
	old_end(&d, 4, CORE_CANCELLED, 0, 0);
	join(&d, 0, 4, 0);
	recovered(&d);
	cr_expect_eq(seen(&d, CORE_FX_TASK_ENDED), 0);
	cr_expect_eq(task(&d, 1, 0).commit, 7);
	cr_expect_eq(task(&d, 1, 3).upstream, 2);
	struct content c = content(1, 0);
	cr_expect_arr_eq(task(&d, 1, 1).args + 1, &c, CONTENT_SIZE);
	complete(&d, 1, 1);
	const struct core_effect *fx = last(&d, CORE_FX_BATCH_ENDED, 1, 0);
	cr_assert(fx);
	cr_expect(fx->counts.executed == 2 && fx->counts.failed == 1 &&
		  fx->counts.skipped == 1 && fx->counts.cancelled == 1);
}

Test(recover, slots_are_wanted_only_by_tasks_that_are_not_over)
{
	DRIVER(d);
	struct plan p = {0};
	for (int i = 0; i < 6; i++)
		add_task(&p, 0, (const char *[]){"a", "b", "c", "d", "e", "f"}[i]);
	add_ref(&p, 1, 0, 0);
	add_need(&p, 3, 2);
	add_group_ref(&p, 5, add_group(&p, 4, 1, false));
	reboot(&d, &p);
	cr_expect(core_wants_slots(d.core, 1, 0));
	cr_expect(!core_wants_slots(d.core, 1, 2), "a need passes nothing");
	cr_expect(core_wants_slots(d.core, 1, 4));
	old_end(&d, 1, CORE_COMPLETED, 2, 0);
	old_end(&d, 5, CORE_COMPLETED, 3, 0);
	cr_expect(!core_wants_slots(d.core, 1, 0));
	cr_expect(!core_wants_slots(d.core, 1, 4));
	cr_expect(!core_wants_slots(d.core, 1, 99));
	recovered(&d);
}

Test(recover, failures_that_were_not_followed_up_are_followed_up)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	add_task(&p, 0, "c");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 1, 0);
	reboot(&d, &p);
	old_end(&d, 0, CORE_FAILED, 1, 0);
	recovered(&d);
	cr_expect_eq(status(&d, 1, 2), CORE_SKIPPED);
	cr_expect_eq(task(&d, 1, 2).upstream, 0);
	cr_expect(batch_view(&d, 1).ended);
}

Test(recover, a_batch_whose_tasks_had_all_ended_ends)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	reboot(&d, &p);
	old_end(&d, 0, CORE_COMPLETED, 1, 0);
	recovered(&d);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_ENDED), 1);
}

Test(recover, a_running_attempt_is_adopted_and_not_run_again)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	pass(&d, 2 * SECOND);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	cr_expect_eq(task(&d, 1, 0).epoch, l.epoch);
	pass(&d, 10 * SECOND);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED);
}

Test(recover, recorded_work_waits_for_its_worker_but_not_for_ever)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	join(&d, 1, 4, 0);
	pass(&d, 4 * SECOND);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	pass(&d, SECOND);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
}

Test(recover, waiting_ends_when_all_workers_are_back_and_have_claimed)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	join(&d, 0, 1, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	pass(&d, SECOND / 10); /* it does not claim it */
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	cr_expect_gt(grant_of(&d, 1, 0).grant.lease.epoch, l.epoch);
}

Test(recover, new_work_is_not_held)
{
	DRIVER(d);
	struct plan p = {0}, q = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	join(&d, 1, 4, 0);
	add_task(&q, 0, "new");
	submit(&d, 2, &q);
	cr_expect(granted(&d, 2, 0));
	cr_expect(!granted(&d, 1, 0));
}

Test(recover, ready_tasks_without_a_record_wait_too_because_early_grants_leave_none)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	join(&d, 1, 4, 0);
	cr_expect(!granted(&d, 1, 1));
	pass(&d, 6 * SECOND);
	cr_expect(granted(&d, 1, 1));
}

/* The batch is lost: it was not durable when the broker ended. */
static void forget_all(struct driver *d)
{
	reboot(d, NULL);
	recovered(d);
}

static void join_with_claims(struct driver *d, uint32_t worker)
{
	struct core_event e = {.type = CORE_EV_WORKER_JOIN, .worker = worker};
	worker_key(worker, e.join.key);
	e.join.capacity[0] = (struct core_resource){"cpus", 1000};
	e.join.capacity_count = 1;
	e.join.claims = true;
	driver_step(d, &e);
}

/* As when its batch, which was not durable, comes again before the worker does. */
Test(recover, who_has_claims_gets_nothing_before_they_are_in)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	forget_all(&d);
	submit(&d, 1, &p);
	join_with_claims(&d, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	claim(&d, 0, &l, true, false);
	alive(&d, 0, &l.epoch, 1);
	cr_expect_eq(task(&d, 1, 0).epoch, l.epoch);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 0);
}

Test(recover, who_has_claims_that_count_for_nothing_waits_not_for_long)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	forget_all(&d);
	submit(&d, 1, &p);
	join_with_claims(&d, 0);
	l.mac[0] ^= 1;
	claim(&d, 0, &l, true, false);
	cr_expect(!granted(&d, 1, 0));
	pass(&d, SECOND);
	cr_expect(granted(&d, 1, 0));
}

Test(recover, an_early_grant_that_was_never_recorded_loses_to_a_later_one)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	recovered(&d);
	join(&d, 0, 1, 0); /* which says nothing of claims */
	/* Nobody was awaited, so it was granted again: the higher epoch wins. */
	struct core_effect g = grant_of(&d, 1, 0);
	claim(&d, 0, &l, true, false);
	cr_expect_eq(last(&d, CORE_FX_STOP, 0, 0)->stop.epoch, l.epoch);
	cr_expect_eq(task(&d, 1, 0).epoch, g.grant.lease.epoch);
}

/* It is being stopped: what it was stopped for may be over before its worker hears of that. */
Test(recover, a_claim_that_was_refused_stays_refused)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease old = running_then_reboot(&d, &p);
	recovered(&d);
	join(&d, 1, 1, 0);
	struct core_lease l = grant_of(&d, 1, 0).grant.lease;
	join(&d, 0, 1, 0);
	claim(&d, 0, &old, true, false);
	cr_assert_eq(seen(&d, CORE_FX_STOP), 1);
	STEP(&d, .type = CORE_EV_WORKER_DRAIN, .worker = 0);
	STEP(&d, .type = CORE_EV_WORKER_DRAIN, .worker = 1);
	STEP(&d, .type = CORE_EV_HANDBACK, .worker = 1, .handback = {l, true});
	cr_assert_eq(status(&d, 1, 0), CORE_READY);
	claim(&d, 0, &old, true, false);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 2);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
}

Test(recover, a_claim_before_the_look_up_is_answered_waits_for_it)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	STEP(&d, .type = CORE_EV_RECOVERED);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	alive(&d, 0, &l.epoch, 1);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 0, "known, though not judged");
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	answer_misses(&d);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	cr_expect_eq(task(&d, 1, 0).epoch, l.epoch);
}

Test(recover, a_claim_for_work_that_turns_out_to_be_done_is_stopped)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	STEP(&d, .type = CORE_EV_RECOVERED);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	STEP(&d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = last(&d, CORE_FX_LOOKUP, 0, 0)->lookup.exec,
			.hit = true,
			.commit = 3});
	cr_expect_eq(last(&d, CORE_FX_STOP, 0, 0)->stop.why, CORE_STOP_STALE);
	cr_expect(task(&d, 1, 0).cached);
}

Test(recover, a_result_before_the_look_up_is_answered_waits_with_its_claim)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	STEP(&d, .type = CORE_EV_RECOVERED);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, true);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 9, 0);
	cr_expect_eq(seen(&d, CORE_FX_VERDICT), 0);
	answer_misses(&d);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	cr_expect_neq(last(&d, CORE_FX_VERDICT, 0, 0)->verdict.token, 0);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED);
}

Test(recover, a_result_without_a_claim_is_as_good_as_one)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	join(&d, 0, 1, 0);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 9, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
}

Test(recover, a_finished_claim_for_a_committed_task_may_be_forgotten)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	struct core_lease l = running_then_reboot(&d, &p);
	old_end(&d, 0, CORE_COMPLETED, 1, 0);
	recovered(&d);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, true);
	cr_expect_eq(verdict(&d), CORE_STALE);
	report(&d, 0, &l, CORE_OUT_COMPLETED, 1, 0);
	cr_expect_eq(verdict(&d), CORE_STALE);
	cr_expect_eq(seen(&d, CORE_FX_COMMIT), 0);
}

Test(recover, of_two_claims_the_higher_epoch_wins)
{
	for (int order = 0; order < 2; order++) {
		DRIVER(d);
		struct plan p = {0};
		add_task(&p, 0, "a");
		join(&d, 0, 1, 0);
		submit(&d, 1, &p);
		struct core_lease first = grant_of(&d, 1, 0).grant.lease;
		pass(&d, 29 * SECOND);
		join(&d, 1, 1, 0);
		pass(&d, 2 * SECOND);
		struct core_lease second = grant_of(&d, 1, 0).grant.lease;
		cr_assert_gt(second.epoch, first.epoch);
		reboot(&d, &p);
		old_lease(&d, 0, &first, 1,
			  0); /* the second was early and is not recorded */
		recovered(&d);
		join(&d, order, 1, 0);
		claim(&d, order, order ? &second : &first, true, false);
		join(&d, !order, 1, 0);
		claim(&d, !order, order ? &first : &second, true, false);
		cr_expect_eq(task(&d, 1, 0).epoch, second.epoch);
		cr_expect_eq(last(&d, CORE_FX_STOP, 0, 0)->stop.epoch, first.epoch);
		report(&d, 0, &first, CORE_OUT_COMPLETED, 1, 0);
		cr_expect_eq(verdict(&d), CORE_STALE);
		report(&d, 1, &second, CORE_OUT_COMPLETED, 1, 0);
		cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	}
}

Test(recover, a_claim_with_a_wrong_mac_is_not_believed)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	join(&d, 0, 1, 0);
	l.mac[3] ^= 1;
	claim(&d, 0, &l, true, false);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 1);
	cr_expect_eq(refused(&d), 1);
}

Test(recover, a_claim_under_another_workers_key_is_not_believed)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	join(&d, 1, 1, 0);
	claim(&d, 1, &l, true, false);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
}

Test(recover, a_claim_for_an_unknown_batch_is_parked_and_adopted_when_it_is_sealed)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	forget_all(&d);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	pass(&d, SECOND);
	alive(&d, 0, &l.epoch, 1);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 0);
	submit(&d, 1, &p);
	cr_expect_eq(task(&d, 1, 0).epoch, l.epoch);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
}

Test(recover, a_parked_claim_is_stopped_after_a_minute)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_lease l = running_then_reboot(&d, &p);
	forget_all(&d);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	for (int i = 0; i < 59; i++) {
		pass(&d, SECOND);
		alive(&d, 0, &l.epoch, 1);
	}
	cr_expect_eq(seen(&d, CORE_FX_STOP), 0);
	pass(&d, SECOND);
	cr_assert_eq(seen(&d, CORE_FX_STOP), 1);
	cr_expect_eq(last(&d, CORE_FX_STOP, 0, 0)->stop.why, CORE_STOP_UNKNOWN);
}

Test(recover, attempts_and_deaths_are_remembered)
{
	struct driver d __attribute__((cleanup(driver_fini))) = {0};
	struct plan p = {0};
	driver_init(&d);
	add_function(&p, (struct core_options){.retries = 3}, 0);
	add_task(&p, 0, "a");
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 3, 2);
	recovered(&d);
	pass(&d, 5 * SECOND);
	join(&d, 1, 1, 0);
	struct core_effect g = grant_of(&d, 1, 0);
	cr_expect(g.grant.attempt == 3 && g.grant.attempts_max == 4 &&
		  g.grant.deaths == 2);
	STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 1);
	pass(&d, 4 * SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_FAILED, "the third death");
}

Test(recover, an_adopted_lease_that_failed_cannot_be_claimed_again)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, (struct core_options){.retries = 3}, 0);
	add_task(&p, 0, "a");
	struct core_lease l = running_then_reboot(&d, &p);
	old_lease(&d, 0, &l, 1, 0);
	recovered(&d);
	join(&d, 0, 1, 0);
	claim(&d, 0, &l, true, false);
	report(&d, 0, &l, CORE_OUT_FAILED, 0, 0);
	claim(&d, 0, &l, true, false);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 1);
}

Test(recover, content_that_was_not_replayed_is_looked_up)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	add_task(&p, 0, "c");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 1, 0);
	reboot(&d, &p);
	STEP(&d, .type = CORE_EV_OLD_END, .batch = 1, .index = 0,
	     .old_end = {.status = CORE_COMPLETED, .commit = 1});
	STEP(&d, .type = CORE_EV_OLD_END, .batch = 1, .index = 1,
	     .old_end = {.status = CORE_COMPLETED, .commit = 2});
	STEP(&d, .type = CORE_EV_RECOVERED);
	cr_assert_eq(seen(&d, CORE_FX_LOOKUP), 1, "b's arguments need a first");
	struct content slots[2] = {content(1, 0), content(1, 1)};
	STEP(&d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = last(&d, CORE_FX_LOOKUP, 1, 0)->lookup.exec,
			.hit = true,
			.commit = 1,
			.slots = slots,
			.slot_count = 2});
	cr_assert_eq(seen(&d, CORE_FX_LOOKUP), 2);
	slots[0] = content(2, 0);
	STEP(&d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = last(&d, CORE_FX_LOOKUP, 1, 1)->lookup.exec,
			.hit = true,
			.commit = 2,
			.slots = slots,
			.slot_count = 2});
	join(&d, 0, 1, 0);
	settle(&d);
	cr_expect(granted(&d, 1, 2));
	cr_expect_eq(seen(&d, CORE_FX_TASK_ENDED), 0, "they stay as they were");
	complete(&d, 1, 2);
	cr_expect(batch_view(&d, 1).ended);
}

Test(recover, max_failures_and_pausing_are_decided_again)
{
	DRIVER(d);
	struct plan p = {.max_failures = 1};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	reboot(&d, &p);
	old_end(&d, 0, CORE_FAILED, 1, 0);
	recovered(&d);
	cr_expect_eq(status(&d, 1, 1), CORE_CANCELLED);
}
