/* retry.c - what a failed attempt costs, and what costs none. */
#include "tests/unit/core/driver.h"

static void start(struct driver *d, struct plan *p, uint32_t retries)
{
	add_function(p, (struct core_options){.retries = retries}, 0);
	add_task(p, 0, "a");
	join(d, 0, 1, 0);
	submit(d, 1, p);
}

Test(retry, a_task_has_retries_plus_one_attempts)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 2);
	for (uint32_t i = 1; i <= 3; i++) {
		cr_assert_eq(seen(&d, CORE_FX_GRANT), i);
		cr_expect_eq(grant_of(&d, 1, 0).grant.attempt, i);
		finish(&d, 1, 0, i == 2 ? CORE_OUT_TIMED_OUT : CORE_OUT_FAILED, 0);
		const struct core_effect *fx = last(&d, CORE_FX_ATTEMPT_FAILED, 1, 0);
		cr_expect(fx->failed.attempt == i && fx->failed.attempts_max == 3);
		cr_expect_eq(fx->failed.final, i == 3);
		pass(&d, SECOND);
	}
	cr_expect_eq(status(&d, 1, 0), CORE_FAILED);
	cr_expect_eq(task(&d, 1, 0).attempts, 3);
	cr_assert_eq(seen(&d, CORE_FX_COMMIT), 1, "attempts make none");
	const struct core_effect *c = last(&d, CORE_FX_COMMIT, 1, 0);
	cr_expect(!c->commit.completed && c->commit.attempts == 3 && c->commit.token);
}

Test(retry, attempts_back_off_exponentially_up_to_half_a_minute)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 20);
	uint64_t delay = SECOND / 10;
	for (int i = 0; i < 15; i++) {
		finish(&d, 1, 0, CORE_OUT_FAILED, 0);
		cr_expect_eq(status(&d, 1, 0), CORE_READY);
		cr_expect_eq(last(&d, CORE_FX_ATTEMPT_FAILED, 1, 0)->failed.retry_at,
			     d.now + delay);
		size_t before = seen(&d, CORE_FX_GRANT);
		for (uint64_t left = delay - 1; left;) {
			uint64_t some = left < SECOND ? left : SECOND;
			alive(&d, 0, NULL, 0);
			pass(&d, some);
			left -= some;
		}
		cr_expect_eq(seen(&d, CORE_FX_GRANT), before);
		pass(&d, 1);
		cr_assert_eq(seen(&d, CORE_FX_GRANT), before + 1);
		delay = 2 * delay < 30 * SECOND ? 2 * delay : 30 * SECOND;
	}
}

Test(retry, a_rejected_task_is_not_tried_again)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 5);
	finish(&d, 1, 0, CORE_OUT_REJECTED, 0);
	cr_expect_eq(status(&d, 1, 0), CORE_FAILED);
	cr_expect(last(&d, CORE_FX_ATTEMPT_FAILED, 1, 0)->failed.final);
}

Test(retry, a_loss_costs_no_attempt_but_is_slowed_down)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 0);
	for (int i = 0; i < 5; i++) {
		finish(&d, 1, 0, CORE_OUT_LOST, 0);
		cr_expect_eq(verdict(&d), CORE_ACCEPTED);
		cr_expect_eq(status(&d, 1, 0), CORE_READY);
		pass(&d, 5 * SECOND);
		cr_expect_eq(grant_of(&d, 1, 0).grant.attempt, 1);
	}
	complete(&d, 1, 0);
	cr_expect_eq(task(&d, 1, 0).attempts, 1);
}

Test(retry, a_worker_that_stops_an_attempt_unasked_has_lost_it)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 0);
	finish(&d, 1, 0, CORE_OUT_STOPPED, 0);
	pass(&d, SECOND);
	cr_expect_eq(grant_of(&d, 1, 0).grant.attempt, 1);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
}

Test(retry, a_follower_never_fails_for_its_leaders_limits)
{
	DRIVER(d);
	struct plan p = {0}, q = {0};
	start(&d, &p, 0);
	add_function(&q, (struct core_options){.retries = 2}, 0);
	add_task(&q, 0, "a");
	submit(&d, 2, &q);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	cr_expect_eq(status(&d, 2, 0), CORE_READY);
	cr_expect_eq(status(&d, 1, 0), CORE_READY, "the largest counts for all");
	pass(&d, SECOND);
	complete(&d, 1, 0);
	cr_expect_eq(status(&d, 2, 0), CORE_COMPLETED);
}

Test(retry, all_subscribers_fail_with_one_commit)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 0);
	submit(&d, 2, &p);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	cr_expect_eq(seen(&d, CORE_FX_COMMIT), 1);
	cr_expect_eq(status(&d, 1, 0), CORE_FAILED);
	cr_expect_eq(status(&d, 2, 0), CORE_FAILED);
	cr_expect_eq(task(&d, 2, 0).commit, task(&d, 1, 0).commit);
	cr_expect_eq(seen(&d, CORE_FX_ATTEMPT_FAILED), 2,
		     "the watchers of both are told");
}

Test(retry, success_after_failures_counts_them_as_attempts)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 3);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	pass(&d, SECOND);
	complete(&d, 1, 0);
	cr_expect_eq(task(&d, 1, 0).attempts, 2);
	cr_expect_eq(last(&d, CORE_FX_COMMIT, 0, 0)->commit.attempts, 2);
}

Test(retry, commits_are_numbered_from_where_the_ledger_was)
{
	struct driver d
		__attribute__((cleanup(driver_fini))) = {.config.next_commit = 500};
	struct plan p = {0};
	driver_init(&d);
	start(&d, &p, 0);
	add_task(&p, 0, "b");
	complete(&d, 1, 0);
	submit(&d, 2, &p);
	complete(&d, 2, 1);
	cr_expect_eq(task(&d, 1, 0).commit, 500);
	cr_expect_eq(task(&d, 2, 1).commit, 501);
}

Test(retry, a_task_that_kills_three_workers_is_quarantined_and_names_them)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 10);
	for (uint32_t w = 0; w < 3; w++) {
		cr_assert_eq(grant_of(&d, 1, 0).worker, w);
		cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, w);
		cr_expect_eq(grant_of(&d, 1, 0).grant.attempt, 1, "costs no attempt");
		STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = w);
		pass(&d, 2 * SECOND);
		cr_expect_eq(status(&d, 1, 0), CORE_RUNNING, "the grace is not over");
		join(&d, w + 1, 1, 0);
		pass(&d, SECOND);
	}
	cr_expect_eq(status(&d, 1, 0), CORE_FAILED);
	struct core_effect c = *last(&d, CORE_FX_COMMIT, 1, 0);
	cr_expect(c.commit.quarantined && !c.commit.completed && c.commit.token == 0);
	cr_expect_eq(c.commit.killer_count, 3);
	cr_expect(last(&d, CORE_FX_ATTEMPT_FAILED, 1, 0)->failed.final);
}

Test(retry, killers_can_be_read_in_the_step_that_names_them)
{
	struct driver d
		__attribute__((cleanup(driver_fini))) = {.config.poison_deaths = 1};
	struct plan p = {0};
	uint8_t key[KEY_SIZE];
	driver_init(&d);
	start(&d, &p, 0);
	STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 0);
	d.now += 3 * SECOND;
	STEP(&d, .type = CORE_EV_TIME);
	STEP(&d, .type = CORE_EV_TIME);
	pass(&d, 3 * SECOND);
	const struct core_effect *c = last(&d, CORE_FX_COMMIT, 0, 0);
	cr_assert(c && c->commit.quarantined);
	worker_key(0, key);
	cr_expect_arr_eq(c->commit.lease.args_hash, task(&d, 1, 0).args_hash,
			 DIGEST_SIZE);
	for (size_t i = 0; i < d.fx.count; i++)
		if (d.fx.items[i].type == CORE_FX_COMMIT)
			cr_expect_arr_eq(d.fx.items[i].commit.killers[0], key, KEY_SIZE);
}

Test(retry, a_worker_that_leaves_politely_killed_nobody)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 0);
	for (uint32_t w = 0; w < 5; w++) {
		STEP(&d, .type = CORE_EV_WORKER_BYE, .worker = w);
		cr_expect_eq(status(&d, 1, 0), CORE_READY);
		join(&d, w + 1, 1, 0);
		cr_expect_eq(grant_of(&d, 1, 0).worker, w + 1);
		cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, 0);
	}
}

Test(retry, a_queued_lease_did_not_kill_its_worker)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "runs");
	add_task(&p, 0, "queued");
	join(&d, 0, 1, 1);
	submit(&d, 1, &p);
	STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 0);
	pass(&d, 4 * SECOND);
	join(&d, 1, 2, 0);
	cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, 1);
	cr_expect_eq(grant_of(&d, 1, 1).grant.deaths, 0);
}

Test(retry, a_worker_that_comes_back_was_not_killed)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 0);
	uint64_t epoch = grant_of(&d, 1, 0).grant.lease.epoch;
	STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 0);
	pass(&d, 4 * SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	cr_expect(last(&d, CORE_FX_ATTEMPT_FAILED, 1, 0)->failed.died);
	alive(&d, 0, &epoch, 1);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	cr_expect_eq(task(&d, 1, 0).epoch, epoch);
	STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 0);
	pass(&d, 4 * SECOND);
	join(&d, 1, 1, 0);
	cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, 1);
}

Test(retry, three_silent_workers_are_no_deaths)
{
	DRIVER(d);
	struct plan p = {0};
	start(&d, &p, 0);
	for (uint32_t w = 0; w < 6; w++) {
		cr_assert_eq(grant_of(&d, 1, 0).worker, w);
		cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, 0);
		pass(&d, 31 * SECOND);
		join(&d, w + 1, 1, 0);
	}
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
}

/* The assignments were lost with the connection. */
Test(retry, a_process_that_joins_again_and_never_got_the_lease_was_not_killed)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	join_as(&d, 0, 1, 0, 77);
	submit(&d, 1, &p);
	for (int i = 0; i < 6; i++) {
		STEP(&d, .type = CORE_EV_WORKER_GONE, .worker = 0);
		pass(&d,
		     i % 2 ? SECOND : 4 * SECOND); /* within the grace, and after it */
		join_as(&d, 0, 1, 0, 77);
		pass(&d, SECOND);
		cr_assert_eq(status(&d, 1, 0), CORE_RUNNING);
		cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, 0);
	}
}

Test(retry, a_new_process_in_its_place_shows_that_the_old_one_died)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	join_as(&d, 0, 1, 0, 1);
	submit(&d, 1, &p);
	pass(&d, 31 * SECOND); /* silent, then replaced */
	join_as(&d, 0, 1, 0, 2);
	join_as(&d, 0, 1, 0, 2); /* and connected twice */
	pass(&d, SECOND);
	cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, 1);
	join_as(&d, 0, 1, 0, 3);
	pass(&d, SECOND);
	cr_expect_eq(grant_of(&d, 1, 0).grant.deaths, 2);
	join_as(&d, 0, 1, 0, 4);
	pass(&d, SECOND);
	cr_expect_eq(status(&d, 1, 0), CORE_FAILED);
	cr_expect(last(&d, CORE_FX_COMMIT, 1, 0)->commit.quarantined);
}
