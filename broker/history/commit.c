/* commit.c - CommitQuery: one commit, by the beginning of its hash. */
#include "broker/history/parts.h"

#include <string.h>

enum { ENVELOPE_COMMIT_REPLY = 40 };

int history_commit(struct history *h, const Cashet__Envelope *question,
		   const struct history_live *live, struct buf *out, struct err *e)
{
	const Cashet__CommitQuery *query = question->commit_query;
	size_t size = query->prefix.len;
	unsigned nibbles = (unsigned)(2 * size - (query->odd ? 1 : 0));
	uint8_t prefix[DIGEST_SIZE], hash[DIGEST_SIZE];
	uint64_t seq;
	if (!size || size > DIGEST_SIZE || nibbles < 4)
		return err_set(e, ERR_USAGE,
			       "a commit is named by 4 to 64 hexadecimal digits");
	memcpy(prefix, query->prefix.data, size);
	int rc = history_find_commit(h, prefix, nibbles, &seq, e);
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
