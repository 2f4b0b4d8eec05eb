/* care.c - gc, removals, fsck, pins: requests that may take long, with progress on the way. An
 * interruption asks the broker to stop, and waits for its report: what was done is told. */
#include "client/target.h"

#include "common/clock.h"

#include <stdlib.h>
#include <string.h>

#define STOP_NS (10 * NS_PER_S) /* how long a stopped job may take to report */

static void tell(void *arg, const Cashet__CareProgress *p)
{
	const struct cashet_care_options *o = arg;
	struct cashet_care_progress progress = {p->phase, p->done, p->total};
	o->progress(o->arg, &progress);
}

static void report_from(struct cashet_care_report *to, const Cashet__CareReport *r)
{
	*to = (struct cashet_care_report){
		.dry_run = r->dry_run,
		.stopped = r->stopped,
		.commits = r->commits,
		.results = r->results,
		.batches = r->batches,
		.blobs = r->objects,
		.bytes = r->bytes,
		.compute_ns = r->compute_ns,
		.kept_in_use = r->kept_in_use,
		.kept_pinned = r->kept_pinned,
		.store_bytes = r->store_bytes,
		.journal_bytes = r->file_bytes,
		.journal_free = r->free_bytes,
		.checked_commits = r->checked_commits,
		.checked_blobs = r->checked_blobs,
		.read_bytes = r->read_bytes,
		.problems = r->problems,
		.repaired = r->repaired,
	};
}

static int wait_for(struct cashet *c, struct request *r, struct err *e)
{
	int failed =
		request_wait(c, r, CASHET__ENVELOPE__BODY_CARE_REPORT, c->connect_ns, e);
	if (failed != ERR_DETACHED || r->local)
		return failed;
	/* The report of what was done until now is worth a moment. */
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;
	Cashet__CareStop stop = CASHET__CARE_STOP__INIT;
	stop.job = r->serial;
	envelope.body_case = CASHET__ENVELOPE__BODY_CARE_STOP;
	envelope.care_stop = &stop;
	handle_say(c, &envelope);
	bool (*interrupted)(void *arg) = c->interrupted;
	uint64_t until = clock_mono_ns() + STOP_NS;
	struct err later = {0};
	c->interrupted = NULL;
	while (!r->done && clock_mono_ns() < until &&
	       !handle_pump(c, until, c->connect_ns, &later))
		;
	c->interrupted = interrupted;
	if (!r->done)
		return failed;
	return request_wait(c, r, CASHET__ENVELOPE__BODY_CARE_REPORT, c->connect_ns, e);
}

/* *rp, if asked for: the caller frees it, and what the report names lives in it. */
static int care(struct cashet *c, Cashet__Envelope *envelope,
		const struct cashet_care_options *options,
		struct cashet_care_report *report, struct request **rp, struct err *e)
{
	struct request *r = request_send(c, envelope);
	if (!r)
		return handle_no_memory(e);
	if (options && options->progress) {
		r->progress = tell;
		r->progress_arg = (void *)options;
	}
	int failed = wait_for(c, r, e);
	if (!failed)
		report_from(report, r->reply->care_report);
	if (!failed && rp)
		*rp = r;
	else
		request_free(r);
	return failed;
}

#define ENVELOPE(member, CASE)                                                           \
	Cashet__Envelope envelope = CASHET__ENVELOPE__INIT;                              \
	envelope.body_case = CASHET__ENVELOPE__BODY_##CASE;                              \
	envelope.member = &message

/* ---- gc ---- */

int cashet_gc(struct cashet *c, const struct cashet_gc *gc,
	      const struct cashet_care_options *options,
	      struct cashet_care_report *report, struct cashet_error *error)
{
	struct err e = {0};
	Cashet__GcRequest message = CASHET__GC_REQUEST__INIT;
	ENVELOPE(gc_request, GC_REQUEST);
	message.all = gc->all;
	message.has_older_than = gc->has_older_than;
	message.older_than_ms = gc->older_than_ns / NS_PER_MS;
	message.has_max_bytes = gc->has_max_bytes;
	message.max_bytes = gc->max_bytes;
	message.dry_run = options && options->dry_run;
	return error_give(error, &e, care(c, &envelope, options, report, NULL, &e));
}

/* ---- removing ---- */

struct filter { /* a RemoveRequest and what it points to */
	Cashet__RemoveRequest message;
	struct target *targets, downstream;
	Cashet__Target **target_list;
	Cashet__Pair *pairs, **pair_list;
	uint32_t *any_value;
};

static void filter_fini(struct filter *f)
{
	free(f->targets);
	free(f->target_list);
	free(f->pairs);
	free(f->pair_list);
	free(f->any_value);
}

static int filter_tags(struct filter *f, const struct cashet_filter *from, struct err *e)
{
	for (size_t i = 0; i < from->tag_count; i++) {
		const struct cashet_pair *tag = &from->tags[i];
		if (!tag->key || !*tag->key)
			return err_set(e, ERR_USAGE, "a tag has a key: KEY=VALUE");
		f->pairs[i] = (Cashet__Pair)CASHET__PAIR__INIT;
		f->pairs[i].key = (char *)tag->key;
		f->pairs[i].value = (char *)(tag->value ? tag->value : "");
		f->pair_list[i] = &f->pairs[i];
		if (!tag->value)
			f->any_value[f->message.n_any_value++] = (uint32_t)i;
	}
	f->message.n_tags = from->tag_count;
	f->message.tags = f->pair_list;
	f->message.any_value = f->any_value;
	return 0;
}

static int filter_make(struct filter *f, const struct cashet_filter *from, struct err *e)
{
	size_t targets = from->commit_count + 1, tags = from->tag_count + 1;
	f->message = (Cashet__RemoveRequest)CASHET__REMOVE_REQUEST__INIT;
	f->targets = calloc(targets, sizeof *f->targets);
	f->target_list = calloc(targets, sizeof *f->target_list);
	f->pairs = calloc(tags, sizeof *f->pairs);
	f->pair_list = calloc(tags, sizeof *f->pair_list);
	f->any_value = calloc(tags, sizeof *f->any_value);
	if (!f->targets || !f->target_list || !f->pairs || !f->pair_list || !f->any_value)
		return handle_no_memory(e);
	int r = filter_tags(f, from, e);
	for (size_t i = 0; i < from->commit_count && r == 0; i++) {
		r = target_parse(from->commits[i], &f->targets[i], e);
		f->target_list[i] = &f->targets[i].message;
	}
	f->message.n_targets = from->commit_count;
	f->message.targets = f->target_list;
	if (r == 0 && from->downstream) {
		r = target_parse(from->downstream, &f->downstream, e);
		f->message.downstream = &f->downstream.message;
	}
	if (from->func)
		f->message.func = (char *)from->func;
	if (from->worker)
		f->message.worker =
			(ProtobufCBinaryData){KEY_SIZE, (uint8_t *)from->worker};
	return r;
}

static int remove_them(struct cashet *c, bool keep_record,
		       const struct cashet_filter *filter,
		       const struct cashet_care_options *options,
		       struct cashet_care_report *report, struct cashet_error *error)
{
	struct err e = {0};
	struct filter f = {0};
	int r = filter_make(&f, filter, &e);
	if (r == 0) {
		Cashet__RemoveRequest message = f.message;
		ENVELOPE(remove_request, REMOVE_REQUEST);
		message.keep_record = keep_record;
		message.dry_run = options && options->dry_run;
		r = care(c, &envelope, options, report, NULL, &e);
	}
	filter_fini(&f);
	return error_give(error, &e, r);
}

int cashet_remove(struct cashet *c, const struct cashet_filter *filter,
		  const struct cashet_care_options *options,
		  struct cashet_care_report *report, struct cashet_error *error)
{
	return remove_them(c, false, filter, options, report, error);
}

int cashet_invalidate(struct cashet *c, const struct cashet_filter *filter,
		      const struct cashet_care_options *options,
		      struct cashet_care_report *report, struct cashet_error *error)
{
	return remove_them(c, true, filter, options, report, error);
}

/* ---- fsck ---- */

static void give_finding(const Cashet__FsckFinding *f,
			 void (*found)(void *arg, const struct cashet_finding *finding),
			 void *arg)
{
	struct cashet_finding finding = {
		.kind = f->kind,
		.what = f->what,
		.repaired = f->repaired,
		.name = f->reruns,
		.has_blob = wire_is(&f->digest, DIGEST_SIZE),
		.has_commit = wire_is(&f->commit, DIGEST_SIZE),
	};
	if (finding.has_blob)
		memcpy(finding.blob, f->digest.data, DIGEST_SIZE);
	if (finding.has_commit)
		memcpy(finding.commit, f->commit.data, DIGEST_SIZE);
	found(arg, &finding);
}

int cashet_fsck(struct cashet *c, unsigned read_percent, bool repair,
		const struct cashet_care_options *options,
		void (*found)(void *arg, const struct cashet_finding *finding), void *arg,
		struct cashet_care_report *report, struct cashet_error *error)
{
	struct err e = {0};
	struct request *r;
	Cashet__FsckRequest message = CASHET__FSCK_REQUEST__INIT;
	ENVELOPE(fsck_request, FSCK_REQUEST);
	message.read_data_percent = read_percent < 100 ? read_percent : 100;
	message.repair = repair;
	/* Who repairs is the broker: it has to be there, and not our own reading. */
	int failed = repair ? handle_greeted(c, &e) : 0;
	if (!failed)
		failed = care(c, &envelope, options, report, &r, &e);
	if (failed)
		return error_give(error, &e, failed);
	const Cashet__CareReport *reply = r->reply->care_report;
	for (size_t i = 0; found && i < reply->n_findings; i++)
		give_finding(reply->findings[i], found, arg);
	request_free(r);
	return error_give(error, &e, 0);
}

/* ---- pins ---- */

static int pin(struct cashet *c, const char *commit, const char *name, struct err *e)
{
	struct target target;
	struct request *r;
	Cashet__PinRequest message = CASHET__PIN_REQUEST__INIT;
	ENVELOPE(pin_request, PIN_REQUEST);
	message.name = (char *)name;
	message.unpin = !commit;
	int failed = commit ? target_parse(commit, &target, e) : 0;
	if (commit)
		message.target = &target.message;
	if (!failed)
		failed = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_DONE, &r, e);
	if (!failed)
		request_free(r);
	return failed;
}

int cashet_pin(struct cashet *c, const char *commit, const char *name,
	       struct cashet_error *error)
{
	struct err e = {0};
	return error_give(error, &e, pin(c, commit, name, &e));
}

int cashet_unpin(struct cashet *c, const char *name, struct cashet_error *error)
{
	struct err e = {0};
	return error_give(error, &e, pin(c, NULL, name, &e));
}

int cashet_pins(struct cashet *c, int (*row)(void *arg, const struct cashet_pin *pin),
		void *arg, struct cashet_error *error)
{
	struct err e = {0};
	struct request *r;
	Cashet__PinsQuery message = CASHET__PINS_QUERY__INIT;
	ENVELOPE(pins_query, PINS_QUERY);
	int failed = request_ask(c, &envelope, CASHET__ENVELOPE__BODY_PINS, &r, &e);
	if (failed)
		return error_give(error, &e, failed);
	const Cashet__Pins *pins = r->reply->pins;
	for (size_t i = 0; i < pins->n_pins; i++) {
		const Cashet__Pin *p = pins->pins[i];
		struct cashet_pin one = {
			.name = p->name, .pinned_wall_ms = p->wall_ms, .gone = p->gone};
		if (wire_is(&p->hash, DIGEST_SIZE))
			memcpy(one.commit, p->hash.data, DIGEST_SIZE);
		if (row(arg, &one))
			break;
	}
	request_free(r);
	return error_give(error, &e, 0);
}
