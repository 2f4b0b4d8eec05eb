/* aggregate.c - numbers of groups, and what they are kept in. */
#include "client/aggregate.h"
#include "client/cli/intern.h"
#include "client/cli/spool.h"

#include "common/pure/mem.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double get(struct summary *s, enum summary_kind kind)
{
	double out = NAN;
	cr_assert(summary_get(s, kind, &out));
	return out;
}

Test(summary, what_is_known_of_a_few_numbers)
{
	struct summary s = {0};
	const double numbers[] = {2, 4, 4, 4, 5, 5, 7, 9};
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		summary_add(&s, numbers[i], true);
	cr_assert_eq(get(&s, SUMMARY_N), 8);
	cr_assert_eq(get(&s, SUMMARY_MEAN), 5);
	cr_assert_float_eq(get(&s, SUMMARY_STD), sqrt(32.0 / 7), 1e-15);
	cr_assert_eq(get(&s, SUMMARY_MIN), 2);
	cr_assert_eq(get(&s, SUMMARY_MAX), 9);
	cr_assert_eq(get(&s, SUMMARY_MEDIAN), 4.5);
	cr_assert_eq(get(&s, SUMMARY_SUM), 40);
	summary_add(&s, -100, true);
	cr_assert_eq(get(&s, SUMMARY_MEDIAN), 4,
		     "sorted again, and an odd number of them");
	summary_fini(&s);
}

Test(summary, of_nothing_there_is_only_the_number_and_of_one_no_spread)
{
	struct summary s = {0};
	double out;
	cr_assert_eq(get(&s, SUMMARY_N), 0);
	for (enum summary_kind k = SUMMARY_MEAN; k < SUMMARY_KINDS; k++)
		cr_assert_not(summary_get(&s, k, &out), "%s", summary_names[k]);
	summary_add(&s, 3, true);
	cr_assert_eq(get(&s, SUMMARY_MEAN), 3);
	cr_assert_eq(get(&s, SUMMARY_MEDIAN), 3);
	cr_assert_not(summary_get(&s, SUMMARY_STD, &out));
	summary_fini(&s);
}

/* A sum of squares would give 0, or the root of something negative. */
Test(summary, a_small_spread_far_from_zero_is_not_lost)
{
	struct summary s = {0};
	const double numbers[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		summary_add(&s, numbers[i], false);
	cr_assert_float_eq(get(&s, SUMMARY_STD), sqrt(30), 1e-9);
	cr_assert_eq(get(&s, SUMMARY_MEAN), 1e9 + 10);
}

Test(summary, a_sum_keeps_what_rounding_takes)
{
	struct summary s = {0};
	summary_add(&s, 1e16, false);
	for (int i = 0; i < 1000; i++)
		summary_add(&s, 1, false);
	summary_add(&s, -1e16, false);
	cr_assert_eq(get(&s, SUMMARY_SUM), 1000);
}

/* ---- groups ---- */

static void add(struct aggregate *a, uint32_t index, struct cashet_value lr,
		enum cashet_status status, double loss)
{
	struct cashet_param param = {"lr", lr};
	struct cashet_metric metric = {.name = "loss", .number = loss};
	struct cashet_result r = {.index = index,
				  .params = &param,
				  .param_count = 1,
				  .metrics = &metric,
				  .metric_count = 1,
				  .status = status};
	aggregate_add(a, &r);
}

#define INT(x) ((struct cashet_value){.type = CASHET_INT, .i = (x)})
#define DOUBLE(x) ((struct cashet_value){.type = CASHET_DOUBLE, .d = (x)})
#define TEXT(x) ((struct cashet_value){.type = CASHET_STRING, .text = (x)})

static const char *const by_lr[] = {"lr"};

Test(aggregate, numbers_are_groups_by_value_and_stand_by_value)
{
	struct aggregate a;
	double out;
	aggregate_init(&a, by_lr, 1, false);
	add(&a, 0, INT(10), CASHET_COMPLETED, 1);
	add(&a, 1, DOUBLE(0.5), CASHET_COMPLETED, 2);
	add(&a, 2, DOUBLE(10.0), CASHET_COMPLETED, 3);
	add(&a, 3, INT(2), CASHET_COMPLETED, 4);
	add(&a, 4, DOUBLE(-0.0), CASHET_COMPLETED, 5);
	add(&a, 5, INT(0), CASHET_COMPLETED, 7);
	cr_assert_eq(a.keys.count, 4);
	uint32_t *order = aggregate_order(&a);
	const double means[] = {6, 2, 4, 2}; /* of 0, 0.5, 2, 10 */
	for (size_t i = 0; i < 4; i++) {
		cr_assert(aggregate_get(&a, order[i], 0, SUMMARY_MEAN, &out));
		cr_assert_eq(out, means[i], "group %zu: %g", i, out);
	}
	cr_assert_eq(a.groups[order[3]].completed, 2);
	free(order);
	aggregate_fini(&a);
}

Test(aggregate, whole_numbers_of_64_bits_are_told_apart_and_ordered)
{
	struct aggregate a;
	aggregate_init(&a, by_lr, 1, false);
	add(&a, 0, (struct cashet_value){.type = CASHET_UINT, .u = UINT64_MAX},
	    CASHET_COMPLETED, 0);
	add(&a, 1, (struct cashet_value){.type = CASHET_UINT, .u = UINT64_MAX - 1},
	    CASHET_COMPLETED, 0);
	add(&a, 2, INT(INT64_MIN), CASHET_COMPLETED, 0);
	uint32_t *order = aggregate_order(&a);
	cr_assert(order[0] == 2 && order[1] == 1 && order[2] == 0);
	free(order);
	aggregate_fini(&a);
}

Test(aggregate, texts_stand_as_they_came_and_equal_no_number)
{
	struct aggregate a;
	aggregate_init(&a, by_lr, 1, false);
	add(&a, 0, TEXT("z"), CASHET_COMPLETED, 1);
	add(&a, 1, TEXT("1"), CASHET_COMPLETED, 1);
	add(&a, 2, INT(1), CASHET_COMPLETED, 1);
	add(&a, 3, TEXT("a"), CASHET_COMPLETED, 1);
	add(&a, 4, TEXT("z"), CASHET_COMPLETED, 1);
	cr_assert_eq(a.keys.count, 4);
	uint32_t *order = aggregate_order(&a);
	for (uint32_t i = 0; i < 4; i++)
		cr_assert_eq(order[i], i);
	cr_assert_str_eq(a.values[3].text, "a");
	free(order);
	aggregate_fini(&a);
}

Test(aggregate, what_failed_or_is_no_number_is_counted_and_not_in_the_numbers)
{
	struct aggregate a;
	double out;
	aggregate_init(&a, by_lr, 1, false);
	add(&a, 0, INT(1), CASHET_COMPLETED, 1);
	add(&a, 1, INT(1), CASHET_TASK_FAILED, 100);
	add(&a, 2, INT(1), CASHET_COMPLETED, NAN);
	add(&a, 3, INT(1), CASHET_COMPLETED, INFINITY);
	struct cashet_param lr = {"lr", INT(1)};
	struct cashet_metric text = {.name = "loss", .is_text = true, .text = "diverged"};
	struct cashet_result r = {.index = 4,
				  .params = &lr,
				  .param_count = 1,
				  .metrics = &text,
				  .metric_count = 1,
				  .status = CASHET_COMPLETED};
	aggregate_add(&a, &r);
	r.param_count = 0;
	aggregate_add(&a, &r);
	cr_assert(aggregate_get(&a, 0, 0, SUMMARY_MEAN, &out) && out == 1);
	cr_assert_eq(a.groups[0].tasks, 5);
	cr_assert_eq(a.groups[0].completed, 4);
	cr_assert_eq(a.left_out, 1);
	cr_assert_eq(a.infos[0].numbers, 1);
	cr_assert_eq(a.infos[0].nonfinite, 2);
	cr_assert_eq(a.infos[0].texts, 1);
	cr_assert_eq(a.infos[0].first, 2);
	cr_assert_str_eq(a.infos[0].shown, "nan");
	aggregate_fini(&a);
}

Test(aggregate, nothing_and_its_text_are_two_groups)
{
	struct aggregate a;
	struct cashet_value text = {.type = CASHET_STRING, .text = "null"}, null = text;
	null.is_written = true;
	aggregate_init(&a, by_lr, 1, false);
	add(&a, 0, null, CASHET_COMPLETED, 1);
	add(&a, 1, text, CASHET_COMPLETED, 2);
	add(&a, 2, null, CASHET_COMPLETED, 3);
	cr_assert_eq(a.keys.count, 2);
	cr_assert_eq(a.groups[0].tasks, 2);
	cr_assert(a.values[0].is_written && !a.values[1].is_written);
	aggregate_fini(&a);
}

Test(aggregate, without_parameters_all_are_one_group)
{
	struct aggregate a;
	double out;
	aggregate_init(&a, NULL, 0, true);
	add(&a, 0, INT(1), CASHET_COMPLETED, 1);
	add(&a, 1, INT(2), CASHET_COMPLETED, 3);
	uint32_t *order = aggregate_order(&a);
	cr_assert_eq(a.keys.count, 1);
	cr_assert(aggregate_get(&a, order[0], 0, SUMMARY_MEDIAN, &out) && out == 2);
	free(order);
	aggregate_fini(&a);
}

/* ---- what they are kept in ---- */

Test(intern, numbers_go_by_first_appearance_however_many_there_are)
{
	struct intern t = {0};
	char text[16];
	cr_assert_eq(intern_find(&t, "x", 2), INTERN_NONE);
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < 20000; i++) {
			snprintf(text, sizeof text, "%u", i * 7919);
			cr_assert_eq(intern_add(&t, text, strlen(text) + 1), i);
		}
	cr_assert_eq(t.count, 20000);
	cr_assert_str_eq(intern_text(&t, 3), "23757");
	cr_assert_eq(intern_find(&t, "7919", 5), 1);
	cr_assert_eq(intern_find(&t, "7919", 4), INTERN_NONE, "without its NUL");
	intern_fini(&t);
}

static void fill_and_read(size_t pieces, size_t size)
{
	struct spool s = {0};
	CLEANUP_FREE uint8_t *piece = mem_alloc(size);
	for (size_t i = 0; i < pieces; i++) {
		memset(piece, (int)(i % 251), size);
		spool_add(&s, piece, size);
	}
	cr_assert_leq(s.memory.capacity, 3 * (SPOOL_MEMORY + size), "bounded");
	cr_assert_eq(spool_rewind(&s), 0);
	for (size_t i = 0; i < pieces; i++) {
		const uint8_t *got = spool_next(&s, size);
		cr_assert_not_null(got, "piece %zu", i);
		cr_assert(got[0] == i % 251 && got[size - 1] == i % 251);
	}
	cr_assert_null(spool_next(&s, 1), "that was all");
	cr_assert_eq(s.error, 0);
	spool_fini(&s);
}

Test(spool, what_went_in_comes_out_from_memory_and_from_a_file)
{
	fill_and_read(0, 8);
	fill_and_read(1000, 100);
	fill_and_read(40, 1u << 20);
	fill_and_read(300000, 77);
}

Test(spool, a_folder_that_cannot_be_written_is_an_error_and_not_a_short_answer)
{
	struct spool s = {0};
	CLEANUP_FREE uint8_t *piece = mem_alloc(SPOOL_MEMORY);
	setenv("TMPDIR", "/proc/nothing/here", 1);
	spool_add(&s, piece, 10);
	spool_add(&s, piece, SPOOL_MEMORY);
	cr_assert_lt(spool_rewind(&s), 0);
	cr_assert_null(spool_next(&s, 1));
	spool_fini(&s);
}
