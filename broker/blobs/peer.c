/* peer.c - who is connected to the blob service, and saying something to them. */
#include "broker/blobs/impl.h"

#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED_MAX 100 /* bad messages of one peer */

static struct list *bucket_of(struct blobs *b, unsigned endpoint, const uint8_t *route,
			      size_t size)
{
	uint32_t hash = 2166136261u ^ endpoint; /* FNV-1a */
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ route[i]) * 16777619u;
	return &b->peers[hash % PEER_BUCKETS];
}

struct blob_peer *blobs_find_peer(struct blobs *b, unsigned endpoint,
				  const struct wire_frame *frame)
{
	struct list *bucket = bucket_of(b, endpoint, frame->route, frame->route_size),
		    *at;
	list_for_each (at, bucket) {
		struct blob_peer *peer = container_of(at, struct blob_peer, link);
		if (peer->endpoint == endpoint && peer->route_size == frame->route_size &&
		    memcmp(peer->route, frame->route, frame->route_size) == 0)
			return peer;
	}
	return NULL;
}

struct blob_peer *blobs_add_peer(struct blobs *b, unsigned endpoint,
				 const struct wire_frame *frame)
{
	struct blob_peer *peer = mem_alloc(sizeof *peer);
	list_init(&peer->streams);
	peer->endpoint = endpoint;
	memcpy(peer->route, frame->route, frame->route_size);
	peer->route_size = frame->route_size;
	list_add_tail(bucket_of(b, endpoint, frame->route, frame->route_size),
		      &peer->link);
	b->peer_count++;
	b->peers_now++;
	return peer;
}

void blobs_forget_peer(struct blobs *b, struct blob_peer *peer)
{
	if (peer->is_gone)
		return;
	peer->is_gone = true;
	list_del(&peer->link);
	list_add_tail(&b->gone, &peer->link);
	b->peer_count--;
	b->peers_now--;
}

void blobs_end_streams(struct blobs *b, struct blob_peer *peer)
{
	while (!list_empty(&peer->streams))
		stream_end(b, container_of(peer->streams.next, struct blob_stream, link));
}

void blobs_free_gone(struct blobs *b)
{
	while (!list_empty(&b->gone)) {
		struct blob_peer *peer =
			container_of(b->gone.next, struct blob_peer, link);
		blobs_end_streams(b, peer);
		list_del(&peer->link);
		free(peer);
	}
}

/* ---- saying something ---- */

/* say() - Return: 0; 1 if the peer's queue is full; it is forgotten if it is gone. */
static int say(struct blobs *b, struct blob_stream *s, Cashet__BlobMessage *m)
{
	struct blob_peer *peer = s->peer;
	int error = 0;
	if (!peer || peer->is_gone)
		return 0;
	m->stream = s->id;
	if (wire_send_blob(b->sockets[peer->endpoint], peer->route, peer->route_size, m,
			   NULL, 0, &error) == 0)
		return 0;
	if (error == EAGAIN)
		return 1;
	blobs_forget_peer(b, peer);
	return 0;
}

void blobs_credit(struct blobs *b, struct blob_stream *s, uint64_t credit)
{
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.kind = CASHET__BLOB_MESSAGE__KIND__CREDIT;
	m.credit = s->unsaid_credit + credit;
	m.by_file = s->by_file;
	if (say(b, s, &m) == 0) {
		s->unsaid_credit = 0;
		return;
	}
	s->unsaid_credit = m.credit;
	stream_stall(b, s);
}

void blobs_finish(struct blobs *b, struct blob_stream *s, const Cashet__BlobMessage *m)
{
	list_del(&s->turn_link);
	s->last = *m;
	s->is_finished = true;
	blobs_retry(b, s);
}

void blobs_retry(struct blobs *b, struct blob_stream *s)
{
	if (!s->is_finished && s->unsaid_credit)
		blobs_credit(b, s, 0);
	if (!s->is_finished)
		return;
	if (say(b, s, &s->last))
		stream_stall(b, s);
	else
		stream_end(b, s);
}

void blobs_say_error(struct blobs *b, unsigned endpoint, const struct wire_frame *frame,
		     uint64_t stream, enum err_code code, const char *what)
{
	Cashet__Error error = CASHET__ERROR__INIT;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	error.code = code;
	error.what = (char *)what;
	m.kind = CASHET__BLOB_MESSAGE__KIND__ERROR;
	m.stream = stream;
	m.error = &error;
	wire_send_blob(b->sockets[endpoint], frame->route, frame->route_size, &m, NULL, 0,
		       NULL);
}

static void fail(struct blobs *b, struct blob_stream *s, enum err_code code,
		 const char *what, const char *next)
{
	if (s->is_finished)
		return;
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	cashet__error__init(&s->error);
	s->error.code = code;
	s->error.what = (char *)what;
	if (next)
		s->error.next = (char *)next;
	m.kind = CASHET__BLOB_MESSAGE__KIND__ERROR;
	m.error = &s->error;
	blobs_finish(b, s, &m);
}

void blobs_fail(struct blobs *b, struct blob_stream *s, enum err_code code,
		const char *what)
{
	fail(b, s, code, what, NULL);
}

void blobs_fail_rc(struct blobs *b, struct blob_stream *s, int rc)
{
	const char *what;
	enum err_code code = stream_explain(rc, &what);
	fail(b, s, code, what, rc == CAS_E_FULL ? BLOBS_FULL_NEXT : NULL);
}

void blobs_refuse(struct blobs *b, struct blob_peer *peer, const char *why)
{
	b->refused++;
	log_warn("blob message refused", "why=%s", why);
	if (peer && ++peer->refused > REFUSED_MAX)
		blobs_forget_peer(b, peer);
}
