/* put.c - bytes that come in.
 *
 *   PUT     -> a small one has credit for all of it, a large one waits for its turn
 *   DATA    -> queued; a job writes what is queued, and credit for as much goes back
 *   END     -> a job commits: the store computes the digest; OK when it is durable
 *
 * What is queued is never more than the credit that was given. Where a PUT names a file that can be
 * opened here (a job does so when it is its turn), DATA only tells what part of it is next. */
#include "broker/blobs/impl.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- on a job thread ---- */

static int put_piece(struct blob_stream *s, struct piece *piece)
{
	if (!piece->by_file && !piece->stored)
		return cas_put_write(s->put, zmq_msg_data(&piece->msg), piece->size);
	struct cas_piece p = {.fd = s->file,
			      .from = piece->from,
			      .stored = piece->stored,
			      .size = (uint32_t)piece->size};
	if (!piece->by_file)
		p.data = zmq_msg_data(&piece->msg);
	return cas_put_piece(s->put, &p);
}

static void put_job(struct blobs *b, struct blob_stream *s)
{
	if (s->do_open) {
		s->file = blob_file_open(&s->from);
		return;
	}
	if (!s->put && s->rc == 0) {
		s->rc = cas_put_open(b->o.cas, &s->put);
		if (s->rc == 0)
			cas_put_expect(s->put, s->size);
	}
	struct list *at, *next;
	list_for_each_safe (at, next, &s->job_pieces) {
		struct piece *piece = container_of(at, struct piece, link);
		list_del(at);
		if (s->rc == 0)
			s->rc = put_piece(s, piece);
		s->consumed += piece->size;
		piece_free(piece);
	}
	if (s->rc || !s->do_commit)
		return;
	uint8_t want[DIGEST_SIZE];
	memcpy(want, s->digest, DIGEST_SIZE);
	if (b->o.claim) {
		uint8_t name[DIGEST_SIZE];
		cas_put_name(s->put, name);
		b->o.claim(b->o.arg, s->owner, name);
	}
	s->rc = cas_put_commit(steal(s->put), s->has_want ? want : NULL, s->digest, NULL);
	s->is_done = true;
}

/* ---- on the loop ---- */

/* give_credit() - up to a window, counting what is on its way and what is queued. */
static void give_credit(struct blobs *b, struct blob_stream *s, uint64_t queued)
{
	uint64_t window = stream_window(b, s), open = s->credit + queued;
	uint64_t left =
		s->size == SIZE_UNKNOWN ? UINT64_MAX : s->size - s->moved - s->credit;
	uint64_t grant = open < window ? window - open : 0;
	if (grant > left)
		grant = left;
	/* In large steps: one message of ours for several of theirs. */
	if (!grant || (grant < window / 4 && grant < left))
		return;
	s->credit += grant;
	blobs_credit(b, s, grant);
}

static void put_pump(struct blobs *b, struct blob_stream *s)
{
	if (!stream_may_move(s))
		return;
	if (s->wants_file) {
		s->wants_file = false;
		s->do_open = true;
		stream_submit(b, s);
		return;
	}
	if (s->is_large && !s->moved && !s->credit)
		give_credit(b, s, 0);
	if (list_empty(&s->pieces) && !s->has_ended)
		return;
	while (!list_empty(&s->pieces)) {
		struct list *first = s->pieces.next;
		list_del(first);
		list_add_tail(&s->job_pieces, first);
	}
	s->do_commit = s->has_ended;
	s->consumed = 0;
	stream_submit(b, s);
}

static void put_back(struct blobs *b, struct blob_stream *s)
{
	if (s->rc) {
		blobs_fail_rc(b, s, s->rc);
		return;
	}
	stream_moved(b, s);
	s->by_file = s->file >= 0;
	s->do_open = false;
	if (s->is_done) {
		Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
		m.kind = CASHET__BLOB_MESSAGE__KIND__OK;
		m.digest = (ProtobufCBinaryData){DIGEST_SIZE, s->digest};
		m.size = s->moved;
		b->puts++;
		b->files += s->by_file;
		blobs_finish(b, s, &m);
		return;
	}
	uint64_t queued = 0;
	struct list *at;
	list_for_each (at, &s->pieces)
		queued += container_of(at, struct piece, link)->size;
	if (s->is_large && !s->has_ended)
		give_credit(b, s, queued);
	put_pump(b, s);
}

void blob_on_put(struct blobs *b, struct blob_peer *peer, const Cashet__BlobMessage *m,
		 struct wire_frame *frame)
{
	(void)frame;
	struct blob_stream *s = stream_open(b, peer, STREAM_PUT, m->stream);
	if (!s)
		return;
	s->size = m->size;
	if (s->size > SMALL_MAX) {
		s->wants_file = m->file && blob_file_may(b, peer);
		if (s->wants_file)
			s->from = (struct blob_file){m->file->pid, m->file->fd,
						     m->file->device, m->file->inode};
		stream_set_large(b, s);
		return;
	}
	s->credit = s->size;
	if (s->size > WIRE_BLOB_UNASKED_MAX)
		blobs_credit(b, s, s->credit);
}

void blob_on_data(struct blobs *b, struct blob_peer *peer, const Cashet__BlobMessage *m,
		  struct wire_frame *frame)
{
	struct blob_stream *s = stream_find(peer, m->stream);
	if (!s || s->is_finished)
		return; /* it has ended here, and the news is on its way to the peer */
	bool by_file = m->by_file, is_piece = by_file || m->stored;
	uint64_t size = is_piece ? m->size : frame->payload_size;
	const char *wrong =
		s->kind != STREAM_PUT ? "data for something that is no put"
		: !size || (by_file && (!s->by_file || frame->payload))
			? "a piece without bytes"
		: is_piece && size > CAS_PIECE_MAX  ? "a piece that is too large"
		: m->stored > WIRE_BLOB_MESSAGE_MAX ? "a frame that is too large"
		: m->stored && !by_file && m->stored != frame->payload_size
			? "a frame of another size"
		: size > s->credit	? "more bytes than credit was given for"
		: s->has_ended		? "bytes after the end"
		: m->offset != s->moved ? "a piece out of order"
					: NULL;
	if (wrong) {
		blobs_refuse(b, peer, wrong);
		blobs_fail(b, s, ERR_USAGE, wrong);
		return;
	}
	struct piece *piece = mem_alloc(sizeof *piece);
	if (by_file)
		zmq_msg_init(&piece->msg);
	else
		wire_steal_payload(frame, &piece->msg);
	piece->by_file = by_file;
	piece->from = m->from;
	piece->stored = (uint32_t)m->stored;
	piece->size = size;
	list_add_tail(&s->pieces, &piece->link);
	s->credit -= size;
	s->moved += size;
	b->bytes_in += size;
	stream_moved(b, s);
	put_pump(b, s);
}

void blob_on_end(struct blobs *b, struct blob_peer *peer, const Cashet__BlobMessage *m,
		 struct wire_frame *frame)
{
	(void)frame;
	struct blob_stream *s = stream_find(peer, m->stream);
	if (!s || s->is_finished)
		return;
	const char *wrong = s->kind != STREAM_PUT ? "an end of something that is no put"
			    : s->has_ended	  ? "a second end"
			    : m->digest.len && !wire_is(&m->digest, DIGEST_SIZE)
				    ? "a digest of the wrong size"
			    : s->size != SIZE_UNKNOWN && s->size != s->moved
				    ? "an end before all bytes that were announced"
				    : NULL;
	if (wrong) {
		blobs_refuse(b, peer, wrong);
		blobs_fail(b, s, ERR_USAGE, wrong);
		return;
	}
	s->has_ended = true;
	s->has_want = m->digest.len != 0;
	if (s->has_want)
		memcpy(s->digest, m->digest.data, DIGEST_SIZE);
	stream_moved(b, s);
	put_pump(b, s);
}

const struct stream_ops blob_put_ops = {put_job, put_back, put_pump, true};
