/* calls.c - functions by source: their source goes to workers and into commits, their result is what
 * they returned, and what a worker or client says of them is checked. */
#include "rig.h"

#include "common/format/commit.h"
#include "common/format/source.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct rig rig;

static void setup(void)
{
	rig_start(&rig);
}

static void teardown(void)
{
	rig_end(&rig);
}

TestSuite(calls, .init = setup, .fini = teardown, .timeout = 240);

static const uint8_t source_a[DIGEST_SIZE] = {0xaa}, source_b[DIGEST_SIZE] = {0xbb};

/* The next assignment of one task; @source: that its function must come with now, or NULL. Borrowed
 * until the next message. */
static const Cashet__Assignment *next_task(struct end *w, const uint8_t *source)
{
	Cashet__Assign *a = end_recv(w, CASHET__ENVELOPE__BODY_ASSIGN)->assign;
	cr_assert(a->n_tasks == 1);
	cr_assert(a->n_functions == (source ? 1 : 0));
	if (source) {
		cr_assert(a->functions[0]->source.len == DIGEST_SIZE);
		cr_assert_arr_eq(a->functions[0]->source.data, source, DIGEST_SIZE);
	}
	return a->tasks[0];
}

static void expect_verdict(struct end *w, Cashet__ResultAck__Verdict verdict)
{
	Cashet__ResultAcks *acks =
		end_recv(w, CASHET__ENVELOPE__BODY_RESULT_ACKS)->result_acks;
	cr_assert(acks->n_acks == 1 && acks->acks[0]->verdict == verdict);
}

static void expect_refused(struct end *c, const char *part)
{
	Cashet__Envelope *m = end_recv(c, CASHET__ENVELOPE__BODY_ERROR);
	cr_assert(strstr(m->error->what, part), "%s", m->error->what);
}

/* What the one task that the client is watching ended with; its commit in @c. */
static void expect_end(struct end *client, struct commit *c, struct buf *body,
		       struct buf *arena)
{
	Cashet__Progress *p = client_last_progress(client);
	cr_assert(p->results && p->results->n_tasks);
	const Cashet__TaskResult *t = p->results->tasks[p->results->n_tasks - 1];
	cr_assert(t->state == CASHET__TASK_RESULT__STATE__COMPLETED);
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__CommitQuery query = CASHET__COMMIT_QUERY__INIT;
	query.prefix.data = t->commit.data;
	query.prefix.len = t->commit.len;
	m.body_case = CASHET__ENVELOPE__BODY_COMMIT_QUERY;
	m.commit_query = &query;
	end_send(client, &m);
	Cashet__CommitReply *reply =
		end_recv(client, CASHET__ENVELOPE__BODY_COMMIT_REPLY)->commit_reply;
	buf_add(body, reply->body.data, reply->body.len);
	cr_assert(!commit_decode(body->data, body->size, c, arena));
}

Test(calls, source_goes_to_the_worker_and_into_the_commit)
{
	struct end c, w;
	CLEANUP_BUF struct buf body = {0}, arena = {0};
	struct commit commit;
	end_hello(&c, &rig, false);
	end_hello(&w, &rig, true);
	worker_hello(&w, 1, 0);
	struct plan *p = plan_new(&c);
	plan_options(p)->isolation = CASHET__OPTIONS__ISOLATION__FORK;
	plan_options(p)->interpreter = (char *)"/venv/bin/python";
	plan_call_task(p, plan_call(p, 7, source_a), 1, -1);
	plan_send(p, true);
	Cashet__Assign *a = end_recv(&w, CASHET__ENVELOPE__BODY_ASSIGN)->assign;
	cr_assert(a->n_tasks == 1 && a->n_functions == 1 && a->n_options == 1);
	cr_assert_arr_eq(a->functions[0]->source.data, source_a, DIGEST_SIZE);
	cr_assert(a->options[0]->isolation == CASHET__OPTIONS__ISOLATION__FORK);
	cr_assert_str_eq(a->options[0]->interpreter, "/venv/bin/python");
	worker_returns(&w, a->tasks[0], CONTENT_JSON, "{\"loss\":0.5}", "hello\n");
	expect_verdict(&w, CASHET__RESULT_ACK__VERDICT__ACCEPTED);
	expect_end(&c, &commit, &body, &arena);
	cr_assert(commit.has_source);
	cr_assert_arr_eq(commit.source, source_a, DIGEST_SIZE);
	cr_assert(commit.result.type == CONTENT_JSON && commit.result_size == 12);
	uint8_t digest[DIGEST_SIZE];
	sha256_digest("hello\n", 6, digest);
	cr_assert(commit.stdout_size == 6);
	cr_assert_arr_eq(commit.stdout_digest, digest, DIGEST_SIZE);
	plan_free(p);
	end_close(&c);
	end_close(&w);
}

Test(calls, another_source_of_the_same_function_is_sent_before_its_tasks)
{
	struct end c, w;
	end_hello(&c, &rig, false);
	end_hello(&w, &rig, true);
	worker_hello(&w, 1, 0);
	const struct {
		const uint8_t *source, *sent;
	} steps[] = {{source_a, source_a}, {source_a, NULL},	 {source_b, source_b},
		     {source_b, NULL},	   {source_a, source_a}, {source_a, NULL}};
	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		CLEANUP_BUF struct buf body = {0}, arena = {0};
		struct commit commit;
		struct plan *p = plan_new(&c);
		plan_call_task(p, plan_call(p, 7, steps[i].source), i, -1);
		plan_send(p, true);
		worker_returns(&w, next_task(&w, steps[i].sent), CONTENT_JSON, "1", "");
		expect_verdict(&w, CASHET__RESULT_ACK__VERDICT__ACCEPTED);
		expect_end(&c, &commit, &body, &arena);
		cr_assert_arr_eq(commit.source, steps[i].source, DIGEST_SIZE);
		plan_free(p);
	}
	end_close(&c);
	end_close(&w);
}

/* The loop has ended, so what it does is the test's. */
static void grant(struct worker *w, struct batch *batch, uint32_t function)
{
	struct core_effect fx = {
		.type = CORE_FX_GRANT, .batch = batch->number, .worker = w->number};
	fx.grant.function = function;
	fx.grant.early = true;
	fx.grant.args = (const uint8_t *)"";
	worker_grant(rig.b, &fx);
}

static void stop_loop(void)
{
	broker_stop(rig.b);
	pthread_join(rig.thread, NULL);
	rig.running = false;
}

/* What was sent before has been taken, too. */
static void wait_for_answer(struct end *w)
{
	Cashet__Envelope ping = CASHET__ENVELOPE__INIT;
	Cashet__Ping body = CASHET__PING__INIT;
	ping.body_case = CASHET__ENVELOPE__BODY_PING;
	ping.ping = &body;
	end_send(w, &ping);
	end_recv(w, CASHET__ENVELOPE__BODY_PONG);
}

static void wait_until_gone(const struct peer *peer)
{
	Cashet__Envelope ping = CASHET__ENVELOPE__INIT;
	Cashet__Ping body = CASHET__PING__INIT;
	int error;
	ping.body_case = CASHET__ENVELOPE__BODY_PING;
	ping.ping = &body;
	while (!wire_send(broker_socket(rig.b, peer->socket), peer->route,
			  peer->route_size, &ping, &error))
		;
}

Test(calls, a_worker_that_is_found_gone_while_another_source_is_sent_harms_nobody)
{
	struct end c, w;
	end_hello(&c, &rig, false);
	end_hello(&w, &rig, true);
	worker_hello(&w, 1, 0);
	wait_for_answer(&w);
	struct plan *p = plan_new(&c);
	plan_call_task(p, plan_call(p, 7, source_a), 1, -1);
	plan_call_task(p, plan_call(p, 7, source_b), 2, -1);
	plan_chunk(p, 0, false);
	end_recv(&c, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	stop_loop();
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	struct batch *batch = batches_find(rig.b, id);
	struct worker *worker = workers_find(rig.b, w.instance);
	cr_assert(batch && batch->function_count == 2 && worker);
	end_close(&w);
	wait_until_gone(peer_get(rig.b, worker->peer));
	grant(worker, batch, 0);
	cr_assert(worker->early.tasks.size);
	grant(worker, batch, 1); /* what was put together for it leaves first */
	cr_assert(!worker->peer && !worker->functions.count);
	cr_assert(!worker->early.tasks.size && list_empty(&worker->touched));
	plan_free(p);
	end_close(&c);
	broker_free(rig.b);
	rig.b = NULL;
}

Test(calls, another_source_is_a_hit)
{
	struct end c, w;
	end_hello(&c, &rig, false);
	end_hello(&w, &rig, true);
	worker_hello(&w, 1, 0);
	for (int i = 0; i < 2; i++) {
		struct plan *p = plan_new(&c);
		plan_call_task(p, plan_call(p, 7, i ? source_b : source_a), 1, -1);
		plan_send(p, true);
		if (!i)
			worker_returns(&w, next_task(&w, source_a), CONTENT_PICKLE, "P",
				       "");
		Cashet__Progress *last = client_last_progress(&c);
		cr_assert(last->counts->cached == (uint64_t)i);
		plan_free(p);
	}
	end_close(&c);
	end_close(&w);
}

Test(calls, result_of_a_call_is_what_a_reference_to_it_means)
{
	struct end c, w;
	end_hello(&c, &rig, false);
	end_hello(&w, &rig, true);
	worker_hello(&w, 1, 0);
	struct plan *p = plan_new(&c);
	uint32_t f = plan_call(p, 7, source_a);
	uint32_t first = plan_call_task(p, f, 1, -1);
	plan_call_task(p, f, 2, (int)first);
	plan_send(p, true);
	worker_returns(&w, next_task(&w, source_a), CONTENT_PICKLE, "an object", "text");
	const Cashet__Assignment *a = next_task(&w, NULL);
	struct args args;
	uint8_t digest[DIGEST_SIZE];
	sha256_digest("an object", 9, digest);
	cr_assert(!args_decode(a->args.data, a->args.len, &args));
	cr_assert(args.input_count == 1 && args.inputs[0].content.type == CONTENT_PICKLE);
	cr_assert_str_eq(args.inputs[0].label, "data");
	cr_assert_arr_eq(args.inputs[0].content.digest, digest, DIGEST_SIZE);
	args_fini(&args);
	worker_returns(&w, a, CONTENT_FILE, "bytes", "");
	client_last_progress(&c);
	plan_free(p);
	end_close(&c);
	end_close(&w);
}

Test(calls, results_that_cannot_be_are_refused)
{
	struct end c, w;
	end_hello(&c, &rig, false);
	end_hello(&w, &rig, true);
	worker_hello(&w, 1, 0);
	struct plan *p = plan_new(&c);
	plan_call_task(p, plan_call(p, 7, source_a), 1, -1);
	plan_send(p, true);
	const Cashet__Assignment *a = next_task(&w, source_a);
	Cashet__Assignment *kept = cashet__assignment__unpack(NULL, 0, NULL);
	CLEANUP_BUF struct buf packed = {0};
	uint8_t *to = buf_reserve(&packed, cashet__assignment__get_packed_size(a));
	packed.size = cashet__assignment__pack(a, to);
	cashet__assignment__free_unpacked(kept, NULL);
	kept = cashet__assignment__unpack(NULL, packed.size, packed.data);
	static const uint8_t types[] = {0,
					CONTENT_EXEC,
					CONTENT_TREE,
					CONTENT_LIST,
					CONTENT_RESULT,
					CONTENT_EXTERN,
					CONTENT_DIR,
					CONTENT_PICKLE + 1};
	for (unsigned i = 0; i < sizeof types; i++) {
		worker_returns(&w, kept, types[i], "{}", "");
		expect_verdict(&w, CASHET__RESULT_ACK__VERDICT__MALFORMED);
	}
	worker_returns(&w, kept, CONTENT_JSON, "{}", "");
	expect_verdict(&w, CASHET__RESULT_ACK__VERDICT__ACCEPTED);
	cashet__assignment__free_unpacked(kept, NULL);
	plan_free(p);
	/* and a command has none */
	p = plan_new(&c);
	plan_task(p, plan_command(p, "/bin/true", NULL), 1, -1);
	plan_send(p, false);
	worker_returns(&w, end_recv(&w, CASHET__ENVELOPE__BODY_ASSIGN)->assign->tasks[0],
		       CONTENT_JSON, "{}", "");
	expect_verdict(&w, CASHET__RESULT_ACK__VERDICT__MALFORMED);
	plan_free(p);
	end_close(&c);
	end_close(&w);
}

Test(calls, functions_without_their_source_are_refused)
{
	struct end c;
	end_hello(&c, &rig, false);
	struct plan *p = plan_new(&c);
	plan_call_task(p, plan_call(p, 7, NULL), 1, -1);
	plan_send(p, false);
	expect_refused(&c, "names none");
	plan_free(p);
	p = plan_new(&c);
	plan_options(p)->isolation = (Cashet__Options__Isolation)7;
	plan_call_task(p, plan_call(p, 7, source_a), 1, -1);
	plan_send(p, false);
	expect_refused(&c, "isolation");
	plan_free(p);
	end_close(&c);
}

/* ---- what a source keeps ---- */

#define FILE_TEXT "def train(lr):\n    return lr\n"
#define STRAY_TEXT "nobody names this"

static void put_small(struct end *c, const void *data, size_t size)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__ImportChunk chunk = CASHET__IMPORT_CHUNK__INIT;
	ProtobufCBinaryData blob = {size, (uint8_t *)data};
	uint8_t token[16];
	for (int discard = 0; discard < 2; discard++) {
		memset(token, 9, sizeof token);
		chunk.import = (ProtobufCBinaryData){sizeof token, token};
		chunk.n_blobs = !discard;
		chunk.blobs = &blob;
		chunk.discard = discard;
		m.body_case = CASHET__ENVELOPE__BODY_IMPORT_CHUNK;
		m.import_chunk = &chunk;
		m.serial = 0;
		end_send(c, &m);
		end_recv(c, CASHET__ENVELOPE__BODY_IMPORT_ACK);
	}
}

static void make_source(struct buf *out, uint8_t digest[DIGEST_SIZE])
{
	struct source_file file = {.path = (char *)"train.py",
				   .size = sizeof FILE_TEXT - 1};
	struct source_unit unit = {.language = (char *)"python",
				   .path = (char *)"train.py",
				   .name = (char *)"train"};
	struct source s = {
		.files = &file, .file_count = 1, .units = &unit, .unit_count = 1};
	sha256_digest(FILE_TEXT, sizeof FILE_TEXT - 1, file.digest);
	source_encode(out, &s);
	sha256_digest(out->data, out->size, digest);
}

static bool has_blob(struct end *c, const uint8_t digest[DIGEST_SIZE])
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__BlobQuery query = CASHET__BLOB_QUERY__INIT;
	query.digest = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)digest};
	m.body_case = CASHET__ENVELOPE__BODY_BLOB_QUERY;
	m.blob_query = &query;
	end_send(c, &m);
	return end_recv_any(c, RIG_WAIT_MS)->body_case ==
	       CASHET__ENVELOPE__BODY_BLOB_REPLY;
}

static bool has_text(struct end *c, const char *text)
{
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(text, strlen(text), digest);
	return has_blob(c, digest);
}

static void clear(struct end *c)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__GcRequest gc = CASHET__GC_REQUEST__INIT;
	gc.all = true;
	m.body_case = CASHET__ENVELOPE__BODY_GC_REQUEST;
	m.gc_request = &gc;
	end_send(c, &m);
	end_recv(c, CASHET__ENVELOPE__BODY_CARE_REPORT);
}

static void pin(struct end *c, const uint8_t *hash, bool unpin)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__PinRequest request = CASHET__PIN_REQUEST__INIT;
	Cashet__Target target = CASHET__TARGET__INIT;
	target.prefix = (ProtobufCBinaryData){DIGEST_SIZE, (uint8_t *)hash};
	request.name = (char *)"best";
	request.target = unpin ? NULL : &target;
	request.unpin = unpin;
	m.body_case = CASHET__ENVELOPE__BODY_PIN_REQUEST;
	m.pin_request = &request;
	end_send(c, &m);
	end_recv(c, CASHET__ENVELOPE__BODY_DONE);
}

Test(calls, source_and_its_files_stay_while_a_task_or_a_commit_needs_them)
{
	struct end c, w;
	CLEANUP_BUF struct buf source = {0}, body = {0}, arena = {0};
	uint8_t digest[DIGEST_SIZE], hash[DIGEST_SIZE];
	struct commit commit;
	end_hello(&c, &rig, false);
	make_source(&source, digest);
	put_small(&c, source.data, source.size);
	put_small(&c, FILE_TEXT, sizeof FILE_TEXT - 1);
	put_small(&c, STRAY_TEXT, sizeof STRAY_TEXT - 1);
	clear(&c); /* what was put and not yet named */
	cr_assert(has_blob(&c, digest) && has_text(&c, FILE_TEXT));
	struct plan *p = plan_new(&c);
	plan_call_task(p, plan_call(p, 7, digest), 1, -1);
	plan_send(p, true);
	end_recv(&c, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	clear(&c); /* of a task that waits */
	cr_assert(!has_text(&c, STRAY_TEXT));
	cr_assert(has_blob(&c, digest) && has_text(&c, FILE_TEXT));
	end_hello(&w, &rig, true);
	worker_hello(&w, 1, 0);
	worker_returns(&w, next_task(&w, digest), CONTENT_JSON, "[1]", "");
	expect_end(&c, &commit, &body, &arena);
	sha256_digest(body.data, body.size, hash);
	pin(&c, hash, false);
	clear(&c); /* of a commit */
	cr_assert(has_blob(&c, digest) && has_text(&c, FILE_TEXT));
	cr_assert(has_text(&c, "[1]"));
	pin(&c, hash, true);
	clear(&c);
	cr_assert(!has_blob(&c, digest) && !has_text(&c, FILE_TEXT));
	plan_free(p);
	/* and now it is missing, or a file of it */
	p = plan_new(&c);
	plan_call_task(p, plan_call(p, 7, digest), 2, -1);
	plan_send(p, false);
	expect_refused(&c, "was removed from the store");
	plan_free(p);
	put_small(&c, source.data, source.size);
	p = plan_new(&c);
	plan_call_task(p, plan_call(p, 7, digest), 2, -1);
	plan_send(p, false);
	expect_refused(&c, "was removed from the store");
	plan_free(p);
	end_close(&c);
	end_close(&w);
}
