/* status.c - StatusQuery: what the loop knows, and what the ledger counts. */
#include "broker/history/parts.h"

enum { ENVELOPE_STATUS = 34 };

int history_status(struct history *h, const Cashet__Envelope *question,
		   const struct history_live *live, struct buf *out, struct err *e)
{
	struct ledger_stats stats = {0};
	ledger_read_stats(history_reader(h), &stats);
	size_t mark = pb_open(out, ENVELOPE_STATUS);
	buf_add(out, live->status.data, live->status.size);
	pb_uint(out, 15, stats.commits);
	pb_close(out, mark);
	return 0;
}
