/* dedup.c - equal work is done once: look-ups, joining, lingering, nonces. */
#include "tests/unit/core/driver.h"

static struct plan equal_tasks(uint32_t count, enum core_cache cache)
{
	struct plan p = {0};
	add_function(&p, (struct core_options){.cache = cache}, 0);
	for (uint32_t i = 0; i < count; i++)
		add_task(&p, 0, "same");
	return p;
}

/* Points of a moved plan into itself. */
static void fix(struct plan *p)
{
	for (uint32_t i = 0; i < p->task_count; i++) {
		p->tasks[i].args = p->args[i];
		p->tasks[i].refs = p->refs[i];
		p->tasks[i].needs = p->needs[i];
		if (p->tasks[i].nonce)
			p->tasks[i].nonce = p->nonces[i];
	}
}

static void answer_hit(struct driver *d, const struct core_effect *q, uint64_t commit,
		       const struct content *slots, uint32_t count)
{
	STEP(d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = q->lookup.exec,
			.hit = true,
			.commit = commit,
			.slots = slots,
			.slot_count = count});
}

Test(dedup, equal_tasks_of_one_batch_run_once)
{
	DRIVER(d);
	struct plan p = equal_tasks(3, CORE_CACHE_USE);
	fix(&p);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_LOOKUP), 1);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	cr_expect_eq(batch_view(&d, 1).counts.running, 3);
	complete(&d, 1, 0);
	struct core_counts c = batch_view(&d, 1).counts;
	cr_expect(c.executed == 1 && c.deduplicated == 2);
	cr_expect_eq(seen(&d, CORE_FX_COMMIT), 1);
	for (uint32_t i = 1; i < 3; i++) {
		cr_expect(task(&d, 1, i).deduplicated && !task(&d, 1, i).cached);
		cr_expect_eq(task(&d, 1, i).commit, 1);
	}
}

Test(dedup, equal_tasks_of_two_clients_run_once)
{
	DRIVER(d);
	struct plan p = equal_tasks(1, CORE_CACHE_USE);
	fix(&p);
	join(&d, 0, 4, 0);
	submit(&d, 1, &p);
	submit(&d, 2, &p);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 1);
	complete(&d, 1, 0);
	cr_expect_eq(batch_view(&d, 1).counts.executed, 1);
	cr_expect_eq(batch_view(&d, 2).counts.deduplicated, 1);
}

Test(dedup, a_hit_ends_tasks_as_cached_and_makes_no_commit)
{
	DRIVER(d);
	struct plan p = equal_tasks(2, CORE_CACHE_USE);
	fix(&p);
	join(&d, 0, 4, 0);
	feed(&d, 1, &p);
	answer_hit(&d, last(&d, CORE_FX_LOOKUP, 0, 0), 77, NULL, 0);
	cr_expect_eq(batch_view(&d, 1).counts.cached, 2);
	cr_expect_eq(task(&d, 1, 1).commit, 77);
	cr_expect_eq(seen(&d, CORE_FX_COMMIT) + seen(&d, CORE_FX_GRANT), 0);
	cr_expect(batch_view(&d, 1).ended);
}

Test(dedup, a_hit_passes_its_slots_on)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	add_ref(&p, 1, 0, 1);
	feed(&d, 1, &p);
	struct content slots[] = {content(5, 0), content(5, 1)};
	answer_hit(&d, last(&d, CORE_FX_LOOKUP, 1, 0), 77, slots, 2);
	cr_expect_arr_eq(task(&d, 1, 1).args + 1, &slots[1], CONTENT_SIZE);
	cr_expect(last(&d, CORE_FX_LOOKUP, 1, 1));
}

Test(dedup, a_hit_without_the_slots_that_were_asked_for_is_a_miss)
{
	DRIVER(d);
	struct plan p = {0};
	add_task(&p, 0, "a");
	add_task(&p, 0, "b");
	add_ref(&p, 1, 0, 0);
	join(&d, 0, 1, 0);
	feed(&d, 1, &p);
	struct content slots[] = {content(5, 0)};
	answer_hit(&d, last(&d, CORE_FX_LOOKUP, 1, 0), 77, slots, 1);
	cr_expect(granted(&d, 1, 0));
	complete(&d, 1, 0);
	cr_expect_eq(last(&d, CORE_FX_COMMIT, 1, 0)->commit.parent, 77);
}

Test(dedup, who_joins_a_lookup_and_needs_more_has_it_asked_again)
{
	DRIVER(d);
	struct plan one = {0}, two = {0};
	add_task(&one, 0, "a");
	add_task(&two, 0, "a");
	add_task(&two, 0, "b");
	add_ref(&two, 1, 0, 0);
	feed(&d, 1, &one);
	struct core_effect first = *last(&d, CORE_FX_LOOKUP, 0, 0);
	feed(&d, 2, &two);
	cr_expect_eq(seen(&d, CORE_FX_LOOKUP), 1);
	answer_hit(&d, &first, 77, NULL, 0);
	cr_assert_eq(seen(&d, CORE_FX_LOOKUP), 2);
	const struct core_effect *again = last(&d, CORE_FX_LOOKUP, 0, 0);
	cr_expect(again->lookup.exec == first.lookup.exec && again->lookup.need_slots &&
		  again->lookup.need_bytes);
	struct content slots[] = {content(5, 0), content(5, 1)};
	answer_hit(&d, again, 77, slots, 2);
	cr_expect_eq(status(&d, 1, 0), CORE_COMPLETED);
	cr_expect_eq(status(&d, 2, 0), CORE_COMPLETED);
}

Test(dedup, a_superseded_commit_becomes_the_parent)
{
	DRIVER(d);
	struct plan p = equal_tasks(1, CORE_CACHE_USE);
	fix(&p);
	join(&d, 0, 1, 0);
	feed(&d, 1, &p);
	STEP(&d, .type = CORE_EV_LOOKUP,
	     .lookup = {.exec = last(&d, CORE_FX_LOOKUP, 0, 0)->lookup.exec,
			.commit = 41});
	complete(&d, 1, 0);
	cr_expect_eq(last(&d, CORE_FX_COMMIT, 0, 0)->commit.parent, 41);
}

Test(dedup, an_execution_that_just_succeeded_is_joined_until_it_is_durable)
{
	DRIVER(d);
	struct plan p = equal_tasks(1, CORE_CACHE_USE);
	fix(&p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	submit(&d, 2, &p);
	cr_expect_eq(seen(&d, CORE_FX_LOOKUP), 1);
	cr_expect(task(&d, 2, 0).cached && !task(&d, 2, 0).deduplicated);
	cr_expect_eq(task(&d, 2, 0).commit, 1);
	durable(&d);
	feed(&d, 3, &p);
	cr_expect_eq(seen(&d, CORE_FX_LOOKUP), 2, "now the ledger knows");
}

Test(dedup, who_joins_a_lingering_execution_gets_its_slots)
{
	DRIVER(d);
	struct plan p = equal_tasks(1, CORE_CACHE_USE), q = {0};
	fix(&p);
	add_task(&q, 0, "same");
	add_task(&q, 0, "reader");
	add_ref(&q, 1, 0, 1);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	complete(&d, 1, 0);
	feed(&d, 2, &q);
	struct content c = content(1, 1);
	cr_expect_arr_eq(task(&d, 2, 1).args + 6, &c, CONTENT_SIZE);
}

Test(dedup, a_failed_execution_is_not_joined)
{
	DRIVER(d);
	struct plan p = equal_tasks(1, CORE_CACHE_USE);
	fix(&p);
	join(&d, 0, 1, 0);
	submit(&d, 1, &p);
	finish(&d, 1, 0, CORE_OUT_FAILED, 0);
	submit(&d, 2, &p);
	cr_expect_eq(seen(&d, CORE_FX_GRANT), 2);
	complete(&d, 2, 0);
	cr_expect_eq(batch_view(&d, 2).counts.executed, 1);
}

Test(dedup, forced_and_uncached_tasks_neither_join_nor_are_joined)
{
	for (int cache = CORE_CACHE_OFF; cache <= CORE_CACHE_FORCE; cache++) {
		DRIVER(d);
		struct plan used = equal_tasks(1, CORE_CACHE_USE),
			    p = equal_tasks(2, cache);
		fix(&used);
		fix(&p);
		p.nonces[1][15] = 1;
		join(&d, 0, 4, 0);
		submit(&d, 1, &used);
		feed(&d, 2, &p);
		cr_expect_eq(seen(&d, CORE_FX_LOOKUP), 3);
		cr_expect(last(&d, CORE_FX_LOOKUP, 2, 0)->lookup.parent_only);
		settle(&d);
		cr_expect_eq(seen(&d, CORE_FX_GRANT), 3);
		struct core_effect g = grant_of(&d, 2, 1);
		cr_expect(g.grant.lease.has_nonce && g.grant.lease.nonce[15] == 1);
		complete(&d, 2, 0);
		cr_expect_eq((int)last(&d, CORE_FX_COMMIT, 2, 0)->commit.cache, cache);
		submit(&d, 3, &p);
		cr_expect_eq(status(&d, 3, 0), CORE_RUNNING,
			     "not answered by the one before");
		cr_expect_eq(status(&d, 3, 1), CORE_RUNNING);
	}
}

Test(dedup, a_hit_is_ignored_by_forced_tasks_and_names_their_parent)
{
	DRIVER(d);
	struct plan p = equal_tasks(1, CORE_CACHE_FORCE);
	fix(&p);
	join(&d, 0, 1, 0);
	feed(&d, 1, &p);
	answer_hit(&d, last(&d, CORE_FX_LOOKUP, 0, 0), 9, NULL, 0);
	cr_expect(granted(&d, 1, 0));
	complete(&d, 1, 0);
	cr_expect_eq(last(&d, CORE_FX_COMMIT, 0, 0)->commit.parent, 9);
}

Test(dedup, the_same_function_with_other_outputs_is_other_work)
{
	DRIVER(d);
	struct plan p = {0};
	add_function(&p, (struct core_options){0}, 0);
	add_function(&p, (struct core_options){0}, 1);
	p.functions[1].hash[0] = p.functions[0].hash[0];
	add_task(&p, 0, "a");
	add_task(&p, 1, "a");
	feed(&d, 1, &p);
	cr_expect_eq(seen(&d, CORE_FX_LOOKUP), 2);
}

Test(dedup, answers_to_questions_nobody_asks_any_more_are_ignored)
{
	DRIVER(d);
	struct plan p = equal_tasks(1, CORE_CACHE_USE);
	fix(&p);
	join(&d, 0, 1, 0);
	feed(&d, 1, &p);
	struct core_effect q = *last(&d, CORE_FX_LOOKUP, 0, 0);
	STEP(&d, .type = CORE_EV_CANCEL, .batch = 1, .index = ALL);
	answer_hit(&d, &q, 1, NULL, 0);
	cr_expect_eq(status(&d, 1, 0), CORE_CANCELLED);
	submit(&d, 2, &p);
	STEP(&d, .type = CORE_EV_LOOKUP, .lookup = {.exec = q.lookup.exec, .hit = true});
	cr_expect_eq(status(&d, 2, 0), CORE_RUNNING);
}

Test(dedup, questions_are_asked_a_window_at_a_time)
{
	DRIVER(d);
	static struct core_task_spec specs[5000];
	static uint32_t args[5000];
	struct plan p = {0};
	add_function(&p, (struct core_options){0}, 0);
	for (uint32_t i = 0; i < 5000; i++) {
		args[i] = i;
		specs[i].args = (uint8_t *)&args[i];
		specs[i].args_size = 4;
	}
	d.unchecked = true;
	STEP(&d, .type = CORE_EV_BATCH_OPEN, .batch = 1);
	STEP(&d, .type = CORE_EV_BATCH_CHUNK, .batch = 1,
	     .chunk = {.options = p.options,
		       .option_count = 1,
		       .functions = p.functions,
		       .function_count = 1,
		       .tasks = specs,
		       .task_count = 5000});
	STEP(&d, .type = CORE_EV_BATCH_SEAL, .batch = 1);
	size_t first = seen(&d, CORE_FX_LOOKUP);
	cr_expect(first >= 1000 && first < 5000);
	cr_expect_gt(core_deadline(d.core), d.now,
		     "nothing to do before an answer comes");
	settle(&d);
	cr_expect_eq(seen(&d, CORE_FX_LOOKUP), 5000);
	core_check(d.core);
}
