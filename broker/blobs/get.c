/* get.c - bytes that go out, and which ones are missing.
 *
 *   GET     -> a job opens the blob; a large one then waits for its turn
 *           -> jobs read pieces, as many as there is credit for; the loop sends them
 *           -> END once the blob was read to its end and is what its name says, else ERROR
 *
 * A range is read from the start of the blob and to its end all the same: only so is it verified. */
#include "broker/blobs/impl.h"

#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JOB_BYTES (1u << 20) /* made by one job */
#define JOB_UNSENT_BYTES                                                                 \
	(16u << 20) /* only read, by one job: before and behind a range */
#define CREDIT_MAX (4ull * WIRE_BLOB_WINDOW)

/* ---- on a job thread ---- */

static int open_blob(struct blobs *b, struct blob_stream *s)
{
	if (b->o.find_inline && b->o.find_inline(b->o.arg, s->digest, &s->found) == 0) {
		s->is_inline = true;
		s->blob_size = s->found.size;
		return 0;
	}
	return cas_get_open(b->o.cas, s->digest, &s->get, &s->blob_size);
}

/* read_some() - the next bytes of the blob, wherever it is kept. 0 at the verified end. */
static int64_t read_some(struct blob_stream *s, void *out, size_t size)
{
	if (!s->is_inline)
		return cas_get_read(s->get, out, size);
	uint64_t left = s->blob_size - s->offset;
	if (size > left)
		size = (size_t)left;
	if (size)
		memcpy(out, s->found.data + s->offset, size);
	return (int64_t)size;
}

/* make_piece() - of @size bytes, all of which the blob should still have. */
static int make_piece(struct blob_stream *s, size_t size)
{
	struct piece *piece = mem_alloc(sizeof *piece);
	if (zmq_msg_init_size(&piece->msg, size) < 0)
		abort(); /* as mem_alloc() does */
	piece->offset = s->offset;
	piece->size = size;
	uint8_t *to = zmq_msg_data(&piece->msg);
	for (size_t done = 0; done < size;) {
		int64_t n = read_some(s, to + done, size - done);
		if (n <= 0) {
			piece_free(piece);
			return n < 0 ? (int)n : -EBADMSG;
		}
		done += (size_t)n;
		s->offset += (uint64_t)n;
	}
	list_add_tail(&s->job_pieces, &piece->link);
	return 0;
}

static uint64_t range_end(const struct blob_stream *s)
{
	uint64_t left = s->blob_size > s->skip ? s->blob_size - s->skip : 0;
	return s->skip + (s->size < left ? s->size : left);
}

/* get_step() - Return: 0 go on; 1 enough for now; negative errno. */
static int get_step(struct blob_stream *s, uint64_t *unsent)
{
	uint8_t scratch[16384];
	uint64_t end = range_end(s);
	bool is_in_range = s->offset >= s->skip && s->offset < end;
	if (is_in_range) {
		uint64_t size = end - s->offset;
		size = size < WIRE_BLOB_PIECE ? size : WIRE_BLOB_PIECE;
		if (size > s->budget)
			size = s->budget;
		if (!size)
			return 1;
		s->budget -= size;
		return make_piece(s, (size_t)size);
	}
	if (*unsent >= JOB_UNSENT_BYTES)
		return 1;
	uint64_t size = s->offset < s->skip ? s->skip - s->offset : sizeof scratch;
	int64_t n = read_some(s, scratch,
			      size < sizeof scratch ? (size_t)size : sizeof scratch);
	if (n < 0)
		return (int)n;
	s->offset += (uint64_t)n;
	*unsent += (uint64_t)n;
	s->is_done = n == 0;
	return s->is_done;
}

static void get_job(struct blobs *b, struct blob_stream *s)
{
	if (!s->is_open) {
		s->rc = open_blob(b, s);
		s->is_open = true;
		if (s->rc || s->blob_size > SMALL_MAX)
			return;
	}
	uint64_t unsent = 0;
	int rc;
	do {
		rc = get_step(s, &unsent);
	} while (rc == 0);
	s->rc = rc < 0 ? rc : 0;
}

/* ---- on the loop ---- */

/* flush() - send what was made. Return: 0; 1 if some is left: the peer's queue is full, or it is gone. */
static int flush(struct blobs *b, struct blob_stream *s)
{
	while (!list_empty(&s->pieces)) {
		struct piece *piece = container_of(s->pieces.next, struct piece, link);
		Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
		m.stream = s->id;
		m.kind = CASHET__BLOB_MESSAGE__KIND__DATA;
		m.offset = piece->offset;
		m.size = s->blob_size;
		int error = EHOSTUNREACH;
		if (s->peer->is_gone ||
		    wire_send_blob_msg(b->sockets[s->peer->endpoint], s->peer->route,
				       s->peer->route_size, &m, &piece->msg, &error)) {
			if (error != EAGAIN)
				blobs_forget_peer(b, s->peer);
			else
				stream_stall(b, s);
			return 1;
		}
		s->moved += piece->size;
		b->bytes_out += piece->size;
		stream_moved(b, s);
		list_del(&piece->link);
		piece_free(piece);
	}
	list_del(&s->stall_link);
	return 0;
}

static void finish(struct blobs *b, struct blob_stream *s)
{
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.kind = CASHET__BLOB_MESSAGE__KIND__END;
	m.digest = (ProtobufCBinaryData){DIGEST_SIZE, s->digest};
	m.size = s->blob_size;
	b->gets++;
	blobs_finish(b, s, &m);
}

/* submit_get() - have the next pieces made; credit is spent when they are. */
static void submit_get(struct blobs *b, struct blob_stream *s)
{
	s->budget = s->credit < JOB_BYTES ? s->credit : JOB_BYTES;
	s->credit -= s->budget;
	stream_submit(b, s);
}

static bool needs_credit(const struct blob_stream *s)
{
	return s->offset >= s->skip && s->offset < range_end(s) && !s->credit;
}

static void get_pump(struct blobs *b, struct blob_stream *s)
{
	if (!stream_may_move(s))
		return;
	/* Nothing is made before the last was sent: that bounds what waits for a slow peer. */
	if (flush(b, s))
		return;
	if (s->rc)
		blobs_fail_rc(b, s, s->rc);
	else if (s->is_done)
		finish(b, s);
	else if (!needs_credit(s))
		submit_get(b, s);
}

static void get_back(struct blobs *b, struct blob_stream *s)
{
	bool was_closed = !s->moved && !s->offset && !s->is_large;
	while (!list_empty(&s->job_pieces)) {
		struct list *first = s->job_pieces.next;
		list_del(first);
		list_add_tail(&s->pieces, first);
	}
	s->credit += s->budget; /* what was not spent */
	s->budget = 0;
	s->progress_ns = b->now_ns;
	if (was_closed && s->rc == 0 && s->blob_size > SMALL_MAX)
		stream_set_large(b, s);
	else
		get_pump(b, s);
}

void blob_get_credit(struct blobs *b, struct blob_stream *s, uint64_t credit)
{
	s->credit = credit < CREDIT_MAX - s->credit ? s->credit + credit : CREDIT_MAX;
	stream_moved(b, s);
	get_pump(b, s);
}

void blob_on_get(struct blobs *b, struct blob_peer *peer, const Cashet__BlobMessage *m,
		 struct wire_frame *frame)
{
	(void)frame;
	if (!wire_is(&m->digest, DIGEST_SIZE)) {
		blobs_refuse(b, peer, "a digest of the wrong size");
		return;
	}
	struct blob_stream *s = stream_open(b, peer, STREAM_GET, m->stream);
	if (!s)
		return;
	memcpy(s->digest, m->digest.data, DIGEST_SIZE);
	s->skip = m->offset;
	s->size = m->size ? m->size : SIZE_UNKNOWN;
	s->credit = m->credit < CREDIT_MAX ? m->credit : CREDIT_MAX;
	submit_get(b, s);
}

const struct stream_ops blob_get_ops = {get_job, get_back, get_pump, false};

/* ---- which of these are missing ---- */

static void have_job(struct blobs *b, struct blob_stream *s)
{
	CLEANUP_BUF struct buf scratch = {0};
	for (size_t at = 0; at < s->digests.size && s->rc == 0; at += DIGEST_SIZE) {
		const uint8_t *digest = s->digests.data + at;
		buf_reset(&scratch);
		if (b->o.claim)
			b->o.claim(b->o.arg, s->owner, digest);
		int rc = cas_has(b->o.cas, digest, NULL);
		if (rc == CAS_E_MISSING && b->o.find_inline &&
		    b->o.find_inline(b->o.arg, digest, &scratch) == 0)
			continue;
		if (rc == CAS_E_MISSING)
			buf_add(&s->found, digest, DIGEST_SIZE);
		else
			s->rc = rc;
	}
	s->is_done = true;
}

static void have_back(struct blobs *b, struct blob_stream *s)
{
	if (s->rc || s->found.failed) {
		blobs_fail_rc(b, s, s->rc ? s->rc : -ENOMEM);
		return;
	}
	size_t count = s->found.size / DIGEST_SIZE;
	s->missing = mem_alloc((count + 1) * sizeof *s->missing);
	for (size_t i = 0; i < count; i++)
		s->missing[i] = (ProtobufCBinaryData){DIGEST_SIZE,
						      s->found.data + i * DIGEST_SIZE};
	Cashet__BlobMessage m = CASHET__BLOB_MESSAGE__INIT;
	m.kind = CASHET__BLOB_MESSAGE__KIND__HAVE_REPLY;
	m.n_digests = count;
	m.digests = s->missing;
	blobs_finish(b, s, &m);
}

static void have_pump(struct blobs *b, struct blob_stream *s)
{
	(void)b;
	(void)s;
}

void blob_on_have(struct blobs *b, struct blob_peer *peer, const Cashet__BlobMessage *m,
		  struct wire_frame *frame)
{
	(void)frame;
	bool is_fine = m->n_digests <= DIGESTS_MAX;
	for (size_t i = 0; is_fine && i < m->n_digests; i++)
		is_fine = wire_is(&m->digests[i], DIGEST_SIZE);
	if (!is_fine) {
		blobs_refuse(b, peer, "digests of the wrong size, or too many");
		return;
	}
	struct blob_stream *s = stream_open(b, peer, STREAM_HAVE, m->stream);
	if (!s)
		return;
	for (size_t i = 0; i < m->n_digests; i++)
		buf_add(&s->digests, m->digests[i].data, DIGEST_SIZE);
	stream_submit(b, s);
}

const struct stream_ops blob_have_ops = {have_job, have_back, have_pump, false};
