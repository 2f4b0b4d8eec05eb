/* revive.c - inputs whose bytes have vanished are made again. */
#include "tests/unit/core/driver.h"

/* maker(0) -> reader(1); the maker has ended, the reader is granted. */
static void chain(struct driver *d, struct plan *p)
{
	add_task(p, 0, "maker");
	add_task(p, 0, "reader");
	add_ref(p, 1, 0, 0);
	join(d, 0, 4, 0);
	submit(d, 1, p);
	complete(d, 1, 0);
	settle(d);
	durable(d);
	cr_assert(granted(d, 1, 1));
}

static void lose(struct driver *d, uint32_t index, struct content missing)
{
	struct core_effect g = grant_of(d, 1, index);
	report_missing(d, g.worker, &g.grant.lease, missing);
	settle(d);
}

Test(revive, the_maker_runs_again_and_the_reader_goes_on)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	lose(&d, 1, content(1, 0));
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	cr_expect_eq(status(&d, 1, 1), CORE_WAITING);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED, "over is over");
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 3);
	complete(&d, 1, 0);
	cr_expect_eq(last(&d, CORE_FX_COMMIT, 1, 0)->commit.parent, 1);
	cr_expect_eq(seen(&d, CORE_FX_TASK_ENDED), 1);
	cr_assert_eq(seen(&d, CORE_FX_GRANT), 4);
	cr_expect_eq(grant_of(&d, 1, 1).grant.attempt, 1, "counted no attempt");
	complete(&d, 1, 1);
	cr_expect(batch_view(&d, 1).ended);
	durable(&d);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_FORGOTTEN), 1);
}

Test(revive, a_reader_is_resolved_anew_when_the_output_differs)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	uint8_t before[DIGEST_SIZE];
	memcpy(before, task(&d, 1, 1).args_hash, DIGEST_SIZE);
	lose(&d, 1, content(1, 0));
	finish(&d, 1, 0, CORE_OUT_COMPLETED, 99);
	settle(&d);
	struct content c = content(99, 0);
	cr_expect_arr_eq(task(&d, 1, 1).args + 6, &c, CONTENT_SIZE);
	cr_expect_neq(memcmp(task(&d, 1, 1).args_hash, before, DIGEST_SIZE), 0);
	cr_expect_arr_eq(last(&d, CORE_FX_LOOKUP, 1, 1)->lookup.args_hash,
			 task(&d, 1, 1).args_hash, DIGEST_SIZE);
	complete(&d, 1, 1);
	cr_expect(batch_view(&d, 1).ended);
}

Test(revive, two_readers_wait_for_one_maker)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "maker");
	add_task(&p, 0, "reader1");
	add_task(&p, 0, "reader2");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 0, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	durable(&d);
	lose(&d, 1, content(1, 0));
	lose(&d, 2, content(1, 0));
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 4);
	complete(&d, 1, 0);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 6);
}

Test(revive, an_input_that_no_task_made_fails_the_task)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	lose(&d, 1, content(77, 0));
	cr_expect_eq(status(&d, 1, 1), CORE_FAILED);
	const struct core_effect *c = last(&d, CORE_FX_COMMIT, 1, 1);
	struct content want = content(77, 0);
	cr_assert(c && c->commit.lost_input && !c->commit.completed);
	cr_expect_arr_eq(c->commit.missing, want.digest, DIGEST_SIZE);
	cr_expect(c->commit.token && last(&d, CORE_FX_VERDICT, 0, 0)->verdict.kept);
}

Test(revive, a_maker_that_fails_now_loses_the_input)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	lose(&d, 1, content(1, 0));
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	settle(&d);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED);
	cr_expect_eq(status(&d, 1, 1), CORE_FAILED);
	cr_expect(last(&d, CORE_FX_COMMIT, 1, 1)->commit.lost_input);
	cr_expect(batch_view(&d, 1).ended);
}

Test(revive, a_maker_whose_bytes_are_there_does_not_run_again)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	struct core_effect g = grant_of(&d, 1, 1);
	report_missing(&d, 0, &g.grant.lease, content(1, 0));
	const struct core_effect *q = last(&d, CORE_FX_LOOKUP, 1, 0);
	cr_assert(q->lookup.need_bytes && q->lookup.need_slots && !q->lookup.parent_only);
	struct content slots[2] = {content(1, 0), content(1, 1)};
	STEP(&d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = q->lookup.exec,
			.hit = true,
			.commit = 1,
			.slots = slots,
			.slot_count = 2});
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 3);
	cr_expect_eq(status(&d, 1, 1), CORE_RUNNING);
}

Test(revive, bytes_that_are_missing_right_after_a_hit_are_made_again_whatever_it_said)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	struct content slots[2] = {content(1, 0), content(1, 1)};
	for (int i = 0; i < 2; i++) {
		struct core_effect g = grant_of(&d, 1, 1);
		report_missing(&d, 0, &g.grant.lease, content(1, 0));
		const struct core_effect *q = last(&d, CORE_FX_LOOKUP, 1, 0);
		cr_expect_eq(q->lookup.parent_only, i == 1);
		STEP(&d, .type = CORE_EV_LOOKUP,
		     .lookup = {.exec = q->lookup.exec,
				.hit = true,
				.commit = 1,
				.slots = slots,
				.slot_count = 2});
	}
	cr_expect_eq(status(&d, 1, 1), CORE_WAITING);
	complete(&d, 1, 0);
	cr_expect_eq(last(&d, CORE_FX_COMMIT, 1, 0)->commit.parent, 1);
	complete(&d, 1, 1);
	cr_expect(batch_view(&d, 1).ended);
}

/* One of them is always told that the bytes are there; that must not keep the others from asking
 * for more than words. */
Test(revive, readers_that_miss_the_same_in_turns_get_it_made_again)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "maker");
	add_task(&p, 0, "reader1");
	add_task(&p, 0, "reader2");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 0, 0);
	join(&d, 0, 8, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	durable(&d);
	struct content slots[2] = {content(1, 0), content(1, 1)};
	for (uint32_t i = 0; i < 4; i++) {
		struct core_effect g = grant_of(&d, 1, 1 + i % 2);
		report_missing(&d, 0, &g.grant.lease, content(1, 0));
		STEP(&d, .type = CORE_EV_LOOKUP,
		     .lookup = {.exec = last(&d, CORE_FX_LOOKUP, 1, 0)->lookup.exec,
				.hit = true,
				.commit = 1,
				.slots = slots,
				.slot_count = 2});
	}
	cr_expect_eq(status(&d, 1, 1), CORE_WAITING);
	cr_expect(last(&d, CORE_FX_LOOKUP, 1, 0)->lookup.parent_only);
	complete(&d, 1, 0);
	complete(&d, 1, 1);
	complete(&d, 1, 2);
	cr_expect(batch_view(&d, 1).ended);
}

/* The second reader missed what is there again by now, and the ledger does not know it yet. */
Test(revive, a_forced_maker_that_is_not_durable_yet_is_not_made_a_third_time)
{
	DRIVER(d);
	struct plan p = {0};
	uint32_t f =
		add_function(&p, (struct core_options){.cache = CORE_CACHE_FORCE}, 0);
	uint32_t g = add_function(&p, (struct core_options){0}, 0);
	add_task(&p, f, "maker");
	add_task(&p, g, "reader1");
	add_task(&p, g, "reader2");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 0, 0);
	join(&d, 0, 8, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	durable(&d);
	struct core_effect second = grant_of(&d, 1, 2);
	lose(&d, 1, content(1, 0));
	complete(&d, 1, 0);
	size_t lookups = seen(&d, CORE_FX_LOOKUP);
	report_missing(&d, 0, &second.grant.lease, content(1, 0));
	settle(&d);
	cr_expect_eq(seen(&d, CORE_FX_LOOKUP), lookups);
	cr_expect_eq(status(&d, 1, 2), CORE_RUNNING);
	complete(&d, 1, 1);
	complete(&d, 1, 2);
	cr_expect(batch_view(&d, 1).ended);
	durable(&d);
}

Test(revive, readers_in_all_batches_are_resolved_anew_when_the_output_differs)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "maker");
	add_task(&p, 0, "reader");
	add_ref(&p, 1, 0, 0);
	submit(&d, 1, &p);
	submit(&d, 2, &p);
	join(&d, 0, 4, 0);
	complete(&d, 1, 0);
	settle(&d);
	durable(&d);
	lose(&d, 1, content(1, 0));
	finish(&d, 1, 0, CORE_OUT_COMPLETED, 99);
	settle(&d);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 4);
	for (uint64_t b = 1; b <= 2; b++) {
		struct content c = content(99, 0);
		struct core_task_view v = task(&d, b, 1);
		cr_expect_arr_eq(v.args + 6, &c, CONTENT_SIZE);
		cr_expect_eq(v.status, CORE_RUNNING);
	}
	complete(&d, 1, 1);
	cr_expect(batch_view(&d, 1).ended && batch_view(&d, 2).ended);
}

Test(revive, a_reader_that_ran_while_its_input_changed_is_told_before_it_forces_anything)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "maker");
	add_task(&p, 0, "reader1");
	add_task(&p, 0, "reader2");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 0, 0);
	join(&d, 0, 8, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	durable(&d);
	struct content slots[2] = {content(1, 0), content(1, 1)};
	struct core_effect g = grant_of(&d, 1, 2);
	report_missing(&d, 0, &g.grant.lease, content(1, 0));
	STEP(&d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = last(&d, CORE_FX_LOOKUP, 1, 0)->lookup.exec,
			.hit = true,
			.commit = 1,
			.slots = slots,
			.slot_count = 2}); /* goes again, with what it had */
	lose(&d, 1, content(1, 0));
	finish(&d, 1, 0, CORE_OUT_COMPLETED, 99);
	settle(&d);
	g = grant_of(&d, 1, 2);
	report_missing(&d, 0, &g.grant.lease, content(1, 0));
	const struct core_effect *q = last(&d, CORE_FX_LOOKUP, 1, 0);
	cr_expect(!q->lookup.parent_only, "the new one is there");
	struct content c = content(99, 0);
	settle(&d);
	cr_expect_arr_eq(task(&d, 1, 2).args + 7, &c, CONTENT_SIZE);
}

/* Two batches read the same list. In one of them the maker has already been made again, with another
 * output, while the reader ran; in the other one nobody has been told. */
Test(revive, a_list_may_have_changed_in_one_batch_and_not_in_the_other)
{
	DRIVER(d);
	struct plan p = {0}, q = {0};
	struct plan *both[] = {&p, &q};
	for (int i = 0; i < 2; i++) {
		add_task(both[i], 0, "maker");
		add_task(both[i], 0, "reader");
		add_group_ref(both[i], 1, add_group(both[i], 0, 1, false));
	}
	add_task(&p, 0, "other");
	add_ref(&p, 2, 0, 0);
	submit(&d, 1, &p);
	submit(&d, 2, &q);
	join(&d, 0, 4, 0);
	complete(&d, 1, 0);
	settle(&d);
	durable(&d);
	lose(&d, 2, content(1, 0)); /* "other" does, the readers run on */
	finish(&d, 1, 0, CORE_OUT_COMPLETED, 99);
	settle(&d);
	durable(&d);
	struct core_effect g = grant_of(&d, 1, 1);
	report_missing(&d, 0, &g.grant.lease, content(1, 0));
	const struct core_effect *asked = last(&d, CORE_FX_LOOKUP, 2, 0);
	cr_assert(asked && !asked->lookup.parent_only);
	struct content slots[2] = {content(99, 0), content(99, 1)};
	STEP(&d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = asked->lookup.exec,
			.hit = true,
			.commit = 2,
			.slots = slots,
			.slot_count = 2});
	settle(&d);
	for (uint64_t b = 1; b <= 2; b++)
		cr_expect_eq(status(&d, b, 1), CORE_RUNNING);
	cr_expect_arr_eq(task(&d, 1, 1).args_hash, task(&d, 2, 1).args_hash, DIGEST_SIZE);
	complete(&d, 1, 1);
	complete(&d, 1, 2);
	cr_expect(batch_view(&d, 1).ended && batch_view(&d, 2).ended);
}

Test(revive, what_is_made_again_goes_before_those_who_would_miss_it_too)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "maker");
	for (uint32_t i = 1; i < 10; i++) {
		char text[] = {'r', (char)('0' + i), 0};
		add_ref(&p, add_task(&p, 0, text), 0, 0);
	}
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	durable(&d);
	lose(&d, 1, content(1, 0)); /* the next one is running already */
	complete(&d, 1, 2);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 4);
	complete(&d, 1, 0);
	cr_expect_eq(status(&d, 1, 1), CORE_RUNNING);
}

Test(revive, the_same_bytes_cannot_be_missing_for_ever)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	for (int i = 0; i < 50 && status(&d, 1, 1) == CORE_RUNNING; i++) {
		lose(&d, 1, content(1, 0));
		if (status(&d, 1, 1) == CORE_WAITING)
			complete(&d, 1, 0);
	}
	cr_expect_eq(status(&d, 1, 1), CORE_FAILED);
}

/* a -> b -> c; c misses what b wrote, b is to run again and misses what a wrote, and that comes out
 * differently this time. */
Test(revive, a_maker_whose_own_input_differs_now_is_resolved_anew)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	add_task(&p, 0, "c");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 1, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	complete(&d, 1, 1);
	settle(&d);
	durable(&d);
	lose(&d, 2, content(2, 0));
	lose(&d, 1, content(1, 0));
	finish(&d, 1, 0, CORE_OUT_COMPLETED, 99);
	settle(&d);
	struct core_effect g = grant_of(&d, 1, 1);
	struct content c = content(99, 0);
	struct core_task_view b = task(&d, 1, 1);
	cr_expect_arr_eq(b.args + 1, &c, CONTENT_SIZE);
	cr_expect_arr_eq(g.grant.lease.args_hash, b.args_hash, DIGEST_SIZE);
	complete(&d, 1, 1);
	cr_expect_eq(last(&d, CORE_FX_COMMIT, 1, 1)->commit.parent, 0,
		     "it is other work than the first time");
	settle(&d);
	complete(&d, 1, 2);
	cr_expect(batch_view(&d, 1).ended);
}

Test(revive, a_lost_list_is_announced_again)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "maker");
	add_task(&p, 0, "reader");
	add_group_ref(&p, 1, add_group(&p, 0, 1, false));
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	cr_assert_eq(seen(&d, CORE_FX_LIST_BLOB), 1);
	struct content list;
	memcpy(&list, task(&d, 1, 1).args + 6, CONTENT_SIZE);
	lose(&d, 1, list);
	cr_expect_eq(seen(&d, CORE_FX_LIST_BLOB), 2);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 3);
	complete(&d, 1, 1);
	cr_expect(batch_view(&d, 1).ended);
}

/* makers 0, 1 and 2 (fails) -> list that skips failures -> readers 3 and 4 */
static void listed(struct driver *d, struct plan *p)
{
	add_task(p, 0, "fails");
	add_task(p, 0, "maker1");
	add_task(p, 0, "maker2");
	uint32_t g = add_group(p, 0, 3, true);
	add_task(p, 0, "reader1");
	add_task(p, 0, "reader2");
	add_group_ref(p, 3, g);
	add_group_ref(p, 4, g);
	join(d, 0, 8, 0);
	submit(d, 1, p);
	finish(d, 1, 0, CORE_OUT_FAILED, 0);
	complete(d, 1, 1);
	complete(d, 1, 2);
	settle(d);
	durable(d);
	cr_assert(granted(d, 1, 3) && granted(d, 1, 4));
}

Test(revive, a_member_of_a_list_is_found_by_its_content)
{
	DRIVER(d);
	struct plan p = {0};
	listed(&d, &p);
	lose(&d, 3, content(3, 0));
	cr_expect_eq(grant_of(&d, 1, 2).grant.lease.epoch,
		     d.log[d.count - 1].grant.lease.epoch);
	complete(&d, 1, 2);
	settle(&d);
	complete(&d, 1, 3);
	complete(&d, 1, 4);
	cr_expect(batch_view(&d, 1).ended);
}

Test(revive, a_list_with_a_changed_member_is_another_list)
{
	DRIVER(d);
	struct plan p = {0};
	listed(&d, &p);
	lose(&d, 3, content(3, 0));
	finish(&d, 1, 2, CORE_OUT_COMPLETED, 99);
	settle(&d);
	struct content list[] = {content(2, 0), content(99, 0)}, c = {CONTENT_LIST, {0}};
	sha256_digest(list, sizeof list, c.digest);
	cr_expect_arr_eq(task(&d, 1, 3).args + 7, &c, CONTENT_SIZE);
	cr_expect_neq(memcmp(task(&d, 1, 4).args + 7, &c, CONTENT_SIZE), 0,
		      "it runs with the old");
	lose(&d, 4, content(3, 0));
	cr_expect_arr_eq(task(&d, 1, 4).args + 7, &c, CONTENT_SIZE,
			 "now it has the new one too");
	complete(&d, 1, 3);
	complete(&d, 1, 4);
	cr_expect(batch_view(&d, 1).ended);
}

Test(revive, bytes_inside_a_folder_are_found_by_looking_every_folder_up)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "maker");
	add_task(&p, 0, "reader");
	add_ref(&p, 1, 0, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	struct content slots[2] = {{CONTENT_TREE, {5}}, {CONTENT_FILE, {6}}};
	STEP(&d, .type = CORE_EV_RESULT, .worker = 0,
	     .result = {.lease = grant_of(&d, 1, 0).grant.lease,
			.slots = slots,
			.slot_count = 2});
	settle(&d);
	durable(&d);
	struct core_effect g = grant_of(&d, 1, 1);
	report_missing(&d, 0, &g.grant.lease, content(50, 0));
	const struct core_effect *q = last(&d, CORE_FX_LOOKUP, 1, 0);
	cr_assert(q && q->lookup.need_bytes && q->lookup.need_slots);
	answer_misses(&d);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 3, "not whole: it runs again");
	STEP(&d, .type = CORE_EV_RESULT, .worker = 0,
	     .result = {.lease = grant_of(&d, 1, 0).grant.lease,
			.slots = slots,
			.slot_count = 2});
	settle(&d);
	complete(&d, 1, 1);
	cr_expect(batch_view(&d, 1).ended);
}

Test(revive, cancelling_the_reader_lets_the_maker_go)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	lose(&d, 1, content(1, 0));
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 1, .index = ALL);
	cr_expect_eq(seen(&d, CORE_FX_STOP), 1);
	cr_expect(batch_view(&d, 1).ended);
	finish(&d, 1, 0, CORE_OUT_STOPPED, 0);
	durable(&d);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_FORGOTTEN), 1);
}

Test(revive, makers_before_makers_are_revived_in_turn)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "first");
	add_task(&p, 0, "second");
	add_task(&p, 0, "third");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 1, 0);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	complete(&d, 1, 1);
	settle(&d);
	durable(&d);
	lose(&d, 2, content(2, 0)); /* the second runs again, and misses its input */
	lose(&d, 1, content(1, 0));
	complete(&d, 1, 0);
	settle(&d);
	complete(&d, 1, 1);
	settle(&d);
	complete(&d, 1, 2);
	cr_expect(batch_view(&d, 1).ended);
	cr_expect_eq(batch_view(&d, 1).counts.executed, 3);
}

Test(revive, a_follower_in_another_batch_waits_too_and_goes_on)
{
	DRIVER(d);
	struct plan p = {0};
	chain(&d, &p);
	durable(&d);
	feed(&d, 2, &p);
	struct content slots[2] = {content(1, 0), content(1, 1)};
	STEP(&d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = last(&d, CORE_FX_LOOKUP, 2, 0)->lookup.exec,
			.hit = true,
			.commit = 1,
			.slots = slots,
			.slot_count = 2});
	cr_expect_eq(status(&d, 2, 1), CORE_RUNNING);
	lose(&d, 1, content(1, 0));
	cr_expect_eq(status(&d, 2, 1), CORE_WAITING);
	complete(&d, 1, 0);
	settle(&d);
	complete(&d, 1, 1);
	cr_expect_eq(status(&d, 2, 1), CORE_COMPLETED);
}

Test(revive, an_attempt_that_began_before_the_bytes_were_made_again_does_not_force_it)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "maker");
	add_task(&p, 0, "reader1");
	add_task(&p, 0, "reader2");
	add_ref(&p, 1, 0, 0);
	add_ref(&p, 2, 0, 0);
	join(&d, 0, 8, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	settle(&d);
	durable(&d);
	struct content slots[2] = {content(1, 0), content(1, 1)};
	for (uint32_t i = 1; i <= 2;
	     i++) { /* both miss it; the look-up says it is there */
		struct core_effect g = grant_of(&d, 1, i);
		report_missing(&d, 0, &g.grant.lease, content(1, 0));
		STEP(&d, .type = CORE_EV_LOOKUP,
		     .lookup = {.exec = last(&d, CORE_FX_LOOKUP, 1, 0)->lookup.exec,
				.hit = true,
				.commit = 1,
				.slots = slots,
				.slot_count = 2});
	}
	struct core_effect second = grant_of(&d, 1, 2);
	lose(&d, 1, content(1, 0));
	complete(&d, 1, 0); /* made again */
	size_t commits = seen(&d, CORE_FX_COMMIT);
	report_missing(&d, 0, &second.grant.lease, content(1, 0));
	settle(&d);
	cr_expect_eq(status(&d, 1, 2), CORE_RUNNING, "it is there by now");
	cr_expect_eq(seen(&d, CORE_FX_COMMIT), commits);
	complete(&d, 1, 1);
	complete(&d, 1, 2);
	cr_expect(batch_view(&d, 1).ended);
}
