/* page.c - see page.h. */
#include "broker/history/page.h"

#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "proto/pb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pager_commit {
	uint64_t seq;
	uint8_t hash[DIGEST_SIZE];
	size_t size;
	uint8_t body[];
};

void pager_fini(struct pager *p)
{
	buf_fini(&p->body);
	buf_fini(&p->arena);
	for (unsigned i = 0; i < PAGER_RECENT; i++)
		free(p->recent[i]);
}

static void forget_recent(struct pager *p)
{
	uint64_t changes = ledger_changes(p->reader);
	if (changes == p->changes)
		return;
	p->changes = changes;
	for (unsigned i = 0; i < PAGER_RECENT; i++)
		free(steal(p->recent[i]));
}

static void keep_recent(struct pager *p, uint64_t seq, const uint8_t hash[DIGEST_SIZE])
{
	struct pager_commit **slot = &p->recent[seq % PAGER_RECENT];
	if (p->body.size > PAGER_RECENT_BODY)
		return;
	free(*slot);
	*slot = mem_alloc(sizeof **slot + p->body.size);
	(*slot)->seq = seq;
	(*slot)->size = p->body.size;
	memcpy((*slot)->hash, hash, DIGEST_SIZE);
	memcpy((*slot)->body, p->body.data, p->body.size);
}

int pager_commit(struct pager *p, uint64_t seq, struct commit *c,
		 uint8_t hash[DIGEST_SIZE])
{
	uint8_t read_hash[DIGEST_SIZE];
	forget_recent(p);
	const struct pager_commit *known = p->recent[seq % PAGER_RECENT];
	buf_reset(&p->arena);
	if (known && known->seq == seq) {
		if (hash)
			memcpy(hash, known->hash, DIGEST_SIZE);
		return commit_decode(known->body, known->size, c, &p->arena);
	}
	buf_reset(&p->body);
	int rc = ledger_read_commit(p->reader, seq, &p->body, read_hash);
	if (rc == 1)
		return 1; /* removed */
	if (rc || commit_decode(p->body.data, p->body.size, c, &p->arena)) {
		log_error("commit not readable", "seq=%llu", (unsigned long long)seq);
		return 1;
	}
	keep_recent(p, seq, read_hash);
	if (hash)
		memcpy(hash, read_hash, DIGEST_SIZE);
	return 0;
}

void page_add_counts(struct buf *out, unsigned field, const struct core_counts *c)
{
	size_t mark = pb_open(out, field);
	const uint64_t values[] = {c->total,   c->waiting,  c->ready,	     c->running,
				   c->cached,  c->executed, c->deduplicated, c->failed,
				   c->skipped, c->cancelled};
	for (unsigned i = 0; i < ARRAY_LEN(values); i++)
		pb_uint(out, i + 1, values[i]);
	pb_close(out, mark);
}

void page_from_end(struct page_task *task, const struct ledger_end *end)
{
	*task = (struct page_task){.index = end->index,
				   .status = end->status,
				   .cached = end->flags & 1,
				   .deduplicated = end->flags & 2,
				   .attempts = end->attempts,
				   .upstream = end->upstream,
				   .commit = end->commit};
}

void page_from_view(struct page_task *task, uint32_t index,
		    const struct core_task_view *view)
{
	*task = (struct page_task){.index = index,
				   .status = (uint8_t)view->status,
				   .cached = view->cached,
				   .deduplicated = view->deduplicated,
				   .has_fingerprint = view->has_fingerprint,
				   .attempts = view->attempts,
				   .upstream = view->upstream,
				   .upstream_cancelled = view->upstream_cancelled,
				   .commit = view->commit};
	if (!view->has_fingerprint)
		return;
	memcpy(task->fingerprint, view->func_hash, DIGEST_SIZE);
	memcpy(task->fingerprint + DIGEST_SIZE, view->args_hash, DIGEST_SIZE);
}

static void add_content(struct buf *out, unsigned field, uint8_t type,
			const uint8_t *digest, uint64_t size)
{
	size_t mark = pb_open(out, field);
	pb_uint(out, 1, type);
	pb_bytes(out, 2, digest, DIGEST_SIZE);
	pb_uint(out, 3, size);
	pb_close(out, mark);
}

static void add_outputs(struct buf *out, const struct commit *c)
{
	for (size_t i = 0; i < c->output_count; i++) {
		const struct commit_output *o = &c->outputs[i];
		size_t mark = pb_open(out, 13);
		pb_text(out, 1, o->name);
		pb_text(out, 2, o->path);
		add_content(out, 3, o->content.type, o->content.digest, o->size);
		pb_close(out, mark);
	}
	for (size_t i = 0; i < c->metric_count; i++) {
		const struct commit_metric *m = &c->metrics[i];
		size_t mark = pb_open(out, 14);
		pb_text(out, 1, m->name);
		pb_uint(out, 2, m->is_text);
		if (m->is_text)
			pb_text(out, 3, m->text);
		else
			pb_double(out, 4, m->number);
		pb_close(out, mark);
	}
}

static void add_commit(struct buf *out, const struct page_task *task,
		       const struct commit *c, const uint8_t hash[DIGEST_SIZE])
{
	uint8_t fingerprint[2 * DIGEST_SIZE];
	memcpy(fingerprint, c->func_hash, DIGEST_SIZE);
	sha256_digest(c->args, c->args_size, fingerprint + DIGEST_SIZE);
	pb_sint(out, 6, c->exit_code);
	pb_sint(out, 7, c->term_signal);
	pb_bytes(out, 8, fingerprint, sizeof fingerprint);
	pb_bytes(out, 9, hash, DIGEST_SIZE);
	if (task->status == CORE_COMPLETED)
		add_content(out, 10, c->result.type, c->result.digest, c->result_size);
	if (c->has_stdout)
		add_content(out, 11, CONTENT_FILE, c->stdout_digest, c->stdout_size);
	if (c->has_stderr)
		add_content(out, 12, CONTENT_FILE, c->stderr_digest, c->stderr_size);
	add_outputs(out, c);
	pb_text(out, 15, c->worker_name);
	pb_uint(out, 16, c->duration_ns);
	if (task->status == CORE_FAILED)
		pb_text(out, 17, c->error);
	pb_uint(out, 21, c->ended_wall_ms);
	if (c->has_nonce)
		pb_bytes(out, 22, c->nonce, NONCE_SIZE);
}

void page_add_task(struct buf *out, struct pager *p, const struct page_task *task,
		   const struct page_spec *spec)
{
	size_t mark = pb_open(out, 8);
	pb_uint(out, 1, task->index);
	pb_uint(out, 2, task->status);
	pb_uint(out, 3, task->cached);
	pb_uint(out, 4, task->deduplicated);
	pb_uint(out, 5, task->attempts);
	if (task->status == CORE_SKIPPED) {
		pb_uint(out, 18, task->upstream);
		if (task->upstream_cancelled) { /* of a failure the reader says it himself */
			char text[64];
			snprintf(text, sizeof text,
				 "task %" PRIu32 ", which it needs, was cancelled",
				 task->upstream);
			pb_text(out, 17, text);
		}
	}
	struct commit c;
	uint8_t hash[DIGEST_SIZE];
	bool has_commit = task->commit && !pager_commit(p, task->commit, &c, hash);
	if (has_commit) {
		add_commit(out, task, &c, hash);
	} else {
		pb_sint(out, 6, -1);
		if (task->has_fingerprint)
			pb_bytes(out, 8, task->fingerprint, sizeof task->fingerprint);
	}
	if (spec && spec->present) {
		pb_uint(out, 19, spec->function);
		if (has_commit) /* resolved */
			pb_bytes(out, 20, c.args, c.args_size);
		else
			pb_bytes(out, 20, spec->args, spec->args_size);
		if (!(has_commit && c.has_nonce))
			pb_bytes(out, 22, spec->nonce, spec->nonce_size);
	}
	pb_close(out, mark);
}
