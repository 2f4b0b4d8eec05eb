/* questions.c - each question, asked with nothing in it, of a store with nothing in it and of one with
 * a commit: whatever comes back is an answer. */
#include "broker/history/history.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "tests/unit/ledger/support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct store s;
static struct cas *cas;
static struct history *h;

static void set_up(void)
{
	store_init(&s);
	cr_assert_eq(cas_open_memory(&cas), 0);
	h = history_open(s.reader, cas);
}

static void tear_down(void)
{
	history_close(h);
	cas_free(cas);
	store_fini(&s);
}

TestSuite(questions, .init = set_up, .fini = tear_down);

/* ask() - Return: the code of the Error, 0 if it was none. */
static unsigned ask(const Cashet__Envelope *question)
{
	CLEANUP_BUF struct buf answer = {0};
	history_answer(h, question, NULL, &answer);
	Cashet__Envelope *e = cashet__envelope__unpack(NULL, answer.size, answer.data);
	cr_assert_not_null(e);
	cr_assert_eq(e->serial, question->serial);
	unsigned code = 0;
	if (e->body_case == CASHET__ENVELOPE__BODY_ERROR) {
		code = e->error->code;
		cr_assert(*e->error->what, "says what");
	}
	cashet__envelope__free_unpacked(e, NULL);
	return code;
}

static unsigned ask_each(void)
{
	const ProtobufCMessageDescriptor *all = &cashet__envelope__descriptor;
	unsigned asked = 0;
	for (unsigned i = 0; i < all->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &all->fields[i];
		if (!history_answers((Cashet__Envelope__BodyCase)field->id))
			continue;
		const ProtobufCMessageDescriptor *body = field->descriptor;
		ProtobufCMessage *empty = mem_alloc(body->sizeof_message);
		protobuf_c_message_init(body, empty);
		Cashet__Envelope question = CASHET__ENVELOPE__INIT;
		question.serial = 1000 + i;
		question.body_case = (Cashet__Envelope__BodyCase)field->id;
		question.hello = (Cashet__Hello *)empty; /* one pointer for all bodies */
		ask(&question);
		free(empty);
		asked++;
	}
	return asked;
}

Test(questions, with_nothing_in_them_have_an_answer)
{
	cr_assert_gt(ask_each(), 8);
	struct ledger_turn *t = store_turn(&s);
	struct sample sample;
	sample_commit(&sample, 1);
	ledger_add_commit(t, 1, 0, true, &sample.commit);
	store_put(&s, t);
	cr_assert_gt(ask_each(), 8);
}

Test(questions, of_other_kinds_are_refused)
{
	Cashet__Envelope question = CASHET__ENVELOPE__INIT;
	Cashet__Ping ping = CASHET__PING__INIT;
	question.serial = 7;
	question.body_case = CASHET__ENVELOPE__BODY_PING;
	question.ping = &ping;
	cr_assert_not(history_answers(question.body_case));
	cr_assert_eq(ask(&question), ERR_USAGE);
}

Test(questions, about_what_is_not_there_say_so)
{
	uint8_t hash[DIGEST_SIZE] = {0xab, 0xcd};
	Cashet__Target target = CASHET__TARGET__INIT;
	Cashet__ShowQuery show = CASHET__SHOW_QUERY__INIT;
	Cashet__Envelope question = CASHET__ENVELOPE__INIT;
	question.body_case = CASHET__ENVELOPE__BODY_SHOW_QUERY;
	question.show_query = &show;
	show.target = &target;
	target.prefix = (ProtobufCBinaryData){.data = hash, .len = 2};
	cr_assert_eq(ask(&question), ERR_NOT_FOUND);
	target.odd = 1; /* three digits */
	cr_assert_eq(ask(&question), ERR_USAGE);
	target.prefix.len = DIGEST_SIZE + 1;
	cr_assert_eq(ask(&question), ERR_USAGE);
	target.prefix.len = 0;
	target.name = (char *)"best";
	cr_assert_eq(ask(&question), ERR_NOT_FOUND);
	target.is_task = true; /* without a batch: the newest */
	cr_assert_eq(ask(&question), ERR_NOT_FOUND);
}

static int add(void *arg, const void *data, size_t size)
{
	buf_add(arg, data, size);
	return 0;
}

Test(questions, blobs_are_given_in_ranges_from_wherever_they_are)
{
	struct ledger_turn *t = store_turn(&s);
	uint8_t small[DIGEST_SIZE], large[DIGEST_SIZE], none[DIGEST_SIZE] = {1};
	CLEANUP_FREE char *bytes = mem_alloc(600000);
	memset(bytes, 'x', 600000);
	bytes[299999] = 'y';
	cr_assert_eq(cas_put(cas, bytes, 600000, NULL, large), 0);
	sha256_digest("small", 5, small);
	ledger_add_blob(t, small, "small", 5);
	store_put(&s, t);
	CLEANUP_BUF struct buf out = {0};
	struct err e = {0};
	cr_assert_eq(history_blob(h, small, 1, 3, add, &out, &e), 0, "%s", e.what);
	cr_assert_str_eq(buf_cstr(&out), "mal");
	buf_reset(&out);
	cr_assert_eq(history_blob(h, large, 299998, 4, add, &out, &e), 0, "%s", e.what);
	cr_assert_str_eq(buf_cstr(&out), "xyxx");
	buf_reset(&out);
	cr_assert_eq(history_blob(h, large, 600000, 0, add, &out, &e), 0);
	cr_assert_eq(out.size, 0);
	cr_assert_eq(history_blob(h, none, 0, 0, add, &out, &e), ERR_NOT_FOUND);
}
