/* Dry runs through their question: what a batch would do, in a store and without one. */
#include "broker/history/history.h"
#include "common/format/function.h"
#include "common/pure/sha256.h"
#include "tests/unit/ledger/support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static uint8_t run_id[NONCE_SIZE] = {1};

static Cashet__Envelope *ask(struct history *h, Cashet__DryRunQuery *query)
{
	CLEANUP_BUF struct buf answer = {0};
	Cashet__Envelope question = CASHET__ENVELOPE__INIT;
	query->run = (ProtobufCBinaryData){.data = run_id, .len = sizeof run_id};
	question.body_case = CASHET__ENVELOPE__BODY_DRY_RUN_QUERY;
	question.dry_run_query = query;
	history_answer(h, &question, NULL, &answer);
	Cashet__Envelope *e = cashet__envelope__unpack(NULL, answer.size, answer.data);
	cr_assert_not_null(e);
	return e;
}

static void drop(Cashet__Envelope *e)
{
	cashet__envelope__free_unpacked(e, NULL);
}

/* A batch of two tasks: the second reads the first's standard output. @n: a parameter of the first. */
struct two {
	struct buf first, second, first_args, second_args;
	uint8_t second_args_offset;
};

static void make(struct two *b, int64_t n)
{
	*b = (struct two){0};
	char *argv[] = {"echo", "${p.n}"}, *cat[] = {"cat", "${inputs.in}"},
	     *params[] = {"n"}, *inputs[] = {"in"}, *file = "stdout";
	struct function f = {.argv = argv, .argc = 2, .params = params, .param_count = 1};
	struct function g = {.argv = cat, .argc = 2, .inputs = inputs, .input_count = 1};
	struct value value = {.type = VALUE_INT, .i = n};
	struct args_input input = {.names = &file, .name_count = 1};
	struct args a = {.values = &value, .value_count = 1},
		    z = {.inputs = &input, .input_count = 1};
	function_encode(&b->first, &f);
	function_encode(&b->second, &g);
	args_encode(&b->first_args, &a);
	args_encode(&b->second_args, &z);
	b->second_args_offset = (uint8_t)input.offset;
}

static void two_fini(struct two *b)
{
	buf_fini(&b->first);
	buf_fini(&b->second);
	buf_fini(&b->first_args);
	buf_fini(&b->second_args);
}

static void submit(struct history *h, const struct two *b, unsigned code)
{
	Cashet__Options options = CASHET__OPTIONS__INIT, *all_options[] = {&options};
	Cashet__Function functions[2] = {CASHET__FUNCTION__INIT, CASHET__FUNCTION__INIT},
			 *all_functions[] = {&functions[0], &functions[1]};
	Cashet__TaskSpec tasks[2] = {CASHET__TASK_SPEC__INIT, CASHET__TASK_SPEC__INIT},
			 *all_tasks[] = {&tasks[0], &tasks[1]};
	Cashet__Ref ref = CASHET__REF__INIT, *refs[] = {&ref};
	Cashet__SubmitChunk chunk = CASHET__SUBMIT_CHUNK__INIT;
	functions[0].name = "first";
	functions[0].description = (ProtobufCBinaryData){b->first.size, b->first.data};
	functions[1].name = "second";
	functions[1].description = (ProtobufCBinaryData){b->second.size, b->second.data};
	tasks[0].args = (ProtobufCBinaryData){b->first_args.size, b->first_args.data};
	tasks[1].function = 1;
	tasks[1].args = (ProtobufCBinaryData){b->second_args.size, b->second_args.data};
	ref.offset = b->second_args_offset;
	ref.slot = SLOT_STDOUT;
	tasks[1].refs = refs;
	tasks[1].n_refs = 1;
	chunk.options = all_options;
	chunk.n_options = 1;
	chunk.functions = all_functions;
	chunk.n_functions = 2;
	chunk.tasks = all_tasks;
	chunk.n_tasks = 2;
	chunk.seal = true;
	Cashet__DryRunQuery query = CASHET__DRY_RUN_QUERY__INIT;
	query.chunk = &chunk;
	Cashet__Envelope *e = ask(h, &query);
	if (code) {
		cr_assert_eq(e->body_case, CASHET__ENVELOPE__BODY_ERROR);
		cr_assert_eq(e->error->code, code);
	} else {
		cr_assert_eq(e->body_case, CASHET__ENVELOPE__BODY_DRY_RUN_REPLY);
		cr_assert_eq(e->dry_run_reply->next_chunk, 1);
	}
	drop(e);
}

static void expect(struct history *h, Cashet__DryRunTask__State first,
		   Cashet__DryRunTask__State second)
{
	Cashet__DryRunQuery query = CASHET__DRY_RUN_QUERY__INIT;
	for (bool ready = false; !ready;) {
		Cashet__Envelope *e = ask(h, &query);
		cr_assert_eq(e->body_case, CASHET__ENVELOPE__BODY_DRY_RUN_REPLY);
		ready = e->dry_run_reply->ready;
		drop(e);
	}
	query.page = true;
	query.specs = true;
	Cashet__Envelope *e = ask(h, &query);
	cr_assert_eq(e->dry_run_reply->n_tasks, 2);
	cr_assert_eq(e->dry_run_reply->next, 2);
	cr_expect_eq(e->dry_run_reply->tasks[0]->state, first);
	cr_expect_eq(e->dry_run_reply->tasks[1]->state, second);
	drop(e);
	Cashet__DryRunQuery over = CASHET__DRY_RUN_QUERY__INIT;
	over.forget = true;
	drop(ask(h, &over));
}

#define STATE(name) CASHET__DRY_RUN_TASK__STATE__##name

Test(dry_run, without_a_store_the_first_runs_and_the_second_waits)
{
	struct history *h = history_open(NULL, NULL);
	struct two b;
	make(&b, 1);
	submit(h, &b, 0);
	expect(h, STATE(RUN), STATE(WAITS));
	two_fini(&b);
	history_close(h);
}

/* The two commits of make(n), as if they had run; blobs included. */
static void ran(struct store *s, int64_t n, uint64_t seq)
{
	struct two b;
	make(&b, n);
	struct ledger_turn *t = store_turn(s);
	uint8_t out[DIGEST_SIZE];
	sha256_digest("out\n", 4, out);
	b.second_args.data[b.second_args_offset] = CONTENT_FILE;
	memcpy(b.second_args.data + b.second_args_offset + 1, out, DIGEST_SIZE);
	for (int i = 0; i < 2; i++) {
		struct sample sample;
		sample_commit(&sample, seq + (uint64_t)i);
		struct commit *c = &sample.commit;
		const struct buf *f = i ? &b.second : &b.first,
				 *a = i ? &b.second_args : &b.first_args;
		c->name = i ? "second" : "first";
		c->args = a->data;
		c->args_size = a->size;
		c->output_count = 0;
		c->result.type = CONTENT_FILE;
		memcpy(c->result.digest, out, DIGEST_SIZE);
		c->has_stdout = true;
		memcpy(c->stdout_digest, out, DIGEST_SIZE);
		sha256_digest(f->data, f->size, c->func_hash);
		ledger_add_blob(t, c->func_hash, f->data, f->size);
		ledger_add_commit(t, seq + (uint64_t)i, 0, true, c);
	}
	ledger_add_blob(t, out, "out\n", 4);
	store_put(s, t);
	two_fini(&b);
}

Test(dry_run, what_ran_is_cached_and_what_waits_is_looked_up_under_an_assumption)
{
	struct store s;
	struct two b;
	store_init(&s);
	ran(&s, 1, 1);
	struct history *h = history_open(s.reader, NULL);
	make(&b, 1);
	submit(h, &b, 0);
	expect(h, STATE(CACHED), STATE(CACHED));
	/* With other code the first is the same task all the same, so it is taken to give the same. */
	two_fini(&b);
	make(&b, 1);
	char *argv[] = {"echo", "-n", "${p.n}"}, *params[] = {"n"};
	struct function f = {.argv = argv, .argc = 3, .params = params, .param_count = 1};
	buf_reset(&b.first);
	function_encode(&b.first, &f);
	submit(h, &b, 0);
	expect(h, STATE(RUN), STATE(CACHED_IF_SAME));
	/* With another parameter it is another task, and what it gives is not known. */
	two_fini(&b);
	make(&b, 2);
	submit(h, &b, 0);
	expect(h, STATE(RUN), STATE(WAITS));
	two_fini(&b);
	history_close(h);
	store_fini(&s);
}

Test(dry_run, a_malformed_batch_is_refused_and_forgotten)
{
	struct history *h = history_open(NULL, NULL);
	struct two b;
	make(&b, 1);
	b.first.data[3] ^= 0xff;
	submit(h, &b, 2);
	Cashet__DryRunQuery query = CASHET__DRY_RUN_QUERY__INIT;
	Cashet__Envelope *e = ask(h, &query);
	cr_assert_eq(e->body_case, CASHET__ENVELOPE__BODY_ERROR);
	drop(e);
	two_fini(&b);
	history_close(h);
}

Test(dry_run, what_is_left_open_goes_with_its_history)
{
	struct history *h = history_open(NULL, NULL);
	struct two b;
	make(&b, 1);
	submit(h, &b, 0);
	two_fini(&b);
	history_close(h); /* the sanitizer says if not */
}
