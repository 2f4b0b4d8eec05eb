/* logs.c - LogRead of a task that has ended: its blob is named. */
#include "broker/history/parts.h"

enum { ENVELOPE_LOG_DATA = 32 };

/* The commit of the task that is asked for, 0: none; *@endedp: the task has ended. */
static int find_commit(struct history *h, const Cashet__LogRead *read,
		       const struct history_live *live, uint64_t *seqp, bool *endedp,
		       struct err *e)
{
	*endedp = true;
	struct ledger_batch_row row;
	if (live->has_commit) {
		*seqp = live->commit;
		return 0;
	}
	int rc = history_row(h, read->batch, live, &row, e);
	if (rc)
		return rc;
	if (read->index >= row.task_count)
		return err_set(e, ERR_NOT_FOUND,
			       "the batch has no task %u: it has %u, from 0 on",
			       read->index, row.task_count);
	const struct ledger_end *end = &history_ends(h, &row)->items[read->index];
	*seqp = end->commit;
	*endedp = end->status >= CORE_COMPLETED;
	return 0;
}

int history_log(struct history *h, const Cashet__Envelope *question,
		const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__LogRead *read = question->log_read;
	struct commit c;
	uint64_t seq = 0;
	bool ended;
	int rc = find_commit(h, read, live, &seq, &ended, e);
	if (rc)
		return rc;
	bool known = seq && !pager_commit(&h->pager, seq, &c, NULL);
	bool there = known && (read->is_stderr ? c.has_stderr : c.has_stdout);
	size_t mark = pb_open(out, ENVELOPE_LOG_DATA);
	pb_uint(out, 2, read->offset);
	if (there) {
		pb_uint(out, 4, true);
		pb_bytes(out, 5, read->is_stderr ? c.stderr_digest : c.stdout_digest,
			 DIGEST_SIZE);
		pb_uint(out, 6, read->is_stderr ? c.stderr_size : c.stdout_size);
	} else if (!ended) {
		pb_uint(out, 3, true);
		pb_text(out, 7,
			"the task has not ended, and no broker runs for its store");
	} else if (seq && !known) {
		pb_text(out, 7, "its commit was removed from the store");
	} else {
		pb_text(out, 7, "the task ended without having run");
	}
	pb_close(out, mark);
	return 0;
}
