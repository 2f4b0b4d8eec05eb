/* graph.c - what gc may let go, on small worlds that are easy to think through. */
#include "broker/care/graph.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <string.h>

static uint32_t node(struct graph *g, const char *name)
{
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(name, strlen(name), digest);
	return graph_node(g, digest);
}

static uint32_t stored(struct graph *g, const char *name, uint64_t bytes)
{
	uint32_t n = node(g, name);
	graph_bytes(g, n, bytes);
	return n;
}

static uint32_t commit(struct graph *g, uint64_t seq, uint64_t used_ms)
{
	return graph_commit(g, &(struct graph_commit){.seq = seq,
						      .used_ms = used_ms,
						      .duration_ns = 10,
						      .record_bytes = 1,
						      .completed = true});
}

/* prep (1) makes a of file, train (2) makes b of a, report (3) makes c of b. */
static struct graph *chain(void)
{
	struct graph *g = graph_new(42);
	commit(g, 1, 100);
	graph_output(g, stored(g, "a", 1000));
	graph_log(g, stored(g, "log a", 50));
	graph_input(g, stored(g, "file", 500));
	graph_code(g, stored(g, "code", 5));
	commit(g, 2, 200);
	graph_output(g, stored(g, "b", 2000));
	graph_input(g, node(g, "a"));
	commit(g, 3, 300);
	graph_output(g, stored(g, "c", 3000));
	graph_input(g, node(g, "b"));
	return g;
}

static struct graph_sums choose(struct graph *g, struct graph_policy policy)
{
	struct graph_sums sums;
	graph_settle(g);
	graph_choose(g, &policy, &sums);
	return sums;
}

Test(gc,
     bytes_of_an_old_intermediate_go_and_its_record_stays_while_what_was_made_of_it_does)
{
	struct graph *g = chain();
	struct graph_sums sums = choose(g, (struct graph_policy){.before_ms = 250});
	cr_assert_eq(sums.results, 2);
	cr_assert_eq(sums.records, 0);
	cr_assert_eq(sums.compute_ns, 20);
	cr_assert_eq(graph_fate(g, 0), GRAPH_NO_BYTES);
	cr_assert_eq(graph_fate(g, 1), GRAPH_NO_BYTES);
	cr_assert_eq(graph_fate(g, 2), GRAPH_KEPT);
	cr_assert_not(graph_is_needed(g, node(g, "a")));
	cr_assert_not(graph_is_needed(g, node(g, "b")));
	cr_assert(graph_is_needed(g, node(g, "c")));
	cr_assert(graph_is_needed(g, node(g, "file")), "nothing makes it again");
	cr_assert(graph_is_needed(g, node(g, "code")));
	cr_assert_eq(sums.bytes, 3050);
	cr_assert_eq(sums.left_bytes, 3000 + 505 + 3);
	graph_free(g);
}

Test(gc, with_the_last_reader_the_records_of_a_whole_chain_go)
{
	struct graph *g = chain();
	struct graph_sums sums = choose(g, (struct graph_policy){.all = true});
	cr_assert_eq(sums.results, 3);
	cr_assert_eq(sums.records, 3);
	cr_assert_eq(sums.left_bytes, 0);
	cr_assert_not(graph_is_needed(g, node(g, "file")));
	graph_free(g);
}

/* source (1) makes a, copy (2) makes a of a; there (3) makes c of b and back (4) b of c. */
static struct graph *rings(void)
{
	struct graph *g = graph_new(7);
	commit(g, 1, 100);
	graph_output(g, stored(g, "a", 1000));
	commit(g, 2, 200);
	graph_output(g, node(g, "a"));
	graph_input(g, node(g, "a"));
	commit(g, 3, 300);
	graph_output(g, stored(g, "c", 10));
	graph_input(g, node(g, "b"));
	commit(g, 4, 400);
	graph_output(g, stored(g, "b", 20));
	graph_input(g, node(g, "c"));
	return g;
}

Test(gc, records_that_only_read_each_other_go)
{
	struct graph *g = rings();
	struct graph_sums sums = choose(g, (struct graph_policy){.all = true});
	cr_assert_eq(sums.records, 4);
	cr_assert_eq(sums.left_bytes, 0);
	graph_free(g);
	g = rings();
	sums = choose(g, (struct graph_policy){.has_max = true, .max_bytes = 1});
	cr_assert_eq(sums.records, 4);
	cr_assert_eq(sums.left_bytes, 0);
	graph_free(g);
}

Test(gc, records_of_a_ring_stay_while_somebody_else_reads_what_they_made)
{
	struct graph *g = rings();
	commit(g, 5, 500);
	graph_output(g, stored(g, "d", 30));
	uint32_t folder = stored(g, "folder", 1);
	graph_child(g, folder, node(g, "b"));
	graph_input(g, folder);
	struct graph_sums sums = choose(g, (struct graph_policy){.before_ms = 450});
	cr_assert_eq(sums.results, 4);
	cr_assert_eq(sums.records, 2);
	cr_assert_eq(graph_fate(g, 1), GRAPH_NO_RECORD);
	cr_assert_eq(graph_fate(g, 2), GRAPH_NO_BYTES);
	cr_assert_eq(graph_fate(g, 3), GRAPH_NO_BYTES);
	graph_free(g);
}

Test(gc, logs_leave_before_any_result_and_then_the_least_recently_used)
{
	struct graph *g = chain();
	struct graph_sums sums = choose(
		g, (struct graph_policy){.has_max = true, .max_bytes = 6555 - 3 - 40});
	cr_assert_eq(sums.results, 0);
	cr_assert_not(graph_is_needed(g, node(g, "log a")));
	graph_free(g);
	g = chain();
	sums = choose(g, (struct graph_policy){.has_max = true, .max_bytes = 5600});
	cr_assert_eq(sums.results, 1);
	cr_assert_not(graph_is_needed(g, node(g, "a")));
	cr_assert(graph_is_needed(g, node(g, "b")));
	cr_assert_leq(sums.left_bytes, 5600);
	graph_free(g);
}

/* The shape of any sweep: one input, one preparation, many results of it, one report. */
static struct graph *sweep(void)
{
	struct graph *g = graph_new(21);
	commit(g, 1, 100);
	graph_output(g, stored(g, "data", 3000));
	graph_input(g, stored(g, "file", 500));
	graph_code(g, stored(g, "prep", 50));
	for (uint64_t i = 2; i < 12; i++) {
		char name[24] = "model x";
		name[6] = (char)('a' + i);
		commit(g, i, 100 * i);
		graph_output(g, stored(g, name, 100));
		graph_input(g, node(g, "data"));
		graph_code(g, stored(g, "train", i == 2 ? 40 : 0));
	}
	commit(g, 12, 2000);
	graph_output(g, stored(g, "report", 10));
	for (char x = 'c'; x < 'm'; x++) {
		char name[24] = "model x";
		name[6] = x;
		graph_input(g, node(g, name));
	}
	return g;
}

Test(gc, whatever_the_limit_is_what_is_left_fits_and_the_last_to_go_was_needed_for_that)
{
	const uint64_t all = 3000 + 500 + 50 + 1000 + 40 + 10 + 12;
	for (uint64_t max = 0; max <= all + 10; max += 7) {
		struct graph *g = sweep();
		struct graph_sums sums = choose(
			g, (struct graph_policy){.has_max = true, .max_bytes = max});
		cr_assert_leq(sums.left_bytes, max);
		cr_assert_eq(sums.bytes + sums.left_bytes, all);
		/* In the order of use: each but the last one alone had not been enough. */
		uint64_t before = all, gone = 0;
		if (sums.results > 0)
			before -= 3500, gone++; /* what it alone had read, too */
		for (; gone < sums.results && gone < 11; gone++) {
			cr_assert_gt(before, max, "%zu: %zu", (size_t)max, (size_t)gone);
			before -= 100;
		}
		if (max >= 10 + 12 + 90) /* records, with what ran */
			cr_assert_eq(graph_fate(g, 11), GRAPH_KEPT, "%zu", (size_t)max);
		for (uint32_t i = 0; i < sums.results; i++)
			cr_assert_neq(graph_fate(g, i), GRAPH_KEPT);
		graph_free(g);
	}
}

Test(gc, of_what_ran_the_description_stays_as_long_as_the_record)
{
	struct graph *g = chain();
	uint32_t function = stored(g, "description", 7), code = stored(g, "train.py", 70);
	graph_child(g, function, code);
	commit(g, 4, 50);
	graph_output(g, stored(g, "d", 10));
	graph_input(g, stored(g, "other", 600));
	graph_code(g, function);
	commit(g, 5, 400);
	graph_output(g, stored(g, "e", 10));
	graph_input(g, node(g, "d"));
	struct graph_sums sums = choose(
		g, (struct graph_policy){.has_max = true, .max_bytes = 6555 + 27 + 5});
	cr_assert_eq(sums.results, 1);
	cr_assert_eq(graph_fate(g, 3), GRAPH_NO_BYTES);
	cr_assert_not(graph_is_needed(g, node(g, "other")));
	cr_assert_not(graph_is_needed(g, code));
	cr_assert(graph_is_needed(g, function));
	graph_keep(g, 3, false); /* a hit, meanwhile */
	cr_assert(graph_is_needed(g, code));
	graph_free(g);
}

Test(gc, expired_entries_go_first_and_always)
{
	struct graph *g = graph_new(1);
	for (uint64_t i = 1; i <= 3; i++) {
		char name[8] = {(char)('0' + i)};
		graph_commit(g, &(struct graph_commit){.seq = i,
						       .used_ms = 100 * i,
						       .expires_ms = i == 3 ? 900 : 0,
						       .completed = true});
		graph_output(g, stored(g, name, 100));
	}
	struct graph_sums sums = choose(
		g,
		(struct graph_policy){.now_ms = 900, .has_max = true, .max_bytes = 250});
	cr_assert_eq(sums.results, 1);
	cr_assert_eq(graph_fate(g, 2), GRAPH_NO_RECORD);
	graph_free(g);
}

Test(gc, what_is_kept_keeps_its_inputs_too_if_it_says_so)
{
	struct graph *g = chain();
	graph_keep(g, 1, true);
	struct graph_sums sums = choose(g, (struct graph_policy){.all = true});
	cr_assert_eq(sums.kept, 1);
	cr_assert_eq(graph_fate(g, 0), GRAPH_NO_BYTES, "who made its input is known");
	cr_assert_eq(graph_fate(g, 1), GRAPH_KEPT);
	cr_assert_eq(graph_fate(g, 2), GRAPH_NO_RECORD);
	cr_assert(graph_is_needed(g, node(g, "a")));
	cr_assert(graph_is_needed(g, node(g, "b")));
	cr_assert_not(graph_is_needed(g, node(g, "c")));
	graph_free(g);
}

Test(gc, what_two_share_goes_with_the_second)
{
	struct graph *g = graph_new(7);
	commit(g, 1, 100);
	graph_output(g, stored(g, "same", 10));
	commit(g, 2, 200);
	graph_output(g, node(g, "same"));
	struct graph_sums sums = choose(g, (struct graph_policy){.before_ms = 150});
	cr_assert_eq(sums.records, 1);
	cr_assert(graph_is_needed(g, node(g, "same")));
	graph_free(g);
}

Test(gc, folders_and_lists_pass_on_what_they_are_needed_for)
{
	struct graph *g = graph_new(9);
	commit(g, 1, 100); /* makes a folder */
	uint32_t folder = stored(g, "folder", 1);
	graph_output(g, folder);
	graph_child(g, folder, stored(g, "file 1", 100));
	graph_child(g, folder, stored(g, "file 2", 200));
	commit(g, 2, 300); /* reads a list in which the folder is */
	uint32_t list = stored(g, "list", 33);
	graph_child(g, list, folder);
	graph_input(g, list);
	graph_output(g, stored(g, "sum", 5));
	struct graph_sums sums = choose(g, (struct graph_policy){.before_ms = 200});
	cr_assert_eq(graph_fate(g, 0), GRAPH_NO_BYTES);
	cr_assert_not(graph_is_needed(g, node(g, "file 1")));
	cr_assert(graph_is_needed(g, list), "it tells what was read");
	cr_assert_eq(sums.bytes, 301);
	graph_free(g);
}

Test(gc, what_is_asked_for_later_is_kept_after_all)
{
	struct graph *g = chain();
	choose(g, (struct graph_policy){.all = true});
	graph_hold(g, node(g, "c"));
	cr_assert(graph_is_needed(g, node(g, "c")));
	graph_keep(g, 1, false);
	cr_assert(graph_is_needed(g, node(g, "b")));
	graph_free(g);
	g = chain();
	choose(g, (struct graph_policy){.before_ms = 250});
	graph_keep(g, 0, false);
	cr_assert_eq(graph_fate(g, 0), GRAPH_KEPT);
	cr_assert(graph_is_needed(g, node(g, "a")));
	graph_free(g);
}

Test(gc, a_failure_holds_its_logs_and_no_intermediate)
{
	struct graph *g = graph_new(3);
	commit(g, 1, 100);
	graph_output(g, stored(g, "made", 10));
	graph_commit(g, &(struct graph_commit){.seq = 2, .used_ms = 300});
	graph_log(g, stored(g, "stderr", 20));
	graph_input(g, node(g, "made"));
	struct graph_sums sums = choose(g, (struct graph_policy){.before_ms = 200});
	cr_assert_eq(sums.records, 1);
	cr_assert(graph_is_needed(g, node(g, "stderr")));
	graph_free(g);
}

Test(gc, a_hundred_thousand_links_of_a_chain_go_without_recursion)
{
	enum { LINKS = 100000 };
	struct graph *g = graph_new(5);
	uint8_t digest[DIGEST_SIZE];
	for (uint64_t i = 1; i <= LINKS; i++) {
		uint64_t before = i - 1;
		commit(g, i, i);
		sha256_digest(&i, sizeof i, digest);
		uint32_t made = graph_node(g, digest);
		graph_bytes(g, made, 1);
		graph_output(g, made);
		sha256_digest(&before, sizeof before, digest);
		graph_input(g, graph_node(g, digest));
	}
	struct graph_sums sums = choose(g, (struct graph_policy){.all = true});
	cr_assert_eq(sums.records, LINKS);
	cr_assert_eq(sums.left_bytes, 0);
	graph_free(g);
}

Test(gc, an_empty_result_is_one_too_as_long_as_its_record_is_there)
{
	struct graph *g = graph_new(11);
	commit(g, 1, 100); /* wrote nothing */
	graph_commit(g, &(struct graph_commit){.seq = 2, .duration_ns = 7}); /* failed */
	struct graph_sums sums = choose(g, (struct graph_policy){.all = true});
	cr_assert_eq(sums.results, 1);
	cr_assert_eq(sums.records, 2);
	cr_assert_eq(sums.compute_ns, 10);
	graph_free(g);
}
