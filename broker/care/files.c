/* files.c - see files.h. */
#include "broker/care/files.h"

#include "broker/care/care_impl.h"
#include "common/log.h"

#include <string.h>

static struct ledger_counters as_counters(const struct cas_counts *c)
{
	return (struct ledger_counters){.objects = (uint64_t)c->objects,
					.object_bytes = (uint64_t)c->bytes,
					.stored_bytes = (uint64_t)c->stored};
}

int files_init(struct broker *b)
{
	struct ledger_counters c;
	int rc = ledger_read_counters(b->reader, &c);
	if (rc)
		return rc;
	b->files = (struct file_counts){.recorded = {.objects = (int64_t)c.objects,
						     .bytes = (int64_t)c.object_bytes,
						     .stored = (int64_t)c.stored_bytes}};
	/* None at all: counted anew in no time, if that is true. */
	b->files.surely = b->info.clean && c.objects;
	return 0;
}

void files_hand_in(struct broker *b)
{
	struct cas_counts delta;
	cas_take_counts(b->cas, &delta);
	if (!delta.objects && !delta.bytes && !delta.stored)
		return;
	struct ledger_counters counters = as_counters(&delta);
	ledger_add_counters(b->turn, &counters);
}

void files_correct(struct broker *b, const struct cas_counts *found)
{
	struct file_counts *f = &b->files;
	const struct cas_counts delta = {.objects = found->objects - f->recorded.objects,
					 .bytes = found->bytes - f->recorded.bytes,
					 .stored = found->stored - f->recorded.stored};
	f->surely = true;
	if (!delta.objects && !delta.bytes && !delta.stored)
		return;
	struct ledger_counters counters = as_counters(&delta);
	ledger_add_counters(b->turn, &counters);
	f->recorded = *found;
	log_info("files counted anew", "more=%lld bytes=%lld stored=%lld",
		 (long long)delta.objects, (long long)delta.bytes,
		 (long long)delta.stored);
}

/* ---- counting anew, on the care thread ---- */

struct recount {
	struct cas_counts found;
	bool ended;
};

static int end_recount(struct broker *b, void *arg)
{
	const struct recount *r = arg;
	b->files.counting = false;
	if (r->ended)
		files_correct(b, &r->found);
	return 0;
}

/* It is begun again later. */
static bool others_wait(void *arg)
{
	struct care *care = arg;
	pthread_mutex_lock(&care->lock);
	bool wait = care->stopping || care->jobs.next->next != &care->jobs;
	pthread_mutex_unlock(&care->lock);
	return wait;
}

void care_recount(struct care *care)
{
	struct recount r = {0};
	int rc = cas_recount(care->b->cas, others_wait, care, &r.found);
	r.ended = rc == 0;
	if (rc < 0)
		log_warn("files not counted", "error=%s", strerror(-rc));
	care_call(care, end_recount, &r, false);
}

void files_watch(struct broker *b)
{
	struct file_counts *f = &b->files;
	uint64_t quarantined = cas_quarantined(b->cas);
	files_hand_in(b);
	if (f->counting || (f->surely && f->quarantined == quarantined))
		return;
	f->counting = true;
	f->quarantined = quarantined;
	care_begin_recount(b);
}
