/* gc.c - gc and clear: what goes by which policy, and what is said about it. */
#include "broker/care/gc.h"

#include "broker/care/guard.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/rand.h"

#include <stdlib.h>

#define HOUR_MS (3600ull * 1000)
#define BATCH_MS                                                                         \
	(30 * 24 * HOUR_MS) /* empty batches stay so long if nothing else is asked for */

static int end_watch(struct broker *b, void *arg)
{
	(void)arg;
	guard_watch(b, false);
	return 0;
}

static void set_policy(struct gc *gc, const Cashet__GcRequest *r,
		       struct graph_policy *policy)
{
	*policy = (struct graph_policy){.all = r->all, .now_ms = gc->now_ms};
	gc->all = r->all;
	gc->batch_before_ms = gc->now_ms > BATCH_MS ? gc->now_ms - BATCH_MS : 0;
	if (r->has_older_than) {
		policy->before_ms =
			gc->now_ms > r->older_than_ms ? gc->now_ms - r->older_than_ms : 1;
		gc->batch_before_ms = policy->before_ms;
	}
	if (r->has_max_bytes) {
		policy->has_max = true;
		policy->max_bytes = r->max_bytes;
		if (gc->batch_before_ms < gc->now_ms - HOUR_MS)
			gc->batch_before_ms = gc->now_ms - HOUR_MS;
	}
	if (r->all)
		gc->batch_before_ms = UINT64_MAX;
}

static int run(struct gc *gc, const Cashet__GcRequest *r)
{
	struct graph_policy policy;
	struct graph_sums sums;
	int rc = gc_mark(gc);
	if (rc)
		return rc;
	set_policy(gc, r, &policy);
	graph_choose(gc->graph, &policy, &sums);
	gc->report->results = sums.results;
	gc->report->compute_ns = sums.compute_ns;
	gc->report->kept_in_use = sums.kept;
	gc->report->store_bytes = sums.left_bytes;
	if (!r->dry_run) {
		rc = gc_sweep(gc);
		/* What was stopped, or was asked for meanwhile, is there still. */
		gc->report->store_bytes += sums.bytes > gc->report->bytes
						   ? sums.bytes - gc->report->bytes
						   : 0;
		return rc;
	}
	gc->report->commits = sums.records;
	gc->report->objects = sums.objects;
	gc->report->bytes = sums.bytes;
	return 0;
}

static void fini(struct gc *gc)
{
	graph_free(gc->graph);
	set64_fini(&gc->live_batches);
	set64_fini(&gc->live_commits);
	set64_fini(&gc->live_prints);
	set64_fini(&gc->pinned);
	set64_fini(&gc->functions);
	set64_fini(&gc->sources);
	set64_fini(&gc->removed);
	buf_fini(&gc->arena);
	free(gc->roots);
}

int care_gc(struct care *care, const Cashet__Envelope *request, struct err *e)
{
	const Cashet__GcRequest *r = request->gc_request;
	Cashet__CareReport report = CASHET__CARE_REPORT__INIT;
	uint64_t secret, began = clock_mono_ns();
	rand_bytes(&secret, sizeof secret);
	struct gc gc = {.care = care,
			.reader = care->reader,
			.graph = graph_new(secret),
			.now_ms = clock_wall_ms(),
			.report = &report};
	int rc = run(&gc, r);
	int ended = care_call(care, end_watch, NULL, false);
	fini(&gc);
	if (rc < 0 || ended)
		return care_broken(e, rc < 0 ? rc : ended);
	report.dry_run = r->dry_run;
	report.stopped = rc != 0;
	ledger_file_bytes(care->reader, &report.file_bytes, &report.free_bytes);
	log_info(r->dry_run ? "gc looked" : "gc ended",
		 "commits=%llu results=%llu batches=%llu blobs=%llu bytes=%llu left=%llu "
		 "stopped=%d ms=%llu",
		 (unsigned long long)report.commits, (unsigned long long)report.results,
		 (unsigned long long)report.batches, (unsigned long long)report.objects,
		 (unsigned long long)report.bytes, (unsigned long long)report.store_bytes,
		 report.stopped,
		 (unsigned long long)((clock_mono_ns() - began) / NS_PER_MS));
	care_report(care, &report);
	return 0;
}
