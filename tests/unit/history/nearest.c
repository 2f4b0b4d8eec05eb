/* The earlier commit that a run is best compared with. */
#include "broker/history/nearest.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "tests/unit/ledger/support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct store s;
static struct history *h;
static uint64_t next_seq;
static bool calls; /* of functions by source, with the same arguments */

static void set_up(void)
{
	store_init(&s);
	h = history_open(s.reader, NULL);
	next_seq = 1;
	calls = false;
}

static void tear_down(void)
{
	history_close(h);
	store_fini(&s);
}

TestSuite(nearest, .init = set_up, .fini = tear_down);

/* train of version @version on input @data with parameters lr, seed. */
struct work {
	uint64_t version, data, lr, seed;
};

static void describe(struct buf *out, const struct work *w)
{
	char *argv[] = {"train"}, *params[] = {"lr", "seed"}, *inputs[] = {"data"};
	struct function_code code = {.path = "train.py"};
	struct function f = {.argv = argv,
			     .argc = 1,
			     .params = params,
			     .param_count = 2,
			     .inputs = inputs,
			     .input_count = 1,
			     .code = &code,
			     .code_count = 1};
	sample_digest(code.digest, "code", w->version);
	if (calls) {
		f = (struct function){.language = "python"};
		memcpy(f.identity, code.digest, DIGEST_SIZE);
	}
	function_encode(out, &f);
}

/* train({"lr": LR, "seed": SEED}, data=REF): the reference comes last, as in a command it does not. */
static void make_call(struct buf *out, const struct work *w)
{
	struct arg options[] = {
		{.type = ARG_INT, .name = "lr", .name_size = 2, .i = (int64_t)w->lr},
		{.type = ARG_INT, .name = "seed", .name_size = 4, .i = (int64_t)w->seed}};
	struct arg map = {.type = ARG_MAP, .items = options, .count = 2};
	struct arg ref = {.type = ARG_REF,
			  .name = "data",
			  .name_size = 4,
			  .content.type = CONTENT_JSON};
	struct call_args call = {.positional = &map,
				 .positional_count = 1,
				 .keywords = &ref,
				 .keyword_count = 1};
	sample_digest(ref.content.digest, "data", w->data);
	cr_assert_eq(call_args_encode(out, &call), 0);
}

static void make_args(struct buf *out, const struct work *w)
{
	char *name = "data.npz";
	struct value values[] = {{.type = VALUE_INT, .i = (int64_t)w->lr},
				 {.type = VALUE_INT, .i = (int64_t)w->seed}};
	struct args_input input = {
		.names = &name, .name_count = 1, .content = {.type = CONTENT_FILE}};
	struct args args = {
		.values = values, .value_count = 2, .inputs = &input, .input_count = 1};
	sample_digest(input.content.digest, "data", w->data);
	if (calls)
		make_call(out, w);
	else
		args_encode(out, &args);
}

/* A commit of @w at @index of batch @batch. Return: its number. */
static uint64_t add(struct ledger_turn *t, const struct work *w, uint64_t batch,
		    uint32_t index)
{
	CLEANUP_BUF struct buf description = {0}, args = {0};
	struct sample sample;
	sample_commit(&sample, next_seq);
	describe(&description, w);
	make_args(&args, w);
	struct commit *c = &sample.commit;
	sha256_digest(description.data, description.size, c->func_hash);
	ledger_add_blob(t, c->func_hash, description.data, description.size);
	c->args = args.data;
	c->args_size = args.size;
	sample_digest(c->batch, "batch", batch);
	c->index = index;
	ledger_add_commit(t, next_seq, 0, true, c);
	return next_seq++;
}

/* The sweep of all seeds below @count. Return: number of the first. */
static uint64_t add_sweep(const struct work *like, uint64_t batch, uint32_t count)
{
	uint64_t first = next_seq;
	struct ledger_turn *t = store_turn(&s);
	for (uint32_t i = 0; i < count; i++) {
		struct work w = *like;
		w.seed = i;
		add(t, &w, batch, i);
	}
	store_put(&s, t);
	return first;
}

static uint64_t find(const struct work *w, uint64_t batch, uint32_t index,
		     uint64_t before)
{
	CLEANUP_BUF struct buf description = {0}, bytes = {0};
	struct function function;
	struct args args;
	uint8_t id[DIGEST_SIZE];
	uint64_t seq = 0;
	describe(&description, w);
	make_args(&bytes, w);
	cr_assert_eq(function_decode(description.data, description.size, &function), 0);
	cr_assert_eq(args_decode(bytes.data, bytes.size, &args), 0);
	sample_digest(id, "batch", batch);
	struct print p = {
		.function = &function, .args = &args, .batch = id, .index = index};
	sha256_digest(description.data, description.size, p.func_hash);
	sha256_digest(bytes.data, bytes.size, p.args_hash);
	struct nearest *n = nearest_load(h, "train", before);
	if (nearest_find(n, &p, true, &seq))
		seq = 0;
	nearest_free(n);
	function_fini(&function);
	args_fini(&args);
	return seq;
}

Test(nearest, nothing_of_that_name_is_nothing)
{
	cr_assert_eq(find(&(struct work){0}, 1, 0, 0), 0);
	struct nearest *n = nearest_load(h, "other", 0);
	cr_assert(nearest_is_empty(n));
	nearest_free(n);
}

Test(nearest, the_same_arguments_under_other_code_however_much_came_between)
{
	uint64_t old = add_sweep(&(struct work){.version = 1}, 1, 500);
	uint64_t new = add_sweep(&(struct work){.version = 2}, 2, 5000);
	for (uint32_t i = 0; i < 500; i += 83) {
		struct work w = {.version = 2, .seed = i};
		cr_assert_eq(find(&w, 2, i, new + i), old + i);
		/* As it is before it runs: the commit is not there. */
		w.version = 3;
		cr_assert_eq(find(&w, 3, i, 0), new + i, "the newest version of two");
	}
}

Test(nearest, the_same_parameters_with_another_input)
{
	uint64_t old = add_sweep(&(struct work){.data = 1}, 1, 300);
	uint64_t new = add_sweep(&(struct work){.data = 2}, 2, 3000);
	struct work w = {.data = 2, .seed = 250};
	cr_assert_eq(find(&w, 2, 250, new + 250), old + 250);
}

Test(nearest, code_and_input_both)
{
	uint64_t old = add_sweep(&(struct work){.version = 1, .data = 1}, 1, 300);
	uint64_t new = add_sweep(&(struct work){.version = 2, .data = 2}, 2, 3000);
	struct work w = {.version = 2, .data = 2, .seed = 123};
	cr_assert_eq(find(&w, 2, 123, new + 123), old + 123);
}

Test(nearest, of_calls_as_of_commands)
{
	calls = true;
	uint64_t old = add_sweep(&(struct work){.version = 1, .data = 1}, 1, 300);
	uint64_t new = add_sweep(&(struct work){.version = 2, .data = 2}, 2, 3000);
	uint64_t newest = add_sweep(&(struct work){.version = 2, .data = 3}, 3, 3000);
	struct work w = {.version = 2, .data = 2, .seed = 123};
	cr_assert_eq(find(&w, 2, 123, new + 123), old + 123, "code and input");
	w.data = 3;
	w.seed = 250;
	cr_assert_eq(find(&w, 3, 250, newest + 250), new + 250, "another input");
	w = (struct work){.version = 3, .data = 3, .seed = 77};
	cr_assert_eq(find(&w, 4, 77, 0), newest + 77, "other code");
}

Test(nearest, a_new_value_is_compared_with_its_neighbour_of_the_batch_before)
{
	uint64_t old = add_sweep(&(struct work){.lr = 1}, 1, 20);
	uint64_t new = add_sweep(&(struct work){.lr = 2}, 2, 20);
	struct work w = {.lr = 2, .seed = 7};
	cr_assert_eq(find(&w, 2, 7, new + 7), old + 7);
}

Test(nearest, the_same_batch_counts_only_when_there_is_no_other)
{
	uint64_t first = add_sweep(&(struct work){.lr = 1}, 1, 20);
	struct work w = {.lr = 1, .seed = 7};
	uint64_t found = find(&w, 1, 7, first + 7);
	cr_assert(found >= first && found < first + 7);
	cr_assert_eq(find(&w, 1, 0, first), 0);
}

Test(nearest, what_came_later_is_never_the_earlier_one)
{
	uint64_t old = add_sweep(&(struct work){.version = 1}, 1, 10);
	uint64_t middle = add_sweep(&(struct work){.version = 2}, 2, 10);
	add_sweep(&(struct work){.version = 3}, 3, 10);
	add_sweep(&(struct work){.version = 1}, 4, 10); /* the old one, forced */
	struct work w = {.version = 2, .seed = 4};
	cr_assert_eq(find(&w, 2, 4, middle + 4), old + 4);
}
