/* dispatch.c - which message of a peer goes where, and may come at all. */
#include "broker/blobs/impl.h"

#include <string.h>

static enum key_role role_of(struct blobs *b, unsigned endpoint,
			     const struct wire_frame *frame)
{
	uint8_t key[KEY_SIZE];
	if (!b->endpoints[endpoint].curve)
		return ROLE_ADMIN;
	if (key_parse_z85(key, frame->user))
		return ROLE_NONE;
	return b->o.role ? b->o.role(b->o.arg, key) : ROLE_NONE;
}

static void on_hello(struct blobs *b, unsigned endpoint, const Cashet__BlobMessage *m,
		     const struct wire_frame *frame, enum key_role role)
{
	struct blob_peer *peer = blobs_find_peer(b, endpoint, frame);
	const char *wrong = !m->hello ? "a Hello without content"
			    : m->hello->protocol != WIRE_PROTOCOL
				    ? "this broker speaks protocol 1"
			    : !wire_is(&m->hello->instance, KEY_SIZE)
				    ? "an instance id of the wrong size"
			    : !peer && b->peer_count >= BLOBS_PEERS ? "too many peers"
								    : NULL;
	if (wrong) {
		blobs_refuse(b, peer, wrong);
		blobs_say_error(b, endpoint, frame, m->stream, ERR_USAGE, wrong);
		return;
	}
	if (!peer)
		peer = blobs_add_peer(b, endpoint, frame);
	blobs_end_streams(b, peer); /* a second Hello starts over */
	peer->has_key = b->endpoints[endpoint].curve != NULL;
	if (!peer->has_key || key_parse_z85(peer->key, frame->user))
		memcpy(peer->key, m->hello->instance.data, KEY_SIZE);
	peer->heard_ns = b->now_ns;
	Cashet__Welcome welcome = b->o.welcome;
	welcome.role = (char *)key_role_name(role);
	welcome.message_max = WIRE_BLOB_MESSAGE_MAX;
	Cashet__BlobMessage reply = CASHET__BLOB_MESSAGE__INIT;
	reply.kind = CASHET__BLOB_MESSAGE__KIND__WELCOME;
	reply.stream = m->stream;
	reply.welcome = &welcome;
	if (wire_send_blob(b->sockets[endpoint], frame->route, frame->route_size, &reply,
			   NULL, 0, NULL))
		blobs_forget_peer(b, peer);
}

static void on_credit(struct blobs *b, struct blob_peer *peer,
		      const Cashet__BlobMessage *m, struct wire_frame *frame)
{
	struct blob_stream *s = stream_find(peer, m->stream);
	if (s && s->is_finished)
		return;
	if (!s) {
		/* Credit of 0 asks whether the stream is alive; more may just have crossed its end. */
		if (!m->credit)
			blobs_say_error(b, peer->endpoint, frame, m->stream,
					ERR_UNREACHABLE, "no such transfer");
		return;
	}
	if (!m->credit) {
		blobs_credit(b, s, 0);
	} else if (s->kind == STREAM_GET) {
		blob_get_credit(b, s, m->credit);
	} else {
		blobs_refuse(b, peer, "credit for something that is no get");
		blobs_fail(b, s, ERR_USAGE, "credit for something that is no get");
	}
}

static void on_cancel(struct blobs *b, struct blob_peer *peer,
		      const Cashet__BlobMessage *m, struct wire_frame *frame)
{
	(void)frame;
	struct blob_stream *s = stream_find(peer, m->stream);
	if (s)
		stream_end(b, s);
}

/* What a peer may say after its Hello. To add a message: a kind in cashet.proto, a row here with a
 * function in the file of its subject, a paragraph in PROTOCOL.md, a case in tests/unit/broker/blobs.c. */
static const struct row {
	blob_on *on;
	bool opens;	  /* a stream, of an id that is not in use */
	bool writes;	  /* not for observers */
	bool has_payload; /* a second frame, or by file */
} rows[] = {
	[CASHET__BLOB_MESSAGE__KIND__HAVE] = {blob_on_have, .opens = true},
	[CASHET__BLOB_MESSAGE__KIND__PUT] = {blob_on_put, .opens = true, .writes = true},
	[CASHET__BLOB_MESSAGE__KIND__DATA] = {blob_on_data, .writes = true,
					      .has_payload = true},
	[CASHET__BLOB_MESSAGE__KIND__END] = {blob_on_end, .writes = true},
	[CASHET__BLOB_MESSAGE__KIND__GET] = {blob_on_get, .opens = true},
	[CASHET__BLOB_MESSAGE__KIND__CREDIT] = {on_credit},
	[CASHET__BLOB_MESSAGE__KIND__CANCEL] = {on_cancel},
};

static void dispatch(struct blobs *b, struct blob_peer *peer,
		     const Cashet__BlobMessage *m, struct wire_frame *frame,
		     enum key_role role)
{
	const struct row *row = (size_t)m->kind < ARRAY_LEN(rows) ? &rows[m->kind] : NULL;
	if (!row || !row->on || row->has_payload != (frame->payload || m->by_file)) {
		blobs_refuse(b, peer, "a message that a peer does not send");
		return;
	}
	peer->heard_ns = b->now_ns;
	if (row->writes && role == ROLE_OBSERVER) {
		b->refused++;
		if (row->opens)
			blobs_say_error(b, peer->endpoint, frame, m->stream,
					ERR_NOT_ALLOWED,
					"an observer may not store anything");
		return;
	}
	struct blob_stream *same = row->opens ? stream_find(peer, m->stream) : NULL;
	if (same) { /* also one whose last word is not sent yet */
		blobs_refuse(b, peer, "a stream that is open already");
		blobs_fail(b, same, ERR_USAGE, "this stream was opened twice");
		return;
	}
	row->on(b, peer, m, frame);
}

void blobs_handle(struct blobs *b, unsigned endpoint, struct wire_frame *frame)
{
	enum key_role role = role_of(b, endpoint, frame);
	struct blob_peer *peer = blobs_find_peer(b, endpoint, frame);
	wire_arena_reset(&b->arena);
	Cashet__BlobMessage *m = wire_unpack_blob(&b->arena, frame->data, frame->size);
	if (!m) {
		blobs_refuse(b, peer, "not a message");
		return;
	}
	if (role == ROLE_NONE || role == ROLE_BROKER) {
		/* Its key was revoked while it was connected. */
		b->refused++;
		blobs_say_error(b, endpoint, frame, m->stream, ERR_NOT_ALLOWED,
				"this key is not trusted any more");
		if (peer)
			blobs_forget_peer(b, peer);
	} else if (m->kind == CASHET__BLOB_MESSAGE__KIND__HELLO) {
		on_hello(b, endpoint, m, frame, role);
	} else if (!peer) {
		b->refused++;
		blobs_say_error(b, endpoint, frame, 0, ERR_USAGE, "say Hello first");
	} else {
		dispatch(b, peer, m, frame, role);
	}
}
