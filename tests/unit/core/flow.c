/* flow.c - what passes from task to task: content, order, failure. */
#include "tests/unit/core/driver.h"

#include <stdio.h>

/* @count tasks "t0".. of function 0, a worker with room for all. */
static void setup(struct driver *d, struct plan *p, uint32_t count)
{
	char text[16];
	join(d, 0, 16, 0);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof text, "t%u", i);
		add_task(p, 0, text);
	}
}

static bool holds(const struct driver *d, uint32_t index, uint32_t offset,
		  struct content want)
{
	struct core_task_view v = task(d, 1, index);
	return !memcmp(v.args + offset, &want, CONTENT_SIZE);
}

Test(flow, a_reference_is_written_into_the_arguments_before_they_are_hashed)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 2);
	add_ref(&p, 1, 0, 1);
	submit(&d, 1, &p);
	cr_expect_eq(status(&d, 1, 1), CORE_WAITING);
	cr_expect(!task(&d, 1, 1).has_fingerprint);
	complete(&d, 1, 0);
	uint8_t args[2 + CONTENT_SIZE] = "t1", hash[DIGEST_SIZE];
	struct content c = content(1, 1);
	memcpy(args + 2, &c, CONTENT_SIZE);
	sha256_digest(args, sizeof args, hash);
	cr_expect_arr_eq(last(&d, CORE_FX_LOOKUP, 1, 1)->lookup.args_hash, hash,
			 DIGEST_SIZE);
	cr_expect(holds(&d, 1, 2, c));
	settle(&d);
	cr_expect(!grant_of(&d, 1, 1).grant.early, "reads another task");
	cr_expect_arr_eq(task(&d, 1, 1).args_hash, hash, DIGEST_SIZE);
}

Test(flow, a_need_orders_and_passes_nothing)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 2);
	add_need(&p, 1, 0);
	submit(&d, 1, &p);
	cr_expect(!granted(&d, 1, 1));
	cr_expect(last(&d, CORE_FX_LOOKUP, 1, 0)->lookup.need_bytes, "nobody reads it");
	cr_expect(!last(&d, CORE_FX_LOOKUP, 1, 0)->lookup.need_slots);
	complete(&d, 1, 0);
	settle(&d);
	cr_expect(granted(&d, 1, 1));
	cr_expect_eq(task(&d, 1, 1).args_size, 2);
}

Test(flow, who_is_read_needs_slots_and_no_bytes)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 3);
	add_ref(&p, 1, 0, 0);
	add_group_ref(&p, 2, add_group(&p, 1, 1, false));
	run_all((feed(&d, 1, &p), &d));
	for (uint32_t i = 0; i < 3; i++) {
		const struct core_effect *q = last(&d, CORE_FX_LOOKUP, 1, i);
		cr_expect_eq(q->lookup.need_slots, i < 2);
		cr_expect_eq(q->lookup.need_bytes, i == 2);
	}
}

Test(flow, one_task_may_be_read_several_times_by_the_same_reader)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 2);
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 1, 0, 1);
	add_need(&p, 1, 0);
	feed(&d, 1, &p);
	run_all(&d);
	cr_expect(holds(&d, 1, 2, content(1, 0)) && holds(&d, 1, 35, content(1, 1)));
}

Test(flow, a_list_is_the_digest_of_its_members_in_order_and_announced_once)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 5);
	uint32_t g = add_group(&p, 0, 3, false);
	add_group_ref(&p, 3, g);
	add_group_ref(&p, 4, g);
	submit(&d, 1, &p);
	complete(&d, 1, 2);
	complete(&d, 1, 0);
	cr_expect_eq(seen(&d, CORE_FX_LIST_BLOB), 0);
	struct content list[3];
	for (uint8_t i = 0; i < 3; i++)
		list[i] = content(i + 1, 0);
	struct core_effect g1 = grant_of(&d, 1, 1);
	driver_forget(&d);
	report(&d, 0, &g1.grant.lease, CORE_OUT_COMPLETED, 2, 0);
	cr_assert_eq(seen(&d, CORE_FX_LIST_BLOB), 1);
	const struct core_effect *fx = last(&d, CORE_FX_LIST_BLOB, 0, 0);
	cr_assert_eq(fx->blob.size, sizeof list);
	cr_expect_arr_eq(fx->blob.data, list, sizeof list);
	struct content c = {CONTENT_LIST, {0}};
	sha256_digest(list, sizeof list, c.digest);
	cr_expect_arr_eq(fx->blob.digest, c.digest, DIGEST_SIZE);
	cr_expect(holds(&d, 3, 2, c) && holds(&d, 4, 2, c));
	for (size_t i = 0, listed = 0; i < d.count; i++) {
		listed |= d.log[i].type == CORE_FX_LIST_BLOB;
		cr_expect(d.log[i].type != CORE_FX_LOOKUP || listed,
			  "asked before the list");
	}
}

Test(flow, a_group_may_hold_constants_and_several_ranges)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 3);
	struct core_group_range ranges[] = {{.content = {CONTENT_FILE, {9}}},
					    {.first = 1, .count = 1},
					    {.first = 0, .count = 1, .slot = 1},
					    {.content = {CONTENT_TREE, {8}}}};
	p.groups[0] = (struct core_group){ranges, 4, false};
	p.group_count = 1;
	add_group_ref(&p, 2, 0);
	feed(&d, 1, &p);
	run_all(&d);
	struct content list[] = {
		{CONTENT_FILE, {9}}, content(2, 0), content(1, 1), {CONTENT_TREE, {8}}};
	struct content c = {CONTENT_LIST, {0}};
	sha256_digest(list, sizeof list, c.digest);
	cr_expect(holds(&d, 2, 2, c));
}

Test(flow, a_group_without_tasks_is_known_from_the_start)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 1);
	p.groups[0] = (struct core_group){NULL, 0, false};
	p.group_count = 1;
	add_group_ref(&p, 0, 0);
	feed(&d, 1, &p);
	run_all(&d);
	struct content c = {CONTENT_LIST, {0}};
	memcpy(c.digest, sha256_empty, DIGEST_SIZE);
	cr_expect(holds(&d, 0, 2, c));
	cr_expect_eq(seen(&d, CORE_FX_LIST_BLOB), 0, "the empty blob always exists");
}

Test(flow, who_depends_on_a_failed_task_is_skipped_naming_the_root)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 5);
	add_ref(&p, 1, 0, 0);
	add_need(&p, 2, 1);
	add_group_ref(&p, 3, add_group(&p, 2, 1, false));
	submit(&d, 1, &p);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	settle(&d);
	for (uint32_t i = 1; i <= 3; i++) {
		cr_expect_eq(status(&d, 1, i), CORE_SKIPPED);
		cr_expect_eq(last(&d, CORE_FX_TASK_ENDED, 1, i)->ended.upstream, 0);
	}
	complete(&d, 1, 4);
	struct core_counts c = batch_view(&d, 1).counts;
	cr_expect(c.failed == 1 && c.skipped == 3 && c.executed == 1);
	cr_expect(batch_view(&d, 1).ended);
}

Test(flow, a_task_behind_two_failures_is_skipped_once)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 3);
	add_ref(&p, 2, 0, 0);
	add_ref(&p, 2, 1, 0);
	submit(&d, 1, &p);
	finish(&d, 1, 1, CORE_OUT_FAILED, 0);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	cr_expect_eq(seen(&d, CORE_FX_TASK_ENDED), 3);
	cr_expect_eq(last(&d, CORE_FX_TASK_ENDED, 1, 2)->ended.upstream, 1);
}

Test(flow, a_list_that_skips_failures_waits_for_all_and_omits_them)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 5);
	add_ref(&p, 3, 2, 0); /* 3 will be skipped */
	add_group_ref(&p, 4, add_group(&p, 0, 4, true));
	submit(&d, 1, &p);
	finish(&d, 1, 2, CORE_OUT_FAILED, 0);
	complete(&d, 1, 0);
	settle(&d);
	cr_expect_eq(status(&d, 1, 4), CORE_WAITING);
	complete(&d, 1, 1);
	settle(&d);
	struct content list[] = {content(1, 0), content(2, 0)}, c = {CONTENT_LIST, {0}};
	sha256_digest(list, sizeof list, c.digest);
	cr_expect(holds(&d, 4, 2, c));
	cr_expect(granted(&d, 1, 4));
}

Test(flow, a_list_of_only_failures_is_empty)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 2);
	add_group_ref(&p, 1, add_group(&p, 0, 1, true));
	submit(&d, 1, &p);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	settle(&d);
	struct content c = {CONTENT_LIST, {0}};
	memcpy(c.digest, sha256_empty, DIGEST_SIZE);
	cr_expect(holds(&d, 1, 2, c));
	cr_expect(granted(&d, 1, 1));
}

Test(flow, content_types_of_members_are_hashed_with_them)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 2);
	struct core_group_range a = {.content = {CONTENT_FILE, {1}}},
				b = {.content = {CONTENT_EXEC, {1}}};
	p.groups[0] = (struct core_group){&a, 1, false};
	p.groups[1] = (struct core_group){&b, 1, false};
	p.group_count = 2;
	add_group_ref(&p, 0, 0);
	add_group_ref(&p, 1, 1);
	submit(&d, 1, &p);
	cr_expect_neq(
		memcmp(task(&d, 1, 0).args + 2, task(&d, 1, 1).args + 2, CONTENT_SIZE),
		0);
}

Test(flow, the_middle_of_a_diamond_may_be_skipped_while_the_rest_goes_on)
{
	DRIVER(d);
	struct plan p = {0};
	setup(&d, &p, 5);
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 0, 0);
	add_ref(&p, 3, 1, 0);
	add_ref(&p, 3, 2, 0);
	add_ref(&p, 4, 2, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	finish(&d, 1, 1, CORE_OUT_FAILED, 0);
	complete(&d, 1, 2);
	settle(&d);
	complete(&d, 1, 4);
	cr_expect_eq(status(&d, 1, 3), CORE_SKIPPED);
	cr_expect_eq(task(&d, 1, 3).upstream, 1);
	cr_expect_eq(status(&d, 1, 4), CORE_COMPLETED);
	cr_expect(batch_view(&d, 1).ended);
}
