/* pause.c - a sweep that fails from its beginning pauses its batch. */
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

static void fail_first(struct driver *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		cr_assert(granted(d, 1, i), "%u", i);
		finish(d, 1, i, CORE_OUT_FAILED, 0);
	}
}

Test(pause, a_sweep_whose_first_twenty_all_failed_pauses_until_resumed)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 25);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	fail_first(&d, 20);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_PAUSED), 1);
	cr_expect(batch_view(&d, 1).paused);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 20);
	STEP(&d, .type = CORE_EV_RESUME, .batch = 1);
	cr_expect(!batch_view(&d, 1).paused);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 21);
	for (uint32_t i = 20; i < 25; i++)
		finish(&d, 1, i, CORE_OUT_FAILED, 0);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_PAUSED), 1, "once is enough");
	cr_expect(batch_view(&d, 1).ended);
}

/* An entry of its own: another function of the batch. */
static void add_entry(struct plan *p, uint32_t count)
{
	uint32_t f = add_function(p, (struct core_options){0}, 0);
	for (uint32_t i = 0; i < count; i++) {
		char text[16];
		snprintf(text, sizeof text, "e%u", i);
		add_task(p, f, text);
	}
}

Test(pause, a_success_of_another_entry_does_not_keep_a_sweep_from_pausing)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 5);
	add_entry(&p, 1);
	add_tasks(&p, 20);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	fail_first(&d, 5);
	complete(&d, 1, 5);
	for (uint32_t i = 6; i < 21; i++)
		finish(&d, 1, i, CORE_OUT_FAILED, 0);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_PAUSED), 1);
	cr_expect(batch_view(&d, 1).paused);
	cr_expect_eq(batch_view(&d, 1).paused_by, 0);
}

Test(pause, takes_back_what_waits_on_workers_and_lets_run_what_runs)
{
	struct driver d __attribute__((cleanup(driver_fini))) = {.config.pause_after = 1};
	struct plan p = {0};
	driver_init(&d);
	add_tasks(&p, 8);
	join(&d, 0, 2, 3);
	submit(&d, 1, &p);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 5);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0); /* the third one begins */
	cr_expect(batch_view(&d, 1).paused);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 2);
	finish(&d, 1, 3, CORE_OUT_STOPPED, 0);
	finish(&d, 1, 4, CORE_OUT_STOPPED, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 5);
	cr_expect_eq(batch_view(&d, 1).counts.running, 2);
	STEP(&d, .type = CORE_EV_RESUME, .batch = 1);
	complete(&d, 1, 1);
	complete(&d, 1, 2);
	run_all(&d);
	cr_expect(batch_view(&d, 1).ended);
	cr_expect_eq(batch_view(&d, 1).counts.executed, 7);
}

Test(pause, a_sweep_of_which_nothing_is_left_does_not_pause)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 20);
	add_entry(&p, 1);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	fail_first(&d, 20);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_PAUSED), 0);
	complete(&d, 1, 20);
	cr_expect(batch_view(&d, 1).ended);
}

/* Recovers batch 1 with its first 20 tasks failed, and @pause if any was recorded. */
static void recover_failed(struct driver *d, struct plan *p, int pause)
{
	core_free(d->core);
	driver_boot(d, d->config.boot + 1);
	feed(d, 1, p);
	driver_forget(d);
	for (uint32_t i = 0; i < 20; i++)
		STEP(d, .type = CORE_EV_OLD_END, .batch = 1, .index = i,
		     .old_end = {.status = CORE_FAILED, .commit = i + 1, .attempts = 1});
	if (pause >= 0)
		STEP(d, .type = CORE_EV_OLD_PAUSE, .batch = 1, .old_pause.paused = pause);
	STEP(d, .type = CORE_EV_RECOVERED);
	settle(d);
	join(d, 0, 1, 0);
	settle(d);
}

Test(pause, outlives_a_restart)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 25);
	recover_failed(&d, &p, 1);
	cr_expect(batch_view(&d, 1).paused);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_PAUSED), 0, "it is recorded already");
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 0);
	STEP(&d, .type = CORE_EV_RESUME, .batch = 1);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_RESUMED), 1);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
}

Test(pause, that_is_over_is_over_after_a_restart)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 25);
	recover_failed(&d, &p, 0);
	cr_expect(!batch_view(&d, 1).paused);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	finish(&d, 1, 20, CORE_OUT_FAILED, 0);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_PAUSED), 0, "once is enough");
}

Test(pause, that_was_never_recorded_is_decided_at_the_restart)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 25);
	recover_failed(&d, &p, -1);
	cr_expect(batch_view(&d, 1).paused);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_PAUSED), 1);
}

Test(pause, one_success_among_the_first_is_enough)
{
	DRIVER(d);
	struct plan p = {0};
	add_tasks(&p, 30);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	fail_first(&d, 5);
	complete(&d, 1, 5);
	for (uint32_t i = 6; i < 30; i++)
		finish(&d, 1, i, CORE_OUT_FAILED, 0);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_PAUSED), 0);
}

Test(pause, what_another_batch_wants_runs_on)
{
	struct driver d __attribute__((cleanup(driver_fini))) = {.config.pause_after = 1};
	struct plan p = {0}, q = {0};
	driver_init(&d);
	add_tasks(&p, 3);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	fail_first(&d, 1);
	cr_expect(batch_view(&d, 1).paused);
	add_task(&q, 0, "t1");
	submit(&d, 2, &q);
	cr_expect(granted(&d, 2, 0));
	complete(&d, 2, 0);
	cr_expect_eq(status(&d, 1, 1), CORE_COMPLETED);
	cr_expect_eq(status(&d, 1, 2), CORE_READY);
}

Test(pause, cancelling_a_paused_batch_ends_it)
{
	struct driver d __attribute__((cleanup(driver_fini))) = {.config.pause_after = 1};
	struct plan p = {0};
	driver_init(&d);
	add_tasks(&p, 3);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	fail_first(&d, 1);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 1, .index = ALL);
	cr_expect(batch_view(&d, 1).ended);
	durable(&d);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_FORGOTTEN), 1);
}
