/* room.c - workers whose disks have no room for the inputs. */
#include "tests/unit/core/driver.h"

static struct core_batch_view waits(const struct driver *d)
{
	return batch_view(d, 1);
}

/* Who holds task 0 of batch 1. */
static uint32_t holder(const struct driver *d)
{
	return grant_of(d, 1, 0).worker;
}

static void refuse(struct driver *d)
{
	finish(d, 1, 0, CORE_OUT_NO_ROOM, 0);
}

Test(room, another_worker_is_asked_at_once_and_it_costs_nothing)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	join(&d, 0, 1, 0);
	join(&d, 1, 1, 0);
	submit(&d, 1, &p);
	uint32_t first = holder(&d);
	refuse(&d);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 2);
	cr_expect_neq(holder(&d), first);
	cr_expect_eq(grant_of(&d, 1, 0).grant.attempt, 1);
	cr_expect_eq(waits(&d).no_room, CORE_NO_INDEX);
	complete(&d, 1, 0);
	cr_expect(batch_view(&d, 1).ended);
}

Test(room, it_waits_for_another_worker_that_is_busy)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	join(&d, 0, 1, 0);
	join(&d, 1, 1, 0);
	submit(&d, 1, &p);
	refuse(&d);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
	pass(&d, 2 * SECOND);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
	complete(&d, 1, 1);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 3);
	cr_expect_eq(holder(&d), grant_of(&d, 1, 1).worker);
}

Test(room, when_all_have_refused_the_batch_says_so_and_they_are_asked_again_later)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	join(&d, 0, 1, 0);
	join(&d, 1, 1, 0);
	submit(&d, 1, &p);
	refuse(&d);
	refuse(&d);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2, "not at once");
	cr_expect_eq(waits(&d).no_room, 0);
	cr_expect_eq(waits(&d).no_room_tried, 2);
	pass(&d, SECOND);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 3);
	cr_expect_eq(waits(&d).no_room, CORE_NO_INDEX, "perhaps it has room now");
	complete(&d, 1, 0);
	cr_expect(batch_view(&d, 1).ended);
}

Test(room, the_pauses_grow)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	for (int i = 0; i < 300; i++) { /* ten minutes */
		if (status(&d, 1, 0) == CORE_RUNNING)
			refuse(&d);
		alive(&d, 0, NULL, 0);
		pass(&d, 2 * SECOND);
	}
	cr_expect_gt(seen(&d, CORE_FX_GRANT), 15);
	cr_expect_lt(seen(&d, CORE_FX_GRANT), 40);
}

Test(room, a_worker_that_leaves_is_not_waited_for)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	join(&d, 0, 1, 0);
	join(&d, 1, 1, 0);
	submit(&d, 1, &p);
	uint32_t first = holder(&d);
	refuse(&d);
	complete(&d, 1, 1);
	cr_assert_neq(holder(&d), first);
	STEP(&d, .type = CORE_EV_WORKER_BYE, .worker = holder(&d));
	alive(&d, first, NULL, 0);
	cr_expect_eq(holder(&d), first, "it may have room by now");
}
