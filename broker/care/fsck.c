/* fsck.c - fsck in a broker: what was found is told, and repaired if that was asked for.
 *
 * A corrupt file was quarantined when it was read, whoever asked. A damaged small blob, and a record
 * that is no commit, are removed: the work runs again when somebody needs it. Pins of nothing are
 * removed, counters put right. A wrong index is made anew at the next start without one. */
#include "broker/history/fsck.h"
#include "broker/care/care_impl.h"
#include "broker/care/guard.h"
#include "common/log.h"
#include "common/rand.h"

#include <stdio.h>
#include <stdlib.h>

#define FINDINGS_MAX 10000
#define REPAIR_LOT 128

struct repair {
	enum fsck_kind kind;
	uint64_t seq;
	uint8_t digest[DIGEST_SIZE];
	char name[129];
};

struct checking {
	struct care *care;
	bool repair, counters_wrong;
	struct file_counts files; /* as the loop has them */
	struct buf findings;	  /* packed */
	uint64_t count, repaired;
	struct repair lot[REPAIR_LOT];
	size_t lot_count;
	int rc;
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

static int repair_lot(struct broker *b, void *arg)
{
	struct checking *c = arg;
	for (size_t i = 0; i < c->lot_count; i++) {
		const struct repair *r = &c->lot[i];
		if (r->kind == FSCK_BLOB_DAMAGED) {
			presence_drop(b, r->digest);
			guard_dying(b, r->digest);
			ledger_add_blob_removed(b->turn, r->digest, r->seq);
		} else if (r->kind == FSCK_PIN_DANGLING) {
			ledger_add_unpin(b->turn, r->name);
		} else {
			guard_dying_commit(b, r->seq);
			ledger_add_commit_removed(b->turn, r->seq);
		}
	}
	/* Commits of which some bytes were bad are not known to be whole any more. */
	presence_forget(b);
	outbox_do(b, b->step, died, nothing, NULL);
	return 0;
}

static void flush(struct checking *c)
{
	if (c->lot_count && !c->rc)
		c->rc = care_call(c->care, repair_lot, c, true);
	if (!c->rc)
		c->repaired += c->lot_count;
	c->lot_count = 0;
}

static void settle(void *arg)
{
	flush(arg);
}

static bool can_repair(enum fsck_kind kind)
{
	switch (kind) {
	case FSCK_COMMIT_DAMAGED:
	case FSCK_COMMIT_MALFORMED:
	case FSCK_BLOB_DAMAGED:
	case FSCK_PIN_DANGLING:
		return true;
	case FSCK_FILE_CORRUPT: /* is in quarantine by now */
	case FSCK_COUNTERS_WRONG:
	case FSCK_PARENT_WRONG:
	case FSCK_INDEX_WRONG:
	case FSCK_BATCH_DAMAGED:
	case FSCK_INPUT_MISSING:
	case FSCK_RUNS_AGAIN:
	case FSCK_KINDS:
		return false;
	}
	return false;
}

static void take(void *arg, const struct fsck_finding *f)
{
	struct checking *c = arg;
	bool repaired = f->kind == FSCK_FILE_CORRUPT;
	log_warn("fsck found something", "kind=%s seq=%llu name=%s", fsck_words[f->kind],
		 (unsigned long long)f->seq, f->name);
	if (repaired)
		c->repaired++;
	if (c->repair && can_repair(f->kind)) {
		struct repair *r = &c->lot[c->lot_count++];
		*r = (struct repair){.kind = f->kind, .seq = f->seq};
		if (f->digest)
			memcpy(r->digest, f->digest, DIGEST_SIZE);
		snprintf(r->name, sizeof r->name, "%s", f->name);
		if (c->lot_count == REPAIR_LOT)
			flush(c);
		repaired = !c->rc;
	}
	if (f->kind == FSCK_COUNTERS_WRONG) {
		c->counters_wrong = true;
		repaired = c->repair;
	}
	if (c->count++ < FINDINGS_MAX)
		fsck_pack(&c->findings, f, repaired);
}

static bool stopped(void *arg)
{
	const struct checking *c = arg;
	return c->rc || care_stopped(c->care);
}

static void progress(void *arg, const char *phase, uint64_t done, uint64_t total)
{
	care_progress(((struct checking *)arg)->care, phase, done, total);
}

static int read_files(struct broker *b, void *arg)
{
	((struct checking *)arg)->files = b->files;
	return 0;
}

/* Also if nobody asked for repairs: after a crash, or what was corrupt, it is expected. */
static int correct_files(struct broker *b, void *arg)
{
	files_correct(b, arg);
	return 0;
}

/* Files have come or gone by another hand. */
static int look_anew(struct broker *b, void *arg)
{
	(void)arg;
	presence_forget(b);
	return 0;
}

static int put_counters_right(struct broker *b, void *arg)
{
	const struct fsck_sums *s = arg;
	const struct ledger_counters *is = &s->counters, *be = &s->counted;
	struct ledger_counters delta = {
		.completed = be->completed - is->completed,
		.failed = be->failed - is->failed,
		.compute_ns = be->compute_ns - is->compute_ns,
		.referenced_bytes = be->referenced_bytes - is->referenced_bytes,
		.batches = be->batches - is->batches,
		.inline_blobs = be->inline_blobs - is->inline_blobs,
		.inline_bytes = be->inline_bytes - is->inline_bytes,
	};
	ledger_add_counters(b->turn, &delta);
	return 0;
}

static void report(struct checking *c, const struct fsck_sums *sums, bool was_stopped)
{
	Cashet__CareReport head = CASHET__CARE_REPORT__INIT;
	CLEANUP_BUF struct buf packed = {0};
	head.stopped = was_stopped;
	head.checked_commits = sums->commits;
	head.checked_blobs = sums->blobs;
	head.read_bytes = sums->read_bytes;
	head.problems = sums->problems;
	head.repaired = c->repaired;
	uint8_t *to = buf_reserve(&packed, cashet__care_report__get_packed_size(&head));
	if (to)
		packed.size = cashet__care_report__pack(&head, to);
	buf_add(&packed, c->findings.data, c->findings.size);
	Cashet__CareReport *whole =
		cashet__care_report__unpack(NULL, packed.size, packed.data);
	care_report(c->care, whole ? whole : &head);
	if (whole)
		cashet__care_report__free_unpacked(whole, NULL);
}

int care_fsck(struct care *care, const Cashet__Envelope *request, struct err *e)
{
	const Cashet__FsckRequest *r = request->fsck_request;
	struct fsck_sums sums = {0};
	struct checking c = {.care = care, .repair = r->repair};
	struct fsck_options o = {.percent = r->read_data_percent,
				 .stopped = stopped,
				 .progress = progress,
				 .found = take,
				 .settle = settle,
				 .arg = &c};
	rand_bytes(&o.seed, sizeof o.seed);
	c.rc = care_call(care, read_files, &c, false);
	o.recorded = &c.files.recorded;
	o.recorded_surely = c.files.surely;
	int rc = c.rc ? 0 : fsck_run(care->reader, care->b->cas, &o, &sums);
	flush(&c);
	bool was_counted = !rc && !c.rc && sums.objects_differ;
	if (was_counted && (r->repair || !c.counters_wrong))
		c.rc = care_call(care, correct_files, &sums.objects, true);
	if (was_counted && !c.rc)
		c.rc = care_call(care, look_anew, NULL, false);
	/* As deltas: what was removed above has changed them since they were compared. */
	if (!rc && !c.rc && r->repair && c.counters_wrong) {
		c.rc = care_call(care, put_counters_right, &sums, true);
		c.repaired++;
	}
	if (rc < 0 || c.rc) {
		buf_fini(&c.findings);
		return care_broken(e, rc < 0 ? rc : c.rc);
	}
	log_info("fsck ended", "commits=%llu blobs=%llu problems=%llu repaired=%llu",
		 (unsigned long long)sums.commits, (unsigned long long)sums.blobs,
		 (unsigned long long)sums.problems, (unsigned long long)c.repaired);
	report(&c, &sums, rc != 0);
	buf_fini(&c.findings);
	return 0;
}
