/* cancel.c - stopping on purpose: cancel, max_failures. */
#include "tests/unit/core/driver.h"

#include <stdio.h>

static void add_tasks(struct plan *p, uint32_t count)
{
	char text[16];
	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof text, "t%u", p->task_count);
		add_task(p, 0, text);
	}
}

static void cancel(struct driver *d, uint64_t batch, uint32_t index)
{
	STEP(d, .type = CORE_EV_CANCEL, .batch = batch, .index = index);
}

Test(cancel, ready_tasks_vanish_and_running_ones_are_stopped)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 3);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	cancel(&d, 1, ALL);
	cr_expect_eq(batch_view(&d, 1).counts.cancelled, 3);
	cr_expect(batch_view(&d, 1).ended);
	cr_assert_eq(seen(&d, CORE_FX_STOP), 1);
	const struct core_effect *fx = last(&d, CORE_FX_STOP, 0, 0);
	cr_expect(fx->stop.why == CORE_STOP_CANCELLED && fx->worker == 0);
	cr_expect_eq(fx->stop.epoch, grant_of(&d, 1, 0).grant.lease.epoch);
}

Test(cancel, the_place_stays_taken_until_the_attempt_is_proved_over)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 2);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	cancel(&d, 1, 0);
	cr_expect(!granted(&d, 1, 1));
	finish(&d, 1, 0, CORE_OUT_STOPPED, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	cr_expect(granted(&d, 1, 1));
}

Test(cancel, a_success_that_comes_nevertheless_is_kept_for_others)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 1);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	cancel(&d, 1, ALL);
	durable(&d);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_FORGOTTEN), 0,
		     "the lease needs the arguments");
	complete(&d, 1, 0);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	cr_expect(last(&d, CORE_FX_COMMIT, 1, 0)->commit.completed);
	cr_expect_eq(seen(&d, CORE_FX_TASK_ENDED), 1, "the task stays cancelled");
	cr_expect_eq(seen(&d, CORE_FX_BATCH_FORGOTTEN), 1);
	submit(&d, 2, &p);
	cr_expect(task(&d, 2, 0).cached);
}

Test(cancel, a_failure_that_comes_nevertheless_is_nobodys)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 1);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	cancel(&d, 1, ALL);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	cr_expect_eq(seen(&d, CORE_FX_COMMIT) + seen(&d, CORE_FX_ATTEMPT_FAILED), 0);
}

Test(cancel, one_task_takes_those_behind_it_along_as_skipped)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 4);
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 1, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	cancel(&d, 1, 1);
	settle(&d);
	cr_expect_eq(status(&d, 1, 1), CORE_CANCELLED);
	cr_expect_eq(status(&d, 1, 2), CORE_SKIPPED);
	cr_expect_eq(task(&d, 1, 2).upstream, 1);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	cr_expect_eq(status(&d, 1, 3), CORE_RUNNING);
}

Test(cancel, everything_at_once_leaves_nothing_skipped)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 4);
	add_ref(&p, 1, 0, 0);
	add_group_ref(&p, 3, add_group(&p, 0, 3, false));
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	cancel(&d, 1, ALL);
	cr_expect_eq(batch_view(&d, 1).counts.cancelled, 4);
	cancel(&d, 1, ALL);
	cancel(&d, 1, 2);
	cancel(&d, 1, 99);
	cr_expect_eq(seen(&d, CORE_FX_TASK_ENDED), 4);
}

Test(cancel, who_comes_while_an_attempt_is_being_stopped_gets_a_new_one)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 1);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	cancel(&d, 1, ALL);
	submit(&d, 2, &p);
	cr_expect_eq(status(&d, 2, 0), CORE_RUNNING);
	finish(&d, 1, 0, CORE_OUT_STOPPED, 0);
	cr_expect(granted(&d, 2, 0));
	complete(&d, 2, 0);
	cr_expect_eq(status(&d, 2, 0), CORE_COMPLETED);
}

Test(cancel, a_task_in_backoff_is_cancelled)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, (struct core_options){.retries = 3}, 0);
	add_tasks(&p, 1);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	cancel(&d, 1, 0);
	pass(&d, SECOND);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	cr_expect(batch_view(&d, 1).ended);
}

Test(cancel, the_followers_go_on_when_the_leader_is_cancelled_before_it_runs)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 1);
	submit(&d, 1, &p);
	submit(&d, 2, &p);
	submit(&d, 3, &p);
	cancel(&d, 1, ALL);
	cancel(&d, 2, ALL);
	durable(&d);
	join(&d, 0, 1, 0);
	complete(&d, 3, 0);
	cr_expect_eq(status(&d, 3, 0), CORE_COMPLETED);
}

Test(max_failures, cancels_what_waits_and_lets_run_what_runs)
{
	DRIVER(d);
	struct plan p = {.max_failures = 2};
	add_function(&p, (struct core_options){0}, 0);
	add_tasks(&p, 8);
	add_ref(&p, 7, 2, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	cr_expect_eq(batch_view(&d, 1).counts.cancelled, 0);
	finish(&d, 1, 1, CORE_OUT_FAILED, 0);
	settle(&d);
	cr_expect_eq(status(&d, 1, 7), CORE_CANCELLED);
	cr_expect_eq(status(&d, 1, 2), CORE_RUNNING);
	complete(&d, 1, 2);
	complete(&d, 1, 3);
	run_all(&d);
	struct core_counts c = batch_view(&d, 1).counts;
	cr_expect_eq(c.failed, 2);
	cr_expect_geq(c.cancelled, 3);
	cr_expect_eq(c.executed + c.cancelled + c.failed, 8);
	cr_expect(batch_view(&d, 1).ended);
}

Test(max_failures, what_runs_is_not_retried_afterwards)
{
	DRIVER(d);
	struct plan p = {.max_failures = 1};
	add_function(&p, (struct core_options){.retries = 5}, 0);
	add_function(&p, (struct core_options){0}, 0);
	add_tasks(&p, 1);
	add_task(&p, 1, "fails");
	join(&d, 0, 2, 0);
	submit(&d, 1, &p);
	finish(&d, 1, 1, CORE_OUT_FAILED, 0);
	settle(&d);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	settle(&d);
	cr_expect_eq(status(&d, 1, 0), CORE_CANCELLED);
	cr_expect(batch_view(&d, 1).ended);
}
