/* How why looks. */
#include "client/cli/show_why.h"

#include <criterion/criterion.h>
#include <string.h>

#define NOW 1700000000000ull
#define DAY (86400ull * 1000)

static struct cashet_why sample(void)
{
	struct cashet_why w = {.verdict = CASHET_WHY_RAN,
			       .reason = CASHET_REASON_CHANGED,
			       .has_earlier = true,
			       .note = ""};
	struct cashet_run *runs[] = {&w.run, &w.earlier};
	for (int i = 0; i < 2; i++) {
		struct cashet_result *r = &runs[i]->result;
		strcpy(runs[i]->batch, i ? "c0123456" : "b7f35566");
		strcpy(runs[i]->commit, i ? "4af09d1c22" : "81bce9f033");
		r->name = "train";
		r->worker = "node-2";
		r->error = "";
		r->index = 12;
		r->status = CASHET_COMPLETED;
		r->attempts = 1;
		r->ended_wall_ms = i ? NOW - 2 * DAY : NOW - 1000;
		r->func_hash[0] = 0x9c;
		r->func_hash[1] = 0x1e;
		r->args_hash[0] = 0x77;
	}
	return w;
}

static void expect(const struct cashet_why *w, const char *want)
{
	CLEANUP_BUF struct buf out = {0};
	show_why(&out, w, NOW, false);
	cr_assert_str_eq(buf_cstr(&out), want);
}

static struct cashet_change change(enum cashet_component component, enum cashet_how how,
				   const char *name, const char *before,
				   const char *after)
{
	return (struct cashet_change){.component = component,
				      .how = how,
				      .name = name,
				      .before = before,
				      .after = after,
				      .where = "",
				      .origin_name = ""};
}

Test(show_why, names_the_cause_and_what_is_none)
{
	struct cashet_why w = sample();
	struct cashet_change changes[] = {
		change(CASHET_COMMAND, CASHET_SAME, "", "x", "x"),
		change(CASHET_CODE, CASHET_CHANGED, "train.py", "", ""),
		change(CASHET_INPUT, CASHET_SAME, "data", "", ""),
		change(CASHET_PARAM, CASHET_SAME, "lr", "1", "1"),
		change(CASHET_PARAM, CASHET_SAME, "opt", "1", "1"),
		change(CASHET_PARAM, CASHET_SAME, "seed", "1", "1"),
		change(CASHET_TAG, CASHET_CHANGED, "experiment", "v3", "v4"),
		change(CASHET_OPTION, CASHET_CHANGED, "retries", "0", "1"),
	};
	changes[1].where = "train.py:load()  line 31 changed";
	changes[2].now.digest[0] = 0x77;
	changes[2].now.digest[1] = 0xaa;
	w.changes = changes;
	w.change_count = ARRAY_LEN(changes);
	expect(&w,
	       "RAN  fingerprint 9c1e:7700 differs from 4af09d1c... (2 days ago) in:\n"
	       "  function  train.py:load()  line 31 changed          <- cause\n"
	       "  input     data         unchanged (77aa0000...)\n"
	       "  params    lr opt seed  unchanged\n"
	       "  not a cause: tag experiment v3 -> v4, retries 0 -> 1\n");
}

Test(show_why, inputs_name_their_makers_and_values_are_cut)
{
	struct cashet_why w = sample();
	char value[100], again[100];
	memset(value, 'x', 99);
	memset(again, 'y', 99);
	value[99] = again[99] = '\0';
	struct cashet_change changes[] = {
		change(CASHET_INPUT, CASHET_CHANGED, "data", "", ""),
		change(CASHET_PARAM, CASHET_CHANGED, "p", value, again),
		change(CASHET_SALT, CASHET_ADDED, "", "", "a\033b"),
	};
	changes[0].now.digest[0] = 1;
	changes[0].has_origin = true;
	changes[0].origin_name = "prep";
	changes[0].origin_count = 1;
	changes[0].origin_ran = true;
	strcpy(changes[0].origin_commit, "abcdef0123");
	w.changes = changes;
	w.change_count = ARRAY_LEN(changes);
	CLEANUP_BUF struct buf out = {0};
	show_why(&out, &w, NOW, false);
	const char *text = buf_cstr(&out);
	cr_assert(strstr(text,
			 "  input     data  00000000... -> 01000000..., from prep:0 "
			 "(which ran again, abcdef01)"));
	cr_assert(strstr(text, "xxx... (99 bytes) -> yyy"));
	cr_assert(strstr(text, "  salt      a\\x1bb (new)"));
	cr_assert_null(strchr(text, '\033'));
}

Test(show_why, a_neighbour_of_the_same_batch_is_said_to_be_one)
{
	struct cashet_why w = sample();
	struct cashet_change changes[] = {
		change(CASHET_PARAM, CASHET_CHANGED, "lr", "1", "2")};
	strcpy(w.earlier.batch, w.run.batch);
	w.changes = changes;
	w.change_count = 1;
	expect(&w,
	       "RAN  first time with these arguments; the nearest run before it is "
	       "b7f3:12 of the same batch, 4af09d1c... (2 days ago), which differs in:\n"
	       "  params    lr  1 -> 2                                <- cause\n");
}

Test(show_why, other_reasons_are_sentences)
{
	struct cashet_why w = sample();
	w.reason = CASHET_REASON_EXPIRED;
	w.earlier.ttl_s = 3600;
	expect(&w,
	       "RAN  the result 4af09d1c... (2 days ago) had expired: its ttl was 1h\n");
	w.reason = CASHET_REASON_FAILED_BEFORE;
	expect(&w,
	       "RAN  the same work failed before: 4af09d1c... (2 days ago); a failure is "
	       "never a hit\n");
	w.has_earlier = false;
	w.reason = CASHET_REASON_FIRST;
	expect(&w, "RAN  first time: no task called train ran here before\n");
	w.verdict = CASHET_WHY_FAILED;
	w.run.result.error = "exit 1";
	w.run.result.attempts = 3;
	expect(&w, "FAILED  attempt 3 on node-2: exit 1\n  cashet logs b7f3:12\n"
		   "  it ran: first time: no task called train ran here before\n");
}

Test(show_why, hits_and_waits_are_short)
{
	struct cashet_why w = sample();
	struct cashet_why_task tasks[] = {{3, "split", CASHET_SKIPPED},
					  {0, "prep", CASHET_TASK_FAILED}};
	w.verdict = CASHET_WHY_HIT;
	w.run.result.duration_ns = 3100000000;
	w.run.result.ended_wall_ms = NOW - 90 * 60 * 1000;
	expect(&w, "HIT  commit 81bce9f0, made 90 minutes ago on node-2 in 3.10s\n");
	w.tasks = tasks;
	w.task_count = 2;
	w.verdict = CASHET_WHY_SKIPPED;
	expect(&w, "SKIPPED  a task that it needs failed:\n  b7f3:3  split  skipped\n"
		   "  b7f3:0  prep  failed\n  cashet why b7f3:0\n");
	w.verdict = CASHET_WHY_WAITING;
	w.tasks_left_out = 5;
	expect(&w,
	       "WAITING  for tasks:\n  b7f3:3  split  skipped\n  b7f3:0  prep  failed\n"
	       "  and 5 more\n");
	w.task_count = 0;
	w.tasks_left_out = 0;
	w.verdict = CASHET_WHY_READY;
	w.note = "all workers that could run it are busy";
	w.reason = CASHET_REASON_FORCED;
	w.has_earlier = false;
	expect(&w, "READY  all workers that could run it are busy\n"
		   "  it will run: forced (--force, or cache: force)\n");
}

Test(show_why, functions_by_source)
{
	struct cashet_why w = sample();
	struct cashet_change changes[] = {
		change(CASHET_SOURCE, CASHET_CHANGED, "", "", ""),
		change(CASHET_PARAM, CASHET_SAME, "lr", "0.1", "0.1"),
		change(CASHET_DEFINITION, CASHET_CHANGED, "load", "", ""),
		change(CASHET_PACKAGE, CASHET_CHANGED, "numpy", "1.0", "2.0"),
		change(CASHET_FLAGS, CASHET_CHANGED, "", "-O2", "-O3"),
		change(CASHET_INTERPRETER, CASHET_ADDED, "", "", "3.11"),
		change(CASHET_LAYOUT, CASHET_CHANGED, "train.py", "", ""),
		change(CASHET_LAYOUT, CASHET_CHANGED, "data.py", "", ""),
	};
	changes[2].where = "helpers.py:load()  line 31 changed";
	w.changes = changes;
	w.change_count = ARRAY_LEN(changes);
	expect(&w,
	       "RAN  fingerprint 9c1e:7700 differs from 4af09d1c... (2 days ago) in:\n"
	       "  function  helpers.py:load()  line 31 changed        <- cause\n"
	       "  package   numpy  1.0 -> 2.0                         <- cause\n"
	       "  cflags    -O2 -> -O3                                <- cause\n"
	       "  python    3.11 (new)                                <- cause\n"
	       "  params    lr     unchanged\n"
	       "  not a cause: what differs in train.py, data.py (comments, layout, what "
	       "is "
	       "not reached)\n");
	/* nothing of it counts: the function is the same */
	changes[0].how = CASHET_SAME;
	w.changes = changes;
	w.change_count = 2;
	expect(&w, "RAN  fingerprint 9c1e:7700 differs from 4af09d1c... (2 days ago)\n"
		   "  function  unchanged\n"
		   "  params    lr  unchanged\n");
}
