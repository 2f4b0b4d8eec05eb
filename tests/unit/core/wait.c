/* What keeps a task, as it is told. */
#include "tests/unit/core/driver.h"

static struct core_wait_view waits(const struct driver *d, uint64_t batch, uint32_t index)
{
	struct core_wait_view v;
	cr_assert_eq(core_view_wait(d->core, batch, index, &v), 0);
	return v;
}

Test(wait, is_for_tasks_then_for_workers_then_for_room)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	uint32_t reader = add_task(&p, 0, "b");
	add_ref(&p, reader, 0, 0);
	add_task(&p, 0, "c");
	feed(&d, 1, &p);
	cr_assert_eq(waits(&d, 1, 0).why, CORE_WAIT_LOOKUP);
	cr_assert_eq(waits(&d, 1, reader).why, CORE_WAIT_TASKS);
	settle(&d);
	cr_assert_eq(waits(&d, 1, 0).why, CORE_WAIT_NO_WORKER);
	join(&d, 1, 1, 0);
	pass(&d, SECOND);
	cr_assert_eq(waits(&d, 1, 0).why, CORE_WAIT_NOTHING, "it runs");
	cr_assert_eq(waits(&d, 1, 2).why, CORE_WAIT_ROOM);
	run_all(&d);
	cr_assert_eq(waits(&d, 1, reader).why, CORE_WAIT_NOTHING, "it is over");
	struct core_wait_view v;
	cr_assert_eq(core_view_wait(d.core, 1, 99, &v), 1);
	cr_assert_eq(core_view_wait(d.core, 9, 0, &v), 1);
}

Test(wait, for_more_than_any_worker_has_names_the_resource)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p,
		     (struct core_options){.resources = {{"cpus", 64000}},
					   .resource_count = 1},
		     0);
	add_function(&p,
		     (struct core_options){.resources = {{"cpus", 1000}, {"gpus", 1000}},
					   .resource_count = 2},
		     0);
	add_task(&p, 0, "a");
	add_task(&p, 1, "b");
	join(&d, 1, 4, 0);
	submit(&d, 1, &p);
	struct core_wait_view v = waits(&d, 1, 0);
	cr_assert_eq(v.why, CORE_WAIT_TOO_LARGE);
	cr_assert_str_eq(v.resource, "cpus");
	cr_assert_eq(v.wanted, 64000);
	cr_assert_eq(v.most, 4000);
	v = waits(&d, 1, 1);
	cr_assert_eq(v.why, CORE_WAIT_TOO_LARGE);
	cr_assert_str_eq(v.resource, "gpus");
	cr_assert_eq(v.most, 0);
}

Test(wait, for_a_retry_a_limit_or_a_full_disk)
{
	DRIVER(d);
	struct plan p = {.max_parallel = 1};
	add_function(&p, (struct core_options){.retries = 1}, 0);
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	join(&d, 1, 4, 0);
	submit(&d, 1, &p);
	pass(&d, SECOND);
	cr_assert_eq(waits(&d, 1, 1).why, CORE_WAIT_PARALLEL);
	cr_assert_eq(waits(&d, 1, 1).wanted, 1);
	STEP(&d, .type = CORE_EV_HOLD, .hold = true);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	struct core_wait_view v = waits(&d, 1, 0);
	cr_assert_eq(v.why, CORE_WAIT_RETRY);
	cr_assert(v.retry_ns > 0 && v.retry_ns <= 30 * SECOND);
	cr_assert_eq(waits(&d, 1, 1).why, CORE_WAIT_DISK);
}

static enum core_wait stuck(const struct driver *d, uint32_t budget, uint32_t *indexp)
{
	struct core_wait_view v;
	*indexp = ALL;
	return core_view_stuck(d->core, 1, &budget, indexp, &v) ? CORE_WAIT_NOTHING
								: v.why;
}

Test(wait, of_a_batch_that_stands_still_is_told_by_the_task_that_somebody_must_help)
{
	DRIVER(d);
	struct plan p = {0};
	uint32_t index;
	add_function(&p, (struct core_options){0}, 0);
	add_function(
		&p,
		(struct core_options){.resources = {{"gpus", 1000}}, .resource_count = 1},
		0);
	add_task(&p, 0, "a");
	add_task(&p, 1, "b");
	submit(&d, 1, &p);
	cr_assert_eq(stuck(&d, 9, &index), CORE_WAIT_NO_WORKER);
	join(&d, 1, 4, 0);
	cr_assert_eq(stuck(&d, 9, &index), CORE_WAIT_NOTHING, "the first one runs");
	finish(&d, 1, 0, CORE_OUT_COMPLETED, 0);
	cr_assert_eq(stuck(&d, 9, &index), CORE_WAIT_TOO_LARGE);
	cr_assert_eq(index, 1);
	cr_assert_eq(stuck(&d, 1, &index), CORE_WAIT_NOTHING, "it may not look so far");
	STEP(&d, .type = CORE_EV_HOLD, .hold = true);
	cr_assert_eq(stuck(&d, 9, &index), CORE_WAIT_DISK);
}
