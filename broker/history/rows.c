/* rows.c - commits as rows of a list. */
#include "broker/history/parts.h"

#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

enum { ROW_TAGS = 8 };

void history_commit_fini(struct history_commit *c)
{
	buf_fini(&c->body);
	buf_fini(&c->arena);
}

int history_read(struct history *h, uint64_t seq, struct history_commit *out)
{
	*out = (struct history_commit){0};
	if (ledger_read_commit_row(history_reader(h), seq, &out->body, &out->row) ||
	    commit_decode(out->row.body, out->row.size, &out->c, &out->arena)) {
		history_commit_fini(out);
		return 1;
	}
	return 0;
}

bool history_has(struct history *h, uint64_t seq)
{
	CLEANUP_BUF struct buf body = {0};
	struct ledger_commit_row row;
	return ledger_read_commit_row(history_reader(h), seq, &body, &row) == 0;
}

int history_batch_of(struct history *h, const uint8_t id[DIGEST_SIZE],
		     struct ledger_batch_row *row)
{
	size_t count = 0;
	return ledger_find_batch(history_reader(h), id, 2 * DIGEST_SIZE, row, 1,
				 &count) != 0;
}

uint64_t history_size(const struct commit *c)
{
	uint64_t size = 0;
	for (size_t i = 0; i < c->output_count; i++)
		size += c->outputs[i].size;
	return c->output_count ? size : c->result_size;
}

/* Of the task that made it; or that came along when it was imported. */
static void add_own_tags(struct history *h, struct buf *out,
			 const struct history_commit *c)
{
	CLEANUP_BUF struct buf arena = {0};
	struct ledger_batch_row row;
	struct ledger_tag *tags = NULL;
	size_t count = 0;
	if (!ledger_read_tags(history_reader(h), c->row.seq, &arena, &tags, &count) &&
	    count) {
		for (size_t i = 0; i < count; i++) {
			size_t mark = pb_open(out, ROW_TAGS);
			pb_text(out, 1, tags[i].key);
			pb_text(out, 2, tags[i].value);
			pb_close(out, mark);
		}
	} else if (!history_batch_of(h, c->c.batch, &row)) {
		tags_add(h, out, ROW_TAGS, &row, c->c.index);
	}
}

static bool is_same_task(const struct history_commit *c, const struct history_via *via)
{
	return c->c.index == via->index &&
	       memcmp(c->c.batch, via->batch.batch.id, DIGEST_SIZE) == 0;
}

bool history_is_current(struct history *h, const struct history_commit *c)
{
	uint8_t args_hash[DIGEST_SIZE];
	sha256_digest(c->c.args, c->c.args_size, args_hash);
	struct ledger_hit hit;
	return ledger_find(history_reader(h), c->c.func_hash, args_hash, &hit) == 0 &&
	       hit.seq == c->row.seq;
}

#define SMALL_MAX 4096
#define SMALL_COUNT 8

static void add_small(struct history *h, struct buf *out, const uint8_t *digest,
		      struct buf *data)
{
	buf_reset(data);
	if (memcmp(digest, sha256_empty, DIGEST_SIZE) != 0 &&
	    !ledger_find_blob(history_reader(h), digest, data) && data->size <= SMALL_MAX)
		pb_bytes(out, 21, data->data, data->size);
}

/* What whoever exports would ask for next, blob by blob. */
static void add_small_blobs(struct history *h, struct buf *out, const struct commit *c)
{
	CLEANUP_BUF struct buf data = {0};
	if (c->result.type != CONTENT_NONE)
		add_small(h, out, c->result.digest, &data);
	for (size_t i = 0; i < c->output_count && i < SMALL_COUNT; i++)
		add_small(h, out, c->outputs[i].content.digest, &data);
	if (c->has_stdout && memcmp(c->stdout_digest, c->result.digest, DIGEST_SIZE) != 0)
		add_small(h, out, c->stdout_digest, &data);
	if (c->has_stderr)
		add_small(h, out, c->stderr_digest, &data);
}

static void add_function(struct history *h, struct buf *out, const struct commit *c)
{
	CLEANUP_BUF struct buf description = {0};
	if (!history_description(h, c->func_hash, c->batch, c->index, &description, NULL))
		pb_bytes(out, 20, description.data, description.size);
}

void history_add_row(struct history *h, struct buf *out, unsigned field,
		     const struct history_commit *c, const struct history_via *via,
		     unsigned flags)
{
	const struct commit *m = &c->c;
	uint8_t args_hash[DIGEST_SIZE];
	sha256_digest(m->args, m->args_size, args_hash);
	size_t mark = pb_open(out, field);
	pb_bytes(out, 1, c->row.hash, DIGEST_SIZE);
	pb_text(out, 2, m->name);
	pb_uint(out, 3, m->status == COMMIT_FAILED);
	pb_uint(out, 4, history_size(m));
	pb_uint(out, 5, m->duration_ns);
	pb_uint(out, 6, m->ended_wall_ms);
	pb_uint(out, 7, m->ttl_s ? m->ended_wall_ms + m->ttl_s * 1000 : 0);
	add_own_tags(h, out, c);
	if (via && via->batch.batch.batch && !is_same_task(c, via))
		tags_add(h, out, ROW_TAGS, &via->batch, via->index);
	pb_text(out, 9, m->error);
	pb_text(out, 10, m->worker_name);
	pb_bytes(out, 11, m->func_hash, DIGEST_SIZE);
	pb_bytes(out, 12, args_hash, DIGEST_SIZE);
	if (m->has_parent)
		pb_bytes(out, 13, m->parent, DIGEST_SIZE);
	pb_bytes(out, 14, m->batch, DIGEST_SIZE);
	pb_uint(out, 15, m->index);
	pb_uint(out, 16, m->attempts);
	pb_sint(out, 17, m->exit_code);
	if (flags & HISTORY_ROW_CURRENT)
		pb_uint(out, 18, history_is_current(h, c));
	if (flags & HISTORY_ROW_BODY) {
		pb_bytes(out, 19, c->row.body, c->row.size);
		add_small_blobs(h, out, m);
	}
	if (flags & HISTORY_ROW_FUNCTION)
		add_function(h, out, m);
	pb_close(out, mark);
}
