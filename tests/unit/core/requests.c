/* requests.c - equal work that is wanted under different requests for resources. */
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

static void plan_same(struct plan *p, struct core_options options)
{
	add_function(p, options, 0);
	p->functions[0].hash[0] = 42;
	add_task(p, 0, "same");
}

Test(requests, equal_work_runs_under_the_request_that_fits)
{
	DRIVER(d);
	struct plan large = {0}, small = {0};
	plan_same(&large, cpus(64000));
	plan_same(&small, cpus(1000));
	join(&d, 0, 4, 0);
	submit(&d, 1, &large);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	submit(&d, 2, &small);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 1, "the same with less was asked for");
	cr_expect_eq(worker_view(&d, 0).used[0], 1000);
	complete(&d, 2, 0);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED);
	cr_expect_eq(status(&d, 2, 0), CORE_COMPLETED);
}

Test(requests, equal_work_moves_to_the_request_that_fits_when_workers_come_and_go)
{
	DRIVER(d);
	struct plan large = {0}, small = {0};
	plan_same(&large, cpus(64000));
	add_tasks(&large, 0, 1);
	add_tasks(&large, 0, 1);
	plan_same(&small, cpus(2000));
	join(&d, 0, 1, 0);
	submit(&d, 1, &large);
	submit(&d, 2, &small);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	join(&d, 1, 2, 0);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 1);
	cr_expect_eq(worker_view(&d, 1).used[0], 2000);
	STEP(&d, .type = CORE_EV_WORKER_BYE, .worker = 1);
	pass(&d, 40 * SECOND);
	cr_expect_neq(status(&d, 2, 0), CORE_RUNNING);
	join(&d, 2, 64, 0);
	cr_expect_eq(status(&d, 2, 0), CORE_RUNNING);
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
}

Test(requests, equal_work_waits_no_more_for_what_only_a_cancelled_task_asked_for)
{
	DRIVER(d);
	struct plan busy = {0}, large = {0}, small = {0};
	add_function(&busy, cpus(3000), 0);
	add_task(&busy, 0, "running");
	add_task(&busy, 0, "in front");
	plan_same(&large, cpus(3000));
	plan_same(&small, cpus(2000));
	join(&d, 0, 4, 0);
	submit(&d, 1, &busy);
	submit(&d, 2, &large);
	submit(&d, 3, &small);
	submit(&d, 4, &large);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 2, .index = ALL);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 4, .index = ALL);
	durable(&d);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 1);
	join(&d, 1, 2, 0);
	cr_assert(granted(&d, 3, 0), "no longer behind the one in front");
	cr_expect_eq(worker_view(&d, 1).used[0], 2000);
	complete(&d, 3, 0);
	cr_expect_eq(status(&d, 3, 0), CORE_COMPLETED);
}

/* With @amount of a thing that the others have none of. */
static void join_with(struct driver *d, uint32_t worker, uint64_t cpus, const char *thing,
		      uint64_t amount, uint32_t credit)
{
	struct core_event e = {.type = CORE_EV_WORKER_JOIN, .worker = worker};
	worker_key(worker, e.join.key);
	e.join.capacity[0] = (struct core_resource){"cpus", cpus * 1000};
	e.join.capacity[1].amount = amount * 1000;
	strcpy(e.join.capacity[1].name, thing);
	e.join.capacity[2] = (struct core_resource){"memory", 1 << 30};
	e.join.capacity_count = 3;
	e.join.credit = credit;
	driver_step(d, &e);
}

static struct core_options one(const char *thing)
{
	struct core_options o = {.resource_count = 1};
	strcpy(o.resources[0].name, thing);
	o.resources[0].amount = 1000;
	return o;
}

/* Batch 1 has the only unicorn. */
static void hold_the_unicorn(struct driver *d, uint32_t credit)
{
	struct plan p = {0};
	add_function(&p, one("unicorns"), 0);
	add_task(&p, 0, "holds it");
	join_with(d, 0, 4, "unicorns", 1, credit);
	submit(d, 1, &p);
	cr_assert(granted(d, 1, 0));
}

Test(requests, equal_work_runs_under_the_request_for_which_there_is_room)
{
	for (int joins_first = 0; joins_first < 2; joins_first++) {
		DRIVER(d);
		struct plan a = {0}, b = {0};
		plan_same(&a, one("unicorns"));
		plan_same(&b, one("horses"));
		hold_the_unicorn(&d, 0);
		if (joins_first)
			join_with(&d, 1, 1, "horses", 1, 0);
		submit(&d, 2, &a);
		submit(&d, 3, &b);
		if (!joins_first)
			join_with(&d, 1, 1, "horses", 1, 0);
		cr_assert(granted(&d, 3, 0), "the horse is free");
		cr_expect_eq(grant_of(&d, 3, 0).worker, 1);
		cr_expect_eq(worker_view(&d, 1).used[1], 1000);
		cr_expect_eq(batch_view(&d, 2).counts.running, 1);
		complete(&d, 3, 0);
		cr_expect_eq(status(&d, 2, 0), CORE_COMPLETED);
		cr_expect_eq(batch_view(&d, 3).counts.executed, 1);
	}
}

Test(requests, equal_work_prefers_the_request_of_whoever_asked_first)
{
	DRIVER(d);
	struct plan a = {0}, b = {0};
	plan_same(&a, one("unicorns"));
	plan_same(&b, one("horses"));
	hold_the_unicorn(&d, 0);
	submit(&d, 2, &a);
	submit(&d, 3, &b);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 1);
	complete(&d, 1, 0);
	cr_expect(granted(&d, 2, 0));
	cr_expect_eq(grant_of(&d, 2, 0).worker, 0);
}

Test(requests, equal_work_runs_where_there_is_room_before_it_waits_on_a_worker)
{
	DRIVER(d);
	struct plan a = {0};
	add_function(&a, one("unicorns"), 0);
	add_function(&a, one("horses"), 0);
	a.functions[1].hash[0] = a.functions[0].hash[0];
	add_task(&a, 0, "same");
	add_task(&a, 1, "same");
	hold_the_unicorn(&d, 2);
	join_with(&d, 1, 1, "horses", 1, 2);
	submit(&d, 2, &a);
	cr_assert(granted(&d, 2, 1));
	cr_expect_eq(worker_view(&d, 1).running, 1);
	cr_expect_eq(worker_view(&d, 0).queued, 0);
}

/* It would be killed for what whoever asked for more had asked for. */
Test(requests, equal_work_does_not_run_with_less_memory_than_was_asked_for_first)
{
	static const uint64_t others[] = {100, 300, 0};
	for (size_t i = 0; i < 3; i++) {
		DRIVER(d);
		struct plan a = {0}, b = {0};
		struct core_options o = one("unicorns");
		hold_the_unicorn(&d, 0);
		o.resources[o.resource_count++] = (struct core_resource){"memory", 200};
		plan_same(&a, o);
		o = cpus(1000);
		if (others[i])
			o.resources[o.resource_count++] =
				(struct core_resource){"memory", others[i]};
		plan_same(&b, o);
		submit(&d, 2, &a);
		submit(&d, 3, &b);
		join(&d, 1, 1, 0);
		cr_expect_eq(granted(&d, 3, 0), others[i] != 100);
		cr_expect(!granted(&d, 2, 0));
	}
}

Test(requests, equal_work_of_three_requests_runs_under_the_third)
{
	DRIVER(d);
	struct plan a = {0}, b = {0}, c = {0};
	plan_same(&a, one("unicorns"));
	plan_same(&b, one("dragons"));
	plan_same(&c, one("horses"));
	hold_the_unicorn(&d, 0);
	join_with(&d, 1, 1, "horses", 1, 0);
	submit(&d, 2, &a);
	submit(&d, 3, &b);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 1);
	submit(&d, 4, &c);
	cr_expect(granted(&d, 4, 0));
}

/* Many of them, of which one by one is granted: none is looked for in vain behind others. */
Test(requests, equal_work_takes_what_is_free_of_either_kind)
{
	DRIVER(d);
	struct plan a = {0}, b = {0};
	uint32_t by[2] = {0};
	add_function(&a, one("unicorns"), 0);
	add_function(&b, one("horses"), 0);
	b.functions[0].hash[0] = a.functions[0].hash[0];
	add_tasks(&a, 0, 60);
	add_tasks(&b, 0, 60);
	submit(&d, 1, &a);
	submit(&d, 2, &b);
	join_with(&d, 0, 1, "unicorns", 1, 0);
	join_with(&d, 1, 2, "horses", 2, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 3);
	run_all(&d);
	for (size_t i = 0; i < d.count; i++)
		by[d.log[i].worker] += d.log[i].type == CORE_FX_GRANT;
	cr_expect(by[0] >= 10 && by[1] >= 10 && by[0] + by[1] == 60);
	cr_expect(batch_view(&d, 1).ended && batch_view(&d, 2).ended);
}

Test(requests, equal_work_runs_under_a_limited_request_as_soon_as_that_may)
{
	DRIVER(d);
	struct plan a = {0}, b = {.max_parallel = 1};
	plan_same(&a, one("unicorns"));
	plan_same(&b, one("horses"));
	add_function(&b, one("horses"), 0);
	b.options[1].priority = 1;
	add_task(&b, 1, "before it");
	hold_the_unicorn(&d, 0);
	join_with(&d, 1, 2, "horses", 2, 0);
	STEP(&d, .type = CORE_EV_HOLD, .hold = true);
	submit(&d, 2, &a);
	submit(&d, 3, &b);
	STEP(&d, .type = CORE_EV_HOLD, .hold = false);
	cr_assert(granted(&d, 3, 1));
	cr_assert(!granted(&d, 3, 0) && !granted(&d, 2, 0));
	complete(&d, 3, 1);
	cr_expect(granted(&d, 3, 0));
	cr_expect_eq(batch_view(&d, 3).counts.running, 1);
}

/* It asked while it was paused. */
Test(requests, equal_work_runs_under_the_request_of_a_paused_batch_when_that_goes_on)
{
	struct driver d __attribute__((cleanup(driver_fini))) = {.config.pause_after = 1};
	driver_init(&d);
	struct plan a = {0}, b = {0};
	plan_same(&a, one("unicorns"));
	plan_same(&b, one("horses"));
	uint32_t other = add_function(&b, one("horses"), 0);
	uint32_t failing = add_function(&b, one("horses"), 0);
	add_need(&b, 0, add_task(&b, other, "before it"));
	uint32_t fails = add_task(&b, failing, "fails");
	uint32_t left = add_task(&b, failing, "is left");
	hold_the_unicorn(&d, 0);
	join_with(&d, 1, 2, "horses", 2, 0);
	submit(&d, 2, &a);
	submit(&d, 3, &b);
	finish(&d, 3, fails, CORE_OUT_FAILED, 0);
	complete(&d, 3, 1);
	settle(&d);
	cr_assert(batch_view(&d, 3).paused);
	cr_assert(!granted(&d, 2, 0) && !granted(&d, 3, 0));
	STEP(&d, .type = CORE_EV_RESUME, .batch = 3);
	cr_expect(granted(&d, 3, 0) && granted(&d, 3, left));
}

Test(requests, equal_work_moves_back_when_who_asked_for_something_else_leaves)
{
	DRIVER(d);
	struct plan a = {0}, b = {0};
	plan_same(&a, one("unicorns"));
	plan_same(&b, one("horses"));
	hold_the_unicorn(&d, 0);
	submit(&d, 2, &a);
	submit(&d, 3, &b);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 3, .index = ALL);
	join_with(&d, 1, 1, "horses", 1, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	complete(&d, 1, 0);
	cr_expect(granted(&d, 2, 0));
}

Test(requests, equal_work_goes_on_under_another_request_where_a_disk_has_room)
{
	DRIVER(d);
	struct plan a = {0}, b = {0};
	plan_same(&a, one("unicorns"));
	plan_same(&b, one("horses"));
	join_with(&d, 0, 1, "unicorns", 1, 0);
	STEP(&d, .type = CORE_EV_HOLD, .hold = true);
	submit(&d, 2, &a);
	submit(&d, 3, &b);
	STEP(&d, .type = CORE_EV_HOLD, .hold = false);
	join_with(&d, 1, 1, "horses", 1, 0);
	finish(&d, 2, 0, CORE_OUT_NO_ROOM, 0);
	cr_assert(granted(&d, 3, 0), "at once");
	cr_expect_eq(grant_of(&d, 3, 0).worker, 1);
}
