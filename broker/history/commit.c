/* commit.c - CommitQuery: one commit, by what people call it. */
#include "broker/history/parts.h"

enum { ENVELOPE_COMMIT_REPLY = 40 };

int history_commit(struct history *h, const Cashet__Envelope *question,
		   const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__CommitQuery *query = question->commit_query;
	uint8_t hash[DIGEST_SIZE];
	uint64_t seq;
	Cashet__Target by_prefix = CASHET__TARGET__INIT;
	by_prefix.prefix = query->prefix;
	by_prefix.odd = query->odd;
	int rc = history_find_target(h, query->target ? query->target : &by_prefix, &seq,
				     e);
	if (rc)
		return rc;
	buf_reset(&h->pager.body);
	if (ledger_read_commit(history_reader(h), seq, &h->pager.body, hash))
		return err_set(e, ERR_FAILED, "the commit's record cannot be read");
	size_t mark = pb_open(out, ENVELOPE_COMMIT_REPLY);
	pb_bytes(out, 1, hash, DIGEST_SIZE);
	pb_bytes(out, 2, h->pager.body.data, h->pager.body.size);
	pb_close(out, mark);
	return 0;
}
