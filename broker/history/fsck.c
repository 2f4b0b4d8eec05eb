/* fsck.c - see fsck.h. Blobs first, so that the commits that name a bad one can be named. */
#include "broker/history/fsck.h"

#include "broker/history/parts.h"
#include "common/format/function.h"
#include "common/format/source.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STOP 1
#define PIECE (256u << 10)
#define TREE_MAX (256u << 20)
#define DOUBTS_MAX 100 /* a second, if all of them are right */

const char *const fsck_words[FSCK_KINDS] = {
	[FSCK_COMMIT_DAMAGED] = "commit-damaged",
	[FSCK_COMMIT_MALFORMED] = "commit-malformed",
	[FSCK_PARENT_WRONG] = "parent-wrong",
	[FSCK_INDEX_WRONG] = "index-wrong",
	[FSCK_BLOB_DAMAGED] = "blob-damaged",
	[FSCK_FILE_CORRUPT] = "file-corrupt",
	[FSCK_BATCH_DAMAGED] = "batch-damaged",
	[FSCK_INPUT_MISSING] = "input-missing",
	[FSCK_PIN_DANGLING] = "pin-dangling",
	[FSCK_COUNTERS_WRONG] = "counters-wrong",
	[FSCK_RUNS_AGAIN] = "runs-again",
};

struct fsck {
	struct ledger_reader *reader;
	struct cas *cas;
	const struct fsck_options *o;
	struct fsck_sums *sums;
	uint8_t (*bad)[DIGEST_SIZE]; /* sorted once all are known */
	size_t bad_count, bad_capacity;
	bool objects_wrong; /* there are not the files that were recorded */
	bool lost;	    /* there are fewer */
	unsigned doubts;    /* that were looked into */
	struct buf arena, again, scratch;
	struct ledger_tops tops;
};

static bool stopped(const struct fsck *f)
{
	return f->o->stopped && f->o->stopped(f->o->arg);
}

static void progress(struct fsck *f, const char *phase, uint64_t done, uint64_t total)
{
	if (f->o->progress)
		f->o->progress(f->o->arg, phase, done, total);
}

static void found(struct fsck *f, const struct fsck_finding *finding)
{
	f->sums->problems += finding->kind != FSCK_RUNS_AGAIN;
	f->o->found(f->o->arg, finding);
}

/* ---- blobs ---- */

static void add_bad(struct fsck *f, const uint8_t *digest)
{
	mem_grow(f->bad, f->bad_count, f->bad_capacity);
	memcpy(f->bad[f->bad_count++], digest, DIGEST_SIZE);
}

static int read_whole(struct fsck *f, const uint8_t *digest)
{
	struct cas_get *get;
	int rc = cas_get_open(f->cas, digest, &get, NULL);
	if (rc)
		return rc;
	uint8_t *piece = buf_reserve(&f->scratch, PIECE);
	int64_t n = piece ? 0 : -ENOMEM;
	while (piece && (n = cas_get_read(get, piece, PIECE)) > 0) {
		f->sums->read_bytes += (uint64_t)n;
		if (stopped(f))
			break;
	}
	cas_get_close(get);
	return n == -EBADMSG ? CAS_E_CORRUPT : n < 0 ? (int)n : 0;
}

static bool is_chosen(const struct fsck *f, const uint8_t *digest)
{
	uint64_t word;
	memcpy(&word, digest + 8, sizeof word);
	word = (word ^ f->o->seed) * 0x9e3779b97f4a7c15ull;
	return (word >> 32) % 100 < f->o->percent;
}

static int check_file(void *arg, const uint8_t digest[DIGEST_SIZE], uint64_t bytes)
{
	struct fsck *f = arg;
	uint64_t size;
	if (stopped(f))
		return STOP;
	(void)bytes;
	f->sums->blobs++;
	progress(f, "files", f->sums->blobs, 0);
	int rc = cas_has(f->cas, digest, &size);
	if (!rc && is_chosen(f, digest))
		rc = read_whole(f, digest);
	if (rc <= 0)
		return rc;
	/* Missing, although the file is there: its form is wrong. Nothing is removed meanwhile: gc and
	 * this are jobs of one thread. */
	add_bad(f, digest);
	found(f, &(struct fsck_finding){.kind = FSCK_FILE_CORRUPT,
					.digest = digest,
					.name = "",
					.what = "the file is not what its name says"});
	return 0;
}

static bool recount_stopped(void *arg)
{
	return stopped(arg);
}

/* How many there are. What was found corrupt may have been counted otherwise while it was whole. */
static int check_objects(struct fsck *f)
{
	struct fsck_sums *s = f->sums;
	int rc = ledger_read_counters(f->reader, &s->counters);
	if (!rc)
		rc = cas_recount(f->cas, recount_stopped, f, &s->objects);
	if (rc)
		return rc;
	struct cas_counts recorded = {.objects = (int64_t)s->counters.objects,
				      .bytes = (int64_t)s->counters.object_bytes,
				      .stored = (int64_t)s->counters.stored_bytes};
	bool surely =
		f->o->recorded ? f->o->recorded_surely : !ledger_is_clean(f->reader);
	if (f->o->recorded)
		recorded = *f->o->recorded;
	s->objects_differ = s->objects.objects != recorded.objects ||
			    s->objects.bytes != recorded.bytes ||
			    s->objects.stored != recorded.stored;
	f->objects_wrong = s->objects_differ && surely && !f->bad_count;
	f->lost = surely && s->objects.objects + (int64_t)f->bad_count < recorded.objects;
	return 0;
}

static int check_row(void *arg, uint64_t seq, const uint8_t digest[DIGEST_SIZE],
		     uint64_t size)
{
	struct fsck *f = arg;
	if (stopped(f))
		return STOP;
	f->sums->blobs++;
	progress(f, "small blobs", seq, f->tops.blob);
	buf_reset(&f->scratch);
	int rc = ledger_read_inline(f->reader, seq, &f->scratch);
	f->sums->read_bytes += size;
	if (rc != 2)
		return rc < 0 ? rc : 0;
	add_bad(f, digest);
	found(f,
	      &(struct fsck_finding){.kind = FSCK_BLOB_DAMAGED,
				     .seq = seq,
				     .digest = digest,
				     .name = "",
				     .what = "a small blob is not what its name says"});
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_SIZE);
}

static bool is_bad(const struct fsck *f, const uint8_t *digest)
{
	return f->bad_count &&
	       bsearch(digest, f->bad, f->bad_count, DIGEST_SIZE, by_digest);
}

/* ---- commits ---- */

static bool is_there(struct fsck *f, const uint8_t *digest)
{
	static const uint8_t none[DIGEST_SIZE];
	return memcmp(digest, none, DIGEST_SIZE) == 0 ||
	       memcmp(digest, sha256_empty, DIGEST_SIZE) == 0 ||
	       !ledger_has_blob(f->reader, digest) || !cas_has(f->cas, digest, NULL);
}

static bool is_off(struct fsck *f, const uint8_t *digest)
{
	return is_bad(f, digest) || (f->lost && !is_there(f, digest));
}

static const uint8_t *off_in(struct fsck *f, const struct content *c,
			     uint8_t file[DIGEST_SIZE])
{
	struct content_entries entries = {0};
	const uint8_t *off = NULL;
	if ((!f->bad_count && !f->lost) || c->type == CONTENT_EXTERN)
		return NULL;
	if (is_off(f, c->digest))
		return c->digest;
	buf_reset(&f->scratch);
	if (c->type != CONTENT_TREE ||
	    (ledger_find_blob(f->reader, c->digest, &f->scratch) &&
	     cas_read(f->cas, c->digest, TREE_MAX, &f->scratch)) ||
	    content_decode_tree(f->scratch.data, f->scratch.size, &entries))
		return NULL;
	for (size_t i = 0; i < entries.count && !off; i++) {
		memcpy(file, entries.items[i].content.digest, DIGEST_SIZE);
		off = is_off(f, file) ? file : NULL;
	}
	content_entries_fini(&entries);
	return off;
}

/* Equal work would hit it. */
static bool is_current(struct fsck *f, const struct ledger_commit_row *row,
		       const struct commit *c)
{
	uint8_t args_hash[DIGEST_SIZE];
	struct ledger_hit hit;
	sha256_digest(c->args, c->args_size, args_hash);
	return !ledger_find(f->reader, c->func_hash, args_hash, &hit) &&
	       hit.seq == row->seq;
}

/* Bytes that are not there may have been removed by gc. Only where files were lost, the results that
 * would be hits are looked at for it, and then those that gc took are among them. */
static void name_reruns(struct fsck *f, const struct ledger_commit_row *row,
			const struct commit *c)
{
	uint8_t file[DIGEST_SIZE];
	if (c->status != COMMIT_COMPLETED)
		return;
	const uint8_t *off = off_in(f, &c->result, file);
	for (size_t i = 0; i < c->output_count && !off; i++)
		off = off_in(f, &c->outputs[i].content, file);
	if (!off || (!is_bad(f, off) && !is_current(f, row, c)))
		return;
	found(f, &(struct fsck_finding){
			 .kind = FSCK_RUNS_AGAIN,
			 .seq = row->seq,
			 .digest = off,
			 .commit = row->hash,
			 .name = c->name,
			 .what = "its result is not whole: it runs again when somebody "
				 "needs it"});
}

/* Which of the two came into the store first says nothing: an import may bring a parent afterwards. */
static void check_parent(struct fsck *f, const struct ledger_commit_row *row,
			 const struct commit *c)
{
	CLEANUP_BUF struct buf body = {0}, arena = {0};
	uint8_t hash[DIGEST_SIZE];
	struct commit parent;
	uint64_t seq;
	size_t count;
	/* One that is gone was removed. */
	if (!c->has_parent ||
	    ledger_find_commit(f->reader, c->parent, 2 * DIGEST_SIZE, &seq, 1, &count))
		return;
	if (ledger_read_commit(f->reader, seq, &body, hash) ||
	    commit_decode(body.data, body.size, &parent, &arena))
		return; /* told of that one */
	if (memcmp(parent.func_hash, c->func_hash, DIGEST_SIZE) != 0 ||
	    parent.args_size != c->args_size ||
	    memcmp(parent.args, c->args, c->args_size) != 0)
		found(f, &(struct fsck_finding){.kind = FSCK_PARENT_WRONG,
						.seq = row->seq,
						.commit = row->hash,
						.name = c->name,
						.what = "its parent is of other work"});
}

/* index_fault() - *wrongp: what is wrong with the place of @c in the index, or NULL. */
static int index_fault(struct fsck *f, const struct ledger_commit_row *row,
		       const struct commit *c, const char **wrongp)
{
	uint8_t args_hash[DIGEST_SIZE], hash[DIGEST_SIZE];
	struct ledger_hit hit = {0};
	uint64_t seqs[2] = {0};
	size_t count = 0;
	int rc = ledger_find_commit(f->reader, row->hash, 2 * DIGEST_SIZE, seqs, 2,
				    &count);
	if (rc < 0)
		return rc;
	*wrongp = rc == 1 ? "it is not found by its hash" : NULL;
	sha256_digest(c->args, c->args_size, args_hash);
	if (*wrongp || c->status != COMMIT_COMPLETED)
		return 0;
	rc = ledger_find(f->reader, c->func_hash, args_hash, &hit);
	if (rc < 0)
		return rc;
	buf_reset(&f->again);
	if (!rc && hit.seq != row->seq &&
	    ledger_read_commit(f->reader, hit.seq, &f->again, hash) == 1)
		*wrongp = "its fingerprint leads to a commit that is not there";
	return 0;
}

/* What is being written, or removed, just now is looked at once more when that is over. */
static int check_index(struct fsck *f, const struct ledger_commit_row *row,
		       const struct commit *c)
{
	static const struct timespec pause = {.tv_nsec = 10000000};
	const char *wrong = NULL;
	int rc = index_fault(f, row, c, &wrong);
	for (; !rc && wrong && f->doubts < DOUBTS_MAX; f->doubts++) {
		nanosleep(&pause, NULL);
		rc = index_fault(f, row, c, &wrong);
	}
	if (!rc && wrong)
		found(f, &(struct fsck_finding){.kind = FSCK_INDEX_WRONG,
						.seq = row->seq,
						.commit = row->hash,
						.name = c->name,
						.what = wrong});
	return rc;
}

static int check_commit(void *arg, const struct ledger_commit_row *row)
{
	struct fsck *f = arg;
	struct commit c;
	if (stopped(f))
		return STOP;
	f->sums->commits++;
	progress(f, "commits", row->seq, f->tops.commit);
	buf_reset(&f->arena);
	struct fsck_finding finding = {.seq = row->seq, .commit = row->hash, .name = ""};
	if (!row->body) {
		finding.kind = FSCK_COMMIT_DAMAGED;
		finding.what = "the record is not what its hash says";
		found(f, &finding);
		return 0;
	}
	if (commit_decode(row->body, row->size, &c, &f->arena)) {
		finding.kind = FSCK_COMMIT_MALFORMED;
		finding.what = "the record is no commit";
		found(f, &finding);
		return 0;
	}
	buf_reset(&f->again);
	commit_encode(&f->again, &c);
	if (f->again.size != row->size ||
	    memcmp(f->again.data, row->body, row->size) != 0) {
		finding.kind = FSCK_COMMIT_MALFORMED;
		finding.what = "the record is not in its canonical form";
		found(f, &finding);
	}
	check_parent(f, row, &c);
	name_reruns(f, row, &c);
	return check_index(f, row, &c);
}

/* ---- batches ---- */

static void check_input(struct fsck *f, const struct ledger_batch_row *row,
			const struct content *c)
{
	if (c->type != CONTENT_EXTERN && !is_there(f, c->digest))
		found(f, &(struct fsck_finding){
				 .kind = FSCK_INPUT_MISSING,
				 .seq = row->batch.batch,
				 .digest = c->digest,
				 .name = "",
				 .what = "a batch that goes on needs it, and nothing "
					 "makes it again: submit it again"});
}

static void check_inputs(struct fsck *f, const struct ledger_batch_row *row,
			 const Cashet__SubmitChunk *c)
{
	for (size_t i = 0; i < c->n_tasks; i++) {
		const ProtobufCBinaryData *d = &c->tasks[i]->args;
		struct args args = {0};
		if (!args_may_have_inputs(d->data, d->len) ||
		    args_decode(d->data, d->len, &args))
			continue;
		for (size_t k = 0; k < args.input_count; k++)
			check_input(f, row, &args.inputs[k].content);
		args_fini(&args);
	}
}

/* Of functions of batches that go on: their code, and their source with its files. */
static void check_code(struct fsck *f, const struct ledger_batch_row *row,
		       const Cashet__Function *from)
{
	CLEANUP(function_fini) struct function function = {0};
	CLEANUP(source_fini) struct source source = {0};
	struct content c = {.type = CONTENT_FILE};
	if (function_decode(from->description.data, from->description.len, &function))
		return;
	for (size_t i = 0; i < function.code_count; i++) {
		memcpy(c.digest, function.code[i].digest, DIGEST_SIZE);
		if (function.code[i].scheme == CODE_BYTES)
			check_input(f, row, &c);
	}
	if (!wire_is(&from->source, DIGEST_SIZE))
		return;
	memcpy(c.digest, from->source.data, DIGEST_SIZE);
	check_input(f, row, &c);
	buf_reset(&f->scratch);
	if ((ledger_find_blob(f->reader, c.digest, &f->scratch) &&
	     cas_read(f->cas, c.digest, SOURCE_SIZE_MAX, &f->scratch)) ||
	    source_decode(f->scratch.data, f->scratch.size, &source))
		return;
	for (size_t i = 0; i < source.file_count; i++) {
		memcpy(c.digest, source.files[i].digest, DIGEST_SIZE);
		check_input(f, row, &c);
	}
}

static int check_batch(void *arg, const struct ledger_batch_row *row)
{
	struct fsck *f = arg;
	struct wire_arena arena;
	CLEANUP_BUF struct buf data = {0};
	if (stopped(f))
		return STOP;
	wire_arena_init(&arena);
	bool damaged = false;
	for (uint32_t i = 0; i < row->chunk_count && !damaged; i++) {
		buf_reset(&data);
		wire_arena_reset(&arena);
		const Cashet__SubmitChunk *c = NULL;
		if (!ledger_read_chunk(f->reader, row->batch.batch, i, &data))
			c = wire_unpack_chunk(&arena, data.data, data.size);
		damaged = !c;
		if (c && !row->ended)
			check_inputs(f, row, c);
		for (size_t k = 0; c && !row->ended && k < c->n_functions; k++)
			check_code(f, row, c->functions[k]);
	}
	wire_arena_fini(&arena);
	struct ledger_batch_row again;
	/* One that gc removed meanwhile is not damaged. */
	if (damaged && !ledger_read_batch(f->reader, row->batch.batch, &again))
		found(f,
		      &(struct fsck_finding){.kind = FSCK_BATCH_DAMAGED,
					     .seq = row->batch.batch,
					     .digest = row->batch.id,
					     .name = "",
					     .what = "what was submitted as this batch "
						     "cannot be read"});
	return 0;
}

static int check_pin(void *arg, const struct ledger_pin *pin)
{
	struct fsck *f = arg;
	uint64_t seq;
	size_t count;
	int rc = ledger_find_commit(f->reader, pin->hash, 2 * DIGEST_SIZE, &seq, 1,
				    &count);
	if (rc == 1)
		found(f, &(struct fsck_finding){.kind = FSCK_PIN_DANGLING,
						.commit = pin->hash,
						.name = pin->name,
						.what = "a pin names a commit that is "
							"not there"});
	return rc < 0 ? rc : 0;
}

/* ---- counters ---- */

static int check_counters(struct fsck *f)
{
	struct ledger_counters *now = &f->sums->counters, *real = &f->sums->counted;
	struct ledger_counters after;
	int rc = ledger_read_counters(f->reader, now);
	if (!rc)
		rc = ledger_count(f->reader, real);
	if (!rc)
		rc = ledger_read_counters(f->reader, &after);
	if (rc)
		return rc;
	/* While commits are being made the two cannot be compared. */
	if (memcmp(now, &after, sizeof after) != 0)
		*real = *now;
	if (f->objects_wrong || now->completed != real->completed ||
	    now->failed != real->failed || now->compute_ns != real->compute_ns ||
	    now->referenced_bytes != real->referenced_bytes ||
	    now->batches != real->batches || now->inline_blobs != real->inline_blobs ||
	    now->inline_bytes != real->inline_bytes)
		found(f, &(struct fsck_finding){
				 .kind = FSCK_COUNTERS_WRONG,
				 .name = "",
				 .what = f->lost ? "there are fewer files of blobs than "
						   "were recorded"
						 : "the counters of the store are not "
						   "what is in it"});
	return 0;
}

int fsck_run(struct ledger_reader *reader, struct cas *cas,
	     const struct fsck_options *options, struct fsck_sums *sums)
{
	struct fsck f = {.reader = reader, .cas = cas, .o = options, .sums = sums};
	int rc = ledger_read_tops(reader, &f.tops);
	if (!rc)
		rc = cas_each(cas, check_file, &f);
	if (!rc)
		rc = check_objects(&f);
	if (!rc)
		rc = ledger_each_inline(reader, 0, check_row, &f);
	if (!rc && f.bad_count)
		qsort(f.bad, f.bad_count, sizeof *f.bad, by_digest);
	if (!rc)
		rc = ledger_each_commit(reader, LEDGER_OLDEST_FIRST | LEDGER_DAMAGED_TOO,
					0, check_commit, &f);
	if (!rc)
		rc = ledger_list_batches(reader, 0, check_batch, &f);
	if (!rc && options->settle) /* a commit that goes may be pinned */
		options->settle(options->arg);
	if (!rc)
		rc = ledger_each_pin(reader, check_pin, &f);
	if (!rc)
		rc = check_counters(&f);
	free(f.bad);
	buf_fini(&f.arena);
	buf_fini(&f.again);
	buf_fini(&f.scratch);
	return rc;
}

/* ---- as a question, of whoever reads a store that nobody serves ---- */

enum { ENVELOPE_CARE_REPORT = 79 };
#define FINDINGS_MAX 10000

struct telling {
	struct buf findings;
	uint64_t count;
};

void fsck_pack(struct buf *out, const struct fsck_finding *f, bool repaired)
{
	size_t mark = pb_open(out, 16);
	pb_text(out, 1, fsck_words[f->kind]);
	if (f->digest)
		pb_bytes(out, 2, f->digest, DIGEST_SIZE);
	pb_text(out, 3, f->what);
	pb_uint(out, 4, repaired);
	pb_text(out, 5, f->name);
	if (f->commit)
		pb_bytes(out, 6, f->commit, DIGEST_SIZE);
	pb_close(out, mark);
}

static void tell(void *arg, const struct fsck_finding *finding)
{
	struct telling *t = arg;
	if (t->count++ < FINDINGS_MAX)
		fsck_pack(&t->findings, finding, false);
}

int history_fsck(struct history *h, const Cashet__Envelope *question,
		 const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__FsckRequest *r = question->fsck_request;
	struct fsck_sums sums = {0};
	struct telling t = {0};
	(void)live;
	if (r->repair) {
		err_set(e, ERR_NOT_ALLOWED, "only the broker of a store repairs it");
		return ERR_NOT_ALLOWED;
	}
	struct fsck_options o = {
		.percent = r->read_data_percent, .found = tell, .arg = &t};
	int rc = fsck_run(history_reader(h), h->cas, &o, &sums);
	if (rc < 0) {
		buf_fini(&t.findings);
		return err_set(e, ERR_FAILED, "the store cannot be read: %s",
			       strerror(-rc));
	}
	size_t mark = pb_open(out, ENVELOPE_CARE_REPORT);
	pb_uint(out, 13, sums.commits);
	pb_uint(out, 14, sums.blobs);
	pb_uint(out, 15, sums.read_bytes);
	buf_add(out, t.findings.data, t.findings.size);
	pb_uint(out, 17, sums.problems);
	pb_close(out, mark);
	buf_fini(&t.findings);
	return 0;
}
