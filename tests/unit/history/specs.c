/* specs.c - tasks of a batch of many chunks, found in any order. */
#include "broker/history/specs.h"
#include "proto/pb.h"
#include "tests/unit/ledger/support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS 9
static const uint32_t tasks_of[CHUNKS] = {5, 40, 40, 0, 41, 40, 1, 40, 3};
static const uint32_t functions_of[CHUNKS] = {2, 0, 1, 3, 0, 0, 1, 0, 0};

static struct store s;
static struct ledger_batch_row row;
static uint32_t task_count, function_count;

static void add_text(struct buf *out, unsigned field, const char *what, uint32_t number)
{
	char text[32];
	snprintf(text, sizeof text, "%s %u", what, number);
	pb_text(out, field, text);
}

/* Task n has function n modulo what there is by then, function n the options n, group n is there too. */
static void add_chunk(struct buf *out, uint32_t chunk, bool says_before)
{
	if (chunk == 0) {
		size_t info = pb_open(out, 3);
		pb_text(out, 1, "the batch");
		pb_close(out, info);
	}
	if (says_before) {
		/* What a client says of itself does not count: the broker's comes later. */
		size_t lie = pb_open(out, 11);
		pb_uint(out, 1, 77);
		pb_close(out, lie);
	}
	for (uint32_t i = 0; i < functions_of[chunk]; i++) {
		size_t options = pb_open(out, 4);
		pb_uint(out, 1, function_count + i);
		pb_close(out, options);
	}
	for (uint32_t i = 0; i < functions_of[chunk]; i++) {
		size_t function = pb_open(out, 5);
		add_text(out, 2, "function", function_count + i);
		pb_uint(out, 3, function_count + i);
		pb_close(out, function);
	}
	for (uint32_t i = 0; i < functions_of[chunk]; i++) {
		size_t group = pb_open(out, 6);
		pb_uint(out, 2, function_count + i + 1);
		pb_close(out, group);
	}
	uint32_t functions = function_count + functions_of[chunk];
	for (uint32_t i = 0; i < tasks_of[chunk]; i++) {
		size_t task = pb_open(out, 7);
		pb_uint(out, 1, (task_count + i) % functions);
		add_text(out, 2, "args", task_count + i);
		pb_close(out, task);
	}
	if (says_before && chunk) {
		const uint32_t before[] = {task_count, function_count, function_count,
					   function_count};
		size_t mark = pb_open(out, 11);
		for (unsigned i = 0; i < 4; i++) {
			pb_tag(out, i + 1, PB_VARINT);
			pb_varint(out, before[i]);
		}
		pb_close(out, mark);
	}
	task_count += tasks_of[chunk];
	function_count = functions;
}

static void fill(bool says_before)
{
	store_init(&s);
	task_count = function_count = 0;
	struct ledger_turn *t = store_turn(&s);
	struct ledger_batch batch = sample_batch(1);
	ledger_add_batch(t, &batch);
	for (uint32_t i = 0; i < CHUNKS; i++) {
		CLEANUP_BUF struct buf chunk = {0};
		add_chunk(&chunk, i, says_before);
		ledger_add_chunk(t, 1, i, chunk.data, chunk.size);
	}
	ledger_add_sealed(t, 1, task_count);
	store_put(&s, t);
	cr_assert_eq(ledger_read_batch(s.reader, 1, &row), 0);
}

static uint32_t functions_at(uint32_t index)
{
	uint32_t functions = 0, tasks = 0;
	for (uint32_t i = 0; i < CHUNKS && tasks <= index; i++) {
		functions += functions_of[i];
		tasks += tasks_of[i];
	}
	return functions;
}

static void check_task(struct specs *specs, uint32_t index)
{
	char text[32];
	struct specs_task task;
	cr_assert_eq(specs_task(specs, index, &task), 0, "task %u", index);
	snprintf(text, sizeof text, "args %u", index);
	cr_assert_eq(task.args_size, strlen(text));
	cr_assert_arr_eq(task.args, text, strlen(text));
	cr_assert_eq(task.function, index % functions_at(index));
}

static void check_function(struct specs *specs, uint32_t number)
{
	size_t size, options_size;
	uint32_t options;
	char text[32];
	const uint8_t *packed = specs_function(specs, number, &size, &options),
		      *at = packed;
	struct pb_field f;
	cr_assert_not_null(packed);
	cr_assert(pb_find(&at, packed + size, 2, &f));
	snprintf(text, sizeof text, "function %u", number);
	cr_assert_arr_eq(f.data, text, strlen(text));
	cr_assert_eq(options, number);
	cr_assert_not_null(specs_options(specs, options, &options_size));
	cr_assert_not_null(specs_group(specs, number, &size));
}

static struct specs *get(struct specs **cachep)
{
	struct specs *specs = specs_get(cachep, s.reader, &row);
	cr_assert_not_null(specs);
	return specs;
}

/* Each alone, in order, backwards, and all over the place. */
static void check_all(void)
{
	for (uint32_t i = 0; i < task_count; i++) {
		struct specs *one = NULL;
		check_task(get(&one), i);
		specs_free(one);
	}
	struct specs *specs = NULL;
	get(&specs);
	for (uint32_t i = 0; i < task_count; i++)
		check_task(specs, i);
	for (uint32_t i = task_count; i-- > 0;)
		check_task(specs, i);
	for (uint32_t i = 0; i < 4 * task_count; i++)
		check_task(specs, i * 37 % task_count);
	specs_free(specs);
	for (uint32_t i = 0; i < function_count; i++) {
		struct specs *one = NULL;
		check_function(get(&one), i);
		check_task(one, task_count - 1);
		check_function(one, function_count - 1 - i);
		specs_free(one);
	}
	specs = NULL;
	struct specs_task task;
	size_t size;
	uint32_t options;
	cr_assert_eq(specs_task(get(&specs), task_count, &task), 1);
	cr_assert_eq(specs_task(specs, UINT32_MAX, &task), 1);
	cr_assert_null(specs_function(specs, function_count, &size, &options));
	cr_assert_eq(specs_count_functions(specs), function_count);
	cr_assert_not_null(specs_batch_info(specs, &size));
	specs_free(specs);
	store_fini(&s);
}

Test(specs, are_found_by_what_the_broker_noted_in_the_chunks)
{
	fill(true);
	check_all();
}

Test(specs, are_found_without_such_notes)
{
	fill(false);
	check_all();
}
