/* stats.c - StatsQuery: what the ledger counts in each of its transactions; nothing is scanned, but for
 * the latest hits. */
#include "broker/history/parts.h"

#include <string.h>

enum { ENVELOPE_STATS = 68 };

static int count_pin(void *arg, const struct ledger_pin *pin)
{
	(*(uint64_t *)arg)++;
	return 0;
}

int history_stats(struct history *h, const Cashet__Envelope *question,
		  const struct history_live *live, struct buf *out, struct err *e)
{
	struct ledger_reader *r = history_reader(h);
	struct ledger_counters c = {0};
	uint64_t pins = 0, journal = 0, unused = 0;
	int rc = ledger_read_counters(r, &c);
	if (rc == 0)
		rc = ledger_saved_ns(r, &c.saved_ns);
	if (rc == 0)
		rc = ledger_each_pin(r, count_pin, &pins);
	if (rc == 0)
		rc = ledger_file_bytes(r, &journal, &unused);
	if (rc)
		return err_set(e, ERR_FAILED, "the store cannot be read: %s",
			       strerror(-rc));
	const uint64_t values[] = {
		c.completed,	c.failed,	c.hits,	    c.executed,
		c.deduplicated, c.compute_ns,	c.saved_ns, c.referenced_bytes,
		c.object_bytes, c.stored_bytes, c.objects,  c.inline_blobs,
		c.inline_bytes, c.batches,	pins,	    journal,
		unused};
	size_t mark = pb_open(out, ENVELOPE_STATS);
	for (unsigned i = 0; i < ARRAY_LEN(values); i++)
		pb_uint(out, i + 1, values[i]);
	pb_close(out, mark);
	return 0;
}
