/* show.c - ShowQuery: all that is known of one commit. */
#include "broker/history/parts.h"

#include <string.h>

#define SOURCES_MAX 1000
enum { ENVELOPE_SHOW_REPLY = 63 };

struct pins {
	struct buf *out;
	const uint8_t *hash;
};

static int add_pin(void *arg, const struct ledger_pin *pin)
{
	struct pins *p = arg;
	if (!memcmp(pin->hash, p->hash, DIGEST_SIZE))
		pb_text(p->out, 8, pin->name);
	return 0;
}

static void add_sources(struct history *h, struct buf *out,
			const struct history_sources *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct history_commit c;
		if (history_read(h, s->seqs[i], &c)) {
			pb_close(out, pb_open(out, 5)); /* the others are numbered */
			continue;
		}
		history_add_row(h, out, 5, &c, NULL, 0);
		history_commit_fini(&c);
	}
}

int history_show(struct history *h, const Cashet__Envelope *question,
		 const struct history_live *live, struct buf *out, struct err *e)
{
	struct history_commit c;
	struct history_sources s = {.max = SOURCES_MAX};
	CLEANUP_BUF struct buf description = {0};
	uint64_t seq;
	int rc = history_find_target(h, question->show_query->target, &seq, e);
	if (rc)
		return rc;
	if (history_read(h, seq, &c))
		return err_set(e, ERR_FAILED, "the commit's record cannot be read");
	size_t mark = pb_open(out, ENVELOPE_SHOW_REPLY);
	history_add_row(h, out, 1, &c, NULL, HISTORY_ROW_CURRENT);
	pb_bytes(out, 2, c.row.body, c.row.size);
	if (!history_description(h, c.c.func_hash, c.c.batch, c.c.index, &description,
				 NULL))
		pb_bytes(out, 3, description.data, description.size);
	history_add_inputs(h, out, 4, &c, &s);
	add_sources(h, out, &s);
	pb_uint(out, 6, c.row.hits);
	pb_uint(out, 7, c.row.last_used_ms);
	struct pins pins = {.out = out, .hash = c.row.hash};
	ledger_each_pin(history_reader(h), add_pin, &pins);
	pb_close(out, mark);
	history_commit_fini(&c);
	sources_fini(&s);
	return 0;
}
