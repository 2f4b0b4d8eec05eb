/* history.c - see history.h: the table of questions, and whose store it is. */
#include "broker/history/parts.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

enum { ENVELOPE_SERIAL = 1, ENVELOPE_ERROR = 12 };

struct history_row_of {
	Cashet__Envelope__BodyCase what;
	history_question *answer;
	bool needs_live; /* what the loop knows is the better part of the answer */
};

#define ROW(NAME, answer, needs_live)                                                    \
	{                                                                                \
		CASHET__ENVELOPE__BODY_##NAME, answer, needs_live                        \
	}

/* The message, who answers it, needs_live. To add a question, see history.h. */
static const struct history_row_of rows[] = {
	ROW(RESULTS_QUERY, history_results, false),
	ROW(BATCHES_QUERY, history_batches, false),
	ROW(COMMIT_QUERY, history_commit, false),
	ROW(WHY_QUERY, history_why, false),
	ROW(DRY_RUN_QUERY, history_dry_run, false),
	ROW(LOG_READ, history_log, false),
	ROW(STATUS_QUERY, history_status, true),
	ROW(FSCK_REQUEST, history_fsck, false),
	ROW(PINS_QUERY, history_pins, false),
	ROW(COMMITS_QUERY, history_commits, false),
	ROW(RUNS_QUERY, history_runs, false),
	ROW(SHOW_QUERY, history_show, false),
	ROW(GRAPH_QUERY, history_graph, false),
	ROW(STATS_QUERY, history_stats, false),
	ROW(BLOB_QUERY, history_small_blob, false),
};

static const struct history_row_of *find_row(Cashet__Envelope__BodyCase what)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].what == what)
			return &rows[i];
	return NULL;
}

bool history_answers(Cashet__Envelope__BodyCase question)
{
	const struct history_row_of *row = find_row(question);
	return row && !row->needs_live;
}

struct history *history_open(struct ledger_reader *reader, struct cas *cas)
{
	struct history *h = mem_alloc(sizeof *h);
	h->pager.reader = reader;
	h->cas = cas;
	return h;
}

void history_close(struct history *h)
{
	if (!h)
		return;
	pager_fini(&h->pager);
	history_forget_batches(h);
	found_free(h->found);
	history_forget_dry_runs(h, UINT64_MAX);
	buf_fini(&h->blob);
	for (size_t i = 0; i < HISTORY_DESCRIPTIONS; i++)
		buf_fini(&h->descriptions[i].text);
	if (h->owned) {
		ledger_reader_close(h->pager.reader);
		cas_free(h->cas);
	}
	free(h);
}

static void put_error(struct buf *out, uint64_t serial, const struct err *e)
{
	buf_reset(out);
	pb_uint(out, ENVELOPE_SERIAL, serial);
	size_t mark = pb_open(out, ENVELOPE_ERROR);
	pb_uint(out, 1, e->code);
	pb_text(out, 2, e->what);
	pb_text(out, 3, e->next);
	pb_close(out, mark);
}

void history_answer(struct history *h, const Cashet__Envelope *question,
		    const struct history_live *live, struct buf *answer)
{
	static const struct history_live none;
	const struct history_row_of *row = find_row(question->body_case);
	struct err e = {0};
	buf_reset(answer);
	pb_uint(answer, ENVELOPE_SERIAL, question->serial);
	int rc = row ? row->answer(h, question, live ? live : &none, answer, &e)
		     : err_set(&e, ERR_USAGE, "this is not a question about a store");
	if (!rc && (answer->failed || answer->size > WIRE_MESSAGE_MAX))
		rc = err_set(&e, ERR_FAILED,
			     "the answer is larger than a message may be");
	if (rc)
		put_error(answer, question->serial, &e);
}
