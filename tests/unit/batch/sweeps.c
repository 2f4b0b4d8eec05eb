/* sweeps.c - grids, samples, lists: which combinations, in which order. */
#include "sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE .init = sample_begin, .fini = sample_end
#define TASK "version: 1\ntasks:\n  a:\n    run: x\n    sweep: "

/* sweep_of() - the values of all tasks of a sweep, one task per line: "(1,'a')\n". */
static const char *sweep_of(const char *sweep)
{
	static char text[1 << 16];
	char file[4096];
	snprintf(file, sizeof file, TASK "%s\n", sweep);
	const char *at = sample_text("s.yaml", file);
	size_t size = 0;
	while ((at = strstr(at, "task f=0 "))) {
		at += strlen("task f=0 ");
		size_t line = strcspn(at, "\n") + 1;
		cr_assert(size + line < sizeof text);
		memcpy(text + size, at, line);
		size += line;
	}
	text[size] = '\0';
	return text;
}

Test(batch_sweeps, the_first_parameter_of_a_grid_is_the_slowest, SAMPLE)
{
	/* In the arguments values are in the order of names, so b, which is first here, is last. */
	cr_expect_str_eq(sweep_of("{params: {b: [1, 2], a: [x, y]}}"),
			 "('x',1)\n('y',1)\n('x',2)\n('y',2)\n");
}

Test(batch_sweeps, ranges_are_half_open_and_may_count_down, SAMPLE)
{
	cr_expect_str_eq(sweep_of("{params: {a: {range: [0, 3]}}}"), "(0)\n(1)\n(2)\n");
	cr_expect_str_eq(sweep_of("{params: {a: {range: [0, 7, 3]}}}"),
			 "(0)\n(3)\n(6)\n");
	cr_expect_str_eq(sweep_of("{params: {a: {range: [0, 6, 3]}}}"), "(0)\n(3)\n");
	cr_expect_str_eq(sweep_of("{params: {a: {range: [3, 0, -2]}}}"), "(3)\n(1)\n");
	cr_expect_str_eq(sweep_of("{params: {a: {range: [-9223372036854775808, "
				  "9223372036854775807, 9223372036854775807]}}}"),
			 "(-9223372036854775808)\n(-1)\n(9223372036854775806)\n");
}

Test(batch_sweeps, ends_are_exact_and_points_between_have_15_digits, SAMPLE)
{
	cr_expect_str_eq(sweep_of("{params: {a: {log_uniform: [1e-4, 1e-1], n: 6}}}"),
			 "(0.0001)\n(0.000398107170553497)\n(0.00158489319246111)\n"
			 "(0.00630957344480193)\n(0.0251188643150958)\n(0.1)\n");
	cr_expect_str_eq(sweep_of("{params: {a: {log_uniform: [1e-4, 1], n: 5}}}"),
			 "(0.0001)\n(0.001)\n(0.01)\n(0.1)\n(1.0)\n");
	cr_expect_str_eq(sweep_of("{params: {a: {uniform: [0, 1], n: 4}}}"),
			 "(0.0)\n(0.333333333333333)\n(0.666666666666667)\n(1.0)\n");
	cr_expect_str_eq(sweep_of("{params: {a: {uniform: [0.1, 0.7], n: 3}}}"),
			 "(0.1)\n(0.4)\n(0.7)\n");
	cr_expect_str_eq(sweep_of("{params: {a: {uniform: [3, 1.5], n: 2}}}"),
			 "(3.0)\n(1.5)\n");
}

Test(batch_sweeps, exclude_takes_away_what_meets_all_conditions_of_an_entry, SAMPLE)
{
	cr_expect_str_eq(
		sweep_of("{params: {a: [1, 2, 3], b: [x, y]}, exclude: [{a: 2, b: x}]}"),
		"(1,'x')\n(1,'y')\n(2,'y')\n(3,'x')\n(3,'y')\n");
	cr_expect_str_eq(
		sweep_of("{params: {a: [1, 2, 3, 4]}, exclude: [{a: {gt: 1, lt: 4}}]}"),
		"(1)\n(4)\n");
	cr_expect_str_eq(
		sweep_of("{params: {a: [1, 2, 3, 4]}, exclude: [{a: {ge: 2, le: 3}}]}"),
		"(1)\n(4)\n");
	cr_expect_str_eq(sweep_of("{params: {a: [1, 2, 3]}, exclude: [{a: {ne: 2}}]}"),
			 "(2)\n");
	cr_expect_str_eq(
		sweep_of("{params: {a: [1, x, 2.0]}, exclude: [{a: {in: [x, 2]}}]}"),
		"(1)\n");
	cr_expect_str_eq(sweep_of("{params: {a: [1, 1.0, \"1\"]}, exclude: [{a: 1}]}"),
			 "('1')\n", "a number is what it is worth, a text is none");
	cr_expect_str_eq(
		sweep_of("{params: {a: [9007199254740993, 9007199254740992]}, exclude: "
			 "[{a: {gt: 9007199254740992.0}}]}"),
		"(9007199254740992)\n", "compared exactly");
}

Test(batch_sweeps, include_adds_after_the_others_and_is_never_excluded, SAMPLE)
{
	cr_expect_str_eq(
		sweep_of("{params: {a: [1, 2]}, exclude: [{a: {ge: 2}}], include: [{a: "
			 "9}, {a: 2}]}"),
		"(1)\n(9)\n(2)\n");
}

Test(batch_sweeps, a_list_is_taken_as_written, SAMPLE)
{
	cr_expect_str_eq(
		sweep_of("{method: list, params: [{a: 1, b: x}, {b: y, a: 2.5}]}"),
		"(1,'x')\n(2.5,'y')\n");
	cr_expect_str_eq(
		sweep_of("{method: list, params: [{a: 1}, {a: 2}], exclude: [{a: 1}], "
			 "include: [{a: 3}], max: 2}"),
		"(2)\n(3)\n");
}

#define RANDOM                                                                           \
	"params: {lr: {log_uniform: [1e-4, 1e-1]}, m: {uniform: [0, 1]}, o: [x, y, z], " \
	"s: {range: "                                                                    \
	"[0, 1000]}}"

/* Golden: the draws are documented and must be the same for ever, on every machine. */
Test(batch_sweeps, samples_are_the_same_for_ever, SAMPLE)
{
	cr_expect_str_eq(sweep_of("{method: random, n: 4, " RANDOM "}"),
			 "(0.000211321626608669,0.246758602870569,'z',35)\n"
			 "(0.0478785811049603,0.121541055162447,'x',685)\n"
			 "(0.033712007592214,0.681583198615395,'y',436)\n"
			 "(0.00657972118455245,0.38470270708364,'x',654)\n",
			 "%s", sweep_of("{method: random, n: 4, " RANDOM "}"));
	cr_expect_str_eq(sweep_of("{method: random, n: 2, sample_seed: 1, " RANDOM "}"),
			 "(0.0728904153810702,0.377717041457535,'x',151)\n"
			 "(0.0153490435125737,0.851051657906173,'x',842)\n",
			 "%s",
			 sweep_of("{method: random, n: 2, sample_seed: 1, " RANDOM "}"));
}

Test(batch_sweeps, more_samples_or_parameters_do_not_change_those_that_are_there, SAMPLE)
{
	char *four = strdup(sweep_of("{method: random, n: 4, " RANDOM "}"));
	const char *nine = sweep_of("{method: random, n: 9, " RANDOM "}");
	cr_expect(!strncmp(nine, four, strlen(four)));
	free(four);
	char *one = strdup(
		sweep_of("{method: random, n: 1, params: {z: {uniform: [0, 1]}}}"));
	const char *two = sweep_of(
		"{method: random, n: 1, params: {a: [q], z: {uniform: [0, 1]}}}");
	cr_expect_str_eq(strchr(two, ',') + 1, one + 1);
	free(one);
}

Test(batch_sweeps, samples_stay_inside_and_are_spread, SAMPLE)
{
	const char *at = sweep_of(
		"{method: random, n: 1000, params: {a: {log_uniform: [1e-4, 1e-1]}, "
		"b: {range: [0, 4]}}}");
	unsigned decades[3] = {0}, values[4] = {0};
	for (; *at; at = strchr(at, '\n') + 1) {
		double a;
		int b;
		cr_assert_eq(sscanf(at, "(%lf,%d)", &a, &b), 2);
		cr_assert(a >= 1e-4 && a < 0.1 && b >= 0 && b < 4);
		decades[(int)fmin(2, log10(a) + 4)]++;
		values[b]++;
	}
	for (int i = 0; i < 3; i++)
		cr_expect(decades[i] > 280 && decades[i] < 390, "%u", decades[i]);
	for (int i = 0; i < 4; i++)
		cr_expect(values[i] > 200 && values[i] < 300, "%u", values[i]);
}

Test(batch_sweeps, excluded_samples_are_drawn_anew, SAMPLE)
{
	const char *found = sweep_of(
		"{method: random, n: 3, params: {a: [1, 2]}, exclude: [{a: 1}]}");
	cr_expect_str_eq(found, "(2)\n(2)\n(2)\n");
	cr_expect_str_eq(sample_error("s.yaml", TASK
				      "{method: random, n: 3, params: {a: [1]}, exclude: "
				      "[{a: 1}]}\n"),
			 "s.yaml:5:62: exclude leaves too little to draw 3 samples from\n"
			 "  ...d: random, n: 3, params: {a: [1]}, exclude: [{a: 1}]}\n"
			 "                                                 ^");
}

Test(batch_sweeps, fixed_params_stand_beside_those_of_the_sweep, SAMPLE)
{
	const char *dump =
		sample_text("p.yaml", "version: 1\n"
				      "tasks:\n"
				      "  a:\n"
				      "    run: [x, \"${p.m}\", \"${p.lr}\"]\n"
				      "    params: {m: big, a: 3}\n"
				      "    sweep: {params: {lr: [0.1, 0.2]}}\n"
				      "  b: {run: [y, \"${p.q}\"], params: {q: true}}\n");
	cr_expect(strstr(dump, "task f=0 (3,0.1,'big')\ntask f=0 (3,0.2,'big')\n"), "%s",
		  dump);
	cr_expect(strstr(dump, "task f=1 (true)\n"), "%s", dump);
}

Test(batch_sweeps, a_million_tasks_are_fed_and_one_more_is_refused, SAMPLE)
{
	struct batch *batch;
	struct err e;
	sample_write("m.yaml", TASK "{params: {a: {range: [0, 1000000]}}}\n");
	cr_assert_eq(batch_open(&batch, &(struct batch_options){.path = "m.yaml"}, &e),
		     0);
	cr_expect_eq(batch_task_total(batch), 1000000);
	batch_free(batch);
	cr_expect_str_eq(
		sample_error("m.yaml", TASK "{params: {a: {range: [0, 1000001]}}}\n"),
		"m.yaml:5:12: the sweep of task \"a\" is over the limit: 1000001 tasks, "
		"and a "
		"file may have 1000000\n"
		"      sweep: {params: {a: {range: [0, 1000001]}}}\n"
		"             ^\n"
		"> narrow it, sample it (method: random), or write JSONL");
}
