/* sweep.c - removing what the graph says that nothing needs, a portion at a time.
 *
 *   1. what the loop knew of the victims' bytes is forgotten; commits that were hits since the watch
 *      began are kept after all. From here on whoever needs bytes asks for each of them.
 *   2. files: doomed by the loop unless watched or claimed, removed here unless saved meanwhile
 *   3. small blobs: removed by a turn of the loop; dying until that is durable
 *   4. records of commits, the same way; then those of batches of which no commit is left
 *
 * Bytes before records: if it ends anywhere in between, what is left is whole, and the next gc finds
 * the rest. */
#include "broker/care/gc.h"

#include "broker/care/guard.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>

#define STOP 1
#define FORGET_LOT 4096
#define FILE_LOT 256
#define ROW_LOT 256
#define COMMIT_LOT 128

/* ---- 1 ---- */

struct forgetting {
	uint64_t seqs[FORGET_LOT];
	size_t count;
	size_t seen; /* of what was watched */
	uint64_t *watched;
	size_t watched_count;
};

static int forget(struct broker *b, void *arg)
{
	struct forgetting *f = arg;
	for (size_t i = 0; i < f->count; i++)
		presence_drop_commit(b, f->seqs[i]);
	const uint64_t *watched = guard_commits(b, &f->seen, &f->watched_count);
	f->watched = f->watched_count
			     ? mem_copy(watched, f->watched_count * sizeof *watched)
			     : NULL;
	guard_swept(b);
	return 0;
}

static int forget_lot(struct gc *gc, struct forgetting *f)
{
	int rc = care_call(gc->care, forget, f, false);
	if (rc)
		return rc;
	for (size_t i = 0; i < f->watched_count; i++) {
		uint32_t commit = graph_find_commit(gc->graph, f->watched[i]);
		if (commit != GRAPH_NONE)
			graph_keep(gc->graph, commit, false);
	}
	free(f->watched);
	f->count = 0;
	return care_stopped(gc->care) ? STOP : 0;
}

static int forget_victims(struct gc *gc)
{
	struct forgetting *f = mem_alloc(sizeof *f);
	int rc = 0;
	for (uint32_t i = 0; i < graph_commit_count(gc->graph) && !rc; i++) {
		if (graph_fate(gc->graph, i) == GRAPH_KEPT)
			continue;
		f->seqs[f->count++] = graph_commit_at(gc->graph, i)->seq;
		if (f->count == FORGET_LOT)
			rc = forget_lot(gc, f);
	}
	if (!rc) /* also without victims: the watch has to be seen once */
		rc = forget_lot(gc, f);
	free(f);
	return rc;
}

/* ---- 2 ---- */

struct files {
	struct gc *gc;
	uint8_t digests[FILE_LOT][DIGEST_SIZE];
	uint64_t bytes[FILE_LOT];
	bool stays[FILE_LOT];
	size_t count;
	uint64_t removed, removed_bytes; /* of the lot before */
};

static int doom_files(struct broker *b, void *arg)
{
	struct files *f = arg;
	for (size_t i = 0; i < f->count; i++)
		f->stays[i] = !guard_doom(b, f->digests[i], true);
	return 0;
}

static int file_lot(struct files *f)
{
	struct gc *gc = f->gc;
	int rc = care_call(gc->care, doom_files, f, false);
	if (rc)
		return rc;
	for (size_t i = 0; i < f->count; i++) {
		int gone = f->stays[i]
				   ? CAS_E_SAVED
				   : cas_remove_doomed(gc->care->b->cas, f->digests[i]);
		if (gone == 0) {
			gc->report->objects++;
			gc->report->bytes += f->bytes[i];
		} else if (gone == CAS_E_SAVED) {
			gc->report->kept_in_use++;
		} else if (gone < 0) {
			log_warn("blob not removed", "error=%s", strerror(-gone));
		}
	}
	f->count = 0;
	care_progress(gc->care, "removing files", gc->report->objects, 0);
	return care_stopped(gc->care) ? STOP : 0;
}

static int sweep_file(void *arg, const uint8_t digest[DIGEST_SIZE], uint64_t bytes)
{
	struct files *f = arg;
	uint32_t node = graph_find(f->gc->graph, digest);
	/* One that came after the graph was made is not for us to judge. */
	if (node == GRAPH_NONE || graph_is_needed(f->gc->graph, node))
		return 0;
	memcpy(f->digests[f->count], digest, DIGEST_SIZE);
	f->bytes[f->count++] = bytes;
	return f->count == FILE_LOT ? file_lot(f) : 0;
}

static int sweep_files(struct gc *gc)
{
	struct files *f = mem_alloc(sizeof *f);
	f->gc = gc;
	int rc = cas_each(gc->care->b->cas, sweep_file, f);
	if (!rc && f->count)
		rc = file_lot(f);
	free(f);
	return rc;
}

/* ---- 3 ---- */

struct rows {
	struct gc *gc;
	uint8_t digests[ROW_LOT][DIGEST_SIZE];
	uint64_t seqs[ROW_LOT], bytes[ROW_LOT];
	size_t count;
	uint64_t removed, removed_bytes, kept;
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

static int remove_rows(struct broker *b, void *arg)
{
	struct rows *r = arg;
	for (size_t i = 0; i < r->count; i++) {
		if (!guard_doom(b, r->digests[i], false)) {
			r->kept++;
			continue;
		}
		guard_dying(b, r->digests[i]);
		ledger_add_blob_removed(b->turn, r->digests[i], r->seqs[i]);
		r->removed++;
		r->removed_bytes += r->bytes[i];
	}
	outbox_do(b, b->step, died, nothing, NULL);
	return 0;
}

static int row_lot(struct rows *r)
{
	int rc = care_call(r->gc->care, remove_rows, r, true);
	r->count = 0;
	care_progress(r->gc->care, "removing small blobs", r->removed, 0);
	return rc ? rc : care_stopped(r->gc->care) ? STOP : 0;
}

static int sweep_row(void *arg, uint64_t seq, const uint8_t digest[DIGEST_SIZE],
		     uint64_t size)
{
	struct rows *r = arg;
	uint32_t node = graph_find(r->gc->graph, digest);
	if (node == GRAPH_NONE || graph_is_needed(r->gc->graph, node))
		return 0;
	memcpy(r->digests[r->count], digest, DIGEST_SIZE);
	r->seqs[r->count] = seq;
	r->bytes[r->count++] = size + INLINE_OVERHEAD;
	return r->count == ROW_LOT ? row_lot(r) : 0;
}

static int sweep_rows(struct gc *gc)
{
	struct rows *r = mem_alloc(sizeof *r);
	r->gc = gc;
	int rc = ledger_each_inline(gc->reader, 0, sweep_row, r);
	if (!rc && r->count)
		rc = row_lot(r);
	gc->report->objects += r->removed;
	gc->report->bytes += r->removed_bytes;
	gc->report->kept_in_use += r->kept;
	free(r);
	return rc;
}

/* ---- 4 ---- */

struct commits {
	uint64_t seqs[COMMIT_LOT], bytes[COMMIT_LOT];
	bool gone[COMMIT_LOT];
	size_t count;
};

static int remove_commits(struct broker *b, void *arg)
{
	struct commits *c = arg;
	for (size_t i = 0; i < c->count; i++) {
		c->gone[i] = !guard_has_commit(b, c->seqs[i]);
		if (!c->gone[i])
			continue;
		presence_drop_commit(b, c->seqs[i]);
		guard_dying_commit(b, c->seqs[i]);
		ledger_add_commit_removed(b->turn, c->seqs[i]);
	}
	outbox_do(b, b->step, died, nothing, NULL);
	return 0;
}

static int commit_lot(struct gc *gc, struct commits *c)
{
	int rc = care_call(gc->care, remove_commits, c, true);
	if (rc)
		return rc;
	for (size_t i = 0; i < c->count; i++) {
		if (!c->gone[i]) {
			gc->report->kept_in_use++;
			continue;
		}
		set64_put(&gc->removed, c->seqs[i], 0);
		gc->report->commits++;
		gc->report->bytes += c->bytes[i];
	}
	c->count = 0;
	care_progress(gc->care, "removing records", gc->report->commits, 0);
	return care_stopped(gc->care) ? STOP : 0;
}

static int sweep_commits(struct gc *gc)
{
	struct commits *c = mem_alloc(sizeof *c);
	int rc = 0;
	for (uint32_t i = 0; i < graph_commit_count(gc->graph) && !rc; i++) {
		if (graph_fate(gc->graph, i) != GRAPH_NO_RECORD)
			continue;
		const struct graph_commit *info = graph_commit_at(gc->graph, i);
		c->seqs[c->count] = info->seq;
		c->bytes[c->count++] = info->record_bytes;
		if (c->count == COMMIT_LOT)
			rc = commit_lot(gc, c);
	}
	if (!rc && c->count)
		rc = commit_lot(gc, c);
	free(c);
	return rc;
}

/* ---- 5 ---- */

struct leaving {
	uint64_t number;
	bool gone;
	struct buf descriptions; /* of functions that commits still need: size, bytes */
};

static int remove_batch(struct broker *b, void *arg)
{
	struct leaving *l = arg;
	l->gone = !batch_find_number(b, l->number);
	if (!l->gone)
		return 0;
	for (size_t at = 0; at < l->descriptions.size;) {
		uint64_t size;
		uint8_t hash[DIGEST_SIZE];
		memcpy(&size, l->descriptions.data + at, sizeof size);
		at += sizeof size;
		sha256_digest(l->descriptions.data + at, size, hash);
		if (!presence_has(b, hash))
			ledger_add_blob(b->turn, hash, l->descriptions.data + at, size);
		presence_note(b, hash);
		at += size;
	}
	ledger_add_batch_removed(b->turn, l->number);
	return 0;
}

static int is_gone(void *arg, const struct ledger_end *end)
{
	struct gc *gc = arg;
	if (!end->commit || set64_has(&gc->removed, end->commit))
		return 0;
	return end->commit > gc->last ||
	       graph_find_commit(gc->graph, end->commit) != GRAPH_NONE;
}

/* Commits may outlive the batch that they ran in, if another one hit them; what they ran is known
 * from their batch, or from a blob of that name. */
static void save_descriptions(struct gc *gc, const struct ledger_batch_row *row,
			      struct leaving *l)
{
	CLEANUP_BUF struct buf data = {0};
	Cashet__SubmitChunk *c;
	for (uint32_t i = 0; i < row->chunk_count; i++) {
		if (care_chunk(gc->care, row->batch.batch, i, &data, &c))
			break;
		for (size_t k = 0; k < c->n_functions; k++) {
			const ProtobufCBinaryData *d = &c->functions[k]->description;
			uint8_t hash[DIGEST_SIZE];
			sha256_digest(d->data, d->len, hash);
			uint32_t node = graph_find(gc->graph, hash);
			if (node == GRAPH_NONE || !graph_is_needed(gc->graph, node) ||
			    graph_is_stored(gc->graph, node))
				continue;
			uint64_t size = d->len;
			buf_add(&l->descriptions, &size, sizeof size);
			buf_add(&l->descriptions, d->data, d->len);
			graph_bytes(gc->graph, node, 0); /* it will be */
		}
	}
}

static int sweep_batch(void *arg, const struct ledger_batch_row *row)
{
	struct gc *gc = arg;
	if (care_stopped(gc->care))
		return STOP;
	if (!row->ended || row->ended_wall_ms >= gc->batch_before_ms ||
	    set64_has(&gc->live_batches, care_word(row->batch.id)) ||
	    ledger_each_end(gc->reader, row->batch.batch, is_gone, gc))
		return 0;
	struct leaving l = {.number = row->batch.batch};
	save_descriptions(gc, row, &l);
	int rc = care_call(gc->care, remove_batch, &l, true);
	buf_fini(&l.descriptions);
	gc->report->batches += !rc && l.gone;
	care_progress(gc->care, "removing batches", gc->report->batches, 0);
	return rc;
}

int gc_sweep(struct gc *gc)
{
	int rc = forget_victims(gc);
	if (!rc)
		rc = sweep_files(gc);
	if (!rc)
		rc = sweep_rows(gc);
	if (!rc)
		rc = sweep_commits(gc);
	if (!rc)
		rc = ledger_list_batches(gc->reader, 0, sweep_batch, gc);
	return rc;
}
