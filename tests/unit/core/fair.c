/* fair.c - large requests do not starve behind small ones. */
#include "tests/unit/core/driver.h"

#include <stdio.h>

enum { SMALL, LARGE };

/* @count small tasks of 1 cpu, numbered from 0, and then one of 4. */
static struct plan crowd(uint32_t count, int32_t small, int32_t large)
{
	struct plan p = {0};
	char text[16];
	add_function(&p,
		     (struct core_options){.resource_count = 1,
					   .resources = {{"cpus", 1000}},
					   .priority = small},
		     0);
	add_function(&p,
		     (struct core_options){.resource_count = 1,
					   .resources = {{"cpus", 4000}},
					   .priority = large},
		     0);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof text, "s%u", i);
		add_task(&p, SMALL, text);
	}
	add_task(&p, LARGE, "large");
	return p;
}

#define FAIR_DRIVER(d)                                                                   \
	struct driver d                                                                  \
		__attribute__((cleanup(driver_fini))) = {.config.keep_after = 3};        \
	driver_init(&d)

/* Small ones end one by one, the oldest first, until @index is granted. Return: how many. */
static uint32_t complete_until(struct driver *d, uint32_t index)
{
	uint32_t n = 0;
	while (!granted(d, 1, index)) {
		cr_assert(granted(d, 1, n), "nothing runs, and %u waits", index);
		complete(d, 1, n++);
	}
	return n;
}

Test(fair, a_task_that_needs_all_of_a_worker_is_not_passed_over_for_ever)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(40, 0, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	cr_assert(!granted(&d, 1, 40));
	cr_expect_leq(complete_until(&d, 40), 3 + 4);
	complete(&d, 1, 40);
	run_all(&d);
	cr_expect(batch_view(&d, 1).ended);
}

/* The index of a task of batch 1 that runs: the one that was granted first; UINT32_MAX if none does. */
static uint32_t oldest_running(struct driver *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->log[i].type == CORE_FX_GRANT && d->log[i].batch == 1 &&
		    status(d, 1, d->log[i].index) == CORE_RUNNING)
			return d->log[i].index;
	return UINT32_MAX;
}

/* Small and middle ones are passed over in turn too, and one of them had the worker kept whenever the
 * large one looked for it. */
Test(fair, those_that_wait_in_turn_do_not_keep_the_third_waiting)
{
	FAIR_DRIVER(d);
	struct plan p = {0}, holder = {0};
	char text[16];
	for (uint64_t i = 0; i < 3; i++)
		add_function(&p,
			     (struct core_options){
				     .resource_count = 1,
				     .resources = {{"cpus",
						    (uint64_t[]){2000, 1000, 3000}[i]}}},
			     0);
	for (uint32_t i = 0; i < 60; i++) {
		snprintf(text, sizeof text, "t%u", i);
		add_task(&p, i % 2, text);
	}
	add_task(&p, 2, "large");
	add_function(&holder, p.options[2], 0);
	holder.options[0].priority = 1;
	add_task(&holder, 0, "holder");
	submit(&d, 1, &p);
	submit(&d, 2, &holder);
	join(&d, 0, 5, 0);
	cr_assert(granted(&d, 2, 0));
	uint32_t n = 0;
	for (uint32_t i; (i = oldest_running(&d)) != UINT32_MAX; n++)
		complete(&d, 1, i);
	cr_expect_leq(n, 4 * 3, "%u others went before it", n);
	complete(&d, 2, 0);
	cr_expect(granted(&d, 1, 60));
	complete(&d, 1, 60);
	run_all(&d);
	cr_expect(batch_view(&d, 1).ended);
}

Test(fair, other_workers_go_on_meanwhile)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(40, 0, 0);
	join(&d, 0, 4, 0);
	join(&d, 1, 4, 0);
	submit(&d, 1, &p);
	size_t before = seen(&d, CORE_FX_GRANT);
	uint32_t n = complete_until(&d, 40);
	cr_expect_geq(seen(&d, CORE_FX_GRANT) - before, (size_t)n - 3);
}

Test(fair, a_higher_priority_is_given_the_room_all_the_same)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(40, 1, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	cr_expect_geq(complete_until(&d, 40), 37);
}

Test(fair, a_lower_priority_does_not_pass_more_often)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(40, 0, 1);
	struct plan q = {0};
	add_function(&q, p.options[LARGE], 0);
	add_task(&q, 0, "large");
	p.task_count = 40;
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	submit(&d, 2, &q);
	for (uint32_t n = 0; !granted(&d, 2, 0); n++) {
		cr_assert_lt(n, 3 + 4);
		complete(&d, 1, n);
	}
}

Test(fair, when_the_large_one_is_cancelled_the_room_goes_to_others)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(40, 0, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	for (uint32_t n = 0; n < 5; n++)
		complete(&d, 1, n); /* it is kept by now, partly idle */
	cr_assert_lt(worker_view(&d, 0).used[0], 4000);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 1, .index = 40);
	settle(&d);
	cr_expect_eq(worker_view(&d, 0).used[0], 4000);
}

Test(fair, when_the_kept_worker_is_lost_another_one_is_kept)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(40, 0, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	for (uint32_t n = 0; n < 4; n++)
		complete(&d, 1, n);
	STEP(&d, .type = CORE_EV_WORKER_BYE, .worker = 0);
	join(&d, 0, 4, 0);
	for (uint32_t n = 0; n < 12 && !granted(&d, 1, 40); n++) {
		const struct core_effect *fx = last(&d, CORE_FX_GRANT, 0, 0);
		struct core_effect oldest = *fx;
		for (size_t i = 0; i < d.count; i++)
			if (d.log[i].type == CORE_FX_GRANT &&
			    status(&d, 1, d.log[i].index) == CORE_RUNNING) {
				oldest = d.log[i];
				break;
			}
		complete(&d, 1, oldest.index);
	}
	cr_expect(granted(&d, 1, 40));
}

Test(fair, a_lease_that_waits_on_a_worker_is_not_passed_for_ever)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(40, 0, 0);
	join(&d, 0, 4, 1);
	submit(&d, 1, &p);
	complete_until(&d, 40);
	cr_assert_eq(worker_view(&d, 0).queued, 1);
	size_t before = seen(&d, CORE_FX_GRANT);
	for (uint32_t n = 0;
	     worker_view(&d, 0).running != 1 || worker_view(&d, 0).used[0] != 4000; n++) {
		cr_assert_lt(n, 40, "it should have begun");
		if (status(&d, 1, n) == CORE_RUNNING)
			complete(&d, 1, n);
	}
	cr_expect_leq(seen(&d, CORE_FX_GRANT) - before, 3 + 1);
}

/* A large one of priority 0 is passed over by a crowd of 1 and keeps the worker from then on; one of 1
 * must be able to take it over. */
Test(fair, a_higher_priority_takes_over_the_worker_that_is_kept)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(40, 1, 0);
	struct plan q = {0};
	add_function(&q, p.options[LARGE], 0);
	q.options[0].priority = 1;
	add_task(&q, 0, "larger");
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	for (uint32_t n = 0; n < 5; n++)
		complete(&d, 1, n);
	submit(&d, 2, &q);
	for (uint32_t n = 5; !granted(&d, 2, 0); n++) {
		cr_assert_lt(n, 5 + 3 + 4);
		complete(&d, 1, n);
	}
}

/* The oldest small one of batch 1 that runs on @worker. */
static uint32_t oldest_on(const struct driver *d, uint32_t worker)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct core_effect *fx = &d->log[i];
		if (fx->type == CORE_FX_GRANT && fx->worker == worker && fx->batch == 1 &&
		    status(d, 1, fx->index) == CORE_RUNNING)
			return fx->index;
	}
	cr_assert(false, "nothing runs on worker %u", worker);
	return 0;
}

/* One of a higher priority goes first where one was about to be served, and no further than that: small
 * ones would have that worker again, and the next of a higher priority the one that is kept then. */
Test(fair, whoever_was_kept_a_worker_is_next_after_a_higher_priority)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(60, 0, 0);
	struct plan q = {0};
	add_function(&q, p.options[LARGE], 0);
	q.options[0].priority = 1;
	add_task(&q, 0, "higher");
	join(&d, 0, 4, 0);
	join(&d, 1, 4, 0);
	submit(&d, 1, &p);
	complete(&d, 1, oldest_on(&d, 1)); /* now a worker is kept */
	uint32_t kept = 0;
	complete(&d, 1, oldest_on(&d, kept));
	if (worker_view(&d, kept).used[0] == 4000)
		kept = 1;
	while (worker_view(&d, kept).used[0] > 1000)
		complete(&d, 1, oldest_on(&d, kept));
	submit(&d, 2, &q);
	for (int i = 0; i < 5; i++)
		complete(&d, 1, oldest_on(&d, !kept));
	cr_assert(!granted(&d, 2, 0) && !granted(&d, 1, 60));
	complete(&d, 1, oldest_on(&d, kept));
	cr_assert(granted(&d, 2, 0) && !granted(&d, 1, 60));
	complete(&d, 2, 0);
	cr_expect(granted(&d, 1, 60));
	complete(&d, 1, 60);
	run_all(&d);
	cr_expect(batch_view(&d, 1).ended);
}

/* The worker whose disk had no room for it is asked again when it is the last one, also if small ones
 * leave it no room to be asked. */
Test(fair, who_was_refused_by_the_last_worker_is_kept_it)
{
	FAIR_DRIVER(d);
	struct plan p = crowd(60, 0, 0), first = {0}, q = {0};
	p.task_count = 60;
	p.options[SMALL].resources[p.options[SMALL].resource_count++] =
		(struct core_resource){"memory", 1 << 28}; /* four leave nothing */
	add_function(&first, p.options[SMALL], 0);
	add_task(&first, 0, "first");
	add_function(&q, p.options[LARGE], 0);
	add_task(&q, 0, "large");
	join(&d, 0, 4, 0);
	join(&d, 1, 4, 0);
	submit(&d, 3, &first); /* the queue of small ones is the first */
	submit(&d, 2, &q);
	uint32_t full = grant_of(&d, 2, 0).worker;
	submit(&d, 1, &p);
	finish(&d, 2, 0, CORE_OUT_NO_ROOM, 0);
	STEP(&d, .type = CORE_EV_WORKER_BYE, .worker = !full);
	size_t before = seen(&d, CORE_FX_GRANT);
	while (status(&d, 2, 0) != CORE_RUNNING) {
		cr_assert_leq(seen(&d, CORE_FX_GRANT) - before, 3 + 4 + 4);
		complete(&d, 1, oldest_on(&d, full));
	}
	complete(&d, 2, 0);
	cr_expect(batch_view(&d, 2).ended);
}
