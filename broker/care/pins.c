/* pins.c - names for commits that gc keeps. On the loop: a pin is one row. */
#include "broker/care/find.h"
#include "broker/care/guard.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/names.h"
#include "common/pure/hex.h"

/* A name must not look like the beginning of a hash, nor like an option. */
static int check_name(const char *name, struct err *e)
{
	size_t digits = strspn(name, "0123456789abcdefABCDEF");
	if (!names_valid(name, true) || *name == '-') {
		err_set(e, ERR_USAGE,
			"a pin's name has 1 to 128 letters, digits, _, - and dots, the "
			"last two not as the first");
		return ERR_USAGE;
	}
	if (digits >= 4 && !name[digits]) {
		err_set(e, ERR_USAGE, "%s could be the beginning of a commit's hash",
			name);
		err_next(e,
			 "choose a name with another character than 0-9 and a-f in it");
		return ERR_USAGE;
	}
	return 0;
}

/* While gc is at work it keeps this one and its bytes, as far as they are there. */
static void watch(struct broker *b, uint64_t seq, const struct commit *c)
{
	guard_commit(b, seq);
	presence_has(b, c->result.digest);
	for (size_t i = 0; i < c->output_count; i++)
		presence_is_whole(b, &c->outputs[i].content);
}

/* What a name stood for would be let go without a word. */
static int is_taken(const char *name, const uint8_t hash[DIGEST_SIZE], struct err *e)
{
	char hex[HEX_DIGEST_SIZE];
	hex_encode(hex, hash, DIGEST_SIZE);
	err_set(e, ERR_FAILED, "%s is a pin already: it stands for commit %.8s", name,
		hex);
	err_next(e, "choose another name, or cashet unpin %s first", name);
	return ERR_FAILED;
}

static int pin(struct broker *b, const Cashet__PinRequest *p, struct err *e)
{
	uint8_t hash[DIGEST_SIZE], before[DIGEST_SIZE];
	struct commit c;
	uint64_t seq;
	if (p->unpin) {
		if (ledger_find_pin(b->reader, p->name, hash)) {
			err_set(e, ERR_NOT_FOUND, "there is no pin called %s", p->name);
			err_next(e, "cashet pins lists them");
			return ERR_NOT_FOUND;
		}
		ledger_add_unpin(b->turn, p->name);
		log_info("unpinned", "name=%s", p->name);
		return 0;
	}
	int rc = check_name(p->name, e);
	if (!rc && !p->target)
		rc = err_set(e, ERR_USAGE, "no commit is named");
	if (!rc)
		rc = find_target(b->reader, p->target, &seq, e);
	if (rc)
		return rc;
	if (guard_is_dying_commit(b, seq))
		return err_set(e, ERR_NOT_FOUND, "the commit is being removed");
	if (pager_commit(&b->pager, seq, &c, hash)) {
		err_set(e, ERR_NOT_FOUND, "its commit was removed from the store");
		err_next(e, "cashet retry runs what was removed again, as a new batch");
		return ERR_NOT_FOUND;
	}
	if (!ledger_find_pin(b->reader, p->name, before) &&
	    memcmp(before, hash, DIGEST_SIZE) != 0)
		return is_taken(p->name, before, e);
	watch(b, seq, &c);
	ledger_add_pin(b->turn, p->name, hash, clock_wall_ms());
	log_info("pinned", "name=%s seq=%llu", p->name, (unsigned long long)seq);
	return 0;
}

void handle_pin(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	struct err error = {0};
	Cashet__Envelope out = CASHET__ENVELOPE__INIT;
	Cashet__Done done = CASHET__DONE__INIT;
	if (pin(b, e->pin_request, &error)) {
		peer_error(b, peer, e->serial, &error);
		return;
	}
	out.serial = e->serial;
	out.body_case = CASHET__ENVELOPE__BODY_DONE;
	out.done = &done;
	outbox_send_envelope(b, peer, b->step, &out);
}
