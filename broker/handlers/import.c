/* import.c - commits of another store become ours, all or none.
 *
 * Chunk after chunk is checked and staged in the ledger, where nobody sees it; the last one seals:
 * all that was staged becomes commits, and pins are made, in one turn. If the broker ends before
 * that, nothing has happened. Blobs were stored before by whoever imports; those that no commit
 * names in the end are the next gc's, and claimed until then (guard.h), like those of a submission.
 *
 * What is here already is kept: a commit that is known is passed over, one whose fingerprint has a
 * current commit comes without becoming current, a pin whose name is taken stays what it is.
 *
 * One import at a time. It belongs to its number (drawn by the client), not to a connection: who
 * comes back goes on with the chunk that is expected. */
#include "broker/handlers/import.h"

#include "broker/care/guard.h"
#include "broker/care/set64.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/names.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_SIZE 16
#define PINS_MAX 65536
#define TAGS_MAX 1024		/* of one commit */
#define LEFT_NS (60 * NS_PER_S) /* after the client has gone, another import may begin */

struct import_pin {
	char name[129];
	uint8_t hash[DIGEST_SIZE];
	uint64_t wall_ms;
};

struct import {
	uint8_t token[TOKEN_SIZE];
	uint64_t number; /* in the ledger */
	peer_handle owner;
	uint64_t heard_ns;
	uint32_t next; /* chunk */
	bool sealed;
	uint64_t staged, known, pins_made;
	struct set64 hashes; /* of what was staged */
	struct set64
		prints; /* fingerprints of those that shall be current, and which one it is */
	struct import_pin *pins;
	size_t pin_count, pin_capacity;
	char **kept; /* names of pins that stay what they are */
	size_t kept_count, kept_capacity;
	struct buf arena, again;
};

static uint64_t word(const uint8_t *digest)
{
	uint64_t w;
	memcpy(&w, digest, sizeof w);
	return w;
}

static uint64_t print_of(const struct commit *c, const uint8_t args_hash[DIGEST_SIZE])
{
	return word(c->func_hash) * 0x9e3779b97f4a7c15ull ^ word(args_hash);
}

static void import_free(struct import *im)
{
	if (!im)
		return;
	for (size_t i = 0; i < im->kept_count; i++)
		free(im->kept[i]);
	free(im->kept);
	free(im->pins);
	set64_fini(&im->hashes);
	set64_fini(&im->prints);
	buf_fini(&im->arena);
	buf_fini(&im->again);
	free(im);
}

void import_fini(struct broker *b)
{
	import_free(steal(b->import));
}

static void drop(struct broker *b, const char *why)
{
	struct import *im = steal(b->import);
	if (!im->sealed) {
		log_info("import dropped", "import=%llu staged=%llu why=%s",
			 (unsigned long long)im->number, (unsigned long long)im->staged,
			 why);
		ledger_add_staged_dropped(b->turn, im->number);
	}
	import_free(im);
}

bool import_is_open(struct broker *b)
{
	struct import *im = b->import;
	if (im && !im->sealed && !peer_get(b, im->owner) &&
	    b->now - im->heard_ns >= LEFT_NS)
		drop(b, "its client has gone");
	return b->import && !b->import->sealed;
}

void import_made(struct broker *b, const struct commit *c)
{
	struct import *im = b->import;
	uint8_t args_hash[DIGEST_SIZE];
	uint64_t nth;
	if (!im || im->sealed || !im->prints.count)
		return;
	sha256_digest(c->args, c->args_size, args_hash);
	if (set64_get(&im->prints, print_of(c, args_hash), &nth))
		ledger_add_staged_demoted(b->turn, im->number, (uint32_t)nth);
}

/* ---- what a chunk holds ---- */

static int malformed(struct err *e, const char *what)
{
	err_set(e, ERR_USAGE, "%s", what);
	err_next(e, "nothing was imported; both sides need the same version of cashet");
	return ERR_USAGE;
}

static int take_blob(struct broker *b, const struct peer *peer,
		     const ProtobufCBinaryData *data, struct err *e)
{
	uint8_t digest[DIGEST_SIZE];
	if (!data->len || data->len > INLINE_MAX)
		return malformed(e, "a small blob that is empty or not small");
	sha256_digest(data->data, data->len, digest);
	guard_claim(b, peer->key, digest);
	if (presence_has(b, digest))
		return 0;
	ledger_add_blob(b->turn, digest, data->data, data->len);
	presence_note(b, digest);
	return 0;
}

/* No commit of this fingerprint would be hit, neither here nor among those that were staged. */
static bool may_be_current(struct broker *b, struct import *im, const struct commit *c,
			   const uint8_t args_hash[DIGEST_SIZE])
{
	struct ledger_hit hit;
	uint64_t now = clock_wall_ms();
	if (!ledger_find(b->reader, c->func_hash, args_hash, &hit) &&
	    !guard_is_dying_commit(b, hit.seq) &&
	    (!hit.expires_wall_ms || hit.expires_wall_ms > now))
		return false;
	return set64_put(&im->prints, print_of(c, args_hash), im->staged);
}

static bool is_known(struct broker *b, const uint8_t hash[DIGEST_SIZE])
{
	uint64_t seq;
	size_t count = 0;
	if (ledger_find_commit(b->reader, hash, 2 * DIGEST_SIZE, &seq, 1, &count) ||
	    guard_is_dying_commit(b, seq))
		return false;
	guard_commit(b, seq);
	return true;
}

static int take_tags(const Cashet__ImportCommit *m, struct ledger_tag **tagsp,
		     struct err *e)
{
	if (m->n_tags > TAGS_MAX)
		return malformed(e, "a commit with more than 1024 tags");
	for (size_t i = 0; i < m->n_tags; i++)
		if (!m->tags[i]->key[0])
			return malformed(e, "a tag without a key");
	*tagsp = mem_alloc((m->n_tags + 1) * sizeof **tagsp);
	for (size_t i = 0; i < m->n_tags; i++)
		(*tagsp)[i] = (struct ledger_tag){m->tags[i]->key, m->tags[i]->value};
	return 0;
}

static int take_commit(struct broker *b, struct import *im, const Cashet__ImportCommit *m,
		       struct err *e)
{
	CLEANUP_FREE struct ledger_tag *tags = NULL;
	uint8_t hash[DIGEST_SIZE], args_hash[DIGEST_SIZE];
	struct commit c;
	buf_reset(&im->arena);
	buf_reset(&im->again);
	if (commit_decode(m->body.data, m->body.len, &c, &im->arena))
		return malformed(e, "a record that is no commit");
	commit_encode(&im->again, &c);
	if (im->again.size != m->body.len ||
	    memcmp(im->again.data, m->body.data, m->body.len) != 0)
		return malformed(e, "a commit that is not in its canonical form");
	int rc = take_tags(m, &tags, e);
	if (rc)
		return rc;
	sha256_digest(m->body.data, m->body.len, hash);
	sha256_digest(c.args, c.args_size, args_hash);
	if (!set64_put(&im->hashes, word(hash), 0))
		return malformed(e, "a commit that comes twice");
	if (is_known(b, hash)) {
		im->known++;
		return 0;
	}
	bool current = m->current && c.status == COMMIT_COMPLETED &&
		       may_be_current(b, im, &c, args_hash);
	if (ledger_add_staged(b->turn, im->number, current, m->body.data, m->body.len,
			      tags, m->n_tags))
		return malformed(e, "a record that is no commit");
	im->staged++;
	return 0;
}

static int take_pin(struct import *im, const Cashet__ImportPin *m, struct err *e)
{
	struct import_pin pin = {.wall_ms = m->wall_ms};
	size_t digits = strspn(m->name, "0123456789abcdefABCDEF");
	if (!names_valid(m->name, true) || strlen(m->name) >= sizeof pin.name ||
	    (digits >= 4 && !m->name[digits]) || !wire_is(&m->hash, DIGEST_SIZE))
		return malformed(e, "a pin whose name or commit cannot be one");
	if (im->pin_count == PINS_MAX)
		return malformed(e, "more than 65536 pins");
	strcpy(pin.name, m->name);
	memcpy(pin.hash, m->hash.data, DIGEST_SIZE);
	mem_grow(im->pins, im->pin_count, im->pin_capacity);
	im->pins[im->pin_count++] = pin;
	return 0;
}

/* ---- the end ---- */

static void keep_name(struct import *im, const char *name)
{
	mem_grow(im->kept, im->kept_count, im->kept_capacity);
	im->kept[im->kept_count++] = mem_strdup(name);
}

static void make_pins(struct broker *b, struct import *im)
{
	for (size_t i = 0; i < im->pin_count; i++) {
		const struct import_pin *pin = &im->pins[i];
		uint8_t hash[DIGEST_SIZE];
		if (!ledger_find_pin(b->reader, pin->name, hash)) {
			if (memcmp(hash, pin->hash, DIGEST_SIZE) != 0)
				keep_name(im, pin->name);
			continue;
		}
		ledger_add_pin(b->turn, pin->name, pin->hash, pin->wall_ms);
		im->pins_made++;
	}
}

static int check_pins(struct broker *b, struct import *im, struct err *e)
{
	for (size_t i = 0; i < im->pin_count; i++)
		if (!set64_has(&im->hashes, word(im->pins[i].hash)) &&
		    !is_known(b, im->pins[i].hash))
			return malformed(e, "a pin of a commit that is not imported");
	return 0;
}

static int seal(struct broker *b, struct import *im, struct err *e)
{
	int rc = check_pins(b, im, e);
	if (rc)
		return rc;
	if (im->staged) {
		uint64_t first = core_reserve_commits(b->core, im->staged);
		ledger_add_staged_taken(b->turn, im->number, first);
		b->commit_last = first + im->staged - 1;
	}
	make_pins(b, im);
	im->sealed = true;
	set64_fini(&im->hashes);
	set64_fini(&im->prints);
	log_info("import sealed", "commits=%llu known=%llu pins=%llu",
		 (unsigned long long)im->staged, (unsigned long long)im->known,
		 (unsigned long long)im->pins_made);
	return 0;
}

/* ---- the message ---- */

static void acknowledge(struct broker *b, struct peer *peer, uint64_t serial)
{
	const struct import *im = b->import;
	Cashet__Envelope out = CASHET__ENVELOPE__INIT;
	Cashet__ImportAck ack = CASHET__IMPORT_ACK__INIT;
	if (im) {
		ack.next = im->next;
		ack.sealed = im->sealed;
		ack.added = im->staged;
		ack.known = im->known;
		ack.pins = im->pins_made;
		ack.n_pins_kept = im->kept_count;
		ack.pins_kept = im->kept;
	}
	out.serial = serial;
	out.body_case = CASHET__ENVELOPE__BODY_IMPORT_ACK;
	out.import_ack = &ack;
	outbox_send_envelope(b, peer, b->step, &out);
}

/* The import that @m goes on with, or begins. */
static int choose(struct broker *b, const struct peer *peer, const Cashet__ImportChunk *m,
		  struct err *e)
{
	static uint64_t numbers;
	struct import *im = b->import;
	if (m->import.len != TOKEN_SIZE)
		return malformed(e, "an import without a number of 16 bytes");
	if (im && memcmp(im->token, m->import.data, TOKEN_SIZE) == 0)
		return 0;
	if (m->chunk) {
		err_set(e, ERR_FAILED,
			"the broker does not know this import: it was started anew, or "
			"nothing was heard of the import for too long");
		err_next(e, "nothing was imported; import again: what was stored by now "
			    "is not sent again");
		return ERR_FAILED;
	}
	if (im && !im->sealed && im->owner != peer->handle &&
	    (peer_get(b, im->owner) || b->now - im->heard_ns < LEFT_NS)) {
		err_set(e, ERR_FAILED, "another import is going on");
		err_next(e, "import again when it is over");
		return ERR_FAILED;
	}
	if (b->holding) {
		err_set(e, ERR_FAILED, "there is no room on the broker's disk");
		err_next(e, "make room: cashet gc --older-than 30d");
		return ERR_FAILED;
	}
	if (im)
		drop(b, "another one has begun");
	im = b->import = mem_alloc(sizeof *im);
	memcpy(im->token, m->import.data, TOKEN_SIZE);
	im->number = ++numbers;
	return 0;
}

static int take_chunk(struct broker *b, const struct peer *peer,
		      const Cashet__ImportChunk *m, struct err *e)
{
	struct import *im = b->import;
	int rc = 0;
	for (size_t i = 0; i < m->n_blobs && !rc; i++)
		rc = take_blob(b, peer, &m->blobs[i], e);
	for (size_t i = 0; i < m->n_commits && !rc; i++)
		rc = take_commit(b, im, m->commits[i], e);
	for (size_t i = 0; i < m->n_pins && !rc; i++)
		rc = take_pin(im, m->pins[i], e);
	if (!rc && m->seal)
		rc = seal(b, im, e);
	return rc;
}

void handle_import_chunk(struct broker *b, struct peer *peer, const Cashet__Envelope *e)
{
	const Cashet__ImportChunk *m = e->import_chunk;
	struct err error = {0};
	int rc = choose(b, peer, m, &error);
	struct import *im = b->import;
	if (!rc) {
		im->owner = peer->handle;
		im->heard_ns = b->now;
	}
	if (!rc && m->discard) {
		drop(b, "its client says so");
	} else if (!rc && !im->sealed && m->chunk > im->next) {
		rc = malformed(&error, "a chunk of an import out of order");
	} else if (!rc && !im->sealed && m->chunk == im->next) {
		guard_close(b);
		rc = take_chunk(b, peer, m, &error);
		im->next++;
		if (rc)
			drop(b, error.what);
	}
	if (rc)
		peer_error(b, peer, e->serial, &error);
	else
		acknowledge(b, peer, e->serial);
}
