/* schedule.c - who gets what, in which order, and never more than fits. */
#include "tests/unit/core/driver.h"

#include <stdio.h>

static void add_tasks(struct plan *p, uint32_t function, uint32_t count)
{
	char text[16];
	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof text, "%u.%u", function, p->task_count);
		add_task(p, function, text);
	}
}

static struct core_options cpus(uint64_t milli)
{
	return (struct core_options){.resource_count = 1, .resources = {{"cpus", milli}}};
}

Test(schedule, placed_leases_never_exceed_the_capacity)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, cpus(1500), 0);
	add_tasks(&p, 0, 10);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
	cr_expect_eq(worker_view(&d, 0).running, 2);
	cr_expect_eq(worker_view(&d, 0).used[0], 3000);
	complete(&d, 1, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 3);
}

Test(schedule, tasks_are_granted_in_the_order_in_which_they_became_ready)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, cpus(1000), 0);
	add_tasks(&p, 0, 20);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	for (uint32_t i = 0; i < 20; i++) {
		cr_assert_eq(last(&d, CORE_FX_GRANT, 0, 0)->index, i);
		complete(&d, 1, i);
	}
}

Test(schedule, higher_priority_goes_first)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, (struct core_options){.priority = -5}, 0);
	add_function(&p, (struct core_options){.priority = 7}, 0);
	add_tasks(&p, 0, 2);
	add_tasks(&p, 1, 2);
	submit(&d, 1, &p);
	join(&d, 0, 1, 0);
	const uint32_t order[] = {2, 3, 0, 1};
	for (uint32_t i = 0; i < 4; i++) {
		cr_assert_eq(last(&d, CORE_FX_GRANT, 0, 0)->index, order[i]);
		complete(&d, 1, order[i]);
	}
}

Test(schedule, an_execution_has_the_highest_priority_of_its_subscribers)
{
	DRIVER(d);
	struct plan low = {0}, high = {0};
	add_function(&low, (struct core_options){0}, 0);
	add_task(&low, 0, "first");
	add_task(&low, 0, "shared");
	add_function(&high, (struct core_options){.priority = 1}, 0);
	add_task(&high, 0, "shared");
	submit(&d, 1, &low);
	submit(&d, 2, &high);
	join(&d, 0, 1, 0);
	cr_expect(granted(&d, 1, 1), "lifted over the first");
	cr_expect(!granted(&d, 1, 0));
}

Test(schedule, priority_falls_again_when_the_one_who_lifted_it_leaves)
{
	DRIVER(d);
	struct plan low = {0}, high = {0};
	add_function(&low, (struct core_options){0}, 0);
	add_task(&low, 0, "first");
	add_task(&low, 0, "shared");
	add_function(&high, (struct core_options){.priority = 1}, 0);
	add_task(&high, 0, "shared");
	submit(&d, 1, &low);
	submit(&d, 2, &high);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 2, .index = ALL);
	join(&d, 0, 1, 0);
	cr_expect(granted(&d, 1, 0));
	cr_expect(!granted(&d, 1, 1));
}

Test(schedule, equal_priorities_of_different_requests_take_turns)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, cpus(1000), 0);
	add_function(&p, cpus(2000), 0);
	add_tasks(&p, 0, 8);
	add_tasks(&p, 1, 8);
	submit(&d, 1, &p);
	join(&d, 0, 6, 0);
	uint32_t by_function[2] = {0};
	for (size_t i = 0; i < d.count; i++)
		if (d.log[i].type == CORE_FX_GRANT)
			by_function[d.log[i].grant.function]++;
	cr_expect(by_function[0] == 2 && by_function[1] == 2);
}

Test(schedule, work_is_spread_over_workers_before_credit_is_used)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, cpus(1000), 0);
	add_tasks(&p, 0, 9);
	for (uint32_t w = 0; w < 3; w++)
		join(&d, w, 2, 1);
	submit(&d, 1, &p);
	uint32_t first_six[3] = {0};
	size_t n = 0;
	for (size_t i = 0; i < d.count && n < 6; i++)
		if (d.log[i].type == CORE_FX_GRANT) {
			first_six[d.log[i].worker]++;
			n++;
		}
	for (uint32_t w = 0; w < 3; w++) {
		cr_expect_eq(first_six[w], 2);
		cr_expect_eq(worker_view(&d, w).running, 2);
		cr_expect_eq(worker_view(&d, w).queued, 1);
	}
}

Test(schedule, the_oldest_queued_lease_that_fits_is_promoted)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, cpus(2000), 0);
	add_function(&p, cpus(1000), 0);
	add_tasks(&p, 0, 1); /* 0: runs, 2 of 2 */
	add_tasks(&p, 1, 1); /* 1: queued */
	join(&d, 0, 2, 3);
	submit(&d, 1, &p);
	cr_expect_eq(worker_view(&d, 0).queued, 1);
	complete(&d, 1, 0);
	cr_expect_eq(worker_view(&d, 0).queued, 0);
	cr_expect_eq(worker_view(&d, 0).running, 1);
	cr_expect_eq(worker_view(&d, 0).used[0], 1000);
}

Test(schedule, what_waits_on_its_worker_is_not_running)
{
	DRIVER(d);
	struct plan p = {0};
	uint32_t f = add_function(&p, cpus(1000), 0);
	add_task(&p, f, "a");
	add_task(&p, f, "b");
	join(&d, 0, 1, 1);
	submit(&d, 1, &p);
	struct core_batch_view view;
	cr_assert_eq(core_view_batch(d.core, 1, &view), 0);
	cr_expect_eq(view.counts.running, 1);
	cr_expect_eq(view.counts.ready, 1);
	cr_expect_eq(status(&d, 1, 1), CORE_READY);
	complete(&d, 1, 0);
	cr_expect_eq(status(&d, 1, 1), CORE_RUNNING);
}

Test(schedule, what_fits_nowhere_waits_and_holds_up_nobody)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, cpus(64000), 0);
	add_function(
		&p,
		(struct core_options){.resource_count = 1, .resources = {{"gpus", 1000}}},
		0);
	add_function(&p, cpus(1000), 0);
	add_tasks(&p, 0, 1);
	add_tasks(&p, 1, 1);
	add_tasks(&p, 2, 1);
	join(&d, 0, 4, 10);
	submit(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	cr_expect(granted(&d, 1, 2));
	join(&d, 1, 64, 0);
	cr_expect(granted(&d, 1, 0));
	cr_expect_eq(status(&d, 1, 1), CORE_READY);
}

Test(schedule, a_request_that_names_no_cpus_asks_for_one)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(
		&p,
		(struct core_options){.resource_count = 1, .resources = {{"memory", 5}}},
		0);
	add_tasks(&p, 0, 3);
	join(&d, 0, 2, 0);
	submit(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
	cr_expect_eq(worker_view(&d, 0).used[1], 10);
}

Test(schedule, every_resource_must_fit)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p,
		     (struct core_options){.resource_count = 1,
					   .resources = {{"memory", (1 << 30) / 2 + 1}}},
		     0);
	add_tasks(&p, 0, 2);
	join(&d, 0, 8, 0);
	submit(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
}

Test(schedule, credit_may_grow_and_is_then_used)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 0, 5);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	STEP(&d, .type = CORE_EV_WORKER_CREDIT, .worker = 0, .credit = 2);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 3);
}

Test(schedule, a_batch_has_at_most_max_parallel_leases)
{
	DRIVER(d);
	struct plan p = {.max_parallel = 2}, q = {0};
	add_tasks(&p, 0, 5);
	add_task(&q, 0, "other");
	join(&d, 0, 8, 0);
	submit(&d, 1, &p);
	submit(&d, 2, &q);
	cr_expect_eq(batch_view(&d, 1).counts.running, 2);
	cr_expect(granted(&d, 2, 0), "other batches are not held up");
	complete(&d, 1, 0);
	cr_expect_eq(batch_view(&d, 1).counts.running, 2);
	run_all(&d);
	cr_expect(batch_view(&d, 1).ended);
}

Test(schedule, a_follower_without_limit_lifts_the_limit_of_what_it_shares)
{
	DRIVER(d);
	struct plan p = {.max_parallel = 1}, q = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "shared");
	add_task(&q, 0, "shared");
	join(&d, 0, 8, 0);
	submit(&d, 1, &p);
	cr_expect(!granted(&d, 1, 1));
	submit(&d, 2, &q);
	cr_expect(granted(&d, 2, 0));
	cr_expect_eq(status(&d, 1, 1), CORE_RUNNING);
}

Test(schedule, what_two_limited_batches_share_runs_under_the_one_that_may)
{
	DRIVER(d);
	struct plan p = {.max_parallel = 1}, q = {.max_parallel = 1};
	add_task(&p, 0, "long");
	add_task(&p, 0, "shared");
	add_task(&q, 0, "shared");
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	cr_expect_eq(status(&d, 1, 1), CORE_READY);
	submit(&d, 2, &q);
	cr_expect_eq(status(&d, 2, 0), CORE_RUNNING);
	cr_expect(granted(&d, 2, 0));
	cr_expect_eq(batch_view(&d, 1).counts.running, 2, "shared is running, for both");
}

Test(schedule, what_two_limited_batches_share_moves_when_one_of_them_gets_room)
{
	DRIVER(d);
	struct plan p = {.max_parallel = 1}, q = {.max_parallel = 1};
	add_task(&p, 0, "long");
	add_task(&p, 0, "shared");
	add_function(&q, (struct core_options){0}, 0);
	add_function(&q, (struct core_options){.priority = 1}, 0);
	add_task(&q, 1, "short");
	add_task(&q, 0, "shared");
	submit(&d, 1, &p);
	submit(&d, 2, &q);
	join(&d, 0, 4, 0);
	cr_expect_eq(status(&d, 1, 1), CORE_READY);
	complete(&d, 2, 0);
	cr_expect_eq(status(&d, 1, 1), CORE_RUNNING);
	cr_expect(granted(&d, 2, 1));
}

Test(schedule, a_draining_worker_gets_nothing)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 0, 3);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	STEP(&d, .type = CORE_EV_WORKER_DRAIN, .worker = 0);
	complete(&d, 1, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	cr_expect(worker_view(&d, 0).draining);
	join(&d, 1, 1, 0);
	cr_expect_eq(last(&d, CORE_FX_GRANT, 0, 0)->worker, 1);
}

Test(schedule, a_draining_broker_grants_nothing_more)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 0, 3);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	STEP(&d, .type = CORE_EV_DRAIN);
	complete(&d, 1, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED);
}

Test(schedule, a_full_disk_holds_grants_until_there_is_room)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 0, 3);
	join(&d, 0, 2, 0);
	STEP(&d, .type = CORE_EV_HOLD, .hold = true);
	submit(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	STEP(&d, .type = CORE_EV_HOLD, .hold = false);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
}

Test(schedule, epochs_strictly_increase)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 0, 10);
	join(&d, 0, 4, 2);
	feed(&d, 1, &p);
	run_all(&d);
	uint64_t before = 0;
	for (size_t i = 0; i < d.count; i++)
		if (d.log[i].type == CORE_FX_GRANT) {
			cr_expect_gt(d.log[i].grant.lease.epoch, before);
			before = d.log[i].grant.lease.epoch;
		}
}

Test(schedule, the_longest_timeout_of_the_subscribers_is_granted_and_none_is_longest)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, (struct core_options){.timeout_ns = 5, .retries = 1}, 0);
	add_function(&p, (struct core_options){.timeout_ns = 9, .retries = 4}, 0);
	add_function(&p, (struct core_options){.timeout_ns = 0}, 0);
	p.functions[1].hash[0] = p.functions[2].hash[0] = p.functions[0].hash[0];
	add_task(&p, 0, "a");
	add_task(&p, 1, "a");
	add_task(&p, 0, "b");
	add_task(&p, 2, "b");
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	cr_expect_eq(grant_of(&d, 1, 0).grant.timeout_ns, 9);
	cr_expect_eq(grant_of(&d, 1, 0).grant.attempts_max, 5);
	cr_expect_eq(grant_of(&d, 1, 2).grant.timeout_ns, 0);
}

Test(schedule, requests_of_nothing_are_bounded_per_worker)
{
	DRIVER(d);
	static struct core_task_spec specs[70000];
	static uint32_t args[70000];
	struct plan p = {0};
	add_function(&p, cpus(0), 0);
	for (uint32_t i = 0; i < 70000; i++) {
		args[i] = i;
		specs[i].args = (uint8_t *)&args[i];
		specs[i].args_size = 4;
	}
	d.unchecked = true;
	join(&d, 0, 1, 0);
	STEP(&d, .type = CORE_EV_BATCH_OPEN, .batch = 1);
	STEP(&d, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
	     .chunk = {.options = p.options,
		       .option_count = 1,
		       .functions = p.functions,
		       .function_count = 1,
		       .tasks = specs,
		       .task_count = 70000});
	STEP(&d, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	settle(&d);
	cr_expect_eq(worker_view(&d, 0).running, 65536);
}
