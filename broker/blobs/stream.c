/* stream.c - the life of a stream, and whose turn it is.
 *
 * A stream of at most SMALL_MAX bytes moves at once: it needs little memory and is soon over. A
 * larger one moves while it has a turn, of which there are BLOBS_LARGE for puts and as many for
 * gets; a turn that falls free goes to the peer that has the fewest, in order of arrival. Whoever
 * has a turn and moves nothing while others wait loses its stream after CROWDED_NS. */
#include "broker/blobs/impl.h"

#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* To add a kind: its stream_ops in a file of its own, a member of enum stream_kind, a row here. */
const struct stream_ops *const stream_kinds[STREAM_KINDS] = {
	[STREAM_PUT] = &blob_put_ops,
	[STREAM_GET] = &blob_get_ops,
	[STREAM_HAVE] = &blob_have_ops,
};

void piece_free(struct piece *piece)
{
	zmq_msg_close(&piece->msg);
	free(piece);
}

static void free_pieces(struct list *pieces)
{
	struct list *at, *next;
	list_for_each_safe (at, next, pieces) {
		list_del(at);
		piece_free(container_of(at, struct piece, link));
	}
}

struct blob_stream *stream_find(struct blob_peer *peer, uint64_t id)
{
	struct list *at;
	list_for_each (at, &peer->streams) {
		struct blob_stream *s = container_of(at, struct blob_stream, link);
		if (s->id == id)
			return s;
	}
	return NULL;
}

struct blob_stream *stream_open(struct blobs *b, struct blob_peer *peer,
				enum stream_kind kind, uint64_t id)
{
	struct blob_stream *s = mem_alloc(sizeof *s);
	s->kind = kind;
	s->id = id;
	s->peer = peer;
	memcpy(s->owner, peer->key, KEY_SIZE);
	s->size = SIZE_UNKNOWN;
	s->file = -1;
	s->progress_ns = b->now_ns;
	list_init(&s->turn_link);
	list_init(&s->stall_link);
	list_init(&s->pieces);
	list_init(&s->job_link);
	list_init(&s->job_pieces);
	list_add_tail(&peer->streams, &s->link);
	peer->stream_count++;
	b->streams_now++;
	/* It does not even read that it has too many: what waits to be said to it is bounded too. */
	if (peer->stream_count > 2 * BLOBS_STREAMS)
		blobs_forget_peer(b, peer);
	if (peer->stream_count > BLOBS_STREAMS) {
		blobs_fail(b, s, ERR_UNREACHABLE, "too many transfers at once");
		return NULL;
	}
	return s;
}

static void stream_free(struct blobs *b, struct blob_stream *s)
{
	assert(!s->is_busy);
	free_pieces(&s->pieces);
	free_pieces(&s->job_pieces);
	cas_put_abort(s->put);
	if (s->file >= 0) /* now nobody reads it */
		close(s->file);
	cas_get_close(s->get);
	buf_fini(&s->found);
	buf_fini(&s->digests);
	free(s->missing);
	free(s);
	b->streams_now--;
}

void stream_end(struct blobs *b, struct blob_stream *s)
{
	list_del(&s->stall_link);
	list_del(&s->turn_link);
	if (s->peer) {
		list_del(&s->link);
		s->peer->stream_count--;
		s->peer->large_count -= s->has_turn;
		s->peer = NULL;
	}
	/* While a job has it, its memory is in use, and so is its turn. */
	s->is_dying = s->is_busy;
	if (s->is_busy)
		return;
	b->turns[stream_ops(s)->is_put] -= s->has_turn;
	stream_free(b, s);
}

uint64_t stream_window(const struct blobs *b, const struct blob_stream *s)
{
	/* Half a dozen large streams share what three may have. One whose credit is told in steps of a
	 * quarter of this always has some for a whole piece, which is not cut. */
	unsigned others = b->turns[stream_ops(s)->is_put];
	uint64_t window = s->by_file ? FILE_WINDOW : WIRE_BLOB_WINDOW;
	return others > 2 ? window / 2 : window;
}

void stream_set_large(struct blobs *b, struct blob_stream *s)
{
	s->is_large = true;
	list_add_tail(&b->waiting, &s->turn_link);
}

bool stream_may_move(const struct blob_stream *s)
{
	return !s->is_busy && !s->is_dying && !s->is_finished &&
	       (!s->is_large || s->has_turn);
}

void stream_stall(struct blobs *b, struct blob_stream *s)
{
	if (list_empty(&s->stall_link))
		list_add_tail(&b->stalled, &s->stall_link);
}

/* next_in_turn() - of the streams that wait for a turn of this kind, the first one of the peer
 * that has the fewest. */
static struct blob_stream *next_in_turn(struct blobs *b, bool is_put)
{
	struct blob_stream *best = NULL;
	struct list *at;
	list_for_each (at, &b->waiting) {
		struct blob_stream *s = container_of(at, struct blob_stream, turn_link);
		if (stream_ops(s)->is_put == is_put &&
		    (!best || s->peer->large_count < best->peer->large_count))
			best = s;
	}
	return best;
}

void stream_give_turns(struct blobs *b)
{
	for (int is_put = 0; is_put < 2; is_put++) {
		struct blob_stream *s;
		while (b->turns[is_put] < BLOBS_LARGE && (s = next_in_turn(b, is_put))) {
			list_del(&s->turn_link);
			s->has_turn = true;
			s->progress_ns = b->now_ns;
			s->peer->large_count++;
			b->turns[is_put]++;
			stream_ops(s)->pump(b, s);
		}
	}
}

void stream_submit(struct blobs *b, struct blob_stream *s)
{
	assert(!s->is_busy && !s->is_dying);
	s->is_busy = true;
	jobs_submit(b, s);
}

void stream_moved(struct blobs *b, struct blob_stream *s)
{
	s->progress_ns = b->now_ns;
	s->peer->heard_ns = b->now_ns;
}

enum err_code stream_explain(int rc, const char **what)
{
	switch (rc) {
	case CAS_E_MISSING:
		*what = "not in the store";
		return ERR_NOT_FOUND;
	case CAS_E_CORRUPT:
	case -EBADMSG:
		*what = "was corrupt in the store";
		return ERR_NOT_FOUND;
	case CAS_E_MISMATCH:
		*what = "the bytes that came are not those of the digest";
		return ERR_USAGE;
	case CAS_E_FULL:
		*what = "no room left in the store of the broker";
		return ERR_FAILED;
	case -EMFILE:
	case -ENFILE:
		*what = "the broker has no file descriptor left";
		return ERR_UNREACHABLE;
	default:
		*what = "the store of the broker failed";
		return ERR_FAILED;
	}
}

static bool is_crowded(const struct blobs *b, const struct blob_stream *s)
{
	bool is_put = stream_ops(s)->is_put;
	return s->is_large && b->turns[is_put] >= BLOBS_LARGE && !list_empty(&b->waiting);
}

void stream_check_times(struct blobs *b, struct blob_peer *peer)
{
	struct list *at, *next;
	list_for_each_safe (at, next, &peer->streams) {
		struct blob_stream *s = container_of(at, struct blob_stream, link);
		uint64_t limit = is_crowded(b, s) ? CROWDED_NS : PROGRESS_NS;
		/* Who waits for us, or for a turn, is not idle. */
		if (s->is_busy || (s->is_large && !s->has_turn) ||
		    b->now_ns - s->progress_ns < limit)
			continue;
		if (s->is_finished) {
			log_warn("peer does not read its answers", "streams=%u",
				 peer->stream_count);
			blobs_forget_peer(b, peer);
			return;
		}
		log_warn("transfer ended without progress",
			 "stream=%" PRIu64 " moved=%" PRIu64, s->id, s->moved);
		blobs_fail(b, s, ERR_UNREACHABLE, "the transfer made no progress");
	}
}
