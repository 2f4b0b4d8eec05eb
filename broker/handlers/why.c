/* why.c - what the loop adds to WhyQuery about a task in memory: how it stands, what keeps it, and where
 * it runs; and to DryRunQuery: what there is to run on. The rest is read from the ledger on the query
 * thread. */
#include "broker/handlers/query.h"

#include "common/num.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STATUSES_MAX (256u << 10) /* looked at in a millisecond or two */

static void add_amount(struct buf *out, const char *resource, uint64_t amount)
{
	if (!strcmp(resource, "memory"))
		num_add_size(out, amount);
	else
		buf_printf(out, "%g", (double)amount / 1000);
}

void batch_explain_wait(struct broker *b, const struct batch *batch,
			const struct core_wait_view *wait, struct buf *out)
{
	struct core_batch_view view = {0};
	switch (wait->why) {
	case CORE_WAIT_NOTHING:
	case CORE_WAIT_TASKS:
		return;
	case CORE_WAIT_LOOKUP:
		buf_add_str(out, "it is being looked up in the cache");
		return;
	case CORE_WAIT_RESTART:
		buf_add_str(out, "the broker has just started and waits for its workers");
		return;
	case CORE_WAIT_PAUSED:
		buf_add_str(out, "the batch is paused");
		if (!core_view_batch(b->core, batch->number, &view)) {
			CLEANUP_BUF struct buf note = {0};
			batch_note(&note, batch, &view);
			if (note.size)
				buf_printf(out, ": %s", buf_cstr(&note));
		}
		return;
	case CORE_WAIT_DRAIN:
		buf_add_str(out, "the broker is being drained; the next one goes on");
		return;
	case CORE_WAIT_DISK:
		buf_add_str(out, "the broker's disk is full");
		return;
	case CORE_WAIT_PARALLEL:
		buf_printf(out, "max_parallel of the batch: %" PRIu64 " run already",
			   wait->wanted);
		return;
	case CORE_WAIT_NO_WORKER:
		buf_add_str(out, "there is no worker that takes anything");
		return;
	case CORE_WAIT_TOO_LARGE:
		if (!*wait->resource) {
			buf_add_str(out,
				    "no worker has all the resources that it asks for");
			return;
		}
		buf_printf(out, "it asks for %s ", wait->resource);
		add_amount(out, wait->resource, wait->wanted);
		buf_add_str(out, wait->most ? ", the largest worker has "
					    : ", which no worker has");
		if (wait->most)
			add_amount(out, wait->resource, wait->most);
		return;
	case CORE_WAIT_ROOM:
		buf_add_str(out, "all workers that could run it are busy");
		return;
	case CORE_WAIT_RETRY:
		buf_add_str(out, "its last attempt failed; the next one begins in ");
		num_add_duration(out, wait->retry_ns - wait->retry_ns % (NS_PER_S / 10));
		return;
	case CORE_WAIT_INPUT:
		buf_add_str(out, "an input was lost and is being made again");
		return;
	}
}

static void add_task(struct broker *b, const struct batch *batch, uint32_t index,
		     struct history_live *live)
{
	struct core_task_view view;
	struct core_wait_view wait;
	CLEANUP_BUF struct buf note = {0};
	if (core_view_task(b->core, batch->number, index, &view) ||
	    core_view_wait(b->core, batch->number, index, &wait))
		return;
	struct history_live_task *task = live->task = mem_alloc(sizeof *task);
	page_from_view(&task->task, index, &view);
	if (view.has_fingerprint) {
		task->args = mem_copy(view.args, view.args_size);
		task->args_size = view.args_size;
	}
	const struct worker *w =
		view.status == CORE_RUNNING ? worker_get(b, view.worker) : NULL;
	if (w)
		buf_printf(&note, "on %s", w->name);
	else
		batch_explain_wait(b, batch, &wait, &note);
	if (note.size)
		task->note = mem_strdup(buf_cstr(&note));
	if (view.status != CORE_WAITING)
		return;
	uint32_t count =
		batch->task_count < STATUSES_MAX ? batch->task_count : STATUSES_MAX;
	task->statuses = mem_alloc(count);
	task->status_count =
		core_view_statuses(b->core, batch->number, task->statuses, count);
}

void handle_why_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__Target *target = e->why_query->target;
	struct batch *batch = NULL;
	struct job *job = target && target->is_task
				  ? job_about(b, peer, e->serial, target->batch, &batch)
				  : job_new(b, peer, e->serial);
	if (!job)
		return;
	if (batch && target->index < batch->task_count)
		add_task(b, batch, target->index, &job->live);
	query_ask(b, peer, job);
}

void handle_dry_run_query(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	struct job *job = job_new(b, peer, e->serial);
	for (uint32_t i = 0; i < b->workers.count; i++) {
		const struct worker *w = b->workers.by_number[i];
		for (uint32_t k = 0; w && !w->draining && k < w->capacity_count; k++)
			if (!strcmp(w->capacity[k].name, "cpus"))
				job->live.cpus_milli += w->capacity[k].amount;
	}
	query_ask(b, peer, job);
}
