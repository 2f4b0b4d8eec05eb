/* remove.c - rm and invalidate: which commits are meant, and that they are found no more.
 *
 * rm takes the record away; the bytes that nobody else needs go with the next gc. A pinned commit is
 * refused when it is named, and passed over when it is one of many, so that no pin ever stands for
 * nothing. invalidate leaves the record in the history, with its pins. What a batch that goes on has ended a task with is not removed: its readers
 * may need it, also after a restart; it may be invalidated, which changes nothing for those who were
 * told of it before. */
#include "broker/care/find.h"
#include "broker/care/guard.h"
#include "common/log.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>

#define LOT 128
#define NAMED_MAX 1000
#define PINS_MAX 100
#define STOP 1

struct removing {
	struct care *care;
	const Cashet__RemoveRequest *request;
	Cashet__CareReport *report;
	struct set64 targets, tagged, stream;
	struct set64 live;   /* commits that batches that go on name */
	struct set64 pinned; /* by hash: place of the name + 1 */
	struct buf names;    /* of pins, each with its NUL */
	char *kept[PINS_MAX];
	bool has_targets, has_tags, has_stream;
	struct buf arena;
	struct buf hashes;
	bool keep_record;
	uint64_t seqs[LOT];
	bool stays[LOT];
	size_t count;
};

static void died(struct broker *b, void *arg)
{
	(void)arg;
	guard_died(b);
}

static void nothing(void *arg)
{
	(void)arg;
}

static int apply(struct broker *b, void *arg)
{
	struct removing *r = arg;
	for (size_t i = 0; i < r->count; i++) {
		/* It was a hit since we began. */
		r->stays[i] = !r->keep_record && guard_has_commit(b, r->seqs[i]);
		if (r->stays[i])
			continue;
		presence_drop_commit(b, r->seqs[i]);
		guard_dying_commit(b, r->seqs[i]);
		if (r->keep_record)
			ledger_add_demoted(b->turn, r->seqs[i]);
		else
			ledger_add_commit_removed(b->turn, r->seqs[i]);
	}
	if (!r->keep_record)
		guard_swept(b);
	outbox_do(b, b->step, died, nothing, NULL);
	return 0;
}

/* The reader may be ahead of the loop: nothing is removed before the core knows that it is there. */
static int begin(struct broker *b, void *arg)
{
	(void)arg;
	guard_watch(b, true);
	return 0;
}

static int end(struct broker *b, void *arg)
{
	(void)arg;
	guard_watch(b, false);
	return 0;
}

static int keep_end(void *arg, const struct ledger_end *e)
{
	struct removing *r = arg;
	if (e->commit)
		set64_put(&r->live, e->commit, 0);
	return 0;
}

static int keep_batch(void *arg, const struct ledger_batch_row *row)
{
	struct removing *r = arg;
	return ledger_each_end(r->care->reader, row->batch.batch, keep_end, r);
}

static int add_pin(void *arg, const struct ledger_pin *pin)
{
	struct removing *r = arg;
	set64_put(&r->pinned, care_word(pin->hash), r->names.size + 1);
	buf_add(&r->names, pin->name, strlen(pin->name) + 1);
	return r->names.failed ? -ENOMEM : 0;
}

static const char *pin_of(const struct removing *r, const uint8_t hash[DIGEST_SIZE])
{
	uint64_t at;
	if (!set64_get(&r->pinned, care_word(hash), &at))
		return NULL;
	return (const char *)r->names.data + at - 1;
}

static void keep_pinned(struct removing *r, const char *name)
{
	r->report->kept_pinned++;
	if (r->report->n_pins < PINS_MAX)
		r->kept[r->report->n_pins++] = (char *)(uintptr_t)name;
}

static int lot(struct removing *r)
{
	bool acts = !r->request->dry_run;
	int rc = acts ? care_call(r->care, apply, r, true) : 0;
	for (size_t i = 0; i < r->count && acts && !rc; i++) {
		r->report->commits -= r->stays[i];
		r->report->kept_in_use += r->stays[i];
	}
	r->count = 0;
	care_progress(r->care, "removing", r->report->commits, 0);
	return rc ? rc : care_stopped(r->care) ? STOP : 0;
}

static bool is_current(struct removing *r, const struct ledger_commit_row *row,
		       const struct commit *c)
{
	uint8_t args_hash[DIGEST_SIZE];
	struct ledger_hit hit;
	sha256_digest(c->args, c->args_size, args_hash);
	return !ledger_find(r->care->reader, c->func_hash, args_hash, &hit) &&
	       hit.seq == row->seq;
}

static int consider(void *arg, const struct ledger_commit_row *row)
{
	struct removing *r = arg;
	const Cashet__RemoveRequest *q = r->request;
	struct commit c;
	if (care_stopped(r->care))
		return STOP;
	buf_reset(&r->arena);
	if (!row->body || commit_decode(row->body, row->size, &c, &r->arena))
		return 0;
	if ((r->has_targets && !set64_has(&r->targets, row->seq)) ||
	    (r->has_tags && !set64_has(&r->tagged, row->seq)) ||
	    (r->has_stream && !set64_has(&r->stream, row->seq)) ||
	    (q->func[0] && strcmp(q->func, c.name) != 0) ||
	    (q->worker.len && memcmp(q->worker.data, c.worker_key, KEY_SIZE) != 0) ||
	    (q->keep_record && !is_current(r, row, &c)))
		return 0;
	const char *name = q->keep_record ? NULL : pin_of(r, row->hash);
	if (name) {
		keep_pinned(r, name);
		return 0;
	}
	if (!q->keep_record && set64_has(&r->live, row->seq)) {
		r->report->kept_in_use++;
		return 0;
	}
	r->report->commits++;
	r->report->bytes += row->size;
	r->report->compute_ns += c.duration_ns;
	if (r->hashes.size < NAMED_MAX * DIGEST_SIZE)
		buf_add(&r->hashes, row->hash, DIGEST_SIZE);
	r->seqs[r->count++] = row->seq;
	return r->count == LOT ? lot(r) : 0;
}

/* ---- what is meant ---- */

static int find_targets(struct removing *r, struct err *e)
{
	const Cashet__RemoveRequest *q = r->request;
	for (size_t i = 0; i < q->n_targets; i++) {
		uint64_t seq;
		int rc = find_target(r->care->reader, q->targets[i], &seq, e);
		if (rc)
			return rc;
		set64_put(&r->targets, seq, 0);
	}
	r->has_targets = q->n_targets;
	return 0;
}

/* What is named one by one goes as a whole or not at all: nobody meant to lose what is pinned. */
static int refuse_pinned(struct removing *r, struct err *e)
{
	CLEANUP_BUF struct buf body = {0};
	for (size_t i = 0; i < r->targets.capacity; i++) {
		struct ledger_commit_row row;
		char hex[HEX_DIGEST_SIZE];
		buf_reset(&body);
		if (!r->targets.keys[i] ||
		    ledger_read_commit_row(r->care->reader, r->targets.keys[i], &body,
					   &row))
			continue;
		const char *name = pin_of(r, row.hash);
		if (!name)
			continue;
		hex_encode(hex, row.hash, DIGEST_SIZE);
		err_set(e, ERR_FAILED, "commit %.8s is pinned as %s; nothing was removed",
			hex, name);
		err_next(e, "cashet unpin %s first", name);
		return ERR_FAILED;
	}
	return 0;
}

/* The smallest walk that sees all of them. */
static int walk(struct removing *r)
{
	const Cashet__RemoveRequest *q = r->request;
	struct ledger_reader *reader = r->care->reader;
	const struct set64 *known = r->has_targets  ? &r->targets
				    : r->has_tags   ? &r->tagged
				    : r->has_stream ? &r->stream
						    : NULL;
	if (!known)
		return q->func[0] ? ledger_each_named(reader, q->func, 0, consider, r)
				  : ledger_each_commit(reader, LEDGER_OLDEST_FIRST, 0,
						       consider, r);
	for (size_t i = 0; i < known->capacity; i++) {
		CLEANUP_BUF struct buf body = {0};
		struct ledger_commit_row row;
		if (!known->keys[i])
			continue;
		int rc = ledger_read_commit_row(reader, known->keys[i], &body, &row);
		rc = rc < 0 ? rc : rc ? 0 : consider(r, &row);
		if (rc)
			return rc;
	}
	return 0;
}

static int remove_all(struct removing *r, struct err *e)
{
	const Cashet__RemoveRequest *q = r->request;
	int rc = care_call(r->care, begin, NULL, true);
	if (!rc && !q->keep_record)
		rc = ledger_each_open_batch(r->care->reader, keep_batch, r);
	if (!rc && !q->keep_record)
		rc = ledger_each_pin(r->care->reader, add_pin, r);
	if (!rc && !q->keep_record)
		rc = refuse_pinned(r, e);
	if (!rc)
		rc = walk(r);
	if (!rc && r->count)
		rc = lot(r);
	int ended = care_call(r->care, end, NULL, false);
	return rc ? rc : ended;
}

static int run(struct removing *r, struct err *e)
{
	const Cashet__RemoveRequest *q = r->request;
	int rc = find_targets(r, e);
	if (rc)
		return rc;
	if (q->n_tags && !rc) {
		r->has_tags = true;
		rc = find_tagged(r->care, q, &r->tagged);
	}
	if (q->downstream && !rc) {
		uint64_t root;
		rc = find_target(r->care->reader, q->downstream, &root, e);
		if (rc)
			return rc;
		r->has_stream = true;
		rc = find_downstream(r->care, root, &r->stream);
	}
	if (!rc)
		rc = remove_all(r, e);
	if (e->code)
		return e->code;
	if (rc < 0)
		return care_broken(e, rc);
	r->report->stopped = rc != 0;
	return 0;
}

static void report(struct removing *r)
{
	size_t count = r->hashes.size / DIGEST_SIZE;
	ProtobufCBinaryData *found = mem_alloc((count + 1) * sizeof *found);
	for (size_t i = 0; i < count; i++)
		found[i] = (ProtobufCBinaryData){DIGEST_SIZE,
						 r->hashes.data + i * DIGEST_SIZE};
	r->report->n_commits_found = count;
	r->report->commits_found = found;
	r->report->pins = r->kept;
	care_report(r->care, r->report);
	free(found);
}

static const char *malformed(const Cashet__RemoveRequest *q)
{
	if (!q->n_targets && !q->n_tags && !q->func[0] && !q->worker.len &&
	    !q->downstream)
		return "nothing is said of which commits are meant";
	if (q->worker.len && q->worker.len != KEY_SIZE)
		return "a worker's key has 32 bytes";
	for (size_t i = 0; i < q->n_tags; i++)
		if (!q->tags[i]->key[0])
			return "a tag without a key";
	return NULL;
}

int care_remove(struct care *care, const Cashet__Envelope *request, struct err *e)
{
	const Cashet__RemoveRequest *q = request->remove_request;
	Cashet__CareReport empty = CASHET__CARE_REPORT__INIT;
	const char *wrong = malformed(q);
	if (wrong) {
		err_set(e, ERR_USAGE, "%s", wrong);
		err_next(e, "cashet clear empties the whole store");
		return ERR_USAGE;
	}
	struct removing *r = mem_alloc(sizeof *r);
	r->care = care;
	r->request = q;
	r->report = &empty;
	r->keep_record = q->keep_record;
	empty.dry_run = q->dry_run;
	int rc = run(r, e);
	if (!rc) {
		log_info(q->keep_record ? "commits invalidated" : "commits removed",
			 "commits=%llu dry_run=%d", (unsigned long long)empty.commits,
			 q->dry_run);
		report(r);
	}
	set64_fini(&r->targets);
	set64_fini(&r->tagged);
	set64_fini(&r->stream);
	set64_fini(&r->live);
	set64_fini(&r->pinned);
	buf_fini(&r->names);
	buf_fini(&r->arena);
	buf_fini(&r->hashes);
	free(r);
	return rc;
}
