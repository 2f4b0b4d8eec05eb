/* pins.c - PinsQuery: all pins, and whether what they name is still there. */
#include "broker/history/parts.h"

#include <string.h>

enum { ENVELOPE_PINS = 83 };

struct listing {
	struct ledger_reader *reader;
	struct buf *out;
};

static int add(void *arg, const struct ledger_pin *pin)
{
	const struct listing *l = arg;
	uint64_t seq;
	size_t count, mark = pb_open(l->out, 1);
	int rc = ledger_find_commit(l->reader, pin->hash, 2 * DIGEST_SIZE, &seq, 1,
				    &count);
	pb_text(l->out, 1, pin->name);
	pb_bytes(l->out, 2, pin->hash, DIGEST_SIZE);
	pb_uint(l->out, 3, pin->wall_ms);
	pb_uint(l->out, 4, rc == 1);
	pb_close(l->out, mark);
	return rc < 0 ? rc : 0;
}

int history_pins(struct history *h, const Cashet__Envelope *question,
		 const struct history_live *live, struct buf *out, struct err *e)
{
	struct listing l = {history_reader(h), out};
	(void)question, (void)live;
	size_t mark = pb_open(out, ENVELOPE_PINS);
	int rc = ledger_each_pin(l.reader, add, &l);
	pb_close(out, mark);
	if (rc)
		return err_set(e, ERR_FAILED, "the store cannot be read: %s",
			       strerror(-rc));
	return 0;
}
