/* ask.c - what clients may ask about batches, and change. */
#include "rig.h"

#include "common/pure/sha256.h"
#include "common/rand.h"

#include <criterion/criterion.h>
#include <string.h>

static struct rig rig;
static struct end client, worker;

static void setup(void)
{
	rig_start(&rig);
	end_hello(&client, &rig, false);
	end_hello(&worker, &rig, true);
}

static void teardown(void)
{
	end_close(&client);
	end_close(&worker);
	rig_end(&rig);
}

TestSuite(ask, .init = setup, .fini = teardown, .timeout = 240);

static void name_batch(Cashet__BatchRef *ref, const uint8_t *id, size_t size)
{
	cashet__batch_ref__init(ref);
	ref->prefix.data = (uint8_t *)id;
	ref->prefix.len = size;
}

static Cashet__ResultsPage *ask_page(const uint8_t *id, Cashet__ResultsQuery *q)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__BatchRef ref;
	name_batch(&ref, id, DIGEST_SIZE);
	q->batch = &ref;
	m.body_case = CASHET__ENVELOPE__BODY_RESULTS_QUERY;
	m.results_query = q;
	end_send(&client, &m);
	return end_recv(&client, CASHET__ENVELOPE__BODY_RESULTS_PAGE)->results_page;
}

static Cashet__ResultsPage *page(const uint8_t *id, uint32_t first, uint32_t count,
				 bool specs)
{
	Cashet__ResultsQuery q = CASHET__RESULTS_QUERY__INIT;
	q.first = first;
	q.count = count;
	q.specs = specs;
	return ask_page(id, &q);
}

static void run_three(uint8_t id[DIGEST_SIZE])
{
	struct plan *p = plan_three(&client);
	plan_batch(p, id);
	worker_hello(&worker, 1, 8);
	plan_send(p, true);
	worker_work(&worker, 3, "fine\n");
	client_last_progress(&client);
	plan_free(p);
}

Test(ask, results_come_in_pages_with_what_was_submitted)
{
	uint8_t id[DIGEST_SIZE];
	run_three(id);
	Cashet__ResultsPage *p = page(id, 0, 2, true);
	cr_assert(p->first == 0 && p->next == 2 && p->total == 3 && p->ended);
	cr_assert(p->info && !strcmp(p->info->name, "plan"));
	cr_assert(p->info->submitted_wall_ms > 0);
	cr_assert(p->n_functions == 1 && p->n_options == 1 && p->n_tasks == 2);
	cr_assert_str_eq(p->functions[0]->name, "/bin/true");
	cr_assert(p->functions[0]->options == 0);
	struct args args;
	cr_assert(!args_decode(p->tasks[1]->args.data, p->tasks[1]->args.len, &args));
	cr_assert(args.values[0].i == 1);
	args_fini(&args);
	uint8_t hash[DIGEST_SIZE];
	sha256_digest(p->tasks[1]->args.data, p->tasks[1]->args.len, hash);
	cr_assert(
		!memcmp(p->tasks[1]->fingerprint.data + DIGEST_SIZE, hash, DIGEST_SIZE));
	p = page(id, 2, 0, false);
	cr_assert(p->first == 2 && p->next == 3 && !p->info);
	cr_assert(p->tasks[0]->index == 2 && !p->tasks[0]->args.len);
	p = page(id, 99, 0, false);
	cr_assert(p->n_tasks == 0 && p->next == p->total);
}

Test(ask, results_of_a_live_batch_are_a_snapshot)
{
	struct plan *p = plan_three(&client);
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	plan_send(p, false);
	end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	Cashet__ResultsPage *r = page(id, 0, 0, true);
	cr_assert(r->n_tasks == 3 && !r->ended);
	for (int i = 0; i < 3; i++) {
		cr_assert(r->tasks[i]->state == CASHET__TASK_RESULT__STATE__READY);
		cr_assert(r->tasks[i]->fingerprint.len == 64);
		cr_assert(r->tasks[i]->exit_code == -1);
	}
	plan_free(p);
}

static Cashet__ResultsPage *by_name(const uint8_t *id, uint32_t first, uint32_t count,
				    uint32_t max)
{
	Cashet__ResultsQuery q = CASHET__RESULTS_QUERY__INIT;
	q.first = first;
	q.count = count;
	q.by_name = max;
	return ask_page(id, &q);
}

static void expect_name(const Cashet__ResultsPage *p, size_t i, const char *name,
			uint64_t total, uint64_t ready)
{
	cr_assert(i < p->n_names);
	cr_expect_str_eq(p->names[i]->name, name);
	cr_expect(p->names[i]->counts->total == total);
	cr_expect(p->names[i]->counts->ready == ready);
}

/* Two functions of one name, and one of another. */
static struct plan *plan_names(uint8_t id[DIGEST_SIZE])
{
	struct plan *p = plan_new(&client);
	uint32_t functions[] = {plan_command(p, "/bin/a", NULL),
				plan_command(p, "/bin/b", NULL),
				plan_command(p, "/bin/a", "out=x")};
	for (int i = 0; i < 7; i++)
		plan_task(p, functions[i % 3], i, -1);
	plan_task(p, functions[1], 7, 0);
	plan_batch(p, id);
	return p;
}

Test(ask, tasks_are_counted_by_name)
{
	uint8_t id[DIGEST_SIZE];
	struct plan *p = plan_names(id);
	plan_send(p, true);
	end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	Cashet__ResultsPage *r = by_name(id, 0, 0, 2);
	cr_expect(!r->ended && !r->n_tasks && r->n_names == 2 && r->next == 8);
	expect_name(r, 0, "/bin/a", 5, 5);
	expect_name(r, 1, "/bin/b", 3, 2);
	cr_expect(r->names[1]->counts->waiting == 1);
	r = by_name(id, 0, 1, 2);
	cr_expect(r->next == 1 && r->n_names == 1);
	r = by_name(id, 4, 0, 2);
	cr_expect(r->first == 4 && r->next == 8 && r->n_names == 2);
	expect_name(r, 0, "/bin/b", 2, 1);
	r = by_name(id, 0, 0, 1);
	cr_expect(r->too_many_names && !r->n_names && r->next == 8);
	worker_hello(&worker, 1, 16);
	worker_work(&worker, 7, NULL);
	cr_expect(client_last_progress(&client)->counts->failed == 7);
	r = by_name(id, 0, 0, 2);
	cr_expect(r->ended && r->n_names == 2);
	cr_expect(r->names[0]->counts->failed == 5);
	cr_expect(r->names[1]->counts->failed == 2);
	cr_expect(r->names[1]->counts->skipped == 1);
	plan_free(p);
}

static void cancel(const uint8_t *id, bool one, uint32_t index)
{
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Cancel c = CASHET__CANCEL__INIT;
	Cashet__BatchRef ref;
	name_batch(&ref, id, DIGEST_SIZE);
	c.batch = &ref;
	c.one = one;
	c.index = index;
	m.body_case = CASHET__ENVELOPE__BODY_CANCEL;
	m.cancel = &c;
	end_send(&client, &m);
}

Test(ask, cancel_stops_what_runs_and_the_batch_ends)
{
	struct plan *p = plan_three(&client);
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	worker_hello(&worker, 1, 0);
	plan_send(p, true);
	Cashet__Envelope *m = end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN);
	cr_assert(m->assign->n_tasks == 1 && m->assign->n_functions == 1);
	uint64_t epoch = m->assign->tasks[0]->lease->epoch;
	cancel(id, true, 99);
	cr_assert(end_recv(&client, CASHET__ENVELOPE__BODY_ERROR)->error->code ==
		  ERR_NOT_FOUND);
	cancel(id, false, 0);
	Cashet__Progress *done = client_last_progress(&client);
	cr_assert(done->counts->cancelled == 3);
	m = end_recv(&worker, CASHET__ENVELOPE__BODY_REVOKE);
	cr_assert(m->revoke->n_epochs == 1 && m->revoke->epochs[0] == epoch);
	cancel(id, false, 0); /* again: the same answer */
	end_recv(&client, CASHET__ENVELOPE__BODY_DONE);
	plan_free(p);
}

Test(ask, retry_runs_again_what_failed_and_nothing_else)
{
	struct plan *p = plan_three(&client);
	uint8_t id[DIGEST_SIZE], request[NONCE_SIZE];
	plan_batch(p, id);
	worker_hello(&worker, 1, 0);
	plan_send(p, true);
	for (int i = 0; i < 3; i++) {
		Cashet__Envelope *m = end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN);
		worker_result(&worker, m->assign->tasks[0], i == 1 ? NULL : "fine");
	}
	cr_assert(client_last_progress(&client)->counts->failed == 1);
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__Retry retry = CASHET__RETRY__INIT;
	Cashet__BatchRef ref;
	name_batch(&ref, id, 4);
	rand_bytes(request, sizeof request);
	retry.batch = &ref;
	retry.request.data = request;
	retry.request.len = sizeof request;
	m.body_case = CASHET__ENVELOPE__BODY_RETRY;
	m.retry = &retry;
	uint8_t again[DIGEST_SIZE];
	for (int i = 0; i < 2; i++) { /* repeated: the same batch */
		m.serial = 0;
		end_send(&client, &m);
		Cashet__Envelope *ack =
			end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
		while (ack->serial != client.serial)
			ack = end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
		cr_assert(ack->submit_ack->sealed);
		cr_assert(!i || !memcmp(again, ack->submit_ack->batch.data, DIGEST_SIZE));
		memcpy(again, ack->submit_ack->batch.data, DIGEST_SIZE);
	}
	Cashet__Envelope *a = end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN);
	cr_assert(a->assign->n_tasks == 1 && a->assign->tasks[0]->lease->index == 1);
	worker_result(&worker, a->assign->tasks[0], "now fine");
	for (;;) {
		Cashet__ResultsPage *r = page(again, 0, 0, false);
		if (!r->ended)
			continue;
		cr_assert(r->counts->cached == 2 && r->counts->executed == 1);
		break;
	}
	plan_free(p);
}

Test(ask, blob_that_is_not_there_is_asked_for)
{
	struct plan *p = plan_three(&client);
	worker_hello(&worker, 1, 0);
	plan_send(p, true);
	Cashet__Envelope *m = end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN);
	Cashet__Assignment *a = m->assign->tasks[0];
	Cashet__Envelope out = CASHET__ENVELOPE__INIT;
	Cashet__Results results = CASHET__RESULTS__INIT;
	Cashet__Outcome o = CASHET__OUTCOME__INIT, *outcomes[] = {&o};
	Cashet__Content content = CASHET__CONTENT__INIT;
	uint8_t digest[DIGEST_SIZE];
	rand_bytes(digest, sizeof digest);
	content.type = CONTENT_FILE;
	content.digest.data = digest;
	content.digest.len = DIGEST_SIZE;
	content.size = 5000;
	o.lease = a->lease;
	o.stdout_content = &content;
	results.n_outcomes = 1;
	results.outcomes = outcomes;
	out.body_case = CASHET__ENVELOPE__BODY_RESULTS;
	out.results = &results;
	end_send(&worker, &out);
	m = end_recv(&worker, CASHET__ENVELOPE__BODY_RESULT_ACKS);
	const Cashet__ResultAck *ack = m->result_acks->acks[0];
	cr_assert(ack->verdict == CASHET__RESULT_ACK__VERDICT__BLOB_MISSING);
	cr_assert(ack->n_missing == 1 &&
		  !memcmp(ack->missing[0].data, digest, DIGEST_SIZE));
	plan_free(p);
}

Test(ask, stale_result_is_refused_and_changes_nothing)
{
	struct plan *p = plan_three(&client);
	struct end zombie;
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	worker_hello(&worker, 1, 0);
	plan_send(p, true);
	Cashet__Envelope *m = end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN);
	/* Another worker presents the lease as if it were its own. */
	end_hello(&zombie, &rig, true);
	worker_hello(&zombie, 1, 0);
	worker_result(&zombie, m->assign->tasks[0], "a lie");
	for (bool refused = false; !refused;) {
		Cashet__Envelope *answer = end_recv_any(&zombie, RIG_WAIT_MS);
		cr_assert(answer);
		if (answer->body_case != CASHET__ENVELOPE__BODY_RESULT_ACKS)
			continue;
		cr_assert(answer->result_acks->acks[0]->verdict ==
			  CASHET__RESULT_ACK__VERDICT__STALE);
		refused = true;
	}
	cr_assert(page(id, 0, 0, false)->counts->executed == 0);
	end_close(&zombie);
	plan_free(p);
}

Test(ask, ended_batches_are_listed_where_asked_for_and_newest_first)
{
	uint8_t id[DIGEST_SIZE];
	run_three(id);
	struct plan *p = plan_three(&client);
	plan_batch(p, id);
	plan_send(p, true);
	client_last_progress(&client);
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__BatchesQuery q = CASHET__BATCHES_QUERY__INIT;
	m.body_case = CASHET__ENVELOPE__BODY_BATCHES_QUERY;
	m.batches_query = &q;
	end_recv(&client, CASHET__ENVELOPE__BODY_SUBMIT_ACK);
	end_send(&client, &m);
	Cashet__Batches *b = end_recv(&client, CASHET__ENVELOPE__BODY_BATCHES)->batches;
	cr_assert_eq(b->n_rows, 0); /* all have ended */
	cr_assert_eq(b->left_out, 0);
	q.all = true;
	end_send(&client, &m);
	b = end_recv(&client, CASHET__ENVELOPE__BODY_BATCHES)->batches;
	cr_assert_eq(b->n_rows, 2);
	cr_assert(!memcmp(b->rows[0]->batch.data, id, DIGEST_SIZE));
	cr_assert(b->rows[0]->counts->cached == 3);
	cr_assert(b->rows[1]->counts->executed == 3);
	cr_assert_str_eq(b->rows[1]->info->name, "plan");
	plan_free(p);
}

Test(ask, log_of_an_ended_task_names_its_blob_and_its_commit_is_found_by_prefix)
{
	uint8_t id[DIGEST_SIZE], digest[DIGEST_SIZE], hash[DIGEST_SIZE];
	run_three(id);
	memcpy(hash, page(id, 0, 1, false)->tasks[0]->commit.data, DIGEST_SIZE);
	Cashet__Envelope m = CASHET__ENVELOPE__INIT;
	Cashet__LogRead q = CASHET__LOG_READ__INIT;
	Cashet__BatchRef ref;
	name_batch(&ref, id, DIGEST_SIZE);
	q.batch = &ref;
	m.body_case = CASHET__ENVELOPE__BODY_LOG_READ;
	m.log_read = &q;
	end_send(&client, &m);
	Cashet__LogData *data =
		end_recv(&client, CASHET__ENVELOPE__BODY_LOG_DATA)->log_data;
	sha256_digest("fine\n", 5, digest);
	cr_assert(data->is_blob && data->size == 5);
	cr_assert(!memcmp(data->digest.data, digest, DIGEST_SIZE));
	Cashet__CommitQuery c = CASHET__COMMIT_QUERY__INIT;
	c.prefix.data = hash;
	c.prefix.len = 8;
	m.serial = 0;
	m.body_case = CASHET__ENVELOPE__BODY_COMMIT_QUERY;
	m.commit_query = &c;
	end_send(&client, &m);
	Cashet__CommitReply *r =
		end_recv(&client, CASHET__ENVELOPE__BODY_COMMIT_REPLY)->commit_reply;
	cr_assert(!memcmp(r->hash.data, hash, DIGEST_SIZE));
	sha256_digest(r->body.data, r->body.len, digest);
	cr_assert(!memcmp(digest, hash, DIGEST_SIZE));
}

Test(ask, log_of_a_running_task_is_read_from_its_worker)
{
	struct plan *p = plan_three(&client);
	uint8_t id[DIGEST_SIZE];
	plan_batch(p, id);
	worker_hello(&worker, 1, 0);
	plan_send(p, true);
	Cashet__Envelope *m = end_recv(&worker, CASHET__ENVELOPE__BODY_ASSIGN);
	uint64_t epoch = m->assign->tasks[0]->lease->epoch;
	Cashet__Envelope out = CASHET__ENVELOPE__INIT;
	Cashet__LogRead q = CASHET__LOG_READ__INIT;
	Cashet__BatchRef ref;
	name_batch(&ref, id, DIGEST_SIZE);
	q.batch = &ref;
	q.index = m->assign->tasks[0]->lease->index;
	out.body_case = CASHET__ENVELOPE__BODY_LOG_READ;
	out.log_read = &q;
	end_send(&client, &out);
	uint64_t asked = client.serial;
	m = end_recv(&worker, CASHET__ENVELOPE__BODY_LOG_READ);
	cr_assert(m->log_read->epoch == epoch);
	Cashet__Envelope reply = CASHET__ENVELOPE__INIT;
	Cashet__LogData data = CASHET__LOG_DATA__INIT;
	data.data.data = (uint8_t *)"so far";
	data.data.len = 6;
	data.running = true;
	reply.serial = m->serial;
	reply.body_case = CASHET__ENVELOPE__BODY_LOG_DATA;
	reply.log_data = &data;
	end_send(&worker, &reply);
	m = end_recv(&client, CASHET__ENVELOPE__BODY_LOG_DATA);
	cr_assert(m->serial == asked && m->log_data->running);
	cr_assert(m->log_data->data.len == 6);
	plan_free(p);
}
