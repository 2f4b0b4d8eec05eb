/* runs.c - RunsQuery: all runs of the function and arguments of a commit, newest first. */
#include "broker/history/parts.h"

#include "common/pure/sha256.h"

#include <string.h>

enum { ENVELOPE_COMMITS_PAGE = 61 };

struct runs {
	struct history *h;
	struct buf *out;
};

static int add_run(void *arg, const struct ledger_commit_row *row)
{
	struct runs *r = arg;
	CLEANUP_BUF struct buf arena = {0};
	struct history_commit c = {.row = *row};
	if (!commit_decode(row->body, row->size, &c.c, &arena))
		history_add_row(r->h, r->out, 1, &c, NULL, HISTORY_ROW_CURRENT);
	return r->out->size >= PAGE_BYTES;
}

int history_runs(struct history *h, const Cashet__Envelope *question,
		 const struct history_live *live, struct buf *out, struct err *e)
{
	struct history_commit c;
	uint8_t func_hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	uint64_t seq;
	int rc = history_find_target(h, question->runs_query->target, &seq, e);
	if (rc)
		return rc;
	if (history_read(h, seq, &c))
		return err_set(e, ERR_FAILED, "the commit's record cannot be read");
	memcpy(func_hash, c.c.func_hash, DIGEST_SIZE);
	sha256_digest(c.c.args, c.c.args_size, args_hash);
	history_commit_fini(&c);
	struct runs runs = {.h = h, .out = out};
	size_t mark = pb_open(out, ENVELOPE_COMMITS_PAGE);
	rc = ledger_each_run(history_reader(h), func_hash, args_hash, add_run, &runs);
	if (rc < 0)
		return err_set(e, ERR_FAILED, "the store cannot be read: %s",
			       strerror(-rc));
	pb_close(out, mark);
	return 0;
}
