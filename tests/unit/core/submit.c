/* submit.c - what is accepted, and what is refused whole. */
#include "tests/unit/core/driver.h"

static enum core_refusal refusal(struct driver *d, const struct plan *p)
{
	feed(d, 1, p);
	const struct core_effect *fx = last(d, CORE_FX_BATCH_REFUSED, 0, 0);
	struct core_batch_view v;
	cr_assert(fx, "accepted");
	cr_expect_eq(core_view_batch(d->core, 1, &v), 1, "still in memory");
	cr_expect_eq(seen(d, CORE_FX_BATCH_SEALED), 0);
	return fx->refused.why;
}

Test(submit, a_task_goes_through_lookup_grant_commit_end)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	join(&d, 0, 1, 0);
	feed(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_SEALED), 1);
	const struct core_effect *q = last(&d, CORE_FX_LOOKUP, 1, 0);
	cr_assert(q);
	cr_expect(q->lookup.need_bytes && !q->lookup.need_slots &&
		  !q->lookup.parent_only);
	uint8_t hash[DIGEST_SIZE];
	sha256_digest("a", 1, hash);
	cr_expect_arr_eq(q->lookup.args_hash, hash, DIGEST_SIZE);
	cr_expect_eq(status(&d, 1, 0), CORE_READY);
	settle(&d);
	struct core_effect g = grant_of(&d, 1, 0);
	cr_expect_eq(g.grant.attempt, 1);
	cr_expect_eq(g.grant.attempts_max, 1);
	cr_expect(g.grant.early);
	cr_expect_eq(g.grant.lease.epoch >> 32, 1);
	cr_expect(lease_verify(&g.grant.lease, d.config.mac_key));
	cr_expect_eq(status(&d, 1, 0), CORE_RUNNING);
	cr_expect_eq(task(&d, 1, 0).epoch, g.grant.lease.epoch);
	complete(&d, 1, 0);
	const struct core_effect *c = last(&d, CORE_FX_COMMIT, 1, 0);
	cr_assert(c);
	cr_expect(c->commit.completed && c->commit.commit == 1 &&
		  c->commit.attempts == 1);
	cr_expect_eq(c->commit.token, last(&d, CORE_FX_VERDICT, 0, 0)->verdict.token);
	cr_expect(last(&d, CORE_FX_VERDICT, 0, 0)->verdict.kept);
	cr_expect_eq(verdict(&d), CORE_ACCEPTED);
	const struct core_effect *e = last(&d, CORE_FX_TASK_ENDED, 1, 0);
	cr_expect(e->ended.status == CORE_COMPLETED && !e->ended.cached &&
		  e->ended.commit == 1);
	cr_expect_eq(last(&d, CORE_FX_BATCH_ENDED, 1, 0)->counts.executed, 1);
}

Test(submit, an_ended_batch_is_forgotten_once_it_is_durable)
{
	DRIVER(d);
	struct plan p = {0};
	struct core_batch_view v;
	add_task(&p, 0, "a");
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	STEP(&d, .type = CORE_EV_DURABLE, .durable = d.step - 1);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_FORGOTTEN), 0);
	durable(&d);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_FORGOTTEN), 1);
	cr_expect_eq(core_view_batch(d.core, 1, &v), 1);
}

Test(submit, an_empty_batch_ends_at_once)
{
	DRIVER(d);
	struct plan p = {0};
	submit(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_ENDED), 1);
	durable(&d);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_FORGOTTEN), 1);
}

Test(submit, nothing_of_an_unsealed_batch_runs)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	join(&d, 0, 1, 0);
	STEP(&d, .type = CORE_EV_BATCH_OPEN, .batch = 1);
	STEP(&d, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
	     .chunk = {.options = p.options,
		       .option_count = 1,
		       .functions = p.functions,
		       .function_count = 1,
		       .tasks = p.tasks,
		       .task_count = 1});
	settle(&d);
	cr_expect_eq(d.count, 0);
	STEP(&d, .type = CORE_EV_BATCH_DISCARD, .batch = 1);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_DISCARDED), 1);
	STEP(&d, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_SEALED), 0);
}

Test(submit, an_unsealed_batch_without_chunks_is_discarded_if_configured)
{
	struct driver d __attribute__((cleanup(driver_fini))) = {.config.unsealed_ns =
									 60 * SECOND};
	driver_init(&d);
	STEP(&d, .type = CORE_EV_BATCH_OPEN, .batch = 1);
	pass(&d, 50 * SECOND);
	STEP(&d, .type = CORE_EV_BATCH_CHUNK, .batch = 1);
	pass(&d, 50 * SECOND);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_DISCARDED), 0);
	pass(&d, 11 * SECOND);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_DISCARDED), 1);
}

Test(submit, chunks_may_refer_forward_to_later_chunks)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "reader");
	add_ref(&p, 0, 1, 0);
	add_task(&p, 0, "writer");
	join(&d, 0, 1, 0);
	STEP(&d, .type = CORE_EV_BATCH_OPEN, .batch = 1);
	STEP(&d, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
	     .chunk = {.options = p.options,
		       .option_count = 1,
		       .functions = p.functions,
		       .function_count = 1,
		       .tasks = p.tasks,
		       .task_count = 1});
	STEP(&d, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
	     .chunk = {.tasks = p.tasks + 1, .task_count = 1});
	STEP(&d, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	run_all(&d);
	cr_expect_eq(batch_view(&d, 1).counts.executed, 2);
}

Test(submit, function_numbers_are_checked)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	p.tasks[0].function = 1;
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_FUNCTION);
}

Test(submit, options_numbers_are_checked)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	p.functions[0].options = 7;
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_FUNCTION);
}

Test(submit, a_placeholder_must_lie_within_the_arguments)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	add_ref(&p, 1, 0, 0);
	p.refs[1][0].offset++;
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_REF);
}

Test(submit, an_offset_near_the_end_of_numbers_does_not_wrap)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	add_ref(&p, 1, 0, 0);
	p.refs[1][0].offset = UINT32_MAX - 3;
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_REF);
}

Test(submit, placeholders_may_come_in_any_order_but_not_overlap)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	for (int i = 0; i < 5; i++)
		add_ref(&p, 1, 0, 0);
	struct core_ref first = p.refs[1][0];
	p.refs[1][0] = p.refs[1][4];
	p.refs[1][4] = first;
	feed(&d, 2, &p);
	cr_expect_eq(seen(&d, CORE_FX_BATCH_SEALED), 1);
	driver_forget(&d);
	p.refs[1][2].offset += 32;
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_REF);
}

Test(submit, targets_must_exist)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_ref(&p, 0, 5, 0);
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_REF);
}

Test(submit, groups_must_exist)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_group_ref(&p, 0, 0);
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_REF);
}

Test(submit, slots_must_exist)
{
	DRIVER(d);
	struct plan p = {0};
	uint32_t f = add_function(&p, (struct core_options){0}, 2);
	add_task(&p, f, "a");
	add_task(&p, f, "b");
	add_ref(&p, 1, 0, 4);
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_REF);
}

Test(submit, members_of_groups_must_exist)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_group(&p, 0, 2, false);
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_REF);
}

Test(submit, a_range_that_wraps_around_is_refused)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_group(&p, UINT32_MAX, 2, false);
	cr_expect_eq(refusal(&d, &p), CORE_R_BAD_REF);
}

Test(submit, groups_have_a_limit_of_members)
{
	DRIVER(d);
	static struct core_group_range ranges[300];
	struct plan p = {0};
	static struct core_task_spec tasks[65536];
	add_task(&p, 0, "a");
	for (int i = 0; i < 300; i++)
		ranges[i] = (struct core_group_range){.count = 65536};
	for (int i = 0; i < 65536; i++)
		tasks[i].args = p.args[0];
	p.groups[0] = (struct core_group){ranges, 300, false};
	d.unchecked = true;
	STEP(&d, .type = CORE_EV_BATCH_OPEN, .batch = 1);
	STEP(&d, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
	     .chunk = {.options = p.options,
		       .option_count = 1,
		       .functions = p.functions,
		       .function_count = 1,
		       .groups = p.groups,
		       .group_count = 1,
		       .tasks = tasks,
		       .task_count = 65536});
	STEP(&d, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	cr_assert_eq(seen(&d, CORE_FX_BATCH_REFUSED), 1);
	cr_expect_eq(last(&d, CORE_FX_BATCH_REFUSED, 0, 0)->refused.why,
		     CORE_R_TOO_LARGE);
}

Test(submit, references_to_oneself_are_refused)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_ref(&p, 0, 0, 0);
	cr_expect_eq(refusal(&d, &p), CORE_R_SELF_REF);
}

Test(submit, needing_oneself_is_refused)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_need(&p, 0, 0);
	cr_expect_eq(refusal(&d, &p), CORE_R_SELF_REF);
}

Test(submit, reading_a_group_that_one_is_in_is_a_reference_to_oneself)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	add_group_ref(&p, 1, add_group(&p, 0, 2, false));
	cr_expect_eq(refusal(&d, &p), CORE_R_SELF_REF);
	cr_expect_eq(last(&d, CORE_FX_BATCH_REFUSED, 0, 0)->index, 1);
}

Test(submit, a_cycle_is_refused_and_its_tasks_are_named_in_order)
{
	DRIVER(d);
	struct plan p = {0};
	for (int i = 0; i < 6; i++)
		add_task(&p, 0, "x");
	add_ref(&p, 1, 0, 0); /* 0 -> 1, not on the cycle */
	add_ref(&p, 2, 4, 0); /* 2 -> 3 -> 4 -> 2 */
	add_need(&p, 3, 2);
	add_group_ref(&p, 4, add_group(&p, 3, 1, false));
	add_ref(&p, 5, 4, 0); /* behind it */
	feed(&d, 1, &p);
	const struct core_effect *fx = last(&d, CORE_FX_BATCH_REFUSED, 0, 0);
	cr_assert(fx);
	cr_expect_eq(fx->refused.why, CORE_R_CYCLE);
	cr_assert_eq(fx->refused.index_count, 3);
	uint32_t at = fx->refused.indices[0];
	for (uint32_t i = 0; i < 3; i++, at = at == 4 ? 2 : at + 1)
		cr_expect_eq(fx->refused.indices[i], at);
}

Test(submit, nonces_are_required_exactly_when_the_cache_is_not_used)
{
	struct plan p = {0};
	uint8_t nonce[NONCE_SIZE] = {1};
	{
		DRIVER(d);
		add_task(&p, 0, "a");
		p.tasks[0].nonce = nonce;
		cr_expect_eq(refusal(&d, &p), CORE_R_BAD_NONCE);
	}
	for (int mode = CORE_CACHE_OFF; mode <= CORE_CACHE_FORCE; mode++) {
		DRIVER(d);
		p.options[0].cache = mode;
		p.tasks[0].nonce = NULL;
		cr_expect_eq(refusal(&d, &p), CORE_R_BAD_NONCE);
	}
}

Test(submit, bad_options_are_refused)
{
	struct core_options bad[] = {
		{.cache = 3},
		{.resource_count = 1, .resources = {{"", 1}}},
		{.resource_count = 2, .resources = {{"gpus", 1}, {"gpus", 2}}},
		{.resource_count = 17},
		{.resource_count = UINT32_MAX},
		{.resource_count = 1},
	};
	memset(bad[5].resources[0].name, 'x', CORE_RESOURCE_NAME);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		DRIVER(d);
		struct plan p = {0};
		add_function(&p, bad[i], 0);
		cr_expect_eq(refusal(&d, &p), CORE_R_BAD_OPTIONS, "%zu", i);
	}
}

Test(submit, events_for_batches_that_do_not_exist_change_nothing)
{
	DRIVER(d);
	for (int type = CORE_EV_BATCH_CHUNK; type <= CORE_EV_RESUME; type++)
		STEP(&d, .type = type, .batch = 77);
	STEP(&d, .type = CORE_EV_OLD_END, .batch = 77);
	STEP(&d, .type = CORE_EV_OLD_LEASE, .batch = 77);
	STEP(&d, .type = CORE_EV_LOOKUP, .lookup = {.exec = 12345});
	cr_expect_eq(d.count, 0);
}
