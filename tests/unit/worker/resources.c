/* What a worker has and who gets which device; how much work it asks for. */
#include "worker/resources.h"
#include "worker/credit.h"

#include <criterion/criterion.h>
#include <string.h>

static struct resources want(uint64_t cpus, uint64_t gpus)
{
	struct resources r = {0};
	resources_set(&r, "cpus", cpus);
	if (gpus)
		resources_set(&r, "gpus", gpus);
	return r;
}

static struct capacity two_cores_three_gpus(void)
{
	struct capacity c = {0};
	capacity_add(&c, "cpus", 2000);
	capacity_add(&c, "memory", 1000);
	capacity_add_gpu(&c, 0);
	capacity_add_gpu(&c, 2);
	capacity_add_gpu(&c, 3);
	return c;
}

Test(resources, all_or_nothing_is_taken)
{
	struct capacity c = two_cores_three_gpus();
	struct resources r = want(1000, 0);
	struct grant a, b, d;
	resources_set(&r, "memory", 600);
	cr_assert(capacity_take(&c, &r, &a));
	cr_assert_not(capacity_take(&c, &r, &b), "no memory is left");
	cr_assert_eq(resources_get(&c.used, "cpus"), 1000);
	resources_set(&r, "memory", 400);
	cr_assert(capacity_take(&c, &r, &b));
	struct resources none = want(1, 0);
	cr_assert_not(capacity_take(&c, &none, &d));
	resources_set(&r, "memory", 600);
	capacity_give(&c, &a);
	capacity_give(&c, &a); /* it holds nothing any more */
	cr_assert_eq(resources_get(&c.used, "cpus"), 1000);
	cr_assert(capacity_take(&c, &none, &d));
}

Test(resources, each_task_gets_devices_of_its_own)
{
	struct capacity c = two_cores_three_gpus();
	struct resources two = want(100, 2000), one = want(100, 1000);
	struct grant a, b, d;
	char text[64];
	cr_assert(capacity_take(&c, &two, &a));
	grant_devices(&c, &a, text, sizeof text);
	cr_assert_str_eq(text, "0,2");
	cr_assert_not(capacity_take(&c, &two, &b));
	cr_assert(capacity_take(&c, &one, &b));
	grant_devices(&c, &b, text, sizeof text);
	cr_assert_str_eq(text, "3");
	capacity_give(&c, &a);
	cr_assert(capacity_take(&c, &one, &d));
	grant_devices(&c, &d, text, sizeof text);
	cr_assert_str_eq(text, "0");
}

Test(resources, fractions_share_a_device_and_leave_the_others_whole)
{
	struct capacity c = two_cores_three_gpus();
	struct resources part = want(100, 300), whole = want(100, 2000),
			 more = want(100, 500);
	struct grant a, b, d, e;
	char text[64];
	cr_assert(capacity_take(&c, &part, &a));
	cr_assert(capacity_take(&c, &part, &b));
	grant_devices(&c, &b, text, sizeof text);
	cr_assert_str_eq(text, "0");
	cr_assert(capacity_take(&c, &whole, &d), "two devices are whole");
	cr_assert_not(capacity_take(&c, &more, &e), "400 of a device are left");
	capacity_give(&c, &d);
	capacity_give(&c, &b);
	capacity_give(&c, &a);
	for (size_t i = 0; i < c.gpu_count; i++)
		cr_assert_eq(c.gpu_free[i], 1000);
}

Test(resources, what_can_never_fit_is_named)
{
	struct capacity c = two_cores_three_gpus();
	struct resources r = want(2000, 3000);
	cr_assert_null(capacity_never(&c, &r));
	resources_set(&r, "licences", 1);
	cr_assert_str_eq(capacity_never(&c, &r), "licences");
	cr_assert_neq(capacity_add_gpu(&c, 2), 0, "a device is there once");
}

Test(credit, asks_for_a_tenth_of_a_second_of_work)
{
	struct credit c = {0};
	cr_assert_eq(credit_wanted(&c, 2, 0, 0), 2, "nothing is known: one per slot");
	for (int i = 0; i < 100; i++)
		credit_ended(&c, NS_PER_MS, false);
	cr_assert_eq(credit_wanted(&c, 2, 0, 0), 200);
	for (int i = 0; i < 100; i++)
		credit_ended(&c, 10 * NS_PER_S, false);
	cr_assert_eq(credit_wanted(&c, 2, 0, 0), 0, "long tasks are not hoarded");
	for (int i = 0; i < 200; i++)
		credit_ended(&c, 1000, false);
	cr_assert_eq(credit_wanted(&c, 64, 0, 0), CREDIT_MAX);
}

Test(credit, learns_from_what_still_runs)
{
	struct credit c = {0};
	for (int i = 0; i < 100; i++)
		credit_ended(&c, NS_PER_MS, false);
	cr_assert_eq(credit_wanted(&c, 2, 2, 2 * 50 * NS_PER_MS), 4);
	cr_assert_eq(credit_wanted(&c, 2, 2, 2 * NS_PER_S), 0);
}

Test(credit, leases_nothing_ahead_while_attempts_fail)
{
	struct credit c = {0};
	credit_ended(&c, NS_PER_MS, true);
	cr_assert_eq(credit_wanted(&c, 2, 0, 0), 0);
	credit_ended(&c, NS_PER_MS, false);
	cr_assert_gt(credit_wanted(&c, 2, 0, 0), 2);
}
