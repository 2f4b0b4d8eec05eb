/* support.c - see support.h. */
#include "tests/unit/ledger/support.h"

#include "broker/ledger/index.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS (60 * NS_PER_S)

void store_init(struct store *s)
{
	*s = (struct store){0};
	log_threshold = LOG_ERROR;
	snprintf(s->dir, sizeof s->dir, "/tmp/cashet-ledger-XXXXXX");
	cr_assert(mkdtemp(s->dir));
	store_open(s);
}

void store_fini(struct store *s)
{
	store_close(s);
	cr_assert_eq(fs_remove_tree(s->dir), 0);
}

void store_open(struct store *s)
{
	struct err e = {0};
	cr_assert_eq(ledger_open(&s->ledger, s->dir, &s->info, &e), 0, "%s", e.what);
	cr_assert_eq(ledger_reader_open(&s->reader, s->ledger, NULL, &e), 0, "%s",
		     e.what);
	s->step = 0;
}

void store_close(struct store *s)
{
	ledger_reader_close(s->reader);
	ledger_close(s->ledger);
	s->reader = NULL;
	s->ledger = NULL;
}

int store_try_open(struct store *s, struct err *e)
{
	struct ledger *ledger;
	struct ledger_info info;
	*e = (struct err){0};
	int rc = ledger_open(&ledger, s->dir, &info, e);
	if (rc == 0)
		ledger_close(ledger);
	return rc;
}

const char *store_path(const struct store *s, const char *name)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/%s", s->dir, name);
	return path;
}

struct ledger_turn *store_turn(struct store *s)
{
	return ledger_turn_new(s->ledger);
}

void store_hand_in(struct store *s, struct ledger_turn *t)
{
	ledger_hand_in(s->ledger, t, ++s->step);
}

static void wait_fd(struct store *s)
{
	struct pollfd p = {.fd = ledger_fd(s->ledger), .events = POLLIN};
	poll(&p, 1, 100);
}

void store_sync(struct store *s)
{
	uint64_t until = clock_mono_ns() + PATIENCE_NS;
	while (ledger_durable(s->ledger) < s->step) {
		cr_assert_lt(clock_mono_ns(), until, "a turn did not become durable");
		wait_fd(s);
	}
}

void store_put(struct store *s, struct ledger_turn *t)
{
	store_hand_in(s, t);
	store_sync(s);
}

void store_wait_state(struct store *s, enum ledger_state state, struct err *why)
{
	uint64_t until = clock_mono_ns() + PATIENCE_NS;
	while (ledger_state(s->ledger, why) != state) {
		cr_assert_lt(clock_mono_ns(), until, "state %d did not come", state);
		wait_fd(s);
		ledger_durable(s->ledger);
	}
}

static void wait_index(struct store *s, uint64_t commit, uint64_t batch)
{
	uint64_t until = clock_mono_ns() + PATIENCE_NS;
	sqlite3 *db;
	struct gap_mark mark = {0};
	uint8_t store_id[16];
	cr_assert_eq(db_open(&db, store_path(s, "index.db"), DB_READ, NULL), SQLITE_OK);
	while (mark.commit < commit || mark.batch < batch) {
		cr_assert_lt(clock_mono_ns(), until, "the index did not follow");
		cr_assert_eq(index_read_mark(db, store_id, &mark), SQLITE_OK);
		usleep(10000);
	}
	db_close(db);
}

void store_wait_index(struct store *s, uint64_t seq)
{
	wait_index(s, seq, 0);
}

void store_wait_index_batch(struct store *s, uint64_t batch)
{
	wait_index(s, 0, batch);
}

void sample_digest(uint8_t out[DIGEST_SIZE], const char *what, uint64_t n)
{
	char text[64];
	int size = snprintf(text, sizeof text, "%s %llu", what, (unsigned long long)n);
	sha256_digest(text, (size_t)size, out);
}

void sample_commit(struct sample *sample, uint64_t n)
{
	*sample = (struct sample){0};
	struct commit *c = &sample->commit;
	memcpy(sample->args, &n, sizeof n);
	sha256_digest(sample->args, sizeof sample->args, sample->args_hash);
	sample->output =
		(struct commit_output){.name = "data", .path = "out/data.bin", .size = n};
	sample->output.content.type = CONTENT_FILE;
	sample_digest(sample->output.content.digest, "output", n);
	sample->metrics[0] =
		(struct commit_metric){.name = "loss", .number = (double)n / 8};
	sample->metrics[1] =
		(struct commit_metric){.name = "note", .is_text = true, .text = "ok"};
	*c = (struct commit){
		.name = "train",
		.args = sample->args,
		.args_size = sizeof sample->args,
		.outputs = &sample->output,
		.output_count = 1,
		.metrics = sample->metrics,
		.metric_count = 2,
		.error = "",
		.ended_wall_ms = 1700000000000 + n,
		.duration_ns = 1000 * n,
		.attempts = 1,
		.worker_name = "node-1",
		.epoch = n,
		.index = (uint32_t)n,
		.options = (const uint8_t *)"options",
		.options_size = 7,
	};
	c->result.type = CONTENT_RESULT;
	sample_digest(c->result.digest, "result", n);
	sample_digest(c->func_hash, "function", 0);
}

struct ledger_batch sample_batch(uint64_t number)
{
	struct ledger_batch b = {.batch = number};
	sample_digest(b.id, "batch", number);
	sample_digest(b.client_key, "client", number);
	memcpy(b.request, &number, sizeof number);
	return b;
}

int sample_find(struct ledger_reader *r, uint64_t n, struct ledger_hit *hit)
{
	struct sample sample;
	sample_commit(&sample, n);
	return ledger_find(r, sample.commit.func_hash, sample.args_hash, hit);
}
